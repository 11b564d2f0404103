"""The domain `logic`: BIG-Bench Hard and BIG-Bench Mistake, whose answers are of several kinds.

Serves the section "Domains" of the design. Read in this order, each to one canonical text:

* an option, `(B)` or `(B) the falcon`, by its letter;
* a number, exact; a unit beside it is ignored (`8 fruits` is 8);
* brackets (Dyck words), without blanks;
* words: yes, no, true, false, valid, invalid, a word list such as sorted words, or a short text, without case and
  with separators as single blanks. Their order counts. `Yes` and `True` are different answers.

Words beyond the answer make another answer: after "Yes" no reason is read, before it only "the answer is".
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import ClassVar

from reward_fns.answers import clean
from reward_fns.domains.base import Domain, Rule, rules_beside
from reward_fns.domains.choice.letters import read_letter, split_option
from reward_fns.domains.final_answer import final_answer
from reward_fns.numbers import read_number, render_number

MAX_ANSWER_CHARS = 1_000
"""A list of forty long words; more is no answer."""

MAX_READINGS = 4

_BRACKETS = re.compile(r"[\s()\[\]{}<>]+")
_SEPARATORS = re.compile(r"[\s,;]+")
_QUOTES = " \t\n*_`\"'“”‘’.,;:!"
_HEDGES = frozenset(
    [
        "or",
        "either",
        "maybe",
        "perhaps",
        "possibly",
        "probably",
        "unsure",
        "guess",
        "alternatively",
        "versus",
        "vs",
    ]
)
_DENIALS = frozenset(["wrong", "incorrect", "false", "never", "nope", "unlikely", "ish"])
_SHORT = 6
"""Up to so many words, a hedging word among them makes the text unreadable; longer ones are word lists."""


class LogicDomain(Domain):
    """Options, numbers, brackets, words and word lists."""

    name: ClassVar[str] = "logic"

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        return rules_beside(__package__)

    def extract(self, answer_text: str) -> str | None:
        return final_answer(answer_text, _canonical)

    def equivalent(self, prediction: str, gold: str) -> bool:
        wanted = self.extract(gold)
        return wanted is not None and prediction == wanted


def _canonical(text: str) -> str | None:
    """The canonical text of one answer: what reading does not change any more."""
    for _ in range(MAX_READINGS):
        read = _read(text)
        if read is None or read == text:
            return read
        text = read
    return None


def _read(text: str) -> str | None:
    text = text.strip()
    if not text or len(text) > MAX_ANSWER_CHARS:
        return None
    if _BRACKETS.fullmatch(text):
        return "".join(text.split())
    return _one_thing(text) or _words(clean(text.strip(_QUOTES)))


def _one_thing(text: str) -> str | None:
    """An option or a number; None for anything else."""
    letter = read_letter(text)
    number = read_number(clean(text.strip(_QUOTES))) if letter is None else None
    if number is None or _DENIALS.intersection(number.unit.split()):
        return letter
    return render_number(number.value) + "%" * number.percent


def _words(text: str) -> str | None:
    """A text as words without case, quotes and separators; None for a hedge and for an option taken back."""
    if text[:1] + text[-1:] in ("[]", "{}"):
        text = text[1:-1]
    text = text.removeprefix("- ")  # BBH lists some options like that
    words = [word.strip(_QUOTES).casefold() for word in _SEPARATORS.split(text)]
    words = [word for word in words if word]
    if not words or "?" in text:
        return None
    if len(words) <= _SHORT and _HEDGES.intersection(words):
        return None
    if len(words) == 2 and words[1] in _DENIALS:
        return None
    if split_option(text) and read_letter(text) is None:
        return None
    return " ".join(words)


DOMAIN = LogicDomain()
