"""The trainer modes `realm_sync` and `realm_colocate_async`: verl's own, with exposure-aware advantages and safe checkpoints.

Registered when verl's trainers are imported; a config chooses one by `trainer.v1.trainer_mode`. Checkpoints are
`realm_ext.resume`'s matter.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import transfer_queue as tq
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.tensordict_utils import assign_non_tensor_stack
from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

from realm_ext import carry, carry_over, traces
from realm_ext.adaptive import Visit, bucket_of
from realm_ext.advantages import strata, strata_of
from realm_ext.agent_loop import EXPOSURE_COLUMN, STEP_COLUMN
from realm_ext.config import read_config
from realm_ext.diagnostics import diagnostic
from realm_ext.resume import ResumingTrainer
from realm_ext.rollout_metrics import Rollout, lost_metrics, step_metrics, validation_metrics
from realm_ext.run_length import length_problems
from realm_ext.schedule import build_schedule
from realm_ext.stall import Watch, advice
from reward_fns.routes import routes_from

POLL_INTERVAL_S = 0.05


class RealmTrainer(ResumingTrainer):
    """What ReaLM needs from a trainer, on top of whichever mode of verl stands behind it in a subclass.

    Attributes:
        realm_mode: its name under `trainer.v1`.
        verl_mode: the mode of verl that it is.
    """

    realm_mode: ClassVar[str]
    verl_mode: ClassVar[str]

    def __init__(self, config: Any) -> None:
        self.realm = read_config(config)
        self.schedule = build_schedule(self.realm.schedule)
        self.levels = None
        self._segments = []
        self._buckets: dict[str, str] = {}
        self._data_fingerprint = ""
        self._rollouts_of_step: list[Rollout] = []
        self._carried = carry.Carried()
        super().__init__(config)

    @property
    def trainer_mode(self) -> str:
        """verl's own name: verl asks for it in six places, and this mode behaves as that one does in all of them."""
        return self.verl_mode

    @trainer_mode.setter
    def trainer_mode(self, value: str) -> None:
        """The base class assigns the configured name; it changes nothing."""

    def _init_dataloader(self) -> None:
        """The rows are known for certain here, whatever made them: a run that would end early is refused."""
        super()._init_dataloader()
        problems = length_problems(self.config, len(self.train_dataset))
        if problems and self.realm.preflight == "strict":
            raise ValueError(problems[0])

    def _build_replay_buffer(self) -> ReplayBuffer:
        buffer = super()._build_replay_buffer()
        options = self.config.trainer.v1.get(self.realm_mode) or {}
        buffer.poll_interval = float(options.get("poll_interval", POLL_INTERVAL_S))
        return buffer

    def on_step_begin(self) -> None:
        """Write the metrics so far to disk: TensorBoard holds them back for up to two minutes, and those of steps
        that a resume does not repeat would be lost with a kill."""
        super().on_step_begin()
        tensorboard = self.logger.logger.get("tensorboard")
        if tensorboard is not None:
            with diagnostic("writing metrics to TensorBoard"):
                tensorboard.writer.flush()

    # ------------------------------ adaptive exposure and traces ------------------------------

    def _next_train_batch(self, num_prompts: int | None = None) -> TensorDict:
        """The next rows; with adaptive exposure each carries its own, so that every worker plans from the same."""
        batch = super()._next_train_batch(num_prompts)
        if self.levels is None or "extra_info" not in batch:
            return batch
        ceiling = self.schedule(self.global_steps)
        exposures: list[float | None] = []
        for info, source in zip(list(batch["extra_info"]), list(batch["data_source"]), strict=True):
            if "routes" not in (info or {}) or info.get("regime") is not None:
                exposures.append(None)
                continue
            uid, bucket = str(info["uid"]), bucket_of(source, routes_from(info["routes"]))
            self._buckets[uid] = bucket
            exposures.append(ceiling * self.levels.level(uid, bucket))
        assign_non_tensor_stack(batch, EXPOSURE_COLUMN, exposures)
        return batch

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, float]) -> KVBatchMeta:
        """A training step; afterwards its rollouts move the levels and are written down."""
        self._rollouts_of_step = []
        batch = super().step(metrics, timing_raw)
        if self.levels is not None:
            self.levels.update(visits_of(self._rollouts_of_step, self._buckets))
            self._buckets = {}
            metrics["realm/adaptive/questions"] = float(len(self.levels.questions))
            for name, (n, level) in sorted(self.levels.buckets.items()):
                metrics[f"realm/adaptive/level/{name}"] = level / n
        with diagnostic("counting lost rollouts"):
            n_groups, n = self.config.data.train_batch_size, self.config.actor_rollout_ref.rollout.n
            metrics.update(lost_metrics(self._rollouts_of_step, n_groups, n))
        if self.realm.traces:
            with diagnostic("writing route traces"):
                traces.write(self._checkpoint_root(), self.global_steps, self._rollouts_of_step)
        with diagnostic("watching for steps without anything to learn"):
            self._warn_of_stall(batch)
        return batch

    @cached_property
    def _watch(self) -> Watch:
        return Watch(self.realm.warn_after, self.config.data.max_response_length)

    def _warn_of_stall(self, batch: KVBatchMeta) -> None:
        """Say it once when rollouts have given nothing to learn from for `realm.warn_after` steps."""
        rollouts = self._rollouts_of_step
        uids, guided = [r.uid for r in rollouts], [r.guided for r in rollouts]
        compared = self.realm.advantage if self.config.algorithm.adv_estimator == "realm_grpo" else "pool"
        reason = self._watch.step(rollouts, strata_of(uids, guided, compared))
        if reason is None:
            return
        key = next(key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding"))
        data = tq.kv_batch_get(keys=[key], partition_id=batch.partition_id, select_fields=["responses"])
        text = self.tokenizer.decode(data["responses"].unbind()[0].tolist())
        print(f"ReaLM: {advice(reason, self.realm.warn_after, self.global_steps, text)}", flush=True)

    # ------------------------------ advantages and metrics ------------------------------

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Before anything is computed of a scored batch: right guided rollouts of questions that are behind are carried."""
        if self.realm.carry:
            config, weights = self.config.actor_rollout_ref.rollout, self.realm.weights
            self._carried = carry.carry(
                batch,
                self._rollouts(batch),
                most=self.realm.carry,
                score=weights["outcome"] + weights["format"],
                workers=self.actor_rollout_wg,
                tokenizer=self.tokenizer,
                builder=self._token_builder,
                multiple=self._data_parallel(),
                temperature=config.temperature,
                with_log_probs=bool(config.get("calculate_log_probs", False)),
            )
            metrics["realm/carry/rollouts"] = float(len(self._carried.keys))
            metrics["realm/carry/behind"] = float(self._carried.n_behind)
            metrics["realm/carry/refused"] = float(self._carried.n_refused)
        return super()._balance_batch(batch, metrics, *args, **kwargs)

    def _data_parallel(self) -> int:
        group = self.actor_rollout_wg
        if "actor" not in group._dispatch_info:
            group._dispatch_info["actor"] = group._query_dispatch_info("actor")
        return int(max(group._dispatch_info["actor"])) + 1

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        rollouts = self._rollouts(batch, self._carried.keys)
        present = [rollout for rollout in rollouts if rollout is not None]
        self._rollouts_of_step += present
        with diagnostic("the metrics of a step"):
            metrics.update(step_metrics(present))
        metrics["realm/schedule"] = self.schedule(self.global_steps)
        if self._validates_after_this_step() and self.processor is None:
            with diagnostic("measuring carry_over"):
                metrics.update(self._carry_over(batch, rollouts))
        if self.config.algorithm.adv_estimator != "realm_grpo":
            return super()._compute_advantage(batch, metrics)
        # A stratum of its own gives a row advantage 0 and keeps it out of everybody's mean: padding, and what is left out.
        overlong = self.realm.overlong
        alone = [r is None or overlong.leaves_out(r.cut) for r in rollouts]
        uids = [f"alone {i}" if r is None or alone[i] else r.uid for i, r in enumerate(rollouts)]
        guided = [r is not None and r.guided for r in rollouts]
        origins = strata_of(uids, guided, self.realm.advantage)
        moved = {
            i: (origins[i], r.components["score"])
            for i, r in enumerate(rollouts)
            if r is not None and r.carried
        }
        trained = [flag and i not in moved for i, flag in enumerate(guided)]
        lengths = [0 if r is None else r.response_length for r in rollouts]
        punishments = overlong.punishments(lengths, self.config.data.max_response_length)
        if overlong.kind == "punish" and present:
            metrics["realm/overlong/punishment"] = float(punishments.sum() / len(present))
        with strata(strata_of(uids, trained, self.realm.advantage), moved, punishments):
            return super()._compute_advantage(batch, metrics)

    def _carry_over(self, batch: KVBatchMeta, rollouts: Sequence[Rollout | None]) -> dict[str, float]:
        if not carry_over.choose(rollouts):
            return {}
        config = self.config.actor_rollout_ref.rollout
        is_dynamic = config.get("log_prob_use_dynamic_bsz", True)
        micro_batch = 1 if is_dynamic else int(config.get("log_prob_micro_batch_size_per_gpu") or 1)
        return carry_over.measure(
            batch,
            rollouts,
            workers=self.actor_rollout_wg,
            tokenizer=self.tokenizer,
            builder=self._token_builder,
            multiple=self._data_parallel() * micro_batch,
            temperature=config.temperature,
        )

    def _validates_after_this_step(self) -> bool:
        every, step = self.config.trainer.test_freq, self.global_steps
        return every > 0 and (step % every == 0 or step >= self.total_training_steps)

    @cached_property
    def _token_builder(self) -> Any:
        """What makes prompts in the agent loop, for this process; reads the model's config once, and as verl does
        (remote code, remote paths)."""
        model = omega_conf_to_dataclass(self.config.actor_rollout_ref.model)
        return create_continuous_token_builder(
            self.tokenizer,
            hf_model_type=getattr(model.hf_config, "model_type", None),
            chat_template_kwargs=self.config.data.get("apply_chat_template_kwargs", {}),
        )

    def _rollouts(self, batch: KVBatchMeta, carried: frozenset[str] = frozenset()) -> list[Rollout | None]:
        """One entry per row of the batch, in its order; None for verl's padding rows."""
        data = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"]
        )
        extra_fields = list(data["extra_fields"])
        return [
            None if tag.get("is_padding", False) else Rollout.from_stored(key, tag, extra, key in carried)
            for key, tag, extra in zip(batch.keys, batch.tags, extra_fields, strict=True)
        ]

    def _val_metrics_update(
        self,
        data_sources: list[str],
        sample_uids: list[str],
        reward_extra_infos_dict: dict[str, list[Any]],
        sample_turns: list[int],
        expected_acc_counts: dict[tuple[str, str], int] | None = None,
    ) -> dict[str, float]:
        found = super()._val_metrics_update(
            data_sources,
            sample_uids,
            reward_extra_infos_dict,
            sample_turns,
            expected_acc_counts=expected_acc_counts,
        )
        with diagnostic("validation by regime"):
            scores = reward_extra_infos_dict.get("acc") or reward_extra_infos_dict["reward"]
            found.update(validation_metrics(data_sources, scores, expected_acc_counts or {}))
        return found


