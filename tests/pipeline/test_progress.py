"""The progress of a loop, on a terminal and elsewhere."""

import os
import pty
import re
import subprocess
import sys

SCRIPT = """
import sys, time
from pipeline.progress import progress
with progress("student, method idd", 40, 10) as bar:
    for iteration in range(10, 40):
        time.sleep(0.01)
        bar.step(8, {"total": 1.25, "supervised": 0.5})
        if iteration == 20:
            print("a line of the log", file=sys.stderr)
"""
ENDED = r"40/40  [\d.]+ images/s  ETA 0:00:00  total 1\.25 supervised 0\.5"


def on_a_terminal(script: str, columns: int) -> str:
    """What a script writes to a terminal's stderr, without colours and cursor movements."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    with subprocess.Popen([sys.executable, "-c", script], stderr=theirs, env=environment) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert running.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_a_terminal_gets_a_bar_with_rate_time_left_and_terms() -> None:
    text = on_a_terminal(SCRIPT, 160)
    assert "student, method idd ━" in text
    assert re.search(ENDED, text)
    assert re.search(r"\d\d/40  [\d.]+ images/s  ETA 0:00:0", text)
    assert "\ra line of the log\r\n" in text, "the bar makes room for the log"


def test_a_narrow_terminal_gets_every_term() -> None:
    text = on_a_terminal(SCRIPT, 60)
    assert "…" not in text and "━" in text
    assert text.rstrip().endswith("0.5")


def test_elsewhere_a_line_is_printed_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^student, method idd  {ENDED}$", done.stderr, re.MULTILINE)
