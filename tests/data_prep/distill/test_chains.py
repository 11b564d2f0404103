"""Reading replies: steps, citations, labels, and every reason to drop one."""

import pytest

from data_prep.distill.chains import Chain, Citations, Drop, Reading, read_chain
from data_prep.distill.questions import Question
from data_prep.distill.requests import Failure, Reply
from reward_fns import domains
from reward_fns.domains.base import Rule

SEARCH = domains.get("search_relevance")
HOW = Reading(SEARCH, Citations(SEARCH.rules), 500, "teacher/t")
QUESTION = Question("u", "?", "Substitute", 0, "train")
GOOD = (
    "<think>\n1. brand: a / b: differs [R7]\n2. so Substitute [R7]\n</think>\n<answer> Substitute </answer>"
)


def read(text: str, finish: str = "stop") -> Chain | Drop:
    return read_chain(Reply(text, finish, 1, 1), QUESTION, HOW)


def test_a_right_chain() -> None:
    chain = read(GOOD)
    assert isinstance(chain, Chain)
    assert chain.route.steps == ("brand: a / b: differs (Brand differs)", "so Substitute (Brand differs)")
    assert (chain.route.answer, chain.route.label, chain.route.source) == ("Substitute", True, "teacher/t")
    assert chain.cited == ("R7", "R7") and chain.raw_steps[1] == "so Substitute [R7]"


def test_a_wrong_chain_is_a_chain() -> None:
    chain = read(GOOD.replace("<answer> Substitute", "<answer> **exact**."))
    assert isinstance(chain, Chain) and not chain.route.label and chain.route.answer == "Exact"
    assert chain.route.sound is None and chain.route.first_error is None


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("1. one\n2. two\n", ["one", "two"]),
        ("1) one\n2) two", ["one", "two"]),
        ("Let me see.\n1. one\n  goes on\n2. two\n", ["one goes on", "two"]),
        ("1. draft\n2. wrong\n\nAgain:\n1. one\n2. two", ["one", "two"]),
        ("1. one\n4. not a step\n2. two", ["one 4. not a step", "two"]),
        ("1. one\n   1. inner\n2. two", ["one 1. inner", "two"]),
    ],
)
def test_steps(text: str, steps: list[str]) -> None:
    chain = read(f"<think>{text}</think><answer>Substitute</answer>")
    assert isinstance(chain, Chain) and list(chain.route.steps) == steps


@pytest.mark.parametrize(
    "text",
    [
        "1. one\n2. two\n<answer> Substitute </answer>",
        "<think> hm </think>\n1. one\n2. two\n<answer> Substitute </answer>",
        "<think> hm </think><think>\n1. one\n2. two\n</think><answer> Substitute </answer>",
        "Sure!\n<think>\n1. one\n2. two\n</think>\n<answer> Substitute </answer>\nAnything else?",
    ],
)
def test_teachers_that_think_in_their_own_way(text: str) -> None:
    chain = read(text)
    assert isinstance(chain, Chain) and chain.route.steps == ("one", "two")


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        (GOOD, "length", "truncated"),
        (GOOD, "content_filter", "ended by the server"),
        (GOOD.replace("[R7]", "[R77]"), "stop", "unknown rule cited"),
        (GOOD.replace("[R7]", "[R1, R99]"), "stop", "unknown rule cited"),
        ("It is a Substitute.", "stop", "unparsable: no_answer"),
        (
            "<think>1. a</think><answer>Exact</answer><answer>Substitute</answer>",
            "stop",
            "unparsable: several_answers",
        ),
        ("<think>so</think><answer>Exact</answer>", "stop", "unparsable: no numbered steps"),
        ("<think>1.  </think><answer>Exact</answer>", "stop", "unparsable: no numbered steps"),
        ("<think>1. a </answer> b</think><answer>Exact</answer>", "stop", "unparsable: tags in a step"),
        ("<think>1. a</think><answer>Exact or Substitute</answer>", "stop", "answer not comparable"),
        (f"<think>1. {'a' * 501}</think><answer>Exact</answer>", "stop", "too long"),
        (
            "<think>1. a</think><verdicts>1: right</verdicts><answer>Exact</answer>",
            "stop",
            "unparsable: unexpected_verdicts",
        ),
    ],
)
def test_drops(text: str, finish: str, reason: str) -> None:
    dropped = read(text, finish)
    assert isinstance(dropped, Drop) and dropped.reason == reason and len(dropped.evidence) <= 200


def test_a_failure_is_a_drop() -> None:
    assert read_chain(Failure("reply is empty", "e"), QUESTION, HOW) == Drop("reply is empty", "e")


def rule(name: str) -> Rule:
    return Rule(name, f"the {name}", "text", 1, "example")


def test_citations() -> None:
    both = Citations([rule("R1"), rule("R2"), rule("brand lock")])
    assert both.cited("a [R1], [R2; R9] and [brand lock], rule R2; not R1 or [0, 1] or [x]") == (
        *("R1", "R2", "R9", "brand lock", "R2"),
    )
    assert both.unknown(["R1", "R9"]) == ["R9"]
    assert (
        both.by_name("so [R1, R2] by rule R2 [brand lock]")
        == "so (the R1, the R2) by rule the R2 (the brand lock)"
    )
    assert Citations([]).cited("[R1]") == () and Citations([]).by_name("[R1]") == "[R1]"


STEPS = "1. brand: a / b: differs [R7]\n2. so Substitute [R7]"


@pytest.mark.parametrize(
    "finish", ["stop", "eos", "end_turn", "stop_sequence", "eos_token", "STOP", "COMPLETE"]
)
def test_words_for_a_reply_that_the_model_ended(finish: str) -> None:
    assert isinstance(read(GOOD, finish), Chain)


@pytest.mark.parametrize("finish", ["length", "max_tokens", "MAX_TOKENS", "model_length"])
def test_words_for_a_reply_that_was_cut(finish: str) -> None:
    found = read(GOOD, finish)
    assert isinstance(found, Drop) and found.reason == "truncated"


@pytest.mark.parametrize(
    ("text", "reasoning"),
    [
        ("<answer> Substitute </answer>", STEPS),
        ("It is a Substitute.\n<answer> Substitute </answer>", f"Let me think.\n{STEPS}"),
        ("", GOOD),
        (GOOD, "Hm, 1. I draft\n2. I draft more"),
    ],
)
def test_reasoning_that_the_server_split_off(text: str, reasoning: str) -> None:
    chain = read_chain(Reply(text, "stop", 1, 1, reasoning), QUESTION, HOW)
    assert isinstance(chain, Chain) and chain.raw_steps == (
        "brand: a / b: differs [R7]",
        "so Substitute [R7]",
    )
