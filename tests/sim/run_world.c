/* See run_world.h. */
#include "run_world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000u
#define ARTIFACT_WORDS 300
#define STAGE_TRAIN 1 /* its place in the definition */
#define RUN_DIRECTORY RUN_WORLD_RUNS "/" RUN_WORLD_ID

static const char definition[] =
    "{\"name\":\"sim\",\"space\":{\"x\":{\"float\":[0,2],\"default\":0.5},\"k\":{\"int\":[1,4],\"default\":2}"
    "},"
    "\"agents\":{\"worker\":{\"command\":[\"worker\"],\"instances\":2,\"capabilities\":[\"prepare\","
    "\"train\"]}},"
    "\"stages\":{\"prepare\":{\"uses\":[\"k\"],\"timeout\":\"2s\"},\"train\":{\"needs\":[\"prepare\"],"
    "\"timeout\":\"2s\","
    "\"retries\":5}},"
    "\"objective\":{\"stage\":\"train\",\"metric\":\"score\",\"goal\":\"maximise\"},"
    "\"budget\":{\"trials\":24,\"failures_max\":24},"
    "\"optimizer\":{\"sampler\":\"tpe\",\"seed\":3,\"startup\":6,\"deterministic\":3}}";

void run_violation(struct run_world *world, const char *format, ...) {
    if (world->violation[0] != '\0')
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(world->violation, sizeof world->violation, format, args);
    va_end(args);
}

/* ---- the workers ---- */
struct worker_state {
    struct run_world *world;
    struct env_child *child;
    struct buffer line;
};

static void *worker_spawn(void *context, struct env_child *child, const struct env_child_spec *spec) {
    struct run_world *world = context;
    (void)spec;
    struct worker_state *state = memory_alloc(&world->account, sizeof *state);
    if (state == NULL)
        return NULL;
    state->world = world;
    state->child = child;
    buffer_init(&state->line, &world->account, 1 << 20);
    return state;
}

static void worker_release(void *context) {
    struct worker_state *state = context;
    buffer_free(&state->line);
    memory_free(&state->world->account, state);
}

/* Then old artifacts are collected. */
static bool artifacts_bounded(const struct run_world *world) {
    return world->seed % 2 == 1;
}

static double score(double x, double k) {
    return sin(3 * x) + k / 100;
}

/* What it was made of (k, or the hash of a model), then a stream seeded by that, over several sectors. */
static void artifact_fill(uint64_t words[ARTIFACT_WORDS], uint64_t made_of) {
    struct random_stream stream;
    random_seed(&stream, made_of, 5);
    words[0] = made_of;
    for (unsigned i = 1; i < ARTIFACT_WORDS; i++)
        words[i] = random_u64(&stream);
}

static uint64_t model_of(double x, int k) {
    return hash_bytes(&x, sizeof x, (uint64_t)k);
}

/* Not synced; a worker that cannot write says so, as a real one would. */
static bool write_artifact(struct run_world *world, const char *directory, uint64_t made_of) {
    char path[1400];
    uint64_t words[ARTIFACT_WORDS];
    struct env_file *file = NULL;
    snprintf(path, sizeof path, "%s/rows", directory);
    artifact_fill(words, made_of);
    if (env_file_open(world->env, path, ENV_FILE_WRITE | ENV_FILE_CREATE | ENV_FILE_TRUNCATE, &file, NULL) !=
        TROUPE_OK)
        return false;
    bool written = env_file_write(file, 0, words, sizeof words) == TROUPE_OK;
    env_file_close(file);
    return written;
}

enum artifact {
    ARTIFACT_UNREADABLE /* the disk is to blame */,
    ARTIFACT_ABSENT,
    ARTIFACT_TORN,
    ARTIFACT_WHOLE
};
static const char *const artifact_words[] = {"unreadable", "absent", "torn", "whole"};

