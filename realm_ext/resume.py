"""Save and resume of the ReaLM trainers: checkpoints that are whole or do not count, whatever a kill left behind.

`ResumingTrainer` stands between `realm_ext.trainer.RealmTrainer` and verl's trainer of the mode chosen; what is on
disk is `realm_ext.checkpoints`' matter.
"""

import hashlib
import json
from pathlib import Path

from omegaconf import OmegaConf, open_dict
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

from realm_ext import adaptive_store, checkpoints, traces
from realm_ext.adaptive import Levels
from realm_ext.config import RealmConfig
from realm_ext.diagnostics import diagnostic
from realm_ext.preflight_data import train_paths

# Options of `realm:` that change nothing of what a rollout sees.
_ONLY_TELL = ("traces", "warn_after", "preflight")


class ResumingTrainer(PPOTrainer):
    """verl's trainer with checkpoints that can be resumed from after a kill at any moment."""

    realm: RealmConfig
    levels: Levels | None
    _segments: list[adaptive_store.Segment]
    _data_fingerprint: str
    _has_said_not_shared = False

    def _checkpoint_root(self) -> Path:
        return Path(self.config.trainer.default_local_dir).absolute()

    def _fingerprint(self) -> dict[str, str]:
        """What must stay the same for a resumed run to make the same exposure decisions."""
        config = OmegaConf.to_container(self.config, resolve=True)
        parts = {
            "realm": {key: value for key, value in config["realm"].items() if key not in _ONLY_TELL},
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
        apart = checkpoints.elsewhere(checkpoints.step_folder(root, step))
        if apart:
            self._say_not_shared(root, step, apart)
        elif keep:
            with diagnostic("removing old checkpoints"):
                checkpoints.prune(root, keep)

    def _say_not_shared(self, root: Path, step: int, apart: str) -> None:
        if self._has_said_not_shared:
            return
        self._has_said_not_shared = True
        print(
            f"ReaLM: {root} is not on shared storage: global_step_{step}, just saved, {apart}. A resume will refuse such "
            "checkpoints, and none is removed: let trainer.default_local_dir be a folder that every node sees under "
            "the same path, or bring the files of all ranks together by hand",
            flush=True,
        )

    def _load_checkpoint(self) -> None:
        """Resume from the last whole checkpoint, whatever a kill left behind.

        Raises:
            NotSharedError: a checkpoint lies partly on another machine; nothing has been changed then.
            ValueError: it was saved by another number of workers, or `trainer.resume_from_path` names none that is
                whole.
        """
        if self.config.trainer.resume_mode == "resume_path":
            self._check_resume_path()
        elif self.config.trainer.resume_mode == "auto":
            root = self._checkpoint_root()
            found = checkpoints.find(root, adaptive_store.fault)
            checkpoints.refuse_split(root, found)
            if found.step is not None:
                self._check_world_size(checkpoints.step_folder(root, found.step))
            if found.problems:
                start = "starting from scratch" if found.step is None else f"resuming from step {found.step}"
                print(
                    f"ReaLM: {start}, the last whole checkpoint in {root}: {'; '.join(found.problems)}",
                    flush=True,
                )
            if found.step is not None or found.problems:
                checkpoints.repair(root, found)
            if found.step is not None:
                with diagnostic("comparing the options with those of the checkpoint"):
                    self._compare_fingerprint(root, found.step)
        super()._load_checkpoint()
        if self.realm.adaptive.kind == "per_question":
            self._load_levels()
        if self.realm.traces:
            with diagnostic("removing the traces of later steps"):
                traces.drop_after(self._checkpoint_root(), self.global_steps)

    def _check_resume_path(self) -> None:
        folder = Path(str(self.config.trainer.resume_from_path)).absolute()
        if not folder.is_dir():
            raise ValueError(
                f"trainer.resume_from_path={folder}: no such folder; give a global_step_N folder"
            )
        is_saved = not (folder / checkpoints.SAVING).exists()
        if found := checkpoints.elsewhere(folder, is_saved):
            raise checkpoints.NotSharedError(
                f"trainer.resume_from_path={folder} is not on shared storage: it {found}. Bring the files of all ranks "
                "together in one folder that every node sees under the same path"
            )
        if (
            found := checkpoints.fault(folder, is_saved)
        ) and found != "lacks data.pt":  # verl starts the data anew
            raise ValueError(f"trainer.resume_from_path={folder} is not a whole checkpoint: it {found}")
        self._check_world_size(folder)

    def _check_world_size(self, folder: Path) -> None:
        trainer = self.config.trainer
        n_workers = trainer.get("nnodes", 1) * trainer.get("n_gpus_per_node", 1)
        problem = checkpoints.other_world_size(folder, n_workers)
        if problem:
            raise ValueError(problem)

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
        marker = checkpoints.read_marker(checkpoints.step_folder(root, step))
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
