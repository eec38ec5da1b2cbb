/* Scenario files: what is wrong in one is told with its place, its path and the nearest right word; overlays and
 * settings are laid over it; every value is listed as given, assumed or changed; rows are compared as their tolerances
 * say; the scenarios that are shipped are right under each of their overlays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "simulate/scenario.h"

static struct account account = ACCOUNT("scenario file test");

/* A scenario that is right: rows change one thing in it. */
static const char good[] = "name: good\n"
                           "arrivals: {kind: poisson, rate: 12/min}\n"
                           "requests: 100\n"
                           "cores: 2\n"
                           "lognormal: {sigma: 0.3}\n"
                           "stations:\n"
                           "  disk: {servers: 2, partitions: 4, pauses: {every: 9s, length: 1s}}\n"
                           "teams:\n"
                           "  crew: {size: 2, of: 5, from: load, to: save}\n"
                           "stages:\n"
                           "  load: {time: {p95: 2s}, station: disk}\n"
                           "  work: {time: {uniform: [1s, 2s]}, cpu: 0.5, overlap: {from: load}}\n"
                           "  save: {time: 1s, split: {parts: team}}\n"
                           "route: [load, work, save]\n"
                           "assumed: [stages.load.time, lognormal]\n"
                           "overlays:\n"
                           "  fast: {set: stages.save.time=2ms; stages.work.cpu=0.25, note: half of it}\n"
                           "  wide: teams.crew.size=3\n"
                           "  note-only: {note: nothing}\n"
                           "expect:\n"
                           "  - {row: first, p95: 4s, errors: [0, 1]}\n"
                           "  - {row: second, overlays: [fast], within: 3, points: 2, p95_change: -10}\n";

static void parse_changed(const char *from, const char *to, const struct scenario_change *change,
                          struct scenario **ret, enum troupe_error *ret_error, struct fault *fault) {
    struct buffer text;
    const char *at = strstr(good, from);
    assert_non_null(at);
    assert_null(strstr(at + 1, from)); /* once */
    buffer_init(&text, &account, 0);
    buffer_append(&text, good, (size_t)(at - good));
    buffer_text(&text, to);
    buffer_text(&text, at + strlen(from));
    *fault = (struct fault){0};
    *ret_error = scenario_parse(&account, buffer_string(&text), text.length, "s.yaml", change, ret, fault);
    buffer_free(&text);
}

