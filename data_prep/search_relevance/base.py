"""Rows for a `base` model of `search_relevance`: text, grammar, reading and comparing, but not one rule.

Serves design.md, section Data. The `base` checkpoint stands for a pre-trained model. Each check is read truly and every
label is drawn at random; which checks matter, in which order and when to stop is left open. A route in the prompt is
judged by comparing, which needs no rule: its readings are true as well, so it is wrong, at its conclusion, where that
is another than the own one.
"""

import random
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from data_prep.search_relevance.datasets import Batch, chain_row, make_rows, rng_of
from data_prep.search_relevance.expert import right_route
from data_prep.search_relevance.generator import READING_SHARES, Item
from reward_fns.domains.search_relevance.engine import LABELS, Decision, Finding, observe
from reward_fns.response import Verdict
from reward_fns.routes import Route

SAME_SHARE = 0.4  # of the routes get the own label; of the others one in four has it by chance


def base_rows(
    n: int,
    seed: int,
    split: str = "base",
    max_routes: int = 4,
    guided_share: float = 0.5,
    *,
    exclude: Collection[str] = (),
    on_row: Callable[[], object] | None = None,
    hold_out: Collection[str] = (),
) -> Batch:
    """`n` rows of `SFT_SCHEMA`, `guided_share` of them with one to `max_routes` routes to judge."""

    def make(index: int, item: Item) -> dict[str, Any]:
        rng = rng_of("base", seed, split, index)
        n_routes = 0
        if rng.random() < guided_share:  # as in contrast rows: any number, all most often
            n_routes = rng.choice((max_routes, rng.randint(1, max_routes)))
        # Who judges routes has made every check, as in contrast rows.
        own = _chain(item, rng, is_brief=not n_routes and rng.random() < 0.2)
        judged = [_judged(item, own, rng) for _ in range(n_routes)]
        return chain_row(item, own, [route for route, _ in judged], [verdict for _, verdict in judged])

    return make_rows(n, seed, split, make, exclude, on_row, READING_SHARES, hold_out)


def _judged(item: Item, own: Route, rng: random.Random) -> tuple[Route, Verdict]:
    """A route and what comparing it with the own chain comes to."""
    route = _chain(item, rng, is_brief=rng.random() < 0.2)
    if rng.random() < SAME_SHARE:
        route = replace(route, steps=(*route.steps[:-1], f"so {own.answer}"), answer=own.answer)
    same = route.answer == own.answer
    return route, Verdict(True) if same else Verdict(False, len(route.steps) - 1)


def _chain(item: Item, rng: random.Random, is_brief: bool) -> Route:
    """A chain by someone who can read and knows the catalogue, but no rule: readings in order, any label."""
    query = item.query
    checks = ["region", "category", "type"]
    checks += ["lock"] if query.brand and rng.random() < 0.3 else []
    checks += ["price"] if query.limit is not None else []
    checks += ["colour"] if query.colour else []
    checks += ["brand"] if query.brand else []
    checks += ["condition"] if query.new else []
    readings = [Finding(check, _read(item, check)) for check in checks]
    chosen = [rng.choice(readings)] if is_brief else readings
    label = rng.choice(LABELS)
    read = right_route(replace(item, decision=Decision(label, "", tuple(chosen))), "full")
    steps = (*read.steps[: len(chosen)], f"so {label}")
    return Route(steps, label, label == item.decision.label, None, None, "base")


def _read(item: Item, check: str) -> str:
    """What the catalogue and the question say of one check; that colour can be the product is a rule (R6)."""
    found = observe(item.query, item.ad, check)
    return "differs" if found == "functional" else found
