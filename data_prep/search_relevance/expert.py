"""The program teacher of `search_relevance`: right routes, and wrong ones with a known first error.

Serves design.md, sections Data and Guided CoT distillation (teacher `program`). Two styles are written: `full`
makes every check that the rule book asks for and cites the rule that decides; `brief` names only the
deciding check, as a hurried expert does. Both styles give right and wrong routes, so that neither the
source nor the length tells them apart.

Steps cite rules by id, as `[R7]`; `cite_names` turns the ids into the rules' short names.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import replace

from data_prep.search_relevance.generator import FULL_MATCH, Item
from reward_fns.domains.search_relevance import DOMAIN
from reward_fns.domains.search_relevance.catalog import FAMILY_OF
from reward_fns.domains.search_relevance.engine import FINDINGS, Ad, Finding, Query, conclude, observe, walk
from reward_fns.routes import Route

STYLES = ("full", "brief")
_CITATION = re.compile(r"\[(R\d+)\]")


def right_route(item: Item, style: str) -> Route:
    """The expert's own chain for a question."""
    steps = _steps(item, item.decision.findings, item.decision.rule, item.decision.label, style)
    return Route(steps, item.decision.label, True, True, None, f"program/{style}")


def wrong_routes(item: Item, style: str, rng: random.Random) -> list[Route]:
    """Every distinct wrong chain from one planted mistake, in random order.

    A mistake is a wrong finding, followed through to its label, or right findings and a wrong conclusion.
    Only chains that end in a wrong label are kept (a negative is outcome based), so that `label` and `sound`
    agree.
    """
    routes = []
    truth = item.decision.findings
    for position, finding in enumerate(truth):
        for value in FINDINGS[finding.check]:
            if value == finding.value or not _plausible(item, Finding(finding.check, value)):
                continue
            findings = walk(item.query, item.ad, Finding(finding.check, value))
            rule, label = conclude(findings)
            if label == item.decision.label:
                continue
            first = position if style == "full" else _first_error_when_brief(item, _deciding(findings, rule))
            steps = _steps(item, findings, rule, label, style)
            routes.append(Route(steps, label, False, False, first, f"program/{style}"))
    rng.shuffle(routes)
    return routes


def cite_names(text: str, names: Mapping[str, str]) -> str:
    """`so Substitute [R7]` -> `so Substitute (Brand differs)`; an unknown id raises KeyError."""
    return _CITATION.sub(lambda match: f"({names[match.group(1)]})", text)


def with_names(route: Route) -> Route:
    """The route with rule ids turned into the rules' short names."""
    names = {rule.id: rule.name for rule in DOMAIN.rules}
    return replace(route, steps=tuple(cite_names(step, names) for step in route.steps))


def cited_rules(text: str) -> tuple[str, ...]:
    """Rule ids cited in a text, in order."""
    return tuple(_CITATION.findall(text))


def _plausible(item: Item, finding: Finding) -> bool:
    """Whether a reader could make this mistake: no brand lock on a part that no brand locks, and so on."""
    if finding.check == "brand":
        return finding.value != "sister" or item.query.brand != item.ad.brand
    if finding.check == "colour":
        return finding.value != observe(item.query, item.ad, "colour")
    return True


def _steps(item: Item, findings: tuple[Finding, ...], rule: str, label: str, style: str) -> tuple[str, ...]:
    conclusion = f"so {label} [{rule}]"
    if style == "full":
        return (*(_step(item.query, item.ad, f) for f in findings), conclusion)
    return (_step(item.query, item.ad, _deciding(findings, rule)), conclusion)


def _deciding(findings: tuple[Finding, ...], rule: str) -> Finding:
    """The finding that a rule rests on; for a full match, which rests on all of them, the last."""
    if rule == FULL_MATCH:
        return findings[-1]
    return next(f for f in findings if conclude([f])[0] == rule)


def _first_error_when_brief(item: Item, shown: Finding) -> int:
    """0 when the one finding shown is false, 1 when it is true and only the conclusion is not."""
    return int(shown.value == observe(item.query, item.ad, shown.check))


def _step(query: Query, ad: Ad, finding: Finding) -> str:
    """One check in words: what was asked, what the ad has, what follows."""
    asked, has = {
        "region": (query.region, " ".join(ad.ships_to)),
        "category": (FAMILY_OF[query.type].name, FAMILY_OF[ad.type].name),
        "type": (query.type, ad.type),
        "lock": (query.brand, ad.brand),
        "price": (query.limit, ad.price),
        "colour": (query.colour, ad.colour),
        "brand": (query.brand, ad.brand),
        "condition": ("new", "used" if ad.used else "new"),
    }[finding.check]
    return f"{finding.check}: {asked} / {has}: {finding.value}"
