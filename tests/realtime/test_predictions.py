"""Every prediction is confirmed."""

import asyncio

import pytest

from wallet_guard.realtime import (
    PredictionHandler,
    PredictionRefusedError,
)


class Manager:
    def __init__(self):
        self.confirmed = []

    def register_prediction_handler(self, handler):
        self.handler = handler

    async def send_confirmation(self, miner_hotkey, data):
        self.confirmed.append(data)
        return True


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        ({"prediction_id": "p", "home_score": 0, "away_score": 2.5}, "success", "taken"),
        ({}, "error", "prediction_id"),
        ({"prediction_id": "x" * 65}, "error", "prediction_id"),
        ({"prediction_id": "p", "home_score": -1}, "error", "home_score"),
        ({"prediction_id": "p", "away_score": True}, "error", "away_score"),
        ({"prediction_id": "p", "away_score": "1"}, "error", "away_score"),
        ({"prediction_id": "late"}, "error", "the game has begun"),
    ],
)
def test_every_prediction_is_confirmed_taken_or_refused(data, status, message):
    class Plain:
        def process_prediction(self, miner_hotkey, data):
            if data["prediction_id"] == "late":
                raise PredictionRefusedError("the game has begun")

    manager = Manager()
    PredictionHandler(Plain()).register_with_websocket_manager(manager)
    asyncio.run(manager.handler("m", data))
    (confirmation,) = manager.confirmed
    assert (confirmation["status"], confirmation["prediction_id"]) == (status, data.get("prediction_id", ""))
    assert message in confirmation["message"]


def test_a_validators_own_error_is_confirmed_without_its_text_and_raised_on():
    class Broken:
        async def process_prediction(self, miner_hotkey, data):
            raise RuntimeError("secret path")

    manager = Manager()
    PredictionHandler(Broken()).register_with_websocket_manager(manager)
    with pytest.raises(RuntimeError):
        asyncio.run(manager.handler("m", {"prediction_id": "p"}))
    assert manager.confirmed[0]["status"] == "error"
    assert "secret" not in str(manager.confirmed)
