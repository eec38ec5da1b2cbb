/* agent_child: the life of an instance's child process.
 *
 *                      hello              task written
 *   start --> STARTING ------> READY <------------------> BUSY <-----------> CANCELLING
 *     ^          |               |      all answered        |   cancel, limit    |
 *     |          | late, wrong   | broken line              | broken line        | stop_grace over
 *     | pause    +---------------+----> KILLED <------------+--------------------+
 *     |          | it ended      | it ended |               | it ended           | it ended
 *   RESTARTING <-+---------------+----------+---------------+--------------------+
 *     |                          |
 *     | budget spent, permanent  | drained: stop, end of input, SIGTERM, SIGKILL
 *     v                          v
 *   GAVE_UP --drained--> STOPPED <--it ended-- STOPPING
 *
 * Each arrow is a row of `allowed` below. Tasks that were with a child end when it is known to have ended, so
 * what they held (a GPU) is free then. A death by its own hand counts against the restart budget; one by ours
 * (a limit passed, a cancel unanswered) does not, for it is the task's doing and bounded by its own limit. */
#include "agent/agent_instance.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define TERM_AFTER_NS UINT64_C(1000000000)
#define CLOSED_GRACE_NS UINT64_C(1000000000)
#define KILL_AFTER_NS UINT64_C(5000000000)
#define BACKOFF_NS_MAX UINT64_C(5000000000)
#define EXIT_NO_PROGRAM 127 /* of worker-exec, and of every shell */
#define EXIT_NOT_RUNNABLE 126

#define TO(state) (1u << INSTANCE_##state)
static const unsigned allowed[INSTANCE_STATE_COUNT] = {
    [INSTANCE_STARTING] = TO(READY) | TO(KILLED) | TO(RESTARTING) | TO(GAVE_UP) | TO(STOPPING),
    [INSTANCE_READY] = TO(BUSY) | TO(KILLED) | TO(RESTARTING) | TO(GAVE_UP) | TO(STOPPING) | TO(STOPPED),
    [INSTANCE_BUSY] = TO(READY) | TO(CANCELLING) | TO(KILLED) | TO(RESTARTING) | TO(GAVE_UP),
    [INSTANCE_CANCELLING] = TO(READY) | TO(BUSY) | TO(KILLED) | TO(RESTARTING) | TO(GAVE_UP),
    [INSTANCE_KILLED] = TO(RESTARTING) | TO(GAVE_UP) | TO(STOPPED),
    [INSTANCE_RESTARTING] = TO(STARTING) | TO(GAVE_UP) | TO(STOPPED),
    [INSTANCE_GAVE_UP] = TO(STOPPED),
    [INSTANCE_STOPPING] = TO(STOPPED),
    [INSTANCE_STOPPED] = 0,
};

void instance_become(struct instance *instance, enum instance_state state) {
    if (instance->state == state)
        return;
    CHECK(allowed[instance->state] & 1u << state);
    instance->state = state;
}

/* READY, BUSY or CANCELLING, by what is with the worker. */
void instance_state_follow(struct instance *instance) {
    if (instance->state != INSTANCE_READY && instance->state != INSTANCE_BUSY &&
        instance->state != INSTANCE_CANCELLING)
        return;
    bool cancelling = false;
    for (const struct held *held = instance->worker_first; held; held = held->next)
        cancelling |= held->fate != FATE_ANSWER;
    if (cancelling && instance->state == INSTANCE_READY)
        instance_become(instance, INSTANCE_BUSY);
    instance_become(instance, cancelling               ? INSTANCE_CANCELLING
                              : instance->worker_first ? INSTANCE_BUSY
                                                       : INSTANCE_READY);
}

/* ---- start ---- */

static void gave_up(struct instance *instance, enum troupe_error error, const char *why, uint64_t now_ns) {
    instance_become(instance, INSTANCE_GAVE_UP);
    snprintf(instance->gave_up_text, sizeof instance->gave_up_text, "agent %s gave up: %.280s",
             instance->name, why);
    instance_health(instance, HEALTH_DOWN);
    instance_event(instance, AGENT_GAVE_UP, NULL, "%s", instance->gave_up_text);
    queue_end_waiting(instance, error, !instance->permanent, instance->gave_up_text, now_ns);
}

