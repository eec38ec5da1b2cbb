"""The scenarios that are shipped meet the figures that are known of them; `troupe whatif` prints the same under the same
seed, compares as it says, and measures the same requests that it simulates.

If it failed, the project's own replay of the analysis that it grew out of would be wrong, or nobody could repeat it."""
import json
import os
import subprocess
import tempfile

ROOT, BUILD = os.environ["TROUPE_SOURCE_ROOT"], os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.join(BUILD, "troupe")
REGISTRY = os.path.join(ROOT, "scenarios/seed-registry.yaml")
PIPELINE = os.path.join(ROOT, "scenarios/seed-pipeline.yaml")
THREADS_WATCHED = os.environ.get("TROUPE_SANITIZE") == "thread"


def whatif(*words, status=0, directory=None):
    done = subprocess.run([TROUPE, "whatif", *words], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == status, (words, done.returncode, done.stdout.decode(), done.stderr.decode())
    return done.stdout.decode()


def check_what_is_known():
    if THREADS_WATCHED:  # one thread simulates, an hour long: what is known is checked in every other build
        answer = json.loads(whatif(REGISTRY, "--set", "duration=30s", "--replications", "1", "--json"))
        assert answer["parameters"]["assumed"] and answer["parameters"]["given"]
        return
    for path, rows in ((REGISTRY, 4), (PIPELINE, 10)):
        answer = json.loads(whatif(path, "--check", "--json"))
        assert len(answer["rows"]) == rows and all(row["good"] for row in answer["rows"]), answer["rows"]
        assert answer["parameters"]["assumed"] and answer["parameters"]["given"]
    text = whatif(REGISTRY, "--check")
    assert "assumed, without evidence" in text and "stations.registry.waiting = 0.04" in text, text


def check_a_miss_is_told():
    with open(REGISTRY, encoding="utf-8") as file:
        text = file.read()
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "missed.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("p95: 7.5ms", "p95: 6.9ms").replace("duration: 600s", "duration: 60s"))
        said = whatif(path, "--check", status=1)
        assert said.count("PAST") >= 1, said


def check_one_seed():
    small = [REGISTRY, "--set", "duration=60s", "--json"]
    first = whatif(*small)
    assert first == whatif(*small), "the same seed printed something else"
    assert json.loads(first)["signature"] != json.loads(whatif(*small, "--seed", "2"))["signature"]
    assert "duration" in json.loads(first)["parameters"]["changed"]


def check_changes():
    answer = json.loads(whatif(PIPELINE, "-o", "external-caching", "--set", "requests=500", "--json"))
    now, before = answer["figures"]["p95_ms"]["value"], answer["unchanged"]["figures"]["p95_ms"]["value"]
    assert now < 0.9 * before, (now, before)
    assert {"stages.external.factor", "requests"} == set(answer["parameters"]["changed"]), answer["parameters"]
    each = json.loads(whatif(PIPELINE, "--each", "--set", "requests=200", "--json"))["each"]
    values = [case["figures"]["p95_ms"]["value"] for case in each]
    assert values == sorted(values) and {"limit", "registry-partitioning"} <= {case["overlay"] for case in each}
    steps = json.loads(whatif(PIPELINE, "--steps", "-o", "roadmap", "-o", "overlap-ml", "--set", "requests=200",
                              "--json"))["steps"]
    assert [case["overlay"] for case in steps] == ["roadmap", "overlap-ml"]
    assert steps[1]["figures"]["mean_ms"]["value"] < steps[0]["figures"]["mean_ms"]["value"]
    text = whatif(PIPELINE, "--steps", "-o", "roadmap", "-o", "overlap-ml", "--set", "requests=200")
    assert "overlap-ml" in text and "configurations are made while agents execute" in text


def check_measured():
    """Not the times: the machine may be busy. The requests and their errors are the same."""
    answer = json.loads(whatif(PIPELINE, "--real", "--scale", "200", "--seconds", "1", "--replications", "1",
                               "--set", "timeout=0s", "--json"))
    simulated, measured = answer["simulated"], answer["measured"]
    assert simulated["requests"] > 20 and measured["requests"] > 0, answer
    text = whatif(REGISTRY, "--real", "--scale", "50", "--seconds", "1", "--replications", "1")
    assert "measured on threads and timers at 1:50" in text and "waits ended" in text, text


def check_kept():
    """Kept where there are runs, and nowhere else."""
    with tempfile.TemporaryDirectory() as directory:
        whatif(PIPELINE, "--set", "requests=20", directory=directory)
        assert os.listdir(directory) == []
        os.mkdir(os.path.join(directory, "runs"))
        whatif(PIPELINE, "--set", "requests=20", directory=directory)
        whatif(PIPELINE, "--set", "requests=20", directory=directory)
        whatif(PIPELINE, "--real", "--scale", "1000", "--seconds", "1", "--replications", "1", directory=directory)
        score = json.loads(whatif("--score", "--json", directory=directory))["scenario"]
        assert (score["count"], score["repeated"], score["scored"]) == (2, 1, 1), score
        assert score["figures"]["trial_p95_ms"]["count"] == 1, score


def main():
    check_what_is_known()
    check_a_miss_is_told()
    check_one_seed()
    check_changes()
    check_measured()
    check_kept()
    print("scenarios: known rows, a miss, one seed, changes, measured, kept")


main()
