"""What a container starts with: writes the configuration that the environment spells, then becomes the process.

    start.py signer | gateway | chain | hub

The environment is that of compose.yaml: `network`, `chain_endpoint` (comma separated; empty: the network's own),
`genesis`, `hotkeys` (comma separated WALLET/HOTKEY), `block_time`, `hub_netuid` (empty: no hub).
"""

import json
import os
import sys

CONFIG = "/tmp/wallet-guard.toml"  # noqa: S108 -- a tmpfs of this container alone


_HUB = """\
hub_hotkeys = [{hotkey}]
hub_user = "wallet-guard-hub"
[hub]
enabled = true
hotkey = {hotkey}
netuid = {netuid}
tcp = ["0.0.0.0:8091"]
messages_in_clear = true
metagraph = "/run/wallet-guard-members/chain-hub.sock"
"""
# Signed, and readable to others on their way: put TLS in front where that matters.


def configuration(environment: dict[str, str]) -> str:
    """The TOML text; what is wrong in it is said by the process that reads it."""
    endpoints = [url.strip() for url in environment.get("chain_endpoint", "").split(",") if url.strip()]
    hotkeys = [name.strip() for name in environment.get("hotkeys", "validator/default").split(",")]
    hub = environment.get("hub_netuid", "")
    lines = [
        'run = "/run/wallet-guard"',
        "[signer]",
        'state = "/var/lib/wallet-guard/state"',
        'wallets = "/wallets"',
        f"hotkeys = {json.dumps(hotkeys)}",
        'password_file = "/run/secrets/key_password"',
        'gateway_user = "wallet-guard-gateway"',
        'chain_user = "wallet-guard-chain"',
        *(_HUB.format(hotkey=json.dumps(hotkeys[0]), netuid=hub) if hub else "").splitlines(),
        "[chain]",
        f"network = {json.dumps(environment.get('network', 'finney'))}",
        f"endpoints = {json.dumps(endpoints)}",
        f"genesis = {json.dumps(environment.get('genesis', ''))}",
        f"block_time_seconds = {environment.get('block_time') or '12.0'}",
        "[gateway]",
        'unix = "/tmp/gateway.sock"',
        # Inside the container every address is its own; compose.yaml publishes it on the host's loopback only.
        'tcp = ["0.0.0.0:8000"]',
        "tokens_in_clear = true",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with open(CONFIG, "w", encoding="utf-8") as written:
        written.write(configuration(dict(os.environ)))
    os.execv(sys.executable, [sys.executable, "-I", "-m", f"wallet_guard.{sys.argv[1]}", "--config", CONFIG])  # noqa: S606
