"""The calls beside weights: what a wish becomes, and what must then stand on the chain.

The values are the SDK's own (``bittensor.intents.serving``, 11.3.0). Nothing is decoded to be compared after finality:
the chain stores what the call carries, byte for byte, behind a block number (and, for a commitment, a deposit).
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, NamedTuple

from wallet_guard.ipc.records import from_json
from wallet_guard.ipc.wishes import (
    MAX_CERTIFICATE_BYTES,
    MAX_COMMITMENT_BYTES,
    WISHES,
    ResetAxon,
    ServeAxon,
    ServeAxonTls,
    ServePrometheus,
    SetCommitment,
    Wish,
)
from wallet_guard.signer.scale import COMMITMENTS, SUBTENSOR, commitment, encode_call

Serving = ServeAxon | ServeAxonTls | ServePrometheus | ResetAxon
PlainCall = Serving | SetCommitment

U8_MAX, U16_MAX, U32_MAX = 2**8 - 1, 2**16 - 1, 2**32 - 1

_BLOCK_BYTES_OF_INFO = 8
"""``AxonInfo`` and ``PrometheusInfo`` begin with the block, a u64; then comes what the call carried after netuid."""

_CALL_HEAD_BYTES = 4
"""Pallet, call, netuid."""


class WishError(ValueError):
    """No subnet takes this; the message names the field, what was expected and what was found."""


class Stand(NamedTuple):
    """A storage item that must end in these bytes once the call had its effect; keyed by (netuid, hotkey)."""

    pallet: str
    item: str
    tail: bytes


def read_wish(text: dict[str, Any]) -> Wish:
    """The wish that an intent's stored JSON spells."""
    wish: Wish = from_json(WISHES[text["kind"]], text)
    return wish


def check_wish(wish: PlainCall, *, queue: bool) -> None:
    """Refuses what cannot be composed, or would be refused by every subnet.

    Raises:
        WishError: names the field.
    """
    if queue:
        raise WishError("queue: expected false, only weights can wait out a rate limit")
    if isinstance(wish, SetCommitment):
        if not 1 <= len(wish.data) <= MAX_COMMITMENT_BYTES:
            raise WishError(f"data: expected 1 to {MAX_COMMITMENT_BYTES} bytes, found {len(wish.data)}")
        return
    if isinstance(wish, ResetAxon):
        return
    _read_ip(wish.ip)
    _check_range("port", wish.port, 1, U16_MAX)
    _check_range("version", wish.version, 0, U32_MAX)
    if not isinstance(wish, ServePrometheus):
        _check_range("protocol", wish.protocol, 0, U8_MAX)
    if isinstance(wish, ServeAxonTls) and not 2 <= len(wish.certificate) <= MAX_CERTIFICATE_BYTES:
        raise WishError(
            f"certificate: expected an algorithm byte and 1 to {MAX_CERTIFICATE_BYTES - 1} bytes of public key, found "
            f"{len(wish.certificate)} bytes"
        )


def call_of(wish: PlainCall) -> tuple[str, dict[str, Any]]:
    """Name and arguments of the call that fulfils the wish."""
    if isinstance(wish, SetCommitment):
        return "set_commitment", {"netuid": wish.netuid, "info": commitment(wish.data)}
    if isinstance(wish, ResetAxon):
        place = {"netuid": wish.netuid, "version": 0, "ip": 0, "port": 1, "ip_type": 4}
        return "serve_axon", {**place, "protocol": 4, "placeholder1": 0, "placeholder2": 0}
    ip, ip_type = _read_ip(wish.ip)
    place = {"netuid": wish.netuid, "version": wish.version, "ip": ip, "port": wish.port, "ip_type": ip_type}
    if isinstance(wish, ServePrometheus):
        return wish.kind, place
    axon: dict[str, Any] = {**place, "protocol": wish.protocol, "placeholder1": 0, "placeholder2": 0}
    if isinstance(wish, ServeAxonTls):
        return wish.kind, {**axon, "certificate": wish.certificate}
    return wish.kind, axon


def stands_of(wish: PlainCall) -> tuple[Stand, ...]:
    """What must stand on the chain once the call had its effect."""
    name, arguments = call_of(wish)
    if isinstance(wish, SetCommitment):
        return (Stand(COMMITMENTS, "CommitmentOf", encode_call(name, arguments)[_CALL_HEAD_BYTES:]),)
    if isinstance(wish, ServePrometheus):
        return (Stand(SUBTENSOR, "Prometheus", encode_call(name, arguments)[_CALL_HEAD_BYTES:]),)
    axon = Stand(SUBTENSOR, "Axons", encode_call("serve_axon", arguments)[_CALL_HEAD_BYTES:])
    if not isinstance(wish, ServeAxonTls):
        return (axon,)
    algorithm, key = wish.certificate[:1], wish.certificate[1:]
    # NeuronCertificate: the key with its compact length (one byte below 64, two for 64), then the algorithm.
    return axon, Stand(SUBTENSOR, "NeuronCertificates", _length(len(key)) + key + algorithm)


def stands(wish: PlainCall, values: tuple[bytes | None, ...], later: Iterable[PlainCall] = ()) -> bool:
    """Do these values (raw, in the order of ``stands_of``) show that the call had its effect?

    ``later`` are wishes that were signed after it: one block may hold several, and then the last one stands.
    """
    wanted, after = stands_of(wish), [stand for each in later for stand in stands_of(each)]
    if len(values) != len(wanted):
        return False
    return all(
        any(_fits(stand, value) for stand in (first, *(stand for stand in after if stand.item == first.item)))
        for first, value in zip(wanted, values, strict=True)
    )


def _fits(stand: Stand, value: bytes | None) -> bool:
    if value is None:
        return False
    if stand.item in ("Axons", "Prometheus"):
        return value[_BLOCK_BYTES_OF_INFO:] == stand.tail
    if stand.item == "NeuronCertificates":
        return value == stand.tail
    # Registration: deposit (u64), block (u32), then the commitment.
    return value[12:] == stand.tail


def _length(count: int) -> bytes:
    return bytes((count << 2,)) if count < 64 else (count << 2 | 1).to_bytes(2, "little")


def _read_ip(text: str) -> tuple[int, int]:
    """The address as a number, and 4 or 6."""
    try:
        # No scope ids, no leading zeros, no hostnames: ipaddress takes only the plain forms.
        address = ip_address(text)
    except ValueError:
        raise WishError(f"ip: expected an IPv4 or IPv6 address, found {text[:64]!r}") from None
    if "%" in text:
        raise WishError(f"ip: expected an address without a zone, found {text[:64]!r}")
    # The pallet's own checks (is_valid_ip_address): an address that a peer elsewhere could reach.
    if address.is_unspecified or address.is_multicast or int(address) == 2**32 - 1:
        raise WishError(f"ip: expected an address that peers can reach, found {address}; reset_axon takes it back")
    return int(address), address.version


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise WishError(f"{name}: expected {least} to {most}, found {str(value)[:24]}")
