/* assign against the exhaustive optimum on small instances, against its own rules on random ones, and on the
 * instance that started it all. If these fail, plans are wrong: too late, over capacity, or on the wrong
 * agent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinate/assign.h"

#define AGENTS 8
#define TASKS 64
#define SLOTS 4
#define SECOND UINT64_C(1000000000)

struct instance {
    uint64_t slot_free[AGENTS][SLOTS];
    struct assign_agent agents[AGENTS];
    float factors[4][AGENTS];
    struct resources resources[4];
    struct assign_demand demands[4];
    struct assign_task tasks[TASKS];
    struct assign_problem problem;
};

static struct account account = {.name = "assign test"};

static int urgency(const void *left, const void *right) {
    const struct assign_task *a = left, *b = right;
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns ? -1 : 1;
    return a->expected_ns > b->expected_ns ? -1 : a->expected_ns < b->expected_ns;
}

static void make(struct instance *instance, struct random_stream *random, unsigned agents, unsigned tasks,
                 bool counted) {
    memset(instance, 0, sizeof *instance);
    for (unsigned a = 0; a < agents; a++) {
        unsigned slots = counted ? 1 + (unsigned)random_below(random, SLOTS) : 1;
        for (unsigned s = 0; s < slots; s++)
            instance->slot_free[a][s] = random_below(random, 3) ? 1000 : 1000 + random_below(random, 500);
        instance->agents[a] = (struct assign_agent){instance->slot_free[a], slots,
                                                    (uint32_t)random_below(random, 2 * slots + 1)};
    }
    for (unsigned d = 0; d < 4; d++) {
        for (unsigned a = 0; a < agents; a++)
            instance->factors[d][a] =
                random_below(random, 4) ? 0.5f + (float)random_below(random, 4) * 0.5f : 0;
        if (counted && d < 3)
            instance->resources[d].amount[d % 2] = 1 + (int64_t)random_below(random, 2);
        instance->demands[d] = (struct assign_demand){
            &instance->resources[d], instance->resources[d].amount[d % 2] > 0, instance->factors[d]};
    }
    for (unsigned t = 0; t < tasks; t++)
        instance->tasks[t] = (struct assign_task){
            .demand = (uint32_t)random_below(random, 4),
            .expected_ns = 50 + random_below(random, 400),
            .deadline_ns = random_below(random, 2) ? UINT64_MAX : 1200 + random_below(random, 1500)};
    qsort(instance->tasks, tasks, sizeof instance->tasks[0], urgency);
    instance->problem = (struct assign_problem){.now_ns = 1000,
                                                .agents = instance->agents,
                                                .agent_count = agents,
                                                .demands = instance->demands,
                                                .tasks = instance->tasks,
                                                .task_count = tasks,
                                                .free = {{2, 3}},
                                                .improve = true};
}

/* ---- exhaustive optimum: every task to every agent, in the given order ---- */
struct best {
    unsigned late;
    uint64_t finish;
};

static void search(const struct instance *instance, unsigned task, uint64_t *free_ns, struct best at,
                   struct best *best) {
    if (at.finish >= best->finish && at.late >= best->late)
        return;
    if (task == instance->problem.task_count) {
        if (at.late < best->late || (at.late == best->late && at.finish < best->finish))
            *best = at;
        return;
    }
    const struct assign_task *one = &instance->tasks[task];
    bool placed = false;
    for (unsigned a = 0; a < instance->problem.agent_count; a++) {
        float factor = instance->factors[one->demand][a];
        if (factor <= 0)
            continue;
        placed = true;
        uint64_t before = free_ns[a];
        uint64_t finish = before + (uint64_t)((double)one->expected_ns * (double)factor);
        free_ns[a] = finish;
        search(instance, task + 1, free_ns,
               (struct best){at.late + (finish > one->deadline_ns), finish > at.finish ? finish : at.finish},
               best);
        free_ns[a] = before;
    }
    if (!placed)
        search(instance, task + 1, free_ns, (struct best){at.late + 1, at.finish}, best);
}

