/* agent_queue: what one instance has accepted: offers, the queue in order of priority and deadline, what is
 * with the worker, and the one end of each task.
 *
 *   free slot --accepted--> queue --written--> with the worker --answer, death, limit--> TASK_ENDED
 *      ^                      +---- cancelled, deadline passed, gave up -------------------^   |
 *      +---------------------------------------------------------------------------------------+
 *
 * - A slot has a task exactly while the task is accepted and not ended; its TASK_ENDED message was made
 * before it was accepted, so that ending never fails. held_count = queue + at_worker + running.
 * - Executions of one instance never overlap: with several tasks at the worker the oldest is the one that
 *   executes, and the next begins when its answer is read. So the busy time of an instance is a sum. */
#include "agent/agent_instance.h"

#include <stdio.h>
#include <string.h>

#define KEY_DEADLINE_BITS 56
#define CAPACITY_UNKNOWN_NS 10000000u /* what is answered when nothing is known: ask again in 10 ms */
#define USAGE_SAMPLE_NS 1000000u      /* the child's figures are read at most once in this time */

enum troupe_error queue_create(struct instance *instance) {
    const struct agent_spec *spec = instance->spec;
    unsigned count = 0;
    for (unsigned bit = 0; bit < CAPABILITIES_MAX; bit++)
        count += capability_set_has(&spec->capabilities, bit);
    heap_init(&instance->queue, instance->account);
    instance->slots = memory_alloc(instance->account, spec->queue_len_max * sizeof *instance->slots);
    instance->capabilities =
        memory_alloc(instance->account, (count ? count : 1) * sizeof *instance->capabilities);
    if (!instance->slots || !instance->capabilities)
        return TROUPE_NOMEM;
    for (unsigned bit = 0; bit < CAPABILITIES_MAX; bit++)
        if (capability_set_has(&spec->capabilities, bit))
            instance->capabilities[instance->capability_count++].bit = bit;
    for (unsigned at = spec->queue_len_max; at > 0; at--) {
        instance->slots[at - 1].next = instance->unused;
        instance->unused = &instance->slots[at - 1];
    }
    return TROUPE_OK;
}

void queue_destroy(struct instance *instance) {
    for (unsigned at = 0; instance->slots && at < instance->spec->queue_len_max; at++) {
        struct held *held = &instance->slots[at];
        if (held->task && held != instance->running) /* a running job frees its own */
            task_free(held->task);
        if (held->ended)
            message_free(&held->ended);
        task_result_free(held->spare);
    }
    heap_free(&instance->queue);
    memory_free(instance->account, instance->slots);
    memory_free(instance->account, instance->capabilities);
    instance->slots = NULL;
    instance->capabilities = NULL;
}

/* ---- offers ---- */

static struct instance_capability *capability_of(const struct instance *instance, unsigned bit) {
    for (unsigned at = 0; at < instance->capability_count; at++)
        if (instance->capabilities[at].bit == bit)
            return &instance->capabilities[at];
    return NULL;
}

/* `held` is no more. */
static void capability_leave(struct instance *instance, const struct held *held) {
    struct instance_capability *capability = capability_of(instance, held->task->capability);
    capability->held--;
    capability->expected_ns -= held->task->expected_ns;
    capability->share = capability->held > 0 ? capability->share - held->share : 0; /* no rounding is left */
}

/* Predicted time until everything held is done: p50 of each, less what the running one has behind it. */
static uint64_t backlog_ns(const struct instance *instance, uint64_t now_ns) {
    uint64_t total = 0;
    for (unsigned at = 0; at < instance->capability_count; at++) {
        struct instance_capability *capability = &instance->capabilities[at];
        if (capability->held > 0 && capability->prediction.count == 0)
            total += capability->expected_ns;
        else if (capability->held > 0)
            total += (uint64_t)(capability->share * (double)prediction_p50(&capability->prediction, 0, 0));
    }
    const struct held *head = instance->worker_first ? instance->worker_first : instance->running;
    if (head) {
        uint64_t behind = now_ns - head->task->started_ns;
        struct instance_capability *capability = capability_of(instance, head->task->capability);
        uint64_t whole = prediction_p50(&capability->prediction, head->task->expected_ns, head->task->size);
        whole = whole < total ? whole : total;
        total -= behind < whole ? behind : whole;
    }
    if (instance->state == INSTANCE_RESTARTING && instance->restart_ns > now_ns)
        total += instance->restart_ns - now_ns;
    return total;
}

