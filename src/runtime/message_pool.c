/* The message pool: see message_pool.h. */
#include "runtime/message_pool.h"

#define CLASS_BYTES(class) POOL_CLASS_BYTES(class)
#define POOL_BATCH 64U /* moved between a cache and the shared list at once */
#define SLAB_BYTES 65536U
#define SLAB_HEADER 64U

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

void *pool_refill(struct pool *pool, struct pool_cache *cache, size_t bytes, unsigned class) {
    if (class == POOL_CLASS_BIG) {
        return memory_alloc(pool->account, bytes < POOL_BLOCK_BYTES_MIN ? POOL_BLOCK_BYTES_MIN : bytes);
    }
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

void pool_return(struct pool *pool, struct pool_cache *cache, unsigned class, void *memory) {
    if (class == POOL_CLASS_BIG) {
        memory_free(pool->account, memory);
        return;
    }
    struct pool_block *block = memory, *last = block;
    if (cache != NULL) { /* full: a batch goes back */
        block->next = cache->free[class];
        for (unsigned at = 1; at < POOL_BATCH; at++) {
            last = last->next;
        }
        cache->free[class] = last->next;
        cache->count[class] -= POOL_BATCH - 1;
    }
    spin_lock(&pool->lock);
    last->next = pool->free[class];
    pool->free[class] = block;
    spin_unlock(&pool->lock);
}
