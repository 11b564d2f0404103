"""Examples a second of `realm_vertical` against lm-eval's own `gsm8k` task: same model, backend and lengths, one run.

Serves issue 6. A small random model on `hf` never ends by itself, so both tasks generate the same number of tokens, and
prompts of both are cut to the same number by the model's own limit. gsm8k gets as many shots as bring its prompts
nearest to ours before that. What is timed is lm-eval's evaluator: requests built, generated, read, scored, aggregated.
Rounds of both alternate; the median of each counts. At least 0.95 is wanted.

    python benchmarks/bench_eval.py --questions 64 --rounds 5
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from data_prep.demo_model import DemoSize, build_demo_model, save_demo_model
from eval_tasks.link import SOURCE

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "gsm8k"
OURS, THEIRS = "realm_vertical", "gsm8k_local"
PROMPT, NEW = 160, 48
BATCH = 32
WANTED = 0.95


def write_gsm8k(folder: Path, shots: int, data: Path = DATA) -> None:
    """lm-eval's gsm8k as it is, but from local files."""
    spec = find_spec("lm_eval")
    assert spec is not None and spec.submodule_search_locations
    own = Path(spec.submodule_search_locations[0]) / "tasks" / "gsm8k" / "gsm8k.yaml"
    changed = {
        "include": str(own),
        "task": THEIRS,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {
            "data_files": {split: str(data / f"{split}.jsonl") for split in ("train", "test")}
        },
        "num_fewshot": shots,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gsm8k_local.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")


def load_tasks(folder: Path, name: str) -> dict[str, Any]:
    """The tasks of one name; lm-eval's own group dictionary."""
    from lm_eval.tasks import TaskManager

    tasks = TaskManager(include_path=[folder, SOURCE], include_defaults=False).load([name])
    for task in tasks["tasks"].values():
        task.set_config("generation_kwargs", {"max_gen_toks": NEW}, update=True)
        if task.get_config("num_fewshot") is None:
            task.set_config("num_fewshot", 0)
        task.set_fewshot_seed(1234)
    return dict(tasks)


def prompt_tokens(model: Any, tasks: dict[str, Any], questions: int) -> float:
    """Mean length of the prompts of the first questions of each task, before they are cut."""
    lengths = []
    for task in tasks["tasks"].values():
        shots = task.get_config("num_fewshot")
        for doc in list(task.eval_docs)[:questions]:
            text = task.fewshot_context(
                doc, shots, apply_chat_template=True, chat_template=model.apply_chat_template
            )
            lengths.append(len(model.tok_encode(text)))
    return statistics.mean(lengths)


def seconds(model: Any, tasks: dict[str, Any], questions: int) -> float:
    """How long lm-eval's evaluator takes."""
    from lm_eval import evaluate

    begun = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        evaluate(model, tasks, limit=questions, apply_chat_template=True, log_samples=True)
    return time.perf_counter() - begun


def make_model(folder: Path) -> Any:
    """A small random model on lm-eval's `hf`, whose limit cuts every prompt to `PROMPT` tokens."""
    from lm_eval.models.huggingface import HFLM

    lines = (DATA / "train.jsonl").read_text(encoding="utf-8").splitlines()[:1_500]
    size = DemoSize(hidden=128, layers=4, intermediate=384)
    save_demo_model(*build_demo_model((json.loads(line)["question"] for line in lines), size), folder)
    return HFLM(
        pretrained=str(folder), device="cpu", dtype="float32", batch_size=BATCH, max_length=PROMPT + NEW
    )


def main(arguments: Sequence[str] | None = None) -> float:
    """Print the table; returns the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--questions", type=int, default=64, help="of each of the four tasks of realm_vertical"
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds, after one that is not")
    options = parser.parse_args(arguments)
    if not DATA.is_dir():
        parser.error(f"needs GSM8K in {DATA}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # One thread: those of a pool wait for each other where cores are shared, which would be all that is measured.
        os.environ |= {
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        model = make_model(folder / "model")
        ours = load_tasks(folder, OURS)
        wanted = prompt_tokens(model, ours, options.questions)
        lengths = {}
        for shots in range(6):
            write_gsm8k(folder / str(shots), shots)
            lengths[shots] = prompt_tokens(model, load_tasks(folder / str(shots), THEIRS), options.questions)
        shots = min(lengths, key=lambda n: abs(lengths[n] - wanted))
        sides = {
            OURS: (ours, options.questions, wanted),
            THEIRS: (load_tasks(folder / str(shots), THEIRS), 4 * options.questions, lengths[shots]),
        }
        took: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(options.rounds + 1):
            for side, (tasks, questions, _) in sides.items():
                took[side].append(seconds(model, tasks, questions))
    count = 4 * options.questions
    speed = {side: count / statistics.median(times[1:]) for side, times in took.items()}
    print(
        f"hf, batches of {BATCH}, {count} questions a round, {options.rounds} rounds, gsm8k with {shots} shots"
    )
    print(f"prompts cut to {PROMPT} tokens, {NEW} new ones")
    for side, (_, _, tokens) in sides.items():
        times = ", ".join(f"{value:.2f}" for value in took[side][1:])
        print(
            f"{side:16} {speed[side]:8.1f} examples/s   uncut prompt {tokens:5.0f} tokens   seconds {times}"
        )
    ratio = speed[OURS] / speed[THEIRS]
    print(f"ratio {ratio:.3f} (wanted: at least {WANTED})")
    return ratio


if __name__ == "__main__":
    main()
