/* A Python worker that gives back what it gets, driven by Troupe (owner, coordinator, agent, child and back)
 * and by the bare loop, turn and turn about in one run, each round with fresh workers of the same program.
 *
 * Figures: tasks a second with `window` tasks at the worker, as a share of the bare loop's; and, one task at
 * a time, how much longer its way takes (from the owner's stamp to the end in its hands) than the bare loop's
 * round trip.
 * Threads: the bare loop has this one; Troupe has its workers while runtime_run runs. */
#include "bench_figure.h"

#include "bare_loop.h"

#include "agent/agent.h"
#include "coordinate/coordinate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PATH_BYTES = 4096, DEADLINE_S = 60 };

struct drive { /* the owner */
    struct runtime *runtime;
    struct account *account;
    actor_ref self, coordinator;
    unsigned warm, tasks; /* warm: tasks before the clock starts */
    unsigned window; /* at the worker; others wait behind them, for the bare loop's next is always ready */
    unsigned made, ended, failed;
    uint64_t began_ns, done_ns, began_cpu_ns, done_cpu_ns;
    double *trips_us;      /* of each measured task, when one at a time */
    struct message *again; /* to itself; NULL: on its way */
};

struct outcome {
    double tasks_per_s, trip_us, cpu_us; /* cpu: of this process for each task */
};

static void submit(struct drive *drive, struct turn *turn, unsigned count) {
    struct message *message =
        message_new(drive->runtime, MESSAGE_COORDINATE, sizeof(struct message_coordinate));
    if (message == NULL)
        bench_fail("echo_bench", TROUPE_NOMEM, NULL);
    struct message_coordinate *batch = MESSAGE_PAYLOAD(message, struct message_coordinate);
    uint64_t now_ns = drive->window == 1 ? env_now(runtime_env(drive->runtime)) : turn->now_ns;
    for (; count > 0; count--) {
        char body[128];
        int length = snprintf(
            body, sizeof body,
            "\"variables\":{\"x\":0.5,\"kind\":\"svm\"},\"inputs\":{},\"data\":{},\"seed\":%u", drive->made);
        struct task *task = task_new(drive->account, body, (size_t)length);
        if (task == NULL)
            bench_fail("echo_bench", TROUPE_NOMEM, NULL);
        task->id = (struct task_id){1, drive->made++, 1, 1};
        task->owner = drive->self;
        task->run_name = "bench";
        task->stage_name = task->capability_name = "echo";
        task->submitted_ns = now_ns;
        task->deadline_ns = now_ns + DEADLINE_S * UINT64_C(1000000000);
        task->next = batch->tasks;
        batch->tasks = task;
        batch->count++;
    }
    if (actor_ask(turn, drive->coordinator, &message, 0, 0) != TROUPE_OK)
        bench_fail("echo_bench: the coordinator refused", TROUPE_FULL, NULL);
}

static void ended(struct drive *drive, const struct task *task) {
    struct env *env = runtime_env(drive->runtime);
    if (task->state != TASK_OK && drive->failed++ == 0)
        fprintf(stderr, "echo_bench: %s\n", task->result->message);
    if (drive->trips_us != NULL && drive->ended >= drive->warm)
        drive->trips_us[drive->ended - drive->warm] = (double)(env_now(env) - task->submitted_ns) / 1000;
    drive->ended++;
    if (drive->ended == drive->warm) {
        drive->began_ns = env_now(env);
        drive->began_cpu_ns = env_process_cpu(env);
    }
    if (drive->ended == drive->warm + drive->tasks || drive->failed > 0) {
        drive->done_ns = env_now(env);
        drive->done_cpu_ns = env_process_cpu(env);
        runtime_stop(drive->runtime);
    }
}

/* What ended is replaced in one batch, as the bare loop replaces what one read brought: the owner sends
 * itself a message, which comes after the ends that are on their way. */
static void handle(struct turn *turn, void *state, const struct message *message) {
    struct drive *drive = state;
    drive->self = turn->self;
    if (message->kind == MESSAGE_TASK_ENDED)
        ended(drive, MESSAGE_PAYLOAD(message, struct message_task_ended)->task);
    else if (message->kind != MESSAGE_USER)
        return;
    unsigned total = drive->warm + drive->tasks;
    unsigned flying =
        drive->window == 1 ? 1 : drive->window * 3; /* at the worker, the agent, the coordinator */
    unsigned room = flying - (drive->made - drive->ended);
    if (room > total - drive->made)
        room = total - drive->made;
    if (message->kind == MESSAGE_USER)
        drive->again = turn_take(turn);
    if (room > 0 && (message->kind == MESSAGE_USER || drive->window == 1))
        submit(drive, turn, room);
    else if (room > 0 && drive->again != NULL &&
             actor_send(drive->runtime, turn, turn->self, &drive->again) != TROUPE_OK)
        bench_fail("echo_bench: a message to itself was refused", TROUPE_FULL, NULL);
}

