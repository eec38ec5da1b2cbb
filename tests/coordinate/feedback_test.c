/* What would help: the least number of agents, whom to retire, what to shed, what a step of a weight does; each with what
 * is foreseen before and after it. */
#include "scripted.h"

static const struct feedback_step *step_of(const struct feedback *feedback, enum feedback_kind kind,
                                           unsigned nth) {
    for (unsigned i = 0; i < feedback->count; i++)
        if (feedback->steps[i].kind == kind && nth-- == 0)
            return &feedback->steps[i];
    return NULL;
}

/* ---- with the answer of a batch ---- */
/* Ten tasks of 6 s within 30 s; the agents are free in 162, 0 and 7 s. Two must be late; one more agent is enough, and so
 * is to shed two. The step of the busy agent's weight, which it got for refusing, has changed nothing. */
static void submit_document(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){.count = count, .deadline_ns = 30 * SECOND, .expected_ns = 6 * SECOND});
}

static void the_documents_instance(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 7);
    struct scripted *busy = world_agent(&world, SCRIPT_OVERLOADED, 6 * SECOND, 0);
    busy->capacity_in_ns = busy->backlog_ns = 162 * SECOND;
    world_agent(&world, SCRIPT_ACCEPT, 6 * SECOND, 0);
    world_agent(&world, SCRIPT_ACCEPT, 6 * SECOND, 0)->backlog_ns = 7 * SECOND;
    world_action(&world, 0, submit_document, 10);
    world_run(&world);
    world_close(&world);
    const struct feedback *feedback = &world.feedback[0];
    assert_true(feedback->looked);
    assert_int_equal(feedback->as_it_is.late, 2);
    assert_int_equal((feedback->as_it_is.finish_ns - world.begun_ns + SECOND / 2) / SECOND, 36);
    const struct feedback_step *spawn = step_of(feedback, FEEDBACK_SPAWN, 0);
    assert_non_null(spawn);
    assert_int_equal(spawn->count, 1);
    assert_int_equal(spawn->before.late, 2);
    assert_int_equal(spawn->after.late, 0);
    assert_true(spawn->after.finish_ns <= world.begun_ns + 30 * SECOND + 10 * MS);
    assert_null(step_of(feedback, FEEDBACK_SPAWN, 1));
    unsigned shed = 0;
    for (unsigned i = 0; i < 2; i++) {
        const struct feedback_step *step = step_of(feedback, FEEDBACK_SHED, i);
        assert_true(step != NULL || shed == 2);
        shed += step ? step->count : 0;
        assert_true(step == NULL || (step->after.late == 0 && strncmp(step->agent, "agent", 5) == 0));
    }
    assert_int_equal(shed, 2);
    const struct feedback_step *weight = step_of(feedback, FEEDBACK_WEIGHT, 0);
    assert_non_null(weight);
    assert_string_equal(weight->agent, "agent0");
    assert_true(weight->weight_before == 1 && weight->weight > 1 && weight->weight <= 1.25f);
    assert_int_equal(weight->before.late, weight->after.late);
    assert_int_equal(world.statistics.steps[FEEDBACK_SPAWN], 1);
    assert_int_equal(world.statistics.feedback.count, feedback->count);
}

/* And the proof: with the one more, all ten are on time. */
static void join_third(struct world *world, struct turn *turn, unsigned index) {
    world_join(world, turn, index);
}

static void and_with_one_more_agent_all_are_on_time(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 7);
    struct scripted *busy = world_agent(&world, SCRIPT_OVERLOADED, 6 * SECOND, 0);
    busy->capacity_in_ns = busy->backlog_ns = 162 * SECOND;
    world_agent(&world, SCRIPT_ACCEPT, 6 * SECOND, 0);
    world_agent(&world, SCRIPT_ACCEPT, 6 * SECOND, 0)->backlog_ns = 7 * SECOND;
    world_agent(&world, SCRIPT_ACCEPT, 6 * SECOND, 0)->joins_later = true;
    world_action(&world, 0, submit_document, 10);
    world_action(&world, MS, join_third, 3); /* as soon as the answer says so */
    world_run(&world);
    world_close(&world);
    assert_int_equal(world.replies[0].late, 2);
    assert_int_equal(world_count(&world, TASK_OK), 10);
    assert_int_equal(world.statistics.on_time, 10);
}

