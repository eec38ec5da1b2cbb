/* T0 to T5 of a batch that meets everything: ten tasks with deadlines for three agents, one of which another
 * coordinator has filled. What is offered there is refused and rebalanced over the other two; not all can be on
 * time any more, so the feedback says what would help. Measured by the coordinator's own stamps, phase by phase
 * as the trace has them, with agents that are functions of this process and with three worker processes
 * (noop_worker); a task sleeps TASK_US. Each batch has a coordinator of its own, for one that was refused
 * remembers it; the two agents that are free do a batch for it first, so that its memory is not new. A batch in which one of the three did not happen is counted, not
 * measured.
 *
 * Threads: the owner is one actor; main reads it before and after the run. */
#include "bench_figure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "coordinate/coordinate.h"

enum { AGENTS = 3, TASKS = 10, HOLD = 2, TASK_US = 2000, PATH_BYTES = 4096, BATCHES_MAX = 100000 };
enum capability { NOTHING, HOLDING, WARMING, CAPABILITIES };
static const char *const capability_texts[] = {"nothing", "hold", "warm"};
static const char *const phase_texts[PHASE_COUNT] = {"discover", "score",     "matrix",  "assign",
                                                     "offer",    "rebalance", "feedback"};

struct owner {
    struct runtime *runtime;
    struct registry *registry;
    const struct capability_names *names;
    struct account *account;
    actor_ref self, coordinator, other;
    unsigned batches, made, measured, unmet, live; /* live: tasks of this batch that have not ended */
    bool held, answered, warming;
    double *total_us, *phase_us[PHASE_COUNT], *asked_us;
    uint64_t asked_ns;
};

static _Atomic bool released; /* what is held ends */

static enum troupe_error work(void *arg, const struct task *task, struct task_result **ret_result) {
    (void)arg;
    struct timespec pause = {.tv_nsec = TASK_US * 1000};
    do
        nanosleep(&pause, NULL);
    while (task->capability == HOLDING && !released);
    *ret_result = task_result_new(task->account, "1", 1);
    return *ret_result ? TROUPE_OK : TROUPE_NOMEM;
}

static actor_ref coordinator_new(struct owner *owner) {
    struct fault fault = {0};
    struct coordinator_options options = {.capabilities = owner->names};
    actor_ref coordinator;
    enum troupe_error error =
        coordinator_start(owner->runtime, owner->registry, owner->account, &options, &coordinator, &fault);
    if (error != TROUPE_OK)
        bench_fail("coordinate_bench: coordinator", error, &fault);
    return coordinator;
}

static void batch_ask(struct owner *owner, struct turn *turn, actor_ref coordinator,
                      enum capability capability, unsigned count) {
    struct message *message =
        message_new(owner->runtime, MESSAGE_COORDINATE, sizeof(struct message_coordinate));
    if (message == NULL)
        bench_fail("coordinate_bench", TROUPE_NOMEM, NULL);
    struct message_coordinate *batch = MESSAGE_PAYLOAD(message, struct message_coordinate);
    static const char body[] = "\"variables\":{\"lr\":0.00123},\"inputs\":{},\"data\":{},\"seed\":1";
    owner->asked_ns = env_now(runtime_env(owner->runtime));
    for (unsigned at = 0; at < count; at++) {
        struct task *task = task_new(owner->account, body, sizeof body - 1);
        if (task == NULL)
            bench_fail("coordinate_bench", TROUPE_NOMEM, NULL);
        task->id = (struct task_id){1 + (uint64_t)capability, owner->made * TASKS + at, 1, 1};
        task->owner = owner->self;
        task->run_name = "bench";
        task->stage_name = task->capability_name = capability_texts[capability];
        task->capability = capability;
        task->submitted_ns = owner->asked_ns;
        task->expected_ns = TASK_US * 1000;
        /* Three agents could do it: four tasks each. Two cannot. */
        task->deadline_ns =
            capability == HOLDING ? UINT64_MAX : owner->asked_ns + UINT64_C(9) * TASK_US * 1000 / 2;
        task->next = batch->tasks;
        batch->tasks = task;
        batch->count++;
    }
    if (actor_ask(turn, coordinator, &message, capability, 0) != TROUPE_OK)
        bench_fail("coordinate_bench: the coordinator refused", TROUPE_FULL, NULL);
}

/* A coordinator hears of the agents a moment after its birth. */
static void agents_ask(struct owner *owner, struct turn *turn) {
    struct message *message = message_new(owner->runtime, MESSAGE_COORDINATOR_STATUS, 0);
    if (message == NULL || actor_ask(turn, owner->coordinator, &message, 0, 0) != TROUPE_OK)
        bench_fail("coordinate_bench: the coordinator's status", TROUPE_NOMEM, NULL);
}

