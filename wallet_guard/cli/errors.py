"""What a command says when it did not work."""


class CommandError(Exception):
    """It did not work: the message says what, ``hint`` what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
