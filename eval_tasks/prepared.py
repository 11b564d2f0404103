"""Rows in ReaLM's RL schema as documents: any file of `realm prep` is an evaluation set.

Serves design.md, sections Data and Layout. `lm_eval --tasks realm_parquet --metadata data=FILE.parquet`; a folder
stands for the `test.parquet` in it. Question, gold answer, domain and routes are those of the rows, so prompts are
those of training.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reward_fns.mrpv import measured_right_share
from reward_fns.routes import routes_from

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
    """The documents of a parquet in ReaLM's RL schema.

    Rows that are marked for the other regime are left out, so that each question of a validation file counts once.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not in that schema, or, if guided, holds no routes.
    """
    import pyarrow.parquet as pq  # heavy, and only lm-eval's own process needs it

    if not path.is_file():
        raise FileNotFoundError(
            f"no file {path}; `realm prep` writes such files, and `realm prep --help` lists how"
        )
    missing = {"data_source", "prompt", "reward_model", "extra_info"} - set(pq.read_schema(path).names)
    if missing:
        raise ValueError(
            f"{path} lacks the columns {', '.join(sorted(missing))}: not a file of ReaLM's RL schema"
        )
    other = "unguided" if guided else "guided"
    rows = [row for row in pq.read_table(path).to_pylist() if row["extra_info"].get("regime") != other]
    docs = [_document(row, guided) for row in rows]
    if guided:
        docs = with_right_share([doc for doc in docs if doc["routes"]])
    if not docs:
        raise ValueError(f"{path} holds no row {'with routes' if guided else 'for an unguided prompt'}")
    return list({doc["uid"]: doc for doc in docs}.values())


def with_right_share(docs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The documents with the share of right routes, which the verdict score needs."""
    listed = list(docs)
    share = measured_right_share(routes_from(doc["routes"]) for doc in listed)
    return [{**doc, "right_share": 0.5 if share is None else share} for doc in listed]


def as_dataset(docs: list[dict[str, Any]]) -> dict[str, Any]:
    """Documents as lm-eval's `custom_dataset` wants them."""
    from datasets import Dataset  # heavy, and only lm-eval's own process needs it

    return {"test": Dataset.from_list(docs)}


def _document(row: Mapping[str, Any], guided: bool) -> dict[str, Any]:
    messages = list(row["prompt"])
    roles = [message["role"] for message in messages]
    if roles not in (["user"], ["system", "user"]):
        raise ValueError(
            f"prompts of one user message, with or without a system message, are read; got roles {roles}"
        )
    doc = {
        "uid": row["extra_info"].get("uid"),
        "system": messages[0]["content"] if len(messages) == 2 else "",
        "question": messages[-1]["content"],
        "gold": row["reward_model"]["ground_truth"],
        "data_source": row["data_source"],
    }
    return {**doc, "routes": (row["extra_info"].get("routes") or [])[:MAX_ROUTES]} if guided else doc
