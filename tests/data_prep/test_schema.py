"""Rows keep one schema whatever their source, and a uid that depends on the content alone."""

import pyarrow as pa
import pytest

from data_prep.schema import BANK_SCHEMA, RL_SCHEMA, SFT_SCHEMA, bank_row, rl_row, sft_row
from reward_fns.content import content_uid
from reward_fns.routes import Route, routes_from

ROUTE = Route(("a", "b"), "1", False, None, 1, "x")


def test_rows_fit_the_schema_and_routes_come_back() -> None:
    rows = [
        rl_row("q", "1", domain="math", index=0, split="train"),
        rl_row("q2", "2", domain="math", index=1, split="val", routes=[ROUTE], regime="guided"),
    ]
    table = pa.Table.from_pylist(rows, schema=RL_SCHEMA)
    assert table.schema == RL_SCHEMA
    assert table.to_pylist() == rows
    assert routes_from(table.to_pylist()[1]["extra_info"]["routes"]) == (ROUTE,)
    assert [row["data_source"] for row in rows] == ["realm/math", "realm/math/guided"]


def test_files_with_null_columns_concatenate() -> None:
    one = pa.Table.from_pylist([rl_row("q", "1", domain="math", index=0, split="s")], schema=RL_SCHEMA)
    two = rl_row("q", "1", domain="math", index=0, split="s", routes=[ROUTE], regime="unguided")
    assert pa.concat_tables([one, pa.Table.from_pylist([two], schema=RL_SCHEMA)]).num_rows == 2


def test_uid() -> None:
    uid = content_uid("q", "1")
    assert uid == content_uid("q", "1") and len(uid) == 16 and int(uid, 16) >= 0
    assert len({uid, content_uid("q1", ""), content_uid("", "q1"), content_uid("q", "2")}) == 4
    assert rl_row("q", "1", domain="math", index=5, split="s", routes=[ROUTE])["extra_info"]["uid"] == uid


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": " "}, "a row needs a question"),
        ({"gold": ""}, "a row needs a question and a gold answer"),
        ({"regime": "half"}, "regime must be null, guided or unguided; got 'half'"),
        ({"domain": "a/b"}, "got 'a/b'"),
    ],
)
def test_bad_rows_are_refused(change: dict[str, str], message: str) -> None:
    values = {"question": "q", "gold": "1", "domain": "math", "regime": "guided", **change}
    question, gold = values.pop("question"), values.pop("gold")
    with pytest.raises(ValueError, match=message):
        rl_row(question, gold, index=0, split="s", **values)  # type: ignore[arg-type]


def test_sft_row() -> None:
    prompt = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    row = sft_row(prompt, "r", source="t", kind="chain", uid="u")
    assert [m["role"] for m in row["messages"]] == ["system", "user", "assistant"]
    assert pa.Table.from_pylist([row], schema=SFT_SCHEMA).to_pylist() == [row]
    assert not {"tools", "enable_thinking", "images", "videos"} & set(SFT_SCHEMA.names)
    with pytest.raises(ValueError, match=r"ends with a user message; got roles \['assistant'\]"):
        sft_row([{"role": "assistant", "content": "q"}], "r", source="t", kind="chain", uid="u")
    with pytest.raises(ValueError, match="empty one for uid u"):
        sft_row(prompt, " ", source="t", kind="chain", uid="u")


def test_a_bank_row_fits_its_schema_and_gives_its_route_back() -> None:
    row = bank_row("q", "1", ROUTE, domain="math", writer="abc")
    table = pa.Table.from_pylist([row], schema=BANK_SCHEMA)
    assert list(row) == BANK_SCHEMA.names and table.to_pylist() == [row]
    assert routes_from([row]) == (ROUTE,)
    assert row["uid"] == content_uid("q", "1") and not row["stale"]
