/* Counted resources of troupe_coordinate_batch against a checker that knows nothing of how it is solved: at every instant
 * at which a task begins, what is held of each pool, by backlogs too, is at most what there is; an agent does one task at a
 * time; nobody gets a task that asks for more than he has; what is refused is refused for a reason that is true.
 * TROUPE_INSTANCES: how many random ones (100,000). */
#include "../base/cmocka_base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "troupe.h"

enum { AGENTS = 5, TASKS = 14, RESOURCES = 3, OWN = 2 /* the resource that has no pool */ };

struct instance {
    double speeds[AGENTS][1];
    uint64_t pools[RESOURCES], has[AGENTS][RESOURCES], holds[AGENTS][RESOURCES], asks[TASKS][RESOURCES];
    struct troupe_batch_agent agents[AGENTS];
    struct troupe_batch_task tasks[TASKS];
    struct troupe_batch batch;
};
static struct troupe_batch_place places[TASKS], again[TASKS];

static void draw_agent(struct instance *instance, uint32_t at, uint64_t *left, struct random_stream *random) {
    bool full = random_below(random, 4) == 0;
    instance->speeds[at][0] = random_below(random, 2) ? 1 : exp(random_normal(random));
    for (unsigned resource = 0; resource < RESOURCES; resource++) {
        instance->has[at][resource] = resource == OWN           ? random_below(random, 9)
                                      : random_below(random, 3) ? UINT64_MAX
                                                                : 2;
        uint64_t holds = resource == OWN || random_below(random, 3) ? 0 : random_below(random, 3);
        instance->holds[at][resource] = holds < left[resource] ? holds : left[resource];
        left[resource] -= instance->holds[at][resource];
    }
    instance->agents[at] =
        (struct troupe_batch_agent){.capabilities = random_below(random, 4) ? 3 : random_below(random, 4),
                                    .speeds = instance->speeds[at],
                                    .backlog_ns = random_below(random, 2) ? 0 : random_below(random, 3000),
                                    .queued = (uint32_t)random_below(random, 3),
                                    .room = full ? (uint32_t)random_below(random, 4) : 64,
                                    .amounts = random_below(random, 5) ? instance->has[at] : NULL,
                                    .holds = instance->holds[at]};
}

static void draw(struct instance *instance, struct random_stream *random) {
    instance->pools[0] = 1 + random_below(random, 4);
    instance->pools[1] = 1 + random_below(random, UINT64_C(1) << 34);
    instance->pools[OWN] = TROUPE_BATCH_NO_POOL;
    uint64_t left[RESOURCES] = {instance->pools[0], 2, 0};
    if (left[1] > instance->pools[1])
        left[1] = instance->pools[1];
    instance->batch = (struct troupe_batch){.agents = instance->agents,
                                            .tasks = instance->tasks,
                                            .agent_count = 1 + (uint32_t)random_below(random, AGENTS),
                                            .task_count = (uint32_t)random_below(random, TASKS + 1),
                                            .kind_count = 1,
                                            .away_ns = random_below(random, 3) ? 0 : 500,
                                            .steps = random_below(random, 3) ? random_below(random, 3000) : 0,
                                            .refuse_late = random_below(random, 3) == 0,
                                            .pools = instance->pools,
                                            .resource_count = RESOURCES};
    for (uint32_t at = 0; at < instance->batch.agent_count; at++)
        draw_agent(instance, at, left, random);
    for (uint32_t at = 0; at < instance->batch.task_count; at++) {
        instance->asks[at][0] = random_below(random, 6);
        instance->asks[at][1] =
            random_below(random, 2) ? 0 : (uint64_t)((double)instance->pools[1] * random_unit(random) * 1.1);
        instance->asks[at][OWN] = random_below(random, 2) ? 0 : random_below(random, 9);
        instance->tasks[at] = (struct troupe_batch_task){
            .home = random_below(random, 3) ? TROUPE_BATCH_NOBODY
                                            : (uint32_t)random_below(random, instance->batch.agent_count),
            .needs = random_below(random, 2) ? 0 : random_below(random, 4),
            .work_ns = 1 + random_below(random, 2000),
            .deadline_ns = random_below(random, 2) ? TROUPE_BATCH_NEVER : 1 + random_below(random, 9000),
            .weight = 1 + (double)random_below(random, 8),
            .amounts = random_below(random, 5) ? instance->asks[at] : NULL};
    }
}

