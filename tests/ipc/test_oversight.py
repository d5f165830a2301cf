"""The operator's questions about intents: on his socket, and on no other."""

import pytest

from wallet_guard.ipc.oversight import IntentAsk, IntentCancel, IntentList, IntentRetry, Overview
from wallet_guard.ipc.questions import ADMIN, CHAIN, GATEWAY, HUB


@pytest.mark.parametrize("question", [IntentList, IntentAsk, IntentRetry, IntentCancel, Overview])
def test_is_asked_on_the_admin_socket_alone(question: type) -> None:
    assert question in ADMIN.values()
    assert question not in (*GATEWAY.values(), *CHAIN.values(), *HUB.values())