/* A death that counts. True: one more start is within the budget. */
static bool budget_take(struct instance *instance, uint64_t now_ns) {
    const struct agent_spec *spec = instance->spec;
    unsigned ring = spec->restarts_max + 1;
    instance->deaths[instance->death_count++ % ring] = now_ns;
    if (instance->death_count < ring)
        return true;
    uint64_t oldest = instance->deaths[instance->death_count % ring];
    return now_ns - oldest > spec->restart_window_ns;
}

static uint64_t backoff(struct instance *instance) {
    uint64_t pause = instance->spec->restart_backoff_ns;
    for (unsigned at = 0; at < instance->failures && pause < BACKOFF_NS_MAX; at++)
        pause *= 2;
    instance->failures++;
    return pause < BACKOFF_NS_MAX ? pause : BACKOFF_NS_MAX;
}

/* After a death that counts: the next start, or none. */
static void restart_or_give_up(struct instance *instance, enum troupe_error error, const char *why,
                               uint64_t now_ns) {
    if (instance->permanent) {
        gave_up(instance, error, why, now_ns);
        return;
    }
    if (!budget_take(instance, now_ns)) {
        char text[400], window[32];
        snprintf(text, sizeof text, "it died %u times within %s without an answer; the last time: %.280s",
                 instance->spec->restarts_max + 1,
                 text_format_duration(window, (int64_t)instance->spec->restart_window_ns), why);
        gave_up(instance, TROUPE_WORKER, text, now_ns);
        return;
    }
    uint64_t pause = backoff(instance);
    instance_become(instance, INSTANCE_RESTARTING);
    instance->restart_ns = PLANT(RESTART_FORGOTTEN) ? INSTANCE_NEVER : instance_after(now_ns, pause);
}

void child_start(struct instance *instance, uint64_t now_ns) {
    instance->restart_ns = INSTANCE_NEVER;
    instance->writes_refused = 0;
    instance->blame = TROUPE_OK;
    struct env_child_spec spec = {.argv = instance->argv,
                                  .environment = instance->environment,
                                  .directory = instance->spec->directory,
                                  /* All that may be with it, and the lines about them. */
                                  .input_bytes_max =
                                      instance->spec->worker_line_max * 2 + (size_t)4 * 1024 * 1024};
    struct fault fault = {0};
    instance->spawned_ns = env_now(instance->env);
    enum troupe_error error = worker_link_spawn(&instance->link, &spec, &fault);
    if (error == TROUPE_OK) {
        buffer_clear(&instance->out);
        worker_write_start(&instance->out, instance->spec, instance->number);
        error = buffer_ok(&instance->out);
        if (error == TROUPE_OK && instance->out.length > instance->spec->worker_line_max)
            error = TROUPE_LIMIT;
        if (error == TROUPE_OK)
            error = worker_link_write(&instance->link, instance->out.bytes, instance->out.length);
        if (error == TROUPE_DEAD)
            error = TROUPE_OK; /* it ended already: its end will be told */
    }
    if (error != TROUPE_OK) {
        char why[400];
        snprintf(why, sizeof why, "%.200s: %.160s",
                 fault.text[0] ? fault.text : "its worker could not be started", error_text(error));
        worker_link_close(&instance->link);
        instance->permanent = error == TROUPE_NOT_FOUND;
        COUNT(instance, deaths, 1);
        instance_become(instance, INSTANCE_RESTARTING);
        restart_or_give_up(instance, TROUPE_WORKER, why, now_ns);
        if (instance->state == INSTANCE_RESTARTING)
            instance_event(instance, AGENT_WORKER_DIED, NULL, "agent %s: %.200s", instance->name, why);
        return;
    }
    instance_become(instance, INSTANCE_STARTING);
    bool again = instance->had_child;
    instance->had_child = true;
    COUNT(instance, starts, 1);
    GAUGE(instance, pid, env_child_pid(instance->link.child));
    trace_emit(runtime_tracer(instance->runtime), instance_thread(instance), TRACE_CHILD_STARTED, 0,
               (uint64_t)COUNTED(instance, pid), instance->number);
    instance->start_limit_ns = instance_after(now_ns, instance->spec->start_timeout_ns);
    if (again)
        instance_event(instance, AGENT_RESTARTED, NULL, "agent %s: worker restarted", instance->name);
}

/* ---- kill ---- */

