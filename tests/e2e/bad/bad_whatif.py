"""Questions to `troupe whatif` that have no answer: wrong words, changes of which a record tells nothing, runs that tell
too little. Each says what is wrong and what is missing; none is answered by a guess."""

import os
import shutil
import subprocess
import tempfile

from bad_table import GOOD, Case

SHORT = """\
space: {x: {float: [0, 1]}}
agents: {work: {once: [sh, -c, 'sleep 5; echo m={x}'], metrics: [m]}}
stages: {work: {}}
objective: {stage: work, metric: m, goal: maximise}
budget: {trials: 2, deadline: 300ms}
"""
ONE = '{"x": 0.25, "kind": "a"}'


class Recorded:
    """A run that is made once and copied for every case."""

    def __init__(self, pipeline, words=(), status=0):
        self.pipeline, self.words, self.status, self.made = pipeline, words, status, None

    def make(self, directory, troupe):
        self.made = tempfile.TemporaryDirectory(prefix="troupe-recorded-")
        for name, text in (("run.yaml", self.pipeline), ("one.json", ONE)):
            with open(os.path.join(self.made.name, name), "w", encoding="utf-8") as file:
                file.write(text)
        shutil.copy(os.path.join(directory, "bad_worker.py"), self.made.name)
        done = subprocess.run([troupe, "run", "run.yaml", "--run-id", "r", "--quiet", *self.words], timeout=60,
                              cwd=self.made.name, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        assert done.returncode == self.status, done.stdout.decode()

    def __call__(self, directory, troupe):
        if self.made is None:
            self.make(directory, troupe)
        shutil.copytree(os.path.join(self.made.name, "runs"), os.path.join(directory, "runs"))


GOOD_RUN = Recorded(GOOD)
SHORT_RUN = Recorded(SHORT, status=11)
ONE_RUN = Recorded(GOOD, ["--configuration", "one.json"])


def ask(name, status, says, *words, before=GOOD_RUN):
    return Case(name, status, says, args=["whatif", *words], before=before)


def change(name, status, says, *sets):
    return ask("whatif: " + name, status, says, "r", *(word for text in sets for word in ("--set", text)))


REFUSED = "the model cannot express this change"
CASES = [
    # words
    change("a member that is not there", "INVALID", ["agents.worker", "'instanses'", "did you mean 'instances'?"],
           "agents.worker.instanses=4"),
    change("an agent that is not there", "USAGE", ["--set", "no agent 'wroker'", "did you mean 'worker'?"],
           "agents.wroker.instances=4"),
    change("a stage that is not there", "USAGE", ["--set", "no stage 'scroe'", "did you mean 'score'?"],
           "stages.scroe.cache=false"),
    change("a section that is not there", "INVALID", ["'budgt'", "did you mean 'budget'?"], "budgt.trials=3"),
    change("no value", "USAGE", ["--set", "PATH=VALUE"], "budget.trials"),
    change("a word for a number", "INVALID", ["agents.worker.instances", "an integer", "'many'"],
           "agents.worker.instances=many"),
    change("more instances than there can be", "INVALID", ["1..256", "300"], "agents.worker.instances=300"),
    change("resources that do not suffice", "UNSATISFIABLE", ["'gpu'", "leaves 0"], "stages.score.resources={gpu: 1}"),
    ask("whatif: an assumption of nothing", "USAGE", ["--assume", "score.tine=2", "STAGE.time=FACTOR"], "r", "--assume",
        "score.tine=2"),
    ask("whatif: an assumption of an unknown stage", "USAGE", ["no stage 'scroe'", "did you mean 'score'?"], "r",
        "--assume", "scroe.time=2"),
    ask("whatif: an instance that is not there", "USAGE", ["instances 0 to 0, not 3"], "r", "--assume",
        "worker/3.speed=2"),
    ask("whatif: too many assumptions", "USAGE", ["33 assumptions, at most 32"], "r", *["--assume", "cores=2"] * 33),
    ask("whatif: an assumption cannot be run", "USAGE", ["--verify", "only assumed"], "r", "--assume",
        "score.time=0.5", "--verify"),
    ask("whatif: a score asks for nothing", "USAGE", ["--score"], "r", "--score"),
    ask("whatif: a score with a change", "USAGE", ["--score"], "--score", "--set", "budget.trials=3"),
    ask("whatif: a ranking shares its effort out", "USAGE", ["--replications", "--rank"], "r", "--rank",
        "--replications", "3"),
    ask("whatif: no such run", "NOT_FOUND", ["no run 'rr'", "did you mean 'r'?"], "rr"),
    ask("whatif: a path for a run", "USAGE", ["../r", "--runs"], "../r"),
    ask("whatif: no runs at all", "NOT_FOUND", ["there are no runs here"], "--runs", "elsewhere"),
    # changes that nothing was measured of
    change("another program", "INVALID", ["agents.worker.program", REFUSED, "another program"],
           "agents.worker.command=[python3, other.py]"),
    change("other options of a worker", "INVALID", ["agents.worker.options", REFUSED], "agents.worker.options.depth=3"),
    change("another environment", "INVALID", ["agents.worker.env", REFUSED], "agents.worker.env.THREADS=3"),
    change("other capabilities", "INVALID", ["agents.worker.capabilities", REFUSED],
           "agents.worker.capabilities=[prepare, score, test]"),
    change("a new agent", "INVALID", ["agents.other", REFUSED, "new agent"],
           "agents.other={command: [x], capabilities: [score]}"),
    change("a new stage", "INVALID", ["stages.test", REFUSED, "new stage"], "stages.test={capability: score}",
           "test={stage: test}"),
    change("other needs", "INVALID", ["stages.prepare.needs", REFUSED], "stages.score.needs=[]", "stages.prepare.needs=[score]",
           "objective={stage: prepare, metric: accuracy, goal: maximise}"),
    change("other variables of a stage", "INVALID", ["stages.prepare.uses", REFUSED], "stages.prepare.uses=[x]"),
    change("another version of a stage", "INVALID", ["stages.score.version", REFUSED], "stages.score.version=2"),
    change("another space", "INVALID", ["space", REFUSED, "old space"], "space.x.float=[0, 2]"),
    change("a constraint", "INVALID", ["space", REFUSED], "constraints=['x < 0.9']"),
    change("other data", "INVALID", ["data", REFUSED], "data.rows=7"),
    change("another objective", "INVALID", ["objective", REFUSED], "objective.goal=minimise"),
    change("options of the process", "INVALID", ["options", REFUSED, "not modelled"], "options.stop_grace=3s"),
    # runs that tell too little
    ask("whatif: no trial has ended", "INVALID", ["no trial has ended yet"], "r", before=SHORT_RUN),
    ask("whatif: one configuration was evaluated", "INVALID", ["searched nothing"], "r", before=ONE_RUN),
]
