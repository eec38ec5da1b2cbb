/* world: one run of the real engine in virtual time, whose workers are models.
 *
 * A modelled worker says hello after its start's cost and answers each task after the time that model_pick gives it:
 * blocked first, then a share of the cores. It does one task after the other, like a worker; a cancel drops the task
 * at hand. Lines are read by looking for the ids: they were written by this program a moment ago.
 * Threads: one; env_sim's. Memory: the caller's account; the world goes with the call. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulate/under_way.h"

#define RUN_ID "~" /* as no task's data would have it: {"id":"~/3/train/1" is an id of ours */
#define ID_MARK "\"id\":\"" RUN_ID "/"
#define LINE_BYTES 400
#define TASKS_HELD_MAX 1024 /* a worker's window at most */
#define EVENTS_PER_TASK 400u

struct held_task {
    unsigned trial, stage, attempt;
};
struct world {
    const struct simulation *simulation;
    struct account *account;
    struct env *env;
    struct pipeline pipeline; /* the caller's, with every agent a child */
    double **values;          /* by trial; owned */
    unsigned value_count;
    int stage_in_model[PIPELINE_STAGES_MAX];
    int agent_in_model[PIPELINE_AGENTS_MAX];
    uint64_t born[PIPELINE_AGENTS_MAX]; /* workers so far */
    struct resampling *resampling;      /* of a run under way; otherwise NULL */
    struct simulated *out;
    unsigned capacity;
    bool out_of_memory;
};
struct worker {
    struct world *world;
    struct env_child *child;
    struct buffer line;
    int agent, instance; /* -1: before its start line */
    double slowness;     /* 1/speed */
    uint64_t free_at_ns; /* with what it was given so far, were a core always there */
    struct held_task held[TASKS_HELD_MAX];
    unsigned held_count;
};

/* ---- the worker ---- */

static void *worker_spawn(void *context, struct env_child *child, const struct env_child_spec *spec) {
    struct world *world = context;
    (void)spec;
    struct worker *worker = memory_alloc(world->account, sizeof *worker);
    if (worker == NULL)
        return NULL;
    *worker = (struct worker){.world = world, .child = child, .agent = -1, .instance = -1, .slowness = 1};
    buffer_init(&worker->line, world->account, 64 << 20);
    return worker;
}

static void worker_release(void *state) {
    struct worker *worker = state;
    buffer_free(&worker->line);
    memory_free(worker->world->account, worker);
}

static double factor_of(const struct world *world, int kind, const char *name, int instance) {
    double factor = 1;
    for (unsigned i = 0; i < world->simulation->assumption_count; i++) {
        const struct assumption *one = &world->simulation->assumptions[i];
        if ((int)one->kind == kind && strcmp(one->agent, name) == 0 &&
            (one->instance < 0 || one->instance == instance))
            factor *= one->factor;
    }
    return factor;
}

static const double *values_of(const struct world *world, unsigned trial) {
    return trial < world->value_count ? world->values[trial] : NULL;
}

static struct model_sample sample_of(const struct world *world, unsigned trial, unsigned stage,
                                     unsigned attempt, uint64_t begin_ns) {
    const struct simulation *simulation = world->simulation;
    const double *values = values_of(world, trial);
    CHECK(values != NULL); /* it was asked for before any of its stages began */
    if (world->resampling != NULL)
        return resample(world->resampling, (unsigned)world->stage_in_model[stage], trial, attempt, values,
                        begin_ns);
    return *model_pick(simulation->model, world->pipeline.space, (unsigned)world->stage_in_model[stage],
                       trial, attempt, values, simulation->resample ? simulation->seed : 0);
}

static double objective_of(const struct world *world, unsigned trial) {
    const double *values = values_of(world, trial);
    if (world->resampling != NULL)
        return resample_objective(world->resampling, trial, values);
    return model_objective(world->simulation->model, world->pipeline.space, trial, values);
}

static uint64_t scaled(uint64_t ns, double factor) {
    return (uint64_t)((double)ns * factor + 0.5);
}

