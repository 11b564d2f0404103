"""Reading the option that a text names: `B`, `(b)`, `B.`, `option B`, `(B) five miles`.

Serves the section "Domains" of the design; used by the domains `choice` and `logic`. Options go from A to J.
What follows a letter counts as the option's own words, unless it names another option or takes the choice back. After a
dash or in brackets (`B - aspirin`, `B (aspirin)`) it may be something else: see `read_loosely`.
"""

from __future__ import annotations

import re

from reward_fns.answers import clean

LETTERS = "ABCDEFGHIJ"
MAX_CHARS = 300
"""A longer text names no option."""

_QUOTES = " \t\n*_`\"'“”‘’."
_LETTER = rf"[{LETTERS}{LETTERS.lower()}]"
_LEAD = r"(?:(?:option|choice|answer)(?: is)?:? )?"
_ALONE = re.compile(rf"{_LEAD}[(\[]?({_LETTER})[)\]]?[.:]?", re.IGNORECASE)
_WITH_WORDS = re.compile(
    rf"{_LEAD}(?:\(({_LETTER})\)|\[({_LETTER})\]|({_LETTER})\)|([{LETTERS}])[.:])[*_]{{0,2}} ?(?![ )])(.+)",
    re.IGNORECASE | re.DOTALL,
)
_LOOSE = re.compile(
    rf"{_LEAD}[(\[]?({_LETTER})[)\]]?(?: [-–—] (.+)| \(([^()]+)\))", re.IGNORECASE | re.DOTALL
)
_BOLD = re.compile(r"(\*\*|__)([^*_]+)\1")
_NAMED = re.compile(
    rf"[(\[]({_LETTER})[)\]]"
    rf"|(?<![\w'])({_LETTER})\)"
    rf"|(?<![\w'])([{LETTERS}])(?= [-–—(])"
    rf"|(?<![\w'])([{LETTERS}])[.:](?= )"
    r"|(?:\b(?:or|and|nor|not|but|also|either|neither|maybe|option|choice|answer)|[,/&|;+])[ ,:]{0,3}"
    rf"([{LETTERS}])(?![\w'])"
)
_RETRACTED = re.compile(
    r"(?:or|nor|but)\b|[/&|,;?]"
    r"|(?:not|never|wrong)\W*\Z"
    r"|(?:is|was|isn't|wasn't|are|seems|looks)\b.*\b(?:not|n't|wrong|incorrect|false|out|excluded)\b"
    r"|.*(?:\?\W*\Z|\b(?:not sure|unsure|i guess|maybe|perhaps|possibly|probably|alternatively)\b)"
    r"|.*[(,;.] ?(?:not|no|wrong|incorrect|or not)\W*\Z",
    re.IGNORECASE | re.DOTALL,
)


def read_letter(text: str) -> str | None:
    """The one option that a text names, upper case; None where it names none, several, or hedges."""
    if len(text) > MAX_CHARS:
        return None
    cleaned = bare(text)
    alone = _ALONE.fullmatch(cleaned)
    if alone:
        return alone[1].upper()
    led = split_option(text)
    return led[0] if led and not _is_taken_back(*led) else None


def read_loosely(text: str) -> tuple[str, str] | None:
    """Letter and words of a text like `B - five miles` or `B (five miles)`; None where it is none, hedges, or names several.

    Whether the letter alone counts is the caller's matter: where the right option's words are known, these have to be them.
    """
    match = _LOOSE.fullmatch(bare(text)) if len(text) <= MAX_CHARS else None
    if match is None:
        return None
    letter, words = match[1].upper(), (match[2] or match[3]).strip(_QUOTES)
    return None if _ALONE.fullmatch(words) or _is_taken_back(letter, words) else (letter, words)


def names(text: str, letter: str, words: str) -> bool:
    """Whether a text is this option's letter and its words, and nothing else."""
    between = rf"{_LEAD}[(\[]?{letter}[)\]]?[\s:.,)–—-]*\(?{re.escape(bare(words))}\)?"
    return len(text) <= MAX_CHARS and re.fullmatch(between, bare(text), re.IGNORECASE) is not None


def _is_taken_back(letter: str, words: str) -> bool:
    """Whether what follows a letter names another one or denies it."""
    others = {next(filter(None, match.groups())).upper() for match in _NAMED.finditer(words)}
    return bool(others - {letter} or _RETRACTED.match(words))


def split_option(text: str) -> tuple[str, str] | None:
    """Letter and words of a text like `(B) five miles`; None if it is not of that form."""
    match = _WITH_WORDS.fullmatch(bare(text))
    if match is None:
        return None
    return (match[1] or match[2] or match[3] or match[4]).upper(), match[5].strip(_QUOTES)


def bare(text: str) -> str:
    """The text without Markdown, quotes, LaTeX fonts and a final stop."""
    return clean(_BOLD.sub(r"\2", text).strip(_QUOTES)).strip(_QUOTES)
