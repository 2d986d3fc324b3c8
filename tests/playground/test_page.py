"""The demo's page in a real Chromium, served by the command itself."""

import base64
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nin_gluon.pretrained import write_weights
from tests.exports.made_runs import make_run
from tests.pretrained.made_weights import made_weights

pytest.importorskip("uvicorn", reason="the extra demo is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: "
                                                         "apt-get install chromium)")


@contextlib.contextmanager
def starting(folder):
    """The command, which starts in a folder, and has ended after the block."""
    write_weights(folder / "nin.safetensors", made_weights())
    environment = {**os.environ, "NIN_GLUON_PRETRAINED": str(folder), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "nin_gluon.demo", "--no-browser"],
                               cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The command, which starts; `address` waits for it."""
    folder = tmp_path_factory.mktemp("demo")
    make_run(folder / "runs" / "drawn", model="cifar_nin", dataset="sample", resize=28, epochs=3)
    make_run(folder / "runs" / "dense", model="cifar_nin,head=fc", dataset="sample", resize=28)
    with starting(folder) as process:
        yield process


@pytest.fixture(scope="module")
def address(demo, browser):
    """Where the page is. The browser starts while the command does."""
    return demo.stdout.readline().split()[0]


@pytest.fixture(scope="module")
def browser():
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has none for root
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def tab(address, browser):
    """Function of a context's options: an empty page, and what has gone wrong in it."""
    made = {}

    def open_tab(**options):
        name = str(options)
        if name not in made:
            page, errors = browser.new_context(**options, reduced_motion="reduce").new_page(), []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("request", lambda sent: sent.url.startswith(("data:", address))
                    or errors.append(f"asks {sent.url}"))
            page.on("console", lambda message: "Content Security Policy" in message.text
                    and errors.append(message.text))
            page.set_default_timeout(10000)
            made[name] = page, errors
        return made[name]

    return open_tab


@pytest.fixture
def page(address, tab, request):
    """The page, loaded, with the first test image looked at; nothing may go wrong in it."""
    page, errors = tab(**getattr(request, "param", {"locale": "en-US"}))
    page.goto(address)
    page.wait_for_selector("#classes tr")
    yield page
    assert not errors


@pytest.fixture(scope="module")
def untouched(address, tab):
    """The page as it loads, for tests that change nothing but what is shown."""
    page, errors = tab(locale="en-GB")
    page.goto(address)
    page.wait_for_selector("#classes tr")
    yield page
    assert not errors


def look_after(page, act):
    """Do something that changes the picture, the net or the size; wait for the server's answer."""
    with page.expect_response(re.compile("/api/look")) as reply:
        act()
    assert reply.value.ok


def eventually(page, holds):
    """The page shows an answer a moment after it has come."""
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("still not so after five seconds")


def says(page, where, words):
    playwright.expect(page.locator(where)).to_contain_text(words)


def shares(page):
    return [float(cell.split()[0]) for cell in
            page.locator("#classes .chance").all_inner_texts()]


def scores(page):
    return page.locator("#classes .average").all_inner_texts()


def test_it_loads_with_a_test_image(untouched):
    assert untouched.locator("#classes tr").count() == 10 == len(shares(untouched))
    assert abs(sum(shares(untouched)) - 100) < 1
    assert re.fullmatch(r"The net sees: .+ \(\d+\.\d %\)", untouched.inner_text("#verdict"))
    layers = untouched.locator("#layers .shape").all_inner_texts()
    assert layers[:2] == ["1 channel of 67×67", "96 channels of 15×15"]
    assert layers[-2:] == ["10 channels of 1×1", "10 numbers"]


def test_drawing(page):
    page.click("#clear")
    box = page.locator("#pad").bounding_box()

    def draw():
        page.mouse.move(box["x"] + 60, box["y"] + 60)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, box["y"] + 220, steps=3)
        page.mouse.up()

    before = scores(page)
    look_after(page, draw)
    eventually(page, lambda: scores(page) != before)
    says(page, "#notes", "not on drawings")
    says(page, "#notes", "knows 10 classes only")


def test_drawing_by_keyboard(page):
    page.click("#clear")
    page.focus("#pad")
    before = scores(page)

    def draw():
        page.keyboard.press("Space")
        for _ in range(6):
            page.keyboard.press("ArrowDown")

    look_after(page, draw)
    eventually(page, lambda: scores(page) != before)
    assert page.text_content("#pad-state") == "brush down"
    page.keyboard.press("Space")
    assert page.text_content("#pad-state") == "brush up"


