/* Parked tasks: see the header. Heaps are of indexes, two keys over one set of records. */
#include "coordinate/parking.h"

#include <string.h>

#define CHUNK_RECORDS 128U
#define CAPACITY_FIRST 16U

static struct parked *record(const struct parking *parking, uint32_t index) {
    CHECK(index != PARKED_NONE);
    return &parking->chunks[(index - 1) / CHUNK_RECORDS][(index - 1) % CHUNK_RECORDS];
}

const struct parked *parking_at(const struct parking *parking, uint32_t index) {
    return record(parking, index);
}

/* ---- heaps ---- */

static bool before(const struct parking *parking, enum parked_order by, uint32_t left, uint32_t right) {
    const struct parked *a = record(parking, left), *b = record(parking, right);
    uint64_t a_key = by == PARKED_BY_ORDER ? a->order : a->task->deadline_ns;
    uint64_t b_key = by == PARKED_BY_ORDER ? b->order : b->task->deadline_ns;
    return a_key != b_key ? a_key < b_key : (int32_t)(a->arrival - b->arrival) < 0;
}

static void place(const struct parking *parking, enum parked_order by, struct parked_heap *heap, uint32_t at,
                  uint32_t index) {
    heap->items[at] = index;
    record(parking, index)->at[by] = at + 1;
}

