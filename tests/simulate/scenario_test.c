/* scenario against what queueing theory and arithmetic say of the same system: if these fail, a prediction is wrong.
 * Waits at FIFO servers and shared cores, partitions, pauses, teams, overlap, split, failures; bit for bit the same under
 * one seed; and what happens when memory ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "simulate/scenario.h"

static struct account account = ACCOUNT("scenario test");

static struct scenario *parse(const char *yaml) {
    struct scenario *scenario = NULL;
    struct fault fault = {0};
    if (scenario_parse(&account, yaml, strlen(yaml), "s.yaml", NULL, &scenario, &fault) != TROUPE_OK)
        fail_msg("%s: %s\n%s", fault.where, fault.text, yaml);
    return scenario;
}

static void run(const char *yaml, unsigned replications, uint64_t seed, struct scenario_result *ret) {
    struct scenario *scenario = parse(yaml);
    struct fault fault = {0};
    struct scenario_request request = {.scenario = scenario, .seed = seed, .replications = replications};
    if (scenario_simulate(&request, &account, ret, &fault) != TROUPE_OK)
        fail_msg("%s: %s\n%s", fault.where, fault.text, yaml);
    for (unsigned i = 0; i < ret->place_count; i++)
        ret->places[i].name = ""; /* the scenario's */
    scenario_free(scenario);
}

static void assert_near(double value, double expected, double percent) {
    if (!(fabs(value - expected) <= fabs(expected) * percent / 100))
        fail_msg("%g, expected %g within %g %%", value, expected, percent);
}

/* ---- theory ---- */

struct theory {
    const char *yaml;
    double mean_ms, p95_ms /* 0: no closed form */, busy, percent;
};
static const struct theory theories[] = {
    /* M/M/1, rho 0.8: exponential with mean s / (1 - rho) */
    {"{arrivals: {kind: poisson, rate: 80/s}, requests: 40000, stations: {a: {}}, "
     "stages: {x: {station: a, time: {exponential: 10ms}}}, route: [x]}",
     50, 149.8, 0.8, 5},
    /* M/D/1: s (1 + rho / 2 (1 - rho)) */
    {"{arrivals: {kind: poisson, rate: 80/s}, requests: 40000, stations: {a: {}}, "
     "stages: {x: {station: a, time: 10ms}}, route: [x]}",
     30, 0, 0.8, 3},
    /* M/M/2: s / (1 - rho^2) */
    {"{arrivals: {kind: poisson, rate: 160/s}, requests: 40000, stations: {a: {servers: 2}}, "
     "stages: {x: {station: a, time: {exponential: 10ms}}}, route: [x]}",
     27.78, 0, 0.8, 4},
    /* Hashed to 4 partitions: each an M/M/1 of a fourth of the load. */
    {"{arrivals: {kind: poisson, rate: 320/s}, requests: 40000, stations: {a: {partitions: 4}}, "
     "stages: {x: {station: a, time: {exponential: 10ms}}}, route: [x]}",
     50, 149.8, 0.8, 5},
    /* Processor sharing, whatever the distribution: s / (1 - rho). */
    {"{arrivals: {kind: poisson, rate: 0.8/s}, requests: 8000, cores: 1, "
     "stages: {x: {cpu: 1, time: 1s}}, route: [x]}",
     5000, 0, 0.8, 7},
    /* As many servers as requests: only the time itself. */
    {"{arrivals: {kind: poisson, rate: 80/s}, requests: 20000, stages: {x: {time: {exponential: 10ms}}}, "
     "route: [x]}",
     10, 29.96, NAN, 2},
};

static void waits_are_those_of_theory(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(theories); i++) {
        struct scenario_result result;
        run(theories[i].yaml, 4, 11 + i, &result);
        assert_near(result.figures[SCENARIO_MEAN].value / 1e6, theories[i].mean_ms, theories[i].percent);
        if (theories[i].p95_ms > 0)
            assert_near(result.figures[SCENARIO_P95].value / 1e6, theories[i].p95_ms,
                        theories[i].percent + 1);
        if (!isnan(theories[i].busy))
            assert_near(result.places[0].utilisation, theories[i].busy, 2);
        /* What is in a request's time is in its places. */
        const struct scenario_place *stage = &result.places[result.place_count - 1];
        assert_near((stage->service_ns + stage->wait_ns) / 1e6, result.figures[SCENARIO_MEAN].value / 1e6,
                    0.01);
        scenario_result_free(&result);
    }
    assert_int_equal(account.bytes, 0);
}

