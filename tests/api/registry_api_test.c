/* The registry of libtroupe: what names say, finding, changing, watching, warm rows, and saving and restoring. Fails if a
 * bound is not the one that is told, a change is lost, or what was saved is not what comes back. */
#include "../base/cmocka_base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "troupe.h"

#define OK(call) assert_int_equal((call), TROUPE_STATUS_OK)
#define AGENTS 200U

struct scene {
    struct troupe *troupe;
    troupe_actor actor;
    uint64_t watch;
    unsigned added, changed, removed, behind, changes;
    struct troupe_warm *warm;
};

static void idle(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    (void)turn, (void)state, (void)event;
}

static troupe_actor spawn(struct scene *scene, troupe_handler handle) {
    troupe_actor actor = 0;
    OK(troupe_actor_spawn(scene->troupe, &(struct troupe_actor_spec){.handle = handle, .state = scene},
                          &actor));
    return actor;
}

static void begin(struct scene *scene) {
    *scene = (struct scene){0};
    OK(troupe_open(&(struct troupe_options){.threads = 1}, &scene->troupe));
    scene->actor = spawn(scene, idle);
}

/* Agent 0..AGENTS-1: capability at % 8 and, of every third, 100; load at % 8; every fifth is degraded. */
static struct troupe_registry_entry entry_of(unsigned at) {
    struct troupe_registry_entry entry = {.load = at % TROUPE_LOADS,
                                          .health = at % 5 == 0 ? TROUPE_HEALTH_DEGRADED : TROUPE_HEALTH_UP,
                                          .node = (uint16_t)at,
                                          .lease_ns = at % 7 == 0 ? UINT64_C(3600000000000) : 0};
    TROUPE_CAPABILITY_ADD(&entry.capabilities, at % 8);
    if (at % 3 == 0)
        TROUPE_CAPABILITY_ADD(&entry.capabilities, 100);
    return entry;
}

static void register_all(struct scene *scene) {
    for (unsigned at = 0; at < AGENTS; at++) {
        char name[64];
        unsigned char opaque[3] = {(unsigned char)at, 0, 0xff};
        struct troupe_registry_entry entry = entry_of(at);
        snprintf(name, sizeof name, at % 2 == 0 ? "agent-%u" : "an agent with a long name, number %u", at);
        if (at % 4 == 0) {
            entry.opaque = opaque;
            entry.opaque_length = sizeof opaque;
        }
        OK(troupe_registry_register_entry(scene->troupe, "fleet", name, scene->actor, &entry, NULL));
    }
}

static void found_is_what_was_asked_for(void **state) {
    (void)state;
    static struct troupe_registry_row rows[TROUPE_FIND_MAX];
    struct scene scene;
    struct troupe_capabilities needed = {{0}};
    begin(&scene);
    register_all(&scene);
    assert_int_equal(troupe_registry_find(scene.troupe, NULL, "fleet", NULL, TROUPE_FIND_ANY, rows, 1024),
                     AGENTS);
    assert_int_equal(troupe_registry_find(scene.troupe, NULL, "nowhere", NULL, TROUPE_FIND_ANY, rows, 9), 0);
    TROUPE_CAPABILITY_ADD(&needed, 100);
    TROUPE_CAPABILITY_ADD(&needed, 4);
    size_t wanted = 0, up = 0;
    for (unsigned at = 0; at < AGENTS; at++) {
        wanted += at % 8 == 4 && at % 3 == 0;
        up += at % 8 == 4 && at % 3 == 0 && at % 5 != 0;
    }
    assert_int_equal(troupe_registry_find(scene.troupe, NULL, "fleet", &needed, TROUPE_FIND_ANY, rows, 1024),
                     wanted);
    size_t count = troupe_registry_find(scene.troupe, NULL, "fleet", &needed, TROUPE_FIND_UP, rows, 1024);
    assert_int_equal(count, up);
    for (size_t at = 0; at < count; at++) {
        assert_int_equal(rows[at].entry.health, TROUPE_HEALTH_UP);
        assert_int_equal(rows[at].entry.node % 8, 4);
        assert_int_equal(rows[at].actor, scene.actor);
    }
    count = troupe_registry_find(scene.troupe, NULL, "fleet", NULL, TROUPE_FIND_LEAST_LOADED, rows, 1024);
    assert_int_equal(count, TROUPE_LEAST_LOADED_MAX);
    for (size_t at = 1; at < count; at++)
        assert_true(rows[at - 1].entry.load <= rows[at].entry.load);
    assert_int_equal(troupe_registry_find(scene.troupe, NULL, "fleet", NULL, TROUPE_FIND_ANY, rows, 3), 3);
    troupe_close(scene.troupe);
}

