/* The door's rules, one at a time, without concurrency.
 * What a failure means: two holders of a name, a ghost, a leak between namespaces, a bound that does not hold,
 * or an error that does not say what is wrong. */
#include "registry_rig.h"

static void holders(void **unused) {
    (void)unused;
    struct rig rig;
    rig_begin(&rig, 1, NULL);
    actor_ref one = rig_spawn(&rig, NULL, NULL), two = rig_spawn(&rig, NULL, NULL);
    OK(rig_register(&rig, "agents", "train", one, 1));
    assert_int_equal(rig_register(&rig, "agents", "train", two, 1), TROUPE_EXISTS);
    const struct registry_row *row = registry_lookup(rig.registry, "agents", "train", 0);
    assert_non_null(row);
    assert_int_equal(row->actor, one);
    rig_named(row, "train");
    uint64_t version = registry_row_version(row);
    OK(rig_register(&rig, "agents", "train", one, 3)); /* renewed */
    row = registry_lookup(rig.registry, "agents", "train", 0);
    assert_true(registry_row_version(row) > version);
    assert_int_equal(registry_row_capabilities(rig.registry, row)->bits[0], 3);
    assert_int_equal(state_lease(row_state(row)), 0);
    assert_null(registry_lookup(rig.registry, "agents", "trai", 0));
    assert_null(registry_lookup(rig.registry, "agents", "trains", 0));
    assert_int_equal(registry_unregister(rig.registry, "agents", "train", two), TROUPE_NOT_FOUND);
    version = registry_row_version(row);
    OK(registry_unregister(rig.registry, "agents", "train", one));
    assert_null(registry_lookup(rig.registry, "agents", "train", 0));
    assert_int_equal(registry_unregister(rig.registry, "agents", "train", one), TROUPE_NOT_FOUND);
    OK(rig_register(&rig, "agents", "train", two, 1));
    row = registry_lookup(rig.registry, "agents", "train", 0);
    assert_true(registry_row_version(row) > version); /* versions go on over a removal */
    rig_end(&rig);
}

static void namespaces(void **unused) {
    (void)unused;
    struct rig rig;
    char name[300];
    rig_begin(&rig, 1, NULL);
    actor_ref one = rig_spawn(&rig, NULL, NULL), two = rig_spawn(&rig, NULL, NULL);
    OK(rig_register(&rig, "a", "bc", one, 1));
    OK(rig_register(&rig, "ab", "c", two, 1));
    assert_null(registry_lookup(rig.registry, "a", "c", 0));
    assert_null(registry_lookup(rig.registry, "ab", "bc", 0));
    assert_null(registry_lookup(rig.registry, "nobody", "bc", 0));
    assert_int_equal(registry_lookup(rig.registry, "a", "bc", 0)->actor, one);
    assert_int_equal(registry_lookup(rig.registry, "ab", "c", 0)->actor, two);
    const struct registry_row *rows[4];
    assert_int_equal(registry_find(rig.registry, "a", &(struct capability_set){{1}}, rows, 4), 1);
    assert_int_equal(rows[0]->actor, one);
    assert_int_equal(registry_find(rig.registry, "nobody", &(struct capability_set){{1}}, rows, 4), 0);
    assert_int_equal(registry_unregister(rig.registry, "ab", "bc", one), TROUPE_NOT_FOUND);
    for (unsigned at = 2; at < NAMESPACES_MAX; at++) {
        snprintf(name, sizeof name, "space-%u", at);
        OK(rig_register(&rig, name, "x", one, 0));
    }
    assert_int_equal(rig_register(&rig, "one too many", "x", one, 0), TROUPE_LIMIT);
    OK(rig_register(&rig, "a", "x", one, 0)); /* the others go on */
    rig_audit(&rig, true);
    rig_end(&rig);
}

enum part { PART_LEASE = 1, PART_CAPABILITIES = 2, PART_RESOURCES = 4 };

