"""Carry: right guided rollouts teach the prompt without routes, for questions that routes help with.

Serves design section "EAAI": fading alone may not carry guided skill over. A question is behind when a larger share of
its guided rollouts than of its unguided ones is right. There up to `realm.carry` right guided rollouts, those that judged
best first, train as unguided ones: the routes leave their prompt, and every word on routes their response. The rest goes
on as it is: the policy gradient of the unguided group, in which carried rollouts are successes. Once a question is solved
without routes, or routes have faded, nothing is carried.

A carried rollout was not drawn from the policy that it trains: its ratio is taken against that policy's own
log-probability at this step, without a correction for how it was sampled, as mixed-policy GRPO takes off-policy successes
(LUFFY, arXiv 2504.14945).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl.workers.utils.padding import response_from_nested

from realm_ext.carry_over import unguided_row, without_verdicts
from realm_ext.rollout_metrics import Rollout
from reward_fns.critique import without_critique
from reward_fns.response import parse_response
from reward_fns.stripping import strip_routes


@dataclass(frozen=True)
class Carried:
    """What a step carried.

    Attributes:
        keys: of the rollouts that now train the unguided prompt.
        n_behind: questions of which a larger share was right with routes than without.
        n_refused: right guided rollouts of which nothing was left to learn from once stripped.
    """

    keys: frozenset[str] = frozenset()
    n_behind: int = 0
    n_refused: int = 0


def candidates(rollouts: Sequence[Rollout | None]) -> list[list[int]]:
    """Positions of the right guided rollouts of each question that is behind: best verdict score first, then by hash.

    Args:
        rollouts: of a batch, in its order; None for padding.
    """
    groups: dict[str, tuple[list[tuple[int, Rollout]], list[Rollout]]] = {}
    for i, rollout in enumerate(rollouts):
        if rollout is None or rollout.exposure is None:
            continue
        guided, unguided = groups.setdefault(rollout.uid, ([], []))
        if rollout.guided:
            guided.append((i, rollout))
        else:
            unguided.append(rollout)
    found = []
    for guided, unguided in groups.values():
        right = [(i, rollout) for i, rollout in guided if rollout.is_right]
        n_right_without = sum(bool(rollout.is_right) for rollout in unguided)
        if right and unguided and n_right_without / len(unguided) < len(right) / len(guided):
            found.append([i for i, _ in sorted(right, key=lambda pair: _rank(pair[1]))])
    return found


def as_unguided(response: str, n_shown: int, question: str) -> str | None:
    """A guided response as an unguided one would be written, or None where too little of it is left.

    The grammar must hold before and after, and the answer stays as it is.

    Args:
        n_shown: how many routes its prompt showed.
        question: the bare question.
    """
    guided = parse_response(response, n_shown)
    if guided.problems or guided.answer is None:
        return None
    text = without_verdicts(response)
    if guided.think:
        stripped = strip_routes(without_critique(guided.think), question, ())
        if stripped.refused:
            return None
        text = text.replace(without_critique(guided.think), stripped.text, 1)
    again = parse_response(text, 0)
    return None if again.problems or again.answer != guided.answer else text


def carry(
    batch: KVBatchMeta,
    rollouts: Sequence[Rollout | None],
    *,
    most: int,
    score: float,
    workers: Any,
    tokenizer: Any,
    builder: Any,
    multiple: int,
    temperature: float,
    with_log_probs: bool,
) -> Carried:
    """Rewrite up to `most` rollouts of each question that is behind in TransferQueue, and their tags in `batch`.

    Args:
        batch: the step's rollouts, scored, before log-probabilities are computed.
        rollouts: of `batch`, in its order.
        score: of a right unguided response.
        workers: verl's actor worker group.
        builder: verl's continuous-token builder, which made the prompts of the run.
        multiple: data-parallel workers, which share a batch evenly.
        temperature: of the rollouts, as verl divides by it in `compute_log_prob`.
        with_log_probs: whether rollouts hold the engine's log-probabilities (`rollout.calculate_log_probs`).
    """
    behind = candidates(rollouts)
    wanted = [i for group in behind for i in group]
    if not wanted:
        return Carried()
    data = tq.kv_batch_get(
        keys=[batch.keys[i] for i in wanted],
        partition_id=batch.partition_id,
        select_fields=["responses", "raw_prompt"],
    )
    responses = dict(zip(wanted, data["responses"].unbind(), strict=True))
    prompts = dict(zip(wanted, data["raw_prompt"], strict=True))
    rows: dict[int, dict[str, Any]] = {}
    n_refused = 0
    for group in behind:
        taken = 0
        for i in group:
            if taken == most:
                break
            rollout = rollouts[i]
            assert rollout is not None
            ids = responses[i].tolist()
            row = _row(ids, list(prompts[i]), len(rollout.shown), score, tokenizer, builder)
            if row is None:
                n_refused += 1
                continue
            rows[i] = row
            taken += 1
    if rows:
        _rewrite(batch, rows, with_log_probs)
    if rows and with_log_probs:
        _ask_log_probs(batch, list(rows), workers, multiple, temperature)
    return Carried(frozenset(batch.keys[i] for i in rows), len(behind), n_refused)


def _row(
    ids: Sequence[int],
    messages: Sequence[Any],
    n_shown: int,
    score: float,
    tokenizer: Any,
    builder: Any,
) -> dict[str, Any] | None:
    """A rollout as TransferQueue stores it, with `score` at its last token."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True)
    question = "\n".join(str(message["content"]) for message in messages)
    stripped = as_unguided(text, n_shown, question)
    if stripped is None:
        return None
    ends = bool(ids) and ids[-1] == tokenizer.eos_token_id
    row = unguided_row(messages, stripped, ends, tokenizer, builder)
    scores = torch.zeros(len(row["responses"]), dtype=torch.float32)
    scores[-1] = score
    return row | {"rm_scores": scores}


