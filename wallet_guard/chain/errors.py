"""How asking an endpoint can fail: it answered no, or it gave no usable answer."""


class Unavailable(Exception):  # noqa: N818 -- the project's word for "the world failed, try again"
    """No usable answer: not connected, the connection broke, the deadline passed, or what came makes no sense."""


class NodeError(Exception):
    """The endpoint answered with a JSON-RPC error: ``code``, ``message`` and, as text, ``data`` ("" if none)."""

    def __init__(self, code: int, message: str, data: str = "") -> None:
        super().__init__(f"{message}: {data}" if data else message)
        self.code = code
        self.message = message
        self.data = data
