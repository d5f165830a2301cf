"""The reference validator's scores. Its run with a miner is in test_miner."""

from wallet_guard.neurons.validator import Validator


def test_scores_predictions_of_its_own_games_only():
    validator = Validator()
    assert validator.process_prediction("m", {"game_id": "game-1"}) == {"miner_stats": {"predictions": 1}}
    assert validator.process_prediction("m", {"game_id": "made up"}) == {"miner_stats": {"predictions": 1}}
    assert validator.scores == {"m": 1}
