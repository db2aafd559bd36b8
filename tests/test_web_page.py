"""The page that sharpens photographs, in a real browser, with a real network, against what PyTorch makes."""

from __future__ import annotations

import base64
import tempfile
import threading
import time
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
import small_network
import torch
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from test_report_browser import QUIET, shape

from blurgen.faces.procedural import draw_face
from umsn.export.demo import server
from umsn.export.web_page import PageTiling, export_web
from umsn.export.whole import whole
from umsn.restore.deblur import Deblurrer

TILE, OVERLAP = PageTiling().tile, PageTiling().overlap

_PATIENCE = 120  # seconds


@pytest.fixture(scope="module")
def deblurrer(tmp_path_factory):
    return Deblurrer(small_network.save(tmp_path_factory.mktemp("trained")), "cpu")


def served(deblurrer, folder) -> Iterator[str]:
    """Serve the page as ``umsn demo`` does, with ONNX Runtime Web as npm gives it."""
    with server(export_web(deblurrer, folder / "page")) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()


@pytest.fixture(scope="module")
def page(deblurrer, tmp_path_factory) -> Iterator[str]:
    yield from served(deblurrer, tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="module")
def guided(tmp_path_factory):
    return Deblurrer(small_network.save_guided(tmp_path_factory.mktemp("guided")), "cpu")


