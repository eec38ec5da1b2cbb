/* troupe_coordinate_batch against a checker that knows nothing of how it is solved: random instances of every shape,
 * each task placed once or refused for a reason that is true, queues without gaps, overlaps, or more tasks than room;
 * the same answer twice; never worse than one list. Small ones against all assignments that there are.
 * TROUPE_INSTANCES: how many random ones (20,000; the long tier takes a million). */
#include "../base/cmocka_base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "troupe.h"

enum { AGENTS = 24, TASKS = 160, KINDS = 3 };

struct instance {
    double speeds[AGENTS][KINDS];
    struct troupe_batch_agent agents[AGENTS];
    struct troupe_batch_task tasks[TASKS];
    struct troupe_batch batch;
};
static struct troupe_batch_place places[TASKS], again[TASKS];

static double draw_time(struct random_stream *random, unsigned shape) {
    double unit = random_unit(random);
    if (shape == 0)
        return 1e6;
    if (shape == 1)
        return 1 + unit * 1e9;
    return shape == 2 ? exp(unit * 20) : 1e6 / pow(unit + 1e-6, 1.2); /* wide; heavy tails */
}

static void draw(struct instance *instance, struct random_stream *random) {
    bool small = random_below(random, 4) != 0;
    struct troupe_batch *batch = &instance->batch;
    *batch = (struct troupe_batch){.agents = instance->agents,
                                   .tasks = instance->tasks,
                                   .agent_count = 1 + (uint32_t)random_below(random, small ? 5 : AGENTS),
                                   .task_count = (uint32_t)random_below(random, small ? 14 : TASKS),
                                   .kind_count = KINDS,
                                   .away_ns = random_below(random, 3) ? 0 : 1000000,
                                   .steps = random_below(random, 3) ? random_below(random, 3000) : 0,
                                   .refuse_late = random_below(random, 3) == 0};
    unsigned shape = (unsigned)random_below(random, 4), tight = (unsigned)random_below(random, 3);
    for (uint32_t at = 0; at < batch->agent_count; at++) {
        for (unsigned kind = 0; kind < KINDS; kind++)
            instance->speeds[at][kind] = shape == 0 ? 1 : exp(random_normal(random));
        instance->agents[at] = (struct troupe_batch_agent){
            .capabilities = random_below(random, 4) ? 7 : random_below(random, 8),
            .speeds = instance->speeds[at],
            .backlog_ns = random_below(random, 2) ? 0 : (uint64_t)draw_time(random, shape),
            .queued = (uint32_t)random_below(random, 4),
            .room = tight == 0 ? (uint32_t)random_below(random, 4) : 64};
    }
    for (uint32_t at = 0; at < batch->task_count; at++)
        instance->tasks[at] = (struct troupe_batch_task){
            .kind = (uint32_t)random_below(random, KINDS),
            .home = random_below(random, 3) ? TROUPE_BATCH_NOBODY
                                            : (uint32_t)random_below(random, batch->agent_count),
            .needs = random_below(random, 2) ? 0 : random_below(random, 8),
            .work_ns = 1 + (uint64_t)draw_time(random, shape),
            .deadline_ns =
                random_below(random, 2) ? TROUPE_BATCH_NEVER : 1 + (uint64_t)(draw_time(random, shape) * 3),
            .weight = 1 + (double)random_below(random, 8)};
}

/* ---- the checker ---- */

static bool able(const struct instance *instance, uint32_t task, uint32_t agent) {
    return (instance->tasks[task].needs & ~instance->agents[agent].capabilities) == 0;
}

/* In single precision, as the solver knows speeds. */
static double time_of(const struct instance *instance, uint32_t task, uint32_t agent) {
    const struct troupe_batch_task *one = &instance->tasks[task];
    double time = (double)one->work_ns * (double)(float)(1 / instance->agents[agent].speeds[one->kind]);
    return one->home == TROUPE_BATCH_NOBODY || one->home == agent ? time
                                                                  : time + (double)instance->batch.away_ns;
}

static bool near(double a, double b) {
    return fabs(a - b) <= 2 + 1e-9 * fabs(b);
}