/* ---- arithmetic ---- */

#define CLOSED "arrivals: {kind: closed}, requests: 20, "
struct exact {
    const char *yaml;
    double mean_ms, p99_ms, errors; /* percent */
};
static const struct exact exacts[] = {
    {"{" CLOSED "stages: {a: {time: 10ms}, b: {time: 30ms}}, route: [a, b]}", 40, 40, 0},
    {"{" CLOSED "stages: {a: {time: 10ms}, b: {time: 30ms}}, route: [[a, b]]}", 30, 30, 0},
    {"{" CLOSED "stages: {a: {time: 10ms, factor: 3}, b: {time: 30ms, factor: 0}}, route: [a, b]}", 30, 30,
     0},
    /* overlap: c passes while a and b do; what is left of it comes at its own place */
    {"{" CLOSED
     "stages: {a: {time: 10ms}, b: {time: 30ms}, c: {time: 20ms, overlap: {from: a}}}, route: [a, b, c]}",
     40, 40, 0},
    {"{" CLOSED
     "stages: {a: {time: 10ms}, b: {time: 30ms}, c: {time: 20ms, overlap: {from: a, fraction: 0.5}}}, "
     "route: [a, b, c]}",
     50, 50, 0},
    {"{" CLOSED
     "stages: {a: {time: 10ms}, b: {time: 30ms}, c: {time: 100ms, overlap: {from: b}}}, route: [a, b, c]}",
     110, 110, 0},
    /* split */
    {"{" CLOSED "stages: {a: {time: 100ms, split: {parts: 4}}}, route: [a]}", 25, 25, 0},
    {"{" CLOSED "stages: {a: {time: 100ms, split: {parts: 4, serial: 0.1}}}, route: [a]}", 32.5, 32.5, 0},
    {"{" CLOSED
     "stations: {s: {servers: 2}}, stages: {a: {time: 100ms, station: s, split: {parts: 4}}}, route: [a]}",
     50, 50, 0},
    {"{" CLOSED "cores: 2, stages: {a: {time: 100ms, cpu: 1, split: {parts: 4}}}, route: [a]}", 50, 50, 0},
    {"{" CLOSED "cores: 4, stages: {a: {time: 100ms, cpu: 0.4, split: {parts: 4}}}, route: [a]}", 25, 25, 0},
    {"{" CLOSED
     "teams: {t: {size: 4, of: 9, from: a, to: a}}, stages: {a: {time: 100ms, split: {parts: team}}}, "
     "route: [a]}",
     25, 25, 0},
    /* two clients at one server; two of three may hold a team at once */
    {"{arrivals: {kind: closed, clients: 2}, requests: 21, stations: {s: {}}, stages: {a: {station: s, time: "
     "10ms}}, "
     "route: [a]}",
     19.524, 20, 0},
    {"{arrivals: {kind: closed, clients: 3}, requests: 30, teams: {t: {size: 2, of: 5, from: a, to: b}}, "
     "stages: {a: {time: 10ms}, b: {time: 10ms}, c: {time: 5ms}}, route: [a, b, c]}",
     30.1667, 45, 0},
    /* a pause of 100 ms every second: of 10 services of 300 ms three meet one */
    {"{arrivals: {kind: closed}, requests: 10, stations: {s: {pauses: {every: 1s, length: 100ms}}}, "
     "stages: {a: {station: s, time: 300ms}}, route: [a]}",
     330, 400, 0},
    /* waiting: service x (1 + n): 10, 20 and 30 ms of three that come together */
    {"{arrivals: {kind: bursts, requests: 3, every: 1s}, requests: 30, stations: {s: {waiting: 1}}, "
     "stages: {a: {station: s, time: 10ms}}, route: [a]}",
     33.333, 60, 0},
    /* errors */
    {"{" CLOSED "timeout: 25ms, stages: {a: {time: 30ms}}, route: [a]}", 25, 25, 100},
    {"{" CLOSED "stages: {a: {time: 30ms, fails: 1, retries: 2}, b: {time: 5ms}}, route: [a, b]}", 90, 90,
     100},
    {"{" CLOSED "stages: {a: {time: 30ms, extra: {probability: 1, time: 5ms}}}, route: [a]}", 35, 35, 0},
    {"{" CLOSED "stages: {a: {time: 30ms, extra: {probability: 1, time: 5ms, error: true}}}, route: [a]}", 35,
     35, 100},
    {"{" CLOSED
     "stages: {a: {time: 30ms, cache: {hit: 1, time: 1ms}, extra: {probability: 1, time: 5ms}}}, route: [a]}",
     1, 1, 0},
    /* ten at once, one served, two may wait: seven are turned away at once */
    {"{arrivals: {kind: bursts, requests: 10, every: 1s}, requests: 100, stations: {s: {queue_max: 2}}, "
     "stages: {a: {station: s, time: 10ms}}, route: [a]}",
     6, 30, 70},
};

