"""The changed-rule test: search relevance under an edited rule book, with the rules in the prompt and without.

Serves design.md, section Domains. `realm_changed_rule` shows the edited rule book before the question, as prompts that
keep the rules do; `realm_changed_rule_hidden` asks the bare question, so it shows what the model learned. Gold is the
label under the edited rules in both.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from eval_tasks import statistics
from eval_tasks.bundled import DATA
from eval_tasks.prepared import as_dataset
from eval_tasks.task import ReaderTask
from realm_ext.prompt import render_rules
from reward_fns import compute_score
from reward_fns.domains.search_relevance.edits import EDITS, edited_rules

FILE = "changed_rule_test.jsonl"
DATA_SOURCE = "realm/search_relevance/unguided"
SPECIAL = ("acc_affected", "kept_old", "acc_unaffected")


def read_rows(shown: bool) -> list[dict[str, Any]]:
    """The documents; with `shown`, the edited rule book stands before each question."""
    books = {name: render_rules(edited_rules(edit)) + "\n" for name, edit in EDITS.items()}
    lines = (DATA / FILE).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) | {"system": "", "data_source": DATA_SOURCE} for line in lines]
    return [row | {"question": books[row["edit"]] + row["question"]} for row in rows] if shown else rows


def load(shown: bool, **_metadata: Any) -> dict[str, Any]:
    """The data set of a task, under its split `test`; lm-eval also passes the task's metadata, unused here."""
    return as_dataset(read_rows(shown))


class ChangedRuleTask(ReaderTask):
    """Adds to the metrics of every task what the answers say about the edit.

    `acc_affected` is the accuracy where the edit changes the label, `kept_old` the share of the same questions answered
    as the old rules want, `acc_unaffected` the accuracy where old and new rules agree.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        for name in SPECIAL:
            self._aggregation_list[name] = statistics.mean_of_present
            self._aggregation_list[f"{name}_stderr"] = statistics.mean_of_present_stderr
        self._higher_is_better["kept_old"] = False

    def process_results(self, doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
        """The metrics of a document from its response."""
        metrics: dict[str, Any] = super().process_results(doc, results)
        if "acc" not in metrics:  # lm-eval's own mark under --predict_only
            return metrics
        for name, value in zip(SPECIAL, _of_edit(doc, results[0], metrics["acc"]), strict=True):
            metrics |= {name: value, f"{name}_stderr": value}
        return metrics


def _of_edit(
    doc: Mapping[str, Any], response: str, acc: float
) -> tuple[float | None, float | None, float | None]:
    """The values of `SPECIAL`."""
    if not doc["affected"]:
        return None, None, acc
    return acc, float(compute_score(doc["data_source"], response, doc["old_gold"])["acc"]), None
