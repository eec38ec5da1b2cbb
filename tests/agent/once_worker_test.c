/* Tests of `worker-once`: real commands run for tasks, their metrics, their failures, and nothing left
 * behind. */
#include "agent/worker_main.h"
#include "worker_child.h"

#include <errno.h>

static const char start[] = "{\"type\":\"start\",\"protocol\":1,\"instance\":2,\"agent\":\"a\","
                            "\"capabilities\":[\"run\"],\"options\":{}}";

/* Starts a worker for `sh -c SCRIPT`, up to its hello. */
static void command_start(struct worker_child *child, const char *script, const char *timeout) {
    const char *argv[] = {"--metric", "val_acc", "--metric", "loss", "--timeout", timeout,
                          "--",       "sh",      "-c",       script, NULL};
    child_start(child, once_worker_main, (int)ARRAY_COUNT(argv) - 1, argv);
    child_say(child, start);
    const struct node *hello = child_answer(child);
    assert_string_equal(answer_text(hello, "type"), "hello");
    assert_string_equal(node_text(node_at(node_get(hello, "capabilities"), 0)), "run");
}

static void test_runs_a_command(void **state) {
    (void)state;
    struct worker_child child;
    command_start(
        &child,
        "echo 'lr {lr} depth {depth} kind {kind} trial {trial} seed {seed} instance {instance}'; cat; "
        "echo val_acc=0.5; echo warning >&2; echo '{{\"val_acc\": 0.75, \"loss\": 2}}'",
        "20s");
    child_say(&child, task_line(3, "run", "\"variables\":{\"lr\":0.015,\"depth\":4,\"kind\":\"a b\"}"));
    const struct node *answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "message"), "");
    assert_string_equal(answer_text(answer, "type"), "result");
    assert_string_equal(answer_text(answer, "id"), "r/3/s/1");
    assert_true(answer_metric(answer, "val_acc") == 0.75);
    assert_true(answer_metric(answer, "loss") == 2);
    assert_non_null(node_get(node_get(answer, "usage"), "cpu_ms"));
    child_say(&child, "{\"type\":\"stop\"}");
    assert_int_equal(child_end(&child), 0);
    assert_non_null(strstr(child.held, "lr 0.015 depth 4 kind a b trial 3 seed 17 instance 2\n"));
    assert_non_null(strstr(child.held, "warning\n"));
}

static void test_failures_say_why(void **state) {
    (void)state;
    static const struct {
        const char *script, *says;
        bool retryable;
    } cases[] = {
        {"echo out; echo 'ValueError: no' >&2; exit 3", "sh exited with status 3: ValueError: no", false},
        {"echo last; exit 1", "sh exited with status 1: last", false},
        {"kill -9 $$", "sh was killed by signal 9 (Killed)", true},
        {"echo val_acc=1", "sh printed no 'loss'; expected a line such as loss=0.93 or {\"loss\": 0.93}",
         false},
        {"echo val_acc=nan loss=1", "metric 'val_acc' is nan; expected a finite number", false},
        {"echo {x}", "echo {x}: {x} is not a variable", false},
        {"echo {instanc}", "did you mean {instance}?", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct worker_child child;
        command_start(&child, cases[i].script, "20s");
        child_say(&child, task_line(1, "run", "\"variables\":{\"lr\":1}"));
        const struct node *answer = child_answer(&child);
        assert_string_equal(answer_text(answer, "type"), "error");
        if (!strstr(answer_text(answer, "message"), cases[i].says))
            fail_msg("%s: %s", cases[i].script, answer_text(answer, "message"));
        assert_int_equal(node_bool(node_get(answer, "retryable")), cases[i].retryable);
        assert_int_equal(child_end(&child), 0);
    }
}

static void test_no_such_program(void **state) {
    (void)state;
    const char *argv[] = {"--metric", "m", "--", "no-such-program-here", NULL};
    struct worker_child child;
    child_start(&child, once_worker_main, 4, argv);
    child_say(&child, start);
    child_answer(&child);
    child_say(&child, task_line(1, "run", ""));
    assert_string_equal(answer_text(child_answer(&child), "message"),
                        "cannot run no-such-program-here: No such file or directory");
    assert_int_equal(child_end(&child), 0);
}

/* Both the command and what it started in the background are gone when the task is answered. */
static void assert_gone(const char *pids) {
    char *end;
    for (const char *at = strstr(pids, "pids "); at && *(at += strcspn(at, "0123456789\n")) != '\n';
         at = end) {
        pid_t process = (pid_t)strtol(at, &end, 10);
        /* Killed is killed; who reaps it, and when, is up to init. */
        char path[64], line[256] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        bool zombie = fgets(line, sizeof line, file) && strstr(line, ") Z");
        fclose(file);
        if (!zombie && kill(process, 0) == 0) {
            sigset_t none;
            sigemptyset(&none);
            struct timespec wait = {.tv_nsec = 200000000};
            pselect(0, NULL, NULL, NULL, &wait, &none); /* a signal on its way */
        }
        file = fopen(path, "re");
        if (file) {
            assert_true(fgets(line, sizeof line, file) && strstr(line, ") Z"));
            fclose(file);
        }
    }
}

static const char stubborn[] =
    "trap '' TERM; sleep 600 & echo pids $$ $! >&2; echo deaf; sleep 600; sleep 600";

static void test_timeout_kills_the_group(void **state) {
    (void)state;
    struct worker_child child;
    command_start(&child, stubborn, "100ms");
    child_say(&child, task_line(1, "run", ""));
    const struct node *answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "type"), "error");
    assert_non_null(strstr(answer_text(answer, "message"), "timed out after "));
    assert_null(node_get(answer, "deadline")); /* its own --timeout: a failure of the command */
    assert_int_equal(child_end(&child), 0);
    assert_non_null(strstr(child.held, "pids "));
    assert_gone(child.held);
}

