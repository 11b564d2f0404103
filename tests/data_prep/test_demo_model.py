"""The demo model: what the stack asks of its tokenizer and weights holds, and the folder is whole or not there."""

import hashlib
import json
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from data_prep import demo_model as module
from data_prep.cli import prep
from data_prep.demo_model import (
    BATCH,
    FIXED_PHRASES,
    TAGS,
    DemoSize,
    build_demo_model,
    like_length_order,
    message_texts,
    save_demo_model,
)
from data_prep.schema import SFT_SCHEMA
from data_prep.search_relevance.phrases import PHRASES
from realm_ext.cli import app
from realm_ext.prompt import render_messages
from reward_fns.response import Verdict, render_response
from reward_fns.routes import Route

SMALL = DemoSize(hidden=32, layers=1, intermediate=48, vocabulary=400)
ROUTE = Route(("2 and 3", "so 5"), "5", True, True, None, "test")
QUESTION = [{"role": "user", "content": "What is 2+3?\nGive a number."}]
RESPONSE = render_response("2 and 3\nso 5", [Verdict(True)], "5")
TEXTS = [message["content"] for message in render_messages(QUESTION, [ROUTE])] + [RESPONSE, "lös 7 ÷ 3\n\n"]


def write(texts: list[str], out: Path, size: DemoSize, seed: int = 0) -> None:
    save_demo_model(*build_demo_model(texts, size, seed), out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("demo") / "init"
    write(TEXTS * 20, made, SMALL)
    return made


@pytest.fixture(scope="module")
def tokenizer(folder: Path):  # type: ignore[no-untyped-def]
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def sft_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sft") / "sft.parquet"
    turns = [
        [*render_messages(QUESTION, routes), {"role": "assistant", "content": RESPONSE}]
        for routes in ([], [ROUTE])
    ]
    rows = [{"messages": turn, "source": "s", "kind": "k", "uid": "u"} for turn in turns]
    pq.write_table(pa.Table.from_pylist(rows, schema=SFT_SCHEMA), path)
    return path


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    return found


def test_vocabulary_is_the_embedding_rows(folder: Path, tokenizer) -> None:  # type: ignore[no-untyped-def]
    model = AutoModelForCausalLM.from_pretrained(folder)
    rows = model.get_input_embeddings().weight.shape[0]
    assert rows == len(tokenizer) == model.config.vocab_size == model.get_output_embeddings().weight.shape[0]
    assert max(tokenizer.get_vocab().values()) == rows - 1


def test_the_vocabulary_size_asked_for_is_a_ceiling(tokenizer) -> None:  # type: ignore[no-untyped-def]
    assert len(tokenizer) <= SMALL.vocabulary


@pytest.mark.parametrize("text", ["\n", *TAGS, *FIXED_PHRASES, "<|im_start|>", "<|im_end|>"])
def test_is_one_token(tokenizer, text: str) -> None:  # type: ignore[no-untyped-def]
    assert len(tokenizer.encode(text, add_special_tokens=False)) == 1


def test_tags_are_kept_when_special_tokens_are_skipped(tokenizer) -> None:  # type: ignore[no-untyped-def]
    """Rewards and lm-eval read text decoded that way."""
    ids = tokenizer.encode(RESPONSE + "<|im_end|>", add_special_tokens=False)
    assert tokenizer.decode(ids, skip_special_tokens=True) == RESPONSE


def test_order_holds_every_row_once_a_pass_in_batches_of_like_length() -> None:
    lengths = [10 * (i % 40) for i in range(BATCH * 40)]
    order = like_length_order(lengths, 40, 0)
    assert sorted(order) == list(range(len(lengths)))
    batches = [[lengths[i] for i in order[at : at + BATCH]] for at in range(0, len(order), BATCH)]
    assert max(max(batch) - min(batch) for batch in batches) <= 60
    means = [sum(batch) / BATCH for batch in batches]
    assert means != sorted(means) and means != sorted(means, reverse=True)
    assert like_length_order(lengths, 3, 0) == order[: 3 * BATCH] != like_length_order(lengths, 3, 1)
    assert len(like_length_order([5], 2, 0)) == 2 * BATCH
    with pytest.raises(ValueError, match="no row to train on"):
        like_length_order([], 1, 0)


def test_the_saved_folder_reads_text_as_training_did(tmp_path: Path) -> None:
    """`AutoTokenizer` makes its own pre-tokenizer for a Qwen2 folder; `base` must be trained with the same."""
    model, trained_with = build_demo_model(TEXTS * 20, SMALL, phrases=PHRASES)
    save_demo_model(model, trained_with, tmp_path / "m")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "m")
    text = "\n".join([*TEXTS, "Query: boots, price up to 40\n10. price: 120 / 40: over (Over limit)"])
    assert loaded.encode(text) == trained_with.encode(text)
    assert loaded.special_tokens_map == trained_with.special_tokens_map
    turn = [{"role": "user", "content": text}]
    assert loaded.apply_chat_template(turn, tokenize=False) == trained_with.apply_chat_template(
        turn, tokenize=False
    )


