"""The data sets of `search_relevance`: RL and validation rows, and distilled SFT rows; for `base` rows see `base`.

Serves design.md, sections Data and Guided CoT distillation (teacher `program`). A row depends on (seed,
split, index) and the options alone. Each function takes the questions of other splits and leaves them out.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_prep.schema import rl_row, sft_row
from data_prep.search_relevance.expert import cited_rules, right_route, with_names
from data_prep.search_relevance.generator import RULE_SHARES, Item, combination, make_item
from data_prep.search_relevance.route_sets import DETAILS, compose_routes
from realm_ext.prompt import render_messages, render_rules
from reward_fns.content import content_uid
from reward_fns.critique import render_critique
from reward_fns.domains.search_relevance import DOMAIN
from reward_fns.domains.search_relevance.engine import decide
from reward_fns.domains.search_relevance.question import parse_question
from reward_fns.response import Verdict, render_response
from reward_fns.routes import Route

_SURPLUS = 20  # draws for each question wanted, before too small a world is reported


@dataclass(frozen=True)
class Batch:
    """Rows of one split, the questions they use up, and how many questions were dropped, by reason."""

    rows: list[dict[str, Any]]
    questions: frozenset[str]
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class DistilOptions:
    """Shares, each in [0, 1]: short chains among bare questions, contrast rows, prompts that keep the rules.

    `detail` is that of the routes in contrast rows, see `route_sets.compose_routes`.
    """

    brief_share: float = 0.6
    contrast_share: float = 0.3
    keep_rules: float = 0.0
    max_routes: int = 4
    detail: str = "any"

    def __post_init__(self) -> None:
        for name in ("brief_share", "contrast_share", "keep_rules"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share of the rows, from 0 to 1; got {getattr(self, name)}")
        if self.detail not in DETAILS:
            raise ValueError(f"detail is one of {', '.join(DETAILS)}; got {self.detail!r}")
        if self.max_routes < 1:
            raise ValueError(f"max_routes must be 1 or more; got {self.max_routes}")


RowMaker = Callable[[int, Item], dict[str, Any] | str]


@dataclass(frozen=True)
class Teacher:
    """Who writes the chains of SFT rows, and which of them are taken.

    Attributes:
        teach: a question and a style to a chain that cites rules by id, or none.
        refusal: why a chain is not taken; None when it is.
    """

    teach: Callable[[str, str], Route]
    refusal: Callable[[Item, Route], str | None]


def make_rows(
    n: int,
    seed: int,
    split: str,
    make: RowMaker,
    exclude: Collection[str] = (),
    on_row: Callable[[], object] | None = None,
    shares: Mapping[str, int] = RULE_SHARES,
    hold_out: Collection[str] = (),
) -> Batch:
    """The first `n` rows that `make(index, item)` gives for new questions; a text is a reason to drop.

    Questions in `exclude` and those on which a combination of rules in `hold_out` speaks are left out.

    Raises:
        ValueError: the split has not that many different questions.
    """
    rows: list[dict[str, Any]] = []
    questions: set[str] = set()
    dropped: Counter[str] = Counter()
    for index in range(n * _SURPLUS):
        if len(rows) == n:
            break
        item = make_item(seed, split, index, shares)
        question = item.question
        if question in exclude or question in questions:
            dropped["question of another split" if question in exclude else "question repeated"] += 1
            continue
        if hold_out and combination(item) in hold_out:
            dropped["rule combination held out"] += 1
            continue
        made = make(index, item)
        if isinstance(made, str):
            dropped[made] += 1
            continue
        rows.append(made)
        questions.add(question)
        if on_row:
            on_row()
    if len(rows) < n:
        raise ValueError(
            f"split {split!r} gave only {len(rows)} of {n} rows in {n * _SURPLUS} draws "
            f"({', '.join(f'{why}: {count}' for why, count in dropped.items())}); ask for fewer"
        )
    return Batch(rows, frozenset(questions), dict(dropped))


def rl_rows(
    n: int,
    seed: int,
    split: str,
    k: int,
    regime: str | None = None,
    detail: str = "any",
    *,
    exclude: Collection[str] = (),
    on_row: Callable[[], object] | None = None,
    hold_out: Collection[str] = (),
) -> Batch:
    """`n` rows of `RL_SCHEMA` with `k` routes each, written in this `detail`; `regime` null for training."""

    def make(index: int, item: Item) -> dict[str, Any]:
        return rl_row(
            item.question,
            item.decision.label,
            domain=DOMAIN.name,
            index=index,
            split=split,
            routes=compose_routes(item, k, rng_of("routes", seed, split, index), detail),
            regime=regime,
        )

    return make_rows(n, seed, split, make, exclude, on_row, hold_out=hold_out)


def distil(
    n: int,
    seed: int,
    split: str = "sft",
    options: DistilOptions | None = None,
    *,
    exclude: Collection[str] = (),
    on_row: Callable[[], object] | None = None,
    hold_out: Collection[str] = (),
    teacher: Teacher | None = None,
) -> Batch:
    """`n` rows of `SFT_SCHEMA`: a teacher's chains under the rules, rules removed afterwards; the program's by default."""
    chosen = options or DistilOptions()

    def make(index: int, item: Item) -> dict[str, Any] | str:
        return _distilled(item, chosen, seed, split, index, teacher or PROGRAM)

    return make_rows(n, seed, split, make, exclude, on_row, hold_out=hold_out)


def teach(question: str, style: str) -> Route:
    """The program teacher: a chain that cites rules by id, made from the question's text and the rules alone.

    Raises:
        ValueError: the text is not a question of this domain.
    """
    query, ad = parse_question(question)
    return right_route(Item(query, ad, decide(query, ad)), style)


def refusal(item: Item, chain: Route) -> str | None:
    """Why a teacher's chain is not taken for SFT; None when label and deciding rule are the engine's."""
    cited = cited_rules("\n".join(chain.steps))
    if not DOMAIN.equivalent(chain.answer, item.decision.label):
        return "wrong label"
    if not set(cited) <= {rule.id for rule in DOMAIN.rules}:
        return "unknown rule cited"
    return None if cited and cited[-1] == item.decision.rule else "deciding rule not cited"


PROGRAM = Teacher(teach, refusal)


def rules_text() -> str:
    """The rule book as it precedes the question in prompts that keep it, by short names."""
    return render_rules(DOMAIN.rules)


def _distilled(
    item: Item, options: DistilOptions, seed: int, split: str, index: int, teacher: Teacher
) -> dict[str, Any] | str:
    rng = rng_of("distil", seed, split, index)
    brief = rng.random() < options.brief_share
    contrast = rng.random() < options.contrast_share
    # Who judges routes has made every check; a bare question is often answered in haste.
    style = "brief" if brief and not contrast else "full"
    keep_rules = rng.random() < options.keep_rules
    chain = teacher.teach(item.question, style)
    if reason := teacher.refusal(item, chain):
        return reason
    routes: list[Route] = []
    if contrast:
        # Fading leaves any number of routes from all down to one: the student has seen each, and all most often.
        composed = compose_routes(item, options.max_routes, rng, options.detail)
        routes = rng.sample(composed, rng.choice((len(composed), rng.randint(1, len(composed)))))
    verdicts = [Verdict(r.label, None if r.label else r.first_error) for r in routes]
    return chain_row(item, with_names(chain), routes, verdicts, rules_text() + "\n" if keep_rules else "")


def chain_row(
    item: Item, chain: Route, routes: Sequence[Route], verdicts: Sequence[Verdict], before: str = ""
) -> dict[str, Any]:
    """A chain, and the critique of the routes shown, as an SFT row in the prompt and grammar of RL and evaluation."""
    return sft_row(
        render_messages([{"role": "user", "content": before + item.question}], routes),
        render_response(thinking(chain, routes, verdicts), verdicts, chain.answer),
        source=chain.source,
        kind="contrast" if routes else "chain",
        uid=content_uid(item.question, item.decision.label),
    )


def thinking(chain: Route, routes: Sequence[Route], verdicts: Sequence[Verdict]) -> str:
    """The own chain, rules by name, then the critique of the routes shown, if any; haste does not number its steps."""
    numbered = not chain.source.endswith("brief")
    lines = [f"{n}. {step}" if numbered else step for n, step in enumerate(chain.steps, start=1)]
    if routes:
        wheres = [_about(r, v) for r, v in zip(routes, verdicts, strict=True)]
        lines.append(render_critique([r.answer for r in routes], verdicts, chain.answer, wheres))
    return "\n".join(lines)


def _about(route: Route, verdict: Verdict) -> str:
    """What leads to the first wrong step: the rule that the route cites, then the check of that step.

    The two together tell which step it is: a rule that does not hold rests on the false finding, and where it only
    comes too late (a rule before it was missed), the check of the missed rule is the false one. The conclusion itself
    is called `so`; "" for a right route.
    """
    if verdict.step is None:
        return ""
    cited = re.search(r"\([^()]*\)$", route.steps[-1])
    check = re.split("[: ]", route.steps[verdict.step], maxsplit=1)[0]
    return f"{cited.group()} {check}" if cited else check


def rng_of(purpose: str, seed: int, split: str, index: int) -> random.Random:
    """The draws of one row for one purpose."""
    return random.Random(f"search_relevance/{purpose}/{seed}/{split}/{index}")
