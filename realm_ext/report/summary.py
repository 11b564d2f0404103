"""What the report says in words and numbers, for the terminal and the page alike: pure functions over a `Run`.

Two questions: is unguided accuracy at the end above that after SFT and above plain GRPO's, and which stage brought it?
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from realm_ext.report.reading import REGIMES, Evaluation, Run
from realm_ext.report.scalars import Series
from realm_ext.report.traces import TraceSummary
from realm_ext.results.measures import mean_measure
from realm_ext.results.statistics import (
    Estimate,
    Interval,
    holm,
    normal_interval,
    p_text,
    paired_difference,
    wilson_interval,
    within_noise,
)

TITLES = {"base": "Base", "sft": "SFT", "rl": "ReaLM", "grpo": "GRPO"}
COMPARED = (("rl", "sft"), ("rl", "grpo"))  # after, before
ONE_RUN = "one training run"
METHOD = (
    "One training run: intervals and p cover the questions alone, not what another run of the same recipe would give; "
    "several runs are compared by `realm compare`. Intervals are 95%: Wilson's score interval for an accuracy, the "
    "percentile bootstrap over questions for the difference of two checkpoints on the same questions. p is McNemar's exact "
    "test, two-sided (random swaps where scores are not 0 or 1), adjusted by Holm's procedure for all differences of the "
    "table. A difference counts as more than noise when its interval is clear of 0 and p is below 0.05."
)
_RL_ROUND = re.compile(r"rl_round\d+")


@dataclass(frozen=True)
class Comparison:
    """One checkpoint against another, on one task in one regime, over the n questions both answered.

    Attributes:
        gained, lost: questions that scored higher, lower than before.
        adjusted: the p value by Holm's procedure over all comparisons of the run.
    """

    task: str
    regime: str
    after: str
    before: str
    n: int
    gained: int
    lost: int
    found: Estimate
    adjusted: float

    @property
    def within_noise(self) -> bool:
        """True unless interval and p value agree that there is a difference."""
        return within_noise(self.found.interval, self.adjusted)

    @property
    def reading(self) -> str:
        """ "better", "worse" or "within noise"."""
        if self.within_noise:
            return "within noise"
        return "better" if self.found.value > 0 else "worse"

    @property
    def p_shown(self) -> str:
        """The adjusted p value as text."""
        return p_text(self.adjusted, self.found.is_bound)


@dataclass(frozen=True)
class Gain:
    """What a stage brought on the validation questions, as shares; None where it is not known."""

    stage: str
    unguided: float
    change: float | None
    guided: float | None


@dataclass(frozen=True)
class Summary:
    """The comparisons that the samples allow, one line about each that they do not, and what each stage brought."""

    comparisons: tuple[Comparison, ...]
    headline: str
    notes: tuple[str, ...]
    gains: tuple[Gain, ...]


def summarize(run: Run) -> Summary:
    """Compare the checkpoints of a run, and say the outcome in one sentence."""
    comparisons: list[Comparison] = []
    notes = list(run.notes)
    for task in tasks_of(run):
        found = {(e.checkpoint, e.regime): e for e in run.evaluations if e.task == task}
        for after, before in COMPARED:
            for regime in REGIMES:
                pair = found.get((after, regime)), found.get((before, regime))
                if pair[0] is None or pair[1] is None:
                    continue
                compared = _compare(pair[0], pair[1], notes)
                if compared is not None:
                    comparisons.append(compared)
    adjusted = holm([c.found.p_value for c in comparisons])
    comparisons = [replace(c, adjusted=p) for c, p in zip(comparisons, adjusted, strict=True)]
    gains = gains_of(run)
    return Summary(tuple(comparisons), _headline(run, comparisons, gains), tuple(notes), gains)


# ------------------------------ what each stage brought ------------------------------


def gains_of(run: Run) -> tuple[Gain, ...]:
    """Accuracy on the validation questions before RL, and after each stage since.

    Empty where that is not two figures at least, or the rounds cannot be told apart.
    """
    unguided, guided = (validation_series(run.rl, regime) for regime in REGIMES)
    if unguided is None or len(unguided.segments()) != len(run.round_ends) + 1:
        return ()
    both = guided.segments() if guided is not None and guided.steps == unguided.steps else []
    gains: list[Gain] = []

    def add(stage: str, number: int, place: int) -> None:
        value = unguided.segments()[number].values[place]
        change = value - gains[-1].unguided if gains else None
        gains.append(Gain(stage, value, change, both[number].values[place] if both else None))

    for number, part in enumerate(unguided.segments()):
        begun = run.round_ends[number - 1] if number else 0
        stage = between_rounds(run, number) if number else "before RL"
        if part.steps[0] == begun:  # validated before the first step
            add(stage, number, 0)
        if part.steps[-1] > begun:
            merged = number and part.steps[0] > begun
            add(f"{stage}, {rl_stage(run, number + 1)}" if merged else rl_stage(run, number + 1), number, -1)
    return tuple(gains) if len(gains) > 1 else ()


def rounds_of(run: Run) -> int:
    """How many rounds of RL the run had, by its metrics or its stages."""
    return 1 + max(len(run.round_ends), sum(bool(_RL_ROUND.fullmatch(s.name)) for s in run.stages))


def rl_stage(run: Run, number: int) -> str:
    """The name of a round of RL, counted from 1."""
    return f"RL round {number}" if rounds_of(run) > 1 else "RL"


def between_rounds(run: Run, number: int) -> str:
    """What was done between a round of RL and the next, as the stages have it."""
    names = {stage.name for stage in run.stages}
    return "SFT on harvested chains" if f"sft_round{number}" in names else f"what followed RL round {number}"


def validation_series(log: Mapping[str, Series], regime: str) -> Series | None:
    """Accuracy of a regime by step: ours, else verl's own for the first domain that has it."""
    ours = log.get(f"realm/val/{regime}_acc")
    if ours is not None:
        return ours
    tail = f"/{regime}/acc/mean@1"
    return next((log[n] for n in sorted(log) if n.startswith("val-core/realm/") and n.endswith(tail)), None)


