"""Rollouts a second: the `realm` agent loop against verl's `single_turn_agent`, on the same rows, in one run.

Both managers run side by side in one Ray, with the same reward workers, TransferQueue and engine, and take turns.
The engine is a stand-in that answers each prompt with fixed tokens at a given rate over all requests. That is right
here, since the engine is not what is measured: planning, tokenising, scoring and storing are, and with vLLM in the same
process pool its own noise would hide them, and give each loop other answers to score. The default rate is the slower end
of what vLLM gives for the demo model on two CPU cores (5,300 to 7,800 tokens a second). What remains of the difference
with vLLM itself is what benchmarks/bench_step.py measures, phase `gen` (docs/results.md).

Routes travel with the rows of both. `realm` is measured with none shown, where prompts and responses must be those of
verl's agent, token for token, or the benchmark ends with an error (for any engine output, and with routes shown:
tests/realm_ext/test_agent_loop_parity.py), and with all shown.

    python benchmarks/bench_agent_loop.py
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from realm_ext.stages import Stage, StageFailedError, run_stages

TARGET = 1.3
WARM_UP = 2
STOCK, OURS, GUIDED = "single_turn_agent", "realm, no routes shown", "realm, all routes shown"
RESPONSE = "<think> region same. so </think>\n<answer> Exact </answer>"
POLL_S = 0.005

Tokens = list[tuple[list[int], list[int]]]
"""Prompt and response of each rollout, in the order of (row, session)."""


class FixedEngine:
    """Answers every prompt with the same tokens, after the time that the tokens of all requests before it take."""

    def __init__(self, token_ids: Sequence[int], tokens_per_second: float) -> None:
        self.token_ids, self.rate = list(token_ids), tokens_per_second
        self.free_at = 0.0

    async def generate(self, **_: Any) -> Any:
        """verl's way to ask an engine."""
        from verl.workers.rollout.replica import TokenOutput

        self.free_at = max(self.free_at, time.monotonic()) + len(self.token_ids) / self.rate
        await asyncio.sleep(max(0.0, self.free_at - time.monotonic()))
        fields = {"global_steps": 0, "min_global_steps": 0, "max_global_steps": 0}
        log_probs = [-1.0] * len(self.token_ids)
        return TokenOutput(
            token_ids=self.token_ids, log_probs=log_probs, stop_reason="completed", extra_fields=fields
        )


