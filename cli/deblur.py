"""``umsn deblur``, ``umsn segment`` and ``umsn export-weights``: trained networks in use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from blurgen.errors import Argument, InputError
from blurgen_cli.options import DEVICE, PATH, choice


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that deblurring and segmenting share."""
    for option in reversed(
        (
            click.argument("images", nargs=-1, required=True, type=PATH),
            click.option(
                "--checkpoint",
                type=PATH,
                help="Weights, such as RUN/umsn.safetensors.  [default: those that come with the package]",
            ),
            click.option("--out", required=True, type=PATH, help="Folder for the results."),
            DEVICE,
            choice(
                "--precision",
                ("auto", "fp32", "bf16"),
                "Numbers to compute with; auto takes bf16 for large pictures, where that is faster.",
                "auto",
            ),
        )
    ):
        command = option(command)
    return command


@click.command()
@_common
@click.option(
    "--align/--no-align",
    default=None,
    help="Find the faces and deblur each as in training, or each picture whole, at its own scale.  "
    "[default: --align where a face detector is installed]",
)
@click.option(
    "--landmarks",
    type=PATH,
    help="A file that says where the faces are, for --align: lines 'NAME x1 y1 ... x5 y5'.",
)
@click.option(
    "--show-kernel",
    is_flag=True,
    help="Also write the shake that was estimated: OUT/NAME_kernel.png, one for each face with --align.",
)
@click.option("--keep-gps", is_flag=True, help="Keep where a photograph was taken with its other EXIF data.")
def deblur(
    images: tuple[Path, ...],
    checkpoint: Path | None,
    out: Path,
    device: str,
    precision: str,
    align: bool | None,
    landmarks: Path | None,
    show_kernel: bool,
    keep_gps: bool,
) -> None:
    """Sharpen photographs of faces (files or folders).

    Each becomes OUT/NAME.png, of the same size. With --align only faces are changed; a picture without one
    gives no result. With --no-align a picture should show what the training saw: a face that fills most of
    a frame some 128 to 300 pixels high. Results have the photograph's EXIF data and colour profile, but not
    where it was taken.
    """
    if landmarks is not None and align is False:
        raise click.UsageError("--landmarks says where faces are; it goes with --align.")
    from blurgen.faces.detect import is_installed
    from blurgen.jobs.progress import Console
    from umsn.restore import photographs
    from umsn.restore.deblur import Deblurrer
    from umsn.restore.files import whole
    from umsn.restore.shake import showing_kernels
    from umsn.weights import default_checkpoint

    if align is None and landmarks is None:
        align = is_installed()
        if not align:
            click.echo(
                "Note: no face detector is installed (pip install 'blurgen[align]'): pictures are deblurred "
                "whole, at their own scale; --no-align says the same without this note.",
                err=True,
            )
    find_faces = None
    if landmarks is not None:
        find_faces = photographs.by_file(landmarks)
    elif align:
        find_faces = photographs.by_detector()
    path = default_checkpoint("deblur") if checkpoint is None else checkpoint
    network = Deblurrer(path, device, precision, Console())  # type: ignore[arg-type]
    make = whole if find_faces is None else partial(photographs.face_by_face, find_faces=find_faces)
    restore = showing_kernels(network, out, make) if show_kernel else make(network)
    _process(restore, images, out, keep_metadata=True, keep_gps=keep_gps)


@click.command()
@_common
def segment(
    images: tuple[Path, ...], checkpoint: Path | None, out: Path, device: str, precision: str
) -> None:
    """Find background, skin, features and hair in pictures of faces.

    Each picture becomes a label map OUT/NAME.png. The map holds 0 for background, 1 for skin, 6 for all
    features and 10 for hair: with it, a folder of unlabelled faces becomes a labelled one for blurgen.
    """
    from blurgen.jobs.progress import Console
    from umsn.restore.deblur import Segmenter
    from umsn.restore.files import whole
    from umsn.weights import default_checkpoint

    path = default_checkpoint("segment") if checkpoint is None else checkpoint
    network = Segmenter(path, device, precision, Console())  # type: ignore[arg-type]
    _process(whole(network), images, out)


class _Entry(click.ParamType):
    """KEY=TEXT."""

    name = "key=text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        key, separator, text = str(value).partition("=")
        if not separator or not key.strip() or not text.strip():
            self.fail(f"'{value}' is not KEY=TEXT.", param, ctx)
        return key.strip(), text.strip()


@click.command("export-weights")
@click.argument("checkpoint", type=PATH)
@click.option("--out", required=True, type=PATH, help="The file to write, .safetensors.")
@click.option(
    "--card",
    type=_Entry(),
    multiple=True,
    metavar="KEY=TEXT",
    help="What goes with the weights: name, description, training_data, licence, scores, contact. "
    "May be repeated.",
)
def export_weights(checkpoint: Path, out: Path, card: tuple[tuple[str, str], ...]) -> None:
    """Write a checkpoint's weights in half precision, to give them away.

    S-Net is in the file, the confidence network is not. What the checkpoint says of its training, and the
    card, are in the header of the file.
    """
    from umsn.weights import MOST_BYTES
    from umsn.weights.export import export_weights as export

    made = export(checkpoint, out, dict(card))
    size = out.stat().st_size
    click.echo(f"{out}: {sum(made['parameters'].values()):,} parameters, {size / 1e6:.1f} MB")
    if size > MOST_BYTES:
        click.echo(f"Note: more than the {MOST_BYTES / 1e6:.0f} MB of weights in the package.", err=True)


def _process(restore: Any, images: tuple[Path, ...], out: Path, **options: bool) -> None:
    from umsn.restore.files import process_files

    failed = used = 0
    for done in process_files(restore, images, out, **options):
        for remark in done.remarks:
            click.echo(f"Note: {remark}", err=True)
        if done.error is None:
            click.echo(done.target)
            used += 1
        else:
            click.echo(f"Error: {done.error.text(Argument.option)}", err=True)
            failed += 1
    if failed:
        others = f"the others are in {out}" if used else "there was no other"
        raise InputError(f"{failed} of the pictures could not be used; {others}.")
