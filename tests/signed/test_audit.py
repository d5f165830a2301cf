import json
import random

import pytest

from wallet_guard.signed.audit import (
    GENESIS_HASH,
    BrokenChainError,
    Point,
    Record,
    from_lines,
    record_hash,
    to_line,
    verify_chain,
)

COUNT = 40

TEXTS = ["signed", 'a "name"', "back\\slash", "é", "\\u00e9", "\x01", "\x7f", "", "\u2028", "\U0001f511", "a,b", '","']


def make_chain(count=COUNT):
    """Records with every kind of text that a client's name or a body may hold."""
    records, previous = [], GENESIS_HASH
    for seq in range(1, count + 1):
        body = json.dumps({"number": seq, "text": TEXTS[seq % len(TEXTS)]}, separators=(",", ":"))
        fields = (seq, 1_780_000_000_000 + seq, "signed", TEXTS[(seq * 5) % len(TEXTS)], body)
        previous = record_hash(previous, *fields)
        records.append(Record(*fields, previous))
    return records


CHAIN = make_chain()


def edited(at, **changes):
    records = list(CHAIN)
    records[at] = records[at]._replace(**changes)
    return records


def rehashed(records):
    """The records with all hashes made anew: what one does who knows how."""
    made, previous = [], GENESIS_HASH
    for record in records:
        previous = record_hash(previous, *record[:5])
        made.append(record._replace(hash=previous))
    return made


def test_a_hash_is_over_the_documented_bytes():
    import hashlib

    for record, before in zip(CHAIN[1:], CHAIN, strict=False):
        canonical = json.dumps(list(record[:5]), separators=(",", ":"), ensure_ascii=True).encode()
        assert record.hash == hashlib.sha256(before.hash + canonical).digest()


def test_a_whole_chain_is_whole():
    assert verify_chain(CHAIN) == (COUNT, CHAIN[-1].hash)
    assert verify_chain([]) == (0, GENESIS_HASH)
    assert verify_chain(tuple(record) for record in CHAIN) == (COUNT, CHAIN[-1].hash)


def test_a_tail_is_whole_after_the_record_before_it():
    assert verify_chain(CHAIN[10:], since=Point(10, CHAIN[9].hash)) == (COUNT, CHAIN[-1].hash)
    with pytest.raises(BrokenChainError, match="record 11"):
        verify_chain(CHAIN[10:], since=Point(10, CHAIN[8].hash))


EDITS = {
    "seq": lambda record: record.seq + 1,
    "at_ms": lambda record: record.at_ms - 1,
    "kind": lambda _record: "denied",
    "client": lambda record: record.client + "x",
    "body": lambda record: record.body.replace("number", "Number"),
    "hash": lambda record: bytes([record.hash[0] ^ 1]) + record.hash[1:],
}


@pytest.mark.parametrize("field", EDITS)
@pytest.mark.parametrize("at", [0, 1, 17, COUNT - 1])
def test_finds_an_edit(field, at):
    with pytest.raises(BrokenChainError, match=f"record {at + 1}"):
        verify_chain(edited(at, **{field: EDITS[field](CHAIN[at])}))


@pytest.mark.parametrize(
    "changes",
    [
        {"at_ms": str(CHAIN[5].at_ms)},
        {"at_ms": float(CHAIN[5].at_ms)},
        {"seq": "6"},
        {"seq": 6.0},
        {"seq": True},
        {"body": CHAIN[5].body.encode()},
        {"client": None},
        {"hash": CHAIN[5].hash.hex()},
        {"hash": b""},
        {"hash": None},
    ],
)
def test_finds_a_value_of_another_type(changes):
    with pytest.raises(BrokenChainError, match="record 6"):
        verify_chain(edited(5, **changes))


def test_finds_a_text_that_was_replaced_by_its_escaped_form():
    for field in ("client", "kind"):
        for text in TEXTS:
            escaped = json.dumps(text)[1:-1]
            before = Record(1, 2, *([text, "x"] if field == "kind" else ["x", text]), "{}", b"")
            before = before._replace(hash=record_hash(GENESIS_HASH, *before[:5]))
            assert verify_chain([before]).seq == 1
            if escaped != text:
                with pytest.raises(BrokenChainError):
                    verify_chain([before._replace(**{field: escaped})])


def test_finds_text_moved_from_one_field_to_the_next():
    for kind, client, body in [("a", 'b","c', "d"), ('a","b', "c", "d"), ("a", "b", 'c","d')]:
        hashed = record_hash(GENESIS_HASH, 1, 2, kind, client, body)
        assert verify_chain([(1, 2, kind, client, body, hashed)]).seq == 1
        for other in [("a", 'b","c', "d"), ('a","b', "c", "d"), ("a", "b", 'c","d'), ("a", "b", 'c\\",\\"d')]:
            if other != (kind, client, body):
                with pytest.raises(BrokenChainError):
                    verify_chain([(1, 2, *other, hashed)])


