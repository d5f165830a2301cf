"""Flags, in both spellings, refused where they are no interval."""

import argparse

import pytest

from wallet_guard.realtime import (
    add_args,
    read_args,
)
from wallet_guard.realtime.settings import WebSocketSettings


def flags(*given):
    parser = argparse.ArgumentParser()
    add_args(parser)
    return read_args(parser.parse_args(given))


def test_flags_have_the_documented_defaults():
    assert flags() == WebSocketSettings(True, 60.0, 1.0, 60.0)


@pytest.mark.parametrize("prefix", ["--websocket_", "--websocket."])
def test_flags_have_both_spellings(prefix):
    given = [f"{prefix}enabled", f"{prefix}heartbeat_interval", "5", f"{prefix}reconnect_base_interval", "2",
             f"{prefix}max_reconnect_interval", "9"]  # fmt: skip
    assert flags(*given) == WebSocketSettings(True, 5.0, 2.0, 9.0)
    assert flags(f"{prefix}enabled", "False").enabled is False


@pytest.mark.parametrize("value", ["0", "-1", "x", "nan", "1e9"])
def test_flags_refuse_what_is_no_interval(value, capsys):
    with pytest.raises(SystemExit):
        flags("--websocket_heartbeat_interval", value)
    assert "expected seconds" in capsys.readouterr().err
