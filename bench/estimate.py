"""The cost of stage `bench`: the recipe says how long each candidate runs."""

from collections.abc import Mapping

from bench.stage import Config
from bench.turns.timing import WARMUP_WINDOWS, Schedule
from export import onnx
from export.estimate import measured
from pipeline.estimate import Answer, Estimate, Machine
from pipeline.stage import StageConfig
from stages.estimates.training import data_of, described, refuse_foreign_code
from stages.nets.catalogue import modules_of
from stages.nets.config import NetConfig

SHORTEST_WARMUP = 3
"""Windows after which a steady candidate has settled."""
REPORT_S = 5.0
"""Counting the networks' cost, the report and its pictures."""
ROOFLINE_S = 6.0
PROCESS_S = 1.0
"""Starting the process in which a row's memory is measured, and importing its runtime."""
REPORT_BYTES = 800_000


def estimate(config: StageConfig, configs: Mapping[str, StageConfig], machine: Machine) -> Estimate:
    """Warm-up and measurement of teacher and student in torch, and of every file in onnxruntime; of those that give
    labels also from a picture's file."""
    assert isinstance(config, Config)
    exported = configs["export.onnx"]
    assert isinstance(exported, onnx.Config)
    student = measured(configs, machine)
    teacher_s = student["torch_s"] * teachers_macs(configs, machine) / student["macs"]
    latencies = [(teacher_s, student["export_s"])] * len(config.runtimes)
    pipelines = []
    if "torch" in config.runtimes:
        latencies.append((student["torch_s"], 0.0))
        pipelines.append(student["torch_s"])
    if "onnxruntime" in config.runtimes:
        files = [form for form in exported.forms for _ in exported.outputs]
        latencies += [(student[f"pass_s:{form}"], student[f"load_s:{form}"]) for form in files]
        pipelines += [student[f"pass_s:{form}"] for form in exported.forms if "labels" in exported.outputs]
    seconds = REPORT_S + ROOFLINE_S * config.roofline
    seconds += sum(load_s + measured_s(latency_s, config) for latency_s, load_s in latencies)
    seconds += sum(measured_s(latency_s + student["read_s"], config) for latency_s in pipelines if config.batch == 1)
    if config.peak_memory:
        seconds += sum(PROCESS_S + load_s + 2 * config.batch * latency_s for latency_s, load_s in latencies)
    return Estimate(seconds, student["run_mib"], REPORT_BYTES)


def measured_s(latency_s: float, config: Config) -> float:
    """Seconds for which a candidate of this latency runs, first inference and warm-up included."""
    schedule = Schedule(config.warmup_s, config.min_s, config.max_s, repeats=config.repeats)
    latency_s *= config.batch
    windows_s = SHORTEST_WARMUP * max(latency_s, schedule.warmup_s / WARMUP_WINDOWS)
    sampled_s = max(schedule.min_s, schedule.min_samples * latency_s)
    return latency_s + windows_s + min(sampled_s, max(schedule.max_s, schedule.repeats * latency_s))


def teachers_macs(configs: Mapping[str, StageConfig], machine: Machine) -> float:
    """Multiply-accumulates of the teacher for one image: its latency goes by them, roughly."""
    net, data = configs["teacher"], data_of(configs, machine)
    assert isinstance(net, NetConfig)
    refuse_foreign_code(net)
    question = {"net": described(net), "classes": data.classes, "size_px": data.size_px}

    def count() -> Answer:
        from stages.estimates.rehearsed import macs

        return {"macs": macs(net, data.classes, data.size_px)}

    return machine.ask(f"the size of {net.net}", question, count, modules_of(net.net, net.args))["macs"]
