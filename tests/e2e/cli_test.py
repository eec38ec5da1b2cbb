"""The command line as a person and a script meet it: help, wrong use, configuration, the real examples, --json,
interrupting and resuming, looking at a live run, the other commands. The binary is a black box.

If it failed, something the manual or a help text promises would not be so."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile

ROOT, BUILD = os.environ["TROUPE_SOURCE_ROOT"], os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.join(BUILD, "troupe")
EXAMPLES = os.path.join(ROOT, "examples")
MINIMAL = os.path.join(EXAMPLES, "minimal", "pipeline.yaml")
QUOTED = ("quote", "quoted", "measured", "error_percent", "held")  # beside the response, not of it
COMMANDS = ["run", "validate", "runs", "show", "whatif", "analyze", "explain", "assign", "config", "optimize", "completions", "help"]


def environment(home, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TROUPE_", "XDG_"))}
    return {**kept, "HOME": home, **more}


class Place:
    """A directory of its own, in which commands run."""

    def __init__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="troupe-cli-")
        self.path = self.temporary.name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.temporary.cleanup()

    def file(self, name, text):
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def start(self, *words, **more):
        return subprocess.Popen([TROUPE, *words], cwd=self.path, env=environment(self.path, **more), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def call(self, *words, status=0, text=None, **more):
        done = subprocess.run([TROUPE, *words], cwd=self.path, env=environment(self.path, **more), text=True,
                              input=text if text is not None else "", capture_output=True, timeout=300)
        assert done.returncode == status, (words, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout, done.stderr

    def json(self, *words, **more):
        return json.loads(self.call(*words, **more)[0])


def helps():
    with Place() as place:
        first, _ = place.call("--help")
        listed = re.findall(r"^  (\w+)  +\S", first, re.M)
        assert listed == COMMANDS[:COMMANDS.index("assign")], listed  # what a newcomer meets
        everything, _ = place.call("help", "--all")
        assert re.findall(r"^  (\w+)  +\S", everything, re.M) == COMMANDS
        for name in COMMANDS:
            text, _ = place.call(name, "--help")
            assert text == place.call("help", name)[0]
            assert "usage: troupe " + name in text and "\nexamples:\n" in text, name
            assert "worker-exec" not in text
        assert re.match(r"troupe \d+\.\d+\.\d+\n$", place.call("--version")[0])
        place.call(status=2)
        text, _ = place.call("run", "-h")  # also where other words are wrong
        assert text == place.call("run", "--nonsense", "--help")[0]


def wrong_use():
    cases = [
        (["rnu"], 2, "troupe: unknown command 'rnu'; did you mean 'run'?"),
        (["zzzz"], 2, "unknown command 'zzzz'; `troupe help` lists them"),
        (["run", "--trails", "3"], 2, "unknown option '--trails'; did you mean '--trials'?"),
        (["run"], 2, "expected a pipeline FILE, or --var, --metric and a command"),
        (["run", MINIMAL, "--", "true"], 2, "expected one of"),
        (["run", MINIMAL, "--metric", "x"], 2, "--metric: describes a command"),
        (["run", "--resume", "--seed", "3"], 2, "keeps the seed"),
        (["run", "--resume", "x", "--set", "space.x=1"], 2, "can only be given another budget"),
        (["run", "nothere.yaml"], 5, "nothere.yaml"),
        (["run", "--resume"], 5, "there are no runs here"),
        (["run", "--resume", "gone"], 5, "there is no run 'gone'"),
        (["run", "--again", "gone"], 5, "there is no run 'gone'"),
        (["run", MINIMAL, "--run-id", "a/b"], 2, "is no name for a run"),
        (["run", MINIMAL, "--set", "budget.trials=x"], 3, "expected an integer"),
        (["run", MINIMAL, "--trials", "0"], 2, "expected a whole number in 1.."),
        (["run", MINIMAL, "--workers", "many"], 2, "workers: expected an integer"),
        (["run", "--var", "x=float(0,1)", "--metric", "m", "--trials", "2", "--", "echo", "{y}"], 3, "y"),
        (["validate"], 2, "expected one pipeline FILE"),
        (["assign"], 2, "expected one INSTANCE.json"),
        (["assign", "nothere.json"], 5, "nothere.json"),
        (["assign", "x.json", "--steps", "-1"], 2, "expected a whole number in 0.."),
        (["validate", MINIMAL, "--set", "space.colum=1"], 3, ""),
        (["show", "gone"], 5, "there is no run 'gone'"),
        (["show"], 5, "there are no runs here"),
        (["show", "runs/x"], 2, "--runs DIR says where it is"),
        (["analyze", "a", "b"], 2, "unexpected argument 'b'"),
        (["runs", "x"], 2, "unexpected argument 'x'"),
        (["completions", "fish"], 9, "expected bash"),
        (["help", "rnu"], 2, "did you mean 'run'?"),
        (["config", "--stop-grace", "soon"], 2, "expected a duration"),
        (["optimize", "--x"], 2, "unknown option"),
    ]
    with Place() as place:
        for words, status, says in cases:
            out, err = place.call(*words, status=status)
            assert says in err, (words, err)
            assert err.startswith("troupe: ") and err.count("\n") == 1, (words, err)
            assert out == "", (words, out)
        # a program that asked for JSON gets one object, also for words that cannot be read
        for words, status in ((["run", "--json", "--trails"], 2), (["run", "nothere.yaml", "--json"], 5)):
            failed = json.loads(place.call(*words, status=status)[0])
            assert failed["state"] == "failed" and failed["error"]["message"], failed
        assert os.listdir(place.path) == []  # a mistake leaves nothing behind


def configuration():
    with Place() as place:
        user = place.file("xdg/troupe/config.yaml", "stop_grace: 9s\nworkers: 3\n")
        xdg = os.path.join(place.path, "xdg")
        values = place.json("config", "--json", "--workers", "2", XDG_CONFIG_HOME=xdg, TROUPE_MAILBOX_LEN_MAX="64")
        assert values["stop_grace"]["text"] == "9s" and values["stop_grace"]["where"] == user + ":1:1", values
        assert values["workers"]["value"] == 2 and values["workers"]["source"] == "the command line"
        assert values["mailbox_len_max"]["source"] == "the environment"
        assert values["store_group_rows"]["source"] == "the default"
        text, _ = place.call("config", XDG_CONFIG_HOME=xdg)
        assert re.search(r"^stop_grace +9s +from the user's configuration \(" + re.escape(user), text, re.M), text
        place.file(".config/troupe/config.yaml", "workers: 5\n")  # without XDG_CONFIG_HOME
        assert place.json("config", "--json")["workers"]["value"] == 5
        place.file(".config/troupe/config.yaml", "\nworker: 5\n")
        _, err = place.call("runs", status=3)
        assert "config.yaml:2:1: " in err and "did you mean 'workers'?" in err, err
        os.remove(os.path.join(place.path, ".config/troupe/config.yaml"))
        _, err = place.call("runs", status=3, TROUPE_WORKERS="x")
        assert err.startswith("troupe: TROUPE_WORKERS: "), err
        _, err = place.call("runs", TROUPE_STOP_GRACES="1s")
        assert "TROUPE_STOP_GRACES: no such option" in err, err
        # a pipeline file may set what concerns its work, and nothing of the process
        with open(MINIMAL) as file:
            text = file.read().replace("../digits", EXAMPLES + "/digits")
        place.file("a.yaml", text + "options: {stop_grace: 2s}\n")
        place.call("validate", "a.yaml", "-q")
        place.file("b.yaml", text + "options: {workers: 2}\n")
        _, err = place.call("validate", "b.yaml", status=3)
        assert "b.yaml:" in err and "which a pipeline file may not set" in err, err


def examples_are_valid():
    with Place() as place:
        for name in ("minimal", "digits", "digits-python"):
            path = os.path.join(EXAMPLES, name, "pipeline.yaml")
            if name == "digits" and not os.path.exists(os.path.join(BUILD, "examples/digits/libdigits.so")):
                continue
            text, _ = place.call("validate", path)
            assert text.startswith(path + ": ok\n"), text
            said = place.json("validate", path, "--json")
            assert said["ok"] and said["name"] == name and said["stages"], said
            assert place.call("validate", path, "--quiet")[0] == ""
            # from its own directory, as the file is written
            subprocess.run([TROUPE, "validate", "pipeline.yaml"], cwd=os.path.dirname(path), check=True,
                           stdout=subprocess.DEVNULL, env=environment(place.path))


def check_response(response, trials):
    assert response["trials"] == trials == response["counts"]["told"], response
    shares = response["time"]["shares"]
    assert abs(sum(share["percent"] for share in shares) - 100) < 1e-6, shares
    assert all(share["name"] and share["ms"] >= 0 for share in shares)
    agents = response["time"]["agents"]
    parts = agents["executing_ms"] + agents["waiting_ms"] + agents["idle_ms"]
    assert abs(parts - agents["total_ms"]) <= agents["total_ms"] * 0.001 + 0.01, agents
    assert response["time"]["trial_error_ns_max"] <= 1000, response["time"]


def a_run_from_end_to_end():
    with Place() as place:
        out, err = place.call("run", MINIMAL, "--trials", "6", "--json", "--run-id", "one")
        assert out.count("\n") == 1  # exactly one object, on one line
        response = json.loads(out)
        assert response["run"] == "one" and response["state"] == "finished"
        check_response(response, 6)
        assert response["baseline"]["configuration"] == {"column": 1, "level": 6}  # the declared defaults
        assert response["objective"] <= response["baseline"]["objective"] and response["test"] is None
        assert len(re.findall(r"^trial \d+ ", err, re.M)) == 6, err
        assert "<- best" in err and "files " in err
        # what it left
        for name in ("report.html", "best/configuration.json", "best/reproduce.sh", "store.db"):
            assert os.path.getsize(os.path.join(place.path, "runs/one", name)) > 0, name
        with open(os.path.join(place.path, "runs/one/best/configuration.json")) as file:
            assert json.load(file) == response["best"]
        # the other commands tell the same
        shown = place.json("show", "one", "--json")
        kept = {name: value for name, value in response.items() if name not in QUOTED}
        assert shown["state"] == "finished" and shown["response"] == kept and not shown["live"]
        assert [trial["number"] for trial in shown["trials"]] == list(range(6))
        assert shown["cores"] == len(os.sched_getaffinity(0)) and shown["version"] == response["provenance"]["version"]
        assert shown["starts"] and all(0 <= start["spawned_ms"] <= start["ready_ms"] for start in shown["starts"]), shown
        for trial in shown["trials"]:
            assert trial["state"] == "ok" and set(trial["values"]) == {"column", "level"} and trial["wall_ms"] > 0
        assert min(trial["objective"] for trial in shown["trials"]) == response["objective"] == shown["objective"]
        listed = place.json("runs", "--json")["runs"]
        assert [(run["run"], run["state"], run["trials"]) for run in listed] == [("one", "finished", 6)]
        assert listed[0]["objective"] == response["objective"]
        text, _ = place.call("show")
        assert "<- best" in text and "100" not in re.findall(r"state .*", text)[0]
        assert re.search(r"^one +finished +6 ", place.call("runs")[0], re.M)
        analysis = place.json("analyze", "one", "--json")
        assert analysis["trials"] == 6 and analysis["path_error_ns_max"] == 0 and not analysis["problems"], analysis
        assert "Critical path of trial 3" in place.call("analyze", "--trial", "3")[0]
        _, err = place.call("analyze", "one", "--trial", "6", status=5)
        assert "one has no trial 6" in err
        left = {"artifacts", "best", "lock", "packer.log", "report.html", "store.db"}
        assert set(os.listdir(os.path.join(place.path, "runs/one"))) == left  # readers leave nothing behind
        # a name is used once
        _, err = place.call("run", MINIMAL, "--run-id", "one", status=5)
        assert "go on with --resume one" in err, err
        # the best configuration again, as its script says
        again = subprocess.run(["sh", os.path.join(place.path, "runs/one/best/reproduce.sh")], text=True,
                               capture_output=True, env=environment(place.path), timeout=300)
        assert again.returncode == 0, again.stderr
        assert re.search(r"^best +bytes %d " % response["objective"], again.stdout, re.M), again.stdout
        # one configuration, named in every form: evaluated once, said so, and not what its script repeats
        chosen = place.file("chosen.json", json.dumps({"column": 2, "level": 3}))
        for number, form in enumerate((["-c" + chosen], ["-c", chosen], ["--configuration=" + chosen])):
            run = "c%d" % number
            out, _ = place.call("run", MINIMAL, *form, "-q" if number == 2 else "--trials=12", "--run-id", run)
            assert number == 2 or ", 1 trial" in out.splitlines()[0], out
            assert re.search(r"^trials +1$|^trials +1,", out, re.M), out
            assert re.search(r"^again +troupe run --configuration \S+/chosen.json ", out, re.M), out
            with open(os.path.join(place.path, "runs", run, "report.html")) as file:
                assert "troupe run --configuration " in file.read()
            with open(os.path.join(place.path, "runs", run, "best/reproduce.sh")) as file:
                assert "chosen.json" not in file.read(), form
        # the definition again, as a run of its own
        second = place.json("run", "--again", "one", "--trials", "2", "--json")
        assert second["trials"] == 2 and second["run"] != "one" and second["baseline"] == response["baseline"]


def the_form_without_a_file():
    script = os.path.join(EXAMPLES, "command", "train.py")
    words = ["--var", "lr=log(1e-3,1)", "--var", "depth=int(2,4)", "--metric", "val_acc", "--trials", "4", "--seed", "7"]
    with Place() as place:
        out, _ = place.call("run", *words, "--name", "trees", "--", sys.executable, script, "--lr", "{lr}", "--depth",
                            "{depth}", "--rows", "60", "--trees", "2", "--model", "{artifact_dir}/model.json")
        assert re.search(r"^best +val_acc 0\.\d+ ", out, re.M), out
        assert re.search(r"^again +troupe run --var 'lr=log\(1e-3,1\)' .* -- \S+ \S+train.py --lr {lr}", out, re.M), out
        run = re.search(r"^run (trees-\S+):", out, re.M).group(1)
        with open(os.path.join(place.path, "runs", run, "best", "command.artifact")) as file:
            model = json.load(file)  # what the best trial's command wrote
        shown = place.json("show", run, "--json")
        assert model["lr"] == shown["best"]["lr"], (model["lr"], shown["best"])
        # one configuration needs no budget
        place.file("lr.json", json.dumps({"lr": 0.5, "depth": 3}))
        once = place.json("run", *words[:6], "-clr.json", "--json", "--", "echo", "val_acc={lr}")
        assert once["trials"] == 1 and once["objective"] == 0.5 and once["best"]["depth"] == 3, once
        # a command that fails, fails its trial and says why; the run goes on
        flaky = "import sys; x = float(sys.argv[1]); print('m=%g' % x) if x > 0.3 else sys.exit('too small')"
        response = place.json("run", "--var", "x=float(0,1)", "--metric", "m", "--trials", "8", "--json", "--", sys.executable,
                              "-c", flaky, "{x}")
        counts = response["counts"]
        assert counts["ok"] + counts["failed"] == 8 and counts["failed"] > 0 and response["objective"] > 0.3, counts
        failed = [trial for trial in place.json("show", "--json")["trials"] if trial["state"] == "failed"]
        assert len(failed) == counts["failed"] and all("too small" in trial["message"] for trial in failed), failed
        # ... unless none ever succeeds
        response = json.loads(place.call("run", "--var", "x=float(0,1)", "--metric", "m", "--trials", "30", "--json", "--",
                                         "true", status=13)[0])
        assert response["state"] == "failed" and response["error"]["code"] == "NO_OBJECTIVE" and response["best"] is None


def digits():
    if not os.path.exists(os.path.join(BUILD, "examples/digits/libdigits.so")):
        return
    with Place() as place:
        path = os.path.join(EXAMPLES, "digits", "pipeline.yaml")
        response = place.json("run", path, "--set", "budget.trials=3", "--set", "budget.deadline=240s", "--json", "--trace")
        check_response(response, 3)
        assert 0 < response["baseline"]["test"] <= response["test"] <= 1, response
        shares = {share["name"] for share in response["time"]["shares"]}
        assert {"prepare", "train", "evaluate"} <= shares and "test" not in shares, shares
        best = os.listdir(os.path.join(place.path, "runs", response["run"], "best"))
        assert "train.artifact" in best, best  # the model
        assert "served" in place.call("analyze", "--trace")[0]
        spans = place.json("analyze", "runs/%s/trace.bin" % response["run"], "--json")
        assert spans, spans
        assert place.json("analyze", "--json")["path_error_ns_max"] == 0


def lines_until(stream, pattern, count):
    """Reads until `count` lines match; they and all before them."""
    lines = []
    while sum(1 for line in lines if re.match(pattern, line)) < count:
        line = stream.readline()
        assert line, lines[-5:]
        lines.append(line)
    return lines


SLEEPY = ["--var", "x=float(0.01,0.02)", "--var", "y=float(0,1)", "--metric", "m", "--jobs", "2"]
SLEEP = ["--", "sh", "-c", "sleep {x}; echo m={y}"]


def quotes():
    """What is expected of a run while it is made. No time is asserted: only that the parts agree."""
    trials = 400 if os.environ.get("TROUPE_SANITIZE") == "thread" else 30  # a slow build quotes late
    with Place() as place:
        out, err = place.call("run", *SLEEPY, "--trials", str(trials), "--deadline", "300s", "--run-id", "q", "--json",
                              *SLEEP)
        response = json.loads(out)
        check_response(response, trials)
        quotes = response["quote"]
        assert quotes and [quote["at_trials"] for quote in quotes] == sorted({quote["at_trials"] for quote in quotes})
        for quote in quotes:
            assert 1 <= quote["at_trials"] < trials and 0 < quote["at_ms"] <= response["time"]["elapsed_ms"], quote
            assert quote["at_ms"] < quote["low_ms"] <= quote["wall_ms"] <= quote["high_ms"], quote
            assert quote["deadline_ms"] == 300000 and quote["cpu_ms"] > 0 and "offer" not in quote, quote
            assert quote["fits_low"] <= quote["fits_trials"] <= quote["fits_high"] <= 4 * trials, quote
        last, measured = quotes[-1], response["measured"]["wall_ms"]
        assert response["quoted"] == {"wall_ms": last["wall_ms"]} and measured == response["time"]["elapsed_ms"]
        assert abs(response["error_percent"]["wall_ms"] - 100 * (last["wall_ms"] / measured - 1)) < 0.01, response
        assert response["held"] == (last["low_ms"] <= measured <= last["high_ms"])
        said = re.findall(r"^quote after (\d+) trials: %d trials take .* of your 5 min; \d+ (?:or more )?would fit$"
                          % trials, err, re.M)
        assert said and int(said[0]) == quotes[0]["at_trials"], err
        assert re.search(r"^quoted     .* after %d; took .* the interval$" % last["at_trials"], err, re.M), err
        # they are kept, with what was measured
        score = place.json("whatif", "--score", "--json")
        assert score["quote"]["count"] == score["quote"]["scored"] == len(quotes), score
        # a deadline that cannot be met is answered at once, with what would fit; a slow build may need longer for that
        # than the run lasts
        for seconds in (2, 10, 40):
            trials = 1500 * seconds
            out, err = place.call("run", *SLEEPY, "--trials", str(trials), "--deadline", "%ds" % seconds, "--json",
                                  *SLEEP)
            response = json.loads(out)
            assert response["state"] == "deadline", response
            if response["quote"] and "offer" in response["quote"][0]:
                break
        first = response["quote"][0]
        assert first["wall_ms"] > first["deadline_ms"] == 1000 * seconds and first["fits_trials"] < trials, first
        assert first["offer"]["tried"] > 0 and isinstance(first["offer"]["fits"], bool), first
        assert set(response["quoted"]) == set(response["measured"]) == {"trials"}, response
        assert re.search(r"^quote after \d+ trials: %d trials would take .*, more than your %d s: \d+ \(\d+-\d+\) fit; "
                         r"(all would with|none of \d+ changes makes room for all)" % (trials, seconds), err, re.M), err
        assert err.index("\nquote after ") < err.index("\nthe deadline has come"), err
        # only a deadline: how many trials
        out, _ = place.call("run", *SLEEPY, "--deadline", "2s", *SLEEP)
        assert re.search(r"^quote after \d+ trials: \d+ trials \(\d+-\d+, 90 %\) fit in your 2 s$", out, re.M), out
        # nothing is quoted where there is nothing to read, nothing to come, or nobody to tell
        for words in (["--trials", "12", "--no-store"], ["--trials", "2"], ["--trials", "120", "--quiet"]):
            out, _ = place.call("run", *SLEEPY, *words, *SLEEP)
            assert "quote after" not in out and (words[-1] == "--quiet") == ("\nquoted " in out), (words, out)


def interrupt_and_resume():
    with Place() as place:
        child = place.start("run", MINIMAL, "--run-id", "x", "--json")
        lines_until(child.stderr, r"trial \d", 3)
        # beside the live run
        shown = place.json("show", "x", "--json")
        assert shown["live"] and shown["state"] == "running" and len(shown["trials"]) >= 3, shown
        assert any(trial["state"] == "running" for trial in shown["trials"])
        assert shown["response"] is None
        assert place.json("runs", "--json")["runs"][0]["state"] == "running"
        assert "running" in place.call("show")[0]
        assert place.json("analyze", "--json")["trials"] >= 3
        _, err = place.call("run", "--resume", "x", status=6)
        assert str(child.pid) in err, err  # who has it
        _, err = place.call("run", "--resume", status=5)
        assert "none of its 1 runs was interrupted" in err, err
        # once: an orderly end
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
        assert child.returncode == 130 and "once more stops at once" in err, (child.returncode, err)
        assert re.search(r"^resume +troupe run --resume x$", err, re.M), err
        stopped = json.loads(out)
        assert stopped["state"] == "stopped" and 3 <= stopped["trials"] < 40
        assert place.json("runs", "--json")["runs"][0]["state"] == "stopped"
        # it goes on, is killed, and goes on once more, to a smaller budget
        child = place.start("run", "--resume")
        lines = lines_until(child.stdout, r"trial \d", 2)
        assert "goes on after %d trials" % stopped["trials"] in lines[0], lines
        child.kill()
        child.communicate()
        assert place.json("runs", "--json")["runs"][0]["state"] == "interrupted"
        assert "interrupted" in place.call("show", "x")[0]
        trials = stopped["trials"] + 6
        response = place.json("run", "--resume", "--trials", str(trials), "--json")
        check_response(response, trials)
        shown = place.json("show", "x", "--json")
        assert [trial["number"] for trial in shown["trials"]] == list(range(trials))
        assert all(trial["state"] == "ok" for trial in shown["trials"])
        analysis = place.json("analyze", "--json")
        assert analysis["trials"] == trials and not analysis["problems"], analysis["problems"]
        # twice: at once, and no worker is left
        child = place.start("run", MINIMAL, "--run-id", "y")
        lines_until(child.stdout, r"trial \d", 2)
        child.send_signal(signal.SIGINT)
        lines_until(child.stdout, r"interrupted", 1)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=20)
        assert child.returncode == 130 and re.search(r"^resume +troupe run --resume y$", out, re.M), out
        workers = subprocess.run(["pgrep", "-f", place.path], capture_output=True, text=True).stdout
        assert workers == "", workers
        place.call("run", "--resume", "y", "--trials", "4", "-q")


def cut_by_the_deadline():
    """A trial that the run's deadline cuts is not a failed one: it is not told, and a resume runs it."""
    slow = "import os, signal, sys; os.path.exists('fast') or signal.pause(); print('m=%s' % sys.argv[1])"
    words = ["--var", "x=float(0,1)", "--metric", "m", "--trials", "3", "--jobs", "2"]
    tail = ["--", sys.executable, "-c", slow, "{x}"]
    with Place() as place:
        out, err = place.call("run", *words, "--deadline", "1s", "--run-id", "d", "--json", *tail, status=11)
        response = json.loads(out)
        assert response["state"] == "deadline" and response["error"]["code"] == "DEADLINE", response
        assert "--resume d" in response["error"]["message"] and response["counts"]["failed"] == 0, response
        shown = place.json("show", "d", "--json")
        assert shown["state"] == "deadline" and len(shown["trials"]) <= 2, shown  # no freed slot was filled again
        assert not any(trial["state"] == "failed" for trial in shown["trials"]), shown
        out, _ = place.call("run", *words, "--deadline", "1s", "--run-id", "e", *tail, status=11)
        assert re.search(r"^resume +troupe run --resume e --deadline 2s$", out, re.M), out
        # the newest is gone on with when it is given a later deadline, and only then
        _, err = place.call("run", "--resume", status=5)
        assert "none of its 2 runs was interrupted" in err and "a later --deadline" in err, err
        place.file("fast", "")
        response = place.json("run", "--resume", "--deadline", "300s", "--json")
        assert response["run"] == "e", response
        assert response["state"] == "finished" and response["counts"]["ok"] == 3, response
        response = place.json("run", "--resume", "d", "--deadline", "300s", "--json")
        assert response["state"] == "finished" and response["counts"]["ok"] == 3, response
        # the command's own --timeout still fails its trial
        os.remove(os.path.join(place.path, "fast"))
        out, _ = place.call("run", *words, "--timeout", "200ms", "--run-id", "t", "--json", *tail, status=13)
        response = json.loads(out)
        assert response["counts"]["failed"] == 3 and "timed out" in response["error"]["message"], response


