"""The baselines that ship with the tasks, as `realm compare` shows them beside the runs.

Serves design.md, section Layout: the figures are data (eval_tasks/baselines.json, written by `realm baselines`), so that
nothing of `eval_tasks` is imported here.
"""

import json

from realm_ext.compare.comparison import Comparison
from realm_ext.paths import Folder, find_folder

FILE = "baselines.json"
ACCURACIES = ("acc", "mean@k")


def read_baselines(found: Comparison) -> dict[str, dict[str, float]]:
    """Accuracy of each baseline by task, for tasks compared by accuracy, whole and in the version of the figures.

    A note is added for a task whose figures are of another version.

    Raises:
        ValueError, FileNotFoundError: a damaged install.
    """
    shipped = json.loads((find_folder(Folder.EVAL_TASKS) / FILE).read_text(encoding="utf-8"))
    figures: dict[str, dict[str, float]] = {}
    for task, version in found.versions.items():
        entry = shipped.get(task)
        main = found.main.get(task, ("", ""))[0]
        if entry is None or main not in ACCURACIES or task not in found.whole:
            continue
        if str(entry["version"]) != version:
            found.notes.append(
                f"{task}: baselines are of version {entry['version']}, not shown with {version}"
            )
            continue
        figures[task] = {name: float(value) for name, value in entry["acc"].items()}
    return figures
