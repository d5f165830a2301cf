"""How fast btws/1 is: verified messages per second of server CPU, beside the same job on other libraries.

    python tests/bench/realtime_bench.py messages [rounds]     one message a frame, one connection and 1,000 peers
    python tests/bench/realtime_bench.py acknowledged [rounds] the same with an answer to each, one connection
    python tests/bench/realtime_bench.py layers [rounds]       no signature looked at: what all the rest costs
    python tests/bench/realtime_bench.py batches [rounds]      8 and 32 messages under one signature
    python tests/bench/realtime_bench.py threads [rounds]      recorded frames, verified by one thread and by two
    python tests/bench/realtime_bench.py broadcast [rounds]    100 KiB to 1,000 peers
    python tests/bench/realtime_bench.py idle [peers seconds]  memory and CPU of silent peers
    python tests/bench/realtime_bench.py trips [seconds]       1,000 peers, 5 messages a second each, there and back
    python tests/bench/realtime_bench.py hostile [seconds rounds]  the same for 200, beside peers without manners

The server is a process of its own and counts its own CPU seconds between two messages; what the client uses is not in
them. Rounds are interleaved and medians reported: on a shared machine only ratios are to be trusted, to some 15 %.
The peers (websockets, aiohttp) run the very same functions of `wallet_guard.signed` on what they receive.
"""

import asyncio
import contextlib
import json
import os
import resource
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import ClassVar

import bittensor_core

from wallet_guard.realtime import RealtimeLimits, Speaker, ValidatorWebSocketManager, verification
from wallet_guard.realtime.metrics import Histogram
from wallet_guard.realtime.verification import Verifier
from wallet_guard.signed.certificate import Certificate, Purpose, encode_certificate
from wallet_guard.signed.frames import encode_message, parse_frame, read_messages
from wallet_guard.signed.reception import Receiver, Voices, check_messages, is_signed
from wallet_guard.signed.schemes import Ed25519Key
from wallet_guard.wire.websocket.frames import FIN, TEXT, encode_frame

VALIDATOR = bittensor_core.Keypair.create_from_uri("//bench")
DATA = {"prediction_id": "0123456789abcdef", "game_id": "g" * 20, "home_score": 2, "away_score": 1, "note": "n" * 90}
LIMITS = RealtimeLimits(
    rate_per_second=1e9, burst=1e9, max_openings=20_000, max_openings_per_address=20_000, max_connections=20_000,
    max_connections_per_address=20_000, attempts_per_minute=10**6, max_frame_bytes=1024 * 1024, max_peers=20_000,
    hello_seconds=60.0,
)  # fmt: skip


ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
}


def speakers(kind, count):
    made = []
    for number in range(count):
        hotkey = bittensor_core.Keypair.create_from_uri(f"//peer{number}")
        if kind == "sr25519":
            made.append(Speaker.of_hotkey(hotkey))
            continue
        key = Ed25519Key(number.to_bytes(32, "big"))
        now = time.time_ns() // 10**6
        fields = (key.public_key, Purpose.NODE, 2, None, now, now + 3_600_000, "0" * 32)
        body = Certificate(hotkey.ss58_address, "sr25519", *fields).body()
        made.append(Speaker.of_session(key, encode_certificate(body, hotkey.sign(body))))
    return made


# --- servers, each a process: prints its port, then a line for each measurement


class Count:
    """CPU seconds between the first message behind `warm` and the last of `total`."""

    def __init__(self, warm, total):
        self.warm, self.total, self.seen = warm, total, 0
        self.cpu = 0.0

    def __call__(self, _hotkey=None, _data=None):
        self.seen += 1
        if self.seen == self.warm:
            self.cpu = time.process_time()
        elif self.seen == self.total:
            say({"per_cpu_second": (self.total - self.warm) / (time.process_time() - self.cpu)})


def say(value):
    print(json.dumps(value), flush=True)


