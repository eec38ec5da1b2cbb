/* Children in virtual time: order of output and end, pauses, bounds, signals, and each fault. If this fails,
 * what agents are tested against is not what processes do. */
#include "sim_rig.h"

static void stop_when(void *arg) {
    env_workers_stop(arg);
}

static void a_child_echoes_and_ends(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct env *env = rig_sim((struct env_sim_options){.seed = seed});
        struct rig_model model = {.talk = rig_echo, .blocked_ns = 2 * MS, .cpu_ns = MS};
        struct rig_child rig;
        rig_install(env, &model);
        rig_spawn(&rig, env);
        OK(env_child_write(rig.child, "hello ", 6));
        OK(env_child_write(rig.child, "world", 5));
        env_child_close_input(rig.child);
        assert_int_equal(env_child_write(rig.child, "!", 1), TROUPE_DEAD);
        OK(rig_wait(env));
        assert_string_equal(buffer_string(&rig.out), "hello world");
        assert_int_equal(rig.exits, 1);
        assert_int_equal(rig.status, 3);
        assert_int_equal(rig.signal, 0);
        assert_int_equal(rig.usage.cpu_ns, model.inputs * MS);
        assert_int_equal(env_child_cpu(rig.child), model.inputs * MS);
        assert_int_equal(model.released, 1);
        assert_int_equal(env_child_write(rig.child, "!", 1), TROUPE_DEAD);
        rig_release(&rig);
        rig_end(env);
    }
}

static void a_child_without_a_last_word_ends_with_zero(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 1});
    struct rig_model model = {.talk = rig_echo};
    struct env_child_model table = {&model, rig_model_spawn, NULL, NULL, NULL};
    struct rig_child rig;
    env_sim_set_child_model(env, &table);
    rig_spawn(&rig, env);
    assert_true(env_child_pid(rig.child) > env_pid(env));
    OK(env_child_write(rig.child, "unheard", 7));
    env_child_close_input(rig.child);
    OK(rig_wait(env));
    assert_int_equal(rig.status, 0);
    rig_release(&rig);
    rig_end(env);
}

static void a_paused_child_waits(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 4, .time_max_ns = 1000 * MS});
    struct rig_model model = {.talk = rig_echo};
    struct rig_child rig;
    rig_install(env, &model);
    rig_spawn(&rig, env);
    char block[4096];
    memset(block, 'x', sizeof block);
    env_child_pause(rig.child, true);
    for (unsigned i = 0; i < 64; i++) /* 256 KiB in, 64 KiB fit in the pipe */
        OK(env_child_write(rig.child, block, sizeof block));
    env_child_close_input(rig.child);
    assert_int_equal(rig_wait(env), TROUPE_DEAD); /* nothing moves while it is paused */
    assert_int_equal(rig.out.length, 0);
    assert_int_equal(rig.exits, 0);
    env_child_pause(rig.child, false);
    OK(rig_wait(env));
    assert_int_equal(rig.out.length, 64 * sizeof block);
    assert_int_equal(rig.exits, 1);
    rig_release(&rig);
    rig_end(env);
}

static void unread_input_has_a_bound(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 4});
    struct rig_model model = {.talk = rig_echo};
    struct rig_child rig;
    rig_install(env, &model);
    struct env_child_spec spec = rig_spec(&rig, env, rig_program);
    spec.input_bytes_max = 10;
    OK(env_child_spawn(env, &spec, &rig.child, NULL));
    OK(env_child_write(rig.child, "12345678", 8));
    assert_int_equal(env_child_write(rig.child, "901", 3), TROUPE_FULL);
    OK(env_child_write(rig.child, "90", 2));
    rig.stop_at = 10;
    OK(rig_wait(env));
    OK(env_child_write(rig.child, "1234567890", 10));
    rig_release(&rig);
    rig_end(env);
}

static void signals_end_it_at_once(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 4});
    struct rig_model model = {.talk = rig_echo, .blocked_ns = 1000 * MS};
    struct rig_child rig;
    rig_install(env, &model);
    rig_spawn(&rig, env);
    OK(env_child_write(rig.child, "never said", 10));
    env_sim_at(env, env_now(env) + 10 * MS, stop_when, env);
    OK(rig_wait(env));
    env_child_kill(rig.child, SIGCONT);
    env_child_kill(rig.child, 0);
    assert_int_equal(model.released, 0);
    env_child_kill(rig.child, SIGTERM);
    assert_int_equal(model.released, 1); /* it has nothing any more when the call returns */
    OK(rig_wait(env));
    assert_int_equal(rig.signal, SIGTERM);
    assert_int_equal(rig.out.length, 0);
    rig_release(&rig);
    rig_end(env);
}

static void a_release_is_silent(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 4});
    struct rig_model model = {.talk = rig_echo, .blocked_ns = MS, .cpu_ns = MS};
    struct rig_child rig;
    rig_install(env, &model);
    rig_spawn(&rig, env);
    OK(env_child_write(rig.child, "never heard", 11));
    env_sim_at(env, env_now(env) + MS + MS / 2, stop_when, env);
    OK(rig_wait(env));
    rig_release(&rig);
    assert_int_equal(model.released, 1);
    assert_int_equal(rig_wait(env), TROUPE_DEAD);
    assert_int_equal(rig.exits, 0);
    rig_end(env);
}

/* ---- callbacks that do the worst ---- */

