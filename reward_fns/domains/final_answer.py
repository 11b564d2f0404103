"""Finding the final answer in the text of an `<answer>` block, for every domain.

Serves the section "Domains" of the design. The forms, strongest first: `\\boxed{}`, a marked line (`#### N`,
`Answer: N`), "the answer is N", else the whole text. The strongest form that occurs decides. All answers in
that form must agree, those in weaker forms must not contradict it, and nothing beside it may take it back
("... is wrong", "... or 5"). A box that holds nothing but a box is that one. Linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from reward_fns.characters import PUNCTUATION

MAX_CANDIDATES = 64
MAX_SENTENCES = 4
"""Of a known answer that holds full stops."""

_MARKUP = r"[ \t*_#>]*(?:<(?:b|strong)>)?"
_TO_VALUE = r"(?:</(?:b|strong)>)?[ \t*_]*(?:\n[ \t*_]*){0,2}"
HASHES = re.compile(r"^[ \t]*####[ \t]*(.*)$", re.MULTILINE)
ANSWER_LINE = re.compile(
    rf"^{_MARKUP}(?:(?:final )?answer\**:|final answer\**[ \t]*$){_TO_VALUE}(.*)$",
    re.MULTILINE | re.IGNORECASE,
)
A_LINE = re.compile(r"^[ \t]*A:[ \t]*(.*)$", re.MULTILINE)
"""`A: 18`, as GSM8K's model solutions end; no form of domains in which A is an option."""

_SAID = re.compile(
    r"\b(?:the|my) (?:(?:final|correct|right|best) )?(?:answer|option|choice)"
    r"(?: (?:to|for|of) (?:the|this|your) [a-z ]{1,40}?)? (?:is|=)"
    r"(?: (?:therefore|thus|then|simply|hence|indeed)\b,?)?[ \t]*:?[ \t]*\n?[ \t]*",
    re.IGNORECASE,
)
_WORD = re.compile("answer|option|choice", re.IGNORECASE)
"""What `_SAID` needs: looked for first, as most texts have none."""
_REASON = re.compile(r"(?:[ ,;]| \()+(?:because|since)\b.*", re.IGNORECASE | re.DOTALL)
"""What follows an answer and is none."""

_SENTENCE_END = re.compile(
    r"(?<!\bArt)(?<!\bSec)(?<!\bFig)(?<!\bCl)(?<!\bNr)\.(?:\s|$)|\.(?:\s+(?![0-9])|$)|\n"
)
"""Not the stop of `Art. 6`."""
_BRACE = re.compile(r"\\f?boxed[ \t]{0,4}\{|\\.|[{}]", re.DOTALL)
_BOX = re.compile(r"\\f?boxed[ \t]{0,4}\{")

_CLOSING = r"[\s$*`).,;:!}\]\\]{0,8}"
_TAKEN_BACK = re.compile(
    rf"{_CLOSING}(?:\(\s*)?(?:(?:is|was|are|would be|looks|seems)\s+)?"
    r"(?:not|never|n't|isn't|wasn't|wrong|incorrect|false|or|nor|either|maybe|perhaps|unless|no|"
    r"wait|actually|hmm+|oops|correction|rather|scratch that)\b|"
    rf"{_CLOSING}[?~/|]",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\b(?:not|never|n't|isn't|neither|nor|either|or|but|except|maybe|perhaps|possibly|probably|wrong)|[/|~])"
    r"[ \t$*`(]{0,8}\Z",
    re.IGNORECASE,
)
_NEAR = 40


@dataclass(frozen=True)
class Span:
    """A candidate and where it stands, marker included."""

    text: str
    start: int
    end: int


def final_answer(
    text: str,
    read: Callable[[str], str | None],
    same: Callable[[str, str], bool] = str.__eq__,
    contradicts: Callable[[str, str], bool] = str.__ne__,
    lines: tuple[re.Pattern[str], ...] = (HASHES, ANSWER_LINE),
    closed: bool = False,
) -> str | None:
    """The canonical final answer in `text`; None if there is none, it is taken back, or several differ.

    Args:
        text: what stands in the `<answer>` block.
        read: one candidate to its canonical text, None if it is no answer.
        same: whether two canonical answers are surely the same; as texts, if not given.
        contradicts: whether two canonical answers are surely different; as texts, if not given.
        lines: the marked lines that count, strongest first.
        closed: `read` knows a closed set of answers, some of which may hold a full stop (`U.S. law`): after "the answer
            is" the longest text that is one of them counts, else the first sentence.
    """
    if not text.isascii():
        text = text.translate(PUNCTUATION)
    found = _forms(text, lines, read if closed else None)
    answer = _agreed(text, found, read, same, contradicts) if found else read(text)
    return None if answer is None or _forms(answer, lines) else answer


