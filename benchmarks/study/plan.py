"""The study's declarative file, read and checked: arms, seeds, budgets, analysis.

Serves docs/study_plan.md. `study.yaml` says what is run; nothing else does. A row of results carries `config_hash`,
the hash of all that its arm depends on, so that a changed arm is run again and an unchanged one is not.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

STUDY_FILE = Path(__file__).with_name("study.yaml")
FIRST = Path(__file__).with_name("first")  # the plan before its one revision: its file and its rows
BANKS = ("all", "positive", "mismatched")
RULES = ("rules_kept", "rules_never")  # SFT with the rules in every prompt; of a teacher that never saw them
STARTS = ("sft", "positives", "base", *RULES)
TESTS = ("", "rules")
HARVESTS = ("", "guided", "unguided")
LATER = {"detail": "any"}  # rows of the first plan were made before there was a choice
_Value = TypeVar("_Value")


class StudyError(ValueError):
    """The file says something that the study cannot do; the message names the place."""


@dataclass(frozen=True)
class Data:
    """What `realm prep search-relevance` makes for each seed, plus what the study adds.

    Attributes:
        n_base, n_sft, n_train, n_val, routes, brief_share, contrast_share, detail: as the command's options.
        hold_out: rule combinations (`R7+R10`) that no row but the test's has.
        arithmetic_base, arithmetic_sft: rows of general arithmetic among the `base` and the SFT rows.
    """

    n_base: int
    n_sft: int
    n_train: int
    n_val: int
    routes: int
    brief_share: float
    contrast_share: float
    hold_out: tuple[str, ...]
    arithmetic_base: int
    arithmetic_sft: int
    detail: str = "any"


@dataclass(frozen=True)
class Model:
    """The demo model's shape and how long it learns before RL: steps of 16 rows."""

    hidden: int
    layers: int
    base_steps: int
    sft_steps: int
    positives_steps: int


@dataclass(frozen=True)
class RL:
    """Steps of RL, questions a step, rollouts a question, the fade's end, and overrides for every arm.

    `harvest_steps` and `harvest_lr` are those of the SFT between the two rounds of an arm that harvests.
    """

    steps: int
    questions: int
    rollouts: int
    fade_steps: int
    harvest_steps: int
    harvest_lr: float
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arm:
    """One condition.

    Attributes:
        name: short, unique, a file name.
        says: what it is, for tables.
        tier: 1, 2, or 3 for exploratory options.
        start: which checkpoint it begins with, of `STARTS`.
        bank: which routes its training rows hold, of `BANKS`.
        train: false: the start itself is measured.
        vote: true: no model; the majority answer of the routes shown.
        harvest: "guided" or "unguided": two rounds of half the steps each, between them SFT on the right chains of the
            first, guided ones with their routes stripped, or unguided ones as they are; "" for one round.
        steps: RL steps, where not the study's.
        test: "rules": the rules stand in every prompt of the domain's test; "" for the plain test.
        against: the arm that it is compared with in the table of pairs, in place of the study's own.
        needs: why it cannot run, as in the first plan; such an arm is listed and skipped.
        overrides: Hydra overrides of the recipe realm_quickstart.
    """

    name: str
    says: str
    tier: int
    start: str = "sft"
    bank: str = "all"
    train: bool = True
    vote: bool = False
    harvest: str = ""
    steps: int | None = None
    overrides: tuple[str, ...] = ()
    test: str = ""
    against: str = ""
    needs: str = ""


@dataclass(frozen=True)
class Analysis:
    """What is compared, decided before the arms run.

    Attributes:
        arm: the arm that claims are made for.
        comparators: arms of which the best on dev, unguided, is the primary comparator.
        control: the arm that `arm` must beat besides.
        start: the arm that is the start of `arm` alone; forgetting is counted from it.
        plain: plain GRPO from the same start; rollouts are counted against it.
        targets: smallest differences in points, unguided and guided.
        accuracy: unguided dev accuracy to which rollouts are counted.
        saving: how many times fewer of them than `plain`.
        samples: bootstrap samples.
    """

    arm: str
    comparators: tuple[str, ...]
    control: str
    start: str
    plain: str
    targets: Mapping[str, float]
    accuracy: float
    saving: float
    samples: int


