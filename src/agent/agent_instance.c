/* agent_instance: the actor of one instance: what each message does, and what every turn ends with (settle):
 * what is due is done, tasks go to the worker, the log is written, the one timer is set to the next thing
 * due.
 *
 * Between turns env's callbacks (agent_child.c) change the same state on the same thread; when they leave
 * something that needs a turn (a timer, a job, an end) they wake the actor with a message it keeps for that
 * purpose. */
#include "agent/agent_instance.h"

#include <stdio.h>
#include <string.h>

uint64_t instance_after(uint64_t now_ns, uint64_t duration_ns) {
    return duration_ns > INSTANCE_NEVER - now_ns ? INSTANCE_NEVER : now_ns + duration_ns;
}

unsigned instance_thread(const struct instance *instance) {
    return instance->turn ? instance->turn->worker : 0; /* callbacks run on worker 0 */
}

void instance_wake(struct instance *instance) {
    if (instance->wake)
        IGNORE(actor_send(instance->runtime, instance->turn, instance->self, &instance->wake),
               "a system message is refused only when the actor is gone");
}

void instance_event(struct instance *instance, enum agent_event event, const struct task *task,
                    const char *format, ...) {
    if (!instance->spec->coordinator)
        return;
    struct message *message =
        message_new(instance->runtime, MESSAGE_AGENT_EVENT, sizeof(struct message_agent_event));
    if (!message) {
        COUNT(instance, events_dropped, 1);
        return;
    }
    struct message_agent_event *payload = MESSAGE_PAYLOAD(message, struct message_agent_event);
    payload->event = event;
    payload->agent = instance->self;
    payload->instance = instance->number;
    payload->busy_ns = COUNTED(instance, busy_ns);
    uint64_t there = env_now(instance->env) - COUNTED(instance, started_ns);
    payload->idle_ns = there > payload->busy_ns ? there - payload->busy_ns : 0;
    if (event == AGENT_UP) { /* now: usage_begin has just read them */
        payload->spawned_ns = instance->spawned_ns;
        payload->ready_ns = instance->usage_seen_at_ns;
        payload->cpu_ns = instance->cpu_meter.seen_ns;
    }
    if (task)
        payload->task = task->id;
    snprintf(payload->agent_name, sizeof payload->agent_name, "%s", instance->spec->name);
    va_list args;
    va_start(args, format);
    vsnprintf(payload->text, sizeof payload->text, format, args);
    va_end(args);
    if (actor_send(instance->runtime, instance->turn, instance->spec->coordinator, &message) != TROUPE_OK) {
        message_free(&message);
        COUNT(instance, events_dropped, 1);
    }
}

void instance_health(struct instance *instance, enum health health) {
    if (instance->registry)
        IGNORE(registry_set_health(instance->registry, "agents", instance->name, 0, health),
               "the row goes when the actor does, and offers are answered honestly until then");
}

/* The timer fires at the next thing due. An earlier one is left alone: it finds nothing to do and arms the
 * next, which is cheaper than moving it with every task. */
static void timer_arm(struct instance *instance, struct turn *turn) {
    uint64_t due = child_next_due(instance);
    uint64_t deadline = queue_next_deadline(instance);
    due = deadline < due ? deadline : due;
    if (due == INSTANCE_NEVER || due >= instance->timer_ns)
        return;
    if (instance->timer_ns != INSTANCE_NEVER)
        timer_cancel(turn, instance->timer);
    instance->timer_ns = INSTANCE_NEVER;
    if (timer_start(turn, due, INSTANCE_TOKEN_TIMER, &instance->timer) == TROUPE_OK)
        instance->timer_ns = due;
    else
        instance_wake(instance); /* no memory: look again in the next turn */
}

static void instance_end(struct instance *instance, struct turn *turn) {
    GAUGE(instance, ended_ns, turn->now_ns);
    instance->ended = true;
    actor_exit(turn, TROUPE_OK);
}

