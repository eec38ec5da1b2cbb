/* Random writes and reads against a naive table that is scanned, with the audit of every invariant in between.
 * What a failure means: the registry forgot, invented or confused a registration, or an index and a row
 * disagree. */
#include "registry_rig.h"

#include <stdlib.h>

#define KEYS 600U /* over two namespaces */
#define ACTORS 6U
#define STEPS 40000U

struct entry {
    char name[128];
    const char *name_space;
    bool there;
    actor_ref actor;
    uint64_t version;      /* of the row that is there */
    uint64_t version_last; /* ever seen */
    uint64_t capabilities;
    uint64_t expires_ns; /* 0: never */
    enum health health;
    uint8_t load;
};

struct model {
    struct rig rig;
    struct registry_warm *warm;
    struct random_stream random;
    struct entry entries[KEYS];
    actor_ref actors[ACTORS];
    uint64_t now_ns;
    uint64_t registered, removed;
    unsigned keys; /* in use in this phase: the population grows and shrinks */
};

static uint64_t below(struct model *model, uint64_t bound) {
    return random_below(&model->random, bound);
}

static struct entry *any_entry(struct model *model) {
    return &model->entries[below(model, model->keys)];
}

static bool expired(const struct model *model, const struct entry *entry) {
    return entry->expires_ns != 0 && entry->expires_ns <= model->now_ns;
}

static void step_register(struct model *model) {
    struct entry *entry = any_entry(model);
    actor_ref actor = model->actors[below(model, ACTORS)];
    uint64_t bits = below(model, 3) ? below(model, 16) : 0;
    struct registration registration = rig_registration(entry->name_space, entry->name, actor, bits);
    registration.health = below(model, 4) ? HEALTH_UP : (enum health)below(model, HEALTH_DOWN + 1);
    registration.load = (uint8_t)(below(model, 2) ? 0 : below(model, REGISTRY_LOADS));
    registration.lease_ns = below(model, 3) ? 0 : 1 + below(model, 4000);
    registration.resources.amount[1] = below(model, 4) ? 0 : 5;
    uint64_t version = 0;
    enum troupe_error error =
        registry_register(model->rig.registry, &registration, model->now_ns, &version, NULL);
    if (entry->there && entry->actor != actor && !expired(model, entry)) {
        assert_int_equal(error, TROUPE_EXISTS);
        return;
    }
    assert_int_equal(error, TROUPE_OK);
    assert_true(version > entry->version_last);
    model->registered++;
    model->removed += entry->there && entry->actor != actor;
    entry->there = true;
    entry->actor = actor;
    entry->version = entry->version_last = version;
    entry->capabilities = bits;
    entry->health = registration.health;
    entry->load = registration.load;
    entry->expires_ns = registration.lease_ns == 0 ? 0 : model->now_ns + registration.lease_ns;
}

static void step_unregister(struct model *model) {
    struct entry *entry = any_entry(model);
    actor_ref actor = below(model, 4) ? entry->actor : model->actors[below(model, ACTORS)];
    bool his = entry->there && entry->actor == actor;
    assert_int_equal(registry_unregister(model->rig.registry, entry->name_space, entry->name, actor),
                     his ? TROUPE_OK : TROUPE_NOT_FOUND);
    entry->there = entry->there && !his;
    model->removed += his;
}

static void step_health(struct model *model) {
    struct entry *entry = any_entry(model);
    enum health health = (enum health)below(model, HEALTH_DOWN + 1);
    uint64_t expected = below(model, 2) ? 0 : entry->version + (below(model, 3) == 0);
    enum troupe_error error =
        registry_set_health(model->rig.registry, entry->name_space, entry->name, expected, health);
    if (!entry->there) {
        assert_int_equal(error, TROUPE_NOT_FOUND);
    } else if (expected != 0 && expected != entry->version) {
        assert_int_equal(error, TROUPE_EXISTS);
    } else {
        assert_int_equal(error, TROUPE_OK);
        if (health != entry->health) {
            entry->health = health;
            entry->version_last = entry->version = 0; /* read below */
        }
    }
}

static void check_entry(struct model *model, struct entry *entry, const struct registry_row *row) {
    if (!entry->there || expired(model, entry)) {
        assert_null(row);
        return;
    }
    assert_non_null(row);
    struct registry_view view;
    registry_row_view(model->rig.registry, row, &view);
    rig_named(row, entry->name);
    assert_int_equal(row->actor, entry->actor);
    assert_int_equal(view.health, entry->health);
    assert_int_equal(view.load, entry->load);
    assert_int_equal(view.capabilities->bits[0], entry->capabilities);
    assert_int_equal(view.lease_ns, entry->expires_ns);
    if (entry->version == 0) {
        entry->version = entry->version_last = view.version;
    }
    assert_int_equal(view.version, entry->version);
}

