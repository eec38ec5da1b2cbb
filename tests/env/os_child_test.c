/* Children on the operating system: their streams, their ends, their groups, their limits. A failure here
 * means that a worker's lines are lost or doubled, that a dead worker is not noticed, or that processes or
 * descriptors leak. */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env_rig.h"

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void run(struct rig_child *rig, struct env *env, const char *const *argv) {
    struct env_child_spec spec = rig_spec(rig, env, argv);
    OK(env_child_spawn(env, &spec, &rig->child, NULL));
    rig_run(env);
    assert_int_equal(rig->exits, 1);
}

static void echoes_both_streams(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig;
    struct env_child_spec spec =
        rig_spec(&rig, env, ARGV("sh", "-c", "while read l; do echo \"<$l>\"; echo e >&2; done"));
    OK(env_child_spawn(env, &spec, &rig.child, NULL));
    assert_true(env_child_pid(rig.child) > 0);
    OK(env_child_write(rig.child, "one\ntwo\n", 8));
    OK(env_child_write(rig.child, "three\n", 6));
    env_child_close_input(rig.child);
    assert_int_equal(env_child_write(rig.child, "x", 1), TROUPE_DEAD);
    rig_run(env);
    assert_string_equal(buffer_string(&rig.out), "<one>\n<two>\n<three>\n");
    assert_string_equal(buffer_string(&rig.err), "e\ne\ne\n");
    assert_int_equal(rig.status, 0);
    assert_int_equal(rig.signal, 0);
    assert_true(rig.usage.cpu_ns > 0);
    assert_true(rig.usage.rss_bytes_max > 0);
    assert_int_equal(env_child_cpu(rig.child), rig.usage.cpu_ns);
    rig_release(&rig);
    rig_end(env);
}

static void tells_how_it_ended(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig;
    run(&rig, env, ARGV("sh", "-c", "exit 7"));
    assert_int_equal(rig.status, 7);
    assert_int_equal(rig.signal, 0);
    rig_release(&rig);
    run(&rig, env, ARGV("sh", "-c", "echo last; kill -SEGV $$"));
    assert_int_equal(rig.signal, SIGSEGV);
    assert_string_equal(buffer_string(&rig.out), "last\n");
    rig_release(&rig);
    rig_end(env);
}

/* What the parent ignores or blocks must not be inherited: a worker would survive SIGTERM or never see
 * SIGPIPE. */
static void starts_with_default_signals(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig;
    run(&rig, env,
        ARGV("sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status; ps -o sid= -p $$ 2>/dev/null; echo $$"));
    assert_non_null(strstr(buffer_string(&rig.out), "SigBlk:\t0000000000000000"));
    assert_non_null(strstr(buffer_string(&rig.out), "SigIgn:\t0000000000000000"));
    rig_release(&rig);
    rig_end(env);
}

static void merges_environment_and_directory(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig;
    char directory[64];
    rig_directory(directory);
    setenv("RIG_KEPT", "kept", 1);
    setenv("RIG_REPLACED", "old", 1);
    struct env_child_spec spec =
        rig_spec(&rig, env, ARGV("sh", "-c", "echo $RIG_KEPT $RIG_REPLACED $RIG_ADDED; pwd -P"));
    spec.environment = ARGV("RIG_REPLACED=new", "RIG_ADDED=added");
    spec.directory = directory;
    OK(env_child_spawn(env, &spec, &rig.child, NULL));
    rig_run(env);
    char expected[128];
    snprintf(expected, sizeof expected, "kept new added\n%s\n", directory);
    assert_string_equal(buffer_string(&rig.out), expected);
    rig_release(&rig);
    OK(env_remove(env, directory));
    rig_end(env);
}

static void script(const char *path, const char *text, mode_t mode) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void names_what_cannot_start(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig;
    char directory[64], path[128];
    rig_directory(directory);
    struct fault fault;
    struct env_child_spec spec = rig_spec(&rig, env, ARGV("no-such-program-here"));
    assert_int_equal(env_child_spawn(env, &spec, &rig.child, &fault), TROUPE_NOT_FOUND);
    assert_string_equal(fault.where, "no-such-program-here");
    spec.argv = ARGV("./nor-this");
    assert_int_equal(env_child_spawn(env, &spec, &rig.child, &fault), TROUPE_NOT_FOUND);
    spec.argv = ARGV("true");
    spec.directory = "/no/such/directory";
    assert_int_equal(env_child_spawn(env, &spec, &rig.child, &fault), TROUPE_NOT_FOUND);
    assert_string_equal(fault.where, "/no/such/directory");
    spec.directory = NULL;
    snprintf(path, sizeof path, "%s/plain", directory);
    script(path, "#!/bin/sh\n", 0644);
    spec.argv = ARGV(path);
    assert_int_equal(env_child_spawn(env, &spec, &rig.child, &fault), TROUPE_IO);
    script(path, "#!/no/such/interpreter\n", 0755);
    assert_int_equal(env_child_spawn(env, &spec, &rig.child, &fault), TROUPE_NOT_FOUND);
    assert_non_null(strstr(fault.text, "interpreter"));
    spec.argv = ARGV("");
    assert_int_equal(env_child_spawn(env, &spec, &rig.child, &fault), TROUPE_INVALID);
    script(path, "echo bare $1\n", 0755); /* no "#!": as a shell would, run it with sh */
    run(&rig, env, ARGV(path, "script"));
    assert_string_equal(buffer_string(&rig.out), "bare script\n");
    rig_release(&rig);
    OK(env_remove_tree(env, directory));
    rig_end(env);
}

