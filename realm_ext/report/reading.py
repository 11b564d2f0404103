"""Reads a run folder: metrics, lm-eval results and stages, each optional.

Serves `realm report`. What is missing or torn becomes one line in `Run.notes`, never an error: a report of half a
run is worth having. Results follow lm-eval 0.4.13 (lm_eval/loggers/evaluation_tracker.py).
"""

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realm_ext.report.json_values import clean, finite, load_json, mapping
from realm_ext.report.rounds import join_rounds, mark_regimes, round_folders
from realm_ext.report.scalars import Series, read_scalars
from realm_ext.report.traces import TraceSummary, read_traces

CHECKPOINTS = ("base", "sft", "rl", "grpo")
REGIMES = ("unguided", "guided")
TASK_PREFIX, GUIDED_SUFFIX = "realm_", "_guided"
METRIC = "acc"


@dataclass(frozen=True)
class Evaluation:
    """The accuracy of one checkpoint on one lm-eval task.

    Attributes:
        checkpoint: folder name under `eval/`.
        task: lm-eval's name without the regime's suffix.
        regime: "guided" or "unguided".
        accuracy: in [0, 1].
        n: questions; None when lm-eval does not say.
        stderr: lm-eval's standard error, if there is one.
        scores: accuracy by question; empty without a samples file.
    """

    checkpoint: str
    task: str
    regime: str
    accuracy: float
    n: int | None
    stderr: float | None
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Stage:
    """One stage of `realm quickstart`; `status` is "done", or "reused" when an earlier run had done it."""

    name: str
    seconds: float
    status: str
    detail: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """All that was found in a run folder.

    Attributes:
        name: the folder's name.
        rl, grpo: metrics of the ReaLM run and of the plain GRPO control run, by name.
        evaluations: sorted by task, checkpoint, regime.
        stages: in order of running.
        traces: what the route traces of the ReaLM run say; None without them.
        notes: one line for each thing that is missing, torn or left out.
        round_ends: the steps of the ReaLM run at which one round of RL ends and another begins.
        grpo_round_ends: those of the control run.
    """

    name: str
    rl: Mapping[str, Series]
    grpo: Mapping[str, Series]
    evaluations: tuple[Evaluation, ...]
    stages: tuple[Stage, ...]
    notes: tuple[str, ...]
    traces: TraceSummary | None = None
    round_ends: tuple[int, ...] = ()
    grpo_round_ends: tuple[int, ...] = ()


def read_run(folder: Path) -> Run:
    """Read what `realm quickstart` (or the same commands by hand) left in `folder`.

    Raises:
        FileNotFoundError: the folder is not there, or holds nothing to report.
        OSError: a file in it cannot be opened.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; give the folder of a run")
    notes: list[str] = []
    stages = _read_stages(folder / "stages.json", notes)
    asked = {stage.name for stage in stages}
    rl, ends = _read_metrics(folder, "rl", notes, "the curves of the RL run are not drawn")
    grpo: dict[str, Series] = {}
    grpo_ends: tuple[int, ...] = ()
    if "grpo" in asked or (folder / "grpo").is_dir():
        grpo, grpo_ends = _read_metrics(folder, "grpo", notes, "there is no plain GRPO run to draw beside")
    evaluations = _read_evaluations(folder / "eval", asked, notes)
    traces = read_traces([path / "checkpoints" for path in round_folders(folder / "rl")], notes)
    rl = mark_regimes(rl, traces.rollouts if traces else {})
    if not (rl or grpo or evaluations or stages):
        raise FileNotFoundError(
            f"{folder} has nothing to report ({'; '.join(notes)}); give the folder of a run, "
            "the one that holds rl/, eval/ and stages.json"
        )
    return Run(folder.resolve().name, rl, grpo, evaluations, stages, tuple(notes), traces, ends, grpo_ends)


def _read_metrics(
    folder: Path, part: str, notes: list[str], without: str
) -> tuple[dict[str, Series], tuple[int, ...]]:
    """The metrics of a part's rounds as one, and where rounds end."""
    logs = []
    for path in round_folders(folder / part):
        name = f"{path.relative_to(folder)}/tensorboard"
        if not (folder / name).is_dir():
            notes.append(f"{name} is missing: {without}")
            continue
        series, problems = read_scalars(folder / name)
        notes += [f"{name}: {problem}" for problem in problems]
        if series:
            logs.append(series)
        else:
            notes.append(f"{name} holds no metrics: {without}")
    return join_rounds(logs)


# ------------------------------ lm-eval ------------------------------