def nothing_kept():
    with Place() as place:
        out, _ = place.call("run", MINIMAL, "--trials", "3", "--no-store", "--quiet")
        assert not re.search(r"^trial \d", out, re.M) and "files" not in out and "best " in out, out
        assert place.json("runs", "--json")["runs"] == []
        out, _ = place.call("run", MINIMAL, "--trials", "2", "--runs", "elsewhere/deep", "--run-id", "a b")
        assert "elsewhere/deep/a b" in out
        assert [run["run"] for run in place.json("runs", "--runs", "elsewhere/deep", "--json")["runs"]] == ["a b"]
        for path, status in (("nowhere/page.html", 5), ("elsewhere", 7)):  # told by the name that was given
            _, err = place.call("show", "a b", "--runs", "elsewhere/deep", "--html", path, status=status)
            assert err.startswith("troupe: %s: " % path) and ".tmp" not in err, err
        place.call("show", "a b", "--runs", "elsewhere/deep", "--html", "page.html")
        with open(os.path.join(place.path, "page.html")) as file:
            assert file.read(15).lower() == "<!doctype html>"


def where_output_goes():
    with Place() as place:
        place.call("run", MINIMAL, "--trials", "2", "-q", "--run-id", "r")
        with open("/dev/full", "w") as full:
            for words in (["runs"], ["--version"], ["help"], ["config"], ["run", MINIMAL, "--trials", "1", "--json"]):
                done = subprocess.run([TROUPE, *words], cwd=place.path, env=environment(place.path), stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=60)
                assert done.returncode == 7 and "standard output" in done.stderr, (words, done.stderr)
        # a reader that has gone: no noise, and a run is not disturbed
        reader, writer = os.pipe()
        os.close(reader)
        for words, status in ((["help"], 7), (["run", MINIMAL, "--trials", "2", "--run-id", "s"], 0)):
            done = subprocess.run([TROUPE, *words], cwd=place.path, env=environment(place.path), stdout=writer,
                                  stderr=subprocess.PIPE, text=True, timeout=60)
            assert done.returncode == status and done.stderr == "", (words, done.returncode, done.stderr)
        os.close(writer)
        assert place.json("show", "s", "--json")["state"] == "finished"
        # streams that were closed: no file may take their place
        done = subprocess.run(["sh", "-c", '"$0" run "$1" --trials 2 --run-id t <&- >&- 2>&-', TROUPE, MINIMAL],
                              cwd=place.path, env=environment(place.path), timeout=60)
        assert done.returncode == 0
        assert place.json("show", "t", "--json")["state"] == "finished"


