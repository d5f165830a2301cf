"""What the operator may ask: on his socket, and on no other."""

import pytest

from wallet_guard.ipc.admin import AllowPlain, AllowRuntime, AuditCheckpoint, Lock, StatusAsk, Unlock
from wallet_guard.ipc.questions import ADMIN, CHAIN, GATEWAY, HUB


@pytest.mark.parametrize("question", [AllowPlain, AllowRuntime, AuditCheckpoint, Lock, StatusAsk, Unlock])
def test_is_asked_on_the_admin_socket_alone(question: type) -> None:
    assert question in ADMIN.values()
    assert question not in (*GATEWAY.values(), *CHAIN.values(), *HUB.values())
