"""Which questions become contrast rows: a drawn order, a quota, and waves of asking until the quota is filled.

Serves design.md, section Guided CoT distillation, item 5. The choice depends on the questions, the seed and the store's
replies alone: a wave is as large as rows are missing, and the next one begins when all of it is answered.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from data_prep.distill import contrast
from data_prep.distill.contrast import Judged
from data_prep.distill.experts import Expert
from data_prep.distill.flow import Ask, Outcome, Work
from data_prep.distill.options import NONE, PROGRAM, TEACHER, Options
from data_prep.distill.questions import Question
from data_prep.distill.requests import Failure, Reply, Request
from reward_fns.routes import Route

Known = Callable[[Request], Reply | Failure | None]
ToJudge = tuple[Question, tuple[Route, ...]]


class Missing(Exception):
    """The store does not have this reply."""


def from_store(known: Known) -> Ask:
    """Asks what is known alone; raises `Missing` for the rest."""

    async def ask(request: Request) -> Reply | Failure:
        answer = known(request)
        if answer is None:
            raise Missing
        return answer

    return ask


@dataclass(frozen=True)
class Candidates:
    """Questions with a chain that was not written with the answer in sight, in a drawn order; `quota` rows are wanted."""

    questions: tuple[Question, ...]
    quota: int


@dataclass(frozen=True)
class Chosen:
    """What came of each question that was chosen, by uid, and how many rows were wanted."""

    judged: dict[str, Judged]
    quota: int

    @property
    def found(self) -> int:
        """Contrast rows."""
        return sum(item.contrast is not None for item in self.judged.values())


class Selection:
    """Sees the questions of a run through what is known of them."""

    def __init__(
        self, questions: Sequence[Question], options: Options, work: Work, expert: Expert | None, known: Known
    ) -> None:
        self._questions = questions
        self._options = options
        self._work = work
        self._expert = expert
        self._stored = from_store(known)

    async def outcome(self, question: Question) -> Outcome | None:
        """What came of a question; None where it is not finished."""
        try:
            return await self._work.work_on(question, self._stored)
        except Missing:
            return None

    async def judge(self, item: ToJudge, ask: Ask) -> Judged:
        """Ask the teacher to judge routes."""
        return await contrast.by_teacher(*item, ask, self._work.prompts, self._work.how)

    async def waves(
        self, candidates: Candidates, chosen: dict[str, Judged] | None = None
    ) -> AsyncIterator[list[ToJudge]]:
        """Questions for the teacher to judge, wave after wave; what was asked of one is known before the next.

        `chosen` collects what came of each; what is not known is left out.
        """
        questions, quota = candidates.questions, candidates.quota
        most_only_right = int(quota * contrast.ALL_RIGHT_SHARE)
        found = only_right = at = 0
        while found < quota and at < len(questions):
            wave: list[ToJudge] = []
            while len(wave) < quota - found and at < len(questions):
                question, at = questions[at], at + 1
                routes = await self._routes_of(question)
                is_only_right = all(route.label for route in routes)
                if routes and not (is_only_right and only_right >= most_only_right):
                    only_right += is_only_right
                    wave.append((question, routes))
            yield wave
            for item in wave:
                try:
                    judged = await self.judge(item, self._stored)
                except Missing:
                    continue
                found += judged.contrast is not None
                if chosen is not None:
                    chosen[item[0].uid] = judged

    async def choose(self) -> Chosen:
        """Contrast rows, and why others came to nothing."""
        if self._options.contrast_from == NONE:
            return Chosen({}, 0)
        chosen: dict[str, Judged] = {}
        candidates = await self.candidates()
        if self._options.contrast_from == TEACHER:
            async for _ in self.waves(candidates, chosen):
                pass
        elif self._options.contrast_from == PROGRAM and self._expert is not None:
            found = 0
            for question in candidates.questions:
                outcome = await self.outcome(question) if found < candidates.quota else None
                if outcome is not None:
                    k, seed = self._options.routes, self._options.seed
                    judged = contrast.by_program(question, outcome, self._expert, k, seed)
                    found += judged.contrast is not None
                    chosen[question.uid] = judged
        return Chosen(chosen, candidates.quota)

    async def _routes_of(self, question: Question) -> tuple[Route, ...]:
        outcome = await self.outcome(question)
        if outcome is None:
            return ()
        return contrast.shown_routes(question, outcome, self._options.routes, self._options.seed)

    async def candidates(self) -> Candidates:
        """What is to be chosen from."""
        taken, found = 0, []
        for question in self._questions:
            outcome = await self.outcome(question)
            if outcome is not None and outcome.taken is not None:
                taken += 1
                if not outcome.rationalised:
                    found.append(question)
        found.sort(key=lambda question: contrast.order_of(self._options.seed, question.uid))
        return Candidates(tuple(found), int(self._options.contrast_share * taken + 0.5))
