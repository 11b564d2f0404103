"""The process that asks math-verify: reads pairs of answers from stdin, writes a verdict for each to stdout.

Serves the section "Domains" of the design (one answer comparer). Started by `symbolic`, as a file and not as
a module, so that nothing of ReaLM is imported. Each line in is JSON `[prediction, gold]`, each line out
`same`, `different` or `unsure`. Text is parsed as LaTeX by math-verify's own grammar; its reader of plain
expressions, which evaluates text as Python, is left out.

Three things end this process, whatever sympy is doing: the parent kills it, the parent is gone (a thread looks,
and stdin ends), or a question used up its processor time, which the kernel enforces even while one long operation
on a huge number holds the interpreter's lock.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import threading
import time
from typing import Any

MEMORY_BYTES = 2 * 1024**3
STACK_FRAMES = 3_000
LOOK_SECONDS = 0.2
STARTING_CPU_SECONDS = 60.0
DIGITS, NEAR = 300, 200
"""Digits computed, and those to which equal formulas agree; both more by twice the digits of the numbers in them."""
MAX_DIGITS = 3_000
"""Formulas whose numbers have more are not compared."""
POINTS = (((3, 7), (5, 13), (7, 19)), ((17, 11), (29, 13), (43, 23)), ((-5, 9), (11, 8), (-13, 7)))
"""Where formulas are evaluated, as numerator and denominator: letters small, large, and of both signs."""
DEGREES = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?°")
WARMING = (
    ("\\sqrt{4}", "\\frac{6}{3}"),
    ("\\log_2 8 + \\sin(\\frac{\\pi}{6})", "\\frac{7}{2}"),
    ("\\sin^2 x + \\cos^2 x", "1"),
    ("\\{x^2, |x|\\}", "\\{x\\}"),
    ("x^2 > 1", "(1, 2) \\cup [3, \\infty)"),
    ("x^2 + y = 3", "y = 3 - x^2"),
    ("\\begin{pmatrix} 1 \\cr 2 \\end{pmatrix}", "\\int_0^1 x dx"),
)
"""Pairs that load what math-verify and sympy load late, before the first budget runs."""


def main() -> None:
    """Answer until stdin ends."""
    parent, cpu_seconds = int(sys.argv[1]), float(sys.argv[2])
    limit_process(STARTING_CPU_SECONDS)
    threading.Thread(target=exit_with, args=(parent,), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print is no answer
    verdict = prepared_verdict()
    print("ready", file=answers)
    for line in sys.stdin:
        prediction, gold = json.loads(line)
        limit_cpu(cpu_seconds)
        print(verdict(prediction, gold), file=answers)


def limit_process(cpu_seconds: float) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(STACK_FRAMES)
    limit_cpu(cpu_seconds)


def limit_cpu(seconds: float) -> None:
    """Let the kernel end this process after that much more processor time."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    wanted = int(time.process_time() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard < 0 else min(wanted, hard), hard))


def exit_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(1)


