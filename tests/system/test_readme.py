"""The README, walked through on a clean Debian by somebody who has nothing but the text.

Every fence is run or, where it is a program's text, put to work; a fence that no step takes is a failure. What has to
be different in a box without a network is written where it is done: packages come from a folder, the chain is the
embedded one. What takes long (the whole test run) or needs a real chain (btcli's swap) is started as far as it goes.
"""

import ast
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.clients import ClientAdd

ROOT = Path(__file__).parents[2]
TOOL = Path(__file__).with_name("systemd_box")
BOX = os.environ.get("SYSTEMD_BOX", "/var/tmp/wallet-guard-tests")
NAME = f"wgread{os.getpid()}"
ENDPOINT = "ws://127.0.0.1:9944"
SECONDS = 400

MISSING = subprocess.run([TOOL, "missing"], capture_output=True, text=True, check=False).stdout.split("\n")[:-1]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"LOUD: the README is not walked through; missing: {', '.join(MISSING)}"),
]

PIP = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "PIP_ROOT_USER_ACTION": "ignore"}
HOME = "/root/wallet-guard"
PATH = f"{HOME}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Fence(NamedTuple):
    """A fenced text: the heading above it, its language ("" for none), its lines."""

    heading: str
    language: str
    text: str


def fences(text: str) -> list[Fence]:
    """All of them, in order; a ``<details>`` has its summary as heading."""
    found, heading, language, lines = [], "", None, []
    for line in text.splitlines():
        if line.startswith("```"):
            if language is None:
                language, lines = line[3:].strip(), []
            else:
                found.append(Fence(heading, language, "\n".join(lines)))
                language = None
        elif language is not None:
            lines.append(line)
        elif match := re.match(r"(?:##+ |<details><summary>)(.+?)(?:</summary>)?$", line):
            heading = match[1]
    return found


FENCES = fences((ROOT / "README.md").read_text())

WALKED = {
    "Start": 2,
    "Try it by hand": 3,
    "From a neuron": 2,
    "Messages between validators and miners": 1,
    "Guard a real validator": 1,
    "The same without systemd: two users, two environments": 3,
    "Coming from elsewhere": 4,
}
"""How many fences each heading has, as the steps below take them: another one in the text wants a step."""


def take(heading: str, number: int = 0) -> str:
    """The text of the n-th fence under a heading."""
    return [each.text for each in FENCES if each.heading == heading and each.language != "text"][number]


