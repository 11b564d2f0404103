"""Public data sets as documents: from a local folder, or from the Hub.

Question, gold answer and wording are those of `data_prep.sources`, so that a set asks the same whether it is read raw or
through `realm prep`. One option says where the files lie, `--metadata data=FOLDER`; for a set NAME the first of these is
read:

* `FOLDER/NAME/test.parquet` (or the split's own name), `routes.parquet` for guided tasks: what `realm prep` wrote;
* raw files in `FOLDER/NAME`, unguided: as their authors publish them, or rows exported from the Hub.

Without the option the set comes from the Hub. Rows that cannot be used are left out, counted and logged with the reason.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from data_prep.sources import SOURCES
from data_prep.sources.passes import Pass, Rejects, rows_of
from data_prep.sources.reading import Record, Unread, plain, read_file
from eval_tasks.prepared import as_dataset, documents, read_parquet

_log = logging.getLogger(__name__)
ALL_CONFIGS = "all"


@dataclass(frozen=True)
class PublicSet:
    """Which source reads a set, and where its rows are.

    Attributes:
        source: name in `data_prep.sources`.
        hub: `owner/name` or `owner/name:configuration`; empty: as the source says. The configuration `all` stands for all
            there are, each a sub-task of the set.
        split: the published split that has answers and is reported.
        files: names of raw files; the first pattern that is there counts.
    """

    source: str
    hub: str = ""
    split: str = "test"
    files: tuple[str, ...] = ("test.json", "test.jsonl")


SETS = {
    "gsm8k": PublicSet("gsm8k"),
    "bbh": PublicSet("bbh", hub=f"SaylorTwift/bbh:{ALL_CONFIGS}", files=("*.json", "*.jsonl")),
    "commonsense_qa": PublicSet(
        "commonsense-qa",
        split="validation",
        files=("validation.json", "validation.jsonl", "dev_rand_split.jsonl", "test.json", "test.jsonl"),
    ),
    "arc_challenge": PublicSet("arc", files=("test.json", "test.jsonl", "ARC-Challenge-Test.jsonl")),
    "finqa": PublicSet("finqa"),
    "medqa": PublicSet("medqa"),
    "casehold": PublicSet("casehold", files=("test.json", "test.jsonl", "test.csv")),
}


def load(source: str, data: str | None = None, guided: bool = False, **_metadata: Any) -> dict[str, Any]:
    """The data set of a task, under its split `test`; lm-eval also passes the task's metadata, unused here."""
    return as_dataset(read_set(source, data, guided))


def read_set(name: str, data: str | None, guided: bool) -> list[dict[str, Any]]:
    """The documents of the public set `name`.

    Raises:
        ValueError: guided, and no folder was named; or no row could be used.
        FileNotFoundError: the folder holds none of the files that are looked for, or the Hub cannot be reached.
    """
    chosen = SETS[name]
    option = f"--metadata data=FOLDER with FOLDER/{name}/"
    if data is None:
        if guided:
            raise ValueError(
                f"realm_{name}_guided needs routes: give {option}routes.parquet, as `realm prep` writes it"
            )
        return _documents(name, _from_hub(name, option))
    folder = Path(data).expanduser() / name
    if guided:
        return read_parquet(folder / "routes.parquet", guided)
    prepared = list(dict.fromkeys(["test.parquet", f"{chosen.split}.parquet"]))
    found = next(
        (paths for pattern in [*prepared, *chosen.files] if (paths := sorted(folder.glob(pattern)))), []
    )
    if found and found[0].name in prepared:
        return read_parquet(found[0], guided)
    if not found:
        looked = ", ".join([*prepared, *chosen.files])
        raise FileNotFoundError(f"none of {looked} in {folder}; {option} is where realm_{name} looks")
    return _documents(name, chain.from_iterable(read_file(path, path.stem) for path in found))


def _from_hub(name: str, option: str) -> Iterator[Record]:
    """The rows of a set, each under the name of its configuration."""
    from datasets import get_dataset_config_names, load_dataset

    chosen = SETS[name]
    path, _, config = (chosen.hub or SOURCES[chosen.source].hub).partition(":")
    try:
        configs = get_dataset_config_names(path) if config == ALL_CONFIGS else [config or None]
        parts = {str(part): load_dataset(path, part, split=chosen.split) for part in configs}
    except OSError as error:  # what `datasets` raises when it is offline or the set is gone
        raise FileNotFoundError(
            f"{path} could not be read from the Hub ({error}); offline, give {option}{chosen.files[0]}"
        ) from error
    return (
        Record(part, row, plain(value))
        for part, rows in parts.items()
        for row, value in enumerate(rows, start=1)
    )


def _documents(name: str, records: Iterable[Record | Unread]) -> list[dict[str, Any]]:
    """Documents of the usable rows; where a set has sub-tasks, `subtask` and `rule` say which one a row is of."""
    chosen, task = SETS[name], f"realm_{name}"
    source = SOURCES[chosen.source]
    parts: list[str] = []

    def read() -> Iterator[Record | Unread]:
        for record in records:
            parts.append(record.file)
            yield record

    with Rejects(None) as rejects:
        usable = Pass(source, read, chosen.split, tuple, lambda count: None, rejects, lambda uid: True)
        found = [
            (parts[index], row)
            for index, item, _ in usable
            for row in rows_of(item, index, chosen.split, source.domain)
        ]
    reasons = ", ".join(f"{reason.removeprefix('row: ')} ({n})" for reason, n in usable.dropped.items())
    if not found:
        raise ValueError(
            f"{task}: no row could be used: {reasons or 'there is none'}; give the split {chosen.split}"
        )
    if reasons:
        _log.warning("%s: %d rows left out: %s", task, usable.dropped.total(), reasons)
    docs = documents((row for _, row in found), False, task)
    if not chosen.hub.endswith(f":{ALL_CONFIGS}"):
        return docs
    return [{**doc, "subtask": part, "rule": part} for (part, _), doc in zip(found, docs, strict=True)]
