/* Stragglers: a task that takes longer than 95 % of its kind did is done a second time by an idle agent, when its owner
 * says that this does no harm (task->idempotent). The first result wins; the other one is cancelled and discarded.
 *
 *   REVOKE with copy --STARTED, a copy--> a second claim, the twin, offered to the idle agent under an epoch of its own
 *   one of the two ends well:   its owner is told; the other one is an orphan, and revoked with cancel
 *   one of the two ends badly:  it goes without a word, and the other one is the task's only claim
 *
 * Invariants: of two twins one is the shadow: not counted as live, in no round, among no deadlines; a twin never waits in
 *             the queue. A task is doubled once.
 * Memory:  one table of recent times, from the first task that may be doubled on. */
#include "coordinate/coordinator.h"

#include <string.h>

#define TIMES_KEPT 64
#define TIMES_ENOUGH 20 /* seen of a kind before one of it is called late */

struct straggling {
    struct kind {
        float ratios[TIMES_KEPT]; /* time taken over time expected; a ring */
        uint32_t seen;
    } kinds[CAPABILITIES_MAX];
};

void speculation_free(struct coordinator *coordinator) {
    memory_free(coordinator->account, coordinator->straggling);
    coordinator->straggling = NULL;
}

void speculation_admit(struct coordinator *coordinator) {
    if (!coordinator->straggling) /* no memory: the next one tries again; it is a service, not a promise */
        coordinator->straggling = memory_alloc(coordinator->account, sizeof *coordinator->straggling);
}

void speculation_observe(struct coordinator *coordinator, const struct claim *claim, uint64_t took_ns) {
    if (!coordinator->straggling)
        return;
    struct kind *kind = &coordinator->straggling->kinds[claim->capability];
    double expected = (double)plan_service(coordinator, claim->agent, claim);
    kind->ratios[kind->seen % TIMES_KEPT] = (float)((double)took_ns / expected);
    kind->seen = kind->seen + 1 < 2 * TIMES_KEPT ? kind->seen + 1 : TIMES_KEPT;
}

/* The ratio that 95 % stayed below; 0: not known. */
static float ratio_p95(const struct kind *kind) {
    unsigned count = kind->seen < TIMES_KEPT ? kind->seen : TIMES_KEPT;
    if (count < TIMES_ENOUGH)
        return 0;
    float largest[TIMES_KEPT / TIMES_ENOUGH + 2]; /* the rank is among the largest few */
    unsigned rank = count - (count * 19 + 19) / 20 + 1, used = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = used < rank ? used++ : rank;
        for (; at > 0 && largest[at - 1] < kind->ratios[i]; at--)
            if (at < rank)
                largest[at] = largest[at - 1];
        if (at < rank)
            largest[at] = kind->ratios[i];
    }
    return largest[used - 1];
}

/* ---- whom to double ---- */
static bool may_double(const struct claim *claim) {
    return claim->idempotent && claim->state == CLAIM_HELD && claim->begun_ns != 0 && !claim->doubled &&
           !claim->cancelled && !claim->round;
}

static struct agent_view *idle_for(const struct coordinator *coordinator, const struct claim *claim,
                                   uint64_t now_ns) {
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++) {
        struct agent_view *view = coordinator->snapshot.views[i];
        if (view && view != claim->agent && view->claims.count == 0 && agent_view_room(view, now_ns, 0) > 0 &&
            view->foreign_until_ns <= now_ns && agent_view_has(view, claim->capability) &&
            !recall_awaits(coordinator, view->actor) &&
            resources_fit(&coordinator->free, &claim->demand->resources))
            return view;
    }
    return NULL;
}

/* When it is late; UINT64_MAX: not to be said. */
static uint64_t late_at(const struct coordinator *coordinator, const struct claim *claim) {
    double ratio = (double)ratio_p95(&coordinator->straggling->kinds[claim->capability]);
    double limit = ratio * (double)plan_service(coordinator, claim->agent, claim);
    return limit <= 0 || limit > 1e18 ? UINT64_MAX : claim->begun_ns + (uint64_t)limit;
}

static void look_at_agent(struct coordinator *coordinator, struct turn *turn, struct agent_view *view) {
    uint32_t at = 0;
    for (struct claim *claim = view->claims.first; claim && at < view->slots && !view->recall.open;
         claim = claim->list_next, at++) {
        if (claim->state == CLAIM_HELD && claim->begun_ns == 0)
            claim->begun_ns = turn->now_ns;
        if (!may_double(claim))
            continue;
        struct agent_view *idle = idle_for(coordinator, claim, turn->now_ns);
        uint64_t late_ns = idle ? late_at(coordinator, claim) : UINT64_MAX;
        if (late_ns > turn->now_ns) {
            if (late_ns < coordinator->look_ns)
                coordinator->look_ns = late_ns;
        } else if (recall_copy(coordinator, turn, claim, idle->actor))
            claim->doubled = true;
    }
}

