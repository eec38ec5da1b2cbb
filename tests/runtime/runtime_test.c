/* The runtime as a whole: its options, what it counts, fairness between those who run, bounds that come back, and
 * every way to stop. Fails if an actor starves, a long turn goes unnamed, or a bound is not given back. */
#include "runtime_rig.h"

#include <pthread.h>

static void options_are_bounded(void **state) {
    (void)state;
    struct account account = ACCOUNT("runtime_test");
    struct env *env = NULL;
    struct runtime *runtime = NULL;
    struct fault fault = {0};
    OK(env_os_create(&account, &env));
    assert_int_equal(
        runtime_create(env, &account, &(struct runtime_options){.workers = 65}, &runtime, &fault),
        TROUPE_LIMIT);
    assert_non_null(strstr(fault.text, "at most 64"));
    assert_null(runtime);
    OK(runtime_create(env, &account, NULL, &runtime, &fault));
    assert_true(runtime_workers(runtime) >= 1 && runtime_env(runtime) == env &&
                runtime_tracer(runtime) == NULL);
    assert_non_null(runtime_grace(runtime));
    runtime_free(runtime); /* it never ran */
    runtime_free(NULL);
    OK(runtime_create(env, &account, &(struct runtime_options){.workers = 64}, &runtime, &fault));
    assert_int_equal(runtime_workers(runtime), 64);
    runtime_free(runtime);
    env_destroy(env);
    assert_int_equal(account.bytes, 0);
}

/* ---- long turns ---- */

static void slow_handle(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    while (message->token == 1 && env_now(rig_env) - turn->now_ns < 3 * MILLISECOND) {
    }
    if (message->token == 2)
        runtime_stop(turn->runtime);
}

static void long_turns_are_counted_and_named(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct tracer *tracer = NULL;
        rig_account = ACCOUNT("runtime_rig");
        OK(env_os_create(&rig_account, &rig_env));
        OK(tracer_create(rig_env, &rig_account, workers, 64, &tracer));
        tracer_enable(tracer, true);
        struct runtime_options options = {.workers = workers, .tracer = tracer};
        OK(runtime_create(rig_env, &rig_account, &options, &rig_runtime, NULL));
        struct actor_spec spec = {.name = "slow as can be, and then some", .handle = slow_handle};
        actor_ref slow;
        OK(actor_spawn(rig_runtime, &spec, &slow));
        for (uint64_t token = 0; token <= 2; token++)
            OK(rig_post(NULL, slow, MESSAGE_USER, token));
        OK(runtime_run(rig_runtime));
        struct runtime_statistics statistics = rig_statistics();
        assert_in_range(statistics.long_turns, 1, 3); /* a machine under load may stretch the others too */
        assert_true(statistics.longest_turn_ns >= 3 * MILLISECOND);
        assert_string_equal(statistics.longest_turn_actor, "slow as can be, and the");
        assert_int_equal(tracer_emitted(tracer), statistics.long_turns);
        assert_true(runtime_self_cpu(rig_runtime) > 0);
        runtime_free(rig_runtime);
        tracer_free(tracer);
        env_destroy(rig_env);
        assert_int_equal(rig_account.bytes, 0);
    }
}

/* ---- nobody starves ---- */

#define BUSY 8U

struct crowd {
    actor_ref patient;
    unsigned turns, timers;
    _Atomic unsigned counts[BUSY]; /* turns of the busy ones */
};

static void busy_handle(struct turn *turn, void *state, const struct message *message) {
    (void)message;
    atomic_fetch_add((_Atomic unsigned *)state, 1);
    OK(rig_post(turn, turn->self, MESSAGE_RUN_STEP, 0)); /* for ever */
}

/* Hears of everything from outside, then looks at the others every millisecond until each has had turns. */
static void patient_handle(struct turn *turn, void *state, const struct message *message) {
    struct crowd *crowd = state;
    uint64_t timer;
    bool all = true;
    if (message->kind != MESSAGE_TIMER && ++crowd->turns < 100)
        return;
    for (unsigned at = 0; at < BUSY; at++)
        all = all && atomic_load(&crowd->counts[at]) > 100;
    CHECK(++crowd->timers < 10000);
    if (all && crowd->timers > 1)
        runtime_stop(turn->runtime);
    else
        OK(timer_start(turn, turn->now_ns + MILLISECOND, 0, &timer));
}

static void *post_from_outside(void *arg) {
    const struct crowd *crowd = arg;
    for (unsigned at = 0; at < 100; at++)
        CHECK(rig_post(NULL, crowd->patient, MESSAGE_USER, at) == TROUPE_OK);
    return NULL;
}