def packages() -> Path:
    """A folder with everything that the README's commands install; filled once for each state of what they name."""
    locks = [ROOT / "hardening/locks" / f"{name}.txt" for name in ("chain", "build")]
    extra = re.search(r"\ntest =\n((?:    .+\n)+)", (ROOT / "setup.cfg").read_text())[1].split("\n")
    wanted = ["setuptools", "pynacl", "bittensor-core", *(line.strip() for line in extra if line.strip())]
    named = "\n".join([*wanted, *(lock.read_text() for lock in locks)])
    folder = Path(BOX, f"readme-{hashlib.sha256(named.encode()).hexdigest()[:12]}")
    if folder.exists():
        return folder
    part = folder.with_suffix(f".{os.getpid()}")
    # The Python inside is Debian 12's, whatever runs this test.
    kinds = ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
    kinds += [f"--abi={abi}" for abi in ("cp311", "abi3", "none")]
    names = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux1")
    kinds += [f"--platform={name}_{os.uname().machine}" for name in names]
    # The locked ones too: `install --system` takes nothing else.
    for words in (wanted, *(["--no-deps", "-r", str(lock)] for lock in locks)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", *kinds, "-d", str(part), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
    return part.rename(folder)


class Reader:
    """Somebody at the terminals of the machine."""

    def __init__(self, name: str) -> None:
        self.name = name

    def try_run(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        given = {**PIP, "PATH": PATH, **variables}
        words = ["env", *(f"{name}={value}" for name, value in given.items()), "bash", "-euc", f"cd {HOME}; {script}"]
        command = [str(TOOL), "run", self.name, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)

    def run(self, script: str, **variables: str) -> str:
        done = self.try_run(script, **variables)
        assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def terminal(self, unit: str, script: str) -> None:
        """A terminal of its own, where the program stays."""
        words = f"systemd-run --quiet --unit={unit} --setenv=PATH=$PATH --setenv=HOME=/root --working-directory={HOME}"
        self.run(f"{words} bash -c {shell_quoted(script)}")

    def wait(self, script: str, text: str = "") -> str:
        """What the script prints once it ends well and prints that."""
        ends = time.monotonic() + SECONDS
        while True:
            done = self.try_run(script)
            if done.returncode == 0 and text in done.stdout:
                return done.stdout
            said = f"{script}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            assert time.monotonic() < ends, said + self.try_run("journalctl --no-pager -n40 -ocat").stdout
            time.sleep(0.3)


def shell_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What is bound into the machines as a clone."""
    folder = tmp_path_factory.mktemp("readme")
    folder.chmod(0o755)
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    names = [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).exists()]
    if listed.returncode != 0:  # a tree that is no clone
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file() and "/." not in str(path)]
    for name in names:
        (folder / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "clone" / name)
    subprocess.run([TOOL, "build"], check=True, timeout=600)
    return folder


@pytest.fixture(scope="module")
def boot(folder):
    """``boot(name)``: a reader at a machine that has just been installed."""
    booted = []

    def boot(name: str) -> Reader:
        binds = [f"--bind-ro={folder / 'clone'}:/clone", f"--bind-ro={packages()}:/wheels"]
        booted.append(name)
        subprocess.run([TOOL, "up", name, *binds], check=True, timeout=120)
        words = ["bash", "-euc", f"ip link set lo up; cp -r /clone {HOME}"]
        done = subprocess.run([TOOL, "run", name, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return Reader(name)

    yield boot
    for name in booted:
        subprocess.run([TOOL, "down", name], check=True, timeout=60)


def start(reader: Reader) -> None:
    said = reader.run(take("Start", 0))
    assert "all came out as said" in said


def the_tests_can_be_run(reader: Reader) -> None:
    # All of them take longer than this walk may: up to where they would begin.
    said = reader.run(take("Start", 1), PYTEST_ADDOPTS="--collect-only --quiet tests/wire tests/signed tests/client")
    assert re.search(r"\d+ tests collected", said)


def try_it_by_hand(reader: Reader) -> str:
    """The hotkey's address."""
    reader.run("btcli wallet create -w validator -H default --no-password </dev/null")
    public = json.loads(reader.run("cat ~/.bittensor/wallets/validator/hotkeys/defaultpub.txt"))
    address = str(public["ss58Address"])
    heading = "Try it by hand"
    reader.terminal("t1", take(heading, 0).replace("YOUR_HOTKEY_ADDRESS", address))
    init, serve = take(heading, 1).splitlines()
    reader.wait("journalctl --no-pager -ocat -u t1", "devnet ready")
    reader.run(init)
    reader.terminal("t2", serve)
    reader.wait("curl -sf --unix-socket ~/.wallet-guard/run/gateway.sock http://localhost/ready")
    lines = take(heading, 2)
    add, _, rest = lines.partition("\n")
    token = reader.run(add).strip()
    assert token.startswith("wg_")
    said = reader.run(rest.replace("wg_…", token))
    assert '"success":true' in said
    return address


def from_a_neuron(reader: Reader, address: str) -> None:
    variables = {
        "WALLET_SERVICE_URL": "unix:///root/.wallet-guard/run/gateway.sock",
        "WALLET_SERVICE_TOKEN": reader.run(
            "wallet-guard client add neuron --netuid 2 --netuid 4 --call set_weights --call request "
            "--call extrinsic:SubtensorModule.serve_axon"
        ).strip(),
    }
    ten = take("From a neuron", 0) + "\nassert result, msg\n"
    reader.run(
        f"cat >/tmp/ten.py <<'EOF'\nuids, weights = (1, 2), [0.25, 0.75]\n{ten}EOF\npython /tmp/ten.py", **variables
    )
    eleven = take("From a neuron", 1).replace("netuid=2, weights", "netuid=4, weights")
    lines = eleven.splitlines()
    imports = "\n".join(line for line in lines if line.startswith(("import", "from")))
    body = "\n".join(f"        {line}" for line in lines if not line.startswith(("import", "from")))
    script = (
        f"import asyncio\n{imports}\n"
        f"async def main(body=b'', miner={address!r}):\n"
        f"    async with bt.Subtensor({ENDPOINT!r}) as client:\n{body}\n"
        "        assert result.success, result\n"
        "        bt.http_auth.verify(headers, body, method='POST', path='/generate', self_hotkey_ss58=miner)\n"
        "asyncio.run(main())\n"
    )
    reader.run(f"cat >/tmp/eleven.py <<'EOF'\n{script}EOF\npython /tmp/eleven.py", **variables)


def messages(reader: Reader) -> None:
    validator, miner = take("Messages between validators and miners").splitlines()
    reader.terminal("t3", validator)
    reader.wait("ss -ltn", ":8080")
    reader.terminal("t4", miner)
    reader.wait("journalctl --no-pager -ocat -u t4", "confirm")


def guard_a_real_validator(reader: Reader) -> None:
    reader.run("systemctl stop t2 t3 t4")
    heading = "Guard a real validator"
    install, *lines = take(heading).splitlines()
    # There is no network here: the chain is the embedded one.
    reader.run(f"{install} --network local --endpoint {ENDPOINT} --block-time 1")
    # From here on the command is the one that was installed.
    path = PATH.partition(":")[2]
    for line in lines[:-1]:
        said = reader.run(line.replace("YOUR_NETUID", "2"), PATH=path)
        if line.startswith("systemctl start"):
            reader.wait("curl -sf http://127.0.0.1:8000/ready")
    assert said.strip().startswith("wg_")
    assert "wallet-guard status" in lines[-1]
    reader.wait(f"PATH={path} {lines[-1]}")


def remove_the_key(reader: Reader) -> None:
    line = take("Coming from elsewhere", 0)
    reader.run(line)
    assert reader.try_run("ls ~/.bittensor/wallets/validator/hotkeys/default").returncode != 0
    new, swap = take("Coming from elsewhere", 1).splitlines()
    reader.run(f"{new.partition('#')[0]} </dev/null")
    # A swap needs a real chain and a coldkey with TAO: every option of the line must be one of the command's.
    told = reader.run("btcli wallet swap-hotkey --help", COLUMNS="200")
    for option in re.findall(r" (--?[a-zA-Z-]+)", swap.partition("#")[0]):
        assert option in told, option
    reader.run("wallet-guard uninstall --help; systemctl stop 'wallet-guard*'")


def test_from_top_to_bottom(boot):
    reader = boot(NAME)
    start(reader)
    the_tests_can_be_run(reader)
    address = try_it_by_hand(reader)
    from_a_neuron(reader, address)
    messages(reader)
    guard_a_real_validator(reader)
    remove_the_key(reader)


def test_without_systemd(boot):
    heading = "The same without systemd: two users, two environments"
    reader = boot(f"{NAME}b")
    *lines, install_key = take(heading, 0).splitlines()
    for line in lines:
        reader.run(line)
    # The hotkey that is there already, and a chain, by what was installed a moment ago.
    front = "/opt/wallet-guard/front/bin"
    reader.run(f"{front}/btcli wallet create -w validator -H default --no-password </dev/null")
    reader.run(install_key)
    address = json.loads(reader.run("cat ~/.bittensor/wallets/validator/hotkeys/defaultpub.txt"))["ss58Address"]
    reader.terminal("t1", f"{front}/wallet-guard devnet --validator {address}")
    network = f'network = "local"\nendpoints = ["{ENDPOINT}"]\nblock_time_seconds = 1.0'
    config = take(heading, 1).replace('network = "finney"', network)
    reader.run(f"mkdir -p /etc/wallet-guard; cat >/etc/wallet-guard/wallet-guard.toml <<'EOF'\n{config}\nEOF")
    lines = take(heading, 2).splitlines()
    for number, line in enumerate(lines[:3]):
        reader.terminal(f"p{number}", line)
        if number == 0:
            reader.wait("test -S /run/wallet-guard/signer-admin.sock")
    reader.wait("curl -sf http://127.0.0.1:8000/ready")
    assert reader.run(lines[3].replace("YOUR_NETUID", "2")).strip().startswith("wg_")
    reader.run(lines[4])


def test_moving_from_axon_and_dendrite(make_house):
    """The two programs in one, the miner beside its validator, on one hotkey; the handlers are what a user has."""
    house = make_house()
    guard = house.guard
    question = ClientAdd("realtime", guard.wallet, guard.hotkey, ("session",), None, 1000, None)
    token = ask(guard.signer_socket("admin"), question).token
    miner, validator = (take("Coming from elsewhere", number) for number in (2, 3))
    for text in (miner, validator):
        compile(text, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    validator = validator.replace('"0.0.0.0", 8091', f'"127.0.0.1", {port}')
    validator = re.sub(r"\bmanager\b", "serving", validator)
    miner = (
        miner.replace('"miner"', '"validator"')
        .replace("5Hot…", guard.address)
        .replace("203.0.113.7:8091", f"127.0.0.1:{port}")
    )
    body = "\n".join(f"    {line}" for line in (validator + "\n" + miner).splitlines())
    script = (
        "import asyncio\nfrom types import SimpleNamespace\n"
        f"metagraph = SimpleNamespace(hotkeys=[{guard.address!r}])\n"
        "games, predictions = [], []\n"
        "def on_game_update(validator_hotkey, data): pass\n"
        "async def process(miner_hotkey, data):\n    predictions.append((miner_hotkey, data))\n"
        "    return {'status': 'success', 'prediction_id': 'p1', 'message': 'taken'}\n"
        "validator = SimpleNamespace(process_prediction=process)\n"
        f"async def main():\n{body}\n"
        "    print(sent, predictions)\n    await manager.stop()\n    await serving.stop()\n"
        "    assert sent.problem in (None, ''), sent\n"
        "asyncio.run(asyncio.wait_for(main(), 60))\n"
    )
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "WALLET_SERVICE_URL": f"unix://{guard.client_socket}",
        "WALLET_SERVICE_TOKEN": token,
    }
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=variables, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "home_score" in done.stdout


def test_nothing_of_the_readme_is_left_out():
    assert Counter(fence.heading for fence in FENCES if fence.language != "text") == WALKED
