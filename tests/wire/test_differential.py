"""Beside h11 and websockets: what we accept they read alike, what we refuse they refuse, or a reason is listed."""

import random
from collections.abc import Iterator

import pytest

from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.head import HeadCache, Limits
from wallet_guard.wire.http1.server import RequestParser
from wallet_guard.wire.websocket.machine import Limits as MessageLimits
from wallet_guard.wire.websocket.machine import Machine

h11 = pytest.importorskip("h11", reason="NOT COMPARED: h11 is not installed")
protocol = pytest.importorskip("websockets.protocol", reason="NOT COMPARED: websockets is not installed")

# What we refuse and h11 accepts: reason, then the vectors.
LAXER_H11 = {
    "h11 leaves targets to its caller": """absolute_form_and_another_host absolute_form_of_another_scheme
        absolute_form_with_a_bad_host absolute_form_with_userinfo asterisk_with_get connect dot_segment empty_segment
        encoded_backslash encoded_del encoded_dot_segment encoded_line_feed encoded_nul encoded_slash
        fragment_in_the_target incomplete_percent_encoding overlong_utf_8_in_the_path path_is_no_utf_8
        percent_encoding_of_no_hexadecimal quotation_mark_in_the_query single_dot_segment target_without_slash""",
    "h11 takes a bare LF for a line end": "bare_lf_ends_a_field bare_lf_ends_a_line bare_lf_ends_the_head",
    "h11 unfolds obs-fold": "obs_fold chunk_trailer_folded",
    "h11 lets Transfer-Encoding win over Content-Length": """content_length_and_transfer_encoding
        transfer_encoding_and_content_length smuggled_request_behind_a_refused_one""",
    "h11 merges equal lengths": """two_equal_content_lengths list_of_equal_content_lengths
        content_length_too_many_digits""",
    "h11 takes chunked in HTTP/1.0": "chunked_in_http_1_0",
    "h11 takes any visible chunk extension, and digits up to 20": """chunk_extension_with_an_open_quote
        chunk_extension_with_bare_cr chunk_extension_without_name chunk_size_of_too_many_digits
        chunk_size_with_a_space_behind""",
    "h11 takes control characters but NUL, CR and LF in values": "control_character_in_a_value del_in_a_value",
    "h11 leaves Host's content, Connection and Expect to its caller": """invalid_host list_of_hosts
        connection_names_a_framing_field connection_names_authorization unknown_expectation""",
    "h11 lets trailers through, framing fields included": """chunk_trailer_authorization chunk_trailer_connection
        chunk_trailer_content_length chunk_trailer_host""",
    "h11 takes any version digit": "http2_preface version_0_9 version_1_2 version_2_0",
    "h11 has one ceiling, for an incomplete event": """body_announced_too_large chunk_body_too_large head_too_long
        chunk_body_too_large_in_two chunk_extensions_too_long chunk_extensions_too_long_together too_many_fields
        chunk_size_line_without_end chunk_size_overflows_64_bits chunk_too_many_trailers chunk_trailers_too_long
        chunk_trailers_without_end method_too_long target_too_long""",
}
# What we accept and h11 refuses: nothing is known.

LAXER_WEBSOCKETS = {
    "websockets checks UTF-8 in the layer above": """fragmented_text_ends_inside_of_a_character
        fragmented_text_of_no_utf_8 text_beyond_10ffff text_ends_inside_of_a_character text_of_a_surrogate
        text_of_no_utf_8 text_overlong""",
    "websockets takes lengths in any form": "length_16_not_shortest length_64_not_shortest",
    "websockets has no ceiling on pings": "too_many_pings too_many_pongs",
}


def listed(table: dict[str, str]) -> set[str]:
    return {name for names in table.values() for name in names.split()}


def ours(data: bytes) -> tuple[bytes, bytes, bytes] | int | None:
    """The first request, the status of its refusal, or None if it is incomplete."""
    parser = RequestParser(HeadCache(Limits()))
    parser.receive(data)
    try:
        request = parser.next_request()
    except HttpError as error:
        return error.status
    return request and (request.head.method.encode(), request.head.target.encode(), request.body)


