from dataclasses import replace
from pathlib import Path


def test_paths_lie_below_the_root(guard):
    assert guard.scene().at("/etc/passwd") == guard.root / "etc/passwd"


def test_a_guard_beside_the_hosts_own_is_not_the_systems(guard):
    scene = guard.scene()
    assert scene.is_system
    assert not replace(scene, config_path="/home/x/.wallet-guard/wallet-guard.toml").is_system


def test_only_processes_with_this_configuration_are_this_guards(guard):
    scene = guard.scene()
    assert [process.name for process in scene.processes] == ["chain", "gateway", "signer"]
    assert replace(scene, config_path="/elsewhere.toml").processes == ()


def test_users_are_those_of_the_host(guard):
    assert guard.scene().uid_of("wallet-guard-chain") == 9102
    assert guard.scene().uid_of("wallet-guard") is None
    assert replace(guard.scene(), root=Path("/nowhere")).uid_of("root") is None
