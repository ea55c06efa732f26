"""Stage `distill`: train the student under a method's loss terms; publish it alone, ready to ship."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pipeline.stage import Context, Outputs, StageConfig
from stages.losses.methods import TermConfig, needs_position, needs_teacher, resolve
from stages.nets.catalogue import choice, modules_of
from stages.nets.config import NetConfig
from stages.training.config import TrainingConfig

if TYPE_CHECKING:
    from stages.training.student import Teacher

VERSION = 1


class TermChange(StageConfig):
    """What a recipe changes of one term of its method; absent fields keep the method's value."""

    weight: float | None = Field(None, ge=0)
    """0 drops the term."""
    reduction: str | None = None
    tap: str | None = None
    temperature: float | None = Field(None, gt=0)
    label_grid: Literal["public", "aligned"] | None = None


class Config(TrainingConfig):
    """Part `[distill]` of a recipe."""

    student: NetConfig = NetConfig(net="pspnet_resnet18")
    method: str = "idd"
    """`none` trains without a teacher; `idd` is the paper's eq. 6."""
    terms: dict[str, TermChange] = Field(default_factory=dict)
    """Changes to the method's terms by name, e.g. `terms.inter_class.weight = 0.5`."""


def terms_of(config: Config) -> dict[str, TermConfig]:
    """The weighted terms that the config asks for."""
    changes = {name: change.model_dump(exclude_none=True) for name, change in config.terms.items()}
    return resolve(config.method, changes)


def needs(config: Config) -> tuple[str, ...]:
    """The images, and the teacher and position network where a term reads them."""
    terms = terms_of(config)
    teacher = ("teacher",) if needs_teacher(terms) else ()
    return ("data", *teacher, *(("position",) if needs_position(terms) else ()))


def code(config: Config) -> tuple[str, ...]:
    """The chosen student's module."""
    return modules_of(config.student.net, config.student.args)


def loading(config: Config) -> tuple[str, ...]:
    """The network's module."""
    return modules_of(config.student.net, config.student.args)


def choices(config: Config) -> dict[str, Any]:
    """What the network's name stands for."""
    return {"net": choice(config.student.net)}


def run(ctx: Context, inputs: Mapping[str, Path], config: Config) -> Outputs:
    """Publish the student without teacher, adapters or auxiliary head."""
    from stages.datasets.index import read_index
    from stages.nets.taps import add_taps
    from stages.training.artifact import score, summary, volatile, write_artifact
    from stages.training.device import start_fabric
    from stages.training.start import build_net, crops
    from stages.training.student import train_net

    index = read_index(inputs["data"])
    fabric = start_fabric(config.precision, ctx.device, config.seed)
    net, spec = build_net(ctx, config.student, index, config)
    terms = terms_of(config)
    teacher = load_teacher(inputs, terms)
    taps = [term.tap for term in terms.values()]
    add_taps(net, spec, taps, config.crop_px)
    if teacher:
        add_taps(teacher.net, teacher.spec, taps, config.crop_px)
    batches = crops(ctx, inputs["data"], index, config)
    title = f"student, method {config.method}"
    history = train_net(fabric, net, spec, terms, batches, config, ctx, title, teacher)
    net.aux_head = None
    scores = score(ctx, net, spec, inputs["data"], index, config, fabric)
    write_artifact(ctx, net, spec, inputs["data"], scores, history, title.capitalize())
    return Outputs(summary=summary(scores), volatile=volatile(scores))


def load_teacher(inputs: Mapping[str, Path], terms: Mapping[str, TermConfig]) -> "Teacher | None":
    """The teacher and its position network, as far as the method's terms read them."""
    from stages.nets.saved import load_net
    from stages.position import load_position_net
    from stages.training.student import Teacher

    if "teacher" not in inputs:
        return None
    net, spec = load_net(inputs["teacher"])
    reads_position = "position" in inputs
    position_net = load_position_net(inputs["position"], terms["position"].tap) if reads_position else None
    return Teacher(net, spec, position_net)