static void answer_take(struct owner *owner, const struct message_coordinated *reply) {
    double asked_us = (double)(env_now(runtime_env(owner->runtime)) - owner->asked_ns) / 1000;
    uint64_t sum_ns = 0;
    for (unsigned phase = 0; phase < PHASE_COUNT; phase++)
        sum_ns += reply->phase_ns[phase];
    CHECK(sum_ns == reply->total_ns);
    if (reply->rebalanced == 0 || reply->late == 0 || reply->feedback == NULL) {
        owner->unmet++;
        return;
    }
    owner->total_us[owner->measured] = (double)reply->total_ns / 1000;
    owner->asked_us[owner->measured] = asked_us;
    for (unsigned phase = 0; phase < PHASE_COUNT; phase++)
        owner->phase_us[phase][owner->measured] = (double)reply->phase_ns[phase] / 1000;
    owner->measured++;
}

static void handle(struct turn *turn, void *state, const struct message *message) {
    struct owner *owner = state;
    owner->self = turn->self;
    switch (message->kind) {
    case MESSAGE_USER: /* the agents are there: one is filled by the other coordinator */
        batch_ask(owner, turn, owner->other, HOLDING, HOLD);
        return;
    case MESSAGE_COORDINATED: {
        const struct message_coordinated *reply = MESSAGE_PAYLOAD(message, struct message_coordinated);
        if (message->token == HOLDING) {
            if (reply->accepted != HOLD)
                bench_fail("coordinate_bench: the agent could not be filled", TROUPE_OVERLOADED, NULL);
            owner->held = true;
        } else {
            if (message->token == NOTHING)
                answer_take(owner, reply);
            owner->answered = true;
        }
        break;
    }
    case MESSAGE_COORDINATOR_STATUS_ANSWER:
        if (MESSAGE_PAYLOAD(message, struct coordinator_statistics)->agents < AGENTS)
            agents_ask(owner, turn);
        else
            batch_ask(owner, turn, owner->coordinator, WARMING, TASKS);
        return;
    case MESSAGE_TASK_ENDED:
        if (MESSAGE_PAYLOAD(message, struct message_task_ended)->task->capability != HOLDING)
            owner->live--;
        break;
    default:
        return;
    }
    if (!owner->held || owner->live > 0 || (owner->made > 0 && !owner->answered))
        return;
    owner->answered = false;
    owner->live = TASKS;
    if (owner->warming) {
        owner->warming = false;
        batch_ask(owner, turn, owner->coordinator, NOTHING, TASKS);
        return;
    }
    if (owner->made == owner->batches) {
        released = true;
        runtime_stop(owner->runtime);
        return;
    }
    if (owner->made > 0)
        actor_stop(owner->runtime, owner->coordinator, TROUPE_OK);
    owner->coordinator = coordinator_new(owner);
    owner->warming = true;
    owner->made++;
    agents_ask(owner, turn);
}

static void fleet_start(struct owner *owner, struct registry *registry, const struct capability_names *names,
                        const char *const *command, struct agents *fleet[AGENTS]) {
    static const char *const agent_names[AGENTS] = {"first", "second", "third"};
    struct fault fault = {0};
    for (unsigned at = 0; at < AGENTS; at++) {
        struct agent_spec spec = {.name = agent_names[at],
                                  .kind = command ? AGENT_COMMAND : AGENT_FUNCTION,
                                  .argv = command,
                                  .execute = work,
                                  .capability_names = names,
                                  .batch_max = at == 0 ? 1 : 4,
                                  .queue_len_max = at == 0 ? HOLD : 64,
                                  .coordinator = owner->other,
                                  .account = owner->account};
        capability_set_add(&spec.capabilities, NOTHING);
        capability_set_add(&spec.capabilities, at == 0 ? HOLDING : WARMING);
        enum troupe_error error = agent_start(owner->runtime, registry, &spec, &fleet[at], &fault);
        if (error != TROUPE_OK)
            bench_fail("coordinate_bench: agent", error, &fault);
    }
    struct actor_spec spec = {.name = "owner", .handle = handle, .state = owner};
    struct message *first = message_new(owner->runtime, MESSAGE_USER, 0);
    enum troupe_error error = first == NULL ? TROUPE_NOMEM : actor_spawn(owner->runtime, &spec, &owner->self);
    if (error == TROUPE_OK)
        error = actor_send(owner->runtime, NULL, owner->self, &first);
    if (error != TROUPE_OK)
        bench_fail("coordinate_bench: owner", error, NULL);
}

