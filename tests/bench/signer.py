"""How fast the key holder is: ``python tests/bench/signer.py [--seconds 5] [--write FILE]``; three minutes, one table.

The real signer process on a journal that syncs every commit, asked over its real sockets by one scripted gateway and
one scripted chain process. *One after the other*: the next intent is asked for when the one before is sealed.
*Sustained*: up to ``WINDOW`` questions on their way on each socket, for some seconds; each sealed intent is also ended
by a report, which is not counted. Beside them, in the same run: the bare signature, and a bare write of 4 KiB with
fsync in the state folder.
"""

import argparse
import dataclasses
import hashlib
import os
import platform
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import bittensor_core

from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.chain import Event, Facts, Report, Runtime, Seal
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept
from wallet_guard.ipc.packets import PacketReader, encode_packet
from wallet_guard.ipc.records import to_json
from wallet_guard.ipc.signatures import IssueSession, SignRequest
from wallet_guard.ipc.wishes import SetWeights

ROOT = Path(__file__).parents[2]
METADATA = (ROOT / "wallet_guard/devnet/data/subtensor-spec461-v15.scale").read_bytes()
GENESIS = hashlib.sha256(b"a chain for figures").digest()
HEAD = 5_000
WINDOW = 64
TARGETS = 64
"""Uids in each weight vector."""

RECEIVER = bittensor_core.Keypair.create_from_uri("//Bob").ss58_address
CERTIFICATES_PER_CLIENT = 240
"""An hour: the signer's own ceiling."""

FACTS = Facts(
    genesis_hash=GENESIS,
    spec_version=461,
    transaction_version=1,
    block_number=HEAD,
    era_block_number=HEAD - 2,
    era_block_hash=bytes(32),
    block_time_ms=12_000,
    nonce=7,
    finalized_nonce=7,
    uid=1,
    uids=(),
    mechanisms=1,
    commit_reveal=False,
    commit_reveal_version=4,
    rate_limit=0,
    last_update=0,
    min_allowed_weights=1,
    max_weight_limit=65_535,
    weights_version_key=0,
    tempo=360,
    reveal_period_epochs=1,
    last_epoch_block=HEAD - 100,
    pending_epoch_at=0,
    subnet_epoch_index=13,
    blocks_since_last_step=100,
)


class Peer:
    """One connection: questions out, answers in, however many are on their way."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.reader = PacketReader()
        self.waiting: dict[int, Callable[[Any], None]] = {}
        self._number = 0

    def ask(self, question: Any, then: Callable[[Any], None]) -> None:
        """Sends it; ``then`` gets the answer."""
        self._number += 1
        self.waiting[self._number] = then
        self.socket.sendall(encode_packet({"id": self._number, "ask": question.ask, "body": to_json(question)}))

    def receive(self) -> None:
        """Waits for something, and hands answers on."""
        data = self.socket.recv(1 << 20)
        assert data, "the signer closed the connection"
        for message in self.reader.feed(data):
            if "event" not in message:
                assert "answer" in message, message
                self.waiting.pop(message["id"])(message["answer"])

    def answer(self, question: Any) -> Any:
        """The answer, waited for."""
        found: list[Any] = []
        self.ask(question, found.append)
        while not found:
            self.receive()
        return found[0]


class Signer:
    """The process, on a folder of its own, with that many plaintext hotkeys."""

    def __init__(self, folder: Path, keys: int = 1) -> None:
        self.folder = folder
        self.names = [f"validator/key{at}" for at in range(keys)]
        hotkeys = folder / "wallets/validator/hotkeys"
        hotkeys.mkdir(parents=True, mode=0o700)
        for at in range(keys):
            pair = bittensor_core.Keypair.create_from_uri(f"//Key{at}")
            with open(os.open(hotkeys / f"key{at}", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(bytes(bittensor_core.serialized_keypair_to_keyfile_data(pair)))
        (folder / "g.toml").write_text(
            f"run = '{folder}'\n[signer]\nstate = '{folder}/state'\nwallets = '{folder}/wallets'\n"
            f"hotkeys = {self.names}\n[chain]\nnetwork = 'local'\ngenesis = '0x{GENESIS.hex()}'\n"
        )
        self.clients = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Seconds from exec to the first answer."""
        began = time.perf_counter()
        command = [sys.executable, "-m", "wallet_guard.signer", "--config", str(self.folder / "g.toml")]
        log = (self.folder / "log").open("w")
        with log:
            self.process = subprocess.Popen([*command, "--development"], cwd=ROOT, stderr=log)
        while True:
            try:
                ask(self.path("admin"), Health(), seconds=60)
            except OSError:
                assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.005)
            else:
                return time.perf_counter() - began

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def path(self, name: str) -> str:
        return str(self.folder / f"signer-{name}.sock")

    def client(self, *calls: str) -> str:
        """The token of a new client."""
        self.clients += 1
        question = ClientAdd(f"c{self.clients}", "validator", "key0", calls, None, 100_000, None)
        token: str = ask(self.path("admin"), question).token
        return token

    def resident_mb(self) -> float:
        """Megabytes (10^6 bytes)."""
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        (kib,) = [int(line.split()[1]) for line in lines if line.startswith("VmRSS")]
        return kib * 1024 / 1e6

    def processor_ms(self) -> float:
        """Of the process, since it began."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wishes() -> Iterator[SetWeights]:
    """One subnet after the other."""
    at = 0
    while True:
        at += 1
        weights = tuple(float(1 + (at * uid) % 97) for uid in range(TARGETS))
        yield SetWeights("validator", "key0", at % 128, 0, tuple(range(TARGETS)), None, weights, 0)


def one_after_the_other(signer: Signer, facts: Facts, seconds: float) -> list[float]:
    """Milliseconds of each accept and seal together."""
    gateway, chain = Peer(signer.path("gateway")), Peer(signer.path("chain"))
    token, taken = signer.client("set_weights"), list[float]()
    ends = time.perf_counter() + seconds
    for wish in wishes():
        began = time.perf_counter()
        if began > ends:
            break
        intent = gateway.answer(Accept(token, None, False, wish))["intent"]
        chain.answer(Seal(intent, facts))
        taken.append((time.perf_counter() - began) * 1000)
        chain.answer(Report(intent, Event.REJECTED, code="Figures"))
    gateway.socket.close()
    chain.socket.close()
    return taken[10:] or taken


class Rate(NamedTuple):
    """So many a second by the clock; and the signer's own processor time for each, which other work does not change."""

    per_second: float
    processor_ms: float


