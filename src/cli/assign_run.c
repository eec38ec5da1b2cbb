/* assign_run: see the header.
 *
 *   workers say hello --> what they have already is offered to them, by somebody else --> the batch (COORDINATE)
 *      --> COORDINATED: what is foreseen and what would help --> more agents --> every task has ended
 *
 * A deadline counts from when the batch is handed in. Capabilities are by what tasks need: one bit for each set of needs. */
#include "cli/assign_run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "coordinate/coordinate.h"

#define MORE_MAX 32 /* agents that may be added of each */
#define OFFER_NS UINT64_C(10000000000)
#define OTHERS 2 /* the run that backlogs belong to */
#define OURS 1

struct carrying {
    struct env *env;
    struct account *account;
    struct arena *arena;
    const struct assign_instance *instance;
    double scale;
    bool add_agents;
    struct assign_run *ret;
    struct fault *fault;
    enum troupe_error error;
    struct runtime *runtime;
    struct registry *registry;
    actor_ref self, coordinator;
    struct capability_names names;
    uint64_t *needs; /* by capability */
    struct agents **handles;
    actor_ref *added;
    uint32_t *added_like;
    uint32_t added_count;
    bool *up; /* by agent of the instance */
    uint32_t ready, backlogs, ended;
    uint64_t start_ns;
};

static void end(struct carrying *carrying, enum troupe_error error, const char *where, const char *text) {
    if (carrying->error == TROUPE_OK && error != TROUPE_OK)
        carrying->error = fault_set(carrying->fault, error, where, "%s", text);
    runtime_stop(carrying->runtime);
}

static uint64_t real_ns(const struct carrying *carrying, uint64_t ns) {
    return (uint64_t)((double)ns * carrying->scale);
}

static uint64_t instance_ns(const struct carrying *carrying, uint64_t at_ns) {
    return at_ns <= carrying->start_ns ? 0
                                       : (uint64_t)((double)(at_ns - carrying->start_ns) / carrying->scale);
}

/* ---- tasks ---- */

static struct task *new_task(const struct carrying *carrying, uint64_t run, uint32_t number, uint32_t kind,
                             uint64_t work_ns) {
    char body[120];
    int length = snprintf(body, sizeof body, "\"variables\":{\"seconds\":%.6f,\"kind\":%u}",
                          (double)real_ns(carrying, work_ns) / 1e9, kind + 1);
    struct task *task = task_new(carrying->account, body, (size_t)length);
    if (task == NULL)
        return NULL;
    task->id = (struct task_id){.run = run, .trial = number, .attempt = 1};
    task->owner = carrying->self;
    task->expected_ns = real_ns(carrying, work_ns);
    task->deadline_ns = UINT64_MAX;
    task->submitted_ns = env_now(carrying->env);
    task->run_name = "assign";
    task->stage_name = run == OURS ? "task" : "backlog";
    return task;
}

static unsigned capability_of(const struct carrying *carrying, uint64_t needs) {
    unsigned bit = 0;
    while (carrying->needs[bit] != needs)
        bit++;
    return bit;
}

static void free_list(struct task *tasks) {
    for (struct task *next; tasks != NULL; tasks = next) {
        next = tasks->next;
        task_free(tasks);
    }
}

static struct task *batch_tasks(const struct carrying *carrying) {
    const struct troupe_batch *batch = &carrying->instance->batch;
    struct task *first = NULL;
    for (uint32_t i = batch->task_count; i-- > 0;) {
        const struct troupe_batch_task *one = &batch->tasks[i];
        struct task *task = new_task(carrying, OURS, i, one->kind, one->work_ns);
        if (task == NULL) {
            free_list(first);
            return NULL;
        }
        double priority = round(one->weight) - 1;
        task->priority = (uint8_t)(priority < 0 ? 0 : priority > 255 ? 255 : priority);
        task->capability = capability_of(carrying, one->needs);
        task->capability_name = carrying->names.names[task->capability];
        if (one->deadline_ns != TROUPE_BATCH_NEVER)
            task->deadline_ns = carrying->start_ns + real_ns(carrying, one->deadline_ns);
        task->next = first;
        first = task;
    }
    return first;
}

