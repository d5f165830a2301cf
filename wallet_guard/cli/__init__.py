"""The command ``wallet-guard``: one module per word, ``main`` knows them all.

Exit status: 0 done, 1 it did not work (the message says what to do), 2 the command line is wrong, 78 the
configuration must be mended.
"""
