"""Photograph a report into docs/report.png: `make picture`, or `python docs/picture.py REPORT.html`.

Without a report, the demo is run in a scratch folder first. Needs Chromium and its driver.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from selenium import webdriver

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "report.png"
WIDTH, HEIGHT = 1280, 1500


def photograph(report: Path) -> None:
    """The top of ``report``, as a reader sees it first, into ``PICTURE``."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"):
        options.add_argument(argument)
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))) as browser:
        browser.get(report.resolve().as_uri())
        browser.save_screenshot(str(PICTURE))


def main(argv: list[str]) -> None:
    """Photograph the report that is named, or a demo's."""
    if argv:
        return photograph(Path(argv[0]))
    with tempfile.TemporaryDirectory(prefix="salus-picture.") as folder:
        subprocess.run([str(ROOT / "submit.sh"), "demo", "--warehouse", f"{folder}/warehouse"], check=True)
        [report] = Path(folder).glob("warehouse/_reports/*/*/report.html")
        return photograph(report)


if __name__ == "__main__":
    main(sys.argv[1:])
