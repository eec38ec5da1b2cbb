/* Tasks a second through coordinator and agents whose work is nothing, for each second of CPU of this process
 * (all threads, the store's and the kernel's part included): in memory, and durable.
 *
 * memory:  an owner asks for batches and keeps `window` tasks in flight; native functions of this process do
 * them, inside the turn. durable: each task is a row in the store (WAL, synchronous=FULL, in the working
 * directory) committed before it is coordinated, and its end is a row committed before it counts.
 * Threads: the owner is one actor; main reads it before and after the run. */
#include "bench_figure.h"

#include <stdio.h>

#include "agent/agent.h"
#include "coordinate/coordinate.h"
#include "store/store.h"

#define DIRECTORY "tasks_bench.tmp"

struct plan {
    bool durable;
    unsigned tasks, window, batch, agents, rounds, workers;
};

struct load { /* the owner */
    const struct plan *plan;
    struct runtime *runtime;
    struct store *store;
    struct account *account;
    actor_ref self, coordinator;
    unsigned made, accepted, ended, finished, failed;
    struct task *ready; /* accepted, to be coordinated */
    unsigned ready_count;
    uint64_t coordinate_ns;
    unsigned batches;
};

struct figures {
    double per_cpu_s, per_s, us_per_batch;
};

static const char body[] = "\"variables\":{\"lr\":0.00123,\"depth\":7},\"inputs\":{},\"data\":{},\"seed\":1";
static const char ended_text[] =
    "{\"value\":0.9713,\"metrics\":{\"accuracy\":0.9713},\"cpu_ns\":0,\"wait_ns\":918273}";

static enum troupe_error nothing(void *arg, const struct task *task, struct task_result **ret_result) {
    (void)arg;
    struct task_result *result = task_result_new(task->account, "1", 1);
    if (!result)
        return TROUPE_NOMEM;
    *ret_result = result;
    return TROUPE_OK;
}

static void make_ready(struct load *load, uint32_t number, uint64_t now_ns) {
    struct task *task = task_new(load->account, body, sizeof body - 1);
    if (!task) {
        load->failed++;
        return;
    }
    task->id = (struct task_id){1, number, 1, 1};
    task->owner = load->self;
    task->run_name = "bench";
    task->stage_name = "nothing";
    task->capability_name = "nothing";
    task->submitted_ns = now_ns;
    task->next = load->ready;
    load->ready = task;
    load->ready_count++;
}

static void coordinate(struct load *load, struct turn *turn) {
    struct message *message =
        message_new(load->runtime, MESSAGE_COORDINATE, sizeof(struct message_coordinate));
    if (!message)
        return;
    struct message_coordinate *batch = MESSAGE_PAYLOAD(message, struct message_coordinate);
    batch->tasks = load->ready;
    batch->count = load->ready_count;
    load->ready = NULL;
    load->ready_count = 0;
    if (actor_ask(turn, load->coordinator, &message, 0, 0)) {
        load->failed++;
        message_free(&message);
    }
}

static bool write_row(struct load *load, struct turn *turn, enum store_row_kind kind, uint32_t number) {
    struct store_row row = {.kind = kind, .a = number, .b = kind == STORE_TASK_ENDED ? TASK_OK : 0};
    const char *text = kind == STORE_TASK_ENDED ? ended_text : "{\"lr\":0.00123,\"depth\":7}";
    if (store_write(load->store, turn, &row, NULL, text, true, (uint64_t)kind << 32 | number) == TROUPE_OK)
        return true;
    load->failed++; /* the window is below the store's bound */
    return false;
}

static void feed(struct load *load, struct turn *turn) {
    const struct plan *plan = load->plan;
    unsigned room = plan->window - (load->made - load->finished);
    if (room < plan->batch && load->made + room < plan->tasks) /* whole batches */
        room = 0;
    while (room-- > 0 && load->made < plan->tasks) {
        if (plan->durable)
            write_row(load, turn, STORE_TASK_ACCEPTED, load->made);
        else
            make_ready(load, load->made, turn->now_ns);
        load->made++;
    }
    unsigned outstanding = load->made - load->accepted;
    if (load->ready_count >= plan->batch || (load->ready_count && (!plan->durable || outstanding == 0)))
        coordinate(load, turn);
}

