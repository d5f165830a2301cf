"""Texts for people, signed so that they can be nothing else.

What is signed is ``<Bytes>wallet-guard message\\n…</Bytes>``. The wrapper alone would not do: the ecosystem's verifiers
take a wrapped signature for the bare text, so the text itself begins with a line that no request, certificate or call
begins with. Off by default: no client may ask before the operator says so.
"""

from hashlib import sha256

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.signatures import MAX_TEXT_CHARACTERS, TEXT, SignText, TextView
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.grants import Asked, deny, grant, hour_of

FIRST_LINE = "wallet-guard message"


def sign_text(desk: Desk, question: SignText) -> TextView | Refusal:
    """The signature and the exact text under it, or why not."""
    asked = Asked(question.wallet, question.hotkey, TEXT)
    granted = grant(desk, question.token, asked)
    if isinstance(granted, Refusal):
        return granted
    why = _wrong_text(question.text)
    if why:
        return deny(desk, granted.client.name, asked, Refusal("invalid_request", why))
    client, key, now = granted.client, granted.key, desk.now_ms()
    signed = f"<Bytes>{FIRST_LINE}\n{question.text}</Bytes>"
    signature = key.sign(signed.encode())
    with desk.journal.transaction() as writer:
        writer.count_signed(client.name, TEXT, hour_of(now))
        writer.record(
            now,
            "text_signed",
            client.name,
            key=f"{key.wallet}/{key.hotkey}",
            characters=len(question.text),
            sha256=sha256(signed.encode()).hexdigest(),
        )
    return TextView(key.ss58_address, key.scheme, signed, signature)


def _wrong_text(text: str) -> str:
    if not 1 <= len(text) <= MAX_TEXT_CHARACTERS:
        return f"message: expected 1 to {MAX_TEXT_CHARACTERS} characters, found {len(text)}"
    # What an operator reads in a terminal must be what was signed: no escapes, no marks that reorder a line.
    if not all(character.isprintable() or character == "\n" for character in text):
        return "message: expected printable characters and line feeds"
    return ""