async def serve_ours(warm, total, options):
    limits = LIMITS._replace(rate_per_second=options.pop("rate", 1e9), burst=options.pop("burst", 1e9))
    manager = ValidatorWebSocketManager(VALIDATOR, netuid=2, limits=limits, **options)
    manager.register_handler("prediction", Count(warm, total))
    say({"port": await manager.start("127.0.0.1", 0)})
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, Turns.tell)
    await asyncio.Event().wait()


class Turns(asyncio.SelectorEventLoop):
    """An event loop that knows how much CPU each of its turns took: that is what a peer waits for the others.

    Unlike a waiting time by the clock it does not depend on who else uses the machine.
    """

    found: ClassVar = []

    def _run_once(self):
        began = time.thread_time()
        super()._run_once()
        self.found.append(time.thread_time() - began)

    @classmethod
    def tell(cls):
        """Says p50, p99 and the longest in ms, and begins anew."""
        found = sorted(cls.found)
        say([1000 * found[int((len(found) - 1) * share)] for share in (0.5, 0.99, 1.0)])
        cls.found.clear()


class SameJob:
    """What our server does with a frame, for another library's receive loop."""

    def __init__(self, warm, total):
        self.receiver = Receiver(VALIDATOR.ss58_address, start_ms=0)
        self.count = Count(warm, total)

    def voices(self, hotkey):
        voices = Voices(hotkey)
        voices.add_hotkey("sr25519")
        return voices

    def frame(self, text, voices):
        now_ms = time.time_ns() // 1_000_000
        frame = parse_frame(text)
        voice = self.receiver.check(frame, voices, now_ms, broadcasts=False)
        if not is_signed(frame, voice):
            raise ValueError
        self.receiver.take(frame, now_ms)
        messages = read_messages(frame)
        check_messages(messages, voice)
        for message in messages:
            if message.type == "prediction":
                self.count(frame.sender, message.data)
        return [f'{{"type":"ack","id":"{message.id}"}}' for message in messages if message.ack]


async def serve_websockets(warm, total, _options):
    import websockets

    job = SameJob(warm, total)

    async def handle(connection):
        voices = job.voices(connection.request.path.partition("?")[2])
        async for text in connection:
            for answer in job.frame(text, voices):
                await connection.send(answer)

    async with websockets.serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        say({"port": server.sockets[0].getsockname()[1]})
        await asyncio.Event().wait()


async def serve_aiohttp(warm, total, _options):
    from aiohttp import web

    job = SameJob(warm, total)

    async def handle(request):
        connection = web.WebSocketResponse(compress=False)
        await connection.prepare(request)
        voices = job.voices(request.query_string)
        async for message in connection:
            for answer in job.frame(message.data, voices):
                await connection.send_str(answer)
        return connection

    app = web.Application()
    app.router.add_get("/ws", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2000)
    await site.start()
    say({"port": site._server.sockets[0].getsockname()[1]})
    await asyncio.Event().wait()


SERVERS = {"ours": serve_ours, "websockets": serve_websockets, "aiohttp": serve_aiohttp}


class Process:
    """A server process; lines are its measurements."""

    def __init__(self, kind, warm=1, total=10**12, **options):
        arguments = (sys.executable, __file__, "serve", kind, str(warm), str(total), json.dumps(options))
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self.port = self.line()["port"]

    def line(self):
        return json.loads(self.process.stdout.readline())

    def turns(self):
        """CPU of the event loop's turns since the last question, in ms: p50, p99 and the longest."""
        self.process.send_signal(signal.SIGUSR1)
        return self.line()

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_kib(self):
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4

    def descriptors(self):
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


# --- a client on plain sockets


def masked(text):
    return encode_frame(FIN | TEXT, text, b"\x00\x00\x00\x00" if len(text) > 100_000 else b"\x01\x02\x03\x04")


