/* A straggler is done a second time when its owner allows it and an agent is idle; whichever of the two ends, and however,
 * its owner is told once, and what both held is free afterwards. */
#include "scripted.h"

static void submit_some(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){.count = count, .expected_ns = 100 * MS, .idempotent = true});
}

static void submit_gpu(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){
                     .count = count, .expected_ns = 100 * MS, .resource = {1, 0}, .idempotent = true});
}

static void submit_others(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn, &(struct task_shape){.count = count, .expected_ns = 100 * MS});
}

/* From now on tasks take so many ms: at the first agent; at the second. */
static void first_takes(struct world *world, struct turn *turn, unsigned ms) {
    (void)turn;
    world->agents[0].service_ns = ms * MS;
}

static void second_takes(struct world *world, struct turn *turn, unsigned ms) {
    (void)turn;
    world->agents[1].service_ns = ms * MS;
}

static void first_becomes(struct world *world, struct turn *turn, unsigned mode) {
    (void)turn;
    world->agents[0].mode = (enum script_mode)mode;
}

static void second_becomes(struct world *world, struct turn *turn, unsigned mode) {
    (void)turn;
    world->agents[1].mode = (enum script_mode)mode;
}

static void cancel_last(struct world *world, struct turn *turn, unsigned run) {
    world_cancel(world, turn, run, UINT32_MAX);
}

#define KNOWN 40 /* tasks after which a straggler is told from the others */
#define AFTER_NS (3 * SECOND)

