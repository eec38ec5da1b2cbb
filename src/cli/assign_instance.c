/* Reads an instance: kinds and capabilities are named by their number; ids are any integers, each once. */
#include "cli/assign_instance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct arena *arena;
    struct assign_instance *instance;
    struct fault *fault;
    double now;
};

#define TIME_MAX 1e15 /* of a time or work, in the instance's unit */

static enum troupe_error absent(const struct reader *reader, const struct node *map, const char *key,
                                const char *expected) {
    return node_fault(map, reader->fault, TROUPE_INVALID, "'%s' is missing: expected %s", key, expected);
}

static enum troupe_error no_memory(const struct reader *reader) {
    return fault_set(reader->fault, TROUPE_NOMEM, "assign", "out of memory");
}

static enum troupe_error list_get(const struct reader *reader, const struct node *map, const char *key,
                                  size_t max, const struct node **ret) {
    char found[96];
    *ret = node_get(map, key);
    if (!*ret)
        return absent(reader, map, key, "a list");
    if (node_kind(*ret) != DOCUMENT_LIST)
        return node_fault(*ret, reader->fault, TROUPE_INVALID, "expected a list, found %s",
                          node_found(*ret, found));
    if (node_count(*ret) > max)
        return node_fault(*ret, reader->fault, TROUPE_LIMIT, "%zu items: at most %zu", node_count(*ret), max);
    return TROUPE_OK;
}

static enum troupe_error map_check(const struct reader *reader, const struct node *node,
                                   const char *const *keys, size_t count) {
    char found[96];
    if (node_kind(node) != DOCUMENT_MAP)
        return node_fault(node, reader->fault, TROUPE_INVALID, "expected a map, found %s",
                          node_found(node, found));
    return node_check_keys(node, keys, count, reader->fault);
}

/* A number that must be there, from low on (above it when `above`). */
static enum troupe_error number_get(const struct reader *reader, const struct node *map, const char *key,
                                    double low, bool above, double *ret) {
    const struct node *node = node_get(map, key);
    if (!node)
        return absent(reader, map, key, "a number");
    enum troupe_error error = node_read_real(node, ret, reader->fault);
    if (error == TROUPE_OK && !(above ? *ret > low : *ret >= low))
        error = node_fault(node, reader->fault, TROUPE_INVALID, "expected a number %s %g, found %g",
                           above ? "above" : "of at least", low, *ret);
    if (error == TROUPE_OK && *ret > TIME_MAX)
        error =
            node_fault(node, reader->fault, TROUPE_INVALID, "expected at most %g, found %g", TIME_MAX, *ret);
    return error;
}

static enum troupe_error integer_get(const struct reader *reader, const struct node *map, const char *key,
                                     int64_t low, int64_t high, int64_t *ret) {
    const struct node *node = node_get(map, key);
    return node ? node_read_int(node, low, high, ret, reader->fault) : absent(reader, map, key, "an integer");
}

static enum troupe_error bits_get(const struct reader *reader, const struct node *map, const char *key,
                                  uint64_t *ret) {
    const struct node *list;
    enum troupe_error error = list_get(reader, map, key, ASSIGN_CAPABILITIES_MAX, &list);
    *ret = 0;
    for (size_t at = 0; error == TROUPE_OK && at < node_count(list); at++) {
        int64_t bit = 0;
        error = node_read_int(node_at(list, at), 0, (int64_t)reader->instance->capability_count - 1, &bit,
                              reader->fault);
        if (error == TROUPE_OK)
            *ret |= UINT64_C(1) << bit;
    }
    return error;
}

static uint64_t to_ns(const struct reader *reader, double time) {
    double ns = time * reader->instance->unit_ns;
    return ns < 1 ? (time > 0 ? 1 : 0) : ns > 9e18 ? (uint64_t)9e18 : (uint64_t)llround(ns);
}

/* ---- counted resources ---- */