/* Each begins when the one before it ends, the first when the backlog is done. */
static void check_queue(const struct instance *instance, uint32_t agent) {
    double ends = (double)instance->agents[agent].backlog_ns;
    uint32_t count = 0;
    double sum = 0, last = ends;
    for (uint32_t task = 0; task < instance->batch.task_count; task++) {
        if (places[task].verdict > TROUPE_BATCH_LATE || places[task].agent != agent)
            continue;
        count++;
        sum += time_of(instance, task, agent);
        last = fmax(last, (double)places[task].finish_ns);
        assert_true(able(instance, task, agent));
        assert_true(near((double)places[task].finish_ns - (double)places[task].start_ns,
                         time_of(instance, task, agent)));
        bool before = near((double)places[task].start_ns, ends);
        for (uint32_t other = 0; other < instance->batch.task_count && !before; other++)
            before = other != task && places[other].agent == agent &&
                     places[other].verdict <= TROUPE_BATCH_LATE &&
                     near((double)places[other].finish_ns, (double)places[task].start_ns);
        assert_true(before);
    }
    assert_true(count <= instance->agents[agent].room);
    assert_true(fabs(last - (ends + sum)) <= 4 * (count + 1) + 1e-9 * last); /* nothing at the same time */
}

static uint32_t taken(const struct instance *instance, uint32_t agent) {
    uint32_t count = 0;
    for (uint32_t task = 0; task < instance->batch.task_count; task++)
        count += places[task].verdict <= TROUPE_BATCH_LATE && places[task].agent == agent;
    return count;
}

static void check_refused(const struct instance *instance, uint32_t task) {
    const struct troupe_batch_place *place = &places[task];
    bool someone = false, in_time = false, room = false;
    for (uint32_t agent = 0; agent < instance->batch.agent_count; agent++) {
        if (!able(instance, task, agent))
            continue;
        someone = true;
        in_time |= (double)instance->agents[agent].backlog_ns + time_of(instance, task, agent) <=
                   (double)instance->tasks[task].deadline_ns - 2; /* not by rounding */
        room |= taken(instance, agent) < instance->agents[agent].room;
    }
    assert_true(place->agent < instance->batch.agent_count);
    assert_int_equal(place->verdict == TROUPE_BATCH_INCAPABLE, !someone);
    if (place->verdict == TROUPE_BATCH_INCAPABLE)
        assert_int_equal(place->missing,
                         instance->tasks[task].needs & ~instance->agents[place->agent].capabilities);
    if (place->verdict == TROUPE_BATCH_HOPELESS) {
        assert_true(instance->batch.refuse_late && !in_time);
        assert_true(place->finish_ns > instance->tasks[task].deadline_ns);
    }
    if (place->verdict == TROUPE_BATCH_FULL)
        assert_false(room); /* no place that it could have had was left empty */
}

static void check(const struct instance *instance, const struct troupe_batch_summary *summary) {
    uint32_t on_time = 0, late = 0, refused = 0;
    double missed = 0, tardiness = 0, last = 0;
    for (uint32_t task = 0; task < instance->batch.task_count; task++) {
        const struct troupe_batch_task *one = &instance->tasks[task];
        const struct troupe_batch_place *place = &places[task];
        if (place->verdict > TROUPE_BATCH_LATE) {
            refused++;
            missed += one->weight;
            check_refused(instance, task);
            continue;
        }
        bool is_late = place->finish_ns > one->deadline_ns;
        assert_int_equal(place->verdict == TROUPE_BATCH_LATE, is_late);
        on_time += place->verdict == TROUPE_BATCH_ON_TIME;
        late += place->verdict == TROUPE_BATCH_LATE;
        last = fmax(last, (double)place->finish_ns);
        if (place->verdict == TROUPE_BATCH_LATE) {
            missed += one->weight;
            tardiness += one->weight * (double)(place->finish_ns - one->deadline_ns);
        }
    }
    for (uint32_t agent = 0; agent < instance->batch.agent_count; agent++)
        check_queue(instance, agent);
    assert_int_equal(on_time, summary->on_time);
    assert_int_equal(late, summary->late);
    assert_int_equal(refused, summary->refused);
    assert_true(fabs(missed - summary->missed) < 1e-6);
    assert_true(fabs(tardiness - summary->tardiness_ns) <= 1e-6 * tardiness + 8.0 * TASKS * 2);
    assert_true(near(last, (double)summary->finish_ns));
}

static void random_instances(void **state) {
    (void)state;
    const char *wanted = getenv("TROUPE_INSTANCES");
    unsigned long count = wanted ? strtoul(wanted, NULL, 10) : 20000;
    static struct instance instance;
    struct troupe_batch_summary summary, list, twice;
    for (unsigned long at = 0; at < count; at++) {
        struct random_stream random;
        random_seed(&random, at, 1);
        draw(&instance, &random);
        assert_int_equal(troupe_coordinate_batch(&instance.batch, places, &summary, NULL), TROUPE_STATUS_OK);
        check(&instance, &summary);
        if (at % 16 == 0) {
            assert_int_equal(troupe_coordinate_batch(&instance.batch, again, &twice, NULL), TROUPE_STATUS_OK);
            assert_memory_equal(places, again, instance.batch.task_count * sizeof *places);
            instance.batch.steps = 0;
            assert_int_equal(troupe_coordinate_batch(&instance.batch, again, &list, NULL), TROUPE_STATUS_OK);
            if (summary.steps > 2000 && summary.refused == list.refused)
                assert_true(summary.missed <= list.missed + 1e-6);
        }
    }
}

