"""The declarative file: the committed one is sound, and a wrong one is refused with the place."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from benchmarks.study.plan import STUDY_FILE, StudyError, read_study

STUDY = read_study()


def changed(tmp_path: Path, *keys: str, value: object) -> Path:
    content = yaml.safe_load(STUDY_FILE.read_text())
    node = content
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_committed_study_has_what_the_issue_asks_for() -> None:
    tiers = {name: arm.tier for name, arm in STUDY.arms.items()}
    assert {name for name, tier in tiers.items() if tier == 1} >= {
        *("vote", "sft", "rft", "grpo", "hints", "mismatched", "realm")
    }
    assert {name for name, tier in tiers.items() if tier == 2} >= {
        *("ssa", "no_fade", "zero", "one_round", "rules_kept", "rules_never")
    }
    assert len(STUDY.seeds[1]) >= 5 and len(STUDY.seeds[2]) >= 3
    assert STUDY.test_questions == 2000
    assert STUDY.analysis.targets == {"unguided": 2.6, "guided": 4.2}


@pytest.mark.parametrize(
    ("keys", "value", "says"),
    [
        (("rl", "step"), 4, "rl has unknown keys step"),
        (("rl", "fade_steps"), 39, "gone by 75% of 40"),
        (("arms", "realm", "bank"), "none", r"arms\.realm\.bank is 'none'"),
        (("arms", "realm", "start"), "rl", r"arms\.realm\.start is 'rl'"),
        (("arms", "realm", "harvest"), True, r"arms\.realm\.harvest is True"),
        (("arms", "realm", "test"), "hard", r"arms\.realm\.test is 'hard'"),
        (("arms", "realm", "against"), "nobody", r"arms\.realm\.against is 'nobody'"),
        (("arms", "realm", "tier"), 4, "`seeds` says nothing"),
        (("analysis", "control"), "nobody", "not among the arms: nobody"),
        (("small", "arms"), ["nobody"], "not among the arms: nobody"),
        (("model",), None, "model should be a mapping"),
        (("data",), {"n_base": 1}, "data: .*missing"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, keys: tuple[str, ...], value: object, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        read_study(changed(tmp_path, *keys, value=value))


def test_the_hash_follows_what_decides_a_result_and_nothing_else(tmp_path: Path) -> None:
    realm = STUDY.arms["realm"]
    before = STUDY.config_hash(realm)
    assert STUDY.config_hash(dataclasses.replace(realm, says="other words", tier=3, against="sft")) == before
    assert STUDY.config_hash(dataclasses.replace(realm, overrides=("a=1",))) != before
    assert STUDY.config_hash(dataclasses.replace(realm, test="rules")) != before
    assert len({STUDY.config_hash(arm) for arm in STUDY.arms.values()}) == len(STUDY.arms)
    for keys, value in ((("data", "n_sft"), 5), (("model", "layers"), 9), (("rl", "steps"), 44)):
        other = read_study(changed(tmp_path, *keys, value=value))
        assert other.config_hash(other.arms["realm"]) != before
    seeds = read_study(changed(tmp_path, "seeds", value={1: [0], 2: [0], 3: [0]}))
    assert seeds.config_hash(seeds.arms["realm"]) == before


def test_work_goes_tier_by_tier_and_seed_by_seed() -> None:
    work = [(arm.tier, seed) for arm, seed in STUDY.work((2, 1))]
    assert work == sorted(work) and len(work) == len({(a.name, s) for a, s in STUDY.work((2, 1))})
