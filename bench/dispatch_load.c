/* dispatch TASKS OUTSTANDING WORKER: four owners give tasks to four worker processes whose work is nothing
 * (noop_worker), OUTSTANDING at a time in all, through one coordinator. Prints
 *     troupe dispatch_OUTSTANDING TASKS_PER_S WALL_NS CPU_NS
 * the last two of a task; CPU is of this process and its workers, from before they start until they are gone.
 * bench/peers/gearman_load.c does the same through gearmand.
 *
 * Threads: the owners are actors; main reads them before and after the run. */
#include "bench_figure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/agent.h"
#include "coordinate/coordinate.h"

enum { SUBMITTERS = 4, WORKERS = 4 };

struct submitter {
    struct load *load;
    actor_ref self;
    unsigned number, tasks, outstanding;
    unsigned made, ended;
    struct message *again; /* to itself; NULL: on its way */
};

struct load {
    struct runtime *runtime;
    struct account *account;
    actor_ref coordinator;
    struct submitter submitters[SUBMITTERS];
    _Atomic unsigned busy; /* submitters that are not done */
    _Atomic bool failed;
};

static const char body[] = "\"variables\":{\"lr\":0.00123,\"depth\":7},\"inputs\":{},\"data\":{},\"seed\":1";

static void submit(struct submitter *submitter, struct turn *turn, unsigned count) {
    struct load *load = submitter->load;
    struct message *message =
        message_new(load->runtime, MESSAGE_COORDINATE, sizeof(struct message_coordinate));
    if (message == NULL)
        bench_fail("dispatch", TROUPE_NOMEM, NULL);
    struct message_coordinate *batch = MESSAGE_PAYLOAD(message, struct message_coordinate);
    for (; count > 0; count--) {
        struct task *task = task_new(load->account, body, sizeof body - 1);
        if (task == NULL)
            bench_fail("dispatch", TROUPE_NOMEM, NULL);
        task->id = (struct task_id){submitter->number + 1, submitter->made++, 1, 1};
        task->owner = submitter->self;
        task->run_name = "bench";
        task->stage_name = task->capability_name = "nothing";
        task->submitted_ns = turn->now_ns;
        task->deadline_ns = UINT64_MAX;
        task->next = batch->tasks;
        batch->tasks = task;
        batch->count++;
    }
    if (actor_ask(turn, load->coordinator, &message, 0, 0) != TROUPE_OK)
        bench_fail("dispatch: the coordinator refused", TROUPE_FULL, NULL);
}

/* What ended is replaced in one batch: the owner sends itself a message, which comes after the ends that are
 * on their way. */
static void handle(struct turn *turn, void *state, const struct message *message) {
    struct submitter *submitter = state;
    struct load *load = submitter->load;
    submitter->self = turn->self;
    if (message->kind == MESSAGE_TASK_ENDED) {
        const struct task *task = MESSAGE_PAYLOAD(message, struct message_task_ended)->task;
        if (task->state != TASK_OK && !atomic_exchange(&load->failed, true))
            fprintf(stderr, "dispatch: %s\n", task->result->message);
        submitter->ended++;
        if ((submitter->ended == submitter->tasks && atomic_fetch_sub(&load->busy, 1) == 1) || load->failed)
            runtime_stop(load->runtime);
    } else if (message->kind == MESSAGE_USER)
        submitter->again = turn_take(turn);
    else
        return;
    unsigned room = submitter->outstanding - (submitter->made - submitter->ended);
    if (room > submitter->tasks - submitter->made)
        room = submitter->tasks - submitter->made;
    if (room == 0)
        return;
    if (message->kind == MESSAGE_USER || submitter->outstanding == 1)
        submit(submitter, turn, room);
    else if (submitter->again != NULL &&
             actor_send(load->runtime, turn, turn->self, &submitter->again) != TROUPE_OK)
        bench_fail("dispatch: a message to itself was refused", TROUPE_FULL, NULL);
}

