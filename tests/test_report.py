"""The report is one file: complete, well formed, needing nothing else, and safe whatever the names in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_evaluation import BLUE, GREEN, METHOD, RED, flat, keep, write_evaluation, write_run

from blurgen.errors import InputError
from blurgen.kernels.bank import KernelBank, make_bank
from blurgen_cli.report import report as command
from umsn.evaluation.kept_pictures import read_gallery_pictures
from umsn.report.chart import Series, line_chart, short
from umsn.report.embed import data_uris
from umsn.report.markup import Markup, element
from umsn.report.page import report
from umsn.scoring.metrics import psnr
from umsn.scoring.pairs import FolderPairs

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
HOSTILE_FILE = "\"><img src=x onerror=alert(3)><script>alert(4)<b a='"
VOID = {"img", "input", "link", "meta"}


class Page(HTMLParser):
    """The elements of a page; a page that is not well formed is refused."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        assert len({name for name, _ in attributes}) == len(attributes), f"an attribute twice: {attributes}"
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.setdefault(self._open[-1] if self._open else "", []).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self, tag):
        return "".join(self.text.get(tag, []))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    return write_evaluation(tmp_path_factory.mktemp("evaluation"), [f"face{i}" for i in range(5)])


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    path = tmp_path_factory.mktemp("bank") / "kernels.h5"
    make_bank(count=6, min_size=13, max_size=17, samples=200).save(path)
    return path


@pytest.fixture(scope="module")
def page(evaluated, bank, tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("training") / "run")
    out = tmp_path_factory.mktemp("page") / "page.html"
    return report(evaluated, out, run=run, kernels=bank, title="Trial <1>").read_text("utf-8")


def pixels(uri):
    kind, data = uri.split(",")
    assert kind in ("data:image/png;base64", "data:image/jpeg;base64")
    with Image.open(BytesIO(base64.b64decode(data))) as picture:
        return np.asarray(picture)


def test_a_page_holds_tables_pictures_curves_and_kernels(page, evaluated):
    found = Page(page)
    assert found.said("h1") == found.said("title") == "Trial <1>"
    ids = {a["id"] for _, a in found.elements if "id" in a}
    assert {"tables", "pictures", "scores", "figures", "training", "kernels", "definitions"} <= ids
    assert {a["href"][1:] for a in found.all("a")} <= ids
    tables = json.loads((evaluated / "tables.json").read_text())["tables"]
    for table in tables:
        assert table["title"] in found.text["h3"]
    cell = tables[0]["rows"][1]["cells"][0]
    assert {"data-value": repr(cell["value"])} in found.all("td")
    assert all(
        c["text"].split(" (")[0] in found.text["td"] for t in tables for r in t["rows"] for c in r["cells"]
    )
    charts = [a["aria-label"] for a in found.all("svg") if a.get("aria-label")]
    for start in (
        "Loss.",
        "Confidence per class.",
        "Validation PSNR (dB).",
        "Mean PSNR by kernel size (dB).",
        "Kernel 0",
    ):
        assert any(label.startswith(start) for label in charts), start
    assert "1,234 parameters" in found.said("p")


def test_the_gallery_shows_the_pictures_that_were_scored(page, evaluated):
    images = [a for a in Page(page).all("img") if "class" in a or "draggable" in a][:3]
    assert [a.get("class") for a in images] == ["left", "right", None]
    for image, colour in zip(images, (RED, GREEN, BLUE), strict=True):
        assert (pixels(image["src"]) == flat(colour)).all()
    assert f"{psnr(flat(GREEN), flat(BLUE)):.2f} dB" in Page(page).text["b"]


def test_every_slider_can_be_named_and_reached(page):
    found = Page(page)
    sliders = [a for a in found.all("input") if a["type"] == "range"]
    assert len(sliders) == 5 and len({a["aria-label"] for a in sliders}) == 5
    assert all(a.get("alt") for a in found.all("img"))
    assert all(a["scope"] in ("col", "row") for a in found.all("th"))