def test_config_ends_and_pads_as_the_tokenizer(folder: Path, tokenizer) -> None:  # type: ignore[no-untyped-def]
    config = AutoModelForCausalLM.from_pretrained(folder).config
    assert config.eos_token_id == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id
    assert config.model_type == "qwen2" and config.tie_word_embeddings
    assert (
        config.hidden_size // config.num_attention_heads == 32
    )  # vLLM's CPU attention takes no smaller head


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_survives_tokens(tokenizer, text: str) -> None:  # type: ignore[no-untyped-def]
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)  # Qwen's tokenizers normalise


def test_chat_template_is_chatml_without_a_system_prompt(tokenizer) -> None:  # type: ignore[no-untyped-def]
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    text = tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, tokenize=False)
    assert text == "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert whole == text + "b<|im_end|>\n"


def test_verls_rollout_path_takes_the_tokenizer(tokenizer) -> None:  # type: ignore[no-untyped-def]
    """The builder behind verl's agent loops: what it makes of a prompt is the template's text, no more."""
    continuous = pytest.importorskip("verl.utils.tokenizer.continuous_token")
    builder = continuous.QwenContinuousTokenBuilder(tokenizer)
    messages = render_messages(QUESTION, [ROUTE])
    ids = builder.build_initial_tokens(messages)
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert tokenizer.decode(ids) == text
    assert ids == tokenizer.encode(text, add_special_tokens=False)


def test_verls_sft_path_trains_on_the_response_alone(tokenizer, sft_file: Path) -> None:  # type: ignore[no-untyped-def]
    """verl tokenises message by message, checks that nothing changed at the seams, and masks the rest."""
    dataset_module = pytest.importorskip("verl.utils.dataset.multiturn_sft_dataset")
    options = {"pad_mode": "no_padding", "truncation": "error", "max_length": 512}
    dataset = dataset_module.MultiTurnSFTDataset(str(sft_file), tokenizer, options)
    assert len(dataset) == 2
    for row in (dataset[0], dataset[1]):
        trained = row["input_ids"][row["loss_mask"].bool()]
        assert tokenizer.decode(trained) == RESPONSE + "<|im_end|>\n"
        # the tokens that the rollout of the same prompt would be conditioned on
        assert tokenizer.decode(row["input_ids"][~row["loss_mask"].bool()]).endswith(
            "<|im_start|>assistant\n"
        )


def test_weights_come_from_the_seed_alone(folder: Path, tmp_path: Path) -> None:
    torch.rand(3)  # the state of the global generator does not matter
    write(TEXTS * 20, tmp_path / "same", SMALL, seed=0)
    write(TEXTS * 20, tmp_path / "other", SMALL, seed=1)
    first, same, other = weights(folder), weights(tmp_path / "same"), weights(tmp_path / "other")
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])
    assert (folder / "tokenizer.json").read_bytes() == (tmp_path / "same" / "tokenizer.json").read_bytes()


def test_the_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "init"
    write(TEXTS, out, SMALL)
    earlier = json.loads((out / "provenance.json").read_text())
    (out / "left_over.json").write_text("from an earlier model")
    sha256 = hashlib.sha256(b"from an earlier model").hexdigest()
    earlier["files"].append({"name": "left_over.json", "sha256": sha256})
    (out / "provenance.json").write_text(json.dumps(earlier))
    (out / "mine.bin").write_text("mine")
    write(TEXTS, out, SMALL)
    assert not (out / "left_over.json").exists() and (out / "mine.bin").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["init"]


