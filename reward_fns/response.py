"""The response grammar: one parser and its writer, shared by training, data prep and evaluation.

Serves the section "MRPV" of the design:

    <think> free reasoning </think>
    <verdicts>
    1: right
    2: wrong at 3
    </verdicts>
    <answer> ... </answer>

`<think>` may be absent, or opened by the prompt; `<verdicts>` stands only in guided responses. Step and route
numbers are 1-based in text and 0-based in code. What stands inside the thinking never counts: of a response to a
prompt that opened it, that is everything up to `</think>`, which only the caller can know (`opens_thinking`). The parser takes the last well-formed block, notes everything else as a
problem, and leaves a verdict or an answer out rather than guess. It is linear in the text's length.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_CHARS = 400_000
"""Longer responses are not read at all (problem `too_long`): four characters for each of 100,000 tokens."""

PROBLEMS = (
    "too_long",
    "no_answer",
    "unclosed_answer",
    "several_answers",
    "no_verdicts",
    "malformed_verdicts",
    "duplicate_verdict",
    "missing_verdict",
    "several_verdicts",
    "unexpected_verdicts",
    "unclosed_think",
    "several_think",
    "unbalanced_tags",
    "wrong_order",
    "extra_text",
)
"""All problem codes, in order of precedence."""

_BLOCK_TAG = re.compile(r"</?(?:verdicts|answer)>")
_ANY_TAG = re.compile(r"</?(?:think|verdicts|answer)>")
_VERDICT_LINE = re.compile(r"([0-9]{1,4}) ?: ?(?:(right)|wrong(?: at ([0-9]{1,6}))?)")
_MAX_VERDICT_LINE = 80
_OPENED = re.compile(r"<think>\s*\Z")


@dataclass(frozen=True)
class Verdict:
    """The judgement of one route: right, or wrong at `step` (0-based; None if right or unstated)."""

    right: bool
    step: int | None = None

    def __post_init__(self) -> None:
        if self.step is not None and (self.right or self.step < 0):
            raise ValueError(
                f"verdict right={self.right} step={self.step}: a step belongs to a wrong verdict and is >= 0"
            )


@dataclass(frozen=True)
class Response:
    """A parsed response.

    `verdicts` has one entry for each shown route (None: missing or unreadable). `answers` holds the
    different texts of all well-formed `<answer>` blocks in order of their last appearance, `answer` the last
    of them. `problems` are codes of `PROBLEMS`; the grammar held when there are none.
    """

    think: str | None
    verdicts: tuple[Verdict | None, ...]
    has_verdicts: bool
    answer: str | None
    problems: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Block:
    """A tagged block: text[start:end] is its content, [outer_start:outer_end] includes the tags."""

    outer_start: int
    start: int
    end: int
    outer_end: int
    pure: bool  # no tag of the grammar inside


def opens_thinking(prompt: str) -> bool:
    """Whether a rendered prompt, or its end, leaves the response inside `<think>`, as some chat templates do."""
    return _OPENED.search(prompt) is not None


def parse_response(text: str, n_shown: int, opened: bool = False) -> Response:
    """Read a response to a prompt that showed `n_shown` routes (0: unguided).

    Total: any text gives a `Response`, in time linear in its length.

    Args:
        opened: the prompt ended inside `<think>`; the response may say `<think>` once more.
    """
    if len(text) > MAX_CHARS:
        return Response(None, (None,) * n_shown, False, None, ("too_long",))
    found: set[str] = set()
    think, tail = _split_think(text, opened, found)
    verdict_blocks, answer_blocks = _blocks(tail, found)
    _note_layout(tail, verdict_blocks, answer_blocks, found)

    verdicts: tuple[Verdict | None, ...] = (None,) * n_shown
    if n_shown == 0:
        if "<verdicts>" in tail or "</verdicts>" in tail:
            found.add("unexpected_verdicts")
    elif not verdict_blocks:
        found.add("malformed_verdicts" if "<verdicts>" in tail else "no_verdicts")
    else:
        if len(verdict_blocks) > 1:
            found.add("several_verdicts")
        last = verdict_blocks[-1]
        verdicts = _read_verdicts(tail[last.start : last.end], n_shown, found)

    answers = _distinct_last(tail[b.start : b.end].strip() for b in answer_blocks)
    if not answers:
        found.add("unclosed_answer" if "<answer>" in tail else "no_answer")
    elif len(answer_blocks) > 1:
        found.add("several_answers")
    return Response(
        think=think,
        verdicts=verdicts,
        has_verdicts=n_shown > 0 and bool(verdict_blocks),
        answer=answers[-1] if answers else None,
        problems=tuple(code for code in PROBLEMS if code in found),
        answers=answers,
    )


def render_response(think: str | None, verdicts: Sequence[Verdict], answer: str) -> str:
    """Write a response in the grammar; `parse_response` reads the same parts back (outer blanks aside).

    Args:
        think: the reasoning, or None for no think block.
        verdicts: one for each shown route, in order of numbering; empty: unguided.
        answer: the final answer.

    Raises:
        ValueError: a text holds one of the grammar's own tags, or the whole is over `MAX_CHARS`.
    """
    for name, part in (("think", think or ""), ("answer", answer)):
        if tag := _ANY_TAG.search(part):
            raise ValueError(
                f"{name} holds the tag {tag.group()}; remove it, the parser would take it for its own"
            )
    parts = []
    if think is not None:
        parts.append(f"<think> {think.strip()} </think>")
    if verdicts:
        lines = [f"{i}: {_verdict_text(verdict)}" for i, verdict in enumerate(verdicts, start=1)]
        parts.append("\n".join(["<verdicts>", *lines, "</verdicts>"]))
    parts.append(f"<answer> {answer.strip()} </answer>")
    text = "\n".join(parts)
    if len(text) > MAX_CHARS:
        raise ValueError(f"response of {len(text)} characters; the parser reads at most {MAX_CHARS}")
    return text


def _verdict_text(verdict: Verdict) -> str:
    if verdict.right:
        return "right"
    return "wrong" if verdict.step is None else f"wrong at {verdict.step + 1}"


def _split_think(text: str, opened_by_prompt: bool, found: set[str]) -> tuple[str | None, str]:
    """The thinking (None if absent) and the text after it, where blocks count."""
    if opened_by_prompt and not text.lstrip().startswith("<think>"):
        text = f"<think>{text}"
    close = text.rfind("</think>")
    think: str | None = None
    tail = text
    if close >= 0:
        head, tail = text[:close], text[close + len("</think>") :]
        before, opened, inside = head.partition("<think>")
        if opened and before.strip():
            found.add("extra_text")
        think = (inside if opened else head).strip()
        if "<think>" in think or "</think>" in think:
            found.add("several_think")
    before, opened, inside = tail.partition("<think>")
    if opened:
        found.add("unclosed_think")
        think = inside.strip() if think is None else think
        tail = before
    return think, tail


def _blocks(tail: str, found: set[str]) -> tuple[list[_Block], list[_Block]]:
    """Well-formed verdict and answer blocks: closed, no tag inside, not inside a block of the other kind."""
    spans: dict[str, list[_Block]] = {"verdicts": [], "answer": []}
    opened: dict[str, tuple[int, re.Match[str]] | None] = {"verdicts": None, "answer": None}
    for number, tag in enumerate(_BLOCK_TAG.finditer(tail)):
        kind = tag.group().strip("</>")
        start = opened[kind]
        if not tag.group().startswith("</"):
            if start is not None:
                found.add("unbalanced_tags")
            opened[kind] = (number, tag)
        elif start is None:
            found.add("unbalanced_tags")
        else:
            pure = number == start[0] + 1
            spans[kind].append(_Block(start[1].start(), start[1].end(), tag.start(), tag.end(), pure))
            opened[kind] = None
    if any(opened.values()) or not all(block.pure for blocks in spans.values() for block in blocks):
        found.add("unbalanced_tags")
    verdicts, answers = spans["verdicts"], spans["answer"]
    return _outside(verdicts, answers), _outside(answers, verdicts)


def _outside(blocks: list[_Block], others: list[_Block]) -> list[_Block]:
    starts = [other.outer_start for other in others]

    def covered(block: _Block) -> bool:
        at = bisect_right(starts, block.outer_start) - 1
        return at >= 0 and others[at].outer_end >= block.outer_end

    return [block for block in blocks if block.pure and not covered(block)]


def _note_layout(tail: str, verdicts: list[_Block], answers: list[_Block], found: set[str]) -> None:
    """Note text between the blocks, and verdicts after the first answer."""
    if verdicts and answers and verdicts[-1].outer_start > answers[0].outer_start:
        found.add("wrong_order")
    position = 0
    for block in sorted([*verdicts, *answers], key=lambda b: b.outer_start):
        if tail[position : block.outer_start].strip():
            found.add("extra_text")
        position = block.outer_end
    if tail[position:].strip():
        found.add("extra_text")


def _read_verdicts(block: str, n_shown: int, found: set[str]) -> tuple[Verdict | None, ...]:
    verdicts: list[Verdict | None] = [None] * n_shown
    judged: set[int] = set()
    for line in block.splitlines():
        if not line.strip():
            continue
        match = _VERDICT_LINE.fullmatch(line.strip()) if len(line) <= _MAX_VERDICT_LINE else None
        route = int(match.group(1)) - 1 if match else -1
        step = int(match.group(3)) - 1 if match and match.group(3) else None
        if match is None or not 0 <= route < n_shown or step == -1:
            found.add("malformed_verdicts")
        elif route in judged:
            found.add("duplicate_verdict")
            verdicts[route] = None
        else:
            judged.add(route)
            verdicts[route] = Verdict(right=match.group(2) is not None, step=step)
    if len(judged) < n_shown:
        found.add("missing_verdict")
    return tuple(verdicts)


def _distinct_last(texts: Iterable[str]) -> tuple[str, ...]:
    """The different texts, ordered by where each stands last."""
    order: dict[str, None] = {}
    for text in texts:
        order.pop(text, None)
        order[text] = None
    return tuple(order)