def main() -> None:
    """Prepare data and a tokenizer (kept for the next time), measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run-dir", type=Path, default=Path("runs/bench_agent_loop"))
    parser.add_argument("--questions", type=int, default=16, help="questions of a batch, as in the recipe")
    parser.add_argument(
        "--batches", type=int, default=8, help=f"batches of each, the first {WARM_UP} not counted"
    )
    parser.add_argument("--tokens-per-second", type=float, default=5300.0, help="of the stand-in engine")
    options = parser.parse_args()
    if options.batches <= WARM_UP:
        parser.error(f"--batches must be more than {WARM_UP}, got {options.batches}")
    run_dir = options.run_dir.absolute()
    try:
        run_stages(preparation(run_dir), run_dir, Console())
    except StageFailedError as error:
        sys.exit(f"bench_agent_loop: {error}")
    config = compose_config(run_dir)
    n = config.actor_rollout_ref.rollout.n
    seconds = measure(config, run_dir, options)
    rates = {name: options.questions * n / statistics.median(times) for name, times in seconds.items()}
    table = Table("agent loop", "rollouts a second", f"over {STOCK}", title="bench_agent_loop")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:.1f}", f"{rate / rates[STOCK]:.2f}")
    Console().print(table)
    ratio = rates[GUIDED] / rates[STOCK]
    verdict = "met" if ratio >= TARGET else "missed"
    print(f"{GUIDED} / {STOCK}: {ratio:.2f} (target at least {TARGET:.2f}: {verdict})")


def preparation(run_dir: Path) -> list[Stage]:
    """Rows with routes, and a model folder for its tokenizer; the weights are not used."""
    realm, data = (sys.executable, "-m", "realm_ext.cli"), run_dir / "data"
    sizes = ("--n-base", "200", "--n-sft", "16", "--n-train", "64", "--n-val", "8", "--routes", "3")
    size = ("--hidden", "64", "--layers", "2")
    return [
        Stage(
            "data",
            "questions and routes",
            (*realm, "prep", "search-relevance", str(data), *sizes),
            (data / "provenance.json",),
        ),
        Stage(
            "model",
            "a tokenizer",
            (*realm, "demo-model", str(data / "base.parquet"), str(run_dir / "model"), *size),
            (run_dir / "model" / "config.json",),
        ),
    ]


def compose_config(run_dir: Path) -> Any:
    """The recipe realm_quickstart, all routes shown where a row does not say otherwise."""
    from omegaconf import OmegaConf

    from realm_ext.preview.sampling import compose_config as compose

    train = run_dir / "data" / "train.parquet"
    overrides = [
        f"actor_rollout_ref.model.path={run_dir / 'model'}",
        f"data.train_files={train}",
        f"data.val_files={train}",
        "realm.schedule.kind=constant",
        "realm.fade=[presence]",
    ]
    config = compose("realm_quickstart", overrides)
    config.transfer_queue.enable = True
    OmegaConf.resolve(config)
    return config


def measure(config: Any, run_dir: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each batch after the warm-up, the three ways taking turns on the same rows."""
    import ray
    import transfer_queue as tq
    from transformers import AutoTokenizer
    from verl.experimental.reward_loop import RewardLoopManager
    from verl.trainer.ppo.v1 import AgentLoopManagerTQ

    from realm_ext.agent_worker import RealmAgentLoopManager

    environment = {"TRANSFER_QUEUE_ENABLE": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment |= {
        name: os.environ[name] for name in ("PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ
    }
    environment |= dict(config.ray_kwargs.ray_init.runtime_env.env_vars)
    ray.init(num_cpus=16, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": environment})
    try:
        tq.init(config.transfer_queue)
        tokenizer = AutoTokenizer.from_pretrained(run_dir / "model")
        ids = [*tokenizer(RESPONSE, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        shared = {
            "config": config,
            "llm_client": FixedEngine(ids, options.tokens_per_second),
            "reward_loop_worker_handles": RewardLoopManager(config=config).reward_loop_worker_handles,
        }
        realm = RealmAgentLoopManager.create(**shared)
        managers = {STOCK: AgentLoopManagerTQ.create(**shared), OURS: realm, GUIDED: realm}
        rows = read_rows(run_dir / "data" / "train.parquet", options.questions)
        seconds: dict[str, list[float]] = {name: [] for name in managers}
        expected: Tokens = []
        for number in range(options.batches):
            for name, manager in managers.items():
                taken, stored = run_batch(manager, batch_of(rows, name), config.actor_rollout_ref.rollout.n)
                if number >= WARM_UP:
                    seconds[name].append(taken)
                if name == STOCK:
                    expected = stored
                elif name == OURS and stored != expected:
                    raise RuntimeError(
                        f"the rollouts of {OURS} and {STOCK} are not the same, token for token"
                    )
        return seconds
    finally:
        tq.close()
        ray.shutdown()


def read_rows(path: Path, n: int) -> list[dict[str, Any]]:
    """Rows as verl's data set gives them."""
    import pyarrow.parquet as pq

    rows = pq.read_table(path).slice(0, n).to_pylist()
    return [{**row, "raw_prompt": row.pop("prompt"), "index": i} for i, row in enumerate(rows)]


def batch_of(rows: Sequence[Mapping[str, Any]], name: str) -> Any:
    """A batch as verl's trainer dispatches it; verl's agent shows the prompt as it is, so ours is in it."""
    import numpy as np
    from verl.utils.tensordict_utils import assign_non_tensor_data, get_tensordict

    from realm_ext.agent_loop import EXPOSURE_COLUMN
    from realm_ext.prompt import render_messages

    changed = []
    for row in rows:
        more: dict[str, Any]
        if name == STOCK:
            more = {"agent_name": STOCK, "raw_prompt": render_messages(row["raw_prompt"], ())}
        else:
            more = {"agent_name": "realm", EXPOSURE_COLUMN: float(name == GUIDED)}
        changed.append({**row, **more, "uid": str(uuid.uuid4())})
    columns: dict[str, Any] = {}
    for key in changed[0]:
        columns[key] = np.empty(len(changed), dtype=object)
        columns[key][:] = [row[key] for row in changed]
    batch = get_tensordict(columns)
    assign_non_tensor_data(batch, "global_steps", 1)
    return batch


def run_batch(manager: Any, batch: Any, n: int) -> tuple[float, Tokens]:
    """Seconds from dispatch until every group of the batch is stored, and its rollouts; then the queue is emptied.

    Raises:
        RuntimeError: a group failed, or has not `n` rollouts.
    """
    import transfer_queue as tq

    uids = list(batch["uid"])
    tags = [{"is_prompt": True, "status": "pending", "global_steps": 1} for _ in uids]
    tq.kv_batch_put(keys=uids, partition_id="train", tags=tags)
    begun = time.perf_counter()
    manager.generate_sequences(batch)
    while True:
        stored = tq.kv_list("train")["train"]
        statuses = [stored[uid]["status"] for uid in uids]
        if all(status in ("finished", "failure") for status in statuses):
            break
        time.sleep(POLL_S)
    taken = time.perf_counter() - begun
    if "failure" in statuses or len(stored) != len(uids) * (n + 1):
        raise RuntimeError(f"{statuses.count('failure')} groups failed; {len(stored)} entries in the queue")
    keys = [f"{uid}_{session}_0" for uid in uids for session in range(n)]
    found = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["prompts", "responses"])
    tokens = [
        (prompt.tolist(), response.tolist())
        for prompt, response in zip(found["prompts"].unbind(), found["responses"].unbind(), strict=True)
    ]
    tq.kv_clear(keys=list(stored), partition_id="train")
    return taken, tokens


if __name__ == "__main__":
    main()
