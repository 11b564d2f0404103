"""The demo model: a tokenizer trained on the domain's text and a small Qwen2, made from nothing.

Public weights are not needed, so quickstart, tests and the study run anywhere, offline. The result is a plain
Hugging Face folder: random weights, or with `--steps` the `base` checkpoint, which has read the domain's text and the
response grammar; verl's SFT trainer then makes `sft` of it.

Three properties matter to the stack (see `tests/data_prep/test_demo_model.py`): the vocabulary equals the embedding
rows, or rollout and trainer disagree about log-probabilities; a newline is one token, which verl's Qwen chat path
needs; and the chat template is Qwen's ChatML, without a default system prompt.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import pyarrow.parquet as pq
import typer

from data_prep.on_disk import stream_parquet
from data_prep.outputs import (
    Provenance,
    WrittenFile,
    check_apart,
    check_ours,
    filling,
    hash_file,
    write_provenance,
)
from realm_ext.prompt import GUIDED, UNGUIDED

BATCH = 16  # rows of a training step
STRETCH = 20  # batches among which rows of like length are looked for
MODEL_FILES = ("*.json", "*.safetensors", "*.jinja", "*.txt")
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TAGS = ("<think>", "</think>", "<verdicts>", "</verdicts>", "<answer>", "</answer>")
# Sentences that stand in every prompt are one token each: the demo's compute goes into what differs. So is what marks
# a place (the head of a route, the number of a step): looking something up there is then one step of attention.
FIXED_PHRASES = (
    *(UNGUIDED.strip("\n"), GUIDED.strip("\n"), "\n\nRoutes to judge:"),
    *("user", "assistant"),
    *(f"\n{head} {number}{end}" for head, end in (("Route", ""), ("Answer", ":")) for number in range(1, 5)),
    *(f"\n{number}." for number in range(1, 10)),
    *(f"\n{number}:" for number in range(1, 5)),
    *(f" {number}" for number in range(1, 10)),
    *(" right", " wrong at", " at", " /", ",", ": differs,"),
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class DemoSize:
    """The shape of the demo model; heads are of 32 dimensions, the smallest that vLLM's CPU attention takes."""

    hidden: int = 96
    layers: int = 4
    intermediate: int = 288
    vocabulary: int = 1024
    positions: int = 1024
    rope_theta: float = (
        1000.0  # 10,000 is for long texts: most of its frequencies say nothing over 200 tokens
    )
    initializer_range: float = (
        0.06  # 0.02 is for wide models: at this width copying would take 3 times the steps
    )


