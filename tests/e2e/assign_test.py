#!/usr/bin/env python3
"""`troupe assign`: the examples of doc/assign.md as it prints them, the ways an instance can be wrong, and what becomes of
tasks that nobody can do, or has room for."""
import copy
import json
import os
import subprocess
import tempfile

ROOT, BUILD = os.environ["TROUPE_SOURCE_ROOT"], os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.join(BUILD, "troupe")
GOOD = {
    "kinds": ["a", "b"], "caps": ["cpu", "gpu"], "time_unit": "s", "now": 10,
    "tasks": [{"id": 1, "kind": 0, "work": 2, "deadline": 100, "priority": 2, "req": [0]}, {"id": 2, "kind": 1, "work": 4}],
    "agents": [{"id": 7, "caps": [0, 1], "speed": [1, 2], "backlog": 3, "queue_len": 1, "max_queue": 4}],
}
# where, what it is set to (None: removed), what the message says
WRONG = [
    (("agents",), [], "no agents: expected at least one"),
    (("agents",), None, "'agents' is missing"),
    (("agents", 0, "speed"), [1], "expected a speed for each of 2 kinds, found 1"),
    (("agents", 0, "speed", 1), 0, "expected a speed above 0"),
    (("agents", 0, "backlog"), -1, "of at least 0, found -1"),
    (("agents", 0, "caps", 0), 2, "0..1"),
    (("agents", 0, "colour"), 1, "colour"),
    (("tasks", 0, "work"), -3, "expected a number above 0, found -3"),
    (("tasks", 0, "work"), 1e300, "expected at most 1e+15"),
    (("tasks", 0, "kind"), 2, "expected an integer in 0..1"),
    (("tasks", 1, "id"), 1, "id 1 is that of item 0 already"),
    (("tasks", 0, "deadline"), 9, "it has passed already"),
    (("tasks", 0, "priority"), 0, "expected a number above 0"),
    (("tasks", 0, "home"), 3, "expected the id of an agent, found 3"),
    (("time_unit",), "h", "expected one of ns, us, ms, s"),
    (("tasks",), {}, "expected a list"),
    (("resources",), {"licence": 0}, "expected an amount of at least 1, or null"),
    (("resources",), {"licence": -2}, "resources.licence: expected"),
    (("resources",), {"a%d" % i: 1 for i in range(9)}, "9 resources: at most 8"),
    (("resources",), [], "expected a map of resource names"),
    (("tasks", 0, "resources"), {"licence": 1}, "unknown key 'licence'"),
    (("tasks", 0, "resources"), 3, "expected a map of resource names to amounts"),
]
# the same of one that has a pool of 2 licences, and memory of each agent's own
WRONG_POOLS = [
    (("tasks", 0, "resources"), {"licenc": 1}, "did you mean 'licence'?"),
    (("tasks", 0, "resources"), {"licence": -1}, "tasks[0].resources.licence: expected"),
    (("tasks", 0, "resources"), {"licence": "many"}, "tasks[0].resources.licence: expected"),
    (("agents", 0, "holds"), {"licence": 3}, "expected at most 2, what the pool has left for it, found 3"),
    (("agents", 0, "holds"), {"memory": 1}, "expected at most 0"),
]


