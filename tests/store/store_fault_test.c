/* Every allocation and every call to env's files fails in turn, on the whole path: open, write, commit,
 * close, read. Each time: no crash, no leak, an error that says where; and what was acknowledged is in the
 * database afterwards. Fails when a failure is swallowed, leaks, or costs an acknowledged row. Runs in the
 * simulation: one thread, one order of calls, so "the n-th" is the same call in every run. */
#include "store_driver.h"

#include "env_wrap.h"

#define ROWS 12
#define TURNS_MAX 20000 /* far more calls than the path makes: the loop must end before */

struct outcome {
    bool opened;             /* store_open returned OK */
    bool acknowledged[ROWS]; /* STORE_COMMITTED {OK} */
    enum troupe_error error; /* first error met */
    bool described;          /* its fault said something */
};

static struct driver_row any_row(void *context, uint32_t index) {
    static const char *const texts[] = {"{\"lr\":0.1}", "", "{\"value\":1}"};
    (void)context;
    return (struct driver_row){
        {.kind = STORE_TRIAL_ASKED, .trial = index, .a = index}, index % 2 ? "name" : NULL, texts[index % 3]};
}

static void outcome_answer(void *context, uint32_t index, const struct message_store_committed *answer) {
    struct outcome *outcome = context;
    if (answer->error == TROUPE_OK)
        outcome->acknowledged[index] = true;
    else
        assert_true(answer->text[0] != '\0');
}

static bool ignore_row(void *context, const struct store_row *row, const char *name, const char *text) {
    (void)context, (void)row, (void)name, (void)text;
    return true;
}

static void outcome_note(struct outcome *outcome, enum troupe_error error, const struct fault *fault) {
    if (error == TROUPE_OK || outcome->error != TROUPE_OK)
        return;
    outcome->error = error;
    outcome->described = fault == NULL || (fault->text[0] != '\0' && fault->error == error);
}

/* The path under test. */
static void life(struct env *env, struct account *account, struct outcome *outcome) {
    struct fault fault = {0};
    struct driver driver = {
        .count = ROWS, .window = 5, .make = any_row, .answered = outcome_answer, .context = outcome};
    struct store_options options = {.create = true, .group_rows = 4};
    enum troupe_error error = store_open(env, account, "/runs/one", &options, &driver.store, &fault);
    outcome_note(outcome, error, &fault);
    if (error == TROUPE_OK) {
        struct env_info log = {0};
        outcome->opened = true;
        /* Whatever failed: rows go through the write-ahead log, or the store does not open. */
        assert_int_equal(__real_env_info(env, "/runs/one/store.db-wal", &log), TROUPE_OK);
        assert_true(log.exists);
        outcome_note(outcome, driver_run(&driver, env, account), NULL);
        outcome_note(outcome, driver.last_error, NULL);
        outcome_note(outcome, driver.write_error, NULL);
        store_close(driver.store);
    }
    struct store_reader *reader = NULL;
    fault = (struct fault){0};
    error = store_reader_open(env, account, "/runs/one", &reader, &fault);
    outcome_note(outcome, error, &fault);
    if (error != TROUPE_OK)
        return;
    outcome_note(outcome, store_read(reader, STORE_TRIAL_ASKED, ignore_row, NULL, &fault), &fault);
    outcome_note(outcome, store_check(reader, &fault), &fault);
    error = store_find_key(reader, "no such key", ignore_row, NULL, &fault);
    outcome_note(outcome, error == TROUPE_NOT_FOUND ? TROUPE_OK : error, &fault);
    store_reader_close(reader);
}

struct rows_seen {
    bool seen[ROWS];
};

static bool see_row(void *context, const struct store_row *row, const char *name, const char *text) {
    (void)name, (void)text;
    struct rows_seen *rows = context;
    assert_true(row->trial < ROWS && !rows->seen[row->trial]);
    rows->seen[row->trial] = true;
    return true;
}

static struct env *sim_on(struct account *account, struct env_disk *disk) {
    struct env *env = NULL;
    assert_int_equal(
        env_sim_create(account, &(struct env_sim_options){.seed = 7, .workers = 1, .disk = disk}, &env),
        TROUPE_OK);
    return env;
}