def ask_and_tell():
    def talk(place, *messages):
        out, _ = place.call("optimize", text="".join(json.dumps(message) + "\n" for message in messages))
        return [json.loads(line) for line in out.splitlines()]

    with Place() as place:
        space = [{"name": "x", "type": "float", "low": 0, "high": 1}, {"name": "k", "type": "cat", "choices": ["a", "b"]}]
        answers = talk(place, {"op": "init", "space": space, "seed": 3}, {"op": "ask"}, {"op": "ask"},
                       {"op": "tell", "id": 0, "values": [0.5]}, {"op": "tell", "id": 1, "values": [0.2]}, {"op": "best"},
                       {"op": "end"}, {"op": "ask"})
        assert len(answers) == 7, answers  # nothing after the end
        assert answers[0] == {"ok": True} and answers[1]["trial"]["id"] == 0
        assert answers[5]["params"] == answers[2]["trial"]["params"]  # less is better
        answers = talk(place, {"op": "ask"}, {"op": "init", "space": {"x": "float(2,1)"}}, {"op": "nonsense"})
        assert all("error" in answer for answer in answers), answers
        # an init that is refused leaves the running search as it was
        init = {"op": "init", "space": {"x": "float(0,1)"}}
        answers = talk(place, init, {"op": "ask"}, {"op": "init", "space": {"x": "float(2,1)"}}, {**init, "sampler": "no"},
                       {"op": "tell", "id": 0, "values": [1]}, {"op": "best"}, init, {"op": "best"})
        assert "error" in answers[2] and "error" in answers[3] and answers[4] == {"ok": True}, answers
        assert answers[5]["params"] == answers[1]["trial"]["params"] and answers[6:] == [{"ok": True}, {}], answers
        hints = {"n_objectives": 1, "n_constraints": 1, "noisy": False, "budget": 200, "seed": 0}
        assert talk(place, {**init, **hints}) == [{"ok": True}]
        for message, nearest in (({**init, "maximize": True}, "maximise"), ({"op": "tell", "id": 0, "value": [1]}, "values"),
                                 ({"op": "ask", "opp": 1}, "op"), ({"op": "end", "o": 1}, "op")):
            answers = talk(place, init, {"op": "ask"}, message, {"op": "ask"})
            assert "'%s'" % nearest in answers[2].get("error", "") and "trial" in answers[3], (message, answers)
        out, err = place.call("optimize", text="x" * (1 << 21), status=3)
        assert "longer than" in err


