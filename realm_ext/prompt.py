"""The one prompt renderer: bare question in, the prompt that a model sees out.

Serves design section "MRPV": routes stand numbered after the question, labels are never shown, and the
renderer, never the data, adds the instruction for the response grammar. Training (the agent loop), data
preparation (contrast rows) and evaluation (lm-eval tasks) all call `render_messages`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from reward_fns.domains.base import Rule
from reward_fns.routes import Route

UNGUIDED = "\n\nReason inside <think> </think>, then give the final answer inside <answer> </answer>."
GUIDED = (
    "\nReason inside <think> </think>. Inside <verdicts> </verdicts> judge each route on one line, "
    "as `1: right` or `2: wrong at 3` with its first wrong step. "
    "Then give the final answer inside <answer> </answer>."
)
CUT = "(cut here)"
ABOUT_CUT = f"\nA route that ends with {CUT} goes on unseen: judge the steps that are shown."


def render_routes(
    routes: Sequence[Route], show_answers: bool = True, shown_steps: Sequence[int] | None = None
) -> str:
    """The text block that shows `routes`, numbered from 1 in the given order, steps numbered from 1.

    `shown_steps` cuts each route after so many steps (None: nowhere); a cut route ends with `CUT`, without answer.
    """
    lines: list[str] = []
    for number, (route, n_steps) in enumerate(
        zip(routes, _counts(routes, shown_steps), strict=True), start=1
    ):
        lines.append(f"Route {number}")
        lines.extend(
            f"{step_number}. {step}" for step_number, step in enumerate(route.steps[:n_steps], start=1)
        )
        if n_steps < len(route.steps):
            lines.append(CUT)
        elif show_answers:
            lines.append(f"Answer {number}: {route.answer}")
    return "\n\nRoutes to judge:\n" + "\n".join(lines) + "\n"


def render_suffix(
    routes: Sequence[Route], show_answers: bool = True, shown_steps: Sequence[int] | None = None
) -> str:
    """What is added after the question: the routes block, if any, and the instruction of that regime."""
    if not routes:
        return UNGUIDED
    counts = _counts(routes, shown_steps)
    is_cut = any(count < len(route.steps) for route, count in zip(routes, counts, strict=True))
    return render_routes(routes, show_answers, counts) + (ABOUT_CUT if is_cut else "") + GUIDED


def render_rules(rules: Sequence[Rule]) -> str:
    """A rule book as it precedes the question in prompts that show it, by the rules' short names, highest first."""
    return "Rules, the first that applies decides:\n" + "".join(f"{r.name}: {r.text}\n" for r in rules)


def render_messages(
    messages: Sequence[Mapping[str, Any]],
    routes: Sequence[Route],
    show_answers: bool = True,
    shown_steps: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """Chat messages with the routes and the instruction appended to the last user message.

    Args:
        messages: the bare question as chat messages, each with `role` and `content`.
        routes: the routes to show, in the order of numbering; empty for an unguided prompt.
        show_answers: whether each whole route ends with its final answer.
        shown_steps: how many first steps of each route to show; None: all.

    Returns:
        New messages; the input is left as it was. Content given as a list of parts gets a text part.

    Raises:
        ValueError: there is no user message.
        TypeError: its content is neither text nor a list of parts.
    """
    rendered = [dict(message) for message in messages]
    user = next((m for m in reversed(rendered) if m.get("role") == "user"), None)
    if user is None:
        roles = [m.get("role") for m in rendered]
        raise ValueError(f"a prompt needs a message with role 'user'; found the roles {roles}")
    suffix = render_suffix(routes, show_answers, shown_steps)
    content = user.get("content")
    if isinstance(content, str):
        user["content"] = content + suffix
    elif isinstance(content, Sequence):
        user["content"] = [*content, {"type": "text", "text": suffix}]
    else:
        raise TypeError(
            f"a user message's content must be text or a list of parts, not {type(content).__name__}"
        )
    return rendered


def _counts(routes: Sequence[Route], shown_steps: Sequence[int] | None) -> Sequence[int]:
    return [len(route.steps) for route in routes] if shown_steps is None else shown_steps