/* ---- the checker ---- */

static uint64_t asked(const struct instance *instance, uint32_t task, unsigned resource) {
    return instance->tasks[task].amounts ? instance->tasks[task].amounts[resource] : 0;
}

static bool has_enough(const struct instance *instance, uint32_t task, uint32_t agent) {
    for (unsigned resource = 0; resource < RESOURCES; resource++)
        if (instance->agents[agent].amounts &&
            asked(instance, task, resource) > instance->agents[agent].amounts[resource])
            return false;
    return true;
}

static bool able(const struct instance *instance, uint32_t task, uint32_t agent) {
    return (instance->tasks[task].needs & ~instance->agents[agent].capabilities) == 0 &&
           has_enough(instance, task, agent);
}

static bool placed(uint32_t task) {
    return places[task].verdict <= TROUPE_BATCH_LATE;
}

/* In single precision, as the solver knows speeds; up to the next ns. */
static uint64_t time_of(const struct instance *instance, uint32_t task, uint32_t agent) {
    const struct troupe_batch_task *one = &instance->tasks[task];
    double time = (double)one->work_ns * (double)(float)(1 / instance->agents[agent].speeds[0]);
    bool away = one->home != TROUPE_BATCH_NOBODY && one->home != agent;
    time = ceil(away ? time + (double)instance->batch.away_ns : time);
    return time < 1 ? 1 : (uint64_t)time;
}

static void check_instant(const struct instance *instance, uint64_t now_ns) {
    uint64_t used[RESOURCES] = {0};
    for (unsigned resource = 0; resource < RESOURCES; resource++) {
        for (uint32_t agent = 0; agent < instance->batch.agent_count; agent++)
            if (now_ns < instance->agents[agent].backlog_ns)
                used[resource] += instance->agents[agent].holds[resource];
        for (uint32_t task = 0; task < instance->batch.task_count; task++)
            if (placed(task) && places[task].start_ns <= now_ns && now_ns < places[task].finish_ns)
                used[resource] += asked(instance, task, resource);
        assert_true(used[resource] <= instance->pools[resource]);
    }
}

static void check_placed(const struct instance *instance, uint32_t task) {
    const struct troupe_batch_place *place = &places[task];
    assert_true(place->agent < instance->batch.agent_count);
    assert_true(able(instance, task, place->agent));
    assert_true(place->start_ns >= instance->agents[place->agent].backlog_ns);
    int64_t off =
        (int64_t)(place->finish_ns - place->start_ns) - (int64_t)time_of(instance, task, place->agent);
    assert_true(off >= -1 && off <= 1); /* without a pool in play only the end is a whole ns */
    assert_int_equal(place->verdict == TROUPE_BATCH_LATE,
                     place->finish_ns > instance->tasks[task].deadline_ns);
    for (uint32_t other = 0; other < instance->batch.task_count; other++)
        if (other != task && placed(other) && places[other].agent == place->agent)
            assert_true(places[other].finish_ns <= place->start_ns ||
                        place->finish_ns <= places[other].start_ns);
    check_instant(instance, place->start_ns);
}

static void check_refused(const struct instance *instance, uint32_t task) {
    const struct troupe_batch_place *place = &places[task];
    bool over = false, someone = false, room = false;
    for (unsigned resource = 0; resource < RESOURCES; resource++) {
        bool more = asked(instance, task, resource) > instance->pools[resource];
        over |= more;
        if (place->verdict == TROUPE_BATCH_OVERSIZED)
            assert_int_equal(place->lacking >> resource & 1, more);
    }
    for (uint32_t agent = 0; agent < instance->batch.agent_count; agent++) {
        uint32_t taken = 0;
        for (uint32_t other = 0; other < instance->batch.task_count; other++)
            taken += placed(other) && places[other].agent == agent;
        someone |= able(instance, task, agent);
        room |= able(instance, task, agent) && taken < instance->agents[agent].room;
    }
    assert_int_equal(place->verdict == TROUPE_BATCH_OVERSIZED, over);
    if (!over)
        assert_int_equal(place->verdict == TROUPE_BATCH_INCAPABLE, !someone);
    if (place->verdict == TROUPE_BATCH_INCAPABLE) {
        assert_true(place->missing || place->lacking);
        assert_int_equal(place->lacking == 0, has_enough(instance, task, place->agent));
    }
    if (place->verdict == TROUPE_BATCH_FULL)
        assert_false(room);
}