static void values(void **unused) {
    (void)unused;
    struct rig rig;
    char name[REGISTRY_NAME_MAX + 1];
    static unsigned char opaque[REGISTRY_OPAQUE_MAX];
    uint64_t version;
    rig_begin(&rig, 1, NULL);
    memset(name, 'n', sizeof name - 1);
    name[REGISTRY_NAME_MAX] = 0;
    for (size_t at = 0; at < sizeof opaque; at++) {
        opaque[at] = (unsigned char)(at * 7);
    }
    /* Every combination of optional parts, with names and opaque bytes of all alignments. */
    for (unsigned parts = 0; parts < 8; parts++) {
        for (unsigned shift = 0; shift < 16; shift++) {
            struct registration registration = {.name_space = "values",
                                                .name = name + shift,
                                                .actor = rig_spawn(&rig, NULL, NULL),
                                                .health = HEALTH_DEGRADED,
                                                .node = 77,
                                                .load = (uint8_t)(shift % REGISTRY_LOADS),
                                                .opaque = opaque + shift,
                                                .opaque_length = sizeof opaque - shift * shift};
            if (parts & PART_LEASE) {
                registration.lease_ns = 5000;
            }
            if (parts & PART_CAPABILITIES) {
                registration.capabilities = (struct capability_set){{1, 2, 3, UINT64_C(1) << 63}};
            }
            if (parts & PART_RESOURCES) {
                registration.resources = (struct resources){{0, 0, 0, 0, 0, 0, 0, -9}};
            }
            OK(registry_register(rig.registry, &registration, 1000, &version, NULL));
            OK(registry_set_health(rig.registry, "values", name + shift, version, HEALTH_UP)); /* a copy */
            const struct registry_row *row = registry_lookup(rig.registry, "values", name + shift, 5999);
            assert_non_null(row);
            struct registry_view view;
            registry_row_view(rig.registry, row, &view);
            assert_int_equal(view.node, 77);
            assert_int_equal(view.load, registration.load);
            assert_int_equal(view.health, HEALTH_UP);
            assert_true(view.version > version);
            assert_int_equal(view.lease_ns, parts & PART_LEASE ? 6000 : 0);
            assert_memory_equal(view.capabilities, &registration.capabilities,
                                sizeof registration.capabilities);
            assert_memory_equal(view.resources, &registration.resources, sizeof registration.resources);
            rig_named(row, name + shift);
            assert_int_equal(view.opaque_length, registration.opaque_length);
            assert_memory_equal(view.opaque, opaque + shift, view.opaque_length);
            assert_int_equal((registry_lookup(rig.registry, "values", name + shift, 6000) != NULL),
                             (parts & PART_LEASE) == 0);
            rig_audit(&rig, true);
            OK(registry_unregister(rig.registry, "values", name + shift, registration.actor));
        }
    }
    rig_end(&rig);
}

static void wrong(void **unused) {
    (void)unused;
    struct rig rig;
    char name[REGISTRY_NAME_MAX + 2];
    uint64_t version = 42;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    rig_begin(&rig, 1, NULL);
    actor_ref actor = rig_spawn(&rig, NULL, NULL);
    const struct registration right = rig_registration("agents", "a", actor, 0);
    struct registration cases[] = {right, right, right, right, right, right, right, right};
    cases[0].name = NULL;
    cases[1].name = "";
    cases[2].name = name;
    cases[3].name_space = NULL;
    cases[4].name_space = "";
    cases[5].actor = 0;
    cases[6].health = (enum health)17;
    cases[7].opaque_length = REGISTRY_OPAQUE_MAX + 1;
    for (size_t at = 0; at < ARRAY_COUNT(cases); at++) {
        struct fault fault = {0};
        assert_int_equal(registry_register(rig.registry, &cases[at], 0, &version, &fault), TROUPE_INVALID);
        assert_true(strlen(fault.text) > 10);
    }
    assert_int_equal(version, 42); /* written on success only */
    assert_null(registry_lookup(rig.registry, "agents", name, 0));
    assert_null(registry_lookup(rig.registry, "agents", "", 0));
    assert_int_equal(registry_unregister(rig.registry, "agents", name, actor), TROUPE_NOT_FOUND);
    assert_int_equal(registry_set_health(rig.registry, "agents", "", 0, HEALTH_UP), TROUPE_NOT_FOUND);
    assert_int_equal(registry_set_health(rig.registry, "agents", "a", 0, (enum health)17), TROUPE_INVALID);
    assert_int_equal(registry_count(rig.registry), 0);

    const struct registry_options options[] = {
        {.partitions = 3}, {.partitions = 512}, {.watchers_max = 65}, {.watch_len_max = 3}};
    for (size_t at = 0; at < ARRAY_COUNT(options); at++) {
        struct registry *none = NULL;
        struct fault fault = {0};
        assert_int_equal(registry_create(rig.runtime, &rig.account, &options[at], &none, &fault),
                         TROUPE_INVALID);
        assert_null(none);
        assert_true(strlen(fault.text) > 10);
    }
    rig_end(&rig);
}

