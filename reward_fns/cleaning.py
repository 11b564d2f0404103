"""Answers without what carries no meaning: delimiters, LaTeX spacing and fonts, invisible characters.

Serves the section "Domains" of the design (one answer comparer). Each rewriting gives one writing to what is
written in many ways. Linear in the text.
"""

from __future__ import annotations

import re
from functools import lru_cache

from reward_fns.characters import CHARACTERS, INVISIBLE

MAX_CACHED_CHARS = 300

_PLAIN = re.compile(r"[-+0-9A-Za-z/%(),.=^ ]*")
_MEANING = re.compile(
    r"^\s*=|(?i:inf|real|empty)|(?<![A-Za-z])(?:oo|USD|EUR|GBP|US)|C ?\(|mod|[0-9] ?[apAP]\.?[mM]|\.\.|\.\("
    r"|[0-9] [0-9]{3} [0-9]{3}"
)
"""What a rewriting looks for in plain text."""

_UNITS = {"m": "meter", "g": "gram", "s": "second", "h": "hour", "L": "liter", "l": "liter"}
_FONTS = (
    "text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mathsf|boldsymbol|mbox|operatorname|bold|fbox"
    "|mathbin|mathrel|mathord|mathop"
)
_BASES = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12", "sixteen": "16",
}  # fmt: skip


def _fraction(match: re.Match[str]) -> str:
    """`0.1\\overline{6}` as the fraction it is."""
    whole, tail, repeated = match.groups()
    top = int((whole + tail) or "0") * (10 ** len(repeated) - 1) + int(repeated)
    return f"\\frac{{{top}}}{{{10 ** len(tail) * (10 ** len(repeated) - 1)}}}"


