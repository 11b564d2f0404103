"""The one Arrow schema of each kind of file that data preparation writes, and the makers of their rows.

Serves design.md, section Data. The schemas are explicit: from the rows alone, a column that is null in every
row would get the type null, and such a file refuses to be read beside others.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from reward_fns.content import content_uid
from reward_fns.routes import Route, route_to_mapping

AGENT_NAME = "realm"
REGIMES = ("guided", "unguided")

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_ROUTE = pa.struct(
    [
        ("steps", pa.list_(pa.string())),
        ("answer", pa.string()),
        ("label", pa.bool_()),
        ("sound", pa.bool_()),
        ("first_error", pa.int64()),
        ("source", pa.string()),
    ]
)

RL_SCHEMA: pa.Schema = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", _MESSAGES),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct(
                [
                    ("uid", pa.string()),
                    ("index", pa.int64()),
                    ("split", pa.string()),
                    ("regime", pa.string()),
                    ("routes", pa.list_(_ROUTE)),
                ]
            ),
        ),
        ("agent_name", pa.string()),
    ]
)
"""Rows for RL and validation. Null may be `regime` (the schedule decides), `sound` and `first_error`."""

SFT_SCHEMA: pa.Schema = pa.schema(
    [("messages", _MESSAGES), ("source", pa.string()), ("kind", pa.string()), ("uid", pa.string())]
)
"""Rows for verl's MultiTurnSFTDataset, which reads `messages` and leaves the other columns alone.

Never add columns named `tools`, `enable_thinking`, `images` or `videos`: verl gives them a meaning.
"""

BANK_SCHEMA: pa.Schema = pa.schema(
    [
        ("uid", pa.string()),
        ("domain", pa.string()),
        ("question", pa.string()),
        ("gold", pa.string()),
        *_ROUTE,
        ("writer", pa.string()),
        ("stale", pa.bool_()),
    ]
)
"""Rows of a route bank, one a route: the question, the route's fields as in `extra_info.routes`, and who wrote it.

`source` names the writer for people (`teacher/NAME`, `student`, `program/full`); `writer` is its fingerprint (model or
checkpoint hash and prompt version), by which `stale` is told: true where the student has been trained on since.
"""

_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def rl_row(
    question: str,
    gold: str,
    *,
    domain: str,
    index: int,
    split: str,
    routes: Sequence[Route] = (),
    regime: str | None = None,
) -> dict[str, Any]:
    """One row of `RL_SCHEMA`.

    Args:
        question: the user message, without routes and without an instruction for the response grammar.
        gold: the gold answer, as the domain reads it.
        domain: name of the domain, the second part of `data_source`.
        index: the row's number in its source, from 0.
        split: name of the split of the source, e.g. `train`.
        routes: the route bank of the question.
        regime: null where the schedule decides; else it becomes the last part of `data_source`.

    Raises:
        ValueError: an empty question or gold answer, or an unknown regime; says which.
    """
    if not question.strip() or not gold.strip():
        raise ValueError(f"a row needs a question and a gold answer; got {question[:80]!r} and {gold[:80]!r}")
    if regime is not None and regime not in REGIMES:
        raise ValueError(f"regime must be null, {' or '.join(REGIMES)}; got {regime!r}")
    if not _NAME.fullmatch(domain):
        raise ValueError(f"a domain's name is made of letters, digits, '_', '-' and '.'; got {domain!r}")
    return {
        "data_source": f"realm/{domain}" + (f"/{regime}" if regime else ""),
        "prompt": [{"role": "user", "content": question}],
        "ability": domain,
        "reward_model": {"style": "rule", "ground_truth": gold},
        "extra_info": {
            "uid": content_uid(question, gold),
            "index": index,
            "split": split,
            "regime": regime,
            "routes": [route_to_mapping(route) for route in routes],
        },
        "agent_name": AGENT_NAME,
    }


def bank_row(
    question: str, gold: str, route: Route, *, domain: str, writer: str, stale: bool = False
) -> dict[str, Any]:
    """One row of `BANK_SCHEMA`; `writer` is a fingerprint, `route.source` the name."""
    return {
        "uid": content_uid(question, gold),
        "domain": domain,
        "question": question,
        "gold": gold,
        **route_to_mapping(route),
        "writer": writer,
        "stale": stale,
    }


def sft_row(
    prompt: Sequence[Mapping[str, Any]], response: str, *, source: str, kind: str, uid: str
) -> dict[str, Any]:
    """One row of `SFT_SCHEMA`: a rendered prompt and the assistant's text.

    Args:
        prompt: messages as `realm_ext.prompt.render_messages` gives them.
        response: text in the response grammar, as `render_response` writes it.
        source: who wrote the reasoning.
        kind: what the row teaches, e.g. `chain` or `contrast`.
        uid: `content_uid` of the question.

    Raises:
        ValueError: the prompt does not end with a user message, or the response is empty.
    """
    if not prompt or prompt[-1].get("role") != "user":
        raise ValueError(
            f"an SFT prompt ends with a user message; got roles {[m.get('role') for m in prompt]}"
        )
    if not response.strip():
        raise ValueError(f"an SFT row needs a response; got an empty one for uid {uid}")
    messages = [{"role": m["role"], "content": m["content"]} for m in prompt]
    return {
        "messages": [*messages, {"role": "assistant", "content": response}],
        "source": source,
        "kind": kind,
        "uid": uid,
    }
