"""What a node answers when it refuses a request or an extrinsic: codes and texts as Substrate's RPC server words them.

Sources: sc-rpc-api (`author::error`, `state::error`), sp-runtime (`transaction_validity`), for the custom errors
subtensor's `common/src/transaction_error.rs`, and for the mapping of pallet errors to them
`pallets/subtensor/src/extensions/subtensor.rs`.
"""

from __future__ import annotations

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
BAD_FORMAT = 1001
VERIFICATION_ERROR = 1002
POOL_INVALID = 1010
POOL_ALREADY_IMPORTED = 1013
POOL_TOO_LOW_PRIORITY = 1014
POOL_IMMEDIATELY_DROPPED = 1016
CLIENT_ERROR = 4003

CUSTOM_BAD_REQUEST = 255
CUSTOM_ERRORS = {
    "NotEnoughStakeToSetWeights": 1,
    "SubnetNotExists": 3,
    "SettingWeightsTooFast": 6,
    "CommittingWeightsTooFast": 6,
    "HotKeyNotRegisteredInNetwork": 10,
    "InvalidIpAddress": 11,
    "ServingRateLimitExceeded": 12,
    "InvalidPort": 13,
    "InvalidRevealRound": 15,
    "HotKeyNotRegisteredInSubNet": 19,
}
"""The pool's number for an error of SubtensorModule; any other error is `CUSTOM_BAD_REQUEST`."""

_INVALID_TEXTS = {
    "Call": "Transaction call is not expected",
    "Payment": "Inability to pay some fees (e.g. account balance too low)",
    "Future": "Transaction will be valid in the future",
    "Stale": "Transaction is outdated",
    "BadProof": "Transaction has a bad signature",
    "AncientBirthBlock": "Transaction has an ancient birth block",
}


class RpcError(Exception):
    """A JSON-RPC error: `code`, `message` and, where a node gives it, `data`."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data

    def record(self) -> dict[str, int | str]:
        """The `error` object of the answer."""
        record: dict[str, int | str] = {"code": self.code, "message": self.message}
        if self.data is not None:
            record["data"] = self.data
        return record


def invalid_transaction(reason: str) -> RpcError:
    """The refusal for an `InvalidTransaction` variant, such as `Stale` or `BadProof`."""
    return RpcError(POOL_INVALID, "Invalid Transaction", _INVALID_TEXTS[reason])


def custom_error(pallet_error: str) -> RpcError:
    """The refusal that the pool gives for an error of SubtensorModule found before dispatch."""
    code = CUSTOM_ERRORS.get(pallet_error, CUSTOM_BAD_REQUEST)
    return RpcError(POOL_INVALID, "Invalid Transaction", f"Custom error: {code}")


def already_imported(extrinsic_hash: str) -> RpcError:
    """The refusal for an extrinsic that the pool holds already."""
    return RpcError(POOL_ALREADY_IMPORTED, "Transaction Already Imported", extrinsic_hash)


def too_low_priority() -> RpcError:
    """The refusal for another extrinsic in the place of a pending one.

    Every normal call of this runtime has priority 1 and tips are ignored, so nothing can be replaced.
    """
    return RpcError(
        POOL_TOO_LOW_PRIORITY,
        "Priority is too low: (1 vs 1)",
        "The transaction has too low priority to replace another transaction already in the pool.",
    )


def undecodable_extrinsic(detail: str) -> RpcError:
    """The refusal for bytes that the runtime cannot decode as an extrinsic: there the node reports a trap."""
    return RpcError(VERIFICATION_ERROR, f"Verification Error: Runtime error: Execution failed: {detail}")


def bad_format(detail: str) -> RpcError:
    """The refusal for bytes that are not even a length-prefixed extrinsic."""
    return RpcError(BAD_FORMAT, f"Extrinsic has invalid format: {detail}")


def state_discarded(block_hash: str) -> RpcError:
    """The refusal for the state of a block that is no longer kept."""
    return RpcError(CLIENT_ERROR, f"Client error: UnknownBlock: State already discarded for {block_hash}")


def unknown_block(block_hash: str) -> RpcError:
    """The refusal for the state of a block that is not, or no longer, part of the chain."""
    return RpcError(CLIENT_ERROR, f"Client error: UnknownBlock: Header was not found in the database: {block_hash}")


def invalid_params(detail: str) -> RpcError:
    """The refusal for parameters of the wrong number or type."""
    return RpcError(INVALID_PARAMS, "Invalid params", detail)


def immediately_dropped() -> RpcError:
    """The refusal of a pool that is full."""
    return RpcError(
        POOL_IMMEDIATELY_DROPPED,
        "Immediately Dropped",
        "The transaction couldn't enter the pool because of the limit",
    )
