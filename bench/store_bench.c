/* Durable tasks a second of the store alone: each task is two rows, accepted and ended, the second written
 * when the first is committed; WAL, synchronous=FULL, on the file system of the working directory. What a
 * durable task costs above this is runtime, coordinator and agent.
 *
 * Threads: one actor writes, the store's lane commits. CPU is that of the process, kernel time included. */
#include "bench_figure.h"

#include "store/store.h"

#include <stdio.h>

#define DIRECTORY "store_bench.tmp"

static const char accepted_text[] =
    "{\"capability\":\"train\",\"variables\":{\"lr\":0.00123,\"depth\":7,\"model\":\"svm\",\"gamma\":0.0312},"
    "\"inputs\":{\"prepare\":{\"hash\":\"9f86d081884c7d65\"}}}";
static const char ended_text[] = "{\"value\":0.9713,\"metrics\":{\"accuracy\":0.9713,\"loss\":0.0871},"
                                 "\"cpu_ns\":18273645,\"blocked_ns\":12345,\"wait_ns\":918273}";

struct load {
    unsigned tasks, window;
    struct store *store;
    uint32_t submitted, accepted, ended, failed;
};

struct figures {
    double tasks_per_cpu_s, tasks_per_s, rows_per_group, commit_ms;
};

static bool load_write(struct load *load, struct turn *turn, enum store_row_kind kind, uint32_t task) {
    struct store_row row = {.kind = kind, .a = task, .b = kind == STORE_TASK_ENDED ? TASK_OK : 0};
    const char *text = kind == STORE_TASK_ENDED ? ended_text : accepted_text;
    return store_write(load->store, turn, &row, NULL, text, true, (uint64_t)kind << 32 | task) == TROUPE_OK;
}

static void load_handle(struct turn *turn, void *state, const struct message *message) {
    struct load *load = state;
    if (message->kind == MESSAGE_STORE_COMMITTED) {
        const struct message_store_committed *answer =
            MESSAGE_PAYLOAD(message, struct message_store_committed);
        if (answer->error != TROUPE_OK)
            load->failed++;
        if (answer->token >> 32 == STORE_TASK_ENDED)
            load->ended++;
        else if (load_write(load, turn, STORE_TASK_ENDED, (uint32_t)answer->token))
            load->accepted++;
        else
            load->failed++; /* the window is below the store's bound */
    }
    while (load->submitted < load->tasks && load->submitted - load->ended < load->window &&
           load_write(load, turn, STORE_TASK_ACCEPTED, load->submitted))
        load->submitted++;
    if (load->ended == load->tasks || load->failed > 0)
        runtime_stop(turn->runtime);
}

static enum troupe_error load_open(struct env *env, struct account *account, struct load *load,
                                   struct runtime **ret_runtime, struct fault *fault) {
    struct actor_spec spec = {.name = "load", .handle = load_handle, .state = load};
    struct message *start = NULL;
    actor_ref actor;
    enum troupe_error error = env_remove_tree(env, DIRECTORY);
    if (error == TROUPE_OK)
        error =
            store_open(env, account, DIRECTORY, &(struct store_options){.create = true}, &load->store, fault);
    if (error == TROUPE_OK)
        error = runtime_create(env, account, &(struct runtime_options){0}, ret_runtime, fault);
    if (error == TROUPE_OK)
        error = store_start(load->store, *ret_runtime, fault);
    if (error == TROUPE_OK)
        error = actor_spawn(*ret_runtime, &spec, &actor);
    if (error == TROUPE_OK) {
        start = message_new(*ret_runtime, MESSAGE_USER, 0);
        error = start == NULL ? TROUPE_NOMEM : actor_send(*ret_runtime, NULL, actor, &start);
    }
    return error;
}

static struct figures measure(unsigned tasks, unsigned window) {
    struct account account = ACCOUNT("bench");
    struct fault fault = {0};
    struct env *env;
    struct runtime *runtime;
    struct load load = {.tasks = tasks, .window = window};
    enum troupe_error error = env_os_create(&account, &env);
    if (error == TROUPE_OK)
        error = load_open(env, &account, &load, &runtime, &fault);
    if (error != TROUPE_OK)
        bench_fail("store_bench", error, &fault);
    uint64_t cpu_ns = env_process_cpu(env), wall_ns = env_now(env);
    error = runtime_run(runtime);
    cpu_ns = env_process_cpu(env) - cpu_ns;
    wall_ns = env_now(env) - wall_ns;
    if (error != TROUPE_OK || load.failed > 0 || load.ended != tasks)
        bench_fail("store_bench: not every row was committed", error, NULL);
    struct store_statistics statistics;
    store_statistics(load.store, &statistics);
    runtime_free(runtime);
    store_close(load.store);
    IGNORE(env_remove_tree(env, DIRECTORY), "a left-over directory is visible");
    env_destroy(env);
    return (struct figures){
        .tasks_per_cpu_s = tasks * 1e9 / (double)cpu_ns,
        .tasks_per_s = tasks * 1e9 / (double)wall_ns,
        .rows_per_group = (double)statistics.rows / (double)statistics.groups,
        .commit_ms = (double)statistics.commit_ns_total / 1e6 / (double)statistics.groups,
    };
}

static void print(const char *figure, const char *unit, double *values, unsigned count) {
    bench_print(&(struct bench_figure){"store", figure, unit, values, count, BENCH_NO_TARGET, 0});
}

int main(int argc, char **argv) {
    unsigned rounds = 5, tasks = 20000, window = 1000;
    const struct bench_option options[] = {
        {"--rounds", &rounds, 1, 1, BENCH_ROUNDS_MAX, "the median is taken over so many"},
        {"--tasks", &tasks, 300, 1, 100000000, "of a round"},
        {"--window", &window, 100, 1, 2000, "tasks in flight"}};
    bench_options("store_bench", argc, argv, options, ARRAY_COUNT(options));
    double cpu[BENCH_ROUNDS_MAX], wall[BENCH_ROUNDS_MAX], rows[BENCH_ROUNDS_MAX], commit[BENCH_ROUNDS_MAX];
    for (unsigned round = 0; round < rounds; round++) {
        struct figures figures = measure(tasks, window);
        cpu[round] = figures.tasks_per_cpu_s;
        wall[round] = figures.tasks_per_s;
        rows[round] = figures.rows_per_group;
        commit[round] = figures.commit_ms;
    }
    print("durable", "tasks per second of CPU", cpu, rounds);
    print("durable", "tasks per second", wall, rounds);
    print("group", "rows", rows, rounds);
    print("group", "ms to commit", commit, rounds);
    return 0;
}
