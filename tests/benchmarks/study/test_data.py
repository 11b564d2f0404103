"""The study's data: control banks, arithmetic, the fixed test with its unseen combinations, and the lm-eval tasks."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.study import tasks
from benchmarks.study.arithmetic import SOURCE, facts, sft_rows
from benchmarks.study.banks import mismatched, positive_only, positives_as_sft
from benchmarks.study.data import OWN, write_harvest, write_own, write_rules, write_test, write_training
from benchmarks.study.plan import read_study
from benchmarks.study.untaught import UNTAUGHT
from data_prep.outputs import write_parquet
from data_prep.routes.responses import ROUTES_HEAD
from data_prep.schema import SFT_SCHEMA
from data_prep.search_relevance.datasets import make_rows, rl_rows, rules_text
from reward_fns import compute_score
from reward_fns.critique import without_critique
from reward_fns.domains.search_relevance import DOMAIN
from reward_fns.domains.search_relevance.engine import LABELS
from reward_fns.response import parse_response

STUDY = read_study()
SMALL = replace(
    STUDY,
    data=replace(
        STUDY.data, n_base=40, n_sft=40, n_train=60, n_val=10, arithmetic_base=12, arithmetic_sft=12
    ),
)
ROWS = rl_rows(80, 0, "train", 3).rows


def test_positive_only_keeps_every_right_route_and_no_other() -> None:
    for before, after in zip(ROWS, positive_only(ROWS), strict=True):
        kept = [route for route in before["extra_info"]["routes"] if route["label"]]
        assert after["extra_info"]["routes"] == kept
        assert after["prompt"] == before["prompt"]
        assert before["extra_info"]["uid"] == after["extra_info"]["uid"]


def test_mismatched_routes_are_anothers_with_labels_that_hold_here() -> None:
    made = mismatched(ROWS)
    for before, after in zip(ROWS, made, strict=True):
        assert DOMAIN.check_row(after) == []
        steps = [route["steps"] for route in after["extra_info"]["routes"]]
        assert steps != [route["steps"] for route in before["extra_info"]["routes"]]
        assert not any(route["sound"] for route in after["extra_info"]["routes"])
    shown = [len(row["extra_info"]["routes"]) for row in made]
    assert sorted(shown) == sorted(len(row["extra_info"]["routes"]) for row in ROWS)


def test_positives_become_chains_that_score() -> None:
    made = positives_as_sft(ROWS)
    assert len(made) == sum(r["label"] for row in ROWS for r in row["extra_info"]["routes"])
    golds = {row["extra_info"]["uid"]: row["reward_model"]["ground_truth"] for row in ROWS}
    for row in made:
        parsed = parse_response(row["messages"][1]["content"], 0)
        assert parsed.problems == () and parsed.answer == golds[row["uid"]]


def test_every_fact_of_arithmetic_is_right_and_learned_equally_often() -> None:
    assert len({fact["question"] for fact in facts()}) == len(facts()) == 100
    rows = sft_rows(200, 1, "sft")
    asked = Counter(row["messages"][0]["content"].partition("?")[0] + "?" for row in rows)
    assert asked == {fact["question"]: 2 for fact in facts()}
    for row in rows:
        first, _, second = row["messages"][0]["content"].partition("?")[0].removeprefix("What is ").split()
        gold = str(int(first) + int(second))
        scored = compute_score("realm/math/unguided", row["messages"][1]["content"], gold)
        assert scored["acc"] == scored["format"] == 1.0
    assert sft_rows(200, 1, "sft") == rows != sft_rows(200, 2, "sft")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("study")
    write_training(SMALL, 1, made / "data")
    write_test(SMALL, 400, made / "test")
    return made


def test_the_training_folder_has_a_bank_for_each_arm(folder: Path) -> None:
    counts = {path.stem: pq.read_metadata(path).num_rows for path in (folder / "data").glob("*.parquet")}
    assert counts["train"] == counts["train_positive"] == counts["train_mismatched"] == 60
    assert (counts["base"], counts["sft"], counts["val"]) == (52, 52, 20)
    assert counts["sft_positives"] > 52 + 30
    assert (folder / "data" / "done").exists()


def test_unseen_combinations_are_tested_and_not_trained_on(folder: Path) -> None:
    documents = tasks.read_documents(folder / "test", "test.jsonl", guided=True)
    assert len(documents) == 400 and 3 <= sum(doc["unseen"] for doc in documents) <= 40
    assert all(doc["routes"] and doc["data_source"].endswith("/guided") for doc in documents)
    bare = tasks.read_documents(folder / "test", "test.jsonl", guided=False)
    assert not any("routes" in doc for doc in bare)
    sums = tasks.read_documents(folder / "test", "arithmetic.jsonl", guided=False)
    assert {doc["data_source"] for doc in sums} == {"realm/math/unguided"}
    assert tasks.score(sums[0], [f"<answer> {sums[0]['gold']} </answer>"]) == {"acc": 1.0}


def test_rules_kept_are_all_that_is_other_and_rules_never_seen_are_in_no_chain(
    folder: Path, tmp_path: Path
) -> None:
    kept, never = tmp_path / "kept.parquet", tmp_path / "never.parquet"
    write_rules(SMALL, 1, "rules_kept", folder / "data", kept)
    write_rules(SMALL, 1, "rules_never", folder / "data", never)
    before, after = (pq.read_table(path).to_pylist() for path in (folder / "data" / "sft.parquet", kept))
    rules = rules_text() + "\n"
    assert sum(row["messages"][0]["content"].startswith(rules) for row in after) == 40
    for row in after:
        row["messages"][0]["content"] = row["messages"][0]["content"].removeprefix(rules)
    assert after == before
    rows = pq.read_table(never).to_pylist()
    own = [without_critique(row["messages"][1]["content"]) for row in rows]
    assert len(rows) == 52 and not any("(" in text for text in own)
    with pytest.raises(ValueError, match="one of rules_kept, rules_never"):
        write_rules(SMALL, 1, "rules_lost", folder / "data", never)
    write_test(SMALL, 5, tmp_path / "test", with_rules=True)
    documents = tasks.read_documents(tmp_path / "test", "test.jsonl", guided=False)
    plain = tasks.read_documents(folder / "test", "test.jsonl", guided=False)
    assert [doc["question"] for doc in documents] == [rules + doc["question"] for doc in plain[:5]]


def test_common_sense_is_right_where_no_rule_goes_against_it() -> None:
    rows = make_rows(300, 0, "untaught", lambda index, item: {"item": item}).rows
    unlike: Counter[str] = Counter()
    for item in (row["item"] for row in rows):
        chain = UNTAUGHT.teach(item.question, "full")
        if why := UNTAUGHT.refusal(item, chain):
            assert why == "wrong label"
            unlike[item.decision.rule] += 1
    assert {"R1", "R3", "R5", "R6"} >= {rule for rule, _ in unlike.most_common(4)}
    assert not {"R2", "R8", "R9", "R10", "R11"} & set(unlike)


def test_between_rounds_own_chains_come_with_what_they_say_nothing_of(folder: Path, tmp_path: Path) -> None:
    sft = folder / "data" / "sft.parquet"
    own = pq.read_table(sft).slice(0, 20).to_pylist()
    for row in own:
        row["kind"] = "harvest"
    write_parquet(tmp_path / "own.parquet", own, SFT_SCHEMA, config="sft", split="train")
    write_harvest(tmp_path / "own.parquet", sft, tmp_path / "rows.parquet")
    rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert rows[:20] == own
    assert [row["kind"] for row in rows[20:40]] == ["contrast"] * 20
    assert [row["source"] for row in rows[40:]] == [SOURCE] * 10
    write_parquet(tmp_path / "none.parquet", [], SFT_SCHEMA, config="sft", split="train")
    with pytest.raises(ValueError, match="has no row: no guided rollout"):
        write_harvest(tmp_path / "none.parquet", sft, tmp_path / "rows.parquet")


def test_own_rows_are_right_unguided_responses_without_repeats(folder: Path, tmp_path: Path) -> None:
    """Rejection sampling for plain GRPO, from verl's dumps; guided, wrong, malformed and unknown ones stay out."""
    train = folder / "data" / "train.parquet"
    row = pq.read_table(train).slice(0, 1).to_pylist()[0]
    question, gold = row["prompt"][-1]["content"], row["reward_model"]["ground_truth"]
    wrong = next(label for label in LABELS if label != gold)
    texts = [f"<think> {n} </think>\n<answer> {gold} </answer>" for n in range(6)]
    dumped = [(f"user {question} assistant", text) for text in [texts[0], *texts]]
    dumped += [
        (f"user {question}{ROUTES_HEAD}1. so assistant", texts[5]),
        (f"user {question} assistant", f"<answer> {wrong} </answer>"),
        (f"user {question} assistant", f"<answer> {gold}"),
        ("user Query: x\nIs the ad Exact, Substitute, Complement or Irrelevant? assistant", texts[5]),
    ]
    rollouts = tmp_path / "rollouts"
    rollouts.mkdir()
    lines = (json.dumps({"input": given, "output": text, "score": 1.0}) for given, text in dumped)
    (rollouts / "1.jsonl").write_text("\n".join(lines))
    write_own(rollouts, train, tmp_path / "out" / "sft.parquet")
    rows = pq.read_table(tmp_path / "out" / "sft.parquet").to_pylist()
    assert [made["messages"][-1]["content"] for made in rows] == texts[:OWN]
    assert all("Routes" not in made["messages"][0]["content"] for made in rows)
    (rollouts / "1.jsonl").write_text(json.dumps({"input": "x", "output": texts[0]}))
    with pytest.raises(ValueError, match="no right unguided response"):
        write_own(rollouts, train, tmp_path / "none.parquet")


def test_lm_eval_finds_the_tasks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm_tasks = pytest.importorskip("lm_eval.tasks")
    monkeypatch.setenv(tasks.VARIABLE, str(folder / "test"))
    manager = lm_tasks.TaskManager(include_path=tasks.FOLDER, include_defaults=False)
    names = ["study_unguided", "study_guided", "study_arithmetic"]
    assert sorted(manager.all_tasks) == sorted(names)
    loaded = manager.load(names)["tasks"]
    assert {name: len(loaded[name].eval_docs) for name in names} == {
        "study_unguided": 400, "study_guided": 400, "study_arithmetic": 100,
    }  # fmt: skip
    first = loaded["study_guided"].eval_docs[0]
    assert "Routes to judge:" in loaded["study_guided"].doc_to_text(first)
    assert "Routes" not in loaded["study_arithmetic"].doc_to_text(loaded["study_arithmetic"].eval_docs[0])
