"""The domain `choice`: lettered options, up to ten of them, as in medical, legal and science exams.

Serves the section "Domains" of the design. The canonical answer is the letter. A domain sees an answer and a
gold answer, never the row's options, so an option's own words count as an answer only where the gold answer
holds them too: with the gold `(B) aspirin` both `B` and `aspirin` are right, with the gold `B` only the letter
is. Of `B: aspirin`, `B. aspirin` and `(B) aspirin` the letter decides; `B - aspirin`, `B (aspirin)` and `B aspirin` count
where letter and words are both the gold answer's, the first two also where that is a letter alone. Several different
letters or a hedge are no answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from reward_fns.domains.base import Domain, Rule, rules_beside
from reward_fns.domains.choice.letters import (
    LETTERS,
    MAX_CHARS,
    bare,
    names,
    read_letter,
    read_loosely,
    split_option,
)
from reward_fns.domains.final_answer import final_answer

_OPTION_LINE = re.compile(rf"^[ \t]*(?:\(([{LETTERS}])\)|([{LETTERS}])[.:)])[ \t]", re.MULTILINE)
_LETTER_LIST = re.compile(
    rf"[\W_]*(?:(?:[{LETTERS}{LETTERS.lower()}]|and|or|not|both|either|option|options|maybe|probably)[\W_]+)*"
    rf"[{LETTERS}{LETTERS.lower()}][\W_]*"
)
_HEDGE = re.compile(
    rf"\?|\b(?:maybe|perhaps|possibly|probably|not sure|either)\b|\(({'|'.join(LETTERS)})\)", re.IGNORECASE
)


class ChoiceDomain(Domain):
    """One of up to ten lettered options."""

    name: ClassVar[str] = "choice"

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        return rules_beside(__package__)

    def extract(self, answer_text: str) -> str | None:
        """The letter, else the words of a short text as they could stand in an option."""
        return final_answer(answer_text, _canonical, _agree, lambda one, other: not _agree(one, other))

    def equivalent(self, prediction: str, gold: str) -> bool:
        option = split_option(gold) or read_loosely(gold)
        if option is None or read_letter(prediction) is not None:
            letter = _letter(prediction)
            return letter is not None and letter == _letter(gold)
        return bool(prediction) and (_words(prediction) == _words(option[1]) or names(prediction, *option))

    def check_gold(self, gold: str, row: Mapping[str, Any]) -> list[str]:
        """As the base class; the gold answer holds a letter, and one that the question offers."""
        problems = super().check_gold(gold, row)
        if problems:
            return problems
        letter = read_letter(gold)
        if letter is None:
            return [f"the gold answer {gold!r} names no option from A to J"]
        contents = [m["content"] for m in row.get("prompt") or () if m.get("role") == "user"]
        question = contents[-1] if contents and isinstance(contents[-1], str) else ""
        offered = sorted({match[1] or match[2] for match in _OPTION_LINE.finditer(question)})
        if len(offered) > 1 and letter not in offered:
            return [f"the gold answer {gold!r} is none of the options {', '.join(offered)}"]
        return []


def _canonical(text: str) -> str | None:
    text = text.strip()
    if not text or len(text) > MAX_CHARS:
        return None
    letter = read_letter(text)
    if letter is not None:
        return letter
    if "\n" in text or split_option(text) or _LETTER_LIST.fullmatch(text) or _HEDGE.search(text):
        return None
    words = _words(text)
    return words if words and _words(words) == words else None


def _agree(one: str, other: str) -> bool:
    """Whether two canonical answers are the same words, or one is the letter of the other."""
    return one == other or (bool(read_letter(one) or read_letter(other)) and _letter(one) == _letter(other))


def _letter(text: str) -> str | None:
    loose = read_loosely(text)
    return loose[0] if loose else read_letter(text)


def _words(text: str) -> str:
    return " ".join(bare(text).casefold().split())


DOMAIN = ChoiceDomain()
