"""What our processes ask of the kernel about themselves: no core dumps, no debugger, no life without a supervisor.

And of their environment: no SDK within reach of a key.
"""

import contextlib
import ctypes
import importlib.util
import os
import resource
import signal
from collections.abc import Mapping
from pathlib import Path

from wallet_guard.host.config import ConfigurationError

PR_SET_DUMPABLE = 4
"""prctl(2)."""


PR_SET_PDEATHSIG = 1

SUPERVISOR_VARIABLE = "WALLET_GUARD_SUPERVISOR"
"""Pid of the ``wallet-guard serve`` that started us; unset under a service manager, which needs no such help."""


def die_with_supervisor(environment: Mapping[str, str]) -> None:
    """Asks for SIGTERM when the supervisor ends, however it ends; does nothing where there is none.

    Without it a killed supervisor would leave processes that hold the journal and the sockets.
    """
    supervisor = environment.get(SUPERVISOR_VARIABLE, "")
    if not supervisor.isdecimal():
        return
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):  # it ended before we asked
        os.kill(os.getpid(), signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def forbid_dumps() -> None:
    """No core dump, no ptrace by the same uid, /proc/self owned by root (prctl(2), PR_SET_DUMPABLE).

    The service manager cannot do this for us: execve(2) resets the flag.

    Raises:
        OSError: the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(PR_SET_DUMPABLE, 0)


def return_memory() -> None:
    """Gives freed memory back to the kernel (malloc_trim(3)); does nothing where the C library has no such call.

    glibc keeps what lies below a block in use: after metadata was read that is 3 to 5 MB of a process of 35.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def resident_bytes() -> int:
    """Memory of this process that is in RAM (proc(5), statm); 0 where that cannot be read."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * resource.getpagesize()
    return 0


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