static void sift_up(const struct parking *parking, enum parked_order by, struct parked_heap *heap,
                    uint32_t at, uint32_t index) {
    while (at > 0 && before(parking, by, index, heap->items[(at - 1) / 2])) {
        place(parking, by, heap, at, heap->items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(parking, by, heap, at, index);
}

static void sift_down(const struct parking *parking, enum parked_order by, struct parked_heap *heap,
                      uint32_t at, uint32_t index) {
    for (uint32_t child; (child = 2 * at + 1) < heap->count;) {
        if (child + 1 < heap->count && before(parking, by, heap->items[child + 1], heap->items[child]))
            child++;
        if (!before(parking, by, heap->items[child], index))
            break;
        place(parking, by, heap, at, heap->items[child]);
        at = child;
    }
    place(parking, by, heap, at, index);
}

static void heap_take(const struct parking *parking, enum parked_order by, struct parked_heap *heap,
                      uint32_t index) {
    uint32_t at = record(parking, index)->at[by] - 1, last = heap->items[--heap->count];
    CHECK(at <= heap->count && (at == heap->count || heap->items[at] == index));
    record(parking, index)->at[by] = 0;
    if (last == index)
        return;
    if (at > 0 && before(parking, by, last, heap->items[(at - 1) / 2]))
        sift_up(parking, by, heap, at, last);
    else
        sift_down(parking, by, heap, at, last);
}

static bool heap_has_room(struct parked_heap *heap, struct account *account) {
    if (heap->count < heap->capacity)
        return true;
    uint32_t capacity = heap->capacity > 0 ? heap->capacity + heap->capacity / 2 : CAPACITY_FIRST;
    uint32_t *items = memory_resize(account, heap->items, capacity * sizeof *items);
    if (items == NULL)
        return false;
    heap->items = items;
    heap->capacity = capacity;
    return true;
}

void parked_heap_free(struct parked_heap *heap, struct account *account) {
    memory_free(account, heap->items);
    *heap = (struct parked_heap){0};
}

/* ---- by id ---- */

static uint32_t *bucket_of(const struct parking *parking, struct task_id id) {
    return &parking->buckets[task_id_hash(id, parking->hash_seed) & (parking->bucket_count - 1)];
}

/* Without memory for more the chains are longer. False: there is not one bucket. */
static bool buckets_suffice(struct parking *parking) {
    if (parking->count < parking->bucket_count)
        return true;
    uint32_t count = parking->bucket_count > 0 ? 2 * parking->bucket_count : CAPACITY_FIRST, at = 0;
    uint32_t *buckets = memory_alloc(parking->account, count * sizeof *buckets);
    if (buckets == NULL)
        return parking->bucket_count > 0;
    memory_free(parking->account, parking->buckets);
    parking->buckets = buckets;
    parking->bucket_count = count;
    for (uint32_t index; (index = parking_next(parking, &at)) != PARKED_NONE;) {
        uint32_t *bucket = bucket_of(parking, record(parking, index)->task->id);
        record(parking, index)->next = *bucket;
        *bucket = index;
    }
    return true;
}

uint32_t parking_find(const struct parking *parking, struct task_id id) {
    uint32_t index = parking->count > 0 ? *bucket_of(parking, id) : PARKED_NONE;
    while (index != PARKED_NONE && !task_id_equal(record(parking, index)->task->id, id))
        index = record(parking, index)->next;
    return index;
}

static void bucket_leave(const struct parking *parking, uint32_t index) {
    uint32_t *link = bucket_of(parking, record(parking, index)->task->id);
    while (*link != index)
        link = &record(parking, *link)->next;
    *link = record(parking, index)->next;
}

/* ---- records ---- */

static void chunk_add(struct parking *parking, struct parked *chunk) {
    uint32_t first = parking->chunk_count * CHUNK_RECORDS + 1;
    parking->chunks[parking->chunk_count++] = chunk;
    for (uint32_t i = CHUNK_RECORDS; i-- > 0;) {
        chunk[i].next = parking->free;
        parking->free = first + i;
    }
}

static bool has_record(struct parking *parking) {
    if (parking->free != PARKED_NONE)
        return true;
    if (parking->chunk_count == parking->chunk_capacity) {
        uint32_t capacity = parking->chunk_capacity > 0 ? 2 * parking->chunk_capacity : CAPACITY_FIRST;
        struct parked **chunks = memory_resize(parking->account, parking->chunks, capacity * sizeof *chunks);
        if (chunks == NULL)
            return false;
        parking->chunks = chunks;
        parking->chunk_capacity = capacity;
    }
    struct parked *chunk = memory_alloc(parking->account, CHUNK_RECORDS * sizeof *chunk);
    if (chunk == NULL)
        return false;
    chunk_add(parking, chunk);
    return true;
}

enum troupe_error parking_put(struct parking *parking, struct parked_heap *heap,
                              const struct parked *values) {
    bool deadline = values->task->deadline_ns != UINT64_MAX;
    if (!has_record(parking) || !buckets_suffice(parking) || !heap_has_room(heap, parking->account) ||
        (deadline && !heap_has_room(&parking->deadlines, parking->account)))
        return TROUPE_NOMEM;
    uint32_t index = parking->free, *bucket = bucket_of(parking, values->task->id);
    struct parked *parked = record(parking, index);
    parking->free = parked->next;
    *parked = *values;
    parked->next = *bucket;
    *bucket = index;
    parking->count++;
    sift_up(parking, PARKED_BY_ORDER, heap, heap->count++, index);
    parked->at[PARKED_BY_DEADLINE] = 0;
    if (deadline)
        sift_up(parking, PARKED_BY_DEADLINE, &parking->deadlines, parking->deadlines.count++, index);
    return TROUPE_OK;
}

/* One chunk stays, so that a queue about as long as what a plan looks at does not go back and forth. */
static void release_all(struct parking *parking) {
    for (uint32_t i = 1; i < parking->chunk_count; i++)
        memory_free(parking->account, parking->chunks[i]);
    parking->chunk_count = 0;
    parking->free = PARKED_NONE;
    chunk_add(parking, parking->chunks[0]);
    memory_free(parking->account, parking->buckets);
    parking->buckets = NULL;
    parking->bucket_count = 0;
    parked_heap_free(&parking->deadlines, parking->account);
}

struct task *parking_take(struct parking *parking, struct parked_heap *heap, uint32_t index) {
    struct parked *parked = record(parking, index);
    struct task *task = parked->task;
    CHECK(task != NULL && parking->count > 0);
    bucket_leave(parking, index);
    heap_take(parking, PARKED_BY_ORDER, heap, index);
    if (parked->at[PARKED_BY_DEADLINE] != 0)
        heap_take(parking, PARKED_BY_DEADLINE, &parking->deadlines, index);
    parked->task = NULL;
    parked->next = parking->free;
    parking->free = index;
    if (--parking->count == 0 && parking->chunk_count > 1)
        release_all(parking);
    return task;
}

uint32_t parking_next(const struct parking *parking, uint32_t *at) {
    while (*at < parking->chunk_count * CHUNK_RECORDS) {
        uint32_t index = ++*at;
        if (record(parking, index)->task != NULL)
            return index;
    }
    return PARKED_NONE;
}

/* ---- the whole ---- */

void parking_init(struct parking *parking, struct account *account, uint64_t hash_seed) {
    *parking = (struct parking){.account = account, .hash_seed = hash_seed};
}

void parking_free(struct parking *parking) {
    uint32_t at = 0;
    for (uint32_t index; (index = parking_next(parking, &at)) != PARKED_NONE;)
        task_free(record(parking, index)->task);
    for (uint32_t i = 0; i < parking->chunk_count; i++)
        memory_free(parking->account, parking->chunks[i]);
    memory_free(parking->account, parking->chunks);
    memory_free(parking->account, parking->buckets);
    parked_heap_free(&parking->deadlines, parking->account);
    parking_init(parking, parking->account, parking->hash_seed);
}
