"""Types that a run's columns may have."""

import pyarrow as pa
import pytest

from data_prep.schema import RL_SCHEMA
from realm_ext.preflight_columns import schema_fault

INFO = RL_SCHEMA.field("extra_info").type
ROUTE = INFO.field("routes").type.value_type


def with_type(name: str, kind: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(f.name, kind if f.name == name else f.type) for f in RL_SCHEMA])


def with_route(name: str, kind: pa.DataType) -> pa.Schema:
    route = pa.struct([(f.name, kind if f.name == name else f.type) for f in ROUTE])
    fields = [(f.name, pa.list_(route) if f.name == "routes" else f.type) for f in INFO]
    return with_type("extra_info", pa.struct(fields))


@pytest.mark.parametrize(
    "schema",
    [
        RL_SCHEMA,
        with_type("data_source", pa.dictionary(pa.int32(), pa.string())),
        with_type("extra_info", pa.null()),
        with_type("reward_model", pa.struct([("ground_truth", pa.list_(pa.string()))])),
        with_route("label", pa.int8()),
        with_route("first_error", pa.float64()),
        with_route("sound", pa.null()),
        with_route("steps", pa.large_list(pa.large_string())),
    ],
)
def test_types_that_can_be_read(schema: pa.Schema) -> None:
    assert schema_fault(schema, "prompt") is None


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (with_type("prompt", pa.list_(pa.string())), "must be a list of chat messages with role and content"),
        (with_type("prompt", pa.list_(pa.struct([("role", pa.string())]))), "with role and content"),
        (with_route("steps", pa.string()), "extra_info.routes has steps of type string"),
        (with_route("label", pa.string()), "extra_info.routes has label of type string"),
        (with_route("answer", pa.int64()), "extra_info.routes has answer of type int64"),
        (
            with_type("reward_model", pa.struct([("answer", pa.string())])),
            "must be a struct with ground_truth",
        ),
    ],
)
def test_types_that_cannot(schema: pa.Schema, text: str) -> None:
    assert text in str(schema_fault(schema, "prompt"))
