/* Indexes: for each chunk of rows, bits: which rows are usable (UP or DEGRADED), which of the usable have each
 * level of load, and which have each capability. To find is to take the AND of words.
 *
 * Invariants: the bit of a row is set in each posting that it belongs to and in no other; a row's bits stay
 *             where they are as long as it is held, so who reads all words misses none that stays.
 * Twice:    a name can be met twice when it was removed and put again elsewhere behind the reader's back. The
 *           shelf's count of removals tells: even before and the same after, or the reader reads again.
 * Threads:  changes: the partition's lock. registry_find: any reader.
 * Memory:   a block of bits a chunk and posting, made when first needed, kept as long as the chunk. */
#include "registry/registry_private.h"

#define FIND_TRIES 4U

static bool values_usable(const struct values *values) {
    return values != NULL && (values->health == HEALTH_UP || values->health == HEALTH_DEGRADED);
}

static struct posting_block *block_at(const struct chunk *chunk, unsigned posting) {
    /* Acquire pairs with block_install: its zeroes are seen. */
    return atomic_load_explicit(&chunk->postings[posting], memory_order_acquire);
}

bool block_install(struct chunk *chunk, unsigned posting, struct posting_block *block) {
    if (block_at(chunk, posting) != NULL) {
        return false;
    }
    atomic_store_explicit(&chunk->postings[posting], block, memory_order_release); /* block_at */
    return true;
}

/* Capabilities of the usable, a word at a time. */
static uint64_t capability_word(const struct values *values, unsigned word) {
    return values_usable(values) ? values->capabilities->bits[word] : 0;
}

unsigned index_missing(const struct chunk *chunk, const struct values *old, const struct values *values) {
    if (!values_usable(values)) {
        return POSTING_NONE;
    }
    if (block_at(chunk, POSTING_LOAD + values->load) == NULL) {
        return POSTING_LOAD + values->load;
    }
    for (unsigned word = 0; values->set != 0 && word < ARRAY_COUNT(values->capabilities->bits); word++) {
        uint64_t bits = capability_word(values, word) & ~capability_word(old, word);
        for (; bits != 0; bits &= bits - 1) {
            unsigned posting = POSTING_CAPABILITY + word * 64 + (unsigned)__builtin_ctzll(bits);
            if (block_at(chunk, posting) == NULL) {
                return posting;
            }
        }
    }
    return POSTING_NONE;
}

/* Relaxed loads: written under our lock. */
static void bit_change(struct chunk *chunk, unsigned posting, uint32_t unit, bool set) {
    struct posting_block *block = block_at(chunk, posting);
    uint64_t bit = UINT64_C(1) << unit % 64, lot = UINT64_C(1) << unit / 64;
    uint64_t word = atomic_load_explicit(&block->words[unit / 64], memory_order_relaxed);
    uint64_t summary = atomic_load_explicit(&block->summary, memory_order_relaxed);
    bool lot_changes = word == 0 || word == bit;
    word = set ? word | bit : word & ~bit;
    /* Release pairs with the acquire of registry_find: the row is seen, and the removals begun before. */
    atomic_store_explicit(&block->words[unit / 64], word, memory_order_release);
    if (lot_changes) {
        summary = set ? summary | lot : summary & ~lot;
        atomic_store_explicit(&block->summary, summary, memory_order_release); /* as above */
    }
}

void index_change(struct chunk *chunk, uint32_t unit, const struct values *old, const struct values *values) {
    bool was = values_usable(old), is = values_usable(values);
    if (is && (!was || old->load != values->load)) {
        bit_change(chunk, POSTING_LOAD + values->load, unit, true);
    }
    if (was && (!is || old->load != values->load)) {
        bit_change(chunk, POSTING_LOAD + old->load, unit, false);
    }
    bool some = (was && old->set != 0) || (is && values->set != 0);
    for (unsigned word = 0; some && word < CAPABILITIES_MAX / 64; word++) {
        uint64_t before = capability_word(old, word), after = capability_word(values, word);
        for (uint64_t bits = before ^ after; bits != 0; bits &= bits - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(bits);
            bit_change(chunk, POSTING_CAPABILITY + word * 64 + bit, unit, (after >> bit & 1) != 0);
        }
    }
}

/* ---- find ---- */

struct search {
    struct registry *registry;
    unsigned postings[CAPABILITIES_MAX + 1]; /* each must have the row */
    unsigned posting_count;
    const struct registry_row **rows;
    size_t rows_max;
    uint64_t now_ns; /* 0: not read yet; read only when a row has a lease */
};

static bool row_wanted(struct search *search, const struct registry_row *row) {
    uint64_t state = row_state(row);
    if (state_lease(state) != 0) {
        if (search->now_ns == 0) {
            search->now_ns = env_now(search->registry->env);
        }
        if (state_expired(state, search->now_ns)) {
            return false;
        }
    }
    return actor_alive(search->registry->runtime, row->actor);
}

