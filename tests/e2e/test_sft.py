"""verl's SFT trainer with ReaLM's recipe, on a CPU, writes a model that the rest of the stack can load."""

import math
import re
from pathlib import Path

import pytest

from tests.e2e.conftest import SFT_STEPS, Trained

pytestmark = pytest.mark.timeout(1500)


def test_sft_writes_a_model_that_loads(trained: Trained, init: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before, after = (
        AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (init, trained.model)
    )
    assert before.keys() == after.keys()
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    assert not torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    tokenizers = [AutoTokenizer.from_pretrained(path) for path in (init, trained.model)]
    assert tokenizers[0].get_vocab() == tokenizers[1].get_vocab()
    assert tokenizers[0].chat_template == tokenizers[1].chat_template


def test_sft_learns_and_says_so(trained: Trained) -> None:
    losses = [float(loss) for loss in re.findall(r"train/loss:([\d.naninf]+)", trained.done.out)]
    assert len(losses) == SFT_STEPS and all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]
