"""What stops a command: words for the terminal and an exit status."""

__all__ = ["CommandError"]


class CommandError(Exception):
    """A command can't do what it was asked.

    Args:
        message: What is wrong and what to do next.
        status: Exit status: 1, the question has no answer; 2, the command line is wrong.
    """

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status
