"""The tasks through lm-eval's own evaluator: groups and errors in its results, and repeats that really differ.

Models are stand-ins: one that knows the answers, and an OpenAI-compatible server whose answer depends on the seed alone.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from data_prep.demo_model import DemoSize, build_demo_model, save_demo_model
from eval_tasks.link import SOURCE
from eval_tasks.task import SEED

lm_eval = pytest.importorskip("lm_eval")
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

LETTERS = "ABCD"


class Scripted(LM):
    """Answers each question right, in thinking style; the k-th request to one question says so."""

    tokenizer_name = ""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []

    def generate_until(self, requests: list[Any]) -> list[str]:
        self.asked += [request.args[1] for request in requests]
        return [f"once more ({r.idx}) </think>\n<answer> {r.doc['gold']} </answer>" for r in requests]

    def loglikelihood(self, requests: list[Any]) -> list[Any]:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: list[Any]) -> list[Any]:
        raise NotImplementedError

    def apply_chat_template(self, chat_history: list[Any], add_generation_prompt: bool = True) -> str:
        return str(chat_history[-1]["content"])


def evaluate(
    model: Any, tasks: str, metadata: dict[str, Any] | None = None, **options: Any
) -> dict[str, Any]:
    manager = TaskManager(include_path=SOURCE, include_defaults=False, metadata=metadata)
    options = {"limit": 6, "apply_chat_template": True} | options
    results = lm_eval.simple_evaluate(model=model, tasks=[tasks], task_manager=manager, **options)
    assert results is not None
    return dict(results)


@pytest.fixture(scope="module", autouse=True)
def without_the_machine_s_description() -> Iterator[None]:
    """lm-eval asks pip, the compiler and the processor, for seconds, at the end of each run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
        yield


@pytest.fixture(scope="module")
def vertical(without_the_machine_s_description: None) -> dict[str, Any]:
    return evaluate(Scripted(), "realm_vertical")


def test_every_figure_has_a_standard_error(vertical: dict[str, Any]) -> None:
    for task, row in vertical["results"].items():
        if task == "realm_vertical":
            continue
        metrics = {
            key.partition(",")[0]
            for key in row
            if "," in key and not key.partition(",")[0].endswith("_stderr")
        }
        assert "acc_long_tail" in metrics
        for metric in metrics:
            error = row[f"{metric}_stderr,none"]
            few = metric.startswith(("recall_", "acc_long_tail"))  # six questions do not show every label
            assert isinstance(error, float) or few, f"{task} {metric}"


def test_groups_average_their_tasks(vertical: dict[str, Any]) -> None:
    group = vertical["groups"]["realm_vertical"]
    assert group["acc,none"] == 1.0 and group["malformed,none"] == 0.0
    assert isinstance(group["acc_stderr,none"], float)
    assert len(vertical["group_subtasks"]["realm_vertical"]) == 4


def test_samples_hold_what_a_comparison_needs(vertical: dict[str, Any]) -> None:
    for sample in vertical["samples"]["realm_search_relevance"]:
        assert sample["acc"] == 1.0 and sample["macro_f1"][0] == sample["target"]
        assert {"uid", "rule", "long_tail", "gold"} <= set(sample["doc"])
    json.dumps(vertical["samples"], default=str)


def test_samples_of_one_question_reach_one_document() -> None:
    model = Scripted()
    results = evaluate(model, "realm_law_sampled", {"repeats": 5})
    row = results["results"]["realm_law_sampled"]
    for metric in ("mean@k", "maj@k", "pass@2", "pass@4", "pass@k", "distinct@k"):
        assert row[f"{metric},none"] == 1.0
        assert row[f"{metric}_stderr,none"] == 0.0
    assert results["n-samples"]["realm_law_sampled"]["effective"] == 6
    assert len(results["samples"]["realm_law_sampled"][0]["resps"]) == 5
    assert len(model.asked) == 30 and not any("seed" in kwargs for kwargs in model.asked)


def test_the_number_of_repeats_is_for_sampled_tasks_alone() -> None:
    model = Scripted()
    row = evaluate(model, "realm_law", {"repeats": 5})["results"]["realm_law"]
    assert row["acc,none"] == 1.0 and len(model.asked) == 6
    row = evaluate(Scripted(), "realm_law_sampled", {"repeats": 1})["results"]["realm_law_sampled"]
    assert row["mean@k,none"] == row["pass@k,none"] == 1.0


def test_repeats_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="repeats is 0"):
        evaluate(Scripted(), "realm_law_sampled", {"repeats": 0})


