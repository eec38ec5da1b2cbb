/* sim_child: a child process in virtual time: what its model does, its pipes, and the faults of either.
 *
 *   input:  written --> unread input --SIM_CHILD_INPUT--> the model reads (a hung child never does)
 *   work:   emit/exit --> actions, one at a time: blocked, a share of the cores, then bytes into the pipe, or
 *           the end. A full pipe stops the work.
 *   output: pipe --SIM_CHILD_OUTPUT, on worker 0--> output(), in pieces drawn from the seed; when the process
 *           has ended and its pipe is empty: exited(). While paused both wait.
 *
 * Invariants: exited() comes after the last output(), once; no callback after release; release of the model
 * comes when the process ends. Faults: a spawn that fails; per input a hang (for half of them only SIGKILL
 * helps); per output a crash (some of its bytes may get out), a lost line, a delay.
 *
 * Threads: one (worker 0's calls). Memory: one block a child, one an action; the latter becomes the pipe's.
 */
#include <signal.h>
#include <string.h>

#include "env/sim_internal.h"

struct sim_action {
    struct sim_action *next;
    uint64_t blocked_ns, cpu_ns;
    bool exit;
    int status;
    size_t length, sent; /* in the pipe: sent of length is read */
    char bytes[];
};
struct sim_actions {
    struct sim_action *first, **last;
};

struct sim_child {
    struct env_child child;
    struct sim_env *sim;
    struct sim_child *next, **link; /* in sim_env.children */
    uint64_t number;
    struct env_child_events events;
    void *state; /* the model's, while the process lives */

    struct buffer input; /* written and not read */
    size_t input_max;
    bool input_closed, input_end_read;
    struct sim_event input_event;

    struct sim_actions actions, pipe;
    size_t pipe_bytes;
    enum sim_phase phase; /* of the first action */
    struct sim_event action_event;
    struct sim_compute compute;
    uint64_t computing_since_ns;   /* in SIM_PHASE_COMPUTE */
    uint64_t cpu_ns, core_wait_ns; /* of actions that are over */

    struct sim_event output_event;
    bool paused, hung, ignores_term, ended, told, released, calling;
    int status, signal;
};

static struct sim_child *child_of(const struct env_child *child) {
    return (struct sim_child *)child;
}

static void actions_add(struct sim_actions *actions, struct sim_action *action) {
    action->next = NULL;
    *actions->last = action;
    actions->last = &action->next;
}

static struct sim_action *actions_pop(struct sim_actions *actions) {
    struct sim_action *action = actions->first;
    actions->first = action->next;
    if (!actions->first)
        actions->last = &actions->first;
    return action;
}

static void actions_drop(struct sim_child *child, struct sim_actions *actions) {
    while (actions->first)
        memory_free(child->sim->env.account, actions_pop(actions));
}

static void child_free(struct sim_child *child) {
    struct sim_env *sim = child->sim;
    sim_cancel(sim, &child->input_event);
    sim_cancel(sim, &child->action_event);
    sim_cancel(sim, &child->output_event);
    sim_compute_stop(sim, &child->compute);
    *child->link = child->next;
    if (child->next)
        child->next->link = child->link;
    actions_drop(child, &child->actions);
    actions_drop(child, &child->pipe);
    buffer_free(&child->input);
    memory_free(sim->env.account, child);
}

static void output_plan(struct sim_child *child) {
    if (!child->paused && !child->told && !child->released && !child->output_event.queued &&
        !child->output_event.waiting && (child->pipe.first || child->ended))
        sim_schedule(child->sim, &child->output_event, child->sim->now);
}

/* Time in the share of the cores so far, less what was served. */
static uint64_t computing_wait(struct sim_child *child) {
    uint64_t passed = child->sim->now - child->computing_since_ns,
             used = sim_compute_used(child->sim, &child->compute);
    return passed > used ? passed - used : 0;
}