static void large_output_waits_while_paused(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig;
    struct env_child_spec spec = rig_spec(&rig, env, ARGV("head", "-c", "10000000", "/dev/zero"));
    rig.stop_at = 1;
    OK(env_child_spawn(env, &spec, &rig.child, NULL));
    rig_run(env); /* until the first bytes */
    env_child_pause(rig.child, true);
    size_t seen = rig.out.length;
    struct rig_child other; /* the loop goes on, and brings nothing of the paused one */
    run(&other, env, ARGV("sh", "-c", "exit 0"));
    rig_release(&other);
    assert_int_equal(rig.out.length, seen);
    rig.stop_at = 0;
    env_child_pause(rig.child, false);
    rig_run(env);
    assert_int_equal(rig.out.length, 10000000);
    assert_int_equal(rig.exits, 1);
    rig_release(&rig);
    rig_end(env);
}

/* Ended while paused: what it had written, and its end, come after the pause. */
static void end_waits_for_the_pause(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig, other;
    struct env_child_spec spec = rig_spec(&rig, env, ARGV("echo", "held"));
    OK(env_child_spawn(env, &spec, &rig.child, NULL));
    env_child_pause(rig.child, true);
    run(&other, env, ARGV("sleep", "0.05"));
    rig_release(&other);
    assert_int_equal(rig.exits, 0);
    assert_int_equal(rig.out.length, 0);
    env_child_pause(rig.child, false);
    rig_run(env);
    assert_string_equal(buffer_string(&rig.out), "held\n");
    assert_int_equal(rig.exits, 1);
    rig_release(&rig);
    rig_end(env);
}

static bool alive(long pid) {
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    bool read = fscanf(file, "%*d (%*[^)]) %c", &state) == 1;
    fclose(file);
    return read && state != 'Z' && state != 'X';
}

/* Killed processes go when the scheduler gets to them: waits for that, and fails by the program's own time
 * limit. */
static void assert_gone(long pid) {
    assert_true(pid > 0);
    while (alive(pid))
        sched_yield();
}

static void kill_reaches_the_whole_group(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig;
    /* The leader and its child both ignore TERM and hang; only KILL to the group helps. */
    struct env_child_spec spec =
        rig_spec(&rig, env, ARGV("sh", "-c", "trap '' TERM; sleep 1000 & echo $!; while :; do wait; done"));
    rig.stop_at = 2;
    OK(env_child_spawn(env, &spec, &rig.child, NULL));
    rig_run(env);
    long grandchild = strtol(buffer_string(&rig.out), NULL, 10);
    assert_true(alive(grandchild));
    rig.stop_at = 0;
    env_child_kill(rig.child, SIGKILL);
    rig_run(env);
    assert_int_equal(rig.signal, SIGKILL);
    assert_gone(grandchild);
    rig_release(&rig);
    rig_end(env);
}

static void leader_end_takes_its_group_along(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig;
    run(&rig, env, ARGV("sh", "-c", "sleep 1000 & echo $!; exit 3"));
    assert_int_equal(rig.status, 3);
    assert_gone(strtol(buffer_string(&rig.out), NULL, 10));
    rig_release(&rig);
    rig_end(env);
}

/* One that left the group and keeps the pipes open must not keep the end from being told. */
static void escaped_grandchild_does_not_delay_the_end(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig;
    run(&rig, env, ARGV("sh", "-c", "setsid sleep 1000 & echo $!; sleep 0.1; exit 4"));
    assert_int_equal(rig.status, 4);
    long escaped = strtol(buffer_string(&rig.out), NULL, 10);
    assert_true(escaped > 0);
    kill((pid_t)escaped, SIGKILL);
    rig_release(&rig);
    rig_end(env);
}