@dataclass(frozen=True)
class Study:
    """The whole file; `seeds` by tier."""

    version: int
    data: Data
    model: Model
    rl: RL
    test_questions: int
    seeds: Mapping[int, tuple[int, ...]]
    arms: Mapping[str, Arm]
    analysis: Analysis
    small_arms: tuple[str, ...]
    small_seeds: tuple[int, ...]
    small_test_questions: int

    def shared_hash(self) -> str:
        """Hash of what every arm of a seed shares: data, model, test."""
        shared = {name: asdict(getattr(self, name)) for name in ("data", "model")}
        for name, value in LATER.items():
            if shared["data"][name] == value:
                del shared["data"][name]
        return _digest(
            {
                **shared,
                "test": self.test_questions,
                "version": self.version,
            }
        )

    def config_hash(self, arm: Arm) -> str:
        """Hash of all that decides an arm's result; its words, tier and what it is compared with are left out."""
        own = {
            key: value
            for key, value in asdict(arm).items()
            if key not in ("says", "tier", "needs", "against")
        }
        if not arm.test:  # so rows made before there was a choice of tests stay valid
            del own["test"]
        own["harvest"] = {"": False, "guided": True}.get(arm.harvest, arm.harvest)  # as the first plan had it
        return _digest({"shared": self.shared_hash(), "rl": asdict(self.rl), "arm": own})

    def work(self, tiers: tuple[int, ...]) -> list[tuple[Arm, int]]:
        """Every (arm, seed) of these tiers, seed by seed, so that a stop leaves whole comparisons behind."""
        pairs = [
            (arm, seed) for arm in self.arms.values() if arm.tier in tiers for seed in self.seeds[arm.tier]
        ]
        order = list(self.arms)
        return sorted(pairs, key=lambda pair: (pair[0].tier, pair[1], order.index(pair[0].name)))


def read_study(path: Path = STUDY_FILE) -> Study:
    """Read and check the file.

    Raises:
        StudyError: a key is unknown or missing, or an arm refers to something that is not there.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    parts: dict[str, type[Any]] = {"data": Data, "model": Model, "rl": RL, "analysis": Analysis}
    read: dict[str, Any] = {name: _build(kind, content.pop(name, None), name) for name, kind in parts.items()}
    arms = {
        name: _build(Arm, {"name": name, **(values or {})}, f"arms.{name}")
        for name, values in content.pop("arms", {}).items()
    }
    seeds = {int(tier): tuple(values) for tier, values in content.pop("seeds", {}).items()}
    small = content.pop("small", {})
    rest = {f"small_{key}": value for key, value in small.items()} | content
    study = _build(Study, {**read, **rest, "arms": arms, "seeds": seeds}, "the study")
    _check(study)
    return study


def _check(study: Study) -> None:
    for arm in study.arms.values():
        where = f"arms.{arm.name}"
        if arm.bank not in BANKS:
            raise StudyError(f"{where}.bank is {arm.bank!r}; known are {', '.join(BANKS)}")
        if arm.start not in STARTS:
            raise StudyError(f"{where}.start is {arm.start!r}; known are {', '.join(STARTS)}")
        if arm.harvest not in HARVESTS:
            raise StudyError(f"{where}.harvest is {arm.harvest!r}; known are {', '.join(HARVESTS[1:])}")
        if arm.test not in TESTS:
            raise StudyError(f"{where}.test is {arm.test!r}; known are {', '.join(TESTS[1:])}")
        if arm.against and arm.against not in study.arms:
            raise StudyError(f"{where}.against is {arm.against!r}, which is not among the arms")
        if arm.tier not in study.seeds:
            raise StudyError(f"{where}.tier is {arm.tier}, for which `seeds` says nothing")
    analysis = study.analysis
    named = {analysis.arm, analysis.control, analysis.start, analysis.plain, *analysis.comparators}
    named |= {*study.small_arms}
    if unknown := sorted(named - set(study.arms)):
        raise StudyError(f"not among the arms: {', '.join(unknown)}")
    if study.rl.fade_steps > 0.75 * study.rl.steps:
        raise StudyError(
            f"rl.fade_steps is {study.rl.fade_steps}; routes must be gone by 75% of {study.rl.steps} steps"
        )


def _build(kind: type[_Value], values: Any, where: str) -> _Value:
    """The dataclass from a mapping; lists become tuples."""
    if not isinstance(values, Mapping):
        raise StudyError(f"{where} should be a mapping; got {values!r}")
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - known):
        raise StudyError(
            f"{where} has unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except TypeError as error:  # a key that has no default is missing
        raise StudyError(f"{where}: {error}") from error


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