/* No task takes the same time twice. Besides being true it averages over what hangs by a hair: who is free first. */
#define JITTER                                                                                               \
    0.03 /* standard deviation of the logarithm; digits, repeated on a quiet machine: 0.02 to 0.04 */

static double jitter(const struct world *world, const struct held_task *task) {
    if (!world->simulation->resample || world->resampling != NULL)
        return 1;
    struct random_stream random;
    uint64_t which = (uint64_t)task->trial << 24 | task->stage << 16 | task->attempt;
    random_seed(&random, world->simulation->seed ^ 0x6a177e5, which);
    return exp(JITTER * random_normal(&random));
}

static void answer(struct worker *worker, const struct held_task *task) {
    const struct world *world = worker->world;
    const struct pipeline_stage *stage = &world->pipeline.stages[task->stage];
    uint64_t now = env_now(world->env), begin_ns = worker->free_at_ns > now ? worker->free_at_ns : now;
    struct model_sample sample = sample_of(world, task->trial, task->stage, task->attempt, begin_ns);
    double factor = worker->slowness * factor_of(world, ASSUME_TIME, stage->name, -1) * jitter(world, task);
    uint64_t blocked = scaled(sample.blocked_ns, factor),
             cpu = scaled(sample.cpu_ns, factor * world->simulation->model->crowding);
    if (world->resampling != NULL) {
        blocked = scaled(sample.wall_ns, factor / worker->slowness);
        cpu = 0;
    }
    worker->free_at_ns = begin_ns + blocked + cpu;
    char line[LINE_BYTES];
    int length = snprintf(
        line, sizeof line, "{\"type\":\"%s\",\"id\":\"" RUN_ID "/%u/%s/%u\",\"attempt\":%u,",
        sample.end == SAMPLE_OK ? "result" : "error", task->trial, stage->name, task->attempt, task->attempt);
    const char *metric = task->stage == world->pipeline.objective_stage ? world->pipeline.objective_metric
                         : task->stage == world->pipeline.test_stage    ? world->pipeline.test_metric
                                                                        : NULL;
    if (sample.end == SAMPLE_CRASHED) {
        env_sim_child_emit(worker->child, blocked, cpu, "", 0);
        env_sim_child_exit(worker->child, 0, 1);
        return;
    }
    char *at = line + length;
    size_t room = sizeof line - (size_t)length;
    if (sample.end == SAMPLE_FAILED)
        snprintf(at, room, "\"message\":\"as recorded\",\"retryable\":%s}\n",
                 sample.retried ? "true" : "false");
    else if (metric != NULL)
        snprintf(at, room, "%s\"metrics\":{\"%s\":%.17g}}\n",
                 sample.storing_ns > 0 ? "\"artifact\":\"a\"," : "", metric,
                 objective_of(world, task->trial));
    else
        snprintf(at, room, "%s\"metrics\":{}}\n", sample.storing_ns > 0 ? "\"artifact\":\"a\"," : "");
    env_sim_child_emit(worker->child, blocked, cpu, line, strlen(line));
}

static void read_start(struct worker *worker, const char *line) {
    struct world *world = worker->world;
    const char *agent = strstr(line, "\"agent\":\""), *instance = strstr(line, "\"instance\":");
    CHECK(agent != NULL && instance != NULL); /* worker_write_start */
    agent += strlen("\"agent\":\"");
    for (unsigned a = 0; a < world->pipeline.agent_count; a++) {
        size_t length = strlen(world->pipeline.agents[a].name);
        if (strncmp(world->pipeline.agents[a].name, agent, length) == 0 && agent[length] == '"')
            worker->agent = (int)a;
    }
    CHECK(worker->agent >= 0);
    worker->instance = atoi(instance + strlen("\"instance\":"));
    const char *name = world->pipeline.agents[worker->agent].name;
    worker->slowness = 1 / factor_of(world, ASSUME_SPEED, name, worker->instance);
    const struct model_agent *model = &world->simulation->model->agents[world->agent_in_model[worker->agent]];
    if ((unsigned)worker->instance < model->instances && strcmp(model->name, name) == 0)
        worker->slowness *= model->slowness[worker->instance];
    const struct model_start *start = &model->starts[world->born[worker->agent]++ % model->start_count];
    char hello[200 + CAPABILITIES_MAX];
    const char *list = strstr(line, "\"capabilities\":"), *end = list != NULL ? strchr(list, ']') : NULL;
    int length = end == NULL || end - list > 200 + CAPABILITIES_MAX - 60
                     ? snprintf(hello, sizeof hello, "{\"type\":\"hello\",\"protocol\":1}\n")
                     : snprintf(hello, sizeof hello, "{\"type\":\"hello\",\"protocol\":1,%.*s}\n",
                                (int)(end - list + 1), list);
    env_sim_child_emit(worker->child, scaled(start->blocked_ns, worker->slowness),
                       scaled(start->cpu_ns, worker->slowness * world->simulation->model->crowding), hello,
                       (size_t)length);
}