def tasks_of(run: Run) -> tuple[str, ...]:
    """The tasks evaluated, regime left out, in sorted order."""
    return tuple(dict.fromkeys(e.task for e in run.evaluations))


def interval_of(evaluation: Evaluation) -> Interval | None:
    """95% interval of an accuracy; None when neither n nor a standard error is known."""
    if evaluation.n:
        return wilson_interval(evaluation.accuracy, evaluation.n)
    if evaluation.stderr is not None:
        return normal_interval(evaluation.accuracy, evaluation.stderr)
    return None


def _compare(after: Evaluation, before: Evaluation, notes: list[str]) -> Comparison | None:
    if not after.scores or not before.scores:
        return None  # reading has said which samples are missing
    shared = sorted(after.scores.keys() & before.scores.keys())
    larger = max(len(after.scores), len(before.scores))
    what = f"{title_of(after.checkpoint)} and {title_of(before.checkpoint)} on {after.task}, {after.regime}"
    if not shared:
        notes.append(f"{what}: no question in common, not compared")
        return None
    if len(shared) < larger:
        notes.append(f"{what}: compared on the {len(shared)} questions in common, of {larger}")
    x, y = [after.scores[k] for k in shared], [before.scores[k] for k in shared]
    moved = [a - b for a, b in zip(x, y, strict=True)]
    found = paired_difference(mean_measure(x, y))
    gained, lost = sum(d > 0 for d in moved), sum(d < 0 for d in moved)
    names = after.checkpoint, before.checkpoint
    return Comparison(after.task, after.regime, *names, len(shared), gained, lost, found, found.p_value)


def _headline(run: Run, comparisons: Sequence[Comparison], gains: Sequence[Gain]) -> str:
    main = [c for c in comparisons if (c.regime, c.after, c.before) == ("unguided", "rl", "sft")]
    if not main:
        there = {e.checkpoint for e in run.evaluations if e.regime == "unguided"}
        missing = " or ".join(f"eval/{name}" for name in ("sft", "rl") if name not in there)
        why = f"no unguided evaluation in {missing}" if missing else "see what is missing"
        said = f"Unguided accuracy after RL was not compared with that after SFT: {why}."
        return " ".join([said, *_gains_in_words(gains)])
    accuracy: Mapping[tuple[str, str], float] = {
        (e.task, e.checkpoint): e.accuracy for e in run.evaluations if e.regime == "unguided"
    }
    n = rounds_of(run)
    stages = [name for i in range(1, n + 1) for name in (rl_stage(run, i), between_rounds(run, i))][:-1]
    end = "after RL" if n == 1 else f"at the end of {', '.join(stages)}"
    sentences = []
    for c in main:
        on = f" on {c.task}" if len(main) > 1 else ""
        interval = f" (95% {points_interval(c.found.interval)})" if c.found.interval else ""
        sentences.append(
            f"Unguided accuracy{on} went from {percent(accuracy[c.task, 'sft'])} after SFT "
            f"to {percent(accuracy[c.task, 'rl'])} {end}: {points(c.found.value)} points"
            f"{interval}, {'within noise' if c.within_noise else 'more than noise'}."
        )
    if any(c.before == "grpo" for c in comparisons) and run.round_ends:
        sentences.append(_control(len(run.round_ends), len(run.grpo_round_ends)))
    return " ".join([*sentences, f"{ONE_RUN.capitalize()}.", *_gains_in_words(gains)])


