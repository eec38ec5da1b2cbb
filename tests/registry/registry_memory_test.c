/* Every allocation of every public call refused in turn: an error, nothing changed, nothing leaked, and the same
 * call works when there is memory again. And the grace list full: rows wait in limbo, new ones are refused.
 * What a failure means: a half-made registration, a leak, or a removal that could not be done. */
#include "registry_rig.h"

#define REFUSALS_MAX 200

/* ---- create ---- */

static void create(void **unused) {
    (void)unused;
    int refused = 0;
    for (int n = 1; n < REFUSALS_MAX; n++) {
        struct rig rig;
        memset(&rig, 0, sizeof rig);
        rig.account = ACCOUNT("registry_test");
        OK(env_os_create(&rig.account, &rig.env));
        rig_runtime(&rig, 1);
        struct fault fault = {0};
        memory_fail_after(n);
        enum troupe_error error = registry_create(rig.runtime, &rig.account, NULL, &rig.registry, &fault);
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        if (fired) {
            assert_int_equal(error, TROUPE_NOMEM);
            assert_null(rig.registry);
            assert_true(strlen(fault.text) > 10);
            refused++;
        } else {
            OK(error);
        }
        rig_end(&rig);
        if (!fired) {
            break;
        }
    }
    assert_true(refused >= 8); /* the registry, its partitions' tables, the keeper and its parts */
}

/* ---- calls ---- */

struct scene {
    struct rig rig;
    actor_ref actor, watcher;
    unsigned done; /* calls so far */
};

static enum troupe_error call_register(struct scene *scene) {
    char name[32];
    snprintf(name, sizeof name, "key-%u", scene->done);
    /* New capabilities as they come, so that arrays are made and grow; new namespaces now and then. */
    return rig_register(&scene->rig, scene->done % 50 == 49 ? name : "agents", name, scene->actor,
                        UINT64_C(1) << scene->done % 11 | 1);
}

static enum troupe_error call_replace(struct scene *scene) {
    return rig_register(&scene->rig, "agents", "replaced", scene->actor, UINT64_C(0x100) << scene->done % 40);
}

/* What needs details, and more and more of them. */
static enum troupe_error call_lease(struct scene *scene) {
    static const unsigned char opaque[64];
    struct registration registration = rig_registration("agents", "replaced", scene->actor, 1);
    struct registry_update update = REGISTRY_UPDATE_NONE;
    uint64_t version;
    registration.lease_ns = SECOND;
    if (scene->done % 2 == 0) {
        return registry_register(scene->rig.registry, &registration, env_now(scene->rig.env), &version, NULL);
    }
    update.opaque = opaque;
    update.opaque_length = 1 + scene->done;
    return registry_update(scene->rig.registry, "agents", "replaced", 0, &update);
}

static enum troupe_error call_health(struct scene *scene) {
    return registry_set_health(scene->rig.registry, "agents", "replaced", 0,
                               scene->done % 2 ? HEALTH_UP : HEALTH_DOWN);
}

static enum troupe_error call_new_actor(struct scene *scene) {
    char name[32];
    actor_ref actor = rig_spawn(&scene->rig, NULL, NULL);
    snprintf(name, sizeof name, "actor-%u", scene->done);
    return rig_register(&scene->rig, "agents", name, actor, 1);
}

static enum troupe_error call_watch(struct scene *scene) {
    uint64_t watch;
    char name[32];
    snprintf(name, sizeof name, "space-%u", scene->done);
    enum troupe_error error =
        registry_watch(scene->rig.registry, NULL, scene->done % 2 ? "agents" : name, scene->watcher, &watch);
    if (error == TROUPE_OK) {
        registry_unwatch(scene->rig.registry, watch);
    }
    return error;
}

/* Calls `call` many times, each time with every allocation refused until it gets through. A new actor's spawn
 * is not what is tested: it happens with memory. */
