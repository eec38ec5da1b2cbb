/* What the registry tests share: an env, a runtime and a registry on an account that must read zero at the end,
 * actors that do nothing, and an audit of everything that must hold between two writes.
 * Threads: the test's; the audit wants nobody to write. Memory: the account's. */
#ifndef TESTS_REGISTRY_REGISTRY_RIG_H
#define TESTS_REGISTRY_REGISTRY_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "registry/registry_private.h"

#define OK(call) assert_int_equal((call), TROUPE_OK)
#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)

struct rig {
    struct account account;
    struct env *env;
    struct runtime *runtime;
    struct registry *registry;
};

static inline void rig_runtime(struct rig *rig, unsigned workers) {
    OK(runtime_create(rig->env, &rig->account,
                      &(struct runtime_options){.workers = workers, .actors_max = 4096}, &rig->runtime,
                      NULL));
}

static inline void rig_begin(struct rig *rig, unsigned workers, const struct registry_options *options) {
    memset(rig, 0, sizeof *rig);
    rig->account = ACCOUNT("registry_test");
    OK(env_os_create(&rig->account, &rig->env));
    rig_runtime(rig, workers);
    OK(registry_create(rig->runtime, &rig->account, options, &rig->registry, NULL));
}

/* In virtual time, of a seed; it ends when nothing can happen any more, or after an hour. */
static inline void rig_begin_sim(struct rig *rig, uint64_t seed, const struct registry_options *options) {
    struct env_sim_options sim = {.seed = seed, .time_max_ns = 3600 * SECOND, .events_max = 5000000};
    memset(rig, 0, sizeof *rig);
    rig->account = ACCOUNT("registry_test");
    OK(env_sim_create(&rig->account, &sim, &rig->env));
    rig_runtime(rig, 0);
    OK(registry_create(rig->runtime, &rig->account, options, &rig->registry, NULL));
}

static inline void rig_end(struct rig *rig) {
    runtime_free(rig->runtime);
    registry_free(rig->registry);
    env_destroy(rig->env);
    assert_int_equal(rig->account.bytes, 0);
    assert_int_equal(rig->account.blocks, 0);
}

static inline void rig_idle(struct turn *turn, void *state, const struct message *message) {
    (void)turn;
    (void)state;
    (void)message;
}

static inline actor_ref rig_spawn(struct rig *rig, actor_handler handle, void *state) {
    struct actor_spec spec = {.name = "test", .handle = handle != NULL ? handle : rig_idle, .state = state};
    actor_ref actor;
    OK(actor_spawn(rig->runtime, &spec, &actor));
    return actor;
}

/* Sends a message without payload, from outside. */
static inline void rig_kick(struct rig *rig, actor_ref actor) {
    struct message *message = message_new(rig->runtime, MESSAGE_USER, 0);
    assert_non_null(message);
    OK(actor_send(rig->runtime, NULL, actor, &message));
}

static inline struct registration rig_registration(const char *name_space, const char *name, actor_ref actor,
                                                   uint64_t capabilities) {
    return (struct registration){.name_space = name_space,
                                 .name = name,
                                 .actor = actor,
                                 .capabilities = {{capabilities}},
                                 .health = HEALTH_UP};
}

static inline enum troupe_error rig_register(struct rig *rig, const char *name_space, const char *name,
                                             actor_ref actor, uint64_t capabilities) {
    struct registration registration = rig_registration(name_space, name, actor, capabilities);
    uint64_t version;
    return registry_register(rig->registry, &registration, env_now(rig->env), &version, NULL);
}

/* ---- the audit ---- */

static inline void audit_row(const struct partition *partition, const struct registry_row *row) {
    const struct index *index = index_of(partition, row->namespace_id);
    const struct capability_set *set = registry_row_capabilities(row);
    bool usable = row->health == HEALTH_UP || row->health == HEALTH_DEGRADED, owned = false;
    unsigned place = POSTING_CAPABILITY;
    for (unsigned posting = 0; posting < POSTINGS; posting++) {
        bool capability = posting >= POSTING_CAPABILITY;
        if (capability && !capability_set_has(set, posting - POSTING_CAPABILITY)) {
            continue;
        }
        uint32_t position = row_links(row)->positions[capability ? place++ : posting];
        if (posting == POSTING_ALL || usable) {
            const struct posting_array *array = index->postings[posting];
            assert_non_null(array);
            assert_true(position < array->count);
            assert_ptr_equal(array->rows[position], row); /* the index matches the row */
        }
    }
    for (struct table *table = partition->table; table != NULL; table = table->next) {
        for (uint64_t head = 0; head <= table->owners_mask; head++) {
            for (struct registry_row *at = table->owners[head]; at != NULL; at = row_links(at)->owner_next) {
                owned |= at == row;
            }
        }
    }
    assert_true(owned);
}

static inline size_t audit_leases(const struct registry_row *row) {
    size_t count = 0;
    if (row != NULL) {
        const struct row_lease *lease = row_lease(row);
        assert_true(lease->link != NULL && *lease->link == row);
        for (const struct registry_row *child = lease->child; child != NULL;
             child = row_lease(child)->sibling) {
            assert_true(row_lease(child)->expires_ns >= lease->expires_ns);
            count += audit_leases(child);
        }
        count++;
    }
    return count;
}

/* Rows of the partition, each in every place it must be in, and nothing else in any. `deep`: the rows' places
 * too (quadratic). */
static inline size_t audit_partition(const struct partition *partition, bool deep) {
    size_t rows = 0, leases = 0, bits = 0, usable = 0, found[3] = {0};
    for (struct table *table = partition->table; table != NULL; table = table->next) {
        size_t used = 0, tombs = 0;
        for (uint64_t at = 0; at < (table->mask + 1) * SLOTS_PER_BUCKET; at++) {
            tombs += table->slots[at] == SLOT_TOMB;
            if (slot_used(table->slots[at])) {
                const struct registry_row *row = slot_row(table->slots[at]);
                bool up = row->health == HEALTH_UP || row->health == HEALTH_DEGRADED;
                used++;
                usable += up;
                bits += up ? row_links(row)->capability_count : 0;
                leases += (row->parts & ROW_LEASE) != 0;
                if (deep) {
                    audit_row(partition, row);
                }
            }
        }
        assert_int_equal(used, table->used);
        assert_int_equal(tombs, table->tombs);
        assert_true(used + tombs <= table->limit);
        rows += used;
    }
    for (unsigned at = 0; at < NAMESPACES_MAX; at++) {
        for (unsigned posting = 0; partition->indexes[at] != NULL && posting < POSTINGS; posting++) {
            const struct posting_array *array = partition->indexes[at]->postings[posting];
            found[posting < POSTING_CAPABILITY ? posting : POSTING_CAPABILITY] +=
                array == NULL ? 0 : array->count;
        }
    }
    assert_int_equal(found[POSTING_ALL], rows);
    assert_int_equal(found[POSTING_USABLE], usable);
    assert_int_equal(found[POSTING_CAPABILITY], bits);
    assert_int_equal(audit_leases(partition->leases), leases);
    assert_int_equal(partition->rows, rows);
    return rows;
}

static inline void rig_audit(const struct rig *rig, bool deep) {
    size_t rows = 0;
    for (uint32_t at = 0; at <= rig->registry->partition_mask; at++) {
        struct partition *partition = &rig->registry->partitions[at];
        spin_lock(&partition->lock);
        rows += audit_partition(partition, deep);
        spin_unlock(&partition->lock);
    }
    assert_int_equal(rows, registry_count(rig->registry));
    assert_int_equal(rows, rig->registry->rows);
}

#endif
