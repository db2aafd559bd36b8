"""``blurgen make-kernels`` and ``blurgen import-kernels``; what ``blurgen info`` says of a kernel bank."""

from __future__ import annotations

import click

from blurgen_cli.options import JOBS

_MODELS = ("camera3d", "boracchi2d", "gaussian-process", "linear")


@click.command("make-kernels")
@click.option("--out", required=True, type=click.Path(), help="The kernel bank to write, e.g. kernels.h5.")
@click.option("--count", default=25000, show_default=True, help="How many kernels.")
@click.option("--min-size", default=13, show_default=True, help="Smallest size in pixels, odd.")
@click.option("--max-size", default=29, show_default=True, help="Largest size in pixels, odd, up to 101.")
@click.option("--model", default="camera3d", show_default=True, type=click.Choice(_MODELS))
@click.option(
    "--center",
    default="mass",
    show_default=True,
    type=click.Choice(["mass", "box"]),
    help="What lies on the centre pixel: the centre of mass, or that of the bounding box.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**64 - 1))
@click.option("--samples", default=2000, show_default=True, help="Samples of a whole camera path.")
@click.option("--exposure", default=1.0, show_default=True, help="Share of the path that is seen, 0.01 to 1.")
@JOBS
@click.option("--preview", type=click.Path(), help="Also draw a gallery of the kernels into this PNG file.")
def make_kernels(
    out: str,
    count: int,
    min_size: int,
    max_size: int,
    model: str,
    center: str,
    seed: int,
    samples: int,
    exposure: float,
    jobs: int,
    preview: str | None,
) -> None:
    """Make a bank of camera-shake kernels: the same arguments give the same bytes on any machine."""
    from blurgen.errors import InputError
    from blurgen.jobs.progress import Console
    from blurgen.kernels.bank import make_bank

    with Console().bar("kernels", count, "kernels") as bar:
        try:
            bank = make_bank(
                count,
                min_size,
                max_size,
                model,
                center,
                seed,
                jobs,
                samples=samples,
                exposure=exposure,
                progress=bar.advance,
            )
        except ValueError as error:
            raise InputError(_as_option(str(error))) from error
    bank.save(out)
    click.echo(f"{out}: {len(bank):,} {model} kernels, {min_size} to {max_size} pixels, digest {bank.digest}")
    if preview is not None:
        from blurgen.kernels.pictures import save_gallery

        save_gallery(bank, preview)
        click.echo(f"{preview}: gallery")


@click.command("import-kernels")
@click.argument("path", type=click.Path())
@click.option("--out", required=True, type=click.Path(), help="The kernel bank to write, e.g. kernels.h5.")
@click.option(
    "--center",
    default="keep",
    show_default=True,
    type=click.Choice(["keep", "mass"]),
    help="Leave kernels where they are, or move their centre of mass to the centre by whole pixels.",
)
@click.option("--variable", help="Name of the MATLAB variable, when several could be kernels.")
@click.option("--preview", type=click.Path(), help="Also draw a gallery of the kernels into this PNG file.")
def import_kernels(path: str, out: str, center: str, variable: str | None, preview: str | None) -> None:
    """Read kernels from a MATLAB file (v5, v7.3), a .npy file or a folder of PNGs into a kernel bank."""
    import numpy as np

    from blurgen.kernels.importing import import_bank

    imported = import_bank(path, center=center, variable=variable)
    bank, offset = imported.bank, imported.center_offset
    bank.save(out)
    click.echo(
        f"{out}: {len(bank):,} kernels, {bank.sizes.min()} to {bank.max_size} pixels, digest {bank.digest}"
    )
    then = "centre and were moved there." if center == "mass" else "centre; --center mass moves them there."
    click.echo(
        f"Their centres of mass lay {np.median(offset):.2f} (median) to {offset.max():.2f} px off the {then}"
    )
    if preview is not None:
        from blurgen.kernels.pictures import save_gallery

        save_gallery(bank, preview)
        click.echo(f"{preview}: gallery")


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


def _as_option(message: str) -> str:
    """Say "--min-size" where the library says "Argument 'min_size'" or "'min_size'"."""
    import re

    return re.sub(r"(?:Argument )?'(\w+)'", lambda match: "--" + match[1].replace("_", "-"), message)
