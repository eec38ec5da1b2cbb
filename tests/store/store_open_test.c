/* Opening what cannot be opened: a live run, an absent one, one from a newer program, a damaged or foreign
 * file, a directory that is none, a full disk. Each must be refused by name, with its own error, and left as
 * it was. */
#include "store_driver.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
    struct account account;
    struct env *env;
    char root[64], directory[128], database[160];
};

static int place_setup(void **state) {
    struct place *place = calloc(1, sizeof *place);
    place->account = ACCOUNT("test");
    assert_int_equal(env_os_create(&place->account, &place->env), TROUPE_OK);
    snprintf(place->root, sizeof place->root, "/tmp/troupe-open-XXXXXX");
    assert_non_null(mkdtemp(place->root));
    snprintf(place->directory, sizeof place->directory, "%s/run", place->root);
    snprintf(place->database, sizeof place->database, "%s/store.db", place->directory);
    *state = place;
    return 0;
}

static int place_teardown(void **state) {
    struct place *place = *state;
    assert_int_equal(env_remove_tree(place->env, place->root), TROUPE_OK);
    env_destroy(place->env);
    assert_int_equal(place->account.blocks, 0);
    free(place);
    return 0;
}

static struct driver_row large_row(void *context, uint32_t index) {
    static char text[1024];
    (void)context;
    memset(text, 'x', sizeof text - 1);
    return (struct driver_row){{.kind = STORE_TRIAL_ASKED, .trial = index}, NULL, text};
}

static void place_make_run(struct place *place, uint32_t rows) {
    struct driver driver = {.count = rows, .make = large_row};
    assert_int_equal(store_open(place->env, &place->account, place->directory,
                                &(struct store_options){.create = true}, &driver.store, NULL),
                     TROUPE_OK);
    assert_int_equal(driver_run(&driver, place->env, &place->account), TROUPE_OK);
    assert_int_equal(driver.failed, 0);
    store_close(driver.store);
}

/* Both the writer and a reader must refuse with `error` and name `where`. */
static void place_refuses(struct place *place, enum troupe_error error, const char *where, const char *text) {
    struct fault fault = {0};
    struct store *store = NULL;
    assert_int_equal(store_open(place->env, &place->account, place->directory, NULL, &store, &fault), error);
    assert_null(store);
    assert_int_equal(fault.error, error);
    assert_non_null(strstr(fault.where, where));
    if (strstr(fault.text, text) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", text, fault.text);
    struct store_reader *reader = NULL;
    fault = (struct fault){0};
    enum troupe_error read_error =
        store_reader_open(place->env, &place->account, place->directory, &reader, &fault);
    if (read_error == TROUPE_OK) { /* damage inside the tables shows when they are read */
        read_error = store_check(reader, &fault);
        store_reader_close(reader);
    }
    assert_int_equal(read_error, error);
    assert_non_null(strstr(fault.where, where));
}

static void absent_run(void **state) {
    struct place *place = *state;
    place_refuses(place, TROUPE_NOT_FOUND, "/run", "no such run");
    assert_int_equal(mkdir(place->directory, 0777), 0);
    place_refuses(place, TROUPE_NOT_FOUND, "/run", "no such run");
    assert_int_equal(rmdir(place->directory), 0); /* nothing was made in it, not even a lock */
    assert_int_equal(mkdir(place->directory, 0777), 0);
    FILE *file = fopen(place->database, "w"); /* killed before the first commit */
    fclose(file);
    place_refuses(place, TROUPE_NOT_FOUND, "store.db", "nothing was ever committed");
}

static void directory_is_a_file(void **state) {
    struct place *place = *state;
    FILE *file = fopen(place->directory, "w");
    fclose(file);
    struct fault fault = {0};
    struct store *store = NULL;
    struct store_options options = {.create = true};
    assert_int_equal(store_open(place->env, &place->account, place->directory, &options, &store, &fault),
                     TROUPE_INVALID);
    assert_non_null(strstr(fault.where, "/run"));
}

/* ---- other processes: this program again, started with a word of what to do and the run ---- */

/* Says when it holds the run, and holds it until its input ends. */
static int child_holds(const char *directory) {
    struct account account = ACCOUNT("child");
    struct env *env = NULL;
    struct store *store = NULL;
    char byte;
    if (env_os_create(&account, &env) != TROUPE_OK ||
        store_open(env, &account, directory, NULL, &store, NULL) != TROUPE_OK ||
        write(STDOUT_FILENO, "r", 1) != 1)
        return 1;
    _exit(read(STDIN_FILENO, &byte, 1) == 0 ? 0 : 2); /* without closing: the kernel lets go of the lock */
}

/* Writes until no file may grow any more. */
static int child_fills(const char *directory) {
    struct account account = ACCOUNT("child");
    struct env *env = NULL;
    struct rlimit limit = {.rlim_cur = 256 * 1024, .rlim_max = 256 * 1024};
    struct driver driver = {.count = 2000, .window = 50, .make = large_row};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || env_os_create(&account, &env) != TROUPE_OK ||
        store_open(env, &account, directory, NULL, &driver.store, NULL) != TROUPE_OK ||
        driver_run(&driver, env, &account) != TROUPE_OK)
        return 1;
    if (driver.answers != 2000 || driver.failed < 1000 || driver.last_error != TROUPE_DISK_FULL)
        return 2;
    if (strstr(driver.last_text, "store.db") == NULL || strstr(driver.last_text, "free space") == NULL)
        return 3;
    store_close(driver.store);
    env_destroy(env);
    return account.blocks == 0 ? 0 : 4;
}

