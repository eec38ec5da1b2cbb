/* After a crash: 100,000 agents out of the store, each with an actor of its own, a lease and a capability, and their names
 * theirs again; by libtroupe, as a program that embeds it does. Wall time, from opening the store to the last name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_figure.h"
#include "env/env.h"
#include "troupe.h"

static struct troupe *troupe;

static void idle(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    (void)turn, (void)state, (void)event;
}

static troupe_actor spawn(void *context, const struct troupe_registry_row *row) {
    troupe_actor actor = 0;
    (void)context, (void)row;
    if (troupe_actor_spawn(troupe, &(struct troupe_actor_spec){.name = "agent", .handle = idle}, &actor) !=
        TROUPE_STATUS_OK)
        bench_fail("restore_bench", TROUPE_NOMEM, NULL);
    return actor;
}

static void must(enum troupe_status status, const char *problem) {
    if (status == TROUPE_STATUS_OK)
        return;
    fprintf(stderr, "restore_bench: %s %s\n", troupe_status_text(status), problem);
    exit(1);
}

int main(int argc, char **argv) {
    unsigned names = 100000, rounds = 7;
    const struct bench_option options[] = {{"--names", &names, 1000, 8, 400000, "agents"},
                                           {"--rounds", &rounds, 2, 1, BENCH_ROUNDS_MAX, "rounds"}};
    bench_options("restore_bench", argc, argv, options, ARRAY_COUNT(options));
    double restore_ms[BENCH_ROUNDS_MAX], cpu_ms[BENCH_ROUNDS_MAX], save_ms[BENCH_ROUNDS_MAX];
    char directory[] = "restore-bench.XXXXXX", problem[TROUPE_PROBLEM_MAX] = "";
    struct account account = ACCOUNT("restore_bench");
    struct env *env = NULL;
    if (mkdtemp(directory) == NULL || env_os_create(&account, &env) != TROUPE_OK)
        bench_fail("restore_bench", TROUPE_IO, NULL);
    must(troupe_open(NULL, &troupe), "");
    for (unsigned at = 0; at < names; at++) {
        char name[32];
        struct troupe_registry_entry entry = {.lease_ns = UINT64_C(3600000000000)};
        snprintf(name, sizeof name, "agent-%u", at);
        TROUPE_CAPABILITY_ADD(&entry.capabilities, at % 64);
        must(troupe_registry_register_entry(troupe, "agents", name, spawn(NULL, NULL), &entry, NULL), "");
    }
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t began_ns = env_now(env);
        must(troupe_registry_save(troupe, NULL, directory, "agents", NULL, problem), problem);
        save_ms[round] = (double)(env_now(env) - began_ns) / 1e6;
    }
    troupe_close(troupe);
    for (unsigned round = 0; round < rounds; round++) {
        struct troupe_registry_restored restored;
        must(troupe_open(NULL, &troupe), "");
        uint64_t began_ns = env_now(env), began_cpu_ns = env_thread_cpu(env);
        must(troupe_registry_restore(troupe, directory, "agents", spawn, NULL, &restored, problem), problem);
        restore_ms[round] = (double)(env_now(env) - began_ns) / 1e6;
        cpu_ms[round] = (double)(env_thread_cpu(env) - began_cpu_ns) / 1e6;
        CHECK(restored.rows == names && troupe_registry_lookup(troupe, NULL, "agents", "agent-7") != 0);
        troupe_close(troupe);
    }
    IGNORE(env_remove_tree(env, directory), "it is in the build directory");
    env_destroy(env);
    bench_print(&(struct bench_figure){"registry", "all names out of the store again, with leases and actors",
                                       "ms of wall", restore_ms, rounds, BENCH_AT_MOST, 100});
    bench_print(
        &(struct bench_figure){"registry", "the same", "ms of CPU", cpu_ms, rounds, BENCH_NO_TARGET, 0});
    bench_print(&(struct bench_figure){"registry", "all names saved, until the disk has them", "ms of wall",
                                       save_ms, rounds, BENCH_NO_TARGET, 0});
    return 0;
}
