"""Figures and times look the same under every verb."""

from pipeline.render import moment, quoted, show_text


def test_a_time_is_told_in_utc_to_the_minute() -> None:
    assert moment("2026-01-31T12:00:59+01:00") == "2026-01-31 11:00Z"


def test_a_score_is_told_in_percent() -> None:
    summary = {"test mIoU": 0.71594, "parameters": 800728, "largest mIoU change": -0.01463, "splits": "train 3"}
    assert list(quoted(summary)) == [
        "test mIoU 71.59 %",
        "parameters 800728",
        "largest mIoU change -0.01463",
        "splits train 3",
    ]


def test_an_artifact() -> None:
    manifest = {
        "stage": "distill",
        "created": "2026-01-31T11:00:00+00:00",
        "seconds": 75.2,
        "summary": {"test mIoU": 0.5},
        "files": {"model.safetensors": {"bytes": 1234, "sha256": "ab" * 32}},
    }
    assert show_text(manifest, "store/x").splitlines()[:3] == [
        "distill  store/x",
        "made 2026-01-31 11:00Z in 1 min 15 s",
        "  test mIoU 50.00 %",
    ]