/* Five that weigh ten times as much come first, and none of them is shed for the others. */
static void submit_weighed(struct world *world, struct turn *turn, unsigned arg) {
    (void)arg;
    struct task_shape shape = {.count = 5, .deadline_ns = 1050 * MS, .expected_ns = 100 * MS, .priority = 9};
    world_submit(world, turn, &shape);
    shape.count = 10;
    shape.priority = 0;
    world_submit(world, turn, &shape);
}

static void what_weighs_least_is_shed(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 2);
    world_agent(&world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_action(&world, 0, submit_weighed, 0);
    world_run(&world);
    world_close(&world);
    const struct feedback_step *shed = step_of(&world.feedback[1], FEEDBACK_SHED, 0);
    assert_non_null(shed);
    assert_int_equal(shed->count, shed->before.late);
    assert_int_equal(shed->before.late_weight, shed->before.late); /* all of them of priority 0 */
    assert_int_equal(shed->after.late, 0);
    assert_string_equal(shed->agent, "agent0");
}

/* ---- with an outlook ---- */
struct asked {
    struct message_outlook outlook;
    unsigned more_from, more_to; /* of agent0: asked for each */
};
static struct asked asked;

static void ask(struct world *world, struct turn *turn, unsigned arg) {
    (void)arg;
    struct message_outlook outlook = asked.outlook;
    for (unsigned i = 0; i < outlook.task_count; i++)
        if (outlook.tasks[i].deadline_ns != UINT64_MAX)
            outlook.tasks[i].deadline_ns += turn->now_ns;
    for (unsigned more = asked.more_from; more <= asked.more_to; more++) {
        outlook.agents[0].more = more;
        world_outlook(world, turn, &outlook);
    }
}

static void ask_world(struct world *world, uint64_t seed, unsigned agents, uint64_t service_ns) {
    world_open(world, seed);
    for (unsigned i = 0; i < agents; i++) {
        world_agent(world, SCRIPT_ACCEPT, service_ns, 0);
        snprintf(world->agents[i].name, sizeof world->agents[i].name, "train/%u", i);
    }
    world_action(world, MS, ask, 0);
    world_run(world);
    world_close(world);
}

/* A hundred tasks of 1 s in 30 s: two agents do sixty, four a hundred and twenty; three would lack ten. */
static void the_least_number_that_is_enough(void **state) {
    (void)state;
    struct world world;
    asked = (struct asked){
        .outlook = {.task_count = 1,
                    .tasks = {{.count = 100, .expected_ns = SECOND, .deadline_ns = 30 * SECOND}},
                    .agent_count = 1,
                    .agents = {{.name = "train"}}},
        .more_from = 8,
        .more_to = 8};
    ask_world(&world, 1, 2, SECOND);
    const struct feedback_step *spawn = step_of(&world.outlook[0], FEEDBACK_SPAWN, 0);
    assert_non_null(spawn);
    assert_string_equal(spawn->agent, "train");
    assert_int_equal(spawn->count, 2);
    assert_int_equal(spawn->before.tasks, 100);
    assert_int_equal(spawn->before.late, 40);
    assert_int_equal(spawn->after.late, 0);
}

/* No more than may come; and nothing when nothing is late. */
static void within_what_is_allowed(void **state) {
    (void)state;
    struct world world;
    asked.more_from = 0;
    asked.more_to = 1;
    ask_world(&world, 1, 2, SECOND);
    assert_null(step_of(&world.outlook[0], FEEDBACK_SPAWN, 0));
    const struct feedback_step *spawn = step_of(&world.outlook[1], FEEDBACK_SPAWN, 0);
    assert_non_null(spawn);
    assert_int_equal(spawn->count, 1);
    assert_int_equal(spawn->after.late, 10);
    asked.outlook.tasks[0].count = 60;
    ask_world(&world, 1, 2, SECOND);
    assert_int_equal(world.outlook[1].as_it_is.late, 0);
    assert_int_equal(world.outlook[1].count, 0);
}

