"""Small lm-eval result folders, written by hand."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

DATE = "2026-01-02T03-04-05.678901"
Writer = Callable[..., Path]


def _write_run(
    folder: Path,
    tasks: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    date: str = DATE,
    version: float = 1.0,
    samples: bool = True,
    results: Mapping[str, Mapping[str, Any]] | None = None,
    **extra: Any,
) -> Path:
    """One results file, and a samples file a task.

    Each sample is a mapping with `uid` (or none), scores by metric under `scores`, and optionally `question`, `gold`,
    `rule`, `edit`, `routes`, `response`, `filter`, `prompt_hash`. Results are the means of numeric scores unless given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, dict[str, Any]] = {}
    for task, rows in tasks.items():
        means: dict[str, Any] = {"alias": task}
        for key in {(m, row.get("filter", "none")) for row in rows for m in row["scores"]}:
            values = [r["scores"][key[0]] for r in rows if r.get("filter", "none") == key[1]]
            if all(isinstance(v, bool | int | float) for v in values):
                means[",".join(key)] = sum(values) / len(values)
                means[f"{key[0]}_stderr,{key[1]}"] = 0.05
        made[task] = {**means, **(results or {}).get(task, {})}
        lines = [json.dumps(_logged(i, row)) + "\n" for i, row in enumerate(rows)]
        if samples:
            (folder / f"samples_{task}_{date}.jsonl").write_text("".join(lines))
    content = {
        "results": made,
        "versions": dict.fromkeys(tasks, version),
        "n-shot": dict.fromkeys(tasks, 0),
        "n-samples": {t: {"original": len(rows), "effective": len(rows)} for t, rows in tasks.items()},
        "configs": {t: {"generation_kwargs": {"max_gen_toks": 256}} for t in tasks},
        "higher_is_better": {
            t: {m: m != "malformed" for row in rows for m in row["scores"]} for t, rows in tasks.items()
        },
        **extra,
    }
    path = folder / f"results_{date}.json"
    path.write_text(json.dumps(content))
    return path


def _logged(number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    doc = {
        key: row[key]
        for key in ("uid", "question", "gold", "rule", "edit", "data_source", "routes")
        if key in row
    }
    response = row.get("response", "<answer> x </answer>")
    return {
        "doc_id": number,
        "doc": doc,
        "target": row.get("gold", ""),
        "arguments": {"gen_args_0": {"arg_0": f"prompt {number}"}},
        "resps": [[response]],
        "filtered_resps": row.get("filtered", [response]),
        "filter": row.get("filter", "none"),
        "metrics": list(row["scores"]),
        "doc_hash": row.get("hash", f"hash{row.get('uid', number)}"),
        "prompt_hash": row.get("prompt_hash", "p"),
        **row["scores"],
    }


@pytest.fixture
def write_run() -> Writer:
    return _write_run


def scored(values: Sequence[float], metric: str = "acc", **more: Any) -> list[dict[str, Any]]:
    """One sample for each value of `metric`, with a uid."""
    return [{"uid": f"u{i}", "scores": {metric: value}, **more} for i, value in enumerate(values)]
