"""Who may import whom, what stays pure, what the running signer has loaded: the drawing, held by a test.

The checks take sources as a mapping from module name to text, so that for every rule an error can be planted and seen
to be found. Only the standard library is used.
"""

import ast
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "wallet_guard"

ROOMS: dict[str, set[str]] = {
    # Pure: nothing of ours, no clock, no randomness, no I/O.
    "signed": set(),
    "wire": set(),
    # Shells.
    "host": set(),
    "ipc": {"signed"},
    "net": {"wire"},
    # What a body asks for: read by the gateway, and by the signer where the client signed it.
    "orders": {"ipc"},
    # Processes: never each other.
    "signer": {"signed", "ipc", "host", "orders"},
    "gateway": {"signed", "wire", "net", "ipc", "host", "orders"},
    "chain": {"ipc", "host"},
    "hub": {"signed", "wire", "net", "ipc", "host", "realtime"},
    # What runs at a node.
    "client": {"wire"},
    # wire for the errors and frames that the API of net speaks of
    "realtime": {"signed", "wire", "net", "client"},
    "neurons": {"client", "realtime"},
    # Tools.
    "devnet": {"wire", "net", "host"},
    # net: doctor looks at the chain itself
    "cli": {"host", "client", "ipc", "signed", "net"},
}
"""Room → rooms that it may import; its own it always may."""

PURE = {"signed", "wire"}

PURE_LIBRARY = {
    *("base64", "binascii", "codecs", "collections", "dataclasses", "enum", "functools", "hashlib", "hmac"),
    *("itertools", "json", "math", "re", "string", "struct", "types", "typing", "unicodedata", "zlib"),
    # Cryptography of given bytes.
    *("bittensor_core", "nacl"),
}
"""What pure rooms may import: nothing here reads a clock, a file, a socket or the system's randomness by itself."""

IMPORTERS: dict[str, set[str]] = {
    # The SDK read keys out of the processes that imported it, once; one process has it, and that one has no key.
    "bittensor": {"chain.sdk"},
    "nacl": {"signed", "client.identity"},
    "bittensor_core": {
        *("signed", "signer.accept", "signer.compose", "signer.keys"),
        # A chain has keys and codecs of its own; the demo makes a throw-away wallet.
        *("devnet", "cli.demo"),
        # Moves a hotkey into the signer's care, in an environment without the SDK.
        "cli.keys",
    },
    # The SDK's own transport; its exceptions are named where its sockets are.
    "websockets": {"chain.sdk"},
    # SQL is the journal's (and is read where the audit chain is verified without the service); the C library and the
    # loader are asked in one place.
    "sqlite3": {
        *("signer.journal.auditchain", "signer.journal.reading", "signer.journal.storage", "signer.journal.writer"),
        *("signer.journal.upgrade", "cli.audit", "cli.backup"),
    },
    "ctypes": {"host.process"},
    "importlib": {"host.process"},
    "pickle": set(),
    "marshal": set(),
    "shelve": set(),
    "multiprocessing": set(),
}
"""Module that may be imported → who may: rooms or modules."""

THIRD_PARTIES = {"bittensor", "bittensor_core", "nacl", "websockets"}

DYNAMIC = {"__import__", "eval", "exec", "compile", "import_module"}

NOT_IN_THE_SIGNER = {"asyncio", "ssl", "_ssl", "http", "urllib.request", "bittensor", "multiprocessing", "pickle"}

WITHOUT_TESTS: dict[str, str] = {
    "__init__": "a room's overview",
    "__main__": "tested as a process, in tests/system",
}
"""Module (its last name, or room.module) → why no test module mirrors it."""

LINES_TO_LOOK_AGAIN = 400


def read_sources() -> dict[str, str]:
    """Every module of the package, by its name below the package: ``signer.keys``."""
    folder = ROOT / PACKAGE
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.py"))
    }


