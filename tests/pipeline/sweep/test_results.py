"""The table: spreads and paired differences against numbers worked out by hand."""

from dataclasses import replace

import pytest

from pipeline.sweep.cells import Row
from pipeline.sweep.render import markdown, text
from pipeline.sweep.results import Record, spread, table_of

NONE, IDD = Row(("none",), ()), Row(("idd",), ())


def record(row: Row, seed: int, test: float | None, **fields: object) -> Record:
    miou = {} if test is None else {"test": test, "val": test - 0.1}
    return replace(Record(f"{row.name}-seed{seed}", row.name, seed, None, miou), **fields)


@pytest.fixture
def records() -> list[Record]:
    timed = {"iterations": 100, "seconds_per_iteration": 0.2, "training_seconds": 20.0, "parameters": 1234}
    return [
        record(NONE, 0, 0.60, **timed),
        record(NONE, 1, 0.64, **timed),
        record(NONE, 2, 0.62, **timed),
        record(IDD, 0, 0.63, term_seconds={"supervised": 0.02, "position": 0.01}, **timed),
        record(IDD, 1, 0.65, term_seconds={"supervised": 0.06, "position": 0.01}, **timed),
        record(IDD, 2, None, error="TrainingError: position is not finite"),
    ]


def test_spread_is_the_sample_standard_deviation() -> None:
    found = spread([0.60, 0.64, 0.62])
    assert found and (found.n, found.mean) == (3, pytest.approx(0.62))
    assert found.sd == pytest.approx(0.02)
    one = spread([0.5])
    assert one and one.sd is None
    assert spread([]) is None


def test_differences_are_paired_by_seed_over_the_seeds_that_both_have(records: list[Record]) -> None:
    table = table_of(records, {NONE: NONE, IDD: NONE})
    none, idd = table.lines
    assert table.split == "test"
    assert none.difference is None and none.compared_with is None
    assert idd.compared_with == "none" and idd.difference is not None
    assert idd.difference.n == 2
    assert idd.difference.mean == pytest.approx(0.02)
    assert idd.difference.sd == pytest.approx(0.02 / 2**0.5)
    assert idd.values == {0: 0.63, 1: 0.65}
    assert [r.cell for r in table.failed] == ["idd-seed2"]


def test_shares_of_time_are_of_an_iteration(records: list[Record]) -> None:
    idd = table_of(records, {NONE: NONE, IDD: NONE}).lines[1]
    assert idd.term_shares == {"supervised": pytest.approx(0.2), "position": pytest.approx(0.05)}


def test_every_cell_is_read_on_one_split(records: list[Record]) -> None:
    only_val = replace(records[0], miou={"val": 0.5})
    table = table_of([only_val, *records[1:]], {NONE: NONE, IDD: NONE})
    assert table.split == "val"
    assert table.lines[0].values[1] == pytest.approx(0.54)


def test_text_and_markdown_hold_the_same_figures(records: list[Record]) -> None:
    table = table_of(records, {NONE: NONE, IDD: NONE})
    for shown in (text(table), markdown(table, "Sweep x", [])):
        assert "62.00 ± 2.00" in shown and "+2.00 ± 1.41 (n 2) to none" in shown
        assert "supervised 20.0%, position 5.0%" in shown and "1,234" in shown
        assert "failed: idd-seed2: TrainingError: position is not finite" in shown
    assert "| row | n | test mIoU % |" in markdown(table, "Sweep x", [])


def test_a_table_without_any_score() -> None:
    table = table_of([record(NONE, 0, None, error="no")], {NONE: NONE, IDD: NONE})
    assert table.split is None and "failed: none-seed0: no" in text(table)