static void simple_systems_are_exact(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(exacts); i++) {
        struct scenario_result result;
        run(exacts[i].yaml, 1, 1, &result);
        double mean = result.figures[SCENARIO_MEAN].value / 1e6,
               p99 = result.figures[SCENARIO_P99].value / 1e6;
        double errors = result.figures[SCENARIO_ERRORS].value;
        if (fabs(mean - exacts[i].mean_ms) > 0.001 || fabs(p99 - exacts[i].p99_ms) > 0.001 ||
            fabs(errors - exacts[i].errors) > 1e-9)
            fail_msg("%s: mean %g, p99 %g, errors %g", exacts[i].yaml, mean, p99, errors);
        scenario_result_free(&result);
    }
    assert_int_equal(account.bytes, 0);
}

static void capacity_names_what_limits(void **state) {
    (void)state;
    struct scenario_result result;
    /* 2 teams held 30 ms; a station of 10 ms with 3 servers; 1 core of 5 ms */
    run("{arrivals: {kind: constant, rate: 10/s}, requests: 1000, cores: 1, stations: {s: {servers: 3}}, "
        "teams: {t: {size: 5, of: 12, from: a, to: c}}, stages: {a: {time: 15ms}, b: {station: s, time: "
        "10ms}, "
        "c: {time: 5ms, cpu: 1}, d: {time: 70ms}}, route: [a, b, c, d]}",
        2, 1, &result);
    assert_int_equal(result.limit, 1);
    assert_near(result.figures[SCENARIO_CAPACITY].value, 66.667, 0.01);
    assert_near(result.places[0].capacity, 300, 0.01);
    assert_near(result.places[2].capacity, 200, 0.01);
    assert_near(result.places[0].utilisation, 0.0333, 1);
    assert_near(result.places[1].utilisation, 0.15, 1);
    assert_near(result.places[2].utilisation, 0.05, 1);
    assert_near(result.figures[SCENARIO_MEAN].value, 100e6, 0.001);
    assert_near(result.figures[SCENARIO_THROUGHPUT].value, 10, 1);
    scenario_result_free(&result);
    /* nothing is counted: nothing limits */
    run("{arrivals: {kind: constant, rate: 10/s}, duration: 2s, stages: {a: {time: 15ms}}, route: [a]}", 1, 1,
        &result);
    assert_int_equal(result.limit, -1);
    assert_true(isinf(result.figures[SCENARIO_CAPACITY].value));
    assert_int_equal(result.requests, 20);
    scenario_result_free(&result);
}

/* ---- one seed ---- */

static const char busy[] =
    "{arrivals: {kind: poisson, rate: 30/s}, requests: 2000, cores: 2, timeout: 300ms, "
    "lognormal: {sigma: 0.4, shared: 0.4}, stations: {s: {partitions: 2, waiting: 0.1, pauses: {every: 2s, "
    "length: {uniform: [10ms, 90ms]}}}}, teams: {t: {size: 2, of: 20, from: a, to: c}}, "
    "stages: {a: {time: {p95: 20ms}}, b: {station: s, time: {exponential: 20ms}, split: {parts: 3}}, "
    "c: {time: {p95: 60ms}, cpu: 0.5, fails: 0.1, retries: 1}, d: {time: {p95: 80ms}, overlap: {from: b, "
    "fraction: "
    "0.7}}}, route: [a, [b, c], d]}";

