"""The response grammar: the writer's text reads back, anything else is named and never guessed."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_fns.response import (
    MAX_CHARS,
    PROBLEMS,
    Response,
    Verdict,
    opens_thinking,
    parse_response,
    render_response,
)

RIGHT, WRONG_3 = Verdict(True), Verdict(False, 2)
GOOD = "<think> so </think>\n<verdicts>\n1: right\n2: wrong at 3\n</verdicts>\n<answer> 18 </answer>"

verdicts = st.builds(Verdict, st.just(True)) | st.builds(
    Verdict, st.just(False), st.none() | st.integers(0, 99_998)
)
plain = st.text(max_size=60).map(str.strip).filter(lambda text: "<" not in text)
fragments = st.sampled_from(
    [f"<{slash}{tag}>" for slash in ("", "/") for tag in ("think", "verdicts", "answer")]
    + ["1: right\n", "2: wrong\n", "18", " ", "\n", "\ud800"]
)


@given(st.none() | plain, st.lists(verdicts, max_size=6), plain)
def test_round_trip(think: str | None, judged: list[Verdict], answer: str) -> None:
    text = render_response(think, judged, answer)
    expected = Response(think, tuple(judged), bool(judged), answer, (), (answer,))
    assert parse_response(text, len(judged)) == expected


@given(st.lists(fragments | st.text(max_size=8), max_size=30).map("".join), st.integers(0, 4))
def test_total(text: str, n_shown: int) -> None:
    parsed = parse_response(text, n_shown)
    assert len(parsed.verdicts) == n_shown
    assert set(parsed.problems) <= set(PROBLEMS)
    if not parsed.problems:
        assert parsed.answer is not None and None not in parsed.verdicts


def test_good() -> None:
    parsed = parse_response(GOOD, 2)
    assert parsed.verdicts == (RIGHT, WRONG_3)
    assert (parsed.think, parsed.answer, parsed.problems) == ("so", "18", ())


@pytest.mark.parametrize(
    "text", ["1: Right.", "1 is right", "1: wrong at 0", "1: right 2: wrong", "1: right?"]
)
def test_unreadable_verdict_line(text: str) -> None:
    parsed = parse_response(f"<verdicts>\n{text}\n</verdicts><answer>1</answer>", 1)
    assert parsed.verdicts == (None,)
    assert "malformed_verdicts" in parsed.problems


@pytest.mark.parametrize(
    ("text", "n_shown", "problem"),
    [
        (GOOD, 0, "unexpected_verdicts"),
        (GOOD, 3, "missing_verdict"),
        (GOOD, 1, "malformed_verdicts"),
        (GOOD.replace("2:", "1:"), 2, "duplicate_verdict"),
        (GOOD.replace("<verdicts>", ""), 2, "no_verdicts"),
        (GOOD.replace("</verdicts>", ""), 2, "malformed_verdicts"),
        (GOOD.replace("</answer>", ""), 2, "unclosed_answer"),
        (GOOD.replace("</think>", ""), 2, "unclosed_think"),
        (GOOD + " and so on", 2, "extra_text"),
        ("well " + GOOD, 2, "extra_text"),
        (GOOD + "<answer>19</answer>", 2, "several_answers"),
        ("<think> a <think> b </think>" + GOOD.split("</think>")[1], 2, "several_think"),
        ("<answer>1</answer><verdicts>\n1: right\n</verdicts>", 1, "wrong_order"),
        ("18", 0, "no_answer"),
        ("<answer>18</answer></answer>", 0, "unbalanced_tags"),
        ("x" * (MAX_CHARS + 1), 0, "too_long"),
    ],
)
def test_problems_are_named(text: str, n_shown: int, problem: str) -> None:
    assert problem in parse_response(text, n_shown).problems


def test_route_judged_twice_counts_as_not_judged() -> None:
    text = "<verdicts>\n1: right\n1: right\n1: right\n2: wrong\n</verdicts><answer>1</answer>"
    assert parse_response(text, 2).verdicts == (None, Verdict(False))


def test_thinking_never_counts() -> None:
    text = "<think><answer>1</answer><verdicts>\n1: right\n</verdicts></think><answer>2</answer>"
    parsed = parse_response(text, 1)
    assert (parsed.answer, parsed.verdicts) == ("2", (None,))
    assert parse_response("<think> maybe <answer>1</answer>", 0).answer is None
    assert parse_response("hm <answer>1</answer> </think><answer>2</answer>", 0).answer == "2"


@pytest.mark.parametrize(
    ("text", "answers", "problems"),
    [
        ("First guess: <answer> 4 </answer>. Hmm, let me verify by", (), {"no_answer", "unclosed_think"}),
        ("<answer>4</answer>", (), {"no_answer", "unclosed_think"}),
        ("<think> so <answer>4</answer>", (), {"no_answer", "unclosed_think"}),
        ("so 4 </think><answer>4</answer>", ("4",), set()),
        ("<think> so 4 </think><answer>4</answer>", ("4",), set()),
        ("\n<think> so 4 </think><answer>4</answer>", ("4",), set()),
        ("is it <answer>3</answer>? </think><answer>4</answer>", ("4",), set()),
        ("a </think><answer>3</answer></think><answer>4</answer>", ("4",), {"several_think"}),
        ("a <think> b <answer>3</answer></think><answer>4</answer>", ("4",), {"several_think"}),
        ("a </think><answer>4</answer><think> b <answer>3</answer>", ("4",), {"unclosed_think"}),
    ],
)
def test_thinking_that_the_prompt_opened_never_counts(
    text: str, answers: tuple[str, ...], problems: set[str]
) -> None:
    parsed = parse_response(text, 0, opened=True)
    assert (parsed.answers, set(parsed.problems)) == (answers, problems)


def test_verdicts_in_thinking_that_the_prompt_opened_do_not_count() -> None:
    inside = "<verdicts>\n1: wrong\n</verdicts><answer>4</answer>"
    assert parse_response(inside, 1, opened=True).verdicts == (None,)
    parsed = parse_response(f"{inside}</think><verdicts>\n1: right\n</verdicts><answer>5</answer>", 1, True)
    assert (parsed.verdicts, parsed.answer, parsed.problems) == ((Verdict(True),), "5", ())


@pytest.mark.parametrize(
    ("prompt", "opened"),
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("<｜Assistant｜><think>", True),
        ("<|im_start|>assistant\n", False),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("What does <think> mean?<|im_end|>\n<|im_start|>assistant\n", False),
        ("", False),
    ],
)
def test_how_a_prompt_ended(prompt: str, opened: bool) -> None:
    assert opens_thinking(prompt) is opened


def test_blocks_inside_blocks_do_not_count() -> None:
    inside = "<verdicts>\n1: right\n<answer>5</answer></verdicts>"
    assert parse_response(inside, 1).answer is None
    assert parse_response(inside, 1).has_verdicts is False
    assert parse_response("<answer>5 <verdicts>\n1: right\n</verdicts></answer>", 1).verdicts == (None,)
    assert parse_response("<answer>1 <answer>2</answer>", 0).answer == "2"


def test_answers_are_ordered_by_last_appearance() -> None:
    text = "<answer>1</answer><answer>2</answer><answer>1</answer>"
    assert parse_response(text, 0).answers == ("2", "1")


def test_render_refuses_its_own_tags() -> None:
    with pytest.raises(ValueError, match="</think>"):
        render_response("a </think> b", [], "1")
    with pytest.raises(ValueError, match="<answer>"):
        render_response(None, [], "<answer>")
    with pytest.raises(ValueError, match="a step belongs to a wrong verdict"):
        Verdict(True, 1)


@pytest.mark.parametrize(
    "unit",
    ["<answer>", "</answer>", "<answer>1</answer>", "<verdicts>", "<think>", "</think>", "1: right\n", "<"],
)
def test_linear_time(unit: str) -> None:
    text = unit * (MAX_CHARS // len(unit))
    started = time.perf_counter()
    parse_response(text, 2)
    parse_response(text[8:], 2, opened=True)
    parse_response(f"<verdicts>{text[:-40]}</verdicts>", 2)
    assert time.perf_counter() - started < 2.0
