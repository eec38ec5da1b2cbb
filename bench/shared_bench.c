/* What it costs that several coordinators share the agents, each knowing of the others' work only what agents last told
 * it: the response time, from submitted to ended, with one coordinator and with four, at the same load; each with what agents
 * tell taken at once, and with it taken `--late` later, a second, when it is of no use any more.
 *
 * Agents are processes (noop_worker) that sleep about SERVICE_US each task, by an exponential distribution; tasks arrive by a
 * Poisson process, a part of it at each coordinator. With one coordinator nothing can be stale: it has the ledger of all
 * that agents hold. The four sides take turns, round for round.
 * Threads: each owner is an actor; main reads them after the run. */
#include "bench_figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "coordinate/coordinate.h"

enum { PATH_BYTES = 4096, OWNERS_MAX = 16 };

struct plan {
    unsigned milliseconds, agents, service_us, load_percent, coordinators, late_ms;
};
struct owner {
    struct runtime *runtime;
    const struct plan *plan;
    struct account *account;
    actor_ref self, coordinator;
    unsigned number, made, ended, failed;
    struct random_stream random;
    uint64_t next_ns, until_ns;
    double *response_us;
    unsigned room;          /* of response_us */
    _Atomic unsigned *open; /* owners that are not done */
    bool done;
};

static double interval_ns(struct owner *owner) {
    const struct plan *plan = owner->plan;
    double rate = plan->agents / (plan->service_us * 1e3) * plan->load_percent / 100 / plan->coordinators;
    return -log(random_unit(&owner->random) + 1e-12) / rate;
}

static void submit(struct owner *owner, struct turn *turn) {
    static const char body[] = "\"variables\":{},\"inputs\":{},\"data\":{},\"seed\":1";
    struct task *task = task_new(owner->account, body, sizeof body - 1);
    struct message *message =
        task ? message_new(owner->runtime, MESSAGE_COORDINATE, sizeof(struct message_coordinate)) : NULL;
    if (message == NULL)
        bench_fail("shared_bench", TROUPE_NOMEM, NULL);
    task->id = (struct task_id){owner->number + 1, owner->made++, 1, 1};
    task->owner = owner->self;
    task->run_name = "bench";
    task->stage_name = task->capability_name = "nothing";
    task->deadline_ns = UINT64_MAX;
    task->submitted_ns = env_now(runtime_env(owner->runtime));
    *MESSAGE_PAYLOAD(message, struct message_coordinate) =
        (struct message_coordinate){.tasks = task, .count = 1};
    if (actor_send(owner->runtime, turn, owner->coordinator, &message) != TROUPE_OK)
        bench_fail("shared_bench: the coordinator refused", TROUPE_FULL, NULL);
}

static void arrive(struct owner *owner, struct turn *turn) {
    uint64_t now_ns = env_now(runtime_env(owner->runtime)), timer;
    for (; owner->next_ns <= now_ns && owner->next_ns < owner->until_ns && owner->made < owner->room;
         owner->next_ns += (uint64_t)interval_ns(owner))
        submit(owner, turn);
    uint64_t wake_ns = owner->next_ns < owner->until_ns ? owner->next_ns : owner->until_ns;
    if (now_ns < owner->until_ns && timer_start(turn, wake_ns, 1, &timer) != TROUPE_OK)
        bench_fail("shared_bench: timer", TROUPE_NOMEM, NULL);
}

static void handle(struct turn *turn, void *state, const struct message *message) {
    struct owner *owner = state;
    owner->self = turn->self;
    if (message->kind == MESSAGE_USER) {
        owner->next_ns = turn->now_ns;
        owner->until_ns = turn->now_ns + owner->plan->milliseconds * UINT64_C(1000000);
    }
    if (message->kind == MESSAGE_TASK_ENDED) {
        const struct task *task = MESSAGE_PAYLOAD(message, struct message_task_ended)->task;
        uint64_t now_ns = env_now(runtime_env(owner->runtime));
        owner->response_us[owner->ended++] = (double)(now_ns - task->submitted_ns) / 1000;
        owner->failed += task->state != TASK_OK;
    } else if (message->kind == MESSAGE_USER || message->kind == MESSAGE_TIMER)
        arrive(owner, turn);
    if (!owner->done && turn->now_ns >= owner->until_ns && owner->ended == owner->made) {
        owner->done = true;
        if (atomic_fetch_sub(owner->open, 1) == 1)
            runtime_stop(owner->runtime);
    }
}