/* ---- all assignments ---- */

struct best {
    double missed, last;
};

/* The least missed weight of one queue: all orders of what matters are those by deadline with some put last. */
static double missed_of_queue(const struct instance *instance, const uint32_t *where, uint32_t agent,
                              double *ret_end) {
    uint32_t queue[TASKS], count = 0;
    double end = (double)instance->agents[agent].backlog_ns;
    for (uint32_t task = 0; task < instance->batch.task_count; task++)
        if (where[task] == agent) {
            uint32_t to = count++;
            for (; to > 0 && instance->tasks[queue[to - 1]].deadline_ns > instance->tasks[task].deadline_ns;
                 to--)
                queue[to] = queue[to - 1];
            queue[to] = task;
            end += time_of(instance, task, agent);
        }
    double least = INFINITY;
    for (unsigned kept = 0; kept < 1U << count; kept++) {
        double now = (double)instance->agents[agent].backlog_ns, missed = 0;
        for (unsigned at = 0; at < count; at++) {
            if (!(kept >> at & 1)) {
                missed += instance->tasks[queue[at]].weight;
                continue;
            }
            now += time_of(instance, queue[at], agent);
            if (now > (double)instance->tasks[queue[at]].deadline_ns)
                missed = INFINITY;
        }
        least = fmin(least, missed);
    }
    *ret_end = count ? end : 0;
    return least;
}

static void enumerate(const struct instance *instance, uint32_t *where, uint32_t task, struct best *best) {
    if (task == instance->batch.task_count) {
        struct best this = {0};
        for (uint32_t agent = 0; agent < instance->batch.agent_count; agent++) {
            double end;
            this.missed += missed_of_queue(instance, where, agent, &end);
            this.last = fmax(this.last, end);
        }
        if (this.missed < best->missed - 1e-9 ||
            (this.missed < best->missed + 1e-9 && this.last < best->last))
            *best = this;
        return;
    }
    for (uint32_t agent = 0; agent < instance->batch.agent_count; agent++) {
        where[task] = agent;
        enumerate(instance, where, task + 1, best);
    }
}

/* Of the small ones nearly all are optimal in missed weight, and within a few per cent in their end. */
static void small_against_all(void **state) {
    (void)state;
    static struct instance instance;
    struct troupe_batch_summary summary;
    unsigned count = 0, optimal = 0;
    double worst = 1;
    for (uint64_t seed = 0; count < 120; seed++) {
        struct random_stream random;
        uint32_t where[TASKS];
        random_seed(&random, seed, 2);
        draw(&instance, &random);
        if (instance.batch.agent_count > 3 || instance.batch.task_count < 3 || instance.batch.task_count > 7)
            continue;
        for (uint32_t agent = 0; agent < instance.batch.agent_count; agent++) {
            instance.agents[agent].capabilities = 7;
            instance.agents[agent].room = 64;
        }
        instance.batch.refuse_late = false;
        instance.batch.steps = 50000;
        struct best best = {INFINITY, INFINITY};
        enumerate(&instance, where, 0, &best);
        assert_int_equal(troupe_coordinate_batch(&instance.batch, places, &summary, NULL), TROUPE_STATUS_OK);
        assert_true(summary.missed >= best.missed - 1e-6);
        count++;
        if (summary.missed > best.missed + 1e-6)
            continue;
        optimal++;
        worst = fmax(worst, (double)summary.finish_ns / best.last);
    }
    assert_true(optimal >= 118);
    assert_true(worst < 1.1);
}

/* ---- what is wrong is said ---- */

