/* Supervision in virtual time: what is restarted, when, how often, and what is told upwards. Fails if a child is
 * restarted past its budget or without its backoff, if an end is not reported, or if a stop leaves a child. */
#include "runtime_rig.h"

#define SECOND UINT64_C(1000000000)

struct stage { /* the test's script and what it saw */
    struct supervision supervision;
    actor_ref supervisor;
    enum troupe_error ends[16]; /* how the n-th child ends; INTERNAL: it stays; NOMEM: make fails */
    uint64_t lives_ns;          /* how long a child lives */
    uint64_t stop_after_ns;     /* 0: the supervisor is not stopped by the test */
    unsigned made, started, destroyed, downs;
    enum troupe_error reason; /* of the supervisor */
    uint64_t made_ns[32], down_ns;
    bool stop_postponed; /* the child takes a second to end when stopped */
};

struct child {
    struct stage *stage;
    unsigned attempt;
    bool stopping;
};
static struct child children[32];

static void child_handle(struct turn *turn, void *state, const struct message *message) {
    struct child *child = state;
    uint64_t timer;
    if (message->kind == MESSAGE_USER) {
        if (child->stage->ends[child->attempt] != TROUPE_INTERNAL)
            OK(timer_start(turn, turn->now_ns + child->stage->lives_ns, 0, &timer));
    } else if (message->kind == MESSAGE_TIMER) {
        actor_exit(turn, child->stopping ? TROUPE_CANCELLED : child->stage->ends[child->attempt]);
    } else if (message->kind == MESSAGE_EXIT && child->stage->stop_postponed) {
        struct message *mine = turn_take(turn);
        message_free(&mine);
        child->stopping = true;
        OK(timer_start(turn, turn->now_ns + SECOND, 0, &timer));
    }
}

static void child_destroy(void *state) {
    ((struct child *)state)->stage->destroyed++;
}

static enum troupe_error stage_make(void *context, unsigned attempt, struct actor_spec *ret_spec) {
    struct stage *stage = context;
    assert_int_equal(attempt, stage->made);
    stage->made_ns[stage->made++] = env_now(rig_env);
    if (stage->ends[attempt] == TROUPE_NOMEM)
        return TROUPE_NOMEM;
    children[attempt] = (struct child){stage, attempt, false};
    *ret_spec = (struct actor_spec){
        .name = "child", .handle = child_handle, .state = &children[attempt], .destroy = child_destroy};
    return TROUPE_OK;
}

static void stage_started(void *context, struct turn *turn, unsigned attempt, actor_ref actor) {
    struct stage *stage = context;
    assert_int_equal(attempt + 1, stage->made);
    assert_true(actor_alive(turn->runtime, actor));
    stage->started++;
    OK(rig_post(turn, actor, MESSAGE_USER, 0));
}

static void stage_handle(struct turn *turn, void *state, const struct message *message) {
    struct stage *stage = state;
    uint64_t timer;
    if (message->kind == MESSAGE_RUN_START) {
        stage->supervision.make = stage_make;
        stage->supervision.started = stage_started;
        stage->supervision.context = stage;
        OK(supervisor_spawn(turn->runtime, &stage->supervision, turn->self, &stage->supervisor));
        if (stage->stop_after_ns != 0)
            OK(timer_start(turn, turn->now_ns + stage->stop_after_ns, 0, &timer));
    } else if (message->kind == MESSAGE_TIMER) {
        actor_stop(turn->runtime, stage->supervisor, TROUPE_CANCELLED);
        actor_stop(turn->runtime, stage->supervisor, TROUPE_CANCELLED); /* twice is no worse */
    } else if (message->kind == MESSAGE_DOWN) {
        const struct message_down *down = MESSAGE_PAYLOAD(message, const struct message_down);
        assert_true(down->actor == stage->supervisor);
        assert_int_equal(++stage->downs, 1);
        stage->reason = down->reason;
        stage->down_ns = turn->now_ns;
        assert_int_equal(stage->destroyed, stage->started); /* no child outlives it */
        runtime_stop(turn->runtime);
    }
}

