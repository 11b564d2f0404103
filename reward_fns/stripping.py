"""Taking the routes out of a guided chain, or saying why it cannot stand without them.

Serves design.md, section EAAI (harvest). A guided response reasons about routes that its reader will not see. Whole
sentences that speak of them go; what is left has to carry the answer by itself:

* A sentence speaks of routes if it names one ("Route 2", "the second solution", "both attempts"), judges one ("1: wrong
  at 3"), or says "route" at all. Of a word that the question uses itself only the numbered form counts ("Solution 2").
* What still points at something unseen afterwards ("step 2 is wrong", "the author", "unlike the other") drops the chain.
* So does a run of `COPIED_WORDS` words in a row of one step of a shown route that the question does not have: the chain
  was copied, not reasoned. Shorter runs are what any two solvers share; where steps are shorter than that, as in
  templated domains, copying cannot be told from the house style and is not looked for.
* And so does a chain of which less than `LEFT_SHARE` is left.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reward_fns.routes import Route

COPIED_WORDS = 10
LEFT_SHARE = 0.3

_NOUN = r"(route|solution|attempt|chain|candidate|approach|response|proposal)(?:e?s)?"
_ORDINAL = (
    r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|last|other|previous|given|shown|provided|above)"
)
_COUNT = r"(?:both|all|each|every|either|neither|none|one|some|most|two|three|four)"
_NUMBERED = re.compile(rf"\b{_NOUN}\s*(?:#|no\.?\s*|number\s*)?\d+\b|\bverdicts?\b", re.IGNORECASE)
_NAMED = re.compile(
    rf"\b(?:the|this|that|these|those)\s+{_ORDINAL}\s+(?:\w+\s+)?{_NOUN}\b|"
    rf"\b{_COUNT}\s+(?:of\s+)?(?:the\s+|these\s+|those\s+)?(?:\w+\s+)?{_NOUN}\b|\b(route)s?\b",
    re.IGNORECASE,
)
_JUDGED = re.compile(
    r"\s*(?:\d+[.:)]\s*)?(?:\d+\s*:\s*)?(?:right|wrong(?:\s+at\s+(?:step\s+)?\d+)?)\s*[.;]?\s*", re.IGNORECASE
)
_POINTING = re.compile(
    r"\bsteps?\s+\d+\s+(?:is|was|are|has|makes?|contains?|says?|claims?|states?|should)\b|"
    r"\b(?:first\s+(?:wrong|error|mistake)|(?:its|their|the)\s+(?:author|writer)s?)\b|"
    r"\b(?:unlike|like|as\s+in|contrary\s+to|compared\s+(?:to|with))\s+the\s+(?:other|first|second|third|others)\b|"
    r"\b(?:its|their)\s+(?:first|second|third|last)?\s*(?:step|mistake|error)s?\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+(?=\S)")
_NUMBER = re.compile(r"^([ \t]*)(\d{1,4})([.)])(?=\s)")


@dataclass(frozen=True)
class Stripped:
    """A chain without its routes: the text, and how many sentences went. `refused` says why it cannot be used."""

    text: str
    removed: int
    refused: str | None = None
    evidence: str = ""


def strip_routes(reasoning: str, question: str, shown: Sequence[Route]) -> Stripped:
    """The reasoning of a guided response without what speaks of routes.

    Args:
        reasoning: what stands in `<think>`.
        question: the bare question.
        shown: the routes that the prompt showed.
    """
    lines: list[str] = []
    removed = 0
    for line in reasoning.splitlines():
        number = _NUMBER.match(line)
        start = number.end() if number else 0
        sentences = _SENTENCE.split(line[start:].strip())
        kept = [sentence for sentence in sentences if not speaks_of_routes(sentence, question)]
        removed += len(sentences) - len(kept)
        if any(sentence.strip() for sentence in kept):
            lines.append(" ".join([line[:start], *kept]) if number else " ".join(kept))
    text = "\n".join(_renumbered(lines)).strip()
    pointing = _POINTING.search(text)
    copied = copied_run(text, question, shown)
    if not text:
        return Stripped(text, removed, "nothing but routes in the reasoning", reasoning)
    if pointing:
        around = text[max(0, pointing.start() - 40) : pointing.end() + 40]
        return Stripped(text, removed, "still points at a route", around)
    if copied:
        return Stripped(text, removed, f"{COPIED_WORDS} words in a row of a shown route", copied)
    if len(text) < LEFT_SHARE * len(reasoning.strip()):
        return Stripped(text, removed, f"less than {LEFT_SHARE:.0%} left without the routes", text)
    return Stripped(text, removed)


def speaks_of_routes(sentence: str, question: str = "") -> bool:
    """Whether a sentence names or judges a route; words for it that stand in the question may mean something else."""
    if _NUMBERED.search(sentence) or _JUDGED.fullmatch(sentence):
        return True
    asked = question.casefold()
    nouns = (noun for match in _NAMED.finditer(sentence) for noun in match.groups() if noun)
    return any(noun.casefold() not in asked for noun in nouns)


def copied_run(text: str, question: str, shown: Sequence[Route]) -> str:
    """The first run of `COPIED_WORDS` words of the text that one step of a shown route has too, and the question has not."""
    theirs = {run for route in shown for step in route.steps for run in _runs(step)} - set(_runs(question))
    return next((" ".join(run) for run in _runs(text) if run in theirs), "") if theirs else ""


def _runs(text: str) -> list[tuple[str, ...]]:
    words = re.findall(r"\w+|[^\w\s]", text.casefold())
    return [tuple(words[i : i + COPIED_WORDS]) for i in range(len(words) - COPIED_WORDS + 1)]


def _renumbered(lines: Sequence[str]) -> list[str]:
    """Numbered lines counted anew from 1 where some of them went."""
    numbers = [_NUMBER.match(line) for line in lines]
    if [int(n[2]) for n in numbers if n] == list(range(1, sum(map(bool, numbers)) + 1)):
        return list(lines)
    count = 0
    made = []
    for line, number in zip(lines, numbers, strict=True):
        if number:
            count += 1
            line = f"{number[1]}{count}{number[3]}{line[number.end() :]}"
        made.append(line)
    return made