/* `at` is behind ID_MARK: "3/train/1". */
static struct held_task read_id(const struct world *world, const char *at) {
    char *end;
    struct held_task task = {.trial = (unsigned)strtoul(at, &end, 10)};
    const char *name = end + 1, *slash = strchr(name, '/');
    CHECK(*end == '/' && slash != NULL);
    for (unsigned s = 0; s < world->pipeline.stage_count; s++)
        if (strncmp(world->pipeline.stages[s].name, name, (size_t)(slash - name)) == 0 &&
            world->pipeline.stages[s].name[slash - name] == '\0')
            task.stage = s;
    task.attempt = (unsigned)strtoul(slash + 1, NULL, 10);
    return task;
}

static void read_tasks(struct worker *worker, const char *line) {
    unsigned pending = env_sim_child_pending(worker->child);
    if (pending < worker->held_count) { /* those before are answered */
        memmove(worker->held, worker->held + (worker->held_count - pending), pending * sizeof *worker->held);
        worker->held_count = pending;
    }
    for (const char *at = strstr(line, ID_MARK); at != NULL; at = strstr(at, ID_MARK)) {
        at += strlen(ID_MARK);
        struct held_task task = read_id(worker->world, at);
        CHECK(worker->held_count < TASKS_HELD_MAX);
        worker->held[worker->held_count++] = task;
        answer(worker, &task);
    }
}

/* Only the task at hand can be cancelled; one that waits behind it is done all the same, as a worker that reads its
 * next line only when it is done with this one would. */
static void read_cancel(struct worker *worker, const char *line) {
    const char *at = strstr(line, ID_MARK);
    unsigned pending = env_sim_child_pending(worker->child);
    if (at == NULL || pending == 0 || pending > worker->held_count)
        return;
    struct held_task task = read_id(worker->world, at + strlen(ID_MARK));
    const struct held_task *first = &worker->held[worker->held_count - pending];
    if (task.trial != first->trial || task.stage != first->stage || task.attempt != first->attempt)
        return;
    char text[LINE_BYTES];
    int length = snprintf(
        text, sizeof text,
        "{\"type\":\"error\",\"id\":\"" RUN_ID "/%u/%s/%u\",\"attempt\":%u,\"message\":\"cancelled\"}\n",
        task.trial, worker->world->pipeline.stages[task.stage].name, task.attempt, task.attempt);
    env_sim_child_abort(worker->child);
    env_sim_child_emit(worker->child, 0, 0, text, (size_t)length);
    for (unsigned i = worker->held_count - pending + 1; i < worker->held_count; i++)
        answer(worker, &worker->held[i]);
}

static void worker_line(struct worker *worker, const char *line) {
    if (strncmp(line, "{\"type\":\"task", 13) == 0)
        read_tasks(worker, line);
    else if (strncmp(line, "{\"type\":\"start\"", 15) == 0)
        read_start(worker, line);
    else if (strncmp(line, "{\"type\":\"cancel\"", 16) == 0)
        read_cancel(worker, line);
}

