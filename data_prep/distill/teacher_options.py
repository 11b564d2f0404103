"""Command-line options of a teacher, and of asking it: the same names and texts in every command that asks one.

Serves design.md, section Guided CoT distillation, items 2 and 3. The defaults stand with each command.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from data_prep.distill.limits import FREE, Prices

CONCURRENCY, LOCAL_CONCURRENCY = 16, 128
"""Requests at a time if nothing else is asked for: over HTTP, and to a local engine, which batches them."""

Model = Annotated[str, typer.Option(help="Name at the endpoint, or folder of the local model.")]
BaseUrl = Annotated[str, typer.Option(help="Address of the endpoint.")]
ApiKeyEnv = Annotated[str, typer.Option(help="Environment variable that holds the API key.")]
EngineArguments = Annotated[
    list[str] | None,
    typer.Option(help="A further argument of vLLM's engine as NAME=VALUE, e.g. max_model_len=4096."),
]
Temperature = Annotated[
    float, typer.Option(min=-1, help="Of the teacher; at 0 all samples are alike, -1 is not sent.")
]
MaxTokens = Annotated[int, typer.Option(min=1, help="Of one reply.")]
SendSeeds = Annotated[bool, typer.Option(help="Send a seed with each request.")]
StoreFolder = Annotated[
    Path | None,
    typer.Option(
        file_okay=False,
        help="Folder of the replies; if not given, what is written (OUT or BANK) with .store at its end.",
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(min=1, help=f"Requests at a time; {CONCURRENCY} over HTTP, {LOCAL_CONCURRENCY} with vllm."),
]
RequestsPerMinute = Annotated[float | None, typer.Option(min=0.001, help="No more than this.")]
PriceIn = Annotated[float, typer.Option(min=0, help="Price of a million prompt tokens.")]
PriceOut = Annotated[float, typer.Option(min=0, help="Price of a million reply tokens.")]
MaxCost = Annotated[float | None, typer.Option(min=0, help="Never spend more than this on this store.")]
SkipFailing = Annotated[
    bool, typer.Option("--skip-failing", help="Leave out requests that are refused or keep failing.")
]

MinUsable = Annotated[
    float,
    typer.Option(min=0, max=1, help="End if of the first 50 replies a smaller share can be used; 0: never."),
]


def read_money(price_in: float, price_out: float, max_cost: float | None) -> tuple[Prices, Decimal | None]:
    """Prices and the ceiling, in decimal.

    Raises:
        ValueError: a ceiling without prices, which nothing would ever reach.
    """
    prices = Prices(Decimal(str(price_in)), Decimal(str(price_out)))
    if max_cost is not None and prices == FREE:
        raise ValueError("--max-cost needs --price-in and --price-out")
    return prices, None if max_cost is None else Decimal(str(max_cost))


def at_a_time(asked_for: int | None, *, local: bool) -> int:
    """Requests at a time: as many as were asked for, or the default."""
    return asked_for or (LOCAL_CONCURRENCY if local else CONCURRENCY)


def store_beside(written: Path) -> Path:
    """Where replies are kept if no `--store` is given."""
    return written.with_name(f"{written.name}.store")
