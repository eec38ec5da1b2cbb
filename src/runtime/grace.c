/* Grace periods: quiescent-state-based reclamation with acquire and release on the operations, no fences.
 *
 * A writer unlinks a block and retires it; the block is freed after every reader that was online has said,
 * once, that it holds nothing. There is a global epoch; a reader's `seen` is the epoch at its last quiescent
 * moment, 0 while it is offline. A grace period: take the list of retired blocks, raise the epoch to T, and
 * wait (by looking now and then, never by blocking) until each reader's seen is 0 or at least T.
 *
 * Why it is safe. Call U the unlinking of block B, C the collector's raise of the epoch to T, F the freeing
 * of B. U happens before C: the retirer put B into the list under the lock and the collector took it from
 * there under it. (1) A reader whose seen >= T: it read an epoch >= T (acquire), so C, hence U, happens
 * before everything it reads later: it cannot find B any more. What it read earlier happens before its store
 * of seen (release), which the collector loaded (acquire) before F. (2) A reader found offline (seen == 0)
 * that the collector's scan found so: what it read before it went offline happens before F as in (1). If it
 * comes online, it first stores seen = 1, which is below every T, and then does a read-modify-write of the
 * epoch. All such and C are in one modification order. If its comes before C, then C (acquire) sees its
 * release, so the scan after C finds seen != 0 and waits. If it comes after C, it acquires C, hence U: it
 * cannot find B. So a store that is still in flight while the reader starts to read, the case for which
 * others need a fence, cannot hurt. Batches are freed in order and one grace period runs at a time; a block
 * waits for at most two.
 *
 * Threads: see runtime.h.
 * Memory:  the account; a node is inside the caller's block or allocated by grace_retire. */
#include "runtime/runtime.h"

#define EPOCH_ENTERING 1U
#define EPOCH_FIRST 2U

struct reader {
    _Alignas(64) _Atomic uint64_t seen; /* owner writes, collectors read */
    bool used;                          /* under the lock */
};

struct grace {
    struct account *account;
    unsigned readers_max;
    size_t retired_max;
    struct reader *readers;
    _Alignas(64) _Atomic uint64_t epoch; /* read-mostly */
    _Alignas(64) _Atomic size_t retired; /* reserved or waiting */
    _Atomic size_t retired_most;
    struct spin lock; /* of the rest */
    struct grace_node *incoming, **incoming_end;
    struct grace_node *waiting; /* until every reader has seen `target` */
    uint64_t target;
};

struct retired_block { /* a node for a block that has none of its own */
    struct grace_node node;
    void (*fn)(void *context, void *block);
    void *context, *block;
    struct account *account;
};

enum troupe_error grace_create(struct account *account, unsigned readers_max, size_t retired_max,
                               struct grace **ret_grace) {
    struct grace *grace = memory_alloc_aligned(account, 64, sizeof *grace);
    struct reader *readers = memory_alloc_aligned(account, 64, readers_max * sizeof *readers);
    if (grace == NULL || readers == NULL) {
        memory_free(account, grace);
        memory_free(account, readers);
        return TROUPE_NOMEM;
    }
    grace->account = account;
    grace->readers = readers;
    grace->readers_max = readers_max;
    grace->retired_max = retired_max;
    grace->epoch = EPOCH_FIRST;
    grace->incoming_end = &grace->incoming;
    *ret_grace = grace;
    return TROUPE_OK;
}

static size_t nodes_run(struct grace_node *node) {
    size_t count = 0;
    while (node != NULL) {
        struct grace_node *next = node->next;
        node->fn(node->context, node);
        node = next;
        count++;
    }
    return count;
}

void grace_free(struct grace *grace) {
    if (grace == NULL) {
        return;
    }
    nodes_run(grace->waiting);
    nodes_run(grace->incoming);
    memory_free(grace->account, grace->readers);
    memory_free(grace->account, grace);
}

enum troupe_error grace_register(struct grace *grace, unsigned *ret_reader) {
    unsigned reader = 0;
    spin_lock(&grace->lock);
    while (reader < grace->readers_max && grace->readers[reader].used) {
        reader++;
    }
    if (reader < grace->readers_max) {
        grace->readers[reader].used = true;
    }
    spin_unlock(&grace->lock);
    if (reader == grace->readers_max) {
        return TROUPE_LIMIT;
    }
    grace_online(grace, reader);
    *ret_reader = reader;
    return TROUPE_OK;
}

void grace_unregister(struct grace *grace, unsigned reader) {
    grace_offline(grace, reader);
    spin_lock(&grace->lock);
    CHECK(grace->readers[reader].used);
    grace->readers[reader].used = false;
    spin_unlock(&grace->lock);
}

