"""Table V: probes find their persons in a gallery, by an embedder whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import stub_detector
import torch
from PIL import Image
from stub_detector import COLOURS as DOTS
from stub_detector import dotted
from toy_embedder import write_onnx, write_torchscript

from blurgen.errors import Argument, InputError
from blurgen.faces.align import Similarity
from umsn.scoring.embedder import Embedder, InputFormat
from umsn.scoring.identities import open_gallery
from umsn.scoring.pairs import Pair
from umsn.scoring.recognition import CLEAR, Recognition, first_match
from umsn.scoring.upright import ARCFACE_POINTS, face_finder

COLOURS = {"ann": (250, 20, 20), "bob": (20, 250, 20), "cid": (20, 20, 250)}


def flat(colour, side=24):
    return np.full((side, side, 3), colour, np.uint8)


@pytest.fixture
def onnx(tmp_path):
    return write_onnx(tmp_path / "toy.onnx")


@pytest.fixture
def gallery_folder(tmp_path):
    """Two pictures of each person, their colour a little darker or paler."""
    for name, colour in COLOURS.items():
        (tmp_path / "gallery" / name).mkdir(parents=True)
        for number, change in enumerate((-10, 5)):
            picture = np.clip(flat(colour).astype(int) + change, 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / "gallery" / name / f"{number}.png")
    return tmp_path / "gallery"


def probe(face, colour, identity=None):
    return Pair(f"{face}_ker01_blur_k13", face, flat((128, 128, 128)), flat(colour), None, 13, None, identity)


def test_ranks_by_cosine_similarity_by_hand():
    gallery = np.array([[1.0, 0], [0.6, 0.8], [0, 1.0], [-1, 0]])
    vector = np.array([0.8, 0.6])
    identities = ["a", "b", "b", "c"]
    # Similarities 0.8, 0.96, 0.6, -0.8.
    assert first_match(vector, gallery, identities, "b") == (1, "b", pytest.approx(0.96))
    assert first_match(vector, gallery, identities, "a")[0] == 2
    assert first_match(vector, gallery, identities, "c")[0] == 4


def test_equally_similar_pictures_count_in_their_order():
    gallery = np.array([[1.0, 0], [1.0, 0]])
    assert first_match(np.array([1.0, 0]), gallery, ["a", "b"], "b")[0] == 2


def test_table_v_counts_probes_that_find_their_person(onnx, gallery_folder):
    recognition = Recognition(Embedder(onnx), open_gallery(gallery_folder))
    ann, bob = flat(COLOURS["ann"]), flat(COLOURS["bob"])
    recognition.add(probe("ann_7", COLOURS["ann"]), {"good": ann, "confused": bob})
    recognition.add(probe("bob_7", COLOURS["bob"]), {"good": bob, "confused": bob})
    (table,) = recognition.findings().tables
    assert table.columns == ("top-1 (%)", "top-3 (%)", "top-5 (%)")
    found = {row.labels[0]: [cell.mean.value for cell in row.cells] for row in table.rows}
    assert found[CLEAR] == found["good"] == [100, 100, 100]
    # The confused ann is bob twice, and then, of ann and cid, who are equally far from bob, ann: rank 3.
    assert found["confused"] == [50, 100, 100]
    assert len(recognition.findings().records["recognition.csv"].splitlines()) == 1 + 6


def test_onnx_and_torchscript_agree(onnx, tmp_path):
    program = Embedder(write_torchscript(tmp_path / "toy.pt"), InputFormat(size=4))
    picture = np.random.default_rng(0).integers(0, 256, (30, 26, 3), np.uint8)
    one, other = Embedder(onnx)(picture, "p"), program(picture, "p")
    assert one.shape == (48,) and np.linalg.norm(one) == pytest.approx(1)
    assert one == pytest.approx(other, abs=1e-6)


def test_the_middle_square_goes_in_at_the_size_of_the_file(onnx):
    wide = np.zeros((24, 64, 3), np.uint8)
    wide[:, 20:44] = (255, 255, 255)
    assert Embedder(onnx)(wide, "p") == pytest.approx(np.full(48, 48**-0.5))


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        (InputFormat(), (1, -1, 0.6)),
        (InputFormat(values="0..1"), (1, 0, 0.8)),
        (InputFormat(values="0..255"), (255, 0, 204)),
        (InputFormat(colours="bgr"), (0.6, -1, 1)),
    ],
)
def test_values_and_colours_are_as_the_embedder_wants_them(onnx, format, expected):
    vector = Embedder(onnx, format)(flat((255, 0, 204)), "p").reshape(3, 16)
    wanted = np.array(expected) / np.linalg.norm(np.repeat(expected, 16))
    assert vector == pytest.approx(np.repeat(wanted[:, None], 16, axis=1))


def test_channels_may_come_last(tmp_path):
    last = Embedder(write_onnx(tmp_path / "last.onnx", ("n", 4, 4, 3)))
    vector = last(flat((255, 0, 204)), "p").reshape(16, 3)
    assert (vector == vector[0]).all() and vector[0, 1] < 0 < vector[0, 2] < vector[0, 0]


def test_a_file_of_any_size_takes_the_size_asked_for(tmp_path):
    free = write_onnx(tmp_path / "free.onnx", ("n", 3, "h", "w"))
    picture = flat((9, 8, 7))
    assert Embedder(free)(picture, "p").shape == (3 * 24 * 24,)
    assert Embedder(free, InputFormat(size=6))(picture, "p").shape == (3 * 6 * 6,)


LARGE_AND_TILTED = Similarity(2.1, 0.7, 20.0, 30.0)(ARCFACE_POINTS)
SMALL = Similarity(0.8, 0.0, 10.0, 20.0)(ARCFACE_POINTS)


def test_faces_go_in_upright_wherever_they_are(tmp_path, monkeypatch):
    """With whole photographs cut through their middle, an embedder of 99 % on LFW was at chance."""
    stub_detector.install(monkeypatch)
    seen = Embedder(write_onnx(tmp_path / "free.onnx", ("n", 3, "h", "w")), InputFormat(values="0..255"))
    find = face_finder()
    for picture in (dotted(400, 700, LARGE_AND_TILTED), dotted(128, 256, SMALL)):
        inside = seen(picture, "p", find(picture)).reshape(3, 112, 112).transpose(1, 2, 0)
        for (x, y), colour in zip(ARCFACE_POINTS, DOTS, strict=True):
            dot = inside[int(y), int(x)]
            assert dot / dot.max() == pytest.approx(np.array(colour) / 255, abs=0.1)


def test_every_version_of_a_probe_is_cut_where_its_clean_face_is(tmp_path, monkeypatch):
    stub_detector.install(monkeypatch)
    picture = dotted(128, 256, SMALL)
    (tmp_path / "gallery").mkdir()
    Image.fromarray(dotted(400, 700, LARGE_AND_TILTED)).save(tmp_path / "gallery" / "ann_1.png")
    Image.fromarray(flat((90, 0, 200), 128)).save(tmp_path / "gallery" / "bob_1.png")
    embedder = Embedder(write_onnx(tmp_path / "toy.onnx", (1, 3, 28, 28)))
    recognition = Recognition(embedder, open_gallery(tmp_path / "gallery"), face_finder())
    dark = (picture // 3 + 40).astype(np.uint8)  # its dots are too dull for the detector
    assert face_finder()(dark) is None
    recognition.add(Pair("ann_2_ker01_blur_k13", "ann_2", dark, picture, None, 13), {"blurry": dark})
    findings = recognition.findings()
    clear, blurry = recognition.matches
    assert clear.similarity > 0.99 and (blurry.rank, blurry.nearest) == (1, "ann")
    assert blurry.similarity > 0.8
    assert "In 1 of 3 pictures it found no face" in findings.definitions[-1]


def test_without_a_detector_one_line_says_what_to_do(monkeypatch):
    stub_detector.uninstall(monkeypatch)
    with pytest.raises(InputError) as raised:
        face_finder()
    assert "pip install 'blurgen[align]'" in raised.value.text(Argument.option)
    assert "--no-embedder-align" in raised.value.text(Argument.option)


def bad_embedders(folder):
    torch.save({"weights": 1}, folder / "weights.pt")
    (folder / "junk.onnx").write_bytes(b"junk")
    (folder / "toy.h5").write_bytes(b"")
    write_onnx(folder / "two.onnx", inputs=2)
    write_onnx(folder / "flat.onnx", ("n", 3))
    write_onnx(folder / "many.onnx", (8, 3, 4, 4))
    write_onnx(folder / "oblong.onnx", (1, 3, 4, 6))
    write_onnx(folder / "bytes.onnx", element_type=2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.onnx", "there is no such embedder"),
        ("toy.h5", "an embedder is an .onnx file, or TorchScript"),
        ("junk.onnx", "cannot be used as an ONNX model"),
        ("weights.pt", "cannot be used as TorchScript"),
        ("two.onnx", "does not take one float picture"),
        ("flat.onnx", "does not take one float picture"),
        ("bytes.onnx", "does not take one float picture"),
        ("many.onnx", "takes 8 pictures at a time"),
        ("oblong.onnx", "only square ones"),
    ],
)
def test_what_is_no_embedder_is_named(tmp_path, name, message):
    bad_embedders(tmp_path)
    with pytest.raises(InputError, match=f"{name}.*{message}"):
        Embedder(tmp_path / name)


def test_an_embedder_is_asked_only_for_what_it_can(onnx):
    with pytest.raises(InputError, match="takes pictures of 4 x 4, not 9"):
        Embedder(onnx, InputFormat(size=9))
    with pytest.raises(InputError, match="no direction for p"):
        Embedder(onnx, InputFormat(values="0..1"))(flat((0, 0, 0)), "p")
    with pytest.raises(ValueError, match="'values' must be"):
        InputFormat(values="1..2")
    with pytest.raises(ValueError, match="'colours' must be"):
        InputFormat(colours="cmyk")


def test_a_gallery_may_be_named_in_three_ways(tmp_path, gallery_folder):
    flat_folder, listed = tmp_path / "flat", tmp_path / "listed"
    for folder in (flat_folder, listed):
        folder.mkdir()
    for number, name in enumerate(("ann_1", "ann_2", "bob_1")):
        Image.fromarray(flat((number, 0, 0))).save(flat_folder / f"{name}.png")
        Image.fromarray(flat((number, 0, 0))).save(listed / f"{number:06d}.png")
    (tmp_path / "who.txt").write_text("000000.jpg 17\n000001.jpg 17\n000002.jpg 23\n000009.jpg 17\n")
    assert open_gallery(gallery_folder).identities == ("ann", "ann", "bob", "bob", "cid", "cid")
    assert open_gallery(flat_folder).identities == ("ann", "ann", "bob")
    known = open_gallery(listed, tmp_path / "who.txt")
    assert known.identities == ("17", "17", "23")
    assert known.identity_of(probe("000009", (0, 0, 0))) == "17"


def test_probes_are_known_by_the_data_or_by_their_name(gallery_folder):
    gallery = open_gallery(gallery_folder)
    assert gallery.identity_of(probe("image000004", (0, 0, 0), "bob")) == "bob"
    assert gallery.identity_of(probe("cid", (0, 0, 0))) == "cid"
    assert gallery.identity_of(probe("cid_3", (0, 0, 0))) == "cid"
    with pytest.raises(InputError, match="dan_1_ker01_blur_k13: the gallery has no picture of person 'dan'"):
        gallery.identity_of(probe("dan_1", (0, 0, 0)))


def test_a_gallery_does_not_hold_the_probe_itself(onnx, gallery_folder):
    Image.fromarray(flat(COLOURS["ann"])).save(gallery_folder / "ann" / "same.png")
    recognition = Recognition(Embedder(onnx), open_gallery(gallery_folder))
    with pytest.raises(InputError, match=r"same\.png is the clean picture of probe ann_7"):
        recognition.add(probe("ann_7", COLOURS["ann"]), {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("000001.jpg\n", "line 1 is not '<file> <identity>'"),
        ("a.png 1\n", "has no line for it"),
    ],
)
def test_identities_that_do_not_fit_are_named(tmp_path, text, message):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(flat((1, 2, 3))).save(folder / "b.png")
    (tmp_path / "who.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        open_gallery(folder, tmp_path / "who.txt")


def test_galleries_that_say_nobody_are_named(tmp_path):
    folder = tmp_path / "pictures"
    with pytest.raises(InputError, match="no such folder"):
        open_gallery(folder)
    folder.mkdir()
    with pytest.raises(InputError, match="holds no pictures"):
        open_gallery(folder)
    Image.fromarray(flat((1, 2, 3))).save(folder / "b.png")
    with pytest.raises(InputError, match=r"b\.png: does not say who it shows"):
        open_gallery(folder)
