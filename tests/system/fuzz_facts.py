"""A chain process that says anything at all, against the signer's whole logic in one process: thousands of short lives.

In each life a node wants weights set, and the chain process tells runtimes, facts, news and heads that are true, nearly
true, at their bounds or absurd, in any order, while time passes and the signer is started again now and then. After
every step:

- an answer came, or the peer was cut off; nothing else was raised, and it took no longer than ``MOST_SECONDS``;
- what was signed is what the wish asks for (``judge``, apart from the signer), and asked again it is the same bytes;
- an intent was signed anew only when its signature before was dead by the signer's own clock, and under another nonce
  only where the chain process had said that the first was consumed.

After every life the audit chain is whole and holds one record for each signature, and an honest chain process gets the
next intent signed. By hand: ``python tests/system/fuzz_facts.py --minutes 10 [--seed N]``; the same seed gives the same
lives.
"""

import argparse
import base64
import dataclasses
import hashlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import bittensor_core

sys.path.insert(0, str(Path(__file__).parent))

from judge import ERA_BLOCKS, METADATA, judge

from wallet_guard.host.config import ChainConfig, Config, SignerConfig
from wallet_guard.ipc.admin import AllowPlain, Unlock
from wallet_guard.ipc.chain import Event, Facts, Pull, Pulse, Report, Runtime, Seal
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.intents import Accept
from wallet_guard.ipc.records import to_json
from wallet_guard.ipc.wishes import SetWeights
from wallet_guard.signed.audit import verify_chain
from wallet_guard.signer import compose, follow
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.journal import Journal
from wallet_guard.signer.keys import Key, Keyring
from wallet_guard.signer.monitor import NonsenseError, answer

GENESIS = hashlib.sha256(b"a chain for liars").digest()
TRUE = Runtime(GENESIS, "node-subtensor", 461, 1, METADATA)
PAIR = bittensor_core.Keypair.create_from_uri("//Alice")
HOTKEYS = tuple(bittensor_core.Keypair.create_from_uri(f"//Target{at}").ss58_address for at in range(6))
TOKEN = "wg_a-token-of-the-facts-fuzzer-0123456789"
HEAD = 5_000
BLOCK_SECONDS = 12
MOST_SECONDS = 5.0
"""Of the processor, for one question: twenty times what the slowest takes."""

DEAD_SECONDS = ERA_BLOCKS * BLOCK_SECONDS
"""How long a signature may be taken after it was made, at the least."""

BOUNDS = {
    "block_time_ms": (3_000, 12_000, 48_000, 600_000),
    "nonce": (7, 2**31),
    "finalized_nonce": (7, 2**31),
    "uid": (1, 65_535),
    "mechanisms": (0, 1, 2, 16),
    "commit_reveal_version": (0, 4, 65_535),
    "rate_limit": (0, 1, 100, 50_400),
    "last_update": (0, HEAD),
    "min_allowed_weights": (0, 1, 3, 65_535),
    "max_weight_limit": (0, 1, 20_000, 40_000, 65_535),
    "weights_version_key": (0, 2**64 - 1),
    "tempo": (0, 1, 360, 50_400),
    "reveal_period_epochs": (0, 1, 100),
    "last_epoch_block": (0, HEAD - 100, HEAD),
    "pending_epoch_at": (0, HEAD + 361),
    "subnet_epoch_index": (0, 2**32 - 1),
    "blocks_since_last_step": (0, 100, HEAD),
    "block_number": (0, HEAD, 2**32 - 1),
    "era_block_number": (0, HEAD - 2, 2**32 - 1),
    "spec_version": (460, 461, 462),
    "transaction_version": (1, 2),
}
"""Every number that facts hold, and the places where something changes; their neighbours are tried with them."""

BEYOND = (-1, -(2**63), 2**32, 2**63, 2**64, 2**70, 2**1000)


def facts_at(head: int) -> Facts:
    """What an honest chain process would say at this head."""
    return Facts(
        genesis_hash=GENESIS,
        spec_version=461,
        transaction_version=1,
        block_number=head,
        era_block_number=head - 2,
        era_block_hash=hashlib.sha256(head.to_bytes(8, "big")).digest(),
        block_time_ms=12_000,
        nonce=7,
        finalized_nonce=7,
        uid=1,
        uids=tuple((address, at) for at, address in enumerate(HOTKEYS)),
        mechanisms=2,
        commit_reveal=False,
        commit_reveal_version=4,
        rate_limit=0,
        last_update=0,
        min_allowed_weights=1,
        max_weight_limit=65_535,
        weights_version_key=0,
        tempo=360,
        reveal_period_epochs=1,
        last_epoch_block=head - 100,
        pending_epoch_at=0,
        subnet_epoch_index=13,
        blocks_since_last_step=100,
    )


