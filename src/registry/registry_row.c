/* Rows: what a registration says, written as one word or, when it is more than that holds, as details.
 *
 * Invariants: nothing that a word points to changes while a reader may hold it, so one load is a consistent
 *             view. The name and the actor do not change at all before the row has waited for its readers.
 * Threads: any. Memory: details are blocks of the registry's account, retired. */
#include "registry/registry_private.h"

static const struct capability_set capabilities_none;
static const struct resources resources_none;

#define PLAIN_HEALTH 1
#define PLAIN_LOAD 3
#define PLAIN_SET 6
#define PLAIN_VERSION 16

uint32_t row_units(uint32_t name_length) {
    return name_length <= ROW_SHORT ? 1 : (ROW_SHORT + name_length + 1 + ROW_UNIT - 1) / ROW_UNIT;
}

uint64_t state_version(uint64_t state) {
    const struct details *details = state_details(state);
    return details != NULL ? details->version : state >> PLAIN_VERSION & STATE_VERSION_MAX;
}

uint64_t state_lease(uint64_t state) {
    const struct details *details = state_details(state);
    return details != NULL ? details->expires_ns : 0;
}

void state_values(const struct registry *registry, uint64_t state, struct values *ret_values) {
    const struct details *details = state_details(state);
    if (details == NULL) {
        uint32_t set = state >> PLAIN_SET & (SETS_MAX - 1);
        *ret_values = (struct values){.capabilities = set_of(registry, set),
                                      .set = set,
                                      .health = state >> PLAIN_HEALTH & 3,
                                      .load = state >> PLAIN_LOAD & (REGISTRY_LOADS - 1)};
        return;
    }
    *ret_values = (struct values){.expires_ns = details->expires_ns,
                                  .capabilities = details->capabilities,
                                  .resources = details->has_resources ? &details->resources : NULL,
                                  .opaque = details->opaque,
                                  .set = details->set,
                                  .opaque_length = details->opaque_length,
                                  .node = details->node_id,
                                  .health = details->health,
                                  .load = details->load};
}

bool values_plain(const struct values *values, uint64_t version) {
    return version <= STATE_VERSION_MAX && values->expires_ns == 0 && values->set != SET_OWN &&
           values->resources == NULL && values->opaque_length == 0 && values->node == 0;
}

size_t details_bytes(const struct values *values) {
    return sizeof(struct details) + values->opaque_length;
}

struct details *details_new(struct account *account, size_t bytes) {
    struct details *details = memory_alloc(account, bytes);
    if (details != NULL) {
        details->bytes = bytes;
    }
    return details;
}

uint64_t state_make(uint32_t check, const struct values *values, uint64_t version, struct details *details) {
    uint64_t front = (uint64_t)check << 48;
    if (details == NULL) {
        CHECK(values_plain(values, version));
        return front | version << PLAIN_VERSION | (uint64_t)values->set << PLAIN_SET |
               (uint64_t)values->load << PLAIN_LOAD | (uint64_t)values->health << PLAIN_HEALTH | STATE_PLAIN;
    }
    CHECK(details->bytes >= details_bytes(values));
    CHECK(((uint64_t)(uintptr_t)details & ~STATE_POINTER) == 0);
    details->version = version;
    details->expires_ns = values->expires_ns;
    details->set = values->set;
    details->capabilities = values->capabilities;
    if (values->set == SET_OWN) {
        details->own = *values->capabilities;
        details->capabilities = &details->own;
    }
    details->has_resources = values->resources != NULL;
    if (values->resources != NULL) {
        details->resources = *values->resources;
    }
    details->opaque_length = values->opaque_length;
    if (values->opaque_length != 0) {
        memcpy(details->opaque, values->opaque, values->opaque_length);
    }
    details->node_id = values->node;
    details->health = values->health;
    details->load = values->load;
    return front | (uint64_t)(uintptr_t)details;
}

void registry_row_view(const struct registry *registry, const struct registry_row *row,
                       struct registry_view *ret_view) {
    uint64_t state = row_state(row);
    struct values values;
    state_values(registry, state, &values);
    *ret_view = (struct registry_view){
        .version = state_version(state),
        .lease_ns = values.expires_ns,
        .capabilities = values.capabilities,
        .resources = values.resources != NULL ? values.resources : &resources_none,
        .opaque = values.opaque,
        .opaque_length = values.opaque_length,
        .node = values.node,
        .name_length = (uint8_t)state_length(state),
        .load = values.load,
        .health = (enum health)values.health,
    };
}

uint64_t registry_row_version(const struct registry_row *row) {
    return state_version(row_state(row));
}

enum health registry_row_health(const struct registry_row *row) {
    uint64_t state = row_state(row);
    const struct details *details = state_details(state);
    return (enum health)(details != NULL ? details->health : state >> PLAIN_HEALTH & 3);
}

uint8_t registry_row_name_length(const struct registry_row *row) {
    return (uint8_t)state_length(row_state(row));
}

const struct capability_set *registry_row_capabilities(const struct registry *registry,
                                                       const struct registry_row *row) {
    uint64_t state = row_state(row);
    const struct details *details = state_details(state);
    if (details != NULL) {
        return details->capabilities;
    }
    uint32_t set = state >> PLAIN_SET & (SETS_MAX - 1);
    return set == 0 ? &capabilities_none : set_of(registry, set);
}

bool row_valid(struct runtime *runtime, const struct registry_row *row, uint64_t now_ns) {
    return !state_expired(row_state(row), now_ns) && actor_alive(runtime, row->actor);
}

static void details_deferred(void *context, struct grace_node *node) {
    memory_free(context, (char *)node - offsetof(struct details, node));
}

void details_retire(struct registry *registry, struct details *details) {
    if (details != NULL) {
        details->node = (struct grace_node){.fn = details_deferred, .context = registry->account};
        registry_retire(registry, &details->node);
    }
}
