"""A support desk's labels and rules, as a domain team would bring them."""

import csv
import random
from pathlib import Path

TOPICS = {
    "Billing": (
        "I was charged twice for {}",
        "please refund {}",
        "why is {} on my invoice",
        "wrong price for {}",
    ),
    "Technical": ("{} crashes when I open it", "cannot log in to {}", "{} shows an error", "{} is very slow"),
    "Shipping": ("{} has not arrived", "the courier lost {}", "when will {} be sent", "{} came broken"),
}
THINGS = [f"{kind} {letter}" for kind in ("plan", "order", "device", "app", "cable") for letter in "abcdefgh"]
RULES = """\
- id: S1
  name: Money first
  precedence: 1
  text: A message about a charge, a price or a refund is Billing, whatever else it says.
  example: "charged twice, and the app crashed -> Billing"
- id: S2
  name: Parcel
  precedence: 2
  text: A message about a delivery is Shipping.
  example: "has not arrived -> Shipping"
- id: S3
  name: The rest
  precedence: 3
  text: Anything else is Technical.
  example: "cannot log in -> Technical"
"""


def write_case(folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """The labels (240 good rows, then one conflict, one repeat and one without label) and the rule book."""
    rng = random.Random(seed)
    pairs = [
        (text.format(thing), label) for label, texts in TOPICS.items() for text in texts for thing in THINGS
    ]
    rows = rng.sample(pairs, 240)
    labels, rules = folder / "support.csv", folder / "rules.yaml"
    with labels.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["ticket_id", "message", "label"])
        for number, (text, label) in enumerate(rows):
            table.writerow([number, text, rng.choice([label, label, label.upper(), f"{label}."])])
        table.writerow([240, rows[0][0], "Technical" if rows[0][1] == "Billing" else "Billing"])
        table.writerow([241, rows[1][0].upper(), rows[1][1]])
        table.writerow([242, "no label here", ""])
    rules.write_text(RULES, encoding="utf-8")
    return labels, rules