def by_h11(data: bytes) -> tuple[bytes, bytes, bytes] | int | None:
    connection = h11.Connection(h11.SERVER)
    body, head = b"", None
    try:
        connection.receive_data(data)
        while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Request):
                head = (event.method, event.target)
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return (*head, body)
    except h11.RemoteProtocolError as error:
        return error.error_status_hint
    return None


def test_h11_refuses_what_we_refuse(vector_of_http1_requests, request) -> None:
    name = request.node.callspec.id
    refused = isinstance(by_h11(vector_of_http1_requests.data), int)
    assert refused != (name in listed(LAXER_H11)), "the list of differences is wrong"


SEEDS = (
    b"GET /a/b?c=d HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n",
    b"GET http://a/ HTTP/1.1\r\nHost: a\r\nX-Y: \x80 z \r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
)


def mutations(seeds: tuple[bytes, ...], count: int) -> Iterator[bytes]:
    source = random.Random(9112)
    for _ in range(count):
        data = bytearray(source.choice(seeds))
        for _ in range(source.randrange(1, 4)):
            at = source.randrange(len(data))
            if source.random() < 0.6:
                data[at] = source.choice(data) if source.random() < 0.5 else source.randrange(256)
            elif source.random() < 0.5:
                del data[at : at + source.randrange(1, 4)]
            else:
                data[at:at] = data[at : at + source.randrange(1, 6)]
        yield bytes(data)


def test_h11_reads_alike_what_we_accept() -> None:
    accepted = 0
    for data in (*SEEDS, *mutations(SEEDS, 20_000)):
        read = ours(data)
        if isinstance(read, tuple):
            accepted += 1
            assert by_h11(data) == read, data
    assert accepted > 2000


class Log:
    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.closed = 0

    def on_message(self, data: str | bytes) -> None:
        self.messages.append(data)

    def on_ping(self, payload: bytes) -> None:
        pass

    on_pong = on_ping

    def on_close(self, code: int, reason: str) -> None:
        self.closed = code


def by_websockets(data: bytes, side) -> tuple[list[str | bytes], int]:
    """Messages and the code of the close that it sends, 0 if none."""
    peer = protocol.Protocol(side, max_size=2**20)
    peer.receive_data(data)
    messages: list[str | bytes] = []
    parts, is_text = b"", False
    for frame in peer.events_received():
        if frame.opcode <= 2:
            is_text = frame.opcode == 1 if frame.opcode else is_text
            parts += bytes(frame.data)
            if frame.fin:
                messages.append(parts.decode("utf-8", "replace") if is_text else parts)
                parts = b""
    return messages, peer.close_sent.code if peer.close_sent else 0


def test_websockets_refuses_what_we_refuse(vector_of_websocket_server, request) -> None:
    _, code = by_websockets(vector_of_websocket_server.data, protocol.Side.SERVER)
    name = request.node.callspec.id
    if name == "length_64_with_the_highest_bit":
        assert code == 1009  # it looks at the size first
    else:
        assert (code == vector_of_websocket_server.answer) != (name in listed(LAXER_WEBSOCKETS))


def test_websockets_refuses_what_our_client_refuses(vector_of_websocket_client, request) -> None:
    _, code = by_websockets(vector_of_websocket_client.data, protocol.Side.CLIENT)
    assert (code == vector_of_websocket_client.answer) != (request.node.callspec.id in listed(LAXER_WEBSOCKETS))


FRAMES = (
    bytes.fromhex("818537fa213d7f9f4d5158"),
    bytes.fromhex("018237fa213d569e 898037fa213d 808137fa213d56 888237fa213d3412"),
    bytes.fromhex("828237fa213dffff 8a8137fa213d00 818037fa213d"),
)


def test_websockets_reads_alike_what_we_accept() -> None:
    accepted = 0
    for data in (*FRAMES, *mutations(FRAMES, 20_000)):
        log = Log()
        machine = Machine(log, MessageLimits())
        machine.receive(data)
        if machine.failure is None:
            accepted += 1
            messages, code = by_websockets(data, protocol.Side.SERVER)
            assert messages == log.messages, data
            # behind a close frame it still looks at what comes, we do not
            assert log.closed or code == 0, data
    assert accepted > 2000
