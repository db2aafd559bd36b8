"""Options of ``blurgen build-dataset`` that say what camera takes the pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from blurgen_cli.options import Whole

if TYPE_CHECKING:
    from blurgen.synthesis.camera.settings import Camera

_PATTERN = "A:B"


class _Lengths(click.ParamType):
    """``24:77``: focal lengths."""

    name = _PATTERN

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        first, colon, last = value.partition(":")
        if not (colon and first.isdecimal() and last.isdecimal()):
            self.fail(f"{value!r} must be A:B, such as 24:77", param, ctx)
        return int(first), int(last)


# Defaults are those of blurgen.synthesis.camera.settings.Camera: an option that is not given says nothing.
_OPTIONS = (
    click.option(
        "--formation",
        type=click.Choice(["paper", "camera"]),
        default="paper",
        show_default=True,
        help="Blur display values and add Gaussian noise, or take the pictures as a camera does.",
    ),
    click.option(
        "--motion",
        type=click.Choice(["shift", "rotation"]),
        show_default="shift",
        help="Camera: the kernels of the bank, or a path in six degrees of freedom.",
    ),
    click.option("--poses", type=Whole(32, 64), show_default="32", help="Camera: of a path with rotation."),
    click.option(
        "--focal-mm",
        type=_Lengths(),
        show_default="24:77",
        help="Camera: shortest and longest focal length, as on a 35 mm camera.",
    ),
    click.option(
        "--clip-level",
        type=Whole(1, 256),
        show_default="250",
        help="Camera: grey level from which the scene was brighter than its picture; 256: never.",
    ),
    click.option(
        "--sensor",
        type=click.Choice(["darmstadt", "sony-a7r3", "none"]),
        show_default="darmstadt",
        help="Camera: whose shot and read noise.",
    ),
    click.option(
        "--demosaic",
        type=click.Choice(["malvar", "bilinear"]),
        show_default="malvar",
        help="Camera: how the missing colours of the raw picture are found.",
    ),
    click.option(
        "--tone",
        type=click.Choice(["srgb", "family"]),
        show_default="srgb",
        help="Camera: tone curve, sRGB or one of sixteen drawn for each sample.",
    ),
)


def camera_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets them as keywords for ``chosen_camera``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_camera(formation: dict[str, Any]) -> Camera | None:
    """Return the camera that the options ask for; a UsageError when they do not go together."""
    given = {name: value for name, value in formation.items() if value is not None}
    if given.pop("formation") == "paper":
        if given:
            options = ", ".join("--" + name.replace("_", "-") for name in given)
            raise click.UsageError(f"{options} needs --formation camera.")
        return None
    is_rotation = given.get("motion") == "rotation"
    if not is_rotation and (unused := given.keys() & {"poses", "focal_mm"}):
        raise click.UsageError(f"--{sorted(unused)[0].replace('_', '-')} needs --motion rotation.")
    from blurgen.synthesis.camera.settings import Camera

    try:
        return Camera(**given)
    except ValueError as error:
        raise click.UsageError(str(error).replace("Argument ", "")) from None
