"""The real `lm_eval` command, offline, on a tiny random model: it runs, finds all names, and asks as training does."""

import json
import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_prep.demo_model import DemoSize, build_demo_model, save_demo_model
from data_prep.sources import SOURCES
from data_prep.sources.convert import convert
from eval_tasks.bundled import read_rows
from eval_tasks.link import SOURCE, find_target, task_files
from realm_ext.prompt import render_messages
from reward_fns.routes import routes_from

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
LIMIT = 4
ENDS = {"": False, "_guided": True}
DOMAINS = {
    "search_relevance": "search_relevance",
    "finance": "numeric",
    "medicine": "choice",
    "law": "choice",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        row
        for name, domain in DOMAINS.items()
        for row in read_rows(f"{name}_test.jsonl", domain, False)[:100]
    ]
    folder = tmp_path_factory.mktemp("model") / "tiny"
    size = DemoSize(hidden=32, layers=1, intermediate=64, vocabulary=800)
    save_demo_model(*build_demo_model((row["question"] for row in rows), size), folder)
    return folder


def lm_eval(*arguments: str, folder: Path) -> str:
    """Run `lm_eval` offline; returns what it prints to both streams."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    command = [sys.executable, "-m", "lm_eval", *arguments]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def evaluate(model: Path, tasks: str, folder: Path, *options: str) -> Path:
    """Run tasks on a model with `hf`; returns `folder`, which then holds results and samples."""
    lm_eval(
        *("run", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--device", "cpu"),
        *("--batch_size", "8", "--include_path", str(SOURCE), "--tasks", tasks, "--apply_chat_template"),
        *("--limit", str(LIMIT), "--gen_kwargs", "max_gen_toks=24"),
        *("--output_path", str(folder), "--log_samples", *options),
        folder=folder,
    )
    return folder


@pytest.fixture(scope="module")
def output(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tasks = "realm_vertical,realm_vertical_guided,realm_law_sampled"
    return evaluate(model, tasks, tmp_path_factory.mktemp("output"), "--metadata", "repeats=2")


def read_results(output: Path) -> dict[str, Any]:
    (file,) = output.glob("**/results_*.json")
    results: dict[str, Any] = json.loads(file.read_text())
    return results


def read_samples(output: Path, task: str) -> list[dict[str, Any]]:
    (file,) = output.glob(f"**/samples_{task}_2*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_results_hold_every_metric(output: Path) -> None:
    written = read_results(output)
    assert set(written["groups"]) == {"realm_vertical", "realm_vertical_guided"}
    for name, (end, guided) in product(DOMAINS, ENDS.items()):
        results = written["results"][f"realm_{name}{end}"]
        for metric in (
            "acc",
            "acc_flexible",
            "acc_long_tail",
            "format",
            "malformed",
            "truncated",
            "timeout",
            "response_chars",
        ):
            assert isinstance(results[f"{metric},none"], float)
        assert ("macro_f1,none" in results) == (name == "search_relevance")
        assert ("informedness,none" in results) == ("first_error_guess,none" in results) == guided
        assert written["n-samples"][f"realm_{name}{end}"]["effective"] == LIMIT


def test_a_command_without_the_chat_template_is_warned_once(model: Path, tmp_path: Path) -> None:
    printed = lm_eval(
        *("run", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--device", "cpu"),
        *("--include_path", str(SOURCE), "--tasks", "realm_law,realm_medicine", "--limit", "1"),
        *("--gen_kwargs", "max_gen_toks=8"),
        folder=tmp_path,
    )
    assert printed.count("Add --apply_chat_template") == 1


def test_sampled_responses_differ_and_form_one_document(output: Path) -> None:
    results = read_results(output)["results"]["realm_law_sampled"]
    assert results["distinct@k,none"] == 1.0
    assert {"mean@k,none", "maj@k,none", "pass@k,none"} <= set(results)
    samples = read_samples(output, "realm_law_sampled")
    assert len(samples) == LIMIT and all(len(sample["resps"]) == 2 for sample in samples)


def test_the_model_sees_what_training_shows(output: Path, model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    for (name, domain), (end, guided) in product(DOMAINS.items(), ENDS.items()):
        rows = read_rows(f"{name}_test.jsonl", domain, guided)
        samples = read_samples(output, f"realm_{name}{end}")
        assert len(samples) == LIMIT
        for sample in samples:
            row = rows[sample["doc_id"]]
            question = [{"role": "user", "content": row["question"]}]
            messages = render_messages(question, routes_from(row.get("routes")))
            expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            assert sample["arguments"]["gen_args_0"]["arg_0"] == expected


def test_public_sets_run_offline_from_local_files(model: Path, shared_data: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    convert(
        SOURCES["gsm8k-routes"], str(shared_data / "gsm8k" / "example_model_solutions.jsonl"), data / "gsm8k"
    )
    shutil.copy(shared_data / "gsm8k" / "test.jsonl", data / "gsm8k")
    shutil.copytree(shared_data / "bbh", data / "bbh")
    tasks = "realm_gsm8k,realm_gsm8k_guided,realm_bbh"
    output = evaluate(model, tasks, tmp_path / "output", "--metadata", f"data={data}")
    written = read_results(output)
    sizes = {name: counts["original"] for name, counts in written["n-samples"].items()}
    assert sizes["realm_gsm8k"] == 1_319 and sizes["realm_bbh"] == 1_396 and sizes["realm_gsm8k_guided"] > 600
    assert all(written["n-samples"][name]["effective"] == LIMIT for name in sizes)
    assert {"acc,none", "acc_macro,none", "acc_macro_stderr,none"} <= set(written["results"]["realm_bbh"])


def test_the_bare_command_finds_every_name(tmp_path: Path) -> None:
    """Without `--include_path`, by the links that `make setup` makes; lm-eval's own tasks that we name are there too."""
    if not (find_target() / "realm_vertical.yaml").exists():
        pytest.skip("needs `realm link-tasks` in this environment, which `make setup` runs")
    configs = [yaml.safe_load(file.read_text().replace("!function", "")) for file in task_files()]
    ours = [config.get("task") if "group" not in config else config["group"] for config in configs]
    theirs = yaml.safe_load((SOURCE / "realm_general_reference.yaml").read_text())["task"]
    printed = lm_eval("validate", "--tasks", ",".join([*ours, *theirs]), folder=tmp_path)
    assert "All tasks found and valid" in printed


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
    assert {d["metric"] for d in written["differences"]} == {"acc", "macro_f1", "response_chars"}
    # The group is the mean over its four tasks, paired within each.
    assert {(d["n"], d["difference"], d["reading"]) for d in written["differences"]} == {
        (LIMIT, 0.0, "within noise"),
        (4 * LIMIT, 0.0, "within noise"),
    }
    assert {(gap["n"], gap["task"]) for gap in written["gaps"]} >= {(LIMIT, "realm_search_relevance")}
    assert all(s["interval"] for s in written["scores"] if s["metric"] != "first_error_guess")
    guided = {s["metric"]: s["value"] for s in written["scores"] if s["task"].endswith("relevance_guided")}
    assert 0.0 < guided["first_error_guess"] <= 1.0, "beside first_error_acc in any results of guided tasks"
    assert not any("from the samples" in note for note in written["notes"])