/* Names and pools: {"gpu": 2, "memory": null}; null: each agent has its own. */
static enum troupe_error pools_read(const struct reader *reader, const struct node *map) {
    char found[96];
    struct assign_instance *instance = reader->instance;
    size_t count = node_count(map);
    if (!map)
        return TROUPE_OK;
    if (node_kind(map) != DOCUMENT_MAP)
        return node_fault(map, reader->fault, TROUPE_INVALID,
                          "expected a map of resource names to what there is, found %s",
                          node_found(map, found));
    if (count > TROUPE_BATCH_RESOURCES_MAX)
        return node_fault(map, reader->fault, TROUPE_LIMIT, "%zu resources: at most %d", count,
                          TROUPE_BATCH_RESOURCES_MAX);
    const char **names = arena_alloc(reader->arena, (count + 1) * sizeof *names);
    uint64_t *pools = arena_alloc(reader->arena, (count + 1) * sizeof *pools);
    if (!names || !pools)
        return no_memory(reader);
    for (size_t at = 0; at < count; at++) {
        int64_t total = 0;
        names[at] = node_key_at(map, at);
        pools[at] = TROUPE_BATCH_NO_POOL;
        if (node_kind(node_at(map, at)) == DOCUMENT_NULL)
            continue;
        enum troupe_error error = node_read_bytes(node_at(map, at), &total, reader->fault);
        if (error == TROUPE_OK && total < 1)
            error = node_fault(node_at(map, at), reader->fault, TROUPE_INVALID,
                               "expected an amount of at least 1, or null: each agent has its own");
        if (error != TROUPE_OK)
            return error;
        pools[at] = (uint64_t)total;
    }
    instance->resources = names;
    instance->batch.pools = pools;
    instance->batch.resource_count = (uint32_t)count;
    return TROUPE_OK;
}

/* Amounts by name; those that are not named: `absent`, by resource. NULL when there are no resources. */
static enum troupe_error amounts_read(const struct reader *reader, const struct node *map,
                                      const uint64_t *absent, const uint64_t **ret) {
    char found[96];
    uint32_t known = reader->instance->batch.resource_count;
    if (map && node_kind(map) != DOCUMENT_MAP)
        return node_fault(map, reader->fault, TROUPE_INVALID,
                          "expected a map of resource names to amounts, found %s", node_found(map, found));
    enum troupe_error error =
        map ? node_check_keys(map, reader->instance->resources, known, reader->fault) : TROUPE_OK;
    if (known == 0 || error != TROUPE_OK)
        return error;
    uint64_t *amounts = arena_alloc(reader->arena, known * sizeof *amounts);
    if (!amounts)
        return no_memory(reader);
    for (uint32_t at = 0; at < known; at++) {
        const struct node *node = map ? node_get(map, reader->instance->resources[at]) : NULL;
        int64_t amount = 0;
        error = node_read_bytes(node, &amount, reader->fault);
        if (error == TROUPE_OK && amount < 0)
            error = node_fault(node, reader->fault, TROUPE_INVALID,
                               "expected an amount of at least 0, found %lld", (long long)amount);
        if (error != TROUPE_OK)
            return error;
        amounts[at] = node ? (uint64_t)amount : absent[at];
    }
    *ret = amounts;
    return TROUPE_OK;
}

static enum troupe_error agent_amounts_read(const struct reader *reader, const struct node *node,
                                            struct troupe_batch_agent *agent) {
    uint64_t unbound[TROUPE_BATCH_RESOURCES_MAX] = {0};
    static const uint64_t nothing[TROUPE_BATCH_RESOURCES_MAX];
    for (uint32_t at = 0; at < reader->instance->batch.resource_count; at++)
        unbound[at] = reader->instance->batch.pools[at] == TROUPE_BATCH_NO_POOL ? 0 : UINT64_MAX;
    enum troupe_error error = amounts_read(reader, node_get(node, "resources"), unbound, &agent->amounts);
    return error == TROUPE_OK ? amounts_read(reader, node_get(node, "holds"), nothing, &agent->holds) : error;
}

static enum troupe_error task_amounts_read(const struct reader *reader, const struct node *node,
                                           struct troupe_batch_task *task) {
    static const uint64_t nothing[TROUPE_BATCH_RESOURCES_MAX];
    return amounts_read(reader, node_get(node, "resources"), nothing, &task->amounts);
}

