/* What a child does with its lines: answers most tasks right, and by the seed's probabilities crashes, hangs,
 * prints garbage, answers twice, answers another attempt first, fails, or ignores stop.
 *
 * Troupe writes its lines without blanks (doc/worker-protocol.md), so that finding "key": is enough here. A
 * task with counted resources ends at a time of its own (env_sim_at), so that what is in use is known
 * exactly; the others take CPU of the simulated cores. State lives until both the child and its last pending
 * end are gone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_world.h"

struct child_state {
    struct sim_world *world;
    struct env_child *child; /* NULL: gone */
    struct random_stream random;
    struct buffer line;
    unsigned pending; /* ends to come, of the world's list */
    struct resources in_use;
};
struct sim_pending {
    struct child_state *state;
    struct sim_pending *next;   /* the world's list, newest first */
    struct resources resources; /* nothing any more once it was cancelled */
    bool cancelled, twice;
    char id[300];
    char line[512];
};

static bool chance(struct random_stream *random, double probability) {
    return random_unit(random) < probability;
}

static void release_state(struct child_state *state) {
    if (state->child || state->pending)
        return;
    buffer_free(&state->line);
    memory_free(&state->world->account, state);
}

static void give(struct child_state *state, const struct resources *amount) {
    for (unsigned i = 0; i < RESOURCES_MAX; i++)
        state->in_use.amount[i] -= amount->amount[i];
    sim_unuse(state->world, amount);
}

static void take(struct child_state *state, const struct resources *amount) {
    for (unsigned i = 0; i < RESOURCES_MAX; i++)
        state->in_use.amount[i] += amount->amount[i];
    sim_use(state->world, amount);
}

static void *child_spawn(void *context, struct env_child *child, const struct env_child_spec *spec) {
    struct sim_world *world = context;
    (void)spec;
    struct child_state *state = memory_alloc(&world->account, sizeof *state);
    if (!state)
        return NULL;
    state->world = world;
    state->child = child;
    random_seed(&state->random, world->seed, 1000 + random_below(&world->random, 1u << 30));
    buffer_init(&state->line, &world->account, 1 << 20);
    return state;
}

static void child_release(void *context) {
    struct child_state *state = context;
    struct resources left = state->in_use; /* whatever it was doing, it does no more */
    give(state, &left);
    state->child = NULL;
    release_state(state);
}

/* ---- reading ---- */
static const char *field(const char *line, const char *key, char *ret, size_t size) {
    char pattern[64];
    snprintf(pattern, sizeof pattern, "\"%s\":", key);
    const char *at = strstr(line, pattern);
    ret[0] = '\0';
    if (!at)
        return NULL;
    at += strlen(pattern);
    size_t length = 0;
    bool quoted = *at == '"';
    for (at += quoted; *at && (quoted ? *at != '"' : *at != ',' && *at != '}') && length + 1 < size; at++)
        ret[length++] = *at;
    ret[length] = '\0';
    return at;
}

/* ---- answering ---- */
static void emit(struct child_state *state, uint64_t blocked_ns, uint64_t cpu_ns, const char *line) {
    if (state->child)
        env_sim_child_emit(state->child, blocked_ns, cpu_ns, line, strlen(line));
}

static void end_forget(struct sim_pending *end) {
    struct child_state *state = end->state;
    struct sim_world *world = state->world;
    struct sim_pending **link = &world->pending;
    while (*link != end)
        link = &(*link)->next;
    *link = end->next;
    memory_free(&world->account, end);
    state->pending--;
    release_state(state);
}

void sim_children_forget(struct sim_world *world) {
    while (world->pending)
        end_forget(world->pending);
}

static void end_later(void *arg) {
    struct sim_pending *end = arg;
    struct child_state *state = end->state;
    if (state->child && !end->cancelled) {
        give(state, &end->resources);
        emit(state, 0, 0, end->line);
        if (end->twice)
            emit(state, random_below(&state->random, 40 * MS), 0, end->line);
    }
    end_forget(end);
}

static void answer(struct child_state *state, const char *id, const char *line,
                   const struct resources *resources) {
    uint64_t blocked_ns = random_below(&state->random, 20 * MS),
             cpu_ns = random_below(&state->random, 10 * MS);
    bool counted = resources->amount[0] > 0 || resources->amount[1] > 0;
    bool twice = chance(&state->random, state->world->twice);
    if (!counted) {
        emit(state, blocked_ns, cpu_ns, line);
        if (twice)
            emit(state, random_below(&state->random, 40 * MS), 0, line);
        return;
    }
    struct sim_pending *end = memory_alloc(&state->world->account, sizeof *end);
    if (!end)
        abort();
    end->state = state;
    end->resources = *resources;
    end->twice = twice;
    snprintf(end->id, sizeof end->id, "%s", id);
    snprintf(end->line, sizeof end->line, "%s", line);
    end->next = state->world->pending;
    state->world->pending = end;
    state->pending++;
    take(state, resources);
    env_sim_at(state->world->env, env_now(state->world->env) + blocked_ns + cpu_ns, end_later, end);
}

