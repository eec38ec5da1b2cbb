/* Statistics: what is counted of look-ups, by the threads that make them, and of rows, by the holders of locks.
 *
 * Times: one look-up in TIMED_EVERY of a thread is timed, in ticks, and counted in a histogram with four slots an
 *        octave; percentiles are the upper ends of slots. They decide nothing.
 * Threads: any. Memory: the registry's. */
#include "registry/registry_private.h"

_Thread_local size_t lookups_place __attribute__((tls_model("initial-exec"))) = LOOKUPS_NOWHERE;

/* The first COUNTERS - 1 threads of the process have lines of their own. */
static struct lookups *lookups_line(const struct registry *registry, bool *ret_shared) {
    static _Atomic unsigned threads;
    static _Thread_local bool numbered;
    if (!numbered) {
        numbered = true;
        unsigned number = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed); /* no order */
        lookups_place = number < COUNTERS - 1 ? number * sizeof(struct lookups) : LOOKUPS_NOWHERE;
    }
    *ret_shared = lookups_place == LOOKUPS_NOWHERE;
    return *ret_shared ? &registry->lookups[COUNTERS - 1] : lookups_at(registry, lookups_place);
}

static void count_in(_Atomic uint64_t *total, uint64_t by, bool shared) {
    if (shared) {
        atomic_fetch_add_explicit(total, by, memory_order_relaxed); /* statistics */
    } else {
        counted(total, by);
    }
}

uint64_t lookups_add(const struct registry *registry, size_t all, size_t missed) {
    bool shared;
    struct lookups *line = lookups_line(registry, &shared);
    if (all != 0) {
        count_in(&line->all, all, shared);
    }
    if (missed != 0) {
        count_in(&line->missed, missed, shared);
    }
    return atomic_load_explicit(&line->all, memory_order_relaxed);
}

static unsigned took_slot(uint64_t ticks) {
    if (ticks < 4) {
        return (unsigned)ticks;
    }
    unsigned octave = 63 - (unsigned)__builtin_clzll(ticks);
    unsigned slot = (octave - 1) * 4 + (ticks >> (octave - 2) & 3);
    return slot < TOOK_SLOTS ? slot : TOOK_SLOTS - 1;
}

static uint64_t took_end(unsigned slot) {
    return slot < 4 ? slot + 1 : (UINT64_C(5) + slot % 4) << (slot / 4 - 1);
}

void lookups_took(const struct registry *registry, enum lookup which, uint64_t ticks) {
    bool shared;
    struct lookups *line = lookups_line(registry, &shared);
    count_in(&line->took[which][took_slot(ticks)], 1, shared);
}

static uint64_t read_count(const _Atomic uint64_t *total) {
    return atomic_load_explicit(total, memory_order_relaxed); /* a statistic */
}

size_t registry_count(const struct registry *registry) {
    size_t rows = 0;
    for (uint32_t at = 0; at <= registry->partition_mask; at++) {
        rows += read_count(&registry->partitions[at].rows);
    }
    return rows;
}

static uint64_t took_percentile(const struct registry *registry, enum lookup which, unsigned percent) {
    uint64_t slots[TOOK_SLOTS] = {0}, all = 0, seen = 0;
    for (unsigned line = 0; line < COUNTERS; line++) {
        for (unsigned slot = 0; slot < TOOK_SLOTS; slot++) {
            uint64_t count = read_count(&registry->lookups[line].took[which][slot]);
            slots[slot] += count;
            all += count;
        }
    }
    for (unsigned slot = 0; slot < TOOK_SLOTS && all != 0; slot++) {
        seen += slots[slot];
        if (seen * 100 >= all * percent) {
            return (uint64_t)((double)took_end(slot) / env_ticks_per_ns(registry->env)) + 1;
        }
    }
    return 0;
}

void registry_statistics(const struct registry *registry, struct registry_statistics *ret) {
    struct registry_statistics sum = {.rows = registry_count(registry)};
    for (uint32_t at = 0; at <= registry->partition_mask; at++) {
        const struct partition *partition = &registry->partitions[at];
        sum.registered += read_count(&partition->registered);
        sum.removed += read_count(&partition->removed);
        sum.grown += read_count(&partition->grown);
        sum.bytes += read_count(&partition->bytes);
        for (unsigned lane = 0; lane < LANES; lane++) {
            sum.waiting += read_count(&partition->limbos[lane].waiting);
        }
    }
    for (unsigned at = 0; at < COUNTERS; at++) {
        uint64_t missed = read_count(&registry->lookups[at].missed);
        sum.lookups_missed += missed;
        sum.lookups_hit += read_count(&registry->lookups[at].all) - missed;
    }
    sum.hit_p50_ns = took_percentile(registry, LOOKUP_HIT, 50);
    sum.hit_p95_ns = took_percentile(registry, LOOKUP_HIT, 95);
    sum.missed_p50_ns = took_percentile(registry, LOOKUP_MISSED, 50);
    sum.missed_p95_ns = took_percentile(registry, LOOKUP_MISSED, 95);
    *ret = sum;
}