void grace_quiescent(struct grace *grace, unsigned reader) {
    _Atomic uint64_t *seen = &grace->readers[reader].seen;
    uint64_t epoch =
        atomic_load_explicit(&grace->epoch, memory_order_acquire);   /* (1): pairs with the raise */
    if (atomic_load_explicit(seen, memory_order_relaxed) != epoch) { /* ours */
        atomic_store_explicit(seen, epoch, memory_order_release);    /* (1): pairs with the scan */
    }
}

void grace_offline(struct grace *grace, unsigned reader) {
    atomic_store_explicit(&grace->readers[reader].seen, 0,
                          memory_order_release); /* (2): pairs with the scan */
}

void grace_online(struct grace *grace, unsigned reader) {
    _Atomic uint64_t *seen = &grace->readers[reader].seen;
    atomic_store_explicit(seen, EPOCH_ENTERING, memory_order_relaxed); /* (2): published by the next line */
    uint64_t epoch =
        atomic_fetch_add_explicit(&grace->epoch, 0, memory_order_acq_rel); /* (2): pairs with the raise */
    atomic_store_explicit(seen, epoch, memory_order_release);              /* (1) */
}

enum troupe_error grace_reserve(struct grace *grace, size_t count) {
    /* Relaxed: a bound, it orders nothing. */
    size_t before = atomic_fetch_add_explicit(&grace->retired, count, memory_order_relaxed);
    if (before + count > grace->retired_max) {
        atomic_fetch_sub_explicit(&grace->retired, count, memory_order_relaxed);
        return TROUPE_FULL;
    }
    size_t most = atomic_load_explicit(&grace->retired_most, memory_order_relaxed);
    while (before + count > most &&
           !atomic_compare_exchange_weak_explicit(&grace->retired_most, &most, before + count,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    return TROUPE_OK;
}

void grace_unreserve(struct grace *grace, size_t count) {
    atomic_fetch_sub_explicit(&grace->retired, count, memory_order_relaxed); /* a bound */
}

void grace_defer(struct grace *grace, struct grace_node *node) {
    node->next = NULL;
    spin_lock(&grace->lock);
    *grace->incoming_end = node;
    grace->incoming_end = &node->next;
    spin_unlock(&grace->lock);
}

static void retired_block_run(void *context, struct grace_node *node) {
    struct retired_block *retired = (struct retired_block *)(void *)node;
    (void)context;
    retired->fn(retired->context, retired->block);
    memory_free(retired->account, retired);
}

enum troupe_error grace_retire(struct grace *grace, void (*fn)(void *context, void *block), void *context,
                               void *block) {
    enum troupe_error error = grace_reserve(grace, 1);
    if (error != TROUPE_OK) {
        return error;
    }
    struct retired_block *retired = memory_alloc(grace->account, sizeof *retired);
    if (retired == NULL) {
        grace_unreserve(grace, 1);
        return TROUPE_NOMEM;
    }
    *retired = (struct retired_block){.node = {.fn = retired_block_run},
                                      .fn = fn,
                                      .context = context,
                                      .block = block,
                                      .account = grace->account};
    grace_defer(grace, &retired->node);
    return TROUPE_OK;
}

/* Called with the lock held, after the raise. */
static bool readers_passed(const struct grace *grace) {
    for (unsigned reader = 0; reader < grace->readers_max; reader++) {
        uint64_t seen =
            atomic_load_explicit(&grace->readers[reader].seen, memory_order_acquire); /* (1), (2) */
        if (seen != 0 && seen < grace->target) {
            return false;
        }
    }
    return true;
}

void grace_collect(struct grace *grace) {
    /* Relaxed: a hint; somebody looks again after the next turn. */
    if (atomic_load_explicit(&grace->retired, memory_order_relaxed) == 0 || !spin_try(&grace->lock)) {
        return;
    }
    struct grace_node *freed = NULL, **end = &freed;
    while (grace->waiting != NULL || grace->incoming != NULL) {
        if (grace->waiting == NULL) {
            grace->waiting = grace->incoming;
            grace->incoming = NULL;
            grace->incoming_end = &grace->incoming;
            /* C of the argument above: acquire and release. */
            grace->target = atomic_fetch_add_explicit(&grace->epoch, 1, memory_order_acq_rel) + 1;
        }
        if (!readers_passed(grace)) {
            break;
        }
        *end = grace->waiting;
        while (*end != NULL) {
            end = &(*end)->next;
        }
        grace->waiting = NULL;
    }
    spin_unlock(&grace->lock);
    size_t count = nodes_run(freed);
    if (count > 0) {
        grace_unreserve(grace, count);
    }
}

size_t grace_retired(const struct grace *grace, size_t *ret_most) {
    *ret_most = atomic_load_explicit(&grace->retired_most, memory_order_relaxed); /* statistics */
    return atomic_load_explicit(&grace->retired, memory_order_relaxed);           /* statistics */
}