/* After the failure, with everything working: what was acknowledged is there and the file is whole. */
static void assert_kept(struct account *account, struct env_disk *disk, const struct outcome *outcome) {
    struct env *env = sim_on(account, disk);
    struct store *store = NULL;
    struct fault fault = {0};
    enum troupe_error error =
        store_open(env, account, "/runs/one", &(struct store_options){.create = true}, &store, &fault);
    if (error != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    store_close(store);
    struct store_reader *reader = NULL;
    struct rows_seen rows = {0};
    assert_int_equal(store_reader_open(env, account, "/runs/one", &reader, &fault), TROUPE_OK);
    assert_int_equal(store_check(reader, &fault), TROUPE_OK);
    assert_int_equal(store_read(reader, STORE_TRIAL_ASKED, see_row, &rows, &fault), TROUPE_OK);
    store_reader_close(reader);
    for (unsigned i = 0; i < ROWS; i++)
        assert_true(!outcome->acknowledged[i] || rows.seen[i]);
    env_destroy(env);
}

/* Sanitizers make a run five to ten times slower: there, some of them will do. */
#if defined(__SANITIZE_THREAD__)
#define STRIDE 41
#elif defined(__SANITIZE_ADDRESS__)
#define STRIDE 7
#else
#define STRIDE 1
#endif

/* Fails the n-th for n = 1, 2, ... until the path makes fewer. Returns how many there were. */
static uint64_t fail_each(bool allocations, bool stay, enum troupe_error error) {
    for (uint64_t n = 1; n < TURNS_MAX; n += STRIDE) {
        struct account account = ACCOUNT("test");
        struct env_disk *disk = NULL;
        struct outcome outcome = {0};
        assert_int_equal(env_disk_create(&account, &disk), TROUPE_OK);
        struct env *env = sim_on(&account, disk);
        if (allocations)
            memory_fail_after((int64_t)n);
        else
            env_wrap_arm(n, stay, error);
        life(env, &account, &outcome);
        bool fired = allocations ? memory_fail_fired() : env_wrap.fired;
        memory_fail_after(0);
        env_wrap_arm(0, false, TROUPE_OK);
        env_destroy(env);
        /* A failed checkpoint is no failure: the log has everything and the next one tries again. */
        if (!fired) {
            assert_int_equal(outcome.error, TROUPE_OK);
            for (unsigned i = 0; i < ROWS; i++)
                assert_true(outcome.acknowledged[i]);
        } else if (outcome.error != TROUPE_OK) {
            if (!outcome.described)
                fail_msg("call %llu: %s without a reason", (unsigned long long)n, error_name(outcome.error));
        }
        assert_kept(&account, disk, &outcome);
        env_disk_free(disk);
        assert_int_equal(account.blocks, 0);
        assert_int_equal(account.bytes, 0);
        if (!fired)
            return n - 1;
    }
    fail_msg("the path does not end");
    return 0;
}

static void every_allocation_fails(void **state) {
    (void)state;
    uint64_t count = fail_each(true, false, TROUPE_NOMEM);
    print_message("%llu allocations failed in turn\n", (unsigned long long)count / STRIDE);
    assert_true(count > 100);
}

static void every_file_call_fails_once(void **state) {
    (void)state;
    uint64_t count = fail_each(false, false, TROUPE_IO);
    print_message("%llu file calls failed in turn\n", (unsigned long long)count / STRIDE);
    assert_true(count > 50);
}

static void the_disk_goes_away_at_every_call(void **state) {
    (void)state;
    assert_true(fail_each(false, true, TROUPE_IO) > 50);
}

static void the_disk_is_full_from_every_call_on(void **state) {
    (void)state;
    assert_true(fail_each(false, true, TROUPE_DISK_FULL) > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_fails),
        cmocka_unit_test(every_file_call_fails_once),
        cmocka_unit_test(the_disk_goes_away_at_every_call),
        cmocka_unit_test(the_disk_is_full_from_every_call_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
