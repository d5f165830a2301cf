"""The shapes in the description are those that the readers read and the answers have."""

import json
import re

import pytest

from wallet_guard.gateway import answers, signing
from wallet_guard.gateway.schemas import MAX_MECHID, MAX_NETUID, REQUESTS, SCHEMAS
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clients import ClientView, InfoView, KeyView
from wallet_guard.ipc.intents import Failure, State
from wallet_guard.ipc.signatures import ExtrinsicView, RequestView, SessionView, SignText, TextView
from wallet_guard.orders.fields import BodyError
from wallet_guard.orders.signatures import SIGNATURES
from wallet_guard.orders.weights import parse_order
from wallet_guard.orders.wishes import KINDS, parse_wish
from wallet_guard.signer import accept

READERS = {
    "/wallet/set_weights": parse_order,
    **{f"/wallet/{kind}": lambda body, kind=kind: parse_wish(kind, body) for kind in KINDS},
    **{path: lambda body, parse=parse: parse("token", body) for path, parse in SIGNATURES.items()},
}

NOW_MS = 1_795_000_000_000


def known(reader, body):
    """The fields that a reader knows, by its own word when it meets one that it does not know."""
    with pytest.raises(BodyError, match="unknown field") as caught:
        reader(json.dumps(body).encode())
    return set(re.search(r"expected one of (.*)", str(caught.value))[1].split(", "))


def fields(schema):
    """The names that a schema allows, whichever of its shapes is meant."""
    shapes = schema.get("oneOf") or schema.get("anyOf") or [schema]
    assert all(shape["additionalProperties"] is False for shape in shapes)
    return set().union(*(shape["properties"] for shape in shapes))


def test_there_is_a_shape_for_each_reader():
    assert REQUESTS.keys() == READERS.keys()


@pytest.mark.parametrize("path", REQUESTS)
def test_a_body_may_have_the_fields_that_its_reader_knows(path):
    assert fields(REQUESTS[path]) == known(READERS[path], {"surely_not": 1})


@pytest.mark.parametrize("path", [path for path in REQUESTS if "transaction_data" in fields(REQUESTS[path])])
def test_so_may_what_is_in_transaction_data(path):
    body = {"wallet_name": "w", "transaction_data": {"surely_not": 1}}
    assert fields(REQUESTS[path]["properties"]["transaction_data"]) == known(READERS[path], body)


def test_so_may_an_extrinsic():
    body = {"wallet_name": "w", "extrinsic": {"surely_not": 1}}
    extrinsic = REQUESTS["/wallet/extrinsic"]["properties"]["extrinsic"]
    assert fields(extrinsic) == known(READERS["/wallet/extrinsic"], body)


def test_ceilings_are_the_signers():
    assert (MAX_NETUID, MAX_MECHID) == (accept.MAX_NETUID, accept.MAX_MECHID)


def check(name, answer):
    """An answer has every field that its shape requires, and none that the shape lacks."""
    content, shape = json.loads(answer.body), SCHEMAS[name]
    assert set(shape["required"]) <= content.keys() <= shape["properties"].keys()


def test_answers_about_intents_have_their_shape(new_view):
    view = new_view(State.IN_BLOCK, weights=((1, 2),), not_before_ms=NOW_MS, not_before_block=3)
    failed = new_view(State.FAILED, failure=Failure("rate_limited", "m", "h", False), not_before_ms=NOW_MS)
    check("Submitted", answers.answer_reached(view))
    check("Queued", answers.answer_queued(new_view(not_before_ms=NOW_MS, not_before_block=3)))
    check("Intent", answers.answer_intent(view))
    check("Intent", answers.answer_intent(failed))
    check("Error", answers.answer_ended(failed, now_ms=NOW_MS))
    check("Error", answers.answer_late(view, State.FINALIZED, 3.0, now_ms=NOW_MS))
    check("Error", answers.answer_unsure("stopping", "m", "key", asked=True))
    check("Error", answers.answer_refusal(Refusal("rate_limited", "m", "h", 3, 4, "i"), now_ms=NOW_MS, submitted="no"))


def test_answers_about_the_service_have_their_shape():
    client = ClientView(
        name="n", wallet="w", hotkey="h", calls=(), netuids=None, per_hour=1, created_ms=NOW_MS, revoked_ms=None
    )
    key = KeyView("w", "h", "5F", "sr25519")
    check("Info", answers.answer_info(InfoView(client, (key,)), key))
    check("Ready", answers.answer_ready({}, "0"))
    check("NotReady", answers.answer_ready({"chain": "silent"}, "0"))


def test_answers_with_signatures_have_their_shape():
    check("SignedRequest", signing.answer_request(None, RequestView("5F", 1, (("X-A", "b"),))))
    check("Session", signing.answer_session(None, SessionView("c", "s", NOW_MS)))
    check("SignedExtrinsic", signing.answer_extrinsic(None, ExtrinsicView("5F", 1, b"s")))
    check("SignedText", signing.answer_text(SignText("t", "w", "h", "m"), TextView("5F", "sr25519", "<m>", b"s")))