static void refuse(enum troupe_error (*call)(struct scene *scene), unsigned times, int refused_least,
                   bool partial) {
    struct scene scene = {.done = 0};
    int refused = 0;
    rig_begin(&scene.rig, 1, &(struct registry_options){.partitions = 2, .watch_len_max = 100000});
    scene.actor = rig_spawn(&scene.rig, NULL, NULL);
    scene.watcher = rig_spawn(&scene.rig, NULL, NULL);
    OK(rig_register(&scene.rig, "agents", "replaced", scene.actor, 1));
    for (; scene.done < times; scene.done++) {
        for (int n = 1; n < REFUSALS_MAX; n++) {
            size_t rows = registry_count(scene.rig.registry);
            const struct registry_row *row = registry_lookup(scene.rig.registry, "agents", "replaced", 0);
            uint64_t version = registry_row_version(row);
            memory_fail_after(n);
            enum troupe_error error = call(&scene);
            bool fired = memory_fail_fired();
            memory_fail_after(0);
            if (!fired) {
                OK(error);
                break;
            }
            refused++;
            if (error == TROUPE_OK) {
                assert_true(partial); /* a watch without memory for a message ends, what it watches goes on */
                break;
            }
            assert_int_equal(error, TROUPE_NOMEM);
            row = registry_lookup(scene.rig.registry, "agents", "replaced", 0);
            assert_int_equal(registry_row_version(row), version); /* nothing changed */
            assert_int_equal(registry_count(scene.rig.registry), rows);
        }
        if (scene.done % 20 == 0) {
            rig_audit(&scene.rig, true);
        }
    }
    assert_true(refused >= refused_least);
    rig_audit(&scene.rig, true);
    rig_end(&scene.rig);
}

static void calls(void **unused) {
    (void)unused;
    refuse(call_register, 400, 60, false);
    refuse(call_replace, 60, 60, false);
    refuse(call_lease, 60, 60, false);
    refuse(call_watch, 20, 10, true);
}

/* The monitor of a new actor cannot be had: the row is not there either. */
static void monitors(void **unused) {
    (void)unused;
    struct scene scene = {.done = 0};
    rig_begin(&scene.rig, 1, NULL);
    for (; scene.done < 3; scene.done++) {
        actor_ref actor = rig_spawn(&scene.rig, NULL, NULL);
        int refused = 0;
        for (int n = 1; n < REFUSALS_MAX; n++) {
            memory_fail_after(n);
            enum troupe_error error = rig_register(&scene.rig, "agents", "a", actor, 1);
            bool fired = memory_fail_fired();
            memory_fail_after(0);
            assert_int_equal(error, fired ? TROUPE_NOMEM : TROUPE_OK);
            refused += fired;
            assert_int_equal(registry_count(scene.rig.registry), fired ? 0 : 1);
            if (!fired) {
                break;
            }
        }
        assert_true(refused >= 1);
        OK(registry_unregister(scene.rig.registry, "agents", "a", actor));
    }
    OK(call_new_actor(&scene));
    rig_end(&scene.rig);
}

/* Removals allocate nothing, so they work without memory. */
static void removals(void **unused) {
    (void)unused;
    struct scene scene = {.done = 0};
    rig_begin(&scene.rig, 1, NULL);
    scene.actor = rig_spawn(&scene.rig, NULL, NULL);
    for (; scene.done < 100; scene.done++) {
        OK(call_register(&scene));
    }
    memory_fail_after(1);
    OK(registry_unregister(scene.rig.registry, "agents", "key-7", scene.actor));
    assert_int_equal(registry_remove_actor(scene.rig.registry, scene.actor), 99);
    assert_false(memory_fail_fired());
    memory_fail_after(0);
    rig_audit(&scene.rig, true);
    rig_end(&scene.rig);
}

/* ---- the grace list full ---- */

static void nothing(void *context, void *block) {
    (void)context;
    (void)block;
}

