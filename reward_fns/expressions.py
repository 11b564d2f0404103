"""Reading short formulas, LaTeX or plain, into exact values: `\\frac{\\sqrt2}{2}`, `2x^2 - 3x + 1`, `5pi/6`.

Serves the section "Domains" of the design (one answer comparer). A tokenizer and a recursive descent of
bounded depth, linear in the text; nothing is evaluated but by `exact`. Whatever is not surely understood makes
the whole text unread.

Policy where writing is ambiguous: products written without a sign bind like those with one, left to right, so
`1/2x` is half of x; a whole number before a proper `\\frac` of whole numbers is a mixed number; `i` is the
imaginary unit, `e` a letter like any other; a number never stands behind a factor without a sign between.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor

from reward_fns import exact
from reward_fns.exact import Arithmetic, TooHardError, TooLargeError, Value

MAX_CHARS = 1_000
MAX_DEPTH = 24
MAX_DIGITS = 1_000

_TOKEN = re.compile(
    r"(?P<number>[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{3,5}(?![0-9.]))?)"
    r"|(?P<command>\\[A-Za-z]+)|(?P<word>[A-Za-z]+)|(?P<sign>\*\*|[-+*/^_(){}\[\]|!])|(?P<blank> +)"
)

FUNCTIONS = frozenset(
    re.findall(r"\w+", "sin cos tan cot sec csc ln log lg exp arcsin arccos arctan sinh cosh tanh")
)
_INVERSE = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}

GREEK = frozenset(
    re.findall(
        r"\w+",
        """alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma
        tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell""",
    )
)
_SIGNS = {"\\cdot": "*", "\\times": "*", "\\ast": "*", "\\div": "/", "**": "^"}
_WORDS = {name: name for name in (*FUNCTIONS, "pi", "sqrt", "theta", "alpha", "beta", "lambda", "abs")} | {
    f"a{name}": inverse for name, inverse in _INVERSE.items()
}
_MAX_LETTERS = 3
_END = ("end", "")


def read_expression(text: str) -> Value | None:
    """The exact value of a cleaned text; None if it is not surely a formula, or too large a one."""
    read = _outcome(text)
    return read if isinstance(read, Value) else None


def is_too_large(text: str) -> bool:
    """Whether a text holds a power, a factorial or nesting that no tier should work on."""
    read = _outcome(text)
    return read.is_huge() if isinstance(read, Value) else read is TooLargeError


@lru_cache(maxsize=1_024)
def _outcome(text: str) -> Value | type[TooHardError]:
    """The value, or the kind of error that says why there is none."""
    try:
        return _read(text)
    except TooHardError as error:
        return type(error)


def _read(text: str) -> Value:
    if len(text) > MAX_CHARS:
        raise TooHardError("long")
    parser = _Parser(_tokens(text))
    value = parser.sum()
    if parser.kind() != "end":
        raise TooHardError("syntax")
    return value


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, apart = 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise TooHardError("character")
        kind, token = str(match.lastgroup), match.group()
        position = match.end()
        if kind == "word":
            tokens += _word(token, apart)
        elif kind != "blank":
            token = _SIGNS.get(token, token)
            tokens.append(("sign" if token in "+-*/^" else kind, token))
        apart = kind == "blank"
    return [*tokens, _END]


def _word(word: str, apart: bool) -> list[tuple[str, str]]:
    """A function name, or letters that multiply; `apart`: a blank stands before it, as before a unit."""
    if word in _WORDS:
        return [("command", "\\" + _WORDS[word])]
    if len(word) > _MAX_LETTERS or (apart and len(word) == _MAX_LETTERS):
        raise TooHardError("word")
    return [("letter", letter) for letter in word]


class _Parser:
    """Recursive descent over the tokens; each method reads one construct and moves behind it."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._in_bars = False
        self._do = Arithmetic()
        self._commands: dict[str, Callable[[], Value]] = {
            "frac": lambda: self._do.divide(self._argument(), self._argument()),
            "binom": lambda: self._do.binomial(self._argument(), self._argument()),
            "sqrt": self._square_root,
            "pi": lambda: exact.atom("π"),
            "abs": lambda: _absolute(self._do, self._group()),
            "lfloor": lambda: self._rounded("floor"),
            "lceil": lambda: self._rounded("ceil"),
        }

    def kind(self) -> str:
        """Of the next token."""
        return self._tokens[self._at][0]

    def sum(self) -> Value:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TooLargeError("depth")
        total = self._signed_product()
        while self._text() in ("+", "-"):
            total = self._do.add(total, self._signed_product())
        self._depth -= 1
        return total

    def _text(self) -> str:
        return self._tokens[self._at][1]

    def _take(self, expected: str | None = None) -> str:
        text = self._text()
        if self.kind() == "end" or (expected is not None and text != expected):
            raise TooHardError("syntax")
        self._at += 1
        return text

    def _minus(self) -> bool:
        """Read an optional sign."""
        return self._text() in ("+", "-") and self._take() == "-"

    def _signed_product(self) -> Value:
        negative = self._minus()
        value = self._power()
        while True:
            if self._text() in ("*", "/"):
                divide = self._take() == "/"
                opposite = self._minus()
                factor = self._power()
                factor = self._do.negate(factor) if opposite else factor
                value = self._do.divide(value, factor) if divide else self._do.multiply(value, factor)
            elif self.kind() in ("letter", "command") or self._text() in ("(", "{"):
                value = self._do.multiply(value, self._power())
            else:
                break
        return self._do.negate(value) if negative else value

    def _power(self) -> Value:
        value = self._base()
        while self._text() in ("^", "!"):
            if self._take() == "^":
                value = self._do.power(value, self._exponent())
            elif self._text() == "!":
                self._take()
                value = self._do.double_factorial(value)
            else:
                value = self._do.factorial(value)
        return value

    def _exponent(self) -> Value:
        """What stands behind `^`; of several, the last binds first."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TooLargeError("depth")
        negative = self._minus()
        value = self._group() if self._text() in ("{", "(") else self._base()
        if self._text() == "^":
            self._take()
            value = self._do.power(value, self._exponent())
        self._depth -= 1
        return self._do.negate(value) if negative else value

    def _base(self) -> Value:
        kind, text = self._tokens[self._at]
        if kind == "number":
            return self._number()
        if kind == "letter":
            return self._letter()
        if kind == "command":
            return self._command()
        if text in ("(", "{"):
            return self._group()
        if text == "|" and not self._in_bars:
            return self._absolute()
        raise TooHardError("syntax")

    def _group(self) -> Value:
        closing = {"(": ")", "{": "}", "[": "]"}[self._take()]
        outside, self._in_bars = self._in_bars, False
        value = self.sum()
        self._in_bars = outside
        self._take(closing)
        return value

    def _absolute(self) -> Value:
        self._take("|")
        self._in_bars = True
        value = self.sum()
        self._in_bars = False
        self._take("|")
        return _absolute(self._do, value)

    def _rounded(self, name: str) -> Value:
        outside, self._in_bars = self._in_bars, False
        value = self.sum()
        self._in_bars = outside
        self._take("\\r" + name)
        rational = value.rational()
        if rational is None:
            return exact.opaque(name, value)
        return exact.number(floor(rational) if name == "floor" else ceil(rational))

    def _number(self) -> Value:
        text = self._take()
        value = _decimal(text)
        if self._text() == "_":
            raise TooHardError("number in another base")
        fraction = self._proper_fraction() if text.isdigit() else None
        return exact.number(value if fraction is None else value + fraction)

    def _proper_fraction(self) -> Fraction | None:
        """The `\\frac` of a mixed number, read only if it is one."""
        if self._text() != "\\frac":
            return None
        texts = [text for _, text in self._tokens[self._at + 1 : self._at + 7]]
        if len(texts) == 6 and (texts[0], texts[2], texts[3], texts[5]) == ("{", "}", "{", "}"):
            top, bottom, size = texts[1], texts[4], 7
        elif texts and len(texts[0]) == 2:
            top, bottom, size = texts[0][0], texts[0][1], 2
        else:
            return None
        if not (top.isdigit() and bottom.isdigit() and 0 < _decimal(top) < _decimal(bottom)):
            return None
        self._at += size
        return Fraction(int(top), int(bottom))

    def _letter(self) -> Value:
        name = self._take()
        if self._text() == "_":
            return exact.atom(f"{name}_{self._subscript()}")
        if name in "fgh" and self._text() == "(":
            return exact.opaque(f"function {name}", self._group())
        return exact.atom(name)

    def _subscript(self) -> str:
        self._take("_")
        if self._text() != "{":
            return self._take()
        self._take("{")
        parts = []
        while self._text() != "}":
            if self.kind() not in ("number", "letter"):
                raise TooHardError("subscript")
            parts.append(self._take())
        self._take("}")
        return " ".join(parts)

    def _command(self) -> Value:
        name = self._take()[1:]
        if name in FUNCTIONS:
            return self._function(name)
        if name in GREEK:
            subscript = f"_{self._subscript()}" if self._text() == "_" else ""
            return exact.atom(f"\\{name}{subscript}")
        if name not in self._commands:
            raise TooHardError("command")
        return self._commands[name]()

    def _argument(self) -> Value:
        """What `\\frac` takes: a group, or one digit, one letter, one command."""
        kind, text = self._tokens[self._at]
        if kind == "number" and len(text) > 1:
            if not text.isdigit():
                raise TooHardError("argument")
            self._tokens[self._at] = (kind, text[1:])
            return exact.number(int(text[0]))
        if text in ("(", "["):
            raise TooHardError("argument")
        return exact.number(_decimal(self._take())) if kind == "number" else self._base()

    def _square_root(self) -> Value:
        degree = exact.whole(self._group(), exact.MAX_ROOT) if self._text() == "[" else 2
        kind, text = self._tokens[self._at]
        if degree == 0 or (kind == "number" and len(text) > 1):
            raise TooHardError("root")
        value = exact.number(int(self._take())) if kind == "number" else self._base()
        rational = value.rational()
        negative = degree % 2 == 1 and rational is not None and rational < 0
        root = self._do.power(
            self._do.negate(value) if negative else value, exact.number(Fraction(1, degree))
        )
        return self._do.negate(root) if negative else root  # the real one: that of -8 is -2

    def _function(self, name: str) -> Value:
        base = power = None
        while self._text() in ("_", "^"):
            if self._take() == "_":
                base = self._argument()
            else:
                power = self._exponent()
        if power is not None and power.rational() == -1 and name in _INVERSE:
            name, power = _INVERSE[name], None
        if power is not None and (power.rational() or 0) <= 0:
            raise TooHardError("inverse function")
        argument = self._group() if self._text() in ("(", "{") else self._bare_argument()
        value = self._applied(name, base, argument)
        return value if power is None else self._do.power(value, power)

    def _applied(self, name: str, base: Value | None, argument: Value) -> Value:
        if name == "exp" and base is None:
            return self._do.power(exact.atom("e"), argument)
        if name in ("ln", "log", "lg"):
            if base is None:
                base = {"ln": exact.atom("e"), "lg": exact.number(10)}.get(name)
            bottom = exact.opaque("ln of the base of log") if base is None else self._do.logarithm(base)
            return self._do.divide(self._do.logarithm(argument), bottom)
        return exact.opaque(name, argument) if base is None else exact.opaque(name, base, argument)

    def _bare_argument(self) -> Value:
        """`2x` of `\\sin 2x`: numbers, letters and fractions up to a sign or another function."""
        value = self._power()
        while self.kind() == "letter" or self._text() in ("\\pi", *(f"\\{name}" for name in GREEK)):
            value = self._do.multiply(value, self._power())
        return value


def _absolute(do: Arithmetic, value: Value) -> Value:
    """`|x - 2|` and `|2 - x|` are one."""
    rational = value.rational()
    if rational is not None:
        return exact.number(max(rational, -rational))
    return exact.opaque("abs", min(value, do.negate(value), key=Value.key))


def _decimal(text: str) -> int | Fraction:
    if len(text) > MAX_DIGITS:
        raise TooHardError("digits")
    if text.isdigit():
        return int(text)
    return Fraction(text.replace(",", "").removesuffix("."))
