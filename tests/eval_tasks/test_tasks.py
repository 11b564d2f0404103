"""The tasks as lm-eval loads them: all present, prompts as in training, gold at 1.0 and shuffled gold at chance."""

import random
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_prep.schema import rl_row
from eval_tasks.baselines import task_config
from eval_tasks.link import SOURCE, task_files
from realm_ext.paths import Folder, find_folder
from realm_ext.prompt import render_messages
from reward_fns import compute_score
from reward_fns.response import Verdict, render_response
from reward_fns.routes import routes_from

lm_tasks = pytest.importorskip("lm_eval.tasks")

VERTICAL = {
    "realm_search_relevance": "search_relevance",
    "realm_finance": "numeric",
    "realm_medicine": "choice",
    "realm_law": "choice",
}
PUBLIC = {"realm_finqa", "realm_medqa", "realm_casehold"}
GENERAL = {"realm_gsm8k", "realm_bbh", "realm_commonsense_qa", "realm_arc_challenge"}
GROUPS = {"realm_vertical": set(VERTICAL), "realm_vertical_public": PUBLIC, "realm_general": GENERAL}
GUIDED, SAMPLED = "_guided", "_sampled"
ENDS = ("", GUIDED, SAMPLED)
NAMES = [
    *(name + end for name, end in product((*VERTICAL, *PUBLIC, *GENERAL, "realm_parquet", *GROUPS), ENDS)),
    "realm_general_reference",
    "realm_changed_rule",
    "realm_changed_rule_hidden",
]
ALL = {"acc", "acc_flexible", "format", "malformed", "truncated", "timeout", "response_chars"}
LABELLED = {"macro_f1", "recall_exact", "recall_substitute", "recall_complement", "recall_irrelevant"}
JUDGED = {"verdict", "consistent"}
PER_ROUTE = {"informedness", "first_error_acc", "verdict_by_answer"}
GUESS = {"first_error_guess"}
SAMPLES = {"mean@k", "mean_flexible@k", "maj@k", "pass@2", "pass@4", "pass@k", "distinct@k"}


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    manager = lm_tasks.TaskManager(include_path=SOURCE, include_defaults=False)
    return dict(manager.load(["realm_vertical" + end for end in ENDS]))


@pytest.fixture(scope="module", params=[name + end for name in VERTICAL for end in ("", GUIDED)])
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


def with_errors(names: set[str]) -> set[str]:
    return names | {name + "_stderr" for name in names}


def test_every_file_makes_a_task_or_group() -> None:
    """lm-eval skips a YAML that it cannot read without a word."""
    manager = lm_tasks.TaskManager(include_path=find_folder(Folder.EVAL_TASKS), include_defaults=False)
    assert manager.all_tasks == sorted(NAMES)
    assert len(task_files()) == len(NAMES)


def test_groups_hold_their_tasks() -> None:
    for name, end in product(GROUPS, ENDS):
        group = yaml.safe_load((SOURCE / f"{name}{end}.yaml").read_text())
        assert group["group"] == name + end
        assert set(group["task"]) == {member + end for member in GROUPS[name]}


def test_each_task_states_a_version(loaded: dict[str, Any]) -> None:
    versions = {name: float(task.VERSION) for name, task in loaded["tasks"].items()}
    for name in VERTICAL:
        assert versions[name] == versions[name + GUIDED] == versions[name + SAMPLED] >= 1.0


def test_metrics_are_the_documented_ones(task: Any) -> None:
    guided, labelled = task.task_name.endswith(GUIDED), "search_relevance" in task.task_name
    expected = ALL | with_errors({"acc_long_tail"})
    expected |= with_errors(LABELLED) if labelled else set()
    expected |= JUDGED | with_errors(PER_ROUTE | GUESS) if guided else set()
    assert set(task.aggregation()) == set(task.higher_is_better()) == expected
    doc = task.eval_docs[0]
    assert set(task.process_results(doc, [perfect(doc)])) == expected
    assert not any(
        task.higher_is_better()[name] for name in ("malformed", "truncated", "timeout", "response_chars")
    )


def test_metrics_of_samples(loaded: dict[str, Any]) -> None:
    for name in VERTICAL:
        task = loaded["tasks"][name + SAMPLED]
        assert set(task.aggregation()) == SAMPLES | ALL - {"acc", "acc_flexible", "format"}
        doc = task.eval_docs[0]
        got = task.process_results(doc, [perfect(doc)] * 8)
        assert {got[key] for key in SAMPLES - {"distinct@k"}} == {1.0}
        assert (
            task.config.generation_kwargs["do_sample"] and task.config.generation_kwargs["temperature"] == 1.0
        )


def test_metrics_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "evaluate.md").read_text(encoding="utf-8")
    named = (
        ALL
        | {"acc_long_tail", "acc_macro", "macro_f1", *PER_ROUTE, *GUESS}
        | JUDGED
        | SAMPLES - {"pass@2", "pass@4"}
    )
    assert {name for name in named if f"`{name}`" not in page} == set()
    assert {name for name in NAMES if name.removesuffix(GUIDED).removesuffix(SAMPLED) not in page} == set()


def test_stops_at_the_model_s_own_token_alone(task: Any) -> None:
    kwargs = task.config.generation_kwargs
    assert task.config.num_fewshot == 0
    assert kwargs == {"until": [], "max_gen_toks": 256, "do_sample": False, "temperature": 0.0}


def test_prompt_equals_training_s(task: Any) -> None:
    """From the row that training would read, through the renderer that training calls."""
    for doc in list(task.eval_docs)[:100]:
        routes = routes_from(doc.get("routes"))
        domain = VERTICAL[task.task_name.removesuffix(GUIDED)]
        row = rl_row(doc["question"], doc["gold"], domain=domain, index=0, split="test", routes=routes)
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