@dataclasses.dataclass
class Signature:
    """One that was given out."""

    data: bytes
    made_ms: int
    nonce: int


class Life:
    """One signer, from an empty journal on, and all that was said to it."""

    def __init__(self, folder: Path, random: Random) -> None:
        self.random = random
        self.clock_ms = time.time_ns() // 1_000_000
        self.begun_ms = self.clock_ms
        self._folder = folder
        self._number = 0
        self.wishes: dict[str, SetWeights] = {}
        self.signatures: dict[str, list[Signature]] = {}
        self.consumed: set[str] = set()
        """Intents whose nonce the chain process called consumed since their last signature."""
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0
        self.desk = self._begin()
        added = self.ask("admin", ClientAdd("node", "validator", "default", ("set_weights",), None, 10_000, TOKEN))
        assert isinstance(added, dict), added
        self.ask("chain", TRUE)

    def _begin(self) -> Desk:
        config = Config(
            path="fuzz",
            run=str(self._folder),
            # Long enough for some to be signed anew, once their first signature is dead.
            signer=SignerConfig(state=str(self._folder / "state"), deadline_seconds=3600.0),
            chain=ChainConfig(network="local", genesis="0x" + GENESIS.hex()),
        )
        keys = Keyring([Key("validator", "default", PAIR)])
        journal = Journal(self._folder / "state")
        return Desk(config, keys, journal, now_ms=lambda: self.clock_ms, random_hex=self._random_hex)

    def _random_hex(self, count: int) -> str:
        self._number += 1
        return hashlib.shake_128(self._number.to_bytes(8, "big")).hexdigest(count)

    @property
    def head(self) -> int:
        """The true one."""
        return HEAD + (self.clock_ms - self.begun_ms) // (BLOCK_SECONDS * 1000)

    # Saying things ---------------------------------------------------------------------------------------------------

    def ask(self, name: str, question: Any) -> Any:
        """The answer's JSON value, a refusal's code, or ``cut off``."""
        message = json.loads(json.dumps({"id": 1, "ask": question.ask, "body": to_json(question)}))
        began = time.process_time()
        try:
            said = answer(self.desk, name, message)
        except NonsenseError:
            return self._count(question.ask, "cut off")
        finally:
            took = time.process_time() - began
            self.slowest = max(self.slowest, took)
            assert took < MOST_SECONDS, f"{question.ask} took {took:.1f} s"
        assert said is not None
        if "refusal" in said:
            return self._count(question.ask, said["refusal"]["code"])
        self._count(question.ask, "answered")
        return said["answer"]

    def _count(self, ask: str, outcome: str) -> str:
        self.outcomes[f"{ask}: {outcome}"] += 1
        return outcome

    def intend(self) -> str:
        """A new intent, "" where it was refused."""
        random = self.random
        count = random.randint(1, 6)
        by_name = random.random() < 0.3
        wish = SetWeights(
            wallet="validator",
            hotkey="default",
            netuid=random.choice((1, 2, 2, 3)),
            mechid=random.choice((0, 0, 0, 1)),
            uids=None if by_name else tuple(random.sample(range(256), count)),
            hotkeys=HOTKEYS[:count] if by_name else None,
            weights=tuple(random.choice((1.0, 0.5, 100.0, random.random(), 1e-9)) for _ in range(count)),
            version_key=random.choice((0, 7)),
        )
        said = self.ask("gateway", Accept(TOKEN, None, random.random() < 0.3, wish))
        if not isinstance(said, dict):
            return ""
        self.wishes[said["intent"]] = wish
        return str(said["intent"])

    def true_facts(self) -> Facts:
        """What an honest chain process would say."""
        return facts_at(self.head)

    def facts(self) -> Facts:
        """The truth, with up to five numbers of anything."""
        random, changes = self.random, dict[str, Any]()
        for name in random.sample(sorted(BOUNDS), random.choice((0, 0, 1, 1, 2, 3, 5))):
            changes[name] = self._number_for(name)
        if random.random() < 0.4:
            changes["commit_reveal"] = True
        odd = random.random()
        if odd < 0.02:
            changes["genesis_hash"] = random.randbytes(random.choice((0, 31, 32, 100)))
        elif odd < 0.04:
            changes["era_block_hash"] = random.randbytes(random.choice((0, 31, 33)))
        elif odd < 0.08:
            changes["uids"] = tuple((address, random.choice((0, 1, 65_535, 65_536, -1))) for address in HOTKEYS)
        elif odd < 0.10:
            changes["uid"] = None
        return dataclasses.replace(self.true_facts(), **changes)

    def _number_for(self, name: str) -> int:
        random = self.random
        if random.random() < 0.1:
            return random.choice(BEYOND)
        place = random.choice(BOUNDS[name])
        if "block" in name and name != "block_time_ms" and random.random() < 0.6:
            place = self.head
        if random.random() < 0.1:
            return random.randint(0, max(BOUNDS[name]))
        return place + random.choice((0, 0, 0, 1, -1, 2, -2, 1000, -1001))

    def seal(self, intent: str, facts: Facts) -> Any:
        """Asks for a signature, and judges what comes."""
        said = self.ask("chain", Seal(intent, facts))
        if isinstance(said, dict) and said["extrinsic"] is not None:
            self._judge(intent, facts, base64.b64decode(said["extrinsic"]), said["nonce"])
        return said

    def _judge(self, intent: str, facts: Facts, data: bytes, nonce: int) -> None:
        given = self.signatures.setdefault(intent, [])
        if given and given[-1].data == data:
            return
        judge(data, self.wishes[intent], PAIR, facts)
        if given:
            last = given[-1]
            assert self.clock_ms > last.made_ms + DEAD_SECONDS * 1000, "two live signatures for one intent"
            assert nonce == last.nonce or intent in self.consumed, "another nonce without finality's word"
        given.append(Signature(data, self.clock_ms, nonce))
        self.consumed.discard(intent)

    def news(self, intent: str) -> None:
        """A report of anything."""
        random = self.random
        event = random.choice((*Event, Event.OUTDATED, Event.SUPERSEDED, Event.OUTDATED, Event.SUPERSEDED))
        self.ask(
            "chain",
            Report(
                intent,
                event,
                extrinsic_hash=random.choice((None, None, "0x" + "11" * 32)),
                block_hash=random.choice((None, "0x" + "ab" * 32, "x" * 1000)),
                block_number=random.choice((None, self.head, self.head + 1, -1, 2**32, HEAD)),
                code=random.choice((None, None, "BadProof", "x" * 1000)),
                message=random.choice(("", "no", "\n\x1b[2J")),
                weights=random.choice((None, (), ((1, 65_535),), ((-1, 2**70),))),
                values=random.choice((None, (None,), (b"x",))),
            ),
        )
        if event is Event.SUPERSEDED:
            self.consumed.add(intent)

    def runtime(self) -> None:
        """The true one, another version of it, or one in which some bytes were changed."""
        random, metadata = self.random, METADATA
        changes: dict[str, Any] = {}
        odd = random.random()
        if odd < 0.4:
            changes = {"spec_version": random.choice((460, 462, -1, 2**40)), "transaction_version": 1}
        elif odd < 0.6:
            metadata = mutated(random)
        self.ask("chain", dataclasses.replace(TRUE, metadata=metadata, **changes))

    def pulse(self) -> None:
        """A head of anything."""
        blocks = (None, self.head, 0, -1, 2**32 - 1, 2**32)
        self.ask("chain", Pulse("ws://liar", self.random.choice(blocks), self.random.choice(blocks), ""))

    def wait(self, seconds: float) -> None:
        """Time passes, and the signer looks at the clock."""
        self.clock_ms += int(seconds * 1000)
        began = time.process_time()
        follow.tick(self.desk)
        assert time.process_time() - began < MOST_SECONDS

    def restart(self) -> None:
        """The signer is killed and started again; the runtime is told anew."""
        self.desk.journal.close()
        self.desk = self._begin()
        self.ask("chain", TRUE)

    # A life ----------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One thing that happens."""
        random = self.random
        kind = random.choices(
            ("intend", "seal", "news", "runtime", "pulse", "wait", "restart", "pull", "unlock"),
            weights=(12, 45, 20, 2, 3, 15, 1, 4, 15),
        )[0]
        known = self._known()
        if kind == "intend" or not known:
            self.intend()
        elif kind == "seal":
            self.seal(random.choice(known), self.facts())
        elif kind == "news":
            self.news(random.choice(known))
        elif kind == "wait":
            self.wait(random.choice((1, 7, 7, 7, 30, 260, 300, 3600)))
        elif kind == "pull":
            self._pull()
        elif kind == "unlock":
            # A hotkey that somebody else is said to sign with is locked; an operator looks, and opens it again.
            self.ask("admin", Unlock("validator/default"))
        else:
            {"runtime": self.runtime, "pulse": self.pulse, "restart": self.restart}[kind]()

    def _known(self) -> list[str]:
        """Intents to say something about: the newest that are not over, now and then any."""
        if self.random.random() < 0.1:
            return list(self.wishes)[-6:]
        return [intent.id for intent in self.desk.journal.open_intents()][-8:]

    def _pull(self) -> None:
        """What is handed out is what was given out before."""
        for task in self.ask("chain", Pull())["tasks"]:
            if task["extrinsic"] is not None:
                assert base64.b64decode(task["extrinsic"]) == self.signatures[task["intent"]][-1].data

    def end(self) -> None:
        """An honest chain process gets its signature; then the records are held against what was given out."""
        # Longer than a lie about the head is held against later ones, and than any wait for a slot.
        self.wait(8 * 3600)
        self.ask("chain", TRUE)
        # What only an operator undoes.
        for netuid in (1, 2, 3):
            self.ask("admin", AllowPlain(netuid))
        self.ask("admin", Unlock("validator/default"))
        intent = self.intend()
        assert intent, self.outcomes
        said = self.seal(intent, self.true_facts())
        assert self.signatures.get(intent), said
        records = list(self.desk.journal.records())
        verify_chain(records)
        signed = Counter(json.loads(record.body)["intent"] for record in records if record.kind == "signed")
        assert signed == {intent: len(given) for intent, given in self.signatures.items()}
        self.desk.journal.close()


