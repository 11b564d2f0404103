"""Numbers of any size are compared by all their digits, within a bounded time; what is too large is refused."""

import time

import pytest

from reward_fns.answers import compare, is_equivalent, judge
from reward_fns.cleaning import clean
from reward_fns.match import Match
from reward_fns.primes import prime_factors

NINES = "9" * 500

SAME = [
    ("(5/6)^{600}", r"\frac{5^{600}}{6^{600}}"),
    (r"\frac{2^{2023}-1}{2^{2023}}", r"1-\frac{1}{2^{2023}}"),
    (r"\frac12-\frac{1}{2\cdot 3^{2023}}", r"\frac{3^{2023}-1}{2\cdot 3^{2023}}"),
    (r"1-0.5^{2023}", r"1-\frac{1}{2^{2023}}"),
    (r"|2^{-2023} - 2^{-2022}|", r"2^{-2023}"),
    (r"2004 \cdot 2003!", "2004!"),
    (r"\frac{2000!}{1000!^2}", r"\binom{2000}{1000}"),
    (r"\binom{2000}{1001}", r"\binom{2000}{999}"),
    (r"\binom{10^{9}}{2}", r"\frac{10^{9}(10^{9}-1)}{2}"),
    ("15", "5!!"),
    (r"6^{2024}", r"2^{2024}\cdot 3^{2024}"),
    ("1e-400", "10^{-400}"),
    ("2.5e-4000", r"2.5 \times 10^{-4000}"),
    ("1.5E+600", r"15 \cdot 10^{599}"),
    (r"10^{-400}\%", "10^{-402}"),
    (r"\frac{25}{4}\%", r"\frac{1}{16}"),
    (NINES, f"{NINES}.0"),
    (r"\frac{" + "1" * 100 + "}{" + "3" * 100 + "}", r"\frac13"),
    (r"\sqrt{10^{4000}}", "10^{2000}"),
    (r"\sqrt{2^{2023}}", r"2^{1011}\sqrt{2}"),
    (r"\sqrt[3]{2^{3000}}", "2^{1000}"),
    (r"2\sqrt{1000036000099}", r"\sqrt{4\cdot 1000036000099}"),
    (r"\ln(2^{2023})", r"2023\ln 2"),
    (r"\log_2(2^{5000})", "5000"),
    (r"\frac{1}{e^{1000}}", "e^{-1000}"),
    ("4^{500000}", "2^{1000000}"),
    (r"6^{10^{9}}", r"2^{10^{9}}\cdot 3^{10^{9}}"),
    ("9^9^9^9", "9^{9^{9^{9}}}"),
]

DIFFERENT = [
    (r"\frac{1}{2^{2022}}", r"\frac{1}{2^{2023}}"),
    (r"1-\frac{1}{2^{2022}}", r"1-\frac{1}{2^{2023}}"),
    (r"\frac{3^{2023}+1}{2\cdot 3^{2023}}", r"\frac{3^{2023}-1}{2\cdot 3^{2023}}"),
    ("(5/6)^{599}", "(5/6)^{600}"),
    ("1/120!", "1/121!"),
    ("1-0.5^{2022}", r"1-\frac{1}{2^{2023}}"),
    ("2004!+1", "2004!"),
    ("120!", "5!!"),
    (r"\binom{2000}{1000}", r"\binom{2000}{999}"),
    (r"\frac{1}{\binom{2000}{1000}}", r"\frac{1}{\binom{2000}{999}}"),
    ("1e-401", "1e-400"),
    ("1e-4001", "1e-4000"),
    ("0", "1e-400"),
    (r"2^{-2023}\%", r"2^{-2022}\%"),
    (f"{NINES}8", f"{NINES}9"),
    ("0." + "0" * 200 + "1", "0." + "0" * 199 + "1"),
    (r"\frac{" + "1" * 100 + "}{" + "3" * 99 + "4}", r"\frac13"),
    (r"\sqrt{2^{2023}+1}", r"\sqrt{2^{2023}}"),
    (r"\sqrt{101!}", r"\sqrt{100!}"),
    (r"\sqrt{123456789012345678901234567891}", r"\sqrt{123456789012345678901234567890}"),
    (r"\sqrt2+2^{-2022}", r"\sqrt2 + 2^{-2023}"),
    (r"\sqrt2", r"\sqrt2 + 2^{-2023}"),
    (r"\pi + 10^{-400}", r"\pi"),
    ("e^{-1001}", "e^{-1000}"),
    ("0", "e^{-1000}"),
    ("262537412640768744", r"e^{\pi\sqrt{163}}"),
    ("x = 2^{-2022}", "x = 2^{-2023}"),
    ("(0, 2^{-2022})", "(0,2^{-2023})"),
    (r"\{1, 2^{-2022}\}", r"\{1, 2^{-2023}\}"),
    ("2^{-2022} < x < 1", "2^{-2023} < x < 1"),
    (r"x \neq 2^{-2022}", r"x \neq 2^{-2023}"),
    ("x+2^{-2022}", "x+2^{-2023}"),
    (r"\frac{x}{2^{2022}}", r"\frac{x}{2^{2023}}"),
    ("2^{1000001}", "2^{1000000}"),
    ("10^{10^{10}}+1", "10^{10^{10}}"),
    ("9^{9^{9^8}}", "9^{9^{9^9}}"),
    ("9**9**9**9", "1"),
    ("(10^{100})!+1", "(10^{100})!"),
    ("((9^9)!)!", "9"),
]