static void refusals(void **state) {
    (void)state;
    double speeds[] = {1, 2}, wrong[] = {1, 0};
    struct troupe_batch_agent agents[] = {
        {.capabilities = 1, .speeds = speeds, .backlog_ns = 600, .queued = 3, .room = 1},
        {.capabilities = 3, .speeds = speeds, .backlog_ns = 100, .queued = 1, .room = 0}};
    struct troupe_batch_task tasks[] = {{.kind = 0,
                                         .home = TROUPE_BATCH_NOBODY,
                                         .needs = 1,
                                         .work_ns = 100,
                                         .deadline_ns = TROUPE_BATCH_NEVER,
                                         .weight = 1},
                                        {.kind = 1,
                                         .home = TROUPE_BATCH_NOBODY,
                                         .needs = 2,
                                         .work_ns = 100,
                                         .deadline_ns = TROUPE_BATCH_NEVER,
                                         .weight = 1},
                                        {.kind = 1,
                                         .home = TROUPE_BATCH_NOBODY,
                                         .needs = 5,
                                         .work_ns = 100,
                                         .deadline_ns = TROUPE_BATCH_NEVER,
                                         .weight = 1}};
    struct troupe_batch batch = {
        .agents = agents, .tasks = tasks, .agent_count = 2, .task_count = 3, .kind_count = 2};
    struct troupe_batch_summary summary;
    char said[TROUPE_PROBLEM_MAX];
    assert_int_equal(troupe_coordinate_batch(&batch, places, &summary, said), TROUPE_STATUS_OK);
    assert_int_equal(places[0].verdict, TROUPE_BATCH_ON_TIME);
    assert_int_equal(places[0].finish_ns, 700);
    assert_int_equal(places[1].verdict,
                     TROUPE_BATCH_FULL); /* the one that can has no room until its task ends */
    assert_int_equal(places[1].agent, 1);
    assert_int_equal(places[1].capacity_in_ns, 100);
    assert_int_equal(places[2].verdict, TROUPE_BATCH_INCAPABLE);
    assert_int_equal(places[2].agent, 0);
    assert_int_equal(places[2].missing, 4);
    assert_int_equal(summary.refused, 2);

    struct {
        void *field;
        size_t size;
        const void *value;
        const char *said;
        enum troupe_status status;
    } bad[] = {
        {&batch.agent_count, 4, &(uint32_t){0}, "no agents", TROUPE_STATUS_INVALID},
        {&batch.agent_count, 4, &(uint32_t){65537}, "at most 65536", TROUPE_STATUS_LIMIT},
        {&batch.task_count, 4, &(uint32_t){1048577}, "at most 1048576", TROUPE_STATUS_LIMIT},
        {&tasks[1].kind, 4, &(uint32_t){2}, "tasks[1].kind: expected one below 2, found 2",
         TROUPE_STATUS_INVALID},
        {&tasks[2].work_ns, 8, &(uint64_t){0}, "tasks[2].work_ns", TROUPE_STATUS_INVALID},
        {&tasks[0].weight, 8, &(double){-1}, "tasks[0].weight", TROUPE_STATUS_INVALID},
        {&tasks[0].weight, 8, &(double){NAN}, "tasks[0].weight", TROUPE_STATUS_INVALID},
        {&tasks[0].deadline_ns, 8, &(uint64_t){0}, "has passed", TROUPE_STATUS_INVALID},
        {&tasks[0].home, 4, &(uint32_t){2}, "tasks[0].home", TROUPE_STATUS_INVALID},
        {&agents[1].speeds, sizeof(void *), &(const double *){wrong}, "agents[1].speeds[1]",
         TROUPE_STATUS_INVALID},
    };
    for (size_t at = 0; at < ARRAY_COUNT(bad); at++) {
        char good[8];
        memcpy(good, bad[at].field, bad[at].size);
        memcpy(bad[at].field, bad[at].value, bad[at].size);
        assert_int_equal(troupe_coordinate_batch(&batch, places, NULL, said), bad[at].status);
        assert_non_null(strstr(said, bad[at].said));
        assert_int_equal(troupe_coordinate_batch(&batch, places, NULL, NULL), bad[at].status);
        memcpy(bad[at].field, good, bad[at].size);
    }
}

/* 4,096 pairs of kind and needs are taken, one more is not. */
static void row_bound(void **state) {
    (void)state;
    enum { MANY = 4097 };
    static struct troupe_batch_task tasks[MANY];
    static struct troupe_batch_place many[MANY];
    double speeds[] = {1};
    struct troupe_batch_agent agent = {.capabilities = UINT64_MAX, .speeds = speeds, .room = MANY};
    struct troupe_batch batch = {
        .agents = &agent, .tasks = tasks, .agent_count = 1, .task_count = MANY - 1, .kind_count = 1};
    char said[TROUPE_PROBLEM_MAX];
    for (uint32_t at = 0; at < MANY; at++)
        tasks[at] = (struct troupe_batch_task){.home = TROUPE_BATCH_NOBODY,
                                               .needs = at,
                                               .work_ns = 1,
                                               .deadline_ns = TROUPE_BATCH_NEVER,
                                               .weight = 1};
    assert_int_equal(troupe_coordinate_batch(&batch, many, NULL, said), TROUPE_STATUS_OK);
    batch.task_count = MANY;
    assert_int_equal(troupe_coordinate_batch(&batch, many, NULL, said), TROUPE_STATUS_LIMIT);
    assert_non_null(strstr(said, "tasks[4096]"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_instances),
                                       cmocka_unit_test(small_against_all), cmocka_unit_test(refusals),
                                       cmocka_unit_test(row_bound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
