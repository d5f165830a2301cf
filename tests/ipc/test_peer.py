import os
import socket

import pytest

from wallet_guard.ipc.peer import Peer, peer_of


def test_the_kernel_says_who_is_on_the_other_side() -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with here, there:
        assert peer_of(here) == Peer(os.getpid(), os.getuid(), os.getgid())


def test_the_peer_is_the_one_that_connected_even_after_it_is_gone(tmp_path: object) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"{tmp_path}/s")
        listener.listen()
        child = os.fork()
        if child == 0:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
                caller.connect(f"{tmp_path}/s")
            os._exit(0)
        connection, _ = listener.accept()
        os.waitpid(child, 0)
        with connection:
            assert peer_of(connection).pid == child


def test_a_socket_that_is_not_connected_is_nobody() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stranger:
        try:
            found = peer_of(stranger)
        except OSError:
            return
        # The kernel answers for any socket; of a network peer it knows no process and no user of ours.
        assert found.pid == 0
        assert found.uid not in (0, os.getuid()), pytest.fail("a network peer must not pass as a local user")
