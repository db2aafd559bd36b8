"""``blurgen make-kernels`` and ``blurgen import-kernels``; what ``blurgen info`` says of a kernel bank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from blurgen.limits import LARGEST_KERNEL, SMALLEST_KERNEL
from blurgen_cli.options import JOBS, SEED, FiniteRange, Whole, choice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from blurgen.kernels.bank import KernelBank

_SIZE = Whole(SMALLEST_KERNEL, LARGEST_KERNEL)
_OUT = click.option(
    "--out", required=True, type=click.Path(), help="The kernel bank to write, e.g. kernels.h5."
)
_PREVIEW = click.option(
    "--preview", type=click.Path(), help="Also draw a gallery of the kernels into this PNG file."
)
_MODELS = ("camera3d", "boracchi2d", "gaussian-process", "linear")


@click.command("make-kernels")
@_OUT
@click.option("--count", type=Whole(1, 1 << 24), default=25000, help="How many kernels to make.")
@click.option("--min-size", type=_SIZE, default=13, help="Smallest size in pixels, odd.")
@click.option("--max-size", type=_SIZE, default=29, help="Largest size in pixels, odd.")
@choice(
    "--model",
    _MODELS,
    "How the camera moves: camera3d is a hand that shakes, boracchi2d the motion that Boracchi and Foi "
    "published, gaussian-process a smooth random path (Schuler et al.), linear a straight line.",
    "camera3d",
)
@choice(
    "--center",
    ("mass", "box"),
    "What lies on the centre pixel: the centre of mass, or that of the bounding box.",
    "mass",
)
@SEED
@click.option(
    "--samples", type=Whole(50, 100_000), default=2000, help="How many points a whole camera path has."
)
@click.option(
    "--exposure",
    type=FiniteRange(0.01, 1),
    default=1.0,
    help="Share of the path that is seen; a short one is straighter.",
)
@JOBS
@_PREVIEW
def make_kernels(out: str, preview: str | None, count: int, jobs: int, **options: Any) -> None:
    """Make a bank of camera-shake kernels: the same arguments give the same bytes on any machine."""
    from blurgen.files.atomic import check_writable
    from blurgen.jobs.progress import Console
    from blurgen.kernels.bank import make_bank

    for path in (out, preview):
        if path is not None:
            check_writable(path)
    bank = make_bank(count, threads=jobs, **options, progress=Console())
    sizes = f"{options['min_size']} to {options['max_size']} pixels"
    _save(bank, out, f"{options['model']} kernel", sizes, preview)


def _save(
    bank: KernelBank, out: str, what: str, sizes: str, preview: str | None, more: str | None = None
) -> None:
    """Write a bank and say so, and a gallery of it where one is wanted."""
    from blurgen.jobs.progress import counted

    bank.save(out)
    click.echo(f"{out}: {counted(len(bank), what)}, {sizes}, digest {bank.digest}")
    if more is not None:
        click.echo(more)
    if preview is not None:
        from blurgen.kernels.pictures import save_gallery

        save_gallery(bank, preview)
        click.echo(f"{preview}: gallery")


@click.command("import-kernels")
@click.argument("path", type=click.Path())
@_OUT
@choice(
    "--center",
    ("keep", "mass"),
    "Leave kernels where they are, or move their centre of mass to the centre by whole pixels.",
    "keep",
)
@click.option("--variable", help="Name of the MATLAB variable, when several could be kernels.")
@click.option(
    "--focal-length", type=FiniteRange(1, 1e6), help="Gyroscope: focal length in pixels of the pictures."
)
@click.option(
    "--exposure", type=FiniteRange(1e-5, 100), help="Gyroscope: how many seconds each kernel lasts."
)
@choice(
    "--axes",
    ("android", "camera"),
    "Gyroscope: its axes are right, up, towards the user (phones), or right, down, forward.",
    "android",
)
@choice("--time-unit", ("s", "ms", "us", "ns"), "Gyroscope: unit of the times in the log.", "s")
@_PREVIEW
def import_kernels(
    path: str,
    out: str,
    preview: str | None,
    center: str,
    variable: str | None,
    focal_length: float | None,
    exposure: float | None,
    **about_log: str,
) -> None:
    """Read kernels from a MATLAB file (v5, v7.3), a .npy file, a folder of PNGs or a gyroscope's log.

    A log is a .csv file of time, wx, wy, wz (radians a second); it needs --focal-length and --exposure, and
    gives a kernel for each exposure.
    """
    is_log = path.lower().endswith((".csv", ".txt", ".tsv"))
    if is_log and (focal_length is None or exposure is None):
        raise click.UsageError(f"{path} is a gyroscope's log: give --focal-length and --exposure.")
    if not is_log and (focal_length is not None or exposure is not None):
        raise click.UsageError("--focal-length and --exposure are for the .csv log of a gyroscope.")
    if focal_length is not None and exposure is not None:
        from blurgen.kernels.gyroscope import import_gyroscope

        bank = import_gyroscope(path, focal_length=focal_length, exposure=exposure, **about_log)
        about = "Their centres of mass are at the centre."
    else:
        from blurgen.kernels.importing import import_bank

        imported = import_bank(path, center=center, variable=variable)
        bank, about = imported.bank, _about_centres(imported.center_offset, center)
    _save(bank, out, "kernel", f"{bank.sizes.min()} to {bank.max_size} pixels", preview, about)


def _about_centres(offset: NDArray[np.float64], center: str) -> str:
    middle, most = sorted(offset.tolist())[len(offset) // 2], offset.max()
    then = "centre and were moved there." if center == "mass" else "centre; --center mass moves them there."
    return f"Their centres of mass lay {middle:.2f} (median) to {most:.2f} px off the {then}"


def kernel_info(path: str, as_json: bool, plot: str | None) -> None:
    """Print statistics of a kernel bank, as text or JSON; also plot them into a PNG file."""
    import json

    from blurgen.kernels.bank import KernelBank
    from blurgen.kernels.statistics import as_text, statistics

    found = statistics(KernelBank.load(path))
    click.echo(json.dumps(found, indent=2) if as_json else as_text(found))
    if plot is not None:
        from blurgen.kernels.pictures import save_plots

        save_plots(found, plot)