def test_nothing_is_loaded_from_elsewhere(page):
    found = Page(page)
    for tag, attributes in found.elements:
        for name in ("src", "href", "srcset", "poster", "data", "action", "xlink:href", "background"):
            assert attributes.get(name, "#").startswith(("data:image/", "#")), (tag, name)
        assert "style" not in attributes and not any(name.startswith("on") for name in attributes)
    assert not {"iframe", "object", "embed", "base", "form"} & {tag for tag, _ in found.elements}
    assert not re.search(r"url\(|@import|image-set", found.said("style"))
    assert not re.search(
        r"fetch|XMLHttpRequest|import|WebSocket|Beacon|eval|innerHTML|cookie|location", found.said("script")
    )


def test_the_policy_allows_the_page_s_own_style_and_script_and_nothing_else(page):
    found = Page(page)
    (policy,) = [a["content"] for a in found.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for rule, tag in (("style-src", "style"), ("script-src", "script")):
        digest = base64.b64encode(hashlib.sha256(found.said(tag).encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_the_same_folder_gives_the_same_bytes(evaluated, tmp_path):
    one, two = report(evaluated, tmp_path / "1.html"), report(evaluated, tmp_path / "2.html")
    assert one.read_bytes() == two.read_bytes()


def test_hostile_names_stay_text(tmp_path):
    folder = write_evaluation(tmp_path, [HOSTILE_FILE], HOSTILE)
    tables = json.loads((folder / "tables.json").read_text())
    tables["tables"][0]["title"] = tables["about"]["x"] = HOSTILE
    tables["tables"][0]["rows"][0]["cells"][0]["text"] = HOSTILE
    (folder / "tables.json").write_text(json.dumps(tables))
    (folder / "figures" / f"{HOSTILE_FILE}.png").write_bytes(
        (folder / "figures" / "results.png").read_bytes()
    )
    run = write_run(tmp_path / "run", HOSTILE)
    found = Page(report(folder, run=run, title=HOSTILE).read_text("utf-8"))
    assert len(found.all("script")) == 1 and "alert" not in found.said("script")
    assert not [a for a in found.all("img") if not a["src"].startswith("data:image/")]
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    for tag in ("h1", "title", "h3", "option", "th", "td", "li"):
        assert HOSTILE in found.said(tag), tag
    assert HOSTILE_FILE in found.said("th") and HOSTILE_FILE in found.said("b")


@given(st.text())
def test_any_text_comes_back_as_it_was(text):
    found = Page(element("p", text, title=text))
    shown = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)
    assert found.said("p").replace("\r", "\n") == shown.replace("\r", "\n")
    assert found.all("p") == [{"title": shown}]


def test_only_markup_is_markup():
    assert element("p", "<b>", Markup("<i></i>"), class_="a", hidden=True, id=None) == (
        '<p class="a" hidden>&lt;b&gt;<i></i></p>'
    )


def test_a_number_that_does_not_exist_is_sorted_by_nothing(evaluated, tmp_path):
    tables = json.loads((evaluated / "tables.json").read_text())
    for cell, value in zip(
        tables["tables"][0]["rows"][0]["cells"], (None, "infinity", "-infinity"), strict=False
    ):
        cell["text"], cell["value"] = f"value {value}", value
    (tmp_path / "tables.json").write_text(json.dumps(tables))
    cells = Page(report(tmp_path).read_text("utf-8")).all("td")[:3]
    assert cells == [{}, {"data-value": "Infinity"}, {"data-value": "-Infinity"}]


def test_the_gallery_is_spread_evenly_and_as_long_as_asked(evaluated, tmp_path):
    found = Page(report(evaluated, tmp_path / "page.html", pictures=2).read_text("utf-8"))
    names = [a["aria-label"] for a in found.all("input") if a["type"] == "range"]
    assert names == ["Divide face0_ker00_blur_k13", "Divide face4_ker04_blur_k13"]
    assert "2 of 5 pictures, spread evenly." in found.said("p")
    assert (
        "Pictures" not in Page(report(evaluated, tmp_path / "none.html", pictures=0).read_text()).text["h2"]
    )


def test_keeping_pictures_again_removes_those_of_before_and_no_others(tmp_path):
    out = write_evaluation(tmp_path, ["a", "b"])
    (out / "shown" / "clean" / "mine.png").write_bytes(b"mine")
    pairs = list(FolderPairs(tmp_path / "blurry", tmp_path / "clean"))
    keep(tmp_path, pairs[1:], METHOD)
    kept = {path.relative_to(out / "shown").as_posix() for path in (out / "shown").rglob("*.png")}
    name = "b_ker01_blur_k15.png"
    assert kept == {f"blurry/{name}", f"{METHOD}/{name}", f"clean/{name}", "clean/mine.png"}
    assert [one.name for one in read_gallery_pictures(out, 9).pictures] == ["b_ker01_blur_k15"]


@pytest.mark.parametrize(
    "method", ["..", "../../up", "a/b", "clean", "Clean", "", "x" * 300, "ü: <>|?*", "CON\\x"]
)
def test_a_method_of_any_name_keeps_its_pictures_in_the_folder(tmp_path, method):
    out = write_evaluation(tmp_path / "evaluation", ["a"], method)
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation"]
    assert len(list((out / "shown").glob("*/*.png"))) == 3
    (one,) = read_gallery_pictures(out, 1).pictures
    assert (one.restored[method] == flat(GREEN)).all() and (one.clean == flat(BLUE)).all()


def test_many_pictures_become_jpeg_of_bounded_size():
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
    (one,), exact = data_uris([noise])
    assert not exact and max(pixels(one).shape[:2]) == 1024
    (one,), exact = data_uris([noise[:64, :64]])
    assert exact and (pixels(one) == noise[:64, :64]).all()


def test_a_training_alone_makes_a_page(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "metrics.jsonl").open("ab").write(
        b'{"stage": "umsn", "iteration": 999, "lo\n[1]\n"x"\n{"stage": 3}\n'
        b'{"stage": "\xff", "iteration": 1, "loss": 1}\n'
    )
    found = Page(report(run).read_text("utf-8"))
    assert found.text["h2"] == ["Training"] and found.text["h3"] == ["umsn"]


def test_values_that_cannot_be_drawn_are_left_out(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    odd = ["null", "true", '"1"', "1e400", "-Infinity", "NaN", "[1]", "1" + "0" * 400, "0.5"]
    lines = [f'{{"stage": "s", "iteration": {i}, "loss": {value}}}\n' for i, value in enumerate(odd)]
    (run / "metrics.jsonl").write_text("".join(lines))
    (line,) = [a for a in Page(report(run).read_text("utf-8")).all("li") if "data-x" in a]
    assert (line["data-x"], line["data-y"]) == ("8", "0.5")


def test_a_resumed_training_is_drawn_once(tmp_path):
    run = write_run(tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as log:
        log.write('{"stage": "umsn", "iteration": 20, "loss": 7}\n')
    lines = [a for a in Page(report(run).read_text("utf-8")).all("li") if "data-x" in a]
    assert lines[0]["data-y"].split(" ")[0] == "7" and len(lines[0]["data-x"].split(" ")) == 10


def test_long_curves_are_thinned_to_means():
    x = tuple(float(i) for i in range(30_000))
    found = Page(line_chart("t", "x", [Series("s", x, x)]))
    (line,) = found.all("li")
    drawn = np.array(line["data-x"].split(" "), float)
    assert len(drawn) == 300 and drawn[0] == pytest.approx(49.5, abs=0.1)
    points = np.array([p.split(",") for p in found.all("polyline")[0]["points"].split(" ")], float)
    assert (np.diff(points[:, 0]) > 0).all() and (np.diff(points[:, 1]) < 0).all()


@given(st.lists(st.tuples(*[st.floats(-1e29, 1e29)] * 2), min_size=1, max_size=20, unique_by=lambda p: p[0]))
def test_any_points_fit_into_the_chart(points):
    x, y = zip(*sorted(points), strict=True)
    found = Page(line_chart("t", "x", [Series("s", x, y)]))
    _, _, width, height = map(float, found.all("svg")[0]["viewbox"].split())
    drawn = np.array([p.split(",") for p in found.all("polyline")[0]["points"].split(" ")], float)
    assert (drawn >= 0).all() and (drawn <= [width, height]).all()
    assert 2 <= len([a for a in found.all("text") if a.get("class") == "up"]) <= 12


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (20.456, "20.46"),
        (0.0441234, "0.04412"),
        (120000, "120,000"),
        (5, "5"),
        (-1.5, "-1.5"),
        (1e-7, "1.00e-07"),
    ],
)
def test_numbers_are_short(value, text):
    assert short(value) == text


def test_an_imported_bank_is_shown_without_paths(evaluated, tmp_path):
    made = make_bank(count=4, min_size=13, max_size=13, samples=200)
    KernelBank(made.weights, made.sizes, {"imported": "x<y"}).save(tmp_path / "kernels.h5")
    found = Page(
        report(evaluated, tmp_path / "page.html", kernels=tmp_path / "kernels.h5").read_text("utf-8")
    )
    assert "imported x<y" in found.said("p") and "camera path" not in found.said("p")
    assert len(found.all("image")) == 4


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tables.json", "{", "tables.json: not valid JSON"),
        ("tables.json", '{"about": {}, "tables": [1], "definitions": [], "left_out": []}', "tables"),
        ("tables.json", "[" * 100_000, "not a JSON object"),
        ("scores.csv", f"method,name,kernel_size,psnr,ssim\nx,y,{'9' * 400},1,1\n", "is not what umsn"),
        ("scores.csv", "a,b\n1,2\n", "scores.csv: is not what umsn evaluate writes"),
        ("scores.csv", "method,name,kernel_size,psnr,ssim\nx,y,z,1,1\n", "is not what umsn"),
        ("shown/shown.json", "{}", "shown.json: is not what umsn evaluate writes"),
        (
            "shown/shown.json",
            '{"methods": [], "pictures": ["../../secret"], "main": null, "count": 1}',
            "is not what",
        ),
        ("shown/shown.json", '{"methods": [], "pictures": ["gone"], "main": null, "count": 1}', "gone.png"),
        ("figures/odd.png", "no picture", "odd.png"),
    ],
)  # fmt: skip
def test_damaged_files_are_named(tmp_path, file, content, message):
    folder = write_evaluation(tmp_path, ["a"])
    (folder / file).write_text(content)
    with pytest.raises(InputError, match=message):
        report(folder)
    assert not (folder / "report.html").exists()


def test_a_folder_without_results_is_named(tmp_path):
    with pytest.raises(InputError, match=r"holds no tables.json; run umsn evaluate"):
        report(tmp_path)
    write_run(tmp_path / "run")
    with pytest.raises(InputError, match=r"holds no tables.json"):
        report(tmp_path, run=tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").write_text("\n")
    with pytest.raises(InputError, match="holds no measurements"):
        report(tmp_path / "run")


def test_a_gallery_of_large_pictures_has_fewer(evaluated, monkeypatch):
    monkeypatch.setattr("umsn.evaluation.kept_pictures.MOST_PIXELS", 3 * 3 * 32 * 32)
    kept = read_gallery_pictures(evaluated, 200)
    assert (len(kept.pictures), kept.count) == (3, 5)
    monkeypatch.setattr("umsn.evaluation.kept_pictures.MOST_PIXELS", 1)
    assert len(read_gallery_pictures(evaluated, 200).pictures) == 1


def test_a_negative_number_of_pictures_is_refused(evaluated):
    with pytest.raises(ValueError, match="'pictures' must not be negative, not -1"):
        report(evaluated, pictures=-1)


def test_the_command_writes_the_page_and_says_where(evaluated, bank, tmp_path):
    out = tmp_path / "page.html"
    done = CliRunner().invoke(
        command, [str(evaluated), "--out", str(out), "--kernels", str(bank), "--title", "T"]
    )
    assert done.exit_code == 0, done.output
    assert done.output == f"{out} ({out.stat().st_size / 1e6:.1f} MB)\n"
    assert Page(out.read_text("utf-8")).said("h1") == "T"


def test_the_first_pictures_of_a_long_gallery_come_from_the_whole_test_set(tmp_path):
    out = write_evaluation(tmp_path, [f"face{i:02d}" for i in range(30)])
    faces = [int(one.name[4:6]) for one in read_gallery_pictures(out, 200).pictures]
    assert faces[:10] == list(range(0, 30, 3)) and sorted(faces) == list(range(30))
