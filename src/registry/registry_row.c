/* Rows: how a version of a registration is laid out, and when it counts.
 *
 * Invariants: {header, name, NUL, opaque} is what most readers see, at the front of one block; {lease}
 *             {capabilities} {resources} follow, each only when there is something to say; the writers' links
 *             come last. Nothing that a reader sees changes after publication.
 * Threads: any. Memory: one block from the registry's account. */
#include "registry/registry_private.h"

static const struct capability_set capabilities_none;
static const struct resources resources_none;

static size_t part_offset(const struct registry_row *row, unsigned part) {
    size_t at = row_parts_offset(row);
    if (part > ROW_LEASE && (row->parts & ROW_LEASE) != 0) {
        at += sizeof(struct row_lease);
    }
    if (part > ROW_CAPABILITIES && (row->parts & ROW_CAPABILITIES) != 0) {
        at += sizeof(struct capability_set);
    }
    if (part > ROW_RESOURCES && (row->parts & ROW_RESOURCES) != 0) {
        at += sizeof(struct resources);
    }
    return at;
}

static void *part_of(const struct registry_row *row, unsigned part) {
    return (char *)(uintptr_t)row + part_offset(row, part);
}

struct row_links *row_links(const struct registry_row *row) {
    return part_of(row, ROW_RESOURCES + 1);
}

uint64_t registry_row_lease(const struct registry_row *row) {
    return (row->parts & ROW_LEASE) != 0 ? row_lease(row)->expires_ns : 0;
}

const struct capability_set *registry_row_capabilities(const struct registry_row *row) {
    return (row->parts & ROW_CAPABILITIES) != 0 ? part_of(row, ROW_CAPABILITIES) : &capabilities_none;
}

const struct resources *registry_row_resources(const struct registry_row *row) {
    return (row->parts & ROW_RESOURCES) != 0 ? part_of(row, ROW_RESOURCES) : &resources_none;
}

static size_t links_bytes(uint32_t capability_count) {
    return sizeof(struct row_links) + (POSTING_CAPABILITY + capability_count) * sizeof(uint32_t);
}

size_t row_bytes(const struct registry_row *row) {
    return part_offset(row, ROW_RESOURCES + 1) + links_bytes(row_links(row)->capability_count);
}

static uint32_t capabilities_count(const struct capability_set *set) {
    uint32_t count = 0;
    for (unsigned word = 0; word < ARRAY_COUNT(set->bits); word++) {
        count += (uint32_t)__builtin_popcountll(set->bits[word]);
    }
    return count;
}

static void row_deferred(void *context, struct grace_node *node) {
    struct row_links *links = (struct row_links *)(void *)((char *)node - offsetof(struct row_links, node));
    memory_free(context, links->row);
}

static void links_init(struct registry_row *row, struct account *account, uint32_t capability_count) {
    struct row_links *links = row_links(row);
    memset(links, 0, links_bytes(capability_count));
    links->node.fn = row_deferred;
    links->node.context = account;
    links->row = row;
    links->capability_count = capability_count;
}

struct registry_row *row_new(struct account *account, const struct registration *registration,
                             uint32_t namespace_id, uint64_t now_ns) {
    uint32_t capability_count = capabilities_count(&registration->capabilities);
    struct registry_row front = {.actor = registration->actor,
                                 .namespace_id = namespace_id,
                                 .node = registration->node,
                                 .opaque_length = (uint16_t)registration->opaque_length,
                                 .health = (uint8_t)registration->health,
                                 .name_length = (uint8_t)strlen(registration->name)};
    front.parts = (uint8_t)((registration->lease_ns != 0 ? ROW_LEASE : 0) |
                            (capability_count != 0 ? ROW_CAPABILITIES : 0) |
                            (memcmp(&registration->resources, &resources_none, sizeof resources_none) != 0
                                 ? ROW_RESOURCES
                                 : 0));
    struct registry_row *row =
        memory_alloc(account, part_offset(&front, ROW_RESOURCES + 1) + links_bytes(capability_count));
    if (row == NULL) {
        return NULL;
    }
    memcpy(row, &front, offsetof(struct registry_row, bytes));
    memcpy(row->bytes, registration->name, row->name_length);
    if (registration->opaque_length != 0) {
        memcpy(row->bytes + row->name_length + 1, registration->opaque, registration->opaque_length);
    }
    if ((row->parts & ROW_LEASE) != 0) {
        uint64_t never = UINT64_MAX - now_ns;
        row_lease(row)->expires_ns =
            registration->lease_ns < never ? now_ns + registration->lease_ns : UINT64_MAX;
    }
    if ((row->parts & ROW_CAPABILITIES) != 0) {
        *(struct capability_set *)part_of(row, ROW_CAPABILITIES) = registration->capabilities;
    }
    if ((row->parts & ROW_RESOURCES) != 0) {
        *(struct resources *)part_of(row, ROW_RESOURCES) = registration->resources;
    }
    links_init(row, account, capability_count);
    return row;
}

void row_copy(struct registry_row *copy, const struct registry_row *row, enum health health) {
    const struct row_links *links = row_links(row);
    memcpy(copy, row, part_offset(row, ROW_RESOURCES + 1));
    copy->health = (uint8_t)health;
    if ((copy->parts & ROW_LEASE) != 0) {
        *row_lease(copy) = (struct row_lease){.expires_ns = row_lease(row)->expires_ns};
    }
    links_init(copy, links->node.context, links->capability_count);
}

bool row_valid(struct runtime *runtime, const struct registry_row *row, uint64_t now_ns) {
    return !row_expired(row, now_ns) && actor_alive(runtime, row->actor);
}

void row_retire(struct registry *registry, struct registry_row *row) {
    if (row != NULL) {
        registry_retire(registry, &row_links(row)->node);
    }
}
