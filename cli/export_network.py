"""``umsn export`` and ``umsn demo``: trained networks for other programs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from blurgen.errors import InputError
from blurgen_cli.options import PATH, Whole, choice

_CHECKPOINT = click.option(
    "--checkpoint",
    type=PATH,
    help="Weights to use, such as RUN/umsn.safetensors.  [default: those that come with the package]",
)
_RUNTIME = click.option(
    "--onnxruntime-web",
    "runtime",
    type=PATH,
    metavar="DIR",
    help="Folder of the npm package onnxruntime-web, for web pages.  [default: fetched with npm]",
)


@click.command("export")
@_CHECKPOINT
@click.option("--to", type=click.Choice(["onnx", "pt2", "web"]), required=True, help="Which format to write.")
@click.option("--out", type=PATH, required=True, help="The file to write; for web a new folder.")
@choice("--precision", ("fp32", "fp16", "int8"), "Precision of the numbers in an ONNX file.", "fp32")
@_RUNTIME
def export(checkpoint: Path | None, to: str, out: Path, precision: str, runtime: Path | None) -> None:
    """Write a trained network for other programs: ONNX, torch.export, or a page for browsers."""
    from blurgen.jobs.progress import Console
    from umsn.restore.deblur import Deblurrer
    from umsn.weights import default_checkpoint

    console = Console()
    if precision != "fp32" and to != "onnx":
        raise InputError("--precision is for --to onnx.")
    deblurrer = Deblurrer(checkpoint or default_checkpoint("deblur"), "cpu")
    if to == "onnx":
        from umsn.export.onnx import export_onnx

        made = export_onnx(deblurrer, out, precision, reporter=console)  # type: ignore[arg-type]
        far = made.difference
        click.echo(
            f"{out}: {made.size / 1e6:.1f} MB; from PyTorch at most {255 * far.largest:.2g} grey levels "
            f"({255 * far.mean:.2g} in the mean), {round(far.loss, 3) + 0.0:.3f} dB lost"
        )
        return
    if to == "pt2":
        from umsn.export.pt2 import export_pt2

        export_pt2(deblurrer, out, reporter=console)
    else:
        from umsn.export.web_page import export_web

        export_web(deblurrer, out, runtime, reporter=console)
    click.echo(str(out))


@click.command()
@_CHECKPOINT
@click.option(
    "--port",
    type=Whole(0, 65535),
    default=8000,
    help="Port of the server; 0 takes any that is free.",
)
@_RUNTIME
def demo(checkpoint: Path | None, port: int, runtime: Path | None) -> None:
    """Open the browser page of a trained network on this machine, until Ctrl-C."""
    import tempfile

    from blurgen.jobs.progress import Console
    from umsn.export.demo import server
    from umsn.export.web_page import export_web
    from umsn.restore.deblur import Deblurrer
    from umsn.weights import default_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        page = export_web(
            Deblurrer(checkpoint or default_checkpoint("deblur"), "cpu"),
            Path(folder, "page"),
            runtime,
            reporter=Console(),
        )
        try:
            serving = server(page, port)
        except OSError as error:
            raise InputError(f"Port {port} cannot be used ({error.strerror}); give another --port.") from None
        with serving:
            click.echo(f"Open http://127.0.0.1:{serving.server_port} in a browser; end with Ctrl-C.")
            with suppress(KeyboardInterrupt):  # as the line above says
                serving.serve_forever()