static void test_deadline_is_answered_in_time(void **state) {
    (void)state;
    struct worker_child child;
    command_start(&child, stubborn, "1h");
    child_say(&child, task_line(1, "run", "\"deadline_ms\":400"));
    const struct node *answer = child_answer(&child);
    assert_non_null(strstr(answer_text(answer, "message"), "timed out after "));
    assert_true(node_bool(node_get(answer, "deadline"))); /* else the run would count a failed trial */
    assert_int_equal(child_end(&child), 0);
    assert_gone(child.held);
}

static void test_cancel_and_the_next_task(void **state) {
    (void)state;
    struct worker_child child;
    command_start(&child, "echo pids $$ >&2; test {trial} = 2 || exec sleep 600; echo val_acc=1 loss=1",
                  "1h");
    child_say(&child, task_line(1, "run", ""));
    child_say(&child, task_line(2, "run", ""));
    child_say(&child, "{\"type\":\"cancel\",\"id\":\"r/1/s/1\"}");
    const struct node *answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "id"), "r/1/s/1");
    assert_non_null(strstr(answer_text(answer, "message"), "cancelled"));
    answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "id"), "r/2/s/1");
    assert_string_equal(answer_text(answer, "type"), "result");
    assert_int_equal(child_end(&child), 0);
    assert_gone(child.held);
}

static void read_until(struct worker_child *child, const char *text) {
    size_t length = 0;
    while (!strstr(child->held, text)) {
        ssize_t count = read(child->errors, child->held + length, sizeof child->held - 1 - length);
        assert_true(count > 0);
        length += (size_t)count;
        child->held[length] = '\0';
    }
}

/* Troupe's end, seen as the end of input or as SIGTERM, ends the command. */
static void test_ends_with_troupe(void **state) {
    (void)state;
    for (int by_signal = 0; by_signal < 2; by_signal++) {
        struct worker_child child;
        command_start(&child, stubborn, "1h");
        child_say(&child, task_line(1, "run", ""));
        read_until(&child, "pids ");
        char pids[64];
        snprintf(pids, sizeof pids, "%.62s", child.held);
        if (by_signal)
            assert_int_equal(kill(child.process, SIGTERM), 0);
        else {
            close(child.to);
            child.to = -1;
        }
        child.held_length = 0;
        assert_non_null(strstr(answer_text(child_answer(&child), "message"), "stopped with its worker"));
        assert_int_equal(child_end(&child), 0);
        assert_gone(pids);
    }
    /* Idle, with its input still open. */
    struct worker_child child;
    command_start(&child, "echo val_acc=1 loss=1", "1h");
    child_say(&child, task_line(1, "run", ""));
    assert_string_equal(answer_text(child_answer(&child), "type"), "result");
    assert_int_equal(kill(child.process, SIGTERM), 0);
    assert_null(child_answer(&child));
    assert_int_equal(child_end(&child), 0);
}

static void test_background_processes_do_not_outlive_the_task(void **state) {
    (void)state;
    struct worker_child child;
    command_start(&child, "sleep 600 & echo pids $! >&2; echo val_acc=1 loss=1", "1h");
    child_say(&child, task_line(1, "run", ""));
    assert_string_equal(answer_text(child_answer(&child), "type"), "result");
    assert_int_equal(child_end(&child), 0);
    assert_gone(child.held);
}

