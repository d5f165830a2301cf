"""Health: asked without a token, answered with counts."""

import dataclasses

from wallet_guard.ipc.health import Health, HealthView


def test_is_asked_without_anything() -> None:
    assert dataclasses.fields(Health) == ()


def test_names_neither_a_key_nor_a_client() -> None:
    hints = {field.name: field.type for field in dataclasses.fields(HealthView)}
    assert hints["keys"] is int
    assert hints["clients"] is int
