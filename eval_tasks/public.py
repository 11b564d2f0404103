"""Public data sets as documents: from a local folder, or from the Hub.

Serves design.md, sections Domains and Layout. One option says where the files lie, `--metadata data=FOLDER`; for a set
NAME the first of these is read:

* `FOLDER/NAME/test.parquet`, or `routes.parquet` for guided tasks: what `realm prep` wrote;
* `FOLDER/NAME/*.json` and `*.jsonl`, unguided: the files as their authors publish them, or rows exported from the Hub.

Without the option the set comes from the Hub. Rows whose gold answer the domain cannot read are left out, counted and
logged.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval_tasks.prepared import as_dataset, read_parquet
from reward_fns.content import content_uid
from reward_fns.domains import get

Row = Mapping[str, Any]
Pair = tuple[str, str]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublicSet:
    """Where a set lives on the Hub, what judges it, how a row becomes question and gold answer, and its local files."""

    hub: str
    config: str | None
    split: str
    domain: str
    read: Callable[[Row], Pair]
    files: tuple[str, ...] = ("test.json", "test.jsonl")


def load(source: str, data: str | None = None, guided: bool = False, **_metadata: Any) -> dict[str, Any]:
    """The data set of a task, under its split `test`; lm-eval also passes the task's metadata, unused here."""
    return as_dataset(read_set(source, data, guided))


def read_set(source: str, data: str | None, guided: bool) -> list[dict[str, Any]]:
    """The documents of the public set `source`.

    Raises:
        ValueError: guided, and no folder was named; or no row could be used.
        FileNotFoundError: the folder holds none of the files that are looked for, or the Hub cannot be reached.
    """
    chosen = SETS[source]
    option = f"--metadata data=FOLDER with FOLDER/{source}/"
    if data is None:
        if guided:
            raise ValueError(
                f"realm_{source}_guided needs routes: give {option}routes.parquet, as `realm prep` writes it"
            )
        return _documents(source, _from_hub(source, option))
    folder = Path(data).expanduser() / source
    prepared = folder / ("routes.parquet" if guided else "test.parquet")
    if guided or prepared.is_file():
        return read_parquet(prepared, guided)
    found = sorted({path for pattern in chosen.files for path in folder.glob(pattern)})
    if not found:
        looked = ", ".join(["test.parquet", *chosen.files])
        raise FileNotFoundError(f"none of {looked} in {folder}; {option} is where realm_{source} looks")
    return _documents(source, ((path.stem, row) for path in found for row in _rows(path)))


def _from_hub(source: str, option: str) -> Iterator[tuple[str, Row]]:
    """The rows of a set, each with the name of its part."""
    from datasets import get_dataset_config_names, load_dataset

    chosen = SETS[source]
    configs: list[str | None] = [chosen.config]
    try:
        if chosen.config == ALL_CONFIGS:
            configs = get_dataset_config_names(chosen.hub)
        parts = {str(name): load_dataset(chosen.hub, name, split=chosen.split) for name in configs}
    except OSError as error:  # what `datasets` raises when it is offline or the set is gone
        raise FileNotFoundError(
            f"{chosen.hub} could not be read from the Hub ({error}); offline, give {option}{chosen.files[0]}"
        ) from error
    return ((name, row) for name, rows in parts.items() for row in rows)


def _rows(path: Path) -> Iterator[Row]:
    """The rows of a JSON-lines file, of a JSON list, or of BIG-Bench Hard's `{"examples": [...]}`."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        yield from (json.loads(line) for line in text.splitlines() if line.strip())
        return
    whole = json.loads(text)
    yield from whole["examples"] if isinstance(whole, dict) else whole


def _documents(source: str, rows: Iterable[tuple[str, Row]]) -> list[dict[str, Any]]:
    """Documents of the usable rows; where a set has several parts, `rule` says which one a row is from."""
    chosen = SETS[source]
    domain = get(chosen.domain)
    docs: dict[str, dict[str, Any]] = {}
    unread = 0
    for part, row in rows:
        question, gold = chosen.read(row)
        read = domain.extract(gold)
        if read is None or not domain.equivalent(read, gold):
            unread += 1
            continue
        uid = content_uid(question, gold)
        data_source = f"realm/{chosen.domain}/unguided"
        docs[uid] = {"uid": uid, "system": "", "question": question, "gold": gold, "data_source": data_source}
        if chosen.config == ALL_CONFIGS:
            docs[uid]["rule"] = part
    if unread:
        _log.warning("realm_%s: %d rows left out, their gold answer cannot be read", source, unread)
    if not docs:
        raise ValueError(
            f"realm_{source}: none of the rows could be used ({unread} have no readable gold answer)"
        )
    return list(docs.values())


# ------------------------------ one reader a set ------------------------------


def _gsm8k(row: Row) -> Pair:
    return row["question"], row["answer"].rpartition("####")[2].strip().replace(",", "")


def _bbh(row: Row) -> Pair:
    return row["input"], row["target"]


def _choices(row: Row) -> Pair:
    """CommonsenseQA and ARC, as published (`question.stem`) and as on the Hub."""
    inner = row["question"] if isinstance(row["question"], Mapping) else row
    choices = inner["choices"]
    if isinstance(choices, Mapping):
        labels, texts = choices["label"], choices["text"]
    else:
        labels, texts = [c["label"] for c in choices], [c["text"] for c in choices]
    stem = inner["stem"] if "stem" in inner else row["question"]
    return _with_options(stem, texts), _LETTERS[list(labels).index(row["answerKey"])]


def _medqa(row: Row) -> Pair:
    letters = sorted(row["options"])
    return _with_options(row["question"], [row["options"][x] for x in letters]), row["answer_idx"]


def _casehold(row: Row) -> Pair:
    asked = row["context"] + "\n\nWhich holding does the text cite?"
    return _with_options(asked, row["endings"]), _LETTERS[int(row["label"])]


def _finqa(row: Row) -> Pair:
    """FinQA: the report's text and table, then the question; as published, question and answer lie under `qa`."""
    asked = row.get("qa") or row
    table = "\n".join(" | ".join(line) for line in row["table"])
    before, after = (" ".join(row[key]) for key in ("pre_text", "post_text"))
    gold = str(asked["answer"] or asked["exe_ans"])
    return "\n\n".join(part for part in (before, table, after, asked["question"]) if part.strip()), gold


_LETTERS = "ABCDEFGHIJ"
ALL_CONFIGS = "all"


def _with_options(stem: str, texts: Iterable[str]) -> str:
    return "\n".join(
        [stem.strip(), *(f"({letter}) {text}" for letter, text in zip(_LETTERS, texts, strict=False))]
    )


SETS = {
    "gsm8k": PublicSet("openai/gsm8k", "main", "test", "math", _gsm8k),
    "bbh": PublicSet("SaylorTwift/bbh", ALL_CONFIGS, "test", "logic", _bbh, ("*.json",)),
    "commonsense_qa": PublicSet("tau/commonsense_qa", None, "validation", "choice", _choices),
    "arc_challenge": PublicSet("allenai/ai2_arc", "ARC-Challenge", "test", "choice", _choices),
    "finqa": PublicSet("rootsautomation/FinQA", None, "test", "numeric", _finqa),
    "medqa": PublicSet("GBaker/MedQA-USMLE-4-options", None, "test", "choice", _medqa),
    "casehold": PublicSet("coastalcph/lex_glue", "case_hold", "test", "choice", _casehold),
}
