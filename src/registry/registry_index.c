/* Indexes: per partition and namespace, dense arrays of rows: all of them, the usable (UP or DEGRADED), and the
 * usable with each capability.
 *
 * Invariants: a row knows its position in each array it is in; a row's next version takes its position. A
 *             removal moves rows down only (the last one into the hole, stepping over the cursors of watches
 *             that still read, so that no row passes a cursor).
 * Readers: go from the end down. A row that moves down is met later, at its new place, so none that stays is
 *          missed. It may be met twice: moved, or removed and put again after the array became shorter. Both
 *          take a removal that was under way or began after the reader, which `removals` tells: even before
 *          and the same after, or the reader reads again. Slots are loaded with acquire, which pairs with the
 *          release of each store: the row, and the removals begun before it, are seen.
 * Threads: changes: the partition's lock. registry_find: any reader.
 * Memory: indexes live as long as the registry; an outgrown array is retired. */
#include "registry/registry_private.h"

#define FIND_TRIES 4U

struct index *index_of(const struct partition *partition, uint32_t namespace_id) {
    /* Acquire pairs with the release of its installation: its zeroes are seen. */
    return atomic_load_explicit(&partition->indexes[namespace_id], memory_order_acquire);
}

void index_install(struct partition *partition, uint32_t namespace_id, struct index *index) {
    atomic_store_explicit(&partition->indexes[namespace_id], index, memory_order_release); /* index_of */
    counted(&partition->bytes, sizeof *index);
}

enum troupe_error index_ensure(struct registry *registry, struct partition *partition,
                               uint32_t namespace_id) {
    if (index_of(partition, namespace_id) != NULL) {
        return TROUPE_OK;
    }
    struct index *index = memory_alloc(registry->account, sizeof *index);
    if (index == NULL) {
        return TROUPE_NOMEM;
    }
    spin_lock(&partition->lock);
    if (index_of(partition, namespace_id) == NULL) { /* another thread may have been first */
        index_install(partition, namespace_id, index);
        index = NULL;
    }
    spin_unlock(&partition->lock);
    memory_free(registry->account, index);
    return TROUPE_OK;
}

static struct posting_array *posting_at(const struct index *index, unsigned posting) {
    /* Acquire pairs with posting_install: the rows copied are seen. */
    return atomic_load_explicit(&index->postings[posting], memory_order_acquire);
}

static uint32_t posting_count(const struct posting_array *array) {
    /* Acquire pairs with posting_add: the slots below are filled. */
    return array == NULL ? 0 : atomic_load_explicit(&array->count, memory_order_acquire);
}

static bool row_usable(const struct registry_row *row) {
    return row->health == HEALTH_UP || row->health == HEALTH_DEGRADED;
}

static bool row_in(const struct registry_row *row, unsigned posting) {
    return posting == POSTING_ALL || (row_usable(row) && (posting == POSTING_USABLE ||
                                                          capability_set_has(registry_row_capabilities(row),
                                                                             posting - POSTING_CAPABILITY)));
}

/* The postings that a row may be in, in the order of its positions: for (at = 0; row_posting(row, &at, ..);) */
struct posting_walk {
    unsigned place;   /* in row_links.positions */
    unsigned posting; /* there */
    unsigned word;
    uint64_t bits; /* left of that word */
    const struct capability_set *set;
};

static struct posting_walk walk_begin(const struct registry_row *row) {
    const struct capability_set *set = registry_row_capabilities(row);
    return (struct posting_walk){.place = UINT32_MAX, .set = set, .bits = set->bits[0]};
}

static bool walk_next(struct posting_walk *walk) {
    walk->place++;
    if (walk->place < POSTING_CAPABILITY) {
        walk->posting = walk->place;
        return true;
    }
    while (walk->bits == 0) {
        if (++walk->word == ARRAY_COUNT(walk->set->bits)) {
            return false;
        }
        walk->bits = walk->set->bits[walk->word];
    }
    walk->posting = POSTING_CAPABILITY + walk->word * 64 + (unsigned)__builtin_ctzll(walk->bits);
    walk->bits &= walk->bits - 1;
    return true;
}

static uint32_t *row_position(const struct registry_row *row, unsigned posting) {
    unsigned place = posting;
    if (posting >= POSTING_CAPABILITY) {
        const struct capability_set *set = registry_row_capabilities(row);
        unsigned bit = posting - POSTING_CAPABILITY;
        place = POSTING_CAPABILITY;
        for (unsigned word = 0; word < bit / 64; word++) {
            place += (unsigned)__builtin_popcountll(set->bits[word]);
        }
        place += (unsigned)__builtin_popcountll(set->bits[bit / 64] & ((UINT64_C(1) << bit % 64) - 1));
    }
    return &row_links(row)->positions[place];
}

/* ---- arrays ---- */

struct posting_array *posting_new(struct account *account, uint32_t capacity) {
    size_t bytes = sizeof(struct posting_array) + capacity * sizeof(struct registry_row *);
    struct posting_array *array = memory_alloc(account, bytes);
    if (array != NULL) {
        array->capacity = capacity;
        array->bytes = bytes;
    }
    return array;
}

