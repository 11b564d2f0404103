"""The seam between sampling and what generates: requests in, replies out, each a stream.

Serves design.md, section Guided CoT distillation (item 7). An engine is any function from an iterator of requests to an
iterator of replies; it may answer in another order than it was asked, and must answer each request once. Here is
vLLM's offline engine. One that spreads requests over many nodes (Ray Data's batch inference) fits the same seam.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from data_prep.vllm_settings import engine_arguments

AT_ONCE = 512
"""Requests given to vLLM in one call; what is in flight when the process is killed is asked for again."""


@dataclass(frozen=True)
class Request:
    """One response wanted: chat messages as the model gets them, and the seed of its sampling.

    `uid` and `sample` name it: the question, and which of its samples, from 0.
    """

    uid: str
    sample: int
    messages: Sequence[Mapping[str, Any]]
    seed: int


@dataclass(frozen=True)
class Reply:
    """The response to a request: its text and number of tokens, whether the token limit cut it off, or why there is none."""

    uid: str
    sample: int
    text: str
    tokens: int = 0
    truncated: bool = False
    refused: str | None = None


Engine = Callable[[Iterable[Request]], Iterator[Reply]]


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. They are part of what a bank was sampled with: a bank has one of them for each writer."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 2048

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.max_tokens < 1:
            raise ValueError(
                f"sampling needs temperature >= 0, 0 < top_p <= 1 and max_tokens >= 1; got {self.temperature}, "
                f"{self.top_p} and {self.max_tokens}"
            )


class VllmEngine:
    """vLLM's offline engine on whatever device is there; an `Engine`. Weights are loaded when it is made."""

    def __init__(self, folder: Path, sampling: Sampling, options: Mapping[str, Any] | None = None) -> None:
        """Load the model.

        Args:
            folder: a Hugging Face folder.
            sampling: of all requests.
            options: further arguments of `vllm.LLM`, e.g. `tensor_parallel_size`; they win over the defaults here.

        Raises:
            ValueError: vLLM refuses the model or an option; the message is vLLM's. Code that comes with a model is
                never run.
        """
        arguments = engine_arguments(options or {})
        # In this process: killing it then leaves no engine behind. Needs to be said before vLLM is imported.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        from vllm import LLM

        self._sampling = sampling
        self._engine = LLM(model=str(folder), **arguments)
        self._tokenizer = self._engine.get_tokenizer()
        self._room = int(self._engine.llm_engine.model_config.max_model_len)

    def __call__(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Answer in the order of the requests, `AT_ONCE` of them at a time."""
        source = iter(requests)
        while chunk := list(islice(source, AT_ONCE)):
            yield from self._answer(chunk)

    def _answer(self, requests: Sequence[Request]) -> Iterator[Reply]:
        from vllm import SamplingParams, TokensPrompt

        prompts = [self._tokens(request.messages) for request in requests]
        fitting = [i for i, tokens in enumerate(prompts) if len(tokens) < self._room]
        outputs = self._engine.generate(
            [TokensPrompt(prompt_token_ids=prompts[i]) for i in fitting],
            [
                SamplingParams(
                    seed=requests[i].seed,
                    temperature=self._sampling.temperature,
                    top_p=self._sampling.top_p,
                    max_tokens=min(self._sampling.max_tokens, self._room - len(prompts[i])),
                )
                for i in fitting
            ],
            use_tqdm=False,
        )
        completions = {i: output.outputs[0] for i, output in zip(fitting, outputs, strict=True)}
        for i, request in enumerate(requests):
            done = completions.get(i)
            if done is None:
                why = "the question does not fit the model's context"
                yield Reply(request.uid, request.sample, "", refused=why)
            else:
                cut = done.finish_reason == "length"
                yield Reply(request.uid, request.sample, done.text, len(done.token_ids), cut)

    def _tokens(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """The prompt in tokens, by the model's chat template; a model without one gets the bare text."""
        plain = [dict(message) for message in messages]
        if self._tokenizer.chat_template:
            text = self._tokenizer.apply_chat_template(plain, add_generation_prompt=True, tokenize=False)
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        text = "\n\n".join(str(message["content"]) for message in plain) + "\n\n"
        return list(self._tokenizer(text)["input_ids"])
