import http.server
import json
import threading
from dataclasses import replace

from wallet_guard.cli import status
from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.chain import Pulse
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.intents import Accept
from wallet_guard.ipc.wishes import SetWeights


def run(config, parse, *words):
    return status.status(parse(status, "status", *words, "--config", config.path))


def test_says_what_stands_in_the_way_and_ends_with_1(config, signer, parse, capsys):
    assert run(config, parse) == 1
    said = capsys.readouterr().out
    assert "chain     the chain process has not spoken yet" in said
    assert "genesis   not known yet" in said
    assert "key       validator/default 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY sr25519" in said
    assert "lane      validator/default from nonce 0: no nonce under way; nothing to do" in said
    assert "peers     admin 1, chain 0, gateway 0" in said


def test_all_well_ends_with_0(config, signer, parse, capsys):
    ask(config.socket("chain"), Pulse("ws://a", 7, 5, ""))
    assert run(config, parse) == 0
    assert "chain     ws://a at block 7, final 5" in capsys.readouterr().out


def test_shows_the_newest_intents_and_who_asked(config, signer, parse, capsys):
    token = ask(config.socket("admin"), ClientAdd("n", "validator", "default", ("set_weights",), None, 9, None)).token
    wish = SetWeights("validator", "default", 2, 1, (1,), None, (1.0,), 0)
    intent = ask(config.socket("gateway"), Accept(token, None, False, wish)).intent
    run(config, parse)
    said = capsys.readouterr().out
    assert f"{intent[:8]} n set_weights subnet 2 mechanism 1 accepted" in said
    assert "client    n validator/default any subnet, 1 of 9 this hour, 1 open, last " in said
    assert "lane      validator/default from nonce 0: no nonce under way; 1 accepted" in said


def test_json_says_the_same(config, signer, parse, capsys):
    assert run(config, parse, "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert said["well"] is False
    assert said["troubles"] == ["the chain process has not spoken yet"]
    assert said["status"]["keys"][0]["wallet"] == "validator"


class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"status": "ok", "active_connections": 3}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


def test_a_hub_is_asked_for_its_peers(config):
    with http.server.HTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        where = f"127.0.0.1:{server.server_port}"
        hub = replace(config.hub, enabled=True, tcp=(where,))
        assert status.ask_hub(replace(config, hub=hub)) == f"http://{where} ok, 3 peers connected"
        thread.join(60)


def test_a_hub_that_is_not_there_is_said(config):
    hub = replace(config.hub, enabled=True, tcp=("127.0.0.1:1",))
    assert status.ask_hub(replace(config, hub=hub)).startswith("http://127.0.0.1:1 does not answer: ")
    assert status.ask_hub(config) == ""