static void submit(struct carrying *carrying, struct turn *turn) {
    struct message *message =
        message_new(carrying->runtime, MESSAGE_COORDINATE, sizeof(struct message_coordinate));
    carrying->start_ns = env_now(carrying->env);
    struct task *tasks = message != NULL ? batch_tasks(carrying) : NULL;
    enum troupe_error error = TROUPE_NOMEM;
    if (tasks != NULL) {
        *MESSAGE_PAYLOAD(message, struct message_coordinate) =
            (struct message_coordinate){.tasks = tasks, .count = carrying->instance->batch.task_count};
        error = actor_ask(turn, carrying->coordinator, &message, 0, 0);
    }
    message_free(&message);
    if (error != TROUPE_OK)
        end(carrying, error, "assign", "the batch could not be handed in");
}

/* What an agent has already is somebody else's: it was offered to it directly. */
static bool offer_backlog(struct carrying *carrying, struct turn *turn, uint32_t agent) {
    const struct troupe_batch_agent *one = &carrying->instance->batch.agents[agent];
    uint32_t count = one->queued > 0 ? one->queued : 1;
    struct message *message = message_new(carrying->runtime, MESSAGE_OFFER, sizeof(struct message_offer));
    if (message == NULL)
        return false;
    struct message_offer *offer = MESSAGE_PAYLOAD(message, struct message_offer);
    *offer = (struct message_offer){.count = count, .epoch = 1};
    bool made = true;
    for (uint32_t i = 0; i < count && made; i++) {
        /* the worker divides by its speed of kind 0 */
        double work = (double)one->backlog_ns / count * one->speeds[0];
        struct task *task = new_task(carrying, OTHERS, agent << 12 | i, 0, (uint64_t)work);
        made = task != NULL;
        if (!made)
            break;
        task->epoch = 1;
        task->expected_ns = real_ns(carrying, one->backlog_ns / count);
        unsigned capability = 0;
        while (capability < carrying->names.count &&
               (one->capabilities & carrying->needs[capability]) != carrying->needs[capability])
            capability++;
        task->capability = capability < carrying->names.count ? capability : 0;
        task->capability_name = carrying->names.names[task->capability];
        task->next = offer->tasks;
        offer->tasks = task;
    }
    made = made &&
           actor_ask(turn, agents_actor(carrying->handles[agent], 0), &message, 0, OFFER_NS) == TROUPE_OK;
    message_free(&message);
    return made;
}

static void on_ready(struct carrying *carrying, struct turn *turn) {
    const struct troupe_batch *batch = &carrying->instance->batch;
    for (uint32_t a = 0; a < batch->agent_count; a++) {
        if (batch->agents[a].backlog_ns == 0)
            continue;
        carrying->backlogs++;
        if (!offer_backlog(carrying, turn, a))
            end(carrying, TROUPE_NOMEM, "assign", "a backlog could not be handed in");
    }
    if (carrying->backlogs == 0)
        submit(carrying, turn);
}

/* ---- agents ---- */

static const char *const metrics[] = {"seconds", NULL};

/* Of a worker: sleep, at its own speed, and say for how long. */
static const char *const *program_of(const struct carrying *carrying, uint32_t agent) {
    const struct troupe_batch *batch = &carrying->instance->batch;
    const char **argv = ARENA_ARRAY(carrying->arena, const char *, 4);
    bool plain = true;
    struct buffer text;
    buffer_init(&text, carrying->account, 1 << 20);
    for (uint32_t kind = 0; kind < batch->kind_count; kind++)
        plain &= batch->agents[agent].speeds[kind] == 1;
    if (plain) {
        buffer_text(&text, "seconds={seconds}");
    } else {
        buffer_text(&text, "seconds=$(awk 'BEGIN { split(\"");
        for (uint32_t kind = 0; kind < batch->kind_count; kind++)
            buffer_format(&text, "%.9g ", batch->agents[agent].speeds[kind]);
        buffer_text(&text, "\", speed); printf \"%.6f\", {seconds} / speed[{kind}] }')");
    }
    buffer_text(&text, "; sleep $seconds && echo seconds=$seconds");
    const char *script =
        buffer_ok(&text) == TROUPE_OK ? arena_copy(carrying->arena, buffer_string(&text), text.length) : NULL;
    buffer_free(&text);
    if (argv == NULL || script == NULL)
        return NULL;
    argv[0] = "sh";
    argv[1] = "-c";
    argv[2] = script;
    return argv;
}