def test_the_cache_serves_greedy_responses_and_never_samples(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    for task, asked_again in (("realm_law", 0), ("realm_law_sampled", 12)):
        options = {"limit": 3, "use_cache": cache}
        first, second = Scripted(), Scripted()
        rows = [
            evaluate(m, task, {"repeats": 4} if asked_again else None, **options)["results"]
            for m in (first, second)
        ]
        assert rows[0] == rows[1] and first.asked
        assert len(second.asked) == asked_again


class Thinker(Scripted):
    """Its template opens the thinking; every other answer is cut off before the thinking ends."""

    def generate_until(self, requests: list[Any]) -> list[str]:
        cut = "First guess: <answer> {} </answer> The answer is {}. Hmm, let me"
        whole = "{}? </think><answer> {} </answer>"
        return [
            (whole if i % 2 else cut).format(r.doc["gold"], r.doc["gold"]) for i, r in enumerate(requests)
        ]

    def apply_chat_template(self, chat_history: list[Any], add_generation_prompt: bool = True) -> str:
        return f"{chat_history[-1]['content']}<think>\n"


def test_thinking_that_the_prompt_opened_never_counts() -> None:
    row = evaluate(Thinker(), "realm_law")["results"]["realm_law"]
    assert {row[f"{name},none"] for name in ("acc", "acc_flexible", "malformed", "truncated", "format")} == {
        0.5
    }
    row = evaluate(Thinker(), "realm_law_guided")["results"]["realm_law_guided"]
    assert row["acc,none"] == row["truncated,none"] == 0.5
    row = evaluate(Thinker(), "realm_law_sampled", {"repeats": 2})["results"]["realm_law_sampled"]
    assert row["mean@k,none"] == row["mean_flexible@k,none"] == row["truncated,none"] == 0.5
    assert row["maj@k,none"] == row["pass@k,none"] == 1.0


def test_cached_requests_say_how_their_prompts_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("lm_eval.caching.cache.PATH", str(tmp_path))
    for _ in range(2):
        row = evaluate(Thinker(), "realm_law", cache_requests=True)["results"]["realm_law"]
        assert row["acc,none"] == 0.5


def test_thinking_cut_by_lm_eval_is_refused_before_anything_is_generated() -> None:
    with pytest.raises(ValueError, match="leave it out of --model_args"):
        evaluate(Thinker(), "realm_law", {"think_end_token": "</think>"})
    evaluate(Scripted(), "realm_law", {"think_end_token": "</think>"})


@pytest.fixture
def chat_model(tmp_path: Path) -> str:
    """A folder with a tokenizer that has a chat template."""
    size = DemoSize(hidden=32, layers=1, intermediate=64, vocabulary=300)
    save_demo_model(*build_demo_model(["some text"], size), tmp_path / "chat")
    return str(tmp_path / "chat")


def test_a_chat_model_without_its_template_brings_one_warning(
    chat_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    for apply, warnings in ((True, 0), (False, 1), (False, 1)):
        for task in ("realm_law", "realm_law_sampled"):
            evaluate(Scripted(), task, {"pretrained": chat_model}, apply_chat_template=apply)
        said = [record for record in caplog.records if "--apply_chat_template" in record.message]
        assert len(said) == warnings and all(chat_model in record.message for record in said)


def test_a_model_without_a_template_brings_none(chat_model: str, caplog: pytest.LogCaptureFixture) -> None:
    (Path(chat_model) / "chat_template.jinja").unlink()
    for model_args in ({"pretrained": chat_model}, {"model": "served/elsewhere"}, {}):
        evaluate(Scripted(), "realm_law", model_args, apply_chat_template=False)
    assert "--apply_chat_template" not in caplog.text


# ------------------------------ a server ------------------------------


class Server(ThreadingHTTPServer):
    """An OpenAI-compatible chat server that keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[dict[str, Any]] = []
        self.content = "<think> so </think><answer> {} </answer>"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/chat/completions"


class Answer(BaseHTTPRequestHandler):
    """The answer is a letter that the seed alone decides: a fixed seed would give one answer k times."""

    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        content = self.server.content.format(LETTERS[asked["seed"] % 4])
        body = json.dumps(
            {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: pytest's output is for the tests."""


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def ask(server: Server, task: str, metadata: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    model_args = {"base_url": server.url, "model": "stub", **arguments}
    results = evaluate(
        "local-chat-completions", task, model_args | metadata, model_args=model_args, limit=4, batch_size=1
    )
    return dict(results["results"][task])


@pytest.mark.parametrize("concurrent", [1, 4])
def test_a_server_gets_another_seed_for_each_repeat(server: Server, concurrent: int) -> None:
    row = ask(server, "realm_law_sampled", {"repeats": 4}, num_concurrent=concurrent)
    assert Counter(asked["seed"] for asked in server.asked) == {SEED + i: 4 for i in range(4)}
    assert (row["distinct@k,none"], row["mean@k,none"], row["pass@k,none"]) == (1.0, 0.25, 1.0)
    assert row["maj@k,none"] == 0.25 and row["pass@2,none"] == pytest.approx(0.5)
    assert {asked["temperature"] for asked in server.asked} == {1.0}


def test_a_server_is_known_by_its_class_too(server: Server) -> None:
    manager = TaskManager(include_path=SOURCE, include_defaults=False, metadata={"repeats": 2})
    lm_eval.simple_evaluate(
        model="local-chat-completions",
        model_args={"base_url": server.url, "model": "stub"},
        tasks=["realm_law_sampled"],
        task_manager=manager,
        limit=2,
        apply_chat_template=True,
    )
    assert Counter(asked["seed"] for asked in server.asked) == {SEED: 2, SEED + 1: 2}


def test_a_server_is_asked_as_a_chat_once_without_repeats(server: Server) -> None:
    ask(server, "realm_law", {}, seed=5)
    assert [asked["seed"] for asked in server.asked] == [5] * 4
    asked = server.asked[0]
    assert [message["role"] for message in asked["messages"]] == ["user"]
    assert asked["messages"][0]["content"].endswith("inside <answer> </answer>.")
    assert (asked["max_tokens"], asked["temperature"]) == (256, 0.0)


def test_of_a_server_it_has_to_be_said(server: Server) -> None:
    server.content = "The answer may be <answer> {} </answer>, or"
    for stated, truncated in (({}, 0.0), ({"thinking_opened": True}, 1.0), ({"thinking_opened": False}, 0.0)):
        row = ask(server, "realm_law", stated)
        assert row["truncated,none"] == row["malformed,none"] == truncated


def test_the_seed_of_the_model_s_arguments_is_the_first(server: Server) -> None:
    ask(server, "realm_law_sampled", {"repeats": 3}, seed=70)
    assert {asked["seed"] for asked in server.asked} == {70, 71, 72}
