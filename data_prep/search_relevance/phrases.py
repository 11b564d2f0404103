"""Fixed wording of `search_relevance` texts, each a token of its own in the demo model's tokenizer.

Serves the demo model alone: a small model on a CPU should spend its time on what differs between questions.
"""

from reward_fns.domains.search_relevance import DOMAIN
from reward_fns.domains.search_relevance.catalog import PRICES
from reward_fns.domains.search_relevance.engine import FINDINGS
from reward_fns.domains.search_relevance.question import QUESTION

PHRASES: tuple[str, ...] = (
    f"\n{QUESTION}",
    "Query:",
    "\nRegion:",
    "\nAd:",
    "\nShips to:",
    ", category",
    ", brand",
    ", colour",
    ", price",
    ", price up to",
    ", condition",
    *(f" ({rule.name})" for rule in DOMAIN.rules),
    *(f" {price}" for price in PRICES),  # Qwen's tokenizer splits every number into digits
    *(f" {check}:" for check in FINDINGS),
    *sorted({f": {value}" for values in FINDINGS.values() for value in values}),
)
