"""The study's lm-eval tasks: the test set of a run's folder, scored in `benchmarks.study.measure` from the samples.

Serves docs/study_plan.md. Prompts and answers go through `eval_tasks.scoring`, as in the bundled tasks. The environment
variable `STUDY_TEST` names the folder with test.jsonl and arithmetic.jsonl.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from realm_ext.prompt import render_messages
from reward_fns import compute_score

FOLDER = Path(__file__).resolve().parent
VARIABLE = "STUDY_TEST"


def read_documents(folder: Path, file: str, guided: bool) -> list[dict[str, Any]]:
    """The documents of a file; unguided ones hold no routes."""
    rows = [json.loads(line) for line in (folder / file).read_text(encoding="utf-8").splitlines()]
    domain = "math" if file == "arithmetic.jsonl" else "search_relevance"
    regime = "guided" if guided else "unguided"
    return [
        {
            **{k: v for k, v in row.items() if guided or k != "routes"},
            "data_source": f"realm/{domain}/{regime}",
        }
        for row in rows
    ]


def load(file: str, guided: bool = False, **_metadata: Any) -> dict[str, Any]:
    """The data set of a task, under its split `test`; lm-eval also passes the task's metadata, unused here."""
    from datasets import Dataset  # heavy, and only lm-eval's own process needs it

    return {"test": Dataset.from_list(read_documents(Path(os.environ[VARIABLE]), file, guided))}


def prompt(doc: Mapping[str, Any]) -> str:
    """The user message of a question without routes."""
    text: str = render_messages([{"role": "user", "content": doc["question"]}], ())[-1]["content"]
    return text


def score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """lm-eval's `process_results`: accuracy alone; the row of results is made from the responses."""
    return {"acc": compute_score(doc["data_source"], results[0], doc["gold"])["acc"]}
