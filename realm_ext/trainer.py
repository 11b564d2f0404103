"""The trainer modes `realm_sync` and `realm_colocate_async`: verl's own, with exposure-aware advantages and safe checkpoints.

Serves design sections "MRPV" (advantages), "EAAI" (resume, validation in both regimes) and the speed goal of the
CPU step. Registered when verl's trainers are imported; a config chooses one by `trainer.v1.trainer_mode`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import transfer_queue as tq
from omegaconf import OmegaConf, open_dict
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from transformers import AutoConfig
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import PPOTrainer, register_trainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.tensordict_utils import assign_non_tensor_stack
from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

from realm_ext import adaptive_store, carry, carry_over, checkpoints, traces
from realm_ext.adaptive import Levels, Visit, bucket_of
from realm_ext.advantages import strata, strata_of
from realm_ext.agent_loop import EXPOSURE_COLUMN, STEP_COLUMN
from realm_ext.config import read_config
from realm_ext.preflight_data import train_paths
from realm_ext.rollout_metrics import Rollout, step_metrics, validation_metrics
from realm_ext.run_length import length_problems
from realm_ext.schedule import build_schedule
from reward_fns.routes import routes_from

POLL_INTERVAL_S = 0.05


class RealmTrainer(PPOTrainer):
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
        self.levels: Levels | None = None
        self._segments: list[adaptive_store.Segment] = []
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
        if problems := length_problems(self.config, len(self.train_dataset)):
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
        if self.realm.traces:
            traces.write(self._checkpoint_root(), self.global_steps, self._rollouts_of_step)
        return batch

    # ------------------------------ advantages and metrics ------------------------------

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Before anything is computed of a scored batch: right guided rollouts of questions that are behind are carried."""
        if self.realm.carry and self.processor is not None:
            raise ValueError(
                "realm.carry: a rollout of a model with images cannot be written anew; set it to 0"
            )
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
        metrics.update(step_metrics(present))
        metrics["realm/schedule"] = self.schedule(self.global_steps)
        if self._validates_after_this_step() and self.processor is None:
            metrics.update(
                carry_over.measure(
                    batch,
                    rollouts,
                    workers=self.actor_rollout_wg,
                    tokenizer=self.tokenizer,
                    builder=self._token_builder,
                    multiple=self._data_parallel(),
                    temperature=self.config.actor_rollout_ref.rollout.temperature,
                )
            )
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

    def _validates_after_this_step(self) -> bool:
        every, step = self.config.trainer.test_freq, self.global_steps
        return every > 0 and (step % every == 0 or step >= self.total_training_steps)

    @cached_property
    def _token_builder(self) -> Any:
        """What makes prompts in the agent loop, for this process; reads the model's config once."""
        config = AutoConfig.from_pretrained(self.config.actor_rollout_ref.model.path)
        return create_continuous_token_builder(
            self.tokenizer,
            hf_model_type=config.model_type,
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
        scores = reward_extra_infos_dict.get("acc") or reward_extra_infos_dict["reward"]
        found.update(validation_metrics(data_sources, scores, expected_acc_counts or {}))
        return found

    # ------------------------------ checkpoints ------------------------------

    def _checkpoint_root(self) -> Path:
        return Path(self.config.trainer.default_local_dir).absolute()

    def _fingerprint(self) -> dict[str, str]:
        """What must stay the same for a resumed run to make the same exposure decisions."""
        config = OmegaConf.to_container(self.config, resolve=True)
        parts = {
            "realm": {key: value for key, value in config["realm"].items() if key != "traces"},
            "data": [config["data"][key] for key in ("train_files", "train_batch_size", "seed", "shuffle")],
            "rollout_n": config["actor_rollout_ref"]["rollout"]["n"],
        }
        return {
            name: hashlib.sha256(json.dumps(part, sort_keys=True, default=str).encode()).hexdigest()[:16]
            for name, part in parts.items()
        }

    def _save_checkpoint(self) -> None:
        """Save as verl does, then mark the checkpoint whole, and only then remove old ones."""
        trainer = self.config.trainer
        if self.config.actor_rollout_ref.actor.get("checkpoint", {}).get("async_save", False):
            super()._save_checkpoint()  # still being written when this returns; verl tracks it itself
            return
        root, step = self._checkpoint_root(), self.global_steps
        limits = {key: trainer.get(key) for key in ("max_actor_ckpt_to_keep", "max_critic_ckpt_to_keep")}
        relevant = [
            limits["max_actor_ckpt_to_keep"],
            *([limits["max_critic_ckpt_to_keep"]] if self.use_critic else []),
        ]
        keep = None if any(limit is None for limit in relevant) else max(relevant)
        if trainer.get("remove_previous_ckpt_in_save", False):
            keep = 1
        checkpoints.open_for_writing(root, step)
        if self.levels is not None:
            self._segments = adaptive_store.save(
                checkpoints.step_folder(root, step), self.levels, self._segments, step, self._data_fingerprint
            )
        with open_dict(trainer):
            removing = trainer.pop("remove_previous_ckpt_in_save", None)
            trainer.update({key: None for key in limits})
        try:
            super()._save_checkpoint()
        finally:
            with open_dict(trainer):
                trainer.update(limits)
                if removing is not None:
                    trainer.remove_previous_ckpt_in_save = removing
        checkpoints.mark_whole(root, step, self._fingerprint())
        if keep:
            checkpoints.prune(root, keep)

    def _load_checkpoint(self) -> None:
        """Resume from the last whole checkpoint, whatever a kill left behind."""
        if self.config.trainer.resume_mode == "auto":
            root = self._checkpoint_root()
            found = checkpoints.find(root, adaptive_store.fault)
            if found.problems:
                start = "starting from scratch" if found.step is None else f"resuming from step {found.step}"
                print(
                    f"ReaLM: {start}, the last whole checkpoint in {root}: {'; '.join(found.problems)}",
                    flush=True,
                )
            if found.step is not None or found.problems:
                checkpoints.repair(root, found)
            if found.step is not None:
                self._compare_fingerprint(root, found.step)
        super()._load_checkpoint()
        if self.realm.adaptive.kind == "per_question":
            self._load_levels()
        if self.realm.traces:
            traces.drop_after(self._checkpoint_root(), self.global_steps)

    def _load_levels(self) -> None:
        """The state of the checkpoint that verl resumed from; fresh where there is none.

        Raises:
            ChangedDataError: the training data is not what the state was made with.
            TornStateError: `trainer.resume_from_path` names a checkpoint whose state is not whole.
        """
        self._data_fingerprint = adaptive_store.data_fingerprint(train_paths(self.config))
        self.levels, self._segments = Levels(self.realm.adaptive), []
        if self.global_steps == 0:
            return
        folder = checkpoints.step_folder(self._checkpoint_root(), self.global_steps)
        if self.config.trainer.resume_mode == "resume_path":
            folder = Path(self.config.trainer.resume_from_path).absolute()
        if adaptive_store.read_manifest(folder) is None:
            print(
                f"ReaLM: {folder} has no adaptive state; every question starts at level {self.levels.config.start}",
                flush=True,
            )
            return
        adaptive_store.check_data(folder, self._data_fingerprint)
        self.levels, self._segments = adaptive_store.load(folder, self.realm.adaptive)

    def _compare_fingerprint(self, root: Path, step: int) -> None:
        marker = checkpoints.read_marker(root, step)
        if marker is None:
            return
        then, now = marker.get("fingerprint", {}), self._fingerprint()
        changed = [name for name, value in now.items() if then.get(name) != value]
        if changed:
            print(
                f"ReaLM: since the checkpoint of step {step} these changed: {', '.join(changed)}; "
                "exposure decisions from here on differ from those of the run that wrote it",
                flush=True,
            )


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