static uint64_t left_of(const struct instance *instance, const struct held *held, uint64_t now_ns) {
    struct instance_capability *capability = capability_of(instance, held->task->capability);
    uint64_t whole = prediction_p50(&capability->prediction, held->task->expected_ns, held->task->size);
    uint64_t behind =
        held->task->state == TASK_RUNNING && held->task->started_ns ? now_ns - held->task->started_ns : 0;
    return behind < whole ? whole - behind : 0;
}

/* What `asker` cannot know: the work that others have here, and how long there is no worker. */
static void tell_others(const struct instance *instance, actor_ref asker, uint64_t now_ns,
                        struct message_offer_answer *answer) {
    for (unsigned at = 0; instance->shared && at < instance->spec->queue_len_max; at++) {
        const struct held *held = &instance->slots[at];
        if (!held->task || held->offerer == asker)
            continue;
        answer->others_queued++;
        answer->others_ns += left_of(instance, held, now_ns);
    }
    if (instance->state == INSTANCE_RESTARTING && instance->restart_ns > now_ns &&
        instance->restart_ns != INSTANCE_NEVER)
        answer->others_ns += instance->restart_ns - now_ns;
}

static uint64_t queue_key(const struct task *task) {
    const uint64_t deadline_max = (UINT64_C(1) << KEY_DEADLINE_BITS) - 1;
    uint64_t deadline = task->deadline_ns < deadline_max ? task->deadline_ns : deadline_max;
    uint8_t priority = task->priority < UINT8_MAX ? task->priority + task->moved : UINT8_MAX;
    return (uint64_t)(UINT8_MAX - priority) << KEY_DEADLINE_BITS | deadline;
}

/* Why `task` is refused, or ACCEPT. */
static enum offer_answer judge(const struct instance *instance, const struct task *task, uint64_t backlog,
                               uint64_t now_ns) {
    struct instance_capability *capability = capability_of(instance, task->capability);
    if (!capability)
        return OFFER_INCAPABLE;
    if (instance->draining || instance->state >= INSTANCE_GAVE_UP)
        return OFFER_DRAINING;
    if (!instance->unused)
        return OFFER_OVERLOADED;
    /* An idle instance is the best that the task can get, so it is not refused for its deadline there. */
    uint64_t service = prediction_p50(&capability->prediction, task->expected_ns, task->size);
    if (instance->held_count > 0 && task->deadline_ns != UINT64_MAX &&
        instance_after(now_ns, backlog + service) > task->deadline_ns)
        return OFFER_OVERLOADED;
    return OFFER_ACCEPT;
}

/* False: no memory for its end, so it is not taken. */
static bool hold(struct instance *instance, struct task *task, actor_ref offerer, uint64_t now_ns) {
    struct held *held = instance->unused;
    if (!held->spare && !(held->spare = task_result_new(instance->account, NULL, 0)))
        return false;
    if (!(held->ended =
              message_new(instance->runtime, MESSAGE_TASK_ENDED, sizeof(struct message_task_ended))))
        return false;
    if (heap_insert(&instance->queue, &held->node, queue_key(task)) != TROUPE_OK) {
        message_free(&held->ended);
        return false;
    }
    instance->unused = held->next;
    held->next = NULL;
    held->task = task;
    held->offerer = offerer;
    held->fate = FATE_ANSWER;
    held->limit_ns = held->kill_ns = INSTANCE_NEVER;
    task->next = NULL;
    task->agent = instance->self;
    task->state = TASK_QUEUED;
    task->accepted_ns = now_ns;
    task->started_ns = 0;
    if (instance->has_child)
        worker_task_id(task, held->id);
    struct instance_capability *capability = capability_of(instance, task->capability);
    held->share = prediction_share(&capability->prediction, task->size);
    capability->share += held->share;
    capability->expected_ns += task->expected_ns;
    capability->held++;
    instance->held_count++;
    COUNT(instance, accepted, 1);
    GAUGE(instance, held, instance->held_count);
    trace_emit(runtime_tracer(instance->runtime), instance_thread(instance), TRACE_TASK_QUEUED,
               task_id_span(task->id), (uint32_t)instance->self, task->id.stage);
    return true;
}

