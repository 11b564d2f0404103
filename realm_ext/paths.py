"""Where the installed data folders are; serves the command `realm paths`.

verl and lm-eval want folders on their command lines. The folders lie beside this package, in a
checkout and after a wheel install alike, so commands work from any directory:
`--config-path "$(realm paths configs)"`, `--include_path "$(realm paths eval_tasks)"`.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Folder(StrEnum):
    """A folder of ReaLM that other programs read from."""

    CONFIGS = "configs"
    EVAL_TASKS = "eval_tasks"
    REWARD_FNS = "reward_fns"


def find_folder(folder: Folder) -> Path:
    """Absolute path of an installed folder.

    Raises:
        FileNotFoundError: the folder is not beside `realm_ext`: a damaged install.
    """
    path = Path(__file__).resolve().parent.parent / folder
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is missing: the install is damaged; install realm again")
    return path


def paths(
    folder: Annotated[
        Folder | None, typer.Argument(help="The folder to print; all of them when left out.")
    ] = None,
) -> None:
    """Print where the installed configs, eval_tasks and reward_fns are."""
    if folder is not None:
        typer.echo(find_folder(folder))
        return
    for each in Folder:
        typer.echo(f"{each}\t{find_folder(each)}")