static void check(const struct instance *instance, const struct troupe_batch_summary *summary) {
    uint32_t refused = 0, late = 0;
    uint64_t last = 0;
    double missed = 0;
    uint32_t taken[AGENTS] = {0};
    for (uint32_t task = 0; task < instance->batch.task_count; task++) {
        late += places[task].verdict == TROUPE_BATCH_LATE;
        refused += !placed(task);
        if (places[task].verdict != TROUPE_BATCH_ON_TIME)
            missed += instance->tasks[task].weight;
        if (!placed(task)) {
            check_refused(instance, task);
            continue;
        }
        check_placed(instance, task);
        taken[places[task].agent]++;
        last = places[task].finish_ns > last ? places[task].finish_ns : last;
    }
    for (uint32_t agent = 0; agent < instance->batch.agent_count; agent++)
        assert_true(taken[agent] <= instance->agents[agent].room);
    assert_int_equal(summary->refused, refused);
    assert_int_equal(summary->late, late);
    assert_true(fabs(summary->missed - missed) < 1e-6);
    assert_int_equal(summary->finish_ns, last);
}

static void random_instances(void **state) {
    (void)state;
    const char *wanted = getenv("TROUPE_INSTANCES");
    unsigned long count = wanted ? strtoul(wanted, NULL, 10) : 100000, waited = 0;
    static struct instance instance;
    struct troupe_batch_summary summary;
    for (unsigned long at = 0; at < count; at++) {
        struct random_stream random;
        random_seed(&random, at, 3);
        draw(&instance, &random);
        assert_int_equal(troupe_coordinate_batch(&instance.batch, places, &summary, NULL), TROUPE_STATUS_OK);
        check(&instance, &summary);
        if (at % 16 != 0)
            continue;
        struct troupe_batch_summary other;
        assert_int_equal(troupe_coordinate_batch(&instance.batch, again, &other, NULL), TROUPE_STATUS_OK);
        assert_memory_equal(places, again, instance.batch.task_count * sizeof *places);
        instance.batch.resource_count = 0;
        assert_int_equal(troupe_coordinate_batch(&instance.batch, again, &other, NULL), TROUPE_STATUS_OK);
        waited += other.finish_ns < summary.finish_ns;
    }
    assert_true(count < 1000 || waited > count / 100); /* pools were in the way of some */
}

/* Many tasks, so that the timeline has blocks that are split and passed over; the bound of the pool is met. */
static void one_pool_is_kept_busy(void **state) {
    (void)state;
    enum { MANY = 2000, WIDE = 40 };
    static struct troupe_batch_task tasks[MANY];
    static struct troupe_batch_agent agents[WIDE];
    static struct troupe_batch_place many[MANY];
    static uint64_t asks[MANY][1];
    double speeds[] = {1}, work = 0;
    uint64_t pools[] = {10};
    struct troupe_batch_summary summary;
    struct random_stream random;
    random_seed(&random, 1, 4);
    for (uint32_t at = 0; at < WIDE; at++)
        agents[at] = (struct troupe_batch_agent){.speeds = speeds, .room = MANY};
    for (uint32_t at = 0; at < MANY; at++) {
        asks[at][0] = 1 + random_below(&random, 2);
        tasks[at] = (struct troupe_batch_task){.home = TROUPE_BATCH_NOBODY,
                                               .work_ns = 1000 + random_below(&random, 1000),
                                               .deadline_ns = TROUPE_BATCH_NEVER,
                                               .weight = 1,
                                               .amounts = asks[at]};
        work += (double)asks[at][0] * (double)tasks[at].work_ns / (double)pools[0];
    }
    struct troupe_batch batch = {.agents = agents,
                                 .tasks = tasks,
                                 .agent_count = WIDE,
                                 .task_count = MANY,
                                 .kind_count = 1,
                                 .pools = pools,
                                 .resource_count = 1};
    assert_int_equal(troupe_coordinate_batch(&batch, many, &summary, NULL), TROUPE_STATUS_OK);
    assert_int_equal(summary.on_time, MANY);
    assert_true((double)summary.finish_ns >= work - 1);
    assert_true((double)summary.finish_ns < 1.05 * work);
    for (uint32_t at = 0; at < MANY; at++) {
        uint64_t used = 0;
        for (uint32_t other = 0; other < MANY; other++)
            if (many[other].start_ns <= many[at].start_ns && many[at].start_ns < many[other].finish_ns)
                used += asks[other][0];
        assert_true(used <= 10);
    }
}

