"""Every row is looked at, and a fault names its rows."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from data_prep.schema import RL_SCHEMA
from realm_ext.preflight_rows import Faults, RowCheck
from tests.realm_ext.conftest import make_row


def checked(table: pa.Table, batch_rows: int = 3, **options: Any) -> RowCheck:
    check = RowCheck(
        **{
            "prompt_key": "prompt",
            "media_keys": ("images", "videos", "audios"),
            "default_agent": "realm",
            "reads_gold": True,
            **options,
        }
    )
    first = 0
    for batch in table.select(check.columns(table.schema)).to_batches(max_chunksize=batch_rows):
        check.add(batch, first)
        first += batch.num_rows
    return check


def table_with(bad: dict[str, Any], at: int = 4, schema: pa.Schema = RL_SCHEMA) -> pa.Table:
    """Eight good rows, of which one is changed."""
    rows = [make_row(i) for i in range(8)]
    rows[at] = {**rows[at], **bad}
    return pa.Table.from_pylist(rows, schema)


def route(**fields: Any) -> dict[str, Any]:
    good = {
        "steps": ["a", "b"],
        "answer": "5",
        "label": True,
        "sound": None,
        "first_error": None,
        "source": "",
    }
    return {"extra_info": {"uid": "u", "regime": None, "routes": [good, {**good, **fields}]}}


def test_good_rows_have_no_fault() -> None:
    check = checked(pa.Table.from_pylist([make_row(i) for i in range(8)], RL_SCHEMA))
    assert check.faults.texts() == check.notes.texts() == []
    assert (check.has_realm_agent, check.has_routes, check.sources) == (True, True, {"realm/math": 0})


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ({"prompt": None}, "prompt must be a list of messages, got null"),
        ({"prompt": []}, "prompt holds no message"),
        ({"prompt": [{"role": "user", "content": " \n"}]}, "the prompt is empty"),
        (
            {"prompt": [{"role": "system", "content": "Be brief."}]},
            "needs a message with role 'user', to which",
        ),
        ({"prompt": [{"role": None, "content": "2+3?"}]}, "a message has no role"),
        ({"prompt": [{"role": "user", "content": None}]}, "a message has no content, got null"),
        ({"data_source": None}, "data_source must be a text, got null"),
        ({"reward_model": None}, "reward_model must hold ground_truth, got null"),
        ({"reward_model": {"ground_truth": None}}, "ground_truth is missing or blank"),
        ({"reward_model": {"ground_truth": " "}}, "ground_truth is missing or blank"),
        ({"agent_name": None}, "agent_name must be a text, got null"),
        ({"extra_info": {"uid": None, "routes": []}}, "extra_info.uid must be a text"),
        ({"extra_info": {"uid": "", "routes": []}}, "extra_info.uid must be a text"),
        (
            {"extra_info": {"uid": "u", "routes": [], "regime": "half"}},
            "regime must be guided, unguided or null",
        ),
        ({"extra_info": {"uid": "u", "routes": [None]}}, "a route is null"),
        (route(steps=None), "a route lacks steps"),
        (route(answer=None), "a route lacks answer"),
        (route(label=None), "a route lacks label"),
        (route(steps=["a", None]), "a route has a step that is null"),
        (route(first_error=2), "first_error must be null, or the number of a step counted from 0"),
        (route(first_error=-1), "first_error must be null, or the number of a step counted from 0"),
    ],
)
def test_a_fault_names_its_row(bad: dict[str, Any], text: str) -> None:
    found = checked(table_with(bad)).faults.texts()
    assert any(line.startswith("row 4: ") and text in line for line in found), found
    assert all(line.startswith("row 4: ") for line in found)


def test_many_rows_are_counted_and_the_first_named() -> None:
    rows = [{**make_row(i), "reward_model": {"ground_truth": "" if i % 2 else "5"}} for i in range(20)]
    found = checked(pa.Table.from_pylist(rows, RL_SCHEMA)).faults.texts()
    assert found == ["10 rows (1, 3, 5, 7, 9, ...): ground_truth is missing or blank"]


def test_faults_of_two_rows_name_both() -> None:
    faults = Faults()
    faults.add("late", np.array([7]))
    faults.add("late", np.array([9]))
    assert faults.texts() == ["2 rows (7, 9): late"]


def replaced(name: str, kind: pa.DataType, values: list[Any]) -> pa.Table:
    table = pa.Table.from_pylist([make_row(i) for i in range(len(values))], RL_SCHEMA)
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, kind))


@pytest.mark.parametrize(
    ("kind", "values", "bad"),
    [
        (pa.int64(), [8, None, 0], [1]),
        (pa.float64(), [8.5, float("nan"), float("inf")], [1, 2]),
        (pa.bool_(), [True, False, True], []),
        (pa.dictionary(pa.int32(), pa.string()), ["8", " ", "9"], [1]),
        (pa.list_(pa.string()), [["8"], [], ["8", " "]], [1, 2]),
        (pa.list_(pa.int64()), [[8], None, [8, 9]], [1]),
        (pa.struct([("target", pa.list_(pa.string()))]), [{"target": ["8"]}, {"target": []}, None], [1, 2]),
        (pa.binary(), [b"8", b"9", b"7"], [0, 1, 2]),
    ],
)
def test_gold_answers_of_every_type(kind: pa.DataType, values: list[Any], bad: list[int]) -> None:
    structs = [{"ground_truth": value} for value in values]
    table = replaced("reward_model", pa.struct([("ground_truth", kind)]), structs)
    found = checked(table).faults.texts()
    named = (
        ""
        if not bad
        else f"row {bad[0]}: "
        if len(bad) == 1
        else f"{len(bad)} rows ({', '.join(map(str, bad))}): "
    )
    assert len(found) == bool(bad)
    assert all(line.startswith(named) and "ground_truth" in line for line in found)


def test_gold_answers_are_a_users_own_matter_where_his_function_scores() -> None:
    table = table_with({"reward_model": {"ground_truth": None}})
    assert checked(table, reads_gold=False).faults.texts() == []


def flags(kind: pa.DataType, label: Any, sound: Any, error: Any) -> pa.Table:
    """One row whose route has these, all of one type."""
    fields = [("steps", pa.list_(pa.string())), ("answer", pa.string())]
    fields += [(name, kind) for name in ("label", "sound", "first_error")]
    info = pa.struct([("uid", pa.string()), ("routes", pa.list_(pa.struct(fields)))])
    routes = [{"steps": ["a", "b"], "answer": "5", "label": label, "sound": sound, "first_error": error}]
    return replaced("extra_info", info, [{"uid": "u", "routes": routes}])


@pytest.mark.parametrize(
    ("kind", "label", "sound", "error", "text"),
    [
        (pa.int64(), 1, 0, 1, None),
        (pa.float64(), 1.0, float("nan"), float("nan"), None),
        (pa.int64(), 2, None, None, "route label must be true or false"),
        (pa.float64(), 0.0, 0.5, 1.0, "route sound must be true or false"),
        (pa.float64(), 0.0, 0.0, 0.5, "first_error must be null"),
        (pa.float64(), float("nan"), None, None, "a route lacks label"),
    ],
)
def test_labels_as_pandas_writes_them(
    kind: pa.DataType, label: Any, sound: Any, error: Any, text: str | None
) -> None:
    found = checked(flags(kind, label, sound, error)).faults.texts()
    assert len(found) == (text is not None)
    assert text is None or text in found[0]


def test_large_and_categorical_types_are_read_as_plain_ones() -> None:
    messages = pa.large_list(
        pa.struct([("role", pa.dictionary(pa.int8(), pa.string())), ("content", pa.large_string())])
    )
    prompts = [[{"role": "user", "content": "2+3?"}], [{"role": "user", "content": ""}]]
    assert checked(replaced("prompt", messages, prompts)).faults.texts() == ["row 1: the prompt is empty"]


PARTS = pa.list_(
    pa.struct(
        [
            ("role", pa.string()),
            ("content", pa.list_(pa.struct([("type", pa.string()), ("text", pa.string())]))),
        ]
    )
)


def said(*parts: tuple[str, str | None]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": kind, "text": text} for kind, text in parts]}]


def test_content_in_parts() -> None:
    prompts = [
        said(("text", "2+"), ("text", "3?")),
        said(("text", " ")),
        said(("image", None), ("text", "What?")),
    ]
    found = checked(replaced("prompt", PARTS, prompts)).faults.texts()
    assert found[0] == "row 1: the prompt is empty"
    assert found[1].startswith("row 2: images, videos or audio, which the agent `realm` does not show")
    assert len(found) == 2


def test_images_are_refused_for_the_agent_that_does_not_show_them() -> None:
    table = pa.Table.from_pylist([make_row(i) for i in range(4)], RL_SCHEMA)
    table = table.append_column("images", pa.array([None, [], [b"x"], [b"y"]], pa.list_(pa.binary())))
    agents = pa.array(["realm", "realm", "realm", "single_turn_agent"])
    table = table.set_column(table.schema.get_field_index("agent_name"), "agent_name", agents)
    check = checked(table)
    assert [line.partition(", ")[0] for line in check.faults.texts()] == ["row 2: images"]
    assert check.notes.texts() == ["row 3: routes, but another agent than `realm`: none of them is shown"]


def test_the_default_agent_counts_where_no_column_names_one() -> None:
    table = pa.Table.from_pylist([make_row(0)], RL_SCHEMA).drop_columns(["agent_name"])
    assert checked(table).has_routes
    assert not checked(table, default_agent="single_turn_agent").has_routes


def test_without_a_bank_a_prompt_without_user_is_only_mentioned() -> None:
    table = table_with({"prompt": [{"role": "system", "content": "Write."}]}).drop_columns(["extra_info"])
    check = checked(table)
    assert check.faults.texts() == []
    assert check.notes.texts() == ["row 4: a prompt needs a message with role 'user' in most chat templates"]


def test_lengths_are_of_all_messages() -> None:
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "½ + ½?"}]
    table = table_with({"prompt": prompt}, at=1)
    check = RowCheck("prompt", (), "realm", True)
    facts = check.add(table.select(check.columns(table.schema)).to_batches()[0], 0)
    assert facts.characters[:3].tolist() == [4, 15, 4]


def test_sources_are_found_with_their_first_row() -> None:
    table = table_with({"data_source": "realm/logic"}, at=5)
    assert checked(table).sources == {"realm/math": 0, "realm/logic": 5}
