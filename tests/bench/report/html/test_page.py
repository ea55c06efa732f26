"""The page from a report written by hand: everything is in it, escaped, and nothing is asked of a network."""

import copy
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from bench.report.html.page import page

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"&"
VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Tags with attributes, the words, and that every tag is closed where it must be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def sections(reader: Reader) -> list[str | None]:
    return [attributes.get("id") for attributes in reader.named("section")]


def poisoned(value: Any) -> Any:
    """The value with every name in it hostile: texts, but for those that the form of a report fixes."""
    fixed = {
        "teacher",
        "student",
        "baseline",
        "ok",
        "skipped",
        "torch",
        "onnxruntime",
        "tensorrt",
        "test",
        "worst",
        "best",
    }
    if isinstance(value, dict):
        return {key: poisoned(part) for key, part in value.items()}
    if isinstance(value, list):
        return [poisoned(part) for part in value]
    keep = (
        not isinstance(value, str) or value in fixed or value.startswith("data:") or re.fullmatch("[0-9a-f]{64}", value)
    )
    return value if keep else value + HOSTILE


def test_the_whole_page(report: dict[str, Any], board: dict[str, Any]) -> None:
    report["added"] = [{"file": "board.json", "sha256": "a" * 64, "report": board}]
    text = page(report)
    reader = Reader(text)
    assert reader.open == []
    assert sections(reader) == [
        *("caveats", "pareto", "size", "classes", "pictures", "latency", "cost", "roofline"),
        *("forms", "added", "environment", "provenance"),
    ]
    words = " ".join(reader.words)
    for expected in (
        "pspnet_resnet18 (width=0.5) distilled from pspnet_resnet101",
        "3.9x fewer parameters, 4.6x fewer MACs, 3.3x faster in torch, -3.0 mIoU",
        "student.fp16.labels.onnx: withheld, labels agree on 0.9",
        "NVIDIA Jetson AGX Orin",
        "built on Orin with TensorRT 10.3.0",
        "accuracy mIoU 76.50 % on 50 images",
        "memory bandwidth",
        "MAXN (0)",
        "Energy is not readable: no sensor",
        "slowed down 2 times meanwhile: over-current",
        "f" * 64,
    ):
        assert expected in words


@pytest.mark.parametrize("absent", ["pictures", "roofline", "engines"])
def test_parts_that_were_not_measured_are_left_out(report: dict[str, Any], absent: str) -> None:
    del report[absent]
    reader = Reader(page(report))
    assert absent not in sections(reader)
    assert "pareto" in sections(reader)


def test_a_report_without_scores_or_measurements_still_has_a_page(report: dict[str, Any]) -> None:
    report["accuracy"] = {"teacher": {}, "student": {}}
    report["latency"]["rows"] = report["latency"]["rows"][-1:]
    report["latency"]["ratios"] = []
    words = " ".join(Reader(page(report)).words)
    assert "No file was both measured and scored." in words
    assert "No scores" in words
    assert "p50 in torch, ms" not in words and "mIoU in torch, %" not in words


def test_hostile_names_are_words(report: dict[str, Any], board: dict[str, Any]) -> None:
    report["added"] = [{"file": "board.json", "sha256": "a" * 64, "report": board}]
    hostile = poisoned(copy.deepcopy(report))
    classes = [name + HOSTILE for name in report["data"]["classes"]]
    for scores in hostile["accuracy"].values():
        scores["test"]["per_class_iou"] = dict.fromkeys(classes, 0.5)
    hostile["data"]["classes"] = classes
    hostile["data"]["split"] = "test"
    hostile["pictures"]["colours"] = {name: [1, 2, 3] for name in classes}
    reader = Reader(page(hostile))
    assert reader.named("script") == reader.named("img") == []
    assert not [attributes for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    assert classes[0] in " ".join(reader.words)


def test_nothing_is_loaded(report: dict[str, Any]) -> None:
    reader = Reader(page(report))
    links = [value for _, attributes in reader.tags for name, value in attributes.items() if name in ("href", "src")]
    assert links
    assert all(link and link.startswith(("data:", "#")) for link in links)
    assert "://" not in page(report)
    policy = next(meta["content"] for meta in reader.named("meta") if meta.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_charts_and_tables_are_named_for_screen_readers(report: dict[str, Any]) -> None:
    reader = Reader(page(report))
    drawings, tables = reader.named("svg"), reader.named("table")
    assert drawings
    assert all(one.get("role") == "img" and one.get("aria-label") for one in drawings)
    assert len(reader.named("caption")) == len(tables)
    assert all(one.get("scope") in ("col", "row") for one in reader.named("th"))


def test_it_fits_screens_and_paper(report: dict[str, Any]) -> None:
    text = page(report)
    for needed in ("width=device-width", "prefers-color-scheme: dark", "@media print", "@media (max-width: 640px)"):
        assert needed in text


def test_a_withheld_form_is_told_first(report: dict[str, Any]) -> None:
    text = page(report)
    assert text.index("withheld, labels agree") < text.index('id="pareto"')


def test_it_is_pure(report: dict[str, Any]) -> None:
    before = json.dumps(report)
    assert page(report) == page(report)
    assert json.dumps(report) == before
