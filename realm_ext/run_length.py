"""How many steps a run takes: verl counts both steps and epochs, and stops at whichever ends first."""

from omegaconf import DictConfig


def training_steps(config: DictConfig, n_rows: int | None) -> int | None:
    """The steps that verl plans for, learning rate and fade included; None: they depend on an unknown number of rows."""
    trainer = config.trainer
    if trainer.total_training_steps is not None:
        return int(trainer.total_training_steps)
    if n_rows is None or trainer.total_epochs is None:
        return None
    return n_rows // int(config.data.train_batch_size) * int(trainer.total_epochs)


def length_problems(config: DictConfig, n_rows: int | None) -> list[str]:
    """Why a run over `n_rows` training rows (None: unknown) would end before its steps are done; empty: it would not."""
    steps, epochs = config.trainer.total_training_steps, config.trainer.total_epochs
    if steps is None and epochs is None:
        return ["trainer.total_training_steps and trainer.total_epochs are both null: give one of them"]
    if not n_rows:
        return []
    batch = int(config.data.train_batch_size)
    per_epoch = n_rows // batch
    if per_epoch == 0:
        problem = (
            f"data.train_files hold {n_rows} rows, fewer than data.train_batch_size={batch}: not one step can be taken; "
            "give more rows, or a smaller batch (with actor_rollout_ref.actor.ppo_mini_batch_size)"
        )
        return [problem]
    if steps is None or (epochs is not None and per_epoch * epochs >= steps):
        return []
    problem = (
        f"trainer.total_epochs={epochs} would end the run at step {per_epoch * (epochs or 0)} of "
        f"trainer.total_training_steps={steps} ({n_rows} rows are {per_epoch} steps an epoch): raise total_epochs to "
        f"{-(-steps // per_epoch)}, or set total_training_steps=null so that epochs decide"
    )
    return [problem]
