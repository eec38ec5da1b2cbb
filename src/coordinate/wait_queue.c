/* Demands in a map by (capability, amounts), each with a heap of its waiting claims. Demands that nobody uses
 * are reused when the table is full, so that the number of kinds over a life is unbounded while memory is
 * not. */
#include "coordinate/wait_queue.h"

#include <string.h>

struct demand_key {
    uint64_t capability;
    struct resources resources;
};

enum troupe_error wait_queue_init(struct wait_queue *queue, struct account *account, uint64_t hash_seed) {
    memset(queue, 0, sizeof *queue);
    queue->account = account;
    parking_init(&queue->parking, account, hash_seed);
    return map_create(account, &queue->by_need);
}

void wait_queue_free(struct wait_queue *queue) {
    for (unsigned i = 0; i < queue->demand_count; i++) {
        heap_free(&queue->demands[i]->waiting);
        parked_heap_free(&queue->demands[i]->parked, queue->account);
        memory_free(queue->account, queue->demands[i]);
    }
    queue->demand_count = 0;
    parking_free(&queue->parking);
    map_free(queue->by_need);
    queue->by_need = NULL;
}

static struct demand *unused_demand(struct wait_queue *queue) {
    for (unsigned i = 0; i < queue->demand_count; i++)
        if (queue->demands[i]->users == 0)
            return queue->demands[i];
    return NULL;
}

static enum troupe_error blank_demand(struct wait_queue *queue, struct demand **ret_demand) {
    struct demand *demand;
    if (queue->demand_count == DEMANDS_MAX) {
        demand = unused_demand(queue);
        if (!demand)
            return TROUPE_LIMIT;
        struct demand_key old = {demand->capability, demand->resources};
        map_remove(queue->by_need, (const char *)&old, sizeof old);
        *ret_demand = demand;
        return TROUPE_OK;
    }
    demand = memory_alloc(queue->account, sizeof *demand);
    if (!demand)
        return TROUPE_NOMEM;
    heap_init(&demand->waiting, queue->account);
    demand->index = (uint16_t)queue->demand_count;
    queue->demands[queue->demand_count++] = demand;
    *ret_demand = demand;
    return TROUPE_OK;
}

enum troupe_error wait_queue_demand(struct wait_queue *queue, unsigned capability,
                                    const struct resources *resources, struct demand **ret_demand) {
    struct demand *demand = queue->last;
    if (demand && demand->capability == capability &&
        memcmp(&demand->resources, resources, sizeof *resources) == 0) {
        *ret_demand = demand;
        return TROUPE_OK;
    }
    struct demand_key key = {capability, *resources};
    demand = map_get(queue->by_need, (const char *)&key, sizeof key);
    if (!demand) {
        enum troupe_error error = blank_demand(queue, &demand);
        if (error)
            return error;
        demand->capability = capability;
        demand->resources = *resources;
        demand->counted = false;
        for (unsigned i = 0; i < RESOURCES_MAX; i++)
            demand->counted |= resources->amount[i] > 0;
        error = map_put(queue->by_need, (const char *)&key, sizeof key, demand);
        if (error) {
            /* Nobody can find it, so that nobody uses it: it stays in the table as a blank one. */
            demand->capability = UINT32_MAX;
            if (queue->last == demand)
                queue->last = NULL;
            return error;
        }
    }
    queue->last = demand;
    *ret_demand = demand;
    return TROUPE_OK;
}

static size_t waiting_of(const struct demand *demand) {
    return demand->waiting.count + demand->parked.count;
}

static void one_more(struct wait_queue *queue, struct demand *demand) {
    if (waiting_of(demand) == 1) {
        CHECK(queue->filled_count < DEMANDS_MAX);
        demand->queue_at = queue->filled_count;
        queue->filled[queue->filled_count++] = demand;
    }
    queue->count++;
    if (queue->count > queue->count_max)
        queue->count_max = queue->count;
}

static void one_less(struct wait_queue *queue, const struct demand *demand) {
    CHECK(queue->count > 0);
    queue->count--;
    if (waiting_of(demand) == 0) {
        struct demand *moved = queue->filled[--queue->filled_count];
        queue->filled[demand->queue_at] = moved;
        moved->queue_at = demand->queue_at;
    }
}

enum troupe_error wait_queue_put(struct wait_queue *queue, struct claim *claim) {
    enum troupe_error error =
        heap_insert_in_turn(&claim->demand->waiting, &claim->wait, claim->order, claim->arrival);
    if (error)
        return error;
    one_more(queue, claim->demand);
    return TROUPE_OK;
}

void wait_queue_remove(struct wait_queue *queue, struct claim *claim) {
    struct demand *demand = claim->demand;
    CHECK(claim->wait.position != 0);
    heap_remove(&demand->waiting, &claim->wait);
    one_less(queue, demand);
}

enum troupe_error wait_queue_park(struct wait_queue *queue, struct demand *demand,
                                  const struct parked *values) {
    struct parked parked = *values;
    parked.demand = demand->index;
    enum troupe_error error = parking_put(&queue->parking, &demand->parked, &parked);
    if (error)
        return error;
    one_more(queue, demand);
    return TROUPE_OK;
}

struct task *wait_queue_unpark(struct wait_queue *queue, uint32_t index) {
    struct demand *demand = queue->demands[parking_at(&queue->parking, index)->demand];
    struct task *task = parking_take(&queue->parking, &demand->parked, index);
    one_less(queue, demand);
    return task;
}

struct claim *wait_queue_first(const struct demand *demand) {
    struct heap_node *node = heap_first(&demand->waiting);
    return node ? CLAIM_OF(node, wait) : NULL;
}
