import base64
import hashlib
import pickle
import sys
from pathlib import Path

import pytest

from wallet_guard.signed.audit import Point
from wallet_guard.signed.checkpoint import AuditKey, AuditVerifier, NoteError, open_checkpoint, parse_verifier

KEY = AuditKey(bytes(range(32)))
OTHER = AuditKey(bytes(32))
POINT = Point(4711, hashlib.sha256(b"head").digest())
NOTE = KEY.checkpoint(POINT, 1_780_000_000_000)


def test_says_what_was_signed():
    found = open_checkpoint(NOTE, KEY.verifier)
    assert (found.origin, found.point, found.at_ms) == (KEY.verifier.name, POINT, 1_780_000_000_000)


def test_has_the_documented_form():
    name = KEY.verifier.name
    body, _, signature = NOTE.partition("\n\n")
    assert body.split("\n") == [name, "4711", base64.b64encode(POINT.hash).decode(), "time 1780000000000"]
    mark, signer, encoded = signature.rstrip("\n").split(" ")
    raw = base64.b64decode(encoded)
    assert (mark, signer, len(raw)) == ("—", name, 68)
    # c2sp.org/signed-note: SHA-256(name ‖ LF ‖ 1 ‖ public key), the first four bytes
    assert raw[:4] == hashlib.sha256(name.encode() + b"\n\x01" + KEY.verifier.public_key).digest()[:4]


def test_reads_the_example_of_the_specification():
    """c2sp.org/signed-note's own example: key and note by golang.org/x/mod/sumdb/note."""
    verifier = parse_verifier("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert verifier.name == "PeterNeumann"
    assert str(verifier) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def test_any_single_character_changed_is_found():
    for place, character in enumerate(NOTE):
        for other in "A9\n —+=":
            if other != character:
                with pytest.raises(NoteError):
                    open_checkpoint(NOTE[:place] + other + NOTE[place + 1 :], KEY.verifier)


@pytest.mark.parametrize(
    "note", ["", "\n", "\n\n", "a\n\nb", NOTE[:-1], NOTE + "\n", " " + NOTE, NOTE * 20, NOTE + NOTE]
)
def test_another_form_is_refused(note):
    with pytest.raises(NoteError):
        open_checkpoint(note, KEY.verifier)


def test_another_key_is_refused():
    with pytest.raises(NoteError, match=f"expected a checkpoint of {OTHER.verifier.name}"):
        open_checkpoint(NOTE, OTHER.verifier)
    namesake = AuditVerifier(KEY.verifier.name, OTHER.verifier.public_key)
    with pytest.raises(NoteError, match="found none of this key"):
        open_checkpoint(NOTE, namesake)


def test_a_witness_may_sign_below():
    cosigned = NOTE + "— witness.example/w1 " + base64.b64encode(bytes(76)).decode() + "\n"
    assert open_checkpoint(cosigned, KEY.verifier).point == POINT
    with pytest.raises(NoteError, match="signature line"):
        open_checkpoint(NOTE + "something else\n", KEY.verifier)


def test_a_key_reads_back():
    assert parse_verifier(str(KEY.verifier)) == KEY.verifier
    assert parse_verifier(f"{KEY.verifier}\n") == KEY.verifier


@pytest.mark.parametrize(
    "text", ["", "a", "a+b+c", "++", str(KEY.verifier)[:-4], str(KEY.verifier).replace("+", "", 1)]
)
def test_no_key_is_refused(text):
    with pytest.raises(NoteError):
        parse_verifier(text)


def test_the_secret_has_no_printable_form():
    assert bytes(range(32)).hex() not in repr(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
    with pytest.raises(ValueError, match="32 bytes"):
        AuditKey(b"short")


def test_needs_nothing_but_the_standard_library_and_pynacl():
    import subprocess

    code = "import sys, wallet_guard.signed.audit, wallet_guard.signed.checkpoint; print(*sys.modules)"
    root = Path(__file__).parents[2]
    shown = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    packages = {name.partition(".")[0] for name in shown.stdout.split()}
    strange = packages - set(sys.stdlib_module_names) - {"wallet_guard", "nacl", "_cffi_backend", "cffi"}
    assert {name for name in strange if not name.startswith("_")} <= {"sitecustomize", "bittensor_drand_pth"}, strange
