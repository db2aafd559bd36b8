"""The report in a real browser: what a reader can do with it, on a desk and on a phone, without a network."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from small_evaluation import BLUE, GREEN, METHOD, RED, write_evaluation, write_run

from blurgen.kernels.bank import make_bank
from umsn.report.page import report

QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
HOSTILE = "</script><img src=x onerror=document.title='stolen'>"
LONG = "A-method-with-a-name-that-does-not-end-" * 4


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("report")
    make_bank(count=6, min_size=13, max_size=17, samples=200).save(folder / "kernels.h5")
    evaluated = write_evaluation(folder / "evaluation", [f"face{i}" for i in range(12)])
    run = write_run(folder / "run")
    return report(evaluated, run=run, kernels=folder / "kernels.h5").as_uri()


@pytest.fixture(scope="module")
def long_page(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("long")
    return report(write_evaluation(folder, [f"face{i:02d}" for i in range(30)])).as_uri()


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("hostile")
    name = "\"><img src=x onerror=document.title='stolen'>" + "n" * 80
    return report(write_evaluation(folder, [name], HOSTILE + LONG), title=HOSTILE + LONG).as_uri()


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for argument in (*QUIET, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        browser = webdriver.Chrome(options)
        browser.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        yield browser
        browser.quit()


@pytest.fixture
def browser(chromium) -> Iterator[webdriver.Chrome]:
    """A window of a desk's size; whatever a test does, the page must not complain."""
    shape(chromium, 1280, 900)
    chromium.get_log("browser")
    chromium.get_log("performance")
    yield chromium
    assert chromium.get_log("browser") == []


def shape(browser, width: int, height: int, *, dark: bool = False) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": width < 600})
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    # Without smooth scrolling a click lands where the element is, not where it was.
    still = {"name": "prefers-reduced-motion", "value": "reduce"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, still]})


def stage(browser, number: int = 0):
    found = browser.find_elements(By.CSS_SELECTOR, ".compare")[number]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", found)
    return found


def colour_at(element, share: float) -> str:
    """Return what colour a picture has at a share of its width, a little above its lower edge."""
    with Image.open(BytesIO(element.screenshot_as_png)) as shot:
        pixels = np.asarray(shot.convert("RGB"))
    found = pixels[int(0.9 * len(pixels)), int(share * (pixels.shape[1] - 1))].astype(int)
    known = {"red": RED, "green": GREEN, "blue": BLUE}
    return min(known, key=lambda name: np.abs(found - known[name]).sum())


def column(browser, table, number: int) -> list[str]:
    script = "return [...arguments[0].tBodies[0].rows].map(row => row.cells[arguments[1]].textContent)"
    return browser.execute_script(script, table, number)


def test_keys_move_the_slider_and_change_what_is_shown(browser, page):
    browser.get(page)
    picture = stage(browser)
    assert (colour_at(picture, 0.3), colour_at(picture, 0.7)) == ("red", "green")
    slider = picture.find_element(By.TAG_NAME, "input")
    slider.send_keys(Keys.END)
    assert (colour_at(picture, 0.3), colour_at(picture, 0.7)) == ("red", "red")
    slider.send_keys(Keys.HOME)
    assert (colour_at(picture, 0.3), colour_at(picture, 0.7)) == ("green", "green")
    slider.send_keys(Keys.ARROW_RIGHT)
    assert slider.get_attribute("aria-valuetext") == f"1 % blurry, 99 % {METHOD}"
    outline = browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", picture)
    assert outline == "solid"


def test_a_pointer_drags_the_divider_of_its_picture_alone(browser, page):
    browser.get(page)
    other, picture = stage(browser, 1), stage(browser, 0)
    wide = picture.size["width"]
    drag = ActionChains(browser).move_to_element(picture).click_and_hold()
    drag.move_by_offset(round(0.35 * wide), 5).release().perform()
    assert (colour_at(picture, 0.7), colour_at(picture, 0.95)) == ("red", "green")
    assert (colour_at(other, 0.3), colour_at(other, 0.7)) == ("red", "green")
    ActionChains(browser).move_to_element_with_offset(picture, -round(0.4 * wide), 0).perform()
    assert colour_at(picture, 0.7) == "red"
    ActionChains(browser).click().perform()
    assert (colour_at(picture, 0.05), colour_at(picture, 0.3)) == ("red", "green")


def test_a_finger_drags_the_divider(browser, page):
    shape(browser, 360, 740)
    browser.get(page)
    picture = stage(browser)
    box = browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", picture)
    y = box["top"] + box["height"] / 2
    for kind, share in (("touchStart", 0.5), ("touchMove", 0.4), ("touchMove", 0.2), ("touchEnd", None)):
        points = [] if share is None else [{"x": box["left"] + share * box["width"], "y": y}]
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert (colour_at(picture, 0.1), colour_at(picture, 0.35)) == ("red", "green")


def test_the_reader_chooses_what_is_compared(browser, page):
    browser.get(page)
    picture = stage(browser)
    Select(browser.find_element(By.CSS_SELECTOR, "select[data-side=right]")).select_by_visible_text("clean")
    assert (colour_at(picture, 0.3), colour_at(picture, 0.7)) == ("red", "blue")
    Select(browser.find_element(By.CSS_SELECTOR, "select[data-side=left]")).select_by_visible_text("clean")
    assert (colour_at(picture, 0.3), colour_at(picture, 0.7)) == ("blue", "blue")
    tags = [tag.text for tag in picture.find_elements(By.CSS_SELECTOR, ".tag")]
    assert tags == ["clean", "clean"]