def test_a_failure_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "init"
    write(TEXTS, out, SMALL)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def torn(self: object, folder: Path, **_: object) -> None:
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("transformers.Qwen2ForCausalLM.save_pretrained", torn)
    with pytest.raises(OSError, match="no space left"):
        write(TEXTS, out, SMALL, seed=1)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_texts_of_an_sft_file(sft_file: Path) -> None:
    texts = list(message_texts(sft_file))
    assert len(texts) == 4 and texts.count(RESPONSE) == 2


def test_texts_of_an_rl_file_hold_its_routes(tmp_path: Path) -> None:
    arguments = ["search-relevance", str(tmp_path), "--n-train", "4", "--n-val", "1", "--routes", "2"]
    sizes = [f"--n-{name}=1" for name in ("base", "sft", "sft-val")]
    assert CliRunner().invoke(prep, [*arguments, *sizes]).exit_code == 0
    texts = list(message_texts(tmp_path / "train.parquet"))
    assert len(texts) == 4 * (1 + 2)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="neither `messages` .* nor `prompt`"):
        list(message_texts(tmp_path / "other.parquet"))


def test_command(sft_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    options = ["--hidden", "32", "--layers", "1", "--positions", "2048", "--seed", "7"]
    done = CliRunner().invoke(app, ["demo-model", str(sft_file), str(out), *options])
    assert done.exit_code == 0, done.output
    assert "parameters, random weights" in done.stdout
    assert AutoModelForCausalLM.from_pretrained(out).config.max_position_embeddings == 2048


def test_another_model_is_never_replaced(sft_file: Path, tmp_path: Path) -> None:
    options = ["--hidden", "32", "--layers", "1"]
    for number in (1, 2):  # our own is
        done = CliRunner().invoke(app, ["demo-model", str(sft_file), str(tmp_path / "ours"), *options])
        assert done.exit_code == 0, f"{number}: {done.output}"
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "model.safetensors").write_bytes(b"weeks of work")
    done = CliRunner().invoke(app, ["demo-model", str(sft_file), str(theirs), *options])
    assert done.exit_code == 2 and "holds model.safetensors" in " ".join(
        done.stderr.replace("│", " ").split()
    )
    assert [path.read_bytes() for path in theirs.iterdir()] == [b"weeks of work"]


def test_a_folder_that_holds_the_input_is_refused(sft_file: Path) -> None:
    before = sft_file.read_bytes()
    done = CliRunner().invoke(app, ["demo-model", str(sft_file), str(sft_file.parent)])
    assert done.exit_code == 2 and "which is read" in " ".join(done.stderr.replace("│", " ").split())
    assert sft_file.read_bytes() == before


@pytest.mark.parametrize("hidden", ["0", "-32", "48"])
def test_command_refuses_a_width_without_whole_heads(sft_file: Path, tmp_path: Path, hidden: str) -> None:
    done = CliRunner().invoke(app, ["demo-model", str(sft_file), str(tmp_path / "x"), "--hidden", hidden])
    assert done.exit_code != 0 and "multiple of 32" in done.stderr
    assert not (tmp_path / "x").exists()


def test_heads_are_of_32_dimensions_at_the_default_size() -> None:
    assert module.DemoSize.hidden % 32 == 0


def test_a_domains_fixed_wording_is_tokens() -> None:
    _, tokenizer = build_demo_model(TEXTS * 20, SMALL, phrases=PHRASES)
    assert all(len(tokenizer.encode(phrase, add_special_tokens=False)) == 1 for phrase in PHRASES)


def test_command_trains_to_a_lower_loss(sft_file: Path, tmp_path: Path) -> None:
    options = ["--hidden", "32", "--layers", "1"]
    for name, steps in (("before", "0"), ("after", "40")):
        done = CliRunner().invoke(
            app, ["demo-model", str(sft_file), str(tmp_path / name), "--steps", steps, *options]
        )
        assert done.exit_code == 0, done.output
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "after")
    ids = torch.tensor([tokenizer.encode(RESPONSE, add_special_tokens=False)])
    losses = [
        (AutoModelForCausalLM.from_pretrained(tmp_path / name)(input_ids=ids, labels=ids).loss.item())
        for name in ("before", "after")
    ]
    assert losses[1] < losses[0] - 1