/* What agents hold of a pool together is at most what there is. */
static enum troupe_error holds_check(const struct reader *reader, const struct node *root) {
    const struct troupe_batch *batch = &reader->instance->batch;
    for (uint32_t resource = 0; resource < batch->resource_count; resource++) {
        uint64_t left = batch->pools[resource] == TROUPE_BATCH_NO_POOL ? 0 : batch->pools[resource];
        for (uint32_t agent = 0; agent < batch->agent_count; agent++) {
            uint64_t holds = batch->agents[agent].holds[resource];
            if (holds > left) {
                const struct node *map = node_get(node_at(node_get(root, "agents"), agent), "holds");
                return node_fault(node_get(map, reader->instance->resources[resource]), reader->fault,
                                  TROUPE_INVALID,
                                  "expected at most %llu, what the pool has left for it, found %llu",
                                  (unsigned long long)left, (unsigned long long)holds);
            }
            left -= holds;
        }
    }
    return TROUPE_OK;
}

/* ---- head ---- */

static enum troupe_error unit_read(const struct reader *reader, const struct node *root) {
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    const struct node *node = node_get(root, "time_unit");
    const char *name = "ms";
    enum troupe_error error = node_read_string(node, &name, reader->fault);
    for (size_t at = 0; error == TROUPE_OK && at < ARRAY_COUNT(units); at++)
        if (strcmp(units[at].name, name) == 0) {
            reader->instance->unit_ns = units[at].ns;
            return TROUPE_OK;
        }
    return error != TROUPE_OK ? error
                              : node_fault(node, reader->fault, TROUPE_INVALID,
                                           "expected one of ns, us, ms, s, found '%s'", name);
}

static enum troupe_error head_read(struct reader *reader, const struct node *root) {
    static const char *const keys[] = {"name", "class", "seed",  "time_unit", "now",      "kinds",
                                       "caps", "away",  "tasks", "agents",    "resources"};
    struct assign_instance *instance = reader->instance;
    const struct node *kinds = NULL, *capabilities = NULL;
    double away = 0;
    instance->name = "instance";
    enum troupe_error error = map_check(reader, root, keys, ARRAY_COUNT(keys));
    if (error == TROUPE_OK)
        error = node_read_string(node_get(root, "name"), &instance->name, reader->fault);
    if (error == TROUPE_OK)
        error = unit_read(reader, root);
    if (error == TROUPE_OK && node_get(root, "now"))
        error = number_get(reader, root, "now", 0, false, &reader->now);
    if (error == TROUPE_OK && node_get(root, "away"))
        error = number_get(reader, root, "away", 0, false, &away);
    if (error == TROUPE_OK)
        error = list_get(reader, root, "kinds", 4096, &kinds);
    if (error == TROUPE_OK)
        error = list_get(reader, root, "caps", ASSIGN_CAPABILITIES_MAX, &capabilities);
    if (error != TROUPE_OK)
        return error;
    instance->batch.kind_count = (uint32_t)node_count(kinds);
    instance->batch.away_ns = to_ns(reader, away);
    instance->capability_count = (unsigned)node_count(capabilities);
    const char **names = arena_alloc(reader->arena, (instance->capability_count + 1) * sizeof *names);
    if (!names)
        return no_memory(reader);
    for (size_t at = 0; error == TROUPE_OK && at < instance->capability_count; at++)
        error = node_read_string(node_at(capabilities, at), &names[at], reader->fault);
    instance->capabilities = names;
    return error == TROUPE_OK ? pools_read(reader, node_get(root, "resources")) : error;
}

/* ---- ids ---- */

struct id_place {
    int64_t id;
    size_t at;
};

static int id_compare(const void *left, const void *right) {
    const struct id_place *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id ? 1 : a->at < b->at ? -1 : a->at > b->at;
}

/* INVALID: one is there twice. `list`: where they were read. */
static enum troupe_error ids_sort(const struct reader *reader, const int64_t *ids, size_t count,
                                  const struct node *list, struct id_place **ret_sorted) {
    struct id_place *sorted = arena_alloc(reader->arena, (count + 1) * sizeof *sorted);
    if (!sorted)
        return no_memory(reader);
    for (size_t at = 0; at < count; at++)
        sorted[at] = (struct id_place){ids[at], at};
    qsort(sorted, count, sizeof *sorted, id_compare);
    for (size_t at = 1; at < count; at++)
        if (sorted[at].id == sorted[at - 1].id)
            return node_fault(node_get(node_at(list, sorted[at].at), "id"), reader->fault, TROUPE_INVALID,
                              "id %lld is that of item %zu already", (long long)sorted[at].id,
                              sorted[at - 1].at);
    *ret_sorted = sorted;
    return TROUPE_OK;
}

