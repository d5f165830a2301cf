"""The machine under the guard: its processes, interpreter, disk, swap, clock and firewall."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from wallet_guard.cli.doctor.files import config_of
from wallet_guard.cli.doctor.findings import Check, Finding, SkippedError, note, warning
from wallet_guard.cli.doctor.processes import Process
from wallet_guard.cli.doctor.scene import Scene

LEAST_PYTHON = (3, 11)

LEAST_FREE_BYTES = 256 * 1024 * 1024
"""A busy guard writes some 20 MB a day (`hardening/journal-evidence.md`): ten days."""

LEAST_FREE_SHARE = 0.05

OWN_SITE_PACKAGES = "lib/python3*/site-packages"


def _running(scene: Scene) -> tuple[Process, ...]:
    found = scene.processes
    if not found:
        raise SkippedError("none of our processes can be seen here")
    return found


def shared_uid(scene: Scene) -> Iterator[Finding]:
    """Who has the signer's uid can read its memory and its keys."""
    signer = next((each for each in _running(scene) if each.name == "signer"), None)
    if signer is None:
        raise SkippedError("no signer runs here")
    for other in scene.processes:
        if other.name == "signer" or other.uid != signer.uid:
            continue
        found = f"{other.name} and signer both run as uid {signer.uid}"
        if signer.in_development:
            yield note(f"{found}: for development only", "wallet-guard install --system")
        else:
            yield Finding(f"{found}: it can read the keys", "a user of its own for each, see the README's guide")


def signer_is_root(scene: Scene) -> Iterator[Finding]:
    """A signer with root's uid has a host to lose, not only keys."""
    for process in _running(scene):
        if process.uid == 0 and not any(each.in_development for each in scene.processes):
            yield Finding(f"{process.name} runs as root", "run it as a user of its own: wallet-guard install --system")


def sdk_beside_keys(scene: Scene) -> Iterator[Finding]:
    """A poisoned release of the SDK read keys out of the processes that imported it, once."""
    folders = {process.environment for process in scene.processes if process.name == "signer"}
    folders |= {Path("/opt/wallet-guard/current/guard")} if scene.is_system else set()
    if not folders:
        raise SkippedError("no signer's environment is known")
    in_development = any(process.in_development for process in scene.processes)
    for folder in sorted(folders):
        for path in sorted(scene.at(folder).glob(f"{OWN_SITE_PACKAGES}/bittensor")):
            found = f"the SDK is in the signer's environment: {folder}/{path.relative_to(scene.at(folder))}"
            if in_development:
                yield note(f"{found} (development)", "wallet-guard install --system")
            else:
                yield Finding(found, f"{folder}/bin/python -m pip uninstall bittensor, or: wallet-guard install")


def strange_packages(scene: Scene) -> Iterator[Finding]:
    """A ``.pth`` file runs in every interpreter of its environment, the signer's too."""
    if not scene.is_system:
        raise SkippedError("only for the guard of the host's services")
    guard = Path("/opt/wallet-guard/current/guard")
    for path in sorted(scene.at(guard).glob(f"{OWN_SITE_PACKAGES}/*.pth")):
        yield Finding(
            f"{path.name} in the signer's environment runs code at each start", f"rm {guard}/…/{path.name}; reinstall"
        )


def environment_owner(scene: Scene) -> Iterator[Finding]:
    """What the signer executes belongs to root, and nobody else can change it."""
    if not scene.is_system:
        raise SkippedError("only for the guard of the host's services")
    for shown in (Path("/opt/wallet-guard"), Path("/opt/wallet-guard/current/guard")):
        path = scene.at(shown)
        if not path.exists():
            yield Finding(f"{shown} is not there", "wallet-guard install --system --apply")
        elif path.stat().st_mode & 0o022:
            yield Finding(f"{shown} can be written by others than root", f"chmod -R go-w {shown}")


def releases(scene: Scene) -> Iterator[Finding]:
    """Processes of different releases: an upgrade that restarted only some."""
    found = {process.name: process.release for process in scene.processes if process.release}
    if not found:
        raise SkippedError("no process shows which release it runs")
    current = scene.at("/opt/wallet-guard/current")
    installed = os.readlink(current) if current.is_symlink() else ""
    if len(set(found.values())) > 1 or (installed and set(found.values()) != {installed}):
        each = ", ".join(f"{name} {release}" for name, release in sorted(found.items()))
        yield Finding(
            f"processes of different releases: {each}; installed is {installed}", "systemctl restart wallet-guard"
        )


