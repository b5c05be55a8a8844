"""Cost, agility and knowledge as sentences and as a page."""

from datetime import UTC, datetime, timedelta

from driftline.contracts import MeasuredDay
from driftline.report.cadences import Decided
from driftline.report.content import CostRow
from driftline.report.dimensions import Dimensions, TableDimensions, findings
from driftline.report.dimensions_page import render

DAY = datetime(2024, 3, 1, tzinfo=UTC)


def run(
    table: int, kind: str, train: float | None, generate: float | None, recall: float | None, answers: str = "llm"
) -> TableDimensions:
    cost = CostRow(
        table,
        kind,
        DAY + timedelta(days=table),
        DAY,
        DAY + timedelta(hours=6),
        train_cpu_seconds=train,
        generate_cpu_seconds=generate,
        changed=0.25,
    )
    return TableDimensions(cost, answers, recall, 0.05, 0.08)


def decided(day: int, action: str, more: int) -> Decided:
    measured = MeasuredDay((DAY + timedelta(days=day)).date(), 100, 30 + more, 30, 9)
    return Decided(DAY + timedelta(days=day), action, (f"Because of {day} <b>.",), measured)  # type: ignore[arg-type]


FOUND = Dimensions(
    "default",
    (
        run(1, "fine_tune", 400, 100, 0.1),
        run(2, "rag", None, 100, 0.12),
        run(3, "rag", None, 140, 0.16),
        run(4, "rag", None, None, 0.2, "counts"),
    ),
    (decided(1, "none", 4), decided(2, "rag_refresh", 6)),
)


def test_medians_by_kind_are_said() -> None:
    said = [finding.text for finding in findings(FOUND)]

    assert said == [
        "A fine-tune cost 8.3 min of CPU, was served 6.0 h after the end of its data and predicted 10.00 % of its test window's "
        "triples (chance: 5.00 %): medians of the last 1.",
        "A RAG refresh cost 2.0 min of CPU, was served 6.0 h after the end of its data and predicted 14.00 % of its test "
        "window's triples (chance: 5.00 %): medians of the last 2.",
        "A RAG refresh of counts was served 6.0 h after the end of its data and predicted 20.00 % of its test window's triples "
        "(chance: 5.00 %): medians of the last 1.",
        "A fine-tune cost 4.2 times as many CPU-seconds as a RAG refresh.",
        "The cadence acted on 1 of 2 days. On those that were measured, counts of the day before would have hit 5.00 % more of "
        "200 triples than the served table's.",
    ]


def test_the_page_is_one_file_and_says_why_of_every_day() -> None:
    page = render(FOUND)

    assert page == render(FOUND)
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "Because of 2 &lt;b&gt;." in page
    assert page.index("Because of 2") < page.index("Because of 1")


def test_without_anything_on_record_it_says_so() -> None:
    page = render(Dimensions("default", ()))
    assert "No update is on record yet." in page
    assert "Not recorded: no table is on record." in page
    assert "cadence.policy" in page
