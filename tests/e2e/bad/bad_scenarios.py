"""Scenario files and their options that are wrong: each is refused before anything is simulated, at its place."""

from bad_table import Case

# A scenario that is right: rows change one thing in it.
GOOD = """\
name: bad
arrivals: {kind: poisson, rate: 60/min}
requests: 100
lognormal: {sigma: 0.3}
stations:
  disk: {servers: 2}
teams:
  crew: {size: 2, of: 5, from: load, to: save}
stages:
  load: {station: disk, time: {p95: 2s}}
  save: {time: 10ms}
route: [load, save]
overlays:
  fast: stages.save.time=2ms
expect:
  - {row: one, p95: 1h}
"""


def edited(changes):
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, f"'{old}' is there {text.count(old)} times"
        text = text.replace(old, new)
    return text


def scenario(name, status, says, *changes, options=(), **more):
    return Case("scenario: " + name, status, says, pipeline=edited(changes), args=["whatif", "bad.yaml", *options],
                **more)


CASES = [
    scenario("unknown key", "INVALID", ["unknown key 'arival'", "did you mean 'arrivals'?"], ("arrivals:", "«arival:")),
    scenario("unknown kind of arrivals", "INVALID", ["arrivals.kind", "'poison'", "did you mean 'poisson'?"],
             ("kind: poisson", "«kind: poison")),
    scenario("a rate without a unit that exists", "INVALID", ["arrivals.rate", "12/min", "60/fortnight"],
             ("rate: 60/min", "«rate: 60/fortnight")),
    scenario("no end of arrivals", "INVALID", ["`duration:` or `requests:`"], ("requests: 100\n", "")),
    scenario("unknown distribution", "INVALID", ["stages.load.time", "did you mean 'p95'?"], ("p95: 2s", "«p59: 2s")),
    scenario("time is a word", "INVALID", ["stages.save.time", "duration", "'soon'"], ("time: 10ms", "«time: soon")),
    scenario("unknown station", "INVALID", ["stages.load.station", "did you mean 'disk'?"],
             ("station: disk", "«station: desk")),
    scenario("unknown stage of a team", "INVALID", ["teams.crew.to", "did you mean 'save'?"],
             ("to: save", "«to: svae")),
    scenario("a team that can never be had", "UNSATISFIABLE", ["teams.crew.size", "6", "of 5"],
             ("size: 2", "«size: 6")),
    scenario("a stage that is not on the route", "INVALID", ["'save' is not on the route"],
             ("[load, save]", "[load]"), ("to: save", "to: load"), ("  save:", "  «save:")),
    scenario("not YAML", "SYNTAX", ["bad.yaml:"], ("{kind: poisson, rate: 60/min}", "{kind: [")),
    scenario("an overlay that is not there", "USAGE", ["--overlay", "did you mean 'fast'?"], options=["-o", "fats"]),
    scenario("an overlay that is wrong", "USAGE", ["overlay fast", "PATH=VALUE"], ("stages.save.time=2ms", "faster"),
             options=["-o", "fast"]),
    scenario("a setting that is wrong", "INVALID", ["--set", "requests", "'many'"], options=["-s", "requests=many"]),
    scenario("a setting of nothing", "INVALID", ["--set", "did you mean 'servers'?"],
             options=["--set", "stations.disk.server=3"]),
    scenario("an assumption on a scenario", "USAGE", ["--assume", "is for a run"], options=["--assume", "cores=2"]),
    scenario("two ways to look at it", "USAGE", ["one of --each"], options=["--each", "--check"]),
    scenario("steps of nothing", "USAGE", ["--steps", "--overlay"], options=["--steps"]),
    scenario("nothing is expected", "INVALID", ["expects nothing"], ("expect:\n  - {row: one, p95: 1h}\n", ""),
             options=["--check"]),
    scenario("more cores than the machine has", "UNSATISFIABLE", ["1000 cores", "simulated here, not measured"],
             ("requests: 100", "requests: 100\ncores: 1000"), options=["--real"]),
    scenario("it goes on for too long", "LIMIT", ["196 days"], ("time: 10ms", "time: 10d"),
             ("kind: poisson", "kind: closed")),
    Case("scenario: not there", "NOT_FOUND", ["nowhere.yaml"], args=["whatif", "nowhere.yaml"]),
    Case("scenario: its options without it", "USAGE", ["--check", "scenario file"], args=["whatif", "--check"]),
]
