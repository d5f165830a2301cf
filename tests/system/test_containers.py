"""hardening/containers/ built and run as users do it: images, compose up, set_weights, logs. By podman, offline."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = ROOT / "hardening/containers"
TOOL = Path(__file__).with_name("container_box")
ROOTS = Path(__file__).with_name("systemd_box")
BOX = Path(os.environ.get("SYSTEMD_BOX", "/var/tmp/wallet-guard-tests"))
COMPOSE = "podman-compose==1.6.0"
WALLETS = {"validator": "//Alice", "miner": "//Bob"}
ADDRESSES = {
    "validator": "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
    "miner": "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
}

MISSING = [
    line
    for tool in (TOOL, ROOTS)
    for line in subprocess.run([tool, "missing"], capture_output=True, text=True, check=False).stdout.splitlines()
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"LOUD: no container is tested; missing: {', '.join(MISSING)}"),
]


def run(*words, seconds=300, **options):
    done = subprocess.run(
        [TOOL, "run", *words], capture_output=True, text=True, timeout=seconds, check=False, **options
    )
    assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def wheels():
    """See test_systemd_boot: what the locks name, for the Python of the base image."""
    locks = [ROOT / "hardening/locks" / name for name in ("chain.txt", "build.txt")]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:12]
    folder = BOX / f"wheels-{digest}"
    if not folder.exists():
        part = folder.with_suffix(f".{os.getpid()}")
        kinds = ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
        kinds += [f"--abi={abi}" for abi in ("cp311", "abi3", "none")]
        platforms = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux1")
        kinds += [f"--platform={platform}_{os.uname().machine}" for platform in platforms]
        for lock in locks:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps", *kinds]
            subprocess.run([*command, "-r", lock, "-d", part], check=True, timeout=300)
        part.rename(folder)
    return folder


def compose_program():
    program = BOX / "podman-compose-1.6.0/bin/podman-compose"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", program.parents[1]], check=True, timeout=120)
        subprocess.run([program.with_name("pip"), "install", "--quiet", COMPOSE], check=True, timeout=120)
    return str(program)


def base_image():
    """The root file system of the boot test, as an image; its name."""
    subprocess.run([ROOTS, "build"], check=True, timeout=600)
    (root,) = [path for path in BOX.glob("root-*") if path.suffix != ".part"][:1]
    name = f"localhost/wallet-guard-base:{root.name}"
    if subprocess.run([TOOL, "run", "podman", "image", "exists", name], check=False).returncode:
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as packed:
            words = (TOOL, "run", "podman", "import", "-q", "-", name)
            subprocess.run(words, stdin=packed.stdout, check=True, timeout=120)
        assert packed.returncode == 0
    return name


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A folder with the tree, a wallet, and a guard that was brought up; a function that runs compose's words."""
    from wallet_guard.cli.distribution import copy_sources

    folder = tmp_path_factory.mktemp("containers")
    copy_sources(ROOT, folder / "tree")
    import bittensor_core

    for wallet, who in WALLETS.items():
        key = folder / "wallets" / wallet / "hotkeys/default"
        key.parent.mkdir(parents=True)
        pair = bittensor_core.Keypair.create_from_uri(who)
        key.write_bytes(bytes(bittensor_core.serialized_keypair_to_keyfile_data(pair)))
    for path in (folder / "wallets", *(folder / "wallets").rglob("*")):
        shutil.chown(path, 4001, 4001)
        path.chmod(0o700 if path.is_dir() else 0o600)
    subprocess.run([TOOL, "down"], check=True, timeout=60)
    environment = {
        **os.environ,
        "WALLETS": str(folder / "wallets"),
        "network": "local",
        "chain_endpoint": "ws://devnet:9944",
        "block_time": "1",
        "hotkeys": ",".join(f"{wallet}/default" for wallet in WALLETS),
        "hub_netuid": "2",
        "PATH": f"{Path(compose_program()).parent}:{os.environ['PATH']}",
    }
    here = folder / "tree/hardening/containers"

    def compose(*words, profiles=("devnet", "hub"), **changed):
        chosen = [word for profile in profiles for word in ("--profile", profile)]
        return run("podman-compose", *chosen, *words, cwd=here, env=environment | changed)

    try:
        begun = time.monotonic()
        base = base_image()
        for target, image in (("guard", "wallet-guard"), ("chain", "wallet-guard-chain")):
            run(
                *("podman", "build", "--quiet", "--target", target, "--tag", f"localhost/{image}:latest"),
                *("--build-arg", f"BASE={base}", "--build-arg", "PIP_NO_INDEX=1", "--network=none"),
                *("--build-arg", "PIP_FIND_LINKS=/wheels", "--volume", f"{wheels()}:/wheels:ro"),
                *("--file", here / "Containerfile", folder / "tree"),
            )
        print(f"two images in {time.monotonic() - begun:.0f} s")
        begun = time.monotonic()
        compose("up", "-d", "--no-build")
        print(f"up -d in {time.monotonic() - begun:.1f} s")
        yield compose
    finally:
        subprocess.run([TOOL, "down"], check=True, timeout=60)


def ask(*words):
    done = subprocess.run([TOOL, "run", "curl", "-s", "-m", "30", *words], capture_output=True, text=True, check=False)
    return done.stdout


def wait_ready(compose):
    ends = time.monotonic() + 60
    while '"success":true' not in ask("http://127.0.0.1:8000/ready"):
        assert time.monotonic() < ends, compose("logs", "wallet-service", "wallet-signer", "wallet-chain")
        time.sleep(0.3)


