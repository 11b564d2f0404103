"""Finding the final answer in a text: `\\boxed{}`, `#### N`, `A: N`, "the answer is", else the whole text.

Linear in the text. The first form that occurs decides; of several answers in that form all must agree.
A hedge is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from reward_fns.answers import clean, surely_same
from reward_fns.numbers import read_number, render_number

MAX_ANSWER_CHARS = 300
MAX_CANDIDATES = 64

_BRACE = re.compile(r"\\f?boxed[ \t]{0,4}\{|\\.|[{}]", re.DOTALL)
_MARKED_LINES = (
    re.compile(r"^[ \t]*####[ \t]*(.*)$", re.MULTILINE),
    re.compile(r"^[ \t]*A(?:nswer)?:[ \t]*(.*)$", re.MULTILINE),
)
_SAID = re.compile(r"\bthe (?:final )?answer (?:is|=)[ \t]*:?[ \t]*([^\n]*)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\.(?:\s|$)")
_HEDGE = re.compile(
    r"\b(?:or|either|maybe|perhaps|possibly|probably|alternatively|versus|vs|not sure|between|guess)\b"
    r"|[?;]|\\(?:lor|vee)(?![A-Za-z])",
    re.IGNORECASE,
)


def final_answer(text: str) -> str | None:
    """The canonical final answer in `text`; None if there is none, it is hedged, or several differ."""
    for candidates in (boxed(text), *(_lines(pattern, text) for pattern in _MARKED_LINES), _said(text)):
        if candidates:
            return _agreed(candidates)
    return canonical(text)


def boxed(text: str) -> list[str]:
    """Contents of all `\\boxed{...}` with matching braces, outermost ones, in order. One pass."""
    spans: list[tuple[int, int]] = []
    opened: list[tuple[int, bool]] = []
    for token in _BRACE.finditer(text):
        if token.group() == "}":
            start, is_box = opened.pop() if opened else (0, False)
            if is_box:
                while spans and spans[-1][0] > start:
                    spans.pop()  # it stood inside this one
                spans.append((start, token.start()))
        elif token.group().endswith("{") and token.group() != "\\{":
            opened.append((token.end(), token.group() != "{"))
    return [text[start:end] for start, end in spans]


def canonical(answer: str) -> str | None:
    """One answer in canonical text: a bare number as `-3` or `7/2`, else cleaned text.

    None for a hedge, an empty text, or one too long to be an answer.
    """
    answer = answer.strip()
    if not answer or len(answer) > MAX_ANSWER_CHARS or "\n" in answer or _HEDGE.search(answer):
        return None
    cleaned = clean(answer)
    number = read_number(cleaned)
    if number is not None and not number.percent and not number.unit:
        return render_number(number.value)
    return cleaned or None


def _lines(pattern: re.Pattern[str], text: str) -> list[str]:
    return [match[1] for match in pattern.finditer(text)]


def _said(text: str) -> list[str]:
    return [_SENTENCE_END.split(match[1], maxsplit=1)[0] for match in _SAID.finditer(text)]


def _agreed(candidates: Iterable[str]) -> str | None:
    distinct = list(dict.fromkeys(candidate.strip() for candidate in candidates))
    if len(distinct) > MAX_CANDIDATES:
        return None
    last = canonical(distinct[-1])
    if last is None:
        return None
    for other in distinct[:-1]:
        read = canonical(other)
        if read is None or not surely_same(read, last):
            return None
    return last