def completions():
    with Place() as place:
        script, _ = place.call("completions", "bash")
        path = place.file("troupe.bash", script)
        check = 'source %s; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _troupe; echo "${COMPREPLY[*]}"' % path

        def complete(*words):
            return subprocess.run(["bash", "-c", check, "-", *words], cwd=place.path, text=True, capture_output=True,
                                  check=True).stdout.split()
        os.makedirs(os.path.join(place.path, "runs", "digits-1"))
        assert complete("troupe", "va") == ["validate"]
        assert complete("troupe", "run", "--tri") == ["--trials"]
        assert complete("troupe", "run", "--resume", "dig") == ["digits-1"]
        assert complete("troupe", "show", "") == ["digits-1"]
        assert complete("troupe", "show", "troupe.ba") == []
        assert complete("troupe", "run", "troupe.ba") == ["troupe.bash"]
        for name in COMMANDS:
            assert "--help" in complete("troupe", name, "--h"), name


def main():
    tests = [helps, wrong_use, configuration, examples_are_valid, a_run_from_end_to_end, the_form_without_a_file, digits,
             quotes, interrupt_and_resume, cut_by_the_deadline, nothing_kept, where_output_goes, ask_and_tell, completions]
    chosen = sys.argv[1:]
    for test in tests:
        if chosen and test.__name__ not in chosen:
            continue
        test()
        print("ok", test.__name__, flush=True)


main()
