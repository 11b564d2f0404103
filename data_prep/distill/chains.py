"""Reading one reply: its steps, the rules they cite, its answer, and the domain's verdict on it.

Serves design.md, section Guided CoT distillation, items 4 and 6. Rule ids become the rules' short names in everything
that is kept: a student never sees an id.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from data_prep.distill.questions import Question, label_of
from data_prep.distill.requests import Failure, Reply
from data_prep.steps import last_list
from reward_fns.domains.base import Domain, Rule
from reward_fns.match import Match
from reward_fns.response import Response, parse_response, render_response
from reward_fns.routes import Route

EVIDENCE_CHARS = 200
_PREFIXED_ID = re.compile(r"([A-Za-z][A-Za-z_-]*)\d+")
# Grammar problems that leave the answer and the steps as clear as without them.
_HARMLESS = {"extra_text", "several_think"}


@dataclass(frozen=True)
class Drop:
    """Why a reply is not used: `reason` is the same for each such case and is counted, `evidence` is this one's."""

    reason: str
    evidence: str


@dataclass(frozen=True)
class Chain:
    """A reply that was read: `cited` are rule ids in order, `raw_steps` cite by id, the route by short name."""

    route: Route
    raw_steps: tuple[str, ...]
    cited: tuple[str, ...]


class Citations:
    """Finds rule ids in a text: `[R7]`, `[R1, R7]` and `rule R7`; knows ids that no rule has by their form."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._names = {rule.id: rule.name for rule in rules}
        # `R7` has the form of R1 to R12: any R with a number is meant as a rule, R99 too.
        prefixes = {m[1] for rule in rules if (m := _PREFIXED_ID.fullmatch(rule.id))}
        forms = [rf"{re.escape(prefix)}\d+" for prefix in sorted(prefixes)]
        forms += [re.escape(rule.id) for rule in rules if not _PREFIXED_ID.fullmatch(rule.id)]
        one = rf"(?:{'|'.join(forms)})"
        self._pattern = (
            re.compile(rf"\[({one}(?:\s*[,;]\s*{one})*)\]|\b(?<=[Rr]ule )({one})\b") if forms else None
        )

    def cited(self, text: str) -> tuple[str, ...]:
        """Ids in order, unknown ones included."""
        if self._pattern is None:
            return ()
        return tuple(name for m in self._pattern.finditer(text) for name in _ids(m))

    def unknown(self, ids: Sequence[str]) -> list[str]:
        """Those that no rule has."""
        return [name for name in ids if name not in self._names]

    def by_name(self, text: str) -> str:
        """`so Substitute [R7]` -> `so Substitute (Brand differs)`.

        Raises:
            KeyError: an id that no rule has.
        """
        if self._pattern is None:
            return text

        def name(match: re.Match[str]) -> str:
            names = ", ".join(self._names[name] for name in _ids(match))
            return f"({names})" if match[1] else names

        return self._pattern.sub(name, text)


def _ids(match: re.Match[str]) -> list[str]:
    return re.split(r"\s*[,;]\s*", match[1] or match[2])


@dataclass(frozen=True)
class Reading:
    """How replies of one run are read.

    Attributes:
        max_chars: a longer reasoning is dropped.
        source: the teacher, as rows name it.
    """

    domain: Domain
    citations: Citations
    max_chars: int
    source: str


def read_chain(answer: Reply | Failure, question: Question, how: Reading) -> Chain | Drop:
    """The chain in a reply, labelled by the domain's verifier; wrong ones are chains like any other."""
    read = read_response(answer, 0, how)
    if isinstance(read, Drop):
        return read
    response, steps, cited = read
    final = response.answer or ""
    label = label_of(final, question.gold, how.domain)
    if label not in (Match.SAME, Match.DIFFERENT):
        return Drop("answer not comparable", final[:EVIDENCE_CHARS])
    named = tuple(how.citations.by_name(step) for step in steps)
    route = Route(named, how.domain.extract(final) or final, label is Match.SAME, None, None, how.source)
    return Chain(route, steps, cited)


def read_response(
    answer: Reply | Failure, n_shown: int, how: Reading
) -> tuple[Response, tuple[str, ...], tuple[str, ...]] | Drop:
    """The parsed response of a reply, its steps, and the rule ids they cite."""
    if isinstance(answer, Failure):
        return Drop(answer.reason, answer.evidence)
    text = answer.content
    if answer.is_cut_off:
        return Drop("truncated", text[-EVIDENCE_CHARS:])
    if not answer.is_whole:
        return Drop("ended by the server", answer.finish)
    response = parse_response(text, n_shown)
    serious = [p for p in response.problems if p not in _HARMLESS]
    if serious:
        return Drop(f"unparsable: {serious[0]}", text[:EVIDENCE_CHARS])
    reasoning = response.think
    if reasoning is None or not last_list(reasoning):
        # Servers that split off a model's thinking may take the tags with them.
        reasoning = text.partition("<verdicts>" if n_shown else "<answer>")[0]
    steps = last_list(reasoning) or last_list(answer.reasoning)
    if not steps:
        return Drop("unparsable: no numbered steps", text[:EVIDENCE_CHARS])
    if sum(map(len, steps)) > how.max_chars:
        return Drop("too long", f"{sum(map(len, steps))} characters")
    if "<" in "".join(steps):
        try:
            render_response("\n".join(steps), [], "x")
        except ValueError as error:
            return Drop("unparsable: tags in a step", str(error)[:EVIDENCE_CHARS])
    cited = how.citations.cited("\n".join(steps))
    if unknown := how.citations.unknown(cited):
        return Drop("unknown rule cited", ", ".join(unknown)[:EVIDENCE_CHARS])
    return response, steps, cited
