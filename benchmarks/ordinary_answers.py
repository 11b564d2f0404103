"""Ordinary model answers with their gold answers, drawn from a seed: what `bench_answers` compares.

Each kind draws a value, writes the gold answer in one form and the model's in another; a wrong answer is a
nearby other value in the same form. Half of each kind are right.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Pair:
    """`same` is the truth, by construction."""

    kind: str
    gold: str
    answer: str
    same: bool


def ordinary_pairs(count: int, seed: int) -> list[Pair]:
    """`count` pairs, all kinds in turn, in random order."""
    draw = random.Random(seed)
    makers = list(KINDS.items())
    pairs = []
    for i in range(count):
        kind, maker = makers[i % len(makers)]
        same = (i // len(makers)) % 2 == 0
        gold, answer = maker(draw, same)
        pairs.append(Pair(kind, gold, answer, same))
    draw.shuffle(pairs)
    return pairs


def integer(draw: random.Random, same: bool) -> tuple[str, str]:
    value = draw.randint(-20, 5000)
    other = value if same else value + draw.choice([-10, -1, 1, 2, 100])
    forms = ["{}", "{}.0", "${}$", "\\({}\\)", "**{}**", "{}.", "x = {}"]
    return str(value), draw.choice(forms).format(other)


def amount(draw: random.Random, same: bool) -> tuple[str, str]:
    value = draw.randint(1000, 9_999_999)
    other = value if same else value * 10 if draw.random() < 0.3 else value + draw.randint(1, 500)
    forms = ["{:,}", "\\${:,}", "${:,}.00", "{:,} dollars", "{:,} \\text{{ apples}}", "{:,} people"]
    return str(value), draw.choice(forms).format(other)


def decimal(draw: random.Random, same: bool) -> tuple[str, str]:
    value = Fraction(draw.randint(-9999, 9999), draw.choice([10, 100, 1000]))
    other = value if same else value + Fraction(draw.choice([-1, 1, 5]), 100)
    text = f"{float(other):.3f}"
    return f"{float(value):g}", draw.choice([text, f"${text}$", f"{text}0"])


def fraction(draw: random.Random, same: bool) -> tuple[str, str]:
    value = Fraction(draw.randint(1, 60) * draw.choice([1, -1]), draw.randint(2, 40))
    other = value if same else draw.choice([-value, 1 / value if abs(value) != 1 else value + 1, value + 1])
    by = draw.choice([1, 1, 2, 3])
    top, bottom = abs(other.numerator) * by, other.denominator * by
    sign = "-" if other < 0 else ""
    forms = [
        f"{sign}{top}/{bottom}",
        f"{sign}\\frac{{{top}}}{{{bottom}}}",
        f"${sign}\\dfrac{{{top}}}{{{bottom}}}$",
    ]
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}", draw.choice(forms)


def percent(draw: random.Random, same: bool) -> tuple[str, str]:
    value = draw.randint(1, 200)
    other = value if same else value + draw.choice([-1, 1, 10, 25])
    gold = draw.choice([f"{value}\\%", f"{value}%"])
    return gold, draw.choice([f"{other}%", f"{other}\\%", f"{other} \\%", f"{other}.0%"])


def mixed(draw: random.Random, same: bool) -> tuple[str, str]:
    whole, bottom = draw.randint(1, 9), draw.randint(3, 9)
    top = draw.randint(1, bottom - 1)
    other = whole if same else whole + draw.choice([1, 2])
    gold = f"\\frac{{{whole * bottom + top}}}{{{bottom}}}"
    return gold, draw.choice([f"{other}\\frac{{{top}}}{{{bottom}}}", f"${other}\\frac{{{top}}}{{{bottom}}}$"])


def scientific(draw: random.Random, same: bool) -> tuple[str, str]:
    digits, power = draw.randint(11, 99), draw.randint(2, 6)
    other = power if same else power + 1
    gold = str(digits * 10 ** (power - 1))
    mantissa = f"{digits / 10}"
    return gold, draw.choice([f"{mantissa} \\times 10^{other}", f"{mantissa}\\cdot 10^{{{other}}}"])


def choice(draw: random.Random, same: bool) -> tuple[str, str]:
    gold = draw.choice("ABCDE")
    other = gold if same else draw.choice([letter for letter in "ABCDE" if letter != gold])
    return gold, draw.choice(["{}", "({})", "{}.", "\\text{{{}}}", "\\textbf{{({})}}"]).format(other)


def root(draw: random.Random, same: bool) -> tuple[str, str]:
    factor, inside, bottom = draw.randint(2, 9), draw.choice([2, 3, 5, 6, 7, 10]), draw.randint(2, 7)
    other = factor if same else factor + 1
    gold = f"\\frac{{{factor}\\sqrt{{{inside}}}}}{{{bottom}}}"
    forms = [
        f"\\frac{{\\sqrt{{{other * other * inside}}}}}{{{bottom}}}",
        f"\\frac{{{other}}}{{{bottom}}}\\sqrt{{{inside}}}",
        f"\\frac{{{other * inside}}}{{{bottom}\\sqrt{{{inside}}}}}",
    ]
    return gold, draw.choice(forms)


def multiple_of_pi(draw: random.Random, same: bool) -> tuple[str, str]:
    top, bottom = draw.randint(2, 30), draw.randint(2, 12)
    other = top if same else top + 1
    forms = [
        f"\\frac{{{other}}}{{{bottom}}}\\pi",
        f"\\frac{{{2 * other}\\pi}}{{{2 * bottom}}}",
        f"{other}\\pi/{bottom}",
    ]
    return f"\\frac{{{top}\\pi}}{{{bottom}}}", draw.choice(forms)


def surd_sum(draw: random.Random, same: bool) -> tuple[str, str]:
    whole, factor, inside = draw.randint(1, 20), draw.randint(2, 9), draw.choice([2, 3, 5, 7, 11])
    sign = "+" if same else "-"
    return f"{whole}+{factor}\\sqrt{{{inside}}}", f"{factor}\\sqrt{{{inside}}} {sign} {whole}"


def polynomial(draw: random.Random, same: bool) -> tuple[str, str]:
    a, b, c = draw.randint(2, 9), draw.randint(1, 12), draw.randint(1, 20)
    other = c if same else c + draw.choice([-1, 1, 2]) or c + 3
    sign = "+" if other > 0 else "-"
    forms = [
        f"{a}x^2 + {b}x {sign} {abs(other)}",
        f"{other} + {b}x + {a}x^2",
        f"${b}x + {a}x^{{2}} {sign} {abs(other)}$",
    ]
    return f"{a}x^2+{b}x+{c}", draw.choice(forms)


def product(draw: random.Random, same: bool) -> tuple[str, str]:
    a, b = draw.randint(1, 9), draw.randint(1, 9)
    other = a * b if same else a * b + 1
    return f"(x+{a})(x+{b})", f"x^2 + {a + b}x + {other}"


def point(draw: random.Random, same: bool) -> tuple[str, str]:
    a, b = draw.randint(-9, 9), draw.randint(10, 30)
    first, second = (a, b) if same else (b, a)
    return f"({a}, {b})", draw.choice(["({},{})", "$({}, {})$", "\\left( {}, {} \\right)"]).format(
        first, second
    )


def interval(draw: random.Random, same: bool) -> tuple[str, str]:
    a, b = draw.randint(-9, 9), draw.randint(10, 30)
    return f"[{a}, {b})", f"\\left[{a},{b}\\right{')' if same else ']'}"


def solutions(draw: random.Random, same: bool) -> tuple[str, str]:
    a, b = draw.randint(1, 9), draw.randint(10, 30)
    return f"{a}, {b}", f"\\{{{b}, {a if same else -a}\\}}"


KINDS: dict[str, Callable[[random.Random, bool], tuple[str, str]]] = {
    "integer": integer,
    "amount": amount,
    "decimal": decimal,
    "fraction": fraction,
    "percent": percent,
    "mixed number": mixed,
    "scientific": scientific,
    "choice": choice,
    "root": root,
    "multiple of pi": multiple_of_pi,
    "sum with root": surd_sum,
    "polynomial": polynomial,
    "product": product,
    "point": point,
    "interval": interval,
    "solutions": solutions,
}