static void rows_bound(void **unused) {
    (void)unused;
    struct rig rig;
    char name[32];
    rig_begin(&rig, 1, &(struct registry_options){.rows_max = 100});
    actor_ref actor = rig_spawn(&rig, NULL, NULL);
    for (unsigned at = 0; at < 100; at++) {
        snprintf(name, sizeof name, "key-%u", at);
        OK(rig_register(&rig, "agents", name, actor, 0));
    }
    assert_int_equal(rig_register(&rig, "agents", "more", actor, 0), TROUPE_LIMIT);
    OK(rig_register(&rig, "agents", "key-7", actor, 1)); /* a replacement needs no room */
    OK(registry_unregister(rig.registry, "agents", "key-3", actor));
    OK(rig_register(&rig, "agents", "more", actor, 0));
    assert_int_equal(rig_register(&rig, "agents", "key-3", actor, 0), TROUPE_LIMIT);
    assert_int_equal(registry_count(rig.registry), 100);
    rig_end(&rig);
}

static void health(void **unused) {
    (void)unused;
    struct rig rig;
    const struct registry_row *rows[4];
    struct capability_set one = {{1}}, both = {{3}}, none = {{0}};
    rig_begin(&rig, 1, NULL);
    actor_ref actor = rig_spawn(&rig, NULL, NULL);
    OK(rig_register(&rig, "agents", "a", actor, 3));
    OK(rig_register(&rig, "agents", "b", actor, 1));
    assert_int_equal(registry_find(rig.registry, "agents", &one, rows, 4), 2);
    assert_int_equal(registry_find(rig.registry, "agents", &none, rows, 4), 2);
    assert_int_equal(registry_find(rig.registry, "agents", &both, rows, 4), 1);
    assert_int_equal(registry_find(rig.registry, "agents", &one, rows, 1), 1);
    uint64_t version = registry_row_version(registry_lookup(rig.registry, "agents", "a", 0));
    assert_int_equal(registry_set_health(rig.registry, "agents", "a", version + 1, HEALTH_DOWN),
                     TROUPE_EXISTS);
    OK(registry_set_health(rig.registry, "agents", "a", version, HEALTH_DOWN));
    assert_int_equal(registry_set_health(rig.registry, "agents", "a", version, HEALTH_UP), TROUPE_EXISTS);
    assert_int_equal(registry_find(rig.registry, "agents", &one, rows, 4), 1);
    assert_int_equal(registry_row_health(registry_lookup(rig.registry, "agents", "a", 0)), HEALTH_DOWN);
    OK(registry_set_health(rig.registry, "agents", "a", 0, HEALTH_DEGRADED));
    version = registry_row_version(registry_lookup(rig.registry, "agents", "a", 0));
    OK(registry_set_health(rig.registry, "agents", "a", 0, HEALTH_DEGRADED)); /* no change: no version */
    assert_int_equal(registry_row_version(registry_lookup(rig.registry, "agents", "a", 0)), version);
    assert_int_equal(registry_find(rig.registry, "agents", &both, rows, 4), 1);
    OK(registry_set_health(rig.registry, "agents", "a", 0, HEALTH_DRAINING));
    assert_int_equal(registry_find(rig.registry, "agents", &both, rows, 4), 0);
    assert_int_equal(registry_set_health(rig.registry, "agents", "c", 0, HEALTH_UP), TROUPE_NOT_FOUND);
    rig_audit(&rig, true);
    rig_end(&rig);
}