static void input_has_a_bound(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig;
    struct env_child_spec spec = rig_spec(&rig, env, ARGV("sh", "-c", "read go; cat | wc -c"));
    spec.input_bytes_max = 200000;
    OK(env_child_spawn(env, &spec, &rig.child, NULL));
    static char block[10000];
    memset(block, 'x', sizeof block);
    block[sizeof block - 1] = '\n';
    size_t sent = 0;
    enum troupe_error error;
    while ((error = env_child_write(rig.child, block, sizeof block)) == TROUPE_OK)
        sent += sizeof block;
    assert_int_equal(error, TROUPE_FULL);
    assert_true(sent >= 200000 && sent <= 200000 + (1 << 20)); /* the bound, and the pipe's own */
    static char huge[200001];
    assert_int_equal(env_child_write(rig.child, huge, sizeof huge), TROUPE_FULL);
    env_child_close_input(rig.child);
    rig_run(env);
    assert_int_equal(strtoul(buffer_string(&rig.out), NULL, 10),
                     sent - sizeof block); /* the first line was "go" */
    rig_release(&rig);
    rig_end(env);
}

static void writing_to_a_deaf_child_is_dead(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig;
    struct env_child_spec spec = rig_spec(&rig, env, ARGV("sh", "-c", "exec <&-; echo closed; sleep 1000"));
    rig.stop_at = 1;
    OK(env_child_spawn(env, &spec, &rig.child, NULL));
    rig_run(env);
    assert_int_equal(env_child_write(rig.child, "x\n", 2), TROUPE_DEAD);
    assert_int_equal(env_child_write(rig.child, "x\n", 2), TROUPE_DEAD);
    rig_release(&rig); /* still running: killed and reaped silently */
    assert_int_equal(rig.exits, 0);
    rig_end(env);
}

static void counts_cpu_while_it_runs(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct rig_child rig;
    struct env_child_spec spec =
        rig_spec(&rig, env,
                 ARGV("sh", "-c", "(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done); echo done; read x"));
    rig.stop_at = 5;
    OK(env_child_spawn(env, &spec, &rig.child, NULL));
    rig_run(env);
    uint64_t so_far = env_child_cpu(rig.child); /* the loop ran in a waited-for subshell */
    assert_true(so_far >= 10000000);
    rig.stop_at = 0;
    env_child_close_input(rig.child);
    rig_run(env);
    assert_true(rig.usage.cpu_ns + 30000000 >= so_far); /* ticks of 10 ms round */
    rig_release(&rig);
    rig_end(env);
}

/* Twice as many spinners as cores: each can run all the while, and waits for about half of it. */
static void counts_the_wait_for_a_core(void **state) {
    (void)state;
    enum { SPINNERS_MAX = 64 };
    struct env *env = rig_os();
    struct rig_child rigs[SPINNERS_MAX];
    uint64_t begin = env_now(env), waited = 0, cpu = 0, before[SPINNERS_MAX];
    unsigned twice = 2 * env_cores(env), count = twice < SPINNERS_MAX ? twice : SPINNERS_MAX;
    for (unsigned i = 0; i < count; i++) {
        struct env_child_spec spec =
            rig_spec(&rigs[i], env,
                     ARGV("sh", "-c",
                          "read go; i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done; echo done; read x"));
        rigs[i].stop_at = 5;
        OK(env_child_spawn(env, &spec, &rigs[i].child, NULL));
    }
    for (unsigned i = 0; i < count; i++)
        OK(env_child_write(rigs[i].child, "go\n", 3));
    for (unsigned i = 0; i < count; i++)
        while (rigs[i].out.length < 5)
            rig_run(env);
    for (unsigned i = 0; i < count; i++) {
        before[i] = env_child_core_wait(rigs[i].child);
        cpu += env_child_cpu(rigs[i].child);
        if (before[i] == ENV_UNKNOWN)
            continue; /* a system that does not count */
        assert_true(before[i] <= env_now(env) - begin);
        waited += before[i];
    }
    for (unsigned i = 0; i < count; i++) {
        env_child_close_input(rigs[i].child);
        while (rigs[i].exits == 0)
            rig_run(env);
        assert_true(env_child_core_wait(rigs[i].child) >= before[i]); /* it outlives the process */
        rig_release(&rigs[i]);
    }
    if (before[0] != ENV_UNKNOWN && count == twice)
        assert_true(waited >= cpu / 4);
    rig_end(env);
}