def imports(source: str) -> Iterator[str]:
    """Every imported module, wherever in the text; ``from a import b`` gives ``a`` and ``a.b``, since b may be one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str:
    return module.partition(".")[0]


def wrong_directions(sources: Mapping[str, str]) -> list[str]:
    found = []
    for module, source in sources.items():
        room = room_of(module)
        for name in imports(source):
            if name.startswith("."):
                found.append(f"{module}: relative import")
            package, _, rest = name.partition(".")
            target = room_of(rest)
            if package == PACKAGE and target in ROOMS and target != room and target not in ROOMS.get(room, set()):
                found.append(f"{module} imports {target}")
    return sorted(set(found))


def unknown_rooms(sources: Mapping[str, str]) -> list[str]:
    return sorted({room_of(module) for module in sources if "." in module} - ROOMS.keys())


def impurities(sources: Mapping[str, str]) -> list[str]:
    found = []
    for module, source in sources.items():
        if room_of(module) not in PURE:
            continue
        for name in imports(source):
            root = name.partition(".")[0]
            if root != PACKAGE and root not in PURE_LIBRARY:
                found.append(f"{module} imports {root}")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Name) and node.id in ("open", "input", "print"):
                found.append(f"{module} names {node.id}")
    return sorted(set(found))


def wrong_importers(sources: Mapping[str, str]) -> list[str]:
    found = []
    for module, source in sources.items():
        for name in imports(source):
            root = name.partition(".")[0]
            allowed = IMPORTERS.get(root)
            if allowed is not None and module not in allowed and room_of(module) not in allowed:
                found.append(f"{module} imports {root}")
    return sorted(set(found))


def strange_packages(sources: Mapping[str, str]) -> list[str]:
    known = {*sys.stdlib_module_names, *THIRD_PARTIES, PACKAGE}
    return sorted(
        {
            f"{module} imports {name}"
            for module, source in sources.items()
            for name in (each.partition(".")[0] for each in imports(source))
            if name and name not in known
        }
    )


def dynamic_code(sources: Mapping[str, str]) -> list[str]:
    found = set()
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Name) and node.id in DYNAMIC:
                found.add(f"{module} names {node.id}")
            elif isinstance(node, ast.Attribute) and node.attr in DYNAMIC - {"compile"}:
                found.add(f"{module} names {node.attr}")
    return sorted(found)


def without_test(sources: Mapping[str, str], tests: set[str]) -> list[str]:
    """Modules that no test module mirrors: signer.keys wants tests/signer/test_keys.py."""
    missing = []
    for module in sources:
        *rooms, name = module.split(".")
        if name not in WITHOUT_TESTS and module not in WITHOUT_TESTS and rooms:
            wanted = "/".join([*rooms, f"test_{name}.py"])
            if wanted not in tests:
                missing.append(wanted)
    return sorted(missing)


def exceptions_without_use(sources: Mapping[str, str]) -> list[str]:
    """Entries of the tables above that no module bears out: a table that only grows says nothing."""
    names = {*sources, *(module.rpartition(".")[2] for module in sources)}
    listed = {*WITHOUT_TESTS, *(module for modules in IMPORTERS.values() for module in modules if "." in module)}
    return sorted(listed - names)


def mirrored_tests() -> set[str]:
    folder = ROOT / "tests"
    return {path.relative_to(folder).as_posix() for path in folder.rglob("test_*.py")}


SOURCES = read_sources()


@pytest.mark.parametrize(
    "check",
    [
        wrong_directions,
        unknown_rooms,
        impurities,
        wrong_importers,
        strange_packages,
        dynamic_code,
        exceptions_without_use,
    ],
    ids=lambda check: check.__name__,
)
def test_the_package_keeps_the_rule(check: Callable[[Mapping[str, str]], list[str]]) -> None:
    assert check(SOURCES) == []


def test_every_module_has_its_test_module() -> None:
    assert without_test(SOURCES, mirrored_tests()) == []


def test_long_modules_are_named() -> None:
    # A hint for the reader of the test's output, not a failure: a module may have one good reason to be long.
    long = {module: source.count("\n") for module, source in SOURCES.items()}
    for module, lines in sorted(long.items()):
        if lines > LINES_TO_LOOK_AGAIN:
            print(f"{module}: {lines} lines; look again")
    assert "signer.seal" in long


# For every rule, an error planted and found --------------------------------------------------------------------------

PLANTED = [
    (wrong_directions, "gateway.routes", "from wallet_guard.signer.keys import Key"),
    (wrong_directions, "gateway.routes", "from wallet_guard import signer"),
    (wrong_directions, "gateway.routes", "def f():\n    import wallet_guard.chain.sdk"),
    (wrong_directions, "signer.seal", "import wallet_guard.net.server"),
    (wrong_directions, "signer.seal", "from wallet_guard.wire import errors"),
    (wrong_directions, "signer.seal", "if True:\n    from wallet_guard.chain import worker"),
    (wrong_directions, "chain.worker", "from wallet_guard.signer.journal import Journal"),
    (wrong_directions, "chain.worker", "from wallet_guard.net import Server"),
    (wrong_directions, "hub.relay", "from wallet_guard.gateway import routes"),
    (wrong_directions, "wire.errors", "from wallet_guard.net import limits"),
    (wrong_directions, "signed.audit", "from wallet_guard.ipc.questions import State"),
    (wrong_directions, "host.private", "from wallet_guard.ipc.packets import PacketError"),
    (wrong_directions, "ipc.packets", "from wallet_guard.host.config import Config"),
    (wrong_directions, "net.server", "from wallet_guard.host.sockets import listen_unix"),
    (wrong_directions, "client.service", "from wallet_guard.net import HttpClient"),
    (wrong_directions, "client.service", "from wallet_guard.ipc import questions"),
    (wrong_directions, "realtime.peer", "from wallet_guard.ipc import questions"),
    (wrong_directions, "neurons.miner", "from wallet_guard.signed import audit"),
    (wrong_directions, "devnet.node", "from wallet_guard.signer.compose import Runtime"),
    (wrong_directions, "cli.serve", "from wallet_guard.signer.__main__ import main"),
    (wrong_directions, "signer.seal", "from . import keys"),
    (unknown_rooms, "utils.things", ""),
    (impurities, "wire.http1.head", "def f():\n    import time"),
    (impurities, "wire.http1.head", "from os import urandom"),
    (impurities, "wire.http1.head", "import random"),
    (impurities, "signed.audit", "import asyncio"),
    (impurities, "signed.audit", "from socket import socket"),
    (impurities, "signed.audit", "import logging"),
    (impurities, "signed.audit", "x = open('/etc/passwd')"),
    (wrong_importers, "chain.facts", "import bittensor as bt"),
    (wrong_importers, "signer.keys", "from bittensor.wallet import Wallet"),
    (wrong_importers, "gateway.routes", "import bittensor_core"),
    (wrong_importers, "signer.journal.reading", "def f():\n    from bittensor_core import Keypair"),
    (wrong_importers, "signer.seal", "from nacl.signing import SigningKey"),
    (wrong_importers, "signer.seal", "import sqlite3"),
    (wrong_importers, "signer.seal", "import ctypes"),
    (wrong_importers, "chain.facts", "import importlib"),
    (wrong_importers, "chain.facts", "import pickle"),
    (strange_packages, "gateway.routes", "import requests"),
    (strange_packages, "client.service", "from aiohttp import ClientSession"),
    (wrong_importers, "client.service", "from websockets import connect"),
    (dynamic_code, "chain.facts", "sdk = __import__('bitten' + 'sor')"),
    (dynamic_code, "chain.facts", "import builtins\nbuiltins.__import__('bittensor')"),
    (dynamic_code, "chain.facts", "eval('1')"),
    (dynamic_code, "chain.facts", "exec('1')"),
    (dynamic_code, "host.process", "import importlib\nimportlib.import_module('bittensor')"),
]


@pytest.mark.parametrize(("check", "module", "source"), PLANTED)
def test_finds_what_is_planted(check: Callable[[Mapping[str, str]], list[str]], module: str, source: str) -> None:
    found = check({module: source})
    assert len(found) == 1, found
    assert room_of(module) in found[0]


def test_finds_a_module_without_test() -> None:
    sources = {"signer.keys": "", "wire.http1.head": "", "signer.__init__": "", "__init__": ""}
    assert without_test(sources, {"signer/test_keys.py"}) == ["wire/http1/test_head.py"]


def test_finds_an_exception_that_nothing_needs() -> None:
    assert "chain.sdk" in exceptions_without_use({"signer.keys": ""})


@pytest.mark.parametrize(
    "source",
    [
        "from wallet_guard.ipc.questions import Accept",
        "from wallet_guard import __version__",
        "import json\nfrom collections.abc import Callable",
        "import re\nre.compile('x')",
    ],
)
def test_takes_what_is_allowed(source: str) -> None:
    for check in (wrong_directions, impurities, wrong_importers, strange_packages, dynamic_code):
        assert check({"signer.seal": source}) == []


# What the running signer has loaded ----------------------------------------------------------------------------------


def loaded_too_much(modules: set[str]) -> list[str]:
    return sorted(
        name
        for name in modules
        if any(name == banned or name.startswith(banned + ".") for banned in NOT_IN_THE_SIGNER)
        or (name.startswith(PACKAGE + ".") and room_of(name[len(PACKAGE) + 1 :]) not in {"signer", *ROOMS["signer"]})
    )


@pytest.mark.parametrize(
    "planted", ["asyncio", "asyncio.events", "ssl", "http.client", "urllib.request", "bittensor", "wallet_guard.net"]
)
def test_finds_a_module_too_much(planted: str) -> None:
    assert loaded_too_much({"json", "urllib.parse", "wallet_guard.signer.keys", planted}) == [planted]


def test_importing_the_signer_loads_no_network_code() -> None:
    code = "import json, sys, wallet_guard.signer.__main__; print(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=30)
    modules = set(json.loads(shown.stdout))
    assert "wallet_guard.signer.seal" in modules
    assert loaded_too_much(modules) == []


def test_the_running_signer_has_loaded_no_network_code(tmp_path: Path) -> None:
    """The real process, from start to stop; ``-X importtime`` names every module that it ever loads."""
    hotkeys = tmp_path / "wallets/validator/hotkeys"
    hotkeys.mkdir(parents=True, mode=0o700)
    vectors = json.loads((ROOT / "tests/vectors/keyfiles/keyfiles.json").read_text())
    (hotkeys / "default").write_text(json.dumps(vectors["alice_plain_keyfile"]))
    (hotkeys / "default").chmod(0o600)
    config = tmp_path / "wallet-guard.toml"
    config.write_text(
        f"run = '{tmp_path}'\n[signer]\nstate = '{tmp_path}/state'\nwallets = '{tmp_path}/wallets'\n"
        "hotkeys = ['validator/default']\n[chain]\nnetwork = 'local'\n"
    )
    command = [sys.executable, "-X", "importtime", "-m", "wallet_guard.signer", "--config", config, "--development"]
    modules, lines = set(), []
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        watchdog = subprocess.Popen(["sleep", "30"])
        try:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                if line.startswith("import time:"):
                    modules.add(line.rpartition("|")[2].strip())
                elif "ready:" in line:
                    maps = Path(f"/proc/{process.pid}/maps")
                    mapped = maps.read_text() if os.getuid() == 0 else ""
                    process.send_signal(signal.SIGTERM)
                assert watchdog.poll() is None, lines[-20:]
            assert process.wait(10) == 0, lines[-20:]
        finally:
            watchdog.kill()
            watchdog.wait()
            process.kill()
    assert "wallet_guard.signer.server" in modules
    assert loaded_too_much(modules) == []
    assert "libssl" not in mapped
    assert "_asyncio" not in mapped
