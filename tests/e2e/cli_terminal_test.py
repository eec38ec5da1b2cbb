"""The live display on a real terminal (a pseudo one), read through a screen that knows what few sequences it uses.

If it failed, a person would see flickering, two displays, wrapped lines after a resize, events written over, or a
terminal left in another state than it was."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import tempfile
import termios

ROOT, BUILD = os.environ["TROUPE_SOURCE_ROOT"], os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.join(BUILD, "troupe")
MINIMAL = os.path.join(ROOT, "examples", "minimal", "pipeline.yaml")
LIVE = re.compile(r"^agents  \d+ of \d+ busy")


class Screen:
    """Rows that scroll away are kept: what a person can scroll back to. A resize wraps what is too wide, as most
    terminals do."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.history, self.lines = [], [""]
        self.row = self.column = 0
        self.rest = ""

    def put(self, character):
        if self.column == self.columns:
            self.newline()
            self.column = 0
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[:self.column] + character + line[self.column + 1:]
        self.column += 1

    def newline(self):
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")
        while len(self.lines) > self.rows:
            self.history.append(self.lines.pop(0))
            self.row -= 1

    def resize(self, columns):
        wrapped, row = [], 0
        for number, line in enumerate(self.lines):
            if number == self.row:
                row = len(wrapped)
            parts = [line[at:at + columns] for at in range(0, len(line), columns)] or [""]
            wrapped += parts
        self.columns, self.lines, self.row = columns, wrapped, row
        while len(self.lines) > self.rows:
            self.history.append(self.lines.pop(0))
            self.row -= 1

    def feed(self, text):
        text = self.rest + text
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = re.compile(r"\x1b\[(\d*)([A-Za-z])").match(text, at)
                if not found:
                    assert len(text) - at < 8, repr(text[at:at + 12])  # an incomplete one at the end
                    break
                count, what = int(found.group(1) or 1), found.group(2)
                assert what in "AKJm", repr(found.group(0))  # no mode is ever set
                if what == "A":
                    assert count <= self.row, "the cursor left the screen"
                    self.row -= count
                elif what == "K":
                    self.lines[self.row] = self.lines[self.row][:self.column]
                elif what == "J":
                    self.lines[self.row] = self.lines[self.row][:self.column]
                    del self.lines[self.row + 1:]
                at = found.end()
                continue
            if text[at] == "\r":
                self.column = 0
            elif text[at] == "\n":
                self.newline()
            else:
                assert text[at] >= " ", repr(text[at])
                self.put(text[at])
            at += 1
        self.rest = text[at:]

    def text(self):
        return [line.rstrip() for line in self.history + self.lines]

    def displays(self):
        return sum(1 for line in self.text() if LIVE.match(line))


