"""What a report may say of TensorRT: an engine that was built and on what, or that none was."""

from bench.report.points import Report, score_of, with_added
from bench.report.reading import machine
from bench.report.words import percent

CONTRACT = (
    "The calls that build and run engines are contract-tested: held by tests to NVIDIA's Python bindings, which proves "
    "neither speed nor accuracy."
)


def tensorrt_lines(report: Report) -> list[str]:
    """A line for each engine that was built, with its accuracy or that it was not measured; else why there is none."""
    lines = [line for one in with_added(report) for line in engine_lines(one)]
    if lines:
        return lines
    reasons = dict.fromkeys(
        row["why"] for one in with_added(report) for row in one["latency"]["rows"]
        if row["runtime"] == "tensorrt" and row["status"] != "ok"
    )  # fmt: skip
    why = "; ".join(reasons) or "no row tells of one"
    return [f"No engine was built: {why}. Latency and accuracy in TensorRT are not measured.", CONTRACT]


def engine_lines(report: Report) -> list[str]:
    """Engines of one report."""
    scores = {row.get("sha256"): score_of(row) for row in report["latency"]["rows"] if row["runtime"] == "tensorrt"}
    return [
        f"{engine['onnx']['file'].removesuffix('.onnx')}.plan: built on {engine['gpu']['name']} with TensorRT "
        f"{engine['tensorrt']}, measured on {machine(report)}; accuracy {accuracy_words(scores.get(engine['sha256']))}"
        for engine in report.get("engines") or []
    ]


def accuracy_words(score: tuple[float, str] | None) -> str:
    """mIoU of an engine on how many images, or that nobody looked."""
    return "not measured" if score is None else f"mIoU {percent(score[0])} % on {score[1]} images"
