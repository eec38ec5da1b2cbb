/* Look-ups under every interleaving (up to a number of preemptions) with one writer of the partition that moves its
 * rows to another table, removes and puts rows in one full bucket, or hands a name over. Fails if a row that is
 * there throughout is missed, or one is found that never had the name. */
#include "../base/cmocka_base.h"

#include <stdio.h>

/* Nothing here takes a lock: the writer is alone. */
#include "registry/registry.h"

#include "../runtime/interleave.h"

#include "registry/registry_lookup.c"
#include "registry/registry_table.c"

#define ROWS 12U
#define NAMES 14U

struct scene {
    struct account account;
    struct env *env; /* for the ticks of a look-up that is timed */
    struct registry registry;
    struct partition partition;
    _Atomic(struct table *) tables[1];
    struct lookups lookups[COUNTERS + 1];
    struct directory *directory;
    struct chunk *chunk;
    struct table *old, *new;
    char names[NAMES][ROW_SHORT + 1];
    unsigned absent, found;      /* of a name that comes or goes, over all runs */
    unsigned first_actor, other; /* of a name handed over */
};

static struct key scene_key(struct scene *scene, unsigned name) {
    struct key key;
    assert_true(key_make(&scene->registry, 1, scene->names[name], strlen(scene->names[name]), &key));
    return key;
}

static void scene_row(struct scene *scene, unsigned unit, unsigned name, actor_ref actor) {
    struct registry_row *row = chunk_row(scene->chunk, unit);
    struct key key = scene_key(scene, name);
    row->actor = actor;
    memcpy(row->name, &key.words, ROW_SHORT);
    row_publish(row, (uint64_t)key.check << 48 | STATE_PLAIN);
}

static void scene_put(struct scene *scene, unsigned name) {
    scene_row(scene, name, name, name + 1);
    table_insert(&scene->partition, scene_key(scene, name).hash, name);
}

/* Names whose home is bucket 0 of two, so that with ten of them it is full. */
static void scene_names(struct scene *scene) {
    unsigned count = 0;
    for (unsigned number = 0; count < NAMES; number++) {
        snprintf(scene->names[count], sizeof scene->names[count], "name-%u", number);
        count += hash_bucket(scene_key(scene, count).hash, 2) == 0;
    }
}

static void scene_begin(struct scene *scene, uint64_t buckets, unsigned rows) {
    scene->registry = (struct registry){.account = &scene->account, .seeds = {11, 22, 33}};
    scene->partition = (struct partition){.table = scene->tables};
    scene->registry.partitions = &scene->partition;
    scene->registry.tables = scene->tables;
    scene->registry.lookups = scene->lookups;
    atomic_init(&scene->lookups[COUNTERS].all, TIMED_EVERY - 1); /* LOOKUPS_NOWHERE */
    if (scene->chunk == NULL) {
        scene->account = ACCOUNT("scene");
        assert_int_equal(env_os_create(&scene->account, &scene->env), TROUPE_OK);
        scene->chunk = memory_alloc_aligned(&scene->account, 64, sizeof *scene->chunk + 64 * ROW_UNIT);
        scene->directory = memory_alloc(&scene->account, sizeof *scene->directory + sizeof(void *));
        atomic_init(&scene->directory->chunks[0], scene->chunk);
        scene_names(scene);
    }
    atomic_init(&scene->registry.directory, scene->directory);
    scene->registry.env = scene->env;
    scene->old = table_new(&scene->account, buckets);
    scene->old->limit = 2 * BUCKET_SLOTS;
    scene->new = table_new(&scene->account, 3);
    atomic_init(&scene->tables[0], scene->old);
    for (unsigned name = 0; name < rows; name++) {
        scene_put(scene, name);
    }
}

static void scene_end(void *context) {
    struct scene *scene = context;
    memory_free(&scene->account, scene->old);
    memory_free(&scene->account, scene->new);
}