static const struct {
    const char *from, *to;
    enum troupe_error error;
    const char *where, *says;
} wrong[] = {
    {"name: good", "naem: good", TROUPE_INVALID, "s.yaml:1:1", "did you mean 'name'?"},
    {"name: good", "name: [", TROUPE_SYNTAX, "s.yaml", ""},
    {"name: good\n", "name: good\nname: bad\n", TROUPE_SYNTAX, "s.yaml:2:1", "name"},
    {"arrivals: {kind: poisson, rate: 12/min}\n", "", TROUPE_INVALID, "s.yaml:1:1", "expected `arrivals:"},
    {"kind: poisson", "kind: poison", TROUPE_INVALID, "s.yaml:2:12", "did you mean 'poisson'?"},
    {"rate: 12/min", "rate: 12/week", TROUPE_INVALID, "s.yaml:2:27", "100/s, 12/min or 30/h"},
    {"rate: 12/min", "rate: -1", TROUPE_INVALID, "s.yaml:2:27", "100/s, 12/min"},
    {"rate: 12/min", "rate: /s", TROUPE_INVALID, "s.yaml:2:27", "100/s, 12/min"},
    {", rate: 12/min", "", TROUPE_INVALID, "s.yaml:2:1", "need `rate:`"},
    {"kind: poisson, rate: 12/min", "kind: bursts, every: 1s", TROUPE_INVALID, "s.yaml:2:1",
     "need `requests:`"},
    {"kind: poisson, rate: 12/min", "kind: bursts, requests: 5", TROUPE_INVALID, "s.yaml:2:1",
     "need `every:`"},
    {"kind: poisson, rate: 12/min", "kind: bursts, requests: 5, every: 1s, within: 2s", TROUPE_INVALID,
     "s.yaml:2:50", "longer than the time"},
    {"requests: 100\n", "", TROUPE_INVALID, "s.yaml:1:1", "`duration:` or `requests:`"},
    {"requests: 100\n", "requests: 10000001\n", TROUPE_INVALID, "s.yaml:3:1", "1..10000000"},
    {"requests: 100\n", "duration: 100d\n", TROUPE_INVALID, "s.yaml:3:1", "at most 98 days"},
    {"cores: 2\n", "", TROUPE_INVALID, "s.yaml:11:37", "needs `cores:`"},
    {"sigma: 0.3", "sigma: 7", TROUPE_INVALID, "s.yaml:5:13", "from 0 to 5"},
    {"lognormal: {sigma: 0.3}", "timeout: 1s", TROUPE_INVALID, "s.yaml:11:10", "`sigma:` is missing"},
    {"servers: 2, partitions: 4", "servers: 2, partitions: 3", TROUPE_INVALID, "s.yaml:7:22", "power of two"},
    {"servers: 2", "server: 2", TROUPE_INVALID, "s.yaml:7:10", "did you mean 'servers'?"},
    {"servers: 2", "servers: 0", TROUPE_INVALID, "s.yaml:7:10", "1..1000"},
    {"every: 9s, ", "", TROUPE_INVALID, "s.yaml:7:37", "`pauses: {every: DURATION, length: TIME}`"},
    {"length: 1s", "length: 5s", TROUPE_INVALID, "s.yaml:7:57", "more than half of the time"},
    {"  disk:", "  1disk:", TROUPE_INVALID, "s.yaml:7:3", "is no name for a station"},
    {"size: 2, of: 5", "size: 6, of: 5", TROUPE_UNSATISFIABLE, "s.yaml:9:10", "can never be had"},
    {"size: 2, of: 5", "size: 2", TROUPE_INVALID, "s.yaml:9:3", "`of:` is missing"},
    {"from: load, to: save", "from: save, to: load", TROUPE_INVALID, "s.yaml:9:38", "comes before"},
    {"from: load, to: save", "from: laod, to: save", TROUPE_INVALID, "s.yaml:9:26", "did you mean 'load'?"},
    {"station: disk", "station: disc", TROUPE_INVALID, "s.yaml:11:27", "did you mean 'disk'?"},
    {"station: disk", "station: disk, cpu: 0.5", TROUPE_INVALID, "s.yaml:11:27", "station of their own"},
    {"time: {p95: 2s}, ", "", TROUPE_INVALID, "s.yaml:11:3", "`time:` is missing"},
    {"time: {p95: 2s}", "time: {p59: 2s}", TROUPE_INVALID, "s.yaml:11:17", "did you mean 'p95'?"},
    {"cpu: 0.5,", "cpu: 1.5,", TROUPE_INVALID, "s.yaml:12:37", "from 0 to 1"},
    {"overlap: {from: load}", "overlap: {from: save}", TROUPE_INVALID, "s.yaml:12:57",
     "does not come before"},
    {"overlap: {from: load}", "overlap: {fraction: 1}", TROUPE_INVALID, "s.yaml:12:47", "expected `overlap:"},
    {"overlap: {from: load}", "fails: 2", TROUPE_INVALID, "s.yaml:12:47", "from 0 to 1"},
    {"overlap: {from: load}", "cache: {time: 1s}", TROUPE_INVALID, "s.yaml:12:47", "expected `cache:"},
    {"overlap: {from: load}", "extra: {time: 1s}", TROUPE_INVALID, "s.yaml:12:47", "expected `extra:"},
    {"parts: team", "parts: all", TROUPE_INVALID, "s.yaml:13:28", "integer"},
    {"teams:\n  crew: {size: 2, of: 5, from: load, to: save}\n", "", TROUPE_INVALID, "s.yaml:11:28",
     "no team is held"},
    {"route: [load, work, save]", "route: [load, work]", TROUPE_INVALID, "s.yaml:13:3", "not on the route"},
    {"route: [load, work, save]", "route: [load, work, save, load]", TROUPE_INVALID, "s.yaml:14:27", "twice"},
    {"route: [load, work, save]", "route: [load, work, [], save]", TROUPE_INVALID, "s.yaml:14:21",
     "at least one"},
    {"route: [load, work, save]", "route: [load, work, svae]", TROUPE_INVALID, "s.yaml:14:21",
     "did you mean 'save'?"},
    {"route: [load, work, save]\n", "", TROUPE_INVALID, "s.yaml:1:1", "expected `route:`"},
    {"assumed: [stages.load.time,", "assumed: [stages.load.tiem,", TROUPE_INVALID, "s.yaml:15:11",
     "no value at"},
    {"assumed: [stages.load.time, lognormal]", "assumed: all", TROUPE_INVALID, "s.yaml:15:1",
     "a list of paths"},
    {"wide: teams.crew.size=3", "wide: 3", TROUPE_INVALID, "s.yaml:18:3", "PATH=VALUE"},
    {"note: half of it", "not: half of it", TROUPE_INVALID, "s.yaml:17:59", "did you mean 'note'?"},
    {"overlays: [fast]", "overlays: [fats]", TROUPE_INVALID, "s.yaml:22:30", "did you mean 'fast'?"},
    {"p95: 4s, errors: [0, 1]", "note: none", TROUPE_INVALID, "s.yaml:21:5", "expects nothing"},
    {"errors: [0, 1]", "errors: [1, 0]", TROUPE_INVALID, "s.yaml:21:39", "below the low one"},
    {"errors: [0, 1]", "erors: 1", TROUPE_INVALID, "s.yaml:21:27", "did you mean 'errors'?"},
};

