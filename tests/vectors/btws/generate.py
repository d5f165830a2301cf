"""Writes vectors.json anew: `python tests/vectors/btws/generate.py`. sr25519 signatures differ each time.

Every case is one peer at one receiver: certificates that are presented, then frames that arrive, each with what
becomes of it: "taken", or the code of the refusal and the rule of hardening/btws.md that it breaks.
"""

import json
from pathlib import Path

import bittensor_core

from wallet_guard.signed.certificate import Certificate, Purpose, encode_certificate
from wallet_guard.signed.frames import encode_frame, encode_message, encode_unsigned
from wallet_guard.signed.schemes import Ed25519Key, address_of

NOW = 1_763_690_000_000
NETUID = 2
RECEIVER = bittensor_core.Keypair.create_from_uri("//Bob").ss58_address
OTHER = bittensor_core.Keypair.create_from_uri("//Charlie").ss58_address
MINER = Ed25519Key(b"\x01" * 32)
SESSION = Ed25519Key(b"\x02" * 32)
STRANGER = Ed25519Key(b"\x03" * 32)
ALICE = bittensor_core.Keypair.create_from_uri("//Alice")
HOTKEY = address_of(MINER.public_key)
SEQ = NOW * 1000
PREDICTION = encode_message("prediction", "k3.1", {"prediction_id": "p1", "home_score": 2, "away_score": 1.5}, ack=True)


def certificate(signer=MINER, speaker=HOTKEY, scheme="ed25519", key=SESSION, **changed):
    fields = {
        "purpose": Purpose.NODE, "netuid": NETUID, "receiver": RECEIVER,
        "from_ms": NOW - 60_000, "until_ms": NOW + 3_600_000, "serial": "0f" * 16,
    } | changed  # fmt: skip
    body = Certificate(speaker=speaker, scheme=scheme, key=key.public_key, **fields).body()
    return encode_certificate(body, signer.sign(body))


def frame(*lines, key=MINER, speaker="ed25519", seq=SEQ, ts=NOW, sender=HOTKEY, to=RECEIVER, tamper=None):
    signed = encode_unsigned(speaker, seq, ts, sender, to, lines or (PREDICTION,))
    signature = key.sign(signed)
    return encode_frame(signature, tamper(signed) if tamper else signed).decode()


def case(name, *frames, hotkey=HOTKEY, scheme="ed25519", certificates=(), broadcasts=False, why=""):
    return {
        "name": name, "why": why, "hotkey": hotkey, "scheme": scheme, "broadcasts": broadcasts,
        "certificates": [{"certificate": text, "expect": expect} for text, expect in certificates],
        "frames": [{"frame": text, "expect": expect} for text, expect in frames],
    }  # fmt: skip


SESSION_NAME = SESSION.public_key.hex()
GOOD = certificate()
SPOKEN = {"key": SESSION, "speaker": SESSION_NAME}


def raw(data, head='{"type":"prediction","id":"","data":'):
    return f"{head}{data}}}"


