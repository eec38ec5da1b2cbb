/* The processors as a processor-sharing station, against closed forms and against a naive fluid model. If
 * this fails, every prediction of how long agents take on too few cores is wrong. */
#include <math.h>

#include "sim_rig.h"

#define JOBS_MAX 12

/* A child that computes `need_ns` from `start_ns` on, and when it was done. */
struct load {
    struct env *env;
    struct env_child *child;
    uint64_t start_ns, need_ns, done_ns;
    unsigned *left;
};

static void load_output(void *context, enum env_stream stream, const char *bytes, size_t length) {
    struct load *load = context;
    (void)stream;
    (void)bytes;
    (void)length;
    load->done_ns = env_now(load->env);
    if (--*load->left == 0)
        env_workers_stop(load->env);
}

static void load_exited(void *context, int status, int signal, const struct env_usage *usage) {
    (void)context;
    (void)status;
    (void)signal;
    (void)usage;
    fail_msg("nobody ended this child");
}

static void load_start(void *arg) {
    struct load *load = arg;
    env_sim_child_emit(load->child, 0, load->need_ns, ".", 1);
}

/* Runs the loads (start and need are set) and returns the virtual time used by the first to the last event.
 */
static void loads_run(unsigned cores, struct load *loads, unsigned count) {
    struct env *env = rig_sim((struct env_sim_options){.seed = 7, .cores = cores, .workers = 1});
    struct rig_model model = {0};
    unsigned left = count;
    rig_install(env, &model);
    uint64_t begin = env_now(env);
    for (unsigned i = 0; i < count; i++) {
        loads[i].env = env;
        loads[i].left = &left;
        struct env_child_spec spec = {.argv = rig_program, .events = {load_output, load_exited, &loads[i]}};
        OK(env_child_spawn(env, &spec, &loads[i].child, NULL));
        env_sim_at(env, begin + loads[i].start_ns, load_start, &loads[i]);
    }
    OK(rig_wait(env));
    for (unsigned i = 0; i < count; i++) {
        loads[i].done_ns -= begin;
        assert_int_equal(env_child_cpu(loads[i].child), loads[i].need_ns);
        assert_int_equal(env_child_core_wait(loads[i].child),
                         loads[i].done_ns - loads[i].start_ns - loads[i].need_ns);
        env_child_release(loads[i].child);
    }
    rig_end(env);
}

static void equal_jobs_share(void **state) {
    (void)state;
    for (unsigned cores = 1; cores <= 4; cores++) {
        for (unsigned count = 1; count <= JOBS_MAX; count++) {
            struct load loads[JOBS_MAX] = {0};
            for (unsigned i = 0; i < count; i++)
                loads[i].need_ns = 10 * MS;
            loads_run(cores, loads, count);
            /* n jobs of S on C cores: each has C/n of a core, so all end at S n / C. */
            uint64_t expected = count > cores ? 10 * MS * count / cores : 10 * MS;
            for (unsigned i = 0; i < count; i++)
                assert_in_range(loads[i].done_ns, expected, expected + 2);
        }
    }
}

static void shorter_jobs_leave_first(void **state) {
    (void)state;
    /* One core, needs 1, 2, 3 ms: at 3 ms the first has its 1; then two share: 3 + 2*1 = 5; then one: 6. */
    struct load loads[3] = {{.need_ns = 1 * MS}, {.need_ns = 2 * MS}, {.need_ns = 3 * MS}};
    loads_run(1, loads, 3);
    assert_in_range(loads[0].done_ns, 3 * MS, 3 * MS + 2);
    assert_in_range(loads[1].done_ns, 5 * MS, 5 * MS + 2);
    assert_in_range(loads[2].done_ns, 6 * MS, 6 * MS + 2);
}

/* The fluid model, step by step from event to event, in doubles. */
static void fluid(unsigned cores, const struct load *loads, unsigned count, double *ret_done) {
    double now = 0, left[JOBS_MAX];
    bool done[JOBS_MAX] = {0};
    for (unsigned i = 0; i < count; i++)
        left[i] = (double)loads[i].need_ns;
    for (unsigned open = count; open > 0;) {
        unsigned running = 0;
        double next = 1e18;
        for (unsigned i = 0; i < count; i++)
            running += !done[i] && (double)loads[i].start_ns <= now;
        double rate = running > cores ? (double)cores / running : 1;
        for (unsigned i = 0; i < count; i++) {
            if (done[i])
                continue;
            double until = (double)loads[i].start_ns > now ? (double)loads[i].start_ns - now : left[i] / rate;
            next = until < next ? until : next;
        }
        for (unsigned i = 0; i < count; i++) {
            if (done[i] || (double)loads[i].start_ns > now)
                continue;
            left[i] -= next * rate;
            if (left[i] < 1e-3) {
                done[i] = true;
                ret_done[i] = now + next;
                open--;
            }
        }
        now += next;
    }
}

