"""One run of `realm distill`: fill the store, choose the contrast rows, write the folder.

Serves design.md, section Guided CoT distillation. The first part asks the teacher; everything after it works from the
store alone, in the order of the questions, so that interruptions and the order of arrival leave no trace in the output.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.distill import contrast
from data_prep.distill.card import About, make_card, make_provenance
from data_prep.distill.chains import Citations, Drop, Reading, read_chain
from data_prep.distill.contrast import Contrast, Judged
from data_prep.distill.ending import LEAST_USABLE, Yield
from data_prep.distill.experts import Expert
from data_prep.distill.flow import Outcome, Work
from data_prep.distill.options import PROGRAM, TEACHER, Options
from data_prep.distill.program_teacher import ProgramTeacher
from data_prep.distill.progress import Progress
from data_prep.distill.prompts import Prompts
from data_prep.distill.questions import Question, Read
from data_prep.distill.requests import CHAIN, Failure, Parameters, Reply, Request
from data_prep.distill.selection import Known, Selection, ToJudge
from data_prep.distill.sender import Ending, Sender
from data_prep.distill.teachers import Malformed, Teacher
from data_prep.distill.turns import each
from data_prep.distill.writing import Folder, Layout, Tally
from data_prep.filters import Candidate
from data_prep.outputs import WrittenFile, finish_folder, hash_text, write_rejects
from reward_fns.routes import Route


@dataclass(frozen=True)
class Written:
    """What a folder holds, and how many questions are not finished."""

    files: tuple[WrittenFile, ...]
    tally: Tally
    left: int


class Distillation:
    """One set of questions, one teacher: `fill` the store, then `write` the folder.

    Args:
        expert: of the domain; None where it has none.

    Raises:
        ValueError: contrast rows by program are asked for, and the domain has no expert.
    """

    def __init__(
        self,
        read: Read,
        options: Options,
        teacher: Teacher,
        parameters: Parameters,
        expert: Expert | None = None,
    ) -> None:
        if options.contrast_from == PROGRAM and expert is None:
            raise ValueError(f"the domain {options.domain.name} has no expert to write contrast rows")
        self._options = options
        self._teacher = teacher
        self._parameters = parameters
        self._expert = expert
        self.prompts = Prompts(options.domain, options.seed if options.send_seeds else None)
        how = Reading(options.domain, Citations(options.domain.rules), options.max_chars, teacher.name)
        self.work = Work(options.plan, self.prompts, how, expert)
        self._tally = Tally()
        for reject in read.rejects:
            self._tally.drop("question", reject.row, Drop(reject.reason, reject.text), all_kept=True)
        self.questions = tuple(self._passing(read.questions))

    def _passing(self, questions: Sequence[Question]) -> Iterator[Question]:
        for question in questions:
            candidate = Candidate(question.uid, question.text, "", "question")
            refusals = (r for f in self._options.question_filters if (r := f.refuse(candidate)) is not None)
            refusal = next(refusals, None)
            if refusal is None:
                yield question
            else:
                drop = Drop(refusal.reason, refusal.evidence)
                self._tally.drop("question", question.index, drop, all_kept=True)

    def selection(self, known: Known) -> Selection:
        """The questions, seen through what is known of them."""
        return Selection(self.questions, self._options, self.work, self._expert, known)

    async def fill(
        self, sender: Sender, concurrency: int, progress: Progress, min_usable: float = LEAST_USABLE
    ) -> None:
        """Ask for everything that is not in the store; returns when all is there or the run has to end.

        Args:
            min_usable: share of the first replies, from the store or the teacher, that must be of use.
        """
        chains, contrasts = Yield("chains", min_usable), Yield("judgements for contrast rows", min_usable)

        async def chain(question: Question) -> object:
            async def ask(request: Request) -> Reply | Failure:
                answer = await sender.ask(request)
                if request.kind == CHAIN and chains.is_open:
                    end_if(chains.count(*self._why_useless(answer, question)))
                return answer

            return await self.work.work_on(question, ask)

        def end_if(complaint: str | None) -> None:
            if complaint is not None:
                sender.end(Ending.UNUSABLE, complaint)

        await each("chains", self.questions, chain, concurrency, progress)
        if self._options.contrast_from != TEACHER or sender.stop is not None:
            return
        selection = self.selection(sender.known)

        async def judge(item: ToJudge) -> object:
            judged = await selection.judge(item, sender.ask)
            drop = judged.drop
            end_if(contrasts.count(drop.reason, drop.evidence) if drop else contrasts.count(None))
            return judged

        async for wave in selection.waves(await selection.candidates()):
            await each("contrast rows", wave, judge, concurrency, progress)
            if sender.stop is not None:
                return

    def _why_useless(self, answer: Reply | Failure, question: Question) -> tuple[str | None, str]:
        """Why no SFT row can be made of a chain, with an example; a wrong one is of use where rationales follow it."""
        read = read_chain(answer, question, self.work.how)
        if isinstance(read, Drop):
            return read.reason, read.evidence
        if read.route.label or self._options.plan.rationalise:
            return None, ""
        return "another answer than the gold one", f"{read.route.answer} for {question.gold}"

    async def write(self, out: Path, known: Known, about: About, progress: Progress) -> Written:
        """Write the folder from what is known.

        Raises:
            OSError: it cannot be written.
        """
        options, tally = self._options, self._tally
        selection = self.selection(known)
        chosen = await selection.choose()
        short = chosen.quota - chosen.found
        writer = hash_text(self._teacher.model, self.prompts.version, repr(self._parameters))[:16]
        layout = Layout(
            options.domain,
            writer,
            options.seed,
            options.keep_rules,
            options.rows_per_file,
            options.filters,
            options.similarity,
        )
        folder = Folder(out, layout, tally)
        progress.begin("writing", len(self.questions))
        left = 0
        try:
            for question in self.questions:
                outcome = await selection.outcome(question)
                if outcome is None:
                    left += 1
                else:
                    row = self._contrast_of(question, chosen.judged.pop(question.uid, None))
                    written = self._routes_of(question)
                    shown = self._routes_to_show(question, outcome, written)
                    folder.add(question, outcome, row, written, shown)
                progress.advance()
            files = folder.close()
        except BaseException:
            folder.abandon()
            raise
        if left:
            tally.dropped["question: not finished"] += left
        if tally.examples:
            write_rejects(out, [vars(example) for example in tally.examples])
        provenance = make_provenance(
            about, options, self._teacher, self._parameters, self.prompts.version, tally, files, short
        )
        finish_folder(out, make_card(about, options, self._teacher, left, len(self.questions)), provenance)
        return Written(tuple(files), tally, left)

    def _contrast_of(self, question: Question, judged: Judged | None) -> Contrast | None:
        if judged is None:
            return None
        if judged.reply is not None:
            self._tally.bill([judged.reply])
        if judged.drop is not None:
            self._tally.drop("reply", question.index, judged.drop)
        return judged.contrast

    def _routes_of(self, question: Question) -> Sequence[Route]:
        """A set of routes where the expert is the teacher: its own chains are always right."""
        if self._expert is None or not isinstance(self._teacher, ProgramTeacher):
            return ()
        rng = contrast.route_rng(self._options.seed, question.uid)
        try:
            return self._expert.route_set(question.text, self._options.routes, rng)
        except ValueError:
            return ()  # counted where its chain was asked for

    def _routes_to_show(
        self, question: Question, outcome: Outcome, written: Sequence[Route]
    ) -> Sequence[Route]:
        """Of the RL row: those that came with the question, else the expert's set, else some of the teacher's."""
        if composed := question.routes or written:
            return composed
        return contrast.shown_routes(question, outcome, self._options.routes, self._options.seed)


def known_to(teacher: ProgramTeacher) -> Known:
    """What a program knows of a request: everything, at once."""

    def known(request: Request) -> Reply | Failure:
        try:
            return teacher.answer(request)
        except Malformed as error:
            return Failure(error.reason, error.evidence)

    return known
