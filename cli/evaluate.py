"""``umsn evaluate``: the paper's tables for a checkpoint."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("evaluate")
@click.option("--checkpoint", type=click.Path(path_type=Path), required=True, help="RUN/umsn.safetensors.")
@click.option("--shards", type=click.Path(path_type=Path), help="A dataset of held-out faces and kernels.")
@click.option("--blurry", type=click.Path(path_type=Path), help="Or: a folder of blurry pictures ...")
@click.option("--clean", type=click.Path(path_type=Path), help="... with the clean ones ...")
@click.option("--labels", type=click.Path(path_type=Path), help="... and perhaps their label maps.")
@click.option("--limit", type=click.IntRange(1), help="Take only the first N rows of --shards.")
@click.option("--device", default="auto", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for tables and sheet.")
def evaluate(
    checkpoint: Path,
    shards: Path | None,
    blurry: Path | None,
    clean: Path | None,
    labels: Path | None,
    limit: int | None,
    device: str,
    out: Path,
) -> None:
    """Deblur test pictures and score the results: PSNR and SSIM over all, by class and by kernel size.

    Test pictures are a dataset (--shards) or two folders (--blurry, --clean) whose files match by name, where
    ID_kerNN_blur_kSS.png belongs to the clean picture ID.
    """
    if (shards is None) == (blurry is None or clean is None):
        raise click.UsageError("Give either --shards, or --blurry and --clean.")
    from blurgen.progress import Console
    from umsn.evaluate import evaluate as run
    from umsn.pairs import DatasetPairs, FolderPairs, Pairs

    if shards is not None:
        from blurgen.dataset import open_dataset

        pairs: Pairs = DatasetPairs(open_dataset(shards), limit)
    else:
        assert blurry is not None and clean is not None
        pairs = FolderPairs(blurry, clean, labels)
    made = run(checkpoint, pairs, out, device=device, reporter=Console())
    for table in made.tables:
        click.echo(f"\n{table.markdown()}")
    click.echo(f"Written to {out}: tables.md, tables.tex, scores.csv, scores.json, sheet.png")