@register_trainer("realm_sync")
class RealmTrainerSync(RealmTrainer, PPOTrainerSync):
    """verl's `sync` mode, plus what ReaLM needs from a trainer."""

    realm_mode, verl_mode = "realm_sync", "sync"


@register_trainer("realm_colocate_async")
class RealmTrainerColocateAsync(RealmTrainer, PPOTrainerColocateAsync):
    """verl's `colocate_async` mode, likewise.

    Questions are handed out a batch ahead, and a rollout may be trained in a later step than the one it was planned in.
    verl persists the rows in flight and hands them out again after a resume, as of the step it resumes in: each row
    therefore carries the step it was planned in, so that it is shown the same again.
    """

    realm_mode, verl_mode = "realm_colocate_async", "colocate_async"

    def _next_train_batch(self, num_prompts: int | None = None) -> TensorDict:
        batch = super()._next_train_batch(num_prompts)
        assign_non_tensor_stack(batch, STEP_COLUMN, [self.global_steps] * len(batch))
        return batch


def visits_of(rollouts: Sequence[Rollout], buckets: Mapping[str, str]) -> list[Visit]:
    """One visit for each question that had unguided rollouts in this step.

    Args:
        rollouts: all of the step.
        buckets: difficulty bucket by row uid, of the rows whose exposure adapts.

    Raises:
        ValueError: the reward said of no rollout whether it was right.
    """
    right: dict[str, list[bool | None]] = {}
    for rollout in rollouts:
        if rollout.row_uid in buckets and not rollout.guided:
            right.setdefault(rollout.row_uid, []).append(rollout.is_right)
    if any(value is None for values in right.values() for value in values):
        raise ValueError(
            "realm.adaptive.kind=per_question needs a reward that returns `outcome` or `acc` for every rollout; "
            "use reward_fns, add one of the keys, or set realm.adaptive.kind=none"
        )
    return [Visit(uid, buckets[uid], any(values)) for uid, values in right.items()]
