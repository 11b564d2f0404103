"""The tasks as lm-eval loads them: all present, prompts as in training, gold at 1.0 and shuffled gold at chance."""

import random
import subprocess
import sys
from typing import Any

import pytest
import yaml

from data_prep.schema import rl_row
from eval_tasks.link import SOURCE, task_files
from realm_ext.prompt import render_messages
from reward_fns import compute_score
from reward_fns.domains import get
from reward_fns.response import Verdict, render_response
from reward_fns.routes import routes_from

lm_tasks = pytest.importorskip("lm_eval.tasks")

TASKS = {"realm_search_relevance": "search_relevance"}
GROUPS = {"realm_vertical": ["realm_search_relevance"]}
GUIDED = "_guided"
NAMES = [name + end for name in (*TASKS, *GROUPS) for end in ("", GUIDED)]
MEANT_FOR_ALL = {"acc", "acc_long_tail", "macro_f1", "format", "malformed", "response_chars"}
MEANT_FOR_GUIDED = {"verdict", "consistent", "informedness", "first_error_acc"}


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    manager = lm_tasks.TaskManager(include_path=SOURCE, include_defaults=False)
    return dict(manager.load([name + end for name in GROUPS for end in ("", GUIDED)]))


@pytest.fixture(scope="module", params=[name + end for name in TASKS for end in ("", GUIDED)])
def task(request: pytest.FixtureRequest, loaded: dict[str, Any]) -> Any:
    return loaded["tasks"][request.param]


def perfect(doc: dict[str, Any]) -> str:
    """The response that knows everything."""
    routes = routes_from(doc.get("routes"))
    verdicts = [Verdict(route.label, None if route.label else route.first_error) for route in routes]
    return render_response("I see.", verdicts, doc["gold"])


def run(task: Any, responses: list[str]) -> dict[str, float]:
    """The task's aggregated metrics, as lm-eval computes them."""
    scored = [task.process_results(doc, [text]) for doc, text in zip(task.eval_docs, responses, strict=True)]
    return {name: agg([row[name] for row in scored]) for name, agg in task.aggregation().items()}


def test_every_file_makes_a_task_or_group() -> None:
    """lm-eval skips a YAML that it cannot read without a word."""
    manager = lm_tasks.TaskManager(include_path=SOURCE, include_defaults=False)
    assert manager.all_tasks == sorted(NAMES)
    assert len(task_files()) == len(NAMES)


def test_groups_hold_their_tasks(loaded: dict[str, Any]) -> None:
    for name, members in GROUPS.items():
        assert loaded["group_map"][name] == members
        assert loaded["group_map"][name + GUIDED] == [member + GUIDED for member in members]