static void step_lookup(struct model *model) {
    struct entry *entry = any_entry(model);
    check_entry(model, entry,
                registry_lookup(model->rig.registry, entry->name_space, entry->name, model->now_ns));
}

/* The same, from a small store of rows that are often removed and replaced. */
static void step_warm(struct model *model) {
    registry_space space;
    struct entry *entry = any_entry(model);
    OK(registry_space_open(model->rig.registry, entry->name_space, &space));
    for (unsigned again = 0; again < 2; again++) {
        check_entry(model, entry,
                    registry_warm_get(model->warm, space, entry->name, strlen(entry->name), model->now_ns));
    }
}

static void step_batch(struct model *model) {
    const char *names[80];
    struct entry *entries[80];
    const struct registry_row *rows[80];
    size_t count = below(model, 80), hits = 0;
    const char *name_space = any_entry(model)->name_space;
    for (size_t at = 0; at < count; at++) {
        do {
            entries[at] = any_entry(model);
        } while (entries[at]->name_space != name_space);
        names[at] = entries[at]->name;
    }
    size_t found = registry_lookup_batch(model->rig.registry, name_space, names, count, model->now_ns, rows);
    for (size_t at = 0; at < count; at++) {
        check_entry(model, entries[at], rows[at]);
        hits += rows[at] != NULL;
    }
    assert_int_equal(found, hits);
}

static int by_pointer(const void *a, const void *b) {
    uintptr_t x = (uintptr_t) * (void *const *)a, y = (uintptr_t) * (void *const *)b;
    return (x > y) - (x < y);
}

static void step_find(struct model *model) {
    static const struct registry_row *rows[KEYS];
    const char *name_space = any_entry(model)->name_space;
    struct capability_set wanted = {{below(model, 16)}};
    size_t most = below(model, 3) ? KEYS : below(model, 20), expected = 0;
    size_t found = registry_find(model->rig.registry, name_space, &wanted, rows, most);
    /* The env's clock stands still: nothing has expired by it. */
    for (size_t at = 0; at < KEYS; at++) {
        const struct entry *entry = &model->entries[at];
        expected += entry->there && entry->name_space == name_space && entry->health <= HEALTH_DEGRADED &&
                    (entry->capabilities & wanted.bits[0]) == wanted.bits[0];
    }
    assert_int_equal(found, expected < most ? expected : most);
    for (size_t at = 0; at < found; at++) {
        assert_true(
            capability_set_contains(registry_row_capabilities(model->rig.registry, rows[at]), &wanted));
        assert_true(registry_row_health(rows[at]) <= HEALTH_DEGRADED);
    }
    qsort(rows, found, sizeof *rows, by_pointer);
    for (size_t at = 1; at < found; at++) {
        assert_ptr_not_equal(rows[at - 1], rows[at]);
    }
}

/* The same rows as find, those with less to do first. */
static void step_least_loaded(struct model *model) {
    static const struct registry_row *rows[REGISTRY_LEAST_MAX];
    const char *name_space = any_entry(model)->name_space;
    struct capability_set wanted = {{below(model, 16)}};
    size_t most = below(model, REGISTRY_LEAST_MAX + 10), expected = 0, by_load[REGISTRY_LOADS] = {0};
    size_t found = registry_find_least_loaded(model->rig.registry, name_space, &wanted, rows, most);
    for (size_t at = 0; at < KEYS; at++) {
        const struct entry *entry = &model->entries[at];
        if (entry->there && entry->name_space == name_space && entry->health <= HEALTH_DEGRADED &&
            (entry->capabilities & wanted.bits[0]) == wanted.bits[0]) {
            by_load[entry->load]++;
            expected++;
        }
    }
    most = most < REGISTRY_LEAST_MAX ? most : REGISTRY_LEAST_MAX;
    assert_int_equal(found, expected < most ? expected : most);
    unsigned load = 0;
    for (size_t at = 0; at < found; at++) {
        struct registry_view view;
        registry_row_view(model->rig.registry, rows[at], &view);
        while (by_load[load] == 0) {
            load++;
        }
        assert_int_equal(view.load, load);
        by_load[load]--;
    }
}

static void step_load(struct model *model) {
    struct entry *entry = any_entry(model);
    struct registry_update update = REGISTRY_UPDATE_NONE;
    struct capability_set set = {{below(model, 16)}};
    update.load = (int)below(model, REGISTRY_LOADS);
    update.capabilities = below(model, 2) ? &set : NULL;
    enum troupe_error error =
        registry_update(model->rig.registry, entry->name_space, entry->name, 0, &update);
    assert_int_equal(error, entry->there ? TROUPE_OK : TROUPE_NOT_FOUND);
    if (entry->there &&
        (entry->load != update.load || (update.capabilities != NULL && set.bits[0] != entry->capabilities))) {
        entry->load = (uint8_t)update.load;
        entry->capabilities = update.capabilities != NULL ? set.bits[0] : entry->capabilities;
        entry->version_last = entry->version = 0; /* read below */
    }
}

