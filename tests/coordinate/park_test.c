/* Tasks that wait without a claim, through the coordinator: they are done in the order in which they would be with one, and
 * end for a cancel, a deadline or the last agent's end as all others do. If these fail, a long queue forgets tasks, or does
 * them out of turn. */
#include <stdlib.h>

#include "scripted.h"

static void submit_plain(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn, &(struct task_shape){.count = count, .expected_ns = 10 * MS});
}

static void submit_urgent(struct world *world, struct turn *turn, unsigned priority) {
    world_submit(world, turn,
                 &(struct task_shape){.count = 20, .expected_ns = 10 * MS, .priority = (uint8_t)priority});
}

static void submit_due(struct world *world, struct turn *turn, unsigned ms) {
    world_submit(world, turn,
                 &(struct task_shape){.count = 40, .expected_ns = 10 * MS, .deadline_ns = ms * MS});
}

static void submit_mixed(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){.count = count, .expected_ns = 5 * MS, .resource = {1, 0}});
    world_submit(world, turn, &(struct task_shape){.count = count, .expected_ns = 5 * MS, .capability = 1});
}

static void live(struct world *world, unsigned claims_max) {
    world_open(world, 71);
    world->options.claims_max = claims_max;
    for (unsigned i = 0; i < 3; i++) {
        struct scripted *agent = world_agent(world, SCRIPT_ACCEPT, 10 * MS, 0);
        capability_set_add(&agent->capabilities, 1);
    }
    world_action(world, 0, submit_plain, 60);
    world_action(world, 5 * MS, submit_urgent, 2);
    world_action(world, 7 * MS, submit_due, 5000);
    world_action(world, 8 * MS, submit_mixed, 15);
    world_action(world, 31 * MS, submit_urgent, 1);
    world_action(world, 64 * MS, submit_due, 4000);
    world_action(world, 90 * MS, submit_plain, 30);
    world_run(world);
    assert_int_equal(world->run_error, TROUPE_OK);
    world_close(world);
    assert_int_equal(world_count(world, TASK_OK), world->submitted);
    assert_int_equal(world->statistics.live, 0);
}

static int by_time(const void *left, const void *right) {
    const uint64_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

/* Those of one batch are alike: which of them is first is nobody's business. */
static void same_times(struct world *a, struct world *b) {
    static const unsigned batches[] = {60, 20, 40, 15, 15, 20, 40, 30};
    unsigned from = 0;
    for (unsigned i = 0; i < sizeof batches / sizeof *batches; i++) {
        qsort(a->ended_ns + from, batches[i], sizeof *a->ended_ns, by_time);
        qsort(b->ended_ns + from, batches[i], sizeof *b->ended_ns, by_time);
        assert_memory_equal(a->ended_ns + from, b->ended_ns + from, batches[i] * sizeof *a->ended_ns);
        from += batches[i];
    }
    assert_int_equal(from, a->submitted);
    assert_int_equal(from, b->submitted);
}

static void the_order_is_that_of_one_queue(void **state) {
    (void)state;
    static struct world whole, some;
    live(&whole, 0);
    assert_int_equal(whole.statistics.parked, 0);
    for (unsigned claims_max = 1; claims_max <= 64; claims_max *= 4) {
        live(&some, claims_max);
        assert_true(some.statistics.parked > 40);
        assert_int_equal(some.statistics.woken, some.statistics.parked); /* none is done without one */
        same_times(&whole, &some);
        assert_int_equal(some.statistics.waiting_max, whole.statistics.waiting_max);
    }
}

static void cancel_ten(struct world *world, struct turn *turn, unsigned first) {
    for (unsigned run = first; run < first + 10; run++)
        world_cancel(world, turn, run, UINT32_MAX);
}

static void a_cancel_ends_them(void **state) {
    (void)state;
    static struct world world;
    world_open(&world, 73);
    world.options.claims_max = 3;
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_action(&world, 0, submit_plain, 50);
    world_action(&world, 5 * MS, cancel_ten, 31);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_true(world.statistics.parked >= 40);
    assert_int_equal(world_count(&world, TASK_CANCELLED), 10);
    assert_int_equal(world_count(&world, TASK_OK), 40);
    for (unsigned i = 30; i < 40; i++)
        assert_int_equal(world.error[i], TROUPE_CANCELLED);
}

static void a_deadline_ends_them(void **state) {
    (void)state;
    static struct world world;
    world_open(&world, 79);
    world.options.claims_max = 2;
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_action(&world, 0, submit_due, 65);
    world_action(&world, 0, submit_plain, 3);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_in_range(world_count(&world, TASK_OK), 9,
                    11); /* six in time, what was begun, and those without a deadline */
    unsigned passed = 0;
    for (unsigned i = 0; i < world.submitted; i++)
        if (world.error[i] == TROUPE_DEADLINE) {
            passed++;
            assert_true(world.ended_ns[i] >= world.begun_ns + 65 * MS &&
                        world.ended_ns[i] < world.begun_ns + 66 * MS);
        }
    assert_true(passed >= 30);
}

static void the_last_agent_ends(void **state) {
    (void)state;
    static struct world world;
    world_open(&world, 83);
    world.options.claims_max = 2;
    world_agent(&world, SCRIPT_DIE_HOLDING, 10 * MS, 0);
    world_action(&world, 0, submit_plain, 50);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_true(world.statistics.parked >= 40);
    assert_int_equal(world_count(&world, TASK_OK), 0);
    unsigned without = 0;
    for (unsigned i = 0; i < world.submitted; i++)
        without += world.error[i] == TROUPE_NO_AGENT;
    assert_true(without >= 45);
    assert_int_equal(world.statistics.live, 0);
}

static void submit_firm_elsewhere(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){.count = count,
                                      .expected_ns = 10 * MS,
                                      .deadline_ns = 60000 * MS,
                                      .firm = true,
                                      .capability = 1});
}

