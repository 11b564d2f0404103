"""The expert of `search_relevance`, from the program teacher in `data_prep.search_relevance`.

Serves design.md, section Guided CoT distillation (teacher `program`).
"""

from collections.abc import Sequence
from random import Random

from data_prep.search_relevance.datasets import refusal, teach, thinking
from data_prep.search_relevance.expert import with_names
from data_prep.search_relevance.generator import Item
from data_prep.search_relevance.route_sets import compose_routes
from reward_fns.domains.search_relevance.engine import decide
from reward_fns.domains.search_relevance.question import parse_question
from reward_fns.response import Verdict
from reward_fns.routes import Route


class SearchRelevanceExpert:
    """Works from the question's text and the rule engine."""

    name = "full"
    version = "1"

    def chain(self, question: str) -> Route:
        return teach(question, "full")

    def refusal(self, question: str, gold: str, chain: Route) -> str | None:
        """The deciding rule has to be the engine's; a question from elsewhere, e.g. ESCI, is not the engine's."""
        try:
            item = _item(question)
        except ValueError:
            return None
        return refusal(item, chain) if item.decision.label == gold else None

    def route_set(self, question: str, k: int, rng: Random) -> Sequence[Route]:
        return compose_routes(_item(question), k, rng)

    def critique(self, question: str, routes: Sequence[Route]) -> str:
        """Every check of the rule book, then a line a route, as in `realm prep search-relevance`."""
        verdicts = [Verdict(route.label, None if route.label else route.first_error) for route in routes]
        return thinking(with_names(self.chain(question)), routes, verdicts)


def _item(question: str) -> Item:
    query, ad = parse_question(question)
    return Item(query, ad, decide(query, ad))


EXPERT = SearchRelevanceExpert()