static void worker_input(void *state, struct env_child *child, const char *bytes, size_t length) {
    struct worker *worker = state;
    buffer_append(&worker->line, bytes, length);
    if (buffer_ok(&worker->line) != TROUPE_OK) {
        worker->world->out_of_memory = true;
        env_sim_child_exit(child, 0, 1);
        return;
    }
    size_t taken = 0;
    for (char *end; (end = memchr(worker->line.bytes + taken, '\n', worker->line.length - taken)) != NULL;) {
        *end = '\0';
        worker_line(worker, worker->line.bytes + taken);
        taken = (size_t)(end - worker->line.bytes) + 1;
    }
    buffer_consume(&worker->line, taken);
}

/* ---- what the run tells ---- */

static bool keep_values(struct world *world, unsigned trial, const struct configuration *configuration) {
    if (trial >= world->value_count) {
        unsigned count = trial + trial / 2 + 64;
        double **grown = memory_resize(world->account, world->values, count * sizeof *grown);
        if (grown == NULL)
            return false;
        world->values = grown;
        world->value_count = count;
    }
    if (world->values[trial] == NULL)
        world->values[trial] = memory_alloc(world->account, (configuration->count + 1) * sizeof(double));
    if (world->values[trial] == NULL)
        return false;
    memcpy(world->values[trial], configuration->values, configuration->count * sizeof(double));
    return true;
}

static bool keep_trial(struct world *world, const struct run_event *event) {
    struct simulated *out = world->out;
    if (out->trial_count == world->capacity) {
        unsigned capacity = world->capacity + world->capacity / 2 + 64;
        uint64_t *walls = memory_resize(world->account, out->trial_wall_ns, capacity * sizeof *walls);
        if (walls != NULL)
            out->trial_wall_ns = walls;
        uint64_t *told = memory_resize(world->account, out->told_at_ns, capacity * sizeof *told);
        if (told != NULL)
            out->told_at_ns = told;
        uint32_t *trials = memory_resize(world->account, out->trials, capacity * sizeof *trials);
        if (trials != NULL)
            out->trials = trials;
        if (walls == NULL || told == NULL || trials == NULL)
            return false;
        world->capacity = capacity;
    }
    out->trials[out->trial_count] = event->trial;
    out->trial_wall_ns[out->trial_count] = event->wall_ns;
    out->told_at_ns[out->trial_count++] = event->progress->elapsed_ns;
    out->failed += event->state == TRIAL_FAILED;
    out->commit_mean_ns += ((double)event->commit_ns - out->commit_mean_ns) / out->trial_count;
    return true;
}

static void observe(void *context, const struct run_event *event) {
    struct world *world = context;
    bool kept = true;
    if (event->kind == RUN_EVENT_ASKED)
        kept = keep_values(world, event->trial, event->configuration);
    else if (event->kind == RUN_EVENT_TRIAL || event->kind == RUN_EVENT_BEST)
        kept = keep_trial(world, event);
    if (!kept) {
        world->out_of_memory = true;
        env_sim_signal(world->env, ENV_SIGNAL_STOP);
    }
}

static uint64_t storing_ns(void *context, unsigned trial, unsigned stage) {
    struct world *world = context;
    uint64_t ns = sample_of(world, trial, stage, 1, UINT64_MAX).storing_ns;
    return ns > 0 ? ns : 1;
}

/* ---- from set-up to figures ---- */

static enum troupe_error match_names(struct world *world, struct fault *fault) {
    const struct model *model = world->simulation->model;
    for (unsigned s = 0; s < world->pipeline.stage_count; s++) {
        const char *name = world->pipeline.stages[s].name;
        world->stage_in_model[s] = -1;
        for (unsigned i = 0; i < model->stage_count; i++)
            if (strcmp(model->stages[i].name, name) == 0)
                world->stage_in_model[s] = (int)i;
        if (world->stage_in_model[s] < 0)
            return fault_set(fault, TROUPE_INVALID, "whatif",
                             "stage '%s' is not in the recorded run: nothing is known of its time", name);
    }
    for (unsigned a = 0; a < world->pipeline.agent_count; a++) {
        const char *name = world->pipeline.agents[a].name;
        world->agent_in_model[a] = 0; /* a new agent starts like the first */
        for (unsigned i = 0; i < model->agent_count; i++)
            if (strcmp(model->agents[i].name, name) == 0)
                world->agent_in_model[a] = (int)i;
    }
    if (model->variables != space_count(world->pipeline.space))
        return fault_set(
            fault, TROUPE_INVALID, "whatif",
            "the space has other variables than the recorded run's: its times do not tell of them");
    return TROUPE_OK;
}