/* A new program, not a bare fork: the threads of this one would not be there in it. */
static pid_t child_start(const char *what, const char *directory, int input, int output) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    execl("/proc/self/exe", "store_open_test", what, directory, (char *)NULL);
    _exit(9);
}

static void child_ended_well(pid_t pid) {
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* A look at the lock must take nothing: it would refuse a run that starts in that moment. */
static void a_look_takes_no_lock(void **state) {
    struct place *place = *state;
    struct env_file *look = NULL, *other_look = NULL, *holder = NULL, *late = NULL;
    char path[160];
    place_make_run(place, 1);
    snprintf(path, sizeof path, "%s/lock", place->directory);
    assert_int_equal(env_file_open(place->env, path, ENV_FILE_READ, &look, NULL), TROUPE_OK);
    assert_int_equal(env_file_open(place->env, path, ENV_FILE_READ, &other_look, NULL), TROUPE_OK);
    assert_int_equal(env_file_open(place->env, path, ENV_FILE_READ | ENV_FILE_WRITE, &holder, NULL),
                     TROUPE_OK);
    assert_int_equal(env_file_open(place->env, path, ENV_FILE_READ | ENV_FILE_WRITE, &late, NULL), TROUPE_OK);
    assert_false(env_file_locked(look));
    assert_false(env_file_locked(other_look));
    assert_false(store_in_use(place->env, place->directory));
    assert_int_equal(env_file_lock(holder, NULL), TROUPE_OK); /* while they are still looking */
    assert_true(env_file_locked(look));
    assert_true(store_in_use(place->env, place->directory));
    assert_int_equal(env_file_lock(late, NULL), TROUPE_LOCKED);
    env_file_close(late);
    assert_true(env_file_locked(look));
    env_file_close(holder);
    assert_false(env_file_locked(look));
    env_file_close(look);
    env_file_close(other_look);
}

static atomic_bool looked_enough;

static void *look_and_look(void *context) {
    struct place *place = context;
    while (!atomic_load(&looked_enough))
        (void)store_in_use(place->env, place->directory);
    return NULL;
}

static void runs_start_while_others_look(void **state) {
    struct place *place = *state;
    pthread_t thread;
    place_make_run(place, 1);
    atomic_store(&looked_enough, false);
    assert_int_equal(pthread_create(&thread, NULL, look_and_look, place), 0);
    enum troupe_error error = TROUPE_OK;
    for (unsigned i = 0; i < 200 && error == TROUPE_OK; i++) {
        struct store *store = NULL;
        error = store_open(place->env, &place->account, place->directory, NULL, &store, NULL);
        if (error == TROUPE_OK)
            store_close(store);
    }
    atomic_store(&looked_enough, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(error, TROUPE_OK);
}

static void live_run_is_locked(void **state) {
    struct place *place = *state;
    place_make_run(place, 1);
    int ready[2], leave[2];
    char byte = 0;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(leave, O_CLOEXEC), 0);
    pid_t pid = child_start("holds", place->directory, leave[0], ready[1]);
    close(ready[1]); /* so that a child that fails is no silence */
    close(leave[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    struct fault fault = {0};
    struct store *store = NULL;
    assert_int_equal(store_open(place->env, &place->account, place->directory, NULL, &store, &fault),
                     TROUPE_LOCKED);
    char name[32];
    snprintf(name, sizeof name, "%d", (int)pid);
    if (strstr(fault.text, name) == NULL)
        fail_msg("the holder's pid %s is not in \"%s\"", name, fault.text);
    struct store_reader *reader = NULL; /* readers are welcome meanwhile */
    assert_int_equal(store_reader_open(place->env, &place->account, place->directory, &reader, NULL),
                     TROUPE_OK);
    store_reader_close(reader);
    assert_true(store_in_use(place->env, place->directory));
    close(leave[1]);
    child_ended_well(pid);
    assert_false(store_in_use(place->env, place->directory));
    close(ready[0]);
    assert_int_equal(store_open(place->env, &place->account, place->directory, NULL, &store, NULL),
                     TROUPE_OK);
    store_close(store);
}

/* Big-endian numbers in SQLite's file header: user_version at 60, application_id at 68. */
static void database_patch(const struct place *place, long offset, const void *bytes, size_t length) {
    FILE *file = fopen(place->database, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void newer_schema(void **state) {
    struct place *place = *state;
    place_make_run(place, 3);
    database_patch(place, 60, "\0\0\0\x07", 4);
    place_refuses(place, TROUPE_NEWER, "store.db", "version 7");
}

static void foreign_database(void **state) {
    struct place *place = *state;
    place_make_run(place, 3);
    database_patch(place, 68, "\0\0\0\x01", 4);
    place_refuses(place, TROUPE_CORRUPT, "store.db", "not a run's database");
}

static void no_database_at_all(void **state) {
    struct place *place = *state;
    assert_int_equal(mkdir(place->directory, 0777), 0);
    FILE *file = fopen(place->database, "w");
    for (unsigned i = 0; i < 200; i++)
        fputs("this is a letter, not a database\n", file);
    fclose(file);
    place_refuses(place, TROUPE_CORRUPT, "store.db", "damaged");
}

static void damaged_pages(void **state) {
    struct place *place = *state;
    place_make_run(place, 200); /* some fifty pages */
    char garbage[4096];
    memset(garbage, 0xa5, sizeof garbage);
    for (unsigned page = 8; page < 16; page++) /* pages 1 to 7 are the roots */
        database_patch(place, page * 4096L, garbage, sizeof garbage);
    place_refuses(place, TROUPE_CORRUPT, "store.db", "damaged");
}

static void cut_off_file(void **state) {
    struct place *place = *state;
    place_make_run(place, 200);
    assert_int_equal(truncate(place->database, 10 * 4096), 0);
    place_refuses(place, TROUPE_CORRUPT, "store.db", "damaged");
}

/* The disk fills while rows are written: that group and all later rows fail alike, what was acknowledged
 * stays. */
static void full_disk(void **state) {
    struct place *place = *state;
    place_make_run(place, 1);
    child_ended_well(child_start("fills", place->directory, STDIN_FILENO, STDOUT_FILENO));
    struct store *store = NULL; /* with room again it opens, and is whole */
    assert_int_equal(store_open(place->env, &place->account, place->directory, NULL, &store, NULL),
                     TROUPE_OK);
    store_close(store);
}

int main(int count, char **words) {
    if (count == 3)
        return strcmp(words[1], "holds") == 0 ? child_holds(words[2]) : child_fills(words[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(absent_run, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(directory_is_a_file, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_look_takes_no_lock, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(runs_start_while_others_look, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(live_run_is_locked, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(newer_schema, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(foreign_database, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(no_database_at_all, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(damaged_pages, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(cut_off_file, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(full_disk, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
