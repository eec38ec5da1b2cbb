/* Chunks: where rows are. A shelf (of a partition and namespace) has a list of them; rows of up to 16 bytes of
 * name take one unit, longer ones several in a row.
 *
 * Invariants: a unit is in a row that is linked, in limbo (its batch waits, or will), settled (no reader holds
 *             it), or free; a chunk's id is its place in the directory for the registry's life. The directory
 *             has a chunk before any ref into it is published.
 * Lanes:      writers put units back and take them in lanes, a thread in one of LANES, so that two of them do not
 *             take rows, links and bits from each other's caches. A lane without units takes those of the others
 *             before a chunk is asked for, so what one thread puts and another drops is used again.
 * Waiting:    units that were unlinked are listed in the limbo of their partition and lane. One batch of each waits
 *             for a grace period at a time; what leaves it is put back to the free lists a few at a time, by those
 *             who need units. So a removal costs no grace node, no block and no lock of the grace list.
 * Threads: the partition's lock; the directory: chunk_lock. Memory: the account; freed with the registry. */
#include "registry/registry_private.h"

#define SETTLE_STEPS 16U
#define WHOSE_UNITS_BITS 4U /* of links.previous in limbo; the namespace is above */

size_t chunk_bytes(uint32_t capacity) {
    return sizeof(struct chunk) + (size_t)capacity * (ROW_UNIT + sizeof(struct links));
}

struct chunk *chunk_new(struct account *account, uint32_t capacity) {
    struct chunk *chunk = memory_alloc_aligned(account, 64, chunk_bytes(capacity));
    if (chunk != NULL) {
        chunk->capacity = capacity;
    }
    return chunk;
}

size_t block_bytes(uint32_t capacity) {
    return sizeof(struct posting_block) + (capacity + 63) / 64 * sizeof(uint64_t);
}

/* ---- shelves ---- */

struct shelf *shelf_new(struct account *account) {
    struct shelf *shelf = memory_alloc_aligned(account, 64, sizeof *shelf);
    for (unsigned at = 0; shelf != NULL && at < LANES * ROW_UNITS_MAX; at++) {
        shelf->stocks[at % LANES].free[at / LANES] = REF_NONE;
    }
    return shelf;
}

void shelf_install(struct partition *partition, uint32_t namespace_id, struct shelf *shelf) {
    atomic_store_explicit(&partition->shelves[namespace_id], shelf, memory_order_release); /* shelf_of */
    counted(&partition->bytes, sizeof *shelf);
}

enum troupe_error shelf_ensure(struct registry *registry, struct partition *partition,
                               uint32_t namespace_id) {
    if (shelf_of(partition, namespace_id) != NULL) {
        return TROUPE_OK;
    }
    struct shelf *shelf = shelf_new(registry->account);
    if (shelf == NULL) {
        return TROUPE_NOMEM;
    }
    spin_lock(&partition->lock);
    if (shelf_of(partition, namespace_id) == NULL) { /* another thread may have been first */
        shelf_install(partition, namespace_id, shelf);
        shelf = NULL;
    }
    spin_unlock(&partition->lock);
    memory_free(registry->account, shelf);
    return TROUPE_OK;
}

void shelf_free(struct registry *registry, struct shelf *shelf) {
    if (shelf == NULL) {
        return;
    }
    struct chunk *chunk = atomic_load_explicit(&shelf->chunks, memory_order_relaxed); /* alone now */
    while (chunk != NULL) {
        struct chunk *next = atomic_load_explicit(&chunk->next, memory_order_relaxed);
        for (unsigned posting = 0; posting < POSTINGS; posting++) {
            memory_free(registry->account,
                        atomic_load_explicit(&chunk->postings[posting], memory_order_relaxed));
        }
        memory_free(registry->account, chunk);
        chunk = next;
    }
    memory_free(registry->account, shelf);
}

/* ---- the directory ---- */

struct directory *directory_new(struct account *account, uint32_t capacity) {
    struct directory *directory =
        memory_alloc(account, sizeof *directory + capacity * sizeof directory->chunks[0]);
    if (directory != NULL) {
        directory->capacity = capacity;
    }
    return directory;
}

size_t directory_wanted(struct registry *registry) {
    spin_lock(&registry->chunk_lock);
    size_t capacity = directory_of(registry)->capacity;
    bool full = registry->chunk_count == capacity;
    spin_unlock(&registry->chunk_lock);
    return full ? 2 * capacity : 0;
}

