"""The task class behind ReaLM's YAML files: how lm-eval asks for responses and what it is given of them.

Serves design.md, section Layout (`eval_tasks`). lm-eval's own class does all the rest. This one exists for what YAML
cannot say:

* Which metrics there are follows from the documents (routes, labels, a long tail), see `eval_tasks.scoring`.
* In a sampled task, one whose file says `repeats`, each response is a request of its own. lm-eval's `repeats` sends the same request again, and
  its default filter keeps the first answer; a server that takes a seed, which lm-eval fixes, answers all of them alike.
  Here the i-th request of a question to a server carries the seed plus i; `hf` and `vllm` draw from one running
  generator, and take no seed of their own.
* A chat model that is run without its chat template brings a warning, once.
* The reader has to know whether a prompt ended inside `<think>`, as some chat templates leave it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.api_models import TemplateAPI

from eval_tasks import statistics
from eval_tasks.scoring import MEANS, score, score_samples
from reward_fns.response import opens_thinking

_log = logging.getLogger(__name__)
SEED = 1234
"""lm-eval's own seed for servers, which `--model_args seed=...` changes."""
_SPECIAL: dict[str, statistics.Aggregation] = {
    "acc_macro": statistics.mean_of_parts,
    "acc_macro_stderr": statistics.mean_of_parts_stderr,
    "macro_f1": statistics.macro_f1,
    "macro_f1_stderr": statistics.macro_f1_stderr,
    "informedness": statistics.informedness,
    "informedness_stderr": statistics.informedness_stderr,
    "first_error_acc": statistics.mean_of_lists,
    "first_error_acc_stderr": statistics.mean_of_lists_stderr,
    "first_error_guess": statistics.mean_of_lists,
    "first_error_guess_stderr": statistics.mean_of_lists_stderr,
    "verdict_by_answer": statistics.mean_of_lists,
    "verdict_by_answer_stderr": statistics.mean_of_lists_stderr,
}


class ReaderTask(ConfigurableTask):
    """A task that is prompted, read and scored as training does it."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config={key: value for key, value in config.items() if key != "class"})
        metadata = self.config.metadata or {}
        self.is_sampled = (
            self.config.repeats > 1
        )  # as the task's file says: the option is for sampled tasks alone
        self.repeats = int(metadata.get("repeats", self.config.repeats)) if self.is_sampled else 1
        if self.repeats < 1:
            raise ValueError(f"repeats is {self.repeats}; ask for at least one response to a question")
        self.set_config("repeats", self.repeats)
        self._instances: list[Instance] | None = None  # lm-eval's own, which only `build_all_requests` sets
        # Any response shows which metrics there are.
        names = self.process_results(self.eval_docs[0], [""] * self.repeats)
        self._metric_fn_list = dict.fromkeys(names)
        self._aggregation_list = {name: _aggregation(name) for name in names}
        self._higher_is_better = {name: _is_higher_better(name) for name in names}

    def construct_requests(self, doc: Mapping[str, Any], ctx: str, **kwargs: Any) -> list[Instance]:
        """One request for each response wanted; lm-eval hands `process_results` their answers in this order."""
        if not kwargs.get("apply_chat_template"):
            _warn_if_chat_model(*_tokenizer_of(self.config.metadata or {}))
        elif "think_end_token" in (self.config.metadata or {}) and opens_thinking(str(ctx)):
            raise ValueError(
                "think_end_token takes the thinking away before the tasks see it, and then thinking that was cut looks like "
                "an answer: leave it out of --model_args, the tasks read </think> themselves"
            )
        name, doc_id, _ = kwargs.pop("metadata")
        seeded = self.is_sampled and self._is_served(kwargs.get("chat_template"))
        requests = []
        for number in range(self.repeats):
            request = super().construct_requests(doc, ctx, metadata=(name, doc_id, 1), **kwargs)
            request.idx = number
            if seeded:
                request.arguments[1]["seed"] = int(self.config.metadata.get("seed", SEED)) + number
            requests.append(request)
        return requests

    def process_results(self, doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
        """The metrics of a document from its responses; only lm-eval's own mark under `--predict_only`."""
        if "bypass" in self._metric_fn_list:
            return {"bypass": None}
        opened = self._instances is not None and self._opened.get(doc["uid"], False)
        return score_samples(doc, results, opened) if self.is_sampled else score(doc, results[0], opened)

    @cached_property
    def _opened(self) -> dict[str, bool]:
        """By uid: whether the prompt, as it was sent, ended inside `<think>`.

        What a server makes of its messages cannot be seen: `--metadata thinking_opened=true` says it.
        """
        stated = (self.config.metadata or {}).get("thinking_opened")
        return {
            request.doc["uid"]: opens_thinking(str(request.args[0])) if stated is None else stated is True
            for request in self._instances or ()
        }

    def higher_is_better(self) -> dict[str, bool | None]:
        """As lm-eval has it; none for the metrics that the task's metadata lists as `undirected`."""
        undirected = (self.config.metadata or {}).get("undirected", ())
        return {**super().higher_is_better(), **dict.fromkeys(undirected)}

    def _is_served(self, chat_template: Callable[..., Any] | None) -> bool:
        """Whether the model is behind a server: its address stands in the model's arguments, or its class says so."""
        if "base_url" in (self.config.metadata or {}):  # lm-eval merges the model's arguments in here
            return True
        return isinstance(getattr(chat_template, "__self__", None), TemplateAPI)


def _tokenizer_of(model_args: Mapping[str, Any]) -> tuple[str, str | None, bool]:
    """Name, revision and trust of the model's tokenizer, from the model's arguments; no name where they have none."""
    name = next((model_args[key] for key in ("tokenizer", "pretrained", "model") if model_args.get(key)), "")
    return str(name), model_args.get("revision"), model_args.get("trust_remote_code") is True


@cache
def _warn_if_chat_model(tokenizer: str, revision: str | None, trust_remote_code: bool) -> None:
    """Say once that the model has a chat template and is asked without it."""
    if not tokenizer:
        return
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(
            tokenizer, revision=revision, trust_remote_code=trust_remote_code, local_files_only=True
        )
    except Exception as error:  # noqa: BLE001 - a hint must not end a run, whatever the tokenizer raises
        _log.debug("%s: not known whether it has a chat template (%s)", tokenizer, error)
        return
    if found.chat_template:
        _log.warning(
            "%s has a chat template, but prompts are sent without it: training renders prompts with it, and scores "
            "without it are too low. Add --apply_chat_template to the lm_eval command",
            tokenizer,
        )


def _aggregation(name: str) -> statistics.Aggregation:
    if name in _SPECIAL:
        return _SPECIAL[name]
    if name.startswith(("recall_", "acc_long_tail")):
        is_error = name.endswith("_stderr")
        return statistics.mean_of_present_stderr if is_error else statistics.mean_of_present
    return mean


def _is_higher_better(name: str) -> bool | None:
    if name.startswith(("verdict_by_answer", "first_error_guess")):
        return None
    return MEANS.get(name, not name.endswith("_stderr"))
