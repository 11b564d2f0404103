"""One checkpoint through lm-eval's `hf`, `vllm` and a real OpenAI-compatible server: the same figures, within noise.

The model has read a little of the domain's text, so that its responses are not all one. Decoding is greedy; kernels differ,
so a near tie between two tokens may fall either way, and responses need not be the same to the letter.
"""

import json
import math
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval_tasks.link import SOURCE
from tests.e2e.stack import Stack, realm

pytestmark = pytest.mark.timeout(900)
TASK = "realm_search_relevance"
QUESTIONS = 64
ENGINE = "dtype=float32,max_model_len=512,enforce_eager=True"


@pytest.fixture(scope="module")
def base(stack: Stack, data: Path) -> Path:
    """A demo model that has read some of the domain's text."""
    folder = stack.folder / "reader"
    options = ("--hidden", 64, "--layers", 2, "--steps", 300, "--domain", "search_relevance")
    # One thread: those of a pool wait for each other where cores are shared.
    stack.must(realm("demo-model", data / "base.parquet", folder, *options), 300, OMP_NUM_THREADS="1")
    return folder


def evaluate(stack: Stack, backend: str, model_args: str, tasks: str, *options: str) -> dict[str, Any]:
    """Results of one run, with its samples under `samples`, by task."""
    output = stack.folder / f"eval_{backend}"
    command = [
        *(sys.executable, "-m", "lm_eval", "run", "--model", backend, "--model_args", model_args),
        *("--tasks", tasks, "--include_path", str(SOURCE), "--apply_chat_template"),
        *("--limit", str(QUESTIONS), "--gen_kwargs", "max_gen_toks=48"),
        *("--output_path", str(output), "--log_samples", *options),
    ]
    stack.must(command, 500, VLLM_CPU_KVCACHE_SPACE="1", OMP_NUM_THREADS="1")
    (file,) = output.glob("**/results_*.json")
    results: dict[str, Any] = json.loads(file.read_text())
    results["samples"] = {
        task: [json.loads(line) for line in next(output.glob(f"**/samples_{task}_2*.jsonl")).open()]
        for task in tasks.split(",")
    }
    return results


@pytest.fixture(scope="module")
def by_hf(stack: Stack, base: Path) -> dict[str, Any]:
    return evaluate(
        stack, "hf", f"pretrained={base},dtype=float32", TASK, "--device", "cpu", "--batch_size", "auto"
    )


def assert_agree(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Every mean within two standard errors of the difference, and most responses the same."""
    a, b = one["results"][TASK], other["results"][TASK]
    assert a["format,none"] > 0.5, "a model without the grammar shows nothing"
    for metric in ("acc", "format", "malformed", "truncated", "response_chars"):
        error = math.hypot(a[f"{metric}_stderr,none"], b[f"{metric}_stderr,none"])
        assert abs(a[f"{metric},none"] - b[f"{metric},none"]) <= 2 * error + 1e-9, metric
    texts = [{s["doc_id"]: s["resps"][0][0].strip() for s in run["samples"][TASK]} for run in (one, other)]
    same = sum(texts[0][key] == texts[1][key] for key in texts[0])
    print(f"acc {a['acc,none']:.3f} and {b['acc,none']:.3f}, {same} of {len(texts[0])} responses the same")
    assert len(texts[0]) == len(texts[1]) == QUESTIONS and same >= 0.9 * QUESTIONS


def test_hf_and_vllm_agree(stack: Stack, base: Path, by_hf: dict[str, Any]) -> None:
    by_vllm = evaluate(stack, "vllm", f"pretrained={base},{ENGINE}", TASK, "--batch_size", "auto")
    assert_agree(by_hf, by_vllm)


@pytest.fixture
def server(stack: Stack, base: Path) -> Iterator[str]:
    """The address of `vllm serve`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(str(Path(sys.executable).with_name("vllm")), "serve", str(base), "--port", str(port)),
        *("--host", "127.0.0.1", "--dtype", "float32", "--max-model-len", "512", "--enforce-eager"),
    ]
    process = stack.start(command, VLLM_CPU_KVCACHE_SPACE="1")

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    stack.wait_for(process, answers, 300)
    yield f"http://127.0.0.1:{port}/v1/chat/completions"
    stack.end(process)


@pytest.mark.long
def test_a_chat_server_agrees_and_its_repeats_differ(
    stack: Stack, base: Path, by_hf: dict[str, Any], server: str
) -> None:
    """Marked long: the server and the engine of the test before take half a minute each to start."""
    model_args = f"model={base},base_url={server},num_concurrent=8"
    tasks = f"{TASK},{TASK}_sampled"
    served = evaluate(stack, "local-chat-completions", model_args, tasks, "--metadata", "repeats=4")
    assert_agree(by_hf, served)
    sampled = served["results"][f"{TASK}_sampled"]
    assert sampled["distinct@k,none"] > 0.5
    assert sampled["pass@k,none"] >= sampled["pass@2,none"] >= sampled["mean@k,none"]
