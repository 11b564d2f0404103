"""What only tells about a run never ends it: a failing metric, trace or report is a warning, once, with its reason.

Not for what a run needs to be right: a checkpoint that cannot be written, or a score that cannot be read, must raise.
"""

from collections.abc import Iterator
from contextlib import contextmanager

# The end of a remote traceback says what happened.
_LONGEST_REASON = 500
_failed: set[str] = set()


@contextmanager
def diagnostic(name: str) -> Iterator[None]:
    """Inside, an exception is swallowed; the first of each `name` in this process is said with its reason."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (whatever it is, training does not depend on it)
        if name not in _failed:
            _failed.add(name)
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            reason = reason if len(reason) <= _LONGEST_REASON else f"...{reason[-_LONGEST_REASON:]}"
            print(f"ReaLM: {name} failed, and the run goes on without it; said once: {reason}", flush=True)
