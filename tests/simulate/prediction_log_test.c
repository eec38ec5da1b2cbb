/* The log of predictions: what was kept is read back as it was told, a measurement finds its prediction and the first
 * one counts, writers wait for each other for a bounded time, a full or damaged log is said and harms nothing. If it
 * failed, the record of how good predictions are would lose or flatter them. */
#include "../base/cmocka_base.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "simulate/simulate.h"

struct place {
    struct account account;
    struct env *env;
    char runs[64];
};

static int place_setup(void **state) {
    struct place *place = calloc(1, sizeof *place);
    place->account = ACCOUNT("test");
    assert_int_equal(env_os_create(&place->account, &place->env), TROUPE_OK);
    snprintf(place->runs, sizeof place->runs, "/tmp/troupe-predictions-XXXXXX");
    assert_non_null(mkdtemp(place->runs));
    *state = place;
    return 0;
}

static int place_teardown(void **state) {
    struct place *place = *state;
    assert_int_equal(env_remove_tree(place->env, place->runs), TROUPE_OK);
    env_destroy(place->env);
    assert_int_equal(place->account.bytes, 0);
    free(place);
    return 0;
}

static struct prediction_entry entry_of(unsigned number) {
    struct prediction_entry entry = {.kind = "whatif",
                                     .run = "digits-1",
                                     .inputs = 0xfedcba9876543210u + number,
                                     .definition = 0x8000000000000001u + number,
                                     .data = 0xffffffffffffffffu - number,
                                     .version = "0.1.0",
                                     .progress = 0.25,
                                     .assumed = 3,
                                     .utc_ns = 1700000000000000001 + number};
    for (unsigned f = 0; f < FIGURE_COUNT; f++) {
        entry.figures[f] = (struct estimate){.value = 1.0 / (f + 3), .low = 0.1, .high = 1e9};
        entry.measured[f] = NAN;
    }
    entry.figures[FIGURE_CORES_BUSY] = (struct estimate){NAN, NAN, NAN};
    return entry;
}