static void fleet_start(struct drive *drive, struct registry *registry, struct capability_names *names,
                        const char *const *command, struct agent_spec *spec, struct agents **ret_agents) {
    struct fault fault = {0};
    struct coordinator_options options = {.capabilities = names};
    enum troupe_error error =
        coordinator_start(drive->runtime, registry, drive->account, &options, &drive->coordinator, &fault);
    if (error != TROUPE_OK)
        bench_fail("echo_bench: coordinator", error, &fault);
    *spec = (struct agent_spec){.name = "echo",
                                .kind = AGENT_COMMAND,
                                .argv = command,
                                .capability_names = names,
                                .window = drive->window,
                                .coordinator = drive->coordinator,
                                .account = drive->account};
    capability_set_add(&spec->capabilities, 0);
    error = agent_start(drive->runtime, registry, spec, ret_agents, &fault);
    if (error != TROUPE_OK)
        bench_fail("echo_bench: agent", error, &fault);
    struct actor_spec owner = {.name = "owner", .handle = handle, .state = drive};
    struct message *first = message_new(drive->runtime, MESSAGE_USER, 0);
    error = first == NULL ? TROUPE_NOMEM : actor_spawn(drive->runtime, &owner, &drive->self);
    if (error == TROUPE_OK)
        error = actor_send(drive->runtime, NULL, drive->self, &first);
    if (error != TROUPE_OK)
        bench_fail("echo_bench: owner", error, NULL);
}

static struct outcome troupe_drive(const char *const *command, unsigned tasks, unsigned window) {
    struct account account = ACCOUNT("bench");
    struct fault fault = {0};
    struct env *env;
    struct registry *registry;
    struct agents *agents;
    struct agent_spec spec;
    struct capability_names names = {0};
    unsigned bit;
    double *trips = window == 1 ? malloc(tasks * sizeof *trips) : NULL;
    struct drive drive = {.account = &account,
                          .warm = tasks / 10 + window,
                          .tasks = tasks,
                          .window = window,
                          .trips_us = trips};
    enum troupe_error error = capability_intern(&names, "echo", &bit);
    if (error == TROUPE_OK)
        error = env_os_create(&account, &env);
    if (error == TROUPE_OK)
        error = runtime_create(env, &account, &(struct runtime_options){0}, &drive.runtime, &fault);
    if (error == TROUPE_OK)
        error = registry_create(drive.runtime, &account, &(struct registry_options){.rows_max = 1024},
                                &registry, &fault);
    if (error != TROUPE_OK || (window == 1 && trips == NULL))
        bench_fail("echo_bench", error, &fault);
    fleet_start(&drive, registry, &names, command, &spec, &agents);
    error = runtime_run(drive.runtime);
    if (error != TROUPE_OK || drive.failed > 0)
        bench_fail("echo_bench: a task failed", error, NULL);
    message_free(&drive.again);
    runtime_free(drive.runtime);
    agents_free(agents);
    registry_free(registry);
    env_destroy(env);
    struct outcome outcome = {tasks * 1e9 / (double)(drive.done_ns - drive.began_ns),
                              trips != NULL ? bench_median(trips, tasks) : 0,
                              (double)(drive.done_cpu_ns - drive.began_cpu_ns) / 1000 / tasks};
    free(trips);
    return outcome;
}

static struct outcome bare_outcome(const char *const *command, unsigned tasks, unsigned window) {
    static struct bare_worker worker;
    struct outcome outcome = {0};
    bare_start(&worker, (char *const *)(uintptr_t)command);
    bare_drive(&worker, tasks / 10 + window, window, &outcome.trip_us); /* warm */
    clock_t cpu = clock();
    outcome.tasks_per_s = tasks / bare_drive(&worker, tasks, window, &outcome.trip_us);
    outcome.cpu_us = (double)(clock() - cpu) * 1e6 / CLOCKS_PER_SEC / tasks;
    bare_stop(&worker);
    return outcome;
}

