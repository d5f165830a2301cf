from pathlib import Path

from wallet_guard.cli.doctor.findings import Severity
from wallet_guard.cli.doctor.host import judge_disk

GIB = 1 << 30


def test_a_disk_that_is_nearly_full():
    assert [list(judge_disk(Path("/s"), *numbers)) for numbers in [(10 * GIB, 100 * GIB)]] == [[]]
    (found,) = judge_disk(Path("/s"), 3 * GIB, 100 * GIB)
    assert (found.severity, found.found) == (Severity.WARNING, "/s: the disk is 97 % full")
    (found,) = judge_disk(Path("/s"), 100 << 20, 100 * GIB)
    assert (found.severity, found.found) == (Severity.FAULT, "/s: 100 MiB free")


def test_in_development_one_user_and_the_sdk_are_only_notes(guard):
    for pid, name in [(101, "signer"), (102, "gateway")]:
        guard.process(pid, name, 1000)
    path = guard.at("/proc/101/cmdline")
    path.write_text(path.read_text() + "\0--development\0")
    guard.write("/opt/wallet-guard/0.1.0-aaaaaaaa/guard/lib/python3.11/site-packages/bittensor/__init__.py")
    found = [*guard.findings("separate-users"), *guard.findings("sdk-beside-keys")]
    assert [finding.severity for finding in found] == [Severity.NOTE, Severity.NOTE]


def test_encrypted_and_compressed_swap_are_well(guard):
    guard.write("/proc/swaps", "Filename\n/dev/zram0 partition 1 0 5\n/dev/dm-1 partition 1 0 5\n")
    guard.write("/sys/block/dm-1/dm/uuid", "CRYPT-LUKS2-00-swap\n")
    assert guard.findings("swap") == []


def test_an_empty_set_of_endpoints_is_told(guard):
    guard.write("/etc/wallet-guard/single-host.nft", "")
    guard.says["nft"] = "table inet wallet_guard {\n set endpoints {\n type ipv4_addr . inet_service\n }\n}"
    (found,) = guard.findings("firewall")
    assert found.severity is Severity.WARNING
