"""What a key holder's process must not have: core dumps, a debugger, the SDK within reach."""

import ctypes
import importlib.util
import os
import resource

from wallet_guard.host.config import ConfigurationError

PR_SET_DUMPABLE = 4
"""prctl(2)."""


def forbid_dumps() -> None:
    """No core dump, no ptrace by the same uid, /proc/self owned by root (prctl(2), PR_SET_DUMPABLE).

    The service manager cannot do this for us: execve(2) resets the flag.

    Raises:
        OSError: the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")


def refuse_sdk() -> None:
    """Refuses an environment where the Bittensor SDK can be imported.

    In 2024 a poisoned release of it on PyPI read keys out of the processes that imported it; a ``.pth``
    file in an environment runs in every interpreter of it, imported or not. So the key holder's environment
    has two packages and this is not one of them.

    Raises:
        ConfigurationError: ``bittensor`` can be found.
    """
    found = importlib.util.find_spec("bittensor")
    if found is not None:
        where = os.path.dirname(found.origin or "") or "this environment"
        raise ConfigurationError(
            f"expected an environment without the bittensor SDK, found it in {where}; install the signer in "
            "an environment of its own (pip install wallet-guard), or accept the risk with --development"
        )
