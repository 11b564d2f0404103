"""The domain `search_relevance`: how well an ad answers a shopper's query, one of four labels.

Serves the section "Domains" of the design. The rule book is rules.yaml; `engine` applies it, `catalog` is
the closed world it speaks of, `question` writes and reads the questions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from reward_fns.domains.base import Domain, Rule, rules_beside
from reward_fns.domains.search_relevance.engine import LABELS, decide
from reward_fns.domains.search_relevance.question import parse_question

MAX_ANSWER_CHARS = 200
"""A longer text is no answer of this domain."""

_WRAPPERS = re.compile(r"\\(?:boxed|text|textbf|mathrm)\b|[\s*_`\"'“”‘’$(){}\[\]#>.,;:!-]+")
_LEAD = re.compile(r"(?:(?:the|my) )?(?:final )?(?:answer|label)(?: is)? ")


class SearchRelevanceDomain(Domain):
    """Exact, Substitute, Complement or Irrelevant."""

    name: ClassVar[str] = "search_relevance"
    labels: ClassVar[tuple[str, ...]] = LABELS

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        return rules_beside(__package__)

    def extract(self, answer_text: str) -> str | None:
        """The label that a text names and nothing else; case, quotes, Markdown and a full stop do not matter.

        `The answer is **exact**.` is Exact; `Exact or Substitute`, `not Exact` and `probably Exact` are None.
        """
        if len(answer_text) > MAX_ANSWER_CHARS:
            return None
        words = _WRAPPERS.sub(" ", answer_text).strip().casefold()
        lead = _LEAD.match(words)
        return _LABEL_OF.get(words[lead.end() :] if lead else words)

    def equivalent(self, prediction: str, gold: str) -> bool:
        read = self.extract(gold)
        return read is not None and self.extract(prediction) == read

    def check_gold(self, gold: str, row: Mapping[str, Any]) -> list[str]:
        """As the base class; where the question is one of this domain's own, the engine must agree too."""
        problems = super().check_gold(gold, row)
        question = next((m["content"] for m in row.get("prompt") or () if m.get("role") == "user"), None)
        if problems or not isinstance(question, str):
            return problems
        try:
            query, ad = parse_question(question)
        except ValueError:
            return []  # a question from elsewhere, e.g. ESCI: its label is not the engine's
        label = decide(query, ad).label
        return (
            []
            if self.equivalent(label, gold)
            else [f"the gold answer is {gold!r}, the engine's is {label!r}"]
        )


_LABEL_OF = {label.casefold(): label for label in LABELS}

DOMAIN = SearchRelevanceDomain()