static enum troupe_error start_agents(struct carrying *carrying) {
    const struct troupe_batch *batch = &carrying->instance->batch;
    for (uint32_t a = 0; a < batch->agent_count; a++) {
        const struct troupe_batch_agent *one = &batch->agents[a];
        const char *name = arena_format(carrying->arena, "agent-%" PRId64, carrying->instance->agent_ids[a]);
        uint64_t most = (uint64_t)one->queued + one->room;
        struct agent_spec spec = {.name = name,
                                  .kind = AGENT_ONCE,
                                  .argv = program_of(carrying, a),
                                  .metrics = metrics,
                                  .capability_names = &carrying->names,
                                  .instances = 1,
                                  .instances_max = 1 + MORE_MAX,
                                  .queue_len_max = (unsigned)(most < 1       ? 1
                                                              : most > 65536 ? 65536
                                                                             : most),
                                  .coordinator = carrying->coordinator,
                                  .account = carrying->account};
        for (unsigned bit = 0; bit < carrying->names.count; bit++)
            if ((one->capabilities & carrying->needs[bit]) == carrying->needs[bit])
                capability_set_add(&spec.capabilities, bit);
        if (name == NULL || spec.argv == NULL)
            return fault_set(carrying->fault, TROUPE_NOMEM, "assign", "out of memory");
        enum troupe_error error =
            agent_start(carrying->runtime, carrying->registry, &spec, &carrying->handles[a], carrying->fault);
        if (error != TROUPE_OK)
            return error;
    }
    return TROUPE_OK;
}

static int agent_named(const struct carrying *carrying, const char *name) {
    for (uint32_t a = 0; a < carrying->instance->batch.agent_count; a++)
        if (strcmp(agents_name(carrying->handles[a]), name) == 0)
            return (int)a;
    return -1;
}

static void add_agents(struct carrying *carrying, uint32_t like, uint32_t count) {
    for (uint32_t i = 0; i < count && i < MORE_MAX; i++) {
        actor_ref actor;
        if (agents_add(carrying->runtime, carrying->registry, carrying->handles[like],
                       agents_count(carrying->handles[like]), &actor, carrying->fault) != TROUPE_OK) {
            end(carrying, carrying->fault->error, carrying->fault->where,
                "no further agent could be started");
            return;
        }
        carrying->added[carrying->added_count] = actor;
        carrying->added_like[carrying->added_count++] = like;
    }
    carrying->ret->more_started = true;
}

static uint32_t agent_of(const struct carrying *carrying, actor_ref actor) {
    uint32_t count = carrying->instance->batch.agent_count;
    for (uint32_t a = 0; a < count; a++)
        if (agents_actor(carrying->handles[a], 0) == actor)
            return a;
    for (uint32_t i = 0; i < carrying->added_count; i++)
        if (carrying->added[i] == actor)
            return count + i;
    return UINT32_MAX;
}

/* ---- messages ---- */

static void on_agent(struct carrying *carrying, struct turn *turn, const struct message_agent_event *event) {
    if (event->event == AGENT_GAVE_UP)
        end(carrying, TROUPE_NO_AGENT, event->agent_name, event->text);
    uint32_t count = carrying->instance->batch.agent_count;
    uint32_t agent = event->event == AGENT_UP ? agent_of(carrying, event->agent) : UINT32_MAX;
    if (agent >= count || carrying->up[agent])
        return; /* one that came later, or is here again */
    carrying->up[agent] = true;
    if (++carrying->ready == count)
        on_ready(carrying, turn);
}

static void on_backlog(struct carrying *carrying, struct turn *turn, struct message_offer_answer *answer) {
    if (answer->refused_count > 0) {
        end(carrying, TROUPE_OVERLOADED, "assign", "an agent took less than its `queue_len` tasks");
        return;
    }
    if (--carrying->backlogs == 0)
        submit(carrying, turn);
}

static void on_coordinated(struct carrying *carrying, const struct message_coordinated *reply) {
    struct assign_run *ret = carrying->ret;
    ret->said_on_time = reply->on_time;
    ret->said_late = reply->late;
    ret->said_refused = reply->rejected;
    ret->said_finish_ns = instance_ns(carrying, reply->estimated_completion_ns);
    ret->decided_ns = reply->total_ns;
    for (unsigned i = 0; reply->feedback != NULL && i < reply->feedback->count; i++) {
        const struct feedback_step *step = &reply->feedback->steps[i];
        int like = step->kind == FEEDBACK_SPAWN ? agent_named(carrying, step->agent) : -1;
        if (like < 0 || ret->more > 0)
            continue;
        ret->more = step->count;
        ret->like = (uint32_t)like;
        ret->late_with_more = step->after.late;
        ret->with_more_finish_ns = instance_ns(carrying, step->after.finish_ns);
        if (carrying->add_agents)
            add_agents(carrying, (uint32_t)like, step->count);
    }
}

