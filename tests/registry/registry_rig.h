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

static inline void rig_named(const struct registry_row *row, const char *name) {
    assert_non_null(row);
    assert_int_equal(registry_row_name_length(row), strlen(name));
    assert_memory_equal(row->name, name, strlen(name));
}

/* ---- the audit ---- */

static inline void audit_row(struct registry *registry, row_ref ref) {
    const struct registry_row *row = row_of(registry, ref);
    struct chunk *chunk = chunk_of(registry, ref);
    struct values values;
    unsigned unit = ref & (CHUNK_UNITS - 1);
    bool owned = false;
    state_values(registry, row_state(row), &values);
    bool usable = values.health == HEALTH_UP || values.health == HEALTH_DEGRADED;
    for (unsigned posting = 0; posting < POSTINGS; posting++) {
        const struct posting_block *block = chunk->postings[posting];
        bool in = usable && (posting < POSTING_CAPABILITY
                                 ? values.load == posting
                                 : capability_set_has(values.capabilities, posting - POSTING_CAPABILITY));
        bool set = block != NULL && (block->words[unit / 64] >> unit % 64 & 1) != 0;
        assert_int_equal(set, in); /* the index matches the row */
    }
    struct owner *owner;
    OK(owner_ensure(registry, row->actor, &owner));
    for (row_ref at = owner->first; at != REF_NONE; at = links_of(registry, at)->next) {
        owned |= at == ref;
    }
    assert_true(owned);
}

static inline size_t audit_leases(const struct details *details) {
    size_t count = 0;
    if (details != NULL) {
        assert_true(details->link != NULL && *details->link == details);
        for (const struct details *child = details->child; child != NULL; child = child->sibling) {
            assert_true(child->expires_ns >= details->expires_ns);
            count += audit_leases(child);
        }
        count++;
    }
    return count;
}

/* Bits that are set in the partition's chunks. */
static inline void audit_blocks(const struct partition *partition, size_t found[2]) {
    for (unsigned at = 0; at < NAMESPACES_MAX; at++) {
        const struct shelf *shelf = partition->shelves[at];
        for (const struct chunk *chunk = shelf == NULL ? NULL : shelf->chunks; chunk != NULL;
             chunk = chunk->next) {
            for (unsigned posting = 0; posting < POSTINGS; posting++) {
                const struct posting_block *block = chunk->postings[posting];
                for (unsigned word = 0; block != NULL && word < (chunk->capacity + 63) / 64; word++) {
                    found[posting < POSTING_CAPABILITY ? 0 : 1] +=
                        (size_t)__builtin_popcountll(block->words[word]);
                    assert_int_equal(block->summary >> word & 1, block->words[word] != 0);
                }
            }
        }
    }
}

static inline size_t audit_bits(const struct capability_set *set) {
    size_t bits = 0;
    for (unsigned word = 0; word < ARRAY_COUNT(set->bits); word++) {
        bits += (size_t)__builtin_popcountll(set->bits[word]);
    }
    return bits;
}

/* Rows of the partition, each in every place it must be in, and nothing else in any. `deep`: the rows' places
 * too (quadratic). */
static inline size_t audit_partition(struct registry *registry, const struct partition *partition,
                                     bool deep) {
    size_t rows = 0, leases = 0, bits = 0, usable = 0, found[2] = {0};
    for (struct table *table = *partition->table; table != NULL; table = table->next) {
        size_t used = 0;
        for (uint64_t at = 0; at < table->count; at++) {
            for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
                if ((table->buckets[at].tags[slot / 4] >> slot % 4 * 16 & TAG_USED) == 0) {
                    continue;
                }
                row_ref ref = table->buckets[at].refs[slot];
                struct values values;
                state_values(registry, row_state(row_of(registry, ref)), &values);
                bool up = values.health == HEALTH_UP || values.health == HEALTH_DEGRADED;
                used++;
                usable += up;
                bits += up ? audit_bits(values.capabilities) : 0;
                leases += values.expires_ns != 0;
                if (deep) {
                    audit_row(registry, ref);
                }
            }
        }
        assert_int_equal(used, table->used);
        assert_true(used <= table->limit);
        rows += used;
    }
    audit_blocks(partition, found);
    assert_int_equal(found[0], usable);
    assert_int_equal(found[1], bits);
    assert_int_equal(audit_leases(partition->leases), leases);
    assert_int_equal(partition->rows, rows);
    return rows;
}

static inline void rig_audit(const struct rig *rig, bool deep) {
    size_t rows = 0, spare = 0;
    for (uint32_t at = 0; at <= rig->registry->partition_mask; at++) {
        struct partition *partition = &rig->registry->partitions[at];
        spin_lock(&partition->lock);
        rows += audit_partition(rig->registry, partition, deep);
        spare += partition->spare;
        spin_unlock(&partition->lock);
    }
    assert_int_equal(rows, registry_count(rig->registry));
    assert_int_equal(rows + spare, rig->registry->rows);
}

#endif