/* ---- agents ---- */

static enum troupe_error speeds_read(const struct reader *reader, const struct node *map,
                                     const double **ret) {
    const struct node *list;
    unsigned kinds = reader->instance->batch.kind_count;
    enum troupe_error error = list_get(reader, map, "speed", 4096, &list);
    if (error == TROUPE_OK && node_count(list) != kinds)
        return node_fault(list, reader->fault, TROUPE_INVALID,
                          "expected a speed for each of %u kinds, found %zu", kinds, node_count(list));
    double *speeds = arena_alloc(reader->arena, (kinds + 1) * sizeof *speeds);
    if (!speeds)
        return no_memory(reader);
    for (size_t at = 0; error == TROUPE_OK && at < kinds; at++) {
        error = node_read_real(node_at(list, at), &speeds[at], reader->fault);
        if (error == TROUPE_OK && !(speeds[at] > 0 && speeds[at] <= TIME_MAX))
            error = node_fault(node_at(list, at), reader->fault, TROUPE_INVALID,
                               "expected a speed above 0 and up to %g, found %g", TIME_MAX, speeds[at]);
    }
    *ret = speeds;
    return error;
}

static enum troupe_error agent_read(const struct reader *reader, const struct node *node,
                                    struct troupe_batch_agent *agent, int64_t *ret_id) {
    static const char *const keys[] = {"id",        "caps",     "speed",     "backlog", "queue_len",
                                       "max_queue", "stale_ms", "resources", "holds"};
    int64_t queued = 0, most = 0;
    double backlog = 0;
    enum troupe_error error = map_check(reader, node, keys, ARRAY_COUNT(keys));
    if (error == TROUPE_OK)
        error = integer_get(reader, node, "id", INT64_MIN, INT64_MAX, ret_id);
    if (error == TROUPE_OK)
        error = bits_get(reader, node, "caps", &agent->capabilities);
    if (error == TROUPE_OK)
        error = speeds_read(reader, node, &agent->speeds);
    if (error == TROUPE_OK)
        error = number_get(reader, node, "backlog", 0, false, &backlog);
    if (error == TROUPE_OK)
        error = integer_get(reader, node, "max_queue", 0, UINT32_MAX, &most);
    if (error == TROUPE_OK)
        error = integer_get(reader, node, "queue_len", 0, UINT32_MAX, &queued);
    if (error == TROUPE_OK)
        error = agent_amounts_read(reader, node, agent);
    agent->backlog_ns = to_ns(reader, backlog);
    agent->queued = (uint32_t)queued;
    agent->room = queued < most ? (uint32_t)(most - queued) : 0;
    return error;
}

static enum troupe_error agents_read(struct reader *reader, const struct node *root,
                                     struct id_place **ret_sorted) {
    const struct node *list;
    struct assign_instance *instance = reader->instance;
    enum troupe_error error = list_get(reader, root, "agents", 65536, &list);
    if (error != TROUPE_OK)
        return error;
    size_t count = node_count(list);
    if (count == 0)
        return node_fault(list, reader->fault, TROUPE_INVALID, "no agents: expected at least one");
    struct troupe_batch_agent *agents = arena_alloc(reader->arena, count * sizeof *agents);
    int64_t *ids = arena_alloc(reader->arena, count * sizeof *ids);
    if (!agents || !ids)
        return no_memory(reader);
    for (size_t at = 0; error == TROUPE_OK && at < count; at++)
        error = agent_read(reader, node_at(list, at), &agents[at], &ids[at]);
    instance->batch.agents = agents;
    instance->batch.agent_count = (uint32_t)count;
    instance->agent_ids = ids;
    return error == TROUPE_OK ? ids_sort(reader, ids, count, list, ret_sorted) : error;
}

/* ---- tasks ---- */

static enum troupe_error home_read(const struct reader *reader, const struct node *node,
                                   const struct id_place *agents, struct troupe_batch_task *task) {
    const struct node *home = node_get(node, "home");
    struct id_place wanted = {0};
    task->home = TROUPE_BATCH_NOBODY;
    if (!home || node_kind(home) == DOCUMENT_NULL)
        return TROUPE_OK;
    enum troupe_error error = node_read_int(home, INT64_MIN, INT64_MAX, &wanted.id, reader->fault);
    for (uint32_t at = 0; error == TROUPE_OK && at < reader->instance->batch.agent_count; at++)
        if (agents[at].id == wanted.id)
            task->home = (uint32_t)agents[at].at;
    if (error == TROUPE_OK && task->home == TROUPE_BATCH_NOBODY)
        error = node_fault(home, reader->fault, TROUPE_INVALID, "expected the id of an agent, found %lld",
                           (long long)wanted.id);
    return error;
}