static void handle(struct turn *turn, void *state, const struct message *message) {
    struct load *load = state;
    load->self = turn->self;
    switch (message->kind) {
    case MESSAGE_STORE_COMMITTED: {
        struct message_store_committed *committed =
            MESSAGE_PAYLOAD(turn->message, struct message_store_committed);
        load->failed += committed->error != TROUPE_OK;
        if (committed->token >> 32 == STORE_TASK_ENDED)
            load->finished++;
        else {
            load->accepted++;
            make_ready(load, (uint32_t)committed->token, turn->now_ns);
        }
        break;
    }
    case MESSAGE_TASK_ENDED: {
        struct message_task_ended *ended = MESSAGE_PAYLOAD(turn->message, struct message_task_ended);
        load->ended++;
        load->failed += ended->task->state != TASK_OK;
        if (load->plan->durable)
            write_row(load, turn, STORE_TASK_ENDED, ended->task->id.trial);
        else
            load->finished++;
        break;
    }
    case MESSAGE_COORDINATED: {
        struct message_coordinated *reply = MESSAGE_PAYLOAD(turn->message, struct message_coordinated);
        load->coordinate_ns += reply->total_ns;
        load->batches++;
        break;
    }
    default:
        break;
    }
    feed(load, turn);
    if (load->finished == load->plan->tasks || load->failed)
        runtime_stop(load->runtime);
}

static void load_start(struct load *load, struct registry *registry, struct agent_spec *spec,
                       struct agents **ret_agents) {
    const struct plan *plan = load->plan;
    struct fault fault = {0};
    struct coordinator_options options = {.capabilities = spec->capability_names,
                                          .queue_len_max = plan->window};
    enum troupe_error error =
        coordinator_start(load->runtime, registry, load->account, &options, &load->coordinator, &fault);
    if (error != TROUPE_OK)
        bench_fail("tasks_bench: coordinator", error, &fault);
    spec->coordinator = load->coordinator;
    error = agent_start(load->runtime, registry, spec, ret_agents, &fault);
    if (error != TROUPE_OK)
        bench_fail("tasks_bench: agent", error, &fault);
    struct actor_spec owner = {.name = "owner", .handle = handle, .state = load};
    struct message *first = message_new(load->runtime, MESSAGE_USER, 0);
    error = first == NULL ? TROUPE_NOMEM : actor_spawn(load->runtime, &owner, &load->self);
    if (error == TROUPE_OK)
        error = actor_send(load->runtime, NULL, load->self, &first);
    if (error != TROUPE_OK)
        bench_fail("tasks_bench: owner", error, NULL);
}

/* A store in a directory of its own, when the plan is durable. */
static void durable_open(struct load *load, struct env *env, struct account *account) {
    struct fault fault = {0};
    enum troupe_error error = env_remove_tree(env, DIRECTORY);
    if (error == TROUPE_OK)
        error = env_make_directories(env, DIRECTORY, &fault);
    if (error == TROUPE_OK)
        error = store_open(env, account, DIRECTORY, &(struct store_options){.create = true}, &load->store,
                           &fault);
    if (error == TROUPE_OK)
        error = store_start(load->store, load->runtime, &fault);
    if (error != TROUPE_OK)
        bench_fail("tasks_bench: store", error, &fault);
}

static struct figures figures_of(const struct load *load, uint64_t cpu_ns, uint64_t wall_ns) {
    return (struct figures){load->plan->tasks * 1e9 / (double)cpu_ns,
                            load->plan->tasks * 1e9 / (double)wall_ns,
                            load->batches ? (double)load->coordinate_ns / load->batches / 1000 : 0};
}

