/* The lists of rows that actors own: a row is put into its actor's and taken out. What they are: registry_owner.c.
 *
 * Threads: the partition's lock, and inside it the owner's. Memory: none. */
#ifndef REGISTRY_REGISTRY_OWNER_H
#define REGISTRY_REGISTRY_OWNER_H

#include "registry/registry_private.h"

static inline struct owner *owner_of(const struct registry *registry, actor_ref actor) {
    uint32_t at = (uint32_t)actor;
    /* Acquire pairs with the exchange in owner_ensure. */
    struct owner *segment = atomic_load_explicit(&registry->owners[at / OWNER_SEGMENT], memory_order_acquire);
    return segment == NULL ? NULL : &segment[at % OWNER_SEGMENT];
}

static inline void owner_link(struct registry *registry, row_ref ref, actor_ref actor) {
    struct owner *owner = owner_of(registry, actor);
    struct links *links = links_of(registry, ref);
    spin_lock(&owner->lock);
    links->previous = REF_NONE;
    links->next = owner->first;
    if (owner->first != REF_NONE) {
        links_of(registry, owner->first)->previous = ref;
    }
    owner->first = ref;
    spin_unlock(&owner->lock);
}

static inline void owner_unlink(struct registry *registry, row_ref ref, actor_ref actor) {
    struct owner *owner = owner_of(registry, actor);
    struct links *links = links_of(registry, ref);
    spin_lock(&owner->lock);
    if (links->next != REF_NONE) {
        links_of(registry, links->next)->previous = links->previous;
    }
    if (links->previous != REF_NONE) {
        links_of(registry, links->previous)->next = links->next;
    } else {
        CHECK(owner->first == ref);
        owner->first = links->next;
    }
    spin_unlock(&owner->lock);
}

#endif
