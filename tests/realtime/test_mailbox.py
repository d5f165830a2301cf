"""Handlers of one peer."""

import asyncio

from wallet_guard.realtime.mailbox import Mailbox
from wallet_guard.signed.frames import Message


class Outlet:
    def __init__(self):
        self.heard = []

    def done(self, message, failure):
        self.heard.append((message.id, failure))


def message(id_):
    return Message("note", id_, False, {"id": id_})


def test_handlers_of_one_peer_run_in_order_and_trouble_is_told(caplog):
    order, outlet, drained = [], Outlet(), []

    async def slow(hotkey, data):
        await asyncio.sleep(0)
        order.append(data["id"])

    async def hang(hotkey, data):
        await asyncio.sleep(60)

    def fail(hotkey, data):
        raise RuntimeError

    async def fail_later(hotkey, data):
        raise RuntimeError

    async def scene():
        mailbox = Mailbox("m", 1.0, lambda: drained.append(1))
        handlers = (fail, slow, hang, lambda _h, data: order.append(data["id"]), fail, fail_later, slow)
        for number, handler in enumerate(handlers):
            mailbox.put(handler, message(str(number)), outlet)
        assert mailbox.waiting == 5
        while not drained:
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(scene(), 60))
    assert order == ["1", "3", "6"]
    assert [failure for _, failure in outlet.heard] == ["failed", "", "timeout", "", "failed", "failed", ""]
    assert [id_ for id_, _ in outlet.heard] == [str(number) for number in range(7)]
