/* The batch solver: how long a decision takes, and how good it is, on instances of its own (a class, a size and a number
 * make one, always the same one).
 *
 * Time: the decision alone, from rows of speeds and queues at hand to the answer, a fresh instance each time. Quality: the
 * end of the last task against a bound from prices: when it takes more than all agents have until T, each hour at its
 * price, to do each task where its time costs least, nothing can be done by T. The prices are searched; the bound is
 * true for any. Ten tasks: against the best of all assignments. And the missed weight against two lists, longest first and by deadline, each task to where it ends
 * first: the solver may not miss more than the better of them.
 *
 * Threads: one. */
#include "bench_figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coordinate/batch.h"

enum { KINDS = 5, NEEDS = 7, ROWS = KINDS * (NEEDS + 1), PRICE_ROUNDS = 1000 };
enum class { IDENTICAL, UNIFORM, UNRELATED, CAPABILITY, DEADLINE, HOTSPOT, HEAVY, TIGHT_QUEUE, CLASSES };
static const char *const class_names[] = {"identical", "uniform", "unrelated", "capability",
                                          "deadline",  "hotspot", "heavy",     "tight queues"};

struct instance {
    struct batch_problem problem;
    struct batch_answer answer;
    float *inverse;
    double *ready;
    uint32_t *room;
    struct batch_task *tasks;
};

static void *need(size_t bytes) {
    void *block = calloc(1, bytes);
    if (block == NULL)
        bench_fail("assign_bench", TROUPE_NOMEM, NULL);
    return block;
}

static void instance_make(struct instance *instance, unsigned tasks, unsigned agents) {
    *instance = (struct instance){.inverse = need(sizeof(float) * ROWS * agents),
                                  .ready = need(sizeof(double) * agents),
                                  .room = need(sizeof(uint32_t) * agents),
                                  .tasks = need(sizeof(struct batch_task) * tasks)};
    instance->problem = (struct batch_problem){.agent_count = agents,
                                               .task_count = tasks,
                                               .stride = agents,
                                               .inverse = instance->inverse,
                                               .ready = instance->ready,
                                               .room = instance->room,
                                               .tasks = instance->tasks};
    instance->answer = (struct batch_answer){.agent = need(sizeof(uint32_t) * tasks),
                                             .queue = need(sizeof(uint32_t) * tasks),
                                             .first = need(sizeof(uint32_t) * (agents + 1)),
                                             .finish = need(sizeof(double) * tasks)};
}

static void instance_free(struct instance *instance) {
    free(instance->inverse);
    free(instance->ready);
    free(instance->room);
    free(instance->tasks);
    free(instance->answer.agent);
    free(instance->answer.queue);
    free(instance->answer.first);
    free(instance->answer.finish);
}

static double lognormal(struct random_stream *random, double median, double spread) {
    return median * exp(random_normal(random) * spread);
}

static void agent_draw(const struct instance *instance, uint32_t agent, enum class class,
                       struct random_stream *random) {
    const struct batch_problem *problem = &instance->problem;
    double each = lognormal(random, 1, 0.7);
    uint64_t queued = random_below(random, 8);
    if (class == HOTSPOT && random_below(random, 4) == 0)
        queued = 60;
    unsigned able = class == IDENTICAL || class == UNIFORM ? 255 : class == CAPABILITY ? 0 : 255;
    for (unsigned need = 0; class == CAPABILITY && need < NEEDS; need++)
        able |= (agent == need % problem->agent_count || random_below(random, 4) == 0) << need;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        double speed = class == IDENTICAL ? 1 : class == UNIFORM ? each : lognormal(random, 1, 0.6);
        for (unsigned row = 0; row <= NEEDS; row++)
            instance->inverse[(size_t)(kind * (NEEDS + 1) + row) * problem->stride + agent] =
                row == NEEDS || able >> row & 1 ? (float)(1 / speed) : INFINITY;
    }
    instance->ready[agent] = (double)queued * lognormal(random, 1.2e9, 0.3);
    instance->room[agent] =
        class == TIGHT_QUEUE ? 2 + (uint32_t)(1.3 * problem->task_count / problem->agent_count) : 4096;
}

