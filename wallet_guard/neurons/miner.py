"""A minimal miner: predicts, sends, hears confirmations and game updates. It holds no hotkey, only a session key.

    WALLET_SERVICE_URL=… WALLET_SERVICE_TOKEN=… \
    python -m wallet_guard.neurons.miner --netuid 2 --wallet.name miner --validator 5Hot…=203.0.113.7:8091

`--validator` may be given several times.
"""

import argparse
import asyncio
import logging
import signal
from typing import Any, NamedTuple

from wallet_guard.client import SettingsError
from wallet_guard.client import add_args as add_wallet_args
from wallet_guard.realtime import MinerWebSocketManager, RealtimeError, add_args, read_args
from wallet_guard.realtime.guard import Guard, GuardError

log = logging.getLogger("wallet_guard.neurons.miner")


class Game(NamedTuple):
    """A game that a validator has announced."""

    validator: str
    game_id: str


class Miner:
    """Answers each new game of a game update with a prediction."""

    def __init__(self, manager: MinerWebSocketManager) -> None:
        self._manager = manager
        self._games: asyncio.Queue[Game] = asyncio.Queue(maxsize=1000)
        self._known: set[Game] = set()
        manager.register_game_update_handler(self.on_game_update)
        manager.register_confirmation_handler(self.on_confirmation)

    def on_game_update(self, validator_hotkey: str, data: dict[str, Any]) -> None:
        """Notes the games that are new; must be quick, so the predicting is done elsewhere."""
        games = data.get("games")
        for entry in games if isinstance(games, list) else ():
            game = Game(validator_hotkey, str(entry.get("game_id", ""))) if isinstance(entry, dict) else None
            if game is not None and game not in self._known and not self._games.full():
                self._known.add(game)
                self._games.put_nowait(game)

    def on_confirmation(self, validator_hotkey: str, data: dict[str, Any]) -> None:
        """What a validator says to a prediction."""
        log.info("%s: %s %s", validator_hotkey, data.get("prediction_id"), data.get("status"))

    def predict(self, game: Game) -> dict[str, Any]:
        """The model; put yours here."""
        goals = sum(game.game_id.encode()) % 4
        return {"game_id": game.game_id, "home_score": goals, "away_score": 3 - goals}

    async def run(self) -> None:
        """Predicts game after game, until it is cancelled."""
        while True:
            game = await self._games.get()
            try:
                sent = await self._manager.send_prediction(game.validator, self.predict(game))
            except RealtimeError as error:
                log.warning("%s: %s", game.game_id, error)
                continue
            log.info("%s by %s: %s", game.game_id, sent.via, sent.problem or "delivered")


async def main(args: argparse.Namespace) -> int:
    """Runs until SIGINT or SIGTERM; 1 if there is no way to speak for the hotkey."""
    settings = read_args(args)
    try:
        guard = Guard(
            getattr(args, "wallet.service_url"),
            getattr(args, "wallet.service_token"),
            wallet_name=getattr(args, "wallet.name"),
            hotkey_name=getattr(args, "wallet.hotkey"),
            netuid=args.netuid,
        )
        speaker = await guard.speaker()
    except (SettingsError, GuardError) as error:
        log.error("%s", error)  # noqa: TRY400 - the operator's to mend; a traceback would not help
        return 1
    manager = MinerWebSocketManager(
        speaker,
        netuid=args.netuid,
        renew=guard.speaker,
        enabled=settings.enabled,
        heartbeat_interval=settings.heartbeat_interval,
        reconnect_base_interval=settings.reconnect_base_interval,
        max_reconnect_interval=settings.max_reconnect_interval,
        spool_path=args.spool,
    )
    for hotkey, _, endpoint in (text.partition("=") for text in args.validator):
        manager.add_validator(hotkey, endpoint)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    working = asyncio.create_task(Miner(manager).run())
    await manager.start()
    await stopped.wait()
    working.cancel()
    await manager.stop()
    return 0


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m wallet_guard.neurons.miner")
    parser.add_argument("--netuid", type=int, required=True)
    parser.add_argument("--wallet.name", required=True, help="the wallet's name in the service")
    parser.add_argument("--wallet.hotkey", default="default")
    parser.add_argument("--validator", action="append", required=True, metavar="HOTKEY=HOST:PORT")
    parser.add_argument("--spool", default=None, help="file that keeps predictions across a crash")
    add_wallet_args(parser)
    add_args(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    raise SystemExit(asyncio.run(main(parse_args())))
