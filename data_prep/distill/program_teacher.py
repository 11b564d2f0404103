"""The teacher `program`: a domain's expert that answers in the response grammar, offline and for nothing.

Serves design.md, section Guided CoT distillation, item 2.
"""

from collections.abc import Mapping
from typing import Any

from data_prep.distill.experts import Expert
from data_prep.distill.requests import CHAIN, Reply, Request
from data_prep.distill.teachers import Malformed
from data_prep.steps import numbered
from reward_fns.response import render_response


class ProgramTeacher:
    """Answers requests for chains; the same request has the same reply, so none is kept."""

    remembers = False

    def __init__(self, domain: str, expert: Expert) -> None:
        self._expert = expert
        self.model = f"program/{domain}/{expert.name}/{expert.version}"
        self.name = f"program/{expert.name}"
        self.description: Mapping[str, Any] = {
            "kind": "program",
            "expert": expert.name,
            "version": expert.version,
        }

    async def generate(self, request: Request) -> Reply:
        return self.answer(request)

    def answer(self, request: Request) -> Reply:
        """The expert's chain.

        Raises:
            Malformed: the expert cannot read the question, or the request asks for something else than a chain.
        """
        if request.kind != CHAIN:
            raise Malformed("the program teacher writes chains only", request.kind)
        try:
            route = self._expert.chain(request.question)
        except ValueError as error:
            raise Malformed("the expert cannot read the question", str(error)) from error
        return Reply(render_response(numbered(route.steps), [], route.answer), "stop", 0, 0)

    async def close(self) -> None:
        """Nothing to free."""
