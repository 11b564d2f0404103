"""The generated data sets that ship with ReaLM, as lm-eval's `custom_dataset` wants them: offline, wherever
the package is installed.

Serves design.md, section Layout (`eval_tasks`): YAML says what, this, `task` and `scoring` say how.
"""

import json
from pathlib import Path
from typing import Any

from eval_tasks.prepared import as_dataset, with_guesses, with_right_share

DATA = Path(__file__).resolve().parent / "data"


def read_rows(file: str, domain: str, guided: bool) -> list[dict[str, Any]]:
    """The documents of a bundled file: its rows, with `data_source` and, if guided, the share of right routes.

    Unguided documents hold no routes at all, so none can reach a prompt.

    Args:
        file: name of a JSON-lines file in eval_tasks/data.
        domain: name of the domain that judges the answers.
        guided: whether prompts show each row's routes, in the order stored.

    Raises:
        FileNotFoundError: there is no such file; the message lists those there are.
    """
    path = DATA / file
    if not path.is_file():
        known = ", ".join(sorted(p.name for p in DATA.glob("*.jsonl")))
        raise FileNotFoundError(f"no bundled data set {file!r} in {DATA}; there are: {known or 'none'}")
    rows = [json.loads(line) | {"system": ""} for line in path.read_text(encoding="utf-8").splitlines()]
    if guided:
        guided_rows = ({**row, "data_source": f"realm/{domain}/guided"} for row in rows)
        return with_guesses(with_right_share(guided_rows))
    for row in rows:
        del row["routes"]
    return [{**row, "data_source": f"realm/{domain}/unguided"} for row in rows]


def load(file: str, domain: str, guided: bool = False, **_metadata: Any) -> dict[str, Any]:
    """The data set of a task, under its split `test`; lm-eval also passes the task's metadata, unused here."""
    return as_dataset(read_rows(file, domain, guided))
