"""Files that reports are written to: only a new file, or one that the same command wrote, has its place taken."""

from pathlib import Path

PNG = "PNG"
_HEAD = 1000


def check_place(path: Path, mark: str) -> None:
    """Refuse a place where a file of another kind stands.

    Args:
        mark: what the files of this kind hold near their beginning.

    Raises:
        ValueError: names the file.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give a file")
    if path.exists():
        with path.open("rb") as file:
            if mark.encode() not in file.read(_HEAD):
                raise ValueError(f"{path} is there, and this command did not write it: give another place")
