"""The cost of stage `position`: the teacher's maps once, then two read-outs over them."""

from collections.abc import Mapping

from pipeline.estimate import Answer, Estimate, Machine
from pipeline.group.ranks import started
from pipeline.stage import StageConfig
from stages.estimates.outline import Outline
from stages.estimates.training import checkpoint_bytes, data_of, described, of_one_process, refuse_foreign_code
from stages.nets.config import NetConfig
from stages.position import Config

MIB = 2**20
BYTES_A_PARAMETER = 4
DOCUMENTS_BYTES = 50_000
KEPT_BYTES = 2 << 30
"""Maps that the stage keeps in memory."""


def estimate(config: StageConfig, configs: Mapping[str, StageConfig], machine: Machine) -> Estimate:
    """From a few real steps and one map, by the number of both."""
    assert isinstance(config, Config)
    config, machine = of_one_process(config, machine, started())
    data = data_of(configs, machine)
    found, read_s = measured(config, configs, machine, data), reading(machine, data)
    distinct = data.images.get("train", 0) * (1 + config.mirror)
    held_out = min(config.held_out_images, data.images.get(config.held_out, 0))
    made, kept_bytes = maps_made(distinct, config.iterations * config.batch, int(found["map_bytes"]))
    steps_s = config.iterations * (found["features_step_s"] + found["content_step_s"])
    maps_s = (made + held_out) * (found["map_s"] + 2 * read_s)
    weights = int(found["parameters"]) * BYTES_A_PARAMETER
    return Estimate(
        seconds=found["setup_s"] + steps_s + maps_s,
        peak_mib=found["peak_mib"] + kept_bytes / MIB,
        bytes=weights + DOCUMENTS_BYTES,
        scratch_bytes=checkpoint_bytes(config, weights),
    )


def maps_made(distinct: int, draws: int, map_bytes: int) -> tuple[float, float]:
    """How many maps are computed when `draws` of `distinct` are drawn at random, and the bytes of those kept."""
    seen = distinct * (1 - (1 - 1 / distinct) ** draws) if distinct else 0.0
    kept = min(seen, KEPT_BYTES // map_bytes)
    # What found no room is computed each time that it is drawn.
    again = draws * (1 - kept / seen) if seen else 0.0
    return max(kept + again, seen), kept * map_bytes


def measured(config: Config, configs: Mapping[str, StageConfig], machine: Machine, data: Outline) -> Answer:
    """`rehearse` of the recipe's own read-outs."""
    net = configs["teacher"]
    assert isinstance(net, NetConfig)
    refuse_foreign_code(net)
    settings = config.model_dump(mode="json", include={"batch", "tap", "hidden", "precision", "channels_last"})
    question = {**settings, "net": described(net), "classes": data.classes, "size_px": data.size_px}

    def measure() -> Answer:
        from stages.estimates.rehearsed_readout import rehearse

        return rehearse(config, net, data.classes, data.size_px, machine.device)

    return machine.ask(f"read-outs of {net.net}", question, measure)


def reading(machine: Machine, data: Outline) -> float:
    """Seconds to read an image."""

    def measure() -> Answer:
        from stages.estimates.images import seconds_to_read

        return {"read_s": seconds_to_read(data.size_px, data.png)}

    return machine.ask("reading images", {"size_px": data.size_px, "png": data.png}, measure, ())["read_s"]
