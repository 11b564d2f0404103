"""What the report says in words and numbers, for the terminal and the page alike: pure functions over a `Run`.

Serves the issue's question: is unguided accuracy after RL above that after SFT, and above plain GRPO's?
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from realm_ext.report.reading import REGIMES, Evaluation, Run
from realm_ext.report.stats import (
    Interval,
    PairedDifference,
    normal_interval,
    paired_difference,
    wilson_interval,
)
from realm_ext.report.traces import TraceSummary

TITLES = {"base": "Base", "sft": "SFT", "rl": "RL", "grpo": "GRPO"}
COMPARED = (("rl", "sft"), ("rl", "grpo"))  # after, before
METHOD = (
    "Intervals are 95%: Wilson's score interval for an accuracy, the normal interval of the mean paired difference "
    "for two checkpoints on the same questions. p is McNemar's exact test, two-sided. A difference counts as more "
    "than noise when its interval is clear of 0 and p is below 0.05."
)


@dataclass(frozen=True)
class Comparison:
    """One checkpoint against another, on one task in one regime, over the questions both answered."""

    task: str
    regime: str
    after: str
    before: str
    paired: PairedDifference

    @property
    def reading(self) -> str:
        """ "better", "worse" or "within noise"."""
        if self.paired.within_noise:
            return "within noise"
        return "better" if self.paired.difference > 0 else "worse"


@dataclass(frozen=True)
class Summary:
    """The comparisons that the samples allow, and one line about each that they do not."""

    comparisons: tuple[Comparison, ...]
    headline: str
    notes: tuple[str, ...]


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
                    comparisons.append(Comparison(task, regime, after, before, compared))
    return Summary(tuple(comparisons), _headline(run, comparisons), tuple(notes))


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


def _compare(after: Evaluation, before: Evaluation, notes: list[str]) -> PairedDifference | None:
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
    return paired_difference([after.scores[k] for k in shared], [before.scores[k] for k in shared])


def _headline(run: Run, comparisons: list[Comparison]) -> str:
    main = [c for c in comparisons if (c.regime, c.after, c.before) == ("unguided", "rl", "sft")]
    if not main:
        return "Unguided accuracy after RL was not compared with that after SFT: see what is missing."
    accuracy: Mapping[tuple[str, str], float] = {
        (e.task, e.checkpoint): e.accuracy for e in run.evaluations if e.regime == "unguided"
    }
    sentences = []
    for c in main:
        on = f" on {c.task}" if len(main) > 1 else ""
        sentences.append(
            f"Unguided accuracy{on} went from {percent(accuracy[c.task, 'sft'])} after SFT "
            f"to {percent(accuracy[c.task, 'rl'])} after RL{_rounds(run.round_ends)}: {points(c.paired.difference)} points"
            f"{_in_words(c.paired)}."
        )
    if any(c.before == "grpo" for c in comparisons) and run.round_ends:
        sentences.append(_control(len(run.round_ends), len(run.grpo_round_ends)))
    return " ".join(sentences)


def _rounds(ends: Sequence[int]) -> str:
    return f" in {len(ends) + 1} rounds, with SFT on its own right chains between them" if ends else ""


def _control(breaks: int, control_breaks: int) -> str:
    """What `RL - GRPO` compares; each break between rounds holds SFT."""
    if control_breaks == breaks:
        return "The control, plain GRPO, had as many rounds, and the same SFT on its own right chains."
    return (
        f"The control, plain GRPO, had {control_breaks + 1} of {breaks + 1} rounds: RL - GRPO counts the SFT between rounds "
        "for RL."
    )


def _in_words(paired: PairedDifference) -> str:
    interval = f" (95% {points_interval(paired.interval)})" if paired.interval else ""
    return f"{interval}, {'within noise' if paired.within_noise else 'more than noise'}"


# ------------------------------ tables that page and terminal share ------------------------------

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
        ("Outcome by routes shown", ("Routes shown",), ("Rollouts", "Right", "Score"), outcomes),
    ]


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


def p_text(p_value: float) -> str:
    """A p value with two figures, never as 0."""
    return "< 0.0001" if p_value < 0.0001 else f"{p_value:.2g}"


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
