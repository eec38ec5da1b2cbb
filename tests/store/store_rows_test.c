/* Rows through the store: what goes in comes out, in commit order; nothing counts twice; groups and bounds
 * hold; readers see a live writer's commits. Fails when a run's record would lose, change, double or reorder
 * something. */
#include "store_driver.h"

#include <math.h>
#include <unistd.h>

struct place {
    struct account account;
    struct env *env;
    char root[64], directory[128];
    struct store *store;
};

static void place_open_store(struct place *place, const struct store_options *options) {
    struct fault fault = {0};
    enum troupe_error error =
        store_open(place->env, &place->account, place->directory, options, &place->store, &fault);
    if (error != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
}

static int place_setup(void **state) {
    struct place *place = calloc(1, sizeof *place);
    place->account = ACCOUNT("test");
    assert_int_equal(env_os_create(&place->account, &place->env), TROUPE_OK);
    snprintf(place->root, sizeof place->root, "/tmp/troupe-store-XXXXXX");
    assert_non_null(mkdtemp(place->root));
    snprintf(place->directory, sizeof place->directory, "%s/runs/one", place->root);
    *state = place;
    return 0;
}

static int place_teardown(void **state) {
    struct place *place = *state;
    store_close(place->store);
    assert_int_equal(env_remove_tree(place->env, place->root), TROUPE_OK);
    env_destroy(place->env);
    assert_int_equal(place->account.bytes, 0);
    assert_int_equal(place->account.blocks, 0);
    free(place);
    return 0;
}

static void place_write(struct place *place, struct driver *driver) {
    driver->store = place->store;
    assert_int_equal(driver_run(driver, place->env, &place->account), TROUPE_OK);
    assert_int_equal(driver->write_error, TROUPE_OK);
    assert_int_equal(driver->answers, driver->count);
    store_close(place->store);
    place->store = NULL;
}

static struct driver_row row_of(void *context, uint32_t index) {
    return ((const struct driver_row *)context)[index];
}

/* ---- reading back ---- */

struct copy {
    unsigned count;
    struct store_row rows[64];
    char names[64][64], texts[64][256];
};

static bool copy_row(void *context, const struct store_row *row, const char *name, const char *text) {
    struct copy *copy = context;
    assert_true(copy->count < ARRAY_COUNT(copy->rows));
    assert_int_equal(strlen(name), row->name_length);
    assert_int_equal(strlen(text), row->text_length);
    copy->rows[copy->count] = *row;
    snprintf(copy->names[copy->count], sizeof copy->names[0], "%s", name);
    snprintf(copy->texts[copy->count], sizeof copy->texts[0], "%s", text);
    copy->count++;
    return true;
}

static struct store_reader *place_reader(struct place *place) {
    struct fault fault = {0};
    struct store_reader *reader = NULL;
    if (store_reader_open(place->env, &place->account, place->directory, &reader, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    return reader;
}

static void every_kind_comes_back(void **state) {
    struct place *place = *state;
    struct driver_row rows[STORE_ROW_KINDS * 2];
    for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
        rows[i] = (struct driver_row){
            .row = {.kind = (enum store_row_kind)(i % STORE_ROW_KINDS),
                    .trial = UINT32_MAX - i,
                    .stage = (uint16_t)(UINT16_MAX - i),
                    .attempt = (uint16_t)(i + 1),
                    .a = INT64_MIN + i,
                    .b = INT64_MAX - i,
                    .real = i == 4   ? NAN
                            : i == 5 ? INFINITY
                                     : 1.0 / (i + 3),
                    .utc_ns = 1000000007LL * (i + 1)},
            .name = i % 3 == 0 ? "na\xc3\xafve 'name'" : NULL,
            .text = i % 3 == 1 ? "{\"lr\":1e-3,\"note\":\"a \\\"quote\\\"; DROP TABLE\"}" : "x",
        };
    }
    /* one creation and one summary a run: the second creation is refused, the second summary replaces */
    place_open_store(place, &(struct store_options){.create = true});
    struct driver driver = {.count = ARRAY_COUNT(rows), .make = row_of, .context = rows};
    place_write(place, &driver);
    assert_int_equal(driver.failed, 1);
    assert_int_equal(driver.last_error, TROUPE_EXISTS);
    assert_non_null(strstr(driver.last_text, "store.db"));

    struct store_reader *reader = place_reader(place);
    for (unsigned kind = 0; kind < STORE_ROW_KINDS; kind++) {
        struct copy copy = {0};
        assert_int_equal(store_read(reader, (enum store_row_kind)kind, copy_row, &copy, NULL), TROUPE_OK);
        /* one summary a store, one registry of the same name: the last */
        bool last = kind == STORE_SUMMARY || kind == STORE_REGISTRY;
        bool once = kind == STORE_RUN_CREATED || last;
        assert_int_equal(copy.count, once ? 1 : 2);
        for (unsigned i = 0; i < copy.count; i++) {
            unsigned at = kind + (last ? STORE_ROW_KINDS : i * STORE_ROW_KINDS);
            const struct driver_row *in = &rows[at];
            const struct store_row *out = &copy.rows[i];
            assert_int_equal(out->kind, kind);
            assert_int_equal(out->trial, in->row.trial);
            assert_int_equal(out->stage, in->row.stage);
            assert_int_equal(out->attempt, in->row.attempt);
            assert_true(out->a == in->row.a && out->b == in->row.b && out->utc_ns == in->row.utc_ns);
            assert_true(isnan(in->row.real) ? isnan(out->real) : out->real == in->row.real);
            assert_string_equal(copy.names[i], in->name != NULL ? in->name : "");
            assert_string_equal(copy.texts[i], in->text);
        }
    }
    assert_int_equal(store_check(reader, NULL), TROUPE_OK);
    store_reader_close(reader);
}

static void nothing_counts_twice(void **state) {
    struct place *place = *state;
    static const struct {
        struct driver_row row;
        bool refused;
    } cases[] = {
        {{{.kind = STORE_TRIAL_ASKED, .trial = 1}, NULL, NULL}, false},
        {{{.kind = STORE_TRIAL_ASKED, .trial = 1, .a = 9}, NULL, "other"}, true},
        {{{.kind = STORE_TRIAL_TOLD, .trial = 1}, NULL, NULL}, false},
        {{{.kind = STORE_TRIAL_TOLD, .trial = 1, .b = 4}, NULL, NULL}, true},
        {{{.kind = STORE_TRIAL_TOLD, .trial = 2}, NULL, NULL}, false},
        {{{.kind = STORE_STAGE_ENDED, .trial = 1, .stage = 0, .attempt = 1}, NULL, NULL}, false},
        {{{.kind = STORE_STAGE_ENDED, .trial = 1, .stage = 0, .attempt = 2}, NULL, NULL}, false},
        {{{.kind = STORE_STAGE_ENDED, .trial = 1, .stage = 1, .attempt = 1}, NULL, NULL}, false},
        {{{.kind = STORE_STAGE_ENDED, .trial = 1, .stage = 0, .attempt = 1, .a = 5}, NULL, "x"}, true},
        {{{.kind = STORE_TASK_ACCEPTED, .a = 7}, NULL, NULL}, false},
        {{{.kind = STORE_TASK_ENDED, .a = 7}, NULL, NULL}, false},
        {{{.kind = STORE_TASK_ENDED, .a = 7, .b = 1}, NULL, NULL}, true},
        {{{.kind = STORE_TASK_ACCEPTED, .a = 7}, NULL, NULL}, true},
        {{{.kind = STORE_EVENT, .trial = 1}, NULL, "same"}, false},
        {{{.kind = STORE_EVENT, .trial = 1}, NULL, "same"}, false},
    };
    struct driver_row rows[ARRAY_COUNT(cases)];
    unsigned refused = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        rows[i] = cases[i].row;
        refused += cases[i].refused;
    }
    place_open_store(place, &(struct store_options){.create = true});
    struct driver driver = {.count = ARRAY_COUNT(rows), .make = row_of, .context = rows};
    place_write(place, &driver);
    assert_int_equal(driver.failed, refused);
    struct store_reader *reader = place_reader(place);
    struct copy told = {0}, asked = {0};
    assert_int_equal(store_read(reader, STORE_TRIAL_TOLD, copy_row, &told, NULL), TROUPE_OK);
    assert_int_equal(store_read(reader, STORE_TRIAL_ASKED, copy_row, &asked, NULL), TROUPE_OK);
    assert_int_equal(told.count, 2);
    assert_int_equal(asked.count, 1);
    assert_int_equal(asked.rows[0].a, 0); /* the first stays */
    store_reader_close(reader);
}

static struct driver_row event_row(void *context, uint32_t index) {
    (void)context;
    return (struct driver_row){{.kind = STORE_TRIAL_ASKED, .trial = index, .a = index}, NULL, "{\"x\":1}"};
}

struct sequence {
    uint32_t next;
    bool kept;
};

static bool next_in_sequence(void *context, const struct store_row *row, const char *name, const char *text) {
    (void)name, (void)text;
    struct sequence *sequence = context;
    if (row->trial != sequence->next++)
        sequence->kept = false;
    return true;
}

/* 10,000 rows as fast as the store takes them: the bound is reached, groups close at theirs, order is kept.
 */
static void rows_are_grouped_and_bounded(void **state) {
    struct place *place = *state;
    place_open_store(place, &(struct store_options){.create = true});
    struct driver driver = {.store = place->store, .count = 10000, .make = event_row};
    assert_int_equal(driver_run(&driver, place->env, &place->account), TROUPE_OK);
    assert_int_equal(driver.answers, 10000);
    assert_int_equal(driver.failed, 0);
    assert_true(driver.in_order);
    assert_true(driver.refused > 0);
    struct store_statistics statistics;
    store_statistics(place->store, &statistics);
    assert_int_equal(statistics.rows, 10000);
    assert_int_equal(statistics.group_rows_max, 128);
    assert_true(statistics.groups >= 10000 / 128);
    struct store_reader *reader = place_reader(place); /* beside the open writer */
    struct sequence sequence = {.kept = true};
    assert_int_equal(store_read(reader, STORE_TRIAL_ASKED, next_in_sequence, &sequence, NULL), TROUPE_OK);
    assert_int_equal(sequence.next, 10000);
    assert_true(sequence.kept);
    store_reader_close(reader);
}

static void group_rows_is_an_option(void **state) {
    struct place *place = *state;
    place_open_store(place, &(struct store_options){.create = true, .group_rows = 3});
    struct driver driver = {.store = place->store, .count = 30, .make = event_row};
    assert_int_equal(driver_run(&driver, place->env, &place->account), TROUPE_OK);
    struct store_statistics statistics;
    store_statistics(place->store, &statistics);
    assert_int_equal(statistics.rows, 30);
    assert_int_equal(statistics.group_rows_max, 3);
}

/* ---- a reader beside a live writer ---- */

struct follower {
    struct place *place;
    struct store_reader *reader;
    unsigned looked;
};

static bool count_row(void *context, const struct store_row *row, const char *name, const char *text) {
    (void)row, (void)name, (void)text;
    ++*(unsigned *)context;
    return true;
}

/* Called for each answer: what is acknowledged is visible to another connection at once. */
static void follower_look(void *context, uint32_t index, const struct message_store_committed *answer) {
    struct follower *follower = context;
    assert_int_equal(answer->error, TROUPE_OK);
    assert_true(answer->committed_ns >= answer->queued_ns);
    if (index % 10 != 0)
        return;
    if (follower->reader == NULL)
        follower->reader = place_reader(follower->place);
    unsigned count = 0;
    assert_int_equal(store_read(follower->reader, STORE_TRIAL_ASKED, count_row, &count, NULL), TROUPE_OK);
    assert_true(count > index);
    follower->looked++;
}

static void acknowledged_rows_are_visible(void **state) {
    struct place *place = *state;
    place_open_store(place, &(struct store_options){.create = true});
    struct follower follower = {.place = place};
    struct driver driver = {
        .count = 100, .window = 4, .make = event_row, .answered = follower_look, .context = &follower};
    place_write(place, &driver);
    assert_int_equal(follower.looked, 10);
    unsigned count = 0; /* and stays so after the writer has gone */
    assert_int_equal(store_read(follower.reader, STORE_TRIAL_ASKED, count_row, &count, NULL), TROUPE_OK);
    assert_int_equal(count, 100);
    store_reader_close(follower.reader);
}

/* ---- reuse keys ---- */

static void stage_results_are_found_by_key(void **state) {
    struct place *place = *state;
    static const struct driver_row rows[] = {
        {{.kind = STORE_STAGE_ENDED, .trial = 1, .stage = 1, .attempt = 1}, "key-a", "first"},
        {{.kind = STORE_STAGE_ENDED, .trial = 2, .stage = 1, .attempt = 1}, "", "no key"},
        {{.kind = STORE_STAGE_ENDED, .trial = 3, .stage = 1, .attempt = 1}, "key-b", "second"},
        {{.kind = STORE_EVENT, .trial = 3}, "key-c", "not a stage"},
    };
    place_open_store(place, &(struct store_options){.create = true});
    struct driver driver = {.count = ARRAY_COUNT(rows), .make = row_of, .context = (void *)(uintptr_t)rows};
    place_write(place, &driver);
    struct store_reader *reader = place_reader(place);
    struct copy copy = {0};
    assert_int_equal(store_find_key(reader, "key-b", copy_row, &copy, NULL), TROUPE_OK);
    assert_int_equal(copy.count, 1);
    assert_int_equal(copy.rows[0].trial, 3);
    assert_string_equal(copy.texts[0], "second");
    assert_int_equal(store_find_key(reader, "key-c", copy_row, &copy, NULL), TROUPE_NOT_FOUND);
    assert_int_equal(store_find_key(reader, "", copy_row, &copy, NULL), TROUPE_NOT_FOUND);
    assert_int_equal(store_find_key(reader, "key", copy_row, &copy, NULL), TROUPE_NOT_FOUND);
    assert_int_equal(copy.count, 1);
    store_reader_close(reader);
}

static void memory_store_leaves_no_file(void **state) {
    struct place *place = *state;
    place_open_store(place, &(struct store_options){.memory = true});
    struct driver driver = {.count = 500, .make = event_row};
    place_write(place, &driver);
    assert_int_equal(driver.failed, 0);
    struct env_info info = {0};
    assert_int_equal(env_info(place->env, place->directory, &info), TROUPE_OK);
    assert_false(info.exists);
}

/* A store without an actor: all of a call's rows are there, or none, and a later opening finds them. */
static void rows_are_appended_at_once(void **state) {
    struct place *place = *state;
    struct fault fault = {0};
    const struct store_entry good[] = {
        {{.kind = STORE_PREDICTION, .a = 1}, "one", "{}"},
        {{.kind = STORE_PREDICTION, .a = 1, .utc_ns = 5}, NULL, "{\"again\":1}"},
    };
    const struct store_entry doubled[] = {
        {{.kind = STORE_PREDICTION, .a = 2}, "two", "{}"},
        {{.kind = STORE_TRIAL_ASKED, .trial = 3}, NULL, "{}"},
        {{.kind = STORE_TRIAL_ASKED, .trial = 3}, NULL, "{}"},
    };
    for (unsigned round = 0; round < 2; round++) {
        place_open_store(place, &(struct store_options){.create = true});
        assert_int_equal(store_append(place->store, good, ARRAY_COUNT(good), &fault), TROUPE_OK);
        assert_int_equal(store_append(place->store, doubled, ARRAY_COUNT(doubled), &fault), TROUPE_EXISTS);
        assert_non_null(strstr(fault.where, "store.db"));
        assert_int_equal(store_append(place->store, NULL, 0, &fault), TROUPE_OK);
        store_close(place->store);
        place->store = NULL;
    }
    struct store_reader *reader = place_reader(place);
    struct copy copy = {0}, asked = {0};
    assert_int_equal(store_read(reader, STORE_PREDICTION, copy_row, &copy, NULL), TROUPE_OK);
    assert_int_equal(store_read(reader, STORE_TRIAL_ASKED, copy_row, &asked, NULL), TROUPE_OK);
    assert_int_equal(copy.count, 4);
    assert_int_equal(asked.count, 0);
    assert_string_equal(copy.names[0], "one");
    assert_true(copy.rows[0].utc_ns > 5 && copy.rows[1].utc_ns == 5);
    assert_string_equal(copy.texts[3], "{\"again\":1}");
    store_reader_close(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind_comes_back, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(nothing_counts_twice, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(rows_are_grouped_and_bounded, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(group_rows_is_an_option, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(acknowledged_rows_are_visible, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(stage_results_are_found_by_key, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(memory_store_leaves_no_file, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(rows_are_appended_at_once, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
