from dataclasses import replace

import pytest

from wallet_guard.cli import panel
from wallet_guard.host.config import Config, GatewayConfig, SignerConfig
from wallet_guard.ipc.admin import LockedKey, PolicyView, StatusView
from wallet_guard.ipc.clients import ClientView, KeyView
from wallet_guard.ipc.health import HealthView
from wallet_guard.ipc.oversight import ClientUse, Lane, OverviewView, Refused

NOW = 1_700_000_000_000
CONFIG = Config("c", "/run/wg", SignerConfig("/state"), gateway=GatewayConfig(tcp=("127.0.0.1:8000",)))
HEALTH = HealthView("0.1.0", 1, 1, 2, "", 461, "", 1.0)
STATUS = StatusView(
    health=HEALTH,
    keys=(KeyView("v", "d", "5Grw", "sr25519"),),
    clients=(),
    genesis_hash="0xab",
    endpoint="ws://a",
    best_block=7,
    finalized_block=5,
    audit_seq=9,
    audit_head="00",
    intents=(),
)
FOUND = OverviewView(STATUS, (), (), (), ())


def client(**values):
    return ClientView(**{"name": "n", "wallet": "v", "hotkey": "d", "calls": (), "netuids": (2, 3),
                         "per_hour": 60, "created_ms": 0, "revoked_ms": None, **values})  # fmt: skip


def said(found=FOUND, **status):
    return panel.lines(replace(found, status=replace(found.status, **status)), CONFIG, NOW)


def test_a_guard_that_is_well():
    assert said() == [
        "signer    version 0.1.0, 2 open intents, audit record 9",
        "journal   ok",
        "chain     ws://a at block 7, final 5, runtime 461",
        "policy    none: the grants alone decide",
        "genesis   0xab",
        "clients   /run/wg/gateway.sock, http://127.0.0.1:8000",
        "peers     none",
        "key       v/d 5Grw sr25519",
    ]
    assert panel.troubles(STATUS) == []


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ({"health": replace(HEALTH, locked="by the operator")}, "LOCKED    nothing is signed: by the operator"),
        ({"locked_keys": (LockedKey("v", "d", "a nonce"),)}, "LOCKED    v/d: a nonce"),
        ({"runtime_trouble": "runtime 462 is new"}, "RUNTIME   runtime 462 is new"),
        ({"health": replace(HEALTH, journal_error="no disk")}, "journal   no disk"),
        ({"health": replace(HEALTH, chain_trouble="ws://a: away")}, "chain     ws://a: away"),
        ({"health": replace(HEALTH, chain_seconds=31.0)}, "chain     the chain process is silent"),
        ({"health": replace(HEALTH, chain_seconds=None)}, "chain     the chain process is silent"),
    ],
)
def test_what_stands_in_the_way_is_said_and_counts(status, line):
    assert line in said(**status)
    assert len(panel.troubles(replace(STATUS, **status))) == 1


def test_lanes_uses_refusals_and_peers():
    found = replace(
        FOUND,
        lanes=(Lane("v", "d", 7, (7, 8), (("signed", 2),)), Lane("v", "e", 0, (), ())),
        clients=(ClientUse("n", 3, 60, 1, 2, NOW - 90_000),),
        refusals=(Refused(NOW, "n", "set_weights", "rate_limited"),),
        peers=(("chain", 1), ("gateway", 2)),
    )
    shown = said(found, clients=(client(), client(name="old", revoked_ms=1)))
    assert "peers     chain 1, gateway 2" in shown
    assert "lane      v/d from nonce 7: nonces 7, 8 under way; 2 signed" in shown
    assert "lane      v/e from nonce 0: no nonce under way; nothing to do" in shown
    wanted = "client    n v/d subnet 2, 3, 3 of 60 this hour, 1 open, 2 refused this minute, last 1 min ago"
    assert wanted in shown
    assert "client    old (revoked)" in shown
    assert "refused   2023-11-14T22:13:20Z n: set_weights: rate_limited" in shown


@pytest.mark.parametrize(
    ("passed", "shown"), [(0, "0 s ago"), (61_000, "1 min ago"), (7_200_000, "2 h ago"), (3 * 86_400_000, "3 d ago")]
)
def test_how_long_ago(passed, shown):
    found = replace(FOUND, clients=(ClientUse("n", 0, 60, 0, 0, NOW - passed),))
    assert any(line.endswith(f"last {shown}") for line in said(found, clients=(client(),)))


def test_no_line_can_forge_another_or_move_the_cursor():
    shown = said(endpoint="ws://a\x1b[2J\nsigner")
    assert "chain     ws://a?[2J?signer at block 7, final 5, runtime 461" in shown


def test_a_restored_journal_shows_its_generation():
    assert said(generation=2)[0].endswith("audit record 9, generation 2")


def test_a_policy_that_could_not_be_read_again_is_trouble():
    policy = PolicyView("/etc/wallet-guard/policy.toml", "ab" * 32, "expected '# end' as the last line")
    lines = said(policy=policy)
    assert "policy    /etc/wallet-guard/policy.toml, sha256 abababababab…" in lines
    assert "POLICY    stays as it was: expected '# end' as the last line" in lines
    assert panel.troubles(replace(STATUS, policy=policy))