static unsigned descriptors_open(void) {
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void many_quick_children_leak_nothing(void **state) {
    (void)state;
    struct env *env = rig_os();
    unsigned before = descriptors_open();
    for (int i = 0; i < 1000; i++) {
        struct rig_child rig;
        struct env_child_spec spec = rig_spec(&rig, env, ARGV("/bin/true"));
        OK(env_child_spawn(env, &spec, &rig.child, NULL));
        if (i % 3)
            rig_run(env);
        rig_release(&rig); /* every third is released while it runs */
    }
    /* Those that were killed are reaped as their ends are seen, which a busy machine may put off. */
    for (int i = 0; i < 1000 && (i == 0 || descriptors_open() != before); i++) {
        struct rig_child last;
        run(&last, env, ARGV("true"));
        rig_release(&last);
    }
    struct fault fault;
    struct rig_child rig;
    struct env_child_spec spec = rig_spec(&rig, env, ARGV("./missing"));
    for (int i = 0; i < 100; i++)
        assert_int_equal(env_child_spawn(env, &spec, &rig.child, &fault), TROUPE_NOT_FOUND);
    assert_int_equal(descriptors_open(), before);
    rig_end(env);
    int status;
    assert_int_equal(waitpid(-1, &status, WNOHANG), -1); /* no zombie either */
    assert_int_equal(errno, ECHILD);
}

struct release_inside {
    struct rig_child rig;
    unsigned outputs;
};

static void release_on_output(void *context, enum env_stream stream, const char *bytes, size_t length) {
    (void)stream;
    (void)bytes;
    (void)length;
    struct release_inside *inside = context;
    inside->outputs++;
    env_child_release(inside->rig.child);
    env_workers_stop(inside->rig.env);
}

static void release_inside_a_callback(void **state) {
    (void)state;
    struct env *env = rig_os();
    struct release_inside inside = {0};
    struct env_child_spec spec =
        rig_spec(&inside.rig, env, ARGV("sh", "-c", "head -c 1000000 /dev/zero; echo; echo"));
    spec.events = (struct env_child_events){release_on_output, rig_exited, &inside};
    OK(env_child_spawn(env, &spec, &inside.rig.child, NULL));
    rig_run(env);
    assert_int_equal(inside.outputs, 1);
    rig_end(env);
}

struct closing {
    struct rig_child rig; /* first: rig_exited and rig_output see it as theirs */
    unsigned closed;
};
static void let_it_end(void *context) {
    struct closing *closing = context;
    assert_int_equal(closing->rig.exits, 0);
    closing->closed++;
    env_child_close_input(closing->rig.child);
}

/* A child that closes its output and lives is told once, at once; so is one that is about to end. */
static void an_output_that_is_closed(void **state) {
    (void)state;
    struct env *env = rig_os();
    const char *const scripts[] = {"echo last; exec 1>&-; read line; exit 4",
                                   "echo last; exec cat >/dev/null"};
    for (unsigned i = 0; i < ARRAY_COUNT(scripts); i++) {
        struct closing closing = {0};
        struct env_child_spec spec = rig_spec(&closing.rig, env, ARGV("sh", "-c", scripts[i]));
        spec.events.output_closed = let_it_end;
        OK(env_child_spawn(env, &spec, &closing.rig.child, NULL));
        rig_run(env);
        assert_int_equal(closing.closed, 1);
        assert_int_equal(closing.rig.status, i == 0 ? 4 : 0);
        assert_int_equal(closing.rig.out.length, 5);
        rig_release(&closing.rig);
    }
    rig_end(env);
}

/* The n-th allocation fails, for every n: an error, nothing left, and without the failure it works. */
static void every_allocation_may_fail(void **state) {
    (void)state;
    for (int64_t n = 1;; n++) {
        struct env *env = NULL;
        struct rig_child rig;
        memory_fail_after(n);
        enum troupe_error error = env_os_create(&rig_account, &env);
        struct env_child_spec spec = rig_spec(&rig, env, ARGV("cat"));
        if (!error)
            error = env_child_spawn(env, &spec, &rig.child, NULL);
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        assert_int_equal(error, fired ? TROUPE_NOMEM : TROUPE_OK);
        if (!error)
            rig_release(&rig);
        rig_end(env);
        if (!fired)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echoes_both_streams),
        cmocka_unit_test(tells_how_it_ended),
        cmocka_unit_test(starts_with_default_signals),
        cmocka_unit_test(merges_environment_and_directory),
        cmocka_unit_test(names_what_cannot_start),
        cmocka_unit_test(large_output_waits_while_paused),
        cmocka_unit_test(end_waits_for_the_pause),
        cmocka_unit_test(kill_reaches_the_whole_group),
        cmocka_unit_test(leader_end_takes_its_group_along),
        cmocka_unit_test(escaped_grandchild_does_not_delay_the_end),
        cmocka_unit_test(input_has_a_bound),
        cmocka_unit_test(writing_to_a_deaf_child_is_dead),
        cmocka_unit_test(counts_cpu_while_it_runs),
        cmocka_unit_test(counts_the_wait_for_a_core),
        cmocka_unit_test(many_quick_children_leak_nothing),
        cmocka_unit_test(release_inside_a_callback),
        cmocka_unit_test(an_output_that_is_closed),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
