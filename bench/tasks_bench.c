/* Tasks a second through coordinator and agents whose work is nothing: in memory, and durable.
 *
 *   tasks_bench [--mode memory|durable] [--tasks N] [--window W] [--batch B] [--agents A] [--workers N]
 * [--repeats R]
 *
 * memory:  an owner asks for batches and keeps `window` tasks in flight; native functions of this process do
 * them. durable: each task is a row in the store (WAL, synchronous=FULL) committed before it is coordinated,
 * and its end is a row committed before it counts. Prints one JSON object a line: the median over the repeats
 * of tasks per second of CPU time of this process (all threads), of tasks per second of wall time, and where
 * it ran. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "coordinate/coordinate.h"
#include "store/store.h"

#define REPEATS_MAX 101

struct plan {
    bool durable;
    unsigned tasks, window, batch, agents, repeats, workers;
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
    double per_cpu_s, per_s, us_per_round;
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

static void fatal(const char *what, const struct fault *fault) {
    fprintf(stderr, "tasks_bench: %s: %s %s\n", what, fault->where, fault->text);
    exit(1);
}

static void start(struct load *load, struct registry *registry, struct capability_names *names,
                  struct agents **ret) {
    struct fault fault = {0};
    static struct agent_spec spec;
    struct coordinator_options options = {.capabilities = names, .queue_len_max = load->plan->window};
    if (coordinator_start(load->runtime, registry, load->account, &options, &load->coordinator, &fault))
        fatal("coordinator", &fault);
    spec = (struct agent_spec){.name = "nothing",
                               .kind = AGENT_FUNCTION,
                               .execute = nothing,
                               .execute_inline = true,
                               .capability_names = names,
                               .instances = load->plan->agents,
                               .window = 64,
                               .batch_max = 64,
                               .queue_len_max = 256,
                               .coordinator = load->coordinator,
                               .account = load->account};
    capability_set_add(&spec.capabilities, 0);
    if (agent_start(load->runtime, registry, &spec, ret, &fault))
        fatal("agent", &fault);
    struct actor_spec owner = {.name = "owner", .handle = handle, .state = load, .mailbox_len_max = 65536};
    struct message *first = message_new(load->runtime, MESSAGE_USER, 0);
    if (!first || actor_spawn(load->runtime, &owner, &load->self) ||
        actor_send(load->runtime, NULL, load->self, &first))
        fatal("owner", &fault);
}

static struct figures run_once(const struct plan *plan, unsigned repeat) {
    struct account account = ACCOUNT("bench");
    struct fault fault = {0};
    struct env *env;
    struct registry *registry;
    struct agents *agents;
    struct load load = {.plan = plan, .account = &account};
    struct capability_names names = {0};
    unsigned bit;
    char directory[64];
    if (env_os_create(&account, &env) || capability_intern(&names, "nothing", &bit))
        fatal("env", &fault);
    task_message_destructors();
    snprintf(directory, sizeof directory, "tasks_bench.%u.tmp", repeat);
    struct store_options store_options = {.create = true};
    if (plan->durable && (env_remove_tree(env, directory) || env_make_directories(env, directory, &fault) ||
                          store_open(env, &account, directory, &store_options, &load.store, &fault)))
        fatal("store", &fault);
    if (runtime_create(env, &account, &(struct runtime_options){.workers = plan->workers}, &load.runtime,
                       &fault) ||
        registry_create(load.runtime, &account, &(struct registry_options){.rows_max = 1024}, &registry,
                        &fault))
        fatal("runtime", &fault);
    if (plan->durable && store_start(load.store, load.runtime, &fault))
        fatal("store", &fault);
    start(&load, registry, &names, &agents);
    uint64_t wall_ns = env_now(env), cpu_ns = env_process_cpu(env);
    if (runtime_run(load.runtime) || load.failed || load.finished != plan->tasks) {
        fprintf(stderr, "tasks_bench: %u of %u finished, %u failed\n", load.finished, plan->tasks,
                load.failed);
        exit(1);
    }
    wall_ns = env_now(env) - wall_ns;
    cpu_ns = env_process_cpu(env) - cpu_ns;
    if (plan->durable) {
        store_close(load.store);
    }
    runtime_free(load.runtime);
    agents_free(agents);
    registry_free(registry);
    if (plan->durable)
        IGNORE(env_remove_tree(env, directory), "a temporary directory");
    env_destroy(env);
    return (struct figures){plan->tasks * 1e9 / (double)cpu_ns, plan->tasks * 1e9 / (double)wall_ns,
                            load.batches ? (double)load.coordinate_ns / load.batches / 1000 : 0};
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count) {
    qsort(values, count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void measure(const struct plan *plan) {
    double per_cpu[REPEATS_MAX], per_s[REPEATS_MAX], rounds[REPEATS_MAX];
    for (unsigned i = 0; i < plan->repeats; i++) {
        struct figures figures = run_once(plan, i);
        per_cpu[i] = figures.per_cpu_s;
        per_s[i] = figures.per_s;
        rounds[i] = figures.us_per_round;
    }
    printf(
        "{\"bench\":\"tasks_%s\",\"unit\":\"tasks per second of CPU\",\"median\":%.0f,\"least\":%.0f,"
        "\"wall_tasks_per_s\":%.0f,\"round_us\":%.1f,\"tasks\":%u,\"window\":%u,\"batch\":%u,\"agents\":%u,"
        "\"workers\":%u,\"repeats\":%u}\n",
        plan->durable ? "durable" : "memory", median(per_cpu, plan->repeats), per_cpu[0],
        median(per_s, plan->repeats), median(rounds, plan->repeats), plan->tasks, plan->window, plan->batch,
        plan->agents, plan->workers, plan->repeats);
    fflush(stdout);
}

int main(int argc, char **argv) {
    struct plan plan = {.window = 1024, .batch = 64, .agents = 2, .repeats = 5};
    const char *mode = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned value = (unsigned)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--mode") == 0)
            mode = argv[i + 1];
        else if (strcmp(argv[i], "--tasks") == 0)
            plan.tasks = value;
        else if (strcmp(argv[i], "--window") == 0)
            plan.window = value;
        else if (strcmp(argv[i], "--batch") == 0)
            plan.batch = value;
        else if (strcmp(argv[i], "--agents") == 0)
            plan.agents = value;
        else if (strcmp(argv[i], "--workers") == 0)
            plan.workers = value;
        else if (strcmp(argv[i], "--repeats") == 0)
            plan.repeats = value < 1 ? 1 : value > REPEATS_MAX ? REPEATS_MAX : value;
        else
            return fprintf(stderr, "tasks_bench: unknown option %s\n", argv[i]), 2;
    }
    unsigned tasks = plan.tasks;
    for (unsigned durable = 0; durable < 2; durable++) {
        plan.durable = durable;
        plan.tasks = tasks ? tasks : durable ? 20000 : 200000;
        if (!mode || strcmp(mode, durable ? "durable" : "memory") == 0)
            measure(&plan);
    }
    return 0;
}