/* What has to keep its claim in one demand does not keep others from giving up theirs. */
static void firm_claims_of_others_are_passed(void **state) {
    (void)state;
    uint64_t parked[2];
    for (unsigned firm = 0; firm < 2; firm++) {
        static struct world world;
        world_open(&world, 89);
        world.options.claims_max = 4;
        world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
        world_agent(&world, SCRIPT_ACCEPT, 200 * MS, 1);
        if (firm)
            world_action(&world, 0, submit_firm_elsewhere, 60);
        for (unsigned priority = 1; priority < 41; priority++)
            world_action(&world, priority * MS, submit_urgent, priority);
        world_run(&world);
        assert_int_equal(world.run_error, TROUPE_OK);
        world_close(&world);
        parked[firm] = world.statistics.parked;
    }
    assert_true(parked[0] > 800 && parked[1] > 800 + (parked[0] - 800) / 2); /* more than once */
}

/* Each batch is more urgent than all before it, so each gets claims at once. */
static void claims_are_given_up_again(void **state) {
    (void)state;
    static struct world world;
    world_open(&world, 89);
    world.options.claims_max = 4;
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    for (unsigned priority = 0; priority < 20; priority++)
        world_action(&world, priority * MS, submit_urgent, priority);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_OK), 400);
    assert_true(world.statistics.parked > 400); /* some more than once */
    /* the last batch before the others: what was begun before it aside */
    for (unsigned i = 0; i < 340; i++)
        if (world.ended_ns[i] > world.begun_ns + 100 * MS)
            assert_true(world.ended_ns[i] > world.ended_ns[399]);
}

static uint64_t due_ns;

static void submit_equal(struct world *world, struct turn *turn, unsigned count) {
    if (due_ns == 0)
        due_ns = turn->now_ns + 2000 * MS;
    world_submit(
        world, turn,
        &(struct task_shape){.count = count, .expected_ns = 10 * MS, .deadline_ns = due_ns - turn->now_ns});
}

/* All have one deadline, as those of a run, and work keeps coming: nobody is passed by those that came later. */
static void equals_go_in_the_order_in_which_they_came(void **state) {
    (void)state;
    static struct world world;
    due_ns = 0;
    world_open(&world, 101);
    world.options.claims_max = 4;
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_action(&world, 0, submit_equal, 20);
    for (unsigned i = 1; i < 40; i++)
        world_action(&world, (i * 10 + 1) * MS, submit_equal, 1);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_OK), 59);
    for (unsigned i = 0; i < 20; i++)
        assert_true(world.ended_ns[i] <= world.begun_ns + 210 * MS);
}

static void submit_firm(struct world *world, struct turn *turn, unsigned count) {
    world_submit(
        world, turn,
        &(struct task_shape){.count = count, .expected_ns = 10 * MS, .deadline_ns = 500 * MS, .firm = true});
}

static void submit_firm_counted(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){.count = count,
                                      .expected_ns = 10 * MS,
                                      .deadline_ns = 500 * MS,
                                      .firm = true,
                                      .resource = {1, 0}});
}

/* Its agent is there and does not answer: nothing can be promised, and it waits until its deadline, or a cancel. */
static void a_firm_task_waits_for_an_agent_that_is_silent(void **state) {
    (void)state;
    for (unsigned at = 0; at < 4; at++) {
        static struct world world;
        bool cancelled = at % 2 != 0, counted = at / 2 != 0;
        world_open(&world, 103);
        world.options.resources = (struct resources){{1, 0}};
        world.options.offer_timeout_ns = 20 * MS;
        world_agent(&world, SCRIPT_HANG, 10 * MS, 0);
        world_action(&world, 0, submit_plain, 1);
        world_action(&world, 100 * MS, counted ? submit_firm_counted : submit_firm, 1);
        if (cancelled)
            world_action(&world, 200 * MS, cancel_ten, 2);
        world_run(&world);
        assert_int_equal(world.run_error, TROUPE_OK);
        world_close(&world);
        assert_int_equal(world.error[1], cancelled ? TROUPE_CANCELLED : TROUPE_DEADLINE);
        assert_int_equal((world.ended_ns[1] - world.begun_ns) / (100 * MS), cancelled ? 2 : 6);
    }
}

static void stop(struct world *world, struct turn *turn, unsigned arg) {
    (void)turn, (void)arg;
    runtime_stop(world->runtime);
}

static void what_still_waits_is_freed_with_it(void **state) {
    (void)state;
    static struct world world;
    world_open(&world, 97);
    world.options.claims_max = 2;
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_action(&world, 0, submit_plain, 30);
    world_action(&world, 12 * MS, stop, 0);
    world_run(&world);
    world_close(&world); /* checks that nothing is left */
    assert_true(world.statistics.live > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_is_that_of_one_queue),
        cmocka_unit_test(a_cancel_ends_them),
        cmocka_unit_test(a_deadline_ends_them),
        cmocka_unit_test(the_last_agent_ends),
        cmocka_unit_test(claims_are_given_up_again),
        cmocka_unit_test(firm_claims_of_others_are_passed),
        cmocka_unit_test(what_still_waits_is_freed_with_it),
        cmocka_unit_test(equals_go_in_the_order_in_which_they_came),
        cmocka_unit_test(a_firm_task_waits_for_an_agent_that_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
