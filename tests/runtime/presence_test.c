/* Presence under every interleaving of its atomic operations: a worker that leaves and enters, and two that borrow.
 * Fails if two of them are inside at once, or if what one did inside is not there for the next. */
#include "../base/cmocka_base.h"

#include "interleave.h"

#include "runtime/presence.h"

struct scene {
    _Atomic uint32_t presence;
    _Atomic bool closed; /* what a body waits for: the last one that found it lent */
    unsigned inside, visits, borrowed, refused;
    uint64_t total_borrowed, total_refused; /* over all runs */
};

static void scene_begin(void *context) {
    struct scene *scene = context;
    atomic_store(&scene->presence, PRESENCE_HERE);
    scene->inside = scene->visits = scene->borrowed = scene->refused = 0;
}

/* Somebody in between would find `inside` 1. */
static void visit(struct scene *scene) {
    assert_int_equal(scene->inside++, 0);
    interleave_point();
    scene->visits++;
    interleave_point();
    assert_int_equal(--scene->inside, 0);
}

static void worker(void *context) {
    struct scene *scene = context;
    for (unsigned round = 0; round < 2; round++) {
        visit(scene);
        presence_leave(&scene->presence);
        while (!presence_enter(&scene->presence)) {
            interleave_wait(&scene->closed); /* others first, or this is chosen for ever */
        }
    }
    visit(scene);
}

/* Not one of the operations between which the others come. */
static void close_door(struct scene *scene, bool closed) {
    __atomic_store_n((bool *)&scene->closed, closed, __ATOMIC_RELAXED);
}

static void borrower(void *context) {
    struct scene *scene = context;
    if (!presence_borrow(&scene->presence)) {
        scene->refused++;
        return;
    }
    close_door(scene, true);
    scene->borrowed++;
    visit(scene);
    presence_return(&scene->presence);
    close_door(scene, false);
}

static void scene_check(void *context) {
    struct scene *scene = context;
    assert_int_equal(atomic_load(&scene->presence), PRESENCE_HERE);
    assert_int_equal(scene->visits, 3 + scene->borrowed);
    assert_int_equal(scene->borrowed + scene->refused, 2);
    scene->total_borrowed += scene->borrowed;
    scene->total_refused += scene->refused;
}

static void nobody_meets_inside(void **state) {
    (void)state;
    static struct scene scene;
    struct interleave scenario = {.setup = scene_begin,
                                  .bodies = {worker, borrower, borrower},
                                  .count = 3,
                                  .check = scene_check,
                                  .context = &scene,
                                  .preemptions_max = INTERLEAVE_PREEMPTIONS(5)};
    uint64_t runs = interleave_explore(&scenario);
    print_message("%llu orders\n", (unsigned long long)runs);
    assert_true(runs > 100);
    assert_true(scene.total_borrowed > 0 && scene.total_refused > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(nobody_meets_inside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
