"""The table of published figures: what is off has a reason, and docs/ shows what is counted."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.complexity.command import main
from bench.complexity.published import BEGIN, END, Published, compare, markdown, network, published, updated
from pipeline.errors import NetworkError

ROOT = Path(__file__).resolve().parents[3]
TOLERANCE = 0.01


def unexplained(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Networks with a figure that is off by more than `TOLERANCE` and no reason beside it."""
    return [
        network(row)
        for row in rows
        if not row["reason"] and any(abs(value or 0) > TOLERANCE for value in row["difference"].values())
    ]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [compare(row) for row in published()]


def test_every_large_difference_has_its_reason(rows: list[dict[str, Any]]) -> None:
    assert rows and unexplained(rows) == []


def test_the_document_shows_what_is_counted(rows: list[dict[str, Any]]) -> None:
    text = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    shown = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == markdown(rows), "python -m bench.complexity --table --update docs/networks.md"


def test_the_papers_networks_are_in_it(rows: list[dict[str, Any]]) -> None:
    found = {(row["net"], str(row["args"])): row["measured"] for row in rows}
    assert found["pspnet_resnet101", "{}"]["paper"] == {"params": 70_437_350, "macs": 574_932_147_200}
    assert found["pspnet_resnet18", "{'width': 0.5}"]["deployed"] == {"params": 3_196_531, "macs": 30_896_378_048}


def espnet(**changes: Any) -> dict[str, Any]:
    return compare(Published(**{"net": "espnet", "classes": 19, "size_px": (512, 1024), **changes}))


def test_differences_are_relative_to_the_printed_figure() -> None:
    row = espnet(params=363_462 / 1.25, macs=4_421_869_568 * 2, source="nowhere", convention="paper")
    assert row["difference"] == {"params": pytest.approx(0.25), "macs": pytest.approx(-0.5)}
    assert unexplained([row]) == ["espnet"]
    assert unexplained([row | {"reason": "another head"}]) == []
    assert "| +25.00 | 8.844 | 4.422 | 4.422 | -50.00 | paper | nowhere |" in markdown([row])


def test_a_figure_that_was_not_printed_is_a_dash() -> None:
    row = espnet(source="nowhere", convention="deployed")
    assert row["difference"] == {"params": None, "macs": None} and unexplained([row]) == []
    assert "| - | 0.3635 | 0.3635 | - | - | 4.422 | 4.422 | - | deployed |" in markdown([row])


def test_one_percent_is_the_limit() -> None:
    within = espnet(params=363_462 / 1.0099, source="nowhere", convention="paper")
    beyond = espnet(params=363_462 / 1.0101, source="nowhere", convention="paper")
    assert unexplained([within, beyond | {"net": "beyond"}]) == ["beyond"]


def test_the_command_prints_json_and_updates_a_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Published("espnet", 19, (64, 128), source="nowhere", convention="paper")
    monkeypatch.setattr("bench.complexity.published.published", lambda: [row])
    rows = [compare(row)]
    document = tmp_path / "networks.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main(["--table", "--json", "--update", str(document)]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(rows))
    assert document.read_text() == f"before\n{BEGIN}\n\n{markdown(rows)}\n\n{END}\nafter\n"
    with pytest.raises(NetworkError, match="has no lines"):
        updated("no marks", "table")
