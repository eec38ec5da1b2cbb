/* Timers of actors against a list of what was started and cancelled: in virtual time over days, to the nanosecond;
 * on threads, with actors that move between workers. Fails if a timer is early, late in virtual time, lost,
 * doubled, delivered after its cancel, or kept by an actor that has ended. */
#include "runtime_rig.h"

#define TIMERS 150

struct entry {
    uint64_t timer, deadline_ns;
    bool live;
};

struct clockwork {
    struct random_stream random;
    struct entry entries[TIMERS];
    unsigned started, fired, cancelled, live;
    uint64_t last_ns, range_shift;
    bool exact; /* virtual time: at the deadline, not after it */
};

static void clockwork_start(struct turn *turn, struct clockwork *clockwork) {
    struct entry *entry = &clockwork->entries[clockwork->started];
    uint64_t after_ns =
        random_u64(&clockwork->random) >>
        (clockwork->range_shift + random_below(&clockwork->random, 63 - clockwork->range_shift));
    if (random_below(&clockwork->random, 8) == 0)
        entry->deadline_ns = turn->now_ns - (after_ns < turn->now_ns ? after_ns : turn->now_ns); /* past */
    else
        entry->deadline_ns = turn->now_ns + after_ns;
    OK(timer_start(turn, entry->deadline_ns, clockwork->started, &entry->timer));
    assert_true(entry->timer != 0);
    entry->live = true;
    clockwork->live++;
    clockwork->started++;
}

static void clockwork_cancel(struct turn *turn, struct clockwork *clockwork) {
    struct entry *entry = &clockwork->entries[random_below(&clockwork->random, clockwork->started)];
    timer_cancel(turn, entry->timer); /* of one that has fired or was cancelled: ignored */
    clockwork->cancelled += entry->live;
    clockwork->live -= entry->live;
    entry->live = false;
}

static void clockwork_handle(struct turn *turn, void *state, const struct message *message) {
    struct clockwork *clockwork = state;
    if (message->kind == MESSAGE_TIMER) {
        const struct message_timer *timer = MESSAGE_PAYLOAD(message, const struct message_timer);
        assert_true(timer->token < clockwork->started && message->token == timer->token);
        struct entry *entry = &clockwork->entries[timer->token];
        assert_true(entry->live && entry->timer == timer->timer);
        assert_true(turn->now_ns >= entry->deadline_ns);
        uint64_t due_ns = entry->deadline_ns > clockwork->last_ns ? entry->deadline_ns : clockwork->last_ns;
        if (clockwork->exact) /* late only when it was in the past already, when it was started */
            assert_int_equal(turn->now_ns, due_ns);
        entry->live = false;
        clockwork->live--;
        clockwork->fired++;
    }
    clockwork->last_ns = turn->now_ns;
    for (uint64_t left = random_below(&clockwork->random, 5); left > 0 && clockwork->started < TIMERS; left--)
        clockwork_start(turn, clockwork);
    if (clockwork->started > 0 && random_below(&clockwork->random, 2) == 0)
        clockwork_cancel(turn, clockwork);
    if (clockwork->live == 0 && clockwork->started == TIMERS)
        runtime_stop(turn->runtime);
    else if (clockwork->live == 0)
        OK(rig_post(turn, turn->self, MESSAGE_RUN_STEP, 0));
}

static void check_clockwork(const struct clockwork *clockwork) {
    assert_int_equal(clockwork->fired + clockwork->cancelled, TIMERS);
    for (unsigned at = 0; at < TIMERS; at++)
        assert_false(clockwork->entries[at].live);
}