/* The least number is what trying each number by itself finds. */
static void the_least_number_against_all_numbers(void **state) {
    (void)state;
    struct random_stream random;
    random_seed(&random, 99, 1);
    for (unsigned n = 0; n < 60; n++) {
        struct world world;
        asked = (struct asked){.outlook = {.task_count = 1 + (unsigned)random_below(&random, 3),
                                           .agent_count = 1,
                                           .agents = {{.name = "train"}}},
                               .more_from = 0,
                               .more_to = 12};
        for (unsigned i = 0; i < asked.outlook.task_count; i++)
            asked.outlook.tasks[i] =
                (struct outlook_tasks){.count = 1 + (unsigned)random_below(&random, 40),
                                       .expected_ns = 100 * MS + random_below(&random, SECOND),
                                       .deadline_ns = SECOND + random_below(&random, 8 * SECOND),
                                       .priority = (uint8_t)random_below(&random, 3)};
        ask_world(&world, n, 1 + (unsigned)random_below(&random, 3), SECOND);
        uint64_t floor = UINT64_MAX;
        unsigned least = 0;
        for (unsigned more = 0; more <= 12;
             more++) { /* with `more` allowed its answer is the best of 0..more */
            const struct feedback_step *spawn = step_of(&world.outlook[more], FEEDBACK_SPAWN, 0);
            uint64_t late = spawn ? spawn->after.late_weight : world.outlook[more].as_it_is.late_weight;
            assert_true(spawn == NULL || spawn->count <= more);
            if (late < floor) {
                floor = late;
                least = spawn ? spawn->count : 0;
            }
        }
        const struct feedback_step *all = step_of(&world.outlook[12], FEEDBACK_SPAWN, 0);
        assert_true((all ? all->after.late_weight : world.outlook[12].as_it_is.late_weight) <= floor);
        assert_int_equal(all ? all->count : 0, least);
    }
}

/* Far more than a plan holds: each entry stands for many. */
static void what_is_announced_may_be_much(void **state) {
    (void)state;
    struct world world;
    asked = (struct asked){
        .outlook = {.task_count = 2,
                    .tasks = {{.count = 60000, .expected_ns = MS, .deadline_ns = 20 * SECOND},
                              {.count = 5000, .expected_ns = 4 * MS, .deadline_ns = 20 * SECOND}},
                    .agent_count = 1,
                    .agents = {{.name = "train"}}},
        .more_from = 16,
        .more_to = 16};
    ask_world(&world, 3, 1, MS);
    const struct feedback_step *spawn = step_of(&world.outlook[0], FEEDBACK_SPAWN, 0);
    assert_non_null(spawn); /* 80 s of work in 20 s */
    assert_int_equal(spawn->before.tasks, 65000);
    assert_in_range(spawn->count, 3, 4);
}

/* Four agents, two of which would do: so many may go as are allowed to, and none when it would be close. */
static void idle_agents_are_retired(void **state) {
    (void)state;
    for (unsigned fewer = 0; fewer <= 3; fewer++) {
        struct world world;
        asked = (struct asked){
            .outlook = {.task_count = 1,
                        .tasks = {{.count = 10, .expected_ns = SECOND, .deadline_ns = 10 * SECOND}},
                        .agent_count = 1,
                        .agents = {{.name = "train", .fewer = fewer}}},
            .more_from = 0,
            .more_to = 0};
        ask_world(&world, 4, 4, SECOND);
        const struct feedback_step *retire = step_of(&world.outlook[0], FEEDBACK_RETIRE, 0);
        if (fewer == 0)
            assert_null(retire);
        else {
            assert_non_null(retire);
            assert_string_equal(retire->agent, "train");
            assert_int_equal(retire->count,
                             fewer < 2 ? fewer : 2); /* one alone would need every moment of it */
            assert_int_equal(retire->after.late, 0);
        }
    }
}