static void instance_draw(struct instance *instance, enum class class, uint64_t seed) {
    static const double work_of[KINDS] = {850e6, 1200e6, 450e6, 650e6, 2400e6};
    const struct batch_problem *problem = &instance->problem;
    struct random_stream random;
    random_seed(&random, seed, (uint64_t) class << 32 | problem->task_count);
    double backlog = 0, work = 0;
    for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
        agent_draw(instance, agent, class, &random);
        backlog += instance->ready[agent] / problem->agent_count;
    }
    for (unsigned at = 0; at < problem->task_count; at++) {
        unsigned kind = (unsigned)random_below(&random, KINDS);
        unsigned needs =
            class == CAPABILITY && random_below(&random, 3) ? (unsigned)random_below(&random, NEEDS) : NEEDS;
        double one = class == HEAVY ? fmin(2e11, 3e8 / pow(1 - random_unit(&random), 1 / 1.1))
                                    : lognormal(&random, work_of[kind], 0.5);
        instance->tasks[at] = (struct batch_task){.row = kind * (NEEDS + 1) + needs,
                                                  .home = BATCH_NONE,
                                                  .work = one,
                                                  .weight = (double)(1U << random_below(&random, 4))};
        work += one;
    }
    double fluid = work / problem->agent_count + backlog;
    for (unsigned at = 0; at < problem->task_count; at++) {
        double tight = class == DEADLINE ? 0.8 : 1.6;
        bool has = class == DEADLINE || class == HOTSPOT || random_below(&random, 2);
        instance->tasks[at].deadline =
            has ? instance->tasks[at].work * 1.2 + fluid * tight * (0.3 + 0.9 * random_unit(&random))
                : INFINITY;
    }
}

/* ---- the bound ---- */

static double time_of(const struct batch_problem *problem, unsigned task, uint32_t agent) {
    return problem->tasks[task].work *
           (double)problem->inverse[(size_t)problem->tasks[task].row * problem->stride + agent];
}

/* Whether nothing can be done by `limit`, by these prices; adds to `load` what would be done where it costs least. */
static bool impossible(const struct batch_problem *problem, const double *price, double limit, double *load) {
    double has = 0, takes = 0;
    for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
        load[agent] = fmin(problem->ready[agent], limit);
        has += price[agent] * (limit - load[agent]);
    }
    for (unsigned task = 0; task < problem->task_count; task++) {
        double least = INFINITY;
        uint32_t where = 0;
        for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
            double time = time_of(problem, task, agent);
            if (problem->ready[agent] + time <= limit && price[agent] * time < least) {
                least = price[agent] * time;
                where = agent;
            }
        }
        if (least == INFINITY)
            return true; /* this one alone cannot */
        takes += least;
        load[where] += time_of(problem, task, where);
    }
    return takes > has * (1 + 1e-9);
}

/* Prices follow the loads that they cause; for each, how far up `limit` is impossible. */
static double bound(const struct batch_problem *problem, double above) {
    double *price = need(sizeof *price * problem->agent_count),
           *load = need(sizeof *load * problem->agent_count);
    double low = 0;
    for (uint32_t agent = 0; agent < problem->agent_count; agent++)
        price[agent] = 1;
    for (unsigned round = 0; round < PRICE_ROUNDS; round++) {
        double step_up = (above - low) / 2;
        for (unsigned halving = 0; halving < 12; halving++, step_up /= 2)
            if ((halving > 0 || round == 0) && impossible(problem, price, low + step_up, load))
                low += step_up;
            else if (round > 0 && halving == 0 &&
                     !impossible(problem, price, low + (above - low) / 4096, load))
                break; /* these prices say nothing new */
        impossible(problem, price, above, load);
        double step = 2.0 / (8 + round);
        for (uint32_t agent = 0; agent < problem->agent_count; agent++)
            price[agent] *= exp(step * (load[agent] / above - 1));
    }
    free(price);
    free(load);
    return low;
}