static void on_ended(struct carrying *carrying, const struct task *task) {
    if (task->id.run != OURS)
        return;
    uint64_t deadline_ns = carrying->instance->batch.tasks[task->id.trial].deadline_ns;
    struct assign_run_task *one = &carrying->ret->tasks[task->id.trial];
    one->agent = task->agent != 0 ? agent_of(carrying, task->agent) : UINT32_MAX;
    one->ok = task->state == TASK_OK;
    if (one->ok)
        one->finish_ns = instance_ns(carrying, task->ended_ns);
    else
        snprintf(one->why, sizeof one->why, "%.150s",
                 task->result != NULL ? task->result->message : task_state_name(task->state));
    one->refused = task->state == TASK_REJECTED;
    one->late =
        !one->refused && (!one->ok || (deadline_ns != TROUPE_BATCH_NEVER && one->finish_ns > deadline_ns));
    carrying->ret->refused += one->refused;
    carrying->ret->late += one->late;
    carrying->ret->on_time += one->ok && !one->late;
    if (one->finish_ns > carrying->ret->finish_ns)
        carrying->ret->finish_ns = one->finish_ns;
    if (++carrying->ended == carrying->instance->batch.task_count)
        end(carrying, TROUPE_OK, "", "");
}

static void handle(struct turn *turn, void *state, const struct message *message) {
    struct carrying *carrying = state;
    switch ((enum message_kind)message->kind) {
    case MESSAGE_AGENT_EVENT:
        on_agent(carrying, turn, MESSAGE_PAYLOAD(message, const struct message_agent_event));
        break;
    case MESSAGE_OFFER_ANSWER:
        on_backlog(carrying, turn, MESSAGE_PAYLOAD(message, struct message_offer_answer));
        break;
    case MESSAGE_COORDINATED:
        on_coordinated(carrying, MESSAGE_PAYLOAD(message, const struct message_coordinated));
        break;
    case MESSAGE_TASK_ENDED:
        on_ended(carrying, MESSAGE_PAYLOAD(message, const struct message_task_ended)->task);
        break;
    case MESSAGE_ASK_FAILED:
        end(carrying, TROUPE_DEAD, "assign", "an agent or the coordinator did not answer");
        break;
    case MESSAGE_RUN_STOP:
        end(carrying, TROUPE_CANCELLED, "assign", "interrupted");
        break;
    default:
        break;
    }
}

static void on_signal(void *context, enum env_signal signal) {
    struct carrying *carrying = context;
    struct message *message =
        signal == ENV_SIGNAL_STOP ? message_new(carrying->runtime, MESSAGE_RUN_STOP, 0) : NULL;
    if (message != NULL)
        IGNORE(actor_send(carrying->runtime, NULL, carrying->self, &message), "it has ended");
    message_free(&message);
}

/* ---- whole ---- */

/* "gpu+large" */
static const char *needs_text(const struct carrying *carrying, uint64_t needs) {
    struct buffer text;
    buffer_init(&text, carrying->account, 1 << 16);
    for (unsigned bit = 0; bit < carrying->instance->capability_count; bit++)
        if (needs >> bit & 1)
            buffer_format(&text, "%s%s", text.length > 0 ? "+" : "", carrying->instance->capabilities[bit]);
    const char *name = needs == 0 ? "any"
                       : buffer_ok(&text) == TROUPE_OK
                           ? arena_copy(carrying->arena, buffer_string(&text), text.length)
                           : NULL;
    buffer_free(&text);
    return name;
}

static enum troupe_error name_needs(struct carrying *carrying) {
    const struct troupe_batch *batch = &carrying->instance->batch;
    carrying->needs = ARENA_ARRAY(carrying->arena, uint64_t, CAPABILITIES_MAX);
    if (carrying->needs == NULL)
        return fault_set(carrying->fault, TROUPE_NOMEM, "assign", "out of memory");
    for (uint32_t i = 0; i < batch->task_count; i++) {
        unsigned bit = 0;
        while (bit < carrying->names.count && carrying->needs[bit] != batch->tasks[i].needs)
            bit++;
        if (bit < carrying->names.count)
            continue;
        const char *name = needs_text(carrying, batch->tasks[i].needs);
        if (name == NULL)
            return fault_set(carrying->fault, TROUPE_NOMEM, "assign", "out of memory");
        if (capability_intern(&carrying->names, name, &bit) != TROUPE_OK)
            return fault_set(carrying->fault, TROUPE_LIMIT, "--run",
                             "tasks need more than %d different sets of capabilities", CAPABILITIES_MAX);
        carrying->needs[bit] = batch->tasks[i].needs;
    }
    return TROUPE_OK;
}

