"""Wallet Guard: a key-holding service for Bittensor miners and validators."""

__version__ = "0.1.0"
