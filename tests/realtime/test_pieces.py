"""The small parts: flags, ends, admission, metrics, back-off, predictions, our own voice, handlers, verification."""

import argparse
import asyncio
import re
import ssl
import time
from pathlib import Path

import pytest

from wallet_guard.realtime import PredictionHandler, PredictionRefusedError, Speaker, add_args, ends, read_args
from wallet_guard.realtime.admission import Admission, Attempts
from wallet_guard.realtime.mailbox import Mailbox
from wallet_guard.realtime.metrics import Histogram, Metrics
from wallet_guard.realtime.miner import backoff
from wallet_guard.realtime.settings import WebSocketSettings
from wallet_guard.realtime.verification import Question, Verifier
from wallet_guard.signed.frames import Message, encode_message, parse_frame
from wallet_guard.signed.reception import Receiver, Voices
from wallet_guard.wire.errors import HttpError


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


def test_every_end_says_what_to_do_and_fits_a_close_frame():
    codes = [end.code for end in ends.ENDS]
    assert len(codes) == len(set(codes))
    for end in ends.ENDS:
        assert end.meaning
        assert end.advice
        assert len(end.reason.encode()) <= 123
        assert 1000 <= end.close < 5000
        assert 400 <= end.status < 600


@pytest.mark.parametrize("end", [end for end in ends.ENDS if end.close != 1006], ids=lambda end: end.code)
def test_the_other_side_recognises_every_end(end):
    assert ends.end_of_close(end.close, end.reason) is end
    assert ends.end_of_close(end.close, "in other words").close == end.close
    body = str(ends.describe(end)).replace("'", '"').encode()
    assert ends.end_of_response(end.status, body) is end


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (ConnectionRefusedError(), ends.UNREACHABLE), (TimeoutError(), ends.TIMEOUT), (ssl.SSLError(), ends.TLS),
        (HttpError(502, "x"), ends.PROTOCOL), (ends.RealtimeError(ends.HELLO), ends.HELLO),
    ],
)  # fmt: skip
def test_every_failed_attempt_has_its_end(error, end):
    assert ends.end_of_attempt(error) is end


@pytest.mark.parametrize(("status", "end"), [(401, ends.AUTHENTICATION), (404, ends.PROTOCOL), (503, ends.CLOSING)])
@pytest.mark.parametrize("body", [b"", b"[]", b'{"error":1}', b'{"error":{"code":"made up"}}', b"[" * 100_000])
def test_a_refusal_without_our_words_is_judged_by_its_status(status, end, body):
    assert ends.end_of_response(status, body) is end


def test_every_refused_frame_has_its_end():
    source = "".join(path.read_text() for path in _signed("frames", "reception"))
    assert set(re.findall(r'FrameError\(\s*"(\w+)"', source)) | {"signature"} == set(ends.OF_FRAME)


def _signed(*names):
    return [Path(__file__).parents[2] / "wallet_guard" / "signed" / f"{name}.py" for name in names]


@pytest.mark.parametrize(
    ("allow", "deny", "registered", "admitted"),
    [
        (None, (), None, "abc"), (None, "b", None, "ac"), ("a", (), None, "a"), (None, (), "ab", "ab"),
        ("c", (), "a", "ac"), ("c", "c", "a", "a"), (None, (), "", ""),
    ],
)  # fmt: skip
def test_deny_goes_before_allow_before_registration(allow, deny, registered, admitted):
    async def scene():
        source = None if registered is None else lambda: list(registered)
        admission = Admission(source, None, allow, deny)
        await admission.refresh()
        assert "".join(hotkey for hotkey in "abc" if admission.admits(hotkey)) == admitted

    asyncio.run(scene())


def test_a_source_that_fails_leaves_the_last_answer_and_a_metagraph_is_a_source(caplog):
    class Metagraph:
        hotkeys = ("a",)

    metagraph = Metagraph()
    admission = Admission(None, metagraph, None, ())

    async def scene():
        assert not admission.admits("a")
        await admission.refresh()
        assert admission.admits("a")
        del Metagraph.hotkeys
        await admission.refresh()
        assert admission.admits("a")

    asyncio.run(scene())
    assert "the last answer holds" in caplog.text


def test_attempts_run_out_and_come_back():
    attempts = Attempts(6)
    for _ in range(6):
        assert attempts.may("a", 0.0)
        attempts.failed("a", 0.0)
    assert not attempts.may("a", 9.0)
    assert attempts.may("b", 0.0)
    assert attempts.may("a", 10.0)
    for number in range(20_000):
        attempts.failed(str(number), 20.0)
    assert len(attempts._left) <= 10_000


def test_metrics_are_what_prometheus_reads():
    metrics = Metrics()
    metrics.received["prediction"] += 2
    metrics.verdicts["taken"] += 1
    for seconds in (0.00005, 0.003, 99.0):
        metrics.round_trip.observe(seconds)
    text = metrics.render({"connections": 3})
    assert re.fullmatch(r'(# TYPE \w+ (gauge|counter|histogram)\n|\w+(\{\w+="[^"]*"\})? [0-9.e+]+\n)+', text)
    assert 'btws_messages_received_total{type="prediction"} 2\n' in text
    assert 'btws_round_trip_seconds_bucket{le="0.005"} 2\n' in text
    assert 'btws_round_trip_seconds_bucket{le="+Inf"} 3\n' in text


