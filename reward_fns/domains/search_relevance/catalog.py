"""The closed world of `search_relevance`: product families, brands, colours, regions.

Serves design.md, section Domains. The knowledge here (which types stand in for each other, which
accessories fit one brand only, which brands are sisters) is what a student has to learn; it is never
written in a question.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Product types that serve one need, and what is bought beside them.

    `types` substitute for each other; `accessories` complement each of them; those in `locked` fit one
    brand only. `functional_colour` marks families in which the colour is the product.
    """

    name: str
    types: tuple[str, ...]
    accessories: tuple[str, ...]
    locked: frozenset[str] = frozenset()
    functional_colour: bool = False


def _family(
    name: str, types: str, accessories: str, locked: str = "", functional_colour: bool = False
) -> Family:
    return Family(
        name, tuple(types.split()), tuple(accessories.split()), frozenset(locked.split()), functional_colour
    )


FAMILIES: tuple[Family, ...] = (
    _family("footwear", "sneakers boots sandals", "laces insoles"),
    _family("phones", "phone handset pager", "charger holster", locked="charger"),
    _family("printing", "printer copier plotter", "cartridge toner", locked="cartridge toner"),
    _family("coatings", "paint lacquer stain", "roller primer", functional_colour=True),
    _family("kitchen", "brewer percolator kettle", "filter grinder", locked="filter"),
    _family("dyeing", "dye ink pigment", "gloves fixative", functional_colour=True),
)

HOUSES: tuple[tuple[str, ...], ...] = (
    ("norvik", "aldera"),
    ("halden", "brisco"),
    ("quanta",),
    ("tamsin",),
    ("ostara",),
    ("velmo",),
)
BRANDS: tuple[str, ...] = tuple(brand for house in HOUSES for brand in house)
COLOURS: tuple[str, ...] = ("red", "blue", "green", "black", "white", "pink")
REGIONS: tuple[str, ...] = ("US", "EU", "UK", "JP", "BR", "IN")
PRICES: tuple[int, ...] = tuple(range(10, 130, 10))

FAMILY_OF: dict[str, Family] = {t: f for f in FAMILIES for t in f.types + f.accessories}
HOUSE_OF: dict[str, int] = {brand: i for i, house in enumerate(HOUSES) for brand in house}


def same_house(first: str, second: str) -> bool:
    """Whether two brands are one brand for the rules (equal, or sisters)."""
    return HOUSE_OF[first] == HOUSE_OF[second]