NEARLY = [
    (r"\sin 1 + 2^{-2022}", r"\sin 1 + 2^{-2023}"),
    (r"\sin 1 + 10^{-20}", r"\sin 1"),
    (r"\sin x + 2^{-2022}", r"\sin x + 2^{-2023}"),
    (r"2^{-2022}\sin x", r"2^{-2023}\sin x"),
    (r"(\sin 1, 10^{-20}+\sin 2)", r"(\sin 1, \sin 2)"),
    (r"\{\sin 1, \tan 2 + 10^{-20}\}", r"\{\sin 1, \tan 2\}"),
    (r"x > \sin 1 + 10^{-20}", r"x > \sin 1"),
    (r"\begin{pmatrix}\sin 1 + 10^{-20} \\ 1\end{pmatrix}", r"\begin{pmatrix}\sin 1 \\ 1\end{pmatrix}"),
    (r"\tanh(1000)", "1"),
    (r"\arctan(10^{100})", r"\frac{\pi}{2}"),
    ("2^{-99}", r"\sum_{k=1}^{\infty} 2^{-k-100}"),
    (r"\int_0^1 x^2 dx + 10^{-20}", r"\frac13"),
]

STILL_SAME = [
    (r"2^{-2023}+\sin(1)", r"\sin 1 + 2^{-2023}"),
    ("2^{-100}", r"\sum_{k=1}^{\infty} 2^{-k-100}"),
    (r"\int_0^1 x^2 dx", r"\frac13"),
    (r"\int_0^1 e^{-t^2} dt", r"\int_0^1 e^{-x^2} dx"),
    (r"\arcsin x + \arccos x", r"\frac{\pi}{2}"),
    (r"(\cos 1 \cdot 2, 1)", r"(2\cos 1, 1)"),
]


@pytest.mark.parametrize(("prediction", "gold"), SAME)
def test_same_numbers(prediction: str, gold: str) -> None:
    assert is_equivalent(prediction, gold)
    assert is_equivalent(gold, prediction)


@pytest.mark.parametrize(("prediction", "gold"), DIFFERENT)
def test_different_numbers(prediction: str, gold: str) -> None:
    assert not is_equivalent(prediction, gold)
    assert not is_equivalent(gold, prediction)


@pytest.mark.parametrize(("prediction", "gold"), NEARLY)
def test_math_verify_does_not_round(prediction: str, gold: str) -> None:
    pytest.importorskip("math_verify")
    assert judge(prediction, gold) is not Match.SAME
    assert judge(gold, prediction) is not Match.SAME


@pytest.mark.parametrize(("prediction", "gold"), STILL_SAME)
def test_math_verify_still_knows_what_is_equal(prediction: str, gold: str) -> None:
    pytest.importorskip("math_verify")
    assert judge(prediction, gold) is Match.SAME


@pytest.mark.parametrize(
    "text",
    [
        "9^{9^{9^{9}}}",
        "((9^9)!)!",
        "x^{3^{99999}}",
        "1e-99999",
        "+".join(f"\\sqrt{{{9990 + i}!}}" for i in range(10)),
        "\\ln(10000!)" * 15,
        "+".join(f"{prime}^{{-12000}}" for prime in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)),
        "(2^{9999}+x)^{24}",
        "\\binom{150000}{9000}" * 12,
    ],
)
def test_what_is_too_large_is_refused_at_once(text: str) -> None:
    started = time.process_time()
    assert compare(clean(text), "18")[0] in (Match.AMBIGUOUS, Match.DIFFERENT)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    ("value", "factors"),
    [
        (0, {}),
        (1, {}),
        (360, {2: 3, 3: 2, 5: 1}),
        (2**2023, {2: 2023}),
        (6**1000 * 7, {2: 1000, 3: 1000, 7: 1}),
        (99_999_989, {99_999_989: 1}),
        (1_000_003**2, {1_000_003: 2}),
        (1_000_003 * 1_000_033, None),
    ],
)
def test_prime_factors(value: int, factors: dict[int, int] | None) -> None:
    assert prime_factors(value) == factors
