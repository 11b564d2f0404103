"""Result rows of the study: one a finished (arm, seed), committed, so that work adds up over days.

Serves docs/study_plan.md. A file a row, `rows/ARM/seedN.jsonl`: two machines that run different seeds never touch the
same file. What each question scored stands in the row as a hexadecimal bit string, so that every paired comparison
can be made again from the rows alone.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

ROWS = Path(__file__).with_name("rows")
REGIMES = ("unguided", "guided")
_NAME = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True)
class Row:
    """What one arm came to with one seed.

    Attributes:
        arm, seed: which.
        config_hash: of all that the arm depends on, see `plan.Study.config_hash`.
        commit: of the code, with `+` behind it when the tree had changes.
        machine: its class: cores, processor, memory, accelerator.
        versions: of the packages that decide results.
        seconds: by stage.
        steps: RL steps done; 0 for an arm without RL.
        rollouts: in training.
        tokens: in training, `prompt` and `response` of RL, and `sft` of the SFT between its rounds, if any.
        metrics: by regime: acc, macro_f1, format, long_tail, unseen, and for guided informedness, verdict,
            first_error_acc, and first_error_guess in rows that were made since it is measured. Shares in [0, 1].
        arithmetic: accuracy on general arithmetic; None for an arm without a model.
        curve: of validation, one [step, unguided, guided] a measurement.
        correct: by regime, hexadecimal: bit i, from the left, is 1 where test question i was answered rightly.
        questions: how many test questions.
        base: hash of the base model's weights; "" for an arm without a model, and in rows of the first plan.
    """

    arm: str
    seed: int
    config_hash: str
    commit: str
    machine: str
    versions: Mapping[str, str]
    seconds: Mapping[str, float]
    steps: int
    rollouts: int
    tokens: Mapping[str, int]
    metrics: Mapping[str, Mapping[str, float]]
    arithmetic: float | None
    curve: Sequence[Sequence[float]]
    correct: Mapping[str, str]
    questions: int
    base: str = ""

    def scores(self, regime: str) -> list[float]:
        """[questions] 1.0 where right."""
        return unpack(self.correct[regime], self.questions)


def pack(scores: Sequence[float]) -> str:
    """Scores (right above 0.5) as hexadecimal text, four to a digit; the last digit is filled with zeros."""
    bits = "".join("1" if score > 0.5 else "0" for score in scores)
    bits += "0" * (-len(bits) % 4)
    return "".join(f"{int(bits[i : i + 4], 2):x}" for i in range(0, len(bits), 4))


def unpack(text: str, n: int) -> list[float]:
    """The first `n` scores of a packed text.

    Raises:
        ValueError: the text holds another number of scores.
    """
    if len(text) != -(-n // 4):
        raise ValueError(f"{n} scores are {-(-n // 4)} digits; got {len(text)}")
    bits = "".join(f"{int(digit, 16):04b}" for digit in text)
    return [float(bit) for bit in bits[:n]]


def row_path(folder: Path, arm: str, seed: int) -> Path:
    """Where the row of an arm and a seed is."""
    if not _NAME.fullmatch(arm):
        raise ValueError(f"an arm's name is a file name of a-z, 0-9 and _; got {arm!r}")
    return folder / arm / f"seed{seed}.jsonl"


def write_row(folder: Path, row: Row) -> Path:
    """Write by rename, in place of an older row of this arm and seed."""
    path = row_path(folder, row.arm, row.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(asdict(row), sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return path


def read_rows(folder: Path = ROWS) -> list[Row]:
    """Every row, sorted by arm and seed.

    Raises:
        ValueError: a file is not a row; the message names it.
    """
    rows = []
    for path in sorted(folder.glob("*/seed*.jsonl")):
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            row = Row(**values)
        except (ValueError, TypeError) as error:
            names = ", ".join(f.name for f in fields(Row))
            raise ValueError(f"{path} is not a row of the study ({error}); a row has {names}") from error
        if row_path(folder, row.arm, row.seed) != path:
            raise ValueError(f"{path} holds the row of {row.arm}, seed {row.seed}: move it to its own place")
        rows.append(row)
    return sorted(rows, key=lambda row: (row.arm, row.seed))


def is_done(folder: Path, arm: str, seed: int, config_hash: str) -> bool:
    """Whether a row of exactly this configuration is there."""
    path = row_path(folder, arm, seed)
    return path.exists() and json.loads(path.read_text(encoding="utf-8"))["config_hash"] == config_hash