/* The first action is over or will never be. */
static void action_leave(struct sim_child *child) {
    if (child->phase == SIM_PHASE_COMPUTE) {
        child->core_wait_ns += computing_wait(child);
        child->cpu_ns += sim_compute_used(child->sim, &child->compute);
        sim_compute_stop(child->sim, &child->compute);
    }
    sim_cancel(child->sim, &child->action_event);
    child->phase = SIM_PHASE_START;
}

/* ---- the end ---- */

static void child_end(struct sim_child *child, int status, int signal) {
    struct sim_env *sim = child->sim;
    if (child->ended)
        return;
    child->ended = true;
    child->status = status;
    child->signal = signal;
    action_leave(child);
    sim_cancel(sim, &child->input_event);
    actions_drop(child, &child->actions);
    buffer_free(&child->input);
    void *state = child->state;
    child->state = NULL;
    if (sim->model.release)
        sim->model.release(state);
    output_plan(child);
}

/* ---- work ---- */

static void action_next(struct sim_child *child) {
    if (child->phase != SIM_PHASE_START || child->ended || child->hung || !child->actions.first ||
        child->pipe_bytes >= SIM_PIPE_BYTES)
        return;
    struct sim_env *sim = child->sim;
    uint64_t delay_ns = child->actions.first->blocked_ns;
    if (sim->options.faults.child_delay_ns_max && sim_chance(sim, sim->options.faults.child_delay))
        delay_ns += random_below(&sim->faults, sim->options.faults.child_delay_ns_max);
    child->phase = SIM_PHASE_BLOCKED;
    sim_schedule_in(sim, &child->action_event, delay_ns);
}

static void action_finish(struct sim_child *child) {
    struct sim_env *sim = child->sim;
    struct sim_action *action = actions_pop(&child->actions);
    action_leave(child);
    bool crash = !action->exit && sim_chance(sim, sim->options.faults.child_crash);
    if (crash) /* what a killed process had in its buffers is lost, wholly or in part */
        action->length = random_below(&sim->faults, action->length + 1);
    else if (!action->exit && sim_chance(sim, sim->options.faults.child_line_lost))
        action->length = 0;
    bool exit = action->exit;
    int status = action->status;
    if (action->length) {
        child->pipe_bytes += action->length;
        actions_add(&child->pipe, action);
        output_plan(child);
    } else {
        memory_free(sim->env.account, action);
    }
    if (crash)
        child_end(child, 0, SIGSEGV);
    else if (exit)
        child_end(child, status, 0);
    else
        action_next(child);
}

static void action_event(struct sim_env *sim, struct sim_event *event) {
    struct sim_child *child = event->owner;
    if (child->phase == SIM_PHASE_BLOCKED) {
        child->phase = SIM_PHASE_COMPUTE;
        child->computing_since_ns = sim->now;
        sim_compute_start(sim, &child->compute, child->actions.first->cpu_ns, event);
    } else {
        action_finish(child);
    }
}

static void action_add(struct sim_child *child, const struct sim_action *action, const char *bytes) {
    struct sim_action *made = sim_take(child->sim, sizeof *made + action->length);
    *made = *action;
    if (bytes != NULL)
        memcpy(made->bytes, bytes, action->length);
    actions_add(&child->actions, made);
    action_next(child);
}

void env_sim_child_emit(struct env_child *base, uint64_t blocked_ns, uint64_t cpu_ns, const char *bytes,
                        size_t length) {
    struct sim_child *child = child_of(base);
    if (!child->ended)
        action_add(child, &(struct sim_action){.blocked_ns = blocked_ns, .cpu_ns = cpu_ns, .length = length},
                   bytes);
}

void env_sim_child_exit(struct env_child *base, uint64_t blocked_ns, int status) {
    struct sim_child *child = child_of(base);
    if (!child->ended)
        action_add(child, &(struct sim_action){.blocked_ns = blocked_ns, .exit = true, .status = status},
                   NULL);
}

