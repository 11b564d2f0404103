"""The teacher `vllm`: a local model in vLLM's own engine, without a server.

Serves design.md, section Guided CoT distillation, item 2. Requests go to the asynchronous engine one by one and are
batched there; each reply is kept as it comes. The model's own chat template renders the messages.
"""

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from data_prep.distill.requests import Parameters, Reply, Request
from data_prep.distill.teachers import Refused
from data_prep.model_files import checkpoint_hash
from data_prep.vllm_settings import engine_arguments


class VllmTeacher:
    """Loads the model when first asked.

    Args:
        engine: arguments of vLLM's engine, e.g. `max_model_len`, `dtype`, `tensor_parallel_size`.

    Raises:
        ValueError: vLLM is not installed, an argument is not for us to pass on, or a folder holds no weights.
    """

    remembers = True

    def __init__(self, model: str, parameters: Parameters, engine: Mapping[str, Any]) -> None:
        try:
            self._arguments = engine_arguments(engine)
            from vllm import SamplingParams
        except ImportError as error:
            raise ValueError("the teacher vllm needs vLLM (docs/install.md)") from error
        try:
            SamplingParams(**parameters.extra)
        except TypeError as error:
            raise ValueError(f"--extra-body holds what vLLM's SamplingParams do not know: {error}") from error
        self._path = model
        self._parameters = parameters
        self._engine: Any = None
        self._tokenizer: Any = None
        self._numbers = count()
        folder = Path(model)
        self.model = f"local:{checkpoint_hash(folder)}" if folder.is_dir() else model
        self.name = f"teacher/{Path(model).name}"
        self.description: Mapping[str, Any] = {"kind": "vllm", "model": self.model, "engine": dict(engine)}

    async def generate(self, request: Request) -> Reply:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        if self._engine is None:
            self._start()
        options = {
            "temperature": self._parameters.temperature,
            "top_p": self._parameters.top_p,
            "seed": request.seed,
        }
        sampling = SamplingParams(
            max_tokens=self._parameters.max_tokens,
            output_kind=RequestOutputKind.FINAL_ONLY,
            **{name: value for name, value in options.items() if value is not None},
            **self._parameters.extra,
        )
        ids = self._tokenizer.apply_chat_template(
            request.chat, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        number = str(next(self._numbers))
        try:
            outputs = [
                output async for output in self._engine.generate({"prompt_token_ids": ids}, sampling, number)
            ]
        except ValueError as error:  # a prompt beyond the model's context
            raise Refused(f"vLLM refuses the request: {error}", for_all=False) from error
        except EngineDeadError as error:
            raise Refused(f"vLLM's engine has died: {error}", for_all=True) from error
        done = outputs[-1].outputs[0]
        return Reply(done.text, done.finish_reason or "stop", len(ids), len(done.token_ids))

    async def close(self) -> None:
        """End the engine's processes."""
        if self._engine is not None:
            self._engine.shutdown()
            self._engine = None

    def _start(self) -> None:
        from transformers import AutoTokenizer
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        self._tokenizer = AutoTokenizer.from_pretrained(self._path)
        self._engine = AsyncLLM.from_engine_args(AsyncEngineArgs(model=self._path, **self._arguments))