static void what_is_wrong_is_told_where_and_why(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct scenario *scenario = NULL;
        struct fault fault;
        enum troupe_error error;
        parse_changed(wrong[i].from, wrong[i].to, NULL, &scenario, &error, &fault);
        if (error != wrong[i].error || strncmp(fault.where, wrong[i].where, strlen(wrong[i].where)) != 0 ||
            strstr(fault.text, wrong[i].says) == NULL)
            fail_msg("%s -> %s: %s: %s (%s)", wrong[i].from, wrong[i].to, fault.where, fault.text,
                     error_name(error));
        assert_null(scenario);
    }
    assert_int_equal(account.bytes, 0);
}

static struct scenario *parse_good(const char *const *overlays, size_t overlay_count, const char *const *sets,
                                   size_t set_count) {
    struct scenario_change change = {overlays, overlay_count, sets, set_count};
    struct scenario *scenario = NULL;
    struct fault fault = {0};
    if (scenario_parse(&account, good, sizeof good - 1, "s.yaml", &change, &scenario, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    return scenario;
}

static const struct scenario_parameter *parameter(const struct scenario *scenario, const char *path) {
    size_t count;
    const struct scenario_parameter *all = scenario_parameters(scenario, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].path, path) == 0)
            return &all[i];
    fail_msg("no parameter %s", path);
    return NULL;
}

static void every_value_has_its_origin(void **state) {
    (void)state;
    static const char *const overlays[] = {"fast", "wide"}, *const sets[] = {"stages.load.time.p95=3s"};
    struct scenario *scenario = parse_good(overlays, 2, sets, 1);
    assert_int_equal(parameter(scenario, "stages.load.time.p95")->origin, SCENARIO_CHANGED);
    assert_string_equal(parameter(scenario, "stages.load.time.p95")->text, "3s");
    assert_int_equal(parameter(scenario, "teams.crew.size")->origin, SCENARIO_CHANGED);
    assert_string_equal(parameter(scenario, "stages.work.cpu")->text, "0.25");
    assert_int_equal(parameter(scenario, "lognormal.sigma")->origin, SCENARIO_ASSUMED);
    assert_int_equal(parameter(scenario, "arrivals.rate")->origin, SCENARIO_GIVEN);
    assert_string_equal(parameter(scenario, "stages.work.time.uniform")->text, "[1s, 2s]");
    assert_string_equal(parameter(scenario, "route")->text, "[load, work, save]");
    scenario_free(scenario);
    scenario = parse_good(NULL, 0, NULL, 0);
    assert_int_equal(parameter(scenario, "stages.load.time.p95")->origin, SCENARIO_ASSUMED);
    assert_string_equal(scenario_name(scenario), "good");
    size_t count;
    const struct scenario_overlay *all = scenario_overlays(scenario, &count);
    assert_int_equal(count, 3);
    assert_string_equal(all[0].note, "half of it");
    assert_string_equal(all[2].set, "");
    scenario_free(scenario);
    assert_int_equal(account.bytes, 0);
}

static const struct {
    const char *overlay, *set, *where, *says;
    enum troupe_error error;
} bad_changes[] = {
    {"fats", NULL, "--overlay", "did you mean 'fast'?", TROUPE_USAGE},
    {NULL, "requests", "--set", "expected PATH=VALUE", TROUPE_USAGE},
    {NULL, "=3", "--set", "expected PATH=VALUE", TROUPE_USAGE},
    {NULL, "stages..x=3", "--set", "no path", TROUPE_USAGE},
    {NULL, "requests=none", "--set", "requests: expected an integer", TROUPE_INVALID},
    {NULL, "stages.laod.factor=2", "--set", "stages.laod: `time:` is missing", TROUPE_INVALID},
    {NULL, "stages.load.facto=2", "--set", "did you mean 'factor'?", TROUPE_INVALID},
    {NULL, "requests=[", "--set", "", TROUPE_SYNTAX},
};

static void a_wrong_change_is_told(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad_changes); i++) {
        struct scenario_change change = {&bad_changes[i].overlay, bad_changes[i].overlay != NULL,
                                         &bad_changes[i].set, bad_changes[i].set != NULL};
        struct scenario *scenario = NULL;
        struct fault fault = {0};
        enum troupe_error error =
            scenario_parse(&account, good, sizeof good - 1, "s.yaml", &change, &scenario, &fault);
        if (error != bad_changes[i].error || strcmp(fault.where, bad_changes[i].where) != 0 ||
            strstr(fault.text, bad_changes[i].says) == NULL)
            fail_msg("change %zu: %s: %s: %s", i, error_name(error), fault.where, fault.text);
    }
    assert_int_equal(account.bytes, 0);
}