static enum artifact artifact_look(struct env *env, const char *path, uint64_t *ret_k) {
    uint64_t words[ARTIFACT_WORDS + 1], whole[ARTIFACT_WORDS];
    struct env_info info = {0};
    struct env_file *file = NULL;
    size_t length = 0;
    if (env_info(env, path, &info) != TROUPE_OK)
        return ARTIFACT_UNREADABLE;
    if (!info.exists)
        return ARTIFACT_ABSENT;
    if (env_file_open(env, path, ENV_FILE_READ, &file, NULL) != TROUPE_OK)
        return ARTIFACT_UNREADABLE;
    bool read = env_file_read(file, 0, words, sizeof words, &length) == TROUPE_OK;
    env_file_close(file);
    if (!read)
        return ARTIFACT_UNREADABLE;
    artifact_fill(whole, words[0]);
    if (length != sizeof whole || memcmp(whole, words, sizeof whole) != 0)
        return ARTIFACT_TORN;
    *ret_k = words[0];
    return ARTIFACT_WHOLE;
}

static bool read_artifact(struct run_world *world, const char *path, int k) {
    uint64_t of = 0;
    enum artifact found = artifact_look(world->env, path, &of);
    if (found != ARTIFACT_UNREADABLE && (found != ARTIFACT_WHOLE || of != (uint64_t)k))
        run_violation(world, "the artifact %s is not what prepare wrote (k %d)", path, k);
    return found != ARTIFACT_UNREADABLE;
}

static void do_task(struct worker_state *state, const struct node *task) {
    struct run_world *world = state->world;
    const struct node *variables = node_get(task, "variables"), *inputs = node_get(task, "inputs");
    const char *stage = node_string(node_get(task, "capability")),
               *directory = node_string(node_get(task, "artifact_dir"));
    int k = (int)node_int(node_get(variables, "k")), attempt = (int)node_int(node_get(task, "attempt"));
    char line[600];
    if (random_unit(&world->random) < world->crash) {
        env_sim_child_exit(state->child, random_below(&world->random, 20 * MS), 1);
        return;
    }
    if (random_unit(&world->random) < world->hang)
        return;
    const char *id = node_string(node_get(task, "id"));
    char answer[200] = "\"artifact\":\"rows\"";
    bool done;
    if (strcmp(stage, "prepare") == 0) {
        done = write_artifact(world, directory, (uint64_t)k);
    } else {
        double x = node_real(node_get(variables, "x"));
        done = read_artifact(world, node_string(node_get(node_get(inputs, "prepare"), "path")), k) &&
               write_artifact(world, directory, model_of(x, k));
        snprintf(answer, sizeof answer, "\"artifact\":\"rows\",\"metrics\":{\"score\":%.17g}", score(x, k));
    }
    snprintf(line, sizeof line, "{\"type\":\"%s\",\"id\":\"%s\",\"attempt\":%d,%s}\n",
             done ? "result" : "error", id, attempt,
             done ? answer : "\"message\":\"disk\",\"retryable\":true");
    env_sim_child_emit(state->child, random_below(&world->random, 30 * MS),
                       random_below(&world->random, 20 * MS), line, strlen(line));
}

/* The model is not under test: its own parsing goes on when allocations are failed, by dying like a worker that
 * is out of memory. */
static void do_line(struct worker_state *state, const char *line, size_t length) {
    struct document *document = NULL;
    if (document_parse_json(line, length, "task", NULL, &document, NULL) != TROUPE_OK) {
        env_sim_child_exit(state->child, 0, 1);
        return;
    }
    const struct node *root = document_root(document);
    const char *type = node_string(node_get(root, "type"));
    if (strcmp(type, "start") == 0) {
        static const char hello[] =
            "{\"type\":\"hello\",\"protocol\":1,\"capabilities\":[\"prepare\",\"train\"]}\n";
        env_sim_child_emit(state->child, random_below(&state->world->random, 10 * MS), MS, hello,
                           strlen(hello));
    } else if (strcmp(type, "task") == 0) {
        do_task(state, root);
    }
    document_free(document);
}

static void worker_input(void *context, struct env_child *child, const char *bytes, size_t length) {
    struct worker_state *state = context;
    buffer_append(&state->line, bytes, length);
    if (buffer_ok(&state->line) != TROUPE_OK) {
        env_sim_child_exit(child, 0, 1);
        return;
    }
    for (const char *end; (end = memchr(buffer_string(&state->line), '\n', state->line.length)) != NULL;) {
        size_t line_length = (size_t)(end - state->line.bytes);
        do_line(state, state->line.bytes, line_length);
        buffer_consume(&state->line, line_length + 1);
    }
}

