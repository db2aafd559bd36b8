"""The command ``blurgen``: faces and kernels, datasets made from them, and looking after those."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from blurgen_cli.audit import audit
from blurgen_cli.camera import camera_options, chosen_camera
from blurgen_cli.doctor import doctor
from blurgen_cli.errors import OneLineErrors
from blurgen_cli.export import export
from blurgen_cli.faces import make_faces
from blurgen_cli.kernels import import_kernels, kernel_info, make_kernels
from blurgen_cli.options import (
    ALIGN,
    JOBS,
    KERNELS,
    LABELS,
    NOISE_SIGMA,
    PATCH_SIZE,
    PATH,
    SEED,
    Pair,
    Whole,
    choice,
    split,
)
from blurgen_cli.sections import SectionedCommand, add_examples
from blurgen_cli.testset import build_testset

_SECTIONS = {
    "Make": ("make-faces", "make-kernels", "import-kernels", "build-dataset", "build-testset"),
    "Look": ("info", "preview"),
    "Check": ("verify", "repair", "audit", "doctor"),
    "Convert": ("export",),
}
_EXAMPLES = {
    "make-faces": "blurgen make-faces --count 200 --out faces",
    "make-kernels": "blurgen make-kernels --count 2500 --out kernels.h5 --preview kernels.png",
    "import-kernels": "blurgen import-kernels blur_kernels.mat --out kernels.h5",
    "build-dataset": "blurgen build-dataset --faces procedural:200 --kernels kernels.h5 --out data",
    "build-testset": "blurgen build-testset --faces folder:test --kernels other.h5 --against data --out test",
    "info": "blurgen info data",
    "preview": "blurgen preview data --out sheet.png",
    "verify": "blurgen verify data",
    "repair": "blurgen repair data",
    "audit": "blurgen audit data test",
    "doctor": "blurgen doctor",
    "export": "blurgen export data --to png --set skin --out pictures",
}
_BUILD_SECTIONS = {
    "Faces": ("labels", "split", "align", "limit", "on_error"),
    "What is made": (
        "per_image",
        "count",
        "patch_size",
        "noise_sigma",
        "seed",
        "class_isolated",
        "isolation",
    ),
    "Camera": ("formation", "motion", "poses", "focal_mm", "clip_level", "sensor", "demosaic", "tone"),
    "How it is made": ("recipe_only", "jobs", "shard_size", "shards", "backend", "scheduler"),
}


@click.group(
    cls=OneLineErrors,
    sections=_SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(package_name="blurgen", prog_name="blurgen")
def main() -> None:
    """Synthetic camera-shake datasets for image deblurring, reproducible to the bit."""


for _command in (make_faces, make_kernels, import_kernels, build_testset, export, audit, doctor):
    main.add_command(_command)


@main.command("build-dataset", cls=SectionedCommand, sections=_BUILD_SECTIONS)
@click.option(
    "--faces",
    "specs",
    required=True,
    multiple=True,
    metavar="KIND:PATH",
    help="Where faces come from, such as folder:photos or procedural:500; may be repeated.",
)
@LABELS
@split("all")
@ALIGN
@click.option("--limit", type=Whole(1), help="Take only N faces of each source, chosen by --seed.")
@KERNELS
@click.option("--out", type=PATH, required=True, help="Folder of the dataset; one begun there is finished.")
@click.option("--per-image", type=Whole(1), default=63, help="How many crops are made of each face.")
@click.option(
    "--count", type=Whole(1, 10**12), help="How many triplets are made in all, instead of --per-image."
)
@click.option("--class-isolated", is_flag=True, help="Also make sets in which only one class is blurred.")
@choice(
    "--isolation",
    ("composite", "layered"),
    "Blur the pixels of the class in place, or move it as an object over the rest.",
    "composite",
)
@PATCH_SIZE
@NOISE_SIGMA
@camera_options
@SEED
@click.option("--shard-size", type=Whole(1, 2**20), default=4096, help="How many triplets a shard holds.")
@click.option(
    "--shards", type=Pair("0:100", ascending=True), help="Make only shards A to B - 1, for job arrays."
)
@click.option("--recipe-only", is_flag=True, help="Write no shards: readers make the pixels on the fly.")
@choice("--on-error", ("skip", "fail"), "What to do about a file that is no usable face.", "skip")
@JOBS
@choice(
    "--backend",
    ("loky", "dask", "ray"),
    "Who runs the work: processes here, a Dask or a Ray cluster.",
    "loky",
)
@click.option("--scheduler", metavar="ADDRESS", help="Address of the Dask scheduler or the Ray cluster.")
def build_dataset(
    specs: tuple[str, ...],
    kernels: Path,
    out: Path,
    backend: str,
    scheduler: str | None,
    noise_sigma: float | None,
    **options: Any,
) -> None:
    """Make clean/blurry/mask triplets from faces and kernels.

    The same command again finishes what is missing and touches nothing that is done.
    """
    if scheduler is not None and backend == "loky":
        raise click.UsageError("--scheduler needs --backend dask or --backend ray.")
    camera = chosen_camera(options)
    if camera is not None and noise_sigma is not None:
        raise click.UsageError("--noise-sigma is for --formation paper; a camera's noise is its --sensor's.")
    from blurgen.building.build import build_dataset as build
    from blurgen.faces import read_faces
    from blurgen.jobs.progress import Console, counted
    from blurgen.kernels.bank import KernelBank

    bank = KernelBank.load(kernels)
    about_faces = {name: options.pop(name) for name in ("labels", "split", "align", "limit")}
    common = {name: options[name] for name in ("patch_size", "seed")}
    made = build(
        read_faces(*specs, kernel_size=bank.max_size, **common, **about_faces),
        bank,
        out,
        noise_sigma=noise_sigma,
        camera=camera,
        backend=backend,  # type: ignore[arg-type]
        scheduler=scheduler,
        progress=Console(),
        **options,
    )
    if made.complete:
        click.echo(f"{out}: {counted(len(made), 'triplet')}, complete")
    else:
        click.echo(f"{out}: {len(made):,} of {counted(made.recipe.count, 'triplet')} so far")


@main.command()
@click.argument("path", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs to read.")
@click.option("--plot", type=PATH, help="Plot the statistics of a kernel bank into this PNG file.")
def info(path: Path, as_json: bool, plot: Path | None) -> None:
    """Say what a dataset or a test set (a folder) or a kernel bank (a file) is."""
    if path.is_file():
        kernel_info(str(path), as_json, None if plot is None else str(plot))
        return
    if plot is not None:
        raise click.UsageError("--plot is for kernel banks; 'blurgen preview' draws a dataset.")
    if not path.exists():
        raise click.UsageError(f"{path} does not exist.")
    from blurgen import info as about
    from blurgen.check import is_testset

    tested = is_testset(path)
    found = about.testset_info(path) if tested else about.dataset_info(path)
    text = about.testset_text if tested else about.info_text
    click.echo(json.dumps(found, indent=2) if as_json else text(found, str(path)))


@main.command()
@click.argument("path", metavar="DIR", type=PATH)
@JOBS
@click.pass_context
def verify(ctx: click.Context, path: Path, jobs: int) -> None:
    """Read every byte of a dataset or test set and name whatever is wrong.

    Exit status 0 if nothing is, 2 otherwise.
    """
    from blurgen.check import is_testset
    from blurgen.check import verify as find_problems
    from blurgen.jobs.progress import Console, counted

    problems = find_problems(path, jobs=jobs, progress=Console())
    for problem in problems:
        click.echo(f"{path}/{problem}")
    if problems:
        count = counted(len(problems), "problem")
        remedy = "." if is_testset(path) else "; 'blurgen repair' makes shards again."
        click.echo(f"Error: {path}: {count}{remedy}", err=True)
        ctx.exit(2)
    click.echo(f"{path}: all is well")


@main.command()
@click.argument("path", metavar="DIR", type=PATH)
@JOBS
@click.pass_context
def repair(ctx: click.Context, path: Path, jobs: int) -> None:
    """Make damaged or missing shards again, bit for bit, and touch no others."""
    from blurgen.check import is_testset

    if is_testset(path):
        raise click.UsageError(f"{path} is a test set; 'blurgen build-testset' makes again what is missing.")
    from blurgen.building.repair import repair as make_again
    from blurgen.jobs.progress import Console

    done = make_again(path, jobs=jobs, progress=Console())
    for file in done.files:
        click.echo(f"{path}/{file}: made again")
    for problem in done.remaining:
        click.echo(f"Error: {path}/{problem}", err=True)
    if done.remaining:
        ctx.exit(2)
    click.echo(f"{path}: all is well")


@main.command()
@click.argument("path", metavar="DIR", type=PATH)
@click.option("--out", type=PATH, required=True, help="The picture to write, such as sheet.png.")
@click.option("--rows", type=Whole(1, 200), default=8, help="How many samples are drawn.")
@click.option("--seed", type=Whole(0, 2**64 - 1), default=0, help="Another seed draws other samples.")
@click.option(
    "--stages", is_flag=True, help="Show how a camera's pictures come about (of --formation camera)."
)
def preview(path: Path, out: Path, rows: int, seed: int, stages: bool) -> None:
    """Draw a contact sheet: clean, blurry, mask, kernel, and each class blurred alone.

    With --stages: photograph, linear light, highlights, blurred, noisy and developed picture.
    """
    from blurgen.dataset.pictures import contact_sheet, save_sheet, stage_sheet
    from blurgen.dataset.reading import open_dataset

    save_sheet((stage_sheet if stages else contact_sheet)(open_dataset(path), rows, seed), out)
    click.echo(str(out))


add_examples(main, _EXAMPLES)
