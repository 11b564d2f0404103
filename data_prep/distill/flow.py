"""All that is asked about one question, and what comes of it.

Serves design.md, section Guided CoT distillation, items 2 and 4. `work_on` knows neither network nor store: it asks for
one reply after the other and decides from them alone what to ask next. Run with a sender it fills the store; run with
the store alone it gives the same outcome again, which is how rows are written after any number of interruptions.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from data_prep.distill.chains import Chain, Drop, Reading, read_chain
from data_prep.distill.experts import Expert
from data_prep.distill.prompts import Prompts
from data_prep.distill.questions import Question
from data_prep.distill.requests import Failure, Reply, Request
from reward_fns.routes import Route

CHECKS, CHECKS_NEEDED = 3, 2
"""A rationale is kept when so many of so many samples reach the answer from its steps without the last."""

Ask = Callable[[Request], Awaitable[Reply | Failure]]

_LEAK = re.compile(
    r"\b(?:(?:given|stated|provided|supplied|known|expected|required|target) (?:right |correct |final )?(?:answer|label|result)"
    r"|answer (?:(?:is|was) (?:given|stated|provided|known)|given|provided|above)"
    r"|(?:we|i) (?:are|were|am|was) (?:told|given)|as (?:given|told|instructed)|hint)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Plan:
    """How much is asked.

    Attributes:
        samples: chains asked of each question, whatever comes back.
        attempts: chains asked at most, until one is taken.
        rationalise: after that many without a right answer, ask for a rationale of the gold answer.
        need_citation: a chain that cites no rule is not taken, in a domain with rules.
    """

    samples: int = 1
    attempts: int = 4
    rationalise: bool = False
    need_citation: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= self.attempts:
            raise ValueError(
                f"samples are 1 to attempts; got {self.samples} samples and {self.attempts} attempts"
            )


@dataclass(frozen=True)
class Outcome:
    """What came of a question.

    Attributes:
        taken: the chain for SFT, by short names; None where none was taken.
        rationalised: whether it was written with the answer in sight.
        routes: every readable chain, right or wrong, each text once, in the order of asking.
        drops: why replies were not used, or right chains not taken.
        replies: all replies, for the bill.
    """

    taken: Route | None
    rationalised: bool
    routes: tuple[Route, ...]
    drops: tuple[Drop, ...]
    replies: tuple[Reply, ...]


class Work:
    """The course of one question; the same for every question of a run."""

    def __init__(self, plan: Plan, prompts: Prompts, how: Reading, expert: Expert | None) -> None:
        self.plan = plan
        self.prompts = prompts
        self.how = how
        self.expert = expert

    async def work_on(self, question: Question, ask: Ask) -> Outcome:
        """Ask until a chain is taken or the attempts are used up."""
        log = _Log()
        taken: Route | None = None
        found_right = False
        for attempt in range(self.plan.attempts):
            if attempt >= self.plan.samples and taken is not None:
                break
            read = log.read(
                await ask(self.prompts.chain(question.uid, question.text, attempt)), question, self.how
            )
            if read is None:
                continue
            found_right |= read.route.label
            if read.route.label and (refusal := self._refusal(question, read)):
                log.drop(Drop(f"right chain not taken: {refusal}", read.raw_steps[-1][:200]))
            elif read.route.label and taken is None:
                taken = read.route
        rationalised = False
        if self.plan.rationalise and not found_right:
            taken = await self._rationalise(question, ask, log)
            rationalised = taken is not None
        return Outcome(taken, rationalised, tuple(log.routes), tuple(log.drops), tuple(log.replies))

    def _refusal(self, question: Question, chain: Chain) -> str | None:
        if self.plan.need_citation and self.how.domain.rules and not chain.cited:
            return "no rule cited"
        by_id = replace(chain.route, steps=chain.raw_steps)
        return self.expert.refusal(question.text, question.gold, by_id) if self.expert else None

    async def _rationalise(self, question: Question, ask: Ask, log: "_Log") -> Route | None:
        how = replace(self.how, source=f"{self.how.source}/rationalised")
        request = self.prompts.rationale(question.uid, question.text, question.gold)
        read = log.read(await ask(request), question, how, is_route=False)
        if read is None:
            return None
        drop = await self._test_rationale(question, read, ask, log)
        if drop is not None:
            log.drop(drop)
            return None
        log.add(read.route)
        return read.route

    async def _test_rationale(self, question: Question, read: Chain, ask: Ask, log: "_Log") -> Drop | None:
        text = "\n".join(read.raw_steps)
        if not read.route.label:
            return Drop("rationale: reaches another answer than the one given", read.route.answer)
        if (refusal := self._refusal(question, read)) is not None:
            return Drop(f"rationale: {refusal}", read.raw_steps[-1][:200])
        if leak := _LEAK.search(text):
            return Drop("rationale: speaks of the given answer", leak.group())
        if len(read.raw_steps) < 2:
            return Drop("rationale: one step only", text[:200])
        right = 0
        for attempt in range(CHECKS):
            if right == CHECKS_NEEDED or CHECKS - attempt < CHECKS_NEEDED - right:
                break  # decided
            request = self.prompts.check(question.uid, question.text, read.raw_steps[:-1], attempt)
            checked = log.read(await ask(request), question, self.how, is_route=False)
            right += checked is not None and checked.route.label
        if right < CHECKS_NEEDED:
            return Drop(
                f"rationale: its steps lead to the answer in less than {CHECKS_NEEDED} of {CHECKS}",
                text[:200],
            )
        return None


class _Log:
    """Collects while a question is worked on."""

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self.drops: list[Drop] = []
        self.replies: list[Reply] = []

    def read(
        self, answer: Reply | Failure, question: Question, how: Reading, is_route: bool = True
    ) -> Chain | None:
        if isinstance(answer, Reply):
            self.replies.append(answer)
        read = read_chain(answer, question, how)
        if isinstance(read, Drop):
            self.drop(read)
            return None
        if is_route:
            self.add(read.route)
        return read

    def add(self, route: Route) -> None:
        if all(route.steps != known.steps for known in self.routes):
            self.routes.append(route)

    def drop(self, drop: Drop) -> None:
        self.drops.append(drop)
