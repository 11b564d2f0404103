"""A small run folder like the one `realm quickstart` leaves, and writers for its parts."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

TASK = "realm_search_relevance"
DATE = "2026-01-02T03-04-05.678901"
Points = Mapping[str, Sequence[tuple[int, float]]]
EventWriter = Callable[..., Path]
EvalWriter = Callable[..., Path]


def _write_events(folder: Path, points: Points, started: float = 100.0) -> Path:
    before = set(folder.glob("*")) if folder.is_dir() else set()
    writer = EventFileWriter(str(folder))
    for name, pairs in points.items():
        for step, value in pairs:
            summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
            writer.add_event(Event(wall_time=started, step=step, summary=summary))
    writer.close()
    (path,) = set(folder.glob("*")) - before
    return path


def _write_eval(
    folder: Path, accuracies: Mapping[str, Sequence[float]], date: str = DATE, **extra: Any
) -> Path:
    """lm_eval's results file for `accuracies` (scores by task), and one samples file a task."""
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"realm_vertical": {"acc,none": 0.5}}
    for task, scores in accuracies.items():
        results[task] = {"alias": task, "acc,none": sum(scores) / len(scores), "acc_stderr,none": 0.1}
        rows = [{"doc_id": i, "doc_hash": f"h{i}", "filter": "none", "acc": s} for i, s in enumerate(scores)]
        samples = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"samples_{task}_{date}.jsonl").write_text(samples)
    counts = {task: {"original": len(s), "effective": len(s)} for task, s in accuracies.items()}
    path = folder / f"results_{date}.json"
    path.write_text(json.dumps({"results": results, "n-samples": counts} | extra))
    return path


@pytest.fixture
def write_events() -> EventWriter:
    return _write_events


@pytest.fixture
def write_eval() -> EvalWriter:
    return _write_eval


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A whole run of 12 steps, exposure 0 from step 9, with a GRPO run, four checkpoints and stages."""
    folder = tmp_path / "demo <run>"
    steps = range(1, 13)
    common = {
        "response_length/mean": [(s, 50.0 + s) for s in steps],
        "critic/score/mean": [(s, 0.5) for s in steps],
        "actor/entropy": [(s, 1.0 / s) for s in steps],
        "actor/grad_norm": [(s, 0.4) for s in steps],
        "actor/pg_loss": [(s, 0.01) for s in steps],
        "timing_s/step": [(s, 4.0) for s in steps],
        "timing_s/gen": [(s, 2.0) for s in steps],
        "timing_s/update_actor": [(s, 1.5) for s in steps],
        "timing_s/testing": [(s, 3.0) for s in (4, 8, 12)],
    }
    realm = {
        "realm/exposure": [(s, max(0.0, 1 - s / 9)) for s in steps],
        "realm/guided_share": [(s, 0.5 if s < 9 else 0.0) for s in steps],
        "realm/routes_shown": [(s, 2.0 if s < 9 else 0.0) for s in steps],
        "realm/val/guided_acc": [(s, 0.8) for s in (0, 4, 8, 12)],
        "realm/val/unguided_acc": [(s, 0.4 + s / 60) for s in (0, 4, 8, 12)],
        "realm/val/gap": [(s, 0.4 - s / 60) for s in (0, 4, 8, 12)],
    }
    realm |= {
        "realm/schedule": [(s, max(0.0, 1 - s / 9)) for s in steps],
        "realm/carry_over/log_prob": [(s, -1.0 + s / 20) for s in (2, 4, 6, 8)],
        "realm/carry_over/rollouts": [(2, 32.0), (4, 32.0), (6, 9.0), (8, 5.0)],
        "realm/verdicts/right_judged_right": [(s, 0.5 + s / 20) for s in range(1, 9)],
        "realm/verdicts/wrong_judged_right": [(s, 0.5 - s / 20) for s in range(1, 9)],
        "realm/verdicts/missing": [(s, 0.1) for s in range(1, 9)],
        "realm/first_error_acc": [(s, 0.4) for s in range(1, 9)],
        "realm/first_error_guess": [(s, 0.5) for s in range(1, 9)],
        "realm/adaptive/questions": [(s, 10.0 * s) for s in steps],
        "realm/adaptive/level/realm/search_relevance/0": [(s, 0.9) for s in steps],
        "realm/adaptive/level/realm/search_relevance/2": [(s, 1 - s / 20) for s in steps],
    }
    for name in ("score", "outcome", "verdict", "decisive", "format", "consistent", "response_length"):
        realm[f"realm/guided/{name}"] = [(s, 0.6) for s in range(1, 9)]
        realm[f"realm/unguided/{name}"] = [(s, 0.4) for s in steps]
    _write_events(folder / "rl" / "tensorboard", common | realm)
    validation = {"val-core/realm/search_relevance/unguided/acc/mean@1": [(s, 0.4) for s in (0, 4, 8, 12)]}
    _write_events(folder / "grpo" / "tensorboard", common | validation)
    for name, right in (("base", 10), ("sft", 20), ("rl", 32), ("grpo", 28)):
        unguided = [1.0] * right + [0.0] * (40 - right)
        guided = [1.0] * 34 + [0.0] * 6
        _write_eval(folder / "eval" / name / "model", {TASK: unguided, f"{TASK}_guided": guided})
    stages = [
        {"name": "data", "started": 1.0, "seconds": 8.0, "status": "done", "detail": {"rows": 100}},
        {"name": "rl <b>", "started": 9.0, "seconds": 125.0, "status": "reused", "detail": {"acc": 0.51239}},
    ]
    (folder / "stages.json").write_text(json.dumps(stages))
    return folder