struct directory *directory_install(struct registry *registry, struct directory *directory) {
    spin_lock(&registry->chunk_lock);
    struct directory *old = directory_of(registry);
    bool needed = directory->capacity > old->capacity;
    if (needed) {
        for (uint32_t id = 0; id < registry->chunk_count; id++) { /* relaxed both: published below */
            atomic_store_explicit(&directory->chunks[id],
                                  atomic_load_explicit(&old->chunks[id], memory_order_relaxed),
                                  memory_order_relaxed);
        }
        atomic_store_explicit(&registry->directory, directory, memory_order_release); /* directory_of */
    }
    spin_unlock(&registry->chunk_lock);
    return needed ? old : directory;
}

static void directory_deferred(void *context, struct grace_node *node) {
    memory_free(context, (char *)node - offsetof(struct directory, node));
}

void directory_retire(struct registry *registry, struct directory *directory) {
    if (directory != NULL) {
        directory->node = (struct grace_node){.fn = directory_deferred, .context = registry->account};
        registry_retire(registry, &directory->node);
    }
}

static void shelf_append(struct shelf *shelf, struct chunk *chunk) {
    /* Release: whoever walks the shelf (index_find) sees the chunk whole. */
    if (shelf->last == NULL) {
        atomic_store_explicit(&shelf->chunks, chunk, memory_order_release);
    } else {
        atomic_store_explicit(&shelf->last->next, chunk, memory_order_release);
    }
    shelf->last = chunk;
    shelf->stocks[lane_mine()].newest = chunk;
}

bool chunk_install(struct registry *registry, struct partition *partition, uint32_t namespace_id,
                   struct chunk *chunk) {
    spin_lock(&registry->chunk_lock);
    struct directory *directory = directory_of(registry);
    bool room = registry->chunk_count < directory->capacity;
    if (room) {
        chunk->id = registry->chunk_count++;
        /* Relaxed: published with the first ref into it. */
        atomic_store_explicit(&directory->chunks[chunk->id], chunk, memory_order_relaxed);
    }
    spin_unlock(&registry->chunk_lock);
    if (room) {
        shelf_append(shelf_of(partition, namespace_id), chunk);
        counted(&partition->bytes, chunk_bytes(chunk->capacity));
    }
    return room;
}

/* ---- units ---- */

_Thread_local unsigned lane_number __attribute__((tls_model("initial-exec"))) = LANES;

unsigned lane_make(void) {
    static _Atomic unsigned threads;
    lane_number = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % LANES; /* no order */
    return lane_number;
}

static void stock_put(struct registry *registry, struct stock *stock, row_ref ref, uint32_t units) {
    links_of(registry, ref)->next = stock->free[units - 1];
    stock->free[units - 1] = ref;
}

void unit_give(struct registry *registry, struct shelf *shelf, row_ref ref, uint32_t units) {
    stock_put(registry, &shelf->stocks[lane_mine()], ref, units);
}

/* Puts some of what has settled where it belongs; stops at one of the shelf and size, which is returned. */
static row_ref settled_sort(struct registry *registry, struct partition *partition, unsigned lane,
                            uint32_t whose) {
    struct limbo *limbo = &partition->limbos[lane];
    for (unsigned step = 0; step < SETTLE_STEPS && limbo->settled != REF_NONE; step++) {
        row_ref ref = limbo->settled;
        const struct links *links = links_of(registry, ref);
        uint32_t is = links->previous;
        limbo->settled = links->next;
        counted(&limbo->waiting, UINT64_MAX); /* one less */
        if (is == whose) {
            return ref;
        }
        stock_put(registry, &shelf_of(partition, is >> WHOSE_UNITS_BITS)->stocks[lane], ref,
                  is & ((1U << WHOSE_UNITS_BITS) - 1));
    }
    return REF_NONE;
}

/* The one that comes next is fetched now. */
static void unit_prefetch(struct registry *registry, row_ref ref) {
    if (ref != REF_NONE) {
        struct chunk *chunk = chunk_of(registry, ref);
        __builtin_prefetch(chunk_row(chunk, ref & (CHUNK_UNITS - 1)), 1);
        __builtin_prefetch(chunk_links(chunk, ref), 1);
    }
}

/* One that was used before; REF_NONE: the lane has none. */
static row_ref unit_reuse(struct registry *registry, struct partition *partition, struct shelf *shelf,
                          unsigned lane, uint32_t whose) {
    row_ref *free = &shelf->stocks[lane].free[(whose & ((1U << WHOSE_UNITS_BITS) - 1)) - 1], ref = *free;
    if (ref != REF_NONE) {
        *free = links_of(registry, ref)->next;
        unit_prefetch(registry, *free);
        return ref;
    }
    struct limbo *limbo = &partition->limbos[lane];
    if (limbo->settled != REF_NONE) {
        ref = settled_sort(registry, partition, lane, whose);
        unit_prefetch(registry, limbo->settled);
    }
    return ref;
}