/* ---- what the run says ---- */
static void observe(void *context, const struct run_event *event) {
    struct run_world *world = context;
    if (event->kind != RUN_EVENT_TRIAL && event->kind != RUN_EVENT_BEST)
        return;
    if (event->trial >= RUN_WORLD_TRIALS) {
        run_violation(world, "trial %u was told, of %u", event->trial, RUN_WORLD_TRIALS);
        return;
    }
    if (world->seen[event->trial].times++ > 0)
        run_violation(world, "trial %u was told twice", event->trial);
    world->seen[event->trial].objective = event->objective;
    world->seen[event->trial].state = event->state;
    world->acknowledged++;
}

void run_world_begin(struct run_world *world, uint64_t seed) {
    memset(world, 0, sizeof *world);
    world->seed = seed;
    world->account = ACCOUNT("run world");
    random_seed(&world->random, seed, 9);
    if (env_disk_create(&world->account, &world->disk) != TROUPE_OK)
        abort();
}

static void interrupt_run(void *env) {
    env_sim_signal(env, ENV_SIGNAL_STOP);
}

void run_world_live(struct run_world *world, const struct run_life *life, struct run_life_end *ret_end) {
    struct env_sim_options options = {.seed = life->seed,
                                      .disk = world->disk,
                                      .time_max_ns = 3600ull * 1000 * MS,
                                      .events_max = 5000000,
                                      .faults = {.power_cut_after_events = life->power_cut_after_events,
                                                 .disk_write_fails = life->write_fails,
                                                 .disk_sync_fails = life->sync_fails}};
    *ret_end = (struct run_life_end){.state = RUN_RUNNING};
    world->lives++;
    ret_end->error = env_sim_create(&world->account, &options, &world->env);
    if (ret_end->error != TROUPE_OK) {
        fault_set(&ret_end->fault, ret_end->error, "env", "no simulation");
        return;
    }
    struct env_child_model model = {
        .context = world, .spawn = worker_spawn, .input = worker_input, .release = worker_release};
    env_sim_set_child_model(world->env, &model);
    for (unsigned i = 0; i < ARRAY_COUNT(life->interrupt_ns); i++)
        if (life->interrupt_ns[i] != 0)
            env_sim_at(world->env, env_now(world->env) + life->interrupt_ns[i], interrupt_run, world->env);
    struct pipeline *pipeline = NULL;
    struct run_outcome outcome = {0};
    struct run_options run_options = {.runs_directory = RUN_WORLD_RUNS,
                                      .run_id = RUN_WORLD_ID,
                                      .resume = life->resume,
                                      .trace = world->seed % 4 == 0,
                                      .record = world->seed % 4 == 2,
                                      /* room for two files, while four different ones are made */
                                      .artifacts_bytes_max =
                                          artifacts_bounded(world) ? ARTIFACT_WORDS * 8 * 5 / 2 : 0,
                                      .observer = {.fn = observe, .context = world}};
    ret_end->error = life->resume
                         ? run_load_pipeline(world->env, &world->account, RUN_WORLD_RUNS, RUN_WORLD_ID, NULL,
                                             0, &pipeline, &ret_end->fault)
                         : pipeline_parse(world->env, &world->account, definition, strlen(definition),
                                          "sim.json", "/sim", NULL, 0, &pipeline, &ret_end->fault);
    if (ret_end->error == TROUPE_OK)
        ret_end->error = pipeline_resolve(world->env, pipeline, NULL, &ret_end->fault);
    if (ret_end->error == TROUPE_OK) {
        ret_end->error =
            run_execute(world->env, &world->account, pipeline, &run_options, &outcome, &ret_end->fault);
        ret_end->state = outcome.state;
        run_outcome_free(&outcome);
    }
    pipeline_free(pipeline);
    ret_end->power_lost =
        life->power_cut_after_events != 0 && env_sim_events(world->env) >= life->power_cut_after_events;
    world->events += env_sim_events(world->env);
    world->virtual_ns += env_now(world->env);
    uint64_t signature = env_sim_signature(world->env);
    world->signature = hash_bytes(&signature, sizeof signature, world->signature);
    env_destroy(world->env);
    world->env = NULL;
}