def test_all_regimes_ask_the_same(loaded: dict[str, Any]) -> None:
    for name in VERTICAL:
        plain, guided, sampled = (loaded["tasks"][name + end].eval_docs["uid"] for end in ENDS)
        assert list(plain) == list(guided) == list(sampled)


def test_gold_scores_one(task: Any) -> None:
    got = run(task, [perfect(doc) for doc in task.eval_docs])
    for name in {"acc", "acc_flexible", "acc_long_tail", "format", *LABELLED} & set(got):
        assert got[name] == 1.0
    assert got["malformed"] == got["truncated"] == got["timeout"] == got["acc_long_tail_stderr"] == 0.0
    if task.task_name.endswith(GUIDED):
        assert got["verdict"] == pytest.approx(1.0, abs=0.02)
        assert {got[name] for name in ("consistent", *PER_ROUTE)} == {1.0}


def test_shuffled_gold_scores_at_chance(task: Any) -> None:
    docs = list(task.eval_docs)
    responses = [perfect(doc) for doc in docs]
    random.Random(1).shuffle(responses)
    got = run(task, responses)
    shares = [count / len(docs) for count in Counter(doc["gold"] for doc in docs).values()]
    chance = sum(share * share for share in shares)
    assert got["acc"] == pytest.approx(chance, abs=4 * (chance * (1 - chance) / len(docs)) ** 0.5 + 0.01)
    if "macro_f1" in got:
        assert got["macro_f1"] == pytest.approx(1 / len(shares), abs=0.06)
    if task.task_name.endswith(GUIDED):
        assert abs(got["informedness"]) < 4 * got["informedness_stderr"]


def test_the_best_constant_guess_stands_beside_the_first_errors_found(loaded: dict[str, Any]) -> None:
    """By hand: for each length the commonest first error, over the wrong routes that are asked for."""
    for name in VERTICAL:
        task = loaded["tasks"][name + GUIDED]
        counts: dict[int, Counter[int]] = {}
        for doc in task.eval_docs:
            for route in doc["routes"]:
                if not route["label"] and route["first_error"] is not None and route["sound"] is not True:
                    counts.setdefault(len(route["steps"]), Counter())[route["first_error"]] += 1
        best = sum(max(found.values()) for found in counts.values())
        asked = sum(found.total() for found in counts.values())
        rows = [task.process_results(doc, [""]) for doc in task.eval_docs]
        assert sum(len(row["first_error_acc"]) for row in rows) == asked
        assert task.aggregation()["first_error_guess"](
            [row["first_error_guess"] for row in rows]
        ) == pytest.approx(best / asked)


@pytest.mark.parametrize("name", sorted(PUBLIC | GENERAL | {"realm_parquet"}))
@pytest.mark.parametrize("end", ENDS)
def test_public_sets_leave_room_to_think(name: str, end: str) -> None:
    config = task_config(SOURCE / f"{name.removeprefix('realm_')}{end}.yaml")
    assert config["generation_kwargs"]["max_gen_toks"] >= 1024
    assert config["metadata"]["version"] == 2.0


def test_judges_that_do_not_look_get_nothing(loaded: dict[str, Any]) -> None:
    for name, verdict in product(VERTICAL, (Verdict(True), Verdict(False, 0))):
        task = loaded["tasks"][name + GUIDED]
        responses = [
            render_response(None, [verdict] * len(doc["routes"]), doc["gold"]) for doc in task.eval_docs
        ]
        got = run(task, responses)
        assert got["informedness"] == pytest.approx(0.0, abs=1e-9)
        assert got["verdict"] == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize(
    ("template", "malformed"),
    [
        ("", 1.0),
        ("{gold}", 1.0),
        ("<answer>maybe {gold}</answer>", 1.0),
        ("<answer>{gold}</answer><answer>?</answer>", 1.0),
        ("<answer>{gold}", 1.0),
        ("<answer>{gold}</answer>", 0.0),
        ("so far so good </think><answer>{gold}</answer>", 0.0),
    ],
)
def test_agrees_with_the_reward(task: Any, template: str, malformed: float) -> None:
    doc = task.eval_docs[0]
    response = template.format(gold=doc["gold"])
    routes = doc.get("routes") or []
    extra = {"routes": routes, "shown": list(range(len(routes)))}
    reward = compute_score(doc["data_source"], response, doc["gold"], extra)
    got = task.process_results(doc, [response])
    assert (got["acc"], got["format"], got["malformed"]) == (reward["acc"], reward["format"], malformed)


def test_no_metric_is_computed_where_only_responses_are_asked_for(loaded: dict[str, Any]) -> None:
    manager = lm_tasks.TaskManager(include_path=SOURCE, include_defaults=False)
    task = manager.load(["realm_law"])["tasks"]["realm_law"]
    task.override_metric("bypass")
    assert task.process_results(task.eval_docs[0], ["x"]) == {"bypass": None}
    assert set(task.aggregation()) == {"bypass"}


def test_yaml_names_only_modules_that_ship() -> None:
    """`!function` by module name, so that linked and copied files work from any folder."""

    class Names(yaml.SafeLoader):
        pass

    named: list[str] = []
    Names.add_constructor("!function", lambda loader, node: named.append(loader.construct_scalar(node)))  # type: ignore[arg-type]
    for file in SOURCE.iterdir():
        yaml.load(file.read_text(), Loader=Names)
    assert named and all(name.startswith("eval_tasks.") for name in named)
