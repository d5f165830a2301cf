"""The client against the whole house: gateway, signer and chain process, and a devnet, all of them real.

Goals: the seed's body ends on the chain; whatever is killed while a client waits, the client gets its answer and the
chain gets one extrinsic; what the signer and the chain refuse reaches the client as what it is.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
from websockets.sync.client import connect

from wallet_guard.client import WalletService

SECONDS = 20
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
STRANGER = "5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM"

# //Alice, a public development key: the uid 0 of every subnet of the devnet.
KEYFILE = {
    "accountId": "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d",
    "publicKey": "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d",
    "privateKey": "0x33a6f3093f158a7109f679410bef1a0c54168145e0cecb4df006c1c2fffb1f09"
    "925a225d97aa00682d6a59b95b18780c10d7032336e88f3442b42361f4a66011",
    "cryptoType": 1,
    "ss58Address": "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
}


class House:
    """Everything that runs, and the ways to look at it and to hurt it."""

    def __init__(self, folder, stack):
        self._stack = stack
        self._environment = {**os.environ, "BITTENSOR_RUNTIME_CACHE_DIR": str(folder / "cache")}
        self._log = folder / "serve.log"
        self._write_key(folder / "wallets" / "validator" / "hotkeys" / "default")
        self.devnet = self._start(
            ["-m", "wallet_guard.devnet", "--listen", "127.0.0.1:0", "--block-time", "0.25", "--rate-limit", "5:16"],
            folder / "devnet.log",
        )
        ready = re.match(r"devnet ready on (\S+) genesis (\S+)", self.devnet.stdout.readline())
        assert ready, (folder / "devnet.log").read_text()
        self.chain_url = ready[1]
        self._config = str(folder / "guard" / "wallet-guard.toml")
        self._command(
            *("init", str(folder / "guard"), "--network", "local", "--endpoint", ready[1], "--genesis", ready[2]),
            *("--block-time", "0.25", "--wallets", str(folder / "wallets"), "--tcp", "127.0.0.1:0"),
        )
        self._start(["-m", "wallet_guard.cli.main", "serve", "--config", self._config], self._log)
        self.socket = folder / "guard" / "run" / "gateway.sock"
        self._wait_until(lambda: "clients come in" in self.log, "the house did not start")
        self.token = self._command("client", "add", "node", "--per-hour", "1000", "--config", self._config)
        self.narrow_token = self._command("client", "add", "narrow", "--netuid", "1", "--config", self._config)

    @property
    def log(self):
        return self._log.read_text()

    def client(self, token=None):
        service = WalletService(f"unix://{self.socket}", token or self.token, wallet_name="validator")
        return self._stack.enter_context(service)

    def ask_chain(self, method, *parameters):
        with connect(self.chain_url) as chain:
            chain.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}))
            return json.loads(chain.recv(timeout=SECONDS))["result"]

    def extrinsics(self, netuid):
        """Those in blocks or on their way, of this subnet."""
        return [each for each in self.ask_chain("devnet_extrinsics") if each["arguments"].get("netuid") == netuid]

    def kill(self, name):
        """kill -9; the supervisor starts it anew."""
        pids = re.findall(rf"started {name}, pid (\d+)", self.log)
        os.kill(int(pids[-1]), signal.SIGKILL)
        self._wait_until(
            lambda: len(re.findall(rf"started {name}, pid (\d+)", self.log)) > len(pids), f"{name} did not come back"
        )

    def _command(self, *words):
        done = subprocess.run(
            [sys.executable, "-m", "wallet_guard.cli.main", *words],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=self._environment,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _start(self, arguments, log_path):
        with log_path.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        self._stack.callback(_end, process)
        return process

    def _wait_until(self, true, otherwise):
        ends = time.monotonic() + SECONDS
        while not true():
            assert time.monotonic() < ends, f"{otherwise}: {self.log}"
            time.sleep(0.02)

    @staticmethod
    def _write_key(path):
        path.parent.mkdir(parents=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(json.dumps(KEYFILE))


def _end(process):
    process.terminate()
    process.communicate(timeout=SECONDS)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield House(Path(tmp_path_factory.mktemp("h")), stack)


def test_the_seeds_body_sent_twice_with_one_key_is_one_extrinsic(house):
    seed = {"netuid": 2, "uids": [1, 2, 3], "weights": [100, 200, 300], "version_key": 1}
    seed |= {"wait_for_finalization": False, "wait_for_inclusion": False}
    body = json.dumps({"wallet_name": "validator", "hotkey_name": "default", "transaction_data": seed})
    fields = {
        "Authorization": f"Bearer {house.token}",
        "Content-Type": "application/json",
        "Idempotency-Key": "the-seed",
    }
    answers = []
    for _ in range(2):
        connection = HTTPConnection("localhost", timeout=SECONDS)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(house.socket))
        with contextlib.closing(connection):
            connection.request("POST", "/wallet/set_weights", body, fields)
            response = connection.getresponse()
            assert response.status == 200
            answers.append(json.loads(response.read()))
    assert answers[0]["intent"] == answers[1]["intent"]
    assert answers[0]["extrinsic_hash"] == answers[1]["extrinsic_hash"]
    assert len(house.extrinsics(2)) == 1


@pytest.mark.parametrize(("netuid", "mechid"), [(1, 0), (4, 1)])
def test_waits_for_a_block_and_for_finality(house, netuid, mechid):
    client = house.client()
    in_block = client.set_weights(netuid, [1, 2], [1, 3], mechid=mechid, wait_for_inclusion=True, raise_errors=True)
    assert (in_block.state, in_block.submitted) == ("in_block", "yes")
    assert in_block.block_number > 0
    final = client.set_weights(
        netuid,
        [1, 2],
        [1, 3],
        mechid=mechid,
        wait_for_finalization=True,
        idempotency_key=in_block.idempotency_key,
        raise_errors=True,
    )
    assert (final.intent, final.extrinsic_hash) == (in_block.intent, in_block.extrinsic_hash)
    assert final.state in ("finalized", "effective")


def test_a_subnet_with_commit_reveal_gets_timelocked_weights(house):
    result = house.client().set_weights(3, [1, 2], [1, 3], raise_errors=True)
    assert result.call == "SubtensorModule.commit_timelocked_weights"
    assert f"reveals them at drand round {result.reveal_round}" in result.message


def test_weights_by_hotkey_find_their_uid(house):
    result = house.client().set_weights(1, None, {BOB: 1}, wait_for_finalization=True)
    assert result, result.message
    assert house.extrinsics(1)[-1]["arguments"]["dests"] == [1]


@pytest.mark.parametrize(
    ("arguments", "keywords", "status", "code"),
    [
        ((77, [1], [1]), {}, 422, "not_registered"),
        ((1, None, {STRANGER: 1}), {}, 422, "unknown_hotkey"),
        ((1, [1], [1]), {"mechid": 1}, 422, "unknown_mechanism"),
        ((1, [1], [1]), {"wallet_name": "other"}, 403, "wallet_not_allowed"),
        ((70000, [1], [1]), {}, 422, "invalid_request"),
        ((1, [1, 1], [1, 2]), {}, 422, "invalid_request"),
    ],
)
def test_what_is_refused_is_refused_as_what_it_is(house, arguments, keywords, status, code):
    result = house.client().set_weights(*arguments, **keywords)
    assert (result.success, result.status, result.code) == (False, status, code)
    assert (result.submitted, result.final) == ("no", True)


def test_tokens_are_good_for_what_they_are_for(house):
    wrong = house.client("not-a-token-of-this-house").set_weights(1, [1], [1])
    assert (wrong.status, wrong.code) == (401, "unauthorized")
    narrow = house.client(house.narrow_token)
    assert (narrow.set_weights(2, [1], [1]).status, narrow.info().netuids) == (403, (1,))
    assert narrow.set_weights(1, [1], [1])


def test_another_request_with_a_used_key_is_a_conflict_that_names_the_intent(house):
    client = house.client()
    first = client.set_weights(1, [1], [1], idempotency_key="used")
    second = client.set_weights(1, [2], [1], idempotency_key="used")
    assert (second.status, second.code, second.intent) == (409, "idempotency_conflict", first.intent)


def test_one_client_does_not_see_anothers_intents(house):
    intent = house.client().set_weights(1, [1], [1], raise_errors=True).intent
    with pytest.raises(Exception, match="none of that name"):
        house.client(house.narrow_token).intent(intent)


def test_a_rate_limit_is_said_or_waited_out(house):
    client = house.client()
    client.set_weights(5, [1], [1], wait_for_inclusion=True)
    refused = client.set_weights(5, [1], [1])
    assert (refused.status, refused.code, refused.submitted) == (429, "rate_limited", "no")
    assert refused.next_block > 0
    assert 0 < refused.retry_after_seconds < 30
    waited = client.set_weights(5, [1], [1], queue=True, wait_for_inclusion=True)
    assert waited, waited.message
    assert waited.block_number >= refused.next_block


@pytest.mark.parametrize("victim", ["gateway", "signer", "chain"])
def test_a_process_killed_while_a_client_waits_costs_nothing(house, victim):
    netuid = {"gateway": 4, "signer": 2, "chain": 1}[victim]
    before = len(house.extrinsics(netuid))
    client = house.client()
    results = []
    thread = threading.Thread(
        target=lambda: results.append(client.set_weights(netuid, [1, 2], [5, 7], wait_for_finalization=True))
    )
    thread.start()
    time.sleep(0.05)
    house.kill(victim)
    thread.join(60)
    (result,) = results
    assert result.success, result.message
    assert len(house.extrinsics(netuid)) == before + 1


def test_a_chain_that_is_away_leaves_the_intent_to_be_resumed(house):
    client = house.client()
    house.devnet.send_signal(signal.SIGSTOP)
    try:
        late = client.set_weights(1, [1, 2], [9, 1], timeout=4)
        assert (late.success, late.final, late.code in ("deadline", "chain_unavailable")) == (False, False, True)
        assert late.intent
        assert "kept until" in late.message
    finally:
        house.devnet.send_signal(signal.SIGCONT)
    again = client.set_weights(
        1, [1, 2], [9, 1], idempotency_key=late.idempotency_key, wait_for_finalization=True, timeout=60
    )
    assert again.success, again.message
    assert again.intent == late.intent


def test_no_log_holds_a_token(house):
    assert house.token not in house.log
    assert house.narrow_token not in house.log
