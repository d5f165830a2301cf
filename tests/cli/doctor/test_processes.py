from pathlib import Path

from wallet_guard.cli.doctor.processes import read_processes


def test_reads_name_uid_release_and_core_limit(guard):
    signer = next(found for found in read_processes(guard.at("/proc")) if found.name == "signer")
    assert (signer.pid, signer.uid, signer.release, signer.core_bytes) == (101, 9100, "0.1.0-aaaaaaaa", 0)
    assert signer.environment == Path("/opt/wallet-guard/current/guard")
    assert not signer.in_development


def test_other_programs_are_passed_over(guard):
    guard.write("/proc/200/cmdline", "python\0-m\0wallet_guard.devnet\0")
    guard.write("/proc/201/cmdline", "vim\0wallet_guard.signer\0")
    guard.at("/proc/202").mkdir()
    assert {found.pid for found in read_processes(guard.at("/proc"))} == {101, 102, 103}


def test_what_may_not_be_seen_is_unknown(guard):
    for name in ("maps", "limits"):
        guard.at(f"/proc/101/{name}").unlink()
    signer = next(found for found in read_processes(guard.at("/proc")) if found.name == "signer")
    assert (signer.release, signer.core_bytes) == ("", None)


def test_no_proc_is_no_processes(tmp_path):
    assert read_processes(tmp_path / "proc") == ()
