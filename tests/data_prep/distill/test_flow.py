"""The course of one question: attempts, what is taken, and rationales that have to stand without the answer."""

import asyncio
from collections.abc import Sequence

import pytest

from data_prep.distill.chains import Citations, Reading
from data_prep.distill.experts import find_expert
from data_prep.distill.flow import Outcome, Plan, Work
from data_prep.distill.prompts import PROMPT_VERSION, Prompts, prompt_version
from data_prep.distill.questions import Question
from data_prep.distill.requests import CHAIN, CHECK, RATIONALE, Failure, Reply, Request
from data_prep.search_relevance.generator import make_item
from reward_fns import domains
from reward_fns.content import content_uid

SEARCH = domains.get("search_relevance")
ITEM = make_item(1, "test", 3)
QUESTION = Question(
    content_uid(ITEM.question, ITEM.decision.label), ITEM.question, ITEM.decision.label, 0, "train"
)
GOLD, RULE = ITEM.decision.label, ITEM.decision.rule
WRONG = "Exact" if GOLD != "Exact" else "Irrelevant"
OTHER_RULE = "R1" if RULE != "R1" else "R2"


def reply(answer: str, rule: str | None = RULE, more: str = "") -> Reply:
    cite = f" [{rule}]" if rule else ""
    return Reply(f"<think>1. look{more}\n2. so {answer}{cite}</think><answer>{answer}</answer>", "stop", 1, 1)


def play(plan: Plan, *answers: Reply | Failure, expert: bool = True) -> tuple[Outcome, list[Request]]:
    asked: list[Request] = []

    async def ask(request: Request) -> Reply | Failure:
        asked.append(request)
        return answers[len(asked) - 1]

    how = Reading(SEARCH, Citations(SEARCH.rules), 500, "teacher/t")
    work = Work(plan, Prompts(SEARCH, 0), how, find_expert("search_relevance") if expert else None)
    return asyncio.run(work.work_on(QUESTION, ask)), asked


def reasons(outcome: Outcome) -> list[str]:
    return [drop.reason for drop in outcome.drops]


def test_the_first_right_chain_ends_it() -> None:
    outcome, asked = play(Plan(1, 4), reply(WRONG), reply(GOLD))
    assert [request.attempt for request in asked] == [0, 1] and outcome.taken == outcome.routes[1]
    assert [route.label for route in outcome.routes] == [False, True] and not outcome.drops


def test_more_samples_fill_the_bank() -> None:
    outcome, asked = play(Plan(3, 3), reply(GOLD, more="1"), reply(GOLD, more="1"), reply(WRONG))
    assert len(asked) == 3 and len(outcome.routes) == 2, "a text stands once"
    assert outcome.taken == outcome.routes[0] and len(outcome.replies) == 3


@pytest.mark.parametrize(
    ("rule", "expert", "reason"),
    [
        (None, False, "right chain not taken: no rule cited"),
        (OTHER_RULE, True, "right chain not taken: deciding rule not cited"),
    ],
)
def test_a_right_chain_that_is_not_taken_stays_a_route(rule: str | None, expert: bool, reason: str) -> None:
    outcome, asked = play(Plan(1, 2), reply(GOLD, rule), reply(GOLD), expert=expert)
    assert reasons(outcome) == [reason] and len(asked) == 2
    assert outcome.taken == outcome.routes[1] and [route.label for route in outcome.routes] == [True, True]


def test_without_an_expert_any_cited_rule_will_do() -> None:
    outcome, _ = play(Plan(1, 1), reply(GOLD, OTHER_RULE), expert=False)
    assert outcome.taken is not None


def test_citations_can_be_left_to_chance() -> None:
    outcome, _ = play(Plan(1, 1, need_citation=False), reply(GOLD, None), expert=False)
    assert outcome.taken is not None


def rationalise(*answers: Reply | Failure) -> tuple[Outcome, list[Request]]:
    return play(Plan(1, 2, rationalise=True), reply(WRONG), Failure("reply is empty", ""), *answers)


def kinds(asked: Sequence[Request]) -> list[str]:
    return [request.kind for request in asked]