def _forms(
    text: str, lines: tuple[re.Pattern[str], ...], known: Callable[[str], str | None] | None = None
) -> list[list[Span]]:
    """The candidates of each form that occurs, strongest form first."""
    forms = [boxes(text)] if "box" in text else []
    forms += [_marked(pattern, text) for pattern in lines]
    if _WORD.search(text):
        forms.append(_said(text, known))
    return [candidates for candidates in forms if candidates]


def _agreed(
    text: str,
    found: list[list[Span]],
    read: Callable[[str], str | None],
    same: Callable[[str, str], bool],
    contradicts: Callable[[str, str], bool],
) -> str | None:
    if any(len(candidates) > MAX_CANDIDATES for candidates in found):
        return None
    deciding, *weaker = found
    last = read(deciding[-1].text)
    if last is None or any(_taken_back(text, span) for span in deciding):
        return None
    for span in deciding[:-1]:
        other = read(span.text)
        if other is None or not same(other, last):
            return None
    for span in (span for candidates in weaker for span in candidates if not _BOX.search(span.text)):
        other = read(span.text)
        if other is not None and contradicts(other, last):
            return None
    return last


def boxes(text: str) -> list[Span]:
    """All `\\boxed{...}` with matching braces, outermost ones, in order. One pass."""
    spans: list[Span] = []
    opened: list[tuple[int, int, bool]] = []
    for token in _BRACE.finditer(text):
        if token.group() == "}":
            outer, start, is_box = opened.pop() if opened else (0, 0, False)
            if is_box:
                inside = text[start : token.start()]
                while spans and spans[-1].start > outer:
                    inner = spans.pop()  # it stood inside this one
                    if text[inner.start : inner.end] == inside.strip(" $"):
                        inside = inner.text
                spans.append(Span(inside, outer, token.end()))
        elif token.group().endswith("{") and token.group() != "\\{":
            opened.append((token.start(), token.end(), token.group() != "{"))
    return spans


def _marked(pattern: re.Pattern[str], text: str) -> list[Span]:
    """What follows each marker on its line; lines that say "the answer is" are left to that form."""
    found = (match for match in pattern.finditer(text) if not _SAID.search(match[1]))
    return [Span(_stated(match[1]), match.start(), match.end()) for match in found]


def _stated(text: str) -> str:
    """Without reasons, and without Markdown that began before the marker."""
    text = _REASON.sub("", text).strip()
    for mark in ("**", "__", "</b>", "</strong>"):
        if text.count(mark) % 2:
            text = text.removesuffix(".").removesuffix(mark)
    return text


def _said(text: str, known: Callable[[str], str | None] | None) -> list[Span]:
    """What follows each "the answer is", up to the end of the sentence (of an answer that is known) or the next of them."""
    markers = list(_SAID.finditer(text))
    spans = []
    for i, marker in enumerate(markers):
        end = markers[i + 1].start() if i + 1 < len(markers) else len(text)
        rest = text[marker.end() : end]
        stops = [stop.start() for stop in _SENTENCE_END.finditer(rest)] if known else []
        said = next(
            (rest[:stop] for stop in reversed(stops[:MAX_SENTENCES]) if known and known(rest[:stop])),
            _SENTENCE_END.split(rest, maxsplit=1)[0],
        )
        spans.append(Span(_stated(said), marker.start(), marker.end() + len(said)))
    return spans


def _taken_back(text: str, span: Span) -> bool:
    """Whether the words right before or after a candidate deny it or offer another."""
    return bool(
        _DENIED.search(text[max(0, span.start - _NEAR) : span.start])
        or _TAKEN_BACK.match(text[span.end : span.end + _NEAR])
    )
