/* The account of a run's time: shares that add to 100.0 whatever they are, and per-trial pieces that add to the
 * trial's wall time to the nanosecond, on random graphs and stamps. If it failed, printed times would not add. */
#include "../base/cmocka_base.h"

#include <math.h>

#include "pipeline/run_internal.h"

static struct account account;

static void percentages_add_to_one_hundred(void **state) {
    (void)state;
    struct random_stream random;
    random_seed(&random, 7, 0);
    for (int round = 0; round < 20000; round++) {
        uint64_t parts[37], total = 0;
        double percent[37], sum = 0;
        unsigned count = 1 + (unsigned)random_below(&random, 37);
        for (unsigned i = 0; i < count; i++) {
            parts[i] =
                random_below(&random, 3) == 0 ? 0 : random_u64(&random) >> (8 + random_below(&random, 50));
            total += parts[i];
        }
        account_percent(parts, count, percent);
        for (unsigned i = 0; i < count; i++) {
            sum += percent[i];
            assert_true(percent[i] >= 0 && percent[i] <= 100);
            if (total > 0)
                assert_true(fabs(percent[i] - (double)parts[i] * 100.0 / (double)total) <= 0.1 + 1e-9);
            assert_true(total > 0 || percent[i] == 0);
        }
        assert_true(fabs(sum - (total > 0 ? 100.0 : 0.0)) < 1e-9);
    }
}

/* A random trial as the engine would stamp it: stages in order, each ready when what it needs is done. */
static void trial_random(struct run *run, struct trial *trial, struct random_stream *random) {
    struct pipeline *pipeline = run->pipeline;
    uint64_t now = trial->created_ns = 1000 + random_below(random, 1000), last = 0;
    now += random_below(random, 5000); /* its ASKED row */
    uint64_t start = now;
    for (unsigned i = 0; i < pipeline->stage_count; i++) {
        struct stage_times *times = &trial->stages[i].times;
        uint64_t ready = start;
        for (unsigned k = 0; k < i; k++)
            if ((pipeline->stages[i].needs & (1u << k)) && trial->stages[k].times.done > ready)
                ready = trial->stages[k].times.done;
        times->ready = ready;
        trial->stages[i].reused = random_below(random, 4) == 0;
        if (trial->stages[i].reused) {
            times->done = ready + (random_below(random, 2) ? random_below(random, 9000) : 0);
            times->assigned = times->accepted = times->started = times->ended = times->done;
        } else {
            times->failed = random_below(random, 3) == 0 ? ready + random_below(random, 90000) : 0;
            times->assigned = (times->failed > ready ? times->failed : ready) + random_below(random, 300);
            times->accepted = times->assigned + random_below(random, 300);
            times->started = times->accepted + random_below(random, 5000);
            times->ended = times->started + random_below(random, 100000);
            times->done = times->ended + random_below(random, 700);
        }
        trial->stages[i].state = STAGE_DONE;
        if (i == pipeline->objective_stage)
            last = times->done;
    }
    trial->state = TRIAL_OK;
    trial->told_ns = last;
    trial->ended_ns = last + random_below(random, 6000);
}

static void a_trial_s_pieces_add_to_its_wall_time(void **state) {
    (void)state;
    struct random_stream random;
    random_seed(&random, 11, 0);
    struct run *run = memory_alloc(&account, sizeof *run);
    struct pipeline *pipeline = memory_alloc(&account, sizeof *pipeline);
    struct trial *trial = memory_alloc(&account, sizeof *trial);
    assert_true(run && pipeline && trial);
    run->pipeline = pipeline;
    for (int round = 0; round < 5000; round++) {
        memset(run, 0, sizeof *run);
        memset(trial, 0, sizeof *trial);
        memset(pipeline, 0, sizeof *pipeline);
        run->pipeline = pipeline;
        pipeline->stage_count = 1 + (unsigned)random_below(&random, 8);
        pipeline->objective_stage = pipeline->stage_count - 1;
        for (unsigned i = 0; i < pipeline->stage_count; i++) {
            pipeline->order[i] = i;
            pipeline->stages[i].in_trial = true;
            for (unsigned k = 0; k < i; k++) /* the last needs all, so that none is beside the path */
                if (i == pipeline->objective_stage || random_below(&random, 2))
                    pipeline->stages[i].needs |= 1u << k;
        }
        trial_random(run, trial, &random);
        account_trial(run, trial);
        uint64_t sum = 0, wall = trial->ended_ns - trial->created_ns;
        for (unsigned i = 0; i < SHARE_COUNT; i++)
            sum += run->share_ns[i];
        for (unsigned i = 0; i < pipeline->stage_count; i++)
            sum += run->stage_share_ns[i];
        assert_int_equal(sum, wall);
        assert_int_equal(run->trial_wall_ns, wall);
        assert_int_equal(run->share_error_ns_max, 0);
    }
    memory_free(&account, trial);
    memory_free(&account, pipeline);
    memory_free(&account, run);
    assert_int_equal(account.bytes, 0);
}

static void a_failed_trial_adds_up_too(void **state) {
    (void)state;
    struct run *run = memory_alloc(&account, sizeof *run);
    struct pipeline *pipeline = memory_alloc(&account, sizeof *pipeline);
    struct trial *trial = memory_alloc(&account, sizeof *trial);
    assert_true(run && pipeline && trial);
    run->pipeline = pipeline;
    pipeline->stage_count = 1;
    *trial = (struct trial){.state = TRIAL_FAILED, .created_ns = 100, .told_ns = 5100, .ended_ns = 6000};
    account_trial(run, trial);
    assert_int_equal(run->share_ns[SHARE_FAILED] + run->share_ns[SHARE_STORE], 5900);
    assert_int_equal(run->share_error_ns_max, 0);
    memory_free(&account, trial);
    memory_free(&account, pipeline);
    memory_free(&account, run);
}

/* Executions of one instance that overlap (a batch) count once: agents x wall could not add up otherwise. */
static void executions_of_an_instance_are_a_union(void **state) {
    (void)state;
    struct run *run = memory_alloc(&account, sizeof *run);
    assert_non_null(run);
    run->account = &account;
    assert_int_equal(map_create(&account, &run->clocks), TROUPE_OK);
    struct task task = {.agent = 5, .started_ns = 100, .ended_ns = 200};
    account_task(run, &task);
    task = (struct task){.agent = 5, .started_ns = 150, .ended_ns = 260};
    account_task(run, &task);
    task = (struct task){.agent = 6, .started_ns = 100, .ended_ns = 300};
    account_task(run, &task);
    task = (struct task){.agent = 0, .started_ns = 0, .ended_ns = 300}; /* never ran */
    account_task(run, &task);
    assert_int_equal(run->executing_ns, 160 + 200);
    assert_int_equal(run->tasks, 3);
    size_t at = 0, length;
    const char *key;
    void *value;
    while (map_next(run->clocks, &at, &key, &length, &value))
        memory_free(&account, value);
    map_free(run->clocks);
    memory_free(&account, run);
    assert_int_equal(account.bytes, 0);
}

int main(void) {
    account = ACCOUNT("test");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentages_add_to_one_hundred),
        cmocka_unit_test(a_trial_s_pieces_add_to_its_wall_time),
        cmocka_unit_test(a_failed_trial_adds_up_too),
        cmocka_unit_test(executions_of_an_instance_are_a_union),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