static void submitters_start(struct load *load, unsigned tasks, unsigned outstanding) {
    atomic_init(&load->busy, SUBMITTERS);
    for (unsigned at = 0; at < SUBMITTERS; at++) {
        struct submitter *submitter = &load->submitters[at];
        *submitter = (struct submitter){
            .load = load, .number = at, .tasks = tasks / SUBMITTERS, .outstanding = outstanding / SUBMITTERS};
        struct actor_spec spec = {.name = "submitter", .handle = handle, .state = submitter};
        struct message *first = message_new(load->runtime, MESSAGE_USER, 0);
        enum troupe_error error =
            first == NULL ? TROUPE_NOMEM : actor_spawn(load->runtime, &spec, &submitter->self);
        if (error == TROUPE_OK)
            error = actor_send(load->runtime, NULL, submitter->self, &first);
        if (error != TROUPE_OK)
            bench_fail("dispatch: submitter", error, NULL);
    }
}

static struct agents *fleet_start(struct load *load, struct registry *registry, struct agent_spec *spec,
                                  unsigned outstanding) {
    struct fault fault = {0};
    struct agents *agents;
    struct coordinator_options options = {.capabilities = spec->capability_names,
                                          .queue_len_max = outstanding};
    enum troupe_error error =
        coordinator_start(load->runtime, registry, load->account, &options, &load->coordinator, &fault);
    if (error != TROUPE_OK)
        bench_fail("dispatch: coordinator", error, &fault);
    spec->coordinator = load->coordinator;
    error = agent_start(load->runtime, registry, spec, &agents, &fault);
    if (error != TROUPE_OK)
        bench_fail("dispatch: agent", error, &fault);
    return agents;
}

static double cpu_ns(void) {
    double total = 0;
    for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
        struct rusage usage;
        if (getrusage(who, &usage) != 0)
            bench_fail("dispatch: getrusage", TROUPE_IO, NULL);
        total += (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
    }
    return total;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "worker-exec") == 0) /* the agent starts its children through us */
        return worker_exec_main(argc - 2, argv + 2);
    unsigned tasks = argc == 4 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    unsigned outstanding = argc == 4 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    if (tasks < SUBMITTERS || outstanding < SUBMITTERS || outstanding > 4096 ||
        tasks % SUBMITTERS + outstanding % SUBMITTERS != 0) {
        fprintf(stderr,
                "usage: dispatch TASKS OUTSTANDING WORKER (both multiples of %d, OUTSTANDING to 4096)\n",
                SUBMITTERS);
        return 2;
    }
    const char *const command[] = {argv[3], NULL};
    struct account account = ACCOUNT("bench");
    struct fault fault = {0};
    struct env *env;
    struct registry *registry;
    struct load load = {.account = &account};
    struct capability_names names = {0};
    unsigned bit;
    unsigned window = outstanding / WORKERS < 64 ? outstanding / WORKERS : 64;
    struct agent_spec spec = {.name = "nothing",
                              .kind = AGENT_COMMAND,
                              .argv = command,
                              .capability_names = &names,
                              .instances = WORKERS,
                              .window = window,
                              .account = &account};
    task_message_destructors();
    enum troupe_error error = capability_intern(&names, "nothing", &bit);
    if (error == TROUPE_OK)
        error = env_os_create(&account, &env);
    if (error == TROUPE_OK)
        error = runtime_create(env, &account, &(struct runtime_options){0}, &load.runtime, &fault);
    if (error == TROUPE_OK)
        error = registry_create(load.runtime, &account, &(struct registry_options){.rows_max = 64}, &registry,
                                &fault);
    if (error != TROUPE_OK)
        bench_fail("dispatch", error, &fault);
    capability_set_add(&spec.capabilities, bit);
    double cpu = cpu_ns();
    struct agents *agents = fleet_start(&load, registry, &spec, outstanding);
    submitters_start(&load, tasks, outstanding);
    uint64_t wall_ns = env_now(env);
    error = runtime_run(load.runtime);
    wall_ns = env_now(env) - wall_ns;
    if (error != TROUPE_OK || load.failed)
        bench_fail("dispatch: not every task ended well", error, NULL);
    for (unsigned at = 0; at < SUBMITTERS; at++)
        message_free(&load.submitters[at].again);
    runtime_free(load.runtime);
    agents_free(agents);
    registry_free(registry);
    env_destroy(env);
    cpu = cpu_ns() - cpu;
    printf("troupe dispatch_%u %.0f %.0f %.0f\n", outstanding, tasks * 1e9 / (double)wall_ns,
           (double)wall_ns / tasks, cpu / tasks);
    return 0;
}