/* Plays it under a few seeds: the same each time. */
static struct stage play(const struct stage *script) {
    struct stage stage;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        rig_begin_sim(seed);
        stage = *script;
        OK(rig_post(NULL, rig_spawn(stage_handle, &stage), MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(stage.downs, 1);
        rig_end();
    }
    return stage;
}

#define DIES TROUPE_WORKER

static void a_normal_end_is_the_end(void **state) {
    (void)state;
    struct stage stage = play(&(struct stage){
        .supervision = {.restarts_max = 5, .window_ns = SECOND}, .lives_ns = SECOND, .ends = {TROUPE_OK}});
    assert_int_equal(stage.made, 1);
    assert_int_equal(stage.reason, TROUPE_OK);
}

static void restarts_follow_their_backoff(void **state) {
    (void)state;
    struct stage stage = play(&(struct stage){.supervision = {.restarts_max = 6,
                                                              .window_ns = 3600 * SECOND,
                                                              .backoff_ns = SECOND,
                                                              .backoff_ns_max = 5 * SECOND},
                                              .lives_ns = 10 * SECOND,
                                              .ends = {DIES, DIES, DIES, TROUPE_TIMEOUT, DIES, TROUPE_OK}});
    static const uint64_t backoffs[] = {1, 2, 4, 5, 5};
    assert_int_equal(stage.made, 6);
    for (unsigned at = 0; at < ARRAY_COUNT(backoffs); at++)
        assert_int_equal(stage.made_ns[at + 1] - stage.made_ns[at], (10 + backoffs[at]) * SECOND);
    assert_int_equal(stage.reason, TROUPE_OK);
    assert_int_equal(stage.started, 6);
}

static void a_calm_window_resets_the_backoff(void **state) {
    (void)state;
    struct stage stage = play(&(struct stage){
        .supervision =
            {.restarts_max = 3, .window_ns = 5 * SECOND, .backoff_ns = SECOND, .backoff_ns_max = 60 * SECOND},
        .lives_ns = 10 * SECOND, /* longer than the window: the budget is never touched */
        .ends = {DIES, DIES, DIES, DIES, DIES, DIES, DIES, TROUPE_OK}});
    assert_int_equal(stage.made, 8);
    for (unsigned at = 0; at < 7; at++)
        assert_int_equal(stage.made_ns[at + 1] - stage.made_ns[at], 11 * SECOND);
    assert_int_equal(stage.reason, TROUPE_OK);
}

static void an_exhausted_budget_is_reported(void **state) {
    (void)state;
    static const unsigned budgets[] = {0, 1, 3};
    for (unsigned at = 0; at < ARRAY_COUNT(budgets); at++) {
        struct stage stage =
            play(&(struct stage){.supervision = {.restarts_max = budgets[at], .window_ns = 100 * SECOND},
                                 .lives_ns = SECOND,
                                 .ends = {DIES, DIES, DIES, DIES, DIES, DIES}});
        assert_int_equal(stage.made, budgets[at] + 1);
        assert_int_equal(stage.reason, TROUPE_WORKER);
    }
    /* A window of 0 means ever: the budget does not come back with time. */
    struct stage stage = play(&(struct stage){
        .supervision = {.restarts_max = 2}, .lives_ns = 3600 * SECOND, .ends = {DIES, DIES, DIES, DIES}});
    assert_int_equal(stage.made, 3);
    assert_int_equal(stage.reason, TROUPE_WORKER);
}

/* Restarts within any window are at most restarts_max, not only within windows that begin with the first. */
static void the_window_slides(void **state) {
    (void)state;
    struct stage stage = play(&(struct stage){.supervision = {.restarts_max = 3, .window_ns = 35 * SECOND},
                                              .lives_ns = 10 * SECOND,
                                              .ends = {DIES, DIES, DIES, DIES, DIES, DIES, DIES, DIES}});
    assert_int_equal(stage.made, 4); /* deaths at 10, 20, 30 restart; at 40 the one at 10 is 30 s ago */
    assert_int_equal(stage.reason, TROUPE_WORKER);
    stage = play(&(struct stage){.supervision = {.restarts_max = 3, .window_ns = 30 * SECOND},
                                 .lives_ns = 10 * SECOND,
                                 .ends = {DIES, DIES, DIES, DIES, DIES, DIES, TROUPE_OK}});
    assert_int_equal(stage.made, 7);
    assert_int_equal(stage.reason, TROUPE_OK);
}

static void a_failed_make_counts(void **state) {
    (void)state;
    struct stage stage = play(
        &(struct stage){.supervision = {.restarts_max = 3, .window_ns = 100 * SECOND, .backoff_ns = SECOND},
                        .lives_ns = SECOND,
                        .ends = {TROUPE_NOMEM, TROUPE_NOMEM, TROUPE_OK}});
    assert_int_equal(stage.made, 3);
    assert_int_equal(stage.started, 1);
    assert_int_equal(stage.reason, TROUPE_OK);
    stage = play(&(struct stage){.supervision = {.restarts_max = 1, .window_ns = 100 * SECOND},
                                 .ends = {TROUPE_NOMEM, TROUPE_NOMEM, TROUPE_NOMEM}});
    assert_int_equal(stage.made, 2);
    assert_int_equal(stage.reason, TROUPE_WORKER);
}

/* Stopped while its child runs (which may take its time), and while it waits to restart one. */
static void a_stop_takes_the_child_along(void **state) {
    (void)state;
    for (unsigned postponed = 0; postponed < 2; postponed++) {
        struct stage stage = play(&(struct stage){.supervision = {.restarts_max = 3, .window_ns = SECOND},
                                                  .ends = {TROUPE_INTERNAL},
                                                  .stop_after_ns = 5 * SECOND,
                                                  .stop_postponed = postponed});
        assert_int_equal(stage.reason, TROUPE_CANCELLED);
        assert_int_equal(stage.started, 1);
        assert_int_equal(stage.down_ns - stage.made_ns[0], (5 + postponed) * SECOND);
    }
    struct stage stage = play(&(struct stage){
        .supervision = {.restarts_max = 3, .window_ns = 100 * SECOND, .backoff_ns = 50 * SECOND},
        .lives_ns = SECOND,
        .ends = {DIES},
        .stop_after_ns = 5 * SECOND});
    assert_int_equal(stage.made, 1);
    assert_int_equal(stage.reason, TROUPE_CANCELLED);
    assert_int_equal(stage.down_ns - stage.made_ns[0], 5 * SECOND);
}

static void bounds(void **state) {
    (void)state;
    rig_begin_sim(1);
    struct stage stage = {0};
    struct supervision supervision = {.make = stage_make, .context = &stage, .restarts_max = 257};
    actor_ref ref, gone = UINT64_C(9) << 32;
    assert_int_equal(supervisor_spawn(rig_runtime, &supervision, 0, &ref), TROUPE_LIMIT);
    supervision.restarts_max = 256;
    assert_int_equal(supervisor_spawn(rig_runtime, &supervision, gone, &ref), TROUPE_DEAD);
    OK(supervisor_spawn(rig_runtime, &supervision, 0, &ref)); /* nobody to report to is fine */
    rig_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_normal_end_is_the_end),
        cmocka_unit_test(restarts_follow_their_backoff),
        cmocka_unit_test(a_calm_window_resets_the_backoff),
        cmocka_unit_test(an_exhausted_budget_is_reported),
        cmocka_unit_test(the_window_slides),
        cmocka_unit_test(a_failed_make_counts),
        cmocka_unit_test(a_stop_takes_the_child_along),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
