"""Files that last: written whole or not at all, and on disk when the call returns."""

import os
from pathlib import Path


def write_by_rename(path: Path, text: str) -> None:
    """Write `text` so that a reader finds the old content or the new, whole, whenever the writer dies."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Return when a file's content, or a folder's list of names, is on disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
