"""The page in headless Chromium, from file://: a silent console, no request outside, nothing wider than a phone."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.report.html.page import page

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-pings",
    # What the browser itself asks for, its own updates, ends at a proxy that is not there.
    "--proxy-server=127.0.0.1:9",
)
DARK = "--blink-settings=preferredColorScheme=0"
LIGHT = "--blink-settings=preferredColorScheme=1"
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
TIMEOUT_S = 120
BROWSERS_OWN = "not an origin"
"""Initiator, in Chromium's log, of what no page asked for."""


class Browser:
    """Opens files in a fresh profile each time."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.runs = 0

    def __call__(self, path: Path, size: tuple[int, int], *flags: str) -> subprocess.CompletedProcess[str]:
        self.runs += 1
        profile = self.folder / f"profile-{self.runs}"
        command = [
            *(self.program, *QUIET, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}"),
            *(*flags, path.as_uri()),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        assert done.returncode == 0, done.stderr
        return done

    def messages(self, path: Path, *flags: str) -> list[str]:
        """What the page said on the console, its violated policies among it."""
        done = self(path, SIZES["desktop"], "--enable-logging=stderr", "--dump-dom", *flags)
        return re.findall(r"CONSOLE[:(].*", done.stderr)

    def requests(self, path: Path) -> list[str]:
        """Addresses that were asked for on the page's behalf, files and data apart; not what the browser asks."""
        log = self.folder / f"net-{self.runs}.json"
        self(path, SIZES["desktop"], f"--log-net-log={log}", "--dump-dom")
        net = json.loads(log.read_text(encoding="utf-8"))
        start = net["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
        asked = [event.get("params", {}) for event in net["events"] if event["type"] == start]
        pages = [one["url"] for one in asked if "url" in one and one["initiator"] != BROWSERS_OWN]
        return sorted({url for url in pages if not url.startswith(("file:", "data:"))})


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed: apt-get install chromium")
    return Browser(program, tmp_path_factory.mktemp("browser"))


@pytest.fixture
def opened(report: dict[str, Any], board: dict[str, Any], tmp_path: Path) -> Path:
    """The page of a report with every part and a hostile class name."""
    hostile = "<script>console.error('ran')</script>"
    text = json.dumps(report).replace('"pole"', json.dumps(hostile))
    report = json.loads(text)
    report["added"] = [{"file": "board.json", "sha256": "a" * 64, "report": board}]
    path = tmp_path / "report.html"
    path.write_text(page(report), encoding="utf-8")
    return path


def test_no_message_and_no_request(browser: Browser, opened: Path) -> None:
    assert browser.messages(opened) == []
    assert browser.requests(opened) == []


def test_a_message_and_a_request_would_be_seen(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "control.html"
    path.write_text("<script>console.error('seen')</script><img src='http://127.0.0.1:9/a.png'>")
    assert any("seen" in message for message in browser.messages(path))
    assert browser.requests(path) == ["http://127.0.0.1:9/a.png"]


@pytest.mark.parametrize("screen", SIZES)
@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_screenshots(browser: Browser, opened: Path, tmp_path: Path, screen: str, scheme: str) -> None:
    shot = tmp_path / "shot.png"
    browser(opened, SIZES[screen], f"--screenshot={shot}", scheme)
    with Image.open(shot) as image:
        grey = np.asarray(image.convert("L"), dtype=np.float64)
    assert grey.shape == SIZES[screen][::-1]
    background = np.median(grey)
    assert background < 40 if scheme == DARK else background > 230
    assert (np.abs(grey - background) > 100).mean() > 0.005, "nothing is written on it"


@pytest.mark.parametrize("screen", SIZES)
def test_only_tables_scroll_sideways(browser: Browser, opened: Path, tmp_path: Path, screen: str) -> None:
    width = SIZES[screen][0]
    assert frame_title(browser, opened.read_text(encoding="utf-8"), width, tmp_path) == f"{width} of {width}"


def test_something_wider_than_the_screen_would_be_seen(browser: Browser, tmp_path: Path) -> None:
    assert (
        frame_title(
            browser, "<!DOCTYPE html><body style='margin:0'><div style='width:400px'>wide</div></body>", 390, tmp_path
        )
        == "400 of 390"
    )


def frame_title(browser: Browser, text: str, width: int, folder: Path) -> str:
    """`scroll width of width` of a page in a frame: windows themselves are never as narrow as a phone."""
    measuring = "<script>top.document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script>"
    free = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    inside = html.escape(free.replace("</body>", measuring + "</body>"))
    frame = folder / "frame.html"
    frame.write_text(f'<title></title><iframe width="{width}" height="800" frameborder="0" srcdoc="{inside}"></iframe>')
    found = re.search("<title>(.*?)</title>", browser(frame, (1400, 900), "--dump-dom").stdout)
    assert found is not None
    return found[1]