def _gains_in_words(gains: Sequence[Gain]) -> list[str]:
    """A sentence on what each stage brought; none where there was but one stage."""
    parts = [f"{gain.stage} {points(gain.change)}" for gain in gains if gain.change is not None]
    if len(parts) < 2:
        return []
    start = (
        f"{percent(gains[0].unguided)} {'' if gains[0].stage == 'before RL' else 'after '}{gains[0].stage}"
    )
    return [f"On the validation questions it was {start}; points since: {', '.join(parts)}."]


def _control(breaks: int, control_breaks: int) -> str:
    """What `RL - GRPO` compares; each break between rounds holds SFT."""
    if control_breaks == breaks:
        return "The control, plain GRPO, had as many rounds, and the same SFT on its own right chains."
    return (
        f"The control, plain GRPO, had {control_breaks + 1} of {breaks + 1} rounds: RL - GRPO counts the SFT between rounds "
        "for RL."
    )


# ------------------------------ tables that page and terminal share ------------------------------

GAINS = f"What each stage brought on the validation questions ({ONE_RUN}, no intervals)"
TextTable = tuple[str, tuple[str, ...], tuple[str, ...], list[tuple[str, ...]]]


def trace_tables(found: TraceSummary) -> list[TextTable]:
    """The route traces as tables: title, left-aligned columns, right-aligned ones, rows."""
    exposure: list[tuple[str, ...]] = [
        (
            str(r.first) if r.first == r.last else f"{r.first} to {r.last}",
            str(r.rollouts),
            f"{r.exposure:.3f}",
            percent(r.guided_share),
            f"{r.routes:.2f}",
            f"{r.steps:.2f}",
        )
        for r in found.exposure
    ]
    outcomes: list[tuple[str, ...]] = [
        (str(r.routes), str(r.rollouts), percent(r.outcome), f"{r.score:.3f}") for r in found.outcomes
    ]
    return [
        (
            "Exposure by step, from the route traces",
            ("Steps",),
            ("Rollouts", "Exposure", "Guided", "Routes", "Route steps"),
            exposure,
        ),
        (
            "Outcome by routes shown: no effect of the routes, as few are shown late, when the model is better",
            ("Routes shown",),
            ("Rollouts", "Right", "Score"),
            outcomes,
        ),
    ]


def gains_table(gains: Sequence[Gain]) -> TextTable:
    """What each stage brought."""
    rows: list[tuple[str, ...]] = [
        (
            gain.stage,
            percent(gain.unguided),
            "-" if gain.change is None else points(gain.change),
            "-" if gain.guided is None else percent(gain.guided),
        )
        for gain in gains
    ]
    return GAINS, ("Stage",), ("Unguided", "Points", "Guided"), rows


# ------------------------------ numbers as text ------------------------------


def title_of(checkpoint: str) -> str:
    """The name shown for a checkpoint."""
    return TITLES.get(checkpoint, checkpoint)


def percent(share: float) -> str:
    """A share as 61.2%."""
    return f"{100 * share:.1f}%"


def percent_interval(interval: Interval | None) -> str:
    """An interval of shares as "58.1 to 64.2"; a dash when it is not known."""
    return "-" if interval is None else f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f}"


def points_interval(interval: Interval | None) -> str:
    """An interval of differences as "+4.1 to +9.2"; a dash when it is not known."""
    return "-" if interval is None else f"{points(interval.low)} to {points(interval.high)}"


def duration(seconds: float) -> str:
    """Seconds as "8.2 s", "2 min 05 s" or "1 h 03 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
