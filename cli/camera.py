"""Options of ``blurgen build-dataset`` that say what camera takes the pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import click
import msgspec

from blurgen.synthesis.camera.settings import Camera
from blurgen_cli.options import Pair, Whole, Worded

_HELP = {
    "motion": "Blur with the kernels of the bank, or with a path in six degrees of freedom.",
    "poses": "Views that are averaged along a path with rotation.",
    "focal_mm": "Shortest and longest focal length, as on a 35 mm camera.",
    "clip_level": "Grey level from which the scene was brighter than its picture; 256: never.",
    "sensor": "Whose shot and read noise is added.",
    "demosaic": "How the missing colours of the raw picture are found.",
    "tone": "Tone curve: sRGB, or one of sixteen drawn for each sample.",
}
_FORMATION = click.option(
    "--formation",
    type=click.Choice(["paper", "camera"]),
    default="paper",
    help="Blur display values and add Gaussian noise, or take the pictures as a camera does.",
)


def camera_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each field of a camera to a command, which hands them to ``chosen_camera``."""
    for field in reversed(msgspec.structs.fields(Camera)):
        command = _option(field)(command)
    return _FORMATION(command)


def _option(field: msgspec.structs.FieldInfo) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    # An option that is not given says nothing: with --formation paper none may be.
    default, kind = str(field.default), click.Choice(get_args(field.type))
    if isinstance(field.default, tuple):
        default, kind = "24:77", Pair("24:77")
    elif get_origin(field.type) is not Literal:
        bounds = field.type.__metadata__[0]
        kind = Whole(bounds.ge, bounds.le)
    flag = f"--{field.name.replace('_', '-')}"
    return click.option(flag, cls=Worded, type=kind, show_default=default, help=_HELP[field.name])


def chosen_camera(options: dict[str, Any]) -> Camera | None:
    """Take the camera that options ask for out of them; a UsageError when they do not go together."""
    formation, fields = options.pop("formation"), {name: options.pop(name) for name in _HELP}
    given = {name: value for name, value in fields.items() if value is not None}
    if formation == "paper":
        if given:
            named = ", ".join("--" + name.replace("_", "-") for name in given)
            raise click.UsageError(f"{named} needs --formation camera.")
        return None
    is_rotation = given.get("motion") == "rotation"
    if not is_rotation and (unused := given.keys() & {"poses", "focal_mm"}):
        raise click.UsageError(f"--{sorted(unused)[0].replace('_', '-')} needs --motion rotation.")
    return Camera(**given)
