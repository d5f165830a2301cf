"""What is signed, chained and verified.

Pure: no clock, no randomness, no I/O; all three come as arguments.
"""
