"""Verification beside the event loop."""

import asyncio
import time

import pytest

from wallet_guard.realtime.metrics import Histogram
from wallet_guard.realtime.verification import Verifier
from wallet_guard.signed.frames import encode_message, parse_frame
from wallet_guard.signed.reception import Receiver, Voices


class Judge:
    def __init__(self):
        self.ended = False
        self.answers = []

    def judged(self, frame, voice, *, genuine):
        self.answers.append((frame.seq, genuine))


@pytest.mark.parametrize("threads", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [1, 7, 8, 700])
def test_answers_come_in_order_and_right_however_they_are_spread(kit, threads, count):
    speaker = kit.session()
    voices = Voices(speaker.hotkey)
    voices.add_certificate(
        speaker.certificate, receiver=kit.OTHER.ss58_address, netuid=2, now_ms=time.time_ns() // 10**6
    )
    receiver = Receiver(kit.OTHER.ss58_address, start_ms=0)
    questions = []
    for seq in range(1, count + 1):
        line = encode_message("note", "", {})
        frame = parse_frame(speaker.sign_frame(receiver.hotkey, seq, [line], time.time_ns()).decode())
        voice = receiver.check(frame, voices, time.time_ns() // 10**6, broadcasts=False)
        broken = frame._replace(signed=frame.signed.replace(b"note", b"nota"))
        questions.append((broken if seq % 5 == 0 else frame, voice))

    async def scene():
        histogram = Histogram()
        verifier = Verifier(threads, histogram)
        judges = [Judge() for _ in range(3)]
        gone = Judge()
        gone.ended = True
        for at, (frame, voice) in enumerate(questions):
            verifier.submit(judges[at % 3], frame, voice)
            verifier.submit(gone, frame, voice)
        while sum(len(judge.answers) for judge in judges) < count:
            await asyncio.sleep(0.005)
        for at, judge in enumerate(judges):
            assert judge.answers == [(seq, seq % 5 != 0) for seq in range(1 + at, count + 1, 3)]
        assert gone.answers == []
        assert histogram.count
        verifier.close()

    asyncio.run(asyncio.wait_for(scene(), 60))
