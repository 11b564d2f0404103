"""The real `lm_eval` command, offline, on a tiny random model: it runs, and prompts are those of training."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data_prep.demo_model import DemoSize, build_demo_model, save_demo_model
from eval_tasks.bundled import read_rows
from eval_tasks.link import SOURCE
from realm_ext.prompt import render_messages
from reward_fns.routes import routes_from

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
LIMIT = 8
ENDS = {"": False, "_guided": True}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = read_rows("search_relevance_test.jsonl", "search_relevance", guided=True)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    size = DemoSize(hidden=32, layers=1, intermediate=64, vocabulary=600)
    save_demo_model(*build_demo_model((row["question"] for row in rows[:200]), size), folder)
    return folder


@pytest.fixture(scope="module")
def output(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("output")
    command = [
        *(sys.executable, "-m", "lm_eval", "run", "--model", "hf"),
        *("--model_args", f"pretrained={model},dtype=float32", "--device", "cpu", "--batch_size", "4"),
        *("--include_path", str(SOURCE), "--tasks", "realm_vertical,realm_vertical_guided"),
        *("--apply_chat_template", "--limit", str(LIMIT), "--gen_kwargs", "max_gen_toks=24"),
        *("--output_path", str(folder), "--log_samples"),
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return folder


def read_samples(output: Path, task: str) -> list[dict[str, Any]]:
    (file,) = output.glob(f"**/samples_{task}_2*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_results_hold_every_metric(output: Path) -> None:
    (file,) = output.glob("**/results_*.json")
    written = json.loads(file.read_text())
    assert set(written["groups"]) == {"realm_vertical", "realm_vertical_guided"}
    for end, guided in ENDS.items():
        results = written["results"]["realm_search_relevance" + end]
        for metric in ("acc", "acc_long_tail", "macro_f1", "format", "malformed", "response_chars"):
            assert isinstance(results[f"{metric},none"], float)
        assert ("informedness,none" in results) == guided
        assert written["n-samples"]["realm_search_relevance" + end]["effective"] == LIMIT


def test_the_model_sees_what_training_shows(output: Path, model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    for end, guided in ENDS.items():
        rows = read_rows("search_relevance_test.jsonl", "search_relevance", guided)
        samples = read_samples(output, "realm_search_relevance" + end)
        assert len(samples) == LIMIT
        for sample in samples:
            row = rows[sample["doc_id"]]
            question = [{"role": "user", "content": row["question"]}]
            messages = render_messages(question, routes_from(row.get("routes")))
            expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            assert sample["arguments"]["gen_args_0"]["arg_0"] == expected


def test_realm_compare_reads_the_real_output(output: Path, tmp_path: Path) -> None:
    """Every metric is computed again from the samples, so that none is compared by its summary alone."""
    command = [sys.executable, "-m", "realm_ext.cli", "compare", f"a={output}", f"b={output}"]
    command += ["--metric", "acc", "--metric", "macro_f1", "--metric", "response_chars"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "c.json")],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "c.json").read_text())
    assert len(written["differences"]) == 6
    assert {(d["n"], d["difference"], d["reading"]) for d in written["differences"]} == {
        (LIMIT, 0.0, "within noise")
    }
    assert [(gap["n"], gap["task"]) for gap in written["gaps"]] == [(LIMIT, "realm_search_relevance")] * 2
    assert all(score["interval"] for score in written["scores"])
    assert not any("from the samples" in note for note in written["notes"])
