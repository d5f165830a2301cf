"""How the machine says it.

``config`` reads the one strict TOML file, ``private`` opens files that nobody else may touch, ``sockets``
takes listening sockets from the service manager or makes them, ``readiness`` tells the service manager how
we are, ``log`` writes one line per event, ``process`` takes from our own process what a key holder must not
have.
"""
