"""Each source reads the form its publisher uses: true field names, the gold proven, bad records refused."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_prep.check import check_file
from data_prep.sources import SOURCES
from data_prep.sources.convert import Converted, Options, convert
from data_prep.sources.table import read_map, table_source
from reward_fns import compute_score

ARC = {"id": "1", "question": "Which is hot?", "choices": {"text": ["ice", "fire"], "label": ["A", "B"]}}
CHOICE_FORMS: list[tuple[str, dict[str, Any], str]] = [
    (
        "medqa",
        {
            "question": "Which drug?",
            "options": {"A": "aspirin", "B": "insulin", "C": "heparin", "D": "none of these", "E": None},
            "answer": "insulin",
            "answer_idx": "B",
            "meta_info": "step1",
        },
        "(B) insulin",
    ),
    (
        "medqa",
        {
            "question": "Which drug?",
            "options": [{"key": k, "value": f"drug {k.lower()}x"} for k in "ABCDE"],
            "answer_idx": "E",
        },
        "(E) drug ex",
    ),
    ("arc", {**ARC, "answerKey": "B"}, "(B) fire"),
    (
        "arc",
        {
            "id": "1",
            "question": {
                "stem": "Which is hot?",
                "choices": [{"text": "ice", "label": "1"}, {"text": "fire", "label": "2"}],
            },
            "answerKey": "2",
        },
        "(B) fire",
    ),
    (
        "commonsense-qa",
        {
            "id": "x",
            "question": "Where is a book?",
            "question_concept": "book",
            "choices": {"label": list("ABCDE"), "text": ["shelf", "sea", "A and C", "sky", "oven"]},
            "answerKey": "A",
        },
        "(A) shelf",
    ),
    (
        "mmlu-pro",
        {
            "question_id": 1,
            "question": "How many?",
            "options": [*map(str, range(8)), "N/A", "N/A"],
            "answer": "H",
            "answer_index": 7,
            "cot_content": "",
            "category": "math",
            "src": "x",
        },
        "(H) 7",
    ),
    ("mmlu-pro", {"question": "Which?", "options": list("qrstuvwxyz"), "answer_index": 9}, "(J) z"),
    ("medqa", {"question": "q", "options": {"C": "cc", "A": "aa", "B": "bb"}, "answer_idx": "B"}, "(B) bb"),
    ("casehold", {"context": "The court held", "endings": list("vwxyz"), "label": 4}, "(E) z"),
    (
        "casehold",
        {"citing_prompt": "See (<HOLDING>)", "label": "1"} | {f"holding_{i}": f"h {i}" for i in range(5)},
        "(B) h 1",
    ),
    ("medqa", {"question": "q", "options": {"A": "B and C", "B": "x", "C": "y"}, "answer_idx": "A"}, "A"),
    ("medqa", {"question": "q", "options": {"A": "same", "B": "same"}, "answer_idx": "A"}, "A"),
]


def run(
    name: str, records: list[Any], tmp_path: Path, split: str | None = None
) -> tuple[Converted, list[Any]]:
    given = tmp_path / "in.jsonl"
    given.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    converted = convert(SOURCES[name], str(given), tmp_path / "out", Options(split=split))
    return converted, pq.read_table(tmp_path / "out" / converted.files[0].name).to_pylist()


def gold_of(row: dict[str, Any]) -> str:
    gold = row["reward_model"]["ground_truth"]
    score = compute_score(row["data_source"], f"<answer> {gold} </answer>", gold)
    assert score["outcome"] == 1.0
    return str(gold)


@pytest.mark.parametrize(("name", "record", "gold"), CHOICE_FORMS)
def test_options(name: str, record: dict[str, Any], gold: str, tmp_path: Path) -> None:
    _, (row,) = run(name, [record], tmp_path)
    assert gold_of(row) == gold
    question = row["prompt"][0]["content"]
    assert f"\n({gold[1] if gold[0] == '(' else gold}) " in question and "N/A" not in question
    assert question.endswith("\nAnswer with the letter of the right option.")
    assert compute_score(row["data_source"], "<answer> C </answer>", gold)["outcome"] == 0


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({**ARC, "answerKey": ""}, "no text under `answerKey`"),
        ({**ARC, "answerKey": "C"}, "no option has the answer's key 'C'"),
        (
            {**ARC, "choices": {"text": ["ice"], "label": ["A"]}, "answerKey": "A"},
            "1 options; expected 2 to 10",
        ),
        (
            {**ARC, "choices": {"text": ["ice", " "], "label": ["A", "B"]}, "answerKey": "A"},
            "an option is empty",
        ),
        ({**ARC, "choices": "ice, fire", "answerKey": "A"}, "no options with keys and texts"),
        ({"answerKey": "A"}, "no text under `question`"),
    ],
)
def test_bad_options_are_refused(record: dict[str, Any], reason: str, tmp_path: Path) -> None:
    run("arc", [{**ARC, "answerKey": "A"}, record], tmp_path)
    (reject,) = map(json.loads, (tmp_path / "out" / "rejects.jsonl").read_text().splitlines())
    assert (reject["row"], reject["reason"]) == (2, f"row: {reason}")


def test_math(tmp_path: Path) -> None:
    solution = "First \\boxed{1}, no: we get $\\boxed{\\frac{3}{4}}$."
    records = [
        {"problem": "Halve 3/2.", "level": "Level 1", "type": "Algebra", "solution": solution},
        {
            "problem": "Add.",
            "solution": "...",
            "answer": "\\left( 3, \\frac{\\pi}{2} \\right)",
            "unique_id": "x",
        },
        {"problem": "No box.", "solution": "so 3"},
    ]
    converted, rows = run("math", records, tmp_path)
    assert [gold_of(row) for row in rows] == ["\\frac{3}{4}", records[1]["answer"]]
    assert converted.dropped == {"row: no \\boxed answer in the solution": 1}


def test_math_as_a_folder_of_one_object_files(tmp_path: Path) -> None:
    for name in ("algebra/1.json", "geometry/2.json"):
        path = tmp_path / "MATH" / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"problem": name, "solution": "\\boxed{2}"}, indent=1))
    assert convert(SOURCES["math"], str(tmp_path / "MATH"), tmp_path / "out").files[0].rows == 2


def test_esci(tmp_path: Path) -> None:
    record = {
        "example_id": 1,
        "query": "red boots",
        "query_id": 7,
        "product_id": "B0",
        "product_locale": "us",
        "esci_label": "E",
        "small_version": 1,
        "large_version": 1,
        "split": "train",
        "product_title": "Boots, red",
        "product_description": "<p>Warm &amp; dry.</p> " + "long " * 1000,
        "product_bullet_point": None,
        "product_brand": "Norvik",
        "product_color": "red",
    }
    labels = ["S", "C", "I", "Substitute"]
    more = [{**record, "query": f"q {i}", "esci_label": label} for i, label in enumerate(labels)]
    odd = [{**record, "split": "test"}, {**record, "product_locale": "es"}, {**record, "esci_label": "?"}]
    bare = {key: record[key] for key in ("query", "esci_label", "split")}
    converted, rows = run("esci", [record, *more, *odd, bare], tmp_path)
    assert [gold_of(row) for row in rows] == ["Exact", "Substitute", "Complement", "Irrelevant", "Substitute"]
    question = rows[0]["prompt"][0]["content"]
    assert question.startswith(
        "Shopping query: red boots\nProduct: Boots, red\nBrand: Norvik\nColour: red\nDescription: Warm"
    )
    assert "Warm & dry. long" in question and "Points" not in question and len(question) < 900
    assert question.endswith("\nIs the product Exact, Substitute, Complement or Irrelevant for this query?")
    assert converted.dropped == {
        "row: not of the split train": 1,
        "row: not of the locale us": 1,
        "row: esci_label is ...; expected E, S, C, I or a full name": 1,
        "row: no product_title: join the examples with the products (docs/data.md)": 1,
    }
    _, (row,) = run("esci", [record, *odd], tmp_path, "test")
    assert row["data_source"] == "realm/search_relevance/unguided" and row["extra_info"]["split"] == "test"


def test_finqa(tmp_path: Path) -> None:
    qa: dict[str, Any] = {
        "question": "what is the growth?",
        "answer": "3.8%",
        "program": "divide(1, 26)",
        "exe_ans": 0.03838,
    }
    record: dict[str, Any] = {
        "id": "X/2010/page_1.pdf-1",
        "pre_text": ["revenue rose .", "."],
        "post_text": ["see note 3 ."],
        "table": [["", "2010", "2009"], ["revenue", "$ 5829", "5735"]],
        "qa": {**qa, "gold_inds": {}, "program_re": ""},
    }
    more = [
        {**record, "qa": {**qa, "question": f"q{e}", "exe_ans": e}}
        for e in (380.0, "yes", -1e-05, True, "n/a")
    ]
    converted, rows = run("finqa", [record, *more, {**record, "table": None}], tmp_path)
    assert [gold_of(row) for row in rows] == ["3.838%", "380", "yes", "-0.00001"]
    question = rows[0]["prompt"][0]["content"]
    assert question.startswith(
        "revenue rose .\n\n | 2010 | 2009\nrevenue | $ 5829 | 5735\n\nsee note 3 .\n\nQuestion:"
    )
    for answer, outcome in (
        ("3.84%", 1),
        ("0.0384", 1),
        ("3.84", 1),
        ("3.8%", 0),
        ("38.4%", 0),
        ("0.0384%", 0),
    ):
        assert compute_score("realm/numeric", f"<answer> {answer} </answer>", "3.838%")["outcome"] == outcome
    assert sum(converted.dropped.values()) == 3


@pytest.mark.parametrize(
    ("written", "result", "gold"),
    [
        ("14%", 0.1371, "13.71%"),
        ("13.7 %", 0.1371, "13.71%"),
        ("-12.5%", -0.12487, "-12.487%"),
        ("1,250%", 12.5, "1250%"),
        ("25%", 25.3, "25.3%"),
        ("14%", 7.2, "7.2"),
        ("0.14", 0.1371, "0.1371"),
        ("", 0.1371, "0.1371"),
        ("$ 14", 13.71, "13.71"),
    ],
)
def test_finqa_percentages(written: str, result: float, gold: str, tmp_path: Path) -> None:
    """The written answer says that the result is a percentage; what it is, the program says."""
    record = {
        "pre_text": ["x ."],
        "post_text": [],
        "table": [["a", "1"]],
        "qa": {"question": "how much?", "answer": written, "exe_ans": result},
    }
    _, (row,) = run("finqa", [record], tmp_path)
    assert gold_of(row) == gold


def test_bbh_on_the_real_tasks(shared_data: Path, tmp_path: Path) -> None:
    converted = convert(SOURCES["bbh"], str(shared_data / "bbh"), tmp_path)
    assert (converted.files[0].name, converted.files[0].rows) == (
        "test.parquet",
        1396,
    ) and not converted.dropped
    assert check_file(tmp_path / "test.parquet").bad_rows == 0


def test_big_bench_mistake_on_the_real_traces(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "big_bench_mistake"
    converted = convert(SOURCES["big-bench-mistake"], str(folder), tmp_path, Options(split="val"))
    assert converted.files[0].rows == 1800 and not converted.dropped
    rows = pq.read_table(tmp_path / "val.parquet").to_pylist()
    guided = [row for row in rows if row["extra_info"]["regime"] == "guided"]
    routes = [row["extra_info"]["routes"][0] for row in guided]
    kinds = Counter((r["label"], r["sound"], r["first_error"] is not None) for r in routes)
    assert kinds == {
        (False, False, True): 734,
        (False, None, False): 28,
        (True, True, False): 108,
        (True, False, True): 30,
    }
    checked = check_file(tmp_path / "val.parquet")
    assert checked.bad_rows == 0 and sum(r.disputed for bank in checked.banks for r in bank) == 2 * 30
    questions = [row["prompt"][0]["content"] for row in guided]
    assert sum(q.startswith("Sort the following words alphabetically: ") for q in questions) == 300


def test_big_bench_mistake_refuses_what_cannot_be(tmp_path: Path) -> None:
    record = {"input": "1 + 1 =", "steps": ["2"], "answer": "2", "target": "2", "mistake_index": None}
    brackets = {**record, "input": "( [", "target": "] )", "answer": "] )"}
    odd = [{**record, "mistake_index": 1}, {**record, "mistake_index": True}, {**record, "steps": []}]
    converted, rows = run("big-bench-mistake", [record, brackets, *odd], tmp_path)
    assert len(rows) == 2 and sum(converted.dropped.values()) == 3
    assert rows[1]["prompt"][0]["content"].startswith("Complete the rest of the sequence")


def test_a_table_of_the_user_s_own(tmp_path: Path) -> None:
    routes = [
        {"steps": "first\nsecond", "answer": "no", "first_error": 1},
        {"steps": ["s"], "answer": "yes", "label": False, "sound": True, "source": "anna"},
        {"steps": [], "answer": "yes"},
        "text",
    ]
    given = tmp_path / "in.csv"
    cell = json.dumps(routes).replace('"', '""')
    given.write_text(
        f'title,body,label,chains\nHi,there,yes,"{cell}"\n,only body,No,\n,,yes,\nx,y,,\nx,z,yes,[\n'
    )
    mapped = read_map("question=title+body, gold=label,routes=chains")
    converted = convert(table_source(mapped, "logic", "mit"), str(given), tmp_path / "out")
    first, second = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    assert first["prompt"][0]["content"] == "title: Hi\nbody: there"
    assert second["prompt"][0]["content"] == "body: only body" and second["extra_info"]["routes"] == []
    assert [
        (r["steps"], r["label"], r["sound"], r["first_error"], r["source"])
        for r in first["extra_info"]["routes"]
    ] == [(["first", "second"], False, None, 1, "table"), (["s"], True, True, None, "anna")]
    assert converted.notes == ("1 of 1 labels differ from the published ones",)
    assert converted.dropped == {
        "route: no steps": 1,
        "route: no object; got str": 1,
        "row: no text in title, body": 1,
        "row: no text in label": 1,
        "row: the routes are no JSON": 1,
    }


@pytest.mark.parametrize(
    "text", ["question", "question=", "question=a,question=b", "colour=a", "question=a+"]
)
def test_a_bad_map_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="role=column"):
        read_map(text)


def test_a_map_needs_question_and_gold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs question and gold; got question"):
        table_source(read_map("question=a"), "logic", "mit")
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    source = table_source(read_map("question=text,gold=b"), "logic", "mit")
    with pytest.raises(ValueError, match="no column text; the columns are a, b"):
        convert(source, str(tmp_path / "in.csv"), tmp_path / "out")


def test_every_source_says_what_it_is() -> None:
    for name, source in SOURCES.items():
        assert name == source.name and source.title and source.summary.endswith(".") and source.example
        assert source.licence == source.licence.lower()