struct rounds {
    double bare[BENCH_ROUNDS_MAX], troupe[BENCH_ROUNDS_MAX], share[BENCH_ROUNDS_MAX];
    double bare_cpu[BENCH_ROUNDS_MAX], troupe_cpu[BENCH_ROUNDS_MAX];
};

/* Who goes first alternates, so that neither always meets the other's leavings. */
static void round_run(const char *const *command, unsigned tasks, unsigned window, unsigned round,
                      struct rounds *rounds) {
    struct outcome bare, troupe;
    if (round % 2 == 0)
        bare = bare_outcome(command, tasks, window);
    troupe = troupe_drive(command, tasks, window);
    if (round % 2 != 0)
        bare = bare_outcome(command, tasks, window);
    rounds->bare_cpu[round] = bare.cpu_us;
    rounds->troupe_cpu[round] = troupe.cpu_us;
    if (window == 1) {
        rounds->bare[round] = bare.trip_us;
        rounds->troupe[round] = troupe.trip_us;
        rounds->share[round] = troupe.trip_us - bare.trip_us;
    } else {
        rounds->bare[round] = bare.tasks_per_s;
        rounds->troupe[round] = troupe.tasks_per_s;
        rounds->share[round] = troupe.tasks_per_s / bare.tasks_per_s;
    }
}

static void print(const char *figure, const char *unit, double *values, unsigned count,
                  enum bench_target kind, double target) {
    bench_print(&(struct bench_figure){"echo", figure, unit, values, count, kind, target});
}

static void print_wide(struct rounds *wide, unsigned rounds, unsigned window) {
    char name[64];
    snprintf(name, sizeof name, "window %u", window);
    print(name, "tasks per second, bare loop", wide->bare, rounds, BENCH_NO_TARGET, 0);
    print(name, "tasks per second, Troupe", wide->troupe, rounds, BENCH_NO_TARGET, 0);
    print(name, "us of CPU per task, bare loop", wide->bare_cpu, rounds, BENCH_NO_TARGET, 0);
    print(name, "us of CPU per task, Troupe", wide->troupe_cpu, rounds, BENCH_NO_TARGET, 0);
    print(name, "share of the bare loop's tasks per second", wide->share, rounds, BENCH_AT_LEAST, 0.66);
}

static void print_narrow(struct rounds *narrow, unsigned rounds) {
    static const char name[] = "one at a time";
    print(name, "us p50, bare loop", narrow->bare, rounds, BENCH_NO_TARGET, 0);
    print(name, "us p50, Troupe", narrow->troupe, rounds, BENCH_NO_TARGET, 0);
    print(name, "us of CPU per task, bare loop", narrow->bare_cpu, rounds, BENCH_NO_TARGET, 0);
    print(name, "us of CPU per task, Troupe", narrow->troupe_cpu, rounds, BENCH_NO_TARGET, 0);
    print(name, "us p50 above the bare loop's", narrow->share, rounds, BENCH_AT_MOST, 60);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "worker-exec") == 0) /* the agent starts its child through us */
        return worker_exec_main(argc - 2, argv + 2);
    unsigned rounds = 15, tasks = 4000, one = 1000, window = 16;
    const struct bench_option options[] = {
        {"--rounds", &rounds, 1, 1, BENCH_ROUNDS_MAX, "the medians are taken over so many"},
        {"--tasks", &tasks, 40, 0, 10000000, "of a round, by windows; 0: leave it out"},
        {"--one", &one, 20, 0, 10000000, "of a round, one at a time; 0: leave it out"},
        {"--window", &window, 16, 2, 1024, "tasks at the worker at once"}};
    bench_options("echo_bench", argc, argv, options, ARRAY_COUNT(options));
    char script[PATH_BYTES];
    const char *root = getenv("TROUPE_SOURCE_ROOT");
    snprintf(script, sizeof script, "%s/bench/echo_worker.py", root != NULL ? root : ECHO_SOURCE_ROOT);
    const char *const command[] = {"python3", script, NULL};
    static struct rounds wide, narrow;
    task_message_destructors();
    for (unsigned round = 0; round < rounds; round++) {
        if (tasks > 0)
            round_run(command, tasks, window, round, &wide);
        if (one > 0)
            round_run(command, one, 1, round, &narrow);
    }
    if (tasks > 0)
        print_wide(&wide, rounds, window);
    if (one > 0)
        print_narrow(&narrow, rounds);
    return 0;
}