void speculation_look(struct coordinator *coordinator, struct turn *turn) {
    if (!coordinator->straggling || coordinator->ledger.by_state[CLAIM_HELD] == 0 || coordinator->queue.count)
        return;
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++) {
        struct agent_view *view = coordinator->snapshot.views[i];
        if (view && view->claims.count)
            look_at_agent(coordinator, turn, view);
    }
}

/* ---- the second one ---- */
static struct claim *shadow_of(struct coordinator *coordinator, struct claim *claim, struct task *copy) {
    struct claim *shadow = ledger_new(&coordinator->ledger);
    if (!shadow)
        return NULL;
    shadow->task = copy;
    shadow->demand = claim->demand;
    shadow->demand->users++;
    shadow->id = claim->id;
    shadow->owner = claim->owner;
    shadow->account = claim->account;
    shadow->run_name = claim->run_name;
    shadow->stage_name = claim->stage_name;
    shadow->capability_name = claim->capability_name;
    shadow->capability = claim->capability;
    shadow->deadline_ns = claim->deadline_ns;
    shadow->submitted_ns = claim->submitted_ns;
    shadow->expected_ns = claim->expected_ns;
    shadow->promised_ns = claim->promised_ns;
    shadow->deviation_ns = claim->deviation_ns;
    shadow->order = claim->order;
    shadow->arrival = claim->arrival;
    shadow->priority = claim->priority;
    shadow->firm = claim->firm;
    shadow->moved = claim->moved;
    shadow->offers = claim->offers;
    shadow->idempotent = shadow->doubled = true;
    shadow->twin = claim;
    claim->twin = shadow;
    ledger_set_state(&coordinator->ledger, shadow, CLAIM_WAITING);
    ledger_shade(&coordinator->ledger, shadow, true);
    ledger_index(&coordinator->ledger, shadow);
    return shadow;
}

void speculation_double(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                        struct task *copy, actor_ref to) {
    struct agent_view *view = snapshot_find(&coordinator->snapshot, to);
    struct claim *shadow = NULL;
    if (view && !claim->twin && claim->state == CLAIM_HELD && !claim->cancelled && view->claims.count == 0 &&
        agent_view_room(view, turn->now_ns, 0) > 0 && agent_view_has(view, claim->capability) &&
        resources_fit(&coordinator->free, &claim->demand->resources))
        shadow = shadow_of(coordinator, claim, copy);
    if (!shadow) {
        task_free(copy);
        return;
    }
    coordinator->counts.doubled++;
    decision_one(coordinator, shadow, view, DECISION_DOUBLED, turn->now_ns);
    round_offer_one(coordinator, turn, shadow, view);
}

/* ---- the end of one ---- */
/* `claim` has not ended well: its twin is the task's claim from now on. */
void speculation_leave(struct coordinator *coordinator, struct claim *claim) {
    struct claim *twin = claim->twin;
    claim->twin = twin->twin = NULL;
    if (claim->shadow) {
        ledger_shade(&coordinator->ledger, claim, false);
        /* it is counted nowhere any more: its state changes before anybody adds up */
        return;
    }
    ledger_shade(&coordinator->ledger, twin, false);
    if (claim->expiry.position != 0) {
        uint64_t key = claim->expiry.key;
        heap_remove(&coordinator->expiries, &claim->expiry);
        CHECK(heap_insert(&coordinator->expiries, &twin->expiry, key) ==
              TROUPE_OK); /* its place was just left */
    }
}

/* `claim` has ended well: what the other one still says is nothing to anybody, and it is to stop. */
void speculation_won(struct coordinator *coordinator, struct claim *claim, uint64_t now_ns) {
    struct claim *loser = claim->twin;
    coordinator->counts.doubles_won += claim->shadow;
    claim->twin = loser->twin = NULL;
    ledger_shade(&coordinator->ledger, claim, false);
    ledger_shade(&coordinator->ledger, loser, false);
    if (loser->expiry.position != 0)
        heap_remove(&coordinator->expiries, &loser->expiry);
    ledger_set_state(&coordinator->ledger, loser, CLAIM_ORPHAN);
    loser->unwanted = true;
    recall_accepted(coordinator, loser->agent, loser, now_ns);
    recall_unwanted(coordinator, loser, now_ns);
}
