"""Predictions as the original system has them: checked, handed to the validator, confirmed."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

_MAX_ID_CHARS: Final = 64


class PredictionRefusedError(Exception):
    """A validator does not take a prediction; the miner is told the text."""


class Validator(Protocol):
    """What a validator provides, as a plain or a coroutine function.

    It returns what the confirmation shall say besides (`miner_stats`, for instance), or None.
    """

    def process_prediction(self, miner_hotkey: str, data: dict[str, Any]) -> Any:
        """Takes a prediction, or raises PredictionRefusedError."""


class Confirmer(Protocol):
    """What this needs of a manager."""

    def register_prediction_handler(self, handler: Callable[[str, dict[str, Any]], Awaitable[None]]) -> None:
        """The handler of predictions."""

    async def send_confirmation(self, miner_hotkey: str, data: dict[str, Any]) -> bool:
        """Confirms."""


class PredictionHandler:
    """Checks predictions, hands them to `validator.process_prediction` and confirms each, taken or refused.

    handler = PredictionHandler(validator)
    handler.register_with_websocket_manager(manager)
    """

    def __init__(self, validator: Validator) -> None:
        self._validator = validator
        self._manager: Confirmer | None = None

    def register_with_websocket_manager(self, manager: Confirmer) -> None:
        """From now on predictions come here, and confirmations leave through this manager."""
        self._manager = manager
        manager.register_prediction_handler(self.handle)

    async def handle(self, miner_hotkey: str, data: dict[str, Any]) -> None:
        """One prediction. An error of the validator's own is confirmed as such and raised on."""
        confirmation: dict[str, Any] = {"prediction_id": data.get("prediction_id", "")}
        try:
            check_prediction(data)
            result = self._validator.process_prediction(miner_hotkey, data)
            extra = await result if inspect.isawaitable(result) else result
        except PredictionRefusedError as refused:
            await self._confirm(miner_hotkey, confirmation | {"status": "error", "message": str(refused)})
        except Exception:
            message = "the validator failed; it is logged there"
            await self._confirm(miner_hotkey, confirmation | {"status": "error", "message": message})
            raise
        else:
            done = {"status": "success", "message": "prediction taken"}
            await self._confirm(miner_hotkey, (dict(extra) if extra else {}) | confirmation | done)

    async def _confirm(self, miner_hotkey: str, data: dict[str, Any]) -> None:
        if self._manager is not None:
            await self._manager.send_confirmation(miner_hotkey, data)


def check_prediction(data: dict[str, Any]) -> None:
    """Refuses what is no prediction: `prediction_id` a short text; scores, where given, numbers from 0.

    Raises:
        PredictionRefusedError: names the field.
    """
    id_ = data.get("prediction_id")
    if not isinstance(id_, str) or not 0 < len(id_) <= _MAX_ID_CHARS:
        raise PredictionRefusedError(f"prediction_id: expected a text of 1 to {_MAX_ID_CHARS} characters")
    for name in ("home_score", "away_score"):
        score = data.get(name, 0)
        if isinstance(score, bool) or not isinstance(score, int | float) or score < 0:
            raise PredictionRefusedError(f"{name}: expected a number from 0")
