"""A validator on bittensor 10: reads the chain with the SDK, sets weights through the guard.

Start it with ``BT_NO_PARSE_CLI_ARGS=false``, without which that SDK reads no command line.
"""

import argparse

import bittensor as bt
import numpy as np

from wallet_guard.client import RemoteWallet, WalletService, add_args

parser = argparse.ArgumentParser()
parser.add_argument("--netuid", type=int, default=2)
bt.Wallet.add_args(parser)
bt.Subtensor.add_args(parser)
bt.logging.add_args(parser)
add_args(parser)
config = bt.Config(parser)

wallet = RemoteWallet(config.wallet.service_url, config.wallet.service_token, config.wallet.name, config.wallet.hotkey)
service = WalletService.from_args(config)

subtensor = bt.Subtensor(config=config)
neurons = subtensor.neurons_lite(netuid=config.netuid)
mine = subtensor.get_uid_for_hotkey_on_subnet(wallet.hotkey.ss58_address, config.netuid)
others = [neuron.uid for neuron in neurons if neuron.uid != mine]

response = service.set_weights(
    wallet=wallet,
    netuid=config.netuid,
    uids=np.array(others[1:4]),
    weights=np.array([0.1, 0.2, 0.7], dtype=np.float32),
    mechid=0,
    version_key=1,
    period=8,
    raise_error=True,
    wait_for_inclusion=True,
    wait_for_finalization=False,
)
print(bt.__version__, response.success, response.message)
wallet.close()
service.close()
subtensor.close()