/* Far more than any buffer on the way, and a line without an end. */
static void test_much_output(void **state) {
    (void)state;
    struct worker_child child;
    command_start(
        &child,
        "exec 2>/dev/null; head -c 3000000 /dev/zero | tr '\\0' x >&2; echo; echo val_acc=1 loss=2; "
        "head -c 200000 /dev/zero | tr '\\0' y | fold; echo; printf 'val_acc=3'",
        "1h");
    child_say(&child, task_line(1, "run", ""));
    const struct node *answer = NULL;
    /* Standard error is drained meanwhile, as Troupe does. */
    pid_t drainer = fork();
    if (drainer == 0) {
        char bytes[65536];
        close(child.to); /* else the worker's input would never end */
        while (read(child.errors, bytes, sizeof bytes) > 0)
            continue;
        _exit(0);
    }
    answer = child_answer(&child);
    assert_string_equal(answer_text(answer, "message"), "");
    assert_true(answer_metric(answer, "val_acc") == 3);
    assert_int_equal(child_end(&child), 0);
    assert_int_equal(waitpid(drainer, NULL, 0), drainer);
}

static void test_one_file_is_the_artifact(void **state) {
    (void)state;
    char directory[] = "/tmp/troupe-once-XXXXXX", more[128];
    assert_non_null(mkdtemp(directory));
    snprintf(more, sizeof more, "\"artifact_dir\":\"%s\"", directory);
    struct worker_child child;
    command_start(&child, "echo model > {artifact_dir}/model.{trial}; echo val_acc=1 loss=1", "1h");
    child_say(&child, task_line(1, "run", more));
    assert_string_equal(answer_text(child_answer(&child), "artifact"), "model.1");
    child_say(&child, task_line(2, "run", more)); /* now there are two */
    assert_string_equal(answer_text(child_answer(&child), "type"), "log");
    assert_string_equal(answer_text(child_answer(&child), "artifact"), "");
    assert_int_equal(child_end(&child), 0);
    char path[64];
    for (int i = 1; i < 3; i++) {
        snprintf(path, sizeof path, "%s/model.%d", directory, i);
        assert_int_equal(remove(path), 0);
    }
    assert_int_equal(remove(directory), 0);
}

static void test_counts_the_cpu_of_descendants(void **state) {
    (void)state;
    struct worker_child child;
    command_start(&child, "sh -c 'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done'; echo val_acc=1 loss=1",
                  "1h");
    child_say(&child, task_line(1, "run", ""));
    const struct node *answer = child_answer(&child);
    assert_true(node_real(node_get(node_get(answer, "usage"), "cpu_ms")) > 1);
    assert_int_equal(child_end(&child), 0);
}

/* It computes among twice as many others as there are cores; they end with it. */
static void test_counts_the_wait_for_a_core(void **state) {
    (void)state;
    struct worker_child child;
    command_start(&child,
                  "for core in $(seq $(nproc)) $(seq $(nproc)); do while :; do :; done & done; "
                  "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; "
                  "read waits < /proc/$$/schedstat && echo val_acc=1; echo loss=1",
                  "1h");
    child_say(&child, task_line(1, "run", ""));
    const struct node *answer = child_answer(&child);
    if (strcmp(answer_text(answer, "type"), "result") == 0) /* else this system does not count */
        assert_true(node_real(node_get(node_get(answer, "usage"), "core_wait_ms")) > 1);
    assert_int_equal(child_end(&child), 0);
}

static void test_wrong_arguments(void **state) {
    (void)state;
    static const char *const cases[][6] = {
        {"--metric", "m", NULL},
        {"--metric", "m", "--", NULL},
        {"--", "true", NULL},
        {"--metric", NULL},
        {"--metric", "", "--", "true", NULL},
        {"--timeout", "soon", "--", "true", NULL},
        {"--speed", "9", "--", "true", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        int argc = 0;
        while (cases[i][argc])
            argc++;
        struct worker_child child;
        child_start(&child, once_worker_main, argc, cases[i]);
        assert_null(child_answer(&child));
        assert_int_equal(child_end(&child), error_exit_status(TROUPE_USAGE));
        assert_non_null(strstr(child.held, "expected --metric NAME"));
    }
}

static void test_every_allocation_fails_once(void **state) {
    (void)state;
    char lines[8192];
    snprintf(lines, sizeof lines, "%s\n%s\n{\"type\":\"stop\"}\n", start,
             task_line(1, "run", "\"variables\":{\"lr\":0.5}"));
    const char *argv[] = {"--metric", "val_acc", "--", "sh", "-c", "echo '{{\"val_acc\":{lr}}}'; sleep 0.01",
                          NULL};
    every_allocation_fails(once_worker_main, 6, argv, lines);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_a_command),
        cmocka_unit_test(test_failures_say_why),
        cmocka_unit_test(test_no_such_program),
        cmocka_unit_test(test_timeout_kills_the_group),
        cmocka_unit_test(test_deadline_is_answered_in_time),
        cmocka_unit_test(test_cancel_and_the_next_task),
        cmocka_unit_test(test_ends_with_troupe),
        cmocka_unit_test(test_background_processes_do_not_outlive_the_task),
        cmocka_unit_test(test_much_output),
        cmocka_unit_test(test_one_file_is_the_artifact),
        cmocka_unit_test(test_counts_the_cpu_of_descendants),
        cmocka_unit_test(test_counts_the_wait_for_a_core),
        cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
