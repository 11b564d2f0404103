"""The critique in a guided response's thinking: one line a route that leads from its answer to the verdict.

Serves design.md, sections MRPV and Guided CoT distillation, step 5 (question + routes -> critique, verdicts, answer). A verdict
alone asks a small model to read a route, compare and judge within one token. Here each step of that stands in the text
and can be looked up: the route's answer is copied after the words that stand before it in the prompt, the own one is put
beside it, then whether they are the same, and where the route first goes wrong:

    Answer 1: Exact / Exact: same
    Answer 2: Irrelevant / Exact: differs, (Price gap) price: 4

Nothing here knows a domain: whoever writes contrast rows writes these lines. No reward reads them. Where a guided
response is to stand without routes (harvest, carry-over), `without_critique` takes them out again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reward_fns.response import Verdict

_LINE = re.compile(
    r"(?:^|\n)Answer [0-9]{1,4}: [^\n]{0,400}: (?:same|differs[^\n<]{0,200})(?=\n| </think>|\Z)"
)


def render_critique(
    claims: Sequence[str], verdicts: Sequence[Verdict], own: str, wheres: Sequence[str] = ()
) -> str:
    """The critique of the shown routes, to stand in the thinking after the own chain.

    Args:
        claims: what each route concludes, in the order of numbering; at least its answer.
        verdicts: the true verdict of each route.
        own: the own conclusion, in the words of `claims`.
        wheres: what leads to each route's first wrong step, in a few words; empty text, or no list: not said.

    Returns:
        As many lines as routes, without a line break at the end; "" for no routes.

    Raises:
        ValueError: the lists differ in length.
    """
    if not len(claims) == len(verdicts) == (len(wheres) if wheres else len(claims)):
        raise ValueError(
            f"one claim, one verdict and one place a route, please; got {len(claims)} claims, "
            f"{len(verdicts)} verdicts and {len(wheres)} places"
        )
    places = wheres or [""] * len(claims)
    return "\n".join(
        f"Answer {number}: {claim} / {own}: {_finding(verdict, where)}"
        for number, (claim, verdict, where) in enumerate(zip(claims, verdicts, places, strict=True), start=1)
    )


def without_critique(text: str) -> str:
    """A response or its thinking without the lines that judge a route; linear in the text's length."""
    return _LINE.sub("", text)


def _finding(verdict: Verdict, where: str) -> str:
    if verdict.right:
        return "same"
    if verdict.step is None:
        return "differs"
    return f"differs, {where}: {verdict.step + 1}" if where else f"differs at {verdict.step + 1}"
