/* The simulated event loop: the same seed is the same run, another seed another one; how a run ends; wakes,
 * jobs, signals, injected events. If this fails, a failing seed cannot be replayed. */
#include "sim_rig.h"

/* Four workers pass a token around at random, park with deadlines, start jobs; everything is written down. */
struct scene {
    struct env *env;
    unsigned turns_left, log_count;
    bool work[4];
    uint64_t log[4096];
    struct env_job job[8];
    unsigned jobs_started, jobs_done;
};

static void scene_log(struct scene *scene, uint64_t what) {
    if (scene->log_count < ARRAY_COUNT(scene->log))
        scene->log[scene->log_count++] = hash_bytes(&what, sizeof what, env_now(scene->env));
}

static void job_fn(void *arg) {
    scene_log(arg, 1000);
}

static void job_done(void *arg) {
    struct scene *scene = arg;
    scene->jobs_done++;
    scene_log(scene, 2000);
    env_worker_wake(scene->env, scene->jobs_done % 4);
}

static struct env_step scene_step(void *context, unsigned worker) {
    struct scene *scene = context;
    scene_log(scene, worker);
    if (scene->turns_left == 0) {
        env_workers_stop(scene->env);
        return (struct env_step){false, UINT64_MAX};
    }
    scene->turns_left--;
    unsigned next = (unsigned)(env_random(scene->env) % 4);
    scene->work[next] = true;
    env_worker_wake(scene->env, next);
    if (scene->jobs_started < 8 && env_random(scene->env) % 4 == 0) {
        struct env_job *job = &scene->job[scene->jobs_started++];
        *job = (struct env_job){.fn = job_fn, .done = job_done, .arg = scene, .sim_cpu_ns = MS};
        OK(env_job_start(scene->env, env_random(scene->env) % 2 ? ENV_LANE_STORE : ENV_LANE_POOL, job));
    }
    bool ran = scene->work[worker];
    scene->work[worker] = false;
    return (struct env_step){ran, env_now(scene->env) + env_random(scene->env) % MS};
}

static void scene_play(struct scene *scene, uint64_t seed, uint64_t *ret_signature) {
    *scene = (struct scene){.turns_left = 300, .work = {true}};
    scene->env =
        rig_sim((struct env_sim_options){.seed = seed, .workers = 4, .turn_cpu_ns = seed % 2 * 1000});
    struct env_workers workers = {.count = 4, .step = scene_step, .context = scene};
    OK(env_workers_run(scene->env, &workers));
    env_jobs_wait(scene->env);
    assert_int_equal(scene->jobs_done, scene->jobs_started);
    *ret_signature = env_sim_signature(scene->env);
    assert_true(env_sim_events(scene->env) > 300);
    rig_end(scene->env);
}

static void a_seed_is_a_run(void **state) {
    (void)state;
    static struct scene first, again;
    uint64_t before = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        uint64_t signature, replayed;
        scene_play(&first, seed, &signature);
        scene_play(&again, seed, &replayed);
        assert_int_equal(signature, replayed);
        assert_int_equal(first.log_count, again.log_count);
        assert_memory_equal(first.log, again.log, first.log_count * sizeof first.log[0]);
        assert_int_not_equal(signature, before);
        before = signature;
    }
}

static void a_note_changes_the_signature(void **state) {
    (void)state;
    uint64_t signatures[2];
    for (unsigned i = 0; i < 2; i++) {
        struct env *env = rig_sim((struct env_sim_options){.seed = 1});
        env_note(env, 1, i);
        signatures[i] = env_sim_signature(env);
        rig_end(env);
    }
    assert_int_not_equal(signatures[0], signatures[1]);
}

static void nothing_left_is_a_deadlock(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 1});
    assert_int_equal(rig_wait(env), TROUPE_DEAD);
    rig_end(env);
}

static struct env_step tick(void *context, unsigned worker) {
    (void)worker;
    struct env *env = context;
    return (struct env_step){false, env_now(env) + MS};
}

static struct env_step busy(void *context, unsigned worker) {
    (void)context;
    (void)worker;
    return (struct env_step){true, 0};
}