static void timers_fire_to_the_nanosecond_in_virtual_time(void **state) {
    (void)state;
    unsigned fired = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        rig_begin_sim(seed);
        struct clockwork clockwork = {.exact = true, .range_shift = 20}; /* up to five hours */
        random_seed(&clockwork.random, seed, 3);
        OK(rig_post(NULL, rig_spawn(clockwork_handle, &clockwork), MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        check_clockwork(&clockwork);
        fired += clockwork.fired;
        rig_end();
    }
    assert_true(fired > 5000);
}

/* Several at once, so that their actors are stolen by other workers and their timers cancelled from there. */
struct crowd {
    struct clockwork clockwork;
    _Atomic unsigned *left;
};

static void crowd_handle(struct turn *turn, void *state, const struct message *message) {
    struct crowd *crowd = state;
    struct clockwork *clockwork = &crowd->clockwork;
    if (message->kind == MESSAGE_TIMER) {
        struct entry *entry = &clockwork->entries[message->token];
        CHECK(entry->live && turn->now_ns >= entry->deadline_ns);
        entry->live = false;
        clockwork->live--;
        clockwork->fired++;
    }
    for (unsigned left = 3; left > 0 && clockwork->started < TIMERS; left--)
        clockwork_start(turn, clockwork);
    if (random_below(&clockwork->random, 2) == 0)
        clockwork_cancel(turn, clockwork);
    if (clockwork->started < TIMERS)
        OK(rig_post(turn, turn->self, MESSAGE_RUN_STEP, 0));
    else if (clockwork->live == 0 && message->kind != MESSAGE_RUN_STOP &&
             atomic_fetch_sub(crowd->left, 1) == 1)
        runtime_stop(turn->runtime);
}

static void timers_of_actors_that_move(void **state) {
    (void)state;
    enum { ACTORS = 12 };
    static struct crowd crowd[ACTORS];
    for (unsigned workers = 1; workers <= 4; workers++) {
        _Atomic unsigned left = ACTORS;
        rig_begin(workers);
        for (unsigned at = 0; at < ACTORS; at++) {
            crowd[at] = (struct crowd){.clockwork = {.range_shift = 41}, .left = &left}; /* up to 8 ms */
            random_seed(&crowd[at].clockwork.random, at, workers);
            OK(rig_post(NULL, rig_spawn(crowd_handle, &crowd[at]), MESSAGE_RUN_START, 0));
        }
        OK(runtime_run(rig_runtime));
        for (unsigned at = 0; at < ACTORS; at++)
            check_clockwork(&crowd[at].clockwork);
        rig_end();
    }
}

/* ---- ends ---- */

struct mortal {
    unsigned started;
    bool fires;
};

static void mortal_handle(struct turn *turn, void *state, const struct message *message) {
    struct mortal *mortal = state;
    assert_int_not_equal(message->kind, MESSAGE_TIMER); /* it ends before any of them */
    uint64_t timer;
    for (unsigned at = 0; at < 50; at++)
        OK(timer_start(turn, turn->now_ns + (mortal->fires ? 0 : at * 1000), at, &timer));
    OK(timer_start(turn, UINT64_MAX, 99, &timer)); /* never */
    OK(timer_start(turn, UINT64_MAX - 1, 99, &timer));
    mortal->started += 52;
    actor_exit(turn, TROUPE_OK);
}

static void parent_handle(struct turn *turn, void *state, const struct message *message) {
    struct mortal *mortal = state;
    if (message->kind == MESSAGE_DOWN && mortal->started >= 52 * 20) {
        runtime_stop(turn->runtime);
        return;
    }
    mortal->fires = !mortal->fires;
    struct actor_spec spec = {.handle = mortal_handle, .state = mortal, .link = turn->self};
    actor_ref child;
    OK(actor_spawn(turn->runtime, &spec, &child));
    OK(rig_post(turn, child, MESSAGE_USER, 0));
}

/* Timers end with their actor, those that have fired and those far away; the cells come back. */
static void timers_end_with_their_actor(void **state) {
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        if (round < 4)
            rig_begin(round + 1);
        else
            rig_begin_sim(round);
        struct mortal mortal = {0};
        OK(rig_post(NULL, rig_spawn(parent_handle, &mortal), MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(mortal.started, 52 * 20);
        rig_end();
    }
}

/* A timer that fired but whose message still waits in the mailbox can be cancelled. */
struct late {
    uint64_t timer;
    unsigned step;
};

static void late_handle(struct turn *turn, void *state, const struct message *message) {
    struct late *late = state;
    assert_int_not_equal(message->kind, MESSAGE_TIMER);
    if (message->kind == MESSAGE_RUN_START) {
        OK(timer_start(turn, turn->now_ns, 0, &late->timer));
        for (unsigned at = 0; at < 200; at++) /* more turns than a step has, so that it fires between them */
            OK(rig_post(turn, turn->self, MESSAGE_RUN_STEP, 0));
        timer_cancel(turn, 0);
        timer_cancel(turn, UINT64_MAX); /* no such timers */
        return;
    }
    if (late->step++ == 0)
        timer_cancel(turn, late->timer);
    if (late->step == 200)
        runtime_stop(turn->runtime);
}

static void a_fired_timer_can_be_cancelled(void **state) {
    (void)state;
    for (unsigned round = 0; round < 40; round++) {
        if (round < 2)
            rig_begin(1);
        else
            rig_begin_sim(round);
        struct late late = {0};
        OK(rig_post(NULL, rig_spawn(late_handle, &late), MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(late.step, 200);
        rig_end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_to_the_nanosecond_in_virtual_time),
        cmocka_unit_test(timers_of_actors_that_move),
        cmocka_unit_test(timers_end_with_their_actor),
        cmocka_unit_test(a_fired_timer_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
