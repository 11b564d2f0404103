"""`realm distill` with a model as the teacher: `vllm serve` over real HTTP, and vLLM's engine; then SFT on what came.

The teacher is a demo model that has read two thousand chains of the expert under the distillation prompt, whose fixed
wording is one token each to it: small enough for a CPU, good enough to be right now and then and wrong in between.
"""

import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.distill.experts import find_expert
from data_prep.distill.program_teacher import ProgramTeacher
from data_prep.distill.prompts import Prompts
from data_prep.schema import SFT_SCHEMA, sft_row
from data_prep.search_relevance.generator import make_item
from reward_fns import domains
from reward_fns.response import parse_response
from tests.e2e.stack import Stack, realm, sft

pytestmark = pytest.mark.timeout(900)
SFT_STEPS, TEACHER_STEPS, POSITIONS = 8, 300, 512
CPU_ENGINE = ("--engine", "dtype=float32", "--engine", f"max_model_len={POSITIONS}")
CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
TRAIN = """
import sys
from pathlib import Path
from data_prep.demo_model import DemoSize, build_demo_model, message_texts, save_demo_model, train_base
parquet, out, steps, positions, *phrases = sys.argv[1:]
size = DemoSize(hidden=64, layers=2, intermediate=192, positions=int(positions))
model, tokenizer = build_demo_model(message_texts(Path(parquet)), size, 0, phrases)
train_base(model, tokenizer, Path(parquet), int(steps))
save_demo_model(model, tokenizer, Path(out))
"""


@pytest.fixture(scope="module")
def teacher(stack: Stack) -> Path:
    search, expert = domains.get("search_relevance"), find_expert("search_relevance")
    assert expert is not None
    program, prompts = ProgramTeacher(search.name, expert), Prompts(search, 0)
    items = [make_item(99, "teacher", index) for index in range(2000)]
    requests = [prompts.chain("uid", item.question, 0) for item in items]
    rows = [
        sft_row(request.chat, program.answer(request).text, source="program", kind="chain", uid="uid")
        for request in requests
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SFT_SCHEMA), stack.folder / "teach.parquet")
    before, _, after = requests[0].messages[0][1].partition(items[0].question)
    out = stack.folder / "teacher"
    arguments = (stack.folder / "teach.parquet", out, TEACHER_STEPS, POSITIONS, before.strip(), after.strip())
    stack.must([sys.executable, "-c", TRAIN, *map(str, arguments)], 300)
    return out


@pytest.fixture(scope="module")
def endpoint(stack: Stack, teacher: Path) -> Iterator[str]:
    """The base URL of a running `vllm serve`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = (
        "--dtype",
        "float32",
        "--enforce-eager",
        "--max-model-len",
        POSITIONS,
        "--host",
        "127.0.0.1",
        "--port",
        port,
    )
    command = [
        sys.executable,
        "-m",
        "vllm.entrypoints.cli.main",
        "serve",
        teacher,
        "--served-model-name",
        "demo",
        *options,
    ]
    process = stack.start(list(map(str, command)), **CPU)

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    stack.wait_for(process, answers, 240)
    yield f"http://127.0.0.1:{port}/v1"
    stack.end(process)


def distill(stack: Stack, data: Path, out: str, *options: object) -> tuple[Path, str]:
    """The folder, and what the command printed."""
    folder = stack.folder / out
    common = (
        "--domain",
        "search_relevance",
        "--limit",
        24,
        "--max-tokens",
        128,
        "--samples",
        2,
        "--attempts",
        3,
    )
    # Not `stack.must`: that ends every process of the folder, and the endpoint is one.
    process = stack.start(realm("distill", data / "train.parquet", folder, *common, *options), **CPU)
    assert process.wait(300) == 0, stack.tail(process)
    return folder, stack.printed(process)


def check(folder: Path, kind: str) -> dict[str, Any]:
    """What holds whatever the teacher said; returns the provenance."""
    provenance: dict[str, Any] = json.loads((folder / "provenance.json").read_text())
    told, kept = provenance["teacher"], provenance["kept"]
    assert told["kind"] == kind and told["replies"] >= 48 and told["replies_without_usage"] == 0
    assert told["prompt_tokens"] > told["replies"] * 50 and told["completion_tokens"] > told["replies"]
    bank = [row for row in pq.read_table(folder / "bank.parquet").to_pylist() if row["writer"] != "given"]
    assert {row["label"] for row in bank} == {True, False}, "it is right now and then, and wrong in between"
    assert all(row["label"] == (row["answer"] == row["gold"]) for row in bank)
    assert kept["train"] == 24
    if kept["sft chain"]:
        for row in pq.read_table(folder / "sft.parquet").to_pylist():
            prompt, response = (message["content"] for message in row["messages"])
            assert "Rules" not in prompt and not parse_response(response, prompt.count("\nRoute ")).problems
    return provenance


def test_over_http(stack: Stack, data: Path, endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--teacher", "openai", "--model", "demo", "--base-url", endpoint, "--concurrency", 8)
    folder, _ = distill(stack, data, "http", *options)
    provenance = check(folder, "openai")
    again, _ = distill(stack, data, "http_again", *options, "--store", stack.folder / "http.store")
    for path in again.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes()
    with capsys.disabled():
        print(f"\nover HTTP: {provenance['teacher']['replies']} replies, {provenance['kept']}")


def test_in_the_engine(stack: Stack, data: Path, teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--teacher", "vllm", "--model", teacher, *CPU_ENGINE)
    _, told = distill(stack, data, "engine", *options, "--dry-run")
    folder, _ = distill(stack, data, "engine", *options)
    provenance = check(folder, "vllm")
    assert provenance["teacher"]["model"].startswith("local:")
    bill = {name: rest for name, *rest in (line.split("\t") for line in told.splitlines())}
    assert bill["note"] and f"the tokenizer in {teacher.name}" in told
    for name, number in (
        ("requests", "replies"),
        ("prompt tokens", "prompt_tokens"),
        ("completion tokens", "completion_tokens"),
    ):
        least, most = map(int, bill[name])
        assert provenance["teacher"][number] <= most and (
            least <= provenance["teacher"][number] or name[0] == "c"
        )
    with capsys.disabled():
        print(f"\nin the engine: {provenance['teacher']['replies']} replies, {provenance['kept']}")


def test_sft_through_verl(stack: Stack, data: Path, init: Path) -> None:
    folder = stack.folder / "by_program"
    stack.must(
        realm(
            "distill", data / "train.parquet", folder, "--domain", "search_relevance", "--teacher", "program"
        ),
        60,
    )
    out = stack.folder / "sft_distilled"
    done = stack.must(sft(out, init, folder / "sft.parquet", SFT_STEPS), 600)
    losses = [
        float(line.partition("train/loss:")[2].split()[0])
        for line in done.out.splitlines()
        if "train/loss:" in line
    ]
    assert len(losses) == SFT_STEPS and losses[-1] < losses[0]
    assert (out / f"global_step_{SFT_STEPS}" / "huggingface" / "config.json").is_file()
