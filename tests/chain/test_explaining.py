"""The two steps of an explanation: facts, then the fee; and nothing where the endpoint gives none."""

import asyncio
from typing import Any

from wallet_guard.chain.errors import NodeError
from wallet_guard.chain.explaining import SIGNED_PART_BYTES, explain
from wallet_guard.chain.office import Office
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.chain import Action, Runtime
from wallet_guard.ipc.explanations import Draft, Inform, Quote

INFO = "0x" + "0400" + "00" + (7).to_bytes(8, "little").hex()


def explaining(chain: Any, signer: Any, kit: Any) -> None:
    async def run() -> None:
        link = await chain.link()
        job = asyncio.ensure_future(link.run())
        await kit.settle()
        try:
            await explain(Office(kit.endpoints(link), signer, lambda: 0), kit.task(Action.EXPLAIN))
        finally:
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)

    asyncio.run(run())


def test_brings_facts_and_then_the_fee(chain: Any, signer: Any, kit: Any) -> None:
    signer.answers["inform"] = [Draft(b"call")]
    asked: list[Any] = []

    def info(params: list[Any]) -> str:
        asked.append(params)
        return INFO

    # The metadata is asked for first, by the same method.
    chain.answers["state_call"] = [lambda _: "0x" + chain.codec.metadata.hex(), info]
    explaining(chain, signer, kit)
    inform, quote = signer.asked
    assert isinstance(inform, Inform)
    assert inform.explanation == quote.explanation
    assert quote == Quote(inform.explanation, 7)
    method, argument, _ = asked[0]
    assert method == "TransactionPaymentCallApi_query_call_info"
    assert bytes.fromhex(argument[2:]) == b"call" + (4 + SIGNED_PART_BYTES).to_bytes(4, "little")


def test_a_fee_that_is_not_told_is_none(chain: Any, signer: Any, kit: Any) -> None:
    signer.answers["inform"] = [Draft(b"call")]
    chain.answers["state_call"] = [lambda _: "0x" + chain.codec.metadata.hex(), NodeError(-32601, "no such method", "")]
    explaining(chain, signer, kit)
    assert signer.asked[-1].fee is None


def test_what_cannot_be_drafted_has_no_fee(chain: Any, signer: Any, kit: Any) -> None:
    signer.answers["inform"] = [Draft(None)]
    explaining(chain, signer, kit)
    assert [type(question) for question in signer.asked] == [Inform]


def test_introduces_a_runtime_that_the_signer_does_not_know(chain: Any, signer: Any, kit: Any) -> None:
    signer.answers["inform"] = [Refusal("runtime_unknown", "tell me"), Draft(None)]
    explaining(chain, signer, kit)
    assert [type(question) for question in signer.asked] == [Inform, Runtime, Inform]


def test_without_facts_nothing_is_told(chain: Any, signer: Any, kit: Any) -> None:
    chain.answers["state_queryStorageAt"] = [NodeError(-32000, "no", "")]
    explaining(chain, signer, kit)
    assert signer.asked == []


def test_without_an_endpoint_nothing_is_told(signer: Any, kit: Any) -> None:
    asyncio.run(explain(Office(kit.endpoints(), signer, lambda: 0), kit.task(Action.EXPLAIN)))
    assert signer.asked == []
