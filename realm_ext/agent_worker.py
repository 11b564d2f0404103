"""Agent-loop manager and worker that handle a whole group at once.

Serves design section "EAAI" and the speed goal of the CPU step. verl's worker builds a loop, makes a reward call
and a TransferQueue put for every rollout; this one keeps one loop, tokenises each distinct prompt once, scores
the group in one call and stores it in one put. Rows of other agents, and models with a processor, go through
verl's own path.

Chosen by `actor_rollout_ref.rollout.agent.agent_loop_manager_class: realm_ext.agent_worker.RealmAgentLoopManager`.
"""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any

import hydra
import numpy as np
import ray
import torch
import transfer_queue as tq
from tensordict import TensorDict
from verl.experimental.agent_loop.agent_loop import (
    AgentLoopOutput,
    DictConfigWrap,
    ToolListWrap,
    _agent_loop_registry,
)
from verl.protocol import DataProto
from verl.trainer.ppo.v1.agent_loop_tq import (
    AgentLoopManagerTQ,
    AgentLoopWorkerTQ,
    apply_greedy_sampling_params,
)
from verl.utils.profiler import simple_timer
from verl.utils.rollout_trace import rollout_trace_attr
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from realm_ext.agent_loop import AGENT_NAME, RealmAgentLoop

logger = logging.getLogger(__name__)

# What stays with a stored rollout of its row's columns: all that verl reads later (`_validate`,
# `_log_rollout_data`, `_compute_reward_colocate`). The routes are the bulk of a row and are not among them.
KEPT_COLUMNS = ("uid", "data_source", "reward_model", "raw_prompt", "index", "global_steps")

# `ray.remote` has wrapped verl's class; this is the class itself.
_PlainWorker: Any = AgentLoopWorkerTQ.__ray_metadata__.modified_class


class RealmAgentLoopWorker(_PlainWorker):
    """verl's TransferQueue worker, by group for rows whose agent is `realm`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loop: RealmAgentLoop | None = None

    async def _run_prompt(
        self,
        prompt: dict[str, Any],
        sampling_params: dict[str, Any],
        trajectory: dict[str, Any],
        trace: bool = False,
    ) -> None:
        """All rollouts of one row: generated together, scored and stored at once.

        As in verl, a failed rollout is logged and lost, the survivors are kept, and the group is then marked
        `failure`; the terminal status is published last.
        """
        if prompt["agent_name"] != AGENT_NAME:
            await super()._run_prompt(prompt, sampling_params, trajectory=trajectory, trace=trace)
            return
        validate = trajectory["validate"]
        if validate:
            prompt = without_schedule(prompt)
        if self.processor is not None:
            await super()._run_prompt(prompt, sampling_params, trajectory=trajectory, trace=trace)
            return
        uid, partition_id = prompt["uid"], "val" if validate else "train"
        with rollout_trace_attr(
            step=trajectory["step"],
            sample_index=trajectory["sample_index"],
            rollout_n=trajectory["rollout_n"],
            validate=validate,
            name="agent_loop",
            trace=trace,
        ):
            try:
                n_failed = await self._run_group(prompt, sampling_params, validate, partition_id)
            except (
                Exception
            ):  # as verl's own worker: one bad row must not end the run, it is logged and marked
                logger.exception("Error in _run_prompt for uid=%s", uid)
                n_failed = 1
        status = "failure" if n_failed else "finished"
        await tq.async_kv_put(key=uid, partition_id=partition_id, tag={"status": status})

    async def _run_group(
        self, prompt: dict[str, Any], sampling_params: dict[str, Any], validate: bool, partition_id: str
    ) -> int:
        """Generate, score and store one group; returns how many of its rollouts were lost."""
        config = self.config.actor_rollout_ref.rollout
        row = dict(prompt)
        n = int(row.pop("__rollout_n__", config.val_kwargs.n if validate else config.n))
        params = dict(sampling_params)
        if not validate and not row.pop("__do_sample__", True):
            apply_greedy_sampling_params(params)
        loop = self._realm_loop()
        prepared = await loop.prepare(row, n)
        generated = await asyncio.gather(
            *(loop.generate(prepared, session_id, params) for session_id in range(n)), return_exceptions=True
        )
        alive = self._without_errors(row["uid"], list(enumerate(generated)))
        alive = await self._score_group(row, alive)
        taught = await asyncio.gather(
            *(
                self._compute_teacher_logprobs(output, output.prompt_ids, output.response_ids, validate, row)
                for _, output in alive
            ),
            return_exceptions=True,
        )
        results = [
            (session_id, error if isinstance(error, BaseException) else output)
            for (session_id, output), error in zip(alive, taught, strict=True)
        ]
        return n - await self._store_group(row, self._without_errors(row["uid"], results), partition_id)

    def _realm_loop(self) -> RealmAgentLoop:
        if self._loop is None:
            self._loop = hydra.utils.instantiate(
                config=_agent_loop_registry[AGENT_NAME],
                trainer_config=DictConfigWrap(config=self.config),
                server_manager=self.llm_client,
                tokenizer=self.tokenizer,
                processor=self.processor,
                hf_model_type=self.hf_model_type,
                dataset_cls=self.dataset_cls,
                data_config=DictConfigWrap(self.config.data),
                tools=ToolListWrap(self.tools),
            )
        return self._loop

    def _without_errors(self, uid: str, results: Sequence[tuple[int, Any]]) -> list[tuple[int, Any]]:
        alive = []
        for session_id, result in results:
            if isinstance(result, BaseException):
                logger.error(
                    "Error in _run_prompt for uid=%s session=%d",
                    uid,
                    session_id,
                    exc_info=(type(result), result, result.__traceback__),
                )
            else:
                alive.append((session_id, result))
        return alive

    async def _score_group(
        self, row: Mapping[str, Any], alive: list[tuple[int, AgentLoopOutput]]
    ) -> list[tuple[int, AgentLoopOutput]]:
        """Score with one call; when that raises, one by one, so that only the offending rollouts are lost."""
        if not alive or self.reward_loop_worker_handles is None:
            return alive
        data = reward_batch(row, alive, self.tokenizer.pad_token_id or 0)
        worker = random.choice(self.reward_loop_worker_handles)
        timing: dict[str, float] = {}
        with simple_timer("compute_score", timing):
            try:
                results: list[Any] = await worker.compute_score_batch.remote(data)
            except ray.exceptions.RayTaskError:
                results = await asyncio.gather(
                    *(worker.compute_score.remote(data[i : i + 1]) for i in range(len(alive))),
                    return_exceptions=True,
                )
        scored = []
        for (session_id, output), result in zip(alive, results, strict=True):
            if isinstance(result, BaseException):
                scored.append((session_id, result))
                continue
            output.reward_score = result["reward_score"]
            output.extra_fields["reward_extra_info"] = result.get("reward_extra_info", {})
            output.metrics.compute_score = timing["compute_score"]
            scored.append((session_id, output))
        return self._without_errors(row["uid"], scored)

    async def _store_group(
        self, row: Mapping[str, Any], alive: list[tuple[int, AgentLoopOutput]], partition_id: str
    ) -> int:
        """Store in one put what can be stored, and say how many; a rollout that cannot (it is empty) is lost alone."""
        made: list[tuple[int, Any]] = []
        for session_id, output in alive:
            try:
                made.append((session_id, rollout_fields(row, session_id, output)))
            except Exception as error:  # noqa: BLE001 (as in verl: logged, and the rollout is lost)
                made.append((session_id, error))
        stored = self._without_errors(row["uid"], made)
        if stored:
            await tq.async_kv_batch_put(
                keys=[f"{row['uid']}_{session_id}_0" for session_id, _ in stored],
                fields=list_of_dict_to_tensordict([fields for _, (fields, _) in stored]),
                tags=[tag for _, (_, tag) in stored],
                partition_id=partition_id,
            )
        return len(stored)


class RealmAgentLoopManager(AgentLoopManagerTQ):
    """verl's TransferQueue manager with workers that handle a group at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agent_loop_workers_class = ray.remote(RealmAgentLoopWorker)


