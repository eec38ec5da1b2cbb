/* Chains of rows behind STRIPES reader-writer locks: what one writes first. STRIPES 1: one lock. */
#define PEER_ROW_FIRST struct row *next;
#include "peer_row.h"

#include <pthread.h>

#if STRIPES == 1
#define BACKEND_NAME "rwlock_one"
#else
#define BACKEND_NAME "rwlock_striped"
#endif
#define BACKEND_BATCH 0
#define BACKEND_WRITERS_MAX 16

struct backend_thread {
    unsigned number;
};
#include "load_frame.h"

static struct { _Alignas(64) pthread_rwlock_t lock; } stripes[STRIPES];
static struct row **chains;
static uint64_t chains_each; /* of a stripe; a power of two */

static pthread_rwlock_t *lock_of(uint64_t hash) {
    return &stripes[hash >> 48 & (STRIPES - 1)].lock;
}

static struct row **chain_of(uint64_t hash) {
    return &chains[(hash >> 48 & (STRIPES - 1)) * chains_each + (hash & (chains_each - 1))];
}

static void backend_open(uint64_t keys) {
    heap_before = heap_bytes();
    chains_each = power_of_two(keys) / STRIPES;
    chains = load_alloc(chains_each * STRIPES * sizeof *chains);
    for (unsigned at = 0; at < STRIPES; at++) {
        pthread_rwlock_init(&stripes[at].lock, NULL);
    }
}

static inline uint64_t backend_get(struct backend_thread *thread, const char *name) {
    uint64_t hash = name_hash(name), value = 0;
    (void)thread;
    pthread_rwlock_rdlock(lock_of(hash));
    for (const struct row *row = *chain_of(hash); row != NULL; row = row->next) {
        if (row->hash == hash && row_is(row, name)) {
            value = row->value;
            break;
        }
    }
    pthread_rwlock_unlock(lock_of(hash));
    return value;
}

static void backend_put(struct backend_thread *thread, const char *name, uint64_t value) {
    struct row *made = row_new(name, value);
    struct row **chain = chain_of(made->hash);
    (void)thread;
    pthread_rwlock_wrlock(lock_of(made->hash));
    for (const struct row *row = *chain; row != NULL; row = row->next) {
        if (row->hash == made->hash && row_is(row, name)) {
            load_fail("put twice");
        }
    }
    made->next = *chain;
    *chain = made;
    pthread_rwlock_unlock(lock_of(made->hash));
}

static void backend_drop(struct backend_thread *thread, const char *name) {
    uint64_t hash = name_hash(name);
    struct row *found = NULL;
    (void)thread;
    pthread_rwlock_wrlock(lock_of(hash));
    for (struct row **link = chain_of(hash); *link != NULL; link = &(*link)->next) {
        if ((*link)->hash == hash && row_is(*link, name)) {
            found = *link;
            *link = found->next;
            break;
        }
    }
    pthread_rwlock_unlock(lock_of(hash));
    if (found == NULL) {
        load_fail("dropped twice");
    }
    free(found);
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
