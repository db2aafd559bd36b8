"""The gallery of the page: every picture before and after, divided by a slider."""

from __future__ import annotations

from collections.abc import Sequence

from umsn.evaluation.kept_pictures import Compared, Kept
from umsn.report.embed import data_uris
from umsn.report.markup import Markup, element
from umsn.report.results import PictureScore, Scores

_PIXELS_SHOWN_AS_SQUARES = 200
"""Pictures up to this side are enlarged without smoothing, which would hide what a method left blurred."""


def gallery_content(kept: Kept, scores: Scores) -> list[Markup]:
    """Return the gallery of the pictures that an evaluation kept; at least one is needed."""
    pictures, count = kept.pictures, kept.count
    methods = list(pictures[0].restored)
    titles = [*methods, "clean"]
    left = 0
    right = methods.index(kept.main) if kept.main in methods else max(1, len(methods) - 1)
    uris, exact = data_uris([version for one in pictures for version in (*one.restored.values(), one.clean)])
    figures = [
        _figure(one, uris[k * len(titles) : (k + 1) * len(titles)], titles, left, right, scores)
        for k, one in enumerate(pictures)
    ]
    about = f"{len(pictures):,} of {count:,} pictures, spread evenly. " if len(pictures) < count else ""
    about += "Drag across a picture, or use the arrow keys. "
    about += (
        "Pictures are stored without loss."
        if exact
        else "Pictures are JPEG of quality 90, the originals lie in the folder shown."
    )
    controls = element(
        "div",
        _choice("Left", "left", titles, left),
        _choice("Right", "right", titles, right),
        element("label", element("input", type="checkbox", id="together"), " move all together"),
        class_="controls",
    )
    more = element("button", type="button", id="more", hidden=True)
    return [element("p", about, class_="note"), controls, element("div", *figures, class_="gallery"), more]


def _choice(text: str, side: str, titles: Sequence[str], chosen: int) -> Markup:
    options = [element("option", title, value=i, selected=i == chosen) for i, title in enumerate(titles)]
    return element("label", f"{text} ", element("select", *options, data_side=side))


def _figure(
    picture: Compared, uris: Sequence[str], titles: Sequence[str], left: int, right: int, scores: Scores
) -> Markup:
    height, width = picture.clean.shape[:2]
    images = [
        element(
            "img",
            src=uri,
            alt=f"{picture.name}, {title}",
            width=width,
            height=height,
            draggable="false",
            loading="lazy",
            class_=" ".join(side for side, chosen in (("left", left), ("right", right)) if chosen == i)
            or None,
        )
        for i, (title, uri) in enumerate(zip(titles, uris, strict=True))
    ]
    stage = element(
        "div",
        *images,
        element("span", titles[left], class_="tag left"),
        element("span", titles[right], class_="tag right"),
        element("input", type="range", min=0, max=100, value=50, aria_label=f"Divide {picture.name}"),
        element("div", class_="handle", aria_hidden="true"),
        class_="compare squares" if max(height, width) <= _PIXELS_SHOWN_AS_SQUARES else "compare",
    )
    caption = _caption(picture.name, list(picture.restored), scores.get(picture.name, {}))
    return element("figure", stage, caption)


def _caption(name: str, methods: Sequence[str], found: dict[str, PictureScore]) -> Markup:
    size = next((one.kernel_size for one in found.values()), None)
    lines = [
        element("li", f"{title} ", element("b", f"{one.psnr:.2f} dB"), f" {one.ssim:.3f}", data_version=i)
        for i, title in enumerate(methods)
        if (one := found.get(title)) is not None
    ]
    return element(
        "figcaption",
        element("b", name),
        None if size is None else element("span", f" · kernel {size} px"),
        element("ul", *lines) if lines else None,
    )
