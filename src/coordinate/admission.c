/* Whether a firm deadline is kept: a task whose deadline is firm is taken with a promise, or refused at once with the
 * time until there is room for such a task. It never waits only to be late.
 *
 * The tasks that wait are placed in the order in which they will be offered, each where it ends first, as assign does.
 * What is promised is the forecast and a margin of so many deviations:
 *
 *   deviation = sqrt(service^2 + service x wait / slots)
 *
 * in services: those ahead of it are wait x slots / service, each varies like a service, and the slots share what they
 * add up to. How many deviations is learned from how the last promises went: as many as all but MARGIN_LATE of
 * PROMISES_KEPT of them needed. No distribution is assumed, and what has passed is forgotten.
 *
 * Two cases are not left to the margin. A task that would begin at once is taken when the forecast alone keeps its
 * deadline: better will never come. Of a kind of which nothing is known only those are taken that begin at once.
 *
 * Invariant: a new task is refused rather than make late one that was promised something before. */
#include "coordinate/coordinator.h"

#include <math.h>
#include <string.h>

#define MARGIN_LATE                                                                                          \
    2 /* of PROMISES_KEPT: 0.4 %; what breaks promises breaks many at once, and 1 % is the bound */
#define MARGIN_FIRST 1.0f /* 2.9 standard deviations when services vary by a third */
#define MARGIN_MAX 16.0f
#define MARGIN_LEAST                                                                                         \
    0.5f /* equal services need none, until a machine is disturbed: 20 ms there broke 80 promises */
#define MARGIN_CUT 0.25f /* beyond what was seen of a task that was cut at its deadline */
#define EVICTIONS_MAX 8  /* passes over the plan; then all new ones that stand before a harmed one go */
#define UNKNOWN_KIND_NS                                                                                      \
    UINT64_C(10000000) /* told to one of a kind of which nothing is known: ask again then */

void admission_init(struct admission *admission) {
    *admission = (struct admission){.margin = MARGIN_FIRST};
    for (unsigned i = 0; i <= MARGIN_LATE; i++)
        admission->needed[PROMISES_KEPT - 1 - i] = MARGIN_FIRST; /* until so many others are known */
}

void admission_free(struct admission *admission, struct account *account) {
    memory_free(account, admission->slots);
    *admission = (struct admission){0};
}

/* The (MARGIN_LATE + 1)th largest. */
static float margin_of(const float *needed) {
    float largest[MARGIN_LATE + 1] = {0};
    for (unsigned i = 0; i < PROMISES_KEPT; i++)
        for (unsigned k = 0; k <= MARGIN_LATE && needed[i] > largest[MARGIN_LATE]; k++)
            if (needed[i] > largest[k]) {
                memmove(&largest[k + 1], &largest[k], (MARGIN_LATE - k) * sizeof *largest);
                largest[k] = needed[i];
                break;
            }
    return largest[MARGIN_LATE] > MARGIN_LEAST ? largest[MARGIN_LATE] : MARGIN_LEAST;
}

void admission_learn(struct admission *admission, const struct claim *claim, uint64_t ended_ns, bool cut) {
    double away = (double)ended_ns - (double)claim->promised_ns;
    float needed = (float)(away / (double)claim->deviation_ns) + (cut ? MARGIN_CUT : 0);
    admission->needed[admission->next++ % PROMISES_KEPT] = needed < MARGIN_MAX ? needed : MARGIN_MAX;
    admission->margin = margin_of(admission->needed);
}

/* ---- one pass ---- */
struct placing { /* of one task */
    uint32_t agent;
    uint64_t start_ns, finish_ns;
    double deviation_ns;
    uint64_t latest_ns; /* with the margin */
    uint64_t least_ns;  /* service at the fastest agent */
};
struct pass {
    struct coordinator *coordinator;
    const struct round *round;
    uint64_t now_ns;
    bool dropped[PLAN_TASKS_MAX];
    uint32_t slots[PLAN_DEMANDS_MAX]; /* that can do it, by row */
    unsigned evictions;
};

