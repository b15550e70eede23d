"""The page: what is in the file, what it refuses, and in a real browser what it draws and how it is used.

The tests of the browser need Chromium and its driver (Debian: apt install chromium chromium-driver).
"""

import _thread
import base64
import io
import json
import re
import shutil
import threading
import time
import webbrowser

import keras
import numpy as np
import pytest
import requests
from PIL import Image
from run_fixtures import TINY_STUDENT, write_teacher

import tinygan_keras as tg
from tinygan_keras.cli import main
from tinygan_keras.cli.page import serve
from tinygan_keras.images import to_uint8
from tinygan_keras.latents import latents_of_seeds
from tinygan_keras.web.student_page import page_weights, write_page

EMBEDDED = "tinygan_v2_fashion_32"
MODEL = re.compile(r'<script id="model" type="application/json">(.*?)</script>', re.S)


def model_in(page) -> dict:
    return json.loads(MODEL.search(page.read_text(encoding="utf-8"))[1])


def randomised(student):
    """A student whose every weight and statistic matters."""
    numbers = np.random.default_rng(0)
    for weight in student.weights:
        values = numbers.normal(0, 0.3, weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return student


# --- The file ---


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of the embedded student, with its teacher's pictures."""
    return write_page(EMBEDDED, tmp_path_factory.mktemp("page") / "page.html")


def test_the_embedded_students_page_is_small_and_needs_nothing_else(page):
    text = page.read_text(encoding="utf-8")

    assert page.stat().st_size <= 300_000
    assert "{{" not in text
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_the_committed_page_is_that_of_the_embedded_student(page, repository):
    committed = repository / "docs" / f"{EMBEDDED}.html"
    text = committed.read_text(encoding="utf-8")
    ours, theirs = model_in(page), model_in(committed)

    for model in (ours, theirs):  # rounding of the teacher differs between processors
        model["teacher"].pop("sprite")
    assert theirs == ours
    assert MODEL.sub("", text) == MODEL.sub("", page.read_text(encoding="utf-8")), (
        f"Write it anew: tinygan page --model={EMBEDDED} --out=docs/{EMBEDDED}.html"
    )


def test_the_page_has_names_costs_and_figures_of_its_evaluation(page):
    model = model_in(page)

    assert model["names"][7] == "Sneaker"
    assert "75,709 parameters" in model["student"]
    assert "8.8 M multiply-adds" in model["student"]
    assert "1,251,426 parameters" in model["teacher"]["cost"]
    assert "158.1 M multiply-adds" in model["teacher"]["cost"]
    evaluation = tg.evaluation.results.read_evaluation(EMBEDDED)
    measured = [evaluation["figures"], evaluation["teacher"]["figures"]]
    assert model["figures"][0] == ["", "student", "teacher"]
    recall = [row[1:] for row in model["figures"] if row[0] == "recall"]
    assert recall == [[f"{figures['recall']:.4g}" for figures in measured]]


def test_the_teachers_pictures_are_those_of_class_and_seed(page):
    model = model_in(page)
    data = model["teacher"]["sprite"].removeprefix("data:image/webp;base64,")
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), "int16")

    picture = sheet[7 * 32 : 8 * 32, 3 * 32 : 4 * 32]
    expected = tg.open_generator("biggan_fashion_32", 1.0).generate([7], seeds=3)[0]
    assert np.abs(picture - expected).mean() < 3  # WebP at quality 90


def test_weights_become_half_as_large_and_keep_their_order():
    student = randomised(tg.StudentGenerator((4, 6, 5), 6, num_classes=3, embedding_dim=2))

    kernels, vectors = page_weights(student, "tiny")

    kernels, vectors = np.frombuffer(kernels, "<f2"), np.frombuffer(vectors, "<f4")
    table = np.asarray(student.get_layer("class_embedding").embeddings)
    np.testing.assert_allclose(kernels[:6], table.ravel(), rtol=1e-3)
    np.testing.assert_array_equal(vectors[-3:], student.get_layer("to_rgb").bias)
    folded = 2 * sum(student.channels[-1:])  # gamma, beta, mean and variance become scale and shift
    moving = sum(np.size(w) for w in student.non_trainable_weights) - folded
    assert len(kernels) + len(vectors) == student.count_params() - folded - moving


