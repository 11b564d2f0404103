"""Does the skill carry over? How likely guided successes are under the unguided prompt.

Serves design section "EAAI": fading alone may not carry guided skill over. At validation steps the trainer takes some
right guided rollouts, strips the verdicts (an unguided response has none), puts them behind the prompt without routes,
and asks the policy for their log-probability with verl's own `compute_log_prob`: up to `MOST` forward passes. The mean
over tokens rises as the model comes to think without routes as it did with them.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl.workers.utils.padding import response_from_nested

from realm_ext.prompt import render_messages
from realm_ext.rollout_metrics import Rollout
from reward_fns.critique import without_critique

MOST = 32
PARTITION = "realm_carry_over"
_VERDICTS = re.compile(r"<verdicts>.*?</verdicts>\s*", re.DOTALL)


def choose(rollouts: Sequence[Rollout | None]) -> list[int]:
    """Positions of up to `MOST` right guided rollouts, drawn by hash.

    Args:
        rollouts: of a batch, in its order; None for padding.
    """
    right = [i for i, r in enumerate(rollouts) if r is not None and r.guided and r.is_right]

    def drawn(i: int) -> bytes:
        rollout = rollouts[i]
        assert rollout is not None
        return hashlib.sha256(f"{rollout.row_uid}|{rollout.session}".encode()).digest()

    return sorted(right, key=drawn)[:MOST]


def without_verdicts(response: str) -> str:
    """A guided response as an unguided one would be written: nothing that judges a route is left."""
    return without_critique(_VERDICTS.sub("", response))


def unguided_fields(
    raw_prompt: Sequence[Any], response_ids: Sequence[int], tokenizer: Any, builder: Any
) -> dict[str, Any]:
    """One rollout as TransferQueue stores it: the prompt without routes, the response without verdicts."""
    text = without_verdicts(tokenizer.decode(list(response_ids), skip_special_tokens=True))
    ends = bool(response_ids) and response_ids[-1] == tokenizer.eos_token_id
    return unguided_row(raw_prompt, text, ends, tokenizer, builder)


def unguided_row(
    raw_prompt: Sequence[Any], response: str, ends: bool, tokenizer: Any, builder: Any
) -> dict[str, Any]:
    """The fields of a response behind the prompt without routes; `ends`: with the token that ends a text."""
    ids = list(tokenizer(response, add_special_tokens=False)["input_ids"])
    if ends:
        ids.append(tokenizer.eos_token_id)
    prompts = torch.tensor(builder.build_initial_tokens(render_messages(raw_prompt, ())), dtype=torch.int64)
    responses = torch.tensor(ids or [tokenizer.eos_token_id], dtype=torch.int64)
    mask = torch.ones_like(responses)
    return {
        "prompts": prompts,
        "responses": responses,
        "input_ids": torch.cat([prompts, responses]),
        "position_ids": torch.arange(len(prompts) + len(responses)),
        "response_mask": mask,
        "loss_mask": mask,
        "multi_modal_inputs": {},
    }


def measure(
    batch: KVBatchMeta,
    rollouts: Sequence[Rollout | None],
    workers: Any,
    tokenizer: Any,
    builder: Any,
    multiple: int,
    temperature: float,
) -> dict[str, float]:
    """The mean log-probability per token, and of how many rollouts; nothing where none is right and guided.

    Args:
        batch: the step's rollouts.
        rollouts: of `batch`, in its order.
        workers: verl's actor worker group.
        builder: verl's continuous-token builder, which made the prompts of the run.
        multiple: what the workers can share evenly; rows are repeated up to a multiple of it, and counted once.
        temperature: of the rollouts, as verl divides by it in `compute_log_prob`.
    """
    chosen = choose(rollouts)
    if not chosen:
        return {}
    data = tq.kv_batch_get(
        keys=[batch.keys[i] for i in chosen],
        partition_id=batch.partition_id,
        select_fields=["responses", "raw_prompt"],
    )
    responses = [ids.tolist() for ids in data["responses"].unbind()]
    fields = [
        unguided_fields(list(prompt), ids, tokenizer, builder)
        for prompt, ids in zip(list(data["raw_prompt"]), responses, strict=True)
    ]
    fields = [fields[i % len(chosen)] for i in range(-(-len(chosen) // multiple) * multiple)]
    keys = [f"carry_over_{i}" for i in range(len(fields))]
    tags = [{"seq_len": len(f["input_ids"]), "response_len": len(f["responses"])} for f in fields]
    tq.kv_batch_put(keys=keys, partition_id=PARTITION, fields=list_of_dict_to_tensordict(fields), tags=tags)
    try:
        options = {"calculate_entropy": False, "compute_loss": False, "temperature": temperature}
        workers.compute_log_prob(
            KVBatchMeta(partition_id=PARTITION, keys=keys, tags=tags, extra_info=options)
        )
        found = tq.kv_batch_get(
            keys=keys[: len(chosen)], partition_id=PARTITION, select_fields=["log_probs", "response_mask"]
        )
        log_probs = response_from_nested(found["log_probs"], found["response_mask"])
        means = [float(values.mean()) for values in log_probs.unbind()]
    finally:
        tq.kv_clear(keys=keys, partition_id=PARTITION)
    return {
        "realm/carry_over/log_prob": sum(means) / len(means),
        "realm/carry_over/rollouts": float(len(means)),
    }