/* Sorts; of so many values the one that a share of them do not pass. */
static double quantile(double *values, unsigned count, double share) {
    bench_median(values, count);
    unsigned at = (unsigned)(share * count);
    return values[at < count ? at : count - 1];
}

static void print(const char *figure, const char *unit, double value, double target) {
    bench_print(&(struct bench_figure){"coordinate", figure, unit, (double[]){value}, 1,
                                       target > 0 ? BENCH_AT_MOST : BENCH_NO_TARGET, target});
}

static void report(struct owner *owner, const char *agents, double p50_target, double p99_target) {
    char figure[64];
    snprintf(figure, sizeof figure, "%s, T0 to T5", agents);
    print(figure, "us p50", quantile(owner->total_us, owner->measured, 0.5), p50_target);
    print(figure, "us p99", quantile(owner->total_us, owner->measured, 0.99), p99_target);
    print(figure, "batches measured", owner->measured, 0);
    print(figure, "batches without a refusal, a rebalance or feedback", owner->unmet, 0);
    snprintf(figure, sizeof figure, "%s, asked to answered", agents);
    print(figure, "us p50", quantile(owner->asked_us, owner->measured, 0.5), 0);
    for (unsigned phase = 0; phase < PHASE_COUNT; phase++) {
        snprintf(figure, sizeof figure, "%s, %s", agents, phase_texts[phase]);
        print(figure, "us p50", quantile(owner->phase_us[phase], owner->measured, 0.5), 0);
    }
}

static void measure(const char *agents, const char *const *command, unsigned batches, double p50_target,
                    double p99_target) {
    struct account account = ACCOUNT("bench");
    struct fault fault = {0};
    struct env *env;
    struct registry *registry;
    struct agents *fleet[AGENTS];
    struct capability_names names = {
        .count = CAPABILITIES, .names = {capability_texts[0], capability_texts[1], capability_texts[2]}};
    struct owner owner = {.account = &account, .batches = batches};
    double *values = calloc((size_t)batches * (PHASE_COUNT + 2), sizeof *values);
    if (values == NULL)
        bench_fail("coordinate_bench", TROUPE_NOMEM, NULL);
    owner.total_us = values;
    owner.asked_us = values + batches;
    for (unsigned phase = 0; phase < PHASE_COUNT; phase++)
        owner.phase_us[phase] = values + (size_t)(phase + 2) * batches;
    released = false;
    enum troupe_error error = env_os_create(&account, &env);
    if (error == TROUPE_OK)
        error = runtime_create(env, &account, &(struct runtime_options){0}, &owner.runtime, &fault);
    if (error == TROUPE_OK)
        error = registry_create(owner.runtime, &account, &(struct registry_options){.rows_max = 64},
                                &registry, &fault);
    if (error != TROUPE_OK)
        bench_fail("coordinate_bench", error, &fault);
    owner.registry = registry;
    owner.names = &names;
    owner.other = coordinator_new(&owner);
    fleet_start(&owner, registry, &names, command, fleet);
    error = runtime_run(owner.runtime);
    if (error != TROUPE_OK || owner.measured == 0)
        bench_fail("coordinate_bench: no batch met a refusal, a rebalance and feedback", error, NULL);
    runtime_free(owner.runtime);
    for (unsigned at = 0; at < AGENTS; at++)
        agents_free(fleet[at]);
    registry_free(registry);
    env_destroy(env);
    report(&owner, agents, p50_target, p99_target);
    free(values);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "worker-exec") == 0) /* the agents start their children through us */
        return worker_exec_main(argc - 2, argv + 2);
    unsigned batches = 600;
    const struct bench_option options[] = {
        {"--batches", &batches, 6, 1, BATCHES_MAX, "batches with each kind of agents"}};
    bench_options("coordinate_bench", argc, argv, options, ARRAY_COUNT(options));
    char program[PATH_BYTES], pause[16];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 16);
    if (length <= 0)
        bench_fail("coordinate_bench: /proc/self/exe", TROUPE_IO, NULL);
    program[length] = 0;
    snprintf(strrchr(program, '/') + 1, 16, "noop_worker");
    snprintf(pause, sizeof pause, "%d", TASK_US);
    task_message_destructors();
    measure("functions", NULL, batches, 50, 250);
    measure("three processes", (const char *const[]){program, pause, NULL}, batches, 500, 0);
    return 0;
}
