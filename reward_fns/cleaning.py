"""Answers without what carries no meaning: delimiters, LaTeX spacing and fonts, invisible characters.

Serves the section "Domains" of the design (one answer comparer). Linear in the text.
"""

from __future__ import annotations

import re
from functools import lru_cache

MAX_CACHED_CHARS = 300

_PLAIN = re.compile(r"[-+0-9A-Za-z/%(),.=^ ]*")

_INVISIBLE = dict.fromkeys(
    [0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)]
)
_CHARACTERS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "×": "\\times ",
        "·": "\\cdot ",
        "÷": "\\div ",
        "∞": "\\infty ",
        "π": "\\pi ",
        "θ": "\\theta ",
        "≤": "\\le ",
        "≥": "\\ge ",
        "≠": "\\neq ",
        "±": "\\pm ",
        "∪": "\\cup ",
        "∈": "\\in ",
        "∅": "\\emptyset ",
        "²": "^{2}",
        "³": "^{3}",
        "½": "\\frac{1}{2}",
        "¼": "\\frac{1}{4}",
        "¾": "\\frac{3}{4}",
        "，": ", ",
        "（": "(",
        "）": ")",
        "\u00a0": " ",
    }
)
_UNITS = {"m": "meter", "g": "gram", "s": "second", "h": "hour", "L": "liter", "l": "liter"}
_FONTS = "text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|boldsymbol|mbox|operatorname|bold"
_REWRITES = tuple(
    (trigger, re.compile(pattern), into)
    for trigger, pattern, into in (
        ("t", r"\\(?:left|right)(?![A-Za-z])\.?", ""),
        ("ig", r"\\[bB]igg?[lrm]?(?![A-Za-z])", ""),
        ("frac", r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (
            "{",
            rf"(?<=[0-9}}iaetx])\s*\\(?:{_FONTS})\s*\{{\s*([mgshlL])\s*\}}",
            lambda match: f" {_UNITS[match[1]]}",
        ),
        ("{", rf"\\(?:{_FONTS})\s*\{{([^{{}}]*)\}}", r" \1 "),
        ("\\", r"\\(?:displaystyle|quad|qquad|limits)(?![A-Za-z])", " "),
        ("\\circ", r"\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})", "°"),
        ("\\degree", r"\\degrees?(?![A-Za-z])", "°"),
        ("vert", r"\\[lr]?vert(?![A-Za-z])", "|"),
        ("brace", r"\\lbrace(?![A-Za-z])", r"\\{"),
        ("brace", r"\\rbrace(?![A-Za-z])", r"\\}"),
        ("\\le", r"\\(?:leq|leqslant)(?![A-Za-z])", r"\\le"),
        ("\\ge", r"\\(?:geq|geqslant)(?![A-Za-z])", r"\\ge"),
        ("\\ne", r"\\ne(?![A-Za-z])", r"\\neq"),
        ("\\", r"\\varnothing(?![A-Za-z])|\\\{\s*\\\}", r"\\emptyset"),
        ("infty", r"\+\s*\\infty(?![A-Za-z])", r"\\infty"),
        ("√", r"√\s*([0-9]+)", r"\\sqrt{\1}"),
        ("√", r"√", r"\\sqrt "),
        (",", r"\{,\}|,\\!", ","),
        ("{:}", r"\{:\}", ":"),
        ("\\,", r"(?<=[0-9])\\,(?=[0-9]{3})", ","),
        ("\\", r"\\[!,;: ]", " "),
        ("~", r"~", " "),
        ("\\", r"\\([$%])", r"\1"),
    )
)
_BLANKS = re.compile(r"\s+")
_ROW_END = re.compile(r"\\\\\s*")
_DELIMITERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"))


def clean(text: str) -> str:
    """The text in the form that the tiers of `answers` read."""
    return _cached(text) if len(text) <= MAX_CACHED_CHARS else _cleaned(text)


def _cleaned(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return " ".join(text.split()).rstrip(".,").rstrip()
    if not text.isascii():
        text = text.translate(_INVISIBLE).translate(_CHARACTERS)
    text = _undelimited(text.strip())
    if "matrix}" in text:
        text = _ROW_END.sub(r"\\cr ", text)
    for trigger, pattern, into in _REWRITES:
        if trigger in text:
            text = pattern.sub(into, text)
    return _undelimited(_BLANKS.sub(" ", text).strip().rstrip(".;,").strip())


_cached = lru_cache(maxsize=8_192)(_cleaned)


def _undelimited(text: str) -> str:
    if text[:1] not in "$\\*`":
        return text
    for opening, closing in _DELIMITERS:
        size = len(opening)
        if len(text) > 2 * size and text.startswith(opening) and text.endswith(closing):
            inside = text[size:-size]
            if opening not in inside and closing not in inside and not inside.endswith("\\"):
                text = inside.strip()
    return text
