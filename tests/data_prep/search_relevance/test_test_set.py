"""The committed test set is what the generator makes, and small enough to ship."""

from pathlib import Path

from data_prep.search_relevance.test_set import held_out_rows, write_test_set
from eval_tasks.bundled import DATA

FILE = DATA / "search_relevance_test.jsonl"


def test_committed_file_is_what_the_function_makes(tmp_path: Path) -> None:
    write_test_set(tmp_path / FILE.name)
    assert (tmp_path / FILE.name).read_bytes() == FILE.read_bytes(), (
        f"run `python -m data_prep.search_relevance.test_set {FILE}` and raise metadata.version of the tasks"
    )


def test_small_enough_to_ship() -> None:
    assert FILE.stat().st_size <= 1 << 20


def test_a_prefix_does_not_depend_on_the_length() -> None:
    assert held_out_rows(5) == held_out_rows(8)[:5]
    assert held_out_rows(5, seed=1) != held_out_rows(5)