def connect(port, speaker, kind="ours"):
    """An open connection, past hello where that exists."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    fields = [("Host", "127.0.0.1"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
              ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13")]  # fmt: skip
    target = f"/ws?{speaker.hotkey}"
    if kind == "ours":
        target = "/ws"
        headers, _ = speaker.sign_opening(target, VALIDATOR.ss58_address, time.time_ns())
        fields += [("Sec-WebSocket-Protocol", "btws.1"), *headers]
    connection.sendall((f"GET {target} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n").encode())
    data = b""
    while b"\r\n\r\n" not in data or (kind == "ours" and b"</Bytes>" not in data):
        received = connection.recv(65536)
        if not received:
            raise ConnectionError(data[:300])
        data += received
    if kind == "ours":
        challenge = data.partition(b'"challenge":"')[2][:64].decode()
        line = encode_message("hello", "", {"challenge": challenge})
        connection.sendall(masked(speaker.frame(VALIDATOR.ss58_address, [line], time.time_ns())))
    return connection


def predictions(speaker, frames, batch=1, acknowledged=False):
    line = encode_message("prediction", "", DATA)
    made = []
    for number in range(1, frames + 1):
        if acknowledged:
            line = encode_message("prediction", f"s.{number}", DATA, ack=True)
        made.append(masked(speaker.frame(VALIDATOR.ss58_address, [line] * batch, time.time_ns())))
    return made


def pipelined(kind, frames, batch, voice, acknowledged=False, **options):
    """Everything sent at once over one connection; answers are read beside it."""
    (speaker,) = speakers(voice, 1)
    with Process(kind, warm=frames * batch // 10, total=frames * batch, **options) as server:
        connection = connect(server.port, speaker, kind)
        threading.Thread(target=read_all, args=(connection,), daemon=True).start()
        connection.sendall(b"".join(predictions(speaker, frames, batch, acknowledged)))
        return server.line()["per_cpu_second"]


def read_all(connection):
    with contextlib.suppress(OSError):
        while connection.recv(1 << 18):
            pass


def many_peers(kind, peers, turns, per_second):
    voices = speakers("sr25519", peers)
    with Process(kind, warm=peers, total=peers * turns) as server:
        connections = [connect(server.port, voice, kind) for voice in voices]
        began, sent = time.monotonic(), 0
        for _ in range(turns):
            for voice, connection in zip(voices, connections, strict=True):
                connection.sendall(predictions(voice, 1)[0])
                sent += 1
                if sent % 50 == 0:
                    time.sleep(max(0.0, began + sent / per_second - time.monotonic()))
        return server.line()["per_cpu_second"]


def interleaved(rounds, cases):
    results = {name: [] for name in cases}
    for number in range(rounds):
        for name, measure in cases.items():
            results[name].append(measure())
            print(f"round {number + 1}: {name}: {results[name][-1]:,.1f}", file=sys.stderr, flush=True)
    for name, values in results.items():
        print(f"{name}: median {statistics.median(values):,.5g}, {min(values):,.5g} to {max(values):,.5g}")
    return results


def ratios(results, ours, theirs):
    print(
        f"{ours} / {theirs}:",
        f"{statistics.median(a / b for a, b in zip(results[ours], results[theirs], strict=True)):.2f}",
    )


def measure_messages(rounds=5):
    kinds = ("ours", "websockets", "aiohttp")
    found = interleaved(
        rounds, {f"{kind}, pipelined": lambda k=kind: pipelined(k, 12_000, 1, "sr25519") for kind in kinds}
    )
    for other in kinds[1:]:
        ratios(found, "ours, pipelined", f"{other}, pipelined")
    measure_acknowledged(rounds)
    cases = {f"{kind}, 1,000 peers": lambda k=kind: many_peers(k, 1000, 8, 2500) for kind in kinds}
    found = interleaved(rounds, cases)
    for other in kinds[1:]:
        ratios(found, "ours, 1,000 peers", f"{other}, 1,000 peers")


def measure_acknowledged(rounds=5):
    """Each message is acknowledged: ours signed, and gathered where they wait; the peers' unsigned, one by one."""
    kinds = ("ours", "websockets", "aiohttp")
    cases = {f"{kind}, acknowledged": lambda k=kind: pipelined(k, 12_000, 1, "sr25519", True) for kind in kinds}
    found = interleaved(rounds, cases)
    for other in kinds[1:]:
        ratios(found, "ours, acknowledged", f"{other}, acknowledged")