/* The earliest end of all that are possible; for few tasks. */
static void exact(const struct batch_problem *problem, unsigned task, double *ends, double last,
                  double *best) {
    if (last >= *best)
        return;
    if (task == problem->task_count) {
        *best = last;
        return;
    }
    for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
        double before = ends[agent];
        ends[agent] += time_of(problem, task, agent);
        if (ends[agent] < *best)
            exact(problem, task + 1, ends, fmax(last, ends[agent]), best);
        ends[agent] = before;
    }
}

static double least_end(const struct batch_problem *problem, double above) {
    double ends[16], best = above * (1 + 1e-9);
    if (problem->task_count > 10 || problem->agent_count > ARRAY_COUNT(ends))
        return bound(problem, above);
    memcpy(ends, problem->ready, problem->agent_count * sizeof *ends);
    exact(problem, 0, ends, 0, &best);
    return best;
}

/* ---- the lists ---- */

static const struct batch_problem *ordered; /* of the comparison under way */
static int by_work(const void *left, const void *right) {
    double a = ordered->tasks[*(const uint32_t *)left].work,
           b = ordered->tasks[*(const uint32_t *)right].work;
    return (a < b) - (a > b);
}
static int by_deadline(const void *left, const void *right) {
    double a = ordered->tasks[*(const uint32_t *)left].deadline,
           b = ordered->tasks[*(const uint32_t *)right].deadline;
    return a == b ? by_work(left, right) : a < b ? -1 : 1;
}

/* Each in turn to where it ends first, queues in this order: the weight that is missed. */
static double list_missed(const struct batch_problem *problem, int (*compare)(const void *, const void *)) {
    uint32_t *order = need(sizeof *order * problem->task_count),
             *room = need(sizeof *room * problem->agent_count);
    double *ends = need(sizeof *ends * problem->agent_count), missed = 0;
    memcpy(ends, problem->ready, sizeof *ends * problem->agent_count);
    memcpy(room, problem->room, sizeof *room * problem->agent_count);
    for (uint32_t at = 0; at < problem->task_count; at++)
        order[at] = at;
    ordered = problem;
    qsort(order, problem->task_count, sizeof *order, compare);
    for (unsigned at = 0; at < problem->task_count; at++) {
        double finish = INFINITY;
        uint32_t where = BATCH_NONE;
        for (uint32_t agent = 0; agent < problem->agent_count; agent++)
            if (room[agent] > 0 && ends[agent] + time_of(problem, order[at], agent) < finish) {
                finish = ends[agent] + time_of(problem, order[at], agent);
                where = agent;
            }
        if (where != BATCH_NONE) {
            ends[where] = finish;
            room[where]--;
        }
        if (finish > problem->tasks[order[at]].deadline)
            missed += problem->tasks[order[at]].weight;
    }
    free(order);
    free(room);
    free(ends);
    return missed;
}

/* ---- figures ---- */

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void print(const char *figure, const char *unit, double *values, unsigned count,
                  enum bench_target kind, double target) {
    bench_print(&(struct bench_figure){"assign", figure, unit, values, count, kind, target});
}

struct size {
    unsigned tasks, agents;
    uint64_t steps;
    unsigned instances;
    double p50_us, p99_us; /* targets; 0: none */
};

static void solve(struct batch_scratch *scratch, struct instance *instance) {
    if (batch_solve(scratch, &instance->problem, &instance->answer) != TROUPE_OK)
        bench_fail("assign_bench", TROUPE_NOMEM, NULL);
}

static void time_size(struct batch_scratch *scratch, const struct size *size, unsigned share) {
    unsigned count = size->instances / share ? size->instances / share : 1;
    double *times = need(sizeof *times * count);
    struct instance instance;
    char figure[96];
    instance_make(&instance, size->tasks, size->agents);
    instance.problem.steps = size->steps;
    for (unsigned at = 0; at < count; at++) {
        instance_draw(&instance, UNRELATED, at);
        if (at == 0)
            solve(scratch, &instance); /* its memory */
        double began = now_us();
        solve(scratch, &instance);
        times[at] = now_us() - began;
    }
    bench_median(times, count);
    double p99 = times[(unsigned)(0.99 * (count - 1))], p50 = times[count / 2];
    snprintf(figure, sizeof figure, "%u tasks, %u agents, %llu steps", size->tasks, size->agents,
             (unsigned long long)size->steps);
    print(figure, "us p50", &p50, 1, size->p50_us > 0 ? BENCH_AT_MOST : BENCH_NO_TARGET, size->p50_us);
    print(figure, "us p99", &p99, 1, size->p99_us > 0 ? BENCH_AT_MOST : BENCH_NO_TARGET, size->p99_us);
    instance_free(&instance);
    free(times);
}

