"""One side of the conversation."""

import pytest


def test_what_belongs_to_the_protocol_cannot_be_registered(kit):
    async def scene():
        async with kit.validator() as validator:
            for type_ in ("hello", "ack", "welcome", "heartbeat", "error", "revoke"):
                with pytest.raises(ValueError, match="protocol"):
                    validator.register_handler(type_, print)

    kit.run(scene())