static void a_wrong_overlay_is_told_when_it_is_used(void **state) {
    (void)state;
    static const char *const overlays[] = {"wide"};
    struct scenario_change change = {overlays, 1, NULL, 0};
    struct scenario *scenario = NULL;
    struct fault fault;
    enum troupe_error error;
    parse_changed("teams.crew.size=3", "teams.crew.size", &change, &scenario, &error, &fault);
    assert_int_equal(error, TROUPE_USAGE);
    assert_string_equal(fault.where, "overlay wide");
    assert_non_null(strstr(fault.text, "expected PATH=VALUE"));
    assert_int_equal(account.bytes, 0);
}

static void rows_are_compared_by_their_tolerances(void **state) {
    (void)state;
    struct scenario *scenario = parse_good(NULL, 0, NULL, 0);
    size_t count;
    const struct scenario_row *rows = scenario_rows(scenario, &count);
    assert_int_equal(count, 2);
    assert_int_equal(rows[1].overlay_count, 1);
    struct scenario_result ours = {0}, base = {0};
    struct scenario_verdict verdict;
    static const struct {
        double p95_s;
        bool good;
        double difference;
    } times[] = {{4.19, true, 4.75}, {4.21, false, 5.25}, {3.81, true, -4.75}, {3.79, false, -5.25}};
    for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
        ours.figures[SCENARIO_P95].value = times[i].p95_s * 1e9;
        scenario_compare(&rows[0], SCENARIO_P95, false, &ours, NULL, &verdict);
        assert_true(verdict.checked && verdict.good == times[i].good);
        assert_float_equal(verdict.difference, times[i].difference, 1e-6);
    }
    ours.figures[SCENARIO_ERRORS].value = 1.2; /* 0.2 points past the range, 0.3 allowed */
    scenario_compare(&rows[0], SCENARIO_ERRORS, false, &ours, NULL, &verdict);
    assert_true(verdict.good);
    assert_float_equal(verdict.difference, 0.2, 1e-6);
    scenario_compare(&rows[0], SCENARIO_P50, false, &ours, NULL, &verdict);
    assert_false(verdict.checked);
    base.figures[SCENARIO_P95].value = 100;
    ours.figures[SCENARIO_P95].value = 91;
    scenario_compare(&rows[1], SCENARIO_P95, true, &ours, &base, &verdict);
    assert_true(verdict.checked && verdict.good);
    assert_float_equal(verdict.ours, -9, 1e-6);
    ours.figures[SCENARIO_P95].value = 93;
    scenario_compare(&rows[1], SCENARIO_P95, true, &ours, &base, &verdict);
    assert_false(verdict.good);
    scenario_free(scenario);
}

/* ---- the scenarios that are shipped ---- */

static void load_under(struct env *env, const char *path, const char *overlay, size_t *ret_overlays) {
    struct scenario_change change = {&overlay, overlay != NULL, NULL, 0};
    struct scenario *scenario = NULL;
    struct fault fault = {0};
    if (scenario_load(env, &account, path, &change, &scenario, &fault) != TROUPE_OK)
        fail_msg("%s under %s: %s: %s", path, overlay != NULL ? overlay : "nothing", fault.where, fault.text);
    (void)scenario_overlays(scenario, ret_overlays);
    scenario_free(scenario);
}

static void what_is_shipped_is_right_under_each_overlay(void **state) {
    (void)state;
    static const char *const names[] = {"seed-registry", "seed-pipeline"};
    const char *root = getenv("TROUPE_SOURCE_ROOT");
    struct env *env = NULL;
    assert_int_equal(env_os_create(&account, &env), TROUPE_OK);
    for (size_t i = 0; i < ARRAY_COUNT(names) && root != NULL; i++) {
        char path[1024];
        size_t count = 0, ignored;
        struct scenario *scenario = NULL;
        (void)snprintf(path, sizeof path, "%s/scenarios/%s.yaml", root, names[i]);
        load_under(env, path, NULL, &count);
        assert_true(count > 5);
        assert_int_equal(scenario_load(env, &account, path, NULL, &scenario, NULL), TROUPE_OK);
        const struct scenario_overlay *overlays = scenario_overlays(scenario, &count);
        for (size_t k = 0; k < count; k++)
            load_under(env, path, overlays[k].name, &ignored);
        scenario_free(scenario);
    }
    env_destroy(env);
    assert_int_equal(account.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_told_where_and_why),
        cmocka_unit_test(every_value_has_its_origin),
        cmocka_unit_test(a_wrong_change_is_told),
        cmocka_unit_test(a_wrong_overlay_is_told_when_it_is_used),
        cmocka_unit_test(rows_are_compared_by_their_tolerances),
        cmocka_unit_test(what_is_shipped_is_right_under_each_overlay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