void child_kill(struct instance *instance, enum troupe_error blame, const char *text) {
    if (instance->state == INSTANCE_KILLED || !instance->link.child)
        return;
    instance->blame = blame;
    snprintf(instance->blame_text, sizeof instance->blame_text, "%s", text);
    worker_link_mute(&instance->link);
    worker_link_kill(&instance->link, SIGKILL);
    COUNT(instance, kills, 1);
    if (instance->state == INSTANCE_STOPPING)
        return;
    instance_become(instance, INSTANCE_KILLED);
    instance_event(instance, AGENT_WORKER_KILLED,
                   instance->worker_first ? instance->worker_first->task : NULL,
                   "agent %s: worker killed: %s", instance->name, text);
}

static void send_out(struct instance *instance) {
    if (buffer_ok(&instance->out) == TROUPE_OK &&
        worker_link_write(&instance->link, instance->out.bytes, instance->out.length) == TROUPE_OK) {
        COUNT(instance, lines_out, 1);
        COUNT(instance, bytes_out, instance->out.length);
    }
}

void child_cancel(struct instance *instance, struct held *held, enum held_fate fate, uint64_t grace_ns,
                  uint64_t now_ns) {
    if (held->fate == FATE_TIMEOUT && fate == FATE_CANCELLED)
        held->fate = FATE_CANCELLED; /* its owner does not want it any more, whatever comes */
    if (held->fate != FATE_ANSWER && instance_after(now_ns, grace_ns) >= held->kill_ns)
        return;
    if (held->fate == FATE_ANSWER)
        held->fate = fate;
    held->grace_ns = grace_ns;
    held->kill_ns = instance_after(now_ns, grace_ns);
    buffer_clear(&instance->out);
    worker_write_cancel(&instance->out, held->id, grace_ns);
    send_out(
        instance); /* when it cannot be written the worker is killed at the end of its grace all the same */
    instance_state_follow(instance);
}

/* ---- lines in ---- */

static void on_hello(struct instance *instance, const struct worker_line *line, uint64_t now_ns) {
    struct fault fault = {0};
    if (instance->state != INSTANCE_STARTING) {
        COUNT(instance, protocol_errors, 1);
        return;
    }
    enum troupe_error error =
        worker_line_hello(line, &instance->spec->capabilities, instance->spec->capability_names, &fault);
    if (error != TROUPE_OK) {
        COUNT(instance, protocol_errors, 1);
        instance->permanent = true; /* the same program would say the same again */
        child_kill(instance, error, fault.text);
        return;
    }
    instance->start_limit_ns = INSTANCE_NEVER;
    instance_become(instance, INSTANCE_READY);
    usage_begin(instance, now_ns);
    turn_record_input(instance->runtime, instance->self, AGENT_TOKEN_UP, now_ns);
    instance_event(instance, AGENT_UP, NULL, "agent %s is up", instance->name);
}

static void on_answer(struct instance *instance, const struct worker_line *line, uint64_t now_ns) {
    struct held *held = held_find(instance, line->id, line->attempt);
    if (!held) {
        COUNT(instance, stale_answers, 1);
        return;
    }
    instance->failures = instance->death_count = 0; /* it works: later deaths are of later tasks */
    struct task_result *result = NULL;
    if (held->fate == FATE_CANCELLED)
        held_fail(instance, held, TROUPE_CANCELLED, false, now_ns, "cancelled");
    else if (held->fate == FATE_TIMEOUT) {
        char limit[32];
        uint64_t timeout = held->limit_ns - held->task->started_ns;
        held_fail(instance, held, held_limit_error(held), !held->deadline_limits, now_ns,
                  "agent %s: passed its %s of %s; it stopped when told to", instance->name,
                  held->deadline_limits ? "deadline" : "timeout",
                  text_format_duration(limit, (int64_t)timeout));
    } else if (worker_line_result(line, held->task->account, &instance->scratch, &result) == TROUPE_OK) {
        if (result->error == TROUPE_DEADLINE) /* the worker was told one time for both limits */
            result->error = held_limit_error(held);
        held_end(instance, held, result, now_ns);
    } else
        held_fail(instance, held, TROUPE_NOMEM, true, now_ns, "out of memory for the answer of agent %s",
                  instance->name);
    instance_state_follow(instance);
}

