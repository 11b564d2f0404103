"""What travels to a teacher and back, and the content key under which a reply is kept.

Serves design.md, section Guided CoT distillation, items 2 and 3.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

CHAIN, RATIONALE, CHECK, CONTRAST = "chain", "rationale", "check", "contrast"
FIRST_ERROR = "first error"
KINDS = (CHAIN, RATIONALE, CHECK, CONTRAST, FIRST_ERROR)
MESSAGE_OVERHEAD = 64
"""Tokens that a chat template may add to a message, generously: role marks and a default system prompt."""


@dataclass(frozen=True)
class Parameters:
    """How a teacher samples. `None` is not sent; `extra` goes into the request's body as it is."""

    temperature: float | None = 0.7
    top_p: float | None = None
    max_tokens: int = 1024
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be 1 or more; got {self.max_tokens}")


@dataclass(frozen=True)
class Request:
    """One request: its messages, what it is for, which question it is about, and the number of the attempt.

    Attributes:
        kind: one of `KINDS`.
        uid: `content_uid` of the question; not part of the key.
        question: the bare question, for teachers that are programs; the messages hold it for the others.
        attempt: from 0; tells repeated samples of one prompt apart.
        messages: (role, content) pairs.
        seed: sent to teachers that sample; None: not sent.
    """

    kind: str
    uid: str
    question: str
    attempt: int
    messages: tuple[tuple[str, str], ...]
    seed: int | None = None

    @property
    def chat(self) -> list[dict[str, str]]:
        """The messages as chat APIs take them."""
        return [{"role": role, "content": content} for role, content in self.messages]

    @property
    def most_prompt_tokens(self) -> int:
        """An upper bound: no tokenizer makes more tokens of a text than it has bytes."""
        return self.prompt_bytes + MESSAGE_OVERHEAD * len(self.messages)

    @property
    def prompt_bytes(self) -> int:
        """Of all messages, in UTF-8."""
        return sum(len(content.encode("utf-8", "surrogatepass")) for _, content in self.messages)


WHOLE = frozenset(
    {"stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "completed", "finished"}
)
CUT_OFF = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "token_limit"})
"""What servers call a reply that the model ended, and one that the token limit ended; in any case of letters."""


@dataclass(frozen=True)
class Reply:
    """A teacher's reply.

    Attributes:
        text: what the server calls the content.
        finish: why it ended, in the server's own word (`WHOLE`, `CUT_OFF`, others).
        prompt_tokens, completion_tokens: None if the server did not say.
        reasoning: thinking that the server split off (`reasoning_content` of vLLM, DeepSeek and others).
    """

    text: str
    finish: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the model ended it."""
        return self.finish.lower() in WHOLE

    @property
    def is_cut_off(self) -> bool:
        """Whether the token limit ended it."""
        return self.finish.lower() in CUT_OFF

    @property
    def content(self) -> str:
        """The text; where a server took all of it for thinking, that."""
        return self.text if self.text.strip() else self.reasoning


@dataclass(frozen=True)
class Failure:
    """A request that was given up for good: kept in the store, so that it is not sent again."""

    reason: str
    evidence: str


def request_key(request: Request, model: str, prompt_version: str, parameters: Parameters) -> str:
    """The content key: the same request to the same model has the same key, whenever and from wherever it is sent.

    Limits, prices, the server's address and the gold answer (unless the prompt states it) are not part of it. A local
    model is known by `model_files.checkpoint_hash`. It had another hash before (of all JSON and text files, and of no
    weights but safetensors): what `--teacher vllm` stored from a folder under it is not found, and asked for again.
    """
    content = {
        "model": model,
        "prompt_version": prompt_version,
        "messages": request.messages,
        "parameters": asdict(parameters),
        "attempt": request.attempt,
        "seed": request.seed,
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