def valid():
    yield case("one message by the hotkey, Ed25519", (frame(), "taken"))
    yield case(
        "one message by the hotkey, sr25519",
        (frame(key=ALICE, speaker="sr25519", sender=ALICE.ss58_address), "taken"),
        hotkey=ALICE.ss58_address, scheme="sr25519",
    )  # fmt: skip
    yield case("by a session key", (frame(**SPOKEN), "taken"), scheme="", certificates=[(GOOD, "taken")])
    yield case(
        "by a session key that an sr25519 hotkey certifies",
        (frame(sender=ALICE.ss58_address, **SPOKEN), "taken"),
        hotkey=ALICE.ss58_address, scheme="",
        certificates=[(certificate(ALICE, ALICE.ss58_address, "sr25519"), "taken")],
    )  # fmt: skip
    anyone = certificate(netuid=None, receiver=None)
    yield case("certificate for any receiver and netuid", (frame(**SPOKEN), "taken"), certificates=[(anyone, "taken")])
    yield case("64 messages", (frame(*[encode_message("x", str(n), {"n": n}) for n in range(64)]), "taken"))
    yield case("a broadcast, where they are heard", (frame(to="*"), "taken"), broadcasts=True)
    yield case("empty data and id", (frame(raw("{}")), "taken"))
    yield case("spaces inside data", (frame(raw('{ "a" : [ 1 , null ] }')), "taken"))
    yield case("UTF-8 and escapes", (frame(raw('{"ü":"\\u00e9\\ud83d\\ude00 </Bytes>\u2028"}')), "taken"))
    yield case("64 levels", (frame(raw('{"a":' + "[" * 63 + "]" * 63 + "}")), "taken"))
    yield case("numbers of every form", (frame(raw('{"a":[0,-1,1.5,1e3,-2E-7,9007199254740993]}')), "taken"))
    yield case("30 s old", (frame(ts=NOW - 30_000), "taken"))
    yield case("5 s ahead", (frame(ts=NOW + 5_000), "taken"))
    yield case(
        "overtaken within the window",
        *((frame(seq=SEQ + n), "taken") for n in (0, 1024, 1, 1023, 1025)),
        (frame(seq=SEQ + 1), "replayed"),
    )
    yield case("a gap of any size", (frame(seq=1), "taken"), (frame(seq=2**53 - 1), "taken"))
    yield case("direct and broadcast count apart", (frame(), "taken"), (frame(to="*"), "taken"), broadcasts=True)
    yield case(
        "hotkey and session key count apart", (frame(), "taken"), (frame(**SPOKEN), "taken"),
        certificates=[(GOOD, "taken")],
    )  # fmt: skip
    hub = certificate(purpose=Purpose.HUB, until_ms=NOW + 60_000)
    yield case(
        "a hub says ack", (frame(encode_message("ack", "", {"ids": []}), **SPOKEN), "taken"),
        scheme="", certificates=[(hub, "taken")],
    )  # fmt: skip


def refused(name, text, code, why, **more):
    return case(name, (text, code), why=why, **more)


def invalid_shape():
    good = frame()
    yield refused("empty", "", "shape", "section 3")
    yield refused("no header", "00" * 64 + "\n", "shape", "section 3")
    yield refused("upper-case signature", good[:128].upper() + good[128:], "shape", "hex is lower case")
    yield refused("signature with 0x", "0x" + good, "shape", "section 3")
    yield refused("short signature", good[2:], "shape", "128 digits")
    yield refused("CR LF", good.replace("\n", "\r\n"), "shape", "LF alone")
    yield refused("space in the header", good.replace('"v":', '"v": '), "shape", "one spelling")
    swapped = good.replace('{"v":"btws/1","speaker":"ed25519",', '{"speaker":"ed25519","v":"btws/1",')
    yield refused("another order", swapped, "shape", "one spelling")
    yield refused("another version", good.replace("btws/1", "btws/2"), "shape", "section 3")
    yield refused("seq with a leading zero", frame(seq="01"), "shape", "decimal without leading zeros")
    yield refused("negative seq", frame(seq=-1), "shape", "from 1")
    yield refused("seq 0", frame(seq=0), "shape", "from 1")
    yield refused("seq beyond 2^53", frame(seq=2**53), "shape", "to 2^53-1")
    yield refused("seq as text", frame(seq='"1"'), "shape", "a number")
    yield refused("seq in digits that are no ASCII", frame(seq="١"), "shape", "decimal")
    yield refused("ts as a float", frame(ts=f"{NOW}.0"), "shape", "whole milliseconds")
    yield refused("an extra field", good.replace('"seq"', '"x":1,"seq"'), "shape", "one spelling")
    yield refused("no opening tag", good.replace("<Bytes>", ""), "shape", "section 3")
    yield refused("no closing tag", good.replace("</Bytes>", ""), "shape", "section 3")
    yield refused("LF behind the end", good + "\n", "shape", "section 3")
    yield refused("65 messages", frame(*["{}"] * 65), "size", "at most 64")
    whole = len(frame().encode())
    yield refused("one byte too long", frame(), "size", "step 1: the size agreed") | {"max_frame_bytes": whole - 1}
    umlauts = frame(raw('{"a":"üüü"}'))
    yield refused("too long in bytes, not in characters", umlauts, "size", "bytes of UTF-8") | {
        "max_frame_bytes": len(umlauts)
    }
    yield refused("no object at the end", frame("prediction"), "shape", "section 3: a message ends with }")
    yield refused("an empty last line", frame(PREDICTION, ""), "shape", "section 3")
    yield refused("signature only", good.split("\n")[0], "shape", "section 3")


