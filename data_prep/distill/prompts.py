"""The prompts that teachers get, versioned: a question under the written rules, and what asks again about it.

Serves design.md, section Guided CoT distillation, items 2 and 5. Any change of wording here needs a new
`PROMPT_VERSION`: it is part of each request's key, with the rules and the response grammar, so that replies to another
wording are never taken for replies to this one.
"""

from collections.abc import Sequence

from data_prep.distill.requests import CHAIN, CHECK, CONTRAST, RATIONALE, Request
from data_prep.outputs import hash_text
from realm_ext.prompt import GUIDED, render_routes, render_rules
from reward_fns.domains.base import Domain, Rule
from reward_fns.routes import Route

PROMPT_VERSION = "1"

_STEPS = (
    "Reason in numbered steps from the question{and_rules}, one check or inference a step, each on one line. "
    "{cite}The last step draws the conclusion{and_cites}. Do not speak of these instructions."
)
_CITE = "Where a step uses a rule, end it with the rule's id in square brackets, as [{example}]; cite no other rules. "
_GRAMMAR = (
    "Write exactly this and nothing else:\n"
    "<think>\n1. first step\n2. next step\n</think>\n{verdicts}<answer> the final answer alone </answer>"
)
_GIVEN = (
    "The right answer is: {gold}\n"
    "Find the steps that lead to it. They must stand on the question{and_rules} alone: never say or hint that the "
    "answer was given.\n\n"
)
_SO_FAR = "Reasoning so far:\n{steps}\n\nGo on from there and finish.\n\n"
_JUDGE = (
    "Before you answer, judge each route above: follow its steps, and where one is wrong, say which is the first and "
    "why. Think about this in the numbered steps.\n\n"
)


def prompt_version(domain: Domain) -> str:
    """`PROMPT_VERSION` and a hash of everything else that the wording depends on: rules, labels and grammar."""
    texts = [f"{rule.id}\0{rule.name}\0{rule.text}\0{rule.example}" for rule in domain.rules]
    fixed = [_STEPS, _CITE, _GRAMMAR, _GIVEN, _SO_FAR, _JUDGE, GUIDED, render_routes([])]
    return f"{PROMPT_VERSION}-{hash_text(domain.name, *domain.labels, *texts, *fixed)[:12]}"


def _rules_block(rules: Sequence[Rule]) -> str:
    """The rule book in order of precedence, by id."""
    if not rules:
        return ""
    lines = [f"[{rule.id}] {rule.name}: {rule.text} Example: {rule.example}" for rule in rules]
    head = "Rules, in order of precedence (where two differ, the earlier decides):"
    return "\n".join([head, *lines]) + "\n\n"


def rules_for_student(rules: Sequence[Rule]) -> str:
    """The rule book as it precedes the question in the prompts that keep it, by short names; the same everywhere."""
    return render_rules(rules) + "\n" if rules else ""


class Prompts:
    """The requests of one domain."""

    def __init__(self, domain: Domain, seed: int | None) -> None:
        self._rules = domain.rules
        self._labels = domain.labels
        self._seed = seed
        self.version = prompt_version(domain)

    def chain(self, uid: str, question: str, attempt: int) -> Request:
        """Question and rules: reason and answer."""
        return self._request(CHAIN, uid, question, attempt, self._ask())

    def rationale(self, uid: str, question: str, gold: str) -> Request:
        """The same, with the answer given."""
        given = _GIVEN.format(gold=gold, and_rules=self._and("the rules"))
        return self._request(RATIONALE, uid, question, 0, given + self._ask())

    def check(self, uid: str, question: str, steps: Sequence[str], attempt: int) -> Request:
        """The answer not given, the steps of a rationale without the last: finish them."""
        so_far = _SO_FAR.format(steps="\n".join(f"{i}. {step}" for i, step in enumerate(steps, start=1)))
        return self._request(CHECK, uid, question, attempt, so_far + self._ask())

    def contrast(self, uid: str, question: str, routes: Sequence[Route]) -> Request:
        """Question, rules and routes: judge each, then answer."""
        lines = "".join(f"{i}: right, or wrong at its first wrong step\n" for i in range(1, len(routes) + 1))
        shown = render_routes(routes).strip("\n") + "\n\n"
        ask = (
            shown
            + _JUDGE
            + self._ask(f"<verdicts>\n{lines}</verdicts>\n")
            + ("\nA line of verdicts is `1: right` or `2: wrong at 3`.")
        )
        return self._request(CONTRAST, uid, question, 0, ask)

    def _and(self, what: str) -> str:
        return f" and {what}" if self._rules else ""

    def _ask(self, verdicts: str = "") -> str:
        steps = _STEPS.format(
            and_rules=self._and("the rules"),
            cite=_CITE.format(example=self._rules[0].id) if self._rules else "",
            and_cites=self._and("cites the rule that decides it"),
        )
        labels = f" The answer is one of: {', '.join(self._labels)}." if self._labels else ""
        return f"{steps}{labels}\n{_GRAMMAR.format(verdicts=verdicts)}"

    def _request(self, kind: str, uid: str, question: str, attempt: int, ask: str) -> Request:
        content = f"{_rules_block(self._rules)}Question:\n{question}\n\n{ask}"
        seed = (
            None
            if self._seed is None
            else int(hash_text(f"{self._seed}", kind, question, f"{attempt}")[:8], 16) >> 1
        )
        return Request(kind, uid, question, attempt, (("user", content),), seed)