DROP = """([base64, type]) => {
    const data = new DataTransfer();
    const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
    data.items.add(new File([bytes], "dropped", { type }));
    document.body.dispatchEvent(new DragEvent("drop",
        { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def test_dropping_a_picture(page, tmp_path):
    pixels = np.full((120, 80), 250, np.uint8)
    pixels[30:90, 20:60] = 40
    Image.fromarray(pixels).save(tmp_path / "dark.jpg")
    content = [base64.b64encode((tmp_path / "dark.jpg").read_bytes()).decode(), "image/jpeg"]
    look_after(page, lambda: page.evaluate(DROP, content))
    says(page, "#notes", "dark on light")
    says(page, "#notes", "shop photographs")
    # The pad shows what the net was given: light on black.
    corner, middle = page.evaluate("""() => [[5, 5], [140, 140]].map(([x, y]) =>
        document.getElementById("pad").getContext("2d").getImageData(x, y, 1, 1).data[0])""")
    assert corner < 30 and middle > 180


def test_a_bad_file(page, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    before = page.inner_text("#verdict")
    page.set_input_files("#file", tmp_path / "bad.png")
    page.wait_for_selector("#error:visible")
    assert "cannot be read as an image" in page.inner_text("#error")
    page.click("[data-language=zh]")
    says(page, "#error", "读不出来")
    page.click("[data-language=en]")
    assert page.inner_text("#verdict") == before  # the last answer stays
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(20 * 10**6 + 1)
    page.set_input_files("#file", tmp_path / "large.png")
    says(page, "#error", "20 million")
    look_after(page, lambda: page.click("#images button >> nth=1"))
    playwright.expect(page.locator("#error")).to_be_hidden()


def test_the_slider_changes_the_maps(page):
    def move(to):
        page.focus("#size")
        page.keyboard.press(to)

    def squares():
        return page.evaluate("document.querySelector('td.map canvas').width")

    look_after(page, lambda: move("End"))
    assert page.inner_text("#size-text") == "200×200 pixels"
    says(page, "#notes", "never seen images of 200×200")
    eventually(page, lambda: squares() == 5)
    look_after(page, lambda: move("Home"))
    eventually(page, lambda: squares() == 1)


def test_choosing_a_class_lays_its_map_over_the_picture(untouched):
    untouched.click("#classes tr:nth-child(7) button")
    assert untouched.inner_text("#overlay-text").startswith("The map of shirt over the picture.")
    assert untouched.get_attribute("#classes tr:nth-child(7) button", "aria-pressed") == "true"


def test_ones_own_runs(page):
    look_after(page, lambda: page.select_option("#net", "runs/drawn"))
    says(page, "#facts", "the built-in sample of drawn garments")
    says(page, "#notes", "1 of 3 epochs")
    page.click("#clear")
    says(page, "#notes", "only ever seen the drawn")
    page.select_option("#net", "runs/dense")
    says(page, "#size-help", "dense layer")
    playwright.expect(page.locator("#score-title")).to_have_text("Score")
    assert page.is_disabled("#size")


PHONE = {"viewport": {"width": 360, "height": 740}}


@pytest.mark.parametrize("page", [{"locale": "zh-CN", **PHONE}], indirect=True)
def test_chinese(page):
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.get_attribute("html", "lang") == "zh-CN"
    assert page.inner_text("h1") == "看 NiN 怎样认图"
    assert page.inner_text("#verdict").startswith("网络认为是：")
    assert "连衣裙" in page.inner_text("#classes")
    visible = page.inner_text("main")
    assert not re.search(r"[a-z]{3,} [a-z]{3,} [a-z]{3,}", visible)  # no English sentence is left
    page.click("[data-language=en]")
    page.reload()
    assert page.inner_text("h1") == "Network in Network at work"  # remembered


def test_both_languages_say_everything(untouched):
    left = untouched.evaluate("""async () => {
        const { words } = await import("/page/words.js");
        const paths = (part, path) => part && typeof part === "object"
            ? Object.entries(part).flatMap(([key, value]) => paths(value, `${path}.${key}`))
            : [`${path}:${typeof part}`];
        const [en, zh] = [words.en, words.zh].map(each => paths(each, ""));
        const differ = [...en.filter(key => !zh.includes(key)),
                        ...zh.filter(key => !en.includes(key))];
        const used = [...document.querySelectorAll("[data-word]")].map(each => each.dataset.word);
        return [...differ, ...used.filter(key => !(key in words.en))];
    }""")
    # The server's own sentences are English, and so are the names of the classes.
    assert not [path for path in left if not path.startswith((".errors.", ".classes."))]


def brightness(page):
    """Of the page's ground, red only."""
    return int(re.findall(r"\d+", page.evaluate(
        "getComputedStyle(document.body).backgroundColor"))[0])


@pytest.mark.parametrize("page", [{"color_scheme": "dark", **PHONE}], indirect=True)
def test_a_dark_phone(page, untouched):
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert brightness(page) < 60 and brightness(untouched) > 200


def test_everything_has_a_name(untouched):
    """What a screen reader says of each control and picture."""
    unnamed = untouched.evaluate("""() => {
        const named = each => (each.getAttribute("aria-label") || each.textContent.trim()
            || each.getAttribute("alt") || each.querySelector("img")?.alt
            || [...(each.labels || [])].map(label => label.textContent.trim()).join(""));
        return [...document.querySelectorAll("button, input, select, img, canvas")]
            .filter(each => each.getAttribute("aria-hidden") !== "true"
                && !each.closest("[hidden]") && !named(each)).map(each => each.outerHTML);
    }""")
    assert not unnamed


def test_ctrl_c_ends_it_in_one_line(tmp_path):
    """In a demo of its own: the other tests still need theirs."""
    with starting(tmp_path) as demo:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(demo.stdout.readline().split()[0]) as page:  # it has begun to serve
            assert page.status == 200
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=10)
    assert (demo.returncode, out, err.splitlines()[-1]) == (0, "", "the demo has ended")
    assert "Traceback" not in err