def python_version(scene: Scene) -> Iterator[Finding]:
    """Of this command, and of the environments that run."""
    if scene.python < LEAST_PYTHON:
        yield Finding(f"Python {scene.python[0]}.{scene.python[1]} runs this command", "apt install python3 (3.11 on)")
    for folder in sorted({process.environment for process in scene.processes}):
        settings = scene.at(folder / "pyvenv.cfg")
        found = (
            re.search(r"^version\s*=\s*(\d+)\.(\d+)", settings.read_text(), re.MULTILINE)
            if settings.is_file()
            else None
        )
        if found and (int(found[1]), int(found[2])) < LEAST_PYTHON:
            yield Finding(f"{folder} has Python {found[1]}.{found[2]}, expected 3.11 or newer", "wallet-guard install")


def core_dumps(scene: Scene) -> Iterator[Finding]:
    """A core dump of the signer is a file with the keys in it."""
    signer = scene.process("signer")
    if signer is None or signer.core_bytes is None:
        raise SkippedError("no signer can be looked at here")
    if signer.core_bytes:
        size = "of any size" if signer.core_bytes < 0 else f"of {signer.core_bytes} bytes"
        yield Finding(f"the signer may leave core dumps {size}", "LimitCORE=0 in its unit, then restart it")


def swap(scene: Scene) -> Iterator[Finding]:
    """What is swapped out stays readable on the disk, unless that is encrypted."""
    swaps = scene.at("/proc/swaps")
    if not swaps.is_file():
        raise SkippedError("no /proc/swaps here")
    for line in swaps.read_text().splitlines()[1:]:
        device = line.split()[0]
        if Path(device).name.startswith("zram") or _is_encrypted(scene, device):
            continue
        yield warning(
            f"swap on {device} is not encrypted, as far as can be seen: keys could be written there",
            "swapoff -a, encrypt it (crypttab: swap,cipher=aes-xts-plain64), or MemorySwapMax=0 as our units have",
        )


def _is_encrypted(scene: Scene, device: str) -> bool:
    name = Path(os.path.realpath(scene.at(device))).name
    uuid = scene.at(f"/sys/block/{name}/dm/uuid")
    return uuid.is_file() and uuid.read_text().startswith("CRYPT-")


def disk(scene: Scene) -> Iterator[Finding]:
    """Full, nothing is accepted any more."""
    state = Path(config_of(scene).signer.state).expanduser()
    path = scene.at(state)
    if not path.exists():
        raise SkippedError(f"{state} is not there")
    found = os.statvfs(path)
    yield from judge_disk(state, found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def judge_disk(folder: Path, free_bytes: int, all_bytes: int) -> Iterator[Finding]:
    """Whether that is enough."""
    if free_bytes < LEAST_FREE_BYTES:
        yield Finding(f"{folder}: {free_bytes >> 20} MiB free", "make room, or move the state folder to another disk")
    elif free_bytes < all_bytes * LEAST_FREE_SHARE:
        yield warning(f"{folder}: the disk is {100 - 100 * free_bytes // all_bytes} % full", "make room")


def clock_service(scene: Scene) -> Iterator[Finding]:
    """Deadlines, eras and nonces of requests are by this host's clock."""
    said = scene.say("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if said is None:
        raise SkippedError("timedatectl does not say")
    if said.strip() == "no":
        yield warning("this host's clock is not synchronised", "timedatectl set-ntp true")


def firewall(scene: Scene) -> Iterator[Finding]:
    """Rules that were placed, and are not in force."""
    placed = [name for name in ("single-host.nft", "guard-host.nft") if scene.at(f"/etc/wallet-guard/{name}").exists()]
    if not placed and not scene.at("/etc/systemd/system/wallet-guard-endpoints.timer").exists():
        raise SkippedError("no isolated network is wished for (hardening/nftables)")
    rules = placed[0] if placed else "single-host.nft"
    said = scene.say("nft", "list", "table", "inet", "wallet_guard")
    if said is None:
        yield Finding(
            f"the firewall's rules ({rules}) are placed, but table inet wallet_guard is not in force",
            f"nft -f /etc/wallet-guard/{rules}",
        )
    elif re.search(r"set endpoints \{[^}]*\}", said) and "elements" not in said:
        yield warning("the firewall's set of endpoints is empty: the chain cannot be reached", "see hardening/nftables")


def ptrace(scene: Scene) -> Iterator[Finding]:
    """The signer forbids it for itself; this forbids it for all."""
    scope = scene.at("/proc/sys/kernel/yama/ptrace_scope")
    if scope.is_file() and scope.read_text().strip() == "0":
        yield note("any process may trace others of its uid", "sysctl kernel.yama.ptrace_scope=1")


CHECKS = (
    Check("separate-users", shared_uid),
    Check("not-root", signer_is_root),
    Check("sdk-beside-keys", sdk_beside_keys),
    Check("environment-files", strange_packages),
    Check("environment-owner", environment_owner),
    Check("releases", releases),
    Check("python", python_version),
    Check("core-dumps", core_dumps),
    Check("swap", swap),
    Check("disk", disk),
    Check("clock-service", clock_service),
    Check("firewall", firewall),
    Check("ptrace", ptrace),
)
