/* Loops over what the caller gave; a batch without resources comes through none of them. */
#include "api/batch_resources.h"

#include <stdio.h>

enum { POOLED_TASKS_MAX = 65536 };

static uint64_t asked(const struct troupe_batch *batch, uint32_t task, unsigned resource) {
    return batch->tasks[task].amounts ? batch->tasks[task].amounts[resource] : 0;
}

static bool is_pool(const struct troupe_batch *batch, unsigned resource) {
    return batch->pools[resource] != TROUPE_BATCH_NO_POOL;
}

static enum troupe_status check_holds(const struct troupe_batch *batch, unsigned resource, char *said) {
    uint64_t left = batch->pools[resource];
    for (uint32_t agent = 0; agent < batch->agent_count; agent++) {
        const uint64_t *holds = batch->agents[agent].holds;
        if (!holds || holds[resource] == 0)
            continue;
        if (!is_pool(batch, resource) || holds[resource] > left) {
            snprintf(said, TROUPE_PROBLEM_MAX,
                     "agents[%u].holds[%u]: expected at most %llu, what others leave of the pool, found %llu",
                     agent, resource, is_pool(batch, resource) ? (unsigned long long)left : 0,
                     (unsigned long long)holds[resource]);
            return TROUPE_STATUS_INVALID;
        }
        left -= holds[resource];
    }
    return TROUPE_STATUS_OK;
}

enum troupe_status batch_resources_check(const struct troupe_batch *batch, char *said) {
    if (batch->resource_count > TROUPE_BATCH_RESOURCES_MAX) {
        snprintf(said, TROUPE_PROBLEM_MAX, "%u resources: at most %d", batch->resource_count,
                 TROUPE_BATCH_RESOURCES_MAX);
        return TROUPE_STATUS_LIMIT;
    }
    for (unsigned resource = 0; resource < batch->resource_count; resource++) {
        uint64_t total = batch->pools[resource];
        if (total == 0 || (total > INT64_MAX && total != TROUPE_BATCH_NO_POOL)) {
            snprintf(said, TROUPE_PROBLEM_MAX,
                     "pools[%u]: expected 1 to 2^63 - 1, or TROUPE_BATCH_NO_POOL, found %llu", resource,
                     (unsigned long long)total);
            return TROUPE_STATUS_INVALID;
        }
        enum troupe_status status = check_holds(batch, resource, said);
        if (status != TROUPE_STATUS_OK)
            return status;
    }
    if (batch->task_count > POOLED_TASKS_MAX && batch_resources_pooled(batch)) {
        snprintf(said, TROUPE_PROBLEM_MAX, "%u tasks: at most %d where one asks for a pool",
                 batch->task_count, POOLED_TASKS_MAX);
        return TROUPE_STATUS_LIMIT;
    }
    return TROUPE_STATUS_OK;
}

uint64_t batch_resources_short(const struct troupe_batch *batch, uint32_t task, uint32_t agent) {
    const uint64_t *has = batch->agents[agent].amounts;
    uint64_t bits = 0;
    for (unsigned resource = 0; has && resource < batch->resource_count; resource++)
        bits |= (uint64_t)(asked(batch, task, resource) > has[resource]) << resource;
    return bits;
}

uint64_t batch_resources_over(const struct troupe_batch *batch, uint32_t task) {
    uint64_t bits = 0;
    for (unsigned resource = 0; resource < batch->resource_count; resource++)
        bits |= (uint64_t)(asked(batch, task, resource) > batch->pools[resource]) << resource;
    return bits;
}

bool batch_resources_alike(const struct troupe_batch *batch, uint32_t task, uint32_t other) {
    bool equal = true;
    for (unsigned resource = 0; resource < batch->resource_count; resource++)
        equal &= asked(batch, task, resource) == asked(batch, other, resource);
    for (uint32_t agent = 0; !equal && agent < batch->agent_count; agent++)
        if ((batch_resources_short(batch, task, agent) == 0) !=
            (batch_resources_short(batch, other, agent) == 0))
            return false;
    return true;
}

bool batch_resources_pooled(const struct troupe_batch *batch) {
    for (uint32_t task = 0; batch->resource_count > 0 && task < batch->task_count; task++)
        for (unsigned resource = 0; resource < batch->resource_count; resource++)
            if (is_pool(batch, resource) && asked(batch, task, resource) > 0)
                return true;
    return false;
}

unsigned batch_resources_pools(const struct troupe_batch *batch, int64_t *ret_total, int64_t *ret_needs,
                               int64_t *ret_holds) {
    unsigned count = 0, pool = 0;
    for (unsigned resource = 0; resource < batch->resource_count; resource++)
        count += is_pool(batch, resource);
    for (unsigned resource = 0; ret_needs && resource < batch->resource_count; resource++) {
        if (!is_pool(batch, resource))
            continue;
        ret_total[pool] = (int64_t)batch->pools[resource];
        for (uint32_t task = 0; task < batch->task_count; task++)
            ret_needs[(size_t)task * count + pool] =
                batch_resources_over(batch, task) ? 0 : (int64_t)asked(batch, task, resource);
        for (uint32_t agent = 0; agent < batch->agent_count; agent++)
            ret_holds[(size_t)agent * count + pool] =
                batch->agents[agent].holds ? (int64_t)batch->agents[agent].holds[resource] : 0;
        pool++;
    }
    return count;
}
