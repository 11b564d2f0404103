"""The demo model: a tokenizer trained on the domain's text and a small Qwen2 with random weights.

Public weights are not needed, so quickstart, tests and the study run anywhere, offline. The result is a plain
Hugging Face folder; verl's SFT trainer turns it into the `base` and `sft` checkpoints.

Three properties matter to the stack (see `tests/data_prep/test_demo_model.py`): the vocabulary equals the embedding
rows, or rollout and trainer disagree about log-probabilities; a newline is one token, which verl's Qwen chat path
needs; and the chat template is Qwen's ChatML, without a default system prompt.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import typer

from realm_ext.prompt import GUIDED, UNGUIDED

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TAGS = ("<think>", "</think>", "<verdicts>", "</verdicts>", "<answer>", "</answer>")
# Fixed sentences of every prompt are one token each: the demo's compute goes into what differs.
FIXED_SENTENCES = (UNGUIDED.strip("\n"), GUIDED.strip("\n"))
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
    initializer_range: float = (
        0.06  # 0.02 is for wide models: at this width copying would take 3 times the steps
    )


def build_demo_model(texts: Iterable[str], out: Path, size: DemoSize | None = None, seed: int = 0) -> int:
    """Write a tokenizer trained on `texts` and a randomly initialised model to `out`.

    Args:
        texts: the domain's text, about a few thousand messages.
        out: the folder to make; replaced as a whole, never left half written.
        size: the model's shape.
        seed: of the initial weights.

    Returns:
        The number of parameters.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    size = size or DemoSize()
    tokenizer = _train_tokenizer(texts, size.vocabulary)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.hidden // 32,
        num_key_value_heads=size.hidden // 32,
        max_position_embeddings=size.positions,
        initializer_range=size.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(config)
    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    return model.num_parameters()


def message_texts(parquet: Path) -> Iterator[str]:
    """The text in an SFT parquet (all messages) or an RL parquet (prompts and the steps of routes), in batches.

    Raises:
        ValueError: the file has neither a column `messages` nor a column `prompt`.
    """
    file = pq.ParquetFile(parquet)
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
    out: Annotated[Path, typer.Argument(help="Folder to write; an existing one is replaced.")],
    hidden: Annotated[int, typer.Option(help="Hidden size, a multiple of 32.")] = DemoSize.hidden,
    layers: Annotated[int, typer.Option(help="Number of layers.")] = DemoSize.layers,
    positions: Annotated[int, typer.Option(help="Longest sequence, in tokens.")] = DemoSize.positions,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights.")] = 0,
) -> None:
    """Build the demo model from scratch: realm demo-model runs/data/base.parquet runs/init"""
    if hidden % 32 or hidden <= 0:
        raise typer.BadParameter(f"--hidden must be a positive multiple of 32, got {hidden}")
    size = DemoSize(hidden=hidden, layers=layers, intermediate=3 * hidden, positions=positions)
    parameters = build_demo_model(message_texts(parquet), out, size, seed)
    typer.echo(f"{out}: {parameters:,} parameters, random weights")


def _train_tokenizer(texts, vocabulary):  # type: ignore[no-untyped-def]
    """A byte-level BPE with ChatML's special tokens and the grammar's tags as tokens of their own."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(TAGS) - len(FIXED_SENTENCES),
        special_tokens=[END_OF_TEXT, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(
        [AddedToken(text, normalized=False, special=False) for text in TAGS + FIXED_SENTENCES]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=TURN_END, pad_token=END_OF_TEXT)
    fast.chat_template = CHAT_TEMPLATE
    return fast