static void step_expire(struct model *model) {
    uint64_t next_ns, next_expected = UINT64_MAX;
    unsigned expected = 0;
    model->now_ns += below(model, 300);
    if (below(model, 4)) {
        return; /* let some lie, so that they are replaced or looked up expired */
    }
    for (size_t at = 0; at < KEYS; at++) {
        struct entry *entry = &model->entries[at];
        if (entry->there && expired(model, entry)) {
            entry->there = false;
            expected++;
        } else if (entry->there && entry->expires_ns != 0 && entry->expires_ns < next_expected) {
            next_expected = entry->expires_ns;
        }
    }
    model->removed += expected;
    assert_int_equal(registry_expire_some(model->rig.registry, model->now_ns, UINT32_MAX, &next_ns),
                     expected);
    assert_int_equal(next_ns, next_expected);
}

static void step_remove_actor(struct model *model) {
    actor_ref actor = model->actors[below(model, ACTORS)];
    unsigned expected = 0;
    for (size_t at = 0; at < KEYS; at++) {
        if (model->entries[at].there && model->entries[at].actor == actor) {
            model->entries[at].there = false;
            expected++;
        }
    }
    model->removed += expected;
    assert_int_equal(registry_remove_actor(model->rig.registry, actor), expected);
}

static void check_all(struct model *model) {
    size_t there = 0;
    struct registry_statistics statistics;
    for (size_t at = 0; at < KEYS; at++) {
        struct entry *entry = &model->entries[at];
        check_entry(model, entry,
                    registry_lookup(model->rig.registry, entry->name_space, entry->name, model->now_ns));
        there += entry->there;
    }
    rig_audit(&model->rig, true);
    registry_statistics(model->rig.registry, &statistics);
    assert_int_equal(statistics.rows, there);
    assert_int_equal(statistics.registered, model->registered);
    assert_int_equal(statistics.removed, model->removed);
    grace_collect(runtime_grace(model->rig.runtime));
}

static void live(struct model *model, uint64_t seed, unsigned partitions) {
    memset(model, 0, sizeof *model);
    random_seed(&model->random, seed, partitions);
    rig_begin_sim(&model->rig, seed, &(struct registry_options){.partitions = partitions});
    OK(registry_warm_create(model->rig.registry, 16, &model->warm));
    model->now_ns = SECOND; /* ahead of the env's */
    for (size_t at = 0; at < KEYS; at++) {
        /* Of all the ways in which names are compared: up to 3, 8, 16 bytes, and several units of a chunk. */
        static const char *const fronts[] = {"", "n-", "name-", "agents-name-",
                                             "a name of more than one unit, number "};
        snprintf(model->entries[at].name, sizeof model->entries[at].name, "%s%zu", fronts[at / 2 % 5],
                 at / 2);
        if (at / 2 % 25 == 24) {
            size_t length = strlen(model->entries[at].name);
            memset(model->entries[at].name + length, 'x', at / 10);
        }
        model->entries[at].name_space = at % 2 ? "odd" : "even";
    }
    for (size_t at = 0; at < ACTORS; at++) {
        model->actors[at] = rig_spawn(&model->rig, NULL, NULL);
    }
    static void (*const steps[])(struct model * model) = {
        step_register, step_register, step_register, step_register, step_register, step_unregister,
        step_health,   step_load,     step_lookup,   step_warm,     step_expire};
    for (unsigned step = 0; step < STEPS; step++) {
        if (step % 5000 == 0) {
            model->keys = step == 0 ? 4 : 2 + (unsigned)below(model, KEYS - 1);
        }
        steps[below(model, ARRAY_COUNT(steps))](model);
        if (step % 64 == 0) {
            (below(model, 2) ? step_batch : step_find)(model);
            step_least_loaded(model);
        }
        if (step % 3000 == 0) {
            step_remove_actor(model);
        }
        if (step % 1000 == 999) {
            model->keys = step / 1000 % 5 == 4 ? KEYS : model->keys;
            check_all(model);
        }
    }
    check_all(model);
    assert_true(registry_warm_share(model->warm) > 0.2);
    registry_warm_free(model->warm);
    rig_end(&model->rig);
}

static void against_a_scan(void **unused) {
    (void)unused;
    static struct model model;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        for (unsigned partitions = 1; partitions <= 16; partitions *= 4) {
            live(&model, seed, partitions);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_a_scan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
