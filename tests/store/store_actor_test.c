/* The store as its callers meet it besides plain writing: bounds of a row, rows without an answer, a sender that
 * dies before its answer, a stop with rows under way, a second store on the same run, broken for good. Fails if an
 * accepted row is not committed, an answer is lost, or a writer waits for ever. */
#include "store_driver.h"

#include <signal.h>
#include <sys/resource.h>

struct place {
    struct account account;
    struct env *env;
    struct runtime *runtime;
    struct store *store;
    char directory[64];
};

static void place_open(struct place *place, bool memory) {
    struct fault fault = {0};
    struct store_options options = {.create = true, .memory = memory};
    enum troupe_error error =
        store_open(place->env, &place->account, place->directory, &options, &place->store, &fault);
    if (error != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
}

static int place_setup(void **state) {
    struct place *place = calloc(1, sizeof *place);
    place->account = ACCOUNT("test");
    snprintf(place->directory, sizeof place->directory, "/tmp/troupe-actor-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    assert_int_equal(env_os_create(&place->account, &place->env), TROUPE_OK);
    *state = place;
    return 0;
}

static int place_teardown(void **state) {
    struct place *place = *state;
    runtime_free(place->runtime);
    store_close(place->store);
    assert_int_equal(env_remove_tree(place->env, place->directory), TROUPE_OK);
    env_destroy(place->env);
    assert_int_equal(place->account.blocks, 0);
    assert_int_equal(place->account.bytes, 0);
    free(place);
    return 0;
}

/* Runs one actor beside the store until it stops the runtime. */
static void place_run(struct place *place, actor_handler handle, void *state) {
    struct runtime_options options = {.workers = 2};
    assert_int_equal(runtime_create(place->env, &place->account, &options, &place->runtime, NULL), TROUPE_OK);
    assert_int_equal(store_start(place->store, place->runtime, NULL), TROUPE_OK);
    struct actor_spec spec = {.name = "writer", .handle = handle, .state = state};
    actor_ref actor = 0;
    assert_int_equal(actor_spawn(place->runtime, &spec, &actor), TROUPE_OK);
    struct message *start = message_new(place->runtime, MESSAGE_USER, 0);
    assert_int_equal(actor_send(place->runtime, NULL, actor, &start), TROUPE_OK);
    assert_int_equal(runtime_run(place->runtime), TROUPE_OK);
    runtime_free(place->runtime);
    place->runtime = NULL;
}

static bool count_row(void *context, const struct store_row *row, const char *name, const char *text) {
    (void)row, (void)name, (void)text;
    ++*(unsigned *)context;
    return true;
}

static unsigned place_count(struct place *place, enum store_row_kind kind) {
    struct store_reader *reader = NULL;
    unsigned count = 0;
    assert_int_equal(store_reader_open(place->env, &place->account, place->directory, &reader, NULL),
                     TROUPE_OK);
    assert_int_equal(store_read(reader, kind, count_row, &count, NULL), TROUPE_OK);
    assert_int_equal(store_check(reader, NULL), TROUPE_OK);
    store_reader_close(reader);
    return count;
}

/* ---- the largest row there may be ---- */

#define TEXT_BYTES_MAX ((size_t)32 << 20)

struct large {
    struct store *store;
    char *text;
    enum troupe_error too_long, error;
    bool answered;
};

static void large_handle(struct turn *turn, void *state, const struct message *message) {
    struct large *large = state;
    if (message->kind == MESSAGE_STORE_COMMITTED) {
        large->error = MESSAGE_PAYLOAD(message, const struct message_store_committed)->error;
        large->answered = true;
        runtime_stop(turn->runtime);
        return;
    }
    struct store_row row = {.kind = STORE_STAGE_ENDED, .attempt = 1};
    large->text[TEXT_BYTES_MAX] = 'x';
    large->too_long = store_write(large->store, turn, &row, NULL, large->text, true, 1);
    large->text[TEXT_BYTES_MAX] = '\0';
    large->error = store_write(large->store, turn, &row, large->text, large->text, true, 2);
    if (large->error != TROUPE_OK) /* nothing is queued: nobody would ever say "try again" */
        runtime_stop(turn->runtime);
}

static void the_largest_row_is_taken(void **state) {
    struct place *place = *state;
    place_open(place, true);
    struct large large = {.store = place->store, .text = malloc(TEXT_BYTES_MAX + 2)};
    memset(large.text, 'x', TEXT_BYTES_MAX + 1);
    large.text[TEXT_BYTES_MAX + 1] = '\0';
    place_run(place, large_handle, &large);
    free(large.text);
    assert_int_equal(large.too_long, TROUPE_LIMIT);
    assert_int_equal(large.error, TROUPE_OK);
    assert_true(large.answered);
}

/* ---- rows that nobody waits for, and a sender that is gone ---- */

struct quiet {
    struct place *place;
    unsigned written, answers;
    bool dies;
    enum troupe_error error;
};

static void quiet_handle(struct turn *turn, void *state, const struct message *message) {
    struct quiet *quiet = state;
    if (message->kind == MESSAGE_STORE_COMMITTED) {
        quiet->answers++;
        assert_int_equal(message->token, 99);
        runtime_stop(turn->runtime);
        return;
    }
    for (unsigned at = 0; at < 20; at++) {
        struct store_row row = {.kind = STORE_EVENT, .trial = at};
        enum troupe_error error =
            store_write(quiet->place->store, turn, &row, NULL, "event", quiet->dies, at);
        quiet->error = error != TROUPE_OK ? error : quiet->error;
        quiet->written += error == TROUPE_OK;
    }
    if (quiet->dies) {
        actor_exit(turn, TROUPE_WORKER);
        return;
    }
    struct store_row last = {.kind = STORE_EVENT, .trial = 99};
    quiet->error = store_write(quiet->place->store, turn, &last, NULL, NULL, true, 99);
}

static void rows_without_an_answer_are_committed(void **state) {
    struct place *place = *state;
    place_open(place, false);
    struct quiet quiet = {.place = place};
    place_run(place, quiet_handle, &quiet);
    assert_int_equal(quiet.error, TROUPE_OK);
    assert_int_equal(quiet.answers, 1);
    assert_int_equal(place_count(place, STORE_EVENT), 21);
}

/* Watches the writer, which dies with its rows on their way, and then writes one of its own. */
struct heir {
    struct quiet quiet;
    bool written;
};

static void heir_handle(struct turn *turn, void *state, const struct message *message) {
    struct heir *heir = state;
    if (message->kind == MESSAGE_USER) {
        struct actor_spec spec = {
            .name = "dies", .handle = quiet_handle, .state = &heir->quiet, .link = turn->self};
        actor_ref writer;
        assert_int_equal(actor_spawn(turn->runtime, &spec, &writer), TROUPE_OK);
        struct message *start = message_new(turn->runtime, MESSAGE_USER, 0);
        assert_int_equal(actor_send(turn->runtime, turn, writer, &start), TROUPE_OK);
    } else if (message->kind == MESSAGE_DOWN) {
        struct store_row row = {.kind = STORE_EVENT, .trial = 1000};
        assert_int_equal(store_write(heir->quiet.place->store, turn, &row, NULL, NULL, true, 7), TROUPE_OK);
    } else if (message->kind == MESSAGE_STORE_COMMITTED) {
        heir->written = true;
        runtime_stop(turn->runtime);
    }
}

static void rows_outlive_their_sender(void **state) {
    struct place *place = *state;
    place_open(place, false);
    struct heir heir = {.quiet = {.place = place, .dies = true}};
    place_run(place, heir_handle, &heir);
    assert_true(heir.written);
    assert_int_equal(heir.quiet.written, 20);
    assert_int_equal(heir.quiet.answers, 0);
    assert_int_equal(place_count(place, STORE_EVENT), 21);
    struct store_statistics statistics;
    store_statistics(place->store, &statistics);
    assert_int_equal(statistics.rows, 21);
    assert_int_equal(statistics.failed, 0);
}

/* ---- stopped, and opened twice ---- */

static struct driver_row event_row(void *context, uint32_t index) {
    (void)context;
    return (struct driver_row){{.kind = STORE_EVENT, .trial = index}, NULL, "x"};
}

/* The bound of queued rows: exactly so many are taken in one turn, the next one is refused. */
static void flood_handle(struct turn *turn, void *state, const struct message *message) {
    struct quiet *quiet = state;
    if (message->kind == MESSAGE_STORE_COMMITTED) {
        if (++quiet->answers == quiet->written)
            runtime_stop(turn->runtime);
        return;
    }
    struct store_row row = {.kind = STORE_EVENT};
    enum troupe_error error;
    while ((error = store_write(quiet->place->store, turn, &row, NULL, NULL, true, 0)) == TROUPE_OK)
        quiet->written++;
    quiet->error = error;
}

static void queued_rows_are_bounded(void **state) {
    struct place *place = *state;
    place_open(place, true);
    struct quiet quiet = {.place = place};
    place_run(place, flood_handle, &quiet);
    assert_int_equal(quiet.error, TROUPE_FULL);
    assert_true(quiet.written >= 4096); /* more when the other worker committed some meanwhile */
    assert_int_equal(quiet.answers, quiet.written);
}

static void a_run_is_open_once_in_a_process_too(void **state) {
    struct place *place = *state;
    place_open(place, false);
    struct store *second = NULL;
    struct fault fault = {0};
    assert_int_equal(store_open(place->env, &place->account, place->directory, NULL, &second, &fault),
                     TROUPE_LOCKED);
    assert_null(second);
    store_close(place->store);
    place->store = NULL;
    assert_int_equal(store_open(place->env, &place->account, place->directory, NULL, &second, &fault),
                     TROUPE_OK);
    struct driver driver = {.store = second, .count = 3, .make = event_row};
    assert_int_equal(driver_run(&driver, place->env, &place->account), TROUPE_OK);
    store_close(second);
    assert_int_equal(place_count(place, STORE_EVENT), 3);
}

/* ---- a database that goes bad under the store ---- */

static void file_size_limit(bool on) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = on ? 100 : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

struct broken {
    struct place *place;
    unsigned failed, late_failed;
    enum troupe_error error;
    char text[256];
};

static void broken_handle(struct turn *turn, void *state, const struct message *message) {
    struct broken *broken = state;
    struct store_row row = {.kind = STORE_EVENT};
    if (message->kind == MESSAGE_USER) {
        for (unsigned at = 0; at < 3; at++)
            assert_int_equal(store_write(broken->place->store, turn, &row, NULL, "x", true, at), TROUPE_OK);
        return;
    }
    const struct message_store_committed *answer = MESSAGE_PAYLOAD(message, struct message_store_committed);
    assert_true(answer->error != TROUPE_OK);
    if (answer->token == 9) { /* long after: the same answer, without another try */
        assert_int_equal(answer->error, broken->error);
        assert_string_equal(answer->text, broken->text);
        broken->late_failed++;
        runtime_stop(turn->runtime);
        return;
    }
    broken->error = answer->error;
    snprintf(broken->text, sizeof broken->text, "%s", answer->text);
    file_size_limit(false);
    if (++broken->failed == 3)
        assert_int_equal(store_write(broken->place->store, turn, &row, NULL, "x", true, 9), TROUPE_OK);
}

/* No file may grow for a while. Once a commit has failed the store is broken: rows that come when there is room
 * again are refused too, because what SQLite holds in memory may not be what is on disk. */
static void a_broken_store_stays_broken(void **state) {
    struct place *place = *state;
    place_open(place, false);
    struct broken broken = {.place = place};
    signal(SIGXFSZ, SIG_IGN);
    file_size_limit(true);
    place_run(place, broken_handle, &broken);
    file_size_limit(false);
    assert_int_equal(broken.error, TROUPE_DISK_FULL);
    assert_int_equal(broken.failed, 3);
    assert_int_equal(broken.late_failed, 1);
    assert_non_null(strstr(broken.text, "store.db"));
    struct store_statistics statistics;
    store_statistics(place->store, &statistics);
    assert_int_equal(statistics.rows, 0);
    assert_int_equal(statistics.failed, 4);
    store_close(place->store);
    place->store = NULL;
    place_open(place, false); /* the run can be resumed */
    assert_int_equal(place_count(place, STORE_EVENT), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_largest_row_is_taken, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(rows_without_an_answer_are_committed, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(rows_outlive_their_sender, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(queued_rows_are_bounded, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_run_is_open_once_in_a_process_too, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_broken_store_stays_broken, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
