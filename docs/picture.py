"""Photograph a report into docs/report.png, for the README.

    docs/picture.py [REPORT.html]

Without a report, the demo runs in a scratch warehouse first. Needs Chromium (Debian: chromium).
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PICTURE = DOCS / "report.png"
WINDOW = "1280,2480"
LARGEST = 400_000

HIDDEN = "section:not(#summary, #discrimination, #people), .table, #people figure, .people > :nth-child(n + 3), nav"
"""What is left out, by CSS, so that one picture shows the summary, the curves and a person's reasons."""


def main(argv=None):
    """Take the picture of the report that is named, or of a demo's."""
    named = (argv if argv is not None else sys.argv[1:])[:1]
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(named[0]) if named else demo(Path(scratch))
        page = Path(scratch) / "page.html"
        style = f"<style>{HIDDEN} {{ display: none }}</style></head>"
        page.write_text(report.read_text(encoding="utf-8").replace("</head>", style, 1), encoding="utf-8")
        photograph(page, Path(scratch) / "profile")
    size = PICTURE.stat().st_size
    print(f"{PICTURE.name}: {size:,} bytes")
    return 0 if size <= LARGEST else 1


def demo(scratch: Path) -> Path:
    """The report of a demo in a warehouse of its own."""
    warehouse = scratch / "warehouse"
    subprocess.run([DOCS.parent / "submit.sh", "demo", f"--warehouse={warehouse}"], check=True)
    return next(warehouse.glob("_reports/*/*/report.html"))


def photograph(page: Path, profile: Path) -> None:
    """Write ``PICTURE`` of ``page`` by headless Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Received no chromium on the PATH; expected one. Install it (Debian: apt-get install chromium).")
    subprocess.run([
        chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars",
        f"--user-data-dir={profile}", f"--window-size={WINDOW}", "--virtual-time-budget=10000",
        f"--screenshot={PICTURE}", page.as_uri(),
    ], check=True, stderr=subprocess.DEVNULL, timeout=120)


if __name__ == "__main__":
    sys.exit(main())