static bool load(struct pass *pass) {
    struct coordinator *coordinator = pass->coordinator;
    struct admission *admission = &coordinator->admission;
    const struct plan *plan = &coordinator->plan;
    if (admission->slot_capacity < plan->slot_capacity) {
        uint64_t *grown =
            memory_resize(coordinator->account, admission->slots, plan->slot_capacity * sizeof *grown);
        if (!grown)
            return false;
        admission->slots = grown;
        admission->slot_capacity = plan->slot_capacity;
    }
    memcpy(admission->slots, plan->slot_times, plan->slot_capacity * sizeof *admission->slots);
    for (unsigned i = 0; i < coordinator->snapshot.views_used; i++) {
        uint64_t *slots = admission->slots + (plan->agents[i].slot_free_ns - plan->slot_times);
        for (uint32_t slot = 0; slot < plan->agents[i].slots; slot++)
            if (slots[slot] < pass->now_ns)
                slots[slot] = pass->now_ns;
        if (plan->agents[i].slots > 1)
            assign_slots_sort(slots, plan->agents[i].slots);
    }
    return true;
}

static uint64_t *slots_of(const struct pass *pass, uint32_t agent) {
    const struct plan *plan = &pass->coordinator->plan;
    return pass->coordinator->admission.slots + (plan->agents[agent].slot_free_ns - plan->slot_times);
}

static uint64_t later(uint64_t at_ns, double ns) {
    return ns >= (double)(ASSIGN_NEVER - 1 - at_ns) ? ASSIGN_NEVER - 1 : at_ns + (uint64_t)ns;
}

static void add_margin(const struct pass *pass, double service, uint32_t slots, struct placing *placing) {
    double wait = (double)(placing->start_ns - pass->now_ns);
    placing->deviation_ns = sqrt(service * service + service * wait / (slots ? slots : 1));
    placing->latest_ns =
        later(placing->finish_ns, (double)pass->coordinator->admission.margin * placing->deviation_ns);
}

/* False: nobody can do it, as things are. */
static bool place(const struct pass *pass, const struct assign_task *task, struct placing *ret) {
    const struct plan *plan = &pass->coordinator->plan;
    const float *factor = plan->demands[task->demand].factor;
    *ret = (struct placing){.agent = ASSIGN_NONE, .finish_ns = ASSIGN_NEVER, .least_ns = ASSIGN_NEVER};
    for (uint32_t agent = 0; agent < pass->coordinator->snapshot.views_used; agent++) {
        if (factor[agent] <= 0 || plan->agents[agent].slots == 0)
            continue;
        uint64_t start_ns = slots_of(pass, agent)[0];
        uint64_t finish_ns = later(start_ns, (double)task->expected_ns * (double)factor[agent]);
        if (finish_ns - start_ns < ret->least_ns)
            ret->least_ns = finish_ns - start_ns;
        if (finish_ns >= ret->finish_ns)
            continue;
        ret->agent = agent;
        ret->start_ns = start_ns;
        ret->finish_ns = finish_ns;
    }
    if (ret->agent == ASSIGN_NONE)
        return false;
    add_margin(pass, (double)(ret->finish_ns - ret->start_ns), pass->slots[task->demand], ret);
    return true;
}

static bool is_new(const struct pass *pass, const struct claim *claim) {
    return claim->firm && claim->round == pass->round && claim->promised_ns == 0;
}

static bool known(const struct coordinator *coordinator, const struct claim *claim) {
    return (claim->task && claim->task->expected_ns) ||
           coordinator->snapshot.service_ns[claim->capability] > 0;
}

/* Notes why not when it does not. */
static bool fits(const struct pass *pass, struct claim *claim, const struct placing *placing) {
    bool at_once = placing->start_ns <= pass->now_ns;
    if (at_once && placing->finish_ns <= claim->deadline_ns)
        return true;
    if (!known(pass->coordinator, claim)) {
        claim->promised_ns = pass->now_ns + UNKNOWN_KIND_NS;
        return false;
    }
    if (placing->latest_ns <= claim->deadline_ns)
        return true;
    claim->promised_ns = pass->now_ns + (placing->latest_ns - claim->deadline_ns);
    return false;
}