static void a_change_is_a_compare_and_set(void **state) {
    (void)state;
    struct scene scene;
    struct troupe_registry_row row;
    uint64_t version = 0;
    begin(&scene);
    struct troupe_registry_entry entry = entry_of(1);
    OK(troupe_registry_register_entry(scene.troupe, "fleet", "one", scene.actor, &entry, &version));
    entry.load = 7;
    entry.opaque = "abc";
    entry.opaque_length = 3;
    OK(troupe_registry_update(scene.troupe, "fleet", "one", version,
                              TROUPE_CHANGE_LOAD | TROUPE_CHANGE_OPAQUE, &entry));
    assert_int_equal(
        troupe_registry_update(scene.troupe, "fleet", "one", version, TROUPE_CHANGE_LOAD, &entry),
        TROUPE_STATUS_EXISTS);
    OK(troupe_registry_read(scene.troupe, NULL, "fleet", "one", &row));
    assert_true(row.version > version);
    assert_int_equal(row.entry.load, 7);
    assert_int_equal(row.entry.node, 1); /* not named, so as it was */
    assert_int_equal(row.entry.opaque_length, 3);
    assert_memory_equal(row.entry.opaque, "abc", 3);
    assert_string_equal(row.name, "one");
    entry.load = TROUPE_LOADS;
    assert_int_equal(troupe_registry_update(scene.troupe, "fleet", "one", 0, TROUPE_CHANGE_LOAD, &entry),
                     TROUPE_STATUS_INVALID);
    entry.load = 0;
    assert_int_equal(troupe_registry_update(scene.troupe, "fleet", "one", 0, 32, &entry),
                     TROUPE_STATUS_INVALID);
    assert_int_equal(troupe_registry_update(scene.troupe, "fleet", "two", 0, TROUPE_CHANGE_LOAD, &entry),
                     TROUPE_STATUS_NOT_FOUND);
    entry.opaque_length = TROUPE_OPAQUE_MAX + 1;
    assert_int_equal(troupe_registry_register_entry(scene.troupe, "fleet", "two", scene.actor, &entry, NULL),
                     TROUPE_STATUS_INVALID);
    assert_int_equal(troupe_registry_read(scene.troupe, NULL, "fleet", "two", &row), TROUPE_STATUS_NOT_FOUND);
    troupe_close(scene.troupe);
}

static void batches_and_warm_rows_agree_with_lookups(void **state) {
    (void)state;
    static char texts[AGENTS + 1][64];
    const char *names[AGENTS + 1];
    troupe_actor actors[AGENTS + 1];
    struct scene scene;
    begin(&scene);
    register_all(&scene);
    assert_int_equal(troupe_warm_open(scene.troupe, "fleet", 100, &scene.warm), TROUPE_STATUS_INVALID);
    OK(troupe_warm_open(scene.troupe, "fleet", 64, &scene.warm));
    for (unsigned at = 0; at <= AGENTS; at++) {
        snprintf(texts[at], sizeof texts[at],
                 at % 2 == 0 ? "agent-%u" : "an agent with a long name, number %u", at);
        names[at] = texts[at];
    }
    assert_int_equal(troupe_registry_lookup_batch(scene.troupe, NULL, "fleet", names, AGENTS + 1, actors),
                     AGENTS);
    for (unsigned at = 0; at <= AGENTS; at++) {
        assert_int_equal(actors[at], at < AGENTS ? scene.actor : 0);
        for (unsigned again = 0; again < 2; again++)
            assert_int_equal(troupe_warm_lookup(scene.warm, NULL, names[at]), actors[at]);
    }
    OK(troupe_registry_unregister(scene.troupe, "fleet", names[0], scene.actor));
    assert_int_equal(troupe_warm_lookup(scene.warm, NULL, names[0]), 0);
    troupe_warm_close(scene.warm);
    troupe_warm_close(NULL);
    troupe_close(scene.troupe);
    OK(troupe_open(&(struct troupe_options){.threads = 2}, &scene.troupe));
    assert_int_equal(troupe_warm_open(scene.troupe, "fleet", 64, &scene.warm), TROUPE_STATUS_INVALID);
    troupe_close(scene.troupe);
}

