"""Experts: what a domain can tell about its own questions by program, and where it is found.

Serves design.md, section Guided CoT distillation, items 2, 4 and 5. A domain has one if it can answer its questions from
the rules alone. It is then the teacher `program`, checks that a model's chain cites the rule that decides, and gives
routes with known first errors. One is found by the domain's name: ReaLM's are in `BUILT_IN`, a package's in the
entry-point group `realm.experts`, and `--expert package.module:NAME` names one by hand.
"""

import importlib
from collections.abc import Sequence
from importlib.metadata import entry_points
from random import Random
from typing import Protocol

from reward_fns.routes import Route

ENTRY_POINT_GROUP = "realm.experts"
MEMBERS = ("name", "version", "chain", "refusal", "route_set", "critique")
BUILT_IN = {"search_relevance": "data_prep.distill.search_relevance:EXPERT"}


class Expert(Protocol):
    """Total over the domain's questions; a text that is none of them raises ValueError."""

    name: str
    """For people, in the rows' `source`."""
    version: str
    """Rises with every change of what the expert writes."""

    def chain(self, question: str) -> Route:
        """A right chain that cites rules by id."""
        ...

    def refusal(self, question: str, gold: str, chain: Route) -> str | None:
        """Why a right chain is not taken for SFT: a reason that is counted; None takes it. Steps cite by id."""
        ...

    def route_set(self, question: str, k: int, rng: Random) -> Sequence[Route]:
        """Up to `k` routes by short names, labels and first errors known, composed as design.md, section MRPV asks."""
        ...

    def critique(self, question: str, routes: Sequence[Route]) -> str:
        """The thinking before the verdicts on these routes, by short names; they are some of a `route_set`."""
        ...


def find_expert(domain: str, place: str | None = None) -> Expert | None:
    """The expert of a domain, or the one at `place` (`package.module:NAME`); None where there is none.

    Raises:
        ValueError: `place` names nothing, or two packages offer one.
        ImportError: its module cannot be imported.
    """
    if place is None:
        offered = [point.value for point in entry_points(group=ENTRY_POINT_GROUP) if point.name == domain]
        places: Sequence[str] = [*([BUILT_IN[domain]] if domain in BUILT_IN else []), *offered]
        if len(places) > 1:
            raise ValueError(
                f"the domain {domain} has several experts: {', '.join(places)}; name one with --expert"
            )
        if not places:
            return None
        place = places[0]
    module_name, colon, attribute = place.partition(":")
    if not colon:
        raise ValueError(f"an expert is given as package.module:NAME; got {place!r}")
    module = importlib.import_module(module_name)
    if not hasattr(module, attribute):
        raise ValueError(f"module {module_name} has no {attribute}")
    expert: Expert = getattr(module, attribute)
    missing = [name for name in MEMBERS if not hasattr(expert, name)]
    if missing:
        raise ValueError(
            f"{place} is no expert: it lacks {', '.join(missing)} (data_prep.distill.experts.Expert)"
        )
    return expert
