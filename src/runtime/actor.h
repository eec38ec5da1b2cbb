/* The actor: one cell of two cache lines. A turn and a send between neighbours touch the first one alone.
 *
 * Owner:   every actor belongs to one worker, `owner`; that worker's thread alone runs it and touches what is the
 *          owner's, without a single locked instruction. Ownership moves in two ways. The owner hands a runnable
 *          actor to an idle worker (scheduler.c). And while the owner is away (parked; its `presence` says so), a
 *          worker that sends to one of its actors takes that actor over, under the owner's LENT mark (worker_claim),
 *          so that nobody is woken for it. Pinned actors stay with worker 0.
 * Gate:    {generation:24, requests:18, all:22} in one word, for everybody else. A send from another thread is
 *          admitted by one compare-and-swap that checks the generation and the bound and counts the message in.
 *          - `all` counts what was admitted and not fetched yet, so it keeps the cell from being recycled: an ending
 *          actor moves its generation on (nobody is admitted any more), and its cell is free when all == 0 and no
 *          notice is under way. A cell whose generation reaches GENERATION_MAX is never used again, so a reference
 *          is never reborn.
 *          - `requests` counts the requests in the mailbox and the owner's `credit`: places that are reserved for
 *          its next sends and given back in batches. So the bound is never passed, and a neighbour's send costs no
 *          read-modify-write; others may be refused up to 1/32 of the bound early (bounds below 64: exact).
 * Threads: owner: the owning worker's thread. any: atomic. The monitor lists belong to runtime.monitor_lock. */
#ifndef RUNTIME_ACTOR_H
#define RUNTIME_ACTOR_H

#include "runtime/cell_table.h"
#include "runtime/mailbox.h"
#include "runtime/runtime.h"

#define GATE_ALL UINT64_C(1)
#define GATE_REQUEST (UINT64_C(1) << 22)
#define GATE_GENERATION (UINT64_C(1) << 40)
#define GATE_ALL_OF(gate) ((uint32_t)((gate)&0x3fffff))
#define GATE_REQUESTS_OF(gate) ((uint32_t)((gate) >> 22 & 0x3ffff))
#define GATE_GENERATION_OF(gate) ((uint32_t)((gate) >> 40))
#define GENERATION_MAX 0xffffffU
#define REQUESTS_MAX 200000U /* leaves room in 18 bits */
#define ALL_MAX 4000000U     /* of 22 bits: replies and system messages are bounded by what they answer */
#define CREDIT_MAX 32U
/* Requests with larger payloads are also bounded by mailbox_bytes_max; smaller ones by their number alone,
 * which saves an atomic per message (1024 x 1 KiB by default). */
#define REQUEST_BYTES_SMALL 1024U

#define OWNER_WORKER 0x3fU /* of actor.owner */
#define OWNER_PINNED 0x80U

struct monitor;
struct oneshot;

enum actor_phase { ACTOR_FREE, ACTOR_LIVE, ACTOR_ENDING };

struct actor {
    struct cell cell; /* next: the run queue or the free list; second: the notices of a worker */
    _Atomic uint64_t gate;
    struct mailbox mailbox;
    actor_handler handle; /* owner, as what follows */
    void *state;
    _Atomic uint8_t owner;   /* worker and OWNER_PINNED; any thread reads */
    uint8_t phase;           /* enum actor_phase */
    bool ready;              /* in a run queue, in somebody's hands on the way to one, or running */
    bool exiting;            /* ends after this turn */
    _Atomic uint16_t credit; /* reserved requests that are not used; owner writes, others read a hint */
    uint8_t credit_keep;     /* how many may stay */
    _Atomic uint8_t charge;  /* whose account its messages are charged to; 0: nobody's; any thread reads */
    /* line 1: rarely */
    _Alignas(64) void (*destroy)(void *state);
    struct oneshot *timers;
    struct monitor *monitors;       /* who watches me: runtime.monitor_lock */
    struct monitor *watching;       /* whom I watch: runtime.monitor_lock */
    _Atomic(const char *) name;     /* lives as long as the runtime */
    _Atomic uint64_t request_bytes; /* of large requests; any thread */
    _Atomic uint64_t request_bytes_max;
    _Atomic uint32_t requests_max;
    uint32_t exit_reason; /* enum troupe_error; owner */
};
_Static_assert(sizeof(struct actor) == 128, "an idle actor is two cache lines, mailbox included");

static inline actor_ref actor_ref_make(uint32_t generation, uint32_t slot) {
    return (uint64_t)generation << 32 | slot;
}
static inline uint32_t actor_ref_generation(actor_ref ref) {
    return (uint32_t)(ref >> 32);
}
static inline uint32_t actor_ref_slot(actor_ref ref) {
    return (uint32_t)ref;
}
/* Of a live actor; its owner. */
static inline actor_ref actor_self(const struct actor *actor) {
    uint64_t gate = atomic_load_explicit(&actor->gate, memory_order_relaxed); /* its generation stands */
    return actor_ref_make(GATE_GENERATION_OF(gate), actor->cell.index);
}

/* Credit is the owner's to change; a relaxed store, because others only read it as a hint. */
static inline unsigned actor_credit_of(const struct actor *actor) {
    return atomic_load_explicit(&actor->credit, memory_order_relaxed);
}

static inline void actor_credit_set(struct actor *actor, unsigned credit) {
    atomic_store_explicit(&actor->credit, (uint16_t)credit, memory_order_relaxed);
}

/* Owner: `handled` requests have left the mailbox; their places are credit, what is too much goes back. */
static inline void actor_credit(struct actor *actor, unsigned handled) {
    unsigned credit = actor_credit_of(actor) + handled;
    if (__builtin_expect(credit > actor->credit_keep, 0)) {
        unsigned back = credit - actor->credit_keep / 2U;
        /* Relaxed: a bound; it orders nothing. */
        atomic_fetch_sub_explicit(&actor->gate, back * GATE_REQUEST, memory_order_relaxed);
        credit -= back;
    }
    actor_credit_set(actor, credit);
}

#endif
