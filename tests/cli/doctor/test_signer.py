from dataclasses import replace

from doctor_faults import DAY_MS, NOW_MS

from wallet_guard.cli.doctor.signer import RESERVE_BYTES
from wallet_guard.signer import disk


def test_knows_the_size_of_the_signers_reserve():
    assert RESERVE_BYTES == disk.RESERVE_BYTES


def test_a_new_client_may_take_its_time(guard):
    guard.set_client(name="new", created_ms=NOW_MS - DAY_MS)
    assert guard.findings("client-use") == []


def test_a_revoked_client_is_nobodys_concern(guard):
    old = replace(guard.status.clients[0], name="old", hotkey="old", netuids=None, revoked_ms=NOW_MS)
    guard.status = replace(guard.status, clients=(*guard.status.clients, old))
    assert guard.findings() == []


def test_the_lock_file_counts_while_the_signer_is_silent(guard):
    guard.scene_values.update(status=None, status_error="no signer listens there")
    guard.write("/var/lib/wallet-guard/state/lock", "", 0o600)
    (found,) = guard.findings("lockdown")
    assert found.mend.endswith("wallet-guard unlock")


def test_without_a_signer_the_rest_is_skipped_not_well(guard):
    guard.scene_values.update(status=None, status_error="no signer listens there")
    skipped = {result.check for result in guard.results() if result.skipped}
    assert {"versions", "journal-error", "chain-process", "keys-loaded", "clients", "client-keys"} <= skipped


def test_a_socket_of_others_wants_root(guard):
    guard.scene_values.update(status=None, status_error="/run/x.sock: not yours to open")
    (found,) = guard.findings("signer")
    assert found.mend == "run this as root"