static void near_the_optimum(void **state) {
    (void)state;
    struct assign_scratch *scratch;
    assert_int_equal(assign_scratch_create(&account, AGENTS, TASKS, &scratch), TROUPE_OK);
    struct random_stream random;
    double ratios = 0, worst = 1;
    unsigned late_more = 0, compared = 0;
    for (unsigned seed = 0; seed < 300; seed++) {
        struct instance instance;
        random_seed(&random, seed, 1);
        unsigned tasks = 2 + (unsigned)random_below(&random, 6);
        make(&instance, &random, 2 + (unsigned)random_below(&random, 2), tasks, false);
        struct assign_outcome outcome;
        assert_int_equal(assign_solve(scratch, &instance.problem, &outcome), TROUPE_OK);
        uint64_t free_ns[AGENTS];
        for (unsigned a = 0; a < AGENTS; a++)
            free_ns[a] = instance.slot_free[a][0];
        struct best best = {UINT32_MAX, UINT64_MAX};
        search(&instance, 0, free_ns, (struct best){0, 1000}, &best);
        assert_true(outcome.late >= best.late);
        late_more += outcome.late - best.late;
        if (outcome.late == best.late) {
            double ratio =
                (double)(outcome.finish_ns - 1000) / (double)(best.finish - 1000 ? best.finish - 1000 : 1);
            assert_true(outcome.finish_ns >= best.finish || best.finish == 1000);
            ratios += ratio;
            compared++;
            if (ratio > worst)
                worst = ratio;
        }
    }
    print_message("300 instances: mean makespan / optimum %.4f, worst %.3f, late beyond the optimum %u\n",
                  ratios / compared, worst, late_more);
    assert_true(ratios / compared < 1.02);
    assert_true(worst < 1.5);
    assert_true(late_more <= 3);
    assign_scratch_free(scratch);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

/* ---- rules that hold whatever the instance ---- */
static void check_resources(const struct instance *instance) {
    for (unsigned t = 0; t < instance->problem.task_count; t++) {
        const struct assign_task *at = &instance->tasks[t];
        if (at->agent == ASSIGN_NONE)
            continue;
        struct resources used = {0};
        for (unsigned other = 0; other < instance->problem.task_count; other++) {
            const struct assign_task *task = &instance->tasks[other];
            if (task->agent != ASSIGN_NONE && task->start_ns <= at->start_ns &&
                at->start_ns < task->finish_ns)
                resources_give(&used, &instance->resources[task->demand]);
        }
        assert_true(resources_fit(&instance->problem.free, &used));
    }
}

static void rules_hold(void **state) {
    (void)state;
    struct assign_scratch *scratch;
    assert_int_equal(assign_scratch_create(&account, AGENTS, TASKS, &scratch), TROUPE_OK);
    struct random_stream random;
    for (unsigned seed = 0; seed < 2000; seed++) {
        struct instance instance;
        random_seed(&random, seed, 2);
        unsigned agents = 1 + (unsigned)random_below(&random, AGENTS);
        unsigned tasks = (unsigned)random_below(&random, seed % 8 == 0 ? TASKS : 20);
        make(&instance, &random, agents, tasks, seed % 2);
        struct assign_outcome outcome;
        assert_int_equal(assign_solve(scratch, &instance.problem, &outcome), TROUPE_OK);
        uint32_t offered[AGENTS] = {0};
        struct resources now = {0};
        unsigned late = 0;
        for (unsigned t = 0; t < tasks; t++) {
            const struct assign_task *task = &instance.tasks[t];
            if (task->agent == ASSIGN_NONE) {
                late++;
                assert_false(task->offered);
                for (unsigned a = 0; a < agents && !instance.demands[task->demand].counted; a++)
                    assert_true(instance.factors[task->demand][a] <= 0);
                continue;
            }
            assert_true(task->agent < agents);
            assert_true(instance.factors[task->demand][task->agent] > 0);
            assert_true(task->start_ns >= 1000 && task->finish_ns > task->start_ns);
            late += task->finish_ns > task->deadline_ns;
            if (!task->offered)
                continue;
            offered[task->agent]++;
            if (instance.demands[task->demand].counted)
                assert_int_equal(task->start_ns, 1000); /* counted ones are never prefetched */
            resources_give(&now, &instance.resources[task->demand]);
        }
        assert_int_equal(late, outcome.late);
        assert_true(resources_fit(&instance.problem.free, &now));
        for (unsigned a = 0; a < agents; a++)
            assert_true(offered[a] <= instance.agents[a].room);
        check_resources(&instance);
    }
    assign_scratch_free(scratch);
}

/* The document's own: ten tasks of 6 s, deadline 30 s, backlogs of 162, 0 and 7 s. */
static void document_instance(struct instance *instance, unsigned agents) {
    static const uint64_t backlog[] = {162, 0, 7, 0};
    memset(instance, 0, sizeof *instance);
    for (unsigned a = 0; a < agents; a++) {
        instance->slot_free[a][0] = backlog[a] * SECOND;
        instance->agents[a] = (struct assign_agent){instance->slot_free[a], 1, 2};
        instance->factors[0][a] = 1;
    }
    instance->demands[0] = (struct assign_demand){&instance->resources[0], false, instance->factors[0]};
    for (unsigned t = 0; t < 10; t++)
        instance->tasks[t] = (struct assign_task){.expected_ns = 6 * SECOND, .deadline_ns = 30 * SECOND};
    instance->problem = (struct assign_problem){.agents = instance->agents,
                                                .agent_count = agents,
                                                .demands = instance->demands,
                                                .tasks = instance->tasks,
                                                .task_count = 10,
                                                .improve = true};
}

static void the_documents_instance(void **state) {
    (void)state;
    struct assign_scratch *scratch;
    struct instance instance;
    struct assign_outcome outcome;
    assert_int_equal(assign_scratch_create(&account, AGENTS, TASKS, &scratch), TROUPE_OK);
    document_instance(&instance, 3);
    assert_int_equal(assign_solve(scratch, &instance.problem, &outcome), TROUPE_OK);
    assert_int_equal(outcome.late, 2);
    assert_int_equal(outcome.finish_ns, 36 * SECOND);
    document_instance(&instance, 4); /* one more agent, not two */
    assert_int_equal(assign_solve(scratch, &instance.problem, &outcome), TROUPE_OK);
    assert_int_equal(outcome.late, 0);
    assign_scratch_free(scratch);
}

static void order_and_bounds(void **state) {
    (void)state;
    assert_true(assign_order_key(9, UINT64_MAX, 5) < assign_order_key(8, 1000, 1));
    assert_true(assign_order_key(0, 5 * SECOND, 9) < assign_order_key(0, 6 * SECOND, 1));
    assert_true(assign_order_key(0, 6 * SECOND, 9) < assign_order_key(0, UINT64_MAX, 1));
    assert_true(assign_order_key(0, UINT64_MAX, 1) < assign_order_key(0, UINT64_MAX, 2));
    struct assign_scratch *scratch;
    struct instance instance;
    struct assign_outcome outcome;
    assert_int_equal(assign_scratch_create(&account, 2, 4, &scratch), TROUPE_OK);
    document_instance(&instance, 3);
    assert_int_equal(assign_solve(scratch, &instance.problem, &outcome), TROUPE_LIMIT);
    instance.problem.agent_count = 2;
    assert_int_equal(assign_solve(scratch, &instance.problem, &outcome), TROUPE_LIMIT);
    instance.problem.task_count = 4;
    assert_int_equal(assign_solve(scratch, &instance.problem, &outcome), TROUPE_OK);
    assign_scratch_free(scratch);
    for (int64_t n = 1; n < 20; n++) { /* every allocation refused in turn */
        memory_fail_after(n);
        enum troupe_error error = assign_scratch_create(&account, 2, 4, &scratch);
        if (error == TROUPE_OK) {
            error = assign_solve(scratch, &instance.problem, &outcome);
            assign_scratch_free(scratch);
        }
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        assert_int_equal(error, fired ? TROUPE_NOMEM : TROUPE_OK);
        assert_int_equal(atomic_load(&account.bytes), 0);
        if (!fired)
            return;
    }
    fail();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(near_the_optimum),
        cmocka_unit_test(rules_hold),
        cmocka_unit_test(the_documents_instance),
        cmocka_unit_test(order_and_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