static double field(const struct node *map, const char *name) {
    const struct node *node = node_get(map, name);
    return node_kind(node) == DOCUMENT_REAL || node_kind(node) == DOCUMENT_INT ? node_real(node) : 0;
}

static void read_shares(struct world *world, const struct node *shares) {
    struct simulated *out = world->out;
    struct {
        const char *name;
        uint64_t *to;
    } parts[] = {{"wait for agent", &out->agent_wait_ns},
                 {"coordination", &out->coordination_ns},
                 {"reuse wait", &out->reuse_wait_ns},
                 {"store", &out->store_ns},
                 {"transfer", &out->transfer_ns}};
    for (size_t i = 0; i < node_count(shares); i++) {
        const struct node *share = node_at(shares, i);
        const char *name = node_string(node_get(share, "name"));
        bool stage = strcmp(node_string(node_get(share, "kind")), "stage") == 0;
        uint64_t ns = (uint64_t)(field(share, "ms") * 1e6);
        for (size_t k = 0; !stage && k < ARRAY_COUNT(parts); k++)
            if (strcmp(name, parts[k].name) == 0)
                *parts[k].to = ns;
        for (unsigned s = 0; stage && s < world->pipeline.stage_count; s++)
            if (strcmp(name, world->pipeline.stages[s].name) == 0)
                out->stage_ns[s] = ns;
    }
}

static enum troupe_error read_response(struct world *world, const struct run_outcome *outcome,
                                       struct fault *fault) {
    struct document *document = NULL;
    struct simulated *out = world->out;
    enum troupe_error error = document_parse_json(buffer_string(&outcome->response), outcome->response.length,
                                                  "the simulated run", NULL, &document, fault);
    if (error != TROUPE_OK)
        return error;
    const struct node *time = node_get(document_root(document), "time"), *agents = node_get(time, "agents");
    out->state = outcome->state;
    out->wall_ns = (uint64_t)(field(time, "wall_ms") * 1e6);
    out->told = out->trial_count;
    double total = field(agents, "total_ms"), cores = env_cores(world->env);
    out->executing = total > 0 ? field(agents, "executing_ms") / total : 0;
    out->cores_busy = out->wall_ns > 0 ? field(agents, "cpu_ms") / (cores * (double)out->wall_ns / 1e6) : 0;
    double cpu = field(agents, "cpu_ms");
    out->core_wait = cpu > 0 ? field(agents, "core_wait_ms") / cpu : 0;
    read_shares(world, node_get(time, "shares"));
    document_free(document);
    return TROUPE_OK;
}

/* A long search is sampled more coarsely than in earnest: what it costs would be most of the simulation, and its
 * configurations past the record are guesses anyhow. A run of usual length asks exactly what it would. */
#define TRIALS_EXACT_MAX 512u
#define KERNELS_COARSE 64u

static void use_models(struct world *world) {
    static const char *const argv[] = {"model", NULL};
    for (unsigned a = 0; a < world->pipeline.agent_count; a++) {
        struct pipeline_agent *agent = &world->pipeline.agents[a];
        agent->kind = PIPELINE_AGENT_COMMAND;
        agent->argv = argv;
        agent->metrics = NULL;
        agent->isolate = true;
        agent->environment = NULL;
    }
    world->pipeline.data_json = "{}";
    if (world->pipeline.trials > TRIALS_EXACT_MAX || world->pipeline.trials == 0)
        world->pipeline.study.kernels_max = KERNELS_COARSE;
}