def build_demo_model(
    texts: Iterable[str], size: DemoSize, seed: int = 0, phrases: Sequence[str] = ()
) -> tuple[Any, Any]:
    """A randomly initialised model and a tokenizer trained on `texts`.

    Args:
        texts: the domain's text, about a few thousand messages.
        size: the model's shape.
        seed: of the initial weights.
        phrases: fixed wording of the domain, each a token of its own.

    Returns:
        A transformers model and its tokenizer.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = _train_tokenizer(texts, size.vocabulary, (*FIXED_PHRASES, *phrases))
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.hidden // 32,
        num_key_value_heads=size.hidden // 32,
        max_position_embeddings=size.positions,
        rope_parameters={"rope_type": "default", "rope_theta": size.rope_theta},
        initializer_range=size.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(config), tokenizer


def train_base(model: Any, tokenizer: Any, parquet: Path, steps: int, seed: int = 0) -> None:
    """Train on the responses of an SFT parquet for `steps` steps of `BATCH` rows, in place.

    transformers' own Trainer rather than verl's: at this size FSDP costs more than the model. The order of the rows
    is ours: the Trainer's `group_by_length` runs from long to short again and again, and the model then learns to
    copy several times later.
    """
    import tempfile

    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    messages = pq.read_table(parquet, columns=["messages"]).column("messages").to_pylist()
    rows = [_tokenised(tokenizer, turns) for turns in messages]
    order = like_length_order([len(row["input_ids"]) for row in rows], steps, seed)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=3e-3,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr_rate": 0.1},
            warmup_steps=30,
            adam_beta2=0.95,
            weight_decay=0.01,
            train_sampling_strategy="sequential",
            save_strategy="no",
            report_to=[],
            logging_steps=100,
            use_cpu=True,
            seed=seed,
        )
        Trainer(
            model=model,
            args=arguments,
            train_dataset=[rows[i] for i in order],
            data_collator=DataCollatorForSeq2Seq(tokenizer),
        ).train()


def like_length_order(lengths: Sequence[int], steps: int, seed: int) -> list[int]:
    """Indexes of the rows for `steps` batches in turn: rows of a batch are of like length, batches in random order.

    Each pass over the rows is shuffled, cut into stretches of `STRETCH` batches, and each stretch sorted by length
    before it is cut into batches; the batches of a stretch are then shuffled.

    Raises:
        ValueError: there is no row.
    """
    if not lengths:
        raise ValueError("no row to train on")
    rng = random.Random(f"demo_model/{seed}")
    order: list[int] = []
    while len(order) < steps * BATCH:
        rows = rng.sample(range(len(lengths)), len(lengths))
        for start in range(0, len(rows), STRETCH * BATCH):
            stretch = sorted(rows[start : start + STRETCH * BATCH], key=lambda row: lengths[row])
            batches = [stretch[i : i + BATCH] for i in range(0, len(stretch), BATCH)]
            rng.shuffle(batches)
            order += [row for batch in batches for row in batch]
    return order[: steps * BATCH]


def save_demo_model(model: Any, tokenizer: Any, out: Path, seed: int | None = None) -> None:
    """Write a Hugging Face folder; an earlier demo model there is replaced as a whole, never left half written.

    Raises:
        ValueError: `out` holds a file of such a folder that is not ours, as of another model.
    """
    with filling(out, MODEL_FILES) as new:
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
        made = tuple(
            WrittenFile(path.name, 0, hash_file(path), "model", "")
            for path in sorted(new.iterdir())
            if not path.name.startswith(".")
        )
        write_provenance(new, Provenance("realm demo-model PARQUET OUT", {}, {}, {}, {}, made, seed))


def message_texts(parquet: Path) -> Iterator[str]:
    """The text in an SFT parquet (all messages) or an RL parquet (prompts and the steps of routes), in batches.

    Raises:
        ValueError: the file has neither a column `messages` nor a column `prompt`.
    """
    file = stream_parquet(parquet)
    names = file.schema_arrow.names
    if "messages" not in names and "prompt" not in names:
        raise ValueError(
            f"{parquet} has neither `messages` (SFT) nor `prompt` (RL); its columns: {', '.join(names)}"
        )
    columns = (
        ["messages"] if "messages" in names else [name for name in ("prompt", "extra_info") if name in names]
    )
    for batch in file.iter_batches(columns=columns):
        for row in batch.to_pylist():
            yield from (message["content"] for message in row[columns[0]])
            for route in (row.get("extra_info") or {}).get("routes") or ():
                yield "\n".join(route["steps"])


def demo_model(
    parquet: Annotated[
        Path, typer.Argument(help="SFT or RL parquet whose text the tokenizer learns.", exists=True)
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write; an earlier demo model there is replaced.")],
    steps: Annotated[int, typer.Option(help="Train on the SFT parquet for so many steps.", min=0)] = 0,
    domain: Annotated[str | None, typer.Option(help="Make this domain's fixed wording tokens.")] = None,
    hidden: Annotated[int, typer.Option(help="Hidden size, a multiple of 32.")] = DemoSize.hidden,
    layers: Annotated[int, typer.Option(help="Number of layers.", min=1)] = DemoSize.layers,
    positions: Annotated[int, typer.Option(help="Longest sequence, in tokens.")] = DemoSize.positions,
    seed: Annotated[int, typer.Option(help="Seed of the weights and of the order.")] = 0,
) -> None:
    """Build the demo model from scratch: realm demo-model runs/data/base.parquet runs/base --steps 800"""
    if hidden % 32 or hidden <= 0:
        raise typer.BadParameter(f"--hidden must be a positive multiple of 32, got {hidden}")
    try:
        check_apart(out, parquet)
        check_ours(out, MODEL_FILES)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    phrases = import_module(f"data_prep.{domain}.phrases").PHRASES if domain else ()
    size = DemoSize(hidden=hidden, layers=layers, intermediate=3 * hidden, positions=positions)
    model, tokenizer = build_demo_model(message_texts(parquet), size, seed, phrases)
    if steps:
        train_base(model, tokenizer, parquet, steps, seed)
    save_demo_model(model, tokenizer, out, seed)
    trained = f"trained for {steps} steps" if steps else "random weights"
    typer.echo(f"{out}: {model.num_parameters():,} parameters, {trained}")


def _tokenised(tokenizer: Any, messages: list[dict[str, str]]) -> dict[str, list[int]]:
    """Token ids of a chat, with labels on the response alone."""
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, tokenize=False)
    prompt_ids = tokenizer(prompt, add_special_tokens=False).input_ids
    response_ids = tokenizer(messages[-1]["content"] + TURN_END, add_special_tokens=False).input_ids
    return {
        "input_ids": prompt_ids + response_ids,
        "attention_mask": [1] * (len(prompt_ids) + len(response_ids)),
        "labels": [-100] * len(prompt_ids) + response_ids,
    }


def _train_tokenizer(texts: Iterable[str], vocabulary: int, phrases: Sequence[str]) -> Any:
    """A Qwen2 tokenizer trained on `texts`, with the grammar's tags and `phrases` as tokens of their own.

    Qwen2's own class, because that is what `AutoTokenizer` makes of a saved Qwen2 folder whatever was saved: with
    another pre-tokenizer here, the `base` checkpoint would be trained on other tokens than everything after it reads.
    """
    from tokenizers import AddedToken
    from transformers import Qwen2Tokenizer

    tokenizer = Qwen2Tokenizer().train_new_from_iterator(
        texts,
        vocab_size=vocabulary - len(TAGS) - len(phrases),
        new_special_tokens=[TURN_START, TURN_END],
        show_progress=False,
    )
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in (*TAGS, *phrases)])
    tokenizer.eos_token = TURN_END
    tokenizer.pad_token = END_OF_TEXT
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
