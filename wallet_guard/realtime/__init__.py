"""Realtime signed messages between validators and miners: btws/1 over WebSocket, with HTTP behind it.

    from wallet_guard.realtime import ValidatorWebSocketManager, MinerWebSocketManager, PredictionHandler

See `validator` and `miner` for how they are used, `ends` for every way in which a connection may end and what to do
then, and hardening/btws.md for the protocol.

    ends, limits, settings, metrics     what the two sides share, in words and numbers
    speaker                             our own voice: a hotkey, or a session key with its certificate
    outbox, spool                       what waits for a peer, in memory and on disk
    mailbox, verification               what came from a peer: handlers, signatures
    party, link, openings, posting      one side, one connection, its beginning, one HTTP request
    admission, upkeep                   who may connect; what is looked after every second
    validator, miner, predictions       what an application uses
"""

from wallet_guard.realtime.ends import End, QueueFullError, RealtimeError
from wallet_guard.realtime.limits import MINER_LIMITS, VALIDATOR_LIMITS, RealtimeLimits
from wallet_guard.realtime.miner import MinerWebSocketManager, Sent, Via
from wallet_guard.realtime.outbox import CONFIRMATION, GAME_UPDATE, NORMAL
from wallet_guard.realtime.predictions import PredictionHandler, PredictionRefusedError
from wallet_guard.realtime.settings import WebSocketSettings, add_args, read_args
from wallet_guard.realtime.speaker import Speaker, session_speaker
from wallet_guard.realtime.spool import SpoolError
from wallet_guard.realtime.validator import ValidatorWebSocketManager

__all__ = [
    "CONFIRMATION",
    "GAME_UPDATE",
    "MINER_LIMITS",
    "NORMAL",
    "VALIDATOR_LIMITS",
    "End",
    "MinerWebSocketManager",
    "PredictionHandler",
    "PredictionRefusedError",
    "QueueFullError",
    "RealtimeError",
    "RealtimeLimits",
    "Sent",
    "Speaker",
    "SpoolError",
    "ValidatorWebSocketManager",
    "Via",
    "WebSocketSettings",
    "add_args",
    "read_args",
    "session_speaker",
]
