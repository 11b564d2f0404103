"""What a domain is: how to read, compare and judge answers of one kind of task, plus its written rules.

Serves the section "Domains" of the design. A new domain is one module that holds an instance of a
`Domain` subclass under the name `DOMAIN`, and usually a rules file beside it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any, ClassVar

from reward_fns.ground_truth import golds
from reward_fns.match import Match
from reward_fns.routes import routes_from


@dataclass(frozen=True)
class Rule:
    """One written rule. A lower `precedence` number decides before a higher one."""

    id: str
    name: str
    text: str
    precedence: int
    example: str


class Domain(ABC):
    """Base of all domains. Subclasses set the class attributes and write `extract` and `equivalent`.

    Instances hold no mutable state: they are shared between threads.
    """

    name: ClassVar[str]
    labels: ClassVar[tuple[str, ...]] = ()
    """The closed set of answers; empty when answers are open."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rule book, in order of precedence; empty when the domain has none."""
        return ()

    @abstractmethod
    def extract(self, answer_text: str) -> str | None:
        """The canonical answer in the text of an `<answer>` block.

        None when it is unreadable, hedged ("1 or 2") or gives several different answers. Never raises.
        """

    @abstractmethod
    def equivalent(self, prediction: str, gold: str) -> bool:
        """Whether a canonical prediction and a gold answer are the same answer. Never raises."""

    def judge(self, prediction: str, gold: str) -> Match:
        """`equivalent`, with the reason where a domain has more to say: `TIMEOUT` is not `DIFFERENT`."""
        return Match.SAME if self.equivalent(prediction, gold) else Match.DIFFERENT

    def check_row(self, row: Mapping[str, Any]) -> list[str]:
        """Problems of one data row; empty when each gold answer scores 1.0 and its route labels hold."""
        try:
            accepted = golds(_ground_truth(row))
        except ValueError as error:
            return [str(error)]
        problems = [problem for gold in accepted for problem in self.check_gold(gold, row)]
        return problems or self._check_routes(row, accepted)

    def check_gold(self, gold: str, row: Mapping[str, Any]) -> list[str]:
        """Problems of one of the row's gold answers; empty when it scores 1.0."""
        read = self.extract(gold)
        if read is None:
            return [f"the domain {self.name} cannot read the gold answer {gold!r}"]
        if self.labels and read not in self.labels:
            return [f"the gold answer {gold!r} is none of {', '.join(self.labels)}"]
        if not self.equivalent(read, gold):
            return [f"the gold answer {gold!r} is read as {read!r}, which does not equal it"]
        return []

    def _check_routes(self, row: Mapping[str, Any], accepted: Sequence[str]) -> list[str]:
        try:
            routes = routes_from((row.get("extra_info") or {}).get("routes"))
        except ValueError as error:
            return [str(error)]
        problems = []
        for i, route in enumerate(routes):
            read = self.extract(route.answer)
            right = read is not None and any(self.equivalent(read, gold) for gold in accepted)
            if right != route.label:
                kind = "right" if route.label else "wrong"
                problems.append(
                    f"route {i} is labelled {kind}, but its answer {route.answer!r} says otherwise"
                )
        return problems


def _ground_truth(row: Mapping[str, Any]) -> Any:
    reward_model = row.get("reward_model")
    return reward_model.get("ground_truth") if isinstance(reward_model, Mapping) else None


def rules_beside(package: str | None) -> tuple[Rule, ...]:
    """The rule book `rules.yaml` of a domain's package; see `rules_from_yaml`.

    Args:
        package: the domain module's own `__package__`.

    Raises:
        ValueError: there is no package, as in a file run as a script.
    """
    if not package:
        raise ValueError("rules.yaml is looked for beside a domain's package; this module is in none")
    return rules_from_yaml(files(package).joinpath("rules.yaml").read_text(encoding="utf-8"))


def rules_from_yaml(text: str) -> tuple[Rule, ...]:
    """Read a rule book: a YAML list of mappings with the fields of `Rule`, sorted here by precedence.

    Raises:
        ValueError: an entry that is no mapping, a field missing or unknown, or an id or precedence given twice.
    """
    import yaml  # only domains with a rules file need it

    entries = yaml.safe_load(text)
    wanted = {field.name for field in fields(Rule)}
    rules = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if not isinstance(entry, Mapping) or set(entry) != wanted:
            raise ValueError(f"a rule has exactly the fields {', '.join(sorted(wanted))}; got {entry!r}")
        texts = {key: str(entry[key]) for key in wanted - {"precedence"}}
        rules.append(Rule(precedence=int(entry["precedence"]), **texts))
    for field in ("id", "precedence"):
        values = [getattr(rule, field) for rule in rules]
        twice = sorted({str(value) for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"rules share the {field} {', '.join(twice)}; each rule needs its own")
    return tuple(sorted(rules, key=lambda rule: rule.precedence))