static int row_order(const struct registry_row *a, const struct registry_row *b) {
    uint8_t a_length = registry_row_name_length(a), b_length = registry_row_name_length(b);
    int order = memcmp(a->name, b->name, a_length < b_length ? a_length : b_length);
    return order != 0 ? order : (int)a_length - (int)b_length;
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

/* Without postings: those with any load. */
static uint64_t word_usable(const struct chunk *chunk, unsigned word) {
    uint64_t bits = 0;
    for (unsigned load = 0; load < REGISTRY_LOADS; load++) {
        const struct posting_block *block = block_at(chunk, POSTING_LOAD + load);
        /* Acquire pairs with bit_change. */
        bits |= block == NULL ? 0 : atomic_load_explicit(&block->words[word], memory_order_acquire);
    }
    return bits;
}

/* The rows of one word of units that all postings have. */
static size_t word_find(struct search *search, const struct chunk *chunk, unsigned word, size_t found) {
    uint64_t bits = search->posting_count == 0 ? word_usable(chunk, word) : UINT64_MAX;
    for (unsigned at = 0; at < search->posting_count && bits != 0; at++) {
        /* Acquire pairs with bit_change. */
        bits &=
            atomic_load_explicit(&block_at(chunk, search->postings[at])->words[word], memory_order_acquire);
    }
    for (uint64_t left = bits; left != 0; left &= left - 1) {
        __builtin_prefetch(chunk_row(chunk, word * 64 + (unsigned)__builtin_ctzll(left)));
    }
    for (; bits != 0 && found < search->rows_max; bits &= bits - 1) {
        const struct registry_row *row = chunk_row(chunk, word * 64 + (unsigned)__builtin_ctzll(bits));
        if (row_wanted(search, row)) {
            search->rows[found++] = row;
        }
    }
    return found;
}

static size_t chunk_find(struct search *search, const struct chunk *chunk, size_t found) {
    uint64_t lots = UINT64_MAX >> (64 - (chunk->capacity + 63) / 64);
    for (unsigned at = 0; at < search->posting_count; at++) {
        const struct posting_block *block = block_at(chunk, search->postings[at]);
        if (block == NULL) {
            return found;
        }
        lots &= atomic_load_explicit(&block->summary, memory_order_acquire); /* bit_change */
    }
    for (; lots != 0 && found < search->rows_max; lots &= lots - 1) {
        found = word_find(search, chunk, (unsigned)__builtin_ctzll(lots), found);
    }
    return found;
}

static size_t shelf_find(struct search *search, const struct shelf *shelf, size_t found) {
    for (unsigned try = 1; shelf != NULL; try++) {
        /* Acquire: read before the bits below are; pairs with the end of shelf_removes. */
        uint32_t removals = atomic_load_explicit(&shelf->removals, memory_order_acquire);
        size_t end = found;
        for (const struct chunk *chunk = atomic_load_explicit(&shelf->chunks, memory_order_acquire);
             chunk != NULL && end < search->rows_max;
             chunk = atomic_load_explicit(&chunk->next, memory_order_acquire)) { /* shelf_append */
            end = chunk_find(search, chunk, end);
        }
        /* Relaxed: the acquire of each word keeps it behind them. */
        if (removals % 2 == 0 && atomic_load_explicit(&shelf->removals, memory_order_relaxed) == removals) {
            return end;
        }
        if (try == FIND_TRIES) {
            return found + rows_unique(search->rows + found, end - found);
        }
    }
    return found;
}

static size_t search_run(struct search *search, uint32_t namespace_id, size_t found) {
    for (uint32_t at = 0; at <= search->registry->partition_mask && found < search->rows_max; at++) {
        found = shelf_find(search, shelf_of(&search->registry->partitions[at], namespace_id), found);
    }
    return found;
}

static void search_begin(struct search *search, struct registry *registry,
                         const struct capability_set *capabilities, const struct registry_row **ret_rows,
                         size_t rows_max) {
    search->registry = registry;
    search->posting_count = 0;
    search->rows = ret_rows;
    search->rows_max = rows_max;
    search->now_ns = 0;
    for (unsigned word = 0; word < ARRAY_COUNT(capabilities->bits); word++) {
        for (uint64_t bits = capabilities->bits[word]; bits != 0; bits &= bits - 1) {
            search->postings[search->posting_count++] =
                POSTING_CAPABILITY + word * 64 + (unsigned)__builtin_ctzll(bits);
        }
    }
}

static void rows_read(const struct registry *registry, const struct registry_row *const *rows, size_t count) {
    for (size_t at = 0; registry->recorded && at < count; at++) {
        row_read(registry, rows[at]);
    }
}

size_t registry_find(struct registry *registry, const char *name_space,
                     const struct capability_set *capabilities, const struct registry_row **ret_rows,
                     size_t rows_max) {
    const struct namespace *in = namespace_find(registry, name_space);
    struct search search NOT_CLEARED;
    if (in == NULL) {
        return 0;
    }
    search_begin(&search, registry, capabilities, ret_rows, rows_max);
    size_t found = search_run(&search, in->id, 0);
    rows_read(registry, ret_rows, found);
    return found;
}

/* Drops what is among the first `known` already: its load changed between two levels. */
static size_t rows_new(const struct registry_row **rows, size_t known, size_t count) {
    size_t kept = known;
    for (size_t at = known; at < count; at++) {
        bool seen = false;
        for (size_t other = 0; other < known && !seen; other++) {
            seen = row_order(rows[other], rows[at]) == 0;
        }
        if (!seen) {
            rows[kept++] = rows[at];
        }
    }
    return kept;
}

size_t registry_find_least_loaded(struct registry *registry, const char *name_space,
                                  const struct capability_set *capabilities,
                                  const struct registry_row **ret_rows, size_t rows_max) {
    const struct namespace *in = namespace_find(registry, name_space);
    size_t most = rows_max < REGISTRY_LEAST_MAX ? rows_max : REGISTRY_LEAST_MAX, found = 0;
    struct search search NOT_CLEARED;
    search_begin(&search, registry, capabilities, ret_rows, most);
    search.postings[search.posting_count++] = POSTING_LOAD;
    for (unsigned load = 0; in != NULL && load < REGISTRY_LOADS && found < most; load++) {
        search.postings[search.posting_count - 1] = POSTING_LOAD + load;
        found = rows_new(ret_rows, found, search_run(&search, in->id, found));
    }
    rows_read(registry, ret_rows, found);
    return found;
}
