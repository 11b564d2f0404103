"""Options under `realm:`: defaults, and a message that names what is wrong."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from realm_ext.config import RealmConfig, read_config

SCHEDULE = {"kind": "linear", "fade_steps": 4}


def read(**options: Any) -> RealmConfig:
    return read_config(OmegaConf.create({"realm": {"schedule": SCHEDULE, **options}}))


def test_defaults() -> None:
    config = read()
    assert config == read_config({"realm": {"schedule": SCHEDULE}})
    assert config.fade == ("presence", "routes")
    assert config.weights == {"outcome": 1.0, "verdict": 0.2, "decisive": 0.2, "format": 0.05}
    assert config.right_share is None
    assert config.preflight == "strict"


def test_weights_are_completed() -> None:
    assert read(weights={"verdict": 0}).weights == {
        "outcome": 1.0,
        "verdict": 0,
        "decisive": 0.2,
        "format": 0.05,
    }


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"speed": 3}, "unknown key speed; known are"),
        ({"schedule": None}, "realm.schedule: missing"),
        ({"schedule": {"kind": "linear"}}, "realm.schedule.fade_steps: needed"),
        ({"fade": ["colours"]}, "realm.fade: 'colours' is unknown"),
        ({"fade": "presence"}, "realm.fade: expected a list"),
        ({"seed": 1.5}, "realm.seed: expected a whole number"),
        ({"unguided_floor": -1}, "realm.unguided_floor: expected a whole number of at least 0"),
        ({"unguided_floor": 1}, "nothing to compare it to"),
        ({"max_routes": 0}, "realm.max_routes: expected a whole number of at least 1"),
        ({"show_answers": "no"}, "realm.show_answers: expected true or false"),
        ({"advantage": "mixed"}, "realm.advantage: 'mixed' is unknown"),
        ({"preflight": False}, "realm.preflight: False is unknown; use one of strict, warn"),
        ({"weights": {"length": 1}}, "realm.weights: unknown key length"),
        ({"weights": {"verdict": -1}}, "realm.weights.verdict: expected a number of at least 0"),
        ({"weights": 3}, "realm.weights: expected a mapping"),
        ({"overlong": {"kind": "shape"}}, "realm.overlong.kind: 'shape' is unknown"),
        ({"overlong": {"kind": "mask"}, "carry": 1}, "realm.carry: not supported beside overlong.kind=mask"),
        ({"warn_after": -1}, "realm.warn_after: expected a whole number of at least 0"),
        ({"right_share": 2}, "realm.right_share: expected null or a number"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        read(**options)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ValueError, match="realm.max_routes.*realm.advantage"):
        read(max_routes=0, advantage="x")


def test_no_section() -> None:
    with pytest.raises(ValueError, match="no `realm:` section"):
        read_config(OmegaConf.create({"data": {}}))
