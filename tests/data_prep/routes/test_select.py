"""Selection: the design's composition on the rows that come out, the same whatever the order of the bank, and clear counts."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_prep import on_disk
from data_prep.check import check_file
from data_prep.routes.composition import Targets, kind_of, mix_of
from data_prep.routes.picking import chars_of, pick, pool_of
from data_prep.routes.select import Selected, SelectOptions, select_rows
from data_prep.schema import RL_SCHEMA, bank_row
from data_prep.sources import SOURCES
from data_prep.sources.convert import convert
from reward_fns.domains import get
from reward_fns.routes import Route, routes_from
from tests.data_prep.routes.banks import bank_rows, question_of, rl_rows, write_bank, write_rl

QUESTIONS = 120


def run(bank: Path, data: Path, **options: Any) -> tuple[list[dict[str, Any]], Selected]:
    selected = Selected()
    rows = list(select_rows(bank, data, SelectOptions(**options), selected))
    return rows, selected


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("inputs")
    bank = write_bank(folder / "bank.parquet", bank_rows(QUESTIONS))
    return bank, write_rl(folder / "train.parquet", rl_rows(QUESTIONS))


def test_the_rows_are_those_of_the_data_with_sets_as_designed(
    inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    rows, selected = run(*inputs, k=4)
    originals = pq.read_table(inputs[1]).to_pylist()
    for row, original in zip(rows, originals, strict=True):
        assert row["extra_info"].pop("routes") and original["extra_info"].pop("routes") == []
        assert row == original
    rows, selected = run(*inputs, k=4)
    checked = check_file(write_rl(tmp_path / "out.parquet", rows))
    assert (checked.rows, checked.bad_rows) == (QUESTIONS, 0)
    kinds = Counter(kind_of(mix_of(bank)) for bank in checked.banks)
    assert kinds == selected.kinds
    assert kinds["all wrong"] >= 0.2 * QUESTIONS and kinds["all right"] >= 0.1 * QUESTIONS
    assert abs(kinds["majority right"] - kinds["majority wrong"]) <= 6
    assert all(len({route.steps for route in bank}) == len(bank) for bank in checked.banks)
    assert set(selected.sizes) <= {2, 3, 4} and selected.sizes[4] > 0.9 * QUESTIONS


def test_the_bank_may_come_in_any_order_and_number_of_buckets(
    inputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _ = run(*inputs)
    shuffled = list(bank_rows(QUESTIONS))
    random.Random(3).shuffle(shuffled)
    folder = tmp_path / "bank"
    write_bank(folder / "a.parquet", shuffled[:500])
    write_bank(folder / "b.parquet", shuffled[500:])
    write_rl(folder / "not_a_bank.parquet", rl_rows(3))
    monkeypatch.setattr(on_disk, "BUCKET_BYTES", 10_000)
    again, _ = run(folder, inputs[1])
    assert again == rows
    other, _ = run(folder, inputs[1], seed=1)
    assert other != rows


def test_targets_and_k_are_options(inputs: tuple[Path, Path]) -> None:
    _, selected = run(*inputs, k=2, targets=Targets(0.5, 0.3))
    assert selected.sizes == {2: QUESTIONS}
    assert selected.kinds["all wrong"] == pytest.approx(0.5 * QUESTIONS, abs=5)
    assert selected.kinds["all right"] == pytest.approx(0.3 * QUESTIONS, abs=5)


def test_questions_without_routes_stay_or_go(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    data = write_rl(tmp_path / "more.parquet", rl_rows(QUESTIONS + 10))
    rows, selected = run(inputs[0], data)
    assert len(rows) == QUESTIONS + 10 and selected.fewer["no usable route in the bank"] == 10
    assert [row["extra_info"]["index"] for row in rows] == list(range(QUESTIONS + 10))
    rows, selected = run(inputs[0], data, drop_bare=True)
    assert len(rows) == QUESTIONS and selected.dropped == 10
    rows, selected = run(inputs[0], write_rl(tmp_path / "less.parquet", rl_rows(QUESTIONS - 10)))
    assert len(rows) == QUESTIONS - 10 and selected.unmatched == 10


def rows_of_one(*routes: Route, writer: str = "w", stale: bool = False) -> list[dict[str, Any]]:
    question, gold = question_of(7)
    return [bank_row(question, gold, r, domain="math", writer=writer, stale=stale) for r in routes]


def route(text: str, answer: str, label: bool, source: str = "a", sound: bool | None = None) -> Route:
    return Route((text,), answer, label, sound, None, source)


def test_what_cannot_be_shown_is_left_out_and_counted() -> None:
    rows = rows_of_one(
        route("one", "14", True),
        route("ONE ", "14", True, "b"),
        route("two", "15", False, sound=True),
        Route((), "15", False, None, None, "a"),
    )
    rows += rows_of_one(route("three", "16", False), stale=True)
    pool = pool_of(rows, get("math"))
    assert (len(pool.right), len(pool.wrong)) == (1, 0)
    assert pool.left_out == {
        "stale": 1,
        "label and soundness differ": 1,
        "no steps": 1,
        "text stands there already": 1,
    }
    assert len(pool_of(rows, get("math"), with_stale=True).wrong) == 1


def test_frequent_wrong_answers_go_first() -> None:
    wrong = [route(f"w{i}", answer, False) for i, answer in enumerate(("15", "16", "15.0", "17", "15"))]
    pool = pool_of(rows_of_one(route("r", "14", True), *wrong), get("math"))
    for seed in range(20):
        chosen = pick(pool, (1, 2), random.Random(seed))
        assert [r.label for r in chosen].count(True) == 1
        assert all(r.answer.startswith("15") for r in chosen if not r.label)
    answers = Counter(r.answer for r in pick(pool, (0, 4), random.Random(0)))
    assert answers["15"] + answers["15.0"] == 3


def test_length_and_source_of_the_picks_do_not_tell_the_kinds_apart() -> None:
    """In each question right routes are long and from one source more often; the picks are less so by far."""
    rng = random.Random(0)
    picked: list[Route] = []
    every: list[Route] = []
    for index in range(400):
        routes = []
        for number in range(16):
            label = number % 2 == 0
            chars = int(rng.lognormvariate(4.3 if label else 4.0, 0.5))
            source = "ab"[rng.random() < (0.7 if label else 0.3)]
            answer = "14" if label else "15"
            routes.append(route(f"{index} {number} " + "x" * chars, answer, label, source))
        pool = pool_of(rows_of_one(*routes), get("math"))
        every += routes
        picked += pick(pool, (2, 2), rng)

    def gaps(routes: list[Route]) -> tuple[float, float]:
        right, wrong = ([r for r in routes if r.label == kind] for kind in (True, False))
        chars = [sum(map(chars_of, kind)) / len(kind) for kind in (right, wrong)]
        sources = [sum(r.source == "a" for r in kind) / len(kind) for kind in (right, wrong)]
        return chars[0] / chars[1] - 1, abs(sources[0] - sources[1])

    assert gaps(every)[0] > 0.25 and gaps(every)[1] > 0.3
    assert abs(gaps(picked)[0]) < 0.08 and gaps(picked)[1] < 0.12


def test_near_duplicates_of_one_answer_are_left_out_but_not_contrasts(tmp_path: Path) -> None:
    text = " ".join(f"word{i}" for i in range(80))
    routes = [route(text, "14", True), route(text + " so", "14", True), route(text + " thus", "15", False)]
    bank = write_bank(tmp_path / "bank.parquet", rows_of_one(*routes))
    data = write_rl(tmp_path / "train.parquet", list(rl_rows(8))[7:])
    rows, selected = run(bank, data)
    assert selected.filters.dropped == {"near duplicate": 1}
    assert {r["label"] for r in rows[0]["extra_info"]["routes"]} == {True, False}
    _, selected = run(bank, data, similarity=None, max_chars=len(text) + 4)
    assert selected.filters.dropped == {"too long": 1}


def test_stale_routes_by_the_student_given(tmp_path: Path) -> None:
    rows = rows_of_one(route("one", "14", True, "student"), writer="old")
    rows += rows_of_one(route("two", "14", True, "student"), writer="new")
    rows += rows_of_one(route("three", "15", False, "teacher/x"), writer="t")
    bank = write_bank(tmp_path / "bank.parquet", rows)
    data = write_rl(tmp_path / "train.parquet", list(rl_rows(8))[7:])
    shown, selected = run(bank, data, student="new", targets=Targets(0, 0))
    texts = {r["steps"][0] for r in shown[0]["extra_info"]["routes"]}
    assert texts == {"two", "three"} and selected.left_out == {"stale": 1}
    _, selected = run(bank, data, student="new", with_stale=True)
    assert selected.left_out == {}


def test_mismatched_routes_are_of_other_questions_like_those_that_they_replace(
    inputs: tuple[Path, Path],
) -> None:
    matched, _ = run(*inputs)
    control, selected = run(*inputs, mismatched=True)
    lengths = []
    for row, other in zip(matched, control, strict=True):
        index = row["extra_info"]["index"]
        own, foreign = (routes_from(r["extra_info"]["routes"]) for r in (row, other))
        assert len(own) == len(foreign)
        homes = {r.steps[0].partition(":")[0].rpartition(" ")[2] for r in foreign}
        assert str(index) not in homes and len(homes) == len(foreign), "no question twice, never its own"
        assert all(r.sound is False and r.first_error is None for r in foreign)
        gold = row["reward_model"]["ground_truth"]
        assert [r.label for r in foreign] == [r.answer == gold for r in foreign]
        lengths += [
            (chars_of(a), chars_of(b), a.source == b.source) for a, b in zip(own, foreign, strict=True)
        ]
    assert sum(same for *_, same in lengths) / len(lengths) > 0.99
    assert sum(a for a, *_ in lengths) == pytest.approx(sum(b for _, b, _ in lengths), rel=0.03)
    assert selected.labels["right"] == 0
    again, _ = run(*inputs, mismatched=True)
    assert again == control


def test_a_lone_question_has_no_donor(tmp_path: Path) -> None:
    bank = write_bank(tmp_path / "bank.parquet", bank_rows(1))
    rows, selected = run(bank, write_rl(tmp_path / "train.parquet", rl_rows(1)), mismatched=True)
    assert rows[0]["extra_info"]["routes"] == []
    assert selected.fewer == {"no other question of the domain nearby had a route to give": 1}


def test_a_row_that_cannot_be_read_is_named(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    rows = list(rl_rows(3))
    rows[2]["data_source"] = "realm/cooking"
    with pytest.raises(ValueError, match=r"bad\.parquet: row 2: unknown domain 'cooking'"):
        run(inputs[0], write_rl(tmp_path / "bad.parquet", rows))


def test_real_solutions_of_gsm8k(shared_data: Path, tmp_path: Path) -> None:
    """Four models' solutions of 700 questions: labels hold, no text twice, and what cannot be reached is said."""
    convert(
        SOURCES["gsm8k-routes"],
        str(shared_data / "gsm8k" / "example_model_solutions.jsonl"),
        tmp_path / "gsm8k",
    )
    source = tmp_path / "gsm8k" / "routes.parquet"
    rows, selected = run(source, source, k=3)
    assert len(rows) == 700 and selected.unmatched == 0
    checked = check_file(write_rl(tmp_path / "out.parquet", rows))
    assert checked.bad_rows == 0
    kinds = Counter(kind_of(mix_of(bank)) for bank in checked.banks)
    assert kinds["all wrong"] / 700 >= 0.2 and kinds["all right"] / 700 >= 0.1
    assert abs(kinds["majority right"] - kinds["majority wrong"]) <= 7
    assert pq.read_schema(tmp_path / "out.parquet").equals(RL_SCHEMA)
