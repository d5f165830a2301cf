import pytest

from wallet_guard.wire.websocket.frames import BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, encode_frame
from wallet_guard.wire.websocket.machine import CLOSED, CLOSING, OPEN, Limits, Machine

KEY = bytes.fromhex("37fa213d")
LIMITS = Limits()


class Log:
    """Events in order; a message "close" closes, "ping" pings, others are echoed."""

    def __init__(self, limits: Limits = LIMITS, new_key=None, *, echo: bool = True) -> None:
        self.events: list[tuple] = []
        self.echo = echo
        self.machine = Machine(self, limits, new_key)

    def on_message(self, data: str | bytes) -> None:
        self.events.append(("message", data))
        if data == "close":
            self.machine.send_close(4000, "asked for")
        elif self.echo and isinstance(data, str):
            self.machine.send_text(data)
        elif self.echo:
            self.machine.send_binary(data)

    def on_ping(self, payload: bytes) -> None:
        self.events.append(("ping", payload))

    def on_pong(self, payload: bytes) -> None:
        self.events.append(("pong", payload))

    def on_close(self, code: int, reason: str) -> None:
        self.events.append(("close", code, reason))

    def feed(self, *pieces: bytes) -> "Log":
        for piece in pieces:
            self.machine.receive(piece)
        return self

    @property
    def sent(self) -> bytes:
        return b"".join(self.machine.outgoing)


def masked(first: int, payload: bytes = b"") -> bytes:
    return encode_frame(first, payload, KEY)