def invalid_identity():
    yield refused("for another receiver", frame(to=OTHER), "receiver", "step 2")
    yield refused("a broadcast where none is heard", frame(to="*"), "receiver", "step 2")
    yield refused("from another hotkey", frame(sender=OTHER), "sender", "step 3")
    yield refused("a session key without certificate", frame(**SPOKEN), "speaker", "step 4")
    yield refused("the hotkey where only its session key was named", frame(), "speaker", "step 4",
                  scheme="", certificates=[(GOOD, "taken")])  # fmt: skip
    yield refused("the other scheme's name", frame(speaker="sr25519"), "speaker", "step 4")
    yield refused("too old", frame(ts=NOW - 30_001), "stale", "step 5")
    yield refused("too far ahead", frame(ts=NOW + 5_001), "early", "step 5")
    yield case("twice", (frame(), "taken"), (frame(), "replayed"), why="step 6")
    yield case("behind the window", (frame(seq=SEQ + 1024), "taken"), (frame(seq=SEQ), "replayed"), why="step 6")
    yield case("before the first", (frame(), "taken"), (frame(seq=SEQ - 1), "replayed"), why="step 6: no window yet")
    yield case("same number, other content", (frame(), "taken"), (frame(raw("{}")), "replayed"), why="step 6")


def invalid_signature():
    yield refused("all zeros", "00" * 64 + frame()[128:], "signature", "step 7")
    yield refused("by a stranger", frame(key=STRANGER), "signature", "step 7")
    yield refused("by the session key in the hotkey's name", frame(key=SESSION), "signature", "step 7",
                  certificates=[(GOOD, "taken")])  # fmt: skip
    for old, new in (
        (b"home", b"hone"),
        (b'"seq":17', b'"seq":18'),
        (b"prediction", b"predictiom"),
        (b',"ack":true', b""),
    ):
        yield refused(
            f"{old.decode()} changed", frame(tamper=lambda s, o=old, n=new: s.replace(o, n, 1)), "signature", "step 7"
        )
    yield refused("a message appended", frame(tamper=lambda s: s[:-8] + b"\n" + raw("{}").encode() + b"</Bytes>"),
                  "signature", "step 7")  # fmt: skip
    yield refused(
        "signature of the unwrapped text", frame(key=_Unwrapped(MINER)), "signature", "section 3: what is signed"
    )
    broken = case(
        "a forgery takes no number", (frame(key=STRANGER), "signature"), (frame(), "taken"), why="step 8 after 7"
    )
    yield broken
    alice = {"sender": ALICE.ss58_address, "speaker": "sr25519"}
    as_alice = {"hotkey": ALICE.ss58_address, "scheme": "sr25519"}
    eve = bittensor_core.Keypair.create_from_uri("//Eve")
    yield refused("sr25519 by a stranger", frame(key=eve, **alice), "signature", "step 7", **as_alice)
    unwrapped = frame(key=_Unwrapped(ALICE), **alice)
    yield refused("sr25519 signature of the unwrapped text", unwrapped, "signature", "section 3", **as_alice)


class _Unwrapped:
    def __init__(self, key):
        self.key = key

    def sign(self, signed):
        return self.key.sign(signed[7:-8])


