"""Route banks of the study's control arms, and the positives of a bank as SFT rows.

Serves docs/study_plan.md. `positive` keeps only right routes (the hint form). `mismatched` gives each question the
routes of another one: same number, same look, no use; a claim about contrast must beat it. Labels stay outcome based
(the answer of a route against this question's gold); reasoning about another question is never sound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from data_prep.schema import sft_row
from realm_ext.prompt import render_messages
from reward_fns.domains import get
from reward_fns.response import render_response
from reward_fns.routes import Route, route_to_mapping, routes_from

SHIFT = (
    1_009  # rows between a question and the one whose routes it gets; prime, so that no size is a multiple
)


def positive_only(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their right routes alone; a question without one keeps none and is never guided."""
    return [_with_routes(row, [r for r in _routes(row) if r.label]) for row in rows]


def mismatched(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each row with the routes of the row `SHIFT` places on."""
    made = []
    for index, row in enumerate(rows):
        other = rows[(index + SHIFT) % len(rows)]
        gold, domain = row["reward_model"]["ground_truth"], get(row["ability"])
        routes = [
            replace(route, label=domain.equivalent(route.answer, gold), sound=False, first_error=None)
            for route in _routes(other)
        ]
        made.append(_with_routes(row, routes))
    return made


def positives_as_sft(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every right route of a bank as a chain to learn from, without a route in the prompt."""
    made = []
    for row in rows:
        for route in (r for r in _routes(row) if r.label):
            think = "\n".join(f"{number}. {step}" for number, step in enumerate(route.steps, start=1))
            made.append(
                sft_row(
                    render_messages(row["prompt"], ()),
                    render_response(think, (), route.answer),
                    source=route.source,
                    kind="chain",
                    uid=row["extra_info"]["uid"],
                )
            )
    return made


def _routes(row: Mapping[str, Any]) -> tuple[Route, ...]:
    return tuple(routes_from(row["extra_info"]["routes"]))


def _with_routes(row: Mapping[str, Any], routes: Sequence[Route]) -> dict[str, Any]:
    info = {**row["extra_info"], "routes": [route_to_mapping(route) for route in routes]}
    return {**row, "extra_info": info}
