"""How long a prompt is in tokens, before any run: the tokenizer and chat template that the run itself will use.

Shared by the checks before Ray (`realm_ext.preflight_lengths`) and `realm preview`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf


class TokenizerError(ValueError):
    """The tokenizer cannot be loaded; the message names it and says why."""


class UnreachableTokenizerError(TokenizerError):
    """It is a Hub id that is not cached here, and the Hub does not answer."""


class PromptTokens:
    """Counts tokens of chat messages as verl's agent loops will see them."""

    def __init__(self, config: DictConfig) -> None:
        """Load the tokenizer of `actor_rollout_ref.model`, with code of its own only where `trust_remote_code` says so.

        Raises:
            TokenizerError: it cannot be loaded; `UnreachableTokenizerError` where that may be so on this machine alone.
        """
        from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled
        from transformers import AutoTokenizer

        model = config.actor_rollout_ref.model
        self.path = str(model.get("tokenizer_path") or model.path)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(
                self.path, trust_remote_code=bool(model.get("trust_remote_code", False))
            )
        except Exception as error:  # what a broken tokenizer raises depends on its kind
            reason = f"the tokenizer of {self.path} cannot be loaded: {(str(error) or repr(error)).splitlines()[0]}"
            if isinstance(error.__cause__, (LocalEntryNotFoundError, OfflineModeIsEnabled)):
                raise UnreachableTokenizerError(reason) from error
            if "trust_remote_code" in str(error):
                reason = (
                    f"the tokenizer of {self.path} needs code of its own: read it, and set "
                    "actor_rollout_ref.model.trust_remote_code=true if you trust it"
                )
            raise TokenizerError(reason) from error
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
