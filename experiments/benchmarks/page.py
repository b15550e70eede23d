"""How long the page takes in a browser: the first picture, every further one, and the frames of a walk.

    pip install -e '.[browser]'                    # and Chromium: apt install chromium chromium-driver
    python experiments/benchmarks/page.py

The embedded student at 32 px, and an untrained `tinygan_v2_128`, whose time is that of a trained one. Each
page is opened `--repeats` times in headless Chromium. Printed are the medians of the time from opening it to
its first picture, and of the times of its pictures after that, which the page itself takes in its worker; and
how many frames a second a walk between two pictures has.
"""

import shutil
import statistics
import tempfile
import time
from pathlib import Path

from absl import app, flags
from selenium import webdriver

import tinygan_keras as tg

FLAGS = flags.FLAGS
flags.DEFINE_integer("repeats", 5, "How often each page is opened.", lower_bound=1)
flags.DEFINE_integer("pictures", 30, "Pictures of each opened page.", lower_bound=1)

_FIRST = "return performance.getEntriesByName('picture')[0]?.startTime"
_DRAW = """
const [count, done] = arguments;
(async () => {
  milliseconds.length = 0;
  for (let i = 0; i < count; i++) await generatePicture({ ...picture, seed: String(i) });
  done([...milliseconds]);
})();
"""
_WALK = """
const [seconds, done] = arguments;
(async () => {
  for (const seed of ["1", "2"]) {
    const kept = { ...picture, seed };
    walk.kept.push({ picture: kept, image: await generatePicture(kept) });
  }
  playWalk();
  await new Promise((resume) => setTimeout(resume, 1000 * seconds));
  stopWalk();
  const { frames } = walk;
  done((1000 * (frames.length - 1)) / (frames.at(-1) - frames[0]));
})();
"""


def measure(page: Path) -> tuple:
    """Milliseconds to the first picture, and of every further one, medians; frames a second of a walk."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    service = webdriver.chrome.service.Service(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(300)
    first, further = [], []
    try:
        for _ in range(FLAGS.repeats):
            driver.get("about:blank")
            driver.get(page.as_uri())
            while (opened := driver.execute_script(_FIRST)) is None:
                time.sleep(0.01)
            first.append(opened)
            further += driver.execute_async_script(_DRAW, FLAGS.pictures)
        frames = driver.execute_async_script(_WALK, 3)
    finally:
        driver.quit()
    return statistics.median(first), statistics.median(further), frames


def main(_):
    print("| student | page, kB | first picture, ms | picture, ms | walk, frames/s |")
    print("|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "tinygan_v2_128.keras"
        tg.StudentGenerator.from_preset("tinygan_v2_128").save(large)
        for model in ("tinygan_v2_fashion_32", large):
            page = tg.write_page(model, Path(folder) / "page.html")
            first, further, frames = measure(page)
            size = page.stat().st_size / 1000
            costs = f"{size:,.0f} | {first:,.0f} | {further:,.1f} | {frames:.0f}"
            print(f"| `{Path(model).stem}` | {costs} |")


if __name__ == "__main__":
    app.run(main)