static void on_progress(struct instance *instance, const struct worker_line *line) {
    struct held *held = held_find(instance, line->id, line->attempt);
    if (!held) {
        COUNT(instance, stale_answers, 1);
        return;
    }
    struct message *message =
        message_new(instance->runtime, MESSAGE_TASK_PROGRESS, sizeof(struct message_task_progress));
    if (message) {
        struct message_task_progress *progress = MESSAGE_PAYLOAD(message, struct message_task_progress);
        progress->id = held->task->id;
        worker_line_progress(line, progress);
        if (actor_send(instance->runtime, instance->turn, held->task->owner, &message) == TROUPE_OK)
            return;
        message_free(&message);
    }
    COUNT(instance, progress_dropped, 1);
}

static void log_text(struct instance *instance, const char *id, const char *text) {
    if (!instance->log)
        return;
    char line[1200];
    snprintf(line, sizeof line, "%.255s%s%.900s", id ? id : "", id ? ": " : "", text);
    COUNT(instance, log_bytes_dropped, worker_log_line(instance->log, line));
    instance_wake(instance);
}

static void on_line(void *context, const char *bytes, size_t length) {
    struct instance *instance = context;
    uint64_t now_ns = env_now(instance->env);
    instance->read_ns = now_ns;
    struct worker_line line;
    struct fault fault = {0};
    COUNT(instance, lines_in, 1);
    COUNT(instance, bytes_in, length + 1);
    enum troupe_error error = worker_line_read(bytes, length, &line, &fault);
    if (error != TROUPE_OK) {
        COUNT(instance, protocol_errors, 1);
        child_kill(instance, error, fault.text);
        return;
    }
    switch (line.type) {
    case WORKER_HELLO:
        on_hello(instance, &line, now_ns);
        break;
    case WORKER_RESULT:
    case WORKER_ERROR:
        if (line.id)
            on_answer(instance, &line, now_ns);
        else
            log_text(instance, NULL, worker_line_text(&line));
        break;
    case WORKER_PROGRESS:
        on_progress(instance, &line);
        break;
    case WORKER_LOG:
        log_text(instance, line.id, worker_line_text(&line));
        break;
    case WORKER_UNKNOWN: {
        char quoted[64], text[160];
        COUNT(instance, protocol_errors, 1);
        snprintf(text, sizeof text, "a message of unknown type '%s' was ignored",
                 worker_quote(line.type_text, strlen(line.type_text), quoted, sizeof quoted));
        log_text(instance, NULL, text);
        break;
    }
    }
    worker_line_free(&line);
}

/* All lines of a piece of output have been read: what they made room for goes out in one write. */
static void on_read(void *context) {
    struct instance *instance = context;
    /* The answer's own time: what it made room for begins as it ends, and a replay, where nothing takes time in between,
     * sees the same. */
    child_pump(instance, instance->read_ns != 0 ? instance->read_ns : env_now(instance->env));
    instance->read_ns = 0;
    if (child_next_due(instance) < instance->timer_ns || instance->draining)
        instance_wake(instance);
}

static void on_broken(void *context, enum troupe_error error, const char *bytes, size_t length, size_t seen) {
    struct instance *instance = context;
    char quoted[64], text[240];
    COUNT(instance, protocol_errors, 1);
    COUNT(instance, bytes_in, seen);
    if (error == TROUPE_LIMIT)
        snprintf(
            text, sizeof text,
            "a line of its output is longer than worker_line_max, %zu bytes: %zu bytes seen, beginning '%s'",
            instance->spec->worker_line_max, seen, worker_quote(bytes, length, quoted, sizeof quoted));
    else
        snprintf(text, sizeof text, "out of memory for a line of its output");
    child_kill(instance, error, text);
}

static void on_errors(void *context, const char *bytes, size_t length) {
    struct instance *instance = context;
    if (!instance->log)
        return;
    COUNT(instance, log_bytes_dropped, worker_log_stream(instance->log, bytes, length));
    instance_wake(instance);
}

/* A process that ends closes its output a moment before; one that lives on can never answer. */
static void on_closed(void *context) {
    struct instance *instance = context;
    if (instance->state == INSTANCE_STOPPING)
        return;
    instance->closed_limit_ns = instance_after(env_now(instance->env), CLOSED_GRACE_NS);
    instance_wake(instance);
}

static void on_ended(void *context) {
    struct instance *instance = context;
    CHECK(instance->exit_notice);
    IGNORE(actor_send(instance->runtime, NULL, instance->self, &instance->exit_notice),
           "a system message is refused only when the actor is gone, and then its child goes with it");
}

