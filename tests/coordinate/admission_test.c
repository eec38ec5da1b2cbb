/* Firm deadlines: who is taken, who is refused at once and with what, and that no promise is broken for a newcomer. */
#include "scripted.h"

static void submit_firm(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){
                     .count = count, .deadline_ns = 1000 * MS, .expected_ns = 100 * MS, .firm = true});
}

/* Two agents do twenty tasks of 100 ms in a second: the other ten are told at once, and when to come again. */
static void what_would_be_late_is_refused_at_once(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 1);
    world_agent(&world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_agent(&world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_action(&world, 0, submit_firm, 30);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    unsigned taken = world_count(&world, TASK_OK);
    assert_in_range(taken, 12, 20); /* the first margin costs some */
    assert_int_equal(taken + world_count(&world, TASK_REJECTED), 30);
    assert_int_equal(world.statistics.on_time, taken);
    assert_int_equal(world.statistics.promised, taken);
    assert_int_equal(world.statistics.promises_broken, 0);
    assert_int_equal(world.statistics.refused_early, 30 - taken);
    assert_int_equal(world.replies[0].rejected, 30 - taken);
    assert_in_range(world.replies[0].capacity_in_ns, 1, 500 * MS);
    for (unsigned i = 0; i < 30; i++) {
        if (world.state[i] != TASK_REJECTED)
            continue;
        assert_int_equal(world.error[i], TROUPE_OVERLOADED);
        assert_true(world.retryable[i]);
        assert_in_range(world.capacity_in_ns[i], 1, 500 * MS);
        assert_true(world.ended_ns[i] - world.begun_ns < 10 * MS); /* virtual: nothing has been waited for */
    }
    assert_non_null(strstr(world.text, "it would end after its deadline: there is room for such a task in "));
}

/* Whoever comes again when he was told to is taken: a task at a time, for an agent that is as fast as was thought. */
static void submit_one(struct world *world, struct turn *turn, unsigned arg) {
    (void)arg;
    submit_firm(world, turn, 1);
}

static void room_is_when_it_was_said_to_be(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 2);
    world_agent(&world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_action(&world, 0, submit_firm, 20);
    world_run(&world);
    world_close(&world);
    unsigned refused = 0;
    while (refused < 20 && world.state[refused] != TASK_REJECTED)
        refused++;
    assert_true(refused < 20);
    uint64_t room_ns = world.capacity_in_ns[refused];
    unsigned taken = world_count(&world, TASK_OK);
    for (unsigned again = 0; again < 2; again++) { /* too early by a fifth; and as told */
        world_open(&world, 2);
        world_agent(&world, SCRIPT_ACCEPT, 100 * MS, 0);
        world_action(&world, 0, submit_firm, 20);
        world_action(&world, again ? room_ns + MS : room_ns * 4 / 5, submit_one, 0);
        world_run(&world);
        world_close(&world);
        assert_int_equal(world_count(&world, TASK_OK), taken + again);
        assert_int_equal(world.statistics.promises_broken, 0);
    }
}

static void submit_hopeless(struct world *world, struct turn *turn, unsigned arg) {
    (void)arg;
    world_submit(
        world, turn,
        &(struct task_shape){.count = 1, .deadline_ns = 5 * SECOND, .expected_ns = 6 * SECOND, .firm = true});
}

static void what_no_agent_can_do_in_time_is_not_told_to_come_again(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 3);
    world_agent(&world, SCRIPT_ACCEPT, 6 * SECOND, 0);
    world_action(&world, 0, submit_hopeless, 0);
    world_run(&world);
    world_close(&world);
    assert_int_equal(world.state[0], TASK_REJECTED);
    assert_int_equal(world.error[0], TROUPE_DEADLINE);
    assert_int_equal(world.capacity_in_ns[0], 0);
    assert_string_equal(world.text, "it takes 6 s at the fastest agent, but its deadline is in 5 s");
}

/* Five were promised to be done within a second; five more, more urgent, would come before them. */
static void submit_urgent(struct world *world, struct turn *turn, unsigned count) {
    world_submit(
        world, turn,
        &(struct task_shape){
            .count = count, .deadline_ns = 1000 * MS, .expected_ns = 100 * MS, .priority = 5, .firm = true});
}

static void no_promise_is_broken_for_a_newcomer(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 4);
    world_agent(&world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_action(&world, 0, submit_firm, 7);
    world_action(&world, MS, submit_urgent, 5);
    world_run(&world);
    world_close(&world);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(world.state[i], TASK_OK);
    assert_int_equal(world.statistics.promises_broken, 0);
    assert_true(world_count(&world, TASK_REJECTED) >= 4);
    for (unsigned i = 7; i < 12; i++)
        if (world.state[i] == TASK_REJECTED)
            assert_int_equal(world.error[i], TROUPE_OVERLOADED);
}