def measure_layers(rounds=5):
    """µs of CPU a message without its signature: the WebSocket layer, the checks, JSON, the way to the handler."""
    kinds = ("ours", "websockets", "aiohttp")
    one = lambda kind: 1e6 / pipelined(kind, 4000, 1, "sr25519", trusting=True)  # noqa: E731
    interleaved(rounds, {f"{kind}, us beside the signature": lambda k=kind: one(k) for kind in kinds})


def measure_batches(rounds=5):
    interleaved(
        rounds,
        {
            f"{voice}, {batch} a frame": lambda v=voice, b=batch: pipelined("ours", 40_000 // b, b, v)
            for voice in ("sr25519", "session")
            for batch in (1, 8, 32)
        },
    )


def measure_threads(rounds=5):
    (speaker,) = speakers("session", 1)
    voices = Voices(speaker.hotkey)
    now_ms = time.time_ns() // 10**6
    voices.add_certificate(speaker.certificate, receiver=VALIDATOR.ss58_address, netuid=2, now_ms=now_ms)
    line = encode_message("prediction", "", DATA)
    receiver = Receiver(VALIDATOR.ss58_address, start_ms=0)
    questions = []
    for _ in range(8000):
        frame = parse_frame(speaker.frame(VALIDATOR.ss58_address, [line], time.time_ns()).decode())
        questions.append((frame, receiver.check(frame, voices, now_ms, broadcasts=False)))

    class Judge:
        ended, count = False, 0

        def judged(self, frame, voice, *, genuine):
            assert genuine
            self.count += 1

    async def verify(threads):
        verifier, judge = Verifier(threads, Histogram()), Judge()
        began = time.perf_counter()
        for frame, voice in questions:
            verifier.submit(judge, frame, voice)
        while judge.count < len(questions):
            await asyncio.sleep(0.001)
        verifier.close()
        return len(questions) / (time.perf_counter() - began)

    def in_processes(count):
        """What the machine's cores give at this moment: the signatures alone, spread over processes."""
        began = time.perf_counter()
        children = []
        for at in range(count):
            children.append(os.fork())
            if children[-1] == 0:
                os._exit(not all(is_signed(frame, voice) for frame, voice in questions[at::count]))
        assert all(os.waitpid(child, 0)[1] == 0 for child in children)
        return len(questions) / (time.perf_counter() - began)

    cases = {f"{n} threads": lambda n=n: asyncio.run(verify(n)) for n in (0, 1, 2)}
    cases |= {f"{n} processes": lambda n=n: in_processes(n) for n in (1, 2)}
    found = interleaved(rounds, cases)
    for pair in (("2 threads", "1 threads"), ("2 threads", "0 threads"), ("2 processes", "1 processes"),
                 ("2 threads", "2 processes")):  # fmt: skip
        ratios(found, *pair)


async def broadcast_once(peers):
    """Server CPU seconds until 1,000 peers have 100 KiB; the peers are another process."""
    manager = ValidatorWebSocketManager(VALIDATOR, netuid=2, limits=LIMITS)
    port = await manager.start("127.0.0.1", 0)
    reader = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "readers", str(port), str(peers), stdout=asyncio.subprocess.PIPE
    )
    await reader.stdout.readline()
    while len(manager.get_connected_hotkeys()) < peers:
        await asyncio.sleep(0.05)
    began = time.process_time()
    reached = await manager.broadcast_game_update({"games": ["x" * 1024] * 100})
    queued = time.process_time() - began
    await reader.stdout.readline()
    spent = time.process_time() - began
    reader.kill()
    await reader.wait()
    await manager.stop(1)
    assert reached == peers
    print(f"signed, encoded and queued after {queued:.3f} s of CPU", file=sys.stderr)
    return spent


