/* ledger: one claim per live task: where it is, whose it is, what it holds; and the counts that must add up.
 *
 * A claim is made when a task is admitted and freed when its owner was told its end and nothing is held for
 * it any more.
 * Threads: the coordinator's turns.
 * Memory:  pooled in chunks; nothing is allocated per task once a chunk is there. */
#ifndef COORDINATE_LEDGER_H
#define COORDINATE_LEDGER_H

#include "coordinate/coordinate.h"

/*              admit                  offer                 accept
 *   (nothing) -------> CLAIM_WAITING -------> CLAIM_OFFERED -------> CLAIM_HELD
 *       |                |    ^                |     |                 |    |   (and back to WAITING: revoked)
 *       | refused        |    `--- refused ----'     | no answer       |    | ended by the agent,
 *       v                |                           | in time         |    | or by its actor's end
 *   CLAIM_OWED           | cancel, deadline          v                 |    v
 *       | told           v                      CLAIM_ORPHAN <---------'  CLAIM_OWED --told--> (freed)
 *       v            CLAIM_OWED --told--> (freed)    | it ends at last,   past its deadline and grace, or its lease
 *    (freed)                                         v or its actor did
 *                                                 (freed)
 *
 * OWED: the end is decided, yet there may be no memory to say so; tried again. ORPHAN: the owner was told;
 * resources stay taken until the agent can no longer be using them. */
enum claim_state {
    CLAIM_FREE,
    CLAIM_WAITING,
    CLAIM_OFFERED,
    CLAIM_HELD,
    CLAIM_ORPHAN,
    CLAIM_OWED,
    CLAIM_STATES
};

struct agent_view;
struct demand;
struct round;

struct claim {
    struct claim *hash_next;
    struct claim *list_next, *list_previous;   /* of its agent's claims, of what is owed, or of free claims */
    struct claim *round_next, *round_previous; /* of its batch, while that round is open */
    struct heap_node wait;                     /* in its demand's heap */
    struct heap_node expiry;                   /* among the deadlines; in no heap without one */
    struct task *task;                         /* ours: waiting and owed; NULL while an agent has it */
    struct demand *demand;
    struct agent_view *agent;
    struct round *round;
    struct claim *twin; /* the same task at another agent; see speculation.c */
    struct task_id id;
    actor_ref owner;
    struct account *account;
    const char *run_name, *stage_name, *capability_name;
    uint64_t deadline_ns, submitted_ns, expected_ns, order;
    uint64_t arrival; /* among equal orders: kept, wherever it waits */
    uint64_t offered_ns,
        begun_ns;       /* begun: when it came to an agent's slot, as far as can be seen from here; 0: not */
    uint64_t finish_ns; /* forecast */
    uint64_t lease_ns;  /* at an agent: when it is asked after, once it should be doing; 0: not accepted */
    uint64_t promised_ns; /* firm: the forecast when it was taken; when refused: when there is room */
    float deviation_ns;   /* of that forecast */
    unsigned capability;
    uint32_t epoch; /* of its offer */
    uint32_t offers;
    uint8_t state, priority;
    bool hashed, taken /* resources */, cancelled, rebalanced;
    uint8_t recalls;  /* times it came back from an agent's queue */
    bool moved;       /* refused or taken back: one class before its priority */
    bool begun, gone; /* the agent said so */
    bool idempotent, doubled /* once */, shadow, unwanted /* its twin has won */;
    bool firm, unplaced /* refused for its deadline, by admission.c */;
    uint8_t owed; /* enum troupe_error */
};

#define CLAIM_OF(node, member) ((struct claim *)(void *)((char *)(node)-offsetof(struct claim, member)))

struct claim_list {
    struct claim *first, *last;
    uint32_t count;
};
void claim_list_append(struct claim_list *list, struct claim *claim);
void claim_list_remove(struct claim_list *list, struct claim *claim);

struct ledger_chunk;
struct ledger {
    struct account *account;
    struct ledger_chunk *chunks;
    struct claim *free;
    struct claim **buckets;
    unsigned bucket_count; /* a power of two */
    uint64_t hash_seed;
    uint64_t by_state[CLAIM_STATES];
    uint64_t shadows;   /* claims of tasks that have another one */
    uint64_t parked;    /* tasks that wait without a claim; see parking.h */
    uint64_t unclaimed; /* live tasks for which there was no memory for a claim */
    uint64_t submitted, ended_ok, ended_failed, ended_cancelled, rejected;
};
MUST_CHECK enum troupe_error ledger_init(struct ledger *ledger, struct account *account, unsigned tasks_hint,
                                         uint64_t hash_seed);
void ledger_free(struct ledger *ledger);         /* claims with it; not the tasks */
struct claim *ledger_new(struct ledger *ledger); /* zeroed, CLAIM_FREE; NULL: no memory */
void ledger_release(struct ledger *ledger, struct claim *claim);
struct claim *ledger_find(const struct ledger *ledger, struct task_id id);
struct claim *ledger_find_epoch(const struct ledger *ledger, struct task_id id, uint32_t epoch);
void ledger_shade(struct ledger *ledger, struct claim *claim, bool shadow);
void ledger_index(struct ledger *ledger, struct claim *claim); /* findable by id from now on */
void ledger_unindex(struct ledger *ledger, struct claim *claim);
void ledger_set_state(struct ledger *ledger, struct claim *claim, enum claim_state state);
/* The owner is told, once per task. */
void ledger_count_end(struct ledger *ledger, enum task_state state);
uint64_t ledger_live(const struct ledger *ledger); /* tasks whose owner was not told yet */
void ledger_check(const struct ledger *ledger);    /* CHECKs that the counts add up */
/* for (size_t at = 0; (claim = ledger_next(ledger, &at));) over all claims in use, in a fixed order */
struct claim *ledger_next(const struct ledger *ledger, size_t *at);

#endif