/* ---- what is there afterwards ---- */
struct found {
    struct run_world *world;
    struct env *env;
    unsigned asked[RUN_WORLD_TRIALS], told[RUN_WORLD_TRIALS];
    enum trial_state state[RUN_WORLD_TRIALS];
    bool trained[RUN_WORLD_TRIALS]; /* a row says that train ended well */
    double objective[RUN_WORLD_TRIALS];
};

/* Its configuration must be that of before. */
static void on_asked(struct run_world *world, unsigned trial, const char *text) {
    if (world->asked[trial] == NULL)
        world->asked[trial] = memory_text(&world->account, text);
    else if (strcmp(world->asked[trial], text) != 0)
        run_violation(world, "trial %u is %s, and was %s", trial, text, world->asked[trial]);
}

static void on_stage(struct found *found, const struct store_row *row, const char *text) {
    static const char key[] = "\"artifact\":\"";
    const char *at = strstr(text, key);
    char path[128];
    uint64_t k = 0;
    if (at == NULL)
        return;
    snprintf(path, sizeof path, RUN_DIRECTORY "/artifacts/%.32s", at + sizeof key - 1);
    enum artifact there = artifact_look(found->env, path, &k);
    if (there != ARTIFACT_WHOLE && !(there == ARTIFACT_ABSENT && artifacts_bounded(found->world)))
        run_violation(found->world, "trial %u, stage %u: %s is not whole", row->trial, row->stage, path);
}

static bool on_row(void *context, const struct store_row *row, const char *name, const char *text) {
    struct found *found = context;
    (void)name;
    if (row->trial >= RUN_WORLD_TRIALS) {
        run_violation(found->world, "a row of trial %u", row->trial);
    } else if (row->kind == STORE_TRIAL_ASKED) {
        found->asked[row->trial]++;
        on_asked(found->world, row->trial, text);
    } else if (row->kind == STORE_STAGE_ENDED) {
        found->trained[row->trial] |= row->stage == STAGE_TRAIN && row->a == TASK_OK;
        on_stage(found, row, text);
    } else {
        found->told[row->trial]++;
        found->state[row->trial] = (enum trial_state)row->a;
        found->objective[row->trial] = row->real;
    }
    return true;
}

static void values_of(const char *configuration, double *ret_x, int *ret_k) {
    const char *x = strstr(configuration, "\"x\":"), *k = strstr(configuration, "\"k\":");
    *ret_x = x == NULL ? NAN : strtod(x + 4, NULL);
    *ret_k = k == NULL ? 0 : atoi(k + 4);
}

static double objective_of(const char *configuration) {
    double x;
    int k;
    values_of(configuration, &x, &k);
    return score(x, k);
}

/* By itself or by another trial of the same configuration. */
static bool trained(const struct run_world *world, const struct found *found, unsigned trial) {
    for (unsigned i = 0; i < RUN_WORLD_TRIALS; i++)
        if (found->trained[i] && strcmp(world->asked[i], world->asked[trial]) == 0)
            return true;
    return false;
}

static void compare(struct run_world *world, const struct found *found, bool complete) {
    for (unsigned i = 0; i < RUN_WORLD_TRIALS; i++) {
        if (found->asked[i] > 1 || found->told[i] > 1)
            run_violation(world, "trial %u stands twice", i);
        if (found->told[i] > found->asked[i])
            run_violation(world, "trial %u was told and never asked", i);
        if (world->seen[i].times > 0 && found->told[i] == 0)
            run_violation(world, "trial %u was acknowledged and is lost", i);
        if (world->seen[i].times > 0 && found->state[i] != world->seen[i].state)
            run_violation(world, "trial %u was acknowledged as %s and is %s", i,
                          trial_state_name(world->seen[i].state), trial_state_name(found->state[i]));
        if (world->seen[i].times > 0 && world->seen[i].state == TRIAL_OK &&
            found->objective[i] != world->seen[i].objective)
            run_violation(world, "trial %u was acknowledged with %g and is %g", i, world->seen[i].objective,
                          found->objective[i]);
        if (found->told[i] == 1 && found->state[i] == TRIAL_OK && world->asked[i] != NULL &&
            found->objective[i] != objective_of(world->asked[i]))
            run_violation(world, "trial %u is told with %.17g; %s gives %.17g", i, found->objective[i],
                          world->asked[i], objective_of(world->asked[i]));
        if (found->told[i] == 1 && found->state[i] == TRIAL_OK && !trained(world, found, i))
            run_violation(world, "trial %u is told with a result, and no row has it", i);
        if (complete && found->told[i] != 1)
            run_violation(world, "trial %u is missing at the end", i);
    }
}

