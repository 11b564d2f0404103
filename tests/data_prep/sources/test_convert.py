"""Converting: splits and regimes, sampling by content, filters, repeats, the Hub, and memory that stays flat."""

import json
import random
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.filters import Candidate, Refusal
from data_prep.sources import SOURCES
from data_prep.sources.convert import Options, convert
from data_prep.sources.table import table_source

WORDS = table_source({"question": ("q",), "gold": ("a",), "routes": ("r",)}, "logic", "mit")


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def numbered(n: int) -> list[dict[str, Any]]:
    return [{"q": f"question {i}", "a": "yes", "r": None} for i in range(n)]


def questions(path: Path) -> list[str]:
    return [row["prompt"][0]["content"] for row in pq.read_table(path).to_pylist()]


def test_validation_rows_stand_unguided_and_guided_where_there_are_routes(tmp_path: Path) -> None:
    route = {"steps": ["s"], "answer": "no"}
    given = write(
        tmp_path / "in.jsonl", [{"q": "x", "a": "yes", "r": [route]}, {"q": "y", "a": "no", "r": []}]
    )
    for split, regimes in (("train", [None, None]), ("val", ["unguided", "guided", "unguided"])):
        convert(WORDS, given, tmp_path / "out", Options(split=split))
        rows = pq.read_table(tmp_path / "out" / f"{split}.parquet").to_pylist()
        assert [row["extra_info"]["regime"] for row in rows] == regimes
        assert [len(row["extra_info"]["routes"]) for row in rows] == [1] * (len(rows) - 1) + [0]
        assert {row["extra_info"]["split"] for row in rows} == {split}


@pytest.mark.parametrize("options", [Options(), Options(limit=40), Options(val_share=0.5)])
def test_of_a_question_with_different_answers_no_row_is_kept(tmp_path: Path, options: Options) -> None:
    """As `realm start` does; an answer in another spelling is the same one."""
    rows = numbered(30)
    rows += [
        {"q": "question 3", "a": "no"},
        {"q": "question 4", "a": " Yes."},
        {"q": "question 3", "a": "yes"},
    ]
    converted = convert(WORDS, write(tmp_path / "in.jsonl", rows), tmp_path / "out", options)
    kept = [text for file in converted.files for text in questions(tmp_path / "out" / file.name)]
    assert sorted(kept) == sorted(row["q"] for row in numbered(30) if row["q"] != "question 3")
    assert converted.dropped == {
        "row: question repeated with another answer": 3,
        "row: question repeated": 1,
    }
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert [reject["row"] for reject in rejects] == [4, 31, 32, 33]


def test_a_subsample_depends_on_content_and_seed_alone(tmp_path: Path) -> None:
    rows = numbered(60)
    given = write(tmp_path / "a.jsonl", rows)
    convert(WORDS, given, tmp_path / "a", Options(limit=7, seed=3))
    chosen = questions(tmp_path / "a" / "train.parquet")
    random.Random(0).shuffle(rows)
    shuffled = write(tmp_path / "b.jsonl", rows + numbered(5))
    convert(WORDS, shuffled, tmp_path / "b", Options(limit=7, seed=3))
    assert len(chosen) == 7 and set(questions(tmp_path / "b" / "train.parquet")) == set(chosen)
    assert chosen == sorted(chosen, key=lambda q: int(q.split()[1])), "the order of the input is kept"
    convert(WORDS, given, tmp_path / "c", Options(limit=7, seed=4))
    assert set(questions(tmp_path / "c" / "train.parquet")) != set(chosen)
    assert json.loads((tmp_path / "a" / "provenance.json").read_text())["seed"] == 3