void queue_offer(struct instance *instance, struct turn *turn, struct message *message) {
    struct message_offer *offer = MESSAGE_PAYLOAD(message, struct message_offer);
    COUNT(instance, offers, 1);
    instance->shared |= instance->offerer != 0 && instance->offerer != message->sender;
    instance->offerer = message->sender;
    struct message *reply =
        message_new(turn->runtime, MESSAGE_OFFER_ANSWER, sizeof(struct message_offer_answer));
    if (!reply) {
        reply = instance->answer;
        instance->answer = NULL;
    }
    if (!reply) /* its tasks die with the message, and the coordinator is told so and tells their owner */
        return;
    struct message_offer_answer *answer = MESSAGE_PAYLOAD(reply, struct message_offer_answer);
    uint64_t backlog = backlog_ns(instance, turn->now_ns);
    enum offer_answer worst = OFFER_ACCEPT;
    struct task **refused = &answer->refused;
    for (struct task *task = offer->tasks, *next; task; task = next) {
        next = task->next;
        enum offer_answer verdict = judge(instance, task, backlog, turn->now_ns);
        if (verdict == OFFER_ACCEPT && hold(instance, task, message->sender, turn->now_ns)) {
            answer->accepted++;
            backlog += prediction_p50(&capability_of(instance, task->capability)->prediction,
                                      task->expected_ns, task->size);
            continue;
        }
        if (verdict == OFFER_ACCEPT)
            verdict = OFFER_OVERLOADED;
        if (worst == OFFER_ACCEPT ||
            verdict == OFFER_OVERLOADED) /* capacity may return: the best of bad news */
            worst = verdict;
        task->next = NULL;
        *refused = task;
        refused = &task->next;
        answer->refused_count++;
    }
    offer->tasks = NULL;
    tell_others(instance, message->sender, turn->now_ns, answer);
    COUNT(instance, refused, answer->refused_count);
    answer->epoch = offer->epoch;
    answer->answer = worst == OFFER_ACCEPT ? OFFER_ACCEPT : answer->accepted > 0 ? OFFER_PARTIAL : worst;
    answer->queue_length = instance->held_count;
    if (instance->at_worker == 0 && instance->queue.count < instance->spec->batch_max)
        backlog = instance_after(backlog, instance->spec->batch_wait_ns);
    answer->estimated_completion_ns = instance_after(turn->now_ns, backlog);
    if (worst == OFFER_OVERLOADED) {
        uint64_t each = instance->held_count > 0 ? backlog / instance->held_count : 0;
        answer->capacity_in_ns = each > 0 ? each : CAPACITY_UNKNOWN_NS;
    }
    actor_reply(turn, message, &reply);
}

/* ---- revoked ---- */

static struct held *held_under(struct instance *instance, const struct message_revoke *revoke,
                               actor_ref offerer) {
    for (unsigned at = 0; at < instance->spec->queue_len_max; at++) {
        struct held *held = &instance->slots[at];
        if (held->task && held->offerer == offerer && held->task->epoch == revoke->epoch &&
            task_id_equal(held->task->id, revoke->id))
            return held;
    }
    return NULL;
}

/* The slot is free again, without an end. */
static struct task *held_give_back(struct instance *instance, struct held *held) {
    struct task *task = held->task;
    heap_remove(&instance->queue, &held->node);
    message_free(&held->ended);
    capability_leave(instance, held);
    held->task = NULL;
    held->next = instance->unused;
    instance->unused = held;
    instance->held_count--;
    COUNT(instance, revoked, 1);
    GAUGE(instance, held, instance->held_count);
    return task;
}

/* One that is begun. */
static void held_cancel(struct instance *instance, struct held *held, uint64_t grace_ns, uint64_t now_ns) {
    if (held->at_worker)
        child_cancel(instance, held, FATE_CANCELLED, grace_ns, now_ns);
    if (held != instance->running)
        return;
    held->fate = FATE_CANCELLED;
    native_agent_cancel(instance);
}