static void the_same_seed_gives_the_same(void **state) {
    (void)state;
    struct scenario_result first, second, other;
    run(busy, 3, 5, &first);
    run(busy, 3, 5, &second);
    run(busy, 3, 6, &other);
    assert_memory_equal(first.figures, second.figures, sizeof first.figures);
    assert_true(first.signature == second.signature && first.events == second.events);
    assert_true(first.signature != other.signature);
    assert_true(first.figures[SCENARIO_MEAN].value != other.figures[SCENARIO_MEAN].value);
    assert_true(first.errors > 0 && first.errors < first.requests);
    assert_memory_equal(first.places, second.places, first.place_count * sizeof *first.places);
    scenario_result_free(&first);
    scenario_result_free(&second);
    scenario_result_free(&other);
}

static void variants_see_the_same_luck(void **state) {
    (void)state;
    static const char form[] =
        "{arrivals: {kind: closed}, requests: 500, lognormal: {sigma: 0.5, shared: 0.3}, "
        "stages: {a: {time: {p95: %s}}, b: {time: {p95: 50ms}, factor: %s}}, route: [a, b]}";
    struct scenario_result one, two;
    char yaml[400];
    (void)snprintf(yaml, sizeof yaml, form, "100ms", "0");
    run(yaml, 2, 9, &one);
    (void)snprintf(yaml, sizeof yaml, form, "200ms", "0");
    run(yaml, 2, 9, &two);
    for (unsigned f = SCENARIO_MEAN; f <= SCENARIO_P99; f++)
        assert_near(two.figures[f].value, 2 * one.figures[f].value, 1e-4);
    scenario_result_free(&one);
    scenario_result_free(&two);
}

/* ---- bounds and failures ---- */

static void too_much_is_told(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        {"{arrivals: {kind: closed}, requests: 100, stages: {a: {time: 10d}}, route: [a]}", "196 days"},
        {"{arrivals: {kind: constant, rate: 1000000}, requests: 300000, stages: {a: {time: 10s}}, route: "
         "[a]}",
         "more than 200,000 requests at once"},
        {"{arrivals: {kind: closed}, requests: 1, stations: {s: {pauses: {every: 1ms, length: 0s}}}, stages: "
         "{a: "
         "{station: s, time: 10d}}, route: [a]}",
         "196 days"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct scenario *scenario = parse(cases[i].yaml);
        struct scenario_result result = {0};
        struct fault fault = {0};
        struct scenario_request request = {.scenario = scenario, .seed = 1, .replications = 1};
        assert_int_equal(scenario_simulate(&request, &account, &result, &fault), TROUPE_LIMIT);
        assert_non_null(strstr(fault.text, cases[i].says));
        scenario_free(scenario);
    }
    assert_int_equal(account.bytes, 0);
}

static void memory_may_end_anywhere(void **state) {
    (void)state;
    static const char small[] = "{arrivals: {kind: bursts, requests: 3, every: 1s, within: 1ms}, requests: "
                                "6, cores: 1, stations: {s: {}}, "
                                "teams: {t: {size: 1, of: 1, from: a, to: b}}, stages: {a: {station: s, "
                                "time: 5ms}, b: {time: 5ms, cpu: 1, "
                                "split: {parts: 2}}}, route: [a, b], overlays: {o: stages.a.time=7ms}}";
    static const char *const overlays[] = {"o"}, *const sets[] = {"requests=5"};
    struct scenario_change change = {overlays, 1, sets, 1};
    for (int64_t n = 1;; n++) {
        struct scenario *scenario = NULL;
        struct scenario_result result = {0};
        struct fault fault = {0};
        memory_fail_after(n);
        enum troupe_error error =
            scenario_parse(&account, small, sizeof small - 1, "s.yaml", &change, &scenario, &fault);
        if (error == TROUPE_OK) {
            struct scenario_request request = {.scenario = scenario, .seed = 1, .replications = 2};
            error = scenario_simulate(&request, &account, &result, &fault);
        }
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        scenario_result_free(&result);
        scenario_free(scenario);
        assert_int_equal(account.bytes, 0);
        if (!fired) {
            assert_int_equal(error, TROUPE_OK);
            assert_true(n > 100);
            break;
        }
        if (error != TROUPE_OK)
            assert_int_equal(error, TROUPE_NOMEM);
    }
}