static void check_best(struct run_world *world, const struct found *found) {
    unsigned best = RUN_WORLD_TRIALS;
    for (unsigned i = 0; i < RUN_WORLD_TRIALS; i++)
        if (found->state[i] == TRIAL_OK &&
            (best == RUN_WORLD_TRIALS || found->objective[i] > found->objective[best]))
            best = i;
    if (best == RUN_WORLD_TRIALS)
        return;
    struct buffer text;
    double x = 0;
    int k = 0;
    uint64_t prepared = 0, trained_of = 0;
    values_of(world->asked[best], &x, &k);
    buffer_init(&text, &world->account, 1 << 16);
    if (env_read_file(found->env, RUN_DIRECTORY "/best/configuration.json", &text, NULL) != TROUPE_OK ||
        strncmp(buffer_string(&text), world->asked[best], strlen(world->asked[best])) != 0)
        run_violation(world, "best/ holds %s; the best trial is %u: %s", buffer_string(&text), best,
                      world->asked[best]);
    buffer_free(&text);
    enum artifact rows = artifact_look(found->env, RUN_DIRECTORY "/best/prepare.artifact", &prepared),
                  model = artifact_look(found->env, RUN_DIRECTORY "/best/train.artifact", &trained_of);
    if (rows != ARTIFACT_WHOLE || model != ARTIFACT_WHOLE || prepared != (uint64_t)k ||
        trained_of != model_of(x, k))
        run_violation(world,
                      "best/ has not the artifacts of trial %u: rows are %s of %llu, model is %s of %llu",
                      best, artifact_words[rows], (unsigned long long)prepared, artifact_words[model],
                      (unsigned long long)trained_of);
}

static struct env *quiet_env(struct run_world *world) {
    struct env_sim_options options = {.seed = 1, .workers = 1, .disk = world->disk};
    struct env *env = NULL;
    if (env_sim_create(&world->account, &options, &env) != TROUPE_OK)
        abort();
    return env;
}

bool run_world_exists(struct run_world *world) {
    struct env *env = quiet_env(world);
    struct document *document = NULL;
    struct fault fault = {0};
    int64_t created;
    enum troupe_error error =
        run_read_definition(env, &world->account, RUN_DIRECTORY, &document, &created, &fault);
    if (error != TROUPE_OK && error != TROUPE_NOT_FOUND)
        run_violation(world, "neither a run nor none: %.100s: %.300s", fault.where, fault.text);
    document_free(document);
    env_destroy(env);
    return error == TROUPE_OK;
}

void run_world_check(struct run_world *world, bool complete) {
    struct env *env = quiet_env(world);
    struct store_reader *reader = NULL;
    struct fault fault = {0};
    struct found found = {.world = world, .env = env};
    enum troupe_error error = store_reader_open(env, &world->account, RUN_DIRECTORY, &reader, &fault);
    if (error == TROUPE_OK)
        error = store_check(reader, &fault);
    if (error == TROUPE_OK)
        error = store_read(reader, STORE_TRIAL_ASKED, on_row, &found, &fault);
    if (error == TROUPE_OK)
        error = store_read(reader, STORE_TRIAL_TOLD, on_row, &found, &fault);
    if (error == TROUPE_OK)
        error = store_read(reader, STORE_STAGE_ENDED, on_row, &found, &fault);
    if (error != TROUPE_OK)
        run_violation(world, "the store cannot be read: %.100s: %.300s", fault.where, fault.text);
    else
        compare(world, &found, complete);
    if (error == TROUPE_OK && complete && world->violation[0] == '\0')
        check_best(world, &found);
    store_reader_close(reader);
    env_destroy(env);
}

void run_world_end(struct run_world *world) {
    for (unsigned i = 0; i < RUN_WORLD_TRIALS; i++)
        memory_free(&world->account, world->asked[i]);
    env_disk_free(world->disk);
    world->disk = NULL;
    if (world->account.bytes != 0 || world->account.blocks != 0)
        run_violation(world, "%lld bytes in %lld blocks were not given back", (long long)world->account.bytes,
                      (long long)world->account.blocks);
}