static void bounds_end_a_run(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 1, .time_max_ns = 100 * MS});
    uint64_t begin = env_now(env);
    struct env_workers workers = {.count = 1, .step = tick, .context = env};
    assert_int_equal(env_workers_run(env, &workers), TROUPE_TIMEOUT);
    assert_in_range(env_now(env) - begin, 99 * MS, 100 * MS);
    rig_end(env);
    env = rig_sim((struct env_sim_options){.seed = 1, .events_max = 1000});
    workers.step = busy;
    assert_int_equal(env_workers_run(env, &workers), TROUPE_TIMEOUT);
    assert_int_equal(env_sim_events(env), 1000);
    rig_end(env);
}

static void a_power_cut_ends_a_run(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 1, .faults = {.power_cut_after_events = 500}});
    struct env_workers workers = {.count = 1, .step = busy};
    assert_int_equal(env_workers_run(env, &workers), TROUPE_CANCELLED);
    assert_int_equal(env_sim_events(env), 500);
    struct env_info info;
    assert_int_equal(env_info(env, "/", &info), TROUPE_IO);
    rig_end(env);
}

struct parks {
    struct env *env;
    bool parked[4];
    unsigned parks;
};

static void parks_note(void *context, unsigned worker, bool parking) {
    struct parks *parks = context;
    assert_int_equal(parks->parked[worker], !parking);
    parks->parked[worker] = parking;
    parks->parks += parking;
}

static struct env_step parks_step(void *context, unsigned worker) {
    struct parks *parks = context;
    assert_false(parks->parked[worker]); /* told that it is awake before it steps */
    env_worker_wake(parks->env, (worker + 1) % 4);
    return (struct env_step){false, env_now(parks->env) + MS};
}

static void parks_at(void *arg) {
    assert_false(((struct parks *)arg)->parked[0]); /* callbacks find worker 0 awake */
}

static void parks_are_told(void **state) {
    (void)state;
    struct parks parks = {.env = rig_sim((struct env_sim_options){.seed = 1, .events_max = 5000})};
    struct env_workers workers = {.count = 4, .step = parks_step, .park = parks_note, .context = &parks};
    for (unsigned i = 0; i < 20; i++)
        env_sim_at(parks.env, env_now(parks.env) + i * 10000, parks_at, &parks);
    assert_int_equal(env_workers_run(parks.env, &workers), TROUPE_TIMEOUT);
    assert_true(parks.parks > 1000);
    for (unsigned i = 0; i < 4; i++)
        assert_false(parks.parked[i]);
    rig_end(parks.env);
}

/* A stop before the run is honoured, and used up. */
static void an_early_stop_counts_once(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 1});
    env_workers_stop(env);
    OK(rig_wait(env));
    assert_int_equal(rig_wait(env), TROUPE_DEAD);
    rig_end(env);
}

/* ---- lanes ---- */

struct lane_log {
    struct env *env;
    unsigned order[6], count, running, running_max;
};
struct lane_job {
    struct env_job job;
    struct lane_log *log;
    unsigned number;
};

static void lane_fn(void *arg) {
    struct lane_job *job = arg;
    job->log->running++;
    if (job->log->running > job->log->running_max)
        job->log->running_max = job->log->running;
}

static void lane_done(void *arg) {
    struct lane_job *job = arg;
    struct lane_log *log = job->log;
    log->running--;
    log->order[log->count++] = job->number;
    if (log->count == 6)
        env_workers_stop(log->env);
}

static void lane_run(enum env_lane lane, unsigned cores, struct lane_log *log, uint64_t *ret_ns) {
    *log = (struct lane_log){0};
    log->env = rig_sim((struct env_sim_options){.seed = 5, .cores = cores});
    struct lane_job jobs[6];
    uint64_t begin = env_now(log->env);
    for (unsigned i = 0; i < 6; i++) {
        jobs[i] = (struct lane_job){
            {.fn = lane_fn, .done = lane_done, .arg = &jobs[i], .sim_cpu_ns = MS, .sim_blocked_ns = MS},
            log,
            i};
        OK(env_job_start(log->env, lane, &jobs[i].job));
    }
    OK(rig_wait(log->env));
    *ret_ns = env_now(log->env) - begin;
    assert_int_equal(env_process_cpu(log->env), 6 * MS);
    rig_end(log->env);
}

