/* Tasks that are taken back from agents that accepted them: for an idle agent, for a deadline, because nothing was heard
 * of them; that they move a bounded number of times, and that whatever an agent says later changes nothing. */
#include "scripted.h"

static void submit_plain(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn, &(struct task_shape){.count = count, .expected_ns = 100 * MS});
}

static void run_to_its_end(struct world *world) {
    world_run(world);
    assert_int_equal(world->run_error, TROUPE_OK);
    world_close(world);
    assert_int_equal(world->statistics.live, 0);
    assert_int_equal(world->statistics.resources_free.amount[0], 1);
}

/* One agent turns out ten times slower than thought: what waits behind its task goes to the other one. */
static void an_idle_agent_pulls(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world world;
        world_open(&world, seed);
        struct scripted *slow = world_agent(&world, SCRIPT_ACCEPT, 2 * SECOND, 0);
        world_agent(&world, SCRIPT_ACCEPT, 100 * MS, 0);
        world_action(&world, 0, submit_plain, 4);
        run_to_its_end(&world);
        assert_int_equal(world_count(&world, TASK_OK), 4);
        assert_int_equal(world.statistics.pulled, 1);
        assert_int_equal(world.statistics.revoke_answers[REVOKE_REVOKED], 1);
        assert_int_equal(slow->accepted, 2);
        assert_int_equal(slow->given_back, 1);
        uint64_t last_ns = 0;
        for (unsigned i = 0; i < 4; i++)
            last_ns = world.ended_ns[i] > last_ns ? world.ended_ns[i] : last_ns;
        assert_in_range(last_ns - world.begun_ns, 2 * SECOND, 2 * SECOND + 50 * MS); /* not 4 s */
    }
}

/* Equal agents with short tasks: a move would gain less than it costs, and nothing moves. */
static void submit_short(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn, &(struct task_shape){.count = count, .expected_ns = MS / 2});
}

static void nothing_moves_for_little(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 5);
    for (unsigned i = 0; i < 3; i++)
        world_agent(&world, SCRIPT_ACCEPT, MS / 2, 0);
    for (unsigned i = 0; i < 10; i++)
        world_action(&world, i * 3 * MS, submit_short, 10);
    run_to_its_end(&world);
    assert_int_equal(world_count(&world, TASK_OK), 100);
    assert_int_equal(world.statistics.revokes, 0);
}

/* Agents whose speed is misjudged again and again: however often a move would seem to help, it ends. */
static void moves_are_bounded(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world world;
        world_open(&world, seed);
        for (unsigned i = 0; i < 4; i++)
            world_agent(&world, SCRIPT_ACCEPT, (1 + i * 7) * 30 * MS, 0);
        for (unsigned i = 0; i < 8; i++)
            world_action(&world, i * 150 * MS, submit_plain, 1 + (unsigned)(seed + i) % 6);
        run_to_its_end(&world);
        assert_int_equal(world_count(&world, TASK_OK), world.submitted);
        assert_true(world.statistics.revoke_answers[REVOKE_REVOKED] <= 3 * world.submitted);
        assert_int_equal(world.statistics.revokes, world.statistics.revoke_answers[REVOKE_REVOKED] +
                                                       world.statistics.revoke_answers[REVOKE_STARTED] +
                                                       world.statistics.revoke_answers[REVOKE_DONE]);
    }
}

/* ---- what is refused goes before its equals ---- */
static void submit_due(struct world *world, struct turn *turn, unsigned due_s) {
    world_submit(world, turn,
                 &(struct task_shape){.count = 1, .deadline_ns = due_s * SECOND, .expected_ns = MS});
}

static void a_refused_task_gains_a_class(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 6);
    struct scripted *agent = world_agent(&world, SCRIPT_OVERLOADED, 50 * MS, 0);
    agent->limit = 1; /* refuses the first offer, and takes one after the other from then on */
    agent->queue_len_max = 1;
    agent->capacity_in_ns = 20 * MS;
    world_action(&world, 0, submit_due, 30);
    world_action(&world, 5 * MS, submit_due, 10); /* due earlier, so that it would go first */
    run_to_its_end(&world);
    assert_int_equal(world_count(&world, TASK_OK), 2);
    assert_true(world.ended_ns[0] < world.ended_ns[1]);
}