def test_the_one_channel_of_a_grey_student_becomes_three():
    student = tg.StudentGenerator((4, 6), 6, 3, embedding_dim=2, image_channels=1)
    randomised(student)
    to_rgb = student.get_layer("to_rgb")

    kernels, vectors = page_weights(student, "grey")

    kernel = np.frombuffer(kernels, "<f2")[-9 * 6 * 3 :].reshape(3, 3, 6, 3)
    np.testing.assert_allclose(kernel, np.repeat(to_rgb.kernel, 3, axis=-1), rtol=1e-3)
    np.testing.assert_array_equal(np.frombuffer(vectors, "<f4")[-3:], np.repeat(to_rgb.bias, 3))


@pytest.mark.parametrize("name", ["a</script><b>.keras", "ümlaut & co.keras"])
def test_a_name_stays_text(name, tmp_path):
    file = tmp_path / name.replace("/", "_")
    tg.StudentGenerator.from_preset("tinygan_fashion_32", **TINY_STUDENT).save(file)

    text = write_page(file, tmp_path / "page.html").read_text(encoding="utf-8")

    assert text.count("</script>") == 3
    assert model_in(tmp_path / "page.html")["name"] == file.name
    assert str(tmp_path) not in text


def test_figures_of_other_weights_are_left_out(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tg.embedded.EMBEDDED[EMBEDDED], run)
    tg.StudentGenerator.from_preset(EMBEDDED, load_weights=False).save(run / "student.keras")

    with pytest.warns(UserWarning, match="other weights"):
        page = write_page(run, tmp_path / "page.html", teacher=None)

    assert model_in(page)["figures"] == [
        ["No evaluation of these weights: tinygan evaluate makes one"]
    ]
    assert model_in(page)["teacher"] is None


def test_only_the_classes_of_the_training_are_offered(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"classes": "2,5-6", "truncation": 0.25}))
    student = tg.StudentGenerator.from_preset("tinygan_fashion_32", **TINY_STUDENT)
    student.save(tmp_path / "student.keras")

    model = model_in(write_page(tmp_path, tmp_path / "page.html"))

    assert (model["labels"], model["start"], model["truncation"]) == ([2, 5, 6], 2, 0.25)


# --- Mistakes ---


def test_another_network_is_refused(tmp_path):
    inputs = [keras.Input((4,)), keras.Input((), dtype="int32")]
    images = keras.layers.Reshape((2, 2, 3))(keras.layers.Dense(12)(inputs[0]))
    keras.Model(inputs, images).save(tmp_path / "other.keras")

    with pytest.raises(tg.errors.InputError, match="Expected a StudentGenerator of at most 20 MiB"):
        write_page(tmp_path / "other.keras", tmp_path / "page.html")

    assert not (tmp_path / "page.html").exists()


def test_a_student_that_no_page_carries_is_refused():
    student = tg.StudentGenerator((2048, 2048, 8), num_classes=2)

    with pytest.raises(tg.errors.InputError, match=r"Got huge with \d+ MiB .* at most 20 MiB"):
        page_weights(student, "huge")


def test_weights_that_float16_cannot_hold_are_refused():
    student = tg.StudentGenerator((4, 4), 4, num_classes=2, embedding_dim=2)
    student.get_layer("block_0_shortcut").kernel.assign(np.full((1, 1, 4, 4), 1e5))

    with pytest.raises(tg.errors.InputError, match="Got bad with a weight of 1e[+]05"):
        page_weights(student, "bad")


