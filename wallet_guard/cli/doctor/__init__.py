"""``wallet-guard doctor``: what is wrong with this guard, and the command that mends it.

A ``Scene`` is what was gathered about one guard (configuration, files, processes, the signer's own word, the chain's);
a ``Check`` looks at it and yields findings. Checks change nothing and ask nobody: what must be asked is asked once,
while gathering. ``command.CHECKS`` lists them all.
"""
