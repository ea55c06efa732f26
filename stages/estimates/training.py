"""The cost of the stages that train a segmentation network: teacher, distill, baseline."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pipeline.errors import NetworkError
from pipeline.estimate import Answer, Estimate, Machine
from pipeline.group.ranks import Group, started
from pipeline.stage import StageConfig
from stages import distill, teacher
from stages.datasets.config import DataConfig
from stages.estimates.outline import Outline, outline
from stages.losses.methods import TermConfig, needs_position, needs_teacher, spelt
from stages.nets.config import NetConfig
from stages.nets.foreign import foreign, is_foreign
from stages.position import Config as PositionConfig
from stages.training.config import OptimiserConfig, TrainingConfig

T = TypeVar("T", bound=OptimiserConfig)
BYTES_A_PARAMETER = 4
DOCUMENTS_BYTES = 300_000
"""Scores, history, pictures, card."""
KEPT_BYTES = 1 << 30
BYTES_A_PIXEL = 4
SCHEDULE = {"iterations", "lr", "momentum", "weight_decay", "poly_power", "warmup", "seed", "checkpoint_iterations"}
"""What changes the number of steps, or their result, and not what one costs."""


def estimate(config: StageConfig, configs: Mapping[str, StageConfig], machine: Machine) -> Estimate:
    """From a few real steps and one evaluated batch, by the number of both."""
    assert isinstance(config, TrainingConfig)
    config, machine = of_one_process(config, machine, started())
    data = data_of(configs, machine)
    _, terms = subject_of(config)
    found = measured(config, configs, machine, data)
    images = images_measured(config, machine, data)
    train = data.images.get("train", 0)
    kept = decoded_bytes(data, train) if keeps(config, data, train) else 0
    crop_s = images["crop_s"] + (0 if kept else images["read_s"])
    step_s = with_loader(found["step_s"], config.batch * crop_s, config.workers, machine)
    scored = images_scored(config, data) / started().world
    looked = config.gap_images if isinstance(config, distill.Config) and terms else 0
    seconds = (
        found["setup_s"]
        + (train * images["read_s"] / machine.cores if kept else 0)
        + config.iterations * step_s
        + scored * (found["evaluation_s"] + images["read_s"] / machine.cores)
        # Before and after the training, the student beside its teacher.
        + 2 * looked * found["evaluation_s"] * (1 + found["teacher_share"])
        + found["closing_s"] * (len(config.evaluate) + (3 if looked else 0))
    )
    weights = int(found["parameters"]) * BYTES_A_PARAMETER
    peak = found["peak_mib"] + (kept / 2**20 if machine.device == "cpu" else 0)
    return Estimate(seconds, peak, weights + DOCUMENTS_BYTES, checkpoint_bytes(config, weights))


def of_one_process(config: T, machine: Machine, group: Group) -> tuple[T, Machine]:
    """What one of several processes does, and on how many cores: its share of each batch."""
    cores = max(1, machine.cores // group.local_world)
    return config.model_copy(update={"batch": config.batch // group.world}), replace(machine, cores=cores)


def images_scored(config: TrainingConfig, data: Outline) -> int:
    """Images that are scored after the training, and on val while it trains."""
    times = -(-config.iterations // config.validate_iterations) if config.validate_iterations else 0
    after = sum(data.images[split] for split in config.evaluate if split in data.labelled)
    return after + times * data.images.get("val", 0)


def checkpoint_bytes(config: OptimiserConfig, weights: int) -> int:
    """Of a network of so many bytes: a checkpoint as it is, and the next one while it is written."""
    if not config.iterations:
        return 0
    means = 2 if config.optimiser == "adamw" else 1
    best = isinstance(config, TrainingConfig) and config.keep == "best"
    return 2 * weights * (1 + means + (config.ema > 0) + best)


def data_of(configs: Mapping[str, StageConfig], machine: Machine) -> Outline:
    """The data set that the recipe names."""
    config = configs["data"]
    assert isinstance(config, DataConfig)
    return outline(config, machine.inputs.get("data"))


def subject_of(config: TrainingConfig) -> tuple[NetConfig, Mapping[str, TermConfig]]:
    """The network that is trained, and its terms."""
    if isinstance(config, distill.Config):
        return config.student, distill.terms_of(config)
    assert isinstance(config, teacher.Config)
    return config, teacher.terms_of(config.model_copy(update={"iterations": 1}))


def measured(config: TrainingConfig, configs: Mapping[str, StageConfig], machine: Machine, data: Outline) -> Answer:
    """`rehearse` of the stage's own networks at its own crop."""
    net, terms = subject_of(config)
    teacher_config = configs["teacher"] if needs_teacher(terms) else None
    hidden = position_of(configs).hidden if needs_position(terms) else 0
    assert teacher_config is None or isinstance(teacher_config, NetConfig)
    for each in (net, teacher_config):
        refuse_foreign_code(each)
    question = {
        "training": config.model_dump(mode="json", include=set(TrainingConfig.model_fields) - SCHEDULE),
        "net": described(net),
        "teacher": described(teacher_config),
        "terms": {name: spelt(term) for name, term in terms.items()},
        "hidden": hidden,
        "classes": data.classes,
        "size_px": data.size_px,
    }

    def measure() -> Answer:
        from stages.estimates.rehearsed import Subject, rehearse

        subject = Subject(config, net, terms, data.classes, data.size_px, machine.device, teacher_config, hidden)
        return rehearse(subject)

    return machine.ask(f"steps of {named(net, teacher_config)}", question, measure)


