"""Asking the signer one question from a command: blocking, with a deadline, then done."""

import socket
import time
from typing import Any

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.answers import RefusedError as RefusedError
from wallet_guard.ipc.packets import PacketReader, encode_packet
from wallet_guard.ipc.questions import Question
from wallet_guard.ipc.records import from_json, to_json


def ask(path: str, question: Question, *, seconds: float = 10.0) -> Any:
    """The signer's answer, an instance of ``question.answer``.

    Raises:
        RefusedError: the signer says no.
        OSError: no such socket, no permission, the connection broke, or no answer within ``seconds``
            (TimeoutError).
        PacketError, RecordError: the answer is not one.
    """
    ends = time.monotonic() + seconds
    reader = PacketReader()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(path)
        connection.sendall(encode_packet({"id": 1, "ask": question.ask, "body": to_json(question)}))
        while True:
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the signer did not answer within {seconds:g} s")
            connection.settimeout(left)
            data = connection.recv(1 << 18)
            if not data:
                raise ConnectionError("the signer closed the connection without an answer")
            for message in reader.feed(data):
                if "refusal" in message:
                    raise RefusedError(from_json(Refusal, message["refusal"]))
                if message.get("id") == 1:
                    return from_json(question.answer, message.get("answer"))
