"""How large the page of a million liquidations is, and how soon it is seen: `python -m tests.report.opening`.

Prints a figure a line and asserts nothing: a busy machine is no defect. Needs the extra `browser` and a Chromium.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from contagion.report import write
from tests.report.browser import launched, opened
from tests.report.test_large import million

PAINTED = (
    """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"""
)
LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"
TIMES = 3


def main() -> None:
    """Build the page and open it a few times, each in a new tab."""
    with TemporaryDirectory() as place:
        page, run = Path(place) / "report.html", million()
        start = perf_counter()
        write(run, page)
        print(f"{page.stat().st_size / 1e6:.2f} MB, made in {perf_counter() - start:.1f} s")
        with launched() as browser:
            for _ in range(TIMES):
                with opened(browser, page) as tab:
                    painted = tab.evaluate(PAINTED) / 1_000
                    print(f"loaded after {tab.evaluate(LOADED) / 1_000:.2f} s, seen by {painted:.2f} s (goal 3)")


if __name__ == "__main__":
    main()