static bool script(void *context, unsigned trial, struct configuration *ret_configuration) {
    const struct world *world = context;
    const struct model *model = world->simulation->model;
    if (trial >= model->trial_count || model->trials[trial].values == NULL)
        return false;
    ret_configuration->count = model->variables;
    memcpy(ret_configuration->values, model->trials[trial].values, model->variables * sizeof(double));
    return true;
}

static enum troupe_error live(struct world *world, struct fault *fault) {
    const struct simulation *simulation = world->simulation;
    struct run_disk_model disk = {
        .commit_ns = simulation->model->commit_ns, .storing_ns = storing_ns, .context = world};
    struct run_options options = {.runs_directory = "/runs",
                                  .run_id = RUN_ID,
                                  .disk_model = &disk,
                                  .workers = 1,
                                  .observer = {.fn = observe, .context = world}};
    struct run_outcome outcome = {0};
    if (simulation->under_way != NULL && world->pipeline.study.deterministic == 0)
        options.script = (struct run_script){script, world};
    enum troupe_error error =
        run_execute(world->env, world->account, &world->pipeline, &options, &outcome, fault);
    if (error == TROUPE_NO_OBJECTIVE || error == TROUPE_DEADLINE)
        error = TROUPE_OK; /* an answer too: no trial comes to its end */
    if (error == TROUPE_OK && world->out_of_memory)
        error = fault_set(fault, TROUPE_NOMEM, "whatif", "out of memory simulating the run");
    if (error == TROUPE_OK)
        error = read_response(world, &outcome, fault);
    run_outcome_free(&outcome);
    return error;
}

static unsigned cores_of(const struct simulation *simulation) {
    double cores = simulation->model->cores;
    for (unsigned i = 0; i < simulation->assumption_count; i++)
        if (simulation->assumptions[i].kind == ASSUME_CORES)
            cores = simulation->assumptions[i].factor;
    return (unsigned)(cores + 0.5);
}

enum troupe_error simulate_run(const struct simulation *simulation, struct account *account,
                               struct simulated *ret, struct fault *fault) {
    struct world *world = memory_alloc(account, sizeof *world);
    struct simulated out = {.account = account};
    if (world == NULL)
        return fault_set(fault, TROUPE_NOMEM, "whatif", "out of memory simulating the run");
    world->simulation = simulation;
    world->account = account;
    world->pipeline = *simulation->pipeline;
    world->out = &out;
    use_models(world);
    struct env_sim_options options = {.seed = simulation->seed, .workers = 1, .cores = cores_of(simulation)};
    enum troupe_error error = match_names(world, fault);
    if (error == TROUPE_OK && simulation->under_way != NULL &&
        resampling_create(simulation, account, &world->resampling) != TROUPE_OK)
        error = fault_set(fault, TROUPE_NOMEM, "whatif", "out of memory simulating the run");
    if (error == TROUPE_OK && env_sim_create(account, &options, &world->env) != TROUPE_OK)
        error = fault_set(fault, TROUPE_NOMEM, "whatif", "out of memory simulating the run");
    if (error == TROUPE_OK) {
        env_sim_set_child_model(world->env, &(struct env_child_model){.context = world,
                                                                      .spawn = worker_spawn,
                                                                      .input = worker_input,
                                                                      .release = worker_release});
        error = live(world, fault);
        out.events = env_sim_events(world->env);
        out.signature = env_sim_signature(world->env);
        env_destroy(world->env);
    }
    for (unsigned i = 0; i < world->value_count; i++)
        memory_free(account, world->values[i]);
    memory_free(account, world->values);
    resampling_free(world->resampling);
    memory_free(account, world);
    if (error == TROUPE_OK)
        *ret = out;
    else
        simulated_free(&out);
    return error;
}

void simulated_free(struct simulated *simulated) {
    if (simulated->account == NULL)
        return;
    memory_free(simulated->account, simulated->trial_wall_ns);
    memory_free(simulated->account, simulated->told_at_ns);
    memory_free(simulated->account, simulated->trials);
    *simulated = (struct simulated){0};
}
