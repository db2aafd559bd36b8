"""``blurgen doctor`` and ``umsn doctor``: what a bug report needs."""

from __future__ import annotations

import importlib.util
import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def doctor(as_json: bool) -> None:
    """Print versions and what this machine can do; paste it into a bug report."""
    from blurgen.doctor import facts, text

    found = facts()
    if importlib.util.find_spec("torch") is not None and importlib.util.find_spec("safetensors") is not None:
        from umsn.doctor import facts as torch_facts

        found |= torch_facts()
    click.echo(json.dumps(found, indent=2) if as_json else text(found))
