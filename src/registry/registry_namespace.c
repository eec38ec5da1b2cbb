/* Namespaces: names to small numbers, so that a row carries four bytes of its namespace.
 *
 * Invariants: a name has one number for the registry's life; at most NAMESPACES_MAX, in a table twice as large,
 *             so that every probe ends at an empty slot.
 * Threads: find: any, no lock. intern: any, one at a time. Memory: a block per name, freed with the registry. */
#include "registry/registry_private.h"

static uint32_t namespace_hash(const char *name, size_t length) {
    return (uint32_t)hash_bytes(name, length, 0);
}

/* The slot where it is, or where it would be put. */
static uint32_t namespace_slot(const struct registry *registry, const char *name, size_t length,
                               const struct namespace **ret_namespace) {
    uint32_t at = namespace_hash(name, length) % NAMESPACE_SLOTS;
    for (;; at = (at + 1) % NAMESPACE_SLOTS) {
        /* Acquire pairs with the release in namespace_intern. */
        const struct namespace *there = atomic_load_explicit(&registry->namespaces[at], memory_order_acquire);
        if (there == NULL || (there->length == length && memcmp(there->name, name, length) == 0)) {
            *ret_namespace = there;
            return at;
        }
    }
}

const struct namespace *namespace_find(const struct registry *registry, const char *name) {
    const struct namespace *found;
    namespace_slot(registry, name, strlen(name), &found);
    return found;
}

enum troupe_error namespace_intern(struct registry *registry, const char *name,
                                   const struct namespace **ret_namespace) {
    size_t length = strlen(name);
    const struct namespace *found = namespace_find(registry, name);
    if (found != NULL) {
        *ret_namespace = found;
        return TROUPE_OK;
    }
    struct namespace *made = memory_alloc(registry->account, sizeof *made + length + 1);
    if (made == NULL) {
        return TROUPE_NOMEM;
    }
    made->length = (uint32_t)length;
    memcpy(made->name, name, length);
    enum troupe_error error = TROUPE_OK;
    spin_lock(&registry->namespace_lock);
    uint32_t at = namespace_slot(registry, name, length, &found); /* another thread may have been first */
    if (found == NULL && registry->namespace_count == NAMESPACES_MAX) {
        error = TROUPE_LIMIT;
    } else if (found == NULL) {
        made->id = registry->namespace_count++;
        atomic_store_explicit(&registry->namespaces[at], made, memory_order_release); /* namespace_slot */
        found = made;
        made = NULL;
    }
    spin_unlock(&registry->namespace_lock);
    memory_free(registry->account, made);
    if (error == TROUPE_OK) {
        *ret_namespace = found;
    }
    return error;
}

enum troupe_error registry_space_open(struct registry *registry, const char *name_space,
                                      registry_space *ret_space) {
    const struct namespace *in = NULL;
    if (name_space[0] == 0 || strlen(name_space) > REGISTRY_NAME_MAX) {
        return TROUPE_INVALID;
    }
    enum troupe_error error = namespace_intern(registry, name_space, &in);
    if (error == TROUPE_OK) {
        *ret_space = in->id;
    }
    return error;
}

void namespaces_free(struct registry *registry) {
    for (uint32_t at = 0; at < NAMESPACE_SLOTS; at++) {
        memory_free(registry->account,
                    atomic_load_explicit(&registry->namespaces[at], memory_order_relaxed)); /* alone now */
    }
}
