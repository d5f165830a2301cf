"""Messages between neurons, to be watched. Keys are made up; nothing of it needs a chain, a wallet or a service.

    python -m wallet_guard.neurons.demo --mode validator --port 8080
    python -m wallet_guard.neurons.demo --mode miner --endpoint 127.0.0.1:8080
    python -m wallet_guard.neurons.demo --mode act

The first two are for two terminals and go on until Ctrl-C, or with `--once` until one miner has been through
everything: connect, prediction, confirmation, game update, heartbeat, a cut, a reconnect. Their keys are public. `act`
runs a validator and three miners in this process, and exits with 0 only if everything came out as said.
"""

import argparse
import asyncio
import hashlib
import secrets
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

from wallet_guard.realtime import (
    MinerWebSocketManager,
    PredictionHandler,
    RealtimeError,
    Speaker,
    ValidatorWebSocketManager,
    add_args,
    read_args,
)

NETUID = 2
ACT_SECONDS = 10.0
MAX_WAIT_SECONDS = 30.0  # for the other terminal, with --once


class UnexpectedError(Exception):
    """Something did not come out as said."""


def say(text: str) -> None:
    """One line for the reader."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def short(hotkey: str) -> str:
    """A hotkey, recognisable."""
    return f"{hotkey[:6]}…"


def demo_speaker(name: str) -> Speaker:
    """A hotkey that everybody knows: so the two terminals know each other without being told."""
    return Speaker.of_seed(hashlib.sha256(f"wallet-guard demo {name}".encode()).digest())


class Judge:
    """The validator's application: takes every prediction."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self._tell = tell

    def process_prediction(self, miner_hotkey: str, data: dict[str, Any]) -> dict[str, Any]:
        """Takes it."""
        self.taken.append((miner_hotkey, data))
        self._tell(f"prediction from {short(miner_hotkey)}: {data.get('home_score')}:{data.get('away_score')}")
        return {"miner_stats": {"predictions": len(self.taken)}}


async def until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Waits for what must come.

    Raises:
        UnexpectedError: it did not.
    """
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() > deadline:
            raise UnexpectedError(f"expected {what} within {seconds:g} s")
        await asyncio.sleep(0.02)


def check(condition: bool, what: str) -> None:
    """Says what is so.

    Raises:
        UnexpectedError: it is not.
    """
    if not condition:
        raise UnexpectedError(f"expected that {what}")
    say(f"  {what}")


# --- one process


async def act() -> None:
    """A validator, three miners, one forger.

    Raises:
        UnexpectedError, RealtimeError, OSError: it did not come out as said.
    """
    speakers = [Speaker.of_seed(secrets.token_bytes(32)) for _ in range(4)]
    validator_speaker, *miner_speakers = speakers
    judge = Judge(lambda _text: None)
    hotkeys = [speaker.hotkey for speaker in miner_speakers]
    validator = ValidatorWebSocketManager(validator_speaker, netuid=NETUID, registered=lambda: hotkeys)
    PredictionHandler(judge).register_with_websocket_manager(validator)
    port = await validator.start("127.0.0.1", 0)
    miners = [MinerWebSocketManager(speaker, netuid=NETUID, reconnect_base_interval=0.1) for speaker in miner_speakers]
    forger_speaker = Speaker.of_seed(secrets.token_bytes(32))
    forger = MinerWebSocketManager(
        Speaker(hotkeys[0], forger_speaker.name, forger_speaker.sign), netuid=NETUID, enabled=False
    )
    try:
        await _exchange(validator, miners, judge, port)
        forger.add_validator(validator_speaker.hotkey, f"127.0.0.1:{port}")
        sent = await forger.send_prediction(validator_speaker.hotkey, {"home_score": 9}, timeout_seconds=3)
        check(
            sent.problem is not None and sent.problem.code == "signature" and len(judge.taken) == 3,
            "a prediction forged in a miner's name is refused: a wrong signature",
        )
        check(validator.party.metrics.verdicts["signature"] == 1, "and counted")
    finally:
        for manager in (*miners, forger):
            await manager.stop(1.0)
        await validator.stop(2.0)


async def _exchange(
    validator: ValidatorWebSocketManager, miners: list[MinerWebSocketManager], judge: Judge, port: int
) -> None:
    hotkey = validator.party.hotkey
    updates: list[dict[str, Any]] = []
    for miner in miners:
        miner.register_game_update_handler(lambda _hotkey, data: updates.append(data))
        miner.add_validator(hotkey, f"127.0.0.1:{port}")
        await miner.start()
    await until(lambda: len(validator.get_connected_hotkeys()) == 3, "three miners", 5.0)
    check(all(miner.has_connections() for miner in miners), "three miners are connected, each side has proved its key")
    sent = await asyncio.gather(
        *(
            miner.send_prediction(hotkey, {"home_score": n, "away_score": 1}, timeout_seconds=5)
            for n, miner in enumerate(miners)
        )
    )
    confirmed = [answer.confirmation is not None and answer.confirmation["status"] == "success" for answer in sent]
    check(all(confirmed) and len(judge.taken) == 3, "three signed predictions are taken and confirmed")
    await validator.broadcast_game_update({"games": [{"game_id": "final"}]})
    await until(lambda: len(updates) == 3, "the game update at all miners", 5.0)
    check(validator.party.metrics.sent["broadcast"] == 1, "a game update reached all three, signed once")


# --- two terminals


async def validate(args: argparse.Namespace) -> None:
    """The validator's terminal."""
    judge = Judge(say)
    settings = read_args(args)
    manager = ValidatorWebSocketManager(
        demo_speaker("validator"), netuid=NETUID, heartbeat_interval=settings.heartbeat_interval
    )
    PredictionHandler(judge).register_with_websocket_manager(manager)
    port = await manager.start("127.0.0.1", args.port)
    say(f"validator {short(manager.party.hotkey)} listens on 127.0.0.1:{port}; the keys of this demo are public")
    connected: set[str] = set()
    seen, began = 0, monotonic()
    try:
        while not (args.once and seen >= 2 and not connected):
            if args.once and monotonic() - began > MAX_WAIT_SECONDS:
                raise UnexpectedError("expected a miner to come, cut its connection, come again and go")
            now = set(manager.get_connected_hotkeys())
            for hotkey in now - connected:
                seen += 1
                say(f"{short(hotkey)} connected")
                await manager.broadcast_game_update({"games": [{"game_id": f"game-{seen}"}]})
            for hotkey in connected - now:
                say(f"{short(hotkey)} gone")
            connected = now
            await asyncio.sleep(0.05)
    finally:
        await manager.stop(2.0)


