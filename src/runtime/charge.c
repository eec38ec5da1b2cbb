/* Charges: whose account a message counts in from send to destruction, when its receiver was spawned with one.
 *
 * Invariants: what is charged is a block's whole size, and is given back once. A request that would pass the
 *             account's limit is refused, so the limit pushes back on senders; replies and system messages are
 *             never refused, so they count even beyond it, and make the next requests wait.
 * Threads: any. Entries are added under charges_lock and never change; an account outlives the runtime.
 * Cost:    nothing for actors without an account; else one atomic addition a message at each end. */
#include "runtime/worker.h"

enum troupe_error charge_join(struct runtime *runtime, struct account *account, uint8_t *ret_charge) {
    if (account == NULL) {
        *ret_charge = 0;
        return TROUPE_OK;
    }
    enum troupe_error error = TROUPE_LIMIT;
    spin_lock(&runtime->charges_lock);
    for (unsigned at = 1; at < CHARGES_MAX; at++) {
        /* Relaxed: written under the lock. */
        struct account *known = atomic_load_explicit(&runtime->charges[at], memory_order_relaxed);
        if (known == NULL) {
            /* Release pairs with charge_of's acquire: a stale reference may lead there without the lock. */
            atomic_store_explicit(&runtime->charges[at], account, memory_order_release);
        }
        if (known == NULL || known == account) {
            *ret_charge = (uint8_t)at;
            error = TROUPE_OK;
            break;
        }
    }
    spin_unlock(&runtime->charges_lock);
    return error;
}

static struct account *charge_of(struct runtime *runtime, unsigned charge) {
    return atomic_load_explicit(&runtime->charges[charge], memory_order_acquire); /* pairs with charge_join */
}

static size_t block_bytes(const struct message *message) {
    unsigned class = message->flags & MESSAGE_CLASS_MASK;
    return class < POOL_CLASSES ? POOL_CLASS_BYTES(class) : sizeof *message + message->bytes;
}

enum troupe_error charge_take(struct runtime *runtime, uint8_t charge, struct message *message) {
    if (message->flags >> MESSAGE_CHARGE_SHIFT != 0) { /* sent on: the next receiver pays */
        charge_back(runtime, message);
    }
    if (charge == 0 || (message->flags & MESSAGE_HOME_MASK) != MESSAGE_HOME_POOL) {
        return TROUPE_OK;
    }
    struct account *account = charge_of(runtime, charge);
    bool refusable = message_classes[message->kind] == MESSAGE_CLASS_REQUEST;
    if (!account_charge(account, block_bytes(message), refusable)) {
        return TROUPE_FULL;
    }
    message->flags = (uint16_t)(message->flags | charge << MESSAGE_CHARGE_SHIFT);
    return TROUPE_OK;
}

void charge_back(struct runtime *runtime, struct message *message) {
    account_discharge(charge_of(runtime, message->flags >> MESSAGE_CHARGE_SHIFT), block_bytes(message));
    message->flags &= (1U << MESSAGE_CHARGE_SHIFT) - 1;
}
