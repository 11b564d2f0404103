"""What the folder says of itself: dataset card and provenance.

Serves design.md, sections Data and Guided CoT distillation, item 6. Nothing here depends on how often the run was
interrupted, how fast it was or what failed tries cost: that is in the store and in the printed summary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_prep.distill.limits import FREE, Prices
from data_prep.distill.options import Options
from data_prep.distill.requests import Parameters
from data_prep.distill.teachers import Teacher
from data_prep.distill.writing import KEPT, Tally, ordered
from data_prep.filters.similarity_option import option_of
from data_prep.outputs import OTHER_LICENCE, Card, Provenance, WrittenFile

SUMMARY = (
    "Chains of thought of a teacher that reasoned under the domain's written rules. `sft` rows leave the rules out; "
    "contrast rows among them judge several routes. `bank` holds every route, right and wrong, labelled by the "
    "domain's verifier; `rl` holds the questions with their routes."
)

MISSING_CONTRAST = (
    "no more questions have routes to judge that were judged right; more --samples give more routes."
)


@dataclass(frozen=True)
class About:
    """What is known before the run: hashes of the inputs by name, the licence of the data, prices."""

    inputs: Mapping[str, str]
    licence: str = OTHER_LICENCE
    prices: Prices = FREE


def make_card(about: About, options: Options, teacher: Teacher, left: int, total: int) -> Card:
    """The dataset card; that of a run that ended before its time says so at the top."""
    warning = f"Partial: {left} of {total} questions are not finished; run the same command again to go on."
    return Card(
        title=f"ReaLM distilled {options.domain.name} by {teacher.name}",
        summary=SUMMARY,
        licence=about.licence,
        tags=("distillation", "reasoning"),
        warning=warning if left else None,
    )


def make_provenance(
    about: About,
    options: Options,
    teacher: Teacher,
    parameters: Parameters,
    prompt_version: str,
    tally: Tally,
    files: Sequence[WrittenFile],
    missing_contrast: int,
) -> Provenance:
    """Inputs, options, teacher, counts, and what the replies behind the rows came to."""
    cost = about.prices.cost(tally.prompt_tokens, tally.completion_tokens)
    return Provenance(
        command="realm distill QUESTIONS OUT",
        parameters={
            "domain": options.domain.name,
            "attempts": options.plan.attempts,
            "samples": options.plan.samples,
            "keep_rationalised": options.plan.rationalise,
            "need_citation": options.plan.need_citation,
            "contrast_from": options.contrast_from,
            "contrast_share": options.contrast_share,
            "routes": options.routes,
            "keep_rules": options.keep_rules,
            "max_chars": options.max_chars,
            "similarity": option_of(options.similarity),
            "seed": options.seed,
        },
        inputs=about.inputs,
        kept=ordered(tally.kept, KEPT),
        dropped=ordered(tally.dropped),
        files=files,
        seed=options.seed,
        teacher={
            **teacher.description,
            **(_sampling(parameters, options) if teacher.remembers else {}),
            "replies": tally.requests,
            "prompt_tokens": tally.prompt_tokens,
            "completion_tokens": tally.completion_tokens,
            "replies_without_usage": tally.without_usage,
            "cost": f"{cost:f}",
        },
        prompt_version=prompt_version,
        notes=(f"{missing_contrast} contrast rows are missing: {MISSING_CONTRAST}",)
        if missing_contrast
        else (),
    )


def _sampling(parameters: Parameters, options: Options) -> dict[str, Any]:
    return {
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "max_tokens": parameters.max_tokens,
        "extra": dict(parameters.extra),
        "seeds_sent": options.send_seeds,
    }
