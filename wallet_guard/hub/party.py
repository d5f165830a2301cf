"""What the hub remembers of hotkeys: as any party, and their certificates as they were shown."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from wallet_guard.realtime.party import Party, Peer
from wallet_guard.signed.certificate import Certificate, CertificateError, Purpose, parse_certificate

CERTIFICATES_KEPT: Final = 4
"""Of one hotkey, as they were shown: the other end must see them too. A node's, and those before a renewal."""


class RelayParty(Party):
    """Knows certificates as they were shown, and the application by its purpose."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.certificates: dict[str, OrderedDict[str, str]] = {}  # by hotkey, by session key

    def add_certificate(self, text: str, peer: Peer) -> Certificate:
        """As for any party; of our own hotkey only those that an application shows to miners.

        Raises:
            CertificateError: it does not hold, or would make a hub speak for the application.
        """
        if peer.hotkey == self.hotkey:
            claimed = parse_certificate(text).certificate
            if claimed.purpose is not Purpose.NODE:
                raise CertificateError("wrong_purpose", f"expected purpose node, found {claimed.purpose}")
            if claimed.receiver is not None:
                raise CertificateError("wrong_receiver", "expected one for any receiver, since miners are to see it")
        found = super().add_certificate(text, peer)
        kept = self.certificates.setdefault(peer.hotkey, OrderedDict())
        kept[found.key.hex()] = text
        kept.move_to_end(found.key.hex())
        while len(kept) > CERTIFICATES_KEPT:
            kept.popitem(last=False)
        return found

    def certificate(self, hotkey: str, key: str) -> str:
        """The certificate of a key, "" if none was shown."""
        kept = self.certificates.get(hotkey)
        return "" if kept is None else kept.get(key, "")

    def tidy(self, admits: Callable[[str], bool]) -> None:
        """Lets go of certificates that were shown by hotkeys which never came in, and may not any more."""
        for hotkey in [hotkey for hotkey in self.certificates if hotkey not in self.peers and not admits(hotkey)]:
            del self.certificates[hotkey]

    def forget(self, hotkey: str) -> None:
        """Lets go of its certificates as well."""
        super().forget(hotkey)
        self.certificates.pop(hotkey, None)