const struct worker_link_events child_events = {on_line, on_read, on_broken, on_errors, on_closed, on_ended};

/* ---- its end ---- */

/* Ends what was with the child. `how` says how it ended, for those that are not to blame. */
static void tasks_end(struct instance *instance, const char *how, uint64_t now_ns) {
    bool killed = instance->state == INSTANCE_KILLED;
    bool blamed = false;
    while (instance->worker_first) {
        struct held *held = instance->worker_first;
        char limit[32], text[512];
        enum troupe_error error = TROUPE_WORKER;
        bool retryable = true;
        if (held->fate == FATE_CANCELLED) {
            error = TROUPE_CANCELLED;
            retryable = false;
            snprintf(text, sizeof text, "cancelled; its worker did not answer and was killed");
        } else if (held->fate == FATE_TIMEOUT) {
            error = held_limit_error(held);
            retryable = !held->deadline_limits;
            snprintf(text, sizeof text, "agent %s: passed its %s of %s and was killed", instance->name,
                     held->deadline_limits ? "deadline" : "timeout",
                     text_format_duration(limit, (int64_t)(held->limit_ns - held->task->started_ns)));
        } else if (killed && instance->blame != TROUPE_OK && !blamed) {
            blamed = true;
            error = instance->blame;
            retryable = error_retryable(error);
            snprintf(text, sizeof text, "agent %s: worker killed: %.360s", instance->name,
                     instance->blame_text);
        } else
            snprintf(text, sizeof text, "agent %s: worker %s", instance->name,
                     killed ? "was killed for another task" : how);
        held_fail(instance, held, error, retryable, now_ns, "%s", text);
    }
}

/* What a person is told when a child ends before its hello; the program's absence is told by name. */
static bool never_ran(struct instance *instance, char *why, size_t size) {
    const struct worker_link *link = &instance->link;
    const struct agent_spec *spec = instance->spec;
    const char *program = spec->kind == AGENT_NATIVE ? spec->plugin : spec->argv[0];
    if (instance->start_limit_ns == INSTANCE_NEVER || link->signal != 0)
        return false;
    if (link->status == EXIT_NO_PROGRAM)
        snprintf(why, size, "program not found: %.200s", program);
    else if (link->status == EXIT_NOT_RUNNABLE)
        snprintf(why, size, "program cannot be run: %.200s%s%.160s", program, link->error_length ? ": " : "",
                 link->error_line);
    else
        return false;
    return true;
}

void child_exited(struct instance *instance, uint64_t now_ns) {
    char how[320], why[400];
    enum instance_state was = instance->state;
    bool ours = was == INSTANCE_KILLED && instance->blame == TROUPE_OK;
    enum troupe_error error =
        was == INSTANCE_KILLED && instance->blame != TROUPE_OK ? instance->blame : TROUPE_WORKER;
    worker_link_describe_end(&instance->link, how, sizeof how);
    if (was == INSTANCE_KILLED)
        snprintf(why, sizeof why, "%.390s", instance->blame_text);
    else if (never_ran(instance, why, sizeof why))
        instance->permanent = true;
    else
        snprintf(why, sizeof why, "worker %s%.360s",
                 instance->start_limit_ns != INSTANCE_NEVER ? "said no hello: " : "", how);
    tasks_end(instance, how, now_ns);
    trace_emit(runtime_tracer(instance->runtime), instance_thread(instance), TRACE_CHILD_ENDED, 0,
               (uint64_t)COUNTED(instance, pid), (uint32_t)instance->link.status);
    worker_link_close(&instance->link);
    GAUGE(instance, pid, 0);
    instance->start_limit_ns = instance->term_ns = instance->kill_ns = INSTANCE_NEVER;
    instance->closed_limit_ns = INSTANCE_NEVER;
    if (was == INSTANCE_STOPPING) {
        instance_become(instance, INSTANCE_STOPPED);
        return;
    }
    COUNT(instance, deaths, 1);
    if (was != INSTANCE_KILLED && !instance->permanent)
        instance_event(instance, AGENT_WORKER_DIED, NULL, "agent %s: %.200s", instance->name, why);
    instance_become(instance, INSTANCE_RESTARTING);
    if (ours) {
        instance->restart_ns = now_ns;
        return;
    }
    restart_or_give_up(instance, error, why, now_ns);
}