/* ---- the same actors on threads and timers ---- */

/* Times are never asserted; that everything comes to its end, and nothing is lost, is. */
static void on_threads_everything_ends(void **state) {
    (void)state;
    static const char yaml[] =
        "{arrivals: {kind: poisson, rate: 100/s}, requests: 300, cores: 1, stations: {s: {partitions: 2}}, "
        "teams: {t: {size: 2, of: 8, from: a, to: c}}, stages: {a: {time: 3ms}, b: {station: s, time: "
        "{exponential: "
        "5ms}}, c: {time: 4ms, cpu: 0.5}, d: {time: 30ms, fails: 0.1}, e: {time: 0s}}, route: [a, [b, c], d, "
        "e]}";
    struct scenario *scenario = parse(yaml);
    struct scenario_result simulated, measured;
    struct fault fault = {0};
    struct env *env = NULL;
    struct scenario_request request = {.scenario = scenario, .seed = 1, .replications = 2};
    assert_int_equal(env_os_create(&account, &env), TROUPE_OK);
    assert_int_equal(scenario_simulate(&request, &account, &simulated, &fault), TROUPE_OK);
    assert_int_equal(scenario_measure(&request, env, 20, &account, &measured, &fault), TROUPE_OK);
    assert_int_equal(measured.requests, 600);
    assert_int_equal(measured.errors, simulated.errors); /* the same draws */
    for (unsigned i = 0; i < measured.place_count; i++)
        assert_near(measured.places[i].visits, simulated.places[i].visits, 0.001);
    assert_true(measured.figures[SCENARIO_P50].value > 30e6);
    scenario_result_free(&simulated);
    scenario_result_free(&measured);
    scenario_free(scenario);
    env_destroy(env);
    assert_int_equal(account.bytes, 0);
}

/* Wherever memory ends, the run ends too, says so, and leaves nothing behind. */
static void on_threads_memory_may_end_anywhere(void **state) {
    (void)state;
    static const char yaml[] = "{arrivals: {kind: bursts, requests: 3, every: 1s, within: 1ms}, requests: 6, "
                               "cores: 1, stations: {s: {}}, "
                               "teams: {t: {size: 1, of: 1, from: a, to: b}}, stages: {a: {station: s, time: "
                               "5ms}, b: {time: 5ms, cpu: 1}}, "
                               "route: [a, b]}";
    struct scenario *scenario = parse(yaml);
    struct env *env = NULL;
    struct account env_account = ACCOUNT("env");
    struct scenario_request request = {.scenario = scenario, .seed = 1, .replications = 1};
    assert_int_equal(env_os_create(&env_account, &env), TROUPE_OK);
    for (int64_t n = 1;; n++) {
        struct scenario_result result = {0};
        struct fault fault = {0};
        memory_fail_after(n);
        enum troupe_error error = scenario_measure(&request, env, 1000, &account, &result, &fault);
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        scenario_result_free(&result);
        if (!fired) {
            assert_int_equal(error, TROUPE_OK);
            assert_true(n > 30);
            break;
        }
        if (error != TROUPE_OK)
            assert_int_equal(error, TROUPE_NOMEM);
    }
    scenario_free(scenario);
    assert_int_equal(account.bytes, 0);
    env_destroy(env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_are_those_of_theory),
        cmocka_unit_test(simple_systems_are_exact),
        cmocka_unit_test(capacity_names_what_limits),
        cmocka_unit_test(the_same_seed_gives_the_same),
        cmocka_unit_test(variants_see_the_same_luck),
        cmocka_unit_test(too_much_is_told),
        cmocka_unit_test(memory_may_end_anywhere),
        cmocka_unit_test(on_threads_everything_ends),
        cmocka_unit_test(on_threads_memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
