"""The flags of a neuron, as the original documents name them, with dotted aliases for configurations that use those."""

import argparse
from typing import Any, NamedTuple


class WebSocketSettings(NamedTuple):
    """What the flags say; times are seconds."""

    enabled: bool = True
    heartbeat_interval: float = 60.0
    reconnect_base_interval: float = 1.0
    max_reconnect_interval: float = 60.0


def add_args(parser: argparse.ArgumentParser) -> None:
    """Adds the four flags, each as `--websocket_…` and as `--websocket.…`.

    They are `enabled` (alone, or followed by true or false), `heartbeat_interval`, `reconnect_base_interval` and
    `max_reconnect_interval`.
    """
    group = parser.add_argument_group("realtime messages (btws/1)")
    default = WebSocketSettings()
    group.add_argument(
        "--websocket_enabled", "--websocket.enabled", dest="websocket_enabled", type=_boolean, nargs="?", const=True,
        default=default.enabled, metavar="BOOL", help="speak btws/1 over WebSocket (default: true)",
    )  # fmt: skip
    for name, value, text in (
        ("heartbeat_interval", default.heartbeat_interval, "seconds of silence after which life is asked for"),
        ("reconnect_base_interval", default.reconnect_base_interval, "seconds before the first attempt to reconnect"),
        ("max_reconnect_interval", default.max_reconnect_interval, "seconds between attempts at most"),
    ):
        group.add_argument(
            f"--websocket_{name}", f"--websocket.{name}", dest=f"websocket_{name}", type=_seconds, default=value,
            metavar="SECONDS", help=f"{text} (default: {value:g})",
        )  # fmt: skip


def read_args(parsed: argparse.Namespace) -> WebSocketSettings:
    """The settings among parsed arguments; what is missing has its default."""
    given: dict[str, Any] = {
        name: getattr(parsed, f"websocket_{name}", default)
        for name, default in zip(WebSocketSettings._fields, WebSocketSettings(), strict=True)
    }
    return WebSocketSettings(**given)


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "1", "yes", "on"):
        return True
    if text.lower() in ("false", "0", "no", "off"):
        return False
    raise argparse.ArgumentTypeError(f"expected true or false, found {text[:20]!r}")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected seconds between 0.01 and 86400, found {text[:20]!r}")
    return value