def readers(port, peers):
    """Connects, says so, reads until all have a broadcast of 100 KiB, says so."""
    chooser, left = selectors.DefaultSelector(), {}
    for speaker in speakers("sr25519", peers):
        connection = connect(port, speaker)
        connection.setblocking(False)
        chooser.register(connection, selectors.EVENT_READ)
        left[connection] = 102_400
    say({"connected": peers})
    while any(size > 0 for size in left.values()):
        for key, _ in chooser.select():
            left[key.fileobj] -= len(key.fileobj.recv(1 << 18))
    say({"read": peers})
    time.sleep(60)


def measure_broadcast(rounds=5):
    interleaved(rounds, {"CPU seconds for 100 KiB to 1,000 peers": lambda: asyncio.run(broadcast_once(1000))})


def measure_idle(peers=10_000, seconds=65):
    """Memory of silent peers, and CPU of asking each of them for life once a minute."""
    with Process("ours", heartbeat_interval=60.0) as server:
        connect(server.port, speakers("sr25519", 1)[0]).close()
        time.sleep(1)
        memory, cpu = server.memory_kib(), server.cpu()
        chooser = selectors.DefaultSelector()
        for speaker in speakers("sr25519", peers):
            connection = connect(server.port, speaker)
            connection.setblocking(False)
            chooser.register(connection, selectors.EVENT_READ)
        opened = server.cpu() - cpu
        time.sleep(2)
        each = (server.memory_kib() - memory) / peers
        print(f"{peers} peers: {each:.2f} KiB each on the server, {1e6 * opened / peers:.0f} us of CPU to open one")
        cpu, began, pongs, gone = server.cpu(), time.monotonic(), 0, 0
        pong = b"\x8a\x80\x01\x02\x03\x04"
        while time.monotonic() - began < seconds:
            for key, _ in chooser.select(0.5):
                data = key.fileobj.recv(65536)
                if data[:1] == b"\x89":
                    key.fileobj.sendall(pong)
                    pongs += 1
                elif not data:
                    gone += 1
                    chooser.unregister(key.fileobj)
        share = (server.cpu() - cpu) / (time.monotonic() - began)
        print(f"{pongs} pings answered in {seconds} s, {gone} lost, {100 * share:.2f} % of a core; "
              f"{(server.memory_kib() - memory) / peers:.2f} KiB each")  # fmt: skip


def there_and_back(port, voices, per_second, seconds, begin=lambda: None):
    """Round trips of heartbeats, each a signed frame with a signed answer; seconds, sorted. Signed beforehand.

    `begin` is called when all are connected; what it returned is `there_and_back.begun`.
    """
    chooser = selectors.DefaultSelector()
    connections = [connect(port, voice) for voice in voices]
    for connection in connections:
        connection.setblocking(False)
        chooser.register(connection, selectors.EVENT_READ)
    line = encode_message("heartbeat", "h", {"x": "y" * 400})
    frames = [
        masked(voice.frame(VALIDATOR.ss58_address, [line], time.time_ns()))
        for _ in range(int(per_second * seconds))
        for voice in voices
    ]
    waiting, trips, sent = {connection: deque() for connection in connections}, [], 0
    there_and_back.begun = begin()
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < seconds + 1:
        upto = min(len(frames), int((now - began) * per_second * len(voices)), sent + 32)
        for number in range(sent, upto):
            connection = connections[number % len(voices)]
            waiting[connection].append(time.perf_counter())
            connection.send(frames[number])
        sent = max(sent, upto)
        for key, _ in chooser.select(0.0005):
            for _ in range(key.fileobj.recv(1 << 16).count(b"heartbeat_ack")):
                trips.append(time.perf_counter() - waiting[key.fileobj].popleft())
    for connection in connections:
        connection.close()
    return sorted(trips), sent


def tell(name, trips, sent):
    at = lambda share: 1000 * trips[int(len(trips) * share)]  # noqa: E731
    print(f"{name}: {len(trips)} of {sent}; ms: p50 {at(0.5):.1f}, p99 {at(0.99):.1f}, p99.99 {at(0.9999):.1f}")


