"""What a teacher is, and the ways in which asking one can fail.

Serves design.md, section Guided CoT distillation, item 2. A teacher turns one request into one reply and knows nothing
of retries, limits, prices or the store: `sender` does all that, the same for each teacher.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from data_prep.distill.requests import Reply, Request


class Teacher(Protocol):
    """`openai`, `vllm`, `program`, or one of the user's own.

    Attributes:
        model: what identifies the model, part of the request key: another model, other replies.
        name: for people, in the rows' `source`.
        description: for the provenance; nothing secret, nothing that changes from run to run.
        remembers: whether replies are worth keeping: a program's are made again instead.
    """

    model: str
    name: str
    description: Mapping[str, Any]
    remembers: bool

    async def generate(self, request: Request) -> Reply:
        """Ask once.

        Raises:
            TryAgain: this try failed in a way that another may not.
            Malformed: something came back that is not a reply.
            Refused: another try would fail in the same way.
        """
        ...

    async def close(self) -> None:
        """Free what the teacher holds."""
        ...


class TryAgain(Exception):
    """A try failed, and another may not.

    Attributes:
        wait: seconds that the server asks to wait; None where it did not say.
        billed: whether the server may have charged for it: it did if it had begun to answer.
        busy: the server is there and well, and asked to be asked less often.
    """

    def __init__(
        self, reason: str, wait: float | None = None, billed: bool = False, busy: bool = False
    ) -> None:
        super().__init__(reason)
        self.wait = wait
        self.billed = billed
        self.busy = busy


class Malformed(Exception):
    """A reply that cannot be read. `reason` is the same text for each such case, the message tells of this one."""

    def __init__(self, reason: str, evidence: str) -> None:
        super().__init__(f"{reason}: {evidence[:200]}")
        self.reason = reason
        self.evidence = evidence[:200]


class Refused(Exception):
    """The server will not answer. `for_all`: no request will fare better (wrong key, no such model)."""

    def __init__(self, message: str, for_all: bool) -> None:
        super().__init__(message)
        self.for_all = for_all
