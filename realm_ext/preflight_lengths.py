"""Whether prompts fit: those of the rows that `realm_ext.preflight_data` picked, in tokens of the run's own tokenizer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from omegaconf import DictConfig

from realm_ext.prompt import render_messages
from realm_ext.tokens import PromptTokens, UnreachableTokenizerError


@dataclass(frozen=True)
class PromptRow:
    """A row to tokenise.

    Attributes:
        where: its number and file, for messages.
        messages: as the data holds them.
        is_rendered: the unguided instruction is added.
        of_realm: the agent `realm` takes it, which cuts no question.
    """

    where: str
    messages: Sequence[Mapping[str, Any]]
    is_rendered: bool
    of_realm: bool


def length_faults(config: DictConfig, rows: Sequence[PromptRow]) -> tuple[list[str], list[str]]:
    """The problems and the notes of prompts that are longer than `rollout.prompt_length`, or that no template takes."""
    try:
        tokens = PromptTokens(config)
    except UnreachableTokenizerError as error:
        return [], [f"prompt lengths in tokens are not checked: {error}"]
    except (OSError, ValueError) as error:
        return [str(error)], []
    budget, filters = (
        config.actor_rollout_ref.rollout.prompt_length,
        config.data.get("filter_overlong_prompts"),
    )
    over: list[tuple[int, PromptRow]] = []
    n_filtered = 0
    for row in rows:
        try:
            n_tokens = _n_tokens(tokens, row)
            if n_tokens <= budget:
                continue
            if filters and tokens.count(row.messages) > config.data.max_prompt_length:
                n_filtered += 1
                continue
        except (TemplateError, TypeError, ValueError) as error:
            return [f"the chat template of {tokens.path} does not take {row.where}: {error}"], []
        over.append((n_tokens, row))
    notes = [f"data.filter_overlong_prompts leaves out at least {n_filtered} rows"] if n_filtered else []
    ours, cut = [o for o in over if o[1].of_realm], [o for o in over if not o[1].of_realm]
    if cut:
        notes.append(f"{_told(cut, len(rows), budget)}. verl cuts their beginnings off")
    if not ours:
        return [], notes
    problem = f"{_told(ours, len(rows), budget)}. Raise data.max_prompt_length or leave them out: a question is never cut"
    return [problem], notes


def _told(over: Sequence[tuple[int, PromptRow]], n_rows: int, budget: int) -> str:
    longest, row = max(over, key=lambda found: found[0])
    return (
        f"{len(over)} of the {n_rows} prompts looked at are longer than rollout.prompt_length={budget} without any route; "
        f"the longest has {longest} tokens ({row.where})"
    )


def _n_tokens(tokens: PromptTokens, row: PromptRow) -> int:
    return tokens.count(render_messages(row.messages, ()) if row.is_rendered else row.messages)
