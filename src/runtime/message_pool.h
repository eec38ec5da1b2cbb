/* Blocks for messages, by size class, in per-worker free lists that refill from and overflow to a shared
 * list.
 *
 * Invariants: a block is in one place; classes are powers of two from 64 bytes; larger blocks come straight
 *             from the account. Under AddressSanitizer every block does, so that use after free is seen.
 * Threads: take and give: any thread. A cache belongs to one worker; a block goes back to the cache of the
 *          worker that frees it, and CACHE_MAX per class bounds what a worker that only receives can hoard.
 * Memory:  slabs from the account, kept until pool_free. */
#ifndef RUNTIME_MESSAGE_POOL_H
#define RUNTIME_MESSAGE_POOL_H

#include "base/base.h"
#include "runtime/spin.h"

#define POOL_CLASSES 7U /* 64, 128, .. 4096 bytes */
#define POOL_CLASS_BIG 15U

struct pool_block { /* how a free block is linked */
    struct pool_block *next;
};
struct pool_cache { /* owner: one worker */
    struct pool_block *free[POOL_CLASSES];
    unsigned count[POOL_CLASSES];
};
struct pool {
    struct account *account;
    struct spin lock; /* of the rest */
    struct pool_block *free[POOL_CLASSES];
    char *slab; /* the one being carved */
    size_t slab_left;
    struct pool_block *slabs; /* for pool_free */
};

void pool_init(struct pool *pool, struct account *account);
void pool_free(struct pool *pool);
/* Not zeroed. `cache` may be NULL. *ret_class goes back to pool_give. NULL: out of memory. */
void *pool_take(struct pool *pool, struct pool_cache *cache, size_t bytes, unsigned *ret_class);
void *pool_refill(struct pool *pool, struct pool_cache *cache, unsigned class);
void pool_give(struct pool *pool, struct pool_cache *cache, unsigned class, void *block);

#endif
