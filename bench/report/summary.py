"""A report in one sentence."""

from bench.report.words import Report, times


def summary(report: Report) -> str:
    """One sentence: the student against the teacher.

    Parameters and MACs by the paper's convention, speed by the paired ratio of the two in torch; what was not
    measured is left out.

        5.4x fewer parameters, 4.6x fewer MACs, 4.4x faster in torch, -1.2 mIoU
    """
    parts = []
    costs = report["complexity"]
    for key, words in (("params_with_aux", "parameters"), ("macs_with_aux", "MACs")):
        parts.append(times(costs["teacher"][key] / costs["student"][key], f"fewer {words}", f"more {words}"))
    for ratio in report["latency"]["ratios"]:
        if (ratio["numerator"], ratio["denominator"]) == ("teacher torch", "student torch"):
            parts.append(times(ratio["ratio"], "faster in torch", "slower in torch"))
    split = report["data"]["split"]
    scores = [report["accuracy"].get(role, {}).get(split) for role in ("student", "teacher")]
    if all(scores):
        points = 100 * (scores[0]["miou"] - scores[1]["miou"])
        parts.append(f"{points:+z.1f} mIoU")
    return ", ".join(parts)
