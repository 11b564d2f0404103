"""The bundled data sets: readable, sound by the domain's own check, and a clear error for a wrong name."""

import pytest

from data_prep.schema import rl_row
from eval_tasks.bundled import DATA, read_rows
from reward_fns.domains import get
from reward_fns.routes import routes_from

FILES = {"search_relevance_test.jsonl": "search_relevance"}


def test_every_bundled_file_is_tested() -> None:
    assert {path.name for path in DATA.iterdir()} == set(FILES)


@pytest.mark.parametrize(("file", "domain"), FILES.items())
def test_rows_pass_the_domain_s_check(file: str, domain: str) -> None:
    rows = read_rows(file, domain, guided=True)
    assert len({row["uid"] for row in rows}) == len(rows) >= 500
    for n, row in enumerate(rows):
        routes = routes_from(row["routes"])
        checked = rl_row(row["question"], row["gold"], domain=domain, index=n, split="test", routes=routes)
        assert get(domain).check_row(checked) == []
        assert checked["extra_info"]["uid"] == row["uid"]


def test_unguided_rows_hold_no_routes() -> None:
    assert not any(
        "routes" in row for row in read_rows("search_relevance_test.jsonl", "search_relevance", False)
    )


def test_unknown_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="there are: search_relevance_test.jsonl"):
        read_rows("nothing.jsonl", "search_relevance", False)