/* Two agents that have shown how long tasks take, and are idle; the next one goes to the first of them. */
static void begin(struct world *world, unsigned seed) {
    world_open(world, seed);
    world_agent(world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_agent(world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_action(world, 0, submit_some, KNOWN);
}

static void end(struct world *world) {
    world_run(world);
    assert_int_equal(world->run_error, TROUPE_OK);
    world_close(world);
    assert_int_equal(world->statistics.live, 0);
    assert_int_equal(world->ended, world->submitted);
    assert_int_equal(world->ends[KNOWN], 1);
}

static uint64_t last_took_ns(const struct world *world) {
    return world->ended_ns[KNOWN] - world->begun_ns - AFTER_NS;
}

static void nothing(struct world *world, struct turn *turn, unsigned arg) {
    (void)world, (void)turn, (void)arg;
}

static void the_second_one_is_first(void **state) {
    (void)state;
    struct world world;
    begin(&world, 1);
    world_action(&world, AFTER_NS - 1, first_takes, 20000);
    world_action(&world, AFTER_NS, submit_some, 1);
    world_action(&world, AFTER_NS + SECOND, nothing, 0); /* the loser's end comes meanwhile */
    end(&world);
    assert_int_equal(world.state[KNOWN], TASK_OK);
    assert_in_range(last_took_ns(&world), 150 * MS, 400 * MS); /* not 20 s */
    assert_int_equal(world.agent_of[KNOWN], '1');
    assert_int_equal(world.statistics.doubled, 1);
    assert_int_equal(world.statistics.doubles_won, 1);
    assert_int_equal(world.agents[0].cancels, 1);
    assert_int_equal(world.statistics.at_agents, 0);
}

static void the_first_one_is_first(void **state) {
    (void)state;
    struct world world;
    begin(&world, 2);
    world_action(&world, AFTER_NS - 1, first_takes, 300);
    world_action(&world, AFTER_NS - 1, second_takes, 20000);
    world_action(&world, AFTER_NS, submit_some, 1);
    world_action(&world, AFTER_NS + SECOND, nothing, 0);
    end(&world);
    assert_int_equal(world.state[KNOWN], TASK_OK);
    assert_int_equal(last_took_ns(&world) / MS, 300);
    assert_int_equal(world.statistics.doubled, 1);
    assert_int_equal(world.statistics.doubles_won, 0);
    assert_int_equal(world.agents[1].cancels, 1);
}

static void only_what_may_be_doubled_is(void **state) {
    (void)state;
    struct world world;
    begin(&world, 3);
    world_action(&world, AFTER_NS - 1, first_takes, 2000);
    world_action(&world, AFTER_NS - 1, second_takes, 2000);
    world_action(&world, AFTER_NS, submit_others, 1);
    end(&world);
    assert_int_equal(world.state[KNOWN], TASK_OK);
    assert_int_equal(world.statistics.doubled, 0);
    assert_int_equal(last_took_ns(&world) / MS, 2000);

    begin(&world, 4); /* it holds the one GPU: there is none for a second */
    world_action(&world, AFTER_NS - 1, first_takes, 2000);
    world_action(&world, AFTER_NS - 1, second_takes, 2000);
    world_action(&world, AFTER_NS, submit_gpu, 1);
    end(&world);
    assert_int_equal(world.statistics.doubled, 0);
    assert_int_equal(world.statistics.resources_free.amount[0], 1);
}

static void one_ends_badly(void **state) {
    (void)state;
    struct world world;
    begin(&world, 5);
    world_action(&world, AFTER_NS - 2, first_becomes, SCRIPT_DIE_HOLDING);
    world_action(&world, AFTER_NS - 1, first_takes, 400);
    world_action(&world, AFTER_NS - 1, second_takes, 1000);
    world_action(&world, AFTER_NS, submit_some, 1);
    end(&world);
    assert_int_equal(world.state[KNOWN], TASK_OK); /* nobody hears of the death */
    assert_int_equal(world.agent_of[KNOWN], '1');
    assert_int_equal(world.statistics.agents_lost, 1);

    begin(&world, 6);
    world_action(&world, AFTER_NS - 2, second_becomes, SCRIPT_OVERLOADED);
    world_action(&world, AFTER_NS - 1, first_takes, 2000);
    world_action(&world, AFTER_NS, submit_some, 1);
    end(&world);
    assert_int_equal(world.state[KNOWN], TASK_OK);
    assert_int_equal(last_took_ns(&world) / MS, 2000);
    assert_int_equal(world.statistics.doubled, 1);

    begin(&world, 7);
    world_action(&world, AFTER_NS - 2, second_becomes, SCRIPT_NO_RESULT); /* breaks its contract */
    world_action(&world, AFTER_NS - 1, first_takes, 2000);
    world_action(&world, AFTER_NS, submit_some, 1);
    end(&world);
    assert_int_equal(world.state[KNOWN], TASK_OK);
    assert_int_equal(last_took_ns(&world) / MS, 2000);
}

static void both_are_cancelled(void **state) {
    (void)state;
    struct world world;
    begin(&world, 8);
    world_action(&world, AFTER_NS - 1, first_takes, 20000);
    world_action(&world, AFTER_NS - 1, second_takes, 20000);
    world_action(&world, AFTER_NS, submit_some, 1);
    world_action(&world, AFTER_NS + SECOND, cancel_last, KNOWN + 1);
    world_action(&world, AFTER_NS + 2 * SECOND, nothing, 0);
    end(&world);
    assert_int_equal(world.statistics.doubled, 1);
    assert_int_equal(world.state[KNOWN], TASK_CANCELLED);
    assert_int_equal(world.agents[0].cancels, 1);
    assert_int_equal(world.agents[1].cancels, 1);
    assert_int_equal(world.statistics.at_agents, 0);
}

/* The second agent does not answer the offer of the copy; the task is the first one's alone again. */
static void the_copy_is_never_answered(void **state) {
    (void)state;
    struct world world;
    begin(&world, 9);
    world.options.offer_timeout_ns = 300 * MS;
    world_action(&world, AFTER_NS - 2, second_becomes, SCRIPT_HANG);
    world_action(&world, AFTER_NS - 1, first_takes, 2000);
    world_action(&world, AFTER_NS, submit_some, 1);
    end(&world);
    assert_int_equal(world.state[KNOWN], TASK_OK);
    assert_int_equal(last_took_ns(&world) / MS, 2000);
    assert_int_equal(world.statistics.offer_timeouts, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_one_is_first),     cmocka_unit_test(the_first_one_is_first),
        cmocka_unit_test(only_what_may_be_doubled_is), cmocka_unit_test(one_ends_badly),
        cmocka_unit_test(both_are_cancelled),          cmocka_unit_test(the_copy_is_never_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
