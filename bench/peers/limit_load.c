/* The limit: names of 16 bytes beside their values in slots of 32 bytes, half of a cache line, no thread but one
 * writes. Each look-up is one line, most of the time; nothing that can be shared or that grows is that fast. */
#include "peer_row.h"

#define BACKEND_NAME "limit_one_line"
#define BACKEND_BATCH 1
#define BACKEND_WRITERS_MAX 1

struct backend_thread {
    unsigned number;
};
static inline void backend_get_batch(struct backend_thread *thread, const char *const *names,
                                     uint64_t *ret_values);
#include "load_frame.h"

struct slot {
    uint64_t low, high, used, value;
};
static struct slot *slots;
static uint64_t slots_mask;

static void backend_open(uint64_t keys) {
    heap_before = heap_bytes();
    slots_mask = power_of_two(2 * keys) - 1;
    slots = aligned_alloc(64, (slots_mask + 1) * sizeof *slots);
    if (slots == NULL) {
        load_fail("no memory");
    }
    memset(slots, 0, (slots_mask + 1) * sizeof *slots);
}

static inline uint64_t word_at(const char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static inline struct slot *slot_of(const char *name, uint64_t hash) {
    uint64_t low = word_at(name), high = word_at(name + 8), at = hash & slots_mask;
    for (; slots[at].used != 0; at = (at + 1) & slots_mask) {
        if (((slots[at].low ^ low) | (slots[at].high ^ high)) == 0) {
            break;
        }
    }
    return &slots[at];
}

static inline uint64_t backend_get(struct backend_thread *thread, const char *name) {
    (void)thread;
    return slot_of(name, name_hash(name))->value;
}

static inline void backend_get_batch(struct backend_thread *thread, const char *const *names,
                                     uint64_t *ret_values) {
    uint64_t hashes[BATCH];
    (void)thread;
    for (unsigned at = 0; at < BATCH; at++) {
        hashes[at] = name_hash(names[at]);
        __builtin_prefetch(&slots[hashes[at] & slots_mask]);
    }
    for (unsigned at = 0; at < BATCH; at++) {
        ret_values[at] = slot_of(names[at], hashes[at])->value;
    }
}

static void backend_put(struct backend_thread *thread, const char *name, uint64_t value) {
    struct slot *slot = slot_of(name, name_hash(name));
    (void)thread;
    if (slot->used != 0) {
        load_fail("put twice");
    }
    *slot = (struct slot){word_at(name), word_at(name + 8), 1, value};
}

/* Moves those behind it back, so that no probe stops early. */
static void backend_drop(struct backend_thread *thread, const char *name) {
    struct slot *hole = slot_of(name, name_hash(name));
    (void)thread;
    if (hole->used == 0) {
        load_fail("dropped twice");
    }
    uint64_t empty = (uint64_t)(hole - slots);
    for (uint64_t at = (empty + 1) & slots_mask; slots[at].used != 0; at = (at + 1) & slots_mask) {
        uint64_t home = name_hash((const char *)&slots[at]) & slots_mask;
        if (((at - home) & slots_mask) >= ((at - empty) & slots_mask)) {
            slots[empty] = slots[at];
            empty = at;
        }
    }
    slots[empty] = (struct slot){0, 0, 0, 0};
}

static void backend_begin(struct backend_thread *thread, unsigned number) {
    thread->number = number;
}
static void backend_end(struct backend_thread *thread) {
    (void)thread;
}
static void backend_quiescent(struct backend_thread *thread) {
    (void)thread;
}