static void time_arrival(unsigned rounds) {
    struct instance instance;
    double *times = need(sizeof *times * rounds), finish, sum = 0;
    instance_make(&instance, 64, 1000);
    instance_draw(&instance, UNRELATED, 1);
    for (unsigned at = 0; at < rounds; at++) {
        const struct batch_task *task = &instance.tasks[at % 64];
        double began = now_us();
        uint32_t agent = batch_earliest(instance.inverse + (size_t)task->row * 1000, instance.ready,
                                        instance.room, 1000, task->work, &finish);
        times[at] = now_us() - began;
        sum += agent;
        instance.ready[agent] += 1e6;
    }
    double p50 = bench_median(times, rounds) + 0 * sum;
    print("one arrival, 1000 agents", "us p50", &p50, 1, BENCH_AT_MOST, 1.5);
    instance_free(&instance);
    free(times);
}

static void quality(struct batch_scratch *scratch, enum class class, unsigned seeds) {
    static const struct size sizes[] = {
        {.tasks = 10, .agents = 3}, {.tasks = 50, .agents = 8}, {.tasks = 200, .agents = 16}};
    double sum = 0, worst = 1, ours = 0, lists = 0;
    unsigned count = 0;
    for (unsigned at = 0; at < ARRAY_COUNT(sizes); at++) {
        struct instance instance;
        instance_make(&instance, sizes[at].tasks, sizes[at].agents);
        for (unsigned seed = 0; seed < seeds; seed++, count++) {
            instance_draw(&instance, class, seed);
            instance.problem.steps = 100000 + 1000 * (uint64_t)sizes[at].tasks;
            solve(scratch, &instance);
            double ratio = instance.answer.last / least_end(&instance.problem, instance.answer.last);
            sum += log(ratio);
            worst = fmax(worst, ratio);
            ours += instance.answer.missed;
            lists +=
                fmin(list_missed(&instance.problem, by_work), list_missed(&instance.problem, by_deadline));
        }
        instance_free(&instance);
    }
    char figure[64];
    double mean = exp(sum / count);
    snprintf(figure, sizeof figure, "%s, %u instances", class_names[class], count);
    print(figure, "last end above the bound, geometric mean", &mean, 1, BENCH_AT_MOST, 1.03);
    print(figure, "last end above the bound, worst", &worst, 1, BENCH_AT_MOST, 1.15);
    print(figure, "missed weight", &ours, 1, BENCH_AT_MOST, lists + 1e-9);
    print(figure, "missed weight of the better list", &lists, 1, BENCH_NO_TARGET, 0);
}

/* Two pools, asked for by half and a third of the tasks. Against the better of the bound without pools, which is true with
 * them, and what all hold of a pool, each where its time is least, over what there is of it. */
static double pools_bound(const struct batch_problem *problem, const struct batch_pools *pools, double last) {
    double most = bound(problem, last);
    for (unsigned pool = 0; pool < pools->count; pool++) {
        double work = 0;
        for (unsigned task = 0; task < problem->task_count; task++) {
            double least = INFINITY;
            for (uint32_t agent = 0; agent < problem->agent_count; agent++)
                least = fmin(least, time_of(problem, task, agent));
            work += least * (double)pools->needs[task * pools->count + pool];
        }
        most = fmax(most, work / (double)pools->total[pool]);
    }
    return most;
}

