"""Hostile model outputs from a seed: for `tests/reward_fns/test_hostile.py`, and by the ten thousand for `bench_hostile.py`.

Each maker draws one output of its kind; sizes, numbers and wrappings vary, so that no cache helps.
"""

import random
from collections.abc import Callable, Iterator

PROMPT = "Judge each route inside <verdicts></verdicts>, then give the final answer inside <answer></answer>."
PIECES = (
    "<think>", "</think>", "<verdicts>", "</verdicts>", "<answer>", "</answer>", "\\boxed{", "}", "{", "\\frac", "\n",
    "1: right", "2: wrong at 3", "####", "A:", "the answer is", "18", "\\sqrt", "^", "_", "$", "\\(", ",", "-", " or ",
    "\ud83d", "\udc00", "\u202e", "\u0661", "\x00", "½", "＜answer＞", "0", "x", "(", "]", "|", "\\begin{pmatrix}", "&",
)  # fmt: skip

Draw = random.Random


def hostile_outputs(count: int, seed: int, huge: int = 1_000_000) -> Iterator[tuple[str, str]]:
    """(kind, output), all kinds in turn; `huge` is the length of the longest."""
    draw = Draw(seed)
    names = list(MAKERS)
    for i in range(count):
        name = names[i % len(names)]
        text = MAKERS[name](draw, huge)
        if name in IN_ANSWER:
            text = draw.choice(["{}", "<think> so </think> <answer> {} </answer>", "\\boxed{{{}}}"]).format(
                text
            )
        yield name, text


def long_text(draw: Draw, huge: int) -> str:
    piece = draw.choice(
        ["x", "9", " ", "{", "\\frac", "<answer>", "1 or ", "#### 1\n", "\\boxed{1}", "=", "(", "A: "]
    )
    return draw.choice(["", "<answer>"]) + piece * (draw.randint(huge // 2, huge) // len(piece))


def nested_braces(draw: Draw, huge: int) -> str:
    depth = draw.randint(9_000, 11_000)
    opening, closing = draw.choice(
        [("{", "}"), ("(", ")"), ("\\boxed{", "}"), ("\\{", "\\}"), ("\\frac{", "}{2}")]
    )
    return opening * depth + "1" + closing * (depth if draw.random() < 0.5 else depth // 2)


def nested_little(draw: Draw, huge: int) -> str:
    depth = draw.randint(5, 60)
    opening, closing = draw.choice(
        [("\\sqrt{", "}"), ("(", ")"), ("\\frac{1}{1+", "}"), ("|", "|"), ("\\sin(", ")")]
    )
    return opening * depth + "x" + closing * depth


def power_tower(draw: Draw, huge: int) -> str:
    a, b, c = (draw.randint(3, 99) for _ in range(3))
    return draw.choice(["{}**{}**{}", "{}^{{{}^{{{}}}}}", "({}^{})^{{{}}}", "{}^{}^{}"]).format(a, b, c)


def huge_exponent(draw: Draw, huge: int) -> str:
    power = draw.randint(10**5, 10**12)
    return draw.choice(
        ["1e{}", "10^{{{}}}", "2^{{{}}}", "x^{{{}}}", "7^{{-{}}}", "3 \\times 10^{{{}}}"]
    ).format(power)


def factorials(draw: Draw, huge: int) -> str:
    return draw.choice(["{}!", "{}!!", "\\binom{{{0}}}{{{0}}}", "({}!)!"]).format(draw.randint(10**4, 10**12))


def big_power_of_sum(draw: Draw, huge: int) -> str:
    return f"({'+'.join('abcdxyz'[: draw.randint(2, 7)])}+1)^{{{draw.randint(30, 10_000)}}}"


def digits(draw: Draw, huge: int) -> str:
    return "".join(draw.choices("0123456789", k=draw.randint(300, 300_000)))


def unicode_digits(draw: Draw, huge: int) -> str:
    return "".join(draw.choices("٠١٢٣٤٥٦٧٨٩०१२३𝟏𝟐𝟑１８²³½", k=draw.randint(1, 12)))


def right_to_left(draw: Draw, huge: int) -> str:
    return draw.choice("\u202e\u202d\u200f\u2067") + str(draw.randint(0, 99)) + draw.choice("\u202c\u2069 ")


def half_surrogate(draw: Draw, huge: int) -> str:
    return str(draw.randint(0, 99)) + chr(draw.randint(0xD800, 0xDFFF)) + draw.choice(["", "\\sin", "\x00"])


def tags(draw: Draw, huge: int) -> str:
    kinds = draw.choices(PIECES[:6], k=draw.randint(1, 6))
    return "".join(kinds) * draw.randint(500, 5_000)


def echoed_prompt(draw: Draw, huge: int) -> str:
    return PROMPT * draw.randint(1, 40) + draw.choice(["", "<answer>", str(draw.randint(0, 9))])


def salad(draw: Draw, huge: int) -> str:
    return draw.choice(["", " "]).join(draw.choices(PIECES, k=draw.randint(5, 400)))


def wide_set(draw: Draw, huge: int) -> str:
    members = [
        f"{draw.randint(0, 9)}{draw.choice('xy')}^{draw.randint(1, 9)}" for _ in range(draw.randint(10, 60))
    ]
    return f"\\{{{','.join(members)}\\}}"


def formula_salad(draw: Draw, huge: int) -> str:
    parts = [
        "\\frac{1}{",
        "}",
        "\\sqrt",
        "{",
        "2",
        "x",
        "^",
        "_",
        "(",
        ")",
        "+",
        "-",
        "\\sin",
        "\\log_",
        "!",
        "|",
        "=",
    ]
    return "".join(draw.choices(parts, k=draw.randint(3, 60)))


MAKERS: dict[str, Callable[[Draw, int], str]] = {
    "long text": long_text,
    "nested braces": nested_braces,
    "nested a little": nested_little,
    "power tower": power_tower,
    "huge exponent": huge_exponent,
    "factorials": factorials,
    "power of a sum": big_power_of_sum,
    "digits": digits,
    "unicode digits": unicode_digits,
    "right to left": right_to_left,
    "half a surrogate": half_surrogate,
    "tags": tags,
    "prompt echoed": echoed_prompt,
    "salad": salad,
    "wide set": wide_set,
    "formula salad": formula_salad,
}
IN_ANSWER = frozenset(MAKERS) - {"long text", "tags", "prompt echoed", "salad"}
GOLDS = ("18", "\\frac{1}{2}", "x^2+1", "\\{1,2\\}", "\\sqrt{2}")