static void many(void **unused) {
    (void)unused;
    struct rig rig;
    char name[32];
    static const struct registry_row *rows[20000];
    static char texts[64][32];
    const char *names[64];
    rig_begin(&rig, 1, &(struct registry_options){.partitions = 2});
    actor_ref actor = rig_spawn(&rig, NULL, NULL), other = rig_spawn(&rig, NULL, NULL);
    OK(rig_register(&rig, "agents", "other's", other, 1));
    for (unsigned at = 0; at < 20000; at++) {
        snprintf(name, sizeof name, "key-%u", at);
        OK(rig_register(&rig, "agents", name, actor, at % 3 == 0 ? 1 : 0));
    }
    for (unsigned at = 0; at < 20000; at++) {
        snprintf(name, sizeof name, "key-%u", at);
        const struct registry_row *row = registry_lookup(rig.registry, "agents", name, 0);
        assert_non_null(row);
        rig_named(row, name);
    }
    for (unsigned at = 0; at < 64; at++) {
        snprintf(texts[at], sizeof texts[at], "key-%u", 19980 + at);
        names[at] = texts[at];
    }
    assert_int_equal(registry_lookup_batch(rig.registry, "agents", names, 64, 0, rows), 20);
    for (unsigned at = 0; at < 64; at++) {
        assert_true((rows[at] != NULL) == (at < 20));
        assert_true(rows[at] == NULL || strncmp(rows[at]->name, names[at], 16) == 0);
    }
    assert_int_equal(registry_lookup_batch(rig.registry, "nobody", names, 64, 0, rows), 0);
    assert_null(rows[0]);
    struct capability_set wanted = {{1}};
    assert_int_equal(registry_find(rig.registry, "agents", &wanted, rows, 20000), 6668);
    rig_audit(&rig, false);
    assert_int_equal(registry_remove_actor(rig.registry, actor), 20000);
    assert_int_equal(registry_find(rig.registry, "agents", &wanted, rows, 20000), 1);
    struct registry_statistics statistics;
    registry_statistics(rig.registry, &statistics);
    assert_int_equal(statistics.rows, 1);
    assert_int_equal(statistics.lookups_hit, 20020);
    assert_int_equal(statistics.lookups_missed, 108);
    assert_int_equal(statistics.registered, 20001);
    assert_int_equal(statistics.removed, 20000);
    assert_true(statistics.grown >= 10);
    assert_int_equal(statistics.hit_p50_ns, 0); /* only registry_get is timed */
    registry_space space;
    OK(registry_space_open(rig.registry, "agents", &space));
    for (unsigned at = 0; at < 20 * TIMED_EVERY; at++) {
        const char *text = at < 10 * TIMED_EVERY ? "other's" : "nobody's";
        assert_true((registry_get(rig.registry, space, text, strlen(text), 0) != NULL) ==
                    (at < 10 * TIMED_EVERY));
    }
    registry_statistics(rig.registry, &statistics);
    assert_int_equal(statistics.lookups_hit, 20020 + 10 * TIMED_EVERY);
    assert_int_equal(statistics.lookups_missed, 108 + 10 * TIMED_EVERY);
    assert_true(0 < statistics.hit_p50_ns && statistics.hit_p50_ns <= statistics.hit_p95_ns);
    assert_true(0 < statistics.missed_p50_ns && statistics.missed_p50_ns <= statistics.missed_p95_ns);
    rig_audit(&rig, true);
    rig_end(&rig);
}

/* Nobody writes any more in the middle of a move: the keeper ends it, in turns. */
static void moves_end(void **unused) {
    (void)unused;
    struct rig rig;
    char name[32];
    unsigned rows = 0;
    rig_begin_sim(&rig, 1, &(struct registry_options){.partitions = 1});
    struct partition *partition = &rig.registry->partitions[0];
    actor_ref actor = rig_spawn(&rig, NULL, NULL);
    while (rows < 20000 || !table_moving(partition)) {
        snprintf(name, sizeof name, "key-%u", rows++);
        OK(rig_register(&rig, "agents", name, actor, 0));
    }
    assert_int_equal(runtime_run(rig.runtime), TROUPE_DEAD); /* nothing can happen any more */
    assert_false(table_moving(partition));
    registry_space space; /* its actor has ended with the runtime: registry_get does not ask */
    OK(registry_space_open(rig.registry, "agents", &space));
    for (unsigned at = 0; at < rows; at++) {
        snprintf(name, sizeof name, "key-%u", at);
        rig_named(registry_get(rig.registry, space, name, strlen(name), 0), name);
    }
    rig_audit(&rig, false);
    rig_end(&rig);
}

