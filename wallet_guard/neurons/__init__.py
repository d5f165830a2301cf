"""Minimal neurons on `client` and `realtime`: what is left when the key is elsewhere and messages are somebody's job.

python -m wallet_guard.neurons.validator --netuid 2 --wallet.name validator --port 8091
python -m wallet_guard.neurons.miner --netuid 2 --wallet.name miner --validator 5Hot…=203.0.113.7:8091
python -m wallet_guard.neurons.demo --mode validator --port 8080         (two terminals, keys made up)
python -m wallet_guard.neurons.demo --mode miner --endpoint 127.0.0.1:8080
"""