def _rewrite(batch: KVBatchMeta, rows: Mapping[int, dict[str, Any]], with_log_probs: bool) -> None:
    """Store the rows in place of what was there; a column for log-probabilities keeps the response's length."""
    for i, row in rows.items():
        n_prompt, n_response = len(row["prompts"]), len(row["responses"])
        batch.tags[i] |= {
            "prompt_len": n_prompt,
            "response_len": n_response,
            "seq_len": n_prompt + n_response,
        }
    blank = "rollout_log_probs"
    fields = [
        row | ({blank: torch.zeros(len(row["responses"]))} if with_log_probs else {}) for row in rows.values()
    ]
    tq.kv_batch_put(
        keys=[batch.keys[i] for i in rows],
        partition_id=batch.partition_id,
        fields=list_of_dict_to_tensordict(fields),
        tags=[batch.tags[i] for i in rows],
    )


def _ask_log_probs(
    batch: KVBatchMeta, positions: Sequence[int], workers: Any, multiple: int, temperature: float
) -> None:
    """The policy's own log-probabilities in place of the engine's, which saw another prompt.

    verl reads them in bypass mode and to correct for the engine; in both the ratio is then 1.
    """
    # Other rollouts fill up what the workers share evenly; nothing reads their log_probs before verl writes them.
    filler = [i for i in range(len(batch.keys)) if i not in positions][: -len(positions) % multiple]
    asked = [*positions, *filler]
    keys = [batch.keys[i] for i in positions]
    workers.compute_log_prob(
        KVBatchMeta(
            partition_id=batch.partition_id,
            keys=[batch.keys[i] for i in asked],
            tags=[batch.tags[i] for i in asked],
            extra_info={"calculate_entropy": False, "compute_loss": False, "temperature": temperature},
        )
    )
    found = tq.kv_batch_get(
        keys=keys, partition_id=batch.partition_id, select_fields=["log_probs", "response_mask"]
    )
    found["rollout_log_probs"] = response_from_nested(found.pop("log_probs"), found["response_mask"])
    tq.kv_batch_put(keys=keys, partition_id=batch.partition_id, fields=found.select("rollout_log_probs"))


def _rank(rollout: Rollout) -> tuple[float, bytes]:
    name = f"{rollout.row_uid}|{rollout.session}"
    return -rollout.components.get("raw_verdict", 0.0), hashlib.sha256(name.encode()).digest()
