"""From checkpoints and test pictures to every table and figure, in one command; and what is refused."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from small_training import PATCH, build, write_blobs
from toy_embedder import write_onnx

from blurgen.errors import InputError
from blurgen.faces import parse_source
from blurgen.kernels.bank import make_bank
from blurgen.labels import CLASS_NAMES
from blurgen.testset.build import build_testset
from blurgen_cli.umsn import main
from umsn import checkpoint
from umsn.evaluation.evaluate import Request, evaluate
from umsn.evaluation.methods import Pictures
from umsn.evaluation.restoring import groups, restore_all
from umsn.restore.deblur import Deblurrer
from umsn.scoring.definitions import definition
from umsn.scoring.metrics import psnr
from umsn.scoring.pairs import DatasetPairs, FolderPairs
from umsn.training.curriculum import train
from umsn.training.settings import Settings
from umsn.vggface import VGGFace

PICTURES = 6
QUICK = Settings(preset="quick", iterations=2, batch_size=2, seed=1, keep_every=1)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    """A dataset of other faces and kernels than those of ``run``."""
    return build(tmp_path_factory.mktemp("held out"), 2, largest=17)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """All stages, trained for a moment, and one more row of the ablation."""
    folder = tmp_path_factory.mktemp("evaluate")
    data = build(folder, 1).root
    train(data, folder / "run", QUICK, device="cpu", quiet=True)
    plain = replace(QUICK, variant="bnet", masks="labels")
    train(data, folder / "run", plain, stage="umsn", device="cpu", quiet=True)
    return folder / "run"


@pytest.fixture(scope="module")
def everything(run, held_out, tmp_path_factory):
    """What an evaluation with all there is makes."""
    folder = tmp_path_factory.mktemp("everything")
    gallery = folder / "gallery"
    gallery.mkdir()
    for number in range(len(held_out.faces)):
        pixels = held_out.faces.face(number).pixels
        Image.fromarray(pixels[:40, :40]).save(gallery / f"image{number:06d}.png")
    identities = folder / "who.txt"
    identities.write_text("".join(f"image{n:06d}.png person{n}\n" for n in range(len(held_out.faces))))
    halves = folder / "halves"
    halves.mkdir()
    pairs = DatasetPairs(held_out, PICTURES)
    for pair in pairs:
        Image.fromarray(pair.clean // 2).save(halves / f"{pair.name}.png")
    request = Request(
        checkpoint=run / "umsn.safetensors",
        compare={"halves": halves},
        references=True,
        ablation={name: run / f"{name}.safetensors" for name in ("bnet", "umsn")},
        vgg_face=write_vgg_face(folder / "vgg_face_dag.pth"),
        embedder=write_onnx(folder / "toy.onnx"),
        gallery=gallery,
        identities=identities,
        embedder_align=False,
        save_pictures=True,
    )
    return evaluate(pairs, folder / "out", request), folder / "out"


def write_vgg_face(path):
    torch.manual_seed(0)
    torch.save(VGGFace("pool5").state_dict(), path)
    return path


def table(made, name):
    return next(t for t in made.tables if t.name == name)


def value(made, name, row, column):
    found = table(made, name)
    cells = next(r for r in found.rows if r.labels[0] == row).cells
    return cells[found.columns.index(column)].mean.value


def test_every_table_is_there(everything):
    made, _ = everything
    assert [t.name for t in made.tables] == [
        "methods",
        "classes",
        "kernel-sizes",
        "segmentation",
        "vgg-face",
        "recognition",
        "ablation",
        "confidence-training",
        "confidence-pictures",
        "confidence-kernels",
    ]
    assert made.left_out == []


def test_rows_are_the_methods_in_their_order(everything):
    made, _ = everything
    rows = [row.labels[0] for row in table(made, "methods").rows]
    assert rows == ["blurry", "Wiener, true kernel", "Richardson-Lucy, true kernel", "halves", "UMSN"]
    assert [row.labels[0] for row in table(made, "ablation").rows] == ["B-Net", "UMSN"]


def test_numbers_are_those_of_the_pictures(everything, run, held_out):
    made, out = everything
    pairs = list(DatasetPairs(held_out, PICTURES))
    deblur = Deblurrer(run / "umsn.safetensors", "cpu")
    sharp = [deblur(pair.blurry) for pair in pairs]
    for row, pictures in (
        ("blurry", [p.blurry for p in pairs]),
        ("halves", [p.clean // 2 for p in pairs]),
        ("UMSN", sharp),
    ):
        expected = np.mean([psnr(a, p.clean) for a, p in zip(pictures, pairs, strict=True)])
        assert value(made, "methods", row, "PSNR (dB)") == pytest.approx(expected)
    assert value(made, "ablation", "UMSN", "SSIM") == value(made, "methods", "UMSN", "SSIM")
    with Image.open(out / "pictures" / "UMSN" / f"{pairs[3].name}.png") as kept:
        assert (np.asarray(kept) == sharp[3]).all()
    assert sorted(p.name for p in (out / "pictures").iterdir()) == [
        "B-Net",
        "Richardson-Lucy-true-kernel",
        "UMSN",
        "Wiener-true-kernel",
    ]


def test_clear_pictures_are_recognised_at_least_in_the_whole_gallery(everything):
    made, _ = everything
    assert value(made, "recognition", "clear pictures", "top-3 (%)") == 100


def test_the_vgg_face_distance_of_a_method_is_above_zero(everything):
    made, _ = everything
    for row in table(made, "vgg-face").rows:
        assert row.cells[0].mean.value > 0 and row.cells[0].mean.count == PICTURES


def test_confidence_is_a_confidence_and_the_training_is_read(everything):
    made, _ = everything
    for row in table(made, "confidence-kernels").rows:
        assert all(0 < cell.mean.value <= 1 for cell in row.cells)
    (only,) = table(made, "confidence-training").rows
    assert only.labels == ("2",) and all(0 < cell.mean.value <= 1 for cell in only.cells)


def test_everything_is_written_and_says_the_same(everything):
    made, out = everything
    assert all(path.is_file() for path in made.files)
    names = {str(path.relative_to(out)) for path in made.files}
    assert names == {
        *(f"tables.{suffix}" for suffix in ("md", "tex", "csv", "json")),
        *("scores.csv", "segmentation.csv", "vgg-face.csv", "recognition.csv"),
        *("confidence-kernels.csv", "confidence-training.csv"),
        *(f"figures/{f}.png" for f in ("results", "ablation", "masks", "classes", "residuals")),
        *(f"figures/failures{of}.png" for of in ("", "-dark", "-large-kernels")),
        # No kernels.png: a dataset cuts another patch of a face for every kernel.
        "figures/moments.png",
    }
    page = json.loads((out / "tables.json").read_text())
    cell = page["tables"][0]["rows"][0]["cells"][0]
    text = (out / "tables.md").read_text()
    assert cell["value"] == value(made, "methods", "blurry", "PSNR (dB)")
    assert f"| blurry | {cell['text']} |" in text
    assert text.count("SSIM: Wang et al. 2004") == 1
    assert (out / "tables.tex").read_text().count(r"\begin{tabular}") == len(made.tables)
    assert len((out / "scores.csv").read_text().splitlines()) == 1 + len(made.scores) == 1 + PICTURES * 6


def contains(page, picture):
    """Whether the page shows the picture somewhere, pixel by pixel."""
    corner = np.argwhere((page == picture[0, 0]).all(axis=-1))
    height, width = picture.shape[:2]
    return any(
        (page[y : y + height, x : x + width] == picture).all()
        for y, x in corner
        if y + height <= len(page) and x + width <= page.shape[1]
    )


def test_figures_show_the_pictures(everything, held_out, run):
    made, _ = everything
    pages = {}
    for path in made.files:
        if path.suffix == ".png":
            with Image.open(path) as page:
                pages[path.stem] = np.asarray(page)
    pair = next(iter(DatasetPairs(held_out)))
    sharp = Deblurrer(run / "umsn.safetensors", "cpu")(pair.blurry)
    for name in ("results", "masks", "residuals"):
        assert contains(pages[name], pair.blurry) and contains(pages[name], sharp)
    assert contains(pages["results"], pair.clean // 2) and contains(pages["results"], pair.clean)
    skin = (pair.labels == 1)[..., None]
    assert contains(pages["classes"], np.where(skin, pair.blurry, pair.clean))
    assert contains(pages["classes"], np.repeat(skin, 3, axis=2).astype(np.uint8) * 255)


def test_a_training_is_shown_at_its_moments(everything, held_out, run):
    made, out = everything
    pairs = list(DatasetPairs(held_out, PICTURES))
    shown = [pairs[0], pairs[-1]]
    with Image.open(out / "figures" / "moments.png") as figure:
        page = np.asarray(figure)
    rows = {row.labels: row.cells for row in table(made, "confidence-pictures").rows}
    assert list(rows) == [(pair.name, str(i)) for pair in shown for i in (1, 2)]
    for path in (run / "checkpoints" / "umsn-000001.safetensors", run / "umsn.safetensors"):
        deblur = Deblurrer(path, "cpu")
        for pair in shown:
            assert contains(page, pair.blurry) and contains(page, deblur(pair.blurry))
    lines = csv.DictReader((out / "confidence-kernels.csv").read_text().splitlines())
    by_name = {line["name"]: line for line in lines}
    for pair in shown:
        found = [cell.mean.value for cell in rows[pair.name, "2"]]
        expected = [float(by_name[pair.name][name] or "nan") for name in CLASS_NAMES]
        assert found == pytest.approx(expected, nan_ok=True)


def test_a_kept_checkpoint_of_another_training_is_named(run, held_out, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    kept = tmp_path / "run" / "checkpoints" / "umsn-000001.safetensors"
    shutil.copy(run / "bnet.safetensors", kept)
    request = Request(checkpoint=tmp_path / "run" / "umsn.safetensors")
    with pytest.raises(InputError, match=r"umsn-000001\.safetensors is of stage 'bnet', iteration 2"):
        evaluate(DatasetPairs(held_out, 2), tmp_path / "out", request)
    shutil.rmtree(kept.parent)
    made = evaluate(DatasetPairs(held_out, 2), tmp_path / "out", request)
    assert any("'keep_every' keeps them" in reason for reason in made.left_out)
    assert not (tmp_path / "out" / "figures" / "moments.png").exists()


@pytest.fixture(scope="module")
def folders(held_out, tmp_path_factory):
    """The held-out pictures as a published test set lies on the disk."""
    folder = tmp_path_factory.mktemp("folders")
    for name in ("clean", "blurry", "labels", "other"):
        (folder / name).mkdir()
    for number, pair in enumerate(DatasetPairs(held_out, 3)):
        Image.fromarray(pair.clean).save(folder / "clean" / f"{number}.png")
        Image.fromarray(pair.labels).save(folder / "labels" / f"{number}.png")
        Image.fromarray(pair.blurry).save(folder / "blurry" / f"{number}_ker01_blur_k13.png")
        Image.fromarray(pair.clean).save(folder / "other" / f"{number}_ker01_blur_k13.png")
    return folder


def invoke(*words):
    return CliRunner().invoke(main, ["evaluate", *map(str, words)])


@pytest.fixture
def mixed(tmp_path):
    """Folders of 30 pictures of three sizes, and those of another method."""
    random = np.random.default_rng(0)
    for number in range(30):
        clean = random.integers(0, 256, ((32, 40, 36)[number % 7 % 3], 32, 3)).astype(np.uint8)
        for kind, noise in (("clean", 1), ("blurry", 40), ("other", 20)):
            (tmp_path / kind).mkdir(exist_ok=True)
            noisy = (clean + random.integers(0, noise, clean.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(tmp_path / kind / f"{number:02d}.png")
    return tmp_path


def test_the_weights_of_the_package_are_named_by_what_they_are(mixed):
    words = ("--blurry", mixed / "blurry", "--clean", mixed / "clean", "--device", "cpu", "--limit", 2)
    done = invoke(*words, "--out", mixed / "out")
    assert done.exit_code == 0, done.output
    assert "(--keep-every keeps them)" in done.output
    tables = json.loads((mixed / "out" / "tables.json").read_text())
    assert [row["labels"][0] for row in tables["tables"][0]["rows"]] == ["blurry", "kernel-guided"]
    assert tables["about"]["checkpoint"] == "the weights that come with the package (deblur.safetensors)"


def test_results_are_the_same_for_any_number_of_jobs(mixed, run):
    pairs = FolderPairs(mixed / "blurry", mixed / "clean")
    request = Request(checkpoint=run / "umsn.safetensors", compare={"other": mixed / "other"})
    outs = [mixed / f"out{jobs}" for jobs in (1, 2, 5)]
    for jobs, out in zip((1, 2, 5), outs, strict=True):
        evaluate(pairs, out, request, jobs=jobs)
    for file in ("scores.csv", "tables.json", "tables.csv"):
        assert len({(out / file).read_bytes() for out in outs}) == 1
    names = [line["name"] for line in csv.DictReader((outs[0] / "scores.csv").open())]
    assert names == [f"{number:02d}" for number in range(30) for _ in range(3)]


def test_the_command_scores_by_another_definition(mixed):
    words = ("--blurry", mixed / "blurry", "--clean", mixed / "clean", "--no-network", "--device", "cpu")
    done = invoke(*words, "--definition", "basicsr-y", "--crop-border", 2, "--out", mixed / "out")
    assert done.exit_code == 0, done.output
    assert "- PSNR as BasicSR's with test_y_channel and crop_border = 2" in done.output
    (first, *_) = csv.DictReader((mixed / "out" / "scores.csv").open())
    pair = next(iter(FolderPairs(mixed / "blurry", mixed / "clean")))
    assert float(first["psnr"]) == definition("basicsr-y", 2).psnr(pair.blurry, pair.clean)
    done = invoke(*words, "--crop-border", 2, "--out", mixed / "out")
    assert done.exit_code == 2 and "--crop-border goes with --definition basicsr-y" in done.stderr


def test_networks_are_given_pictures_of_one_size_together(mixed):
    pairs = list(FolderPairs(mixed / "blurry", mixed / "clean"))
    found = list(groups(pairs))
    assert [pair.name for group in found for pair in group] == [pair.name for pair in pairs]
    assert all(len({pair.blurry.shape for pair in group}) == 1 for group in found)
    assert all(a[0].blurry.shape != b[0].blurry.shape for a, b in pairwise(found))
    assert [len(group) for group in groups([pairs[0]] * 40)] == [16, 16, 8]


def test_what_a_method_raises_is_raised_at_its_picture(mixed):
    (mixed / "other" / "07.png").write_bytes(b"no picture")
    methods = {"other": Pictures(mixed / "other", [f"{number:02d}" for number in range(30)])}
    with pytest.raises(InputError, match=r"07\.png is not a picture"):
        list(restore_all(FolderPairs(mixed / "blurry", mixed / "clean"), methods, 3))
    with contextlib.closing(
        restore_all(FolderPairs(mixed / "blurry", mixed / "clean"), methods, 3)
    ) as results:
        assert next(results).pair.name == "00"


def test_the_command_scores_other_methods_without_a_checkpoint(folders, tmp_path):
    out = tmp_path / "out"
    done = invoke(
        *("--blurry", folders / "blurry", "--clean", folders / "clean", "--out", out),
        *("--compare", f"perfect={folders / 'other'}", "--device", "cpu", "--no-network", "--jobs", 2),
    )
    assert done.exit_code == 0, done.output
    assert "| perfect | inf | 1.000 (1.000 to 1.000) | inf |" in done.output
    assert "- PSNR and SSIM by semantic class (Table I): the test pictures have no labels." in done.output
    assert "tables.md, tables.tex, tables.csv, tables.json, scores.csv, figures/results.png" in done.output
    assert (out / "tables.md").read_text() in done.output


def test_the_command_reads_folders_and_a_run(folders, run, tmp_path):
    done = invoke(
        *("--blurry", folders / "blurry", "--clean", folders / "clean", "--labels", folders / "labels"),
        *("--checkpoint", run / "umsn.safetensors", "--ablation", f"again={run}/umsn.safetensors"),
        *("--ablation", f"bnet={run}/bnet.safetensors", "--limit", 2, "--device", "cpu", "--out", tmp_path),
    )
    assert done.exit_code == 0, done.output
    assert "**Ablation study (Table VI), 2 pictures**" in done.output
    found = json.loads((tmp_path / "tables.json").read_text())["tables"]
    rows = {t["name"]: [row["labels"][0] for row in t["rows"]] for t in found}
    assert rows["methods"] == ["blurry", "UMSN"]
    assert rows["ablation"] == ["again", "B-Net"]


def test_the_command_takes_a_dataset_on_which_it_knows_the_kernels(held_out, tmp_path):
    done = invoke(
        *("--shards", held_out.root, "--references", "--limit", 2, "--out", tmp_path, "--device", "cpu"),
        "--no-network",
    )
    assert done.exit_code == 0, done.output
    assert "| Wiener, true kernel |" in done.output and "balance 0.5" in done.output


def test_the_command_takes_a_test_set(tmp_path):
    write_blobs(tmp_path / "faces", 5, count=1)
    source = parse_source(f"folder:{tmp_path / 'faces'}", min_side=44, patch_size=PATCH)
    bank = make_bank(count=3, min_size=13, max_size=13, samples=200)
    options = {"face_count": 1, "sizes": (13,), "per_size": 3, "patch_size": PATCH}
    made = build_testset(source, bank, tmp_path / "set", **options)
    done = invoke("--testset", made.root, "--references", "--out", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "Comparison of methods (Table III), 3 pictures" in done.output
    assert (
        "| Richardson-Lucy, true kernel |" in done.output and "by semantic class (Table I)**" in done.output
    )


def test_a_row_of_the_ablation_that_is_the_checkpoint_is_not_run_twice(run, held_out, tmp_path):
    path = run / "umsn.safetensors"
    made = evaluate(
        DatasetPairs(held_out, 2), tmp_path, Request(checkpoint=path, ablation={"umsn": path, "copy": path})
    )
    assert sorted({s.method for s in made.scores}) == ["UMSN", "blurry", "copy"]
    assert [row.labels[0] for row in table(made, "ablation").rows] == ["UMSN", "copy"]


def refused(folders, tmp_path, *words):
    """Return the one line with which the command, given the folders and ``words``, exits 2."""
    done = invoke(
        *("--blurry", folders / "blurry", "--clean", folders / "clean", "--device", "cpu"),
        *("--out", tmp_path / "out", *words),
    )
    assert done.exit_code == 2, done.output
    assert not (tmp_path / "out" / "tables.md").exists()
    line = done.output.strip().splitlines()[-1]
    assert line.startswith("Error: ")
    return line


def change(path, to, *, without="", fill=None):
    """Write a checkpoint without one of its networks, or with one of its weights changed."""
    tensors, about = checkpoint.load(path, "networks")
    about = {key: about[key] for key in about if key not in ("format", "version", "kind")}
    if without:
        tensors = {name: t for name, t in tensors.items() if not name.startswith(f"{without}.")}
        del about["networks"][without]
    if fill is not None:
        tensors[next(iter(tensors))].view(-1)[0] = fill
    checkpoint.save(to, "networks", tensors, about)


def test_bad_input_is_named_in_one_line(folders, run, tmp_path):
    (tmp_path / "empty").mkdir()
    shutil.copy(run / "bnet.safetensors", tmp_path / "umsn.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    change(run / "umsn.safetensors", tmp_path / "alone.safetensors", without="s_net")
    (tmp_path / "short").mkdir()
    shutil.copy(next((folders / "blurry").iterdir()), tmp_path / "short")
    for words, expected in (
        (["--checkpoint", tmp_path / "none"], "there is no such checkpoint"),
        (["--checkpoint", tmp_path / "junk.safetensors"], "is not a umsn checkpoint"),
        (["--checkpoint", run / "umsn.state.safetensors"], "holds 'training', not 'networks'"),
        (["--checkpoint", run / "segmentation.safetensors"], "holds a network of kind 'snet'"),
        (["--checkpoint", tmp_path / "alone.safetensors"], "has no S-Net"),
        (["--segmentation", run / "segmentation-blurry.safetensors"], "not of stage 'segmentation'"),
        (["--segmentation-blurry", run / "umsn.safetensors"], "is of stage 'umsn'"),
        (["--ablation", tmp_path], "is of variant 'bnet', not of variant 'umsn'"),
        (
            ["--ablation", f"umsn={run}/segmentation.safetensors"],
            "is of stage 'segmentation', not of variant",
        ),
        (["--ablation", f"again={run}/segmentation.safetensors"], "holds a network of kind 'snet'"),
        (["--ablation", tmp_path / "empty"], "holds no checkpoint of the ablation"),
        (["--ablation", "nowhere"], "is not NAME=CHECKPOINT"),
        (["--ablation", f"bnet={run}/bnet.safetensors"] * 2, "there is already a row 'bnet'"),
        (["--compare", "mine"], "is not NAME=PATH"),
        (["--compare", f"blurry={folders}/other"], "Two methods are called 'blurry'"),
        (["--compare", f"a={folders}/other"] * 2, "Each --compare needs a name of its own"),
        (["--compare", f"a={tmp_path}/empty"], "empty: holds no pictures"),
        (["--compare", f"a={tmp_path}/none"], "none: there is no such folder"),
        (["--compare", f"a={folders}/clean"], "has no picture 0_ker01_blur_k13.png (and 2 more)"),
        (["--compare", f"a={tmp_path}/short"], "(and 1 more)"),
        (["--references"], "--references needs true kernels; datasets and test sets have them"),
        (["--vgg-face", tmp_path / "none.mat"], "There is no VGG-Face weights file"),
        (["--embedder", tmp_path / "none.onnx"], "--embedder and --gallery are of use together only"),
        (["--identities", tmp_path / "who.txt"], "--identities says who is in a gallery; give that, too"),
        (["--labels", folders / "blurry"], "holds no label map for it; expected 0.png"),
        (["--limit", 0], "Invalid value for '--limit'"),
        (["--shards", folders], "Give one of --shards, --testset, and --blurry with --clean"),
        (["--device", "cuda:99"], "--device cuda:99 cannot be used here"),
    ):
        line = refused(folders, tmp_path, *words)
        assert expected in line, (words, line)


def test_pictures_of_another_size_are_named(folders, tmp_path):
    (tmp_path / "large").mkdir()
    for path in (folders / "other").iterdir():
        with Image.open(path) as picture:
            picture.resize((40, 30)).save(tmp_path / "large" / path.name)
    line = refused(folders, tmp_path, "--compare", f"a={tmp_path}/large")
    assert "0_ker01_blur_k13.png: is 40 x 30, but the blurry picture is 32 x 32" in line


def test_pictures_of_numbers_that_are_none_are_named(folders, tmp_path):
    (tmp_path / "nan").mkdir()
    for path in (folders / "other").iterdir():
        Image.fromarray(np.full((32, 32), np.nan, np.float32)).save(tmp_path / "nan" / f"{path.stem}.tif")
    line = refused(folders, tmp_path, "--compare", f"a={tmp_path}/nan")
    assert "0_ker01_blur_k13.tif is a 32-bit picture" in line


def test_help_says_which_option_fills_which_table():
    text = " ".join(invoke("--help").output.split())
    for option, tables in (
        ("--labels PATH", "Tables I, II"),
        ("--segmentation PATH S-Net trained on clean pictures", "Table II"),
        ("--compare NAME=FOLDER", "Table III"),
        ("--references", "Table III"),
        ("--vgg-face PATH", "Table IV"),
        ("--embedder PATH", "Table V"),
        ("--gallery PATH", "Table V"),
        ("--ablation NAME=CHECKPOINT|RUN", "Table VI"),
        ("--checkpoint PATH", "Tables VII, VIII"),
    ):
        after = text[text.index(f" {option}") :]
        assert f"[{tables}" in after[: after.index(" --", len(option) + 1)], option


def test_a_network_whose_training_diverged_is_named(run, folders, tmp_path):
    change(run / "bnet.safetensors", tmp_path / "nan.safetensors", fill=torch.nan)
    line = refused(folders, tmp_path, "--checkpoint", tmp_path / "nan.safetensors")
    assert "nan.safetensors holds weights that are NaN or infinite" in line


def test_missing_ground_truth_is_named(folders, tmp_path):
    done = invoke("--blurry", folders / "blurry", "--out", tmp_path)
    assert done.exit_code == 2 and "Give one of --shards, --testset, and --blurry with --clean" in done.output
    done = invoke("--shards", folders, "--labels", folders / "labels", "--out", tmp_path)
    assert done.exit_code == 2 and "--labels goes with --blurry" in done.output


def test_nothing_to_evaluate_is_said(folders, tmp_path):
    with pytest.raises(InputError, match="no pictures"):
        evaluate(FolderPairs(folders / "blurry", folders / "clean", limit=0), tmp_path, Request())