/* The new task that stands before `limit` and takes longest; -1: none does. */
static int longest_new(const struct pass *pass, unsigned limit) {
    const struct plan *plan = &pass->coordinator->plan;
    int longest = -1;
    for (unsigned i = 0; i < limit; i++)
        if (!pass->dropped[i] && is_new(pass, plan->claims[i]) &&
            (longest < 0 || plan->tasks[i].expected_ns > plan->tasks[longest].expected_ns))
            longest = (int)i;
    return longest;
}

/* A promise that the new ones before it would break: one of them, or all, has to go. */
static bool evict(struct pass *pass, unsigned harmed, uint64_t excess_ns) {
    struct plan *plan = &pass->coordinator->plan;
    bool any = false;
    for (int at; (at = longest_new(pass, harmed)) >= 0;) {
        pass->dropped[at] = any = true;
        plan->claims[at]->promised_ns = later(pass->now_ns, (double)excess_ns);
        if (pass->evictions < EVICTIONS_MAX)
            break;
    }
    pass->evictions++;
    return any;
}

/* False: again, with one new task less. */
static bool walk(struct pass *pass) {
    struct plan *plan = &pass->coordinator->plan;
    for (unsigned i = 0; i < plan->task_count; i++) {
        struct claim *claim = plan->claims[i];
        struct placing placing;
        if (pass->dropped[i] || !place(pass, &plan->tasks[i], &placing))
            continue;
        if (is_new(pass, claim)) {
            if (!fits(pass, claim, &placing)) {
                pass->dropped[i] = true;
                continue;
            }
            claim->finish_ns = placing.finish_ns; /* for settle() */
            claim->deviation_ns = (float)placing.deviation_ns;
        } else if (claim->firm && claim->promised_ns != 0 && placing.latest_ns > claim->deadline_ns &&
                   evict(pass, i, placing.latest_ns - claim->deadline_ns))
            return false;
        assign_slots_advance(slots_of(pass, placing.agent), plan->agents[placing.agent].slots,
                             placing.finish_ns);
    }
    return true;
}

/* ---- what comes of it ---- */
static void refuse(struct coordinator *coordinator, struct turn *turn, struct round *round,
                   struct claim *claim, uint64_t least_ns) {
    bool hopeless = least_ns != ASSIGN_NEVER && turn->now_ns + least_ns > claim->deadline_ns;
    claim->unplaced = true;
    if (hopeless)
        claim->promised_ns = turn->now_ns + least_ns;
    else if (round->room_ns == 0 || claim->promised_ns < round->room_ns)
        round->room_ns = claim->promised_ns;
    coordinator->counts.refused_early++;
    ending_tell(coordinator, turn, claim, hopeless ? TROUPE_DEADLINE : TROUPE_OVERLOADED);
}

/* Takes what is dropped out of the plan and tells it; the others have their promise. */
static void settle(struct pass *pass, struct turn *turn, struct round *round) {
    struct coordinator *coordinator = pass->coordinator;
    struct plan *plan = &coordinator->plan;
    unsigned kept = 0;
    for (unsigned i = 0; i < plan->task_count; i++) {
        struct claim *claim = plan->claims[i];
        if (pass->dropped[i]) {
            struct placing placing;
            bool possible = place(pass, &plan->tasks[i], &placing);
            refuse(coordinator, turn, round, claim, possible ? placing.least_ns : ASSIGN_NEVER);
            continue;
        }
        /* Without an agent that could be asked nothing is known and nothing promised: it waits. */
        if (is_new(pass, claim) && claim->finish_ns != 0) {
            claim->promised_ns = claim->finish_ns;
            coordinator->counts.promised++;
        }
        plan->tasks[kept] = plan->tasks[i];
        plan->claims[kept++] = claim;
    }
    plan->task_count = kept;
}

