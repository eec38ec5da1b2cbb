/* Tasks that wait beyond what plans look at have a record of 40 bytes and no claim (parking.h). Each demand's most urgent
 * task is the first of its claims or of its records; a record that is first becomes a claim when a plan takes it, so that
 * the order is that of one queue.
 *
 * A firm task is never parked: it is promised something by its place in the plan. Claims that are more than twice what
 * plans look at, for tasks that came later were more urgent, are given up again where nothing is known of them that a
 * record does not keep.
 * Without memory for a claim a parked task stays where it is and the turn is tried again; one that is to end then ends as
 * those do for which there never was a claim. */
#include "coordinate/coordinator.h"

#define ROUND_NONE UINT16_MAX

static struct demand *demand_of(const struct coordinator *coordinator, uint32_t index) {
    return coordinator->queue.demands[parking_at(&coordinator->queue.parking, index)->demand];
}

/* Those waiting in it count for their batch. */
static void round_parks(struct round *round, uint64_t deadline_ns) {
    round->parked++;
    if (deadline_ns < round->parked_deadline_ns)
        round->parked_deadline_ns = deadline_ns;
}

static void round_unparks(struct round *round) {
    if (--round->parked == 0)
        round->parked_deadline_ns = UINT64_MAX;
}

/* Still open, the batch's round that the record names; NULL: it is not. */
static struct round *round_of(const struct coordinator *coordinator, const struct parked *parked) {
    struct round *round =
        parked->round_at < coordinator->round_count ? &coordinator->rounds[parked->round_at] : NULL;
    return round && round->open && (uint32_t)round->id == parked->round ? round : NULL;
}

static bool park(struct coordinator *coordinator, struct round *round, struct task *task,
                 struct demand *demand, uint64_t order, uint64_t arrival) {
    size_t at = round ? (size_t)(round - coordinator->rounds) : ROUND_NONE;
    if (round && at >= ROUND_NONE)
        return false;
    if (wait_queue_park(&coordinator->queue, demand,
                        &(struct parked){.task = task,
                                         .order = order,
                                         .arrival = (uint32_t)arrival,
                                         .round = round ? (uint32_t)round->id : 0,
                                         .round_at = (uint16_t)at}))
        return false;
    coordinator->ledger.parked++;
    coordinator->counts.parked++;
    if (round)
        round_parks(round, task->deadline_ns);
    return true;
}

bool park_task(struct coordinator *coordinator, struct round *round, struct task *task, uint64_t now_ns) {
    struct demand *demand;
    bool firm = task->firm && task->deadline_ns != UINT64_MAX;
    if (coordinator->ledger.by_state[CLAIM_WAITING] < coordinator->options.claims_max || firm ||
        intake_refuses(coordinator, task, now_ns) || ledger_find(&coordinator->ledger, task->id) ||
        parking_find(&coordinator->queue.parking, task->id) != PARKED_NONE ||
        wait_queue_demand(&coordinator->queue, task->capability, &task->resources, &demand))
        return false;
    uint64_t arrival = coordinator->queue.arrivals;
    uint64_t order = assign_order_key(task->priority, task->deadline_ns, arrival);
    if (!park(coordinator, round, task, demand, order, arrival))
        return false;
    coordinator->queue.arrivals++;
    demand->users++;
    return true;
}

/* No two that wait came four thousand million tasks apart. */
static uint64_t arrival_of(const struct coordinator *coordinator, const struct parked *parked) {
    uint64_t now = coordinator->queue.arrivals;
    return now - (uint32_t)((uint32_t)now - parked->arrival);
}

/* Does the record go before the claim? */
static bool goes_before(const struct coordinator *coordinator, uint32_t index, const struct claim *claim) {
    const struct parked *parked = parking_at(&coordinator->queue.parking, index);
    return parked->order != claim->order ? parked->order < claim->order
                                         : arrival_of(coordinator, parked) < claim->arrival;
}

/* NULL: no memory, and nothing has changed. */
static struct claim *wake(struct coordinator *coordinator, uint32_t index) {
    struct parked parked = *parking_at(&coordinator->queue.parking, index);
    struct demand *demand = demand_of(coordinator, index);
    /* Each of its claims finds its place again, those that a plan has taken out too. */
    if (heap_reserve(&demand->waiting, demand->users - demand->parked.count + 1))
        return NULL;
    struct claim *claim = intake_claim(coordinator, parked.task);
    if (!claim)
        return NULL;
    if (claim->deadline_ns != UINT64_MAX &&
        heap_insert(&coordinator->expiries, &claim->expiry, claim->deadline_ns)) {
        claim->task = NULL;
        ledger_release(&coordinator->ledger, claim);
        return NULL;
    }
    claim->demand = demand;
    claim->order = parked.order;
    claim->arrival = arrival_of(coordinator, &parked);
    claim->expected_ns = intake_expected(coordinator, parked.task);
    wait_queue_unpark(&coordinator->queue, index);
    coordinator->ledger.parked--;
    coordinator->counts.woken++;
    CHECK(wait_queue_put(&coordinator->queue, claim) == TROUPE_OK);
    ledger_index(&coordinator->ledger, claim);
    struct round *round = round_of(coordinator, &parked);
    if (round) {
        round_unparks(round);
        round_join(round, claim);
    }
    return claim;
}

