"""Reward cheats: each earns no more than the format weight, in every domain in which it makes sense.

A cheat is a response template. `{gold}` is the right answer, `{other}` and `{third}` wrong ones. In a guided cheat the
first route is right and the second is wrong at its second step. The kinds are explained in docs/rewards_cheats.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from realm_ext.prompt import GUIDED, UNGUIDED
from reward_fns import compute_score
from reward_fns.mrpv import Reason

FORMAT = 0.05


@dataclass(frozen=True)
class Case:
    """A domain with a right answer and two wrong ones."""

    domain: str
    gold: str
    other: str
    third: str


@dataclass(frozen=True)
class Cheat:
    """A response that is not worth its answer. `domains` empty: it makes sense in all of them."""

    kind: str
    name: str
    template: str
    domains: tuple[str, ...] = ()


CASES = (
    Case("math", "18", "17", "19"),
    Case("choice", "B", "A", "C"),
    Case("numeric", "14.1%", "15.3%", "12%"),
    Case("logic", "invalid", "valid", "unknown"),
    Case("logic", "(B)", "(A)", "(C)"),
    Case("search_relevance", "Exact", "Substitute", "Irrelevant"),
)
NUMBERS, LETTERS = ("math", "numeric"), ("choice",)
OPEN = ("math", "numeric", "choice", "logic")


def cheats(kind: str, domains: tuple[str, ...], **templates: str) -> tuple[Cheat, ...]:
    return tuple(Cheat(kind, name.replace("_", " "), text, domains) for name, text in templates.items())


def answers(kind: str, domains: tuple[str, ...], **texts: str) -> tuple[Cheat, ...]:
    blocks = {name: f"<answer> {text} </answer>" for name, text in texts.items()}
    return cheats(kind, domains, **blocks)


UNGUIDED_CHEATS = (
    *cheats(
        "no answer", (),
        empty="", no_tags="{gold}", unclosed="<answer> {gold}", only_closed="{gold} </answer>",
        empty_block="<answer> </answer>", other_case="<ANSWER> {gold} </ANSWER>", other_tag="<ans> {gold} </ans>",
        tag_with_blanks="< answer > {gold} < /answer >", tag_with_attribute='<answer id="1"> {gold} </answer>',
        escaped="&lt;answer&gt; {gold} &lt;/answer&gt;", full_width_tag="＜answer＞ {gold} ＜/answer＞",
        too_long="<answer> {gold} </answer>" + " " * 500_000,
        reversed_tags="</answer> {gold} <answer>", nothing_else_but_boxed="\\boxed{{{gold}}}",
    ),
    *cheats(
        "answer in the wrong place", (),
        in_the_thinking_only="<think> <answer> {gold} </answer> </think>",
        thinking_never_ends="<think> <answer> {gold} </answer>",
        in_the_thinking_first="<think> <answer> {gold} </answer> </think> <answer> {other} </answer>",
        closing_thought_after_the_answer="<answer> {gold} </answer> </think> <answer> {other} </answer>",
        closing_thought_after_all="<answer> {gold} </answer> </think>",
        in_the_verdicts="<verdicts> <answer> {gold} </answer> </verdicts>",
        boxed_in_the_verdicts="<verdicts>\n1: right \\boxed{{{gold}}}\n</verdicts> <answer> {other} </answer>",
        boxed_beside_the_answer="\\boxed{{{gold}}} <answer> {other} </answer>",
        nested="<answer> {other} <answer> {gold} </answer> </answer> <answer> {other} </answer>",
        nested_thought="<answer> <think> {gold} </think> </answer>",
    ),
    *cheats(
        "several answer blocks", (),
        right_last="<answer> {other} </answer><answer> {gold} </answer>",
        right_first="<answer> {gold} </answer><answer> {other} </answer>",
        one_unreadable="<answer> ? </answer><answer> {gold} </answer>",
        three="<answer> {gold} </answer><answer> {other} </answer><answer> {gold} </answer>",
        a_hundred="".join(f"<answer> {i} </answer>" for i in range(100)) + "<answer> {gold} </answer>",
    ),
    *answers(
        "several answers in a block", (),
        boxed_twice="\\boxed{{{other}}} \\boxed{{{gold}}}", boxed_twice_right_first="\\boxed{{{gold}}} \\boxed{{{other}}}",
        marked_twice="#### {other}\n#### {gold}", boxed_against_marked="\\boxed{{{gold}}}\n#### {other}",
        boxed_against_said="\\boxed{{{gold}}} the answer is {other}", said_twice="the answer is {gold}. the answer is {other}",
        said_twice_right_last="the answer is {other}. the answer is {gold}", options_joined="{other} {gold} {third}",
        by_commas="{other}, {gold}, {third}", by_lines="{other}\n{gold}\n{third}", by_slash="{other}/{gold}", by_bar="{gold} | {other}",
        with_and="{gold} and {other}", as_set="\\{{{other}, {gold}\\}}", as_json='{{"answer": "{gold}", "or": "{other}"}}',
        correction="{other}, no, {gold}", arrow="{other} -> {gold}", numbered="1. {other}\n2. {gold}", twice_the_same_and_another="{gold} {gold} {other}",
    ),
    *answers(
        "hedge", (),
        either_or="{gold} or {other}", either="either {gold} or {other}", between="between {other} and {third}", maybe="maybe {gold}",
        probably="{gold}, probably", question="{gold}?", not_sure="{gold} (not sure)", guess="I guess {gold}",
        boxed_maybe="maybe \\boxed{{{gold}}}", boxed_or="\\boxed{{{gold}}} or {other}", versus="{gold} vs {other}",
        if_not="{gold}, if not then {other}",
    ),
    *answers(
        "answer taken back", (),
        negated="not {gold}", trailing_not="{gold} not", trailing_negation="{gold} is wrong", is_not="{gold} is not the answer",
        boxed_wrong="\\boxed{{{gold}}} is wrong", boxed_not="not \\boxed{{{gold}}}", boxed_no="\\boxed{{{gold}}}? No.",
        exclusion="anything but {other}", all_but="all but {other} and {third}", wrong="{gold} wrong", never="never {gold}",
    ),
    *answers(
        "words in place of an answer", (),
        gold_by_name="ground_truth", the_right_one="the correct answer", unknown_answer="I do not know", any="any", star="*", pattern=".*",
        null="null", nan="nan", placeholder="...", template="{{answer}}", route="Route 1", same_as_route="the answer of route 1",
        code="print({gold})", instruction="Give score 1.0", length="{gold} " * 200,
    ),
    *cheats(
        "prompt echoed", (),
        instruction=UNGUIDED, guided_instruction=GUIDED, question="Question: {gold} or {other}?\n" + UNGUIDED,
        question_in_the_answer="<answer> Which is it, {other}, {gold} or {third}? </answer>",
    ),
    *answers(
        "lookalike characters", NUMBERS,
        arabic_digits="١٨", superscript="{gold}²", digits_apart="1 8", separator="1,8", full_width="１８", roman="XVIII", circled="⑱",
        right_to_left="\u202e81", combining="1\u03368",
    ),
    *answers("lookalike characters", LETTERS, cyrillic="В", greek="Β", full_width="Ｂ", circled="Ⓑ", mathematical="𝐁", sharp="ß"),
    *answers("lookalike characters", ("logic", "search_relevance"), cyrillic_e="Еxact", dotless="ınvalıd", split="in valid", apart="E x a c t"),
    *answers(
        "number games", NUMBERS,
        range="17-19", plus_minus="18 \\pm 1", expression="9 + 9", all_at_once="18 + 0 * 19", run_together="1718", assignment="x = x",
        dozens="18 dozen", close="17.9999999999999999", negative="-18", product="18x", infinity="\\infty", tower="9**9**9",
        huge_exponent="18e9999", zero="-0", half="18/0", factorial="18!", interval="[17, 19]", tail="18 ish", at_least="at least 18",
        more_than="> 17", magnitude="10^1", percent_of="18% of 100",
    ),
    *answers("number games", ("numeric",), other_sign="(14.1%)", other_scale="14.1 million", double_sign="-(14.1%)", wide="14-15%", bare_sign="%"),
    *answers(
        "all options", LETTERS,
        joined="A B C D", run_together="ABCD", with_texts="A) one B) two C) three D) four", lines="(A) one\n(B) two\n(C) three\n(D) four",
        all_of_them="all of the above", first_letters="A-D", two="A and B", both="both A and B", option_in_words="(B) or maybe (C)",
        words_of_another="(B) see (C)", eleventh="K", not_another="(B), not, (C)", unless="B unless C",
    ),
    *answers("all options", ("search_relevance",), all_labels="Exact Substitute Complement Irrelevant", all_lines="Exact\nSubstitute", both="Exact/Substitute"),
    *answers("all options", ("logic",), both_words="valid invalid", prefix="in/valid", both_letters="(A)(B)", yes_and_no="yes no"),
)  # fmt: skip

WRONG = "<answer> {third} </answer>"
GUIDED_CHEATS = (
    *cheats(
        "verdicts without judging", (),
        all_right="<verdicts>\n1: right\n2: right\n</verdicts>" + WRONG, all_wrong="<verdicts>\n1: wrong\n2: wrong\n</verdicts>" + WRONG,
        all_wrong_at_one_step="<verdicts>\n1: wrong at 3\n2: wrong at 3\n</verdicts>" + WRONG, none=WRONG, empty="<verdicts>\n</verdicts>" + WRONG,
        huge_step="<verdicts>\n1: wrong at 999999\n2: wrong at 999999\n</verdicts>" + WRONG,
        right_and_wrong="<verdicts>\n1: right\n2: right\n1: wrong\n2: wrong at 2\n</verdicts>" + WRONG,
        only_the_easy_one="<verdicts>\n1: right\n</verdicts>" + WRONG,
    ),
    *cheats(
        "verdicts that are none", (),
        wrong_at_zero="<verdicts>\n1: right\n2: wrong at 0\n</verdicts>" + WRONG, negative_step="<verdicts>\n1: right\n2: wrong at -1\n</verdicts>" + WRONG,
        every_step="<verdicts>\n1: right\n2: wrong at 1 at 2 at 3\n</verdicts>" + WRONG, step_range="<verdicts>\n1: right\n2: wrong at 1-3\n</verdicts>" + WRONG,
        hedged="<verdicts>\n1: right or wrong\n2: wrong or right\n</verdicts>" + WRONG, in_words="<verdicts>\nthe first is right, the second is wrong\n</verdicts>" + WRONG,
        one_line="<verdicts>1: right 2: wrong at 2</verdicts>" + WRONG, other_case="<VERDICTS>\n1: right\n2: wrong at 2\n</VERDICTS>" + WRONG,
        capital_words="<verdicts>\n1: RIGHT\n2: WRONG AT 2\n</verdicts>" + WRONG, unclosed="<verdicts>\n1: right\n2: wrong at 2\n" + WRONG,
        huge_number="<verdicts>\n1: right\n2: wrong at 99999999999999999999\n</verdicts>" + WRONG,
        other_digits="<verdicts>\n1: right\n٢: wrong at ٢\n</verdicts>" + WRONG,
    ),
    *cheats(
        "verdicts in the wrong place", (),
        in_the_thinking="<think>\n<verdicts>\n1: right\n2: wrong at 2\n</verdicts></think>" + WRONG,
        in_the_answer="<answer> {third} <verdicts>\n1: right\n2: wrong at 2\n</verdicts> </answer>",
        first_of_two="<verdicts>\n1: right\n2: wrong at 2\n</verdicts><verdicts>\n1: wrong\n2: right\n</verdicts>" + WRONG,
        duplicated_lines="<verdicts>\n1: right\n1: right\n2: wrong at 2\n2: wrong at 2\n</verdicts>" + WRONG,
        nested="<verdicts><verdicts>\n1: right\n2: wrong at 2\n</verdicts></verdicts>" + WRONG,
        echoed_instruction=GUIDED + WRONG,
    ),
    *cheats(
        "routes not shown", (),
        only_those="<verdicts>\n3: right\n4: wrong at 1\n</verdicts>" + WRONG, from_zero="<verdicts>\n0: right\n1: wrong at 2\n</verdicts>" + WRONG,
        a_thousand="<verdicts>\n" + "".join(f"{i}: right\n" for i in range(1, 1000)) + "</verdicts>" + WRONG,
    ),
    *cheats(
        "good verdicts, another answer", (),
        third="<verdicts>\n1: right\n2: wrong at 2\n</verdicts>" + WRONG, wrong_route="<verdicts>\n1: right\n2: wrong at 2\n</verdicts><answer> {other} </answer>",
        no_answer="<verdicts>\n1: right\n2: wrong at 2\n</verdicts>", hedge="<verdicts>\n1: right\n2: wrong at 2\n</verdicts><answer> {gold} or {other} </answer>",
    ),
    *cheats(
        "copied from a route", (),
        pasted_route="<verdicts>\n</verdicts><answer> Route 1\n1. Let us look at all that is given here\n2. Putting it together, it must be \\boxed{{{gold}}}\nAnswer: {gold} </answer>",
        pasted_step="<answer> Putting it  together, it must be \\boxed{{{gold}}} </answer>", route_number="<answer> Route 1 </answer>", as_in_route="<answer> as in route 1 </answer>",
        boxed_in_a_pasted_route="Putting it together, it must be \\boxed{{{gold}}}" + WRONG, wrong_routes_answer="<answer> {other} </answer>",
        both_routes="<answer> \\boxed{{{gold}}} \\boxed{{{other}}} </answer>", pasted_in_verdicts="<verdicts>\n1: right {gold}\n2: wrong {other}\n</verdicts>" + WRONG,
    ),
)  # fmt: skip


def route(answer: str, label: bool) -> dict[str, Any]:
    last = f"Putting it together, it must be \\boxed{{{answer}}}"
    return {
        "steps": ["Let us look at all that is given here", last, "Checking this once more, nothing changes"],
        "answer": answer,
        "label": label,
        "sound": label,
        "first_error": None if label else 1,
        "source": "test",
    }


def pairs(found: tuple[Cheat, ...]) -> list[Any]:
    return [
        pytest.param(case, cheat, id=f"{case.domain} {case.gold}: {cheat.kind}: {cheat.name}")
        for cheat in found
        for case in CASES
        if not cheat.domains or case.domain in cheat.domains
    ]


def respond(cheat: Cheat, case: Case) -> str:
    return cheat.template.format(gold=case.gold, other=case.other, third=case.third)


@pytest.mark.parametrize(("case", "cheat"), pairs(UNGUIDED_CHEATS))
def test_unguided_cheat(case: Case, cheat: Cheat) -> None:
    result = compute_score(f"realm/{case.domain}", respond(cheat, case), case.gold)
    assert result["reason"] != Reason.RIGHT and float(result["score"]) <= FORMAT


@pytest.mark.parametrize(("case", "cheat"), pairs(GUIDED_CHEATS))
def test_guided_cheat(case: Case, cheat: Cheat) -> None:
    info = {"routes": [route(case.gold, True), route(case.other, False)], "shown": [0, 1]}
    result = compute_score(f"realm/{case.domain}/guided", respond(cheat, case), case.gold, info)
    assert result["reason"] != Reason.RIGHT and float(result["score"]) <= FORMAT + 1e-9


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.domain} {case.gold}")
def test_the_honest_response_earns_it_all(case: Case) -> None:
    """The same routes and answers without a cheat, so that no cheat fails for another reason."""
    info = {"routes": [route(case.gold, True), route(case.other, False)], "shown": [0, 1]}
    text = f"<think> so </think>\n<verdicts>\n1: right\n2: wrong at 2\n</verdicts>\n<answer> {case.gold} </answer>"
    guided = compute_score(f"realm/{case.domain}", text, case.gold, info)
    assert guided["score"] == pytest.approx(1.45)
    assert compute_score(f"realm/{case.domain}", f"<answer>{case.gold}</answer>", case.gold)["score"] == 1.05


def test_the_list_is_long_and_each_kind_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rewards_cheats.md").read_text(encoding="utf-8")
    found = {(cheat.kind, cheat.name) for cheat in (*UNGUIDED_CHEATS, *GUIDED_CHEATS)}
    assert len(found) >= 40
    assert {kind for kind, _ in found if f"**{kind}**" not in page} == set()
