"""Exact numbers in answers: integers, decimals, fractions, mixed, scientific, percent, currency, units.

Serves the section "Domains" of the design (one answer comparer). Values are `Fraction`s, never floats, and
nothing is evaluated: `9**9**9` is no number here, and neither is one with too many digits. The text has
been through `answers.clean`, so LaTeX spacing, delimiters and `\\text` are gone.

Unit policy: a unit is kept beside the value. Scale words (`million`) multiply. Words that change what the
number means (`dozen`, `less`, `or`) make it unreadable instead of being dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

MAX_DIGITS = 400
"""Longer numbers, and powers of ten beyond this, are left to comparison as text."""

SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen", "₹": "rupee"}
_UNIT_NAMES = {
    "usd": "dollar", "eur": "euro", "gbp": "pound", "°": "degree", "feet": "foot", "ft": "foot",
    "in": "inch", "inches": "inch", "m": "meter", "metre": "meter", "metres": "meter", "cm": "centimeter",
    "mm": "millimeter", "km": "kilometer", "g": "gram", "kg": "kilogram", "mg": "milligram", "l": "liter",
    "litre": "liter", "litres": "liter", "ml": "milliliter", "s": "second", "sec": "second",
    "secs": "second", "min": "minute", "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour",
    "lb": "pound", "lbs": "pound", "oz": "ounce", "mi": "mile", "sq": "square", "cu": "cubic",
}  # fmt: skip
_SAME_UNITS = {"mile per hour": "mph", "kilometer per hour": "kph", "kmh": "kph"}

# Words after a number that are no unit: they join, negate, scale or start a formula.
_NOT_UNITS = frozenset(
    re.findall(
        r"\w+",
        """or and to than plus minus times over not no if either then is of from by
        less fewer below under negative loss short debt ago before
        dozen half halves quarter quarters third thirds pair pairs score gross couple
        pi sqrt sin cos tan log ln exp mod choose factorial infinity""",
    )
)
# Units of one or two letters, and those that may follow without a space; `5x` and `5 xy` are products.
_SHORT_UNITS = frozenset(
    re.findall(
        r"\w+",
        "sq cu m g s h L l cm mm km kg mg ml mL ft in lb lbs oz mi hr hrs min mins sec secs mph kph am pm AM PM",
    )
)

_UNSIGNED = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?|[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_SIGNED = rf"[+-]? ?{_UNSIGNED}"
_EXPONENT = "[+-]?[0-9]{1,4}"
_FRACTION = (
    rf"\\frac ?\{{ ?(?P<num>{_SIGNED}) ?\}} ?\{{ ?(?P<den>{_SIGNED}) ?\}}"
    r"|\\frac ?(?P<num1>[0-9]) ?(?P<den1>[0-9])"
    rf"|(?P<num2>{_UNSIGNED}) ?/ ?(?P<den2>{_UNSIGNED})"
)
_POWER_OF_TEN = rf"10 ?\^ ?(?:\{{ ?(?P<power1>{_EXPONENT}) ?\}}|(?P<power2>{_EXPONENT}))"
_BODY = (
    rf"(?:(?P<whole>[0-9]+)(?: (?=[0-9])| ?(?=\\)))?(?:{_FRACTION})"
    rf"|(?:(?P<mantissa>{_UNSIGNED}) ?(?:\\times|\\cdot|[x*]) ?)?{_POWER_OF_TEN}"
    rf"|(?P<decimal>{_UNSIGNED})(?:[eE](?P<exponent>{_EXPONENT}))?"
)
_NUMBER = re.compile(
    rf"(?P<sign>[+-]?) ?(?P<currency>[$€£¥₹]?) ?(?P<sign2>[+-]?) ?(?:{_BODY})"
    r"(?P<percent> ?%| percent\b)?(?P<rest>.*)",
    re.DOTALL,
)
_UNIT = re.compile(
    r" ?(?:(?P<symbol>[$€£¥₹°])|/? ?(?P<words>[A-Za-z]+(?:[ /-][A-Za-z]+){0,4})(?: ?\^ ?\{?[23]\}?)?)"
)
_UNIT_BEHIND = re.compile(r"(.*(?:[0-9})]|\\pi))( [A-Za-z][A-Za-z /]{1,40}(?: ?\^ ?\{?[23]\}?)?)", re.DOTALL)


@dataclass(frozen=True)
class Number:
    """An exact value with what stood around it. `percent` values are not divided by 100.

    `scale` is the power of ten of its scale word; `decimals` how many digits stood behind the point (None: it was written
    as a fraction or a power of ten).
    """

    value: Fraction
    percent: bool = False
    unit: str = ""
    scale: int = field(default=0, compare=False)
    decimals: int | None = field(default=None, compare=False)


def read_number(text: str) -> Number | None:
    """Read a whole cleaned text as one number; None if it is not surely one."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    magnitude = _magnitude(match)
    tail = read_unit(match["rest"])
    if magnitude is None or tail is None or (match["sign"] and match["sign2"]):
        return None
    scale, unit = tail
    if match["currency"]:
        unit = unit_of_currency(match["currency"], unit)
    value = magnitude * 10**scale if scale else magnitude
    value = -value if "-" in (match["sign"], match["sign2"]) else value
    written = match["decimal"] if match["exponent"] is None else None
    decimals = None if written is None else len(written.partition(".")[2])
    return Number(value, bool(match["percent"]), unit, scale, decimals)