void env_sim_child_abort(struct env_child *base) {
    struct sim_child *child = child_of(base);
    sim_cancel(child->sim, &child->action_event);
    sim_compute_stop(child->sim, &child->compute);
    if (child->phase == SIM_PHASE_COMPUTE)
        child->cpu_ns += child->compute.served_ns;
    child->phase = SIM_PHASE_START;
    actions_drop(child, &child->actions);
}

unsigned env_sim_child_pending(const struct env_child *base) {
    unsigned count = 0;
    for (const struct sim_action *action = child_of(base)->actions.first; action; action = action->next)
        count++;
    return count;
}

/* ---- input ---- */

static void input_plan(struct sim_child *child) {
    if (!child->hung && !child->ended && !child->input_event.queued &&
        (child->input.length || (child->input_closed && !child->input_end_read)))
        sim_schedule(child->sim, &child->input_event, child->sim->now);
}

static void input_event(struct sim_env *sim, struct sim_event *event) {
    struct sim_child *child = event->owner;
    if (child->input.length == 0) {
        child->input_end_read = true;
        if (sim->model.input_closed)
            sim->model.input_closed(child->state, &child->child);
        else
            env_sim_child_exit(&child->child, 0, 0);
        return;
    }
    if (sim_chance(sim, sim->options.faults.child_hang)) {
        child->hung = true;
        child->ignores_term = random_below(&sim->faults, 2) == 0;
        action_leave(child);
        return;
    }
    size_t length = child->input.length;
    if (random_below(&sim->faults, 8) == 0) /* a read may end anywhere */
        length = 1 + random_below(&sim->faults, length);
    if (sim->model.input)
        sim->model.input(child->state, &child->child, child->input.bytes, length);
    if (length == child->input.length)
        buffer_free(&child->input);
    else
        buffer_consume(&child->input, length);
    input_plan(child);
}

enum troupe_error sim_child_write(struct env_child *base, const char *bytes, size_t length) {
    struct sim_child *child = child_of(base);
    if (child->input_closed || child->ended)
        return TROUPE_DEAD;
    if (length > child->input_max || child->input.length > child->input_max - length)
        return TROUPE_FULL;
    buffer_append(&child->input, bytes, length);
    if (buffer_ok(&child->input) != TROUPE_OK) { /* as on the OS: a line may be half written, so no more */
        buffer_free(&child->input);
        child->input_closed = true;
        input_plan(child);
        return TROUPE_NOMEM;
    }
    input_plan(child);
    return TROUPE_OK;
}

void sim_child_close_input(struct env_child *base) {
    struct sim_child *child = child_of(base);
    child->input_closed = true;
    input_plan(child);
}

/* ---- output ---- */

/* Hands over a piece of the pipe. The callback may pause, kill or release the child. */
static void output_piece(struct sim_child *child) {
    struct sim_env *sim = child->sim;
    struct sim_action *piece = child->pipe.first;
    size_t length = piece->length - piece->sent;
    if (random_below(&sim->faults, 4) == 0)
        length = 1 + random_below(&sim->faults, length);
    const char *bytes = piece->bytes + piece->sent;
    piece->sent += length;
    child->pipe_bytes -= length;
    if (piece->sent == piece->length)
        actions_pop(&child->pipe);
    child->events.output(child->events.context, ENV_STREAM_OUT, bytes, length);
    if (piece->sent == piece->length)
        memory_free(sim->env.account, piece);
}

static void output_event(struct sim_env *sim, struct sim_event *event) {
    (void)sim;
    struct sim_child *child = event->owner;
    child->calling = true;
    if (child->pipe.first) {
        output_piece(child);
    } else {
        CHECK(child->ended);
        child->told = true;
        struct env_usage usage = {.cpu_ns = child->cpu_ns, .rss_bytes_max = SIM_CHILD_RSS_BYTES};
        child->events.exited(child->events.context, child->status, child->signal, &usage);
    }
    child->calling = false;
    if (child->released) {
        child_free(child);
        return;
    }
    action_next(child);
    output_plan(child);
}

void sim_child_pause(struct env_child *base, bool paused) {
    struct sim_child *child = child_of(base);
    child->paused = paused;
    if (paused)
        sim_cancel(child->sim, &child->output_event);
    else
        output_plan(child);
}

