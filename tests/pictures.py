"""Make the pictures of the pages anew, from one run of `usde-spiral`: `python -m tests.pictures`.

The one of the report is a screenshot by headless Chromium, at the clock of the sweep.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from contagion.plot import draw
from contagion.report import write
from contagion.runs import Run, load_run
from contagion.scenario import load
from contagion.study.twins import run
from tests.report.browser import launched, opened

DOCS = Path(__file__).parent.parent / "docs"
TALL = 1_480


def photograph(result: Run, picture: Path) -> None:
    """Save how the report of a run opens: its cards, the player, the network as it stands at the sweep."""
    swept = result.facts["links"]["seen"]["sweep"]["first"]
    with TemporaryDirectory() as place, launched() as browser:
        page = Path(place) / "report.html"
        write(result, page)
        with opened(browser, page, width=1180, device_scale_factor=1) as tab:
            tab.evaluate(MOVE, swept)
            tab.wait_for_timeout(200)
            tab.screenshot(path=picture, clip={"x": 0, "y": 0, "width": 1180, "height": TALL}, full_page=True)


MOVE = """seconds => {
    const clock = document.getElementById('clock');
    clock.value = seconds;
    clock.dispatchEvent(new Event('input', {bubbles: true}));
}"""
"""Turns the page's clock, as a hand would."""


def main(directories: list[str]) -> None:
    """Draw the pictures of a saved run, or of a new one."""
    result = load_run(directories[0]) if directories else run(load("usde-spiral"))
    draw(result, DOCS / "usde-spiral.png")
    photograph(result, DOCS / "report.png")


if __name__ == "__main__":
    main(sys.argv[1:])