/* Busy actors fill every worker; what a thread outside brings, a pinned actor and a timer still get their turns. */
static void busy_actors_starve_nobody(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++)
        for (unsigned pinned = 0; pinned < 2; pinned++) {
            rig_begin(workers);
            struct crowd crowd = {0};
            struct actor_spec spec = {.handle = patient_handle, .state = &crowd, .pinned = pinned};
            OK(actor_spawn(rig_runtime, &spec, &crowd.patient));
            for (unsigned at = 0; at < BUSY; at++) {
                actor_ref busy = rig_spawn(busy_handle, (void *)&crowd.counts[at]);
                OK(rig_post(NULL, busy, MESSAGE_RUN_STEP, 0));
            }
            pthread_t thread;
            assert_int_equal(pthread_create(&thread, NULL, post_from_outside, &crowd), 0);
            OK(runtime_run(rig_runtime));
            assert_int_equal(pthread_join(thread, NULL), 0);
            assert_int_equal(crowd.turns, 100);
            rig_end();
        }
}

/* ---- bounds come back ---- */

struct bytes {
    unsigned handled, refused;
    struct message *kept;
};

static void bytes_handle(struct turn *turn, void *state, const struct message *message) {
    struct bytes *bytes = state;
    if (message->kind == MESSAGE_RUN_STEP) {
        for (unsigned at = 0; at < 5; at++) { /* 10,000 bytes fit 3 of 3,000 and any number of small ones */
            struct message *large = message_new(turn->runtime, MESSAGE_USER, 3000);
            struct message *small = message_new(turn->runtime, MESSAGE_USER, 1024);
            assert_int_equal(actor_send(turn->runtime, turn, turn->self, &large),
                             at < 3 ? TROUPE_OK : TROUPE_FULL);
            OK(actor_send(turn->runtime, turn, turn->self, &small));
            bytes->refused += large != NULL;
            message_free(&large);
        }
        OK(rig_post(turn, turn->self, MESSAGE_RUN_STOP, 0));
        return;
    }
    if (message->kind == MESSAGE_USER) {
        bytes->handled++;
        if (bytes->kept == NULL)
            bytes->kept = turn_take(turn); /* what a handler keeps is no longer the mailbox's */
    } else if (bytes->handled < 40) {
        OK(rig_post(turn, turn->self, MESSAGE_RUN_STEP, 0));
    } else {
        message_free(&bytes->kept);
        runtime_stop(turn->runtime);
    }
}

static void bytes_of_a_mailbox_come_back(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        if (seed == 0)
            rig_begin(1);
        else
            rig_begin_sim(seed);
        struct bytes bytes = {0};
        struct actor_spec spec = {.handle = bytes_handle, .state = &bytes, .mailbox_bytes_max = 10000};
        actor_ref ref;
        OK(actor_spawn(rig_runtime, &spec, &ref));
        OK(rig_post(NULL, ref, MESSAGE_RUN_STEP, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(bytes.handled, 40);
        assert_int_equal(bytes.refused, 10);
        assert_int_equal(rig_statistics().refused, 10);
        rig_end();
    }
}

/* ---- stopping ---- */

static void *stop_from_outside(void *arg) {
    (void)arg;
    runtime_stop(rig_runtime);
    runtime_stop(rig_runtime);
    return NULL;
}

static void a_run_can_be_stopped_from_anywhere(void **state) {
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        rig_begin(1 + round % 4);
        _Atomic unsigned count = 0;
        pthread_t thread;
        if (round % 2 == 0)
            OK(rig_post(NULL, rig_spawn(busy_handle, (void *)&count), MESSAGE_RUN_STEP, 0));
        if (round < 4)
            runtime_stop(rig_runtime); /* before it runs */
        else
            assert_int_equal(pthread_create(&thread, NULL, stop_from_outside, NULL), 0);
        OK(runtime_run(rig_runtime));
        if (round >= 4)
            assert_int_equal(pthread_join(thread, NULL), 0);
        rig_end();
    }
}

/* A simulation in which nothing can happen any more says so, and everything is given back. */
static void a_deadlock_is_told(void **state) {
    (void)state;
    rig_begin_sim(4);
    rig_spawn(rig_ignore, NULL);
    assert_int_equal(runtime_run(rig_runtime), TROUPE_DEAD);
    rig_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_bounded),
        cmocka_unit_test(long_turns_are_counted_and_named),
        cmocka_unit_test(busy_actors_starve_nobody),
        cmocka_unit_test(bytes_of_a_mailbox_come_back),
        cmocka_unit_test(a_run_can_be_stopped_from_anywhere),
        cmocka_unit_test(a_deadlock_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
