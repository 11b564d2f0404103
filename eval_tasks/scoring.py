"""Prompts and scores of the evaluation tasks: thin glue between lm-eval and what training uses.

Serves design.md, sections MRPV and Layout. The prompt is `realm_ext.prompt`'s, the reader and comparer are
`reward_fns.compute_score`'s, so a task and the reward cannot disagree about a response. Documents are those
of `eval_tasks.bundled`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from realm_ext.prompt import render_messages
from reward_fns import compute_score
from reward_fns.mrpv import Reason
from reward_fns.response import Verdict, parse_response
from reward_fns.routes import Route, routes_from

ANSWERED = (Reason.RIGHT, Reason.WRONG)


def prompt(doc: Mapping[str, Any]) -> str:
    """The user message, byte for byte as in training: question, the document's routes if any, instruction."""
    question = [{"role": "user", "content": doc["question"]}]
    text: str = render_messages(question, routes_from(doc.get("routes")))[-1]["content"]
    return text


def score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """lm-eval's `process_results`: every metric of one response.

    `acc` 1 if the answer is right; `acc_long_tail` the same, None for other documents; `macro_f1` the pair (gold, answer read); `format` 1 if the grammar held;
    `malformed` 1 if no single answer could be read; `response_chars`. Guided documents add `verdict` (as MRPV
    scores it, before the consistency rule), `consistent`, `informedness` (pairs: route right, judged right;
    a missing verdict counts as the wrong one) and `first_error_acc` (a hit or miss for each wrong route).
    """
    response = results[0]
    routes = routes_from(doc.get("routes"))
    extra = {"routes": doc.get("routes"), "shown": range(len(routes))} if routes else None
    share = {"right_share": doc["right_share"]} if routes else {}
    parts = compute_score(doc["data_source"], response, doc["gold"], extra, **share)
    metrics: dict[str, Any] = {
        "acc": parts["acc"],
        "acc_long_tail": parts["acc"] if doc["long_tail"] else None,
        "macro_f1": (doc["gold"], parts["pred"]),
        "format": parts["format"],
        "malformed": float(parts["reason"] not in ANSWERED),
        "response_chars": parts["response_chars"],
    }
    if routes:
        verdicts = parse_response(response, len(routes)).verdicts
        metrics |= {
            "verdict": parts["raw_verdict"],
            "consistent": parts["consistent"],
            "informedness": judgements(routes, verdicts),
            "first_error_acc": first_error_hits(routes, verdicts),
        }
    return metrics


def judgements(routes: Sequence[Route], verdicts: Sequence[Verdict | None]) -> list[tuple[bool, bool]]:
    """For each undisputed route: whether it is right, and whether it was judged right."""
    return [
        (route.label, verdict.right if verdict is not None else not route.label)
        for route, verdict in zip(routes, verdicts, strict=True)
        if not route.disputed
    ]


def first_error_hits(routes: Sequence[Route], verdicts: Sequence[Verdict | None]) -> list[bool]:
    """For each undisputed wrong route with a known first error: whether the verdict names that step."""
    return [
        verdict is not None and verdict.step == route.first_error
        for route, verdict in zip(routes, verdicts, strict=True)
        if not route.label and not route.disputed and route.first_error is not None
    ]


def mean_of_present(values: Iterable[float | None]) -> float:
    """The mean of the values that are not None; 0 when there are none."""
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else 0.0


def mean_of_lists(lists: Iterable[Iterable[float]]) -> float:
    """The mean of all values of all lists; 0 when there are none."""
    return mean_of_present(value for values in lists for value in values)


def macro_f1(pairs: Iterable[tuple[str, str]]) -> float:
    """The mean of F1 over the gold labels, from pairs (gold, answer read; empty where none could be)."""
    listed = list(pairs)
    scores = []
    for label in {gold for gold, _ in listed}:
        hits = sum(gold == read == label for gold, read in listed)
        named = sum((gold == label) + (read == label) for gold, read in listed)
        scores.append(2 * hits / named)
    return sum(scores) / len(scores) if scores else 0.0


def informedness(lists: Iterable[Iterable[tuple[bool, bool]]]) -> float:
    """Share of right routes judged right, plus share of wrong routes judged wrong, minus 1.

    0 for a judge that does not look, 1 for a perfect one; 0 when the routes are all of one kind.
    """
    pairs = [pair for pairs in lists for pair in pairs]
    right = [judged for label, judged in pairs if label]
    wrong = [not judged for label, judged in pairs if not label]
    if not right or not wrong:
        return 0.0
    return sum(right) / len(right) + sum(wrong) / len(wrong) - 1
