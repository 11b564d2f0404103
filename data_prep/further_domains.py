"""The option `--domain` of commands that work on any domain: further ones than those that are found by name.

Serves design.md, section Domains.
"""

from collections.abc import Iterable
from typing import Annotated

import typer

from reward_fns import domains

Domains = Annotated[
    list[str] | None,
    typer.Option("--domain", help="Module of a further domain: package.module or package.module:NAME."),
]


def load_domains(modules: Iterable[str] | None) -> None:
    """Import the modules, so that their domains are found by name.

    Raises:
        ValueError, ImportError: a module has no domain, or is not there.
    """
    for module in modules or ():
        domains.load(module)