/* Past what a word holds: versions of more than 32 bits, and more capability sets than are numbered. */
static void beyond_a_word(void **unused) {
    (void)unused;
    struct rig rig;
    char name[32];
    struct registry_view view;
    uint64_t version = STATE_VERSION_MAX - 6, renewed;
    rig_begin(&rig, 1, &(struct registry_options){.partitions = 1});
    actor_ref actor = rig_spawn(&rig, NULL, NULL);
    rig.registry->partitions[0].version = version;
    for (unsigned round = 0; round < 12; round++) {
        struct registration registration = rig_registration("agents", "old", actor, 3);
        OK(registry_register(rig.registry, &registration, 0, &renewed, NULL));
        assert_true(renewed > version);
        OK(registry_set_health(rig.registry, "agents", "old", renewed, HEALTH_DOWN));
        const struct registry_row *row = registry_lookup(rig.registry, "agents", "old", 0);
        registry_row_view(rig.registry, row, &view);
        assert_true(view.version > renewed);
        assert_int_equal(view.capabilities->bits[0], 3);
        assert_int_equal(view.health, HEALTH_DOWN);
        version = view.version;
        rig_audit(&rig, true);
        if (round % 3 == 2) {
            OK(registry_unregister(rig.registry, "agents", "old", actor));
        }
    }
    assert_true(version > STATE_VERSION_MAX);
    for (unsigned at = 0; at < SETS_MAX + 300; at++) {
        snprintf(name, sizeof name, "key-%u", at);
        struct registration registration = rig_registration("agents", name, actor, at + 1);
        registration.capabilities.bits[3] = at % 2;
        OK(registry_register(rig.registry, &registration, 0, &renewed, NULL));
    }
    for (unsigned at = 0; at < SETS_MAX + 300; at++) {
        snprintf(name, sizeof name, "key-%u", at);
        registry_row_view(rig.registry, registry_lookup(rig.registry, "agents", name, 0), &view);
        assert_int_equal(view.capabilities->bits[0], at + 1);
        assert_int_equal(view.capabilities->bits[3], at % 2);
    }
    struct capability_set wanted = {{0, 0, 0, 1}};
    static const struct registry_row *rows[2 * SETS_MAX];
    assert_int_equal(registry_find(rig.registry, "agents", &wanted, rows, ARRAY_COUNT(rows)),
                     (SETS_MAX + 300) / 2);
    rig_audit(&rig, true);
    rig_end(&rig);
}

/* Nearly all rows go: compaction gives the tables back, and those that are left are found all the while. */
static void compaction(void **unused) {
    (void)unused;
    struct rig rig;
    char name[32];
    struct registry_statistics before, after;
    rig_begin(&rig, 1, &(struct registry_options){.partitions = 2});
    actor_ref actor = rig_spawn(&rig, NULL, NULL);
    for (unsigned at = 0; at < 20000; at++) {
        snprintf(name, sizeof name, "key-%u", at);
        OK(rig_register(&rig, "agents", name, actor, 0));
    }
    for (unsigned at = 50; at < 20000; at++) {
        snprintf(name, sizeof name, "key-%u", at);
        OK(registry_unregister(rig.registry, "agents", name, actor));
    }
    registry_statistics(rig.registry, &before);
    memory_fail_after(1);
    assert_int_equal(registry_compact(rig.registry), TROUPE_NOMEM);
    memory_fail_after(0);
    for (unsigned round = 0; round < 3; round++) { /* each time to a sixteenth */
        OK(registry_compact(rig.registry));
        rig_audit(&rig, true);
        for (unsigned at = 0; at < 60; at++) {
            snprintf(name, sizeof name, "key-%u", at);
            assert_true((registry_lookup(rig.registry, "agents", name, 0) != NULL) == (at < 50));
        }
    }
    registry_statistics(rig.registry, &after);
    assert_true(after.bytes + 100000 < before.bytes); /* of some 180,000 that tables took */
    rig_end(&rig);
}