uint32_t posting_capacity(const struct index *index, unsigned posting) {
    const struct posting_array *array = posting_at(index, posting);
    return array == NULL ? 0 : array->capacity;
}

struct posting_array *posting_install(struct index *index, unsigned posting, struct posting_array *array) {
    struct posting_array *old = posting_at(index, posting);
    uint32_t count = posting_count(old);
    CHECK(array->capacity > count);
    for (uint32_t at = 0; at < count; at++) {
        /* Relaxed both: written under our lock; the array is published below. */
        atomic_store_explicit(&array->rows[at], atomic_load_explicit(&old->rows[at], memory_order_relaxed),
                              memory_order_relaxed);
    }
    atomic_store_explicit(&array->count, count, memory_order_relaxed);             /* published below */
    atomic_store_explicit(&index->postings[posting], array, memory_order_release); /* posting_at */
    return old;
}

static void posting_put(struct posting_array *array, uint32_t position, struct registry_row *row) {
    atomic_store_explicit(&array->rows[position], row, memory_order_release); /* see Readers above */
}

static void posting_add(struct posting_array *array, unsigned posting, struct registry_row *row) {
    uint32_t count = posting_count(array);
    CHECK(array != NULL && count < array->capacity);
    *row_position(row, posting) = count;
    posting_put(array, count, row);
    atomic_store_explicit(&array->count, count + 1, memory_order_release); /* posting_count */
}

static void posting_move(struct posting_array *array, unsigned posting, uint32_t from, uint32_t to) {
    if (from == to) {
        return;
    }
    CHECK(to < from);
    struct registry_row *row = atomic_load_explicit(&array->rows[from], memory_order_relaxed); /* our lock */
    *row_position(row, posting) = to;
    posting_put(array, to, row);
}

/* Fills the hole from just below each cursor above it, lowest cursor first, each of which steps down. */
static uint32_t hole_past_cursors(struct index *index, struct posting_array *array, uint32_t hole) {
    for (;;) {
        uint32_t lowest = UINT32_MAX;
        for (struct subscription *at = index->subscriptions; at != NULL; at = at->next) {
            if (!at->done && at->cursor > hole && at->cursor < lowest) {
                lowest = at->cursor;
            }
        }
        if (lowest == UINT32_MAX) {
            return hole;
        }
        posting_move(array, POSTING_ALL, lowest - 1, hole);
        hole = lowest - 1;
        for (struct subscription *at = index->subscriptions; at != NULL; at = at->next) {
            if (!at->done && at->cursor == lowest) {
                at->cursor = hole;
            }
        }
    }
}

static void posting_remove(struct index *index, unsigned posting, const struct registry_row *row) {
    struct posting_array *array = posting_at(index, posting);
    uint32_t hole = *row_position(row, posting), last = posting_count(array) - 1;
    CHECK(atomic_load_explicit(&array->rows[hole], memory_order_relaxed) == row); /* our lock */
    /* Odd while it goes on. Relaxed: published by the store of any row put into a place from here on. */
    atomic_fetch_add_explicit(&array->removals, 1, memory_order_relaxed);
    if (posting == POSTING_ALL) {
        hole = hole_past_cursors(index, array, hole);
    }
    posting_move(array, posting, last, hole);
    posting_put(array, last, NULL);
    /* Relaxed: a reader with the old count finds NULL, or the row, at the end. */
    atomic_store_explicit(&array->count, last, memory_order_relaxed);
    /* Release pairs with the first load in partition_find: who sees it even sees what was stored above. */
    atomic_fetch_add_explicit(&array->removals, 1, memory_order_release);
}

static void posting_deferred(void *context, struct grace_node *node) {
    memory_free(context, (char *)node - offsetof(struct posting_array, node));
}

void posting_retire(struct registry *registry, struct posting_array *array) {
    if (array != NULL) {
        array->node = (struct grace_node){.fn = posting_deferred, .context = registry->account};
        registry_retire(registry, &array->node);
    }
}

const struct registry_row *index_row(const struct index *index, uint32_t position) {
    const struct posting_array *array = posting_at(index, POSTING_ALL);
    return position < posting_count(array)
               ? atomic_load_explicit(&array->rows[position], memory_order_relaxed) /* our lock */
               : NULL;
}

/* ---- changes ---- */

unsigned index_missing(const struct index *index, const struct registry_row *old,
                       const struct registry_row *row) {
    struct posting_walk walk = walk_begin(row);
    while (walk_next(&walk)) {
        if (row_in(row, walk.posting) && (old == NULL || !row_in(old, walk.posting)) &&
            posting_count(posting_at(index, walk.posting)) == posting_capacity(index, walk.posting)) {
            return walk.posting;
        }
    }
    return POSTING_NONE;
}

