"""Hidden files and folders of commands at work: locked while their process lives, so that others leave them alone.

A kill ends the lock. Where the file system has no locks, what a killed command left counts as in use and stays.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"
"""The file in a hidden folder that is locked for it."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone in the folder while `.part` files are made or removed, where the file system has locks."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def hold(handle: int) -> None:
    """Show that a process is at work on what was opened; ends with the process."""
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_abandoned(path: Path) -> bool:
    """Whether no process is at work on a hidden file or folder; where that cannot be told, it counts as in use.

    To be asked by who is alone in the folder around it.
    """
    if path.is_dir():
        path /= LOCK
        if not path.exists():
            return True
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def umask() -> int:
    """The process's umask: a temporary file is private, the finished one is like any other."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