/* ---- watching ---- */

static void change_one(struct troupe_turn *turn, unsigned load) {
    struct troupe_registry_entry entry = {.load = load};
    OK(troupe_registry_update(troupe_of(turn), "fleet", "agent-0", 0, TROUPE_CHANGE_LOAD, &entry));
}

static void watcher(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    struct scene *scene = state;
    if (event->kind == TROUPE_EVENT_MESSAGE) {
        OK(troupe_registry_watch(turn, "fleet", &scene->watch));
        return;
    }
    if (event->kind != TROUPE_EVENT_REGISTRY)
        return;
    assert_int_equal(event->token, scene->watch);
    const struct troupe_registry_event *change = event->bytes;
    switch (change->kind) {
    case TROUPE_REGISTRY_ADDED:
        assert_int_equal(change->actor, scene->actor);
        if (++scene->added == AGENTS)
            change_one(turn, 5);
        break;
    case TROUPE_REGISTRY_CHANGED:
        assert_string_equal(change->name, "agent-0");
        if (scene->changed++ == 0)
            OK(troupe_registry_unregister(scene->troupe, "fleet", "agent-0", scene->actor));
        break;
    case TROUPE_REGISTRY_REMOVED:
        scene->removed++;
        /* More in one turn than may wait. */
        for (unsigned at = 0; at < 1100; at++) {
            char name[32];
            snprintf(name, sizeof name, "later-%u", at);
            OK(troupe_registry_register(scene->troupe, "fleet", name, scene->actor));
        }
        break;
    case TROUPE_REGISTRY_FELL_BEHIND:
        scene->behind++;
        troupe_registry_unwatch(scene->troupe, scene->watch);
        troupe_stop(scene->troupe);
        break;
    }
}

static void later_adds_do_not_count(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    struct scene *scene = state;
    const struct troupe_registry_event *change = event->bytes;
    if (event->kind == TROUPE_EVENT_REGISTRY && change->kind == TROUPE_REGISTRY_ADDED &&
        strncmp(change->name, "later-", 6) == 0)
        return;
    watcher(turn, scene, event);
}

static void a_watch_tells_changes_and_that_it_fell_behind(void **state) {
    (void)state;
    struct scene scene;
    begin(&scene);
    register_all(&scene);
    OK(troupe_send(scene.troupe, NULL, spawn(&scene, later_adds_do_not_count), "", 0));
    OK(troupe_run(scene.troupe));
    assert_int_equal(scene.added, AGENTS);
    assert_int_equal(scene.changed, 1);
    assert_int_equal(scene.removed, 1);
    assert_int_equal(scene.behind, 1);
    troupe_close(scene.troupe);
}

/* ---- saving and restoring ---- */

static char place[] = "/tmp/troupe-registry-XXXXXX", directory[64];

static troupe_actor restorer(void *context, const struct troupe_registry_row *row) {
    struct scene *scene = context;
    unsigned at = row->entry.node;
    struct troupe_registry_entry entry = entry_of(at);
    assert_memory_equal(&row->entry.capabilities, &entry.capabilities, sizeof entry.capabilities);
    assert_int_equal(row->entry.health, entry.health);
    assert_int_equal(row->entry.load, entry.load);
    assert_int_equal(row->entry.lease_ns != 0, entry.lease_ns != 0);
    assert_true(row->entry.lease_ns <= entry.lease_ns);
    if (at % 4 == 0) {
        unsigned char opaque[3] = {(unsigned char)at, 0, 0xff};
        assert_int_equal(row->entry.opaque_length, 3);
        assert_memory_equal(row->entry.opaque, opaque, 3);
    } else {
        assert_int_equal(row->entry.opaque_length, 0);
    }
    scene->changes++;
    return at == 17 ? 0 : scene->actor;
}