_FIRST = tuple(
    (trigger, re.compile(pattern), into)
    for trigger, pattern, into in (
        ("t", r"\\(?:left|right)(?![A-Za-z])\.?", ""),
        ("ig", r"\\[bB]igg?[lrm]?(?![A-Za-z])", ""),
        ("frac", r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        ("\\", r"\\(frac|binom)(?: ?(?=[0-9])| +)([0-9A-Za-z]) ?([0-9A-Za-z])", r"\\\1{\2}{\3}"),
        ("color", r"\\textcolor ?\{[A-Za-z]*\} ?\{([^{}]*)\}", r"\1"),
        ("color", r"\\color ?\{[A-Za-z]*\}", ""),
        ("underline", r"\\underline ?\{([^{}]*)\}", r"\1"),
        ("frac", r"\\frac ?\{ ?\\text ?\{([^{}]*)\} ?\} ?\{ ?\\text ?\{([^{}]*)\} ?\}", r"\\text{ \1/\2}"),
        (
            "{",
            rf"(?<=[0-9}}iaetx])\s*\\(?:{_FONTS})\s*\{{\s*([mgshlL])\s*\}}",
            lambda match: f" {_UNITS[match[1]]}",
        ),
        ("{", rf"\\(?:{_FONTS})\s*\{{([^{{}}]*)\}}", r" \1 "),
        ("\\", r"\\(?:displaystyle|textstyle|quad|qquad|limits)(?![A-Za-z])", " "),
        ("\\circ", r"\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})", "°"),
        ("\\degree", r"\\degrees?(?![A-Za-z])", "°"),
        ("vert", r"\\[lr]?vert(?![A-Za-z])", "|"),
        ("brace", r"\\lbrace(?![A-Za-z])", r"\\{"),
        ("brace", r"\\rbrace(?![A-Za-z])", r"\\}"),
        ("\\l", r"\\(?:leqslant|leq)(?![A-Za-z])", r"\\le"),
        ("\\g", r"\\(?:geqslant|geq)(?![A-Za-z])", r"\\ge"),
        ("\\ne", r"\\ne(?![A-Za-z])", r"\\neq"),
        ("\\", r"\\varnothing(?![A-Za-z])|\\\{\s*\\\}", r"\\emptyset"),
        ("\\R", r"\\R(?![A-Za-z])", r"\\mathbb{R}"),
        ("mathbb", r"\\mathbb +([A-Z])(?![A-Za-z])", r"\\mathbb{\1}"),
        ("√", r"√\s*([0-9]+)", r"\\sqrt{\1}"),
        ("√", r"√", r"\\sqrt "),
        (",", r"\{,\}|,\\!", ","),
        ("{:}", r"\{:\}", ":"),
        ("\\colon", r"\\colon(?![A-Za-z])", ":"),
        ("\\textdollar", r"\\textdollar(?![A-Za-z])", "$"),
        ("\\", r"(?<=[0-9])(?:\\[,;: ]|~)(?=[0-9]{3}(?![0-9]))", ","),
        ("\\", r"\\[!,;: ]", " "),
        ("\\\\", r"\\\\\s*$", ""),
        ("=", r"^\s*=(?!=)", ""),
        ("~", r"~", " "),
        ("\\", r"\\([$%])", r"\1"),
        ("\\", r"\\(?:dot|bar) ?(?=\{ ?[0-9])|\\(?:dot|bar) ?(?=[0-9])", r"\\overline"),
        (
            "\\overline",
            r"\\overline ?\{? ?([0-9]) ?\}?([0-9]*)\\overline ?\{? ?([0-9])(?![0-9]) ?\}?",
            r"\\overline{\1\2\3}",
        ),
        ("\\overline", r"\\overline ?([0-9])", r"\\overline{\1}"),
        ("\\overline", r"\\overline ?\{ ?([A-Z]{2}) ?\}", r"\1"),
        ("_", rf"(?<=[0-9A-F])_ ?\{{? ?({'|'.join(_BASES)}) ?\}}?", lambda match: f"_{_BASES[match[1]]}"),
    )
)
_SECOND = tuple(
    (trigger, re.compile(pattern), into)
    for trigger, pattern, into in (
        ("in", r"(?i)(?<![A-Za-z\\])(?:infinity|infty|inf)(?![A-Za-z])", r"\\infty"),
        ("oo", r"(?<![A-Za-z\\])oo(?![A-Za-z])", r"\\infty"),
        ("infty", r"\+\s*\\infty(?![A-Za-z])", r"\\infty"),
        (
            "(",
            r"(?<![A-Za-z0-9])C ?\( ?([0-9]+) ?, ?([0-9]+) ?\)",
            r"\\binom{\1}{\2}",
        ),
        ("&", r"& ?(?:if|for|when|where) ", "& "),
        ("mod", r"\(? ?\\(?:pmod|bmod|mod)(?![A-Za-z]) ?\{? ?([0-9a-z]+) ?\}? ?\)?", r" mod \1"),
        ("mod", r"\( ?mod ([0-9a-z]+) ?\)", r" mod \1"),
        ("mod", r"^[A-Za-z] ?\\equiv(?![A-Za-z]) ?(?=.* mod )", ""),
        *(
            (
                trigger,
                r"(?i)(?<=[0-9]) ?([ap])(?:\. ?m|m)\.?(?![A-Za-z])",
                lambda match: f" {match[1].lower()}m",
            )
            for trigger in "mM"
        ),
        ("U", r"(?<=[)\]}]) ?U ?(?=[(\[\\])", r" \\cup "),
        ("US", r"^(?:USD ?|US ?(?=\$))(?=[$0-9])", "$"),
        ("EUR", r"^EUR ?(?=[0-9])", "€"),
        ("GBP", r"^GBP ?(?=[0-9])", "£"),
        ("$$", r"^\$\$(?=[0-9])", "$"),
        (".(", r"(?<=[0-9]\.)([0-9]*)\(([0-9]+)\)", r"\1\\overline{\2}"),
        ("dots", r"(?<=[0-9])\\[lc]?dots(?![A-Za-z])", "..."),
        (
            "...",
            r"(\.[0-9]{0,20}?)(?:([0-9])\2{2,40}|([0-9]{2})\3{2,20}|([0-9]{3,12})\4{1,9})\.\.\.$",
            r"\1\\overline{\2\3\4}",
        ),
        ("\\overline", r"([0-9]*)\.([0-9]*)\\overline ?\{ ?([0-9]+) ?\}", _fraction),
        (" ", r"(?<![0-9.,])[0-9]{1,3}(?: [0-9]{3}){2,}(?![0-9])", lambda match: match[0].replace(" ", ",")),
    )
)
_PHRASES = {
    **dict.fromkeys(
        (
            "all real numbers",
            "all reals",
            "the real numbers",
            "the set of all real numbers",
            "the set of real numbers",
        ),
        "\\mathbb{R}",
    ),
    **dict.fromkeys(("empty set", "the empty set"), "\\emptyset"),
    **dict.fromkeys(("positive \\infty", "plus \\infty"), "\\infty"),
    **dict.fromkeys(("negative \\infty", "minus \\infty"), "-\\infty"),
}
_BLANKS = re.compile(r"\s+")
_ROW_END = re.compile(r"\\\\\s*")
_ARRAY = re.compile(
    r"([(\[]) ?\\begin ?\{(?:array|matrix)\}(?: ?\{[lcr |]*\})?(.*?)\\end ?\{(?:array|matrix)\} ?([)\]])"
)
_INLINE = re.compile(r"(?<![0-9A-Za-z\\])\$([^$]*[^$\\])\$(?![0-9])")
_DELIMITERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"))


def clean(text: str) -> str:
    """The text in the form that the tiers of `answers` read."""
    return _cached(text) if len(text) <= MAX_CACHED_CHARS else _cleaned(text)


def _cleaned(text: str) -> str:
    """See `clean`."""
    if _PLAIN.fullmatch(text) and not _MEANING.search(text):
        return " ".join(text.split()).rstrip(".,").rstrip()
    if not text.isascii():
        text = text.translate(INVISIBLE).translate(CHARACTERS)
    text = _undelimited(text.strip())
    if text.count("$") == 2:
        text = _INLINE.sub(r"\1", text)
    if "\\begin" in text:
        text = _ROW_END.sub(r"\\cr ", text)
    text = _rewritten(text, _FIRST)
    if "\\begin" in text:
        text = _ARRAY.sub(r"\\begin{pmatrix}\2\\end{pmatrix}", text)
    text = _rewritten(_BLANKS.sub(" ", text).strip(), _SECOND)
    if ";" in text and "," not in text and text[:1] in "([" and text[-1:] in ")]":
        text = text.replace(";", ",")
    text = _undelimited(_BLANKS.sub(" ", text).strip().rstrip(".;,").strip())
    return _PHRASES.get(text.casefold(), text)


_cached = lru_cache(maxsize=8_192)(_cleaned)


def _rewritten(text: str, rewrites: tuple) -> str:
    for trigger, pattern, into in rewrites:
        if trigger in text:
            text = pattern.sub(into, text)
    return text


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