/* A worker that says that it stopped has stopped. */
static void stop_task(struct child_state *state, const char *id) {
    for (struct sim_pending *end = state->world->pending; end; end = end->next)
        if (end->state == state && !end->cancelled && strcmp(end->id, id) == 0) {
            end->cancelled = true;
            give(state, &end->resources);
        }
}

static void do_task(struct child_state *state, const char *line) {
    struct sim_world *world = state->world;
    char id[300], attempt_text[16], body[64], out[512];
    field(line, "id", id, sizeof id);
    field(line, "attempt", attempt_text, sizeof attempt_text);
    field(line, "owner", body, sizeof body);
    unsigned run = 0, trial = 0, attempt = (unsigned)strtoul(attempt_text, NULL, 10);
    sscanf(body, "%u/%u", &run, &trial);
    struct sim_attempt *known = sim_find(world, run, trial, attempt);
    world->child_tasks++;
    if (!known) {
        sim_violation(world, "a child got a task nobody submitted: %s attempt %u", body, attempt);
        return;
    }
    if (known->at_child && !known->idempotent)
        sim_violation(world, "task %s attempt %u was given to a child twice", body, attempt);
    known->at_child = true;
    if (known->cancelled_ns && env_now(world->env) > known->cancelled_ns + SIM_SLACK_NS)
        sim_violation(world, "task %s attempt %u came to a child although it had been cancelled", body,
                      attempt);
    if (chance(&state->random, world->crash)) {
        env_sim_child_exit(state->child, random_below(&state->random, 20 * MS), 1);
        return;
    }
    if (chance(&state->random, world->hang))
        return;
    if (chance(&state->random, world->garbage)) {
        emit(state, random_below(&state->random, 5 * MS), 0, "Traceback (most recent call last):\n");
        return;
    }
    if (chance(&state->random, world->other_attempt)) {
        snprintf(out, sizeof out,
                 "{\"type\":\"result\",\"id\":\"%s\",\"attempt\":%u,\"value\":\"%u/%u/%u\"}\n", id,
                 attempt + 1, run, trial, attempt + 1);
        emit(state, 0, 0, out);
    }
    if (chance(&state->random, world->fails))
        snprintf(out, sizeof out,
                 "{\"type\":\"error\",\"id\":\"%s\",\"attempt\":%u,\"message\":\"no\",\"retryable\":true}\n",
                 id, attempt);
    else
        snprintf(out, sizeof out,
                 "{\"type\":\"result\",\"id\":\"%s\",\"attempt\":%u,\"value\":\"%u/%u/%u\"}\n", id, attempt,
                 run, trial, attempt);
    answer(state, id, out, &known->resources);
}

static void do_line(struct child_state *state, const char *line) {
    char type[32], id[300], attempt[16], out[512];
    field(line, "type", type, sizeof type);
    if (strcmp(type, "start") == 0) {
        emit(state, random_below(&state->random, 20 * MS), 0,
             "{\"type\":\"hello\",\"protocol\":1,\"capabilities\":[\"a\",\"b\",\"c\"]}\n");
    } else if (strcmp(type, "task") == 0) {
        do_task(state, line);
    } else if (strcmp(type, "tasks") == 0) {
        for (const char *at = strstr(line, "{\"id\":"); at; at = strstr(at + 1, "{\"id\":"))
            do_task(state, at);
    } else if (strcmp(type, "cancel") == 0 && chance(&state->random, 0.5)) {
        field(line, "id", id, sizeof id);
        if (!field(line, "attempt", attempt, sizeof attempt))
            snprintf(attempt, sizeof attempt, "%s", strrchr(id, '/') ? strrchr(id, '/') + 1 : "1");
        snprintf(out, sizeof out,
                 "{\"type\":\"error\",\"id\":\"%s\",\"attempt\":%s,\"message\":\"cancelled\",\"retryable\":"
                 "false}\n",
                 id, attempt);
        stop_task(state, id);
        emit(state, MS, 0, out);
    }
}

static void child_input(void *context, struct env_child *child, const char *bytes, size_t length) {
    struct child_state *state = context;
    (void)child;
    buffer_append(&state->line, bytes, length);
    for (const char *end; (end = memchr(buffer_string(&state->line), '\n', state->line.length));) {
        size_t line_length = (size_t)(end - state->line.bytes);
        state->line.bytes[line_length] = '\0';
        do_line(state, state->line.bytes);
        buffer_consume(&state->line, line_length + 1);
    }
}

static void child_input_closed(void *context, struct env_child *child) {
    struct child_state *state = context;
    if (!chance(&state->random, state->world->silent_stop))
        env_sim_child_exit(child, random_below(&state->random, 5 * MS), 0);
}

void sim_children_install(struct sim_world *world) {
    struct env_child_model model = {.context = world,
                                    .spawn = child_spawn,
                                    .input = child_input,
                                    .input_closed = child_input_closed,
                                    .release = child_release};
    env_sim_set_child_model(world->env, &model);
}