static void owner_start(struct owner *owner, struct registry *registry,
                        const struct capability_names *names) {
    struct fault fault = {0};
    struct coordinator_options options = {.capabilities = names,
                                          .reports_late_ns = owner->plan->late_ms * UINT64_C(1000000)};
    enum troupe_error error =
        coordinator_start(owner->runtime, registry, owner->account, &options, &owner->coordinator, &fault);
    if (error != TROUPE_OK)
        bench_fail("shared_bench: coordinator", error, &fault);
    double expected = owner->plan->milliseconds * 1e3 / owner->plan->service_us * owner->plan->agents;
    owner->room = (unsigned)(expected * 2) + 1000;
    owner->response_us = calloc(owner->room, sizeof *owner->response_us);
    struct actor_spec spec = {.name = "owner", .handle = handle, .state = owner};
    struct message *first = message_new(owner->runtime, MESSAGE_USER, 0);
    error = first == NULL || owner->response_us == NULL ? TROUPE_NOMEM
                                                        : actor_spawn(owner->runtime, &spec, &owner->self);
    if (error == TROUPE_OK)
        error = actor_send(owner->runtime, NULL, owner->self, &first);
    if (error != TROUPE_OK)
        bench_fail("shared_bench: owner", error, NULL);
}

struct responses {
    double p50_us, p99_us;
};

/* Of what arrived after the first fifth, when agents and coordinators know each other. */
static struct responses responses_of(struct owner *owners, unsigned count) {
    unsigned total = 0, kept = 0;
    for (unsigned at = 0; at < count; at++) {
        total += owners[at].ended;
        if (owners[at].failed > 0)
            bench_fail("shared_bench: a task failed", TROUPE_WORKER, NULL);
    }
    double *all = calloc(total + 1, sizeof *all);
    if (all == NULL)
        bench_fail("shared_bench", TROUPE_NOMEM, NULL);
    for (unsigned at = 0; at < count; at++)
        for (unsigned task = owners[at].ended / 5; task < owners[at].ended; task++)
            all[kept++] = owners[at].response_us[task];
    struct responses ret = {bench_median(all, kept), all[(unsigned)(0.99 * kept)]};
    free(all);
    return ret;
}

static struct responses run(const struct plan *plan, const char *const *command, uint64_t seed) {
    struct account account = ACCOUNT("bench");
    struct fault fault = {0};
    struct env *env;
    struct runtime *runtime;
    struct registry *registry;
    struct agents *agents;
    struct capability_names names = {.count = 1, .names = {"nothing"}};
    static struct owner owners[OWNERS_MAX];
    _Atomic unsigned open = plan->coordinators;
    enum troupe_error error = env_os_create(&account, &env);
    if (error == TROUPE_OK)
        error = runtime_create(env, &account, &(struct runtime_options){0}, &runtime, &fault);
    if (error == TROUPE_OK)
        error =
            registry_create(runtime, &account, &(struct registry_options){.rows_max = 64}, &registry, &fault);
    if (error != TROUPE_OK)
        bench_fail("shared_bench", error, &fault);
    for (unsigned at = 0; at < plan->coordinators; at++) {
        owners[at] = (struct owner){
            .runtime = runtime, .plan = plan, .account = &account, .number = at, .open = &open};
        random_seed(&owners[at].random, seed, at);
        owner_start(&owners[at], registry, &names);
    }
    struct agent_spec spec = {.name = "nothing",
                              .kind = AGENT_COMMAND,
                              .argv = command,
                              .capability_names = &names,
                              .instances = plan->agents,
                              .coordinator = owners[0].coordinator,
                              .account = &account};
    capability_set_add(&spec.capabilities, 0);
    error = agent_start(runtime, registry, &spec, &agents, &fault);
    if (error == TROUPE_OK)
        error = runtime_run(runtime);
    if (error != TROUPE_OK)
        bench_fail("shared_bench: run", error, &fault);
    struct responses ret = responses_of(owners, plan->coordinators);
    runtime_free(runtime);
    agents_free(agents);
    registry_free(registry);
    env_destroy(env);
    for (unsigned at = 0; at < plan->coordinators; at++)
        free(owners[at].response_us);
    return ret;
}

