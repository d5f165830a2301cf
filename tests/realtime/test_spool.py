"""What is on disk survives its process; what was cut short was never promised."""

import json

import pytest

from wallet_guard.realtime.spool import Kept, Spool, SpoolError


def kept(spool, hotkey="alice"):
    return list(spool.peer(hotkey).kept)


def fill(path, numbers, hotkey="alice"):
    spool = Spool(path)
    for number in numbers:
        spool.put(hotkey, number, Kept(f"{spool.peer(hotkey).stream}.{number}", 3, f"line {number} \u2028"))
    return spool


def test_gives_back_what_was_not_acknowledged_in_order_with_its_stream(tmp_path):
    spool = fill(tmp_path / "s", (1, 2, 3))
    stream = spool.peer("alice").stream
    spool.acknowledge("alice", [f"{stream}.2", "unknown"])
    spool.close()
    again = Spool(tmp_path / "s")
    assert (again.peer("alice").stream, again.peer("alice").next_number) == (stream, 4)
    assert list(again.peer("alice").kept.values()) == [
        Kept(f"{stream}.1", 3, "line 1 \u2028"), Kept(f"{stream}.3", 3, "line 3 \u2028"),
    ]  # fmt: skip
    again.close()


def test_numbers_go_on_after_everything_was_acknowledged_and_rewritten(tmp_path):
    spool = Spool(tmp_path / "s")
    for number in range(1, 3001):
        id_ = f"{spool.peer('alice').stream}.{number}"
        spool.put("alice", number, Kept(id_, 3, "x"))
        spool.acknowledge("alice", [id_])
    spool.close()
    assert (tmp_path / "s").stat().st_size < 300_000
    again = Spool(tmp_path / "s")
    assert (again.peer("alice").next_number, kept(again)) == (3001, [])
    again.close()


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_torn_last_line_costs_that_line_only(tmp_path, cut):
    fill(tmp_path / "s", (1, 2)).close()
    data = (tmp_path / "s").read_bytes()
    (tmp_path / "s").write_bytes(data[:-cut])
    spool = fill(tmp_path / "s", (5,))
    spool.close()
    again = Spool(tmp_path / "s")
    assert [id_.rpartition(".")[2] for id_ in kept(again)] == ["1", "5"]
    again.close()


@pytest.mark.parametrize("line", ["x", "[]", '["put","bob",1,"a.1",3,"x"]', '["why","alice"]', '{"a":1}', "\xff"])
def test_damage_before_the_end_is_named_and_nothing_is_guessed(tmp_path, line):
    (tmp_path / "s").write_bytes(line.encode("latin1") + b"\n" + json.dumps(["peer", "alice", "s", 1]).encode() + b"\n")
    with pytest.raises(SpoolError, match="line 1 is damaged"):
        Spool(tmp_path / "s")


def test_two_processes_cannot_hold_one_file(tmp_path):
    spool = Spool(tmp_path / "s")
    with pytest.raises(SpoolError, match="another process"):
        Spool(tmp_path / "s")
    spool.close()
    Spool(tmp_path / "s").close()


def test_nobody_else_may_read_it(tmp_path):
    Spool(tmp_path / "s").close()
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


def test_durable_additions_are_synced(tmp_path):
    spool = Spool(tmp_path / "s", sync=True)
    spool.put("alice", 1, Kept("s.1", 3, "x"))
    spool.close()
    assert b'"s.1"' in (tmp_path / "s").read_bytes()