def position_of(configs: Mapping[str, StageConfig]) -> PositionConfig:
    """How the position network is made."""
    config = configs["position"]
    assert isinstance(config, PositionConfig)
    return config


def images_measured(config: TrainingConfig, machine: Machine, data: Outline) -> Answer:
    """Seconds to read an image, and to cut a crop out of it."""
    settings = {"size_px": data.size_px, "png": data.png, "crop_px": config.crop_px, "scale": config.scale}

    def measure() -> Answer:
        from stages.estimates.images import seconds_to_crop, seconds_to_read
        from stages.loading.augment import Augmentation

        augmentation = Augmentation(config.crop_px, config.scale, config.mirror, config.jitter)
        return {
            "read_s": seconds_to_read(data.size_px, data.png),
            "crop_s": seconds_to_crop(data.size_px, augmentation),
        }

    question = {**settings, "jitter": str(config.jitter)}
    return machine.ask("reading and cropping images", question, measure, ["stages.loading.augment"])


def with_loader(step_s: float, batch_s: float, workers: int, machine: Machine) -> float:
    """Seconds of a step whose batch costs the loader `batch_s` on one core.

    Without workers both add up. With them the slower one decides; on a CPU they also share the cores.
    """
    if workers == 0:
        return step_s + batch_s
    loading_s = batch_s / min(workers, machine.cores)
    shared_s = step_s + batch_s / machine.cores if machine.device == "cpu" else step_s
    return max(loading_s, shared_s)


def keeps(config: TrainingConfig, data: Outline, images: int) -> bool:
    """Whether the training split is decoded once and kept."""
    if config.decoded == "auto":
        return decoded_bytes(data, images) <= KEPT_BYTES
    return config.decoded != "none"


def decoded_bytes(data: Outline, images: int) -> int:
    """Size of so many decoded images with their labels."""
    return images * data.size_px[0] * data.size_px[1] * BYTES_A_PIXEL


def refuse_foreign_code(net: NetConfig | None) -> None:
    """NetworkError for a network that only the user's own code can build: a dry run runs none of it."""
    if net is not None and is_foreign(net.net) and foreign(net.net).code:
        raise NetworkError(f"that takes the code of {net.net}, which a dry run does not run")


def described(net: NetConfig | None) -> dict[str, Any] | None:
    """What of a network decides its cost."""
    return net and net.model_dump(mode="json", include={"net", "args", "taps", "tap_stride"})


def named(net: NetConfig, teacher_config: NetConfig | None) -> str:
    """`pspnet_resnet18`, or `pspnet_resnet18 under pspnet_resnet101`."""
    return net.net if teacher_config is None else f"{net.net} under {teacher_config.net}"
