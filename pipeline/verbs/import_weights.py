"""`import-weights`: a checkpoint of torch as a safetensors file that a recipe can name."""

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from pipeline.errors import WeightsError
from pipeline.verbs.options import json_option, print_json

CONVERTER = "stages.nets.convert"


@click.command(name="import-weights")
@click.argument("source", metavar="FILE.pth", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT.safetensors", type=click.Path(path_type=Path))
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="OLD=NEW",
    help="Replace the dotted beginning OLD of keys by NEW; several are applied in order. "
    "'backbone=' takes a part off, '=backbone' puts one before every key.",
)
@click.option("--inside", metavar="ENTRY", help="Entry of the file that holds the network, e.g. model_ema.")
@click.option(
    "--inplace-abn",
    is_flag=True,
    help="The network was trained with InPlaceABN, which scales by |w| + eps: write that for the weight w of every "
    "layer that has weight, running_mean and running_var as vectors of one length.",
)
@click.option("--inplace-abn-eps", type=click.FloatRange(min=0), metavar="EPS", help="Its eps; 1e-5 if not given.")
@click.option("--force", is_flag=True, help="Replace OUT.safetensors where it exists.")
@json_option
def command(
    source: Path,
    target: Path,
    maps: tuple[str, ...],
    inside: str | None,
    inplace_abn: bool,
    inplace_abn_eps: float | None,
    force: bool,
    as_json: bool,
) -> None:
    """Copy the tensors of a checkpoint into a safetensors file.

    Nothing in the file is run: what holds more than tensors is refused. The network is looked for under the usual names
    (state_dict, model, ...), and `module.` or `_orig_mod.` before every key is taken off; both are said. Then
    `--set teacher.weights=OUT.safetensors --set teacher.iterations=0` publishes it as the teacher.
    """
    pairs = [pair(text) for text in maps]
    if inplace_abn_eps is not None and not inplace_abn:
        raise WeightsError("--inplace-abn-eps goes with --inplace-abn")
    converter = import_module(CONVERTER)
    eps = inplace_abn_eps if inplace_abn_eps is not None else converter.INPLACE_ABN_EPS
    done = converter.convert(source, target, pairs, inside, eps if inplace_abn else None, force)
    if as_json:
        print_json(done)
    else:
        click.echo(text_of(done))


def pair(text: str) -> tuple[str, str]:
    """The two sides of OLD=NEW."""
    old, equals, new = text.partition("=")
    if not equals or not (old or new):
        raise WeightsError(f"--map {text}: write OLD=NEW, e.g. --map encoder=backbone")
    return old, new


def text_of(done: dict[str, Any]) -> str:
    """What became of the checkpoint, for people."""
    dtypes = ", ".join(f"{count} {dtype}" for dtype, count in done["dtypes"].items())
    lines = [f"{done['target']}: {done['tensors']} tensors ({dtypes}), {done['parameters']:,} parameters"]
    if done["inside"]:
        lines.append(f"taken from the entry {done['inside']} of {done['source']}")
    lines += [f"taken off every key: {prefix}" for prefix in done["stripped"]]
    lines += [f"{pair}: {count} keys renamed" for pair, count in done["renamed"].items()]
    if done["batch_norms"]:
        lines.append(f"{done['batch_norms']} batch norms: weight w became |w| + eps")
    lines += [f"dropped {key}: {kind}" for key, kind in done["dropped"].items()]
    return "\n".join(lines)