def test_a_teacher_of_other_latents_is_refused(tmp_path):
    write_teacher(tmp_path / "teacher")

    with pytest.raises(tg.errors.InputError, match="latent_dim=32 and a teacher with latent_dim=4"):
        write_page(EMBEDDED, tmp_path / "page.html", teacher=tmp_path / "teacher")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Got no --model"),
        (["--model=nowhere"], "Got 'nowhere'"),
        ([f"--model={EMBEDDED}", "--out=page.png"], "Expected a file that ends in .html"),
        (["--model=biggan_fashion_32"], "in which there is no student"),
    ],
)
def test_a_mistake_is_one_message(flags, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert main(["page", *flags]) == 2

    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_command_writes_and_says_the_size(tmp_path, capsys):
    out = tmp_path / "page.html"

    assert main(["page", f"--model={EMBEDDED}", f"--out={out}", "--teacher=none"]) == 0

    assert f"kB: {out}" in capsys.readouterr().out
    assert model_in(out)["teacher"] is None


def test_a_served_page_is_all_that_this_machine_serves(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.html"
    page.write_text("<p>the page</p>", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("another file")
    answers = {}

    def visit(address):
        def read():
            for path in ("", "secret.txt", "../secret.txt"):
                answers[path] = requests.get(address + path, timeout=30)
            answers["address"] = address
            _thread.interrupt_main()  # Ctrl-C

        threading.Thread(target=read).start()

    monkeypatch.setattr(webbrowser, "open", visit)
    serve(page)

    assert answers["address"].startswith("http://127.0.0.1:")
    assert answers["address"] in capsys.readouterr().out
    assert answers[""].text == "<p>the page</p>"
    assert answers[""].headers["Content-Type"] == "text/html; charset=utf-8"
    assert answers["secret.txt"].status_code == answers["../secret.txt"].status_code == 404


# --- In the browser ---


class Browser:
    """A page in Chromium, and what people do with it."""

    def __init__(self, driver):
        self.driver = driver

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def open(self, page, address=""):
        self.driver.get("about:blank")
        self.driver.get(page.as_uri() + address)
        self.wait()

    def wait(self, seconds=30):
        end = time.monotonic() + seconds
        while self.run("return document.getElementById('stage').ariaBusy") != "false":
            assert time.monotonic() < end, self.driver.get_log("browser")
            time.sleep(0.02)

    def find(self, css):
        return self.driver.find_element("css selector", css)

    def click(self, css):
        self.find(css).click()
        self.wait()

    def text(self, css):
        return self.find(css).text

    def pixels(self, css="#student"):
        """What a canvas shows, int `[H, W, 3]`."""
        size, data = self.run(
            "const c = document.querySelector(arguments[0]);"
            "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            "return [[c.height, c.width], Array.from(d)];",
            css,
        )
        return np.reshape(data, (*size, 4))[..., :3]

    def show(self, **picture):
        """Shows a picture by the function behind all controls."""
        self.run("change(arguments[0])", picture)
        self.wait()

    def picture(self) -> dict:
        return self.run("return picture")

    def address(self) -> str:
        return self.driver.current_url.partition("#")[2]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver

    names = ("chromium", "chromium-browser", "google-chrome")
    binary = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if not (binary and driver):
        pytest.fail("Chromium and its driver aren't here: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1100,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.chrome.service.Service(driver)
    chromium = webdriver.Chrome(options=options, service=service)
    yield Browser(chromium)
    chromium.quit()


def student_picture(model, label, seed, truncation):
    generator = tg.open_generator(model)
    return generator.generate([label], seeds=seed, truncation=truncation)[0].astype("int16")


@pytest.mark.browser
def test_forty_pictures_are_the_students(browser, page):
    browser.open(page)
    pairs = [(label, seed) for label in range(10) for seed in (0, 3, 12345, 2**40 + 7)]
    expected = tg.open_generator(EMBEDDED).generate(*map(list, zip(*pairs, strict=True)))

    for (label, seed), image in zip(pairs, expected.astype("int16"), strict=True):
        browser.show(weights=[[label, 1]], seed=str(seed), truncation=1, steps=[])
        assert np.abs(browser.pixels() - image).max() <= 2, (label, seed)


@pytest.mark.browser
@pytest.mark.parametrize(("pointwise_first", "image_channels"), [(True, 3), (False, 3), (True, 1)])
@pytest.mark.parametrize("latents", ["dense", "pieces", "everywhere"])
def test_every_kind_of_student_is_drawn(
    browser, tmp_path, latents, pointwise_first, image_channels
):
    student = tg.StudentGenerator(
        (7, 5, 6),  # no multiples of four
        latent_dim=8,
        num_classes=3,
        embedding_dim=2,
        latents=latents,
        pointwise_first=pointwise_first,
        image_channels=image_channels,
    )
    randomised(student).save(tmp_path / "student.keras")
    browser.open(write_page(tmp_path / "student.keras", tmp_path / "page.html"))

    browser.show(weights=[[2, 1]], seed="3", truncation=0.7, steps=[])

    expected = student_picture(tmp_path / "student.keras", 2, 3, 0.7)
    assert np.ptp(expected) > 50, "the picture is no plain grey"
    assert np.abs(browser.pixels() - expected).max() <= 2


@pytest.mark.browser
def test_latents_are_those_of_the_command_line(browser, page):
    browser.open(page)
    seeds = [0, 1, 2**31, 2**32 - 1, 2**32, 123456789012345678, 2**63 - 1]

    script = "return arguments[0].map((s) => Array.from(latentsOfSeed(BigInt(s), 32)))"
    latents = browser.run(script, [str(seed) for seed in seeds])

    np.testing.assert_allclose(latents, latents_of_seeds(seeds, 32), atol=1e-6, rtol=0)


@pytest.mark.browser
def test_the_mixing_pad_is_dragged_and_moved_by_keys(browser, page):
    from selenium.webdriver import ActionChains, Keys

    browser.open(page)
    for label in (9, 3):
        browser.click(f"[data-label='{label}']")
    assert [weight for _, weight in browser.picture()["weights"]] == pytest.approx([1 / 3] * 3)

    browser.run("document.getElementById('pad').scrollIntoView({block: 'center'})")
    handle = browser.find("#pad .handle")
    ActionChains(browser.driver).move_to_element(handle).click_and_hold().move_by_offset(
        20, 30
    ).release().perform()
    browser.wait()
    dragged = browser.picture()["weights"]
    assert sum(weight for _, weight in dragged) == pytest.approx(1)
    assert all(0 <= weight <= 1 for _, weight in dragged)
    assert dragged[1][1] > 0.4, "towards the corner on the right, below"

    browser.find("#pad").send_keys(Keys.ARROW_UP)
    browser.wait()
    moved = browser.picture()["weights"]
    assert moved[0][1] > dragged[0][1]

    row = np.zeros((1, 10), "float32")
    for label, weight in moved:
        row[0, label] = weight
    mixed = tg.open_generator(EMBEDDED).mix(latents_of_seeds([0], 32), row)
    assert np.abs(browser.pixels() - to_uint8(mixed)[0].astype("int16")).max() <= 2


@pytest.mark.browser
@pytest.mark.parametrize("count", range(2, 9))
def test_weights_add_to_one_wherever_the_pointer_is(browser, page, count):
    browser.open(page)
    points = np.random.default_rng(0).uniform(-300, 300, (40, 2)).tolist()

    script = (
        "const c = corners(arguments[1]); return arguments[0].map((p) => {"
        "const at = intoPolygon(p, c); const w = weightsAt(at, c);"
        "return [w, pointOf(w.map((x, i) => [i, x]), c), at]; })"
    )
    for weights, back, at in browser.run(script, points, count):
        assert min(weights) >= 0
        assert sum(weights) == pytest.approx(1)
        assert back == pytest.approx(at, abs=1e-2), "weights are coordinates of the point"


@pytest.mark.browser
def test_the_address_is_the_picture(browser, page):
    browser.open(page, "#classes=3:0.75,7:0.25&seed=11&truncation=0.5&steps=2.7")
    first = browser.pixels()
    assert browser.text("#description") == (
        "Dress 75 %, Sneaker 25 %, seed 11, 2 variations on, truncation 0.5"
    )

    browser.click("#back")
    assert browser.address().endswith("&steps=2")
    browser.driver.get(browser.driver.current_url.replace("&steps=2", "&steps=2.7"))
    browser.driver.refresh()
    browser.wait()

    np.testing.assert_array_equal(browser.pixels(), first)


@pytest.mark.browser
@pytest.mark.parametrize(
    "address",
    [
        "#classes=99",
        "#classes=Sneaker",
        "#classes=1,1",
        "#classes=1:0,2:0",
        "#seed=-1",
        "#seed=9223372036854775808",
        "#truncation=1.5",
        "#steps=8",
        "#class=7",
        "#%00%ff",
    ],
)
def test_an_address_with_nonsense_gives_the_default_picture_and_a_word(browser, page, address):
    browser.open(page)
    default = browser.pixels()

    browser.open(page, address)

    assert "can't be read" in browser.text("#message")
    np.testing.assert_array_equal(browser.pixels(), default)
    browser.click("[data-label='7']")
    assert browser.text("#message") == ""


@pytest.mark.browser
def test_a_variation_is_gone_on_from_and_back(browser, page):
    browser.open(page)
    first = browser.pixels()
    canvas = "#gallery button[aria-label='Variation 3'] canvas"
    variation = browser.pixels(canvas)
    assert 2 < np.abs(variation - first).mean() < 60, "a small step"

    browser.click("#gallery button[aria-label='Variation 3']")
    np.testing.assert_array_equal(browser.pixels(), variation)
    np.testing.assert_array_equal(browser.pixels("#gallery div canvas"), variation)

    browser.click("#back")
    np.testing.assert_array_equal(browser.pixels(), first)


@pytest.mark.browser
def test_the_walk_passes_from_one_kept_picture_to_the_next(browser, page):
    browser.open(page)
    first = browser.pixels()
    browser.click("#keep")
    browser.show(weights=[[9, 1]], seed="4")
    browser.click("#keep")
    last = browser.pixels()
    start, middle, end = (
        np.array(
            browser.run(
                "const [a, b] = walk.kept.map((k) => k.picture);"
                "const m = between(a, b, arguments[0]);"
                "return generate(m.latent, m.weights).then((i) => Array.from(i.data));",
                at,
            )
        ).reshape(32, 32, 4)[..., :3]
        for at in (0, 0.5, 1)
    )
    np.testing.assert_array_equal(start, first)
    np.testing.assert_array_equal(end, last)
    assert np.abs(middle - first).mean() > 5 < np.abs(middle - last).mean()

    browser.find("#play").click()
    time.sleep(1)
    assert browser.run("return walk.frames.length") >= 5
    assert browser.find("#play").get_attribute("aria-pressed") == "true"
    browser.click("#play")
    np.testing.assert_array_equal(browser.pixels(), last)


@pytest.mark.browser
def test_the_teacher_stands_beside_where_its_picture_is_here(browser, page):
    browser.open(page)
    browser.show(weights=[[7, 1]], seed="3", truncation=1, steps=[])
    expected = tg.open_generator("biggan_fashion_32", 1.0).generate([7], seeds=3)[0]
    assert np.abs(browser.pixels("#teacher") - expected.astype("int16")).mean() < 3

    browser.show(seed="8")
    assert browser.pixels("#teacher").max() == 0
    assert "seeds 0 to 7" in browser.text("#teacher-note")


@pytest.mark.browser
def test_pictures_are_saved_as_they_are_shown(browser, page, tmp_path):
    browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    browser.open(page, "#classes=7&seed=3&truncation=1")
    for button in ("#save-picture", "#save-grid"):
        browser.find(button).click()
    end = time.monotonic() + 20
    while len(list(tmp_path.glob("*.png"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)

    one, grid = sorted(tmp_path.glob("*.png"))
    assert one.name == "Sneaker_seed_3_truncation_1.png"
    np.testing.assert_array_equal(np.asarray(Image.open(one))[..., :3], browser.pixels())
    grid = np.asarray(Image.open(grid))[..., :3]
    assert grid.shape == (96, 96, 3)
    np.testing.assert_array_equal(grid[32:64, 32:64], browser.pixels())


@pytest.mark.browser
def test_everything_is_reached_by_keys_and_has_a_name(browser, page):
    from selenium.webdriver import Keys

    browser.open(page, "#classes=3,7&seed=0&truncation=1&steps=1")
    reached = {}
    for _ in range(60):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        key, name, outline = browser.run(
            "const e = document.activeElement; const s = getComputedStyle(e);"
            "if (e === document.body) return ['', '', ''];"
            "const label = document.querySelector(`label[for='${e.id}']`);"
            "const name = e.ariaLabel || e.textContent || label?.textContent;"
            "return [e.id || name, name, s.outlineStyle];"
        )
        if key in reached or key == "":  # all around, or out of the page
            break
        reached[key] = name
        assert name, f"{key} has no name"
        assert outline == "solid", f"the focus on {key} can't be seen"
    expected = {"save-picture", "save-grid", "copy-link", "pad", "seed", "random", "truncation"}
    assert expected | {"back", "keep", "Sneaker", "Variation 1", "Variation 8"} <= set(reached)


@pytest.mark.browser
def test_keys_choose_class_and_seed(browser, page):
    from selenium.webdriver import Keys

    browser.open(page)
    browser.find("[data-label='7']").send_keys(Keys.ENTER)
    browser.wait()
    assert [label for label, _ in browser.picture()["weights"]] == [0, 7]
    browser.driver.switch_to.active_element.send_keys(Keys.SPACE)
    browser.wait()
    assert [label for label, _ in browser.picture()["weights"]] == [0], "the focus stays"

    browser.find("#seed").send_keys(Keys.ARROW_UP)
    browser.wait()
    assert browser.picture()["seed"] == "1"
    browser.find("#seed").send_keys("x")
    assert "a whole number" in browser.text("#message")
    assert browser.picture()["seed"] == "1"


@pytest.mark.browser
def test_no_request_leaves_the_page(browser, page):
    browser.driver.get_log("performance")
    browser.open(page, "#classes=3,7&seed=0")
    browser.click("#random")
    browser.click("#keep")

    sent = []
    for entry in browser.driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            sent.append(message["params"]["request"]["url"])
    assert page.as_uri() in {url.partition("#")[0] for url in sent}, "requests are seen"
    others = [
        url for url in sent if not url.startswith((page.as_uri(), "blob:", "data:", "about:"))
    ]
    assert not others
    errors = [entry for entry in browser.driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors


@pytest.mark.browser
def test_both_themes_and_a_phone(browser, page):
    colours = set()
    emulate = browser.driver.execute_cdp_cmd
    for theme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": theme}
        emulate("Emulation.setEmulatedMedia", {"features": [feature]})
        browser.open(page, "#classes=3,7,9&seed=0")
        colours.add(browser.run("return getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2

    size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    emulate("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.open(page, "#classes=3,7,9&seed=0")
        assert browser.run("return document.documentElement.scrollWidth") <= 390
    finally:
        emulate("Emulation.clearDeviceMetricsOverride", {})
        emulate("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.browser
def test_many_classes_are_searched(browser, tmp_path):
    student = tg.StudentGenerator((4, 4), 4, num_classes=300, embedding_dim=2)
    student.save(tmp_path / "student.keras")
    (tmp_path / "class_names.txt").write_text("\n".join(f"kind {i}" for i in range(300)))
    browser.open(write_page(tmp_path / "student.keras", tmp_path / "page.html"))
    assert len(browser.driver.find_elements("css selector", "#chips button")) == 60

    browser.find("#search").send_keys("kind 29")

    names = [b.text for b in browser.driver.find_elements("css selector", "#chips button")]
    assert names == ["kind 0", "kind 29", *(f"kind {i}" for i in range(290, 300))]