static void keep(struct place *place, const struct prediction_entry *entries, size_t count) {
    struct fault fault = {0};
    if (prediction_log_keep(place->env, &place->account, place->runs, entries, count, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
}

static struct prediction_log *read_log(struct place *place) {
    struct prediction_log *log = NULL;
    struct fault fault = {0};
    if (prediction_log_read(place->env, &place->account, place->runs, &log, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    return log;
}

static void what_was_kept_is_read(void **state) {
    struct place *place = *state;
    struct prediction_log *log = read_log(place); /* none yet */
    assert_int_equal(log->count, 0);
    prediction_log_free(log);
    struct prediction_entry entries[] = {entry_of(0), entry_of(1)};
    entries[1].changes = "[\"agents.train.instances=4\",\"budget.trials=\\\"9\\\"\"]";
    entries[1].definition = 0;
    keep(place, entries, 2);
    entries[0] = entry_of(2);
    entries[0].utc_ns = 0;
    keep(place, entries, 1);
    log = read_log(place);
    assert_int_equal(log->count, 3);
    const struct prediction_entry *first = &log->entries[0], *second = &log->entries[1];
    assert_string_equal(first->kind, "whatif");
    assert_string_equal(first->run, "digits-1");
    assert_string_equal(first->version, "0.1.0");
    assert_true(first->inputs == 0xfedcba9876543210u && first->definition == 0x8000000000000001u);
    assert_true(first->data == 0xffffffffffffffffu);
    assert_true(first->progress == 0.25 && first->assumed == 3);
    assert_true(first->utc_ns == 1700000000000000001);
    assert_string_equal(first->changes, "[]");
    assert_string_equal(first->measured_run, "");
    assert_true(first->figures[FIGURE_TRIALS].value == 1.0 / (FIGURE_TRIALS + 3));
    assert_true(first->figures[FIGURE_TRIALS].low == 0.1 && first->figures[FIGURE_TRIALS].high == 1e9);
    assert_true(isnan(first->figures[FIGURE_CORES_BUSY].value) && isnan(first->measured[FIGURE_WALL]));
    assert_string_equal(second->changes, "[\"agents.train.instances=4\",\"budget.trials=\\\"9\\\"\"]");
    assert_true(second->definition == 0 && second->id != first->id);
    assert_true(log->entries[2].utc_ns > 1700000000000000001);
    prediction_log_free(log);
}

static void the_first_measurement_counts(void **state) {
    struct place *place = *state;
    struct prediction_entry entries[] = {entry_of(0), entry_of(1)};
    snprintf(entries[1].measured_run, sizeof entries[1].measured_run, "digits-1"); /* a quote knows at once */
    entries[1].measured[FIGURE_WALL] = 7;
    keep(place, entries, 2);
    for (unsigned round = 0; round < 2; round++) {
        struct prediction_log *log = read_log(place);
        struct prediction_entry measured = log->entries[0];
        const struct prediction_entry *list[] = {&measured};
        snprintf(measured.measured_run, sizeof measured.measured_run, "later-%u", round);
        snprintf(measured.cause, sizeof measured.cause, "the cores were \"contended\"");
        measured.measured[FIGURE_WALL] = 1.5 + round;
        assert_int_equal(prediction_log_measured(place->env, &place->account, place->runs, list, 1, NULL),
                         TROUPE_OK);
        prediction_log_free(log);
    }
    struct prediction_log *log = read_log(place);
    assert_int_equal(log->count, 2);
    assert_string_equal(log->entries[0].measured_run, "later-0");
    assert_string_equal(log->entries[0].cause, "the cores were \"contended\"");
    assert_true(log->entries[0].measured[FIGURE_WALL] == 1.5);
    assert_true(isnan(log->entries[0].measured[FIGURE_TRIALS]));
    assert_true(log->entries[1].measured[FIGURE_WALL] == 7);
    prediction_log_free(log);
}

static void one_writes_at_a_time(void **state) {
    struct place *place = *state;
    struct prediction_entry entry = entry_of(0);
    struct fault fault = {0};
    char directory[128];
    struct store *store = NULL;
    snprintf(directory, sizeof directory, "%s/" PREDICTION_DIRECTORY, place->runs);
    assert_int_equal(store_open(place->env, &place->account, directory,
                                &(struct store_options){.create = true}, &store, NULL),
                     TROUPE_OK);
    assert_int_equal(prediction_log_keep(place->env, &place->account, place->runs, &entry, 1, &fault),
                     TROUPE_LOCKED);
    assert_non_null(strstr(fault.where, PREDICTION_DIRECTORY));
    prediction_log_free(read_log(place)); /* a reader waits for nobody */
    store_close(store);
    keep(place, &entry, 1);
}

static void a_log_that_cannot_be_used_is_said(void **state) {
    struct place *place = *state;
    struct prediction_entry entry = entry_of(0);
    struct prediction_log *log = NULL;
    struct fault fault = {0};
    char path[160], longest[1400];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(prediction_log_keep(place->env, &place->account, longest, &entry, 1, &fault),
                     TROUPE_LIMIT);
    assert_int_equal(prediction_log_read(place->env, &place->account, longest, &log, &fault), TROUPE_LIMIT);
    keep(place, &entry, 1);
    snprintf(path, sizeof path, "%s/" PREDICTION_DIRECTORY "/store.db", place->runs);
    assert_int_equal(truncate(path, PREDICTIONS_BYTES_MAX + 1), 0); /* full */
    assert_int_equal(prediction_log_keep(place->env, &place->account, place->runs, &entry, 1, &fault),
                     TROUPE_LIMIT);
    assert_non_null(strstr(fault.text, "remove it"));
    assert_int_equal(
        env_write_file(place->env, path, "no database at all, and longer than its header: ....", 40, NULL),
        TROUPE_OK);
    assert_int_equal(prediction_log_keep(place->env, &place->account, place->runs, &entry, 1, &fault),
                     TROUPE_CORRUPT);
    assert_int_equal(prediction_log_read(place->env, &place->account, place->runs, &log, &fault),
                     TROUPE_CORRUPT);
}

static void rows_of_others_do_no_harm(void **state) {
    struct place *place = *state;
    char directory[128];
    struct store *store = NULL;
    struct prediction_log *log = NULL;
    const struct store_entry rows[] = {
        {{.kind = STORE_PREDICTION, .a = 1}, "a kind longer than it can be", "{\"run\":7,\"wall_ms\":[1]}"},
        {{.kind = STORE_PREDICTION, .a = 99, .attempt = 1}, "", "{\"run\":\"x\"}"}, /* of nothing */
        {{.kind = STORE_PREDICTION, .a = 2}, "quote", "[]"},
    };
    const struct store_entry broken = {{.kind = STORE_PREDICTION, .a = 3}, "quote", "{"};
    snprintf(directory, sizeof directory, "%s/" PREDICTION_DIRECTORY, place->runs);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(store_open(place->env, &place->account, directory,
                                    &(struct store_options){.create = true}, &store, NULL),
                         TROUPE_OK);
        assert_int_equal(round == 0 ? store_append(store, rows, ARRAY_COUNT(rows), NULL)
                                    : store_append(store, &broken, 1, NULL),
                         TROUPE_OK);
        store_close(store);
        if (round == 0) {
            log = read_log(place);
            assert_int_equal(log->count, 2);
            assert_true(isnan(log->entries[0].figures[FIGURE_WALL].low));
            prediction_log_free(log);
        }
    }
    assert_int_equal(prediction_log_read(place->env, &place->account, place->runs, &log, NULL),
                     TROUPE_SYNTAX);
}

static void every_allocation_fails(void **state) {
    struct place *place = *state;
    struct prediction_entry entry = entry_of(0);
    keep(place, &entry, 1);
    FOR_EACH_FAILING_ALLOCATION(n) {
        struct prediction_log *log = NULL;
        int64_t before = place->account.bytes;
        enum troupe_error error =
            prediction_log_keep(place->env, &place->account, place->runs, &entry, 1, NULL);
        if (error == TROUPE_OK)
            error = prediction_log_read(place->env, &place->account, place->runs, &log, NULL);
        prediction_log_free(log);
        assert_true(error == TROUPE_OK || error == TROUPE_NOMEM);
        assert_int_equal(place->account.bytes, before);
        n += n / 8; /* SQLite makes many, and alike */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_kept_is_read, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(the_first_measurement_counts, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(one_writes_at_a_time, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_log_that_cannot_be_used_is_said, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(rows_of_others_do_no_harm, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(every_allocation_fails, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