def test_lm_eval_finds_the_tasks_valid() -> None:
    command = [sys.executable, "-m", "lm_eval", "validate", "--tasks", ",".join(NAMES)]
    done = subprocess.run(
        [*command, "--include_path", str(SOURCE)], check=False, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not found" not in done.stdout.lower()


def test_each_task_states_a_version(task: Any) -> None:
    assert float(task.VERSION) >= 1.0


def test_metrics_are_the_documented_ones(task: Any) -> None:
    guided = task.task_name.endswith(GUIDED)
    expected = MEANT_FOR_ALL | (MEANT_FOR_GUIDED if guided else set())
    assert set(task.aggregation()) == expected
    doc = task.eval_docs[0]
    assert set(task.process_results(doc, [perfect(doc)])) == expected


def test_stops_at_the_model_s_own_token_alone(task: Any) -> None:
    kwargs = task.config.generation_kwargs
    assert kwargs == {"until": [], "max_gen_toks": 256, "do_sample": False, "temperature": 0.0}


def test_prompt_equals_training_s(task: Any) -> None:
    """From the row that training would read, through the renderer that training calls."""
    for doc in list(task.eval_docs)[:200]:
        routes = routes_from(doc.get("routes"))
        row = rl_row(
            doc["question"], doc["gold"], domain="search_relevance", index=0, split="test", routes=routes
        )
        trained = render_messages(row["prompt"], routes_from(row["extra_info"]["routes"]))
        seen: list[Any] = []
        task.fewshot_context(doc, 0, apply_chat_template=True, chat_template=recorder(seen))
        assert seen == trained


def recorder(seen: list[Any]) -> Any:
    """A chat template that notes the messages it is given."""

    def template(messages: list[Any], add_generation_prompt: bool) -> str:
        assert add_generation_prompt
        seen.extend(messages)
        return ""

    return template


def test_routes_are_shown_to_guided_prompts_only(task: Any) -> None:
    guided = task.task_name.endswith(GUIDED)
    for doc in task.eval_docs:
        assert ("Routes to judge:" in task.doc_to_text(doc)) == guided
        assert bool(doc.get("routes")) == guided


def test_guided_and_unguided_ask_the_same(loaded: dict[str, Any]) -> None:
    for name in TASKS:
        plain, guided = (loaded["tasks"][name + end].eval_docs for end in ("", GUIDED))
        assert [doc["uid"] for doc in plain] == [doc["uid"] for doc in guided]


def test_gold_scores_one(task: Any) -> None:
    got = run(task, [perfect(doc) for doc in task.eval_docs])
    for name in ("acc", "acc_long_tail", "macro_f1", "format"):
        assert got[name] == 1.0
    assert got["malformed"] == 0.0
    if task.task_name.endswith(GUIDED):
        assert got["verdict"] == pytest.approx(1.0, abs=0.02)
        assert (got["consistent"], got["informedness"], got["first_error_acc"]) == (1.0, 1.0, 1.0)


def test_shuffled_gold_scores_at_chance(task: Any) -> None:
    docs = list(task.eval_docs)
    responses = [perfect(doc) for doc in docs]
    random.Random(1).shuffle(responses)
    got = run(task, responses)
    shares = [
        sum(doc["gold"] == label for doc in docs) / len(docs) for label in get("search_relevance").labels
    ]
    assert got["acc"] == pytest.approx(sum(share * share for share in shares), abs=0.06)
    assert got["macro_f1"] == pytest.approx(1 / len(shares), abs=0.06)
    if task.task_name.endswith(GUIDED):
        assert abs(got["informedness"]) < 0.1


def test_judges_that_do_not_look_get_nothing(loaded: dict[str, Any]) -> None:
    task = loaded["tasks"]["realm_search_relevance" + GUIDED]
    for verdict in (Verdict(True), Verdict(False, 0)):
        responses = [
            render_response(None, [verdict] * len(doc["routes"]), doc["gold"]) for doc in task.eval_docs
        ]
        got = run(task, responses)
        assert got["informedness"] == pytest.approx(0.0, abs=1e-9)
        assert got["verdict"] == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize(
    ("response", "malformed"),
    [
        ("", 1.0),
        ("Exact", 1.0),
        ("<answer>Exact or Substitute</answer>", 1.0),
        ("<answer>Exact</answer><answer>Substitute</answer>", 1.0),
        ("<answer>Exact", 1.0),
        ("<answer>Exact</answer>", 0.0),
    ],
)
def test_agrees_with_the_reward(task: Any, response: str, malformed: float) -> None:
    doc = task.eval_docs[0]
    routes = doc.get("routes") or []
    extra = {"routes": routes, "shown": list(range(len(routes)))}
    reward = compute_score("realm/search_relevance", response, doc["gold"], extra)
    got = task.process_results(doc, [response])
    assert (got["acc"], got["format"], got["malformed"]) == (reward["acc"], reward["format"], malformed)


def test_yaml_names_only_modules_that_ship() -> None:
    """`!function` by module name, so that linked and copied files work from any folder."""

    class Names(yaml.SafeLoader):
        pass

    named: list[str] = []
    Names.add_constructor("!function", lambda loader, node: named.append(loader.construct_scalar(node)))  # type: ignore[arg-type]
    for file in task_files():
        yaml.load(file.read_text(), Loader=Names)
    assert named and all(name.startswith("eval_tasks.") for name in named)