@pytest.fixture(scope="module")
def guided_page(guided, tmp_path_factory) -> Iterator[str]:
    yield from served(guided, tmp_path_factory.mktemp("guided-web"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for argument in (*QUIET, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        browser = webdriver.Chrome(options)
        yield browser
        browser.quit()


@pytest.fixture
def browser(chromium, page) -> Iterator[webdriver.Chrome]:
    """A fresh page; it must not complain, and must ask no other host for anything."""
    shape(chromium, 1000, 900)
    chromium.get_log("browser")
    chromium.get_log("performance")
    chromium.get(page)
    yield chromium
    assert chromium.get_log("browser") == []
    asked = [entry["message"] for entry in chromium.get_log("performance")]
    hosts = {part.split("/")[0] for text in asked for part in text.split('"url":"http://')[1:]}
    assert hosts <= {page.removeprefix("http://").rstrip("/")}
    assert not any('"url":"https://' in text for text in asked)


def message(browser) -> str:
    return browser.find_element(By.ID, "message").text


def wait_for(browser, start: str) -> str:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if message(browser).startswith(start):
            return message(browser)
        time.sleep(0.1)
    raise AssertionError(f"the page still says {message(browser)!r}")


def canvas(browser, name: str):
    url = browser.execute_script(f"return document.getElementById('{name}').toDataURL('image/png')")
    return np.asarray(Image.open(BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def choose(browser, path) -> None:
    browser.find_element(By.ID, "file").send_keys(str(path))


def face(path, height=120, width=152):
    pixels = draw_face(3, size=160)[0][:height, :width]
    Image.fromarray(pixels).save(path)
    return pixels


def test_a_photograph_comes_out_as_pytorch_makes_it(browser, deblurrer, tmp_path):
    pixels = face(tmp_path / "face.png", 128, 160)
    choose(browser, tmp_path / "face.png")
    wait_for(browser, "Done in")
    assert np.array_equal(canvas(browser, "before"), pixels)
    sharp = canvas(browser, "after").astype(int)
    assert np.abs(sharp - pixels).max() > 4
    far = np.abs(sharp - deblurrer(pixels)) > 2
    # A pixel on which S-Net is undecided may fall to another class.
    assert far.mean() < 0.01


def starts(length):
    if length <= TILE:
        return [0]
    count = -(-(length - OVERLAP) // (TILE - OVERLAP))
    return [(length - TILE) * i // (count - 1) for i in range(count)]


def blended(network, pixels):
    """Deblur tile by tile, as the page says it does: tiles fade into each other where they overlap."""
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
    total, weights = torch.zeros_like(image), torch.zeros(image.shape[-2:])
    height, width = (min(TILE, side) for side in image.shape[-2:])
    ramps = [
        (torch.arange(n).minimum(n - 1 - torch.arange(n)) + 1).div(OVERLAP).clamp(max=1)
        for n in (height, width)
    ]
    share = torch.minimum(ramps[0][:, None], ramps[1])
    for top in starts(image.shape[2]):
        for left in starts(image.shape[3]):
            place = (..., slice(top, top + height), slice(left, left + width))
            with torch.no_grad():
                total[place] += network(image[place]) * share
            weights[place[1:]] += share
    return np.rint((total / weights * 255).numpy()[0].transpose(1, 2, 0))


def test_a_photograph_of_several_tiles_fades_from_one_to_the_next(browser, deblurrer, tmp_path):
    pixels = draw_face(5, size=420)[0][:300]
    Image.fromarray(pixels).save(tmp_path / "large.png")
    choose(browser, tmp_path / "large.png")
    wait_for(browser, "Done in")
    expected = blended(whole(deblurrer), pixels)
    assert (np.abs(canvas(browser, "after") - expected) > 2).mean() < 0.01


def test_a_network_that_finds_the_shake_shows_it(chromium, guided_page, guided, tmp_path):
    """Windows all over the photograph have one kernel, and what is made with it is what PyTorch makes."""
    pixels = draw_face(5, size=330)[0][:250]
    Image.fromarray(pixels).save(tmp_path / "face.png")
    chromium.get(guided_page)
    choose(chromium, tmp_path / "face.png")
    wait_for(chromium, "Done in")
    sharp = canvas(chromium, "after").astype(int)
    assert np.abs(sharp - pixels).max() > 4
    assert np.abs(sharp - guided(pixels)).max() <= 1
    assert chromium.find_element(By.ID, "shaken").is_displayed()
    kernel = guided.kernel(pixels)
    shown = chromium.execute_script(
        "const c = document.getElementById('shake');"
        "return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    )
    alpha = np.reshape(shown, (29, 29, 4))[..., 3]
    assert np.abs(alpha - 255 * kernel / kernel.max()).max() <= 1


def test_slider_and_keyboard(browser, tmp_path):
    face(tmp_path / "face.png")
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("id") == "file"
    choose(browser, tmp_path / "face.png")
    wait_for(browser, "Done in")
    slider = browser.find_element(By.ID, "slider")
    slider.send_keys(Keys.END)
    assert (
        browser.execute_script("return document.getElementById('compare').style.getPropertyValue('--cut')")
        == "100%"
    )
    slider.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Save the sharper photograph"


def test_all_of_a_tall_photograph_is_on_the_screen(browser, tmp_path):
    face(tmp_path / "face.png", 150, 100)
    choose(browser, tmp_path / "face.png")
    wait_for(browser, "Done in")
    shown = browser.find_element(By.ID, "compare").rect
    assert shown["height"] <= 0.8 * browser.execute_script("return innerHeight")
    assert shown["height"] / shown["width"] == pytest.approx(150 / 100, rel=0.02)


def test_it_fits_a_phone(browser, page, tmp_path):
    shape(browser, 360, 740)
    browser.get(page)
    face(tmp_path / "face.png")
    choose(browser, tmp_path / "face.png")
    wait_for(browser, "Done in")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360


def write_text(path):
    path.write_text("no picture")


def write_cut(path):
    face(path)
    path.write_bytes(path.read_bytes()[:300])


def write_huge(path):
    Image.new("L", (7000, 6000)).save(path)


def write_dot(path):
    Image.new("RGB", (3, 40)).save(path)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (write_text, "This file is no picture"),
        (write_cut, "This file is no picture"),
        (write_huge, "This picture has 42 million pixels"),
        (write_dot, "This picture is smaller than 32 pixels"),
    ],
)
def test_files_that_cannot_be_used_get_a_sentence(browser, tmp_path, write, says):
    write(tmp_path / "bad.png")
    choose(browser, tmp_path / "bad.png")
    wait_for(browser, says)
    # And the next one works.
    face(tmp_path / "face.png", 64, 64)
    choose(browser, tmp_path / "face.png")
    wait_for(browser, "Done in")
