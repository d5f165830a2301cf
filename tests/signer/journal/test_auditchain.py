"""The end of the audit chain."""

from pathlib import Path

from wallet_guard.signed.audit import verify_chain
from wallet_guard.signer.journal import Journal


def test_the_audit_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    for round_ in range(3):
        journal = Journal(tmp_path / "state")
        with journal.transaction() as writer:
            writer.record(round_, "started", "", n=round_, text="é\n")
        assert verify_chain(journal.records()) == (round_ + 1, journal.audit_head[1])
        journal.close()