class Terminal:
    def __init__(self, words, columns=100, rows=30, **more):
        self.temporary = tempfile.TemporaryDirectory(prefix="troupe-terminal-")
        self.master, slave = pty.openpty()
        self.screen = Screen(columns, rows)
        self.size(columns)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.child = subprocess.Popen(
            [TROUPE, *words], cwd=self.temporary.name, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
            env={**os.environ, "HOME": self.temporary.name, "TERM": "xterm-256color", "NO_COLOR": "", **more})
        self.frames = 0

    def size(self, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", self.screen.rows, columns, 0, 0))

    def resize(self, columns):
        self.read_what_is_there()
        self.size(columns)
        self.screen.resize(columns)

    def read_some(self, timeout=60):
        """False at the end. The terminal's echo and the program's writes come as they were made."""
        ready, _, _ = select.select([self.master], [], [], timeout)
        assert ready, self.screen.text()[-8:]
        try:
            got = os.read(self.master, 65536)
        except OSError:  # EIO: the last writer has gone
            return False
        self.frames += got.count(b"\x1b[J")
        self.screen.feed(got.decode())
        return bool(got)

    def read_what_is_there(self):
        while select.select([self.master], [], [], 0)[0] and self.read_some():
            pass

    def until(self, condition):
        while not condition():
            assert self.child.poll() is None, self.screen.text()[-12:]
            self.read_some()

    def end(self, status=0):
        os.close(self.slave)
        while self.read_some():
            pass
        assert self.child.wait(60) == status, self.screen.text()[-12:]
        os.close(self.master)
        self.temporary.cleanup()
        return "\n".join(self.screen.text())


def told(terminal):
    found = re.findall(r"^minimal  (\d+) of ", "\n".join(terminal.screen.text()), re.M)
    return int(found[-1]) if found else 0


def a_whole_run():
    terminal = Terminal(["run", MINIMAL, "--trials", "12"])
    terminal.until(lambda: told(terminal) >= 3)
    assert terminal.screen.displays() == 1
    shown = terminal.screen.text()
    assert any(re.match(r"best  bytes \d+  \(trial \d+\)", line) for line in shown), shown
    assert termios.tcgetattr(terminal.slave) == terminal.before  # no mode was changed, so none can stay
    terminal.until(lambda: told(terminal) >= 9)
    assert terminal.screen.displays() == 1
    text = terminal.end()
    assert not re.search(LIVE.pattern, text, re.M), text  # it has made room
    assert text.startswith("run minimal-") and re.search(r"^best +bytes", text, re.M) and "\nfiles " in text, text
    assert "<- best" in text  # improvements stay
    assert len(re.findall(r"^trial ", text, re.M)) < 12, text  # ... and ordinary trials do not


def the_quote():
    """Below the others from the first one on, and gone at the end."""
    terminal = Terminal(["run", "--var", "x=float(0,1)", "--metric", "m", "--jobs", "2", "--trials", "500", "--", "sh", "-c",
                         "sleep 0.02; echo m={x}"])
    terminal.until(lambda: re.search(r"^agents  .*\nquote  500 trials take \d", "\n".join(terminal.screen.text()), re.M))
    assert terminal.screen.displays() == 1, terminal.screen.text()[-6:]
    os.write(terminal.master, b"\x03")
    text = terminal.end(130)
    assert not re.search(r"^quote  ", text, re.M), text


def resized():
    terminal = Terminal(["run", MINIMAL, "--trials", "20"])
    terminal.until(lambda: told(terminal) >= 2)
    for columns in (50, 24, 120, 33, 100):
        terminal.resize(columns)
        frames = terminal.frames
        terminal.until(lambda: terminal.frames >= frames + 3)
        assert terminal.screen.displays() == 1, (columns, terminal.screen.text())
        live = terminal.screen.text()[-4:-1]
        assert all(len(line) < columns for line in live), (columns, live)
    terminal.end()


def interrupted():
    terminal = Terminal(["run", MINIMAL])
    terminal.until(lambda: told(terminal) >= 2)
    os.write(terminal.master, b"\x03")  # Ctrl-C, echoed as ^C
    text = terminal.end(130)
    assert "interrupted: no new trials, what runs is cancelled" in text and "\nresume     troupe run --resume minimal-" in text, text
    assert not re.search(LIVE.pattern, text, re.M) and "^C" not in text, text


def without_a_display():
    for more in ({"TERM": "dumb"}, {"TERM": ""}):
        terminal = Terminal(["run", MINIMAL, "--trials", "4"], **more)
        text = terminal.end()
        assert len(re.findall(r"^trial \d", text, re.M)) == 4 and terminal.frames == 0, text
    terminal = Terminal(["run", MINIMAL, "--trials", "4", "--quiet"])
    text = terminal.end()
    assert "trial 0 " not in text and terminal.frames == 0 and text.startswith("best "), text
    terminal = Terminal(["run", MINIMAL, "--trials", "4"], columns=12)  # too narrow to be of use
    terminal.end()
    assert terminal.frames == 0


def colours_only_where_wanted():
    for refused in ("", "1"):
        terminal = Terminal(["run", MINIMAL, "--trials", "4"], NO_COLOR=refused)
        styles = []
        feed = terminal.screen.feed
        terminal.screen.feed = lambda text: (styles.extend(re.findall(r"\x1b\[\d*m", text)), feed(text))
        terminal.end()
        assert bool(styles) == (refused == ""), styles[:5]


def strangers_cannot_move_the_cursor():
    """A worker's last words and a value of the space are a stranger's text."""
    directory = tempfile.TemporaryDirectory(prefix="troupe-terminal-")
    path = os.path.join(directory.name, "p.yaml")
    with open(path, "w") as file:
        file.write('space: {x: {choice: ["a\\u001b[2Jb", c]}}\n'
                   "agents: {w: {once: [sh, -c, \"printf '\\\\033[2J\\\\033]0;evil\\\\007oh' >&2; exit 3\"], metrics: [m]}}\n"
                   "stages: {w: {}}\n"
                   "objective: {stage: w, metric: m, goal: minimise}\n"
                   "budget: {trials: 2}\n")
    terminal = Terminal(["run", path])  # the screen asserts on any other sequence
    terminal.child.wait(60)
    text = terminal.end(terminal.child.returncode)
    assert "trial" in text and terminal.child.returncode != 0, text
    directory.cleanup()


for test in (a_whole_run, the_quote, resized, interrupted, without_a_display, colours_only_where_wanted,
             strangers_cannot_move_the_cursor):
    test()
    print("ok", test.__name__, flush=True)
