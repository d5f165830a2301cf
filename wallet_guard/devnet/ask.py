"""``python -m wallet_guard.devnet.ask URL METHOD [JSON …]``: one JSON-RPC question to a chain, its answer as JSON.

For people and tests: reads that owe nothing to the guard (``devnet_weights 2``), and the controls of
``devnet.control``. Each further argument is one parameter, in JSON. Exit status 1 where the chain answers with an
error or not at all.
"""

import asyncio
import json
import sys
from typing import Any

from wallet_guard.net.client import open_websocket, parse_url
from wallet_guard.net.limits import MessageLimits, WebSocketLimits
from wallet_guard.net.websocket import Inbox

ANSWER_SECONDS = 20.0

MAX_ANSWER_BYTES = 8 << 20
"""Metadata in hex is 0.8 MB."""


async def ask(url: str, method: str, *parameters: Any) -> Any:
    """The ``result`` of one JSON-RPC call.

    Raises:
        OSError: the chain cannot be reached, or is silent for ANSWER_SECONDS (TimeoutError).
        ValueError: it answers with an error; the message is its JSON.
    """
    limits = WebSocketLimits(
        messages=MessageLimits(max_message_bytes=MAX_ANSWER_BYTES, max_frame_bytes=MAX_ANSWER_BYTES)
    )
    inbox = Inbox()
    async with asyncio.timeout(ANSWER_SECONDS):
        websocket = await open_websocket(parse_url(url), inbox, limits=limits)
        try:
            websocket.send_text(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}))
            async for data in inbox:
                message = json.loads(data)
                if message.get("id") == 1:
                    if "error" in message:
                        raise ValueError(json.dumps(message["error"]))
                    return message.get("result")
        finally:
            websocket.close(1000, "")
    raise ConnectionError("the chain closed the connection without an answer")


def main(arguments: list[str]) -> int:
    """Prints the answer; the exit status."""
    if len(arguments) < 2:
        print("usage: wallet-guard devnet ask URL METHOD [JSON …]", file=sys.stderr)  # noqa: T201 -- a command prints
        return 2
    url, method, *texts = arguments
    try:
        parameters = [json.loads(text) for text in texts]
        print(json.dumps(asyncio.run(ask(url, method, *parameters))))  # noqa: T201
    except (OSError, ValueError) as error:
        print(f"wallet-guard: {method}: {str(error) or type(error).__name__}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