static enum troupe_error deadline_read(const struct reader *reader, const struct node *node,
                                       struct troupe_batch_task *task) {
    const struct node *deadline = node_get(node, "deadline");
    double at = 0;
    task->deadline_ns = TROUPE_BATCH_NEVER;
    if (!deadline || node_kind(deadline) == DOCUMENT_NULL)
        return TROUPE_OK;
    enum troupe_error error = number_get(reader, node, "deadline", -TIME_MAX, false, &at);
    if (error == TROUPE_OK && at <= reader->now)
        error =
            node_fault(deadline, reader->fault, TROUPE_INVALID,
                       "expected a time after now (%g), found %g: it has passed already", reader->now, at);
    task->deadline_ns = to_ns(reader, at - reader->now);
    return error;
}

static enum troupe_error task_read(const struct reader *reader, const struct node *node,
                                   const struct id_place *agents, struct troupe_batch_task *task,
                                   int64_t *ret_id) {
    static const char *const keys[] = {"id",  "kind",   "work", "deadline", "priority",
                                       "req", "actual", "home", "resources"};
    int64_t kind = 0;
    double work = 0;
    task->weight = 1;
    enum troupe_error error = map_check(reader, node, keys, ARRAY_COUNT(keys));
    if (error == TROUPE_OK)
        error = integer_get(reader, node, "id", INT64_MIN, INT64_MAX, ret_id);
    if (error == TROUPE_OK)
        error = integer_get(reader, node, "kind", 0, (int64_t)reader->instance->batch.kind_count - 1, &kind);
    if (error == TROUPE_OK)
        error = number_get(reader, node, "work", 0, true, &work);
    if (error == TROUPE_OK && node_get(node, "priority"))
        error = number_get(reader, node, "priority", 0, true, &task->weight);
    if (error == TROUPE_OK && node_get(node, "req"))
        error = bits_get(reader, node, "req", &task->needs);
    if (error == TROUPE_OK)
        error = deadline_read(reader, node, task);
    if (error == TROUPE_OK)
        error = home_read(reader, node, agents, task);
    if (error == TROUPE_OK)
        error = task_amounts_read(reader, node, task);
    task->kind = (uint32_t)kind;
    task->work_ns = to_ns(reader, work);
    return error;
}

static enum troupe_error tasks_read(struct reader *reader, const struct node *root,
                                    const struct id_place *agents) {
    const struct node *list;
    struct id_place *sorted;
    struct assign_instance *instance = reader->instance;
    enum troupe_error error = list_get(reader, root, "tasks", 1048576, &list);
    if (error != TROUPE_OK)
        return error;
    size_t count = node_count(list);
    struct troupe_batch_task *tasks = arena_alloc(reader->arena, (count + 1) * sizeof *tasks);
    int64_t *ids = arena_alloc(reader->arena, (count + 1) * sizeof *ids);
    if (!tasks || !ids)
        return no_memory(reader);
    for (size_t at = 0; error == TROUPE_OK && at < count; at++)
        error = task_read(reader, node_at(list, at), agents, &tasks[at], &ids[at]);
    instance->batch.tasks = tasks;
    instance->batch.task_count = (uint32_t)count;
    instance->task_ids = ids;
    return error == TROUPE_OK ? ids_sort(reader, ids, count, list, &sorted) : error;
}

enum troupe_error assign_instance_read(const struct node *root, struct arena *arena,
                                       struct assign_instance *ret_instance, struct fault *fault) {
    struct reader reader = {.arena = arena, .instance = ret_instance, .fault = fault};
    struct id_place *agents = NULL;
    *ret_instance = (struct assign_instance){0};
    enum troupe_error error = head_read(&reader, root);
    if (error == TROUPE_OK)
        error = agents_read(&reader, root, &agents);
    if (error == TROUPE_OK)
        error = holds_check(&reader, root);
    if (error == TROUPE_OK)
        error = tasks_read(&reader, root, agents);
    return error;
}
