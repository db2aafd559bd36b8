"""``umsn evaluate``: the paper's tables and figures for a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from blurgen_cli.options import DEVICE, PATH, Whole, Worded, choice


class _Named(click.ParamType):
    """NAME=PATH."""

    name = "name=path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name, separator, path = str(value).partition("=")
        if not separator or not name.strip() or not path:
            self.fail(f"'{value}' is not NAME=PATH.", param, ctx)
        return name.strip(), Path(path)


@click.command("evaluate")
@click.option(
    "--checkpoint",
    type=PATH,
    help="Network to score: RUN/umsn.safetensors, or that of another variant; what its training left "
    "beside it is used too.  "
    "[Tables VII, VIII; default: the weights that come with the package, if any]",
)
@click.option("--shards", type=PATH, help="Test on a dataset of held-out faces and kernels.")
@click.option("--testset", type=PATH, help="Test on a test set, made by blurgen build-testset.")
@click.option("--blurry", type=PATH, help="Test on a folder of blurry pictures, with --clean.")
@click.option("--clean", type=PATH, help="Folder of the clean pictures that belong to --blurry.")
@click.option("--labels", type=PATH, help="Folder of the clean pictures' label maps.  [Tables I, II]")
@click.option("--limit", type=Whole(1), help="Take only the first N pictures.")
@click.option(
    "--compare",
    type=_Named(),
    multiple=True,
    metavar="NAME=FOLDER",
    help="Another method's pictures, named like the blurry ones; may be repeated.  [Table III]",
)
@click.option(
    "--references",
    is_flag=True,
    help="Add Wiener and Richardson-Lucy with the true kernels (not for folders).  [Table III]",
)
@click.option(
    "--segmentation",
    type=PATH,
    help="S-Net trained on clean pictures.  [Table II; default: beside the checkpoint]",
)
@click.option(
    "--segmentation-blurry",
    type=PATH,
    help="S-Net fine-tuned on blurry ones.  [Table II; default: likewise]",
)
@click.option(
    "--ablation",
    multiple=True,
    metavar="NAME=CHECKPOINT|RUN",
    help="Score a variant too, or those of a folder: bnet, masks, nested, umsn-no-confidence, umsn "
    ".safetensors. May be repeated.  [Table VI]",
)
@click.option("--vgg-face", type=PATH, help="Weights of VGG-Face, to measure its distance.  [Table IV]")
@click.option(
    "--metric",
    "perceptual",
    type=click.Choice(["lpips", "dists"]),
    multiple=True,
    help="Add a score of how alike pictures look (torchmetrics; fetches a network once); may be repeated.",
)
@click.option(
    "--embedder",
    type=PATH,
    help="Face embedder for recognition: .onnx, or TorchScript (.pt). A TorchScript file is a program that "
    "is run when it is loaded: use only one you trust; ONNX is only data.  [Table V]",
)
@click.option(
    "--gallery",
    type=PATH,
    help="Other pictures of the persons: a sub-folder for each, or pictures <identity>_<n>.  [Table V]",
)
@click.option(
    "--identities", type=PATH, help="Who is who: lines '<file> <identity>', as CelebA's identity_CelebA.txt."
)
@click.option(
    "--embedder-align/--no-embedder-align",
    default=True,
    help="Find faces and turn them upright, as ArcFace and its like know them, or take pictures "
    "that are already cut as the embedder wants them.",
)
@click.option(
    "--embedder-size",
    type=Whole(1),
    help="Side of the embedder's pictures in pixels.  [default: as the file says]",
)
@choice("--embedder-range", ("-1..1", "0..1", "0..255"), "What black and white are to the embedder.", "-1..1")
@choice("--embedder-colours", ("rgb", "bgr"), "Order of colours that the embedder takes.", "rgb")
@choice(
    "--definition",
    ("ours", "scikit-image", "matlab", "basicsr-y"),
    "Whose PSNR and SSIM are computed.  [Tables I, III, VI]",
    "ours",
)
@click.option(
    "--crop-border",
    type=Whole(0),
    default=0,
    cls=Worded,
    show_default="none",
    help="How many pixels at each border basicsr-y leaves out.",
)
@click.option("--save-pictures", is_flag=True, help="Keep every restored picture in OUT/pictures.")
@click.option("--no-network", is_flag=True, help="Only score the pictures of others; no network is run.")
@DEVICE
@click.option(
    "--jobs",
    type=Whole(1),
    help="How many threads score; results do not depend on it.  [default: all cores]",
)
@click.option("--out", type=PATH, required=True, help="Folder for tables and figures.")
def evaluate(
    shards: Path | None,
    testset: Path | None,
    blurry: Path | None,
    clean: Path | None,
    labels: Path | None,
    limit: int | None,
    compare: tuple[tuple[str, Path], ...],
    ablation: tuple[str, ...],
    embedder_size: int | None,
    embedder_range: str,
    embedder_colours: str,
    checkpoint: Path | None,
    no_network: bool,
    device: str,
    jobs: int | None,
    definition: str,
    crop_border: int,
    out: Path,
    **request: Any,
) -> None:
    """Deblur test pictures and make the paper's tables and figures of the results.

    Test pictures are a dataset (--shards), a test set (--testset), or two folders (--blurry, --clean) whose
    files match by name, where ID_kerNN_blur_kSS.png belongs to the clean picture ID. Every table that what is
    given can fill is made; the others are listed with what they need. Definitions stand below the tables.
    """
    given = [option is not None for option in (shards, testset, blurry)]
    if sum(given) != 1 or (blurry is None) != (clean is None):
        raise click.UsageError("Give one of --shards, --testset, and --blurry with --clean.")
    if blurry is None and labels is not None:
        raise click.UsageError("--labels goes with --blurry and --clean; the others have their own.")
    if len(dict(compare)) < len(compare):
        raise click.UsageError("Each --compare needs a name of its own.")
    if crop_border and definition != "basicsr-y":
        raise click.UsageError("--crop-border goes with --definition basicsr-y.")
    if no_network and checkpoint is not None:
        raise click.UsageError("Give a --checkpoint or --no-network, not both.")
    from blurgen.errors import Argument
    from blurgen.jobs.progress import Console
    from umsn.evaluation.evaluate import Request
    from umsn.evaluation.evaluate import evaluate as run
    from umsn.runs.folder import ablation_rows
    from umsn.scoring.definitions import definition as define
    from umsn.scoring.embedder import InputFormat
    from umsn.scoring.pairs import open_pairs
    from umsn.weights import shipped_checkpoint

    if checkpoint is None and not no_network:
        checkpoint = shipped_checkpoint("deblur")

    made = run(
        open_pairs(shards=shards, testset=testset, blurry=blurry, clean=clean, labels=labels, limit=limit),
        out,
        Request(
            checkpoint=checkpoint,
            definition=define(definition, crop_border),
            compare=dict(compare),
            ablation=ablation_rows(ablation),
            input_format=InputFormat(embedder_size, embedder_range, embedder_colours),
            **request,
        ),
        device=device,
        jobs=jobs,
        reporter=Console(),
        write=Argument.option,
    )
    click.echo(f"\n{made.markdown()}")
    click.echo(f"Written to {out}: {', '.join(str(file.relative_to(out)) for file in made.files)}")