def render_number(value: Fraction) -> str:
    """The canonical text of a value: `-3`, `7/2`."""
    return str(value)


def _magnitude(match: re.Match[str]) -> Fraction | None:
    group = match.groupdict()
    numerator = group["num"] or group["num1"] or group["num2"]
    if numerator is not None:
        top, bottom = _decimal(numerator), _decimal(group["den"] or group["den1"] or group["den2"])
        if top is None or not bottom:
            return None
        if group["whole"] is None:
            return top / bottom
        whole = _decimal(group["whole"])
        return whole + top / bottom if whole is not None and 0 <= top < bottom else None
    base = _decimal(group["mantissa"] or group["decimal"] or "1")
    power = group["power1"] or group["power2"] or group["exponent"] or "0"
    if base is None or abs(int(power)) > MAX_DIGITS:
        return None
    return base * Fraction(10) ** int(power) if power != "0" else base


def _decimal(text: str | None) -> Fraction | None:
    if text is None or len(text) > MAX_DIGITS:
        return None
    whole, _, tail = text.replace(",", "").replace(" ", "").partition(".")
    if not tail:
        return Fraction(int(whole))
    return Fraction(int(whole + tail), 10 ** len(tail))


def read_unit(rest: str) -> tuple[int, str] | None:
    """Powers of ten and unit after a number; None if the tail is not surely a unit."""
    if not rest.strip():
        return 0, ""
    match = _UNIT.fullmatch(rest.rstrip())
    if match is None:
        return None
    if match["symbol"]:
        return 0, _UNIT_NAMES.get(match["symbol"], CURRENCIES.get(match["symbol"], ""))
    first = re.split("[ /-]", match["words"])[0]
    apart = rest[0] in " /"
    if (len(first) < 3 or not apart) and first not in _SHORT_UNITS:
        return None
    words = match["words"].casefold().split(" ")
    scale = SCALES.get(words[0], 0)
    words = words[1:] if scale else words
    if any(part in _NOT_UNITS or part in SCALES for word in words for part in re.split("[/-]", word)):
        return None
    power = rest.rstrip()[match.end("words") :].strip(" ^{}")
    return scale, _unit_name(" ".join(words).replace("/", " per ").split(), power)


def without_unit(text: str) -> tuple[str, str]:
    """A formula and its unit, under the unit policy of numbers: `5\\sqrt{2} cm`, `$2\\pi`."""
    currency = text[0] if text[:1] in CURRENCIES else ""
    body, unit = text[len(currency) :].lstrip(), ""
    if (match := _UNIT_BEHIND.fullmatch(body)) and (read := read_unit(match[2])) and read[0] == 0:
        body, unit = match[1], read[1]
    return body, unit_of_currency(currency, unit) if currency else unit


def unit_of_currency(symbol: str, unit: str) -> str:
    """The unit of an amount with a currency sign in front and perhaps words behind: `$5 per day`."""
    currency = CURRENCIES[symbol]
    return currency if unit in ("", currency) else f"{currency} {unit}"


def _unit_name(words: list[str], power: str) -> str:
    names = [_singular(word) for word in words]
    if len(names) > 1 and names[0] in ("square", "cubic"):
        power = "2" if names.pop(0) == "square" else "3"
    name = " ".join(names)
    return f"{_SAME_UNITS.get(name, name)} {power}".strip()


def _singular(word: str) -> str:
    word = _UNIT_NAMES.get(word, word)
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word
