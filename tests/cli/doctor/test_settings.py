from wallet_guard.cli.doctor import settings
from wallet_guard.signer.admin import DEFAULT_TOKENS, MIN_TOKEN_CHARACTERS


def test_knows_the_tokens_that_the_signer_refuses():
    assert set(settings.DEFAULT_TOKENS) == set(DEFAULT_TOKENS) - {""}
    assert settings.SHORT_TOKEN == MIN_TOKEN_CHARACTERS


def test_never_shows_a_token(guard):
    guard.scene_values["environment"] = {"WALLET_SERVICE_TOKEN": "hunter2"}
    (found,) = guard.findings("tokens-in-environment")
    assert "hunter2" not in found.found + found.mend


def test_a_listener_beyond_this_host_with_tls_is_well(guard):
    guard.edit("127.0.0.1:8000", "10.0.0.1:8000")
    assert guard.findings("listeners") == []


def test_a_node_on_a_private_link_may_speak_in_clear(guard):
    guard.edit('network = "finney"', 'network = "finney"\nendpoints = ["ws://10.0.0.2:9944", "ws://node:9944"]')
    assert guard.findings("endpoints") == []


def test_without_tls_a_loopback_listener_is_well(guard):
    guard.config = "\n".join(line for line in guard.config.splitlines() if not line.startswith("tls_"))
    guard.edit("127.0.0.1:8000", "[::1]:8000")
    assert guard.findings("listeners") == []
