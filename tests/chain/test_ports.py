"""The SDK's door and its scripted stand-in offer the same, called the same way."""

import inspect
from typing import Any

import pytest

from wallet_guard.chain import ports, sdk


def offered(port: type[Any]) -> dict[str, Any]:
    return {name: member for name, member in vars(port).items() if not name.startswith("_")}


@pytest.mark.parametrize(("port", "door"), [(ports.Connection, sdk.Connection), (ports.Codec, sdk.Codec)])
def test_door_and_stand_in_offer_what_the_port_says(kit: Any, port: type[Any], door: type[Any]) -> None:
    stand_in = {ports.Connection: kit.chain, ports.Codec: kit.codec}[port]
    for name, member in offered(port).items():
        if isinstance(member, property):
            continue
        wanted = list(inspect.signature(member).parameters)
        for offer in (door, stand_in):
            assert list(inspect.signature(getattr(offer, name)).parameters) == wanted, f"{offer.__name__}.{name}"