def test_a_rationale_that_stands_is_kept_and_marked() -> None:
    outcome, asked = rationalise(reply(GOLD), reply(GOLD, more="x"), reply(WRONG), reply(GOLD))
    assert kinds(asked) == [CHAIN, CHAIN, RATIONALE, CHECK, CHECK, CHECK]
    assert (
        outcome.rationalised
        and outcome.taken is not None
        and outcome.taken.source == "teacher/t/rationalised"
    )
    assert outcome.taken in outcome.routes and len(outcome.routes) == 2, "checks are no routes"
    assert GOLD in asked[2].messages[0][1].partition("right answer is: ")[2].splitlines()[0]
    checked = asked[3].messages[0][1]
    assert "right answer is" not in checked and "1. look" in checked and f"so {GOLD}" not in checked


def test_two_of_three_decide() -> None:
    outcome, asked = rationalise(reply(GOLD), reply(GOLD), reply(GOLD))
    assert outcome.rationalised and kinds(asked)[3:] == [CHECK, CHECK]
    outcome, asked = rationalise(reply(GOLD), reply(WRONG), reply(WRONG))
    assert outcome.taken is None and kinds(asked)[3:] == [CHECK, CHECK]
    assert reasons(outcome)[-1] == "rationale: its steps lead to the answer in less than 2 of 3"
    assert all(not route.source.endswith("rationalised") for route in outcome.routes)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(WRONG), "rationale: reaches another answer than the one given"),
        (reply(GOLD, OTHER_RULE), "rationale: deciding rule not cited"),
        (reply(GOLD, more=" at the given answer"), "rationale: speaks of the given answer"),
        (reply(GOLD, more=", as we were told"), "rationale: speaks of the given answer"),
        (Reply(f"<think>1. so [{RULE}]</think><answer>{GOLD}</answer>", "stop"), "rationale: one step only"),
        (Reply("no", "stop"), "unparsable: no_answer"),
    ],
)
def test_a_rationale_that_does_not_stand(answer: Reply, reason: str) -> None:
    outcome, asked = rationalise(answer)
    assert outcome.taken is None and not outcome.rationalised and reasons(outcome)[-1] == reason
    assert CHECK not in kinds(asked)


def test_no_rationale_where_a_right_chain_was_found() -> None:
    outcome, asked = play(Plan(1, 1, rationalise=True), reply(GOLD, OTHER_RULE))
    assert outcome.taken is None and kinds(asked) == [CHAIN]


def test_the_prompt() -> None:
    text = Prompts(SEARCH, 0).chain("u", "How?", 0).messages[0][1]
    at = [text.index(f"[{rule.id}] {rule.name}: {rule.text}") for rule in SEARCH.rules]
    assert at == sorted(at) and text.index("Question:\nHow?") > at[-1]
    assert "One of" not in text and "The answer is one of: Exact, Substitute" in text
    assert text.endswith(
        "<think>\n1. first step\n2. next step\n</think>\n<answer> the final answer alone </answer>"
    )


def test_prompts_of_a_domain_without_labels_or_rules() -> None:
    class Bare(type(SEARCH)):  # type: ignore[misc]
        name, labels, rules = "bare", (), ()

    text = Prompts(Bare(), 0).chain("u", "How?", 0).messages[0][1]
    assert text.startswith("Question:\nHow?") and "rule" not in text and "one of" not in text


def test_the_version_changes_with_the_rules() -> None:
    class Other(type(SEARCH)):  # type: ignore[misc]
        rules = SEARCH.rules[:-1]

    assert prompt_version(SEARCH).startswith(f"{PROMPT_VERSION}-")
    assert prompt_version(SEARCH) == prompt_version(SEARCH) != prompt_version(Other())


def test_seeds_differ_between_attempts_and_can_be_left_out() -> None:
    seeds = [Prompts(SEARCH, 0).chain("u", "q", attempt).seed for attempt in range(20)]
    assert len(set(seeds)) == 20 and all(seed is not None and 0 <= seed < 2**31 for seed in seeds)
    assert seeds[0] == Prompts(SEARCH, 0).chain("another gold answer", "q", 0).seed
    assert Prompts(SEARCH, None).chain("u", "q", 0).seed is None


def test_plans() -> None:
    with pytest.raises(ValueError, match="samples are 1 to attempts"):
        Plan(3, 2)
