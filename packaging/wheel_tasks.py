"""Build hook: a wheel ships ReaLM's evaluation tasks where lm-eval looks for them by name.

Serves design.md, section Layout. lm-eval searches its own package folder. An editable install must not get copies
there, which would go stale: `realm link-tasks` makes links instead.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WheelTasks(BuildHookInterface):
    """Adds `eval_tasks/tasks` to a wheel a second time, as `lm_eval/tasks/realm`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds; `version` is `editable` or `standard`."""
        if version != "editable":
            build_data["force_include"]["eval_tasks/tasks"] = "lm_eval/tasks/realm"