async def mine(args: argparse.Namespace) -> None:
    """The miner's terminal: predicts every few seconds, and cuts its own connection once."""
    validator = demo_speaker("validator").hotkey
    settings = read_args(args)
    manager = MinerWebSocketManager(
        demo_speaker("miner"),
        netuid=NETUID,
        heartbeat_interval=min(settings.heartbeat_interval, 1.0),
        reconnect_base_interval=settings.reconnect_base_interval,
        max_reconnect_interval=settings.max_reconnect_interval,
    )
    updates: list[str] = []

    def on_game_update(_validator: str, data: dict[str, Any]) -> None:
        updates.append(str(data.get("games")))
        say(f"game update: {data.get('games')}")

    manager.register_game_update_handler(on_game_update)
    manager.register_confirmation_handler(lambda _v, data: say(f"confirmation: {data['status']}, {data['message']}"))
    manager.add_validator(validator, args.endpoint)
    await manager.start()
    try:
        turn = 0
        while turn < 2 or not args.once:
            await until(manager.has_connections, f"a validator at {args.endpoint}", MAX_WAIT_SECONDS)
            say(f"connected to {short(validator)}")
            await _predict_and_cut(manager, validator, updates, cut=turn == 0)
            turn += 1
    finally:
        await manager.stop(2.0)


async def _predict_and_cut(manager: MinerWebSocketManager, validator: str, updates: list[str], *, cut: bool) -> None:
    sent = await manager.send_prediction(validator, {"home_score": 2, "away_score": 1}, timeout_seconds=5)
    say(f"prediction by {sent.via}: {sent.problem.meaning if sent.problem else 'delivered'}")
    if not sent.delivered:
        raise UnexpectedError("expected the prediction to be delivered")
    await until(lambda: bool(updates), "a game update", 5.0)
    beats = manager.party.metrics.round_trip
    count = beats.count
    await until(lambda: beats.count > count, "an answer to a heartbeat", 10.0)
    say(f"heartbeat answered: {1000 * beats.total / beats.count:.1f} ms there and back on average")
    if not cut:
        return
    say("cutting the connection")
    manager.cut(validator)
    await until(lambda: not manager.has_connections(), "the cut", 5.0)
    await until(manager.has_connections, "a reconnect", MAX_WAIT_SECONDS)
    say("connected again")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m wallet_guard.neurons.demo", description="signed messages, watched")
    parser.add_argument("--mode", choices=("validator", "miner", "act"), required=True)
    parser.add_argument("--port", type=int, default=8080, help="where the validator listens (default: 8080; 0: any)")
    parser.add_argument("--endpoint", default="127.0.0.1:8080", help="where the miner connects to")
    parser.add_argument("--once", action="store_true", help="end when everything was shown once")
    add_args(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """0 if everything came out as said, 1 if not, 130 for Ctrl-C."""
    args = parse_args(argv)
    scene = {"validator": validate, "miner": mine}.get(args.mode)
    try:
        if scene is not None:
            asyncio.run(scene(args))
        else:
            asyncio.run(asyncio.wait_for(act(), ACT_SECONDS))
    except (UnexpectedError, RealtimeError, OSError) as error:
        say(f"NOT AS SAID: {str(error) or type(error).__name__}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
