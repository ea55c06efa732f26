"""Stage `distill`: train the student under a method's loss terms; publish it alone, ready to ship."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from pipeline.group.ranks import started
from pipeline.stage import Context, Mark, Outputs, StageConfig
from stages.losses import methods
from stages.losses.methods import TermConfig, needs_position, needs_teacher, resolve
from stages.nets.catalogue import choice, modules_of
from stages.nets.config import NetConfig
from stages.training.config import TrainingConfig

if TYPE_CHECKING:
    from stages.training.student import Teacher

VERSION = 1
DISTRIBUTED = True
SHARE_PICTURE = "gradient_share.png"


def part_of_training(ramp: tuple[float, float]) -> tuple[float, float]:
    """Two shares of the training in order; ValueError otherwise."""
    if not 0 <= ramp[0] < ramp[1] <= 1:
        raise ValueError("needs 0 <= start < end <= 1, shares of the iterations")
    return ramp


class TermChange(StageConfig):
    """What a recipe changes of one term of its method, or a term that it adds; absent fields keep the defaults.

    Further fields are the term's options, e.g. `temperature`; stages/losses/catalogue.toml says which it has.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str | None = None
    """Term of the catalogue, where the name here is another: `channel_wise_features = { kind = "channel_wise" }`."""
    weight: float | None = Field(None, ge=0, allow_inf_nan=False)
    """0 drops the term."""
    reduction: str | None = None
    tap: str | None = None
    """Map of student and teacher that is compared, e.g. `pyramid`."""
    ramp: Annotated[tuple[float, float], AfterValidator(part_of_training)] | None = None
    """Shares of the iterations between which the weight rises linearly from 0, e.g. `[0.1, 0.5]`."""


class Config(TrainingConfig):
    """Part `[distill]` of a recipe."""

    student: NetConfig = NetConfig(net="pspnet_resnet18")
    method: str = "idd"
    """A list of terms in stages/losses/catalogue.toml: `none` trains without a teacher, `custom` has no term at all."""
    terms: dict[str, TermChange] = Field(default_factory=dict)
    """Changes to the method's terms by name, e.g. `terms.inter_class.weight = 0.5`, and terms that it has not."""
    gradient_share_iterations: Annotated[int, Mark.NEUTRAL] = Field(100, ge=0)
    """Steps between two measurements of how hard each term pulls on the shared weights; 0 for none."""
    gap_images: Annotated[int, Mark.NEUTRAL] = Field(16, ge=0)
    """Images of an evaluated split on which class distances and position are compared with the teacher's; 0: none."""


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
    """The modules of the chosen student and of the chosen terms."""
    student = modules_of(config.student.net, config.student.args, "distill.student")
    return (*student, *methods.modules(terms_of(config)))


def loading(config: Config) -> tuple[str, ...]:
    """The network's module."""
    return modules_of(config.student.net, config.student.args)


def choices(config: Config) -> dict[str, Any]:
    """What the names of the network and of the method stand for."""
    return {"net": choice(config.student.net), "terms": methods.choice(terms_of(config))}


def rehearse(config: Config, configs: Mapping[str, StageConfig], device: str) -> None:
    """RecipeError for a tap that student or teacher lack, before the teacher is trained for it.

    TrainingError for what this machine cannot do of what the training asks for.
    """
    from stages.training.rehearsal import check_taps, check_training

    check_training("distill", config, device, started())
    terms = terms_of(config)
    taps = [(f"distill.terms.{name}.tap", term.tap) for name, term in terms.items()]
    check_taps("student", config.student, taps)
    teacher = configs["teacher"]
    if needs_teacher(terms) and isinstance(teacher, NetConfig):
        compared = [(where, tap) for where, tap in taps if needs_teacher({where: terms[where.split(".")[2]]})]
        check_taps("teacher", teacher, compared)


def inspect(config: Config, inputs: Mapping[str, Path]) -> None:
    """TrainingError where val is to be scored while it trains and has nothing to score."""
    from stages.training.rehearsal import check_val

    check_val("distill", config, inputs)


def run(ctx: Context, inputs: Mapping[str, Path], config: Config) -> Outputs:
    """Publish the student without teacher, adapters or auxiliary head."""
    from stages.datasets.index import read_index
    from stages.nets.taps import add_taps
    from stages.training.artifact import score, summary, val_score, volatile, write_artifact
    from stages.training.device import start_fabric
    from stages.training.record.gaps import gaps_of
    from stages.training.record.gradient_share import GradientShare
    from stages.training.record.share_picture import draw_gradient_share
    from stages.training.start import build_net, crops
    from stages.training.student import train_net

    index = read_index(inputs["data"])
    fabric = start_fabric(config.precision, ctx.device, config.seed, config.compile, ctx.group, ctx.log)
    net, spec = build_net(ctx, config.student, index, config)
    terms = terms_of(config)
    teacher = load_teacher(inputs, terms)
    taps = [term.tap for term in terms.values()]
    add_taps(net, spec, taps, config.crop_px)
    if teacher:
        add_taps(teacher.net, teacher.spec, taps, config.crop_px)
    batches = crops(ctx, inputs["data"], index, config)
    title = f"student, method {config.method}"
    probe = GradientShare(config.gradient_share_iterations, config.iterations, ctx.log)
    gaps = gaps_of(ctx, inputs["data"], index, config, terms) if ctx.group.leads else None
    look = gaps.look if gaps else None
    rated = val_score(ctx, net, spec, inputs["data"], index, config, fabric)
    history = train_net(fabric, net, spec, terms, batches, config, ctx, title, teacher, probe, look, rated)
    net.aux_head = None
    scores = score(ctx, net, spec, inputs["data"], index, config, fabric)
    if not ctx.group.leads:
        return Outputs()
    write_artifact(ctx, net, spec, inputs["data"], scores, history, config, title.capitalize())
    drawn = draw_gradient_share(history, f"Method {config.method}", ctx.work / SHARE_PICTURE)
    told = gaps.write() if gaps else ()
    parameters = sum(p.numel() for p in net.parameters())
    return Outputs(
        summary={**summary(scores), "parameters": parameters},
        volatile=(*volatile(scores, history), *([SHARE_PICTURE] if drawn else []), *told),
    )


def load_teacher(inputs: Mapping[str, Path], terms: Mapping[str, TermConfig]) -> "Teacher | None":
    """The teacher and its position network, as far as the method's terms read them."""
    from stages.nets.saved import load_net
    from stages.position import load_position_net
    from stages.training.student import Teacher

    if "teacher" not in inputs:
        return None
    net, spec = load_net(inputs["teacher"])
    taps = [term.tap for term in terms.values() if methods.KINDS[term.kind].position]
    position_nets = [load_position_net(inputs["position"], tap) for tap in taps]
    return Teacher(net, spec, position_nets[0] if position_nets else None)
