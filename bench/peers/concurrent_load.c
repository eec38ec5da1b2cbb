/* liburcu's lfht (PEER_LFHT), concurrencykit's ck_ht (PEER_CK_HT) and ck_hs (PEER_CK_HS), each with grace periods
 * of liburcu's QSBR. The two of concurrencykit have one writer at a time: a mutex. */
#if defined(PEER_LFHT)
#define _LGPL_SOURCE /* inline read sides */
#define RCU_INLINE
#include <urcu/urcu-qsbr.h>
#include <urcu/rculfhash.h>
#define PEER_ROW_FIRST struct cds_lfht_node node;
#else
#define _LGPL_SOURCE
#include <urcu/urcu-qsbr.h>
#if defined(PEER_CK_HT)
#include <ck_ht.h>
#else
#include <ck_hs.h>
#endif
#endif
#include "peer_row.h"

#include <pthread.h>

#define BACKEND_BATCH 0
#define BACKEND_WRITERS_MAX 16
#define DROPPED_MAX 2048U

struct backend_thread {
    struct row **dropped;
    unsigned dropped_count;
};
#if defined(PEER_LFHT)
#define BACKEND_NAME "urcu_lfht"
#elif defined(PEER_CK_HT)
#define BACKEND_NAME "ck_ht"
#else
#define BACKEND_NAME "ck_hs"
#endif
#include "load_frame.h"

#if defined(PEER_LFHT)
static struct cds_lfht *table;

static int row_match(struct cds_lfht_node *node, const void *name) {
    return row_is((const struct row *)node, name);
}

static void table_open(uint64_t keys) {
    table = cds_lfht_new_flavor(power_of_two(keys), 64, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING,
                                &urcu_qsbr_flavor, NULL);
}

static inline struct row *table_get(const char *name) {
    struct cds_lfht_iter at;
    cds_lfht_lookup(table, name_hash(name), row_match, name, &at);
    return (struct row *)cds_lfht_iter_get_node(&at);
}

static bool table_put(struct row *row) {
    return cds_lfht_add_unique(table, row->hash, row_match, row->name, &row->node) == &row->node;
}

static struct row *table_drop(const char *name) {
    struct row *row = table_get(name);
    return row != NULL && cds_lfht_del(table, &row->node) == 0 ? row : NULL;
}
#else
static pthread_mutex_t writers = PTHREAD_MUTEX_INITIALIZER;

static void *ck_alloc(size_t bytes) {
    return malloc(bytes);
}
static void ck_release(void *block, size_t bytes, bool deferred) {
    (void)bytes;
    if (!deferred) { /* what readers may hold is kept: only when a table grows */
        free(block);
    }
}
static struct ck_malloc ck_memory = {.malloc = ck_alloc, .free = ck_release};
#endif

#if defined(PEER_CK_HT)
static ck_ht_t table;

static void table_hash(ck_ht_hash_t *hash, const void *name, size_t length, uint64_t seed) {
    (void)length;
    (void)seed;
    hash->value = name_hash(name);
}

static void table_open(uint64_t keys) {
    if (!ck_ht_init(&table, CK_HT_MODE_BYTESTRING, table_hash, &ck_memory, power_of_two(2 * keys), 1)) {
        load_fail("no table");
    }
}

static inline struct row *table_get(const char *name) {
    ck_ht_hash_t hash = {name_hash(name)};
    ck_ht_entry_t entry;
    ck_ht_entry_key_set(&entry, name, PEER_NAME_BYTES);
    return ck_ht_get_spmc(&table, hash, &entry) ? ck_ht_entry_value(&entry) : NULL;
}

static bool table_put(struct row *row) {
    ck_ht_hash_t hash = {row->hash};
    ck_ht_entry_t entry;
    ck_ht_entry_set(&entry, hash, row->name, PEER_NAME_BYTES, row);
    pthread_mutex_lock(&writers);
    bool put = ck_ht_put_spmc(&table, hash, &entry);
    pthread_mutex_unlock(&writers);
    return put;
}