def test_backoff_doubles_to_its_ceiling_with_jitter():
    assert [backoff(n, 1, 60, patient=False, chance=1.0) for n in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(0, 1, 60, patient=True, chance=0.0) == 30
    assert backoff(10**6, 1, 60, patient=False, chance=0.0) == 30
    drawn = {backoff(3, 1, 60, patient=False) for _ in range(100)}
    assert min(drawn) >= 4 <= 8 >= max(drawn)
    assert len(drawn) > 50


# --- predictions


class Manager:
    def __init__(self):
        self.confirmed = []

    def register_prediction_handler(self, handler):
        self.handler = handler

    async def send_confirmation(self, miner_hotkey, data):
        self.confirmed.append(data)
        return True


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        ({"prediction_id": "p", "home_score": 0, "away_score": 2.5}, "success", "taken"),
        ({}, "error", "prediction_id"),
        ({"prediction_id": "x" * 65}, "error", "prediction_id"),
        ({"prediction_id": "p", "home_score": -1}, "error", "home_score"),
        ({"prediction_id": "p", "away_score": True}, "error", "away_score"),
        ({"prediction_id": "p", "away_score": "1"}, "error", "away_score"),
        ({"prediction_id": "late"}, "error", "the game has begun"),
    ],
)
def test_every_prediction_is_confirmed_taken_or_refused(data, status, message):
    class Plain:
        def process_prediction(self, miner_hotkey, data):
            if data["prediction_id"] == "late":
                raise PredictionRefusedError("the game has begun")

    manager = Manager()
    PredictionHandler(Plain()).register_with_websocket_manager(manager)
    asyncio.run(manager.handler("m", data))
    (confirmation,) = manager.confirmed
    assert (confirmation["status"], confirmation["prediction_id"]) == (status, data.get("prediction_id", ""))
    assert message in confirmation["message"]


def test_a_validators_own_error_is_confirmed_without_its_text_and_raised_on():
    class Broken:
        async def process_prediction(self, miner_hotkey, data):
            raise RuntimeError("secret path")

    manager = Manager()
    PredictionHandler(Broken()).register_with_websocket_manager(manager)
    with pytest.raises(RuntimeError):
        asyncio.run(manager.handler("m", {"prediction_id": "p"}))
    assert manager.confirmed[0]["status"] == "error"
    assert "secret" not in str(manager.confirmed)


# --- our own voice


def test_numbers_rise_for_each_receiver_and_begin_at_the_clock(kit):
    speaker = Speaker.of_hotkey(kit.MINER)
    seen = [
        parse_frame(speaker.frame(to, [], 5_000_000).decode().replace('"}</', '"}\n}</')).seq for to in ("*", "*", "*")
    ]
    assert seen == [5000, 5001, 5002]
    assert speaker.last_broadcast() == 5002


def test_a_speaker_needs_its_own_certificate_and_a_scheme_that_can_be_verified(kit):
    speaker = kit.session(seed=7)
    from wallet_guard.signed.schemes import Ed25519Key

    with pytest.raises(ValueError, match="another"):
        Speaker.of_session(Ed25519Key(bytes(32)), speaker.certificate)

    class Strange:
        crypto_type, ss58_address = 2, ""

    with pytest.raises(ValueError, match="crypto type 2"):
        Speaker.of_hotkey(Strange())


# --- handlers


class Outlet:
    def __init__(self):
        self.heard = []

    def done(self, message, failure):
        self.heard.append((message.id, failure))


def message(id_):
    return Message("note", id_, False, {"id": id_})


def test_handlers_of_one_peer_run_in_order_and_trouble_is_told(caplog):
    order, outlet, drained = [], Outlet(), []

    async def slow(hotkey, data):
        await asyncio.sleep(0.01)
        order.append(data["id"])

    async def hang(hotkey, data):
        await asyncio.sleep(60)

    def fail(hotkey, data):
        raise RuntimeError

    async def fail_later(hotkey, data):
        raise RuntimeError

    async def scene():
        mailbox = Mailbox("m", 0.05, lambda: drained.append(1))
        handlers = (fail, slow, hang, lambda _h, data: order.append(data["id"]), fail, fail_later, slow)
        for number, handler in enumerate(handlers):
            mailbox.put(handler, message(str(number)), outlet)
        assert len(mailbox) == 5
        while not drained:
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(scene(), 5))
    assert order == ["1", "3", "6"]
    assert [failure for _, failure in outlet.heard] == ["failed", "", "timeout", "", "failed", "failed", ""]
    assert [id_ for id_, _ in outlet.heard] == [str(number) for number in range(7)]


# --- verification


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
            verifier.submit(Question(judges[at % 3], frame, voice))
            verifier.submit(Question(gone, frame, voice))
        while sum(len(judge.answers) for judge in judges) < count:
            await asyncio.sleep(0.005)
        for at, judge in enumerate(judges):
            assert judge.answers == [(seq, seq % 5 != 0) for seq in range(1 + at, count + 1, 3)]
        assert gone.answers == []
        assert histogram.count
        verifier.close()

    asyncio.run(asyncio.wait_for(scene(), 20))
