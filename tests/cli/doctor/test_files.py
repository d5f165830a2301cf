from dataclasses import replace

from wallet_guard.cli.doctor.findings import Severity


def test_a_coldkey_in_a_developers_own_wallets_is_only_a_warning(guard):
    guard.write("/var/lib/wallet-guard/wallets/validator/coldkey", "{}", 0o600)
    assert [found.severity for found in guard.findings("coldkeys")] == [Severity.FAULT]
    guard.at("/etc/systemd/system/wallet-guard-signer.service").unlink()
    assert [found.severity for found in guard.findings("coldkeys")] == [Severity.WARNING]


def test_a_sticky_folder_on_the_way_is_no_fault(guard):
    guard.at("/var/lib/wallet-guard/wallets").chmod(0o1777)
    assert guard.findings("hotkey-folders") == []


def test_says_the_command_that_mends(guard):
    path = "/var/lib/wallet-guard/wallets/validator/hotkeys/default"
    guard.at(path).chmod(0o604)
    (found,) = guard.findings("hotkeys")
    assert found.found == f"{path} has mode 0604: others can reach it"
    assert found.mend == f"chmod 0600 {path}"


def test_a_sealed_password_is_the_service_managers(guard):
    guard.edit("/var/lib/wallet-guard/password", "/run/credentials/wallet-guard-signer.service/x")
    skipped = {result.check: result.skipped for result in guard.results()}
    assert skipped["password-file"] == "it is a credential of the service manager"


def test_a_guard_that_never_ran_is_told_to_start(guard):
    guard.edit("/var/lib/wallet-guard/state", "/var/lib/elsewhere")
    (found,) = guard.findings("state-folder")
    assert found.severity is Severity.WARNING


def test_root_may_own_the_configuration_of_another_user(guard):
    guard.scene_values["uid"] = 4711
    guard.owner = 4712
    scene = guard.scene()
    assert replace(scene, owner=4712).uid == 4711
    found = [finding.found for finding in guard.findings("configuration-file")]
    assert all("belongs to uid" in each for each in found)