static void limbo(void **unused) {
    (void)unused;
    struct scene scene = {.done = 0};
    unsigned reader;
    rig_begin(&scene.rig, 1, NULL);
    scene.actor = rig_spawn(&scene.rig, NULL, NULL);
    struct grace *grace = runtime_grace(scene.rig.runtime);
    OK(grace_register(grace, &reader)); /* holds everything back */
    for (; scene.done < 50; scene.done++) {
        OK(call_register(&scene));
    }
    size_t most, filled = 0;
    while (grace_retire(grace, nothing, NULL, NULL) == TROUPE_OK) {
        filled++;
    }
    assert_true(filled > 1000);
    const struct registry_row *row = registry_lookup(scene.rig.registry, "agents", "key-7", 0);
    OK(registry_unregister(scene.rig.registry, "agents", "key-7", scene.actor)); /* removals always work */
    assert_int_equal(registry_remove_actor(scene.rig.registry, scene.actor), 49);
    rig_named(row, "key-7"); /* what a reader holds stays */
    assert_int_equal(call_register(&scene), TROUPE_FULL);
    assert_int_equal(call_replace(&scene), TROUPE_FULL);
    assert_int_equal(call_health(&scene), TROUPE_FULL);
    grace_quiescent(grace, reader);
    OK(call_register(&scene)); /* collects, and empties limbo */
    assert_int_equal(scene.rig.registry->limbo_count, 0);
    grace_quiescent(grace, reader);
    grace_collect(grace);
    grace_quiescent(grace, reader);
    grace_collect(grace);
    assert_int_equal(grace_retired(grace, &most), 0);
    grace_unregister(grace, reader);

    /* Full again, and freed with rows in limbo. */
    OK(grace_register(grace, &reader));
    while (grace_retire(grace, nothing, NULL, NULL) == TROUPE_OK) {
    }
    assert_int_equal(registry_remove_actor(scene.rig.registry, scene.actor), 1);
    assert_int_equal(scene.rig.registry->limbo_count, 1);
    rig_end(&scene.rig);
}

/* Rows that wait for a reader who does not move on are bounded: then FULL, until he does. */
static void waiting(void **unused) {
    (void)unused;
    struct rig rig;
    unsigned reader;
    enum troupe_error error = TROUPE_OK;
    struct registry_statistics statistics;
    rig_begin(&rig, 1, &(struct registry_options){.partitions = 1});
    actor_ref actor = rig_spawn(&rig, NULL, NULL);
    struct grace *grace = runtime_grace(rig.runtime);
    OK(grace_register(grace, &reader));
    OK(rig_register(&rig, "agents", "stays", actor, 1));
    const struct registry_row *row = registry_lookup(rig.registry, "agents", "stays", 0);
    for (unsigned at = 0; at < LIMBO_ROWS_MAX + 2 * CHUNK_UNITS && error == TROUPE_OK; at++) {
        error = rig_register(&rig, "agents", "goes", actor, 1);
        if (error == TROUPE_OK) {
            OK(registry_unregister(rig.registry, "agents", "goes", actor));
        }
    }
    assert_int_equal(error, TROUPE_FULL);
    registry_statistics(rig.registry, &statistics);
    assert_true(statistics.waiting > LIMBO_ROWS_MAX);
    rig_named(row, "stays");
    OK(registry_set_health(rig.registry, "agents", "stays", 0, HEALTH_DOWN)); /* needs no room */
    for (unsigned at = 0; at < 4; at++) {
        grace_quiescent(grace, reader);
        grace_collect(grace);
        OK(rig_register(&rig, "agents", "stays", actor, 1)); /* takes over what nobody waits for */
    }
    for (unsigned at = 0; at < 1000; at++) {
        OK(rig_register(&rig, "agents", "goes", actor, 1));
        OK(registry_unregister(rig.registry, "agents", "goes", actor));
    }
    grace_unregister(grace, reader);
    rig_audit(&rig, true);
    rig_end(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create),   cmocka_unit_test(calls), cmocka_unit_test(monitors),
        cmocka_unit_test(removals), cmocka_unit_test(limbo), cmocka_unit_test(waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
