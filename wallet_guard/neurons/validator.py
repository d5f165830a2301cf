"""A minimal validator: announces games, takes predictions, scores them, sets weights. It holds no hotkey.

    WALLET_SERVICE_URL=… WALLET_SERVICE_TOKEN=… \
    python -m wallet_guard.neurons.validator --netuid 2 --wallet.name validator --port 8091 --miner 5Hot…=1

`--miner HOTKEY=UID` says who may connect and which uid is whose. A neuron that has a metagraph passes that instead:
`ValidatorWebSocketManager(…, metagraph=metagraph)`. With `--hub ws://127.0.0.1:8091/ws` the guard's hub keeps the
miners' connections, and this program may restart without their noticing.
"""

import argparse
import asyncio
import logging
import signal
from collections import Counter
from typing import Any

from wallet_guard.client import AsyncWalletService, SettingsError
from wallet_guard.client import add_args as add_wallet_args
from wallet_guard.realtime import PredictionHandler, ValidatorWebSocketManager, add_args, read_args
from wallet_guard.realtime.guard import Guard, GuardError

log = logging.getLogger("wallet_guard.neurons.validator")


class Validator:
    """Counts good predictions by miner."""

    def __init__(self) -> None:
        self.scores: Counter[str] = Counter()
        self.games = [{"game_id": f"game-{number}", "home": "A", "away": "B"} for number in range(3)]

    def process_prediction(self, miner_hotkey: str, data: dict[str, Any]) -> dict[str, Any]:
        """Scores a prediction; put your model here. What it returns goes into the confirmation."""
        self.scores[miner_hotkey] += 1 if data.get("game_id") in {game["game_id"] for game in self.games} else 0
        return {"miner_stats": {"predictions": self.scores[miner_hotkey]}}


async def announce(manager: ValidatorWebSocketManager, validator: Validator, seconds: float) -> None:
    """Tells all miners about the games, again for those who came later; until it is cancelled."""
    while True:
        await manager.broadcast_game_update({"games": validator.games})
        await asyncio.sleep(seconds)


async def weigh(
    service: AsyncWalletService, validator: Validator, uids: dict[str, int], args: argparse.Namespace
) -> None:
    """Sets weights by score every epoch, until it is cancelled."""
    while True:
        await asyncio.sleep(args.epoch_seconds)
        scored = {uids[hotkey]: score for hotkey, score in validator.scores.items() if hotkey in uids and score}
        if scored:
            success, message = await service.set_weights(args.netuid, list(scored), list(scored.values()))
            log.info("weights: %s, %s", "set" if success else "not set", message)


async def main(args: argparse.Namespace) -> int:
    """Runs until SIGINT or SIGTERM; 1 if there is no way to speak for the hotkey."""
    settings = read_args(args)
    uids = {hotkey: int(uid) for hotkey, _, uid in (text.partition("=") for text in args.miner if text)}
    url, token = getattr(args, "wallet.service_url"), getattr(args, "wallet.service_token")
    wallet, hotkey = getattr(args, "wallet.name"), getattr(args, "wallet.hotkey")
    try:
        service = AsyncWalletService(url, token, wallet_name=wallet, hotkey_name=hotkey)
        guard = Guard(url, token, wallet_name=wallet, hotkey_name=hotkey, netuid=args.netuid)
        speaker = await guard.speaker()
    except (SettingsError, GuardError) as error:
        log.error("%s", error)  # noqa: TRY400 - the operator's to mend; a traceback would not help
        return 1
    manager = ValidatorWebSocketManager(
        speaker,
        netuid=args.netuid,
        registered=lambda: uids,
        renew=guard.speaker,
        heartbeat_interval=settings.heartbeat_interval,
    )
    validator = Validator()
    PredictionHandler(validator).register_with_websocket_manager(manager)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    if args.hub:
        await manager.attach(args.hub)
        log.info("miners are welcome at the hub, %s", args.hub)
    else:
        port = await manager.start(args.host, args.port)
        log.info("miners are welcome at %s:%d", args.host, port)
    tasks = [
        asyncio.create_task(announce(manager, validator, args.announce_seconds)),
        asyncio.create_task(weigh(service, validator, uids, args)),
    ]
    await stopped.wait()
    for task in tasks:
        task.cancel()
    await manager.stop()
    return 0


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m wallet_guard.neurons.validator")
    parser.add_argument("--netuid", type=int, required=True)
    parser.add_argument("--wallet.name", required=True, help="the wallet's name in the service")
    parser.add_argument("--wallet.hotkey", default="default")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=8091)
    parser.add_argument("--hub", default="", metavar="URL", help="attach to the guard's hub instead of listening")
    parser.add_argument("--miner", action="append", default=[], metavar="HOTKEY=UID")
    parser.add_argument("--epoch_seconds", type=float, default=4320.0, help="between two set_weights")
    parser.add_argument("--announce_seconds", type=float, default=12.0)
    add_wallet_args(parser)
    add_args(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    raise SystemExit(asyncio.run(main(parse_args())))