static enum troupe_error start(struct carrying *carrying) {
    struct runtime_options options = {.workers = env_cores(carrying->env)};
    enum troupe_error error =
        runtime_create(carrying->env, carrying->account, &options, &carrying->runtime, carrying->fault);
    if (error == TROUPE_OK)
        error = registry_create(carrying->runtime, carrying->account, &(struct registry_options){0},
                                &carrying->registry, carrying->fault);
    if (error != TROUPE_OK)
        return error;
    struct actor_spec owner = {.name = "assign", .handle = handle, .state = carrying, .pinned = true};
    error = actor_spawn(carrying->runtime, &owner, &carrying->self);
    if (error != TROUPE_OK)
        return fault_set(carrying->fault, error, "assign", "its actor could not be started");
    task_message_destructors();
    struct coordinator_options coordinator = {.capabilities = &carrying->names,
                                              .listener = carrying->self,
                                              .queue_len_max = carrying->instance->batch.task_count + 1};
    error = coordinator_start(carrying->runtime, carrying->registry, carrying->account, &coordinator,
                              &carrying->coordinator, carrying->fault);
    return error == TROUPE_OK ? start_agents(carrying) : error;
}

static enum troupe_error possible(const struct assign_instance *instance, struct fault *fault) {
    const struct troupe_batch *batch = &instance->batch;
    if (batch->resource_count > 0)
        return fault_set(fault, TROUPE_INVALID, "--run",
                         "an instance with `resources` cannot be carried out");
    if (batch->agent_count > ASSIGN_RUN_AGENTS_MAX || batch->task_count == 0 ||
        batch->task_count > ASSIGN_RUN_TASKS_MAX)
        return fault_set(
            fault, TROUPE_LIMIT, "--run",
            "expected 1 to %d agents and 1 to %d tasks, each agent is a process; found %u and %u",
            ASSIGN_RUN_AGENTS_MAX, ASSIGN_RUN_TASKS_MAX, batch->agent_count, batch->task_count);
    for (uint32_t a = 0; a < batch->agent_count; a++)
        if (batch->agents[a].queued > 4096)
            return fault_set(fault, TROUPE_LIMIT, "--run",
                             "agent %" PRId64 " has more than 4096 tasks already", instance->agent_ids[a]);
    return TROUPE_OK;
}

enum troupe_error assign_run(struct env *env, struct account *account, struct arena *arena,
                             const struct assign_instance *instance, double scale, bool add_agents,
                             struct assign_run *ret, struct fault *fault) {
    struct carrying carrying = {.env = env,
                                .account = account,
                                .arena = arena,
                                .instance = instance,
                                .scale = scale,
                                .add_agents = add_agents,
                                .ret = ret,
                                .fault = fault};
    uint32_t agents = instance->batch.agent_count;
    *ret = (struct assign_run){
        .tasks = ARENA_ARRAY(arena, struct assign_run_task, instance->batch.task_count + 1)};
    carrying.handles = ARENA_ARRAY(arena, struct agents *, agents + 1);
    carrying.added = ARENA_ARRAY(arena, actor_ref, MORE_MAX);
    carrying.added_like = ARENA_ARRAY(arena, uint32_t, MORE_MAX);
    carrying.up = ARENA_ARRAY(arena, bool, agents + 1);
    enum troupe_error error = possible(instance, fault);
    if (error == TROUPE_OK && (ret->tasks == NULL || carrying.handles == NULL || carrying.added == NULL ||
                               carrying.added_like == NULL || carrying.up == NULL))
        error = fault_set(fault, TROUPE_NOMEM, "assign", "out of memory");
    if (error == TROUPE_OK)
        error = name_needs(&carrying);
    if (error == TROUPE_OK)
        error = start(&carrying);
    if (error == TROUPE_OK)
        error = env_signals(env, on_signal, &carrying);
    if (error == TROUPE_OK)
        error = runtime_run(carrying.runtime);
    IGNORE(env_signals(env, NULL, NULL), "the process ends soon");
    if (error == TROUPE_OK)
        error = carrying.error;
    ret->agents = agents + carrying.added_count;
    runtime_free(carrying.runtime);
    registry_free(carrying.registry);
    for (uint32_t a = 0; carrying.handles != NULL && a < agents; a++)
        agents_free(carrying.handles[a]);
    return error;
}