/* Those that the plan did not reach: behind all that it has, and behind the rest of the queue. */
static void judge_beyond(struct pass *pass, struct turn *turn, struct round *round) {
    struct coordinator *coordinator = pass->coordinator;
    const struct plan *plan = &coordinator->plan;
    for (struct claim *claim = round->claims, *next; claim; claim = next) {
        next = claim->round_next;
        if (!is_new(pass, claim) || claim->state != CLAIM_WAITING)
            continue;
        uint64_t first_ns = ASSIGN_NEVER;
        uint32_t slots = 0;
        for (uint32_t agent = 0; agent < coordinator->snapshot.views_used; agent++) {
            if (plan->agents[agent].slots == 0 ||
                !agent_view_has(coordinator->snapshot.views[agent], claim->capability))
                continue;
            slots += plan->agents[agent].slots;
            if (slots_of(pass, agent)[0] < first_ns)
                first_ns = slots_of(pass, agent)[0];
        }
        if (slots == 0)
            continue; /* its holder is on its way: it waits, and is judged by nobody */
        double service = (double)claim->expected_ns, ahead = service * coordinator->queue.count / slots;
        struct placing placing = {.start_ns = later(first_ns, ahead), .least_ns = claim->expected_ns};
        placing.finish_ns = later(placing.start_ns, service);
        add_margin(pass, service, slots, &placing);
        if (fits(pass, claim, &placing)) {
            claim->promised_ns = placing.finish_ns;
            claim->deviation_ns = (float)placing.deviation_ns;
            coordinator->counts.promised++;
            continue;
        }
        wait_queue_remove(&coordinator->queue, claim);
        refuse(coordinator, turn, round, claim, placing.least_ns);
    }
}

static void count_slots(struct pass *pass) {
    const struct plan *plan = &pass->coordinator->plan;
    for (unsigned row = 0; row < plan->demand_count; row++)
        for (unsigned i = 0; i < pass->coordinator->snapshot.views_used; i++)
            pass->slots[row] += plan->demands[row].factor[i] > 0 ? plan->agents[i].slots : 0;
}

/* Counted resources can make them wait for more than a slot: those that the plan says to be late for it go as well. */
static void judge_counted(struct coordinator *coordinator, struct turn *turn, struct round *round) {
    unsigned forecast = coordinator->plan.task_count;
    if (forecast == 0)
        return;
    plan_assign(coordinator, turn->now_ns, false, false); /* all of it is back in the queue */
    for (struct claim *claim = round->claims, *next; claim; claim = next) {
        next = claim->round_next;
        if (!claim->firm || claim->promised_ns == 0 || claim->state != CLAIM_WAITING ||
            !claim->demand->counted || claim->finish_ns <= claim->deadline_ns)
            continue;
        bool never = claim->finish_ns == ASSIGN_NEVER;
        claim->promised_ns = turn->now_ns + (never ? UNKNOWN_KIND_NS : claim->finish_ns - claim->deadline_ns);
        coordinator->counts.promised--;
        wait_queue_remove(&coordinator->queue, claim);
        refuse(coordinator, turn, round, claim, ASSIGN_NEVER);
    }
    plan_matrix(coordinator, forecast);
}

static void refuse_all(struct coordinator *coordinator, struct turn *turn, const struct pass *pass) {
    struct plan *plan = &coordinator->plan;
    unsigned kept = 0;
    for (unsigned i = 0; i < plan->task_count; i++) {
        if (is_new(pass, plan->claims[i])) {
            ending_tell(coordinator, turn, plan->claims[i], TROUPE_NOMEM);
            continue;
        }
        plan->tasks[kept] = plan->tasks[i];
        plan->claims[kept++] = plan->claims[i];
    }
    plan->task_count = kept;
}

void admission_judge(struct coordinator *coordinator, struct turn *turn, struct round *round) {
    struct pass pass = {.coordinator = coordinator, .round = round, .now_ns = turn->now_ns};
    bool counted = false;
    for (const struct claim *claim = round->claims; claim; claim = claim->round_next)
        counted |= claim->firm && claim->demand && claim->demand->counted;
    count_slots(&pass);
    do
        if (!load(&pass)) {
            refuse_all(coordinator, turn, &pass);
            return;
        }
    while (!walk(&pass));
    settle(&pass, turn, round);
    judge_beyond(&pass, turn, round);
    if (counted)
        judge_counted(coordinator, turn, round);
}
