"""Law-form questions: invented contract clauses with an order of precedence, judged by the domain `choice`.

Serves design.md, section Domains. Clauses, dates and contracts are invented and stand in the question: this measures
applying clauses of this form, no knowledge of any law. `make_problem(seed, index)` depends on nothing else.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from data_prep.eval_sets.chains import Chain, Problem, Step

LETTERS = "ABCD"
OUTCOMES = ("no remedy", "a price cut of 5%", "a price cut of 10%", "an end of the contract")
GOODS = ("flower bulbs", "printed forms", "bicycle frames", "roof tiles", "school lunches", "wool yarn")
LISTED = ("a flood", "a port strike", "a power cut")
UNLISTED = ("a lost key", "a late supplier", "a wrong label")
ORDER = ("consumer", "event", "dated", "grace", "amendment", "general")
"""The clauses in order of precedence; the first that applies decides."""
LONG_TAIL = frozenset({"consumer", "dated"})


@dataclass(frozen=True)
class Case:
    """The numbers of a contract and the facts of one delivery."""

    goods: str
    grace: int
    notice_limit: int
    amended: int
    consumer: bool
    delay: int
    dated: bool
    event: str
    notice: int
    ordered: int


def make_problem(seed: int, index: int, attempt: int = 0) -> Problem:
    """The problem at (seed, index); `attempt` counts redraws."""
    rng = random.Random(f"eval_sets/law/{seed}/{index}/{attempt}")
    case = _draw(rng, rng.choice(ORDER))
    outcomes = list(OUTCOMES)
    rng.shuffle(outcomes)
    letters = dict(zip(outcomes, LETTERS, strict=True))

    def solve(mistake: str | None) -> Chain:
        steps = [Step(f"asked: what a delay of {case.delay} days gives the buyer", spare=True)]
        for clause, finding in _walk(case, mistake):
            steps.append(finding)
            if not finding.spare:
                outcome = _outcome(clause, "outcome" == mistake)
        steps.append(Step(f"outcome: {outcome}", spare=mistake != "outcome"))
        return Chain((*steps, Step(f"so ({letters[outcome]})")), letters[outcome])

    decided = [clause for clause, _ in _walk(case, None)][-1]
    return Problem(_text(case, letters), decided, decided in LONG_TAIL, solve, (*ORDER[:-1], "outcome"))


def _draw(rng: random.Random, meant: str) -> Case:
    """A case in which the clause `meant` tends to decide."""
    grace = rng.choice((3, 5, 7))
    delay = rng.randint(1, grace) if meant == "grace" else rng.randint(grace + 1, 29)
    limit, amended = rng.choice((2, 4, 6)), rng.randint(4, 9)
    listed = meant == "event" or rng.random() < 0.4
    on_time = meant == "event" or not listed and rng.random() < 0.5
    return Case(
        goods=rng.choice(GOODS),
        grace=grace,
        notice_limit=limit,
        amended=amended,
        consumer=meant == "consumer" or rng.random() < 0.4,
        delay=rng.randint(31, 60) if meant == "consumer" else delay,
        dated=meant == "dated" or meant in ("consumer", "event") and rng.random() < 0.5,
        event=rng.choice(LISTED if listed else UNLISTED),
        notice=rng.randint(1, limit) if on_time else rng.randint(limit + 1, limit + 5),
        ordered=rng.randint(amended, 12) if meant == "amendment" else rng.randint(1, amended - 1),
    )


def _walk(case: Case, mistake: str | None) -> Iterator[tuple[str, Step]]:
    """The clauses looked at, in order, up to the one that decides; that one is never spare."""
    checks = {
        "consumer": (
            f"a {'consumer' if case.consumer else 'company'}, {case.delay} days",
            case.consumer and case.delay > 30,
        ),
        "event": (
            f"{case.event}, notice after {case.notice} days of {case.notice_limit}",
            case.event in LISTED and case.notice <= case.notice_limit,
        ),
        "dated": ("the goods carry a date" if case.dated else "the goods carry no date", case.dated),
        "grace": (f"{case.delay} days of {case.grace}", case.delay <= case.grace),
        "amendment": (
            f"ordered in month {case.ordered}, in force from month {case.amended}",
            case.ordered >= case.amended,
        ),
        "general": (f"{case.delay} days of {case.grace}", True),
    }
    for clause in ORDER:
        facts, holds = checks[clause]
        holds = holds != (clause == mistake)
        verdict = "applies" if holds else "does not apply"
        yield clause, Step(f"{clause} clause: {facts}: {verdict}", spare=not holds)
        if holds:
            return


def _outcome(clause: str, mistaken: bool) -> str:
    index = {"consumer": 3, "event": 0, "dated": 3, "grace": 0, "amendment": 2, "general": 1}[clause]
    return OUTCOMES[(index + 1) % 4 if mistaken else index]


def _text(case: Case, letters: dict[str, str]) -> str:
    buyer = "a consumer" if case.consumer else "a company"
    date = "with a use-by date" if case.dated else "without a use-by date"
    return "\n".join(
        [
            "An invented contract. Its clauses on late delivery, the first that applies decides:",
            "- consumer: a consumer may end the contract after a delay of more than 30 days.",
            (
                f"- event: {', '.join(LISTED)} gives no remedy, if the seller gave notice within "
                f"{case.notice_limit} days."
            ),
            "- dated: for goods with a use-by date any delay lets the buyer end the contract.",
            f"- grace: a delay of up to {case.grace} days gives no remedy.",
            f"- amendment: for orders from month {case.amended} on the price cut is 10%.",
            f"- general: a delay of more than {case.grace} days gives a price cut of 5%.",
            (
                f"Case: {buyer} ordered {case.goods} {date} in month {case.ordered}; they came {case.delay} days late "
                f"because of {case.event}, of which the seller gave notice after {case.notice} days."
            ),
            "What does the buyer get?",
            *(f"({letter}) {outcome}" for outcome, letter in letters.items()),
        ]
    )
