"""Prompts and scores of the evaluation tasks: thin glue between lm-eval and what training uses.

Serves design.md, sections MRPV and Layout. The prompt is `realm_ext.prompt`'s, the reader and comparer are
`reward_fns.compute_score`'s, so a task and the reward cannot disagree about a response. Documents are those
of `eval_tasks.bundled`, `eval_tasks.prepared` and `eval_tasks.public`.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from math import comb
from typing import Any

from eval_tasks.free_text import free_answer
from realm_ext.prompt import render_messages
from reward_fns import compute_score
from reward_fns.domains import Domain, domain_of
from reward_fns.mrpv import Reason, read_answer
from reward_fns.response import Verdict, parse_response
from reward_fns.routes import Route, routes_from

ANSWERED = (Reason.RIGHT, Reason.WRONG, Reason.TIMEOUT)
MEANS = {
    "acc": True,
    "acc_flexible": True,
    "format": True,
    "malformed": False,
    "truncated": False,
    "timeout": False,
    "response_chars": False,
    "verdict": True,
    "consistent": True,
}
"""The metrics of one response that are averaged, and whether higher is better."""
_TAG = re.compile(r"</?(?:think|verdicts|answer)>")


def prompt(doc: Mapping[str, Any]) -> str:
    """The user message, byte for byte as in training: question, the document's routes if any, instruction."""
    question = [{"role": "user", "content": doc["question"]}]
    text: str = render_messages(question, routes_from(doc.get("routes")))[-1]["content"]
    return text


def score(doc: Mapping[str, Any], response: str, opened: bool = False) -> dict[str, Any]:
    """Every metric of one response; `opened` says that its prompt ended inside `<think>`.

    `acc` 1 if the answer is right; `acc_flexible` the same, but where there is no `<answer>` tag the final answer of the
    free text is read (`eval_tasks.free_text`); `format` 1 if the grammar held; `malformed` 1 if no single answer could be read;
    `truncated` 1 as `is_truncated` says; `timeout` 1 if the answer could not be compared in time; `response_chars`.
    Documents that say whether they are of the long tail add `acc_long_tail`, which is `acc`, None for the others. Those
    of a set with sub-tasks add `acc_macro`, the pair (sub-task, `acc`).
    Domains with a closed set of labels add `macro_f1`, the pair (gold, answer read), and for each label
    `recall_<label>`, which is `acc`, None where gold is another one. Guided documents add `verdict` (as MRPV scores it,
    before the consistency rule), `consistent`, `informedness` (pairs: route right, judged right; a missing verdict
    counts as the wrong one), `first_error_acc` (a hit or miss for each wrong route), where the document
    has it `first_error_guess` (the same for the best constant guess, see `prepared.with_guesses`) and
    `verdict_by_answer` (for each verdict, whether it says the same as comparing the route's answer with the own one).

    What is no plain mean stands there twice, under its name and with `_stderr`: see `eval_tasks.statistics`.
    """
    routes = routes_from(doc.get("routes"))
    parts = _reward(doc, response, opened)
    metrics: dict[str, Any] = {
        "acc": parts["acc"],
        "acc_flexible": _flexible(doc, opened, response, parts),
        "format": parts["format"],
        "malformed": float(parts["reason"] not in ANSWERED),
        "truncated": float(is_truncated(response, opened)),
        "timeout": float(parts["timeout"]),
        "response_chars": parts["response_chars"],
    }
    special: dict[str, Any] = {}
    if "long_tail" in doc:
        special["acc_long_tail"] = parts["acc"] if doc["long_tail"] else None
    if "subtask" in doc:
        special["acc_macro"] = (doc["subtask"], parts["acc"])
    labels = domain_of(doc["data_source"]).labels
    if labels:
        special["macro_f1"] = (doc["gold"], parts["pred"])
        for label in labels:
            special[f"recall_{label.lower()}"] = parts["acc"] if doc["gold"] == label else None
    if routes:
        parsed = parse_response(response, len(routes), opened)
        verdicts = parsed.verdicts
        domain = domain_of(doc["data_source"])
        own, _ = read_answer(parsed, domain, routes)
        metrics |= {"verdict": parts["raw_verdict"], "consistent": parts["consistent"]}
        special["informedness"] = judgements(routes, verdicts)
        special["first_error_acc"] = first_error_hits(routes, verdicts)
        if "first_error_guess" in doc:
            special["first_error_guess"] = doc["first_error_guess"]
        special["verdict_by_answer"] = agreement(routes, verdicts, own, domain)
    for name, value in special.items():
        metrics |= {name: value, f"{name}_stderr": value}
    return metrics