/* One that never was; REF_NONE: a chunk is needed. */
static row_ref unit_fresh(struct registry *registry, struct shelf *shelf, uint32_t units,
                          uint32_t *ret_capacity) {
    struct stock *stock = &shelf->stocks[lane_mine()];
    struct chunk *chunk = stock->newest;
    if (chunk == NULL) {
        *ret_capacity = CHUNK_UNITS_FIRST;
        return REF_NONE;
    }
    uint32_t left = chunk->capacity - chunk->used;
    if (left < units) {
        if (left != 0) { /* fewer than ROW_UNITS_MAX */
            stock_put(registry, stock, chunk->id << CHUNK_BITS | chunk->used, left);
            chunk->used = chunk->capacity;
        }
        uint32_t larger = 8 * chunk->capacity;
        *ret_capacity = larger < CHUNK_UNITS ? larger : CHUNK_UNITS;
        return REF_NONE;
    }
    row_ref ref = chunk->id << CHUNK_BITS | chunk->used;
    chunk->used += units;
    return ref;
}

row_ref unit_take(struct registry *registry, struct partition *partition, uint32_t namespace_id,
                  uint32_t units, uint32_t *ret_capacity) {
    struct shelf *shelf = shelf_of(partition, namespace_id);
    unsigned mine = lane_mine();
    uint32_t whose = namespace_id << WHOSE_UNITS_BITS | units;
    row_ref ref = unit_reuse(registry, partition, shelf, mine, whose);
    if (ref == REF_NONE) {
        ref = unit_fresh(registry, shelf, units, ret_capacity);
    }
    for (unsigned lane = 0; lane < LANES && ref == REF_NONE; lane++) {
        ref = lane != mine ? unit_reuse(registry, partition, shelf, lane, whose) : REF_NONE;
    }
    return ref;
}

/* ---- limbo ---- */

static void batch_passed(void *context, struct grace_node *node) {
    struct batch *batch = (struct batch *)(void *)((char *)node - offsetof(struct batch, node));
    (void)context;
    if (batch->orphan) {
        memory_free(batch->account, batch);
        return;
    }
    /* Release pairs with limbo_settle: what readers did with the rows, which the grace period has put before
     * this, comes before their units are used again. */
    atomic_store_explicit(&batch->passed, true, memory_order_release);
}

struct batch *batch_new(struct account *account) {
    struct batch *batch = memory_alloc(account, sizeof *batch);
    if (batch != NULL) {
        batch->account = account;
        batch->node.fn = batch_passed;
    }
    return batch;
}

void limbo_put(struct registry *registry, struct partition *partition, row_ref ref, uint64_t state) {
    struct limbo *limbo = &partition->limbos[lane_mine()];
    struct links *links = links_of(registry, ref);
    links->next = limbo->first;
    limbo->last = limbo->first == REF_NONE ? ref : limbo->last;
    links->previous = state_namespace(state) << WHOSE_UNITS_BITS | row_units(state_length(state));
    limbo->first = ref;
    limbo->count++;
    counted(&limbo->waiting, 1);
}

void limbo_settle(struct registry *registry, struct limbo *limbo) {
    struct batch *batch = limbo->batch;
    if (!limbo->batch_busy ||
        !atomic_load_explicit(&batch->passed, memory_order_acquire)) { /* batch_passed */
        return;
    }
    links_of(registry, batch->last)->next = limbo->settled; /* so that no lane waits until another is empty */
    limbo->settled = batch->first;
    limbo->batch_busy = false;
    limbo->batch_count = 0;
}

void limbo_settle_all(struct registry *registry, struct partition *partition) {
    for (unsigned lane = 0; lane < LANES; lane++) {
        limbo_settle(registry, &partition->limbos[lane]);
    }
}

struct batch *limbo_leave(struct limbo *limbo) {
    struct batch *batch = limbo->batch;
    if (limbo->batch_busy || limbo->first == REF_NONE) {
        return NULL;
    }
    batch->first = limbo->first;
    batch->last = limbo->last;
    atomic_store_explicit(&batch->passed, false, memory_order_relaxed); /* ours until it is retired */
    limbo->batch_busy = true;
    limbo->batch_count = limbo->count;
    limbo->first = REF_NONE;
    limbo->count = 0;
    return batch;
}

struct batch *limbo_leave_any(struct partition *partition) {
    struct batch *batch = NULL;
    for (unsigned lane = 0; lane < LANES && batch == NULL; lane++) {
        batch = limbo_leave(&partition->limbos[lane]);
    }
    return batch;
}

size_t limbo_rows(const struct partition *partition) {
    size_t rows = 0;
    for (unsigned lane = 0; lane < LANES; lane++) {
        rows += (size_t)partition->limbos[lane].count + partition->limbos[lane].batch_count;
    }
    return rows;
}