def test_all_pictures_are_there_for_who_asks(browser, long_page, page):
    def seen() -> int:
        figures = browser.find_elements(By.CSS_SELECTOR, ".gallery > figure")
        return sum(figure.is_displayed() for figure in figures)

    browser.get(long_page)
    more = browser.find_element(By.ID, "more")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", more)
    assert (seen(), more.text) == (12, "Show 12 more (18 left)")
    more.click()
    assert (seen(), more.text) == (24, "Show 6 more (6 left)")
    assert browser.switch_to.active_element.get_attribute("aria-label").startswith("Divide face07")
    more.send_keys(Keys.ENTER)
    assert seen() == 30 and not more.is_displayed()
    last = stage(browser, 29)
    last.find_element(By.TAG_NAME, "input").send_keys(Keys.END)
    assert (colour_at(last, 0.3), colour_at(last, 0.7)) == ("red", "red")
    browser.get(page)
    assert seen() == 12 and not browser.find_element(By.ID, "more").is_displayed()


def test_sliders_move_together_when_asked(browser, page):
    browser.get(page)
    browser.find_element(By.ID, "together").click()
    stage(browser).find_element(By.TAG_NAME, "input").send_keys(Keys.END)
    last = stage(browser, 11)
    assert colour_at(last, 0.8) == "red"


def test_a_click_sorts_a_table_by_numbers_and_the_third_undoes_it(browser, page):
    browser.get(page)
    browser.execute_script("document.querySelector('#scores details').open = true")
    table = browser.find_element(By.CSS_SELECTOR, "#scores table")
    before = column(browser, table, 2)
    heading = table.find_elements(By.TAG_NAME, "th")[2]
    button = heading.find_element(By.TAG_NAME, "button")
    assert heading.get_attribute("aria-sort") is None
    button.click()
    falling = column(browser, table, 2)
    assert heading.get_attribute("aria-sort") == "descending"
    assert list(map(float, falling)) == sorted(map(float, before), reverse=True) and falling != before
    names = column(browser, table, 0)
    button.send_keys(Keys.ENTER)
    assert heading.get_attribute("aria-sort") == "ascending"
    assert column(browser, table, 2) == falling[::-1] and column(browser, table, 0) == names[::-1]
    button.send_keys(Keys.SPACE)
    assert heading.get_attribute("aria-sort") is None and column(browser, table, 2) == before


def test_names_sort_as_a_reader_counts(browser, page):
    browser.get(page)
    browser.execute_script("document.querySelector('#scores details').open = true")
    table = browser.find_element(By.CSS_SELECTOR, "#scores table")
    table.find_elements(By.CSS_SELECTOR, "thead button")[0].click()
    assert [name.split("_")[0] for name in column(browser, table, 0)] == [f"face{i}" for i in range(12)]


def test_rows_of_one_kind_are_shown_at_a_time(browser, page):
    browser.get(page)
    block = browser.find_element(By.CSS_SELECTOR, "[data-kinds]")
    shown = "return [...arguments[0].querySelectorAll('tbody tr')].filter(row => !row.hidden).length"
    select = Select(block.find_element(By.TAG_NAME, "select"))
    rows = len(block.find_elements(By.CSS_SELECTOR, "tbody tr"))
    assert browser.execute_script(shown, block) == rows / len(select.options) == 2
    first = block.find_element(By.CSS_SELECTOR, "tbody tr:not([hidden]) td:not([hidden])").text
    select.select_by_visible_text("SSIM")
    assert block.find_element(By.CSS_SELECTOR, "tbody tr:not([hidden]) td:not([hidden])").text != first


def test_a_chart_tells_the_values_under_the_pointer(browser, page):
    browser.get(page)
    chart = browser.find_element(By.CSS_SELECTOR, "#training .chart")
    picture = chart.find_element(By.CSS_SELECTOR, "svg")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", chart)
    last = chart.find_element(By.CSS_SELECTOR, ".legend output").text
    left = -picture.size["width"] // 2 + picture.size["width"] * 50 // 360
    ActionChains(browser).move_to_element_with_offset(picture, left, 0).perform()
    assert chart.find_element(By.CSS_SELECTOR, ".at").text == "20 iteration"
    assert chart.find_element(By.CSS_SELECTOR, ".legend output").text == "0.05" != last
    ActionChains(browser).move_to_element(browser.find_element(By.ID, "training-heading")).perform()
    assert chart.find_element(By.CSS_SELECTOR, ".legend output").text == last


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
@pytest.mark.parametrize("which", ["page", "hostile_page"])
def test_no_window_scrolls_sideways(browser, width, which, request):
    shape(browser, width, 740)
    browser.get(request.getfixturevalue(which))
    browser.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_everything_comes_from_the_file(browser, page):
    browser.get(page)
    assert browser.execute_script("return [...document.images].every(one => one.naturalWidth > 0)")
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert page in asked
    assert {url.split(":")[0] for url in asked} == {"file", "data"}
    assert {url for url in asked if url.startswith("file")} == {page}


def test_hostile_names_do_nothing(browser, hostile_page):
    browser.get(hostile_page)
    assert browser.title == HOSTILE + LONG
    assert browser.find_elements(By.CSS_SELECTOR, "img[onerror], img[src=x]") == []


def test_even_injected_script_would_not_run(chromium, page):
    chromium.get(page)
    chromium.execute_script(
        "try { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.stolen = 1\">') } "
        "catch { window.refused = true }"
    )
    assert chromium.execute_script("return [window.refused, window.stolen]") == [True, None]


def test_a_dark_screen_gets_a_dark_page(browser, page):
    def background() -> list[int]:
        text = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        return [int(part) for part in text[4:-1].split(",")]

    browser.get(page)
    assert min(background()) > 200
    shape(browser, 1280, 900, dark=True)
    assert max(background()) < 60