def mutated(random: Random) -> bytes:
    """The true metadata with some bytes changed, dropped or put in, most of them in its first part (the types)."""
    data = bytearray(METADATA)
    for _ in range(random.choice((1, 1, 2, 8))):
        at = random.randrange(5, random.choice((2_000, 20_000, len(data))))
        kind = random.randrange(3)
        if kind == 0:
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            del data[at : at + random.choice((1, 4, 50))]
        else:
            data[at:at] = random.randbytes(random.choice((1, 2, 4)))
    return bytes(data)


def told(metadata: bytes) -> str:
    """What comes of a signature by this metadata, made in a process of its own with 1 GiB and 20 seconds."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        signal.alarm(20)
        os._exit(_sign_by(metadata))
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return f"ended by signal {os.WTERMSIG(status)}"
    return OUTCOMES.get(os.WEXITSTATUS(status), "ended by an error")


OUTCOMES = {10: "metadata refused", 11: "call or payload refused", 12: "signed the call that was meant"}


def _sign_by(metadata: bytes) -> int:
    wish = SetWeights("validator", "default", 2, 0, (1, 2), None, (1.0, 2.0), 0)
    facts = facts_at(HEAD)
    try:
        runtime = compose.Runtime(dataclasses.replace(TRUE, metadata=metadata), with_digest=True, pinned_sha256=())
    except compose.RuntimeUnusableError:
        return 10
    try:
        call = runtime.set_weights(2, 0, [1, 2], [32_768, 65_535], 0)
        data = runtime.sign(call, Key("validator", "default", PAIR), facts, nonce=7, era_blocks=ERA_BLOCKS).data
    except compose.RuntimeUnusableError:
        return 11
    judge(data, wish, PAIR, facts)
    return 12


def live(random: Random, steps: int) -> Life:
    """One life of that many steps, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="facts") as folder:
        life = Life(Path(folder), random)
        for _ in range(steps):
            life.step()
        life.end()
        return life


