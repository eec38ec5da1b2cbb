/* Durable tasks a second: each task is two rows, accepted and ended, the second written when the first is
 * committed; WAL, synchronous=FULL, on the file system of the directory given (default: the working
 * directory).
 *
 * Prints one JSON object: medians over REPEATS of tasks and rows per second of this process's CPU time (all
 * threads, kernel time included) and per second of wall time, and the size of the groups. Usage: store_commit
 * [DIRECTORY] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/store.h"

#define TASKS 40000
#define WINDOW 2048 /* tasks in flight */
#define REPEATS 5

static const char accepted_text[] =
    "{\"capability\":\"train\",\"variables\":{\"lr\":0.00123,\"depth\":7,\"model\":\"svm\",\"gamma\":0.0312},"
    "\"inputs\":{\"prepare\":{\"hash\":\"9f86d081884c7d65\"}}}";
static const char ended_text[] = "{\"value\":0.9713,\"metrics\":{\"accuracy\":0.9713,\"loss\":0.0871},"
                                 "\"cpu_ns\":18273645,\"blocked_ns\":12345,\"wait_ns\":918273}";

struct load {
    struct store *store;
    uint32_t submitted, accepted, ended, failed;
};

struct figures {
    double tasks_per_cpu_s, tasks_per_s, rows_per_group, commit_ms;
    uint64_t group_rows_max;
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
    while (load->submitted < TASKS && load->submitted - load->ended < WINDOW &&
           load_write(load, turn, STORE_TASK_ACCEPTED, load->submitted))
        load->submitted++;
    if (load->ended == TASKS || load->failed > 0)
        runtime_stop(turn->runtime);
}

static enum troupe_error measure(struct env *env, struct account *account, const char *directory,
                                 struct figures *ret_figures, struct fault *fault) {
    struct load load = {0};
    struct runtime *runtime = NULL;
    struct message *start = NULL;
    actor_ref actor = 0;
    struct actor_spec spec = {.name = "load", .handle = load_handle, .state = &load};
    IGNORE(env_remove_tree(env, directory), "store_open names what is in the way");
    enum troupe_error error =
        store_open(env, account, directory, &(struct store_options){.create = true}, &load.store, fault);
    if (error == TROUPE_OK)
        error = runtime_create(env, account, &(struct runtime_options){0}, &runtime, fault);
    if (error == TROUPE_OK)
        error = store_start(load.store, runtime, fault);
    if (error == TROUPE_OK)
        error = actor_spawn(runtime, &spec, &actor);
    if (error == TROUPE_OK) {
        start = message_new(runtime, MESSAGE_USER, 0);
        error = start == NULL ? TROUPE_NOMEM : actor_send(runtime, NULL, actor, &start);
    }
    uint64_t cpu_ns = env_process_cpu(env), wall_ns = env_now(env);
    if (error == TROUPE_OK)
        error = runtime_run(runtime);
    cpu_ns = env_process_cpu(env) - cpu_ns;
    wall_ns = env_now(env) - wall_ns;
    if (load.store != NULL) {
        struct store_statistics statistics;
        store_statistics(load.store, &statistics);
        *ret_figures = (struct figures){
            .tasks_per_cpu_s = TASKS * 1e9 / (double)cpu_ns,
            .tasks_per_s = TASKS * 1e9 / (double)wall_ns,
            .rows_per_group = (double)statistics.rows / (double)statistics.groups,
            .commit_ms = (double)statistics.commit_ns_total / 1e6 / (double)statistics.groups,
            .group_rows_max = statistics.group_rows_max,
        };
    }
    runtime_free(runtime);
    store_close(load.store);
    if (error == TROUPE_OK && (load.failed > 0 || load.ended != TASKS))
        error = fault_set(fault, TROUPE_INTERNAL, directory, "%u of %d tasks ended", load.ended, TASKS);
    IGNORE(env_remove_tree(env, directory), "a left-over directory is visible");
    return error;
}

static int by_cpu(const void *left, const void *right) {
    double difference =
        ((const struct figures *)left)->tasks_per_cpu_s - ((const struct figures *)right)->tasks_per_cpu_s;
    return difference < 0 ? -1 : difference > 0;
}

int main(int argc, char **argv) {
    struct account account = ACCOUNT("bench");
    struct env *env = NULL;
    struct figures figures[REPEATS];
    struct fault fault = {0};
    char directory[512];
    snprintf(directory, sizeof directory, "%s/store_commit.tmp", argc > 1 ? argv[1] : ".");
    if (env_os_create(&account, &env) != TROUPE_OK)
        return EXIT_FAILURE;
    for (unsigned i = 0; i < REPEATS; i++) {
        enum troupe_error error = measure(env, &account, directory, &figures[i], &fault);
        if (error != TROUPE_OK) {
            fprintf(stderr, "store_commit: %s: %s: %s\n", error_name(error), fault.where, fault.text);
            return EXIT_FAILURE;
        }
    }
    qsort(figures, REPEATS, sizeof figures[0], by_cpu);
    const struct figures *median = &figures[REPEATS / 2];
    printf(
        "{\"bench\":\"store_commit\",\"tasks_per_cpu_s\":%.0f,\"rows_per_cpu_s\":%.0f,\"tasks_per_s\":%.0f,"
        "\"rows_per_s\":%.0f,\"rows_per_group\":%.1f,\"group_rows_max\":%" PRIu64 ",\"commit_ms\":%.3f,"
        "\"tasks\":%d,\"repeats\":%d,\"cores\":%u}\n",
        median->tasks_per_cpu_s, 2 * median->tasks_per_cpu_s, median->tasks_per_s, 2 * median->tasks_per_s,
        median->rows_per_group, median->group_rows_max, median->commit_ms, TASKS, REPEATS, env_cores(env));
    env_destroy(env);
    return EXIT_SUCCESS;
}
