"""The firewall rules, loaded into network namespaces and tried by real connections of real uids.

nodes 10.79.0.2 ── private0 ── guard ── outside0 ── chain 10.78.0.2, 10.78.0.3
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RULES = Path(__file__).parents[2] / "hardening/nftables"
SIGNER, GATEWAY, CHAIN, OTHER, HUB = 4001, 4002, 4003, 4004, 4005
ENDPOINT = ("10.78.0.2", 9944)
GUARD = f"wgg{os.getpid()}"
OUTSIDE = f"wgc{os.getpid()}"
NODES = f"wgn{os.getpid()}"


def missing():
    if os.geteuid() != 0:
        return "root"
    for word in ("nft", "ip", "setpriv"):
        if shutil.which(word) is None:
            return f"the program {word}"
    if subprocess.run(["ip", "netns", "add", f"{GUARD}x"], capture_output=True, check=False).returncode:
        return "the right to make network namespaces"
    done = subprocess.run(
        ["ip", "netns", "exec", f"{GUARD}x", "nft", "-f", "-"],
        input="table inet t {\nchain c {\ntype filter hook output priority 0\nct direction reply accept\n}\n}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    subprocess.run(["ip", "netns", "del", f"{GUARD}x"], check=False)
    return f"nftables in this kernel: {done.stderr[:100]}" if done.returncode else ""


MISSING = missing()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"LOUD: no firewall rule is tested; missing: {MISSING}")

SERVER = """
import selectors, socket, sys
doors = selectors.DefaultSelector()
for where in sys.argv[1:]:
    host, port = where.split(":")
    door = socket.create_server((host, int(port)))
    doors.register(door, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in doors.select():
        connection, _ = key.fileobj.accept()
        connection.sendall(b"hi")
        connection.close()
"""

CLIENT = """
import json, socket, sys
def reach(where):
    host, port = where.split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=0.7) as opened:
            return "open" if opened.recv(2) == b"hi" else "?"
    except TimeoutError:
        return "dropped"
    except OSError:
        return "rejected"
print(json.dumps([reach(where) for where in sys.argv[1:]]))
"""


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False, **options)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def inside(space, uid, *words):
    return (
        "nsenter",
        f"--net=/run/netns/{space}",
        "setpriv",
        f"--reuid={uid}",
        f"--regid={uid}",
        "--clear-groups",
        *words,
    )


@pytest.fixture(scope="module")
def net():
    with contextlib.ExitStack() as stack:
        for space in (GUARD, OUTSIDE, NODES):
            run("ip", "netns", "add", space)
            stack.callback(run, "ip", "netns", "del", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
        for name, peer, net in (("outside0", OUTSIDE, "10.78.0"), ("private0", NODES, "10.79.0")):
            run("ip", "-n", GUARD, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", peer)
            for space, link, host in ((GUARD, name, 1), (peer, "eth0", 2), (peer, "eth0", 3)):
                run("ip", "-n", space, "addr", "add", f"{net}.{host}/24", "dev", link)
                run("ip", "-n", space, "link", "set", link, "up")
            run("ip", "-n", peer, "route", "add", "default", "via", f"{net}.1")
        servers = [
            (OUTSIDE, 0, ["10.78.0.2:9944", "10.78.0.2:9000", "10.78.0.3:9944"]),
            (NODES, 0, ["10.79.0.2:9000"]),
            (GUARD, GATEWAY, ["0.0.0.0:8443"]),
            (GUARD, HUB, ["0.0.0.0:8091"]),
            (GUARD, OTHER, ["0.0.0.0:7000"]),
        ]
        python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
        for space, uid, where in servers:
            server = subprocess.Popen(
                inside(space, uid, python, "-c", SERVER, *where), stdout=subprocess.PIPE, text=True
            )
            stack.callback(server.wait)
            stack.callback(server.kill)
            assert server.stdout.readline() == "ready\n"
            stack.callback(server.stdout.close)

        def reach(space, uid, *where):
            return json.loads(run(*inside(space, uid, python, "-c", CLIENT, *where)))

        yield reach


def load(name, **defines):
    """Loads a flavour into the guard's namespace, with this test's uids and addresses in place of names."""
    text = (RULES / name).read_text()
    values = {"signer": SIGNER, "gateway": GATEWAY, "chain_process": CHAIN, "hub": HUB, **defines}
    for define, value in values.items():
        text, count = re.subn(rf"(?m)^define {define} = .*$", f"define {define} = {value}", text)
        assert count == 1, define
    for words in (["-c", "-f", "-"], ["-f", "-"], ["-f", "-"]):  # the third: again is no harm
        run("ip", "netns", "exec", GUARD, "nft", *words, input=text)


def refresh(tmp_path, *urls):
    """What the timer's program says for these endpoints, loaded."""
    config = tmp_path / "wallet-guard.toml"
    config.write_text(
        f'run = "/x"\n[signer]\nstate = "/x"\n[chain]\nnetwork = "local"\nendpoints = {json.dumps(urls)}\n'
    )
    said = run(sys.executable, str(RULES / "refresh_endpoints.py"), "--show", str(config))
    for _ in range(2):
        run("ip", "netns", "exec", GUARD, "nft", "-f", "-", input=said)
    return said


