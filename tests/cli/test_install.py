import argparse
import os
from pathlib import Path

import pytest

from wallet_guard.cli import install
from wallet_guard.cli.distribution import find_distribution
from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.install import Layout, configuration, installing, uninstalling
from wallet_guard.cli.steps import run_plan
from wallet_guard.host.config import ConfigurationError, load_config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def chosen(parse):
    def chosen(*words):
        return parse(install, "install", "--system", *words)

    return chosen


def files_of(steps):
    """The steps that write files or links: what needs neither root nor a service manager."""
    return [step for step in steps if step.text.startswith(("write ", "link ", "remove "))]


def test_system_must_be_said(parse, capsys):
    with pytest.raises(SystemExit):
        parse(install, "install")
    assert "--system" in capsys.readouterr().err


def test_the_configuration_is_one_that_loads(chosen, tmp_path):
    words = ("--network", "test", "--endpoint", "wss://a:443", "--hotkey", "v/h", "--block-time", "6")
    (tmp_path / "c.toml").write_bytes(configuration(chosen(*words)))
    config = load_config(tmp_path / "c.toml")
    assert config.chain.endpoints == ("wss://a:443",)
    assert (config.chain.network, config.chain.block_time_seconds) == ("test", 6.0)
    assert config.signer.hotkeys == ("v/h",)
    assert (config.signer.gateway_user, config.signer.chain_user) == ("wallet-guard-gateway", "wallet-guard-chain")
    assert config.socket("gateway") == "/run/wallet-guard/signer-gateway.sock"
    assert config.client_socket == "/run/wallet-guard/gateway.sock"


def test_a_configuration_that_would_not_load_is_refused(chosen):
    with pytest.raises(
        ConfigurationError, match=r"\[chain\] endpoints: expected ws:// or wss:// URLs, found 'http://a'"
    ):
        configuration(chosen("--endpoint", "http://a"))


def test_every_file_goes_where_systemd_looks(tmp_path):
    steps = installing(Layout(tmp_path), find_distribution(str(ROOT)), "/usr/bin/python3", b"run = 1\n")
    run_plan(files_of(steps), apply=True)
    placed = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()}
    assert {
        "etc/systemd/system/wallet-guard.service",
        "etc/systemd/system/wallet-guard-signer-admin.socket",
        "etc/sysusers.d/wallet-guard.conf",
        "etc/tmpfiles.d/wallet-guard.conf",
        "etc/wallet-guard/wallet-guard.toml",
        "opt/wallet-guard/current",
        "usr/local/bin/wallet-guard",
    } <= placed
    assert run_plan(files_of(steps), apply=True) == 0


def test_every_unit_that_is_enabled_or_removed_exists():
    units = {path.name for path in (ROOT / "systemd").iterdir() if path.suffix in (".service", ".socket")}
    assert {*install.SERVICES, *install.SOCKETS, *install.HUB, *install.METRICS} == units
    for name in (*install.ENABLED, *install.HUB):
        assert "[Install]" in (ROOT / "systemd" / name).read_text()


def test_uninstalling_removes_what_was_placed_and_no_more(tmp_path):
    layout = Layout(tmp_path)
    run_plan(files_of(installing(layout, find_distribution(str(ROOT)), "/usr/bin/python3", b"run = 1\n")), apply=True)
    (tmp_path / "var/lib/wallet-guard").mkdir(parents=True)
    run_plan(files_of(uninstalling(layout)), apply=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()}
    assert left == {"etc/wallet-guard/wallet-guard.toml", "etc/wallet-guard/policy.toml"}


def test_the_configuration_of_the_operator_is_kept(tmp_path):
    layout = Layout(tmp_path)
    layout.config.parent.mkdir(parents=True)
    layout.config.write_text("mine")
    run_plan(files_of(installing(layout, find_distribution(str(ROOT)), "/usr/bin/python3", b"yours")), apply=True)
    assert layout.config.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_apply_wants_root(chosen):
    with pytest.raises(CommandError, match="expected root for --apply"):
        install.install(chosen("--apply"))


@pytest.mark.parametrize("python", ["/tmp", "/usr/bin/env", "/nowhere/python3"])
def test_the_interpreter_must_be_roots_and_a_python(chosen, python):
    with pytest.raises(CommandError, match="expected"):
        install.install(chosen("--python", python))


def test_an_interpreter_of_a_home_folder_is_refused(chosen, tmp_path):
    (tmp_path / "python3").touch()
    with pytest.raises(CommandError, match="expected root's interpreter below /usr"):
        install.install(chosen("--python", str(tmp_path / "python3")))


def test_without_apply_it_says_so_and_does_nothing(chosen, capsys, monkeypatch):
    if not Path("/usr/bin/python3").exists() or install._says("/usr/bin/python3", "-c", "import ensurepip") is False:
        pytest.skip("LOUD: no /usr/bin/python3 with venv on this machine")
    assert install.install(chosen("--from", str(ROOT), "--client", "node", "--netuid", "2")) == 0
    said = capsys.readouterr().out
    assert "steps to do with --apply" in said
    assert "pip install --require-hashes -r locks/guard.txt" in said
    assert "client add node --netuid 2" in said


def test_uninstall_says_what_it_keeps(parse, capsys):
    assert install.uninstall(parse(install, "uninstall")) == 0
    assert "kept: /var/lib/wallet-guard (keys, journal)" in capsys.readouterr().out


def test_the_words_are_known():
    parser = argparse.ArgumentParser()
    install.add_words(parser.add_subparsers())
    assert parser.parse_args(["uninstall", "--apply"]).apply


def test_a_hub_is_configured_where_it_is_asked_for_and_only_there(chosen, tmp_path):
    def configured(*words):
        (tmp_path / "c.toml").write_bytes(configuration(chosen(*words)))
        return load_config(tmp_path / "c.toml")

    assert not configured().hub.enabled
    config = configured("--hub", "7", "--hotkey", "v/a", "--hotkey", "v/b")
    assert (config.hub.enabled, config.hub.hotkey, config.hub.netuid) == (True, "v/a", 7)
    assert (config.signer.hub_hotkeys, config.signer.hub_user) == (("v/a",), "wallet-guard-hub")


def test_a_hub_beside_a_configuration_without_one_is_refused_with_what_to_add(tmp_path):
    layout = Layout(tmp_path)
    layout.config.parent.mkdir(parents=True)
    layout.config.write_text('run = "/x"\n[signer]\nstate = "/x"\n')
    with pytest.raises(CommandError, match=r"expected \[hub\] enabled = true"):
        installing(layout, find_distribution(str(ROOT)), "/usr/bin/python3", b"", hub=True)