def assign(place, instance, *options, status=0):
    path = os.path.join(place, "instance.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(instance if isinstance(instance, str) else json.dumps(instance))
    done = subprocess.run([TROUPE, "assign", path, *options], capture_output=True, text=True, check=False)
    assert done.returncode == status, (done.returncode, done.stderr)
    return json.loads(done.stdout) if status == 0 else done.stderr


def changed(where, value, of=None):
    instance = copy.deepcopy(of or GOOD)
    at = instance
    for key in where[:-1]:
        at = at[key]
    if value is None:
        del at[where[-1]]
    else:
        at[where[-1]] = value
    return instance


def wrong(place):
    for where, value, says in WRONG:
        said = assign(place, changed(where, value), status=3)
        assert says in said and "instance.json:1:" in said, (where, said)
    pools = dict(GOOD, resources={"licence": 2, "memory": None})
    for where, value, says in WRONG_POOLS:
        said = assign(place, changed(where, value, pools), status=3)
        assert says in said and "instance.json:1:" in said, (where, said)
    twice = json.dumps(pools).replace('"licence": 2', '"licence": 2, "licence": 1')
    assert "licence" in assign(place, twice, status=3)
    assert "instance.json:1:" in assign(place, '{"kinds": [}', status=3)
    good = assign(place, GOOD)
    assert good["queues"] == {"7": [1, 2]} and good["rejected"] == [], good
    assert good["makespan"] == 3 + 2 + 4 / 2, good


def examples():
    """What doc/assign.md shows is what is printed, but for the time."""
    with open(os.path.join(ROOT, "doc", "assign.md"), encoding="utf-8") as file:
        page = file.read()
    for name, options in (("seed", ["--text", "--advise"]), ("trouble", ["--text"]), ("pools", ["--text"])):
        path = f"examples/assign/{name}.json"
        done = subprocess.run([TROUPE, "assign", path, *options], cwd=ROOT, capture_output=True, text=True, check=True)
        head, *lines = done.stdout.splitlines()
        block = page.split(f"$ troupe assign {path} {' '.join(options)}\n")[1].split("```")[0].splitlines()
        assert head.rsplit(" (", 1)[0] == block[0].rsplit(" (", 1)[0], (head, block[0])
        assert lines == block[1:], (lines, block[1:])


def refusals(place):
    with open(os.path.join(ROOT, "examples/assign/trouble.json"), encoding="utf-8") as file:
        trouble = json.load(file)
    said = {one["task"]: one for one in assign(place, trouble)["trouble"]}
    assert said[2]["why"] == "late" and said[2]["late_by"] == 2, said
    assert said[3] == {"task": 3, "why": "incapable", "nearest": 10, "missing": ["tpu"]}, said
    assert {said[task]["why"] for task in said if task > 3} == {"full"}, said
    assert all(said[task]["capacity_in"] == 4 for task in said if task > 3), said
    refused = assign(place, trouble, "--refuse-late")
    assert 2 in refused["rejected"], refused
    for agent in trouble["agents"]:  # all are full: nothing is placed, and each answer says when that changes
        agent["max_queue"] = agent["queue_len"]
    full = assign(place, trouble)
    assert full["rejected"] == [1, 2, 3, 4, 5] and full["makespan"] == 0, full
    assert all(one["capacity_in"] > 0 for one in full["trouble"] if one["why"] == "full"), full


def pools(place):
    """Two licences, one of which a backlog holds: at no time more are held; what asks for more than there is is named."""
    with open(os.path.join(ROOT, "examples/assign/pools.json"), encoding="utf-8") as file:
        instance = json.load(file)
    plan = assign(place, instance)
    asks = {task["id"]: task.get("resources", {}).get("licence", 0) for task in instance["tasks"]}
    assert sorted(one["task"] for one in plan["schedule"]) == [1, 2, 3, 4, 5], plan
    for one in plan["schedule"]:
        now = one["start"]
        held = sum(asks[other["task"]] for other in plan["schedule"] if other["start"] <= now < other["finish"])
        assert held + (now < 2) <= 2, plan
    assert {one["task"]: one["lacking"] for one in plan["trouble"]} == {6: ["licence"], 7: ["memory"]}, plan


def advice(place):
    """The plan with two late, what it advises, and that plan: with one more agent like the one that is named all are on time."""
    with open(os.path.join(ROOT, "examples/assign/seed.json"), encoding="utf-8") as file:
        seed = json.load(file)
    plan = assign(place, seed, "--advise")
    assert plan["makespan"] == 36000 and len(plan["trouble"]) == 2 and plan["rejected"] == [], plan
    assert plan["advice"]["more_agents"] == 1, plan
    like = next(agent for agent in seed["agents"] if agent["id"] == plan["advice"]["like"])
    seed["agents"].append(dict(like, id=4, backlog=0, queue_len=0))
    then = assign(place, seed, "--advise")
    assert then["trouble"] == [] and "advice" not in then and then["makespan"] == plan["advice"]["makespan"], then


def carried_out(place):
    """The same by real workers at a twentieth of its times. The one with a backlog of 162 s says that it has no room in time,
    so nothing is done there; what is foreseen is told, one more agent is recommended and started, and works."""
    seed = os.path.join(ROOT, "examples/assign/seed.json")
    with open(seed, encoding="utf-8") as file:
        plan = assign(place, json.load(file), "--run", "--advise", "--scale", "5")
    run = plan["run"]
    assert run["said_late"] >= 2 and run["said_on_time"] + run["said_late"] == 10, run
    assert (run["more_agents"], run["more_started"], run["agents"], run["late_with_more"]) == (1, True, 4, 0), run
    assert [one["task"] for one in run["tasks"]] == list(range(1, 11)), run
    assert run["on_time"] + run["late"] == 10 and run["late"] == sum(one["late"] for one in run["tasks"]), run
    assert not any(one.get("agent") == "1" for one in run["tasks"]), run
    assert any("+" in one.get("agent", "") for one in run["tasks"]), run


def carried_out_with_refusals(place):
    """Other speeds, kinds and needs: each task has one end, and who is nobody's is named with why."""
    with open(os.path.join(ROOT, "examples/assign/trouble.json"), encoding="utf-8") as file:
        run = assign(place, json.load(file), "--run", "--scale", "1")["run"]
    assert "more_started" not in run and run["agents"] == 2, run
    ends = {one["task"]: one for one in run["tasks"]}
    assert sorted(ends) == [1, 2, 3, 4, 5] and "no agent has capability 'tpu'" in ends[3]["why"], ends
    assert all("finish" in one or "why" in one for one in run["tasks"]), ends


def not_carried_out():
    for words, says in ((["examples/assign/pools.json", "--run"], "`resources` cannot be carried out"),
                        (["examples/assign/seed.json", "--scale", "5"], "only --run takes time"),
                        (["examples/assign/seed.json", "--run", "--scale", "101"], "1..100")):
        done = subprocess.run([TROUPE, "assign", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode != 0 and says in done.stderr and done.stdout == "", (words, done)


def main():
    with tempfile.TemporaryDirectory(prefix="troupe-assign-") as place:
        wrong(place)
        refusals(place)
        advice(place)
        pools(place)
        carried_out(place)
        carried_out_with_refusals(place)
    not_carried_out()
    examples()
    print(f"{len(WRONG) + len(WRONG_POOLS) + 8} passed")


if __name__ == "__main__":
    main()