static struct plan with(const struct plan *plan, unsigned coordinators, unsigned late_ms) {
    struct plan ret = *plan;
    ret.coordinators = coordinators;
    ret.late_ms = late_ms;
    return ret;
}

static void print_side(const struct plan *side, bool first, double *p99_ms, double *p99, double *p50,
                       unsigned rounds) {
    char name[64];
    snprintf(name, sizeof name, "%u coordinator%s, reports %u ms late", side->coordinators,
             side->coordinators == 1 ? "" : "s", side->late_ms);
    bench_print(&(struct bench_figure){"shared", name, "ms p99", p99_ms, rounds, BENCH_NO_TARGET, 0});
    if (first)
        return;
    bench_print(&(struct bench_figure){"shared", name, "p99 of one's with fresh ones", p99, rounds,
                                       BENCH_AT_MOST, side->coordinators == 1 ? 1.15 : 1.6});
    bench_print(&(struct bench_figure){"shared", name, "p50 of one's with fresh ones", p50, rounds,
                                       BENCH_NO_TARGET, 0});
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "worker-exec") == 0) /* the agents start their children through us */
        return worker_exec_main(argc - 2, argv + 2);
    struct plan plan = {.milliseconds = 4000,
                        .agents = 8,
                        .service_us = 10000,
                        .load_percent = 70,
                        .coordinators = 4,
                        .late_ms = 1000};
    unsigned rounds = 3;
    const struct bench_option options[] = {
        {"--rounds", &rounds, 1, 1, BENCH_ROUNDS_MAX, "of each side; the medians are taken over so many"},
        {"--milliseconds", &plan.milliseconds, 100, 10, 600000, "tasks arrive for so long"},
        {"--agents", &plan.agents, 4, 1, 64, "processes that sleep"},
        {"--service-us", &plan.service_us, 1000, 100, 1000000, "that a task takes, in the mean"},
        {"--load", &plan.load_percent, 80, 1, 99, "per cent of what the agents can do"},
        {"--coordinators", &plan.coordinators, 4, 2, OWNERS_MAX, "that share the agents"},
        {"--late", &plan.late_ms, 1000, 1, 60000, "ms until a report is taken"}};
    bench_options("shared_bench", argc, argv, options, ARRAY_COUNT(options));
    char program[PATH_BYTES], pause[16];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 16);
    if (length <= 0)
        bench_fail("shared_bench: /proc/self/exe", TROUPE_IO, NULL);
    program[length] = 0;
    snprintf(strrchr(program, '/') + 1, 16, "noop_worker");
    snprintf(pause, sizeof pause, "%u", plan.service_us);
    const char *const command[] = {program, pause, "random", NULL};
    /* Of each side the p99, in ms; against the first side's of the same round, p99 and p50. */
    enum { SIDES = 4 };
    const struct plan sides[SIDES] = {with(&plan, 1, 0), with(&plan, 1, plan.late_ms),
                                      with(&plan, plan.coordinators, 0),
                                      with(&plan, plan.coordinators, plan.late_ms)};
    static double p99_ms[SIDES][BENCH_ROUNDS_MAX], p99[SIDES][BENCH_ROUNDS_MAX], p50[SIDES][BENCH_ROUNDS_MAX];
    task_message_destructors();
    for (unsigned round = 0; round < rounds; round++) {
        struct responses first = {0};
        for (unsigned side = 0; side < SIDES; side++) {
            struct responses responses = run(&sides[side], command, round);
            first = side == 0 ? responses : first;
            p99_ms[side][round] = responses.p99_us / 1000;
            p99[side][round] = responses.p99_us / first.p99_us;
            p50[side][round] = responses.p50_us / first.p50_us;
        }
    }
    for (unsigned side = 0; side < SIDES; side++)
        print_side(&sides[side], side == 0, p99_ms[side], p99[side], p50[side], rounds);
    return 0;
}