def without_schedule(prompt: dict[str, Any]) -> dict[str, Any]:
    """A validation row: one that leaves its regime to the schedule is unguided there."""
    info = prompt.get("extra_info") or {}
    if "routes" not in info or info.get("regime") is not None:
        return prompt
    return {**prompt, "extra_info": {**info, "regime": "unguided"}}


def reward_batch(
    row: Mapping[str, Any], alive: Sequence[tuple[int, AgentLoopOutput]], pad_token_id: int
) -> DataProto:
    """What verl's reward workers read, one row per rollout, responses right-padded.

    `extra_info` is one dict per rollout, because a reward manager writes into it; the routes inside are shared,
    so they are sent once.
    """
    outputs = [output for _, output in alive]
    n = len(outputs)
    prompts = _padded([output.prompt_ids for output in outputs], pad_token_id)
    responses = _padded([output.response_ids for output in outputs], pad_token_id)
    attention_mask = torch.cat(
        [
            _padded([[1] * len(o.prompt_ids) for o in outputs], 0),
            _padded([[1] * len(o.response_ids) for o in outputs], 0),
        ],
        dim=1,
    )
    columns: dict[str, list[Any]] = {
        key: [value] * n for key, value in row.items() if not isinstance(value, torch.Tensor)
    }
    columns["session_id"] = [session_id for session_id, _ in alive]
    columns["extra_info"] = [dict(row.get("extra_info") or {}) for _ in range(n)]
    columns["tool_extra_fields"] = [output.extra_fields for output in outputs]
    columns["__num_turns__"] = [output.num_turns for output in outputs]
    columns["prompt_len"] = [len(output.prompt_ids) for output in outputs]
    columns["response_len"] = [len(output.response_ids) for output in outputs]
    return DataProto(
        batch=TensorDict(
            {"prompts": prompts, "responses": responses, "attention_mask": attention_mask}, batch_size=n
        ),
        non_tensor_batch={key: _object_array(values) for key, values in columns.items()},
    )


def rollout_fields(
    row: Mapping[str, Any], session_id: int, output: AgentLoopOutput
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A rollout as TransferQueue stores it (fields) and as the replay buffer sees it (tag): verl's own names."""
    fields = output.as_dict()
    fields.update({key: row[key] for key in KEPT_COLUMNS if key in row})
    n_prompt, n_response = len(output.prompt_ids), len(output.response_ids)
    fields["session_id"] = session_id
    fields["loss_mask"] = fields["response_mask"]
    fields["input_ids"] = torch.cat([fields["prompts"], fields["responses"]])
    fields["position_ids"] = torch.arange(n_prompt + n_response)
    fields["multi_modal_inputs"] = {}
    tag = {
        "status": "success",
        "prompt_len": n_prompt,
        "response_len": n_response,
        "seq_len": n_prompt + n_response,
        "global_steps": row["global_steps"],
        "min_global_steps": output.extra_fields.get("min_global_steps"),
        "max_global_steps": output.extra_fields.get("max_global_steps"),
    }
    return fields, tag


def _padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(row, dtype=torch.int64) for row in rows], batch_first=True, padding_value=value
    )


def _object_array(values: Sequence[Any]) -> np.ndarray:
    array: np.ndarray = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):  # assigning the whole list would make rows of equal-length lists
        array[i] = value
    return array
