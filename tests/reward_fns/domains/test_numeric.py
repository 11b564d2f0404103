"""The domain `numeric`: sign, scale, percent, units and the stated tolerance, which is exact."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns import compute_score
from reward_fns.domains import get
from reward_fns.domains.numeric import DOMAIN, TOLERANCE
from reward_fns.domains.numeric.amounts import read_amount, render_amount


def row(gold: str) -> dict[str, Any]:
    return {"reward_model": {"style": "rule", "ground_truth": gold}, "extra_info": {"routes": None}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", "5"), ("-5", "-5"), ("(5)", "-5"), ("( 5.2 )", "-26/5"), ("$(1,200)", "-1200 dollar"), ("−5", "-5"),
        ("($5.2)", "-26/5 dollar"), ("(3.1%)", "-31/10%"), ("(3.1)%", "-31/10%"), ("(1,234) million", "-1234000000"),
        ("57.1%", "571/10%"), ("57.1 percent", "571/10%"), ("50 bps", "1/2%"), ("50 basis points", "1/2%"),
        ("2 percentage points", "2%"), ("$1.2 million", "1200000 dollar"), ("1.2M", "1200000"), ("3bn", "3000000000"),
        ("$ 5k", "5000 dollar"), ("1.2 MM", "1200000"), ("about 5%", "5%"), ("~ 5", "5"), ("**14.1%**", "141/10%"),
        ("\\boxed{14.1\\%}", "141/10%"), ("the answer is -3.5 million dollars.", "-3500000 dollar"), ("#### 7", "7"),
        ("Yes", "yes"), ("no.", "no"), ("0", "0"), ("-0", "0"), ("Answer: (5)", "-5"), ("5 m", "5000000"),
    ],
)  # fmt: skip
def test_extract(text: str, expected: str) -> None:
    assert DOMAIN.extract(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "5 or 6", "5-6", "between 5 and 6", "5 +/- 1", "5 \\pm 1", "5, 6", "5 6", "5?", "-(5)", "(-5)", "$($5)", "5-",
        "a loss of 5", "5 loss", "5 wrong", "not 5", "maybe 5", "5 probably", "(5) (6)", "9**9", "1e99999", "5 + 1",
        "yes or no", "yes and no", "not yes", "\\boxed{5} \\boxed{6}", "#### 5\n#### 6", "#### 5\nthe answer is 6",
        "nan", "inf", "five", "1" * 500, "5%%", "(B)", "$5 million million",
    ],
)  # fmt: skip
def test_unreadable(text: str) -> None:
    assert DOMAIN.extract(text) is None


@pytest.mark.parametrize(
    ("prediction", "gold", "expected"),
    [
        ("57.1", "57.1%", True), ("0.571", "57.1%", True), ("57.1%", "0.571", True), ("5.71", "57.1%", False),
        ("$5", "5", True), ("5 dollars", "€5", False), ("5 euros", "€5", True), ("1.2 million", "1,200,000", True),
        ("1,200", "1.2 million", False), ("-5", "(5)", True), ("5", "(5)", False), ("(5)", "5", False),
        ("14.136%", "14.1%", True), ("14.2%", "14.1%", False), ("2018", "2019", False), ("2019.0", "2019", True),
        ("2019.1", "2019", False), ("0.001", "0.0", False), ("$1.203 million", "$1.2 million", True), ("no", "yes", False),
        ("-14.1%", "14.1%", False), ("yes", "Yes", True), ("1", "yes", False), ("25 bps", "0.25%", True),
    ],
)  # fmt: skip
def test_equivalent(prediction: str, gold: str, expected: bool) -> None:
    read = DOMAIN.extract(prediction)
    assert read is not None and DOMAIN.equivalent(read, gold) is expected
    assert DOMAIN.check_row(row(gold)) == []


@pytest.mark.parametrize(
    ("prediction", "gold", "expected"),
    [
        ("-1642", "-1642 million dollars", True),
        ("-1642 million", "-1642 million dollars", True),
        ("$-1,642 million", "-1642 million dollars", True),
        ("-$1,642 million", "-1642 million dollars", True),
        ("-1.642 billion", "-1642 million dollars", True),
        ("-1,642,000,000", "-1642 million dollars", True),
        ("$-1,642,000,000", "-1642 million dollars", True),
        ("(1,642)", "-1642 million dollars", True),
        ("-1642 dollars", "-1642 million dollars", False),
        ("$-1642", "-1642 million dollars", False),
        ("-1648.6", "-1642 million dollars", False),
        ("-1648.6 million", "-1642 million dollars", False),
        ("-1642.3", "-1642 million dollars", False),
        ("1642", "-1642 million dollars", False),
        ("-1642 thousand", "-1642 million dollars", False),
        ("-1.642 thousand", "-1642 million dollars", False),
        ("-1642 million euros", "-1642 million dollars", False),
        ("-16.42", "-1642 million dollars", False),
        ("-1.642", "-1642 million dollars", False),
        ("-1642%", "-1642 million dollars", False),
        ("4.9", "$4.9 million", True),
        ("4,900,000", "$4.9 million", True),
        ("$4.9 million", "$4.9 million", True),
        ("$4,900,000", "$4.9 million", True),
        ("4900 thousand", "$4.9 million", True),
        ("4.90", "$4.9 million", True),
        ("4.92", "$4.9 million", True),
        ("4.96", "$4.9 million", False),
        ("5", "$4.9 million", False),
        ("$4.9", "$4.9 million", False),
        ("4900", "$4.9 million", False),
        ("4.9 billion", "$4.9 million", False),
        ("49", "$4.9 million", False),
        ("4.9 thousand", "$4.9 million", False),
        ("14", "14%", True),
        ("14%", "14%", True),
        ("0.14", "14%", True),
        ("14.0%", "14%", True),
        ("14%", "0.14", True),
        ("14.2%", "14%", False),
        ("1.4%", "14%", False),
        ("14.05%", "14%", False),
        ("13.7%", "0.1371", True),
        ("0.137", "0.1371", True),
        ("13.71%", "0.1371", True),
        ("0.1371", "0.1371", True),
        ("14%", "0.1371", False),
        ("0.14", "0.1371", False),
        ("13.8%", "0.1371", False),
        ("0.13712", "0.1371", True),
        ("0.13716", "0.1371", False),
        ("14.0%", "0.1397", True),
        ("0.140", "0.1397", True),
        ("0.14", "0.1397", False),
        ("14.00%", "0.1397", False),
        ("2018", "2019", False),
        ("2019", "2019", True),
        ("2019.0", "2019", True),
        ("2019.1", "2019", False),
        ("1230", "1234.5", False),
        ("1235", "1234.5", True),
        ("1234.5", "1234.5", True),
        ("1234.52", "1234.5", True),
        ("1234.6", "1234.5", False),
        ("1240", "1234.5", False),
        ("yes", "Yes", True),
        ("no", "yes", False),
        ("5 million", "5,000,000", True),
        ("5", "5,000,000", False),
        ("$1.203 million", "$1.2 million", True),
        ("1.26 million", "$1.2 million", False),
        ("0.5", "1/2", True),
        ("0.333", "1/3", False),
        ("33.3%", "1/3", False),
        ("1,234.5", "#### 1234.5 million", True),
        ("1.64%", "0.01639", True),
        ("0.0164", "0.01639", True),
        ("1.6%", "0.01639", False),
        ("0.016", "0.01639", False),
        ("-0.137", "0.1371", False),
        ("25 bps", "0.25%", True),
        ("27 bps", "0.27%", True),
        ("5.83 million", "5,829,000", False),
        ("5829", "5,829 thousand", True),
        ("5,829,000", "5,829 thousand", True),
        ("5.829 million", "5,829 thousand", True),
        ("3bn", "$3 billion", True),
        ("3", "$3 billion", True),
        ("3.02 billion", "$3 billion", False),
        ("0.0", "0.001", False),
        ("0.001", "0.0", False),
        ("94/5735", "0.01639", True),
        ("94/5736", "0.01639", True),
        ("95/5735", "0.01639", False),
    ],
)
def test_units_that_the_question_asks_for_and_rounding(prediction: str, gold: str, expected: bool) -> None:
    read = DOMAIN.extract(prediction)
    assert read is not None and DOMAIN.equivalent(read, gold) is expected
    result = compute_score("realm/numeric", f"<answer> {prediction} </answer>", gold)
    assert result["acc"] == expected


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("14.0%", "14.0%"),
        ("-0.50", "-0.50"),
        ("2019.0", "2019.0"),
        ("12345678901234567890123456789012345678.90", "12345678901234567890123456789012345678.90"),
        ("4.90 million", "4900000"),
        ("1.642 thousand", "821/500 thousand"),
    ],
)
def test_digits_that_say_how_far_it_was_rounded_stay(text: str, canonical: str) -> None:
    assert DOMAIN.extract(text) == canonical
    assert DOMAIN.extract(canonical) == canonical


def test_the_tolerance_is_half_of_the_last_digit_and_exact() -> None:
    for delta in (Fraction(1, 10**30), Fraction(0), -Fraction(1, 10**30)):
        value = Fraction(200) + TOLERANCE / 10 + delta
        assert DOMAIN.equivalent(str(value), "200.0") is (delta <= 0)


def test_a_route_on_the_scale_that_is_asked_for_agrees_with_the_answer() -> None:
    route = {"steps": ["a", "b"], "answer": "-1642 million dollars", "label": True, "source": "x"}
    text = "<verdicts>\n1: right\n</verdicts>\n<answer> -1642 </answer>"
    result = compute_score("realm/numeric", text, route["answer"], {"routes": [route], "shown": [0]})
    assert (result["acc"], result["consistent"]) == (1, 1)


amounts = st.builds(
    lambda value, percent, unit: render_amount(read_amount(f"{value}{'%' * percent} {unit}".strip())),  # type: ignore[arg-type]
    st.fractions(max_denominator=1000),
    st.booleans(),
    st.sampled_from(["", "dollar", "share"]),
)


@given(amounts)
def test_canonical_text_reads_back(text: str) -> None:
    assert DOMAIN.extract(text) == text and DOMAIN.equivalent(text, text)


@given(st.text(alphabet="0123456789.,()-$%kmb yesnor/", max_size=20) | st.text(max_size=20))
def test_total_and_stable(text: str) -> None:
    read = DOMAIN.extract(text)
    assert read is None or DOMAIN.extract(read) == read


def test_rules() -> None:
    assert [rule.precedence for rule in DOMAIN.rules] == list(range(1, len(DOMAIN.rules) + 1))
    assert get("numeric") is DOMAIN


def test_every_gsm8k_gold_scores_one_and_its_neighbours_none(shared_data: Path) -> None:
    lines = (shared_data / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines:
        gold = json.loads(line)["answer"].rsplit("####", 1)[1].strip()
        assert DOMAIN.check_row(row(gold)) == []
        value = int(gold.replace(",", ""))
        for text, right in (
            (f"${gold}", True),
            (f"#### {gold}", True),
            (str(value + 1), False),
            (f"-{gold}", value == 0),
        ):
            assert compute_score("realm/numeric", f"<answer>{text}</answer>", gold)["outcome"] == right, text
    assert len(lines) > 1000
