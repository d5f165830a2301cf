"""A validator on the newest bittensor 11: the SDK's intents, done by the guard, on any subnet; and a signed request."""

import asyncio
import sys

import bittensor as bt

from wallet_guard.client import AsyncWalletService, RemoteSigner

MINER = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"


async def main(netuids: list[int]) -> None:
    """Sets weights on plain subnets and on those with commit-reveal alike."""
    service = AsyncWalletService(wallet_name="validator")  # WALLET_SERVICE_URL, WALLET_SERVICE_TOKEN
    for netuid in netuids:
        intent = bt.SetWeights(netuid=netuid, weights={1: 0.1, 2: 0.2, 3: 0.7})
        result = await service.execute(intent, wait_for_inclusion=True, raise_errors=True)
        print(bt.__version__, result.success, result.message)


asyncio.run(main([int(netuid) for netuid in sys.argv[1:]]))

signer = RemoteSigner(wallet="validator")
body = b'{"prompt": "hello"}'
headers = bt.http_auth.sign(signer, method="POST", path="/generate", body=body, receiver_ss58=MINER)
caller = bt.http_auth.verify(headers, body, method="POST", path="/generate", self_hotkey_ss58=MINER)
signer.close()
print("request of", caller.hotkey_ss58)