/* Room that is made beforehand is used: no table grows for as many rows as were announced, and none is lost on the way. */
static void reservation(void **unused) {
    (void)unused;
    struct rig rig;
    char name[32];
    struct registry_statistics before, after;
    rig_begin(&rig, 1, &(struct registry_options){.partitions = 4, .rows_max = 30000});
    actor_ref actor = rig_spawn(&rig, NULL, NULL);
    for (unsigned at = 0; at < 300; at++) {
        snprintf(name, sizeof name, "key-%u", at);
        OK(rig_register(&rig, "agents", name, actor, 0));
    }
    memory_fail_after(1);
    assert_int_equal(registry_reserve(rig.registry, 20000), TROUPE_NOMEM);
    memory_fail_after(0);
    OK(registry_reserve(rig.registry, 20000));
    OK(registry_reserve(rig.registry, 20000));    /* it is there */
    OK(registry_reserve(rig.registry, SIZE_MAX)); /* as far as rows_max goes */
    rig_audit(&rig, true);
    registry_statistics(rig.registry, &before);
    for (unsigned at = 0; at < 20300; at++) {
        snprintf(name, sizeof name, "key-%u", at);
        assert_true((registry_lookup(rig.registry, "agents", name, 0) != NULL) == (at < 300));
        OK(rig_register(&rig, "agents", name, actor, 0));
    }
    registry_statistics(rig.registry, &after);
    assert_int_equal(after.grown, before.grown);
    rig_audit(&rig, true);
    rig_end(&rig);
}

/* As many rows all the time, under names that are always new: nothing grows. */
static void churn(void **unused) {
    (void)unused;
    struct rig rig;
    char name[32];
    struct registry_statistics before, after;
    rig_begin(&rig, 1, &(struct registry_options){.partitions = 1});
    actor_ref actor = rig_spawn(&rig, NULL, NULL);
    for (unsigned at = 0; at < 150000; at++) {
        snprintf(name, sizeof name, "key-%u", at);
        OK(rig_register(&rig, "agents", name, actor, at % 5));
        if (at >= 1400) {
            snprintf(name, sizeof name, "key-%u", at - 1400);
            OK(registry_unregister(rig.registry, "agents", name, actor));
        }
        if (at == 20000) {
            registry_statistics(rig.registry, &before);
        }
        if (at % 4000 == 0) {
            rig_audit(&rig, false);
            grace_collect(runtime_grace(rig.runtime));
        }
    }
    registry_statistics(rig.registry, &after);
    assert_int_equal(after.grown, before.grown);
    assert_true(after.bytes <= before.bytes + before.bytes / 2);
    rig_audit(&rig, true);
    rig_end(&rig);
}

/* ---- both orders of tear-down, with and without a run ---- */

static void ends(void **unused) {
    (void)unused;
    for (unsigned round = 0; round < 4; round++) {
        struct rig rig;
        rig_begin(&rig, 1, NULL);
        actor_ref actor = rig_spawn(&rig, NULL, NULL);
        uint64_t watch;
        OK(rig_register(&rig, "agents", "a", actor, 1));
        OK(registry_watch(rig.registry, NULL, "agents", actor, &watch)); /* its ADDED is never handled */
        OK(registry_unregister(rig.registry, "agents", "a", actor));
        if (round & 2) {
            runtime_stop(rig.runtime);
            OK(runtime_run(rig.runtime));
            uint64_t version;
            struct registration late = rig_registration("agents", "late", actor, 0);
            struct fault fault = {0};
            assert_int_equal(registry_register(rig.registry, &late, 0, &version, &fault), TROUPE_DEAD);
            assert_int_equal(registry_watch(rig.registry, NULL, "agents", actor, &watch), TROUPE_DEAD);
            assert_null(registry_lookup(rig.registry, "agents", "a", 0));
        }
        if (round & 1) {
            registry_free(rig.registry);
            rig.registry = NULL;
        }
        rig_end(&rig);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holders),    cmocka_unit_test(namespaces),  cmocka_unit_test(values),
        cmocka_unit_test(wrong),      cmocka_unit_test(rows_bound),  cmocka_unit_test(health),
        cmocka_unit_test(many),       cmocka_unit_test(moves_end),   cmocka_unit_test(beyond_a_word),
        cmocka_unit_test(compaction), cmocka_unit_test(reservation), cmocka_unit_test(churn),
        cmocka_unit_test(ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
