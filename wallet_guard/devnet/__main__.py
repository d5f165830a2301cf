"""`python -m wallet_guard.devnet`: starts an emulated chain, says where it listens, and runs until it is told to stop.

One line is printed when it is ready: `devnet ready on ws://127.0.0.1:PORT genesis 0x…`. SIGTERM and SIGINT end it with
exit code 0; a mistake on the command line gives 2, an address that cannot be had 1.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import time_ns

from bittensor_core import ss58_decode

from wallet_guard.devnet import genesis, metadata
from wallet_guard.devnet.chain import Chain
from wallet_guard.devnet.genesis import DEFAULT_STAKE, TEMPO_BLOCKS, Genesis, Validator
from wallet_guard.devnet.runtime import Runtime
from wallet_guard.devnet.server import Devnet
from wallet_guard.net import Accept, MessageLimits, Routes, Server, ServerLimits, WebSocketLimits

DEFAULT_LISTEN = "127.0.0.1:9944"
DEFAULT_BLOCK_SECONDS = 1.0
DEFAULT_FINALITY_LAG = 2
MAX_BLOCK_SECONDS = 600

# The metadata, in hex, is 0.8 MB, and a client may ask for it several times before it reads.
_LIMITS = ServerLimits(
    websocket=WebSocketLimits(
        messages=MessageLimits(max_message_bytes=4 << 20, max_frame_bytes=4 << 20),
        max_queued_bytes=64 << 20,
        pause_reading_bytes=8 << 20,
    ),
    max_connections_per_address=1024,
)
_STOP_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    host: str
    port: int
    slot_milliseconds: int
    finality_lag: int
    mining: bool
    genesis: Genesis


def _validator(text: str) -> Validator:
    address, _, stake = text.partition(":")
    try:
        ss58_decode(address)
        return Validator(address, int(stake) if stake else DEFAULT_STAKE)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected SS58 or SS58:STAKE, found {text[:80]!r}") from None


def _rate_limit(text: str) -> tuple[int, int]:
    netuid, _, blocks = text.partition(":")
    try:
        limit = int(netuid), int(blocks)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected NETUID:BLOCKS, found {text[:40]!r}") from None
    known = [subnet.netuid for subnet in genesis.SUBNETS]
    if limit[0] not in known or not 0 <= limit[1] < 1 << 32:
        raise argparse.ArgumentTypeError(f"expected a netuid of {known} and blocks below 2**32, found {text[:40]!r}")
    return limit


def _listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 0xFFFF:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, found {text[:80]!r}")
    return host.strip("[]"), int(port)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.01 <= seconds <= MAX_BLOCK_SECONDS:
        raise argparse.ArgumentTypeError(f"expected 0.01 to {MAX_BLOCK_SECONDS} seconds, found {text[:20]!r}")
    return seconds


def parse(arguments: Sequence[str]) -> Options:
    """The options of a command line; a mistake ends the process with code 2, as argparse does."""
    parser = argparse.ArgumentParser("wallet-guard devnet", description="An emulated Bittensor chain for development.")
    parser.add_argument("--listen", type=_listen, default=_listen(DEFAULT_LISTEN), metavar="HOST:PORT",
                        help=f"where to listen (default {DEFAULT_LISTEN}; port 0: a free one, printed)")  # fmt: skip
    parser.add_argument("--block-time", type=_seconds, default=DEFAULT_BLOCK_SECONDS, metavar="SECONDS",
                        help=f"seconds between blocks (default {DEFAULT_BLOCK_SECONDS})")  # fmt: skip
    parser.add_argument("--finality-lag", type=int, default=DEFAULT_FINALITY_LAG, metavar="BLOCKS",
                        help=f"how far finality stays behind (default {DEFAULT_FINALITY_LAG})")  # fmt: skip
    parser.add_argument("--manual", action="store_true", help="make blocks only by devnet_seal")
    parser.add_argument("--validator", type=_validator, action="append", default=[], metavar="SS58[:STAKE]",
                        help="a hotkey with permit and stake (alpha) on every subnet; may be repeated")  # fmt: skip
    parser.add_argument("--rate-limit", type=_rate_limit, action="append", default=[], metavar="NETUID:BLOCKS",
                        help="another weights rate limit for a subnet; may be repeated")  # fmt: skip
    parser.add_argument("--tempo", type=int, default=TEMPO_BLOCKS, metavar="BLOCKS",
                        help=f"length of an epoch on every subnet (default {TEMPO_BLOCKS})")  # fmt: skip
    parser.add_argument("--chain-id", default="devnet", metavar="TEXT", help="another text makes another genesis hash")
    given = parser.parse_args(arguments)
    if not 0 < given.tempo <= 0xFFFF or not 0 <= given.finality_lag <= 1000 or len(given.validator) > 240:
        parser.error("expected a tempo of 1 to 65535, a finality lag of 0 to 1000, and at most 240 validators")
    start = Genesis(tuple(given.validator), given.chain_id, given.tempo, tuple(given.rate_limit))
    host, port = given.listen
    return Options(host, port, round(given.block_time * 1000), given.finality_lag, not given.manual, start)


def _now_milliseconds() -> int:
    return time_ns() // 1_000_000


async def run(options: Options) -> None:
    """Serve the chain until SIGTERM or SIGINT. Raises: OSError when the address cannot be had."""
    runtime = Runtime(metadata.served_metadata(options.slot_milliseconds), metadata.RECORDED_SPEC_VERSION)
    items = genesis.build(runtime, options.genesis)
    chain = Chain(runtime, items, slot_milliseconds=options.slot_milliseconds, finality_lag=options.finality_lag)
    devnet = Devnet(chain, _now_milliseconds)
    server = Server(Routes(), websockets={"/": lambda _request: Accept(devnet)}, limits=_LIMITS)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    port = await server.listen_tcp(options.host, options.port)
    # A first block at once: clients take eras from it, and a chain that has none looks broken to some.
    chain.seal(_now_milliseconds())
    mining = asyncio.create_task(devnet.mine()) if options.mining else None
    host = f"[{options.host}]" if ":" in options.host else options.host
    sys.stdout.write(f"devnet ready on ws://{host}:{port} genesis {chain.genesis.hash}\n")
    sys.stdout.flush()
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping} if mining is None else {stopping, mining}, return_when=asyncio.FIRST_COMPLETED)
    if mining is not None and mining.done():
        mining.result()  # it never returns: this raises what stopped it
    if mining is not None:
        mining.cancel()
    await server.stop(_STOP_SECONDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        asyncio.run(run(options))
    except OSError as error:
        sys.stderr.write(f"devnet: cannot listen on {options.host}:{options.port}: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
