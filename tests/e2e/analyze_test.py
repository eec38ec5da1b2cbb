"""A real run, taken apart: what `troupe analyze` says of it adds up, agrees with what the run itself counted, and the
page it left is whole. Stages that are shared, fail and are tried again, a trial that fails for good, a held-out test,
a name full of markup.

If it failed, a person would look for a bottleneck where there is none, or find half a report."""
import html.parser
import json
import os
import subprocess
import tempfile

ROOT, BUILD = os.environ["TROUPE_SOURCE_ROOT"], os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.join(BUILD, "troupe")
NAME = "</script><img src=x onerror=alert(1)>"
WORKER = r'''
import hashlib, os, sys
sys.path.insert(0, os.environ["SDK"])
import troupe_worker as worker

def work(rounds):
    hashlib.pbkdf2_hmac("sha256", b"pass", b"salt", rounds)

@worker.capability("prepare")
def prepare(task):
    work(300000)
    return {"rows": 7}

@worker.capability("train")
def train(task):
    x = task.variables["x"]
    work(5000 + int(x * 10000))
    if x > 1.8 and task.attempt == 1:
        raise worker.Retry("</script><b>this one fails at first</b>")
    if x > 1.95:
        raise ValueError("</script><b>this one fails for good</b>")
    return {"score": 1 - (x - 1) ** 2, "test": 0.5}

worker.run()
'''
PIPELINE = """
name: %s
space:
  x: {float: [0, 2], default: 1.9}
agents:
  worker: {command: [python3, worker.py], instances: 2, capabilities: [prepare, train], env: {SDK: SDKDIR}}
stages:
  prepare: {uses: []}
  train: {needs: [prepare], uses: [x], retries: 1}
  check: {capability: train, needs: [prepare], uses: [x], cache: false}
objective: {stage: train, metric: score, goal: maximise}
test: {stage: check, metric: test}
budget: {trials: 24}
optimizer: {sampler: random, seed: 3}
"""


def troupe(*words, status=0):
    done = subprocess.run([TROUPE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == status, (words, done.returncode, done.stderr.decode())
    return done.stdout.decode()


class Page(html.parser.HTMLParser):
    VOID = {"meta", "input", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.data, self.text = [], [], "", []

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append(tag)

    def handle_endtag(self, tag):
        assert self.open[-1] == tag, (tag, self.open, self.getpos())
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "script" and not self.data:
            self.data = data
        elif not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)


def check_analysis(analysis, response):
    assert analysis["trials"] == response["trials"] == 24, analysis["trials"]
    assert analysis["problems"] == [], analysis["problems"]
    for path in analysis["paths"]:  # the pieces of a trial add to its wall time, within a microsecond
        pieces = sum(piece["ms"] for piece in path["pieces"])
        assert abs(pieces - path["wall_ms"]) <= 0.001 + 1e-9, path
        assert abs(path["error_ns"]) <= 1000, path
    causes = {piece["cause"] for path in analysis["paths"] for piece in path["pieces"]}
    assert {"store", "stage", "reuse wait"} <= causes, causes
    assert "unaccounted" not in causes
    assert abs(sum(rank["percent"] for rank in analysis["spent_on"]) - 100) < 1e-6
    agents = analysis["agents"]
    whole = analysis["wall_ms"] * agents["count"]
    parts = agents["executing_ms"] + agents["waiting_ms"] + agents["idle_ms"]
    assert abs(parts - whole) <= 0.001 * whole, (parts, whole)
    for queue in analysis["queues"]:
        assert queue["little_error"] <= 0.001, queue


def check_against_run(analysis, response):
    """What the engine counted while it ran, and what the store tells afterwards."""
    time = response["time"]
    assert abs(analysis["trial_wall_ms"] - time["trial_wall_ms"]) <= 0.001 * 24 + 0.01, \
        (analysis["trial_wall_ms"], time["trial_wall_ms"])
    assert abs(analysis["agents"]["executing_ms"] - time["agents"]["executing_ms"]) <= 0.1, \
        (analysis["agents"], time["agents"])
    assert abs(sum(share["percent"] for share in time["shares"]) - 100) < 1e-6
    used = [time["agents"][name] for name in ("cpu_ms", "core_wait_ms", "blocked_ms")]  # blocked: not below 0
    assert min(used) >= 0 and used[0] > 0 and sum(used) >= time["agents"]["executing_ms"] - 0.1, time["agents"]
    store = {share["name"]: share["ms"] for share in time["shares"]}["store"]
    said = {rank["name"]: rank["ms"] for rank in analysis["spent_on"]}["store"]
    assert store <= said + 0.1, (store, said)  # of failed trials the run counts what is at the end, not at the start


def check_page(path, trials):
    with open(path, encoding="utf-8") as file:
        page = Page()
        page.feed(file.read())
        page.close()
    assert page.open == [] and "img" not in page.elements and "b" not in set(page.elements) - {"b"}
    text = "".join(page.text)
    assert NAME in text and "</script><b>this one fails for good</b>" in text
    data = json.loads(page.data)
    assert len(data["number"]) == trials
    assert data["executions"], "no lanes"
    assert "What limits it" in text and "100.0\u2009%" in text


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        with open("worker.py", "w", encoding="utf-8") as file:
            file.write(WORKER)
        with open("pipeline.yaml", "w", encoding="utf-8") as file:
            file.write((PIPELINE % json.dumps(NAME)).replace("SDKDIR", os.path.join(ROOT, "sdk", "python")))
        response = json.loads(troupe("run", "pipeline.yaml", "--run-id", "one", "--json", "--trace"))
        analysis = json.loads(troupe("analyze", "one", "--json"))
        check_analysis(analysis, response)
        check_against_run(analysis, response)
        check_page("runs/one/report.html", 24)
        troupe("show", "one", "--html", "again.html")
        check_page("again.html", 24)
        text = troupe("analyze", "one", "--trial", "0")
        assert "Critical path of trial 0" in text and "failed attempt" in text, text
        spans = json.loads(troupe("analyze", "runs/one/trace.bin", "--json"))
        task = {span["name"]: span for span in spans["spans"]}["task"]
        assert task["served"]["count"] == response["counts"]["tasks"], (task, response["counts"])
        assert spans["unmatched"] == 0 and spans["damage"] is None
        troupe("analyze", "none", status=5)
        print("24 trials, %d pieces of paths, %d records" %
              (sum(len(path["pieces"]) for path in analysis["paths"]), spans["records"]))


if __name__ == "__main__":
    main()
