/* Why a task went where it went: the chosen agent first with its estimate, each other one with why it lost; after a refusal
 * the decision that counted; where it is not asked for, nothing. */
#include "scripted.h"

static void submit(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){.count = count, .deadline_ns = 60 * SECOND, .expected_ns = SECOND});
}

static const struct decision_candidate *of_agent(const struct task_decision *decision, const char *agent) {
    for (unsigned i = 0; i < decision->count; i++)
        if (strcmp(decision->candidates[i].agent, agent) == 0)
            return &decision->candidates[i];
    return NULL;
}

static void open_world(struct world *world, uint64_t seed) {
    world_open(world, seed);
    world->options.explain = true;
}

/* Two can do it and one cannot: one task at each, the third one after the first at an agent. */
static void each_one_that_lost_has_a_reason(void **state) {
    (void)state;
    struct world world;
    open_world(&world, 1);
    world_agent(&world, SCRIPT_ACCEPT, SECOND, 0);
    world_agent(&world, SCRIPT_ACCEPT, SECOND, 0);
    world_agent(&world, SCRIPT_ACCEPT, SECOND, 1);
    world_action(&world, MS, submit, 3);
    world_run(&world);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_OK), 3);
    bool queued = false;
    for (unsigned i = 0; i < 3; i++) {
        const struct task_decision *decision = &world.decisions[i];
        const struct decision_candidate *chosen = &decision->candidates[0], *other = &decision->candidates[1];
        char name[] = {'a', 'g', 'e', 'n', 't', world.agent_of[i], '\0'};
        assert_int_equal(decision->count, 3);
        assert_int_equal(decision->left_out, 0);
        assert_int_equal(decision->offers, 1);
        assert_int_equal(decision->kind, DECISION_PLANNED);
        assert_int_equal(decision->at_ns, world.begun_ns + MS);
        assert_int_equal(chosen->verdict, CANDIDATE_CHOSEN);
        assert_string_equal(chosen->agent, name);
        assert_int_equal(chosen->finish_ns - chosen->start_ns, SECOND);
        assert_int_equal(other->verdict, CANDIDATE_LATER);
        assert_true(other->finish_ns >= chosen->finish_ns);
        const struct decision_candidate *cannot = of_agent(decision, "agent2");
        assert_non_null(cannot);
        assert_int_equal(cannot->verdict, CANDIDATE_INCAPABLE);
        assert_int_equal(cannot->finish_ns, 0);
        queued |= chosen->start_ns == decision->at_ns + SECOND;
    }
    assert_true(queued);
}

static void after_a_refusal_it_is_the_next_one(void **state) {
    (void)state;
    struct world world;
    open_world(&world, 2);
    world_agent(&world, SCRIPT_OVERLOADED, SECOND / 2, 0)->capacity_in_ns = 40 * SECOND;
    world_agent(&world, SCRIPT_ACCEPT, SECOND, 0);
    world_action(&world, MS, submit, 2);
    world_run(&world);
    world_close(&world);
    unsigned moved = 0;
    for (unsigned i = 0; i < 2; i++) {
        const struct task_decision *decision = &world.decisions[i];
        assert_string_equal(decision->candidates[0].agent, "agent1");
        if (decision->offers == 1)
            continue;
        moved++;
        assert_int_equal(decision->offers, 2);
        assert_int_equal(decision->kind, DECISION_REBALANCED);
        assert_int_equal(of_agent(decision, "agent0")->verdict, CANDIDATE_REFUSED);
    }
    assert_int_equal(moved, 1);
}

/* Eight that can do it: the best of them are kept, the rest counted. */
static void no_more_than_eight(void **state) {
    (void)state;
    struct world world;
    open_world(&world, 3);
    for (unsigned i = 0; i < 8; i++)
        world_agent(&world, SCRIPT_ACCEPT, SECOND, i == 7)->slots = 2;
    world_action(&world, MS, submit, 1);
    world_run(&world);
    world_close(&world);
    assert_int_equal(world.decisions[0].count + world.decisions[0].left_out, 8);
    assert_int_equal(world.decisions[0].candidates[7].verdict, CANDIDATE_INCAPABLE);
}

/* An idle agent does what waits at another one. */
static void pulled_by_an_idle_one(void **state) {
    (void)state;
    struct world world;
    open_world(&world, 4);
    world_agent(&world, SCRIPT_ACCEPT, 4 * SECOND, 0);
    world_agent(&world, SCRIPT_ACCEPT, SECOND, 0)->joins_later = true;
    world_action(&world, MS, submit, 2);
    world_action(&world, SECOND, world_join, 1);
    world_run(&world);
    world_close(&world);
    assert_int_equal(world.statistics.pulled, 1);
    unsigned pulled = world.decisions[0].kind == DECISION_PULLED ? 0 : 1;
    assert_int_equal(world.decisions[pulled].kind, DECISION_PULLED);
    assert_string_equal(world.decisions[pulled].candidates[0].agent, "agent1");
    assert_int_equal(world.decisions[!pulled].kind, DECISION_PLANNED);
}

static void nothing_where_nobody_asks(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 5);
    world_agent(&world, SCRIPT_ACCEPT, SECOND, 0);
    world_action(&world, MS, submit, 2);
    world_run(&world);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_OK), 2);
    assert_int_equal(world.decisions[0].count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_one_that_lost_has_a_reason),
        cmocka_unit_test(after_a_refusal_it_is_the_next_one),
        cmocka_unit_test(no_more_than_eight),
        cmocka_unit_test(pulled_by_an_idle_one),
        cmocka_unit_test(nothing_where_nobody_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
