"""The operator's hand on intents: what was stored is sent again, what is not signed can be ended, and nothing else."""

import json

import pytest

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.chain import Action, Event
from wallet_guard.ipc.intents import State
from wallet_guard.ipc.oversight import IntentAsk, IntentCancel, IntentList, IntentRetry, Overview
from wallet_guard.signer import accept, oversight
from wallet_guard.signer.follow import MAX_STEPS
from wallet_guard.signer.journal import Journal


def cancel(bench, intent, why="wrong weights", by="ann"):
    return oversight.cancel(bench.desk, IntentCancel(intent, why, by))


def retry(bench, intent):
    return oversight.retry(bench.desk, IntentRetry(intent, "ann"))


def submitted(bench):
    intent = bench.accepted()
    task = bench.sealed(intent)
    bench.report(intent, Event.SUBMITTED, extrinsic_hash=task.extrinsic_hash)
    return intent, task


class TestList:
    def page(self, bench, client="", unfinished=False, before_ms=None, count=10):
        return oversight.intents(bench.desk, IntentList(client, unfinished, before_ms, count))

    def test_newest_first_and_says_whether_there_are_more(self, bench):
        made = []
        for netuid in (1, 2, 3):
            bench.pass_time(1)
            made.append(bench.accepted(netuid=netuid))
        page = self.page(bench, count=2)
        assert [view.intent for view in page.intents] == [made[2], made[1]]
        assert page.more
        rest = self.page(bench, before_ms=page.intents[-1].accepted_ms)
        assert [view.intent for view in rest.intents] == [made[0]]
        assert not rest.more

    def test_of_one_client_and_unfinished_ones_alone(self, bench):
        other = bench.add_client("other")
        first = bench.accepted()
        bench.accepted(netuid=1, token=other)
        cancel(bench, first)
        assert [view.client for view in self.page(bench, client="other").intents] == ["other"]
        assert [view.client for view in self.page(bench, unfinished=True).intents] == ["other"]
        assert len(self.page(bench).intents) == 2

    def test_carries_no_weights(self, bench):
        bench.sealed(bench.accepted())
        assert [view.weights for view in self.page(bench).intents] == [None]

    @pytest.mark.parametrize("count", [0, -1, 101])
    def test_refuses_a_page_of_a_wrong_size(self, bench, count):
        assert self.page(bench, count=count).code == "invalid_request"


class TestDetails:
    def test_tells_what_the_client_does_not_see(self, bench):
        intent = bench.accepted(key="mine")
        task = bench.sealed(intent)
        found = oversight.details(bench.desk, IntentAsk(intent))
        assert (found.idempotency_key, found.attempts, found.extrinsic) == ("mine", 1, task.extrinsic)
        assert (found.era_birth, found.era_death) == (task.era_birth, task.era_death)
        assert json.loads(found.request)["netuid"] == 2

    def test_the_beginning_of_an_id_is_enough(self, bench):
        intent = bench.accepted()
        assert oversight.details(bench.desk, IntentAsk(intent[:8])).view.intent == intent

    @pytest.mark.parametrize("name", ["", "abc", "zzzz", "%%%%", "a' OR 1=1 --", "é" * 8])
    def test_a_name_of_no_intent_is_refused(self, bench, name):
        bench.accepted()
        assert oversight.details(bench.desk, IntentAsk(name)).code == "unknown_intent"


class TestCancel:
    def test_ends_what_is_not_signed_and_its_client_sees_by_whom(self, bench):
        intent = bench.accepted(key="mine")
        view = cancel(bench, intent[:6])
        assert view.state is State.FAILED
        assert view.failure.code == "cancelled"
        assert view.failure.message == "cancelled by the operator (ann): wrong weights"
        assert not view.failure.may_be_submitted
        assert accept.show(bench.desk, accept.Show(bench.token, intent)).failure == view.failure
        assert bench.changes[-1].id == intent
        assert bench.pull() == ()

    def test_is_durable_and_audited(self, bench):
        intent = bench.accepted()
        cancel(bench, intent)
        record = list(bench.desk.journal.records())[-1]
        assert (record.kind, record.client) == ("cancelled", "node")
        assert json.loads(record.body) == {"intent": intent, "state": "failed", "by": "ann", "why": "wrong weights"}
        bench.desk.journal.close()
        again = Journal(bench.folder)
        bench.desk.journal = again
        assert again.intent(intent).state is State.FAILED

    def test_what_was_cancelled_cannot_be_signed_any_more(self, bench):
        intent = bench.accepted()
        cancel(bench, intent)
        assert isinstance(bench.seal(intent), Refusal)
        assert bench.intent(intent).extrinsic is None

    def test_the_same_idempotency_key_gives_the_cancelled_one(self, bench):
        intent = bench.accepted(key="mine")
        cancel(bench, intent)
        assert bench.accept(key="mine").intent == intent

    def test_a_signed_one_is_not_cancelled(self, bench):
        intent = bench.accepted()
        bench.sealed(intent)
        refused = cancel(bench, intent)
        assert (refused.code, refused.intent) == ("not_cancelled", intent)
        assert bench.intent(intent).state is State.SIGNED

    def test_an_ended_one_is_not_cancelled_twice(self, bench):
        intent = bench.accepted()
        cancel(bench, intent)
        assert cancel(bench, intent).code == "not_cancelled"
        assert bench.kinds().count("cancelled") == 1

    def test_reasons_are_short_and_of_one_line(self, bench):
        view = cancel(bench, bench.accepted(), why="a\nb" + "x" * 500, by="")
        assert view.failure.message.startswith("cancelled by the operator (unnamed): abx")
        assert len(view.failure.message) < 300

    def test_works_while_locked(self, bench):
        intent = bench.accepted()
        bench.desk.lockdown.engage("test")
        assert cancel(bench, intent).state is State.FAILED