EVERYWHERE = ("10.78.0.2:9944", "10.78.0.2:9000", "10.78.0.3:9944", "10.79.0.2:9000", "127.0.0.1:8443")


def test_without_rules_everything_is_open(net):
    assert net(GUARD, CHAIN, *EVERYWHERE) == ["open"] * 5
    assert net(OUTSIDE, 0, "10.78.0.1:8443") == ["open"]


def test_on_a_single_host_each_uid_reaches_its_own(net, tmp_path):
    load("single-host.nft")
    assert net(GUARD, CHAIN, *EVERYWHERE) == ["rejected"] * 5, "nothing before the endpoints are known"
    refresh(tmp_path, "ws://10.78.0.2:9944")
    assert net(GUARD, CHAIN, *EVERYWHERE) == ["open", *["rejected"] * 4]
    assert net(GUARD, SIGNER, *EVERYWHERE) == ["rejected"] * 5
    assert net(GUARD, GATEWAY, *EVERYWHERE) == ["rejected"] * 5
    assert net(GUARD, HUB, *EVERYWHERE) == ["rejected"] * 5
    assert net(GUARD, OTHER, *EVERYWHERE) == ["open"] * 5, "the gateway answers, and others are left alone"
    assert net(OUTSIDE, 0, "10.78.0.1:8443", "10.78.0.1:7000") == ["dropped", "open"]
    assert net(OUTSIDE, 0, "10.78.0.1:8091") == ["open"], "the hub answers miners from anywhere"
    assert net(NODES, 0, "10.79.0.1:8443") == ["dropped"]


def test_on_a_host_of_its_own_nodes_come_in_by_the_private_link_alone(net, tmp_path):
    load(
        "guard-host.nft",
        private_link='"private0"',
        nodes="{ 10.79.0.2 }",
        operators="{ 10.79.0.3 }",
        caretakers="{ 0 }",
    )
    refresh(tmp_path, "ws://10.78.0.2:9944")
    assert net(NODES, 0, "10.79.0.1:8443", "10.79.0.1:7000") == ["open", "dropped"]
    assert net(OUTSIDE, 0, "10.78.0.1:8443", "10.78.0.1:7000") == ["dropped", "dropped"]
    for space, address in ((OUTSIDE, "10.78.0.1"), (NODES, "10.79.0.1")):
        assert net(space, 0, f"{address}:8091") == ["open"], "the hub answers miners from anywhere"
    assert net(GUARD, CHAIN, *EVERYWHERE) == ["open", *["rejected"] * 4]
    for uid in (SIGNER, GATEWAY, HUB):
        assert net(GUARD, uid, *EVERYWHERE) == ["rejected"] * 5
    assert net(GUARD, OTHER, *EVERYWHERE[:4]) == ["rejected"] * 4
    assert net(NODES, 0, "10.78.0.2:9944") == ["dropped"], "nothing is forwarded"


def test_a_connection_that_stands_outlives_a_reload_and_a_new_one_needs_the_set(net, tmp_path):
    load("single-host.nft")
    refresh(tmp_path, "ws://10.78.0.3:9944")
    assert net(GUARD, CHAIN, "10.78.0.3:9944", "10.78.0.2:9944") == ["open", "rejected"]
    load("single-host.nft")
    assert net(GUARD, CHAIN, "10.78.0.3:9944") == ["rejected"], "a reload empties the set: the timer fills it"


def test_a_name_is_resolved_and_its_addresses_expire(net, tmp_path):
    load("single-host.nft")
    said = refresh(tmp_path, "ws://localhost:9944", "wss://[2001:db8::1]")
    assert "add element inet wallet_guard endpoints { 127.0.0.1 . 9944 timeout 2h }" in said
    assert "add element inet wallet_guard endpoints6 { 2001:db8::1 . 443 timeout 2h }" in said
    listed = run("ip", "netns", "exec", GUARD, "nft", "list", "set", "inet", "wallet_guard", "endpoints")
    assert re.search(r"127\.0\.0\.1 \. 9944 timeout 2h expires 1h59m", listed), listed


def test_a_name_that_does_not_resolve_is_said_and_the_others_are_put_in(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(
        'run = "/x"\n[signer]\nstate = "/x"\n[chain]\nendpoints = ["ws://10.0.0.1:1", "wss://no-such-name.invalid"]\n'
    )
    done = subprocess.run(
        [sys.executable, RULES / "refresh_endpoints.py", "--show", config],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "no-such-name.invalid" in done.stderr
    assert "10.0.0.1 . 1" in done.stdout


def test_the_timers_units_are_sound(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("LOUD: no systemd-analyze")
    for name in ("wallet-guard-endpoints.service", "wallet-guard-endpoints.timer"):
        text = re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", (RULES / name).read_text(), flags=re.MULTILINE)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