struct claim *park_first(struct coordinator *coordinator, struct demand *demand) {
    struct claim *claim = wait_queue_first(demand);
    uint32_t index = parked_first(&demand->parked);
    if (index == PARKED_NONE || (claim && !goes_before(coordinator, index, claim)))
        return claim;
    struct claim *woken = wake(coordinator, index);
    if (woken)
        return woken;
    coordinator_retry_later(coordinator, env_now(coordinator->env));
    return claim;
}

unsigned park_late(const struct coordinator *coordinator, const struct round *round, uint64_t finish_ns) {
    const struct parking *parking = &coordinator->queue.parking;
    unsigned late = 0, seen = 0;
    uint32_t at = 0;
    if (round->parked == 0 || finish_ns <= round->parked_deadline_ns)
        return 0;
    for (uint32_t index; seen < round->parked && (index = parking_next(parking, &at)) != PARKED_NONE;) {
        const struct parked *parked = parking_at(parking, index);
        if (round_of(coordinator, parked) != round)
            continue;
        seen++;
        late += finish_ns > parked->task->deadline_ns;
    }
    return late;
}

/* ---- ending ---- */

static void end(struct coordinator *coordinator, struct turn *turn, uint32_t index, enum troupe_error error) {
    struct parked parked = *parking_at(&coordinator->queue.parking, index);
    struct claim *claim = wake(coordinator, index);
    if (claim) {
        ending_waiting(coordinator, turn, claim, error);
        return;
    }
    struct round *round = round_of(coordinator, &parked);
    if (round) {
        round_unparks(round);
        round->reply.rejected++;
    }
    demand_of(coordinator, index)->users--;
    struct task *task = wait_queue_unpark(&coordinator->queue, index);
    coordinator->ledger.parked--;
    intake_unclaimed(coordinator, task, turn->now_ns);
}

void park_cancel(struct coordinator *coordinator, struct turn *turn,
                 const struct message_task_cancel *cancel) {
    uint32_t at = 0;
    for (uint32_t index; (index = parking_next(&coordinator->queue.parking, &at)) != PARKED_NONE;) {
        struct task_id id = parking_at(&coordinator->queue.parking, index)->task->id;
        if (id.run == cancel->run && (cancel->trial == UINT32_MAX || id.trial == cancel->trial))
            end(coordinator, turn, index, TROUPE_CANCELLED);
    }
}

uint64_t park_expires_ns(const struct coordinator *coordinator) {
    const struct parking *parking = &coordinator->queue.parking;
    uint32_t index = parked_first(&parking->deadlines);
    return index == PARKED_NONE ? UINT64_MAX : parking_at(parking, index)->task->deadline_ns;
}

void park_expire(struct coordinator *coordinator, struct turn *turn) {
    while (park_expires_ns(coordinator) <= turn->now_ns)
        end(coordinator, turn, parked_first(&coordinator->queue.parking.deadlines), TROUPE_DEADLINE);
}

void park_without_agent(struct coordinator *coordinator, struct turn *turn, const struct demand *demand) {
    while (demand->parked.count > 0)
        end(coordinator, turn, parked_first(&demand->parked), TROUPE_NO_AGENT);
}

/* ---- back ---- */

/* Nothing happened to it but that it waits. */
static bool only_waits(const struct claim *claim) {
    return claim->state == CLAIM_WAITING && claim->task && claim->offers == 0 && !claim->moved &&
           !claim->cancelled && !claim->firm && !claim->rebalanced && claim->recalls == 0 && !claim->twin &&
           claim->promised_ns == 0;
}

static bool give_up(struct coordinator *coordinator, struct claim *claim) {
    wait_queue_remove(&coordinator->queue, claim);
    if (!park(coordinator, claim->round, claim->task, claim->demand, claim->order, claim->arrival)) {
        CHECK(wait_queue_put(&coordinator->queue, claim) == TROUPE_OK); /* its place was just left */
        return false;
    }
    if (claim->expiry.position != 0)
        heap_remove(&coordinator->expiries, &claim->expiry);
    round_leave(claim);
    claim->task = NULL;
    ledger_release(&coordinator->ledger, claim); /* its place among the users of the demand is the record's */
    return true;
}

void park_spare(struct coordinator *coordinator) {
    struct wait_queue *queue = &coordinator->queue;
    uint64_t most = 2 * (uint64_t)coordinator->options.claims_max, looks = most;
    unsigned first = coordinator->spare_next;
    for (unsigned i = 0; i < queue->filled_count; i++) {
        const struct heap *waiting = &queue->filled[(first + i) % queue->filled_count]->waiting;
        /* From the last leaf on: mostly the less urgent ones, and the order holds whichever it is. */
        for (size_t at = waiting->count; at-- > 1;) {
            if (coordinator->ledger.by_state[CLAIM_WAITING] <= most)
                return;
            if (looks-- == 0) { /* those of this demand may all have to stay: the next one's turn */
                coordinator->spare_next = (first + i + 1) % queue->filled_count;
                return;
            }
            struct claim *claim = CLAIM_OF(waiting->nodes[at], wait);
            if (only_waits(claim) && !give_up(coordinator, claim))
                return; /* no memory */
        }
    }
}