def measure_trips(seconds=20):
    with Process("ours") as server:
        cpu = server.cpu()
        trips, sent = there_and_back(server.port, speakers("sr25519", 1000), 5, seconds)
        tell("1,000 peers x 5 a second", trips, sent)
        print(f"{(server.cpu() - cpu) / seconds:.2f} cores")


def measure_hostile(seconds=5, rounds=5):
    """200 peers x 5 a second, alone and beside a process that forges, floods, crawls, never reads, never says hello.

    By the clock, and as CPU of the turns of the server's event loop, which depends less on who else uses the machine.
    """
    with Process("ours", rate=100.0, burst=1000.0) as server:
        voices = speakers("sr25519", 200)
        found = {"alone": [], "beside them": []}
        for _ in range(rounds):
            for name, values in found.items():
                arguments = (sys.executable, __file__, "bystanders", str(server.port))
                bad = subprocess.Popen(arguments, env=ENVIRONMENT) if name != "alone" else None
                time.sleep(1.0)
                trips, sent = there_and_back(server.port, voices, 5, seconds, lambda: (server.turns(), server.cpu()))
                cpu = server.cpu() - there_and_back.begun[1]
                half, most, longest = server.turns()
                tell(name, trips, sent)
                print(
                    f"{cpu / seconds:.2f} cores; CPU of a turn in ms: p50 {half:.2f}, p99 {most:.2f}, "
                    f"longest {longest:.1f}",
                    flush=True,
                )
                values.append((1000 * trips[int(len(trips) * 0.99)], most))
                if bad is not None:
                    bad.kill()
                    bad.wait()
        for at, what in enumerate(("p99 of the trips", "p99 of the turns")):
            alone, beside = ([value[at] for value in values] for values in found.values())
            ratio = statistics.median(b / a for a, b in zip(alone, beside, strict=True))
            print(
                f"{what}: alone {statistics.median(alone):.2f} ms, beside them {statistics.median(beside):.2f} ms, "
                f"median of the ratios {ratio:.2f}"
            )


def bystanders(port):
    """Peers without manners, for ever; each opens a new connection when it is thrown out."""
    bad = [Speaker.of_hotkey(bittensor_core.Keypair.create_from_uri(f"//bad{number}")) for number in range(4)]
    line = encode_message("prediction", "", {"x": "y" * 300})
    forged = masked(b"0" * 128 + bad[0].frame(VALIDATOR.ss58_address, [line], time.time_ns())[128:]) * 200
    beats = [encode_message("heartbeat", "h", {})] * 20
    flood = [masked(bad[3].frame(VALIDATOR.ss58_address, beats, time.time_ns())) for _ in range(2000)]
    acts = (
        lambda _n: forged,
        lambda _n: b"\x89\x80\x01\x02\x03\x04" * 50,
        lambda n: b"\x81" if n % 100 == 0 else b"",
        lambda n: flood[n % len(flood)],
    )
    open_now = {}
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    turn = 0
    while silent:
        turn += 1
        for at, act in enumerate(acts):
            try:
                if at not in open_now:
                    open_now[at] = connect(port, bad[at])
                    open_now[at].setblocking(False)
                open_now[at].send(act(turn))
            except BlockingIOError:
                pass
            except OSError:
                open_now.pop(at, None)
        time.sleep(0.01)


def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    name, *rest = sys.argv[1:]
    if name == "serve":
        options = json.loads(rest[3])
        if options.pop("trusting", False):
            globals()["is_signed"] = verification.is_signed = lambda frame, voice: True
        with asyncio.Runner(loop_factory=Turns if rest[0] == "ours" else None) as runner:
            runner.run(SERVERS[rest[0]](int(rest[1]), int(rest[2]), options))
    elif name == "readers":
        readers(int(rest[0]), int(rest[1]))
    elif name == "bystanders":
        bystanders(int(rest[0]))
    else:
        globals()[f"measure_{name}"](*map(int, rest))


if __name__ == "__main__":
    main()