struct rude {
    struct env *env;
    struct env_child *child;
    unsigned calls;
};

static void rude_output(void *context, enum env_stream stream, const char *bytes, size_t length) {
    struct rude *rude = context;
    (void)stream;
    (void)bytes;
    (void)length;
    rude->calls++;
    env_child_release(rude->child);
    env_workers_stop(rude->env);
}

static void rude_exited(void *context, int status, int signal, const struct env_usage *usage) {
    (void)status;
    (void)signal;
    (void)usage;
    rude_output(context, ENV_STREAM_OUT, NULL, 0);
}

static void callbacks_may_release(void **state) {
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct rude rude = {.env = rig_sim((struct env_sim_options){.seed = seed})};
            struct rig_model model = {.talk = rig_echo};
            rig_install(rude.env, &model);
            struct env_child_spec spec = {.argv = rig_program, .events = {rude_output, rude_exited, &rude}};
            OK(env_child_spawn(rude.env, &spec, &rude.child, NULL));
            if (dies)
                env_child_close_input(rude.child);
            else
                OK(env_child_write(rude.child, "a line in pieces", 16));
            OK(rig_wait(rude.env));
            assert_int_equal(rude.calls, 1);
            assert_int_equal(model.released, 1);
            rig_end(rude.env);
        }
    }
}

/* ---- faults ---- */

struct tally {
    unsigned spawn_failed, crashed, hung, deaf_to_term, lost, delayed, whole;
};

static void one_life(uint64_t seed, const struct env_faults *faults, struct tally *tally) {
    struct env *env =
        rig_sim((struct env_sim_options){.seed = seed, .time_max_ns = 10000 * MS, .faults = *faults});
    struct rig_model model = {.talk = rig_echo, .blocked_ns = MS};
    struct rig_child rig;
    struct fault fault = {0};
    rig_install(env, &model);
    struct env_child_spec spec = rig_spec(&rig, env, rig_program);
    enum troupe_error error = env_child_spawn(env, &spec, &rig.child, &fault);
    if (error) {
        assert_int_equal(error, TROUPE_IO);
        assert_string_not_equal(fault.text, "");
        tally->spawn_failed++;
        rig_end(env);
        return;
    }
    OK(env_child_write(rig.child, "0123456789", 10));
    env_child_close_input(rig.child);
    uint64_t begin = env_now(env);
    if (rig_wait(env) == TROUPE_DEAD) {
        tally->hung++;
        assert_int_equal(rig.exits, 0);
        env_child_kill(rig.child, SIGTERM);
        if (rig_wait(env) == TROUPE_DEAD) {
            tally->deaf_to_term++;
            env_child_kill(rig.child, SIGKILL);
            OK(rig_wait(env));
        }
    } else if (rig.signal == SIGSEGV) {
        tally->crashed++;
    } else {
        assert_int_equal(rig.status, 3);
        tally->lost += rig.out.length < 10;
        tally->delayed += env_now(env) - begin > 10 * MS;
        tally->whole += rig.out.length == 10;
    }
    assert_int_equal(rig.exits, 1);
    assert_int_equal(model.released, 1);
    assert_true(rig.out.length <= 10);
    rig_release(&rig);
    rig_end(env);
}

static void every_fault_happens(void **state) {
    (void)state;
    const struct env_faults faults = {.child_spawn_fails = 0.1,
                                      .child_crash = 0.1,
                                      .child_hang = 0.1,
                                      .child_line_lost = 0.1,
                                      .child_delay = 0.2,
                                      .child_delay_ns_max = 100 * MS};
    struct tally tally = {0}, none = {0};
    for (uint64_t seed = 0; seed < 1000; seed++)
        one_life(seed, &faults, &tally);
    assert_in_range(tally.spawn_failed, 50, 200);
    assert_in_range(tally.crashed, 50, 200);
    assert_in_range(tally.hung, 50, 200);
    assert_in_range(tally.deaf_to_term, 20, tally.hung - 20);
    assert_in_range(tally.lost, 40, 200);
    assert_in_range(tally.delayed, 50, 300);
    assert_in_range(tally.whole, 400, 800);
    for (uint64_t seed = 0; seed < 100; seed++)
        one_life(seed, &(struct env_faults){0}, &none);
    assert_int_equal(none.whole, 100); /* and none without being asked for */
}

static void a_refused_spawn_leaves_nothing(void **state) {
    (void)state;
    struct env *env = rig_sim((struct env_sim_options){.seed = 1});
    struct rig_model model = {.refuse = true};
    struct rig_child rig;
    struct env_child_spec spec = rig_spec(&rig, env, rig_program);
    assert_int_equal(env_child_spawn(env, &spec, &rig.child, NULL), TROUPE_NOT_FOUND); /* no model at all */
    rig_install(env, &model);
    assert_int_equal(env_child_spawn(env, &spec, &rig.child, NULL), TROUPE_IO);
    rig_end(env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_echoes_and_ends),
        cmocka_unit_test(a_child_without_a_last_word_ends_with_zero),
        cmocka_unit_test(a_paused_child_waits),
        cmocka_unit_test(unread_input_has_a_bound),
        cmocka_unit_test(signals_end_it_at_once),
        cmocka_unit_test(a_release_is_silent),
        cmocka_unit_test(callbacks_may_release),
        cmocka_unit_test(every_fault_happens),
        cmocka_unit_test(a_refused_spawn_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