def score_samples(doc: Mapping[str, Any], responses: Sequence[str], opened: bool = False) -> dict[str, float]:
    """The metrics of k sampled responses to one question; all are averaged over questions. `opened` as in `score`.

    `mean@k` is the share that is right, `mean_flexible@k` that by `acc_flexible`. `maj@k` is whether the answer given most often is right, answers grouped by the
    domain's own comparer; among answers given equally often it is the share that is right. `pass@j`, for powers of two
    below k and for k itself, is the unbiased estimate of the chance that one of j responses is right,
    1 - C(k-c, j) / C(k, j) with c right ones (Chen et al. 2021, arXiv 2107.03374). `distinct@k` is the share of
    responses that differ from the others: near 1/k where sampling does not work.
    """
    k = len(responses)
    scored = [_reward(doc, text, opened) for text in responses]
    right = [bool(parts["acc"]) for parts in scored]
    sizes = {2**power for power in range(1, k.bit_length()) if 2**power < k}
    passes = {f"pass@{j}": pass_at(k, sum(right), j) for j in sorted(sizes)}
    return {
        "mean@k": sum(right) / k,
        "mean_flexible@k": sum(map(partial(_flexible, doc, opened), responses, scored)) / k,
        "maj@k": majority(doc, responses, right, opened),
        **passes,
        "pass@k": pass_at(k, sum(right), k),
        "distinct@k": len(set(responses)) / k,
        "malformed": sum(parts["reason"] not in ANSWERED for parts in scored) / k,
        "truncated": sum(is_truncated(text, opened) for text in responses) / k,
        "timeout": sum(float(parts["timeout"]) for parts in scored) / k,
        "response_chars": sum(float(parts["response_chars"]) for parts in scored) / k,
    }


def is_truncated(response: str, opened: bool = False) -> bool:
    """Whether the response ends inside its thinking, or its last tag opens a block: what a cut at the token budget looks like.

    lm-eval passes no finish reasons.
    """
    text = "<think>" * opened + response
    tags = _TAG.findall(text)
    return text.rfind("<think>") > text.rfind("</think>") or (bool(tags) and not tags[-1].startswith("</"))


def pass_at(n: int, right: int, j: int) -> float:
    """The chance that `j` of `n` responses, drawn without replacement, hold one of the `right` ones."""
    return 1.0 - comb(n - right, j) / comb(n, j)


def majority(
    doc: Mapping[str, Any], responses: Sequence[str], right: Sequence[bool], opened: bool = False
) -> float:
    """The share of right answers among those given most often; 0 where no response has an answer.

    A group's answer is that of its first response.
    """
    domain = domain_of(doc["data_source"])
    groups: list[tuple[str, bool, int]] = []
    for text, is_right in zip(responses, right, strict=True):
        answer, _ = read_answer(parse_response(text, 0, opened), domain)
        if answer is None:
            continue
        at = _group_of(answer, groups, domain)
        if at == len(groups):
            groups.append((answer, is_right, 0))
        first, first_right, count = groups[at]
        groups[at] = (first, first_right, count + 1)
    most = max((count for _, _, count in groups), default=0)
    top = [is_right for _, is_right, count in groups if count == most]
    return sum(top) / len(top) if top else 0.0


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
        if route.is_located
    ]


def agreement(
    routes: Sequence[Route], verdicts: Sequence[Verdict | None], own: str | None, domain: Domain
) -> list[bool]:
    """For each verdict given: whether it is `right` just where the route's answer is the own one; none without an answer.

    A mean near 1 says that judging came down to comparing answers, whatever the verdicts are worth.
    """
    return [
        verdict.right == domain.equivalent(route.answer, own)
        for route, verdict in zip(routes, verdicts, strict=True)
        if verdict is not None and own is not None
    ]


def _reward(doc: Mapping[str, Any], response: str, opened: bool = False) -> dict[str, Any]:
    """What training's reward says about the response."""
    routes = doc.get("routes")
    shown = {"routes": routes, "shown": range(len(routes))} if routes else {}
    share = {"right_share": doc["right_share"]} if routes else {}
    extra = {**shown, "thinking_opened": opened}
    return compute_score(doc["data_source"], response, doc["gold"], extra, **share)


def _flexible(doc: Mapping[str, Any], opened: bool, response: str, parts: Mapping[str, Any]) -> float:
    """`acc_flexible` of a response whose reward is `parts`."""
    if parts["reason"] != Reason.NO_ANSWER:
        return float(parts["acc"])
    answer = free_answer("<think>" * opened + response, domain_of(doc["data_source"]))
    return 0.0 if answer is None else float(_reward(doc, f"<answer> {answer} </answer>")["acc"])


def _group_of(answer: str, groups: Sequence[tuple[str, bool, int]], domain: Domain) -> int:
    """The index of the group that this answer belongs to; one past the end if none."""
    for at, (first, _, _) in enumerate(groups):
        if answer == first or domain.equivalent(answer, first):
            return at
    return len(groups)
