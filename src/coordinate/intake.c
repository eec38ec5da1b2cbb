/* What owners say: a batch to coordinate, or a run or trial to cancel.
 *
 * Admission is per task: one that can never be done, or finds no place, ends at once by name; the others
 * wait, and the batch's round offers what agents can take. Within a batch longer tasks come first among
 * equals (longest first keeps the last end early); between batches the order of arrival holds, so that nobody
 * is starved. */
#include "coordinate/coordinator.h"

/* ---- order within a batch ---- */
static bool goes_before(const struct task *a, const struct task *b) {
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns;
    return a->expected_ns >= b->expected_ns;
}

static struct task *merge(struct task *a, struct task *b) {
    struct task *first = NULL, **link = &first;
    while (a && b) {
        struct task **from = goes_before(a, b) ? &a : &b;
        *link = *from;
        *from = (*from)->next;
        link = &(*link)->next;
    }
    *link = a ? a : b;
    return first;
}

/* Merge sort of a list, bottom up: piles[i] holds 2^i sorted tasks. */
static struct task *sort_tasks(struct task *tasks) {
    struct task *piles[33] = {0};
    while (tasks) {
        struct task *one = tasks;
        tasks = tasks->next;
        one->next = NULL;
        unsigned i = 0;
        for (; piles[i] && i < 32; i++) {
            one = merge(piles[i], one);
            piles[i] = NULL;
        }
        piles[i] = piles[i] ? merge(piles[i], one) : one;
    }
    struct task *sorted = NULL;
    for (unsigned i = 0; i < 33; i++)
        sorted = merge(piles[i], sorted);
    return sorted;
}

/* ---- admission ---- */
/* Is somebody registered for it whose row has not reached the snapshot yet? Asked only when the snapshot says
 * no. */
static bool holder_on_its_way(struct coordinator *coordinator, unsigned capability) {
    struct capability_set needed = {0};
    capability_set_add(&needed, capability);
    const struct registry_row *rows[8];
    size_t count = registry_find(coordinator->snapshot.registry, coordinator->snapshot.name_space, &needed,
                                 rows, ARRAY_COUNT(rows));
    for (size_t i = 0; i < count && i < ARRAY_COUNT(rows); i++) {
        const struct agent_view *view = snapshot_find(&coordinator->snapshot, rows[i]->actor);
        struct registry_view said;
        registry_row_view(coordinator->snapshot.registry, rows[i], &said);
        if (!view || (said.version > view->version && said.health <= HEALTH_DEGRADED))
            return true;
    }
    return false;
}

enum troupe_error intake_refuses(struct coordinator *coordinator, const struct task *task, uint64_t now_ns) {
    if (task->capability >= CAPABILITIES_MAX || task->owner == 0)
        return TROUPE_INVALID;
    for (unsigned i = 0; i < RESOURCES_MAX; i++) {
        if (task->resources.amount[i] < 0)
            return TROUPE_INVALID;
        if (task->resources.amount[i] > coordinator->options.resources.amount[i])
            return TROUPE_UNSATISFIABLE;
    }
    if (coordinator->snapshot.holders[task->capability] == 0 &&
        !holder_on_its_way(coordinator, task->capability))
        return TROUPE_NO_AGENT;
    if (task->deadline_ns <= now_ns)
        return TROUPE_DEADLINE;
    /* An offered task may come back: its place is kept. */
    uint64_t places = coordinator->queue.count + coordinator->ledger.by_state[CLAIM_OFFERED];
    return places >= (uint64_t)coordinator->options.queue_len_max + PLANT(QUEUE_BOUND) ? TROUPE_OVERLOADED
                                                                                       : TROUPE_OK;
}

struct claim *intake_claim(struct coordinator *coordinator, struct task *task) {
    struct claim *claim = ledger_new(&coordinator->ledger);
    if (!claim)
        claim = ledger_new(&coordinator->ledger); /* one refusal is not yet exhaustion */
    if (!claim)
        return NULL;
    claim->task = task;
    claim->id = task->id;
    claim->owner = task->owner;
    claim->account = task->account;
    claim->capability = task->capability;
    claim->run_name = task->run_name;
    claim->stage_name = task->stage_name;
    claim->capability_name = task->capability_name;
    claim->deadline_ns = task->deadline_ns;
    claim->submitted_ns = task->submitted_ns;
    claim->priority = task->priority;
    claim->idempotent = task->idempotent;
    if (claim->idempotent)
        speculation_admit(coordinator);
    claim->firm = task->firm && task->deadline_ns != UINT64_MAX;
    ledger_set_state(&coordinator->ledger, claim, CLAIM_WAITING);
    return claim;
}

uint64_t intake_expected(const struct coordinator *coordinator, const struct task *task) {
    return task->expected_ns ? task->expected_ns
                             : snapshot_expected(&coordinator->snapshot, task->capability);
}

static enum troupe_error enqueue(struct coordinator *coordinator, struct claim *claim,
                                 const struct task *task) {
    struct demand *demand;
    enum troupe_error error =
        wait_queue_demand(&coordinator->queue, task->capability, &task->resources, &demand);
    if (error)
        return error;
    claim->demand = demand;
    demand->users++;
    claim->expected_ns = intake_expected(coordinator, task);
    claim->arrival = coordinator->queue.arrivals++;
    claim->order = assign_order_key(task->priority, task->deadline_ns, claim->arrival);
    if (claim->deadline_ns != UINT64_MAX) {
        error = heap_insert(&coordinator->expiries, &claim->expiry, claim->deadline_ns);
        if (error)
            return error;
    }
    return wait_queue_put(&coordinator->queue, claim);
}