@pytest.mark.parametrize("at", [0, 1, 20, COUNT - 2])
def test_finds_a_drop(at):
    with pytest.raises(BrokenChainError, match=f"expected record {at + 1}"):
        verify_chain(CHAIN[:at] + CHAIN[at + 1 :])


@pytest.mark.parametrize("at", [0, 1, 20, COUNT - 2])
def test_finds_a_drop_with_the_numbers_closed_up(at):
    rest = [record._replace(seq=record.seq - 1) for record in CHAIN[at + 1 :]]
    with pytest.raises(BrokenChainError, match=f"record {at + 1}"):
        verify_chain(CHAIN[:at] + rest)


@pytest.mark.parametrize("at", [0, 1, 20, COUNT - 2])
def test_finds_a_swap(at):
    swapped = [*CHAIN[:at], CHAIN[at + 1], CHAIN[at], *CHAIN[at + 2 :]]
    with pytest.raises(BrokenChainError, match=f"record {at + 1}"):
        verify_chain(swapped)
    renumbered = [record._replace(seq=seq) for seq, record in enumerate(swapped, 1)]
    with pytest.raises(BrokenChainError, match=f"record {at + 1}"):
        verify_chain(renumbered)


@pytest.mark.parametrize("at", [0, 1, 20, COUNT - 1])
def test_finds_an_insertion(at):
    for inserted in (CHAIN[at], Record(at + 1, 5, "signed", "", "{}", bytes(32))):
        with pytest.raises(BrokenChainError):
            verify_chain([*CHAIN[:at], inserted, *CHAIN[at:]])
        later = [record._replace(seq=record.seq + 1) for record in CHAIN[at:]]
        with pytest.raises(BrokenChainError):
            verify_chain([*CHAIN[:at], inserted, *later])


@pytest.mark.parametrize("kept", [0, 1, COUNT - 1])
def test_finds_a_cut_tail_by_what_was_kept_elsewhere(kept):
    cut = CHAIN[:kept]
    assert verify_chain(cut).seq == kept
    with pytest.raises(BrokenChainError, match="the tail was cut"):
        verify_chain(cut, CHAIN[-1].hash)
    with pytest.raises(BrokenChainError, match="the tail was cut"):
        verify_chain(cut, known=[Point(COUNT, CHAIN[-1].hash)])


def test_finds_a_chain_made_anew_by_what_was_kept_elsewhere():
    forged = rehashed(edited(10, body="{}"))
    assert verify_chain(forged).seq == COUNT
    for kept in range(11, COUNT + 1):
        with pytest.raises(BrokenChainError, match="another chain"):
            verify_chain(forged, known=[Point(kept, CHAIN[kept - 1].hash)])
    assert verify_chain(forged, known=[Point(10, CHAIN[9].hash)]).seq == COUNT
    with pytest.raises(BrokenChainError, match="another chain"):
        verify_chain(forged, CHAIN[-1].hash)


def test_a_point_before_what_is_given_must_be_its_start():
    assert verify_chain(CHAIN, known=[Point(0, GENESIS_HASH)]).seq == COUNT
    with pytest.raises(BrokenChainError, match="another chain"):
        verify_chain(CHAIN, known=[Point(0, bytes([1]) * 32)])


def test_finds_any_single_byte_changed_in_an_export():
    """Every character of every line, changed once each to something else: found, or still the same record."""
    lines = [to_line(record) for record in CHAIN[:6]]
    chosen = random.Random(7)
    for at, line in enumerate(lines):
        for place in range(len(line)):
            other = chosen.choice([c for c in '0aZ"\\{,:é' if c != line[place]])
            damaged = [*lines[:at], line[:place] + other + line[place + 1 :], *lines[at + 1 :]]
            try:
                records = list(from_lines(damaged))
                verify_chain(records)
            except BrokenChainError:
                continue
            assert records == CHAIN[:6], (at, place, other)


def test_an_export_reads_back():
    assert list(from_lines(to_line(record) + "\n" for record in CHAIN)) == CHAIN


@pytest.mark.parametrize("line", ["", "{}", "[1]", "nonsense", '{"seq":1}', "[" * 5000, '{"hash":"zz"}', "null"])
def test_a_line_that_is_no_record_is_said(line):
    with pytest.raises(BrokenChainError, match="line 1: expected one record"):
        list(from_lines([line]))
