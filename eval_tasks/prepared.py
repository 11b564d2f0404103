"""Rows in ReaLM's RL schema as documents: any file of `realm prep` is an evaluation set.

Serves design.md, sections Data and Layout. `lm_eval --tasks realm_parquet --metadata data=FILE.parquet`; a folder
stands for the `test.parquet` in it. Question, gold answer, domain and routes are those of the rows, so prompts are
those of training. Rows in verl's own schema, without `uid`, are read too.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reward_fns.content import content_uid
from reward_fns.ground_truth import golds
from reward_fns.mrpv import best_constant_guesses, measured_right_share
from reward_fns.routes import routes_from

_log = logging.getLogger(__name__)
MAX_ROUTES = 4
"""More routes of a row than this are not shown: the first ones stand for all."""


def load(data: str | None = None, guided: bool = False, **_metadata: Any) -> dict[str, Any]:
    """The data set of `realm_parquet`, under its split `test`; lm-eval also passes the task's metadata, unused here.

    Raises:
        ValueError: no file was named.
        FileNotFoundError: there is no such file.
    """
    if not data:
        raise ValueError("realm_parquet needs a file: --metadata data=FILE.parquet (what `realm prep` wrote)")
    path = Path(data).expanduser()
    return as_dataset(read_parquet(path / "test.parquet" if path.is_dir() else path, guided))


def read_parquet(path: Path, guided: bool) -> list[dict[str, Any]]:
    """The `documents` of a parquet.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no parquet file or not in that schema, or as `documents`.
    """
    import pyarrow as pa  # heavy, and only lm-eval's own process needs it
    import pyarrow.parquet as pq

    if not path.is_file():
        raise FileNotFoundError(
            f"no file {path}; `realm prep` writes such files, and `realm prep --help` lists how"
        )
    try:
        columns = pq.read_schema(path).names
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is no parquet file; `realm prep table` makes one of a table") from error
    missing = {"data_source", "prompt", "reward_model", "extra_info"} - set(columns)
    if missing:
        raise ValueError(
            f"{path} lacks the columns {', '.join(sorted(missing))}: not a file of ReaLM's RL schema"
        )
    return documents(pq.read_table(path).to_pylist(), guided, str(path))


def documents(rows: Iterable[Mapping[str, Any]], guided: bool, where: str) -> list[dict[str, Any]]:
    """The documents of RL rows, each with a `uid` of its own: equal rows are as many documents, and are counted.

    Rows that are marked for the other regime are left out, so that each question of a validation file counts once.

    Args:
        rows: in ReaLM's RL schema or verl's own.
        guided: whether prompts show routes; rows without any are then left out and counted.
        where: what to call the rows in messages.

    Returns:
        Documents with a text as `gold`; where some row has several gold answers, with a list each.

    Raises:
        ValueError: a prompt is no single question, or no row is left.
    """
    other = "unguided" if guided else "guided"
    wanted = [row for row in rows if (row["extra_info"] or {}).get("regime") != other]
    docs = [doc for row in wanted if (doc := _document(row, guided))["gold"]]
    if len(docs) < len(wanted):
        unread = len(wanted) - len(docs)
        _log.warning(
            "%s: %d of %d rows have no readable gold answer and are left out", where, unread, len(wanted)
        )
    if all(len(doc["gold"]) == 1 for doc in docs):
        docs = [{**doc, "gold": doc["gold"][0]} for doc in docs]
    docs = _told_apart(docs, where)
    if guided:
        found = len(docs)
        docs = with_guesses(with_right_share(doc for doc in docs if doc["routes"]))
        if 0 < len(docs) < found:
            _log.warning("%s: %d of %d rows have no routes and are left out", where, found - len(docs), found)
    if not docs:
        raise ValueError(f"{where} holds no row {'with routes' if guided else 'for an unguided prompt'}")
    return docs


def _told_apart(docs: Sequence[Mapping[str, Any]], where: str) -> list[dict[str, Any]]:
    """With a `uid` each, the content hash where a row has none; the n-th document of one `uid` gets `-n`."""
    copies: Counter[str] = Counter()
    named: dict[str, dict[str, Any]] = {}
    for doc in docs:
        gold = doc["gold"] if isinstance(doc["gold"], str) else " or ".join(doc["gold"])
        uid = own = str(doc["uid"] or content_uid(doc["question"], gold))
        while own in named:
            copies[uid] += 1
            own = f"{uid}-{copies[uid] + 1}"
        named[own] = {**doc, "uid": own}
    if copies:
        _log.warning(
            "%s: %d of %d rows have the uid of an earlier row; each counts", where, copies.total(), len(docs)
        )
    return list(named.values())


def with_right_share(docs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The documents with the share of right routes, which the verdict score needs."""
    listed = list(docs)
    share = measured_right_share(routes_from(doc["routes"]) for doc in listed)
    return [{**doc, "right_share": 0.5 if share is None else share} for doc in listed]


def with_guesses(docs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The documents with `first_error_guess`: for each wrong route that `first_error_acc` counts, whether the best
    constant guess for routes of its length, over all these documents, hits its first error.
    """
    listed = list(docs)
    banks = [[route for route in routes_from(doc["routes"]) if route.is_located] for doc in listed]
    guesses = best_constant_guesses(route for bank in banks for route in bank)
    hits = [[route.first_error == guesses[len(route.steps)] for route in bank] for bank in banks]
    return [{**doc, "first_error_guess": found} for doc, found in zip(listed, hits, strict=True)]


def as_dataset(docs: list[dict[str, Any]]) -> dict[str, Any]:
    """Documents as lm-eval's `custom_dataset` wants them."""
    from datasets import Dataset  # heavy, and only lm-eval's own process needs it

    return {"test": Dataset.from_list(docs)}


def _document(row: Mapping[str, Any], guided: bool) -> dict[str, Any]:
    """A document with the tuple of its gold answers, empty where none can be read."""
    messages = list(row["prompt"])
    roles = [message["role"] for message in messages]
    if roles not in (["user"], ["system", "user"]):
        raise ValueError(
            f"prompts of one user message, with or without a system message, are read; got roles {roles}"
        )
    extra = row["extra_info"] or {}
    doc = {
        "uid": extra.get("uid"),
        "system": messages[0]["content"] if len(messages) == 2 else "",
        "question": messages[-1]["content"],
        "gold": _golds(row["reward_model"]),
        "data_source": row["data_source"],
    }
    return {**doc, "routes": (extra.get("routes") or [])[:MAX_ROUTES]} if guided else doc


def _golds(reward_model: Mapping[str, Any] | None) -> tuple[str, ...]:
    try:
        return golds((reward_model or {}).get("ground_truth"))
    except ValueError:
        return ()
