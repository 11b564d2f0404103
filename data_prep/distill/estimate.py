"""The bill beforehand: what `realm distill --dry-run` tells.

Serves design.md, section Guided CoT distillation ("a running bill"). How many attempts a question needs is not known
before it is asked, so there are two numbers: at least (the first reply is taken) and at most (every attempt is used).
What the store has is not counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from data_prep.distill.flow import CHECKS, Plan
from data_prep.distill.limits import Prices
from data_prep.distill.options import TEACHER, Options
from data_prep.distill.prompts import Prompts
from data_prep.distill.questions import Question
from data_prep.distill.requests import Reply, Request
from data_prep.distill.selection import Known, Selection

BYTES_PER_TOKEN = 3.5
"""Of English text, where no tokenizer is at hand: few make more tokens of it than that."""


@dataclass(frozen=True)
class Counter:
    """Counts the tokens of a prompt; `how` says by what."""

    count: Callable[[Request], int]
    how: str


@dataclass(frozen=True)
class Bill:
    """Requests, tokens and their cost."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal


@dataclass(frozen=True)
class Estimate:
    """`finished` of all questions need nothing more; `notes` say what the numbers rest on."""

    finished: int
    least: Bill
    most: Bill
    notes: tuple[str, ...]


def by_bytes() -> Counter:
    """For a teacher whose tokenizer is not here."""
    return Counter(
        lambda request: int(request.prompt_bytes / BYTES_PER_TOKEN) + 8,
        f"one token for {BYTES_PER_TOKEN} bytes",
    )


def by_tokenizer(folder: str | Path) -> Counter:
    """With a local tokenizer and its chat template.

    Raises:
        ValueError: there is none in that folder.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} holds no tokenizer: {str(error).splitlines()[0]}") from error

    def count(request: Request) -> int:
        ids = tokenizer.apply_chat_template(
            request.chat, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return len(ids)

    return Counter(count, f"the tokenizer in {Path(folder).name}")


async def estimate(
    questions: tuple[Question, ...],
    options: Options,
    prompts: Prompts,
    selection: Selection,
    known: Known,
    counter: Counter,
    max_tokens: int,
    prices: Prices,
) -> Estimate:
    """What a run would send now, at least and at most."""
    completions = [
        answer.completion_tokens
        for question in questions
        if isinstance(answer := known(prompts.chain(question.uid, question.text, 0)), Reply)
        and answer.completion_tokens
    ]
    usual = sum(completions) // len(completions) if completions else max_tokens // 2
    finished = 0
    least, most = _Sum(), _Sum()
    chain_prompts = 0
    for question in questions:
        first = prompts.chain(question.uid, question.text, 0)
        prompt = counter.count(first)
        chain_prompts += prompt
        if await selection.outcome(question) is not None:
            finished += 1
            continue
        asked = sum(
            known(prompts.chain(question.uid, question.text, attempt)) is not None
            for attempt in range(options.plan.attempts)
        )
        left, must = options.plan.attempts - asked, max(options.plan.samples - asked, 1)
        least.add(must, prompt, usual)
        most.add(left, prompt, max_tokens)
        if options.plan.rationalise:
            most.add(1, prompt + 64, max_tokens)
            most.add(CHECKS, prompt + max_tokens, max_tokens)
    if options.contrast_from == TEACHER:
        mean = chain_prompts // len(questions)
        few, many = (
            await _left_to_judge(selection, prompts, known)
            if finished == len(questions)
            else (int(options.contrast_share * len(questions) + 0.5), len(questions))
        )
        least.add(few, mean + options.routes * usual, usual)
        most.add(many, mean + options.routes * max_tokens, max_tokens)
    notes = (
        f"prompts counted by {counter.how}",
        f"replies of {usual} tokens at least, "
        + (
            f"the mean of {len(completions)} in the store"
            if completions
            else "half of --max-tokens: none is in the store"
        )
        + f"; {max_tokens} at most",
        _plan_note(options.plan),
    )
    return Estimate(finished, least.bill(prices), most.bill(prices), notes)


async def _left_to_judge(selection: Selection, prompts: Prompts, known: Known) -> tuple[int, int]:
    """Contrast rows still to ask for, where all chains are there: those of the next wave, and of all waves."""
    following = every = 0
    async for wave in selection.waves(await selection.candidates()):
        requests = (prompts.contrast(question.uid, question.text, routes) for question, routes in wave)
        missing = sum(known(request) is None for request in requests)
        following = following or missing
        every += missing
    return following, every


def _plan_note(plan: Plan) -> str:
    what = f"at least {plan.samples} and at most {plan.attempts} chains a question"
    return what + (f", then a rationale and {CHECKS} checks" if plan.rationalise else "")


class _Sum:
    def __init__(self) -> None:
        self.requests = self.prompt = self.completion = 0

    def add(self, requests: int, prompt: int, completion: int) -> None:
        self.requests += requests
        self.prompt += requests * prompt
        self.completion += requests * completion

    def bill(self, prices: Prices) -> Bill:
        return Bill(self.requests, self.prompt, self.completion, prices.cost(self.prompt, self.completion))
