"""The agent loop `realm`: one question in, rollouts that see what the exposure allows out.

Serves design sections "EAAI" and "MRPV". Runs inside verl's agent-loop workers. `prepare` decides for a whole
group and tokenises each distinct prompt once; `generate` is one rollout. `RealmAgentLoopWorker` calls them by
group; `run` is verl's own way in, one call per rollout.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput, register
from verl.utils.profiler import simple_timer

from realm_ext.config import read_config
from realm_ext.exposure import GroupPlan, keep_routes
from realm_ext.prompt import render_messages
from realm_ext.schedule import build_schedule
from reward_fns.response import opens_thinking
from reward_fns.routes import Route, routes_from

AGENT_NAME = "realm"
EXPOSURE_COLUMN = "realm_exposure"
"""Where the trainer writes a row's exposure when that is more than the schedule's (`realm.adaptive`)."""
STEP_COLUMN = "realm_step"
"""Where the trainer writes the step a row is planned in, where that may not be the one it is handed out in."""

PROMPT_END_TOKENS = 16
"""More than `<think>` and blanks take, however they are split."""


@dataclass(frozen=True)
class Prepared:
    """What the rollouts of one question see, tokenised.

    Attributes:
        plan: who is guided and what is shown, after the length budget.
        guided_ids: prompt tokens of the guided rollouts; empty when nobody is guided.
        unguided_ids: prompt tokens of the others; empty when all are guided.
        routes_dropped: routes left out because the prompt was over its budget.
        row_uid: the row's content hash; empty for a row that is not ReaLM's.
        step: the step it was planned in.
    """

    plan: GroupPlan
    guided_ids: tuple[int, ...]
    unguided_ids: tuple[int, ...]
    routes_dropped: int
    row_uid: str
    step: int


@register(AGENT_NAME)
class RealmAgentLoop(AgentLoopBase):
    """Single-turn loop that plans exposure by group. Rows without a `routes` key keep their prompt as it is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.realm = read_config(self.config)
        self.schedule = build_schedule(self.realm.schedule)
        self.prompt_length: int = self.rollout_config.prompt_length
        self.response_length: int = self.rollout_config.response_length
        self.context: int = (
            self.rollout_config.get("max_model_len") or self.prompt_length + self.response_length
        )
        # vLLM would otherwise send every token of every rollout on its own, as text too; nobody reads those.
        self.engine_params = final_only_params() if self.rollout_config.name == "vllm" else {}

    async def prepare(self, row: Mapping[str, Any], n: int) -> Prepared:
        """Plan and tokenise for the `n` rollouts of a dataset row.

        Args:
            row: `raw_prompt`, `extra_info`, `global_steps` and, if they are there, `EXPOSURE_COLUMN` and `STEP_COLUMN`
                are read.

        Raises:
            ValueError: the bare question does not fit `rollout.prompt_length` (it is never cut), it holds images,
                videos or audio, or the row's routes are malformed.
        """
        messages = [dict(message) for message in row["raw_prompt"]]
        _check_is_text(messages, row)
        info = row.get("extra_info") or {}
        planned = row.get(STEP_COLUMN)
        step = int(row["global_steps"] if planned is None else planned)
        if "routes" not in info:
            ids = await self._tokenise(messages)
            self._check_fits(ids, info)
            return Prepared(GroupPlan(0.0, (False,) * n, (), ()), (), ids, 0, "", step)
        routes = routes_from(info["routes"])
        uid = str(info["uid"])
        exposure = row.get(EXPOSURE_COLUMN)
        plan = self.realm.plan(
            uid=uid,
            step=step,
            exposure=self.schedule(step) if exposure is None else float(exposure),
            n=n,
            routes=routes,
            regime=info.get("regime"),
        )
        shown, guided_ids = await self._fit_routes(messages, routes, plan, uid, step)
        dropped = len(plan.shown) - len(shown)
        guided = plan.guided if shown else (False,) * n
        steps = dict(zip(plan.shown, plan.shown_steps, strict=True))
        fitting = GroupPlan(plan.exposure, guided, shown, tuple(steps[i] for i in shown))
        unguided_ids: tuple[int, ...] = ()
        if not all(guided):
            unguided_ids = await self._tokenise(render_messages(messages, ()))
            self._check_fits(unguided_ids, info)
        return Prepared(fitting, guided_ids, unguided_ids, dropped, uid, step)

    async def generate(
        self, prepared: Prepared, session_id: int, sampling_params: dict[str, Any]
    ) -> AgentLoopOutput:
        """One rollout of a prepared group, at most `rollout.response_length` tokens."""
        guided = prepared.plan.guided[session_id]
        prompt_ids = list(prepared.guided_ids if guided else prepared.unguided_ids)
        metrics: dict[str, Any] = {}
        request_id, params = uuid4().hex, {**sampling_params, **self.engine_params}
        if getattr(self.rollout_config, "full_determinism", False):
            number = stable_number(self.rollout_config.seed, prepared.step, prompt_ids, session_id)
            request_id = f"det-{number}"
            # verl's own seed is one for all, and a group would be all alike
            if self.rollout_config.name == "vllm":
                params.setdefault("seed", number % 2**31)
        with simple_timer("generate_sequences", metrics):
            output = await self.server_manager.generate(
                request_id=request_id, prompt_ids=prompt_ids, sampling_params=params
            )
        metrics["num_preempted"] = -1 if output.num_preempted is None else output.num_preempted
        response_ids = output.token_ids[: self.response_length]
        return AgentLoopOutput(
            prompt_ids=prompt_ids,
            response_ids=response_ids,
            response_mask=[1] * len(response_ids),
            response_logprobs=output.log_probs[: self.response_length] if output.log_probs else None,
            routed_experts=(
                None
                if output.routed_experts is None
                else output.routed_experts[: len(prompt_ids) + len(response_ids)]
            ),
            num_turns=2,
            metrics=metrics,
            extra_fields={
                **output.extra_fields,
                "turn_scores": [],
                "tool_rewards": [],
                "shown": list(prepared.plan.shown) if guided else [],
                "shown_steps": list(prepared.plan.shown_steps) if guided else [],
                "exposure": prepared.plan.exposure,
                "guided": guided,
                "thinking_opened": opens_thinking(self.tokenizer.decode(prompt_ids[-PROMPT_END_TOKENS:])),
                "routes_dropped": prepared.routes_dropped,
                "row_uid": prepared.row_uid,
                "session_id": session_id,
                "train_step": prepared.step,
                "cut": self._is_cut(prompt_ids, response_ids),
            },
        )

    def _is_cut(self, prompt_ids: Sequence[int], response_ids: Sequence[int]) -> bool:
        """Whether a response ended for want of room, its own budget's or the context's; verl does not pass on why it did."""
        is_full = len(response_ids) >= min(self.response_length, self.context - len(prompt_ids))
        return is_full and bool(response_ids) and response_ids[-1] != self.tokenizer.eos_token_id

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """verl's way in: one rollout, `session_id` and the row in `kwargs`."""
        session_id = int(kwargs["session_id"])
        n = max(int(self.rollout_config.n), session_id + 1)
        return await self.generate(await self.prepare(kwargs, n), session_id, sampling_params)

    async def _fit_routes(
        self,
        messages: list[dict[str, Any]],
        routes: Sequence[Route],
        plan: GroupPlan,
        uid: str,
        step: int,
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The routes that fit the budget, dropped whole and at random, and the prompt that shows them."""
        kept = plan.shown
        n_steps = dict(zip(plan.shown, plan.shown_steps, strict=True))
        while kept:
            rendered = render_messages(
                messages, [routes[i] for i in kept], self.realm.show_answers, [n_steps[i] for i in kept]
            )
            ids = await self._tokenise(rendered)
            if len(ids) <= self.prompt_length:
                return kept, ids
            kept = keep_routes(
                seed=self.realm.seed, uid=uid, step=step, shown=plan.shown, n_keep=len(kept) - 1
            )
        return (), ()

    async def _tokenise(self, messages: list[dict[str, Any]]) -> tuple[int, ...]:
        ids = await self.loop.run_in_executor(
            None, self.continuous_token_builder.build_initial_tokens, messages
        )
        return tuple(ids)

    def _check_fits(self, ids: Sequence[int], info: Mapping[str, Any]) -> None:
        if len(ids) > self.prompt_length:
            raise ValueError(
                f"the prompt of row {info.get('uid', info.get('index', '?'))} has {len(ids)} tokens without any "
                f"route, rollout.prompt_length is {self.prompt_length}: raise data.max_prompt_length or leave the "
                "row out (a question is never cut)"
            )


def stable_number(seed: int, step: int, prompt_ids: Sequence[int], session_id: int) -> int:
    """A number of 63 bits for one rollout: the same in every run, another for each rollout."""
    identity = f"{seed}|{step}|{session_id}|{','.join(map(str, prompt_ids))}"
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8]) >> 1


def _check_is_text(messages: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> None:
    parts = [part for m in messages if isinstance(m.get("content"), list | tuple) for part in m["content"]]
    kinds = {str(part.get("type", "text")) for part in parts if isinstance(part, Mapping)} - {"text"}
    if kinds:
        raise ValueError(
            f"the prompt of row {row.get('index', '?')} holds parts of type {', '.join(sorted(kinds))}: the agent "
            f"`{AGENT_NAME}` reads text only, and would train as if they were not there; leave such rows out, or give "
            "them another agent_name (single_turn_agent)"
        )


def final_only_params() -> dict[str, Any]:
    """Sampling parameters that make vLLM return each rollout once, at its end, and skip its text.

    The tokens are the same; verl reads nothing else (`vLLMHttpServer.generate`).
    """
    from vllm.sampling_params import RequestOutputKind

    return {"output_kind": RequestOutputKind.FINAL_ONLY, "detokenize": False}
