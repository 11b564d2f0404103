"""The bundled questions of the changed-rule test: labels under an edited rule book, beside those of the real one.

Serves design.md, section Domains. The committed file eval_tasks/data/changed_rule_test.jsonl is what
`python -m data_prep.search_relevance.changed_rule FILE` writes; a test holds the two together. For each edit, half of
the questions are affected (the edit changes the label), half are not; no question stands in the test set.
"""

import json
import sys
from pathlib import Path
from typing import Any

from data_prep.search_relevance.datasets import make_rows
from data_prep.search_relevance.generator import Item, make_item
from data_prep.search_relevance.test_set import TEST_ROWS, TEST_SEED, TEST_SPLIT
from reward_fns.content import content_uid
from reward_fns.domains.search_relevance.edits import EDITS, Edit
from reward_fns.domains.search_relevance.engine import decide

SPLIT = "changed_rule"
SEED = 0
QUESTIONS_OF_A_KIND = 60
_MOST_DRAWS = 100_000


def changed_rule_rows(per_kind: int = QUESTIONS_OF_A_KIND, seed: int = SEED) -> list[dict[str, Any]]:
    """For each edit `per_kind` affected and as many unaffected questions, in the order drawn.

    A row: uid, edit, question, gold under the edited rules, rule that decides it there, affected, old_gold, old_rule.

    Raises:
        RuntimeError: an edit affects too few questions.
    """
    used = set(make_rows(TEST_ROWS, TEST_SEED, TEST_SPLIT, lambda number, item: {}).questions)
    index, rows = 0, []
    for edit in EDITS.values():
        wanted = {True: per_kind, False: per_kind}
        limit = index + _MOST_DRAWS
        while any(wanted.values()):
            if index == limit:
                raise RuntimeError(f"the edit {edit.name} affects too few questions in {_MOST_DRAWS} draws")
            item = make_item(seed, SPLIT, index)
            index += 1
            row = _row(item, edit)
            if wanted[row["affected"]] and item.question not in used:
                wanted[row["affected"]] -= 1
                used.add(item.question)
                rows.append(row)
    return rows


def _row(item: Item, edit: Edit) -> dict[str, Any]:
    new = decide(item.query, item.ad, edit.book)
    return {
        "uid": content_uid(item.question, new.label),
        "edit": edit.name,
        "question": item.question,
        "gold": new.label,
        "rule": new.rule,
        "affected": new.label != item.decision.label,
        "old_gold": item.decision.label,
        "old_rule": item.decision.rule,
    }


def write_rows(path: Path) -> None:
    """Write the rows as JSON lines; the same bytes each time."""
    lines = (json.dumps(row, separators=(",", ":")) + "\n" for row in changed_rule_rows())
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m data_prep.search_relevance.changed_rule FILE")
    write_rows(Path(sys.argv[1]))