def test_a_validation_share_is_disjoint_and_stable(tmp_path: Path) -> None:
    given = write(tmp_path / "in.jsonl", [*numbered(200), {"q": "bad"}])
    converted = convert(WORDS, given, tmp_path / "out", Options(val_share=0.25))
    train, val = (set(questions(tmp_path / "out" / f"{name}.parquet")) for name in ("train", "val"))
    assert not train & val and len(train | val) == 200 and 30 < len(val) < 70
    assert sum(converted.dropped.values()) == 1
    assert len((tmp_path / "out" / "rejects.jsonl").read_text().splitlines()) == 1, (
        "kept once, not once a pass"
    )
    convert(WORDS, write(tmp_path / "more.jsonl", numbered(300)), tmp_path / "more", Options(val_share=0.25))
    assert val < set(questions(tmp_path / "more" / "val.parquet")), "rows never change sides"


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    given = write(tmp_path / "in.jsonl", numbered(20))
    for out in ("a", "b"):
        convert(WORDS, given, tmp_path / out, Options(val_share=0.3, limit=15))
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["README.md", "provenance.json", "train.parquet", "val.parquet"]
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)


def test_filters_refuse_with_evidence(tmp_path: Path) -> None:
    class NoSeven:
        def refuse(self, candidate: Candidate) -> Refusal | None:
            return Refusal("has a seven", candidate.question) if "7" in candidate.question else None

    given = write(tmp_path / "in.jsonl", numbered(20))
    converted = convert(WORDS, given, tmp_path / "out", filters=lambda: [NoSeven()])
    assert converted.dropped == {"row: has a seven": 2} and converted.files[0].rows == 18
    assert "'question 17'" in (tmp_path / "out" / "rejects.jsonl").read_text()


def test_a_folder_gives_all_its_files_and_one_torn_file_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    write(tmp_path / "in" / "a.jsonl", numbered(3))
    write(tmp_path / "in" / "sub" / "b.jsonl", numbered(5))
    (tmp_path / "in" / "c.parquet").write_bytes(b"PAR1")
    converted = convert(WORDS, str(tmp_path / "in"), tmp_path / "out")
    assert converted.files[0].rows == 5
    assert converted.dropped == {
        "row: question repeated": 3,
        "row: cannot be read as parquet from here on": 1,
    }
    assert set(json.loads((tmp_path / "out" / "provenance.json").read_text())["inputs"]) == {
        "a.jsonl",
        "sub/b.jsonl",
        "c.parquet",
    }