def _read_evaluations(folder: Path, asked: AbstractSet[str], notes: list[str]) -> tuple[Evaluation, ...]:
    """The evaluations of all checkpoints; what was not asked for, by the names of the stages, is not missed."""
    if not folder.is_dir():
        notes.append("eval is missing: no checkpoint was evaluated with lm_eval")
        return ()
    names = sorted((p.name for p in folder.iterdir() if p.is_dir()), key=checkpoint_order)
    found: list[Evaluation] = []
    for name in names:
        newest: dict[tuple[str, str], Evaluation] = {}
        for path in sorted((folder / name).rglob("results_*.json"), key=lambda p: p.name):
            for evaluation in _read_results(path, name, notes):
                newest[evaluation.task, evaluation.regime] = evaluation
        found += newest.values()
    wanted = {*names, *(stage.removeprefix("eval_") for stage in asked if stage.startswith("eval_"))}
    for name in sorted(wanted, key=checkpoint_order):
        if not any(e.checkpoint == clean(name) for e in found):
            notes.append(f"eval/{name} has no readable results: not in the tables")
    found.sort(key=lambda e: (e.task, checkpoint_order(e.checkpoint), REGIMES.index(e.regime)))
    return tuple(found)


def checkpoint_order(name: str) -> tuple[int, str]:
    """Sort key: base, sft, rl, grpo, then any other by name."""
    return (CHECKPOINTS.index(name) if name in CHECKPOINTS else len(CHECKPOINTS), name)


def _read_results(path: Path, checkpoint: str, notes: list[str]) -> list[Evaluation]:
    where = f"eval/{checkpoint}/{path.name}"
    content = load_json(path, where, notes)
    if content is None:
        return []
    results = mapping(mapping(content).get("results"))
    if not results:
        notes.append(f"{where} has no table `results`: not a results file of lm_eval, left out")
        return []
    leaves = mapping(content.get("n-samples"))
    found = []
    for task, row in results.items():
        if not task.startswith(TASK_PREFIX) or (leaves and task not in leaves):
            continue  # another's task, or the mean of a group
        metrics = mapping(row)
        filters = [key.partition(",")[2] for key in metrics if key.startswith(f"{METRIC},")]
        chosen = "none" if "none" in filters else next(iter(filters), "none")
        accuracy = finite(metrics.get(f"{METRIC},{chosen}"))
        if accuracy is None or not 0.0 <= accuracy <= 1.0:
            names = (clean(key.partition(",")[0]) for key in metrics if "," in key)
            others = ", ".join(name for name in dict.fromkeys(names) if not name.endswith("_stderr"))
            notes.append(
                f"{where}: {clean(task)} has no {METRIC} between 0 and 1, left out: the report reads {METRIC} alone, "
                f"`realm compare` every metric (here {others or 'none'})"
            )
            continue
        n = finite(mapping(leaves.get(task)).get("effective"))
        samples = path.with_name(f"samples_{task}_{path.stem.removeprefix('results_')}.jsonl")
        scores = _read_samples(samples, f"eval/{checkpoint}/{samples.name}", chosen, notes)
        guided = task.endswith(GUIDED_SUFFIX)
        found.append(
            Evaluation(
                checkpoint=clean(checkpoint),
                task=clean(task.removesuffix(GUIDED_SUFFIX)),
                regime="guided" if guided else "unguided",
                accuracy=accuracy,
                n=int(n) if n else len(scores) or None,
                stderr=finite(metrics.get(f"{METRIC}_stderr,{chosen}")),
                scores=scores,
            )
        )
    return found


def _read_samples(path: Path, where: str, chosen: str, notes: list[str]) -> dict[str, float]:
    """Accuracy by question (lm-eval's number and hash of it), for the filter that gave the result."""
    if not path.is_file():
        notes.append(f"{where} is missing: no paired comparison with this checkpoint")
        return {}
    scores: dict[str, float] = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                sample = json.loads(line)
                wanted = sample.get("filter", chosen) == chosen
                key, score = f"{sample['doc_id']} {sample.get('doc_hash', '')}", float(sample[METRIC])
            except (ValueError, TypeError, KeyError, AttributeError):
                notes.append(
                    f"{where}: line {number} is torn or has no doc_id and {METRIC}: "
                    "no paired comparison with this checkpoint"
                )
                return {}
            if wanted:
                scores[key] = score
    return scores


# ------------------------------ stages ------------------------------


def _read_stages(path: Path, notes: list[str]) -> tuple[Stage, ...]:
    if not path.is_file():
        notes.append("stages.json is missing: the times of the stages are not known")
        return ()
    content = load_json(path, path.name, notes)
    if content is None:
        return ()
    if not isinstance(content, list):
        notes.append("stages.json is not a list of stages: left out")
        return ()
    stages = []
    for number, entry in enumerate(content, start=1):
        seconds = finite(entry.get("seconds")) if isinstance(entry, dict) else None
        if seconds is None or seconds < 0 or not isinstance(entry.get("name"), str):
            notes.append(f"stages.json: entry {number} has no `name` with `seconds` of 0 or more, left out")
            continue
        stages.append(
            Stage(
                clean(entry["name"]),
                seconds,
                clean(str(entry.get("status", "done"))),
                {clean(key): _detail(value) for key, value in mapping(entry.get("detail")).items()},
            )
        )
    return tuple(stages)


def _detail(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else clean(str(value))
