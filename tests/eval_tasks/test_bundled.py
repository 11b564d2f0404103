"""The bundled data sets: readable, sound by the domain's own check, and a clear error for a wrong name."""

import pytest

from data_prep.schema import rl_row
from eval_tasks.bundled import DATA, read_rows
from reward_fns.domains import get
from reward_fns.routes import routes_from

FILES = {
    "search_relevance_test.jsonl": ("search_relevance", 500),
    "finance_test.jsonl": ("numeric", 200),
    "medicine_test.jsonl": ("choice", 200),
    "law_test.jsonl": ("choice", 200),
}


def test_every_bundled_file_is_tested() -> None:
    """The changed-rule questions have their own test: their gold answers are not the domain's."""
    assert {path.name for path in DATA.iterdir()} == {*FILES, "changed_rule_test.jsonl"}


@pytest.mark.parametrize("file", FILES)
def test_rows_pass_the_domain_s_check(file: str) -> None:
    domain, at_least = FILES[file]
    rows = read_rows(file, domain, guided=True)
    assert len({row["uid"] for row in rows}) == len(rows) >= at_least
    for n, row in enumerate(rows):
        routes = routes_from(row["routes"])
        checked = rl_row(row["question"], row["gold"], domain=domain, index=n, split="test", routes=routes)
        assert get(domain).check_row(checked) == []
        assert checked["extra_info"]["uid"] == row["uid"]


def test_unguided_rows_hold_no_routes() -> None:
    for file, (domain, _) in FILES.items():
        assert not any("routes" in row for row in read_rows(file, domain, False))


def test_unknown_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="there are: .*search_relevance_test.jsonl"):
        read_rows("nothing.jsonl", "search_relevance", False)