void intake_unclaimed(struct coordinator *coordinator, struct task *task, uint64_t now_ns) {
    task->next = coordinator->unclaimed;
    coordinator->unclaimed = task;
    coordinator->ledger.unclaimed++;
    coordinator_retry_later(coordinator, now_ns);
}

static void admit(struct coordinator *coordinator, struct turn *turn, struct round *round,
                  struct task *task) {
    coordinator->ledger.submitted++;
    round->reply.submitted++;
    task->next = NULL;
    if (park_task(coordinator, round, task, turn->now_ns))
        return;
    struct claim *claim = intake_claim(coordinator, task);
    if (!claim) {
        intake_unclaimed(coordinator, task, turn->now_ns);
        round->reply.rejected++;
        return;
    }
    round_join(round, claim);
    round->firm |= claim->firm;
    enum troupe_error error = intake_refuses(coordinator, task, turn->now_ns);
    if (!error && (ledger_find(&coordinator->ledger, task->id) ||
                   parking_find(&coordinator->queue.parking, task->id) != PARKED_NONE))
        error = TROUPE_INVALID;
    if (!error) {
        error = enqueue(coordinator, claim, task);
        if (!error) {
            ledger_index(&coordinator->ledger, claim);
            return;
        }
    }
    ending_tell(coordinator, turn, claim, error);
}

void intake_batch(struct coordinator *coordinator, struct turn *turn, struct message *asked) {
    uint64_t now_ns = env_now(coordinator->env);
    struct round *round = round_open(coordinator, asked, now_ns);
    struct message_coordinate *batch = MESSAGE_PAYLOAD(asked, struct message_coordinate);
    struct task *tasks = sort_tasks(batch->tasks);
    batch->tasks = NULL;
    batch->count = 0;
    coordinator->counts.batches++;
    while (tasks) {
        struct task *task = tasks;
        tasks = task->next;
        admit(coordinator, turn, round, task);
    }
    trace_emit(runtime_tracer(coordinator->runtime), turn->worker, TRACE_ROUND_STARTED, round->id,
               round->reply.submitted, coordinator->snapshot.views_live);
    round_stamp(coordinator, round, PHASE_DISCOVER);
    if (coordinator->queue.count && plan_score(coordinator, turn->now_ns, 0)) {
        coordinator_retry_later(coordinator, turn->now_ns);
        round_stamp(coordinator, round, PHASE_SCORE);
    } else if (coordinator->queue.count) {
        round_stamp(coordinator, round, PHASE_SCORE);
        coordinator->counts.rounds++;
        unsigned ahead = round->reply.submitted * 2;
        if (round->firm) /* all that stands before them, as far as a plan goes */
            ahead = PLAN_TASKS_MAX;
        plan_matrix(coordinator, ahead < 64 ? 64 : ahead > PLAN_TASKS_MAX ? PLAN_TASKS_MAX : ahead);
        if (round->firm)
            admission_judge(coordinator, turn, round);
        round_stamp(coordinator, round, PHASE_MATRIX);
        bool improve = round->reply.submitted <= ASSIGN_IMPROVE_TASKS_MAX && coordinator->plan.room > 1;
        unsigned offered = plan_assign(coordinator, turn->now_ns, improve, true);
        round_stamp(coordinator, round, PHASE_ASSIGN);
        round->plan_serial = coordinator->plan.serial;
        if (offered)
            round_offer(coordinator, turn, round);
    }
    round->phase = PHASE_OFFER;
    round_advance(coordinator, turn, round);
}

void intake_cancel(struct coordinator *coordinator, struct turn *turn,
                   const struct message_task_cancel *cancel) {
    struct claim *claim;
    park_cancel(coordinator, turn, cancel);
    for (size_t at = 0; (claim = ledger_next(&coordinator->ledger, &at));) {
        if (claim->id.run != cancel->run || (cancel->trial != UINT32_MAX && claim->id.trial != cancel->trial))
            continue;
        if (claim->state == CLAIM_WAITING && PLANT(CANCEL_LOST))
            continue;
        if (claim->state == CLAIM_WAITING)
            ending_waiting(coordinator, turn, claim, TROUPE_CANCELLED);
        else if (claim->state == CLAIM_ORPHAN)
            claim->agent->cancel_wanted = true; /* its owner was told, but it may not have begun yet */
        else if (claim->state == CLAIM_OFFERED || claim->state == CLAIM_HELD) {
            claim->cancelled = true;
            claim->agent->cancel_wanted = true;
        }
    }
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++) {
        struct agent_view *view = coordinator->snapshot.views[i];
        if (!view || !view->cancel_wanted)
            continue;
        view->cancel_wanted = false;
        struct message *message = NULL;
        for (unsigned attempt = 0; attempt < 2 && !message; attempt++)
            message = message_new(coordinator->runtime, MESSAGE_TASK_CANCEL, sizeof *cancel);
        if (!message) {
            coordinator->counts.cancels_lost++; /* what it runs goes on to its own end */
            continue;
        }
        struct message_task_cancel *forwarded = MESSAGE_PAYLOAD(message, struct message_task_cancel);
        *forwarded = *cancel;
        if (actor_send(coordinator->runtime, turn, view->actor, &message))
            message_free(&message); /* it is ending: its DOWN settles them */
    }
}
