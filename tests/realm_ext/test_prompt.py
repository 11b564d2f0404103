"""The prompt renderer: exact text, and nothing of a route where none is shown."""

import pytest

from realm_ext.prompt import ABOUT_CUT, GUIDED, UNGUIDED, render_messages, render_suffix
from reward_fns.routes import Route

ROUTES = (
    Route(("take 2", "add 3"), "5", True, True, None, "program"),
    Route(("take 2", "add 4"), "6", False, False, 1, "program"),
)
QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+3?"}]


def test_unguided_text() -> None:
    assert render_messages(QUESTION, ())[-1]["content"] == (
        "2+3?\n\nReason inside <think> </think>, then give the final answer inside <answer> </answer>."
    )


def test_guided_text() -> None:
    assert render_messages(QUESTION, ROUTES)[-1]["content"] == (
        "2+3?\n\nRoutes to judge:\n"
        "Route 1\n1. take 2\n2. add 3\nAnswer 1: 5\n"
        "Route 2\n1. take 2\n2. add 4\nAnswer 2: 6\n"
        "\nReason inside <think> </think>. Inside <verdicts> </verdicts> judge each route on one line, "
        "as `1: right` or `2: wrong at 3` with its first wrong step. "
        "Then give the final answer inside <answer> </answer>."
    )


def test_answers_can_be_hidden() -> None:
    text = render_messages(QUESTION, ROUTES, show_answers=False)[-1]["content"]
    assert "Answer:" not in text
    assert "Route 1\n1. take 2\n2. add 3\nRoute 2\n" in text


def test_last_user_message_is_the_one_changed_and_input_is_kept() -> None:
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": ""},
    ]
    rendered = render_messages(messages, ())
    assert [m["content"] for m in rendered] == ["first", "yes", "second" + UNGUIDED, ""]
    assert messages[2]["content"] == "second"


def test_content_parts_get_a_text_part() -> None:
    rendered = render_messages([{"role": "user", "content": [{"type": "text", "text": "q"}]}], ROUTES)
    assert rendered[0]["content"][0] == {"type": "text", "text": "q"}
    assert rendered[0]["content"][1]["text"].endswith(GUIDED)


def test_bad_messages_are_refused() -> None:
    with pytest.raises(ValueError, match="role 'user'"):
        render_messages([{"role": "system", "content": "x"}], ())
    with pytest.raises(TypeError, match="NoneType"):
        render_messages([{"role": "user", "content": None}], ())


def test_a_cut_route_shows_its_first_steps_and_neither_conclusion_nor_answer() -> None:
    text = render_suffix(ROUTES, shown_steps=[1, 2])
    assert "Route 1\n1. take 2\n(cut here)\nRoute 2\n1. take 2\n2. add 4\nAnswer 2: 6\n" in text
    assert "add 3" not in text and "Answer 1: 5" not in text
    assert text.endswith(ABOUT_CUT + GUIDED)


def test_whole_routes_are_rendered_as_without_cuts() -> None:
    assert render_suffix(ROUTES, shown_steps=[2, 2]) == render_suffix(ROUTES)
    assert ABOUT_CUT not in render_suffix(ROUTES)
