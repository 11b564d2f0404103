"""The reward of ReaLM: `compute_score`, for verl's `reward.custom_reward_function` (`pkg://reward_fns`).

Serves the section "MRPV" of the design. The parts: `response` reads the text, `domains` judge answers,
`mrpv` scores. Pure Python; safe in threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reward_fns import domains as _domains
from reward_fns.cut import cut_routes
from reward_fns.ground_truth import golds
from reward_fns.mrpv import Reason, Weights, first_error_counts, score_response, verdict_confusion
from reward_fns.response import parse_response
from reward_fns.routes import Route, counts_from, indexes_from, route_at, route_count
from reward_fns.symbolic import one_budget

__all__ = ["MAX_PRED_CHARS", "compute_score"]

MAX_PRED_CHARS = 200
"""`pred` is cut to this: it is for logs and for voting."""


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    w_outcome: float = 1.0,
    w_verdict: float = 0.2,
    w_decisive: float = 0.2,
    w_format: float = 0.05,
    right_share: float = 0.5,
    guess_rates: Mapping[Any, Sequence[float]] | None = None,
    domains: str | Iterable[str] | None = None,
    reward_router_address: str | None = None,
    reward_model_tokenizer: Any = None,
) -> dict[str, float | int | str]:
    """Score one response.

    Total in `solution_str`: any text is answered, in time linear in its length, plus at most
    `symbolic.BUDGET_SECONDS` in worker processes. A row whose routes cannot
    be read is scored as unguided, with reason `BAD_ROW`; one whose gold answer is a blank text gets 0, with that reason.

    Args:
        data_source: `realm/<domain>`, `realm/<domain>/guided`, or a name in `domains.FOREIGN_SOURCES`.
        solution_str: the model's response.
        ground_truth: the gold answer, in a form that `ground_truth.golds` reads; of several any is right.
        extra_info: `routes` (route mappings), `shown` (0-based indexes into them in the order of numbering;
            absent or empty: unguided), `shown_steps` (how many first steps of each shown route the prompt had,
            see `reward_fns.cut`; absent: all), `exposure`, `thinking_opened` (true: the prompt ended inside `<think>`, see
            `response.opens_thinking`). Other keys are ignored.
        w_outcome, w_verdict, w_decisive, w_format: weights; `mrpv.check_weights` says which are sound.
        right_share: share of right routes in the bank.
        guess_rates: see `mrpv.measured_guess_rates`; keys may be texts, as in a config.
        domains: modules of further domains, `package.module` or `package.module:NAME`.
        reward_router_address, reward_model_tokenizer: verl adds them when a reward model runs beside; unused.

    Returns:
        The same keys each time, all numbers but `pred`:
        `score` (weighted sum), `acc` and `outcome` (0 or 1), `verdict`, `decisive` (as credited),
        `raw_verdict`, `raw_decisive` (before the consistency rule), `format`, `consistent`, `guided`,
        `has_verdict`, `has_decisive` (0: absent, its component is 0), `exposure`, `n_shown`, `n_disputed`
        (shown routes left out because label and soundness differ, or because too little of them was shown),
        `first_errors`, `first_errors_named`, `first_errors_guessed` (see `mrpv.first_error_counts`),
        `right_judged_right`, `right_judged_wrong`, `wrong_judged_right`, `wrong_judged_wrong` (numbers of routes;
        neither where the verdict is missing), `reason` (`mrpv.Reason`), `timeout` (1: the answer could not be
        compared within `symbolic.BUDGET_SECONDS`), `response_chars`, `pred` (the canonical answer, empty if none).

    Raises:
        ValueError: `data_source` names no known domain, one of `domains` is not one, or `ground_truth` holds no answer.
        ImportError: a module in `domains` cannot be imported.
    """
    for path in (domains,) if isinstance(domains, str) else domains or ():
        _domains.load(path)
    domain = _domains.domain_of(data_source)
    shown, bad_row = _shown_routes(extra_info)
    info = extra_info if isinstance(extra_info, Mapping) else {}
    response = parse_response(solution_str, len(shown), opened=info.get("thinking_opened") == 1)
    blank = isinstance(ground_truth, str) and not ground_truth.strip()
    gold = () if blank else golds(ground_truth)
    rates = None if guess_rates is None else _rates(shown, guess_rates)
    with one_budget():
        parts = score_response(
            response,
            shown,
            gold,
            domain,
            right_share=right_share,
            guess_rates=rates,
        )
    weights = Weights(w_outcome, w_verdict, w_decisive, w_format)
    return {
        "score": parts.score(weights),
        "acc": parts.outcome,
        "outcome": parts.outcome,
        "verdict": parts.verdict or 0.0,
        "decisive": parts.decisive or 0.0,
        "raw_verdict": parts.raw_verdict or 0.0,
        "raw_decisive": parts.raw_decisive or 0.0,
        "format": parts.format,
        "consistent": float(parts.consistent or False),
        "guided": int(bool(shown)),
        "has_verdict": int(parts.verdict is not None),
        "has_decisive": int(parts.decisive is not None),
        "exposure": _exposure(extra_info),
        "n_shown": len(shown),
        "n_disputed": parts.disputed,
        **first_error_counts(shown, response.verdicts, rates),
        **verdict_confusion(shown, response.verdicts),
        "reason": int(Reason.BAD_ROW if bad_row or blank else parts.reason),
        "timeout": int(parts.reason is Reason.TIMEOUT),
        "response_chars": len(solution_str),
        "pred": _loggable(parts.prediction or ""),
    }


def _shown_routes(extra_info: Mapping[str, Any] | None) -> tuple[tuple[Route, ...], bool]:
    """The shown routes in order of numbering, and whether the row could not be read."""
    info = extra_info if isinstance(extra_info, Mapping) else {}
    try:
        routes = info.get("routes")
        indexes = indexes_from(info.get("shown"), route_count(routes))
        shown = tuple(route_at(routes, index) for index in indexes)
        n_steps = counts_from(info.get("shown_steps")) if shown else None
        if n_steps is None or n_steps == tuple(len(route.steps) for route in shown):
            return shown, False
        bank = [route_at(routes, index) for index in range(route_count(routes))]
        return cut_routes(bank, indexes, n_steps), False
    except ValueError:
        return (), True


def _rates(shown: Sequence[Route], rates: Mapping[Any, Sequence[float]]) -> dict[int, Sequence[float]]:
    """The guess rates of the shown routes' lengths."""
    lengths = {len(route.steps) for route in shown}
    return {n: rates[key] for n in lengths for key in (n, str(n)) if key in rates}


def _loggable(text: str) -> str:
    """Cut, and without half surrogates: those cannot be written to any file or table."""
    return text[:MAX_PRED_CHARS].encode("utf-8", "replace").decode("utf-8")


def _exposure(extra_info: Mapping[str, Any] | None) -> float:
    value = extra_info.get("exposure") if isinstance(extra_info, Mapping) else None
    try:
        return 0.0 if value is None else float(value)
    except (TypeError, ValueError):
        return 0.0