/* Nothing is known of the kind: two begin at once, and are how it becomes known. */
static void submit_unknown(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn, &(struct task_shape){.count = count, .deadline_ns = 1000 * MS, .firm = true});
}

static void of_an_unknown_kind_those_are_taken_that_begin_at_once(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 5);
    world_agent(&world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_agent(&world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_action(&world, 0, submit_unknown, 10);
    world_action(&world, 150 * MS, submit_unknown, 10);
    world_run(&world);
    world_close(&world);
    unsigned first = 0;
    for (unsigned i = 0; i < 10; i++)
        first += world.state[i] == TASK_OK;
    assert_int_equal(first, 2);
    assert_int_equal(world_count(&world, TASK_OK), 12);
    assert_int_equal(world.statistics.promises_broken, 0);
}

/* More than one plan holds: those behind it are judged by what stands before them. */
static void submit_many(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){
                     .count = count, .deadline_ns = 10 * SECOND, .expected_ns = 10 * MS, .firm = true});
}

static void a_queue_longer_than_a_plan(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 6);
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_action(&world, 0, submit_many, 700);
    world_action(&world, MS, submit_many, 700);
    world_run(&world);
    world_close(&world);
    assert_in_range(world_count(&world, TASK_OK), 850, 1000);
    assert_int_equal(world.statistics.promises_broken, 0);
    assert_int_equal(world.statistics.on_time, world_count(&world, TASK_OK));
    for (unsigned i = 0; i < 1400; i++)
        if (world.state[i] == TASK_REJECTED)
            assert_in_range(world.capacity_in_ns[i], 1, 6 * SECOND);
}

/* One gpu for two agents: the second waits for it, not for a slot. */
static void submit_counted(struct world *world, struct turn *turn, unsigned count) {
    world_submit(
        world, turn,
        &(struct task_shape){
            .count = count, .deadline_ns = 550 * MS, .expected_ns = 100 * MS, .resource = {1}, .firm = true});
}

static void counted_resources_count(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 7);
    world_agent(&world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_agent(&world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_action(&world, 0, submit_counted, 10);
    world_run(&world);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_OK), 5);
    assert_int_equal(world.statistics.promises_broken, 0);
    assert_int_equal(world.statistics.promised, 5);
    for (unsigned i = 0; i < 10; i++)
        if (world.state[i] == TASK_REJECTED)
            assert_in_range(world.capacity_in_ns[i], 1, 1000 * MS);
}

static void cancel_first(struct world *world, struct turn *turn, unsigned arg) {
    (void)arg;
    for (unsigned run = 17; run <= 20; run++) /* the last of a batch stand first */
        world_cancel(world, turn, run, UINT32_MAX);
}

/* What its owner takes back was not promised for nothing, and its place is free again. */
static void a_cancelled_task_breaks_no_promise(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 10);
    world_agent(&world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_action(&world, 0, submit_firm, 20);
    world_action(&world, 50 * MS, cancel_first, 0);
    world_action(&world, 60 * MS, submit_firm, 20);
    world_run(&world);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_CANCELLED), 4);
    assert_int_equal(world.statistics.promises_broken, 0);
    unsigned later = 0;
    for (unsigned i = 20; i < 40; i++)
        later += world.state[i] == TASK_OK;
    assert_true(later >= 3);
}

/* An agent slower than it was thought breaks promises, and the margin grows until it does not. */
static void the_margin_is_learned(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 8);
    world_agent(&world, SCRIPT_ACCEPT, 140 * MS, 0);
    for (unsigned i = 0; i < 40; i++)
        world_action(&world, i * 500 * MS, submit_firm, 10);
    world_run(&world);
    world_close(&world);
    unsigned early = 0, late = 0;
    for (unsigned i = 0; i < 400; i++) {
        bool broken =
            world.state[i] == TASK_OK && world.ended_ns[i] > world.begun_ns + (i / 10) * 500 * MS + SECOND;
        *(i < 100 ? &early : &late) += broken;
    }
    assert_true(world.statistics.promises_broken > 0);
    assert_true(early >= late);
    assert_true(late * 50 <= 300);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_would_be_late_is_refused_at_once),
        cmocka_unit_test(room_is_when_it_was_said_to_be),
        cmocka_unit_test(what_no_agent_can_do_in_time_is_not_told_to_come_again),
        cmocka_unit_test(no_promise_is_broken_for_a_newcomer),
        cmocka_unit_test(of_an_unknown_kind_those_are_taken_that_begin_at_once),
        cmocka_unit_test(a_queue_longer_than_a_plan),
        cmocka_unit_test(counted_resources_count),
        cmocka_unit_test(a_cancelled_task_breaks_no_promise),
        cmocka_unit_test(the_margin_is_learned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