static struct row *table_drop(const char *name) {
    ck_ht_hash_t hash = {name_hash(name)};
    ck_ht_entry_t entry;
    ck_ht_entry_key_set(&entry, name, PEER_NAME_BYTES);
    pthread_mutex_lock(&writers);
    bool dropped = ck_ht_remove_spmc(&table, hash, &entry);
    pthread_mutex_unlock(&writers);
    return dropped ? ck_ht_entry_value(&entry) : NULL;
}
#elif defined(PEER_CK_HS)
static ck_hs_t table;
static struct row sought; /* stands for the name below */
static __thread const char *sought_name;

static unsigned long table_hash(const void *row, unsigned long seed) {
    (void)seed;
    return ((const struct row *)row)->hash;
}

static bool table_same(const void *a, const void *b) {
    const struct row *one = a, *other = b;
    if (one == &sought) {
        return row_is(other, sought_name);
    }
    return row_is(one, other == &sought ? sought_name : other->name);
}

static void table_open(uint64_t keys) {
    if (!ck_hs_init(&table, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT, table_hash, table_same, &ck_memory,
                    power_of_two(2 * keys), 1)) {
        load_fail("no table");
    }
}

static inline struct row *table_get(const char *name) {
    sought_name = name;
    return ck_hs_get(&table, name_hash(name), &sought);
}

static bool table_put(struct row *row) {
    pthread_mutex_lock(&writers);
    bool put = ck_hs_put(&table, row->hash, row);
    pthread_mutex_unlock(&writers);
    return put;
}

static struct row *table_drop(const char *name) {
    sought_name = name;
    pthread_mutex_lock(&writers);
    struct row *row = ck_hs_remove(&table, name_hash(name), &sought);
    pthread_mutex_unlock(&writers);
    return row;
}
#endif

static void backend_open(uint64_t keys) {
    urcu_qsbr_register_thread();
    heap_before = heap_bytes();
    table_open(keys);
    urcu_qsbr_unregister_thread();
}

static inline uint64_t backend_get(struct backend_thread *thread, const char *name) {
    (void)thread;
    urcu_qsbr_read_lock();
    const struct row *row = table_get(name);
    uint64_t value = row != NULL ? row->value : 0;
    urcu_qsbr_read_unlock();
    return value;
}

static void backend_put(struct backend_thread *thread, const char *name, uint64_t value) {
    (void)thread;
    urcu_qsbr_read_lock();
    bool put = table_put(row_new(name, value));
    urcu_qsbr_read_unlock();
    if (!put) {
        load_fail("put twice");
    }
}

static void dropped_free(struct backend_thread *thread) {
    urcu_qsbr_synchronize_rcu();
    while (thread->dropped_count > 0) {
        free(thread->dropped[--thread->dropped_count]);
    }
}

static void backend_drop(struct backend_thread *thread, const char *name) {
    urcu_qsbr_read_lock();
    struct row *row = table_drop(name);
    urcu_qsbr_read_unlock();
    if (row == NULL) {
        load_fail("dropped twice");
    }
    thread->dropped[thread->dropped_count++] = row;
    if (thread->dropped_count == DROPPED_MAX) {
        dropped_free(thread);
    }
}

static void backend_begin(struct backend_thread *thread, unsigned number) {
    (void)number;
    urcu_qsbr_register_thread();
    thread->dropped = load_alloc(DROPPED_MAX * sizeof(struct row *));
    thread->dropped_count = 0;
}
static void backend_end(struct backend_thread *thread) {
    dropped_free(thread);
    free(thread->dropped);
    urcu_qsbr_unregister_thread();
}
static void backend_quiescent(struct backend_thread *thread) {
    (void)thread;
    urcu_qsbr_quiescent_state();
}