static const struct registry_row *look(struct scene *scene, unsigned name) {
    const struct registry_row *row =
        registry_get(&scene->registry, 1, scene->names[name], strlen(scene->names[name]), 0);
    if (row != NULL) {
        assert_memory_equal(row->name, scene->names[name], strlen(scene->names[name]));
    }
    return row;
}

/* ---- moves ---- */

static void moves_begin(void *context) {
    scene_begin(context, 2, ROWS);
}

static void moves_write(void *context) {
    struct scene *scene = context;
    struct table *emptied = NULL;
    table_extend(&scene->partition, scene->new);
    while (emptied == NULL) {
        emptied = table_migrate(&scene->registry, &scene->partition);
    }
    assert_ptr_equal(emptied, scene->old); /* retired: a reader may still stand in it */
}

static void moves_read(void *context) {
    assert_non_null(look(context, 0));        /* in its bucket */
    assert_non_null(look(context, ROWS - 1)); /* put past it */
}

/* ---- removals and puts where a bucket is full ---- */

static void churn_write(void *context) {
    struct scene *scene = context;
    for (unsigned round = 0; round < 2; round++) {
        struct key key = scene_key(scene, round);
        struct slot slot;
        assert_int_equal(table_find(&scene->registry, &scene->partition, &key, &slot), round);
        table_remove(&slot, key.hash);
        scene_put(scene, ROWS + round); /* into the place that is free */
    }
    struct key key = scene_key(scene, ROWS - 2); /* put past its bucket, as the one that is read */
    struct slot slot;
    assert_int_equal(table_find(&scene->registry, &scene->partition, &key, &slot), ROWS - 2);
    table_remove(&slot, key.hash);
}

static void churn_read(void *context) {
    struct scene *scene = context;
    assert_non_null(look(scene, ROWS - 1));
    unsigned found = (look(scene, 0) != NULL) + (look(scene, ROWS) != NULL);
    scene->found += found;
    scene->absent += 2 - found;
    assert_non_null(look(scene, 5));
}

/* ---- a name passes to another row ---- */

static void handover_write(void *context) {
    struct scene *scene = context;
    struct key key = scene_key(scene, 3);
    struct slot slot;
    assert_int_equal(table_find(&scene->registry, &scene->partition, &key, &slot), 3);
    scene_row(scene, 40, 3, 99);
    table_replace(&slot, 40);
}

static void handover_read(void *context) {
    struct scene *scene = context;
    const struct registry_row *row = look(scene, 3);
    assert_non_null(row);
    assert_true(row->actor == 4 || row->actor == 99);
    scene->first_actor += row->actor == 4;
    scene->other += row->actor == 99;
}

static void explore(struct scene *scene, void (*write)(void *), void (*read)(void *), unsigned readers,
                    unsigned preemptions) {
    struct interleave interleave = {.setup = moves_begin,
                                    .bodies = {write, read, read},
                                    .count = 1 + readers,
                                    .check = scene_end,
                                    .context = scene,
                                    .preemptions_max = INTERLEAVE_PREEMPTIONS(preemptions)};
    assert_true(interleave_explore(&interleave) > 100);
    memory_free(&scene->account, scene->chunk);
    memory_free(&scene->account, scene->directory);
    env_destroy(scene->env);
    assert_int_equal(scene->account.bytes, 0);
}

static void moves(void **unused) {
    static struct scene scene;
    (void)unused;
    explore(&scene, moves_write, moves_read, 1, 2);
}

static void churn(void **unused) {
    static struct scene scene;
    (void)unused;
    explore(&scene, churn_write, churn_read, 1, 2);
    assert_true(scene.found > 0 && scene.absent > 0);
}

static void handover(void **unused) {
    static struct scene scene;
    (void)unused;
    explore(&scene, handover_write, handover_read, 2, 2);
    assert_true(scene.first_actor > 0 && scene.other > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(moves), cmocka_unit_test(churn),
                                       cmocka_unit_test(handover)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