def prepared_verdict() -> Any:
    """The comparing function, with math-verify imported and its grammar warmed up."""
    from math_verify import LatexExtractionConfig, parse, verify
    from math_verify.parser import NormalizationConfig
    from sympy import (
        Abs,
        Basic,
        Derivative,
        Expr,
        Float,
        I,
        Integral,
        Limit,
        MatrixBase,
        Pow,
        Product,
        Rational,
        Sum,
        acot,
        atan,
        cos,
        log,
        sin,
        tan,
    )
    from sympy import factorial as factorial_function
    from sympy.core.function import AppliedUndef, Function

    NOT_EVALUATED = (Derivative, Integral, Limit, Product, Sum, AppliedUndef, factorial_function)
    AS_THEIR_ARGUMENT = (
        AppliedUndef,
        Abs,
        acot,
        atan,
        cos,
        log,
        sin,
        tan,
    )  # others may vanish or grow as powers do

    # Units are ReaLM's own matter (`numbers`): math-verify would drop them.
    normalization = NormalizationConfig(basic_latex=True, malformed_operators=True, nits=True, boxed="last")
    latex = [LatexExtractionConfig(normalization_config=normalization)]

    def read(text: str) -> Any:
        text = DEGREES.sub(r"(\1 \\cdot \\frac{\\pi}{180})", text.replace("\\cr", "\\\\"))
        found = parse(f"\\boxed{{{text}}}", latex, fallback_mode="no_fallback", parsing_timeout=None)
        return next((item for item in found if isinstance(item, Basic | MatrixBase)), None)

    def exact(expression: Any) -> Any:
        """Decimals as the rationals they are: 0.333333 is not 1/3."""
        return expression.replace(lambda part: isinstance(part, Float), lambda part: Rational(str(part)))

    def imaginary(expression: Any) -> Any:
        """With a free `i` as the imaginary unit."""
        letters = {letter: I for letter in expression.free_symbols if letter.name == "i"}
        return expression.subs(letters) if letters else expression

    def digits_of(expression: Any) -> int:
        """How many digits its numbers have, worked out: what differs differs within a few times those."""
        parts = expression.flat() if isinstance(expression, MatrixBase) else expression.args
        found = 1 + sum(map(digits_of, parts))
        if isinstance(expression, Rational):
            found = max(abs(expression.p), expression.q).bit_length() // 3
        elif isinstance(expression, Pow) and expression.exp.is_number:
            found *= 1 + int(abs(complex(expression.exp)))
        elif isinstance(expression, Function) and not isinstance(expression, AS_THEIR_ARGUMENT):
            found += sum(int(abs(complex(part))) for part in parts if part.is_number)
        if found > MAX_DIGITS:
            raise OverflowError("numbers of too many digits")
        return found

    def agree(one: Any, other: Any, more: int) -> bool | None:
        """Whether two formulas have the same value at each of `POINTS`; None if that cannot be told.

        Sympy does not simplify all that is equal (`\\arcsin x + \\arccos x`), and takes long over numbers that are not.
        """
        if not all(isinstance(part, Expr) and not part.has(*NOT_EVALUATED) for part in (one, other)):
            return None
        digits, near = DIGITS + more, NEAR + more
        letters = sorted(one.free_symbols | other.free_symbols, key=str)
        for point in POINTS if letters else POINTS[:1]:
            values = {letter: Rational(*point[i % len(point)]) for i, letter in enumerate(letters)}
            gap, size = (part.evalf(digits, subs=values, maxn=2 * digits) for part in (one - other, one))
            if not (gap.is_number and size.is_number and gap.is_finite and size.is_finite):
                return None
            if abs(gap) > Rational(1, 10**near) * max(1, abs(size)):
                return None if letters else False  # a convention may leave out where they differ
        return True

    def equal(gold: Any, prediction: Any, more: int) -> bool:
        """What math-verify says; it rounds to 6 and 15 decimal places, so that what is equal for it is asked again."""
        if not verify(gold, prediction, timeout_seconds=None):
            return False
        if (
            isinstance(gold, Basic)
            and isinstance(prediction, Basic)
            and gold.as_dummy() == prediction.as_dummy()
        ):
            return True
        digits, gold, prediction = DIGITS + more, gold.doit(), prediction.doit()
        same = agree(prediction, gold, more)
        return bool(verify(gold, prediction, digits, digits, timeout_seconds=None)) if same is None else same

    def verdict(prediction: str, gold: str) -> str:
        try:
            one, other = read(prediction), read(gold)
            if one is None or other is None:
                return "unsure"
            one, other = exact(one), exact(other)
            more = 2 * (digits_of(one) + digits_of(other))
            same = agree(imaginary(one), imaginary(other), more)
            if same is None:
                same = equal(other, one, more)
                if not same and (imaginary(one), imaginary(other)) != (one, other):
                    same = equal(imaginary(other), imaginary(one), more)
        except Exception:  # noqa: BLE001  whatever sympy raises
            return "unsure"  # RecursionError and MemoryError too: the answer was too much, not wrong
        return "same" if same else "different"

    for pair in WARMING:
        verdict(*pair)
    return verdict


if __name__ == "__main__":
    main()
