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

#if defined(__SANITIZE_ADDRESS__)
#define POOL_DIRECT 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_DIRECT 1
#endif
#endif
#ifndef POOL_DIRECT
#define POOL_DIRECT 0
#endif

#define POOL_BLOCK_BYTES_MIN 64U
#define POOL_CLASS_BYTES(class) ((size_t)POOL_BLOCK_BYTES_MIN << (class))
#define POOL_CACHE_MAX 256U /* blocks of a class that a worker keeps */

void pool_init(struct pool *pool, struct account *account);
void pool_free(struct pool *pool);
/* The slow paths of take and give: from and to the shared list, a slab, the account. */
void *pool_refill(struct pool *pool, struct pool_cache *cache, size_t bytes, unsigned class);
void pool_return(struct pool *pool, struct pool_cache *cache, unsigned class, void *block);

#define POOL_CLASS_SMALL (POOL_DIRECT ? POOL_CLASS_BIG : 0U)

/* The list of the class is not empty. */
static inline void *pool_pop(struct pool_cache *cache, unsigned class) {
    struct pool_block *block = cache->free[class];
    cache->free[class] = block->next;
    if (block->next != NULL) {
        __builtin_prefetch(block->next, 1); /* it may come from another core */
    }
    cache->count[class]--;
    return block;
}

/* At least POOL_BLOCK_BYTES_MIN, not zeroed. `cache` may be NULL. *ret_class goes back to pool_give. NULL: out of
 * memory. */
static inline void *pool_take(struct pool *pool, struct pool_cache *cache, size_t bytes,
                              unsigned *ret_class) {
    unsigned class = bytes <= 64 ? 0 : 58U - (unsigned)__builtin_clzll(bytes - 1);
    class = POOL_DIRECT || class >= POOL_CLASSES ? POOL_CLASS_BIG : class;
    *ret_class = class;
    if (cache != NULL && class < POOL_CLASSES && cache->free[class] != NULL) {
        return pool_pop(cache, class);
    }
    return pool_refill(pool, cache, bytes, class);
}

static inline void pool_give(struct pool *pool, struct pool_cache *cache, unsigned class, void *memory) {
    if (cache != NULL && class < POOL_CLASSES && cache->count[class] < POOL_CACHE_MAX) {
        struct pool_block *block = memory;
        block->next = cache->free[class];
        cache->free[class] = block;
        cache->count[class]++;
        return;
    }
    pool_return(pool, cache, class, memory);
}

#endif