static void lanes_keep_their_width_and_order(void **state) {
    (void)state;
    struct lane_log log;
    uint64_t ns;
    lane_run(ENV_LANE_STORE, 3, &log, &ns);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(log.order[i], i);
    assert_int_equal(log.running_max, 1);
    assert_int_equal(ns, 12 * MS);
    lane_run(ENV_LANE_POOL, 3, &log, &ns);
    assert_int_equal(log.running_max, 3);
    assert_int_equal(ns, 4 * MS);
}

static void nothing(void *arg) {
    (void)arg;
}

static void a_lane_has_a_bound(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 5});
    struct env_job *jobs = calloc(70000, sizeof *jobs);
    assert_non_null(jobs);
    enum troupe_error error = TROUPE_OK;
    unsigned count = 0;
    for (; !error && count < 70000; count++) {
        jobs[count].fn = nothing;
        error = env_job_start(env, ENV_LANE_STORE, &jobs[count]);
    }
    assert_int_equal(error, TROUPE_FULL);
    assert_in_range(count, 65536, 65540);
    rig_end(env);
    free(jobs);
}

/* ---- what comes from outside ---- */

struct outside {
    struct env *env;
    uint64_t at[3];
    unsigned count, stops, reloads;
};

static void outside_at(void *arg) {
    struct outside *outside = arg;
    outside->at[outside->count++] = env_now(outside->env);
    if (outside->count == 1) {
        env_sim_signal(outside->env, ENV_SIGNAL_RELOAD);
        env_sim_signal(outside->env, ENV_SIGNAL_STOP);
    }
}

static void outside_signal(void *context, enum env_signal signal) {
    struct outside *outside = context;
    outside->stops += signal == ENV_SIGNAL_STOP;
    outside->reloads += signal == ENV_SIGNAL_RELOAD;
    if (outside->stops && outside->reloads)
        env_workers_stop(outside->env);
}

static void injected_events_and_signals_arrive(void **state) {
    (void)state;
    struct outside outside = {.env = rig_sim((struct env_sim_options){.seed = 9})};
    uint64_t begin = env_now(outside.env);
    OK(env_signals(outside.env, outside_signal, &outside));
    for (unsigned i = 0; i < 200; i++) /* past the block made at the start */
        env_sim_at(outside.env, begin + (1000 + i) * MS, outside_at, &outside);
    env_sim_at(outside.env, begin + 2 * MS, outside_at, &outside);
    env_sim_at(outside.env, 0, outside_at, &outside); /* the past is now */
    OK(rig_wait(outside.env));
    assert_int_equal(outside.at[0], begin);
    assert_int_equal(outside.stops, 1);
    assert_int_equal(outside.reloads, 1);
    rig_end(outside.env);
}

static void the_machine_is_the_options(void **state) {
    (void)state;
    unsigned drawn = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct env *env = rig_sim((struct env_sim_options){.seed = seed, .cores = 7});
        assert_true(env_is_sim(env));
        assert_in_range(env_sim_workers(env), 1, 4);
        drawn |= 1u << env_sim_workers(env);
        assert_int_equal(env_cores(env), 7);
        assert_null(env_variable(env, "PATH"));
        assert_string_equal(env_program(env), "/troupe");
        assert_false(env_terminal(env, 1, NULL));
        assert_true(env_utc(env) > 0);
        assert_int_equal(env_ticks(env), env_now(env));
        assert_true(env_pid(env) > 0);
        uint64_t before_pause = env_now(env);
        env_pause(env, 1000000000);
        assert_int_equal(env_now(env), before_pause);
        rig_end(env);
    }
    assert_int_equal(drawn, 2 + 4 + 8 + 16); /* every width occurs */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_is_a_run),
        cmocka_unit_test(a_note_changes_the_signature),
        cmocka_unit_test(nothing_left_is_a_deadlock),
        cmocka_unit_test(bounds_end_a_run),
        cmocka_unit_test(a_power_cut_ends_a_run),
        cmocka_unit_test(parks_are_told),
        cmocka_unit_test(an_early_stop_counts_once),
        cmocka_unit_test(lanes_keep_their_width_and_order),
        cmocka_unit_test(a_lane_has_a_bound),
        cmocka_unit_test(injected_events_and_signals_arrive),
        cmocka_unit_test(the_machine_is_the_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
