"""A data set as `data check` reports it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import DataError
from stages.datasets.survey import survey_root


def silent(total: int) -> Callable[[int], None]:
    return lambda count: None


def test_a_clean_folder(small: Path) -> None:
    found = survey_root(small, None, silent)
    assert found["source"] == "folder" and found["findings"] == []
    assert found["images"] == {"train": 3, "val": 1, "test": 2}
    assert found["sizes"]["train"]["height_px"] == {"min": 12, "median": 12.0, "max": 12}
    assert found["classes"][1] == {"id": 1, "name": "sky", "rgb": [9, 9, 9]}


def test_a_layout_that_cannot_be_followed_is_a_finding(small: Path) -> None:
    (small / "classes.csv").write_text("id,name\n")
    (finding,) = survey_root(small, "folder", silent)["findings"]
    assert finding["kind"] == "list" and "classes.csv: no column" in finding["text"]


def test_what_cannot_be_checked_is_an_error(small: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        survey_root(small / "absent", None, silent)
    with pytest.raises(DataError, match="makes its own images"):
        survey_root(small, "synthetic", silent)