def sustained(signer: Signer, facts: Facts, seconds: float) -> Rate:
    """Sealed intents, with many on their way."""
    gateway, chain = Peer(signer.path("gateway")), Peer(signer.path("chain"))
    token, new, sealed = signer.client("set_weights"), wishes(), 0
    ends = time.perf_counter() + seconds

    def accept() -> None:
        if time.perf_counter() < ends:
            gateway.ask(Accept(token, None, False, next(new)), accepted)

    def accepted(view: Any) -> None:
        chain.ask(Seal(view["intent"], facts), signed)

    def signed(task: Any) -> None:
        nonlocal sealed
        sealed += 1
        chain.ask(Report(task["intent"], Event.REJECTED, code="Figures"), ended)

    def ended(_done: Any) -> None:
        accept()

    began, used = time.perf_counter(), signer.processor_ms()
    for _ in range(WINDOW):
        accept()
    _turn(gateway, chain)
    return Rate(sealed / (time.perf_counter() - began), (signer.processor_ms() - used) / sealed)


def signatures(signer: Signer, questions: Callable[[int], Any], seconds: float) -> Rate:
    """Answers to such questions of a gateway, with many on their way."""
    gateway, made = Peer(signer.path("gateway")), 0
    ends = time.perf_counter() + seconds

    def more(_answer: Any = None) -> None:
        nonlocal made
        if time.perf_counter() < ends:
            gateway.ask(questions(made), more)
            made += 1

    began, used = time.perf_counter(), signer.processor_ms()
    for _ in range(WINDOW):
        more()
    _turn(gateway)
    return Rate(made / (time.perf_counter() - began), (signer.processor_ms() - used) / made)


def _turn(*peers: Peer) -> None:
    with selectors.DefaultSelector() as selector:
        for peer in peers:
            selector.register(peer.socket, selectors.EVENT_READ, peer)
        while any(peer.waiting for peer in peers):
            for key, _ in selector.select(60):
                key.data.receive()
    for peer in peers:
        peer.socket.close()


def bare_fsync_ms(folder: Path) -> float:
    """Median of writing 4 KiB and syncing it."""
    taken = []
    with (folder / "bare").open("wb", buffering=0) as file:
        for _ in range(200):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def bare_signature_ms() -> float:
    """Median of signing 200 bytes and verifying it, as the signer does."""
    pair, taken = bittensor_core.Keypair.create_from_uri("//Key0"), []
    for _ in range(500):
        began = time.perf_counter()
        pair.verify(bytes(200), pair.sign(bytes(200)))
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def bare_commit_ms() -> float:
    """Median of the timelock ciphertext alone."""
    taken = []
    for _ in range(50):
        began = time.perf_counter()
        bittensor_core.get_encrypted_commit_v2(
            uids=list(range(TARGETS)),
            weights=[65_535] * TARGETS,
            version_key=0,
            last_epoch_block=FACTS.last_epoch_block,
            pending_epoch_at=0,
            subnet_epoch_index=13,
            tempo=360,
            blocks_since_last_step=100,
            current_block=HEAD,
            subnet_reveal_period_epochs=1,
            block_time=12.0,
            hotkey=bytes(32),
        )
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def report(folder: Path, seconds: float) -> str:
    """The whole run, as Markdown."""
    load = os.getloadavg()[0]
    fsync, signature, commit = bare_fsync_ms(folder), bare_signature_ms(), bare_commit_ms()
    many, one = Signer(folder / "many", 1000), Signer(folder / "one")
    try:
        return _measured(many, one, seconds, (load, fsync, signature, commit))
    finally:
        for each in (many, one):
            if each.process is not None and each.process.poll() is None:
                each.stop()


