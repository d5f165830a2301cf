import asyncio
import json

import pytest

from wallet_guard.devnet.ask import ask, main
from wallet_guard.net.connection import Accept
from wallet_guard.net.routes import Routes
from wallet_guard.net.server import Server
from wallet_guard.net.websocket import Endpoint


class Scripted(Endpoint):
    """A chain that answers what the test says."""

    def __init__(self, *answers):
        self.answers = answers
        self.asked = []

    def on_message(self, websocket, data):
        self.asked.append(json.loads(data))
        for answer in self.answers:
            websocket.send_text(json.dumps(answer))
        if not self.answers:
            websocket.close(1000, "")


def asked(chain, method, *parameters):
    async def run():
        server = Server(Routes([]), websockets={"/": lambda _request: Accept(chain)})
        port = await server.listen_tcp("127.0.0.1", 0)
        try:
            return await ask(f"ws://127.0.0.1:{port}/", method, *parameters)
        finally:
            await server.stop(1)

    return asyncio.run(run())


def test_gives_the_result_of_its_own_question():
    chain = Scripted({"method": "news", "params": []}, {"id": 7, "result": "another's"}, {"id": 1, "result": [1, 2]})
    assert asked(chain, "devnet_weights", 2, "x") == [1, 2]
    assert chain.asked == [{"jsonrpc": "2.0", "id": 1, "method": "devnet_weights", "params": [2, "x"]}]


def test_an_error_of_the_chain_is_raised_with_its_words():
    with pytest.raises(ValueError, match="Method not found"):
        asked(Scripted({"id": 1, "error": {"code": -32601, "message": "Method not found"}}), "nonsense")


def test_a_chain_that_leaves_is_no_answer():
    with pytest.raises(ConnectionError, match="without an answer"):
        asked(Scripted(), "devnet_info")


@pytest.mark.parametrize("arguments", [[], ["ws://127.0.0.1:1"]])
def test_wants_a_url_and_a_method(arguments, capsys):
    assert main(arguments) == 2
    assert "usage" in capsys.readouterr().err


def test_a_parameter_that_is_no_json_is_said_plainly(capsys):
    assert main(["ws://127.0.0.1:1", "devnet_info", "{"]) == 1
    assert "wallet-guard: devnet_info: " in capsys.readouterr().err