static struct figures run_once(const struct plan *plan) {
    struct account account = ACCOUNT("bench");
    struct fault fault = {0};
    struct env *env;
    struct registry *registry;
    struct agents *agents;
    struct load load = {.plan = plan, .account = &account};
    struct capability_names names = {0};
    struct agent_spec spec = {.name = "nothing",
                              .kind = AGENT_FUNCTION,
                              .execute = nothing,
                              .execute_inline = true,
                              .capability_names = &names,
                              .instances = plan->agents,
                              .window = 64,
                              .batch_max = 64,
                              .queue_len_max = 256,
                              .account = &account};
    unsigned bit;
    enum troupe_error error = capability_intern(&names, "nothing", &bit);
    if (error == TROUPE_OK)
        error = env_os_create(&account, &env);
    if (error == TROUPE_OK)
        error = runtime_create(env, &account, &(struct runtime_options){.workers = plan->workers},
                               &load.runtime, &fault);
    if (error == TROUPE_OK)
        error = registry_create(load.runtime, &account, &(struct registry_options){.rows_max = 1024},
                                &registry, &fault);
    if (error != TROUPE_OK)
        bench_fail("tasks_bench", error, &fault);
    capability_set_add(&spec.capabilities, bit);
    if (plan->durable)
        durable_open(&load, env, &account);
    load_start(&load, registry, &spec, &agents);
    uint64_t wall_ns = env_now(env), cpu_ns = env_process_cpu(env);
    error = runtime_run(load.runtime);
    wall_ns = env_now(env) - wall_ns;
    cpu_ns = env_process_cpu(env) - cpu_ns;
    if (error != TROUPE_OK || load.failed > 0 || load.finished != plan->tasks)
        bench_fail("tasks_bench: not every task ended well", error, NULL);
    runtime_free(load.runtime);
    agents_free(agents);
    registry_free(registry);
    store_close(load.store);
    IGNORE(env_remove_tree(env, DIRECTORY), "a left-over directory is visible");
    env_destroy(env);
    return figures_of(&load, cpu_ns, wall_ns);
}

static void measure(const struct plan *plan) {
    double per_cpu[BENCH_ROUNDS_MAX], per_s[BENCH_ROUNDS_MAX], batches[BENCH_ROUNDS_MAX];
    for (unsigned round = 0; round < plan->rounds; round++) {
        struct figures figures = run_once(plan);
        per_cpu[round] = figures.per_cpu_s;
        per_s[round] = figures.per_s;
        batches[round] = figures.us_per_batch;
    }
    const char *figure = plan->durable ? "durable" : "memory";
    bench_print(&(struct bench_figure){"tasks", figure, "tasks per second of CPU", per_cpu, plan->rounds,
                                       BENCH_AT_LEAST, plan->durable ? 20000 : 200000});
    bench_print(
        &(struct bench_figure){"tasks", figure, "tasks per second", per_s, plan->rounds, BENCH_NO_TARGET, 0});
    bench_print(&(struct bench_figure){"tasks", figure, "us to coordinate a batch, T0 to T5", batches,
                                       plan->rounds, BENCH_NO_TARGET, 0});
}

int main(int argc, char **argv) {
    struct plan plan = {.window = 1024, .batch = 64, .agents = 2, .rounds = 5};
    unsigned memory = 200000, durable = 20000;
    const struct bench_option options[] = {
        {"--rounds", &plan.rounds, 1, 1, BENCH_ROUNDS_MAX, "the median is taken over so many"},
        {"--memory", &memory, 300, 0, 100000000, "tasks of a round in memory; 0: leave it out"},
        {"--durable", &durable, 300, 0, 100000000, "tasks of a durable round; 0: leave it out"},
        {"--window", &plan.window, 100, 1, 2000, "tasks in flight"},
        {"--batch", &plan.batch, 10, 1, 1000, "tasks coordinated at once"},
        {"--agents", &plan.agents, 2, 1, 64, "instances that do them"},
        {"--workers", &plan.workers, 0, 0, 64, "threads that run actors; 0: one a core"}};
    bench_options("tasks_bench", argc, argv, options, ARRAY_COUNT(options));
    task_message_destructors();
    for (unsigned kind = 0; kind < 2; kind++) {
        plan.durable = kind == 1;
        plan.tasks = plan.durable ? durable : memory;
        if (plan.tasks > 0)
            measure(&plan);
    }
    return 0;
}