def test_an_equal_row_is_one_in_training_and_counts_again_in_an_evaluation(tmp_path: Path) -> None:
    given = write(tmp_path / "in.jsonl", [*numbered(2), *numbered(1), {"q": "question 1", "a": "no"}])
    train = convert(WORDS, given, tmp_path / "a")
    assert train.files[0].rows == 1
    assert train.dropped == {"row: question repeated": 1, "row: question repeated with another answer": 2}
    test = convert(WORDS, given, tmp_path / "b", Options(split="test"))
    assert test.files[0].rows == 2 and test.dropped == {"row: question repeated with another answer": 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(split="a/b"), "got 'a/b'"),
        (Options(limit=0), "1 or more; got 0"),
        (Options(val_share=1.0), "below 1"),
        (Options(split="test", val_share=0.1), "from the split train"),
    ],
)
def test_bad_options(tmp_path: Path, options: Options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(WORDS, write(tmp_path / "in.jsonl", numbered(3)), tmp_path / "out", options)


def test_nothing_usable(tmp_path: Path) -> None:
    given = tmp_path / "in.jsonl"
    given.write_text("x\n")
    with pytest.raises(
        ValueError, match=r"no row of .*in.jsonl could be used for train.parquet: row: not JSON \(1\)"
    ):
        convert(WORDS, str(given), tmp_path / "out")
    assert (tmp_path / "out" / "rejects.jsonl").exists() and not (tmp_path / "out" / "train.parquet").exists()
    given.write_text("")
    with pytest.raises(ValueError, match="there is none"):
        convert(WORDS, str(given), tmp_path / "out")


def test_a_hub_id_is_streamed_at_a_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub is a stand-in here: there is no network."""
    asked: list[Any] = []

    def load_dataset(name: str, configuration: str | None, **options: Any) -> list[dict[str, Any]]:
        asked.append((name, configuration, options))
        return [{"question": "1+1?", "answer": "#### 2"}]

    info = SimpleNamespace(sha="abc", card_data={"license": ["cc-by-4.0"]})
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, name: info)
    convert(SOURCES["gsm8k"], "openai/gsm8k:main", tmp_path, Options(split="val"))
    assert asked == [
        ("openai/gsm8k", "main", {"split": "validation", "streaming": True, "revision": "abc"}),
    ]
    assert "license: cc-by-4.0" in (tmp_path / "README.md").read_text()
    provenance = json.loads((tmp_path / "provenance.json").read_text())
    assert provenance["inputs"] == {"hub:openai/gsm8k:main": "abc"}


def test_without_a_network_a_hub_id_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="openai/gsm8k: no such file here, and the Hub did not answer"):
        convert(SOURCES["gsm8k"], "openai/gsm8k", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_prep.outputs.ROWS_AT_A_TIME", 64)

    def peak(n: int) -> int:
        rows = [{"q": f"question {i} " + "x" * 2000, "a": "yes", "r": None} for i in range(n)]
        given = write(tmp_path / "in.jsonl", rows)
        del rows
        tracemalloc.start()
        convert(WORDS, given, tmp_path / "out")
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(10)
    assert peak(1200) - peak(200) < 500_000, "2 MB more of text, but only an index of hashes grows"


@pytest.mark.parametrize(
    ("name", "content", "refused"),
    [
        ("in.jsonl", b'{"q": "x", "a": NaN}\n{"q": "y", "a": "nan"}\n{"q": NaN, "a": "yes"}\n', 3),
        ("in.csv", b"q,a\nx,nan\ny,NaN\nz,<NA>\nnan,yes\n", 4),
    ],
    ids=["E5", "E5-csv"],
)
def test_a_missing_value_is_no_answer_and_no_question(
    tmp_path: Path, name: str, content: bytes, refused: int
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="no row of .* could be used") as error:
        convert(
            table_source({"question": ("q",), "gold": ("a",)}, "choice", "mit"),
            str(tmp_path / name),
            tmp_path / "out",
        )
    assert "no text in a" in str(error.value) and "no text in q (1)" in str(error.value)
    assert len((tmp_path / "out" / "rejects.jsonl").read_text().splitlines()) == refused


def test_text_stored_as_bytes_is_text_or_refused(tmp_path: Path) -> None:
    """E6."""
    table = pa.table({"q": [b"A?", "é?".encode(), b"\xff"], "a": [b"yes", b"no", b"yes"]})
    pq.write_table(table, tmp_path / "in.parquet")
    source = table_source({"question": ("q",), "gold": ("a",)}, "logic", "mit")
    converted = convert(source, str(tmp_path / "in.parquet"), tmp_path / "out")
    assert questions(tmp_path / "out" / "train.parquet") == ["A?", "é?"]
    assert converted.dropped == {"row: no text in q: it holds bytes, not text": 1}


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        pytest.param("q,a,a\nx,yes,reviewer 2\n", "utf-8", "the header names a more than once", id="E2"),
        pytest.param("вопрос,q,a\n", "cp1251", "neither UTF-8 nor UTF-16 nor", id="E3-other"),
        pytest.param('q,a\nx,yes\n"y,no\nz,yes\n', "utf-8", "lines 3 to 4: a quoted cell", id="E7"),
    ],
)
def test_a_table_that_cannot_be_trusted_is_one_error(
    tmp_path: Path, content: str, encoding: str, message: str
) -> None:
    (tmp_path / "in.csv").write_bytes(content.encode(encoding))
    with pytest.raises(ValueError, match=message):
        convert(WORDS, str(tmp_path / "in.csv"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize(
    ("encoding", "said"), [("cp1252", "cp1252 (Windows)"), ("utf-16", "UTF-16")], ids=["E3", "E4"]
)
def test_an_encoding_that_had_to_be_found_is_noted(tmp_path: Path, encoding: str, said: str) -> None:
    (tmp_path / "in.csv").write_bytes("q,a\nÇa va ?,yes\nEt toi ?,no\n".encode(encoding))
    source = table_source({"question": ("q",), "gold": ("a",)}, "logic", "mit")
    converted = convert(source, str(tmp_path / "in.csv"), tmp_path / "out")
    assert questions(tmp_path / "out" / "train.parquet") == ["Ça va ?", "Et toi ?"]
    assert f"in.csv is read as {said}" in converted.notes[0]
    assert json.loads((tmp_path / "out" / "provenance.json").read_text())["notes"] == list(converted.notes)
