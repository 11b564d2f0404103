"""Commas between digits: thousands separators only where nothing else can be meant, else separators of parts.

* `1,234` on its own is a number, and so are both in `1,234 and 5,678` and in `1,234, 5,678`, where a blank marks the commas
  that separate. A group does not begin with 0, so that `0,180` is two numbers.
* In the brackets of a tuple, an interval or a set a comma separates: `(5,125)` is a point. Only before a group that begins
  with 0, which no second number would, it does not: `(5,000)` is 5000.
"""

from __future__ import annotations

import re

_GROUPS = re.compile(r"(?<![0-9.])[$€£¥₹]?[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])")
_BRACKET = re.compile(r"(\\?[{}]|[()\[\]])")
_ARGUMENT = re.compile(r"(?:\\[A-Za-z]+|[\]}^_]) ?\Z")
"""What stands before the braces of an argument, as in `\\frac{1,000}{3}`."""
_LISTED = re.compile(r"[0-9],? (?:and|or) |[0-9], ")


def separated(text: str) -> str:
    """A cleaned text with a blank behind commas that separate, and without those of thousands in brackets."""
    if _GROUPS.search(text) is None:
        return text
    outside = _joined if _LISTED.search(text) else _single
    parts = _BRACKET.split(text)
    closing: list[bool] = []  # of each open bracket, whether commas separate in it
    for i, part in enumerate(parts):
        if part in ("(", "[", "\\{", "{"):
            closing.append(part != "{" or not _ARGUMENT.search("".join(parts[max(0, i - 2) : i])))
        elif part in (")", "]", "\\}", "}"):
            if closing:
                closing.pop()
        else:
            parts[i] = _GROUPS.sub(_apart if any(closing) else outside, part)
    return "".join(parts)


def _apart(match: re.Match[str]) -> str:
    return (
        re.sub(",(?!0)", ", ", match[0]).replace(",0", "0") if match[0][0] in "123456789" else _single(match)
    )


def _joined(match: re.Match[str]) -> str:
    return match[0].replace(",", "") if match[0][0] != "0" else _single(match)


def _single(match: re.Match[str]) -> str:
    return match[0].replace(",", ", ") if match[0][0] == "0" else match[0]
