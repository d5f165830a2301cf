"""Tries, from inside a sandbox, what the sandbox forbids; prints what came of it as JSON. Standard library only.

Every attempt is harmless where it succeeds. "yes" means that it worked; otherwise the error's name.
"""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import resource
import shutil
import socket
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
CLONE_NEWUSER = 0x10000000
SYS = {"init_module": 175, "add_key": 248, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323}
NODE, PROCESSES, STATE, OTHERS = sys.argv[1:5]


def attempt(action, *arguments):
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__) if error.errno else type(error).__name__
    except Exception as error:
        return type(error).__name__
    return "yes"


def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "")


def write(path):
    with open(path, "ab"):
        pass
    if path.endswith("sandbox-probe"):
        os.unlink(path)


def written(path):
    """EACCES of a read-only mount is EROFS that was never reached."""
    result = attempt(write, path)
    read_only = os.statvfs(os.path.dirname(path)).f_flag & os.ST_RDONLY
    return "read-only" if result in ("EROFS", "EACCES") and read_only else result


def connect(family, address):
    with socket.socket(family) as opened:
        opened.settimeout(2)
        opened.connect(address)


def trace(pid):
    checked(libc.ptrace(PTRACE_ATTACH, pid, 0, 0))
    os.waitpid(pid, 0x40000000)
    checked(libc.ptrace(PTRACE_DETACH, pid, 0, 0))


def in_child(action):
    """For what would change ourselves."""
    told, tell = os.pipe()
    if os.fork() == 0:
        os.write(tell, attempt(action).encode())
        os._exit(0)
    os.close(tell)
    os.wait()
    return os.read(told, 100).decode()


def syscall(name, *arguments):
    checked(libc.syscall(ctypes.c_long(SYS[name]), *arguments))


def executable_memory():
    # Closed with the process: nothing is run in it.
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def own_program(folder):
    path = f"{folder}/program"
    try:
        shutil.copy("/bin/true", path)
        subprocess.run([path], check=True)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def program_in_memory():
    file = os.memfd_create("program")
    with open("/bin/true", "rb") as read:
        os.write(file, read.read())
    subprocess.run([f"/proc/self/fd/{file}"], check=True, pass_fds=[file])


def set_uid_file():
    path = f"{STATE}/set-uid"
    with open(path, "w"):
        pass
    try:
        os.chmod(path, 0o4755)
    finally:
        os.unlink(path)


def read_first(path):
    # Of /proc/PID/mem nothing is mapped at 0; that it can be opened is the matter.
    with open(path, "rb") as opened:
        if not path.endswith("/mem"):
            opened.read(1)


def lines(path):
    with open(path) as opened:
        return opened.read().splitlines()


def status(name):
    return next(line.split()[1] for line in lines("/proc/self/status") if line.startswith(name + ":"))


pids = [int(pid) for pid in PROCESSES.split(",")]
host, _, port = NODE.rpartition(":")
found = {
    "tcp to the chain's endpoint": attempt(connect, socket.AF_INET, (host, int(port))),
    "tcp to another port of this host": attempt(connect, socket.AF_INET, (host, 8000)),
    "tcp to the metadata service": attempt(connect, socket.AF_INET, ("169.254.169.254", 80)),
    "make an IPv6 socket": attempt(lambda: socket.socket(socket.AF_INET6).close()),
    "make a netlink socket": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()),
    "make a packet socket": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
    "network interfaces": ",".join(sorted(line.split(":")[0].strip() for line in lines("/proc/self/net/dev")[2:])),
    "write below /etc": written("/etc/sandbox-probe"),
    "write below /usr": written("/usr/sandbox-probe"),
    "write below /opt/wallet-guard": written("/opt/wallet-guard/sandbox-probe"),
    "write below /run": written("/run/sandbox-probe"),
    "write below /var": written("/var/sandbox-probe"),
    "write the state": attempt(write, f"{STATE}/sandbox-probe"),
    "list /root": attempt(os.listdir, "/root"),
    "list /home": attempt(os.listdir, "/home"),
    "see the host's /tmp": "yes" if os.path.exists("/tmp/of-the-host") else "no",
    "run /bin/true": attempt(lambda: subprocess.run(["/bin/true"], check=True)),
    "run a program of its own": [attempt(own_program, folder) for folder in (STATE, "/tmp", "/var/tmp", "/dev/shm")],
    "run a program from memory": attempt(program_in_memory),
    "map writable executable memory": attempt(executable_memory),
    "trace another process": [attempt(trace, pid) for pid in pids],
    "signal another process": [attempt(os.kill, pid, 0) for pid in pids],
    "read another's environment": [attempt(read_first, f"/proc/{pid}/environ") for pid in pids],
    "read another's memory": [attempt(read_first, f"/proc/{pid}/mem") for pid in pids],
    "see another process": ["yes" if os.path.exists(f"/proc/{pid}/status") else "no" for pid in pids],
    "read others' files": [attempt(read_first, path) for path in OTHERS.split(",")],
    "open /dev/kmsg": attempt(read_first, "/dev/kmsg"),
    "open /dev/mem": attempt(read_first, "/dev/mem"),
    "write /proc/sys": attempt(lambda: open("/proc/sys/kernel/domainname", "w").close()),
    "mount": attempt(lambda: checked(libc.mount(b"none", b"/mnt", b"tmpfs", 0, None))),
    "make a user namespace": in_child(lambda: checked(libc.unshare(CLONE_NEWUSER))),
    "load a kernel module": attempt(syscall, "init_module", 0, 0, b""),
    "add a key to the keyring": attempt(syscall, "add_key", b"user", b"x", b"y", 1, -3),
    "set the host's name": attempt(lambda: checked(libc.sethostname(b"box", 3))),
    "set realtime priority": in_child(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))),
    "become another user": in_child(lambda: os.setuid(65534)),
    "make a set-uid file": attempt(set_uid_file),
    "change personality": in_child(lambda: checked(libc.personality(0x0008))),
    "capabilities": status("CapBnd"),
    "no new privileges": status("NoNewPrivs"),
    "core dump": str(resource.getrlimit(resource.RLIMIT_CORE)[1]),
    "umask": f"{os.umask(0o077):04o}",
}
print("PROBE " + json.dumps(found))
