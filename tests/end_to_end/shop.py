"""A synthetic shop with a signal that can be learnt: whoever has just come to an interest mostly goes on to the one after it."""

import csv
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS, ROUND, USERS = 120, 20, 300
FOLLOW = 0.8
"""How often the next interest is the next one of `INTERESTS`."""
INTERESTS = {
    "milk": ("whole milk", "skim milk", "chocolate milk", "milk cream"),
    "bread": ("white bread", "wheat bread", "rye bread", "bread rolls"),
    "beef": ("ground beef", "beef steak", "beef roast", "beef ribs"),
    "apple": ("red apple", "green apple", "apple slices", "apple pears fruit"),
    "wine": ("red wine", "white wine", "wine rose", "sparkling wine"),
    "soap": ("hand soap", "dish soap", "laundry soap", "soap bar"),
    "dog": ("dry dog food", "wet dog food", "dog treats", "dog toys"),
    "pencil": ("pencil sharpener", "pencil case", "colour pencil", "notebook pencil paper"),
}
NAMES = list(INTERESTS)


def write_shop(folder: Path) -> None:
    """`events.csv` (user, item, ts, quantity), `items.csv` (item, text) and `taxonomy.csv` (item, cluster)."""
    items = {f"{name}-{i}": (text, name) for name, texts in INTERESTS.items() for i, text in enumerate(texts)}
    _write(folder / "items.csv", ("item", "text"), [(item, text) for item, (text, _) in items.items()])
    _write(folder / "taxonomy.csv", ("item", "cluster"), [(item, name) for item, (_, name) in items.items()])
    _write(folder / "events.csv", ("user", "item", "ts", "quantity"), _events(random.Random(7)))


def _events(chance: random.Random) -> list[tuple[str, str, str, int]]:
    rows = []
    for user in range(USERS):
        for first_day in range(0, DAYS, ROUND):
            at = START + timedelta(days=first_day, hours=chance.uniform(0, 48))
            interest = chance.randrange(len(NAMES))
            for _ in range(5):
                item = f"{NAMES[interest]}-{chance.randrange(4)}"
                rows.append((f"u{user}", item, f"{at:%Y-%m-%d %H:%M:%S}", chance.randrange(0, 4)))
                at += timedelta(hours=chance.uniform(12, 80))
                step = 1 if chance.random() < FOLLOW else chance.randrange(2, len(NAMES))
                interest = (interest + step) % len(NAMES)
    return sorted(rows, key=lambda row: row[2])


def _write(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


VOCABULARY = " ".join(
    ["Predict a user's next new interest from the last two. Interest 1: Interest 2: Next interest: Often next:"]
    + [", ".join(text.split()) for texts in INTERESTS.values() for text in texts]
)
"""Every word of a prompt, for the tiny LLM's tokenizer."""
