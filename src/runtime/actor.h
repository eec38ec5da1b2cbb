/* The actor: one 256-byte cell that holds its mailbox, its gate and everything a turn needs.
 *
 * Gate:    {generation:24, requests:18, all:22} in one word. A send is admitted by one compare-and-swap that
 * checks the generation and the bound and counts the message in; the receiver counts it out after its turn.
 * So - whoever makes `all` leave 0 puts the actor into a run queue (after its push), and whoever makes it 0
 * again is the worker that runs it: an actor is in at most one run queue, or running, and exactly while all
 * > 0; - an admitted message keeps the cell from being recycled: an ending actor first moves its generation
 * on (nobody is admitted any more) and drains until all == 0. A cell whose generation reaches GENERATION_MAX
 * is never used again, so a reference is never reborn.
 * Threads: line 0 is any thread's; the rest belongs to the worker that runs the actor (handed over by the
 *          run queue), but for the two monitor lists, which belong to runtime.monitor_lock. */
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
/* Requests with larger payloads are also bounded by mailbox_bytes_max; smaller ones by their number alone,
 * which saves an atomic per message (1024 x 1 KiB by default). */
#define REQUEST_BYTES_SMALL 1024U

struct monitor;
struct oneshot;

enum actor_phase { ACTOR_FREE, ACTOR_LIVE, ACTOR_ENDING };

struct actor {
    /* line 0: any thread */
    struct cell cell; /* next: the run queue or the free list */
    _Atomic uint64_t gate;
    _Atomic(struct message *) head; /* of the mailbox: newest */
    _Atomic uint64_t request_bytes; /* of large requests */
    _Atomic uint64_t request_bytes_max;
    _Atomic uint32_t requests_max;
    _Atomic uint32_t stops; /* actor_stop calls that had no memory for an EXIT; each counted in the gate */
    /* line 1: owner */
    _Alignas(64) struct message *tail;
    actor_handler handle;
    void *state;
    void (*destroy)(void *state);
    struct oneshot *timers;
    actor_ref self;
    enum troupe_error exit_reason;
    bool exiting; /* ends after this turn */
    bool pinned;
    uint8_t phase;       /* enum actor_phase */
    uint8_t release_max; /* turns after which the gate is told, inside a slice */
    uint8_t last_worker;
    /* line 2: rarely */
    struct monitor *monitors; /* who watches me: runtime.monitor_lock */
    struct monitor *watching; /* whom I watch: runtime.monitor_lock */
    char name[24];
    /* The mailbox's stub; last because it ends in a flexible array. */
    _Alignas(16) struct message stub;
};
_Static_assert(sizeof(struct actor) <= 256, "an idle actor is at most 256 bytes, mailbox included");

static inline actor_ref actor_ref_make(uint32_t generation, uint32_t slot) {
    return (uint64_t)generation << 32 | slot;
}
static inline uint32_t actor_ref_generation(actor_ref ref) {
    return (uint32_t)(ref >> 32);
}
static inline uint32_t actor_ref_slot(actor_ref ref) {
    return (uint32_t)ref;
}

#endif
