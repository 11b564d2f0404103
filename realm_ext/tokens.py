"""How long a prompt is in tokens, before any run: the tokenizer and chat template that the run itself will use.

Shared by the checks before Ray (`realm_ext.preflight_data`) and `realm preview`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf


class PromptTokens:
    """Counts tokens of chat messages as verl's agent loops will see them."""

    def __init__(self, config: DictConfig) -> None:
        """Load the tokenizer of `actor_rollout_ref.model`.

        Raises:
            OSError: its files cannot be found.
            ValueError: they cannot be used; with `trust_remote_code` in the message where they need code of the Hub.
        """
        from transformers import AutoTokenizer

        model = config.actor_rollout_ref.model
        self.path = str(model.get("tokenizer_path") or model.path)
        folder = Path(self.path).expanduser()
        self._tokenizer = AutoTokenizer.from_pretrained(str(folder) if folder.is_dir() else self.path)
        if model.get("custom_chat_template"):
            self._tokenizer.chat_template = model.custom_chat_template
        self._options = OmegaConf.to_container(
            OmegaConf.create(config.data.get("apply_chat_template_kwargs") or {})
        )

    def count(self, messages: Sequence[Mapping[str, Any]]) -> int:
        """Tokens of the prompt that asks for an answer to these messages."""
        text = self.render(messages)
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The prompt as text, chat template included."""
        return str(
            self._tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                add_generation_prompt=True,
                tokenize=False,
                **self._options,
            )
        )
