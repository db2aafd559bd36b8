"""What each kind of source lists and says of itself: recipes and stores record it, so it stays as it is.

Opening a source decodes nothing, so these miniatures are files of any bytes with the names of a layout.
"""

from __future__ import annotations

import json

import pytest

from blurgen.errors import InputError
from blurgen.faces import SOURCES, parse_source

HELEN_MAPS = [f"labels/{name}/{name}_lbl{label:02}.png" for name in ("b_1", "a_1") for label in range(11)]
LAPA_PAIR = ("images/a.jpg", "labels/a.png")
FILES = {
    "folder": ["images/b.png", "images/sub/a.jpg", "images/sub/a.png", "labels/b.png", "labels/sub/a.png"],
    "facesynthetics": ["000007.png", "000007_seg.png", "000007_ldmks.txt", "sub/12.png", "sub/12_seg.png"],
    "helen": ["images/b_1.jpg", "images/a_1.jpg", *HELEN_MAPS],
    "celeba": ["Img/img_align_celeba/000002.jpg", "Img/img_align_celeba/000001.jpg"],
    "celebamask-hq": [
        "CelebA-HQ-img/10.jpg", "CelebA-HQ-img/9.jpg", "CelebAMask-HQ-mask-anno/0/00009_skin.png",
        "CelebAMask-HQ-mask-anno/0/00010_hair.png",
    ],
    "lapa": [f"{part}/{file}" for part in ("train", "val", "test") for file in LAPA_PAIR],
}  # fmt: skip
NAMES = {
    "folder": ["b.png", "sub/a.jpg", "sub/a.png"],
    "facesynthetics": ["000007.png", "sub/12.png"],
    "helen": ["images/a_1.jpg", "images/b_1.jpg"],
    "celeba": ["000001.jpg", "000002.jpg"],
    "celebamask-hq": ["9.jpg", "10.jpg"],
    "lapa": ["train/images/a.jpg", "val/images/a.jpg", "test/images/a.jpg"],
    "procedural": ["0/000000", "0/000001", "0/000002"],
}
ALL = {"split": "all", "limit": None, "seed": None}
CUT_OUT = {"min_side": 156, **ALL}
DESCRIBED = {
    "folder": {
        **ALL,
        "listing": "e707c2636f62364f14cdf0565a2ce9d8",
        "label_listing": "329e4d6374cb8d57b31c26948768e21e",
    },
    "facesynthetics": {**CUT_OUT, "listing": "747eda73a4fcc40ca97d21e6b36efc4a"},
    "helen": {**CUT_OUT, "listing": "c191db98e97c39a9b4c271c22676760a"},
    "celeba": {**ALL, "listing": "0ecf5439369d4e9cef8df2f1f1ba5ad0", "label_listing": None},
    "celebamask-hq": {**CUT_OUT, "listing": "e8a897c29714140569af2880bc5a8c10"},
    "lapa": {**CUT_OUT, "listing": "a30e67afe903576efa4557a074bbff8e"},
    "procedural": {
        **ALL,
        "drawing": 1,
        "drawing_seed": 0,
        "size": 256,
        "listing": "e7c85cb270785736e6b51591b7025379",
    },
}
ONE_OF = {
    "folder": ("sub/a.png", "ab8b9ed596c58ab3b7d4fe91930b8574"),
    "facesynthetics": ("000007.png", "898f530416f9c57a17f34c59d8be0c6c"),
    "helen": ("images/a_1.jpg", "e47ec78c5b34463f5449e1c3241de12b"),
    "celeba": ("000001.jpg", "18be6b65b24602cea500a19f5cb2f3c5"),
    "celebamask-hq": ("9.jpg", "c2b02454f931e2b4a9e88f4004e24a7a"),
    "lapa": ("test/images/a.jpg", "a2bc32dc777acfb44062ebeb88ffaa56"),
    "procedural": ("0/000002", "b681892daec3ca99c0dd8e3ce9dca8b7"),
}
"""The face that a limit of one leaves, and the listing of it alone."""


@pytest.fixture
def opened(tmp_path):
    def open_it(kind, **options):
        for file in FILES.get(kind, ()):
            path = tmp_path / kind / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.encode())
        where = 3 if kind == "procedural" else tmp_path / kind
        return parse_source(f"{kind}:{where}", min_side=156, **options)

    return open_it


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_describes_itself_as_it_always_did(opened, kind):
    source = opened(kind)
    assert [source.name(i) for i in range(len(source))] == [f"{kind}:{name}" for name in NAMES[kind]]
    expected = {"source": kind, "count": len(NAMES[kind]), **DESCRIBED[kind]}
    assert json.dumps(source.describe()) == json.dumps(expected)  # in this order: testset.json has it


@pytest.mark.parametrize("kind", SOURCES)
def test_a_limit_leaves_the_faces_that_it_always_left(opened, kind):
    source = opened(kind, limit=1, seed=4)
    described = source.describe()
    assert (source.name(0), described["listing"]) == (f"{kind}:{ONE_OF[kind][0]}", ONE_OF[kind][1])
    assert (described["count"], described["limit"], described["seed"]) == (1, 1, 4)


def test_label_maps_of_another_folder_have_a_listing_of_their_own(opened, tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "000002.png").write_bytes(b"map")
    described = opened("celeba", labels=str(tmp_path / "maps")).describe()
    assert described["listing"] == DESCRIBED["celeba"]["listing"]
    assert described["label_listing"] == "46977962ae8774e2a9745939d0b5b51c"


@pytest.mark.parametrize("kind", sorted({*SOURCES} - {"folder", "celeba"}))
def test_a_source_with_labels_takes_no_others(opened, tmp_path, kind):
    with pytest.raises(InputError, match="has its own labels; leave out the label folder"):
        opened(kind, labels=str(tmp_path))
