"""A validator on bittensor 11.1 that keeps the SDK's own client: a remote signer in the place of the wallet."""

import asyncio
import sys

import bittensor as bt

from wallet_guard.client import RemoteSigner


async def main(endpoint: str, netuid: int) -> None:
    """Serves a metrics endpoint and sets plain weights; the SDK composes and submits."""
    signer = RemoteSigner(wallet="validator")  # WALLET_SERVICE_URL, WALLET_SERVICE_TOKEN
    async with bt.Subtensor(endpoint) as client:
        served = await client.execute(bt.ServePrometheus(netuid=netuid, ip="203.0.113.7", port=9090), signer)
        result = await client.execute(bt.SetWeights(netuid=netuid, weights={1: 0.1, 2: 0.2, 3: 0.7}), signer)
    signer.close()
    print(bt.__version__, served.success, result.success, result.message)
    raise SystemExit(0 if result.success else 1)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