static void nothing_announced_nothing_needed(void **state) {
    (void)state;
    struct world world;
    asked = (struct asked){.outlook = {.agent_count = 1, .agents = {{.name = "train", .fewer = 3}}}};
    ask_world(&world, 5, 4, SECOND);
    const struct feedback_step *retire = step_of(&world.outlook[0], FEEDBACK_RETIRE, 0);
    assert_non_null(retire);
    assert_int_equal(retire->count, 3);
    assert_int_equal(world.outlook[0].as_it_is.tasks, 0);
}

/* Two names, each of which lacks: two steps, the second beside the first. */
static void two_names_at_once(void **state) {
    (void)state;
    struct world world;
    asked = (struct asked){
        .outlook =
            {.task_count = 2,
             .tasks = {{.capability = 0, .count = 40, .expected_ns = SECOND, .deadline_ns = 20 * SECOND},
                       {.capability = 1, .count = 60, .expected_ns = SECOND, .deadline_ns = 20 * SECOND}},
             .agent_count = 2,
             .agents = {{.name = "train"}, {.name = "evaluate", .more = 8}}},
        .more_from = 8,
        .more_to = 8};
    world_open(&world, 6);
    world_agent(&world, SCRIPT_ACCEPT, SECOND, 0);
    world_agent(&world, SCRIPT_ACCEPT, SECOND, 1);
    snprintf(world.agents[0].name, sizeof world.agents[0].name, "train/0");
    snprintf(world.agents[1].name, sizeof world.agents[1].name, "evaluate/0");
    world_action(&world, MS, ask, 0);
    world_run(&world);
    world_close(&world);
    const struct feedback_step *first = step_of(&world.outlook[0], FEEDBACK_SPAWN, 0),
                               *second = step_of(&world.outlook[0], FEEDBACK_SPAWN, 1);
    assert_non_null(first);
    assert_non_null(second);
    assert_string_equal(first->agent, "evaluate");
    assert_int_equal(first->count, 2);
    assert_string_equal(second->agent, "train");
    assert_int_equal(second->count, 1);
    assert_int_equal(second->before.late, first->after.late);
    assert_int_equal(second->after.late, 0);
}

static void ask_then_cancel(struct world *world, struct turn *turn, unsigned arg) {
    (void)arg;
    world_cancel(world, turn, 1, UINT32_MAX);
}

/* An outlook leaves nothing behind: what waits is offered and cancelled as before. */
static void an_outlook_changes_nothing(void **state) {
    (void)state;
    struct world world;
    asked =
        (struct asked){.outlook = {.task_count = 1,
                                   .tasks = {{.count = 100, .expected_ns = SECOND, .deadline_ns = SECOND}}}};
    world_open(&world, 8);
    world_agent(&world, SCRIPT_ACCEPT, 6 * SECOND, 0);
    world_action(&world, 0, submit_document, 6);
    world_action(&world, MS, ask, 0);
    world_action(&world, 2 * MS, ask_then_cancel, 0);
    world_run(&world);
    world_close(&world);
    assert_int_equal(world.outlooks_answered, 1);
    assert_true(world.outlook[0].as_it_is.tasks > 100);
    assert_int_equal(world_count(&world, TASK_OK) + world_count(&world, TASK_CANCELLED) +
                         world_count(&world, TASK_REJECTED),
                     6);
    assert_int_equal(world_count(&world, TASK_CANCELLED), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documents_instance),
        cmocka_unit_test(and_with_one_more_agent_all_are_on_time),
        cmocka_unit_test(what_weighs_least_is_shed),
        cmocka_unit_test(the_least_number_that_is_enough),
        cmocka_unit_test(within_what_is_allowed),
        cmocka_unit_test(the_least_number_against_all_numbers),
        cmocka_unit_test(what_is_announced_may_be_much),
        cmocka_unit_test(idle_agents_are_retired),
        cmocka_unit_test(nothing_announced_nothing_needed),
        cmocka_unit_test(two_names_at_once),
        cmocka_unit_test(an_outlook_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