void queue_revoke(struct instance *instance, struct turn *turn, struct message *message) {
    const struct message_revoke *revoke = MESSAGE_PAYLOAD(message, const struct message_revoke);
    struct message *reply =
        message_new(turn->runtime, MESSAGE_REVOKE_ANSWER, sizeof(struct message_revoke_answer));
    if (!reply) /* the asker is told that there is no answer; the task stays where it is */
        return;
    struct message_revoke_answer *answer = MESSAGE_PAYLOAD(reply, struct message_revoke_answer);
    struct held *held = held_under(instance, revoke, message->sender);
    enum held_place place = !held ? HELD_NOWHERE : held->node.position != 0 ? HELD_IN_QUEUE : HELD_BEGUN;
    answer->id = revoke->id;
    answer->epoch = revoke->epoch;
    answer->answer = revoke_answer_for(place);
    if (answer->answer == REVOKE_REVOKED)
        answer->task = held_give_back(instance, held);
    else if (answer->answer == REVOKE_STARTED && revoke->copy)
        answer->task = task_copy(held->task);
    else if (answer->answer == REVOKE_STARTED && revoke->cancel)
        held_cancel(instance, held, instance->spec->stop_grace_ns, turn->now_ns);
    actor_reply(turn, message, &reply);
}

/* ---- the queue ---- */

static struct held *held_of(struct heap_node *node) {
    return (struct held *)(void *)node;
}

struct held *queue_peek(const struct instance *instance) {
    struct heap_node *node = heap_first(&instance->queue);
    return node ? held_of(node) : NULL;
}

struct held *queue_pop(struct instance *instance) {
    struct held *held = queue_peek(instance);
    if (held)
        heap_remove(&instance->queue, &held->node);
    return held;
}

void queue_push_back(struct instance *instance, struct held *held) {
    held->task->state = TASK_QUEUED;
    held->task->started_ns = 0;
    /* Its place was free a moment ago: the heap keeps its capacity. */
    enum troupe_error error = heap_insert(&instance->queue, &held->node, queue_key(held->task));
    CHECK(error == TROUPE_OK);
}

uint64_t queue_next_deadline(const struct instance *instance) {
    uint64_t first = INSTANCE_NEVER;
    for (size_t at = 0; at < instance->queue.count; at++) {
        uint64_t deadline = held_of(instance->queue.nodes[at])->task->deadline_ns;
        first = deadline < first ? deadline : first;
    }
    return first;
}

/* Ends those of the queue for which `chosen` says so; the heap is walked again after each, for it moves. */
static void queue_end_chosen(struct instance *instance, uint64_t now_ns,
                             bool (*chosen)(const struct held *held, const void *context),
                             const void *context, enum troupe_error error, bool retryable, const char *text) {
    for (size_t at = 0; at < instance->queue.count;) {
        struct held *held = held_of(instance->queue.nodes[at]);
        if (!chosen(held, context)) {
            at++;
            continue;
        }
        heap_remove(&instance->queue, &held->node);
        held_fail(instance, held, error, retryable, now_ns, "%s", text);
        at = 0;
    }
}

static bool chosen_late(const struct held *held, const void *context) {
    return held->task->deadline_ns <= *(const uint64_t *)context;
}

void queue_expire(struct instance *instance, uint64_t now_ns) {
    char text[200];
    snprintf(text, sizeof text, "its deadline passed while it waited for agent %s", instance->name);
    queue_end_chosen(instance, now_ns, chosen_late, &now_ns, TROUPE_DEADLINE, false, text);
}

static bool chosen_all(const struct held *held, const void *context) {
    (void)held, (void)context;
    return true;
}

void queue_end_waiting(struct instance *instance, enum troupe_error error, bool retryable, const char *text,
                       uint64_t now_ns) {
    queue_end_chosen(instance, now_ns, chosen_all, NULL, error, retryable, text);
}

static bool chosen_cancelled(const struct held *held, const void *context) {
    const struct message_task_cancel *cancel = context;
    return held->task->id.run == cancel->run &&
           (cancel->trial == UINT32_MAX || held->task->id.trial == cancel->trial);
}

void queue_cancel(struct instance *instance, const struct message_task_cancel *cancel, uint64_t now_ns) {
    queue_end_chosen(instance, now_ns, chosen_cancelled, cancel, TROUPE_CANCELLED, false,
                     "cancelled before it was started");
    uint64_t grace_ns = cancel->at_once ? instance->spec->cancel_grace_ns : instance->spec->stop_grace_ns;
    for (struct held *held = instance->worker_first; held; held = held->next)
        if (chosen_cancelled(held, cancel))
            held_cancel(instance, held, grace_ns, now_ns);
    if (instance->running && chosen_cancelled(instance->running, cancel))
        held_cancel(instance, instance->running, grace_ns, now_ns);
}

/* ---- with the worker ---- */