def invalid_message():
    for name, line in {
        "no JSON": "prediction}",
        "an empty line": "\n" + PREDICTION,
        "a space in the envelope": '{"type": "prediction","id":"","data":{}}',
        "no id": '{"type":"prediction","data":{}}',
        "ack false": '{"type":"prediction","id":"a.1","ack":false,"data":{}}',
        "data is a list": raw("[]"),
        "data is null": raw("null"),
        "data is missing": '{"type":"prediction","id":"","data":}',
        "something behind data": raw('{},"type":"confirmation"'),
        "two objects": raw("{}}{"),
        "a name twice": raw('{"a":1,"a":2}'),
        "a name twice, deep": raw('{"a":[{"b":1,"\\u0062":2}]}'),
        "NaN": raw('{"a":NaN}'),
        "infinity": raw('{"a":-Infinity}'),
        "1e999": raw('{"a":1e999}'),
        "half a surrogate pair": raw('{"a":"\\ud800"}'),
        "65 levels": raw('{"a":' + "[" * 64 + "]" * 64 + "}"),
        "10,000 levels": raw('{"a":' + "[" * 10_000 + "]" * 10_000 + "}"),
        "a control character": raw('{"a":"\t"}'),
        "a leading zero": raw('{"a":01}'),
        "a trailing comma": raw('{"a":1,}'),
        "upper-case type": '{"type":"Prediction","id":"","data":{}}',
        "type of 33 characters": '{"type":"' + "a" * 33 + '","id":"","data":{}}',
        "id of 65 characters": '{"type":"a","id":"' + "a" * 65 + '","data":{}}',
        "id with a space": '{"type":"a","id":"a b","data":{}}',
    }.items():
        yield refused(name, frame(line), "message", "section 3")
    yield refused(
        "one bad message among good ones", frame(PREDICTION, "x", PREDICTION), "message", "step 8: the whole frame"
    )
    hub = certificate(purpose=Purpose.HUB, until_ms=NOW + 60_000)
    yield refused("a hub speaks as the application", frame(**SPOKEN), "message", "section 2: purpose hub",
                  scheme="", certificates=[(hub, "taken")])  # fmt: skip
    yield refused("ack asked for an id that is none", frame(encode_message("prediction", "1", {}, ack=True)), "message",
                  "section 7: stream.number")  # fmt: skip


def invalid_certificate():
    for name, code, changed in (
        ("ended", "expired", {"from_ms": NOW - 9000, "until_ms": NOW}),
        ("begins later", "not_yet_valid", {"from_ms": NOW + 10_001}),
        ("for another netuid", "wrong_netuid", {"netuid": 3}),
        ("for another receiver", "wrong_receiver", {"receiver": OTHER}),
        ("of another hotkey", "wrong_speaker", {"speaker": ALICE.ss58_address, "scheme": "sr25519", "signer": ALICE}),
        ("signed by its own key", "bad_signature", {"signer": SESSION}),
        ("signed in another scheme's name", "bad_signature", {"scheme": "sr25519"}),
    ):
        yield case(f"certificate {name}", (frame(**SPOKEN), "speaker"), scheme="", why="section 2",
                   certificates=[(certificate(**changed), code)])  # fmt: skip
    for name, text in {
        "cut short": GOOD[:-4],
        "padded": GOOD + "=",
        "empty": "",
        "other alphabet": "+" + GOOD[1:],
    }.items():
        yield case(f"certificate {name}", (frame(**SPOKEN), "speaker"), scheme="", why="section 2",
                   certificates=[(text, "malformed")])  # fmt: skip
    flipped = certificate(signer=_Flipped())
    yield case("certificate altered", (frame(**SPOKEN), "speaker"), scheme="", why="section 2",
               certificates=[(flipped, "bad_signature")])  # fmt: skip


class _Flipped:
    def sign(self, body):
        return MINER.sign(body.replace(b"netuid 2", b"netuid *"))


def main():
    groups = (invalid_shape, invalid_identity, invalid_signature, invalid_message, invalid_certificate)
    vectors = {
        "note": "btws/1; see hardening/btws.md. Made by generate.py. Keys: Ed25519 seeds 01…, 02…; //Alice, //Bob.",
        "receiver": RECEIVER, "netuid": NETUID, "now_ms": NOW, "start_ms": NOW - 3_600_000,
        "valid": list(valid()), "invalid": [case for group in groups for case in group()],
    }  # fmt: skip
    vectors["invalid"] += [before_start()]
    Path(__file__).with_name("vectors.json").write_text(json.dumps(vectors, indent=1, ensure_ascii=True) + "\n")


def before_start():
    late = refused("from before the receiver's start", frame(ts=NOW - 20_000), "stale", "step 5")
    return late | {"start_ms": NOW - 10_000}


main()
