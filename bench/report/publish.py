"""A report's three files: data, text and page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.report.html.page import page
from bench.report.markdown import markdown
from pipeline.errors import StoreError

FILES = ("report.json", "report.md", "report.html")


def write_report(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write `FILES` into an existing folder; their paths. StoreError for a board's report, which has no teacher."""
    if report.get("kind") == "board":
        raise StoreError("a board's report alone has no page: add it with --add to that of stage bench")
    contents = (json.dumps(report, indent=1) + "\n", markdown(report), page(report))
    paths = [folder / name for name in FILES]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content, encoding="utf-8")
    return paths
