"""The one file: every key known, every value checked, every error naming file, key, expected and found."""

from pathlib import Path
from typing import Any

import pytest

from wallet_guard.host.config import FINNEY_GENESIS, ConfigurationError, load_config, parse_config

HASH = "ab" * 32


def parse(signer: dict[str, Any] | None = None, **sections: Any) -> Any:
    table: dict[str, Any] = {"run": "/run/wg", "signer": {"state": "/var/lib/wg", **(signer or {})}, **sections}
    return parse_config(table, "wg.toml")


def refused(signer: dict[str, Any] | None = None, **sections: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(signer, **sections)
    return str(caught.value)


def test_defaults_are_safe() -> None:
    config = parse()
    assert config.chain.metadata_digest
    assert config.chain.genesis == FINNEY_GENESIS
    assert config.chain.endpoints == ("wss://entrypoint-finney.opentensor.ai:443",)
    assert config.gateway.tcp == ("127.0.0.1:8000",)
    assert config.signer.hotkeys == ()
    assert config.signer.era_blocks == 16


def test_sockets_lie_in_the_run_folder() -> None:
    config = parse()
    assert config.socket("admin") == "/run/wg/signer-admin.sock"
    assert config.client_socket == "/run/wg/gateway.sock"
    assert parse(gateway={"unix": "/x"}).client_socket == "/x"


@pytest.mark.parametrize(
    ("signer", "sections", "says"),
    [
        ({}, {"runs": 1}, "wg.toml: unknown key 'runs', expected one of"),
        ({}, {"signers": {}}, "wg.toml: unknown key 'signers'"),
        ({"hotkey": "x"}, {}, "wg.toml: [signer] unknown key 'hotkey', expected one of"),
        ({}, {"chain": {"endpoint": "x"}}, "wg.toml: [chain] unknown key 'endpoint'"),
        ({}, {"gateway": {"port": 1}}, "wg.toml: [gateway] unknown key 'port'"),
        ({}, {"chain": 5}, "wg.toml: [chain]: expected a table, found int"),
        ({}, {"run": 5}, "wg.toml: run: expected the path of a folder, found 5"),
        ({}, {"run": ""}, "run: expected the path of a folder"),
        ({"state": 5}, {}, "[signer] state: expected a string, found 5"),
        ({"hotkeys": "a/b"}, {}, "[signer] hotkeys: expected a list of strings, found 'a/b'"),
        ({"hotkeys": ["a/b", 1]}, {}, "[signer] hotkeys: expected a list of strings"),
        ({"era_blocks": 16.0}, {}, "[signer] era_blocks: expected a whole number, found 16.0"),
        ({"era_blocks": True}, {}, "[signer] era_blocks: expected a whole number, found True"),
        ({"era_blocks": 17}, {}, "era_blocks: expected a power of two from 4 to 128, found 17"),
        ({"era_blocks": 2}, {}, "era_blocks: expected a power of two"),
        ({"era_blocks": 256}, {}, "era_blocks: expected a power of two"),
        ({"deadline_seconds": 0}, {}, "deadline_seconds: expected 1 to 86400, found 0"),
        ({"deadline_seconds": 86_401}, {}, "deadline_seconds: expected 1 to 86400"),
        ({"deadline_seconds": float("nan")}, {}, "deadline_seconds: expected 1 to 86400, found nan"),
        ({"deadline_seconds": float("inf")}, {}, "deadline_seconds: expected 1 to 86400, found inf"),
        ({"deadline_seconds": 10**400}, {}, "deadline_seconds: expected a number below 1.8e308"),
        ({"deadline_seconds": "300"}, {}, "deadline_seconds: expected a number, found '300'"),
        ({"max_shift": -0.1}, {}, "max_shift: expected 0 to 1, found -0.1"),
        ({"max_shift": 1.1}, {}, "max_shift: expected 0 to 1"),
        ({"session_seconds": 59}, {}, "session_seconds: expected 60 to 86400, found 59"),
        ({"session_seconds": 86_401}, {}, "session_seconds: expected 60 to 86400"),
        ({"hub_hotkeys": ["other/key"]}, {}, "hub_hotkeys: expected some of hotkeys, found 'other/key'"),
        ({}, {"chain": {"network": "main"}}, "network: expected one of finney, test, local, found 'main'"),
        ({}, {"chain": {"endpoints": ["http://x"]}}, "endpoints: expected ws:// or wss:// URLs, found 'http://x'"),
        ({}, {"chain": {"genesis": "0x12"}}, "genesis: expected 0x and 64 hex digits, found '0x12'"),
        ({}, {"chain": {"genesis": HASH}}, "genesis: expected 0x and 64 hex digits"),
        ({}, {"chain": {"genesis": "0x" + "zz" * 32}}, "genesis: expected 0x and 64 hex digits"),
        ({}, {"chain": {"block_time_seconds": 0}}, "block_time_seconds: expected 0.05 to 120, found 0"),
        ({}, {"chain": {"block_time_seconds": 121}}, "block_time_seconds: expected 0.05 to 120"),
        ({}, {"chain": {"metadata_digest": 0}}, "metadata_digest: expected true or false, found 0"),
        ({}, {"chain": {"metadata_sha256": ["x"]}}, "metadata_sha256: expected 64"),
        ({}, {"chain": {"metadata_sha256": [HASH.upper()]}}, "metadata_sha256: expected 64 lower-case hex digits"),
    ],
)
def test_refuses_and_names_file_key_expected_and_found(
    signer: dict[str, Any], sections: dict[str, Any], says: str
) -> None:
    said = refused(signer, **sections)
    assert said.startswith("wg.toml: ")
    assert says in said


@pytest.mark.parametrize(
    "chain",
    [
        {"network": "local", "metadata_digest": False},
        {"network": "local", "metadata_digest": False, "genesis": "0x" + HASH},
        {"network": "local", "metadata_digest": False, "metadata_sha256": [HASH]},
    ],
)
def test_the_digest_is_off_only_with_genesis_and_metadata_pinned(chain: dict[str, Any]) -> None:
    assert "expected genesis and metadata_sha256 to be pinned" in refused(chain=chain)


def test_the_digest_is_off_where_both_are_pinned() -> None:
    chain = {"metadata_digest": False, "genesis": "0x" + HASH.upper(), "metadata_sha256": [HASH]}
    assert parse(chain=chain).chain.genesis == "0x" + HASH


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"\[signer\] missing key 'state'"):
        parse_config({"run": "/r", "signer": {}}, "wg.toml")
    with pytest.raises(ConfigurationError, match=r"\[signer\] missing key 'state'"):
        parse_config({"run": "/r"}, "wg.toml")
    with pytest.raises(ConfigurationError, match="run: expected the path of a folder, found None"):
        parse_config({"signer": {"state": "x"}}, "wg.toml")


