"""CelebAMask-HQ, in the layout of its archive, made small."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from small_faces import MIN_SIDE, face_labels, face_pixels, write_picture

from blurgen.errors import InputError
from blurgen.faces import parse_source

# Picture of CelebA-HQ -> picture of CelebA it was made from
ORIGINALS = {0: 119613, 5: 162771, 1999: 182637, 2000: 182638, 29999: 202599}
PARTS = {"skin": 1, "nose": 6, "l_eye": 4, "r_eye": 5, "l_brow": 2, "r_brow": 3, "mouth": 8}
PARTS |= {"u_lip": 7, "l_lip": 9, "hair": 10}


def mask_path(root, number, part):
    return root / "CelebAMask-HQ-mask-anno" / str(number // 2000) / f"{number:05}_{part}.png"


def write_face(root, number, extra=(), labels=None):
    """Write a face of twice the size of its masks; ``extra`` are more masks, (part, mask)."""
    labels = face_labels(300, 320, 160, 130) if labels is None else labels
    masks = [(part, labels == label) for part, label in PARTS.items()]
    for part, mask in (*masks, *extra):
        if mask.any():
            # as published: RGB pictures, 0 and 255
            write_picture(mask_path(root, number, part), np.dstack([mask] * 3).astype(np.uint8) * 255)
    pixels = face_pixels(labels).repeat(2, axis=0).repeat(2, axis=1)
    return write_picture(root / "CelebA-HQ-img" / f"{number}.jpg", pixels, format="PNG")


@pytest.fixture
def root(tmp_path):
    for number in ORIGINALS:
        write_face(tmp_path, number)
    lines = [f"{number:<11}{original - 1:<11}{original:06}.jpg" for number, original in ORIGINALS.items()]
    header = "idx        orig_idx   orig_file"
    (tmp_path / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join([header, *lines]))
    return tmp_path


def open_it(root, **options):
    return parse_source(f"celebamask-hq:{root}", min_side=MIN_SIDE, **options)


ROWS, COLUMNS = slice(18, 237), slice(71, 249)


def test_the_parts_are_put_together(root):
    data = write_face(root, 2000)
    source = open_it(root)
    assert [source.name(i) for i in range(len(source))] == [f"celebamask-hq:{n}.jpg" for n in ORIGINALS]
    face = source.read(3)
    labels = face_labels(300, 320, 160, 130)
    assert np.array_equal(face.labels, labels[ROWS, COLUMNS])
    assert np.array_equal(face.pixels, face_pixels(labels)[ROWS, COLUMNS])
    assert (face.id, face.identity) == ("2000", -1)
    assert face.digest == hashlib.sha256(data).hexdigest()


def test_later_parts_cover_earlier_ones_as_their_authors_paint_them(root):
    labels = face_labels(300, 320, 160, 130)

    def band(top, bottom):
        mask = np.zeros(labels.shape, bool)
        mask[top:bottom] = True
        return mask

    glasses, hat, cloth = band(120, 140), band(60, 100), band(195, 237)
    extra = [("eye_g", glasses), ("hat", hat), ("cloth", cloth), ("l_ear", band(141, 143))]
    write_face(root, 0, extra)
    expected = labels.copy()
    expected[glasses & np.isin(labels, (0, 1, 6))] = 0  # over skin and nose, under eyes, brows and hair
    expected[hat | cloth] = 0
    expected[band(141, 143) & np.isin(labels, (0, 1, 6))] = 0
    assert np.array_equal(open_it(root).read(0).labels, expected[ROWS, COLUMNS])


def test_sides_named_as_seen_by_the_viewer_become_the_persons_own(root):
    labels = face_labels(300, 320, 160, 130)
    swapped = np.arange(256, dtype=np.uint8)
    swapped[[2, 3, 4, 5]] = [3, 2, 5, 4]
    write_face(root, 0, labels=swapped[labels])
    assert np.array_equal(open_it(root).read(0).labels, labels[ROWS, COLUMNS])


def test_parts_of_the_dataset_are_those_of_celeba(root):
    for split, numbers in (("train", [0]), ("validation", [5, 1999]), ("test", [2000, 29999])):
        source = open_it(root, split=split)
        assert [int(source.read(i).id) for i in range(len(source))] == numbers


def test_persons_are_known_with_celebas_list(root):
    (root / "identity_CelebA.txt").write_text("119613.jpg 77\n202599.jpg 10177\n")
    source = open_it(root)
    assert [source.read(i).identity for i in range(5)] == [77, -1, -1, -1, 10177]


def test_a_picture_of_the_masks_size_is_taken_too(root):
    labels = face_labels(300, 320, 160, 130)
    write_picture(root / "CelebA-HQ-img" / "0.jpg", face_pixels(labels), format="PNG")
    assert np.array_equal(open_it(root).read(0).pixels, face_pixels(labels)[ROWS, COLUMNS])


def test_what_is_missing_or_wrong_is_named(root):
    write_picture(mask_path(root, 0, "nose"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r"00000_nose\.png is 9 x 9 pixels, its picture 320 x 300"):
        open_it(root).read(0)
    for part in PARTS:
        mask_path(root, 5, part).unlink()
    with pytest.raises(InputError, match=r"mask-anno/0/00005_skin\.png does not exist, nor any other part"):
        open_it(root).read(1)
    write_picture(root / "CelebA-HQ-img" / "1999.jpg", np.zeros((601, 640, 3), np.uint8))
    with pytest.raises(InputError, match=r"1999\.jpg is 640 x 601 pixels, not a multiple of its masks"):
        open_it(root).read(2)
    write_face(root, 2000, labels=np.ones((300, 320), np.uint8))
    for part in set(PARTS) - {"skin"}:
        mask_path(root, 2000, part).unlink()
    with pytest.raises(InputError, match=r"2000\.jpg has no labelled eyes and mouth"):
        open_it(root).read(3)
    mapping = root / "CelebA-HQ-to-CelebA-mapping.txt"
    mapping.write_text("idx orig_idx orig_file\n0 x 1.jpg\n")
    with pytest.raises(InputError, match=r"mapping\.txt, line 2: expected 'idx orig_idx orig_file'"):
        open_it(root, split="train")
    mapping.unlink()
    with pytest.raises(InputError, match=r"mapping\.txt does not exist"):
        open_it(root, split="train")
    assert len(open_it(root)) == 5
    with pytest.raises(InputError, match=r"CelebA-HQ-img does not exist; celebamask-hq needs"):
        open_it(root / "CelebA-HQ-img")


def test_the_description_notices_a_new_part(root):
    before = open_it(root).describe()
    write_picture(mask_path(root, 0, "hat"), np.zeros((300, 320, 3), np.uint8))
    assert open_it(root).describe() != before
