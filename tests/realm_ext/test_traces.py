"""Traces: one line a rollout, a shard a step, and shards after the resumed step are written anew."""

import json
from pathlib import Path

import pytest

from realm_ext import traces
from realm_ext.rollout_metrics import Rollout


def rollout(row_uid: str, session: int, guided: bool = True) -> Rollout:
    return Rollout.from_stored(
        f"random{session}_{session}_0",
        {"response_len": 5},
        {
            "guided": guided,
            "exposure": 0.5,
            "shown": [1] if guided else [],
            "shown_steps": [2] if guided else [],
            "row_uid": row_uid,
            "train_step": 2,
            "reward_extra_info": {"score": 1.2, "outcome": 1, "verdict": 0.4},
        },
    )


def test_a_line_says_what_was_shown_and_what_came_of_it(tmp_path: Path) -> None:
    path = traces.write(tmp_path, 3, [rollout("b", 0), rollout("a", 1, guided=False), rollout("a", 0)])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["uid"], line["rollout"]) for line in lines] == [("a", 0), ("a", 1), ("b", 0)]
    assert lines[0] == {
        "step": 3,
        "planned": 2,
        "uid": "a",
        "rollout": 0,
        "exposure": 0.5,
        "regime": "guided",
        "shown": [1],
        "shown_steps": [2],
        "dropped": 0,
        "score": 1.2,
        "components": {"outcome": 1.0, "verdict": 0.4},
        "response_length": 5,
        "cut": False,
        "carried": False,
    }
    assert (lines[1]["regime"], lines[1]["shown"]) == ("unguided", [])
    assert list(traces.read(tmp_path)) == lines


def test_shards_after_the_resumed_step_go(tmp_path: Path) -> None:
    assert traces.drop_after(tmp_path, 0) == []
    for step in (1, 2, 3, 10):
        traces.write(tmp_path, step, [rollout("a", 0)])
    assert traces.drop_after(tmp_path, 2) == [3, 10]
    assert traces.steps(tmp_path) == [1, 2]
    traces.write(tmp_path, 2, [])
    assert [line["step"] for line in traces.read(tmp_path)] == [1]


def test_a_torn_line_is_named(tmp_path: Path) -> None:
    path = traces.write(tmp_path, 1, [rollout("a", 0), rollout("a", 1)])
    path.write_text(path.read_text()[:-9])
    with pytest.raises(ValueError, match=r"step_00000001\.jsonl: line 2"):
        list(traces.read(tmp_path))


def test_rows_without_routes_are_named_by_verls_uid(tmp_path: Path) -> None:
    traces.write(tmp_path, 1, [rollout("", 4)])
    assert [line["uid"] for line in traces.read(tmp_path)] == ["random4"]
