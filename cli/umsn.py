"""The command ``umsn``: train, evaluate, deblur, segment."""

from __future__ import annotations

import click

from blurgen_cli.deblur import deblur, export_weights, segment
from blurgen_cli.doctor import doctor
from blurgen_cli.errors import OneLineErrors
from blurgen_cli.evaluate import evaluate
from blurgen_cli.export_network import demo, export
from blurgen_cli.report import report
from blurgen_cli.sections import add_examples
from blurgen_cli.train import train

_SECTIONS = {
    "Make": ("train", "export-weights"),
    "Use": ("deblur", "segment", "demo"),
    "Convert": ("export",),
    "Look": ("evaluate", "report"),
    "Check": ("doctor",),
}
_EXAMPLES = {
    "train": "umsn train --shards data --out run --preset compact --validate held-out",
    "export-weights": "umsn export-weights run/umsn.safetensors --out deblur.safetensors",
    "deblur": "umsn deblur photo.jpg --out sharp",
    "segment": "umsn segment photo.jpg --out labels",
    "demo": "umsn demo --port 8000",
    "export": "umsn export --to onnx --out sharp.onnx",
    "evaluate": "umsn evaluate --checkpoint run/umsn.safetensors --testset test --out results",
    "report": "umsn report results --out report.html",
    "doctor": "umsn doctor",
}


@click.group(
    cls=OneLineErrors,
    sections=_SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(package_name="blurgen", prog_name="umsn")
def main() -> None:
    """Face deblurring with networks trained from blurgen's datasets."""


for command in (train, deblur, segment, export_weights, evaluate, report, export, demo, doctor):
    main.add_command(command)
add_examples(main, _EXAMPLES)


if __name__ == "__main__":
    main()
