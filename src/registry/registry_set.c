/* Capability sets that are kept once: agents come in kinds, so most rows say theirs by a number of ten bits.
 *
 * Invariants: a number means one set for the registry's life; at most SETS_MAX, in a table twice as large, so
 *             that every probe ends at an empty slot. A further set stands in its row's details.
 * Threads: set_of and finding: any, no lock. Insertion: any, one at a time. Memory: a block a set, freed with
 * the registry. */
#include "registry/registry_private.h"

static const struct capability_set set_none;

/* The slot where it is, or where it would be put; its number there, or 0. */
static uint32_t set_slot(const struct registry *registry, const struct capability_set *set,
                         uint32_t *ret_number) {
    uint32_t at = (uint32_t)hash_bytes(set, sizeof *set, 0) % SET_SLOTS;
    for (;; at = (at + 1) % SET_SLOTS) {
        /* Acquire pairs with the release in set_intern: the set is seen. */
        uint32_t number = atomic_load_explicit(&registry->set_slots[at], memory_order_acquire);
        if (number == 0 || memcmp(set_of(registry, number), set, sizeof *set) == 0) {
            *ret_number = number;
            return at;
        }
    }
}

const struct capability_set *set_of(const struct registry *registry, uint32_t number) {
    /* Relaxed: who has the number, from a row or a slot, has it by an acquire. */
    return number == 0 ? &set_none : atomic_load_explicit(&registry->sets[number], memory_order_relaxed);
}

static enum troupe_error set_insert(struct registry *registry, const struct capability_set *set,
                                    uint32_t *ret_number) {
    uint32_t number;
    struct capability_set *made = memory_alloc(registry->account, sizeof *made);
    if (made == NULL) {
        return TROUPE_NOMEM;
    }
    *made = *set;
    spin_lock(&registry->set_lock);
    uint32_t at = set_slot(registry, set, &number); /* another thread may have been first */
    if (number == 0 && registry->set_count < SETS_MAX - 1) {
        number = ++registry->set_count;
        atomic_store_explicit(&registry->sets[number], made, memory_order_relaxed); /* published below */
        atomic_store_explicit(&registry->set_slots[at], (uint16_t)number,
                              memory_order_release); /* set_slot */
        made = NULL;
    }
    spin_unlock(&registry->set_lock);
    memory_free(registry->account, made);
    *ret_number = number != 0 ? number : SET_OWN;
    return TROUPE_OK;
}

enum troupe_error set_intern(struct registry *registry, const struct capability_set *set,
                             uint32_t *ret_number) {
    uint32_t number = 0;
    if (memcmp(set, &set_none, sizeof *set) != 0) {
        set_slot(registry, set, &number);
        if (number == 0) {
            return set_insert(registry, set, ret_number);
        }
    }
    *ret_number = number;
    return TROUPE_OK;
}

void sets_free(struct registry *registry) {
    for (uint32_t number = 1; number <= registry->set_count; number++) {
        memory_free(registry->account,
                    atomic_load_explicit(&registry->sets[number], memory_order_relaxed)); /* alone now */
    }
}