class TestRetry:
    def test_gives_the_very_bytes_that_are_stored_and_signs_nothing(self, bench):
        intent, task = submitted(bench)
        assert bench.pull()[0].action is Action.FOLLOW
        view = retry(bench, intent)
        assert view.state is State.SIGNED
        (again,) = bench.pull()
        assert (again.action, again.extrinsic) == (Action.SUBMIT, task.extrinsic)
        assert bench.intent(intent).attempt == 1
        assert bench.kinds()[-1] == "retried"
        assert bench.works

    def test_is_due_at_once_after_it_was_dropped(self, bench):
        intent, task = submitted(bench)
        bench.report(intent, Event.DROPPED, extrinsic_hash=task.extrinsic_hash)
        assert bench.pull() == ()
        retry(bench, intent)
        assert [each.action for each in bench.pull()] == [Action.SUBMIT]

    def test_what_is_not_signed_has_nothing_to_send(self, bench):
        assert retry(bench, bench.accepted()).code == "not_retried"

    def test_what_is_in_a_block_is_left_alone(self, bench):
        intent, task = submitted(bench)
        bench.report(intent, Event.IN_BLOCK, block_hash="0x" + "ab" * 32, block_number=task.era_birth + 1)
        assert retry(bench, intent).code == "not_retried"
        assert bench.intent(intent).state is State.IN_BLOCK

    def test_what_finality_passed_by_is_left_to_its_own_clock(self, bench):
        intent, task = submitted(bench)
        bench.report(intent, Event.OUTDATED, extrinsic_hash=task.extrinsic_hash)
        assert retry(bench, intent).code == "not_retried"

    def test_a_dead_signature_is_not_sent(self, bench):
        intent, _ = submitted(bench)
        bench.clock[0] = bench.intent(intent).dead_ms + 1
        assert retry(bench, intent).code == "not_retried"

    def test_nothing_is_sent_while_locked(self, bench):
        intent, _ = submitted(bench)
        bench.desk.lockdown.engage("test")
        assert retry(bench, intent).code == "locked"
        assert bench.intent(intent).state is State.SUBMITTED

    def test_cannot_go_round_for_ever(self, bench):
        intent, _ = submitted(bench)
        for _ in range(MAX_STEPS):
            if isinstance(retry(bench, intent), Refusal):
                break
        assert bench.intent(intent).version == MAX_STEPS


class TestOverview:
    def test_shows_lanes_uses_and_refusals(self, bench):
        bench.add_client("idle")
        intent, task = submitted(bench)
        bench.accepted(netuid=3)
        assert bench.accept(netuid=9).code == "netuid_not_allowed"
        found = oversight.overview(bench.desk, Overview())
        (lane,) = found.lanes
        assert (lane.wallet, lane.hotkey, lane.nonces) == ("validator", "default", (task.nonce,))
        assert lane.states == (("accepted", 1), ("submitted", 1))
        uses = {use.name: use for use in found.clients}
        assert (uses["node"].accepted, uses["node"].open, uses["node"].refused) == (2, 2, 1)
        assert (uses["idle"].accepted, uses["idle"].last_ms) == (0, None)
        assert [(each.client, each.code) for each in found.refusals] == [("node", "netuid_not_allowed")]
        assert found.status.health.open_intents == 2
        assert bench.intent(intent).state is State.SUBMITTED

    def test_a_revoked_client_is_left_out(self, bench):
        from wallet_guard.ipc.clients import ClientRevoke
        from wallet_guard.signer import admin

        admin.client_revoke(bench.desk, ClientRevoke("node"))
        assert oversight.overview(bench.desk, Overview()).clients == ()


def test_pages_leave_out_none_of_those_that_were_accepted_together(bench):
    made = set()
    for _ in range(3):
        made |= {bench.accepted(), bench.accepted()}
        bench.clock[0] += 1
    seen, before = [], None
    for more in (True, True, False):
        page = oversight.intents(bench.desk, IntentList("", False, before, 3))
        assert (len(page.intents), page.more) == (2, more)
        seen += [view.intent for view in page.intents]
        before = page.intents[-1].accepted_ms
    assert set(seen) == made


@pytest.mark.parametrize("before", [-1, 2**63])
def test_refuses_a_time_that_is_none(bench, before):
    assert oversight.intents(bench.desk, IntentList("", False, before, 3)).code == "invalid_request"