def main() -> None:
    """Lives until the time is over; prints what came of them."""
    parser = argparse.ArgumentParser(description="a chain process that says anything, for a while")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=300, help="of one life")
    parser.add_argument("--metadata", type=int, default=0, help="so many changed runtimes instead of lives")
    arguments = parser.parse_args()
    if arguments.metadata:
        random = Random(arguments.seed)
        print(Counter(told(mutated(random)) for _ in range(arguments.metadata)))
        return
    ends, lives, slowest = time.monotonic() + arguments.minutes * 60, 0, 0.0
    outcomes: Counter[str] = Counter()
    signatures = again = 0
    while time.monotonic() < ends:
        seed = f"{arguments.seed}/{lives}"
        try:
            life = live(Random(seed), arguments.steps)
        except BaseException:
            print(f"in the life of seed {seed}:", file=sys.stderr)
            raise
        lives += 1
        slowest = max(slowest, life.slowest)
        outcomes += life.outcomes
        signatures += sum(map(len, life.signatures.values()))
        again += sum(len(given) - 1 for given in life.signatures.values())
    print(f"{lives} lives, {outcomes.total()} questions, {signatures} signatures judged, {again} of them made anew")
    print(f"slowest question: {slowest * 1000:.0f} ms of the processor")
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:9} {outcome}")


if __name__ == "__main__":
    main()
