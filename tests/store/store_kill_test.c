/* kill -9 at ten random moments: a child writes rows and says on a pipe which were acknowledged; killed, its
 * database is opened again, and everything that was acknowledged is there, once, in order, in an undamaged
 * file. Fails when a row is acknowledged before it is committed, or when recovery after a crash loses or
 * doubles one. */
#include "store_driver.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 10
#define ROWS_A_ROUND 20000 /* more than a child manages before it is killed */

struct child {
    int pipe;
    uint32_t first;
};

static struct driver_row child_row(void *context, uint32_t index) {
    const struct child *child = context;
    return (struct driver_row){
        {.kind = STORE_TRIAL_ASKED, .trial = child->first + index}, NULL, "{\"lr\":0.001,\"depth\":4}"};
}

static void child_acknowledge(void *context, uint32_t index, const struct message_store_committed *answer) {
    const struct child *child = context;
    uint32_t trial = child->first + index;
    if (answer->error != TROUPE_OK || write(child->pipe, &trial, sizeof trial) != (ssize_t)sizeof trial)
        _exit(3);
}

static void child_main(const char *directory, int pipe, uint32_t first) {
    struct account account = ACCOUNT("child");
    struct env *env = NULL;
    struct fault fault = {0};
    struct child child = {.pipe = pipe, .first = first};
    struct driver driver = {.count = ROWS_A_ROUND,
                            .window = 300,
                            .make = child_row,
                            .answered = child_acknowledge,
                            .context = &child};
    if (env_os_create(&account, &env) != TROUPE_OK)
        _exit(1);
    if (store_open(env, &account, directory, &(struct store_options){.create = true}, &driver.store,
                   &fault) != TROUPE_OK) {
        fprintf(stderr, "%s: %s\n", fault.where, fault.text);
        _exit(2);
    }
    IGNORE(driver_run(&driver, env, &account), "killed before it ends");
    _exit(0);
}

/* Reads acknowledgements until `enough` have come, kills, and returns the first trial that was not
 * acknowledged. */
static uint32_t kill_after(int pipe, pid_t pid, uint32_t first, uint32_t enough) {
    uint32_t next = first, trial = 0;
    ssize_t got;
    bool killed = false;
    while ((got = read(pipe, &trial, sizeof trial)) == (ssize_t)sizeof trial || (got < 0 && errno == EINTR)) {
        if (got < 0)
            continue;
        assert_int_equal(trial, next);
        next++;
        if (!killed && next - first >= enough) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            killed = true; /* what is still in the pipe was acknowledged too */
        }
    }
    if (!killed)
        assert_int_equal(kill(pid, SIGKILL), 0);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return next;
}

struct tally {
    uint32_t count;
    bool consecutive;
};

static bool tally_row(void *context, const struct store_row *row, const char *name, const char *text) {
    (void)name;
    struct tally *tally = context;
    if (row->trial != tally->count++ || strcmp(text, "{\"lr\":0.001,\"depth\":4}") != 0)
        tally->consecutive = false;
    return true;
}

static uint32_t rows_of(struct env *env, struct account *account, const char *directory) {
    struct store_reader *reader = NULL;
    struct fault fault = {0};
    struct tally tally = {.consecutive = true};
    enum troupe_error error = store_reader_open(env, account, directory, &reader, &fault);
    if (error == TROUPE_NOT_FOUND)
        return 0; /* killed before its creation was committed */
    if (error == TROUPE_OK)
        error = store_read(reader, STORE_TRIAL_ASKED, tally_row, &tally, &fault);
    if (error == TROUPE_OK)
        error = store_check(reader, &fault);
    if (error != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    assert_true(tally.consecutive);
    store_reader_close(reader);
    return tally.count;
}

static void killed_runs_keep_what_they_acknowledged(void **state) {
    (void)state;
    char root[64] = "/tmp/troupe-kill-XXXXXX";
    assert_non_null(mkdtemp(root));
    char directory[128];
    snprintf(directory, sizeof directory, "%s/run", root);
    struct random_stream random;
    random_seed(&random, (uint64_t)getpid(), 0);
    uint32_t stored = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(ends[0]);
            child_main(directory, ends[1], stored);
        }
        close(ends[1]);
        uint32_t acknowledged = kill_after(ends[0], pid, stored, (uint32_t)random_below(&random, 3000));
        close(ends[0]);

        struct account account = ACCOUNT("test");
        struct env *env = NULL;
        assert_int_equal(env_os_create(&account, &env), TROUPE_OK);
        /* first a reader on what the crash left, then the writer's recovery, then a reader again */
        uint32_t seen = rows_of(env, &account, directory);
        assert_true(seen >= acknowledged);
        if (seen > 0) {
            struct store *store = NULL;
            struct fault fault = {0};
            if (store_open(env, &account, directory, NULL, &store, &fault) != TROUPE_OK)
                fail_msg("%s: %s", fault.where, fault.text);
            store_close(store);
            assert_int_equal(rows_of(env, &account, directory), seen);
        }
        stored = seen;
        if (round + 1 == ROUNDS)
            assert_int_equal(env_remove_tree(env, root), TROUPE_OK);
        env_destroy(env);
        assert_int_equal(account.blocks, 0);
    }
    assert_true(stored > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_runs_keep_what_they_acknowledged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