static void settle(struct instance *instance, struct turn *turn) {
    if (instance->state == INSTANCE_STOPPED) { /* its child ended in this very turn, or EXIT came before */
        if (!instance->ended)
            instance_end(instance, turn);
        return;
    }
    queue_expire(instance, turn->now_ns);
    if (instance->has_child) {
        child_due(instance, turn->now_ns);
        child_pump(instance, turn->now_ns);
    } else
        native_agent_pump(instance, turn);
    if (instance->state == INSTANCE_GAVE_UP)
        queue_end_waiting(instance, TROUPE_WORKER, !instance->permanent, instance->gave_up_text,
                          turn->now_ns);
    if (instance->draining && instance->held_count == 0)
        child_stop(instance, turn->now_ns);
    if (!instance->answer)
        instance->answer =
            message_new(turn->runtime, MESSAGE_OFFER_ANSWER, sizeof(struct message_offer_answer));
    if (instance->log)
        worker_log_flush(instance->log, turn, INSTANCE_TOKEN_LOG);
    if (instance->state == INSTANCE_STOPPED)
        instance_end(instance, turn);
    else
        timer_arm(instance, turn);
}

/* EXIT: the actor ends now. Its tasks are told first: whoever asked for this is not always who offered them.
 */
static void exit_now(struct instance *instance, struct turn *turn, const struct message_exit *exit) {
    char text[160];
    snprintf(text, sizeof text, "agent %s was stopped", instance->name);
    queue_end_waiting(instance, TROUPE_WORKER, true, text, turn->now_ns);
    while (instance->worker_first)
        held_fail(instance, instance->worker_first, TROUPE_WORKER, true, turn->now_ns, "%s", text);
    worker_link_close(&instance->link);
    GAUGE(instance, pid, 0);
    instance->state = INSTANCE_STOPPED; /* from anywhere: this is no step of the child's life */
    GAUGE(instance, ended_ns, turn->now_ns);
    instance->ended = true;
    actor_exit(turn, exit->reason);
}

static void timer_fired(struct instance *instance, const struct message_timer *timer) {
    if (timer->timer == instance->timer)
        instance->timer_ns = INSTANCE_NEVER;
}

static void job_done(struct instance *instance, struct turn *turn, const struct message_job *job) {
    if (job->token == INSTANCE_TOKEN_LOG)
        worker_log_flushed(instance->log);
    else
        native_agent_done(instance, turn, job->arg);
}

void instance_handle(struct turn *turn, void *state, const struct message *message) {
    struct instance *instance = state;
    instance->turn = turn;
    instance->self = turn->self;
    switch (message->kind) {
    case MESSAGE_OFFER:
        queue_offer(instance, turn, turn->message);
        break;
    case MESSAGE_REVOKE:
        queue_revoke(instance, turn, turn->message);
        break;
    case MESSAGE_TASK_CANCEL:
        queue_cancel(instance, MESSAGE_PAYLOAD(message, const struct message_task_cancel), turn->now_ns);
        break;
    case MESSAGE_TIMER:
        timer_fired(instance, MESSAGE_PAYLOAD(message, const struct message_timer));
        break;
    case MESSAGE_AGENT_WAKE:
        instance->wake = turn_take(turn);
        break;
    case MESSAGE_CHILD_EXITED:
        instance->exit_notice = turn_take(turn);
        child_exited(instance, turn->now_ns);
        break;
    case MESSAGE_JOB_DONE:
        job_done(instance, turn, MESSAGE_PAYLOAD(message, const struct message_job));
        break;
    case MESSAGE_AGENT_DRAIN:
        if (!instance->draining)
            instance_health(instance, HEALTH_DRAINING);
        instance->draining = true;
        break;
    case MESSAGE_EXIT:
        exit_now(instance, turn, MESSAGE_PAYLOAD(message, const struct message_exit));
        break;
    default:
        break;
    }
    settle(instance, turn);
    instance->turn = NULL;
}

/* On worker 0 when the actor is pinned, as env_child_release wants it. */
void instance_destroy(void *state) {
    struct instance *instance = state;
    struct account *account = instance->account;
    instance->turn = NULL;
    if (instance->counters && !instance->ended)
        GAUGE(instance, ended_ns, env_now(instance->env));
    worker_link_free(&instance->link);
    native_agent_close(instance);
    queue_destroy(instance);
    worker_log_release(instance->log);
    if (instance->wake)
        message_free(&instance->wake);
    if (instance->exit_notice)
        message_free(&instance->exit_notice);
    if (instance->answer)
        message_free(&instance->answer);
    buffer_free(&instance->out);
    buffer_free(&instance->scratch);
    memory_free(account, instance->deaths);
    for (const char **text = instance->environment; text && *text; text++)
        memory_free(account, (void *)(uintptr_t)*text);
    memory_free(account, instance->environment);
    memory_free(account, instance->argv);
    memory_free(account, instance);
}