def test_sets_weights_through_the_published_port(house):
    wait_ready(house)
    words = ("client", "add", "node", "--key", "validator/default", "--netuid", "2")
    token = run("podman", "exec", "wallet-guard_wallet-signer_1", "wallet-guard", *words).strip()
    data = {"netuid": 2, "uids": [1, 2, 3], "weights": [100, 200, 300], "wait_for_inclusion": True}
    body = {"wallet_name": "validator", "hotkey_name": "default", "transaction_data": data}
    said = ask(
        *("http://127.0.0.1:8000/wallet/set_weights", "-d", json.dumps(body)),
        *("-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json"),
    )
    assert json.loads(said)["success"] is True, said


def test_the_profiles_miner_and_validator_talk_to_each_other_without_a_hotkey(house):
    wait_ready(house)
    tokens = {}
    for wallet in WALLETS:
        words = ("client", "add", f"{wallet}-node", "--key", f"{wallet}/default", "--netuid", "2", "--call", "session")
        tokens[wallet] = run("podman", "exec", "wallet-guard_wallet-signer_1", "wallet-guard", *words).strip()
    up = ("up", "-d", "--no-build", "--no-recreate", "--no-deps")
    house(
        *(*up, "validator"),
        profiles=("validator",),
        WALLET_SERVICE_TOKEN=tokens["validator"],
        MINER=f"{ADDRESSES['miner']}=1",
    )
    house(
        *(*up, "miner"),
        profiles=("miner",),
        MINER_TOKEN=tokens["miner"],
        VALIDATOR=f"{ADDRESSES['validator']}=validator:8091",
    )
    ends = time.monotonic() + 90
    while " success" not in (said := house("logs", "miner", "validator", profiles=("miner", "validator"))):
        assert time.monotonic() < ends, said
        time.sleep(0.3)
    assert "delivered" in said
    assert "No such file" in inside("miner", "open('/wallets')")


def test_logs_are_there_by_the_names_that_users_know(house):
    wait_ready(house)
    assert "listening on" in house("logs", "wallet-service")


def test_killed_containers_come_back_and_the_journal_lives(house):
    wait_ready(house)
    words = ("podman", "exec", "wallet-guard_wallet-signer_1", "wallet-guard", "audit", "verify")
    before = int(run(*words).split()[0])
    run("podman", "restart", "--time", "3", "wallet-guard_wallet-signer_1")
    wait_ready(house)
    assert int(run(*words).split()[0]) > before > 0


PYTHON = {"signer": "guard", "service": "guard", "chain": "chain", "hub": "guard"}
"""Container of the guard → the environment in its image."""


def test_the_hub_has_a_certificate_and_knows_who_is_registered(house):
    ends = time.monotonic() + 60
    while '"status":"ok"' not in ask("http://127.0.0.1:8091/ws/health").replace(" ", ""):
        assert time.monotonic() < ends, house("logs", "wallet-hub", "wallet-signer", "wallet-chain")
        time.sleep(0.3)
    said = house("logs", "wallet-hub")
    assert "greets for" in said
    assert "cannot be told" not in said.rpartition("greets for")[2]


def inside(name, code):
    python = f"/opt/wallet-guard/{PYTHON.get(name, 'chain')}/bin/python"
    container = f"wallet-guard_wallet-{name}_1" if name in PYTHON else f"wallet-guard_{name}_1"
    done = subprocess.run(
        [TOOL, "run", "podman", "exec", container, python, "-I", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_the_signers_container_has_no_network_and_no_sdk(house):
    wait_ready(house)
    assert inside("signer", "import os; print(sorted(os.listdir('/sys/class/net')))") == "['lo']"
    assert "ModuleNotFoundError" in inside("signer", "import bittensor")
    assert "ModuleNotFoundError" in inside("service", "import bittensor")


@pytest.mark.parametrize("name", PYTHON)
def test_no_container_has_root_capabilities_or_a_writable_root(house, name):
    wait_ready(house)
    code = (
        "print(*[line.split()[1] for line in open('/proc/self/status') if line[:6] in ('CapEff', 'CapBnd', 'NoNewP')])"
    )
    assert inside(name, code) == "0000000000000000 0000000000000000 1"
    assert inside(name, "import os; print(os.getuid() > 4000)") == "True"
    assert "Read-only file system" in inside(name, "open('/opt/x', 'w')")


@pytest.mark.parametrize("name", ["service", "chain", "hub"])
def test_keys_and_journal_are_in_the_signers_container_alone(house, name):
    wait_ready(house)
    assert inside(
        name, "import os; print(os.path.exists('/wallets'), os.path.exists('/var/lib/wallet-guard/state'))"
    ) == ("False False")


def test_the_configuration_that_a_container_writes_is_one_that_loads(tmp_path):
    from wallet_guard.host.config import load_config

    environment = {"chain_endpoint": "ws://a:1, ws://b:2", "network": "local", "hotkeys": "v/a,v/b"}
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import start; print(start.configuration({environment!r}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    (tmp_path / "c.toml").write_text(said)
    config = load_config(tmp_path / "c.toml")
    assert config.chain.endpoints == ("ws://a:1", "ws://b:2")
    assert config.signer.hotkeys == ("v/a", "v/b")
    assert not config.hub.enabled


def test_a_hub_is_configured_where_its_subnet_is_named(tmp_path):
    from wallet_guard.host.config import load_config

    environment = {"network": "local", "hotkeys": "v/a,v/b", "hub_netuid": "2"}
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import start; print(start.configuration({environment!r}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    (tmp_path / "c.toml").write_text(said)
    config = load_config(tmp_path / "c.toml")
    assert (config.hub.enabled, config.hub.hotkey, config.hub.netuid) == (True, "v/a", 2)
    assert config.signer.hub_hotkeys == ("v/a",)