void index_change(struct index *index, struct registry_row *old, struct registry_row *row) {
    if (row != NULL) {
        struct posting_walk walk = walk_begin(row);
        while (walk_next(&walk)) {
            unsigned posting = walk.posting;
            if (!row_in(row, posting)) {
                continue;
            }
            if (old != NULL && row_in(old, posting)) {
                uint32_t position = *row_position(old, posting);
                *row_position(row, posting) = position;
                posting_put(posting_at(index, posting), position, row);
            } else {
                posting_add(posting_at(index, posting), posting, row);
            }
        }
    }
    if (old != NULL) {
        struct posting_walk walk = walk_begin(old);
        while (walk_next(&walk)) {
            if (row_in(old, walk.posting) && (row == NULL || !row_in(row, walk.posting))) {
                posting_remove(index, walk.posting, old);
            }
        }
    }
}

/* ---- find ---- */

struct search {
    struct registry *registry;
    const struct capability_set *capabilities;
    const struct registry_row **rows;
    size_t rows_max;
    uint64_t now_ns; /* 0: not read yet; read only when a row has a lease */
};

static bool row_wanted(struct search *search, const struct registry_row *row) {
    if (!row_usable(row) || !capability_set_contains(registry_row_capabilities(row), search->capabilities)) {
        return false;
    }
    if ((row->parts & ROW_LEASE) != 0 && search->now_ns == 0) {
        search->now_ns = env_now(search->registry->env);
    }
    return row_valid(search->registry->runtime, row, search->now_ns);
}

/* The shortest of the arrays that hold every row wanted. */
static const struct posting_array *posting_rarest(const struct index *index,
                                                  const struct capability_set *capabilities) {
    const struct posting_array *rarest = posting_at(index, POSTING_USABLE);
    for (unsigned word = 0; word < ARRAY_COUNT(capabilities->bits); word++) {
        for (uint64_t bits = capabilities->bits[word]; bits != 0; bits &= bits - 1) {
            const struct posting_array *array =
                posting_at(index, POSTING_CAPABILITY + word * 64 + (unsigned)__builtin_ctzll(bits));
            if (posting_count(array) <= posting_count(rarest)) {
                rarest = array;
            }
        }
    }
    return rarest;
}

static int row_order(const struct registry_row *a, const struct registry_row *b) {
    size_t shorter = a->name_length < b->name_length ? a->name_length : b->name_length;
    int order = memcmp(a->bytes, b->bytes, shorter);
    return order != 0 ? order : (int)a->name_length - (int)b->name_length;
}

static void sift_down(const struct registry_row **rows, size_t at, size_t count) {
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && row_order(rows[child], rows[child + 1]) < 0) {
            child++;
        }
        if (row_order(rows[at], rows[child]) >= 0) {
            return;
        }
        const struct registry_row *row = rows[at];
        rows[at] = rows[child];
        rows[child] = row;
    }
}

/* Drops repeated names, by a heap sort in place: only when rows were removed under every try. */
static size_t rows_unique(const struct registry_row **rows, size_t count) {
    for (size_t at = count / 2; at-- > 0;) {
        sift_down(rows, at, count);
    }
    for (size_t end = count; end-- > 1;) {
        const struct registry_row *row = rows[0];
        rows[0] = rows[end];
        rows[end] = row;
        sift_down(rows, 0, end);
    }
    size_t unique = 0;
    for (size_t at = 0; at < count; at++) {
        if (unique == 0 || row_order(rows[unique - 1], rows[at]) != 0) {
            rows[unique++] = rows[at];
        }
    }
    return unique;
}

static size_t partition_find(struct search *search, const struct partition *partition, uint32_t namespace_id,
                             size_t found) {
    const struct index *index = index_of(partition, namespace_id);
    const struct posting_array *array = index == NULL ? NULL : posting_rarest(index, search->capabilities);
    if (array == NULL) {
        return found;
    }
    for (unsigned try = 1;; try++) {
        /* Acquire: read before the rows below are; pairs with the end of posting_remove. */
        uint32_t removals = atomic_load_explicit(&array->removals, memory_order_acquire);
        size_t end = found;
        for (uint32_t at = posting_count(array); at-- > 0 && end < search->rows_max;) {
            const struct registry_row *row = atomic_load_explicit(&array->rows[at], memory_order_acquire);
            if (row != NULL && row_wanted(search, row)) {
                search->rows[end++] = row;
            }
        }
        /* Relaxed: the acquire of each row keeps it behind them. */
        if (removals % 2 == 0 && atomic_load_explicit(&array->removals, memory_order_relaxed) == removals) {
            return end;
        }
        if (try == FIND_TRIES) {
            return found + rows_unique(search->rows + found, end - found);
        }
    }
}

size_t registry_find(struct registry *registry, const char *name_space,
                     const struct capability_set *capabilities, const struct registry_row **ret_rows,
                     size_t rows_max) {
    const struct namespace *in = namespace_find(registry, name_space);
    struct search search = {
        .registry = registry, .capabilities = capabilities, .rows = ret_rows, .rows_max = rows_max};
    size_t found = 0;
    for (uint32_t at = 0; in != NULL && at <= registry->partition_mask && found < rows_max; at++) {
        found = partition_find(&search, &registry->partitions[at], in->id, found);
    }
    return found;
}