/* ---- birth, signals, death ---- */

static struct sim_child *child_new(struct sim_env *sim, const struct env_child_spec *spec) {
    struct sim_child *child = memory_alloc(sim->env.account, sizeof *child);
    if (!child)
        return NULL;
    child->child.env = &sim->env;
    child->sim = sim;
    child->number = ++sim->children_made;
    child->events = spec->events;
    child->input_max = spec->input_bytes_max ? spec->input_bytes_max : ENV_INPUT_DEFAULT;
    buffer_init(&child->input, sim->env.account, 0);
    child->actions.last = &child->actions.first;
    child->pipe.last = &child->pipe.first;
    sim_event_init(&child->input_event, SIM_CHILD_INPUT, child->number, input_event, child);
    sim_event_init(&child->action_event, SIM_CHILD_ACTION, child->number, action_event, child);
    sim_event_init(&child->output_event, SIM_CHILD_OUTPUT, child->number, output_event, child);
    child->output_event.io = true;
    child->next = sim->children;
    child->link = &sim->children;
    if (child->next)
        child->next->link = &child->next;
    sim->children = child;
    return child;
}

enum troupe_error sim_child_spawn(struct env *env, const struct env_child_spec *spec,
                                  struct env_child **ret_child, struct fault *fault) {
    struct sim_env *sim = (struct sim_env *)env;
    if (!sim->model.spawn)
        return fault_set(fault, TROUPE_NOT_FOUND, spec->argv[0], "no such program: no child is modelled");
    if (sim_chance(sim, sim->options.faults.child_spawn_fails))
        return fault_set(fault, TROUPE_IO, spec->argv[0], "cannot start the program: simulated fault");
    struct sim_child *child = child_new(sim, spec);
    if (!child)
        return fault_set(fault, TROUPE_NOMEM, spec->argv[0], "out of memory starting the program");
    sim_mix(sim, SIM_SPAWN, child->number, sim->now);
    child->state = sim->model.spawn(sim->model.context, &child->child, spec);
    if (!child->state) {
        child_free(child);
        return fault_set(fault, TROUPE_IO, spec->argv[0], "cannot start the program: the model refuses");
    }
    *ret_child = &child->child;
    return TROUPE_OK;
}

void sim_child_kill(struct env_child *base, int signal) {
    struct sim_child *child = child_of(base);
    switch (signal) {
    case 0: /* the question whether it is there */
    case SIGCHLD:
    case SIGCONT:
    case SIGSTOP:
    case SIGURG:
    case SIGWINCH:
        return;
    case SIGKILL:
        break;
    default:
        if (child->ignores_term)
            return;
    }
    child_end(child, 0, signal);
}

uint64_t sim_child_cpu(struct env_child *base) {
    struct sim_child *child = child_of(base);
    uint64_t used = child->cpu_ns;
    if (child->phase == SIM_PHASE_COMPUTE)
        used += sim_compute_used(child->sim, &child->compute);
    return used;
}

uint64_t sim_child_core_wait(struct env_child *base) {
    struct sim_child *child = child_of(base);
    return child->core_wait_ns + (child->phase == SIM_PHASE_COMPUTE ? computing_wait(child) : 0);
}

int64_t sim_child_pid(const struct env_child *base) {
    return SIM_PID + (int64_t)child_of(base)->number;
}

void sim_child_release(struct env_child *base) {
    struct sim_child *child = child_of(base);
    CHECK(!child->released);
    child->released = true;
    child_end(child, 0, SIGKILL);
    if (!child->calling)
        child_free(child);
}

void env_sim_set_faults(struct env *env, const struct env_faults *faults) {
    CHECK(env_is_sim(env));
    ((struct sim_env *)env)->options.faults = *faults;
}

void env_sim_set_child_model(struct env *env, const struct env_child_model *model) {
    CHECK(env_is_sim(env));
    ((struct sim_env *)env)->model = *model;
}
