/* Grace periods under every interleaving (up to a number of preemptions) of readers, a writer that replaces and
 * retires blocks, and a collector. Fails if a block is freed while a reader that was online holds it, or is never
 * freed, or twice. */
#include "../base/cmocka_base.h"

/* A lock under exploration blocks instead of spinning. */
#define spin_lock spin_lock_unhooked
#define spin_try spin_try_unhooked
#define spin_unlock spin_unlock_unhooked
#include "runtime/runtime.h"
#undef spin_lock
#undef spin_try
#undef spin_unlock

#include "interleave.h"

static void spin_lock(struct spin *spin) {
    interleave_point();
    while (spin->held)
        interleave_wait(&spin->held);
    spin->held = true;
}

static bool spin_try(struct spin *spin) {
    interleave_point();
    if (spin->held)
        return false;
    spin->held = true;
    return true;
}

static void spin_unlock(struct spin *spin) {
    interleave_point();
    spin->held = false;
}

#include "runtime/grace.c"

#define BLOCKS 3U

struct block {
    unsigned freed;
};

struct scene {
    struct account account;
    struct grace *grace;
    struct block blocks[BLOCKS];
    _Atomic(struct block *) shared;
    unsigned readers[2];
    unsigned replacements;
    uint64_t read, freed_early; /* over all runs: what makes the exploration worth something */
    bool all_ended;
};

static void block_free(void *context, void *memory) {
    struct scene *scene = context;
    struct block *block = memory;
    assert_int_equal(block->freed, 0);
    block->freed = 1;
    scene->freed_early += !scene->all_ended;
}

static void scene_begin(void *context) {
    struct scene *scene = context;
    scene->account = ACCOUNT("scene");
    assert_int_equal(grace_create(&scene->account, 2, 8, &scene->grace), TROUPE_OK);
    memset(scene->blocks, 0, sizeof(scene->blocks));
    scene->shared = &scene->blocks[0];
    scene->all_ended = false;
    for (unsigned at = 0; at < 2; at++) {
        assert_int_equal(grace_register(scene->grace, &scene->readers[at]), TROUPE_OK);
        grace_offline(scene->grace, scene->readers[at]);
    }
}

static void look(struct scene *scene) {
    struct block *block = atomic_load_explicit(&scene->shared, memory_order_acquire);
    assert_int_equal(block->freed, 0);
    interleave_point(); /* it holds the block for a while */
    assert_int_equal(block->freed, 0);
    scene->read++;
}

static void reader(struct scene *scene, unsigned which) {
    unsigned slot = scene->readers[which];
    grace_online(scene->grace, slot);
    look(scene);
    grace_quiescent(scene->grace, slot);
    look(scene);
    grace_offline(scene->grace, slot);
}

static void first_reader(void *context) {
    reader(context, 0);
}

static void second_reader(void *context) {
    reader(context, 1);
}

/* Goes to sleep and comes back. */
static void sleepy_reader(void *context) {
    struct scene *scene = context;
    for (unsigned at = 0; at < 2; at++) {
        grace_online(scene->grace, scene->readers[1]);
        look(scene);
        grace_offline(scene->grace, scene->readers[1]);
    }
}

static void writer(void *context) {
    struct scene *scene = context;
    for (unsigned at = 1; at <= scene->replacements; at++) {
        struct block *old =
            atomic_exchange_explicit(&scene->shared, &scene->blocks[at], memory_order_acq_rel);
        assert_int_equal(grace_retire(scene->grace, block_free, scene, old), TROUPE_OK);
        grace_collect(scene->grace);
    }
}

static void collector(void *context) {
    struct scene *scene = context;
    grace_collect(scene->grace);
    grace_collect(scene->grace);
}

/* All readers are offline: what was retired is freed, what is linked is not. */
static void scene_check(void *context) {
    struct scene *scene = context;
    size_t most;
    scene->all_ended = true;
    grace_collect(scene->grace);
    grace_collect(scene->grace);
    assert_int_equal(grace_retired(scene->grace, &most), 0);
    assert_in_range(most, 1, scene->replacements);
    for (unsigned at = 0; at <= scene->replacements; at++)
        assert_int_equal(scene->blocks[at].freed, at < scene->replacements);
    grace_free(scene->grace);
    assert_int_equal(scene->account.bytes, 0);
}

static void explore(struct interleave scenario, unsigned replacements) {
    static struct scene scene;
    memset(&scene, 0, sizeof(scene));
    scene.replacements = replacements;
    scenario.setup = scene_begin;
    scenario.check = scene_check;
    scenario.context = &scene;
    uint64_t runs = interleave_explore(&scenario);
    print_message("%llu orders, %llu blocks freed while others were under way\n", (unsigned long long)runs,
                  (unsigned long long)scene.freed_early);
    assert_true(runs > 100 && scene.freed_early > 0);
}

static void one_reader_and_a_writer(void **state) {
    (void)state;
    explore((struct interleave){.bodies = {first_reader, writer},
                                .count = 2,
                                .preemptions_max = INTERLEAVE_PREEMPTIONS(4)},
            1);
}

static void a_reader_that_sleeps(void **state) {
    (void)state;
    explore((struct interleave){.bodies = {sleepy_reader, writer},
                                .count = 2,
                                .preemptions_max = INTERLEAVE_PREEMPTIONS(3)},
            2);
}

static void two_readers_and_a_collector(void **state) {
    (void)state;
    explore((struct interleave){.bodies = {first_reader, second_reader, writer, collector},
                                .count = 4,
                                .preemptions_max = INTERLEAVE_PREEMPTIONS(2)},
            1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_reader_and_a_writer),
        cmocka_unit_test(a_reader_that_sleeps),
        cmocka_unit_test(two_readers_and_a_collector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