void held_execute(struct instance *instance, struct held *held, uint64_t now_ns) {
    struct task *task = held->task;
    uint64_t timeout = task->timeout_ns ? task->timeout_ns : instance->spec->timeout_ns;
    uint64_t limit = timeout ? instance_after(now_ns, timeout) : INSTANCE_NEVER;
    task->state = TASK_RUNNING;
    task->started_ns = now_ns;
    held->deadline_limits = task->deadline_ns < limit;
    held->limit_ns = held->deadline_limits ? task->deadline_ns : limit;
    trace_emit(runtime_tracer(instance->runtime), instance_thread(instance), TRACE_TASK_STARTED,
               task_id_span(task->id), (uint32_t)instance->self, task->id.stage);
}

uint64_t held_remaining(const struct instance *instance, const struct held *held, uint64_t now_ns) {
    const struct task *task = held->task;
    uint64_t timeout = task->timeout_ns ? task->timeout_ns : instance->spec->timeout_ns;
    uint64_t left = task->deadline_ns == UINT64_MAX ? INSTANCE_NEVER
                    : task->deadline_ns > now_ns    ? task->deadline_ns - now_ns
                                                    : 0;
    return timeout && timeout < left ? timeout : left;
}

void held_to_worker(struct instance *instance, struct held *held, uint64_t now_ns) {
    held->next = NULL;
    held->at_worker = true;
    if (instance->worker_last) {
        instance->worker_last->next = held;
        held->task->state = TASK_RUNNING;
    } else {
        instance->worker_first = held;
        instance->line_started_ns = now_ns;
        instance->line_answered = 0;
        held_execute(instance, held, now_ns);
    }
    instance->worker_last = held;
    instance->at_worker++;
    GAUGE(instance, at_worker, instance->at_worker);
}

struct held *held_find(const struct instance *instance, const char *id, uint32_t attempt) {
    for (struct held *held = instance->worker_first; held; held = held->next)
        if (strcmp(held->id, id) == 0)
            return attempt == 0 || held->task->id.attempt == attempt || PLANT(ATTEMPT_UNCHECKED) ? held
                                                                                                 : NULL;
    return NULL;
}

/* Takes `held` out of the worker's list; the next oldest begins to execute when the oldest goes. */
static void worker_list_remove(struct instance *instance, struct held *held, uint64_t now_ns) {
    struct held *before = NULL;
    for (struct held *at = instance->worker_first; at && at != held; at = at->next)
        before = at;
    if (before)
        before->next = held->next;
    else
        instance->worker_first = held->next;
    if (instance->worker_last == held)
        instance->worker_last = before;
    held->at_worker = false;
    instance->at_worker--;
    GAUGE(instance, at_worker, instance->at_worker);
    if (!before && instance->worker_first && instance->worker_first->task->started_ns == 0)
        held_execute(instance, instance->worker_first, now_ns);
}

void usage_begin(struct instance *instance, uint64_t now_ns) {
    uint64_t cpu = worker_link_cpu(&instance->link), wait = worker_link_core_wait(&instance->link);
    instance->wait_known = wait != ENV_UNKNOWN;
    instance->cpu_meter = (struct usage_meter){.seen_ns = cpu, .charged_ns = cpu};
    if (!instance->wait_known)
        wait = 0;
    instance->wait_meter = (struct usage_meter){.seen_ns = wait, .charged_ns = wait};
    instance->usage_seen_at_ns = now_ns;
}

/* A new reading of the child's total, `passed_ns` after the one before. */
static void meter_read(struct usage_meter *meter, uint64_t total, uint64_t passed_ns) {
    if (total < meter->seen_ns)
        total = meter->seen_ns;
    if (passed_ns > 0)
        meter->share = (double)(total - meter->seen_ns) / (double)passed_ns;
    meter->seen_ns = total;
}

static uint64_t meter_charge(struct usage_meter *meter, bool read, uint64_t wall_ns) {
    uint64_t charge = read ? meter->seen_ns > meter->charged_ns ? meter->seen_ns - meter->charged_ns : 0
                           : (uint64_t)(meter->share * (double)wall_ns);
    meter->charged_ns += charge;
    return charge;
}

/* What the task that ends now has used. The child's own figures cost a system call or four, so they are read
 * at most once a millisecond; in between a task is charged at the share seen last, and the next reading
 * settles the difference. What the worker says of a task is better than that: it may know of descendants. */