static void what_was_saved_comes_back(void **state) {
    (void)state;
    struct scene scene;
    size_t rows = 0;
    char problem[TROUPE_PROBLEM_MAX] = "";
    struct troupe_registry_restored restored;
    struct troupe_registry_entry gone = {.health = TROUPE_HEALTH_DOWN};
    begin(&scene);
    assert_int_equal(
        troupe_registry_restore(scene.troupe, directory, "fleet", restorer, &scene, NULL, problem),
        TROUPE_STATUS_NOT_FOUND);
    assert_true(problem[0] != '\0');
    register_all(&scene);
    OK(troupe_registry_register_entry(scene.troupe, "fleet", "down", scene.actor, &gone, NULL));
    OK(troupe_registry_register(scene.troupe, "other", "one", scene.actor));
    OK(troupe_registry_save(scene.troupe, NULL, directory, "other", &rows, problem));
    assert_int_equal(rows, 1);
    for (unsigned again = 0; again < 2; again++) { /* the second replaces the first */
        OK(troupe_registry_save(scene.troupe, NULL, directory, "fleet", &rows, problem));
        assert_int_equal(rows, AGENTS);
    }
    troupe_close(scene.troupe);
    begin(&scene);
    OK(troupe_registry_restore(scene.troupe, directory, "fleet", restorer, &scene, &restored, problem));
    assert_int_equal(scene.changes, AGENTS);
    assert_int_equal(restored.rows, AGENTS - 1);
    assert_int_equal(restored.refused, 1);
    assert_int_equal(restored.expired, 0);
    assert_int_equal(troupe_registry_lookup(scene.troupe, NULL, "fleet", "agent-0"), scene.actor);
    assert_int_equal(troupe_registry_lookup(scene.troupe, NULL, "fleet", "down"), 0);
    troupe_actor other = scene.actor;
    scene.actor = spawn(&scene, idle);
    assert_int_equal(
        troupe_registry_restore(scene.troupe, directory, "fleet", restorer, &scene, NULL, problem),
        TROUPE_STATUS_EXISTS); /* live holders have the names */
    assert_int_equal(troupe_registry_lookup(scene.troupe, NULL, "fleet", "agent-0"), other);
    assert_int_equal(
        troupe_registry_restore(scene.troupe, directory, "nobody", restorer, &scene, NULL, problem),
        TROUPE_STATUS_NOT_FOUND);
    troupe_close(scene.troupe);
}

static troupe_actor same_actor(void *context, const struct troupe_registry_row *row) {
    assert_string_equal(row->name, "one");
    return ((struct scene *)context)->actor;
}

/* Every allocation on the way refused in turn: told, and nothing left. */
static void refusals_are_survived(void **state) {
    (void)state;
    struct scene scene;
    begin(&scene);
    OK(troupe_registry_register(scene.troupe, "few", "one", scene.actor));
    for (unsigned saving = 0; saving < 2; saving++)
        for (int64_t nth = 1;; nth++) {
            memory_fail_after(nth);
            enum troupe_status status =
                saving == 0
                    ? troupe_registry_save(scene.troupe, NULL, directory, "few", NULL, NULL)
                    : troupe_registry_restore(scene.troupe, directory, "few", same_actor, &scene, NULL, NULL);
            int fired = memory_fail_fired();
            memory_fail_after(0);
            if (!fired)
                break;
            assert_true(status == TROUPE_STATUS_NO_MEMORY || status == TROUPE_STATUS_OK);
        }
    troupe_close(scene.troupe);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_is_what_was_asked_for),
        cmocka_unit_test(a_change_is_a_compare_and_set),
        cmocka_unit_test(batches_and_warm_rows_agree_with_lookups),
        cmocka_unit_test(a_watch_tells_changes_and_that_it_fell_behind),
        cmocka_unit_test(what_was_saved_comes_back),
        cmocka_unit_test(refusals_are_survived),
    };
    if (mkdtemp(place) == NULL)
        return 1;
    snprintf(directory, sizeof directory, "%s/registry", place);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char remove[96];
    snprintf(remove, sizeof remove, "rm -rf '%s'", place);
    return system(remove) == 0 ? failed : 1;
}
