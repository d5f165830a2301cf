"""Puts the addresses of the chain's endpoints into the nftables sets `endpoints` and `endpoints6`.

Run as root by wallet-guard-endpoints.timer, with the interpreter of /opt/wallet-guard/current/guard. An address stays
for KEPT after it was last seen, so that a name that turns among several addresses gathers them all. Prints what it
would tell nft(8) with --show.
"""

import ipaddress
import socket
import subprocess
import sys
from urllib.parse import urlsplit

from wallet_guard.host.config import load_config

KEPT = "2h"
"""Longer than any sensible time to live of a name, and than an outage of the resolver that we want to outlast."""

PORTS = {"ws": 80, "wss": 443}


def addresses(url: str) -> set[tuple[str, int]]:
    """(address, port) of everything that the URL's host resolves to; raises OSError where it does not."""
    parts = urlsplit(url)
    port = parts.port or PORTS[parts.scheme]
    return {(str(found[4][0]), port) for found in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)}


def commands(found: set[tuple[str, int]]) -> str:
    """What nft(8) is told: an element that is there is removed and added again, which renews its time."""
    lines = []
    for address, port in sorted(found):
        name = "endpoints" if ipaddress.ip_address(address).version == 4 else "endpoints6"
        element = f"element inet wallet_guard {name} {{ {address} . {port}"
        lines += [f"add {element} timeout {KEPT} }}", f"delete {element} }}", f"add {element} timeout {KEPT} }}"]
    return "".join(f"{line}\n" for line in lines)


def main(words: list[str]) -> int:
    """1 where any endpoint could not be resolved; the others are put in all the same."""
    config = load_config(
        next((word for word in words if not word.startswith("-")), "/etc/wallet-guard/wallet-guard.toml")
    )
    found: set[tuple[str, int]] = set()
    status = 0
    for url in config.chain.endpoints:
        try:
            found |= addresses(url)
        except OSError as error:
            sys.stderr.write(f"{url}: {error}\n")
            status = 1
    if "--show" in words:
        sys.stdout.write(commands(found))
        return status
    # In one transaction: there is no moment without the element.
    subprocess.run(("/usr/sbin/nft", "-f", "-"), input=commands(found), text=True, check=True, timeout=30)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
