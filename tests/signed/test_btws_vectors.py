"""The golden vectors, read by the package and, if Node is here, by a reader written from hardening/btws.md alone."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from wallet_guard.signed.certificate import CertificateError
from wallet_guard.signed.frames import MAX_FRAME_BYTES, FrameError, parse_frame, read_messages
from wallet_guard.signed.reception import Receiver, Voices, check_messages, is_signed

HERE = Path(__file__).parent
FILE = HERE.parent / "vectors" / "btws" / "vectors.json"
VECTORS = json.loads(FILE.read_text())
CASES = VECTORS["valid"] + VECTORS["invalid"]


def read(receiver, voices, text, case):
    try:
        frame = parse_frame(text, case.get("max_frame_bytes", MAX_FRAME_BYTES))
        voice = receiver.check(frame, voices, VECTORS["now_ms"], broadcasts=case["broadcasts"])
        if not is_signed(frame, voice):
            return "signature"
        receiver.take(frame, VECTORS["now_ms"])
        check_messages(read_messages(frame), voice)
    except FrameError as error:
        return error.code
    return "taken"


def present(voices, text):
    try:
        voices.add_certificate(text, receiver=VECTORS["receiver"], netuid=VECTORS["netuid"], now_ms=VECTORS["now_ms"])
    except CertificateError as error:
        return error.code
    return "taken"


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_vector_is_read_as_written(case):
    receiver = Receiver(VECTORS["receiver"], start_ms=case.get("start_ms", VECTORS["start_ms"]))
    voices = Voices(case["hotkey"])
    if case["scheme"]:
        voices.add_hotkey(case["scheme"])
    for presented in case["certificates"]:
        assert present(voices, presented["certificate"]) == presented["expect"]
    for arrived in case["frames"]:
        assert read(receiver, voices, arrived["frame"], case) == arrived["expect"]


def test_every_refusal_has_a_vector():
    seen = {arrived["expect"] for case in VECTORS["invalid"] for arrived in case["frames"]}
    assert seen >= {
        "shape", "size", "receiver", "sender", "speaker", "stale", "early", "replayed", "signature", "message",
    }  # fmt: skip


def test_a_reader_in_another_language_agrees():
    node = shutil.which("node")
    if node is None:
        pytest.skip("NOT CHECKED: no node on this machine, so no second reader of the btws/1 vectors")
    done = subprocess.run(
        [node, str(HERE / "btws_reader.mjs"), str(FILE)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert report["checked"] + report["skipped"] == len(CASES)
    assert report["checked"] >= 100, "only what needs sr25519 may be left out"