def _measured(many: Signer, one: Signer, seconds: float, bare: tuple[float, float, float, float]) -> str:
    load, fsync, signature, commit = bare
    timelocked = dataclasses.replace(FACTS, commit_reveal=True)
    starts = []
    for _ in range(3):
        starts.append((many.start(), one.start()))
        many.stop()
        one.stop()
    one.start()
    ask(one.path("chain"), Runtime(GENESIS, "node-subtensor", 461, 1, METADATA), seconds=60)
    fresh = one.resident_mb()
    plain = one_after_the_other(one, FACTS, seconds)
    plain_rate = sustained(one, FACTS, seconds)
    # A subnet that had commit-reveal on gets no plain weights after that.
    locked, locked_rate = one_after_the_other(one, timelocked, seconds), sustained(one, timelocked, seconds)
    token = one.client("request")
    nothing = hashlib.sha256(b"").digest()
    requests = signatures(
        one, lambda _: SignRequest(token, "validator", "key0", "POST", "/x", nothing, RECEIVER, None), seconds
    )
    tokens = [one.client("session") for _ in range(40)]
    certificates = signatures(
        one,
        lambda at: IssueSession(
            tokens[at // CERTIFICATES_PER_CLIENT], "validator", "key0", bytes(32), 2, RECEIVER, 600
        ),
        min(seconds, 2.0),
    )
    resident = one.resident_mb()
    one.stop()
    keys = [with_many - alone for with_many, alone in starts]
    rows = [
        ("accept + seal, plain, one after the other: median", f"{statistics.median(plain):.2f} ms", "< 3 ms"),
        ("the same: p99", f"{statistics.quantiles(plain, n=100)[98]:.2f} ms", "< 15 ms"),
        ("accept + seal, timelocked, one after the other: median", f"{statistics.median(locked):.2f} ms", "< 12 ms"),
        ("the same: p99", f"{statistics.quantiles(locked, n=100)[98]:.2f} ms", ""),
        ("sealed intents, plain, sustained", *_rate(plain_rate, "≥ 500/s")),
        ("sealed intents, timelocked, sustained", *_rate(locked_rate, "≥ 80/s")),
        ("btauth signatures, with audit, sustained", *_rate(requests, "≥ 1,500/s")),
        ("session certificates, with audit, sustained", *_rate(certificates, "≥ 1,500/s")),
        ("1,000 plaintext hotkeys: start longer by", f"{statistics.median(keys):.2f} s", "< 2 s"),
        ("signer resident after all of it (with a runtime, before it)", f"{resident:.1f} ({fresh:.1f}) MB", "< 36 MB"),
        ("bare sr25519 signature and its verification", f"{signature:.3f} ms", ""),
        ("bare timelock ciphertext", f"{commit:.2f} ms", ""),
        ("bare write of 4 KiB and fdatasync", f"{fsync:.2f} ms", ""),
    ]
    about = (
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, commit {_commit()}; {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; load average {load:.2f} before, {os.getloadavg()[0]:.2f} after; "
        f"{len(plain)} plain and {len(locked)} timelocked intents one after the other, {seconds:g} s each"
    )
    table = ["| | found | target |", "|---|---:|---:|", *(f"| {what} | {found} | {aim} |" for what, found, aim in rows)]
    return "\n".join([about, "", *table]) + "\n"


def plain_only(folder: Path, seconds: float) -> str:
    """Three times the sustained rate of plain intents: to hold one commit against another, in turn."""
    one = Signer(folder / "one")
    one.start()
    try:
        ask(one.path("chain"), Runtime(GENESIS, "node-subtensor", 461, 1, METADATA), seconds=60)
        rates = [_rate(sustained(one, FACTS, seconds), "")[0] for _ in range(3)]
    finally:
        one.stop()
    return "\n".join([_commit(), *rates]) + "\n"


def _rate(rate: Rate, target: str) -> tuple[str, str]:
    return f"{rate.per_second:.0f}/s; {rate.processor_ms:.2f} ms of the signer's processor time each", target


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return found or "of a snapshot"


def main() -> None:
    """Runs, prints, and writes where asked to."""
    parser = argparse.ArgumentParser(description="how fast the key holder is")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each part")
    parser.add_argument("--plain-only", action="store_true", help="the sustained rate of plain intents, three times")
    parser.add_argument("--folder", help="where journals are written (default: the system's temporary folder)")
    parser.add_argument("--write", help="also into this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="figures", dir=arguments.folder) as folder:
        found = (plain_only if arguments.plain_only else report)(Path(folder), arguments.seconds)
    print(found, end="")
    if arguments.write:
        Path(arguments.write).write_text(found)


if __name__ == "__main__":
    main()