SAMPLES = {
    "hello of the RFC": (bytes.fromhex("818537fa213d7f9f4d5158"), [("message", "Hello")]),
    "empty": (masked(FIN | TEXT) + masked(FIN | BINARY), [("message", ""), ("message", b"")]),
    "125, 126 and 65535 bytes": (
        b"".join(masked(FIN | BINARY, b"x" * size) for size in (125, 126, 65535)),
        [("message", b"x" * size) for size in (125, 126, 65535)],
    ),
    "65536 bytes": (masked(FIN | TEXT, "\u00e4".encode() * 32768), [("message", "\u00e4" * 32768)]),
    "fragments with a ping between": (
        masked(TEXT, b"a\xc3") + masked(FIN | PING, b"p") + masked(CONTINUATION) + masked(FIN | CONTINUATION, b"\xa4"),
        [("ping", b"p"), ("message", "a\u00e4")],
    ),
    "binary fragments": (masked(BINARY, b"\xff") + masked(FIN | CONTINUATION, b"\x00"), [("message", b"\xff\x00")]),
    "pong": (masked(FIN | PONG, b"x" * 125), [("pong", b"x" * 125)]),
    "close": (masked(FIN | CLOSE, b"\x03\xe8bye") + masked(FIN | TEXT, b"late"), [("close", 1000, "bye")]),
    "empty close inside of a message": (masked(TEXT, b"a") + masked(FIN | CLOSE), [("close", 1005, "")]),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_events_are_the_same_however_cut(name: str, cuts) -> None:
    data, expected = SAMPLES[name]
    sent = Log().feed(data).sent
    for pieces in cuts(data):
        log = Log().feed(*pieces)
        assert log.events == expected
        assert log.sent == sent


def test_refusals_are_the_same_however_cut(vector_of_websocket_server, cuts) -> None:
    check_refusal(vector_of_websocket_server, cuts, None)


def test_the_client_refuses_the_same_however_cut(vector_of_websocket_client, cuts) -> None:
    check_refusal(vector_of_websocket_client, cuts, lambda: KEY)


def check_refusal(vector, cuts, new_key) -> None:
    whole = Log(new_key=new_key, echo=False).feed(vector.data)
    assert whole.events[-1][:2] == ("close", vector.answer)
    assert whole.machine.failure.code == vector.answer
    assert whole.machine.state == CLOSED
    for pieces in cuts(vector.data):
        log = Log(new_key=new_key, echo=False).feed(*pieces)
        assert log.events == whole.events
        assert log.sent == whole.sent


def test_echoes_before_a_fault_still_leave() -> None:
    log = Log().feed(masked(FIN | TEXT, b"a") + masked(0x83))
    assert log.sent.startswith(encode_frame(FIN | TEXT, b"a"))
    assert log.sent[3:5] == bytes((FIN | CLOSE, len(log.sent) - 5))


def test_a_ping_is_answered_at_once_with_its_payload() -> None:
    assert Log().feed(masked(FIN | PING, b"abc")).sent == encode_frame(FIN | PONG, b"abc")


def test_a_close_is_answered_with_its_code() -> None:
    assert Log().feed(masked(FIN | CLOSE, b"\x0f\xa0why")).sent == encode_frame(FIN | CLOSE, b"\x0f\xa0")
    assert Log().feed(masked(FIN | CLOSE)).sent == encode_frame(FIN | CLOSE, b"")


def test_a_fault_inside_of_a_text_is_told_at_its_byte() -> None:
    frame = masked(FIN | TEXT, b"abc\xf4\x90xyz")
    log = Log().feed(frame[: 6 + 4])
    assert log.events == []
    log.feed(frame[10:11])
    assert log.events[0][:2] == ("close", 1007)


def test_after_our_close_messages_are_dropped_and_the_answer_awaited() -> None:
    log = Log().feed(masked(FIN | TEXT, b"close") + masked(FIN | TEXT, b"late") + masked(TEXT, b"late"))
    assert log.machine.state == CLOSING
    log.feed(masked(FIN | CONTINUATION, b"r") + masked(FIN | PING, b"p") + masked(FIN | CLOSE, b"\x0f\xa0"))
    assert log.events == [("message", "close"), ("ping", b"p"), ("close", 4000, "")]
    assert log.sent == encode_frame(FIN | CLOSE, b"\x0f\xa0asked for")
    assert log.machine.state == CLOSED
    assert log.machine.failure is None


def test_nothing_is_sent_once_closing() -> None:
    log = Log()
    assert log.machine.send_close()
    sent = log.sent
    assert not log.machine.send_text("a")
    assert not log.machine.send_binary(b"a")
    assert not log.machine.send_ping()
    assert not log.machine.send_encoded(b"a")
    assert not log.machine.send_close()
    assert log.sent == sent == encode_frame(FIN | CLOSE, b"\x03\xe8")


def test_a_code_that_must_not_be_sent_is_ours_to_avoid() -> None:
    with pytest.raises(ValueError, match="1006"):
        Log().machine.send_close(1006)


def test_the_end_of_the_transport_is_an_abnormal_close_once() -> None:
    log = Log()
    log.machine.receive_eof()
    log.machine.receive_eof()
    log.feed(masked(FIN | TEXT, b"late"))
    assert log.events == [("close", 1006, "the connection ended without a close")]


def test_a_closed_connection_takes_nothing() -> None:
    log = Log().feed(masked(FIN | CLOSE))
    log.feed(masked(FIN | CLOSE), b"\x83", masked(FIN | PING))
    assert log.events == [("close", 1005, "")]


def test_the_server_sends_its_lengths_in_the_shortest_form() -> None:
    log = Log()
    for size in (0, 125, 126, 65536):
        log.machine.outgoing.clear()
        log.machine.send_binary(b"x" * size)
        assert log.sent == encode_frame(FIN | BINARY, b"x" * size)
        log.machine.outgoing.clear()
        log.machine.send_text("x" * size)
        assert log.sent == encode_frame(FIN | TEXT, b"x" * size)
    log.machine.outgoing.clear()
    log.machine.send_ping(b"p")
    log.machine.send_encoded(encode_frame(FIN | TEXT, b"all"))
    assert log.sent == encode_frame(FIN | PING, b"p") + encode_frame(FIN | TEXT, b"all")
    assert log.machine.state == OPEN


def test_the_client_masks_every_frame_with_a_fresh_key() -> None:
    keys = iter((b"abcd", b"efgh", b"ijkl"))
    log = Log(new_key=lambda: next(keys))
    log.machine.send_text("a")
    log.feed(encode_frame(FIN | PING, b"p"))
    log.machine.send_close()
    frames = encode_frame(FIN | TEXT, b"a", b"abcd") + encode_frame(FIN | PONG, b"p", b"efgh")
    assert log.sent == frames + encode_frame(FIN | CLOSE, b"\x03\xe8", b"ijkl")


def test_the_client_takes_frames_without_mask(cuts) -> None:
    data = b"".join(encode_frame(FIN | TEXT, b"x" * size) for size in (0, 5, 200)) + encode_frame(TEXT, b"a")
    data += encode_frame(FIN | CONTINUATION, b"b")
    for pieces in cuts(data):
        events = Log(new_key=lambda: KEY, echo=False).feed(*pieces).events
        assert events == [("message", "x" * size) for size in (0, 5, 200)] + [("message", "ab")]


def test_a_message_may_be_as_large_as_the_ceiling() -> None:
    limits = Limits(max_message_bytes=10, max_frame_bytes=8)
    log = Log(limits).feed(masked(FIN | BINARY, b"x" * 8), masked(BINARY, b"x" * 8), masked(FIN | CONTINUATION, b"xx"))
    assert log.events == [("message", b"x" * 8), ("message", b"x" * 10)]
    assert Log(limits).feed(masked(FIN | BINARY, b"x" * 9)).events[0][:2] == ("close", 1009)
    assert Log(limits).feed(masked(BINARY, b"x" * 8), masked(FIN, b"xxx")).events[0][:2] == ("close", 1009)


def test_a_message_has_a_ceiling_of_fragments() -> None:
    limits = Limits(max_fragments=3)
    frames = masked(BINARY) + masked(CONTINUATION) + masked(FIN | CONTINUATION)
    assert Log(limits).feed(frames * 2).events == [("message", b""), ("message", b"")]
    log = Log(limits).feed(masked(BINARY) + masked(CONTINUATION) * 3)
    assert log.events[0][:2] == ("close", 1008)


def test_the_budget_of_pings_is_renewed_by_the_clock() -> None:
    log = Log(Limits(control_budget=2))
    for _ in range(3):
        log.feed(masked(FIN | PING) * 2)
        log.machine.renew_budget()
    assert len(log.events) == 6
    log.feed(masked(FIN | PING) + masked(FIN | PONG) * 2)
    assert log.events[-1][:2] == ("close", 1008)


def test_crumbs_cost_their_size() -> None:
    log = Log(echo=False)
    for piece in masked(FIN | BINARY, b"x" * 2000):
        log.feed(bytes((piece,)))
    assert log.events == [("message", b"x" * 2000)]