static void random_loads_match_the_fluid_model(void **state) {
    (void)state;
    struct random_stream random;
    random_seed(&random, 11, 0);
    for (unsigned round = 0; round < 300; round++) {
        struct load loads[JOBS_MAX] = {0};
        double expected[JOBS_MAX];
        unsigned cores = 1 + (unsigned)random_below(&random, 4),
                 count = 1 + (unsigned)random_below(&random, JOBS_MAX);
        for (unsigned i = 0; i < count; i++) {
            loads[i].start_ns = random_below(&random, 20 * MS);
            loads[i].need_ns = 1 + random_below(&random, 20 * MS);
        }
        fluid(cores, loads, count, expected);
        loads_run(cores, loads, count);
        for (unsigned i = 0; i < count; i++)
            if (fabs((double)loads[i].done_ns - expected[i]) > 30)
                fail_msg("round %u: job %u ends at %.0f, the fluid model says %.0f", round, i,
                         (double)loads[i].done_ns, expected[i]);
    }
}

static void let_go(void *child) {
    env_child_release(child);
}

static void a_stopped_job_gives_its_share_back(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 3, .cores = 1, .workers = 1});
    struct rig_model model = {.talk = rig_echo, .cpu_ns = 10 * MS, .stay = true};
    rig_install(env, &model);
    struct rig_child one, two;
    rig_spawn(&one, env);
    rig_spawn(&two, env);
    OK(env_child_write(one.child, "1", 1));
    OK(env_child_write(two.child, "2", 1));
    uint64_t begin = env_now(env);
    one.stop_at = two.stop_at = 1;
    env_sim_at(env, begin + 4 * MS, let_go, one.child);
    OK(rig_wait(env));
    /* 4 ms at half speed leave 8 of 10: done at 12. */
    assert_in_range(env_now(env) - begin, 12 * MS, 12 * MS + 2);
    buffer_free(&one.out);
    buffer_free(&one.err);
    rig_release(&two);
    rig_end(env);
}

static void look_and_kill(void *arg) {
    struct rig_child *one = arg;
    assert_int_equal(env_child_cpu(one->child), 2 * MS);
    assert_int_equal(env_child_core_wait(one->child), 2 * MS);
    env_child_kill(one->child, SIGKILL);
    assert_int_equal(env_child_core_wait(one->child), 2 * MS);
}

/* What it is blocked is no wait for a core; a wait counts while it lasts, and stays when the child is killed. */
static void waits_for_a_core_are_told_apart(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 3, .cores = 1, .workers = 1});
    struct rig_model model = {.talk = rig_echo, .blocked_ns = 3 * MS, .cpu_ns = 10 * MS, .stay = true};
    rig_install(env, &model);
    struct rig_child one, two;
    rig_spawn(&one, env);
    rig_spawn(&two, env);
    OK(env_child_write(one.child, "1", 1));
    OK(env_child_write(two.child, "2", 1));
    two.stop_at = 1;
    uint64_t begin = env_now(env);
    env_sim_at(env, begin + 7 * MS, look_and_kill, &one);
    while (two.out.length == 0)
        OK(rig_wait(env));
    assert_int_equal(env_now(env) - begin, 15 * MS);
    assert_int_equal(env_child_core_wait(one.child), 2 * MS);
    assert_int_equal(env_child_core_wait(two.child), 2 * MS);
    assert_int_equal(env_child_cpu(two.child), 10 * MS);
    rig_release(&one);
    rig_release(&two);
    rig_end(env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_jobs_share),
        cmocka_unit_test(shorter_jobs_leave_first),
        cmocka_unit_test(random_loads_match_the_fluid_model),
        cmocka_unit_test(a_stopped_job_gives_its_share_back),
        cmocka_unit_test(waits_for_a_core_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
