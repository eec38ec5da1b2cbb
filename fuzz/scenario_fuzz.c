/* scenario: a scenario file, read and checked. Leading lines "#set PATH=VALUE" and "#overlay NAME" are given as options.
 * What is accepted keeps the promises of its door, can be laid under each of its own overlays, and, when it is small, ends
 * when it is simulated, with figures that are numbers, twice the same. */
#include "fuzz.h"

#include <math.h>

#include "simulate/scenario.h"

#define LINES_MAX 8
#define REQUESTS_MAX 20

static struct account account = ACCOUNT("fuzz");

struct change {
    char lines[LINES_MAX][512];
    const char *sets[LINES_MAX], *overlays[LINES_MAX];
    struct scenario_change change;
    size_t count;
};

static void take_changes(const uint8_t **data, size_t *left, struct change *change) {
    memset(change, 0, sizeof *change);
    change->change.sets = change->sets;
    change->change.overlays = change->overlays;
    while (change->count < LINES_MAX) {
        bool set = *left > 5 && memcmp(*data, "#set ", 5) == 0;
        bool overlay = *left > 9 && memcmp(*data, "#overlay ", 9) == 0;
        if (!set && !overlay)
            return;
        char *line = change->lines[change->count++];
        fuzz_line(data, left, line, sizeof change->lines[0]);
        if (set)
            change->sets[change->change.set_count++] = line + 5;
        else
            change->overlays[change->change.overlay_count++] = line + 9;
    }
}

static void assert_promises(const struct scenario *scenario) {
    size_t count;
    const struct scenario_parameter *parameters = scenario_parameters(scenario, &count);
    for (size_t i = 0; i < count; i++) {
        fuzz_fit_for_terminal(parameters[i].text);
        CHECK(parameters[i].path[0] != '\0' && parameters[i].origin <= SCENARIO_CHANGED);
    }
    const struct scenario_row *rows = scenario_rows(scenario, &count);
    for (size_t i = 0; i < count; i++)
        for (unsigned f = 0; f < SCENARIO_FIGURE_COUNT; f++)
            CHECK(rows[i].figures[f].low <= rows[i].figures[f].high);
}

/* Of no more requests than REQUESTS_MAX, however many were asked for. */
static void simulate(const char *bytes, size_t length, struct change *change) {
    static const char few[] = "requests=20", *sets[LINES_MAX + 1];
    struct scenario_change bounded = change->change;
    struct scenario *scenario = NULL;
    struct scenario_result results[2] = {0};
    struct fault fault = {0};
    enum troupe_error errors[2];
    memcpy(sets, change->sets, bounded.set_count * sizeof *sets);
    sets[bounded.set_count++] = few;
    bounded.sets = sets;
    if (scenario_parse(&account, bytes, length, "input.yaml", &bounded, &scenario, &fault) != TROUPE_OK)
        return; /* the key may be there with another value that overlays need */
    struct scenario_request request = {.scenario = scenario, .seed = 1, .replications = 1};
    for (unsigned i = 0; i < 2; i++) {
        errors[i] = scenario_simulate(&request, &account, &results[i], &fault);
        CHECK(errors[i] == TROUPE_OK || errors[i] == TROUPE_LIMIT);
    }
    CHECK(errors[0] == errors[1] && results[0].signature == results[1].signature);
    CHECK(results[0].requests <= REQUESTS_MAX && results[0].errors <= results[0].requests);
    for (unsigned f = 0; f < SCENARIO_FIGURE_COUNT && errors[0] == TROUPE_OK; f++) {
        CHECK(!isnan(results[0].figures[f].value) && results[0].figures[f].value >= 0);
        CHECK(f == SCENARIO_CAPACITY || isfinite(results[0].figures[f].value));
    }
    scenario_result_free(&results[0]);
    scenario_result_free(&results[1]);
    scenario_free(scenario);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct change change;
    struct scenario *scenario = NULL;
    struct fault fault = {0};
    take_changes(&data, &size, &change);
    enum troupe_error error =
        scenario_parse(&account, (const char *)data, size, "input.yaml", &change.change, &scenario, &fault);
    if (error != TROUPE_OK) {
        fuzz_refused(error, &fault, scenario);
    } else {
        assert_promises(scenario);
        simulate((const char *)data, size, &change);
    }
    scenario_free(scenario);
    CHECK(account.bytes == 0 && document_account()->bytes == 0);
    return 0;
}