static void held_charge(struct instance *instance, struct task_result *result, uint64_t wall_ns,
                        uint64_t now_ns) {
    bool read = instance->link.ended || now_ns - instance->usage_seen_at_ns >= USAGE_SAMPLE_NS;
    if (read) {
        uint64_t passed = now_ns - instance->usage_seen_at_ns;
        uint64_t wait = worker_link_core_wait(&instance->link);
        meter_read(&instance->cpu_meter, worker_link_cpu(&instance->link), passed);
        instance->wait_known = wait != ENV_UNKNOWN;
        if (instance->wait_known)
            meter_read(&instance->wait_meter, wait, passed);
        instance->usage_seen_at_ns = now_ns;
    }
    uint64_t cpu = meter_charge(&instance->cpu_meter, read, wall_ns),
             wait = meter_charge(&instance->wait_meter, read, wall_ns);
    if (cpu > result->cpu_ns)
        result->cpu_ns = cpu;
    if (result->core_wait_ns == CORE_WAIT_UNKNOWN && instance->wait_known)
        result->core_wait_ns = wait;
}

static void result_account(struct instance *instance, struct held *held, struct task_result *result,
                           uint64_t now_ns) {
    struct task *task = held->task;
    uint64_t wall = now_ns - task->started_ns;
    if (instance->has_child)
        held_charge(instance, result, wall, now_ns);
    uint64_t wait = result->core_wait_ns == CORE_WAIT_UNKNOWN ? 0 : result->core_wait_ns;
    result->blocked_ns = wall > result->cpu_ns ? wall - result->cpu_ns : 0;
    result->blocked_ns = result->blocked_ns > wait ? result->blocked_ns - wait : 0;
    COUNT(instance, busy_ns, wall);
    COUNT(instance, cpu_ns, result->cpu_ns);
    if (result->error == TROUPE_OK) {
        /* Tasks of one line are worked on together: each is said to take its part of the time so far. */
        instance->line_answered++;
        uint64_t service = instance->spec->batch_max > 1
                               ? (now_ns - instance->line_started_ns) / instance->line_answered
                               : wall;
        prediction_add(&capability_of(instance, task->capability)->prediction, service, task->size);
    }
}

void held_end(struct instance *instance, struct held *held, struct task_result *result, uint64_t now_ns) {
    struct task *task = held->task;
    CHECK(task && held->ended && held->node.position == 0);
    if (task->started_ns == 0) /* it waited to its end, here or with the worker behind others */
        task->started_ns = now_ns;
    if (task->state == TASK_RUNNING)
        result_account(instance, held, result, now_ns);
    task->ended_ns = now_ns;
    task->result = result;
    task->state = result->error == TROUPE_OK          ? TASK_OK
                  : result->error == TROUPE_CANCELLED ? TASK_CANCELLED
                                                      : TASK_FAILED;
    if (task->state == TASK_OK)
        COUNT(instance, ended_ok, 1);
    else if (task->state == TASK_CANCELLED)
        COUNT(instance, ended_cancelled, 1);
    else
        COUNT(instance, ended_failed, 1);
    if (held->at_worker)
        worker_list_remove(instance, held, now_ns);
    capability_leave(instance, held);
    struct message *ended = held->ended;
    actor_ref offerer = held->offerer;
    struct message_task_ended *payload = MESSAGE_PAYLOAD(ended, struct message_task_ended);
    payload->task = task;
    ended->token = task_id_token(task->id);
    turn_record_input(instance->runtime, instance->self, ended->token, now_ns);
    trace_emit(runtime_tracer(instance->runtime), instance_thread(instance), TRACE_TASK_ENDED,
               task_id_span(task->id), (uint32_t)instance->self, result->error);
    held->task = NULL;
    held->ended = NULL;
    held->next = instance->unused;
    instance->unused = held;
    instance->held_count--;
    GAUGE(instance, held, instance->held_count);
    if ((PLANT(END_LOST) && result->error == TROUPE_WORKER) ||
        actor_send(instance->runtime, instance->turn, offerer, &ended) != TROUPE_OK)
        message_free(&ended); /* nobody is left who asked for it */
}

void held_fail(struct instance *instance, struct held *held, enum troupe_error error, bool retryable,
               uint64_t now_ns, const char *format, ...) {
    struct task_result *result = held->spare;
    CHECK(result);
    held->spare = NULL;
    result->error = error;
    result->retryable = retryable;
    va_list args;
    va_start(args, format);
    vsnprintf(result->message, sizeof result->message, format, args);
    va_end(args);
    held_end(instance, held, result, now_ns);
}