/* ---- what is wrong is said ---- */

static void refusals(void **state) {
    (void)state;
    double speeds[] = {1};
    uint64_t pools[] = {2, TROUPE_BATCH_NO_POOL}, has[] = {UINT64_MAX, 8}, holds[] = {1, 0}, asks[] = {3, 0},
             big[] = {0, 9};
    struct troupe_batch_agent agent = {
        .speeds = speeds, .room = 4, .amounts = has, .holds = holds, .backlog_ns = 5};
    struct troupe_batch_task tasks[2] = {
        {.home = TROUPE_BATCH_NOBODY, .work_ns = 1, .deadline_ns = 9, .weight = 1, .amounts = asks},
        {.home = TROUPE_BATCH_NOBODY, .work_ns = 1, .deadline_ns = 9, .weight = 1, .amounts = big}};
    struct troupe_batch batch = {.agents = &agent,
                                 .tasks = tasks,
                                 .agent_count = 1,
                                 .task_count = 2,
                                 .kind_count = 1,
                                 .pools = pools,
                                 .resource_count = 2};
    char said[TROUPE_PROBLEM_MAX];
    assert_int_equal(troupe_coordinate_batch(&batch, places, NULL, said), TROUPE_STATUS_OK);
    assert_int_equal(places[0].verdict, TROUPE_BATCH_OVERSIZED);
    assert_int_equal(places[0].lacking, 1);
    assert_int_equal(places[1].verdict, TROUPE_BATCH_INCAPABLE);
    assert_int_equal(places[1].lacking, 2);
    pools[0] = 0;
    assert_int_equal(troupe_coordinate_batch(&batch, places, NULL, said), TROUPE_STATUS_INVALID);
    assert_non_null(strstr(said, "pools[0]: expected 1 to 2^63 - 1"));
    pools[0] = 2;
    holds[0] = 3;
    assert_int_equal(troupe_coordinate_batch(&batch, places, NULL, said), TROUPE_STATUS_INVALID);
    assert_non_null(strstr(said, "agents[0].holds[0]: expected at most 2"));
    batch.resource_count = TROUPE_BATCH_RESOURCES_MAX + 1;
    assert_int_equal(troupe_coordinate_batch(&batch, places, NULL, said), TROUPE_STATUS_LIMIT);
    assert_non_null(strstr(said, "9 resources: at most 8"));
    enum { MANY = 65537 };
    struct troupe_batch_task *many = calloc(MANY, sizeof *many);
    assert_non_null(many);
    many[MANY - 1] = tasks[0];
    for (uint32_t at = 0; at < MANY - 1; at++)
        many[at] = tasks[0];
    holds[0] = 0;
    batch.resource_count = 2;
    batch.tasks = many;
    batch.task_count = MANY;
    assert_int_equal(troupe_coordinate_batch(&batch, places, NULL, said), TROUPE_STATUS_LIMIT);
    assert_non_null(strstr(said, "at most 65536 where one asks for a pool"));
    free(many);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_instances),
                                       cmocka_unit_test(one_pool_is_kept_busy), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
