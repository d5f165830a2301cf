"""The installed units: as they came, loosened by nobody, enabled and running."""

from collections.abc import Iterator
from pathlib import Path

from wallet_guard.cli.doctor.findings import Check, Finding, SkippedError, warning
from wallet_guard.cli.doctor.scene import UNITS, Scene

SERVICES = ("wallet-guard.service", "wallet-guard-signer.service", "wallet-guard-chain.service")

SANDBOX = frozenset(
    {
        *("User", "Group", "DynamicUser", "SupplementaryGroups", "NoNewPrivileges", "CapabilityBoundingSet"),
        *("AmbientCapabilities", "PrivateNetwork", "RestrictAddressFamilies", "IPAddressAllow", "IPAddressDeny"),
        *("ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateMounts", "PrivateDevices", "DevicePolicy"),
        *("DeviceAllow", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "NoExecPaths", "ExecPaths"),
        *("BindPaths", "ProtectProc", "ProcSubset", "ProtectKernelTunables", "ProtectKernelModules"),
        *("ProtectKernelLogs", "ProtectControlGroups", "ProtectHostname", "ProtectClock", "PrivateIPC", "RemoveIPC"),
        *("KeyringMode", "PrivateUsers", "RestrictNamespaces", "RestrictSUIDSGID", "RestrictRealtime"),
        *("LockPersonality", "MemoryDenyWriteExecute", "SystemCallArchitectures", "SystemCallFilter", "UMask"),
        *("LimitCORE", "MemorySwapMax", "StateDirectoryMode", "ExecStart", "ExecStartPre", "Environment"),
        *("ExecReload", "ExecStartPost", "ExecStop", "ExecStopPost"),
        *("EnvironmentFile", "LD_PRELOAD", "RootDirectory", "RootImage", "PassEnvironment"),
    }
)
"""Keys that a drop-in may set only to make them tighter, which nobody can judge by a table: each is shown."""

FREE_UNITS = {"wallet-guard-tcp.socket": frozenset({"IPAddressAllow"})}
"""Where the README itself tells to change one."""


def _system(scene: Scene) -> None:
    if not scene.is_system:
        raise SkippedError("only for the guard of the host's services")


def drift(scene: Scene) -> Iterator[Finding]:
    """Does each unit say what came with this release?"""
    _system(scene)
    if scene.package is None:
        raise SkippedError("the units that came with this command cannot be found")
    for path in sorted((scene.package / "systemd").glob("*.*")):
        if path.suffix not in (".service", ".socket"):
            continue
        placed = scene.at(UNITS / path.name)
        mend = "wallet-guard install --system --apply"
        if not placed.is_file():
            if path.name in SERVICES:
                yield Finding(f"{UNITS / path.name} is not installed", mend)
        elif placed.read_bytes() != path.read_bytes():
            yield Finding(
                f"{UNITS / path.name} differs from the one of this release", f"{mend} (own changes: systemctl edit)"
            )


def drop_ins(scene: Scene) -> Iterator[Finding]:
    """Drop-ins that touch the sandbox."""
    _system(scene)
    for path in sorted(scene.at(UNITS).glob("wallet-guard*.d/*.conf")):
        unit = path.parent.name.removesuffix(".d")
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            key, equals, value = (part.strip() for part in line.partition("="))
            if not equals or key not in SANDBOX or key in FREE_UNITS.get(unit, ()):
                continue
            shown = UNITS / path.parent.name / path.name
            yield Finding(f"{shown} changes the sandbox: {key}={value[:60]}", f"systemctl revert {unit}, or edit it")


def unit_modes(scene: Scene) -> Iterator[Finding]:
    """Whoever can write a unit is root at the next start."""
    _system(scene)
    for path in sorted([*scene.at(UNITS).glob("wallet-guard*.*"), *scene.at(UNITS).glob("wallet-guard*.d/*")]):
        if path.is_file() and path.stat().st_mode & 0o022:
            shown = UNITS / path.relative_to(scene.at(UNITS))
            yield Finding(f"{shown} can be written by others", f"chmod 0644 {shown}")


def running(scene: Scene) -> Iterator[Finding]:
    """Does the service manager keep all three, and will it after the next boot?"""
    _system(scene)
    said = scene.say("systemctl", "show", "--property=Id,ActiveState,UnitFileState,NeedDaemonReload", *SERVICES)
    if said is None:
        raise SkippedError("systemctl does not say")
    for block in said.strip().split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        unit, state = values.get("Id", ""), values.get("ActiveState", "")
        if state == "failed":
            yield Finding(f"{unit} has failed", f"journalctl -u {unit} -n 20, mend it, systemctl start {unit}")
        elif state not in ("active", "activating", "reloading"):
            yield warning(f"{unit} is {state}", "systemctl start wallet-guard")
        if unit == SERVICES[0] and values.get("UnitFileState") == "disabled":
            yield warning(f"{unit} is not enabled: after a boot it will not run", f"systemctl enable {unit}")
        if values.get("NeedDaemonReload") == "yes":
            yield Finding(
                f"{unit} was changed since systemd read it", "systemctl daemon-reload && systemctl restart wallet-guard"
            )


def program(scene: Scene) -> Iterator[Finding]:
    """The command on the path is the one of the release that runs."""
    _system(scene)
    path = scene.at("/usr/local/bin/wallet-guard")
    wanted = Path("/opt/wallet-guard/current/guard/bin/wallet-guard")
    if not path.is_symlink() or path.readlink() not in (wanted, scene.at(wanted)):
        yield warning(f"/usr/local/bin/wallet-guard does not lead to {wanted}", "wallet-guard install --system --apply")


CHECKS = (
    Check("unit-drift", drift),
    Check("unit-drop-ins", drop_ins),
    Check("unit-modes", unit_modes),
    Check("units-running", running),
    Check("program", program),
)
