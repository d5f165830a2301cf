"""A validator on bittensor 9, after the subnet template: `service.set_weights` where `subtensor.set_weights` was."""

import argparse

import bittensor as bt
import numpy as np
from bittensor.utils.weight_utils import convert_weights_and_uids_for_emit

from wallet_guard.client import WalletService, add_args

parser = argparse.ArgumentParser()
parser.add_argument("--netuid", type=int, default=2)
bt.wallet.add_args(parser)
bt.logging.add_args(parser)
add_args(parser)
config = bt.config(parser)

wallet = bt.wallet(config=config)  # names only: there is no key file on this machine
service = WalletService.from_args(config)

scores = np.array([0.1, 0.2, 0.7], dtype=np.float32)
uint_uids, uint_weights = convert_weights_and_uids_for_emit(uids=np.array([1, 2, 3]), weights=scores)
result, msg = service.set_weights(
    wallet=wallet,
    netuid=config.netuid,
    uids=uint_uids,
    weights=uint_weights,
    wait_for_finalization=False,
    wait_for_inclusion=True,
    version_key=1,
)
print(bt.__version__, result, msg)
raise SystemExit(0 if result else 1)
