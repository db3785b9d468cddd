"""Real headless Chromium: what a page prints on the console and asks the network for, and a hand that moves it."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 300  # a busy machine is no defect
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


@dataclass(frozen=True)
class Visit:
    """What opening a page has left: the document after its scripts, console lines, URLs it asked the network for."""

    dom: str
    console: list[str]
    requests: list[str]


def chromium() -> str:
    """Return the browser's path; the test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no {', '.join(NAMES)} on the PATH: the report was not opened in a browser")
    return found


def visit(page: Path, scratch: Path) -> Visit:
    """Open a page in a new browser, run its scripts, close it."""
    log = scratch / "net-log.json"
    command = [
        chromium(), *FLAGS, f"--user-data-dir={scratch / 'profile'}", "--enable-logging=stderr", "--v=0",
        f"--log-net-log={log}", "--virtual-time-budget=5000", "--dump-dom", page.resolve().as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    console = [line for line in done.stderr.splitlines() if ":CONSOLE:" in line]
    return Visit(done.stdout, console, _requests(json.loads(log.read_text(encoding="utf-8"))))


def _requests(log: dict[str, Any]) -> list[str]:
    """Return the URLs a page asked for; what the browser asks for on its own behalf has no origin."""
    start = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    started = [event.get("params", {}) for event in log["events"] if event["type"] == start]
    return [p["url"] for p in started if "url" in p and p.get("initiator") != "not an origin"]


@contextmanager
def launched() -> Iterator[Any]:
    """Yield a browser that Playwright moves; skipped without Playwright, which never downloads one of its own."""
    driver = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS), timeout=PATIENCE_S * 1000)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, page: Path, *, width: int = 1280, **context: Any) -> Iterator[Any]:
    """Yield a tab at `page`; whatever that prints, throws or asks for meanwhile fails the test.

    context : options of a browser context, such as color_scheme="dark" or reduced_motion="reduce"
    """
    told: list[str] = []
    address = page.resolve().as_uri()
    window = browser.new_context(viewport={"width": width, "height": 900}, **context)
    window.set_default_timeout(PATIENCE_S * 1000)
    tab = window.new_page()
    tab.on("console", lambda message: told.append(message.text))
    tab.on("pageerror", lambda error: told.append(str(error)))
    tab.on("request", lambda request: told.append(request.url))
    tab.goto(address)
    yield tab
    window.close()
    assert [line for line in told if line.partition("#")[0] != address and not line.startswith("blob:")] == []
