import dataclasses
import stat
from pathlib import Path

import pytest

from wallet_guard.cli.serve import make_supervisor
from wallet_guard.host.config import ConfigurationError, HubConfig


@pytest.fixture
def services(config):
    supervisor = make_supervisor(config)
    yield {service.name: service for service in supervisor._services}
    supervisor._stop_all()
    for service in supervisor._services:
        for listener in service.sockets.values():
            listener.close()


def test_the_one_that_decides_starts_first_and_the_one_that_clients_see_last(services):
    assert list(services) == ["signer", "chain", "gateway"]


def test_only_the_signer_gets_the_signers_sockets(services, config):
    assert list(services["signer"].sockets) == ["gateway", "chain", "admin"]
    assert not services["chain"].sockets
    modes = {name: stat.S_IMODE(Path(config.socket(name)).stat().st_mode) for name in services["signer"].sockets}
    assert modes == {"gateway": 0o660, "chain": 0o660, "admin": 0o600}


def test_only_the_signer_is_told_that_this_is_development(services):
    assert [name for name, service in services.items() if "--development" in service.command] == ["signer"]


def test_a_hub_runs_where_it_is_enabled_with_its_sockets_in_the_hands_of_who_answers_there(config):
    signer = dataclasses.replace(config.signer, hub_hotkeys=config.signer.hotkeys)
    supervisor = make_supervisor(dataclasses.replace(config, signer=signer, hub=HubConfig(True, "v/d", 2)))
    services = {service.name: service for service in supervisor._services}
    try:
        assert list(services) == ["signer", "chain", "hub", "gateway"]
        assert "hub" in services["signer"].sockets
        assert list(services["chain"].sockets) == ["chain-hub"]
        assert not services["hub"].sockets
    finally:
        supervisor._stop_all()
        for service in services.values():
            for listener in service.sockets.values():
                listener.close()


def test_refuses_a_run_folder_that_others_can_enter(config):
    Path(config.run).chmod(0o755)
    with pytest.raises(ConfigurationError, match="expected mode 0700, found 0755"):
        make_supervisor(config)