static void pools_draw(const struct instance *instance, int64_t *needs, int64_t *total, unsigned scarce,
                       uint64_t seed) {
    const struct batch_problem *problem = &instance->problem;
    struct random_stream random;
    random_seed(&random, seed, 77);
    total[0] = 1 + (int64_t)(problem->agent_count / scarce);
    total[1] = 16 + 8 * (int64_t)problem->agent_count / scarce;
    for (unsigned task = 0; task < problem->task_count; task++) {
        needs[2 * task] = random_below(&random, 2) ? 0 : 1;
        needs[2 * task + 1] = random_below(&random, 3) ? 0 : 1 + (int64_t)random_below(&random, 16);
    }
}

/* `scarce`: the larger, the less there is. */
static void quality_pools(struct account *account, struct batch_scratch *scratch, unsigned scarce,
                          unsigned seeds) {
    static const struct size sizes[] = {
        {.tasks = 10, .agents = 3}, {.tasks = 50, .agents = 8}, {.tasks = 200, .agents = 16}};
    double sum = 0, worst = 1;
    double *times = need(sizeof *times * ARRAY_COUNT(sizes) * seeds);
    unsigned count = 0;
    for (unsigned at = 0; at < ARRAY_COUNT(sizes); at++) {
        struct instance instance;
        instance_make(&instance, sizes[at].tasks, sizes[at].agents);
        int64_t *needs = need(sizeof *needs * 2 * sizes[at].tasks),
                *holds = need(sizeof *holds * 2 * sizes[at].agents), total[2];
        double *start = need(sizeof *start * sizes[at].tasks);
        struct batch_pools pools = {.count = 2, .total = total, .needs = needs, .holds = holds};
        for (unsigned seed = 0; seed < seeds; seed++, count++) {
            instance_draw(&instance, UNIFORM, seed);
            pools_draw(&instance, needs, total, scarce, seed);
            instance.problem.steps = 100000 + 1000 * (uint64_t)sizes[at].tasks;
            double began = now_us();
            if (batch_pools_solve(account, scratch, &instance.problem, &pools, &instance.answer, start) !=
                TROUPE_OK)
                bench_fail("assign_bench", TROUPE_NOMEM, NULL);
            times[count] = now_us() - began;
            double ratio =
                instance.answer.last / pools_bound(&instance.problem, &pools, instance.answer.last);
            sum += log(ratio);
            worst = fmax(worst, ratio);
        }
        free(needs);
        free(holds);
        free(start);
        instance_free(&instance);
    }
    char figure[64];
    double mean = exp(sum / count), p50 = bench_median(times, count);
    snprintf(figure, sizeof figure, "pools, 1/%u of the agents, %u instances", scarce, count);
    print(figure, "last end above the bound, geometric mean", &mean, 1, BENCH_NO_TARGET, 0);
    print(figure, "last end above the bound, worst", &worst, 1, BENCH_NO_TARGET, 0);
    print(figure, "us p50", &p50, 1, BENCH_NO_TARGET, 0);
    free(times);
}

int main(int argc, char **argv) {
    unsigned seeds = 10, share = 1;
    const struct bench_option options[] = {
        {"--seeds", &seeds, 1, 0, 1000, "instances of each class and size; 0: no quality"},
        {"--share", &share, 500, 1, 100000, "one in so many of the timed instances"}};
    bench_options("assign_bench", argc, argv, options, ARRAY_COUNT(options));
    static const struct size sizes[] = {
        {10, 3, 50, 20000, 1, 5}, {1000, 64, 35000, 300, 1000, 0}, {10000, 1000, 0, 40, 10000, 0}};
    struct account account = ACCOUNT("bench");
    struct batch_scratch *scratch;
    if (batch_scratch_create(&account, &scratch) != TROUPE_OK)
        bench_fail("assign_bench", TROUPE_NOMEM, NULL);
    for (unsigned at = 0; at < ARRAY_COUNT(sizes); at++)
        time_size(scratch, &sizes[at], share);
    time_arrival(20000 / share + 1);
    for (unsigned class = 0; seeds > 0 && class < CLASSES; class ++)
        quality(scratch, class, seeds);
    for (unsigned scarce = 2; seeds > 0 && scarce <= 4; scarce *= 2)
        quality_pools(&account, scratch, scarce, seeds);
    batch_scratch_free(scratch);
    return 0;
}