def test_whole_numbers_do_for_numbers() -> None:
    found = parse({"deadline_seconds": 60}).signer.deadline_seconds
    assert (found, type(found)) == (60.0, float)


def test_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "wg.toml"
    path.write_text("run = '/run/wg'\n[signer]\nstate = 's'\nhotkeys = ['validatör/default']\n", encoding="utf-8")
    config = load_config(path)
    assert config.signer.hotkeys == ("validatör/default",)
    assert config.path == str(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"run = ", "expected TOML"),
        (b"run = 'a'\nrun = 'b'", "expected TOML"),
        (b"run = '\xff'", "expected UTF-8 text"),
        (b"", "missing key 'state'"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "wg.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="wallet-guard init"):
        load_config(tmp_path / "none.toml")


HUB = {"enabled": True, "hotkey": "v/d", "netuid": 2}


def with_hub(**changed):
    signer = {"state": "/s", "hotkeys": ["v/d"], "hub_hotkeys": ["v/d"]}
    return parse_config({"run": "/r", "signer": signer, "hub": HUB | changed}, "f")


def test_a_hub_greets_for_a_hotkey_that_the_signer_lets_it_greet_for():
    config = with_hub()
    assert (config.hub.enabled, config.hub.netuid, config.hub.tcp) == (True, 2, ("127.0.0.1:8091",))
    assert config.metagraph_socket == "/r/chain-hub.sock"
    with pytest.raises(
        ConfigurationError, match=r"\[hub\] hotkey: expected one of \[signer\] hub_hotkeys, found 'x/y'"
    ):
        with_hub(hotkey="x/y")


@pytest.mark.parametrize("netuid", [-1, 4096])
def test_a_hub_serves_a_subnet_that_can_be(netuid):
    with pytest.raises(ConfigurationError, match="netuid: expected 0 to 4095"):
        with_hub(netuid=netuid)


def test_a_hub_that_is_not_enabled_needs_nothing():
    assert not with_hub(enabled=False, hotkey="", netuid=-1).hub.enabled


def test_half_of_a_hubs_tls_is_refused():
    with pytest.raises(ConfigurationError, match="expected both or none"):
        with_hub(tls_key="/k")
