/* The message pool: see message_pool.h. */
#include "runtime/message_pool.h"

#define CLASS_BYTES(class) ((size_t)64 << (class))
#define CACHE_MAX 256U /* blocks of a class that a worker keeps */
#define POOL_BATCH 64U /* moved between a cache and the shared list at once */
#define SLAB_BYTES 65536U
#define SLAB_HEADER 64U

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

void pool_init(struct pool *pool, struct account *account) {
    *pool = (struct pool){.account = account};
}

void pool_free(struct pool *pool) {
    while (pool->slabs != NULL) {
        struct pool_block *next = pool->slabs->next;
        memory_free(pool->account, pool->slabs);
        pool->slabs = next;
    }
}

/* Cuts up to `wanted` blocks off the current slab. Called with the lock held. */
static unsigned slab_carve(struct pool *pool, unsigned class, unsigned wanted, struct pool_block **ret_list) {
    unsigned count = 0;
    while (count < wanted && pool->slab_left >= CLASS_BYTES(class)) {
        struct pool_block *block = (struct pool_block *)(void *)pool->slab;
        pool->slab += CLASS_BYTES(class);
        pool->slab_left -= CLASS_BYTES(class);
        block->next = *ret_list;
        *ret_list = block;
        count++;
    }
    return count;
}

static unsigned blocks_take(struct pool *pool, unsigned class, unsigned wanted,
                            struct pool_block **ret_list) {
    unsigned count = 0;
    *ret_list = NULL;
    spin_lock(&pool->lock);
    while (count < wanted && pool->free[class] != NULL) {
        struct pool_block *block = pool->free[class];
        pool->free[class] = block->next;
        block->next = *ret_list;
        *ret_list = block;
        count++;
    }
    if (count == 0) {
        count = slab_carve(pool, class, wanted, ret_list);
    }
    spin_unlock(&pool->lock);
    return count;
}

/* What is left of the old slab (less than one block of some class) goes to the lists of the classes it fits.
 */
static void slab_replace(struct pool *pool, struct pool_block *slab) {
    spin_lock(&pool->lock);
    for (unsigned class = POOL_CLASSES; class -- > 0;) {
        slab_carve(pool, class, UINT32_MAX, &pool->free[class]);
    }
    slab->next = pool->slabs;
    pool->slabs = slab;
    pool->slab = (char *)slab + SLAB_HEADER;
    pool->slab_left = SLAB_BYTES - SLAB_HEADER;
    spin_unlock(&pool->lock);
}

/* The slow path of pool_take: a batch from the shared list or a slab. */
void *pool_refill(struct pool *pool, struct pool_cache *cache, unsigned class) {
    unsigned wanted = cache == NULL ? 1 : POOL_BATCH >> (class / 2); /* fewer of the large ones */
    for (;;) {
        struct pool_block *list;
        unsigned count = blocks_take(pool, class, wanted, &list);
        if (count > 0) {
            if (cache != NULL) {
                cache->free[class] = list->next;
                cache->count[class] = count - 1;
            }
            return list;
        }
        struct pool_block *slab = memory_alloc_aligned(pool->account, 64, SLAB_BYTES);
        if (slab == NULL) {
            return NULL;
        }
        slab_replace(pool, slab);
    }
}

void *pool_take(struct pool *pool, struct pool_cache *cache, size_t bytes, unsigned *ret_class) {
    if (POOL_DIRECT || bytes > CLASS_BYTES(POOL_CLASSES - 1)) {
        *ret_class = POOL_CLASS_BIG;
        return memory_alloc(pool->account, bytes);
    }
    unsigned class = bytes <= 64 ? 0 : 58U - (unsigned)__builtin_clzll(bytes - 1);
    *ret_class = class;
    if (cache != NULL && cache->free[class] != NULL) {
        struct pool_block *block = cache->free[class];
        cache->free[class] = block->next;
        cache->count[class]--;
        return block;
    }
    return pool_refill(pool, cache, class);
}

void pool_give(struct pool *pool, struct pool_cache *cache, unsigned class, void *memory) {
    if (class == POOL_CLASS_BIG) {
        memory_free(pool->account, memory);
        return;
    }
    struct pool_block *block = memory;
    if (cache != NULL) {
        block->next = cache->free[class];
        cache->free[class] = block;
        if (++cache->count[class] <= CACHE_MAX) {
            return;
        }
        struct pool_block *last = block;
        for (unsigned at = 1; at < POOL_BATCH; at++) {
            last = last->next;
        }
        cache->free[class] = last->next;
        cache->count[class] -= POOL_BATCH;
        spin_lock(&pool->lock);
        last->next = pool->free[class];
        pool->free[class] = block;
        spin_unlock(&pool->lock);
        return;
    }
    spin_lock(&pool->lock);
    block->next = pool->free[class];
    pool->free[class] = block;
    spin_unlock(&pool->lock);
}