/* ---- stop ---- */

void child_stop(struct instance *instance, uint64_t now_ns) {
    if (!instance->link.child) {
        if (instance->state != INSTANCE_STOPPED)
            instance_become(instance, INSTANCE_STOPPED);
        return;
    }
    if (instance->state != INSTANCE_READY && instance->state != INSTANCE_STARTING)
        return; /* KILLED: its end comes; STOPPING: under way */
    buffer_clear(&instance->out);
    worker_write_stop(&instance->out);
    send_out(instance);
    worker_link_close_input(&instance->link);
    instance_become(instance, INSTANCE_STOPPING);
    instance->start_limit_ns = instance->closed_limit_ns = INSTANCE_NEVER;
    instance->term_ns = instance_after(now_ns, TERM_AFTER_NS);
    instance->kill_ns = instance_after(now_ns, KILL_AFTER_NS);
}

/* ---- due ---- */

uint64_t child_next_due(const struct instance *instance) {
    uint64_t due = instance->start_limit_ns;
    const uint64_t others[] = {instance->restart_ns, instance->term_ns, instance->kill_ns,
                               instance->closed_limit_ns, instance->pump_again_ns};
    for (size_t at = 0; at < ARRAY_COUNT(others); at++)
        due = others[at] < due ? others[at] : due;
    if (instance->state == INSTANCE_KILLED)
        return due;
    if (instance->running && instance->running->fate == FATE_ANSWER && instance->running->limit_ns < due)
        due = instance->running->limit_ns;
    for (const struct held *held = instance->worker_first; held; held = held->next) {
        uint64_t at = held->fate == FATE_ANSWER ? held->limit_ns : held->kill_ns;
        due = at < due ? at : due;
    }
    return due;
}

static void limits_due(struct instance *instance, uint64_t now_ns) {
    char text[200], limit[32], grace[32];
    for (struct held *held = instance->worker_first; held; held = held->next) {
        if (held->fate == FATE_ANSWER && held->limit_ns <= now_ns)
            child_cancel(instance, held, FATE_TIMEOUT, instance->spec->stop_grace_ns, now_ns);
        else if (held->fate != FATE_ANSWER && held->kill_ns <= now_ns) {
            text_format_duration(grace, (int64_t)held->grace_ns);
            if (held->fate == FATE_TIMEOUT)
                snprintf(
                    text, sizeof text, "trial %u, stage %.60s passed its %s of %s and did not stop within %s",
                    (unsigned)held->task->id.trial, held->task->stage_name ? held->task->stage_name : "",
                    held->deadline_limits ? "deadline" : "timeout",
                    text_format_duration(limit, (int64_t)(held->limit_ns - held->task->started_ns)), grace);
            else
                snprintf(text, sizeof text, "a cancelled task did not stop within %s", grace);
            child_kill(instance, TROUPE_OK, text);
            return;
        }
    }
}

void child_due(struct instance *instance, uint64_t now_ns) {
    if (instance->state != INSTANCE_KILLED)
        limits_due(instance, now_ns);
    if (instance->start_limit_ns <= now_ns && instance->state == INSTANCE_STARTING) {
        char text[120], limit[32];
        snprintf(text, sizeof text, "it did not say hello within %s",
                 text_format_duration(limit, (int64_t)instance->spec->start_timeout_ns));
        child_kill(instance, TROUPE_TIMEOUT, text);
    }
    if (instance->closed_limit_ns <= now_ns && instance->state != INSTANCE_STOPPING)
        child_kill(instance, TROUPE_WORKER,
                   "it closed its standard output, where answers are read, and lives on");
    if (instance->state == INSTANCE_KILLED)
        instance->start_limit_ns = instance->closed_limit_ns = INSTANCE_NEVER;
    if (instance->term_ns <= now_ns) {
        instance->term_ns = INSTANCE_NEVER;
        worker_link_kill(&instance->link, SIGTERM);
    }
    if (instance->kill_ns <= now_ns) {
        instance->kill_ns = INSTANCE_NEVER;
        COUNT(instance, kills, 1);
        worker_link_kill(&instance->link, SIGKILL);
    }
    if (instance->restart_ns <= now_ns && instance->state == INSTANCE_RESTARTING)
        child_start(instance, now_ns);
}