/* ---- late where it is ---- */
static void join(struct world *world, struct turn *turn, unsigned index) {
    world_join(world, turn, index);
}

static void submit_deadline(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){.count = count, .deadline_ns = 250 * MS, .expected_ns = 200 * MS});
}

static void a_late_task_is_saved(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 7);
    world_agent(&world, SCRIPT_ACCEPT, 200 * MS, 0);
    world_agent(&world, SCRIPT_ACCEPT, 200 * MS, 0)->joins_later = true;
    world_action(&world, 0, submit_deadline, 2);
    world_action(&world, 20 * MS, join, 1);
    run_to_its_end(&world);
    assert_int_equal(world_count(&world, TASK_OK), 2);
    assert_int_equal(world.statistics.late, 0);
    assert_int_equal(world.statistics.pulled, 1);
}

/* ---- nothing is heard ---- */
static void submit_gpu(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){.count = count, .expected_ns = 10 * MS, .resource = {1, 0}});
}

static void a_lost_end_is_found_out(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 8);
    world.options.lease_ns = SECOND;
    world_agent(&world, SCRIPT_LOSE_ENDS, 10 * MS, 0);
    world_action(&world, 0, submit_gpu, 3);
    run_to_its_end(&world);
    assert_int_equal(world_count(&world, TASK_FAILED), 3);
    assert_int_equal(world.error[0], TROUPE_WORKER);
    assert_true(world.retryable[0]);
    assert_int_equal(world.statistics.ends_lost, 3);
    assert_int_equal(world.statistics.revoke_answers[REVOKE_DONE], 6); /* each was asked for twice */
}

static void an_agent_that_answers_nothing(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 9);
    world.options.lease_ns = SECOND;
    world.options.offer_timeout_ns = 400 * MS;
    world_agent(&world, SCRIPT_DEAF, 10 * MS, 0);
    world_action(&world, 0, submit_plain, 2);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_FAILED), 2);
    assert_int_equal(world.error[0], TROUPE_TIMEOUT);
    assert_non_null(strstr(world.text, "end the task"));
    assert_int_equal(world.statistics.revoke_timeouts, 1);
    assert_true(world.ended_ns[0] - world.begun_ns <= 2 * SECOND); /* two leases */
}

/* It says that it has never had what it is doing: believed, and its end is one too many. */
static void an_end_after_all_is_discarded(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 10);
    world.options.lease_ns = 100 * MS;
    world.options.offer_timeout_ns = 100 * MS;
    world_agent(&world, SCRIPT_DENY, 5 * SECOND, 0);
    world_agent(&world, SCRIPT_ACCEPT, 6 * SECOND, 1);
    world_action(&world, 0, submit_plain, 1);
    world_action(&world, 0, submit_due, 30);
    world_action(&world, 5500 * MS, submit_plain, 1);
    run_to_its_end(&world);
    assert_int_equal(world_count(&world, TASK_FAILED), 3);
    assert_true(world.statistics.stale_ends >= 1);
    assert_int_equal(world.statistics.ends_lost, 3);
}

/* A task that takes longer than a lease is left alone. */
static void long_tasks_go_on(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 11);
    world.options.lease_ns = 100 * MS;
    world_agent(&world, SCRIPT_ACCEPT, 2 * SECOND, 0);
    world_action(&world, 0, submit_plain, 3);
    run_to_its_end(&world);
    assert_int_equal(world_count(&world, TASK_OK), 3);
    assert_true(world.statistics.leases_passed > 10);
    assert_int_equal(world.statistics.ends_lost, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_agent_pulls),
        cmocka_unit_test(nothing_moves_for_little),
        cmocka_unit_test(moves_are_bounded),
        cmocka_unit_test(a_refused_task_gains_a_class),
        cmocka_unit_test(a_late_task_is_saved),
        cmocka_unit_test(a_lost_end_is_found_out),
        cmocka_unit_test(an_agent_that_answers_nothing),
        cmocka_unit_test(an_end_after_all_is_discarded),
        cmocka_unit_test(long_tasks_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
