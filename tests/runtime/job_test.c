/* Jobs: each ends in one JOB_DONE or one drop, whatever becomes of its starter and of the run; a lane of one thread
 * keeps order; a full lane refuses; in the simulation a job takes the time it was given. */
#include "runtime_rig.h"

#include <pthread.h>

#define SECOND UINT64_C(1000000000)

struct count {
    _Atomic unsigned ran, dropped;
    unsigned started, refused, done;
};

static void count_run(void *arg) {
    atomic_fetch_add(&((struct count *)arg)->ran, 1);
}

static void count_drop(void *arg) {
    atomic_fetch_add(&((struct count *)arg)->dropped, 1);
}

static struct job_spec count_job(struct count *count, enum env_lane lane) {
    return (struct job_spec){.lane = lane, .fn = count_run, .drop = count_drop, .arg = count};
}

/* ---- order on the lane of one thread ---- */

struct ordered {
    unsigned next_run, next_done;
    struct step {
        struct ordered *ordered;
        unsigned number;
    } steps[500];
};

static void ordered_run(void *arg) {
    const struct step *step = arg;
    CHECK(step->ordered->next_run++ == step->number);
}

static void ordered_handle(struct turn *turn, void *state, const struct message *message) {
    struct ordered *ordered = state;
    if (message->kind == MESSAGE_RUN_START) {
        for (unsigned at = 0; at < ARRAY_COUNT(ordered->steps); at++) {
            ordered->steps[at] = (struct step){ordered, at};
            struct job_spec spec = {
                .lane = ENV_LANE_STORE, .fn = ordered_run, .arg = &ordered->steps[at], .token = at};
            OK(job_start(turn, &spec));
        }
        return;
    }
    assert_int_equal(message->kind, MESSAGE_JOB_DONE);
    const struct message_job *job = MESSAGE_PAYLOAD(message, const struct message_job);
    assert_int_equal(job->token, ordered->next_done);
    assert_int_equal(message->token, ordered->next_done);
    assert_ptr_equal(job->arg, &ordered->steps[ordered->next_done]);
    if (++ordered->next_done == ARRAY_COUNT(ordered->steps))
        runtime_stop(turn->runtime);
}

static void the_store_lane_keeps_order(void **state) {
    (void)state;
    static struct ordered ordered;
    for (unsigned round = 0; round < 20; round++) {
        if (round < 3)
            rig_begin(round + 1);
        else
            rig_begin_sim(round);
        memset(&ordered, 0, sizeof(ordered));
        OK(rig_post(NULL, rig_spawn(ordered_handle, &ordered), MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(ordered.next_done, ARRAY_COUNT(ordered.steps));
        rig_end();
    }
}

/* ---- a full lane ---- */

struct plug {
    pthread_mutex_t held; /* by the test's actor until it has seen FULL */
    struct count count;
};

static void plug_run(void *arg) {
    struct plug *plug = arg;
    pthread_mutex_lock(&plug->held);
    pthread_mutex_unlock(&plug->held);
}

static void plug_handle(struct turn *turn, void *state, const struct message *message) {
    struct plug *plug = state;
    struct count *count = &plug->count;
    if (message->kind == MESSAGE_RUN_START) {
        pthread_mutex_lock(&plug->held);
        OK(job_start(turn, &(struct job_spec){.lane = ENV_LANE_STORE, .fn = plug_run, .arg = plug}));
        struct job_spec spec = count_job(count, ENV_LANE_STORE);
        enum troupe_error error;
        while ((error = job_start(turn, &spec)) == TROUPE_OK)
            count->started++;
        assert_int_equal(error, TROUPE_FULL);
        assert_int_equal(job_start(turn, &spec), TROUPE_FULL);
        pthread_mutex_unlock(&plug->held);
        return;
    }
    if (++count->done == count->started + 1)
        runtime_stop(turn->runtime);
}

static void a_full_lane_refuses(void **state) {
    (void)state;
    static struct plug plug;
    plug = (struct plug){.held = PTHREAD_MUTEX_INITIALIZER};
    rig_begin(1);
    OK(rig_post(NULL, rig_spawn(plug_handle, &plug), MESSAGE_RUN_START, 0));
    OK(runtime_run(rig_runtime));
    assert_int_equal(atomic_load(&plug.count.ran), plug.count.started);
    assert_int_equal(atomic_load(&plug.count.dropped), 0);
    assert_in_range(plug.count.started, 1000, 100000);
    rig_end();
}

/* ---- starters that end, runs that stop ---- */

static void starter_handle(struct turn *turn, void *state, const struct message *message) {
    struct count *count = state;
    if (message->kind == MESSAGE_JOB_DONE) {
        count->done++;
        return;
    }
    for (unsigned at = 0; at < 40; at++) {
        struct job_spec spec = count_job(count, at % 2 ? ENV_LANE_POOL : ENV_LANE_STORE);
        count->started += job_start(turn, &spec) == TROUPE_OK;
    }
    actor_exit(turn, TROUPE_OK);
}

static void stopper_handle(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    if (message->kind == MESSAGE_DOWN)
        runtime_stop(turn->runtime);
}

/* The starter is gone at once, then the run: every job still ends, dropped, before the runtime is freed. */
static void jobs_of_a_dead_starter_are_dropped(void **state) {
    (void)state;
    for (unsigned round = 0; round < 30; round++) {
        if (round < 8)
            rig_begin(1 + round % 4);
        else
            rig_begin_sim(round);
        struct count count = {0};
        actor_ref starter = rig_spawn(starter_handle, &count), stopper = rig_spawn(stopper_handle, NULL);
        OK(actor_watch(rig_runtime, stopper, starter, 0));
        OK(rig_post(NULL, starter, MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(count.started, 40);
        assert_int_equal(count.done, 0);
        rig_end();
        assert_int_equal(atomic_load(&count.ran), 40);
        assert_int_equal(atomic_load(&count.dropped), 40);
    }
}

/* ---- a job may send, and take messages from the pool ---- */

struct talk {
    actor_ref to;
    unsigned heard;
};

static void talk_run(void *arg) {
    struct talk *talk = arg;
    for (unsigned at = 0; at < 50; at++) {
        struct message *message = message_new(rig_runtime, MESSAGE_USER, 30);
        CHECK(message != NULL && actor_send(rig_runtime, NULL, talk->to, &message) == TROUPE_OK);
    }
}

static void talk_handle(struct turn *turn, void *state, const struct message *message) {
    struct talk *talk = state;
    if (message->kind == MESSAGE_RUN_START)
        for (unsigned at = 0; at < 4; at++)
            OK(job_start(turn, &(struct job_spec){.lane = ENV_LANE_POOL, .fn = talk_run, .arg = talk}));
    else
        talk->heard++;
    if (talk->heard == 4 * 51)
        runtime_stop(turn->runtime);
}

static void jobs_may_send(void **state) {
    (void)state;
    for (unsigned round = 0; round < 30; round++) {
        if (round < 4)
            rig_begin(round + 1);
        else
            rig_begin_sim(round);
        struct talk talk = {0};
        talk.to = rig_spawn(talk_handle, &talk);
        OK(rig_post(NULL, talk.to, MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(talk.heard, 4 * 51);
        rig_end();
    }
}

/* ---- modelled time ---- */

struct timed {
    struct count count;
    uint64_t begun_ns, done_ns[2];
};

static void timed_handle(struct turn *turn, void *state, const struct message *message) {
    struct timed *timed = state;
    if (message->kind == MESSAGE_RUN_START) {
        timed->begun_ns = turn->now_ns;
        for (unsigned at = 0; at < 2; at++) {
            struct job_spec spec = count_job(&timed->count, ENV_LANE_STORE);
            spec.token = at;
            spec.sim_blocked_ns = (at + 1) * SECOND;
            spec.sim_cpu_ns = 2 * SECOND;
            OK(job_start(turn, &spec));
        }
        return;
    }
    timed->done_ns[message->token] = turn->now_ns - timed->begun_ns;
    if (message->token == 1)
        runtime_stop(turn->runtime);
}

static void simulated_jobs_take_their_time(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        rig_begin_sim(seed);
        struct timed timed = {0};
        OK(rig_post(NULL, rig_spawn(timed_handle, &timed), MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(timed.done_ns[0], 3 * SECOND); /* one lane: the second waits for the first */
        assert_int_equal(timed.done_ns[1], 7 * SECOND);
        rig_end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_lane_keeps_order),         cmocka_unit_test(a_full_lane_refuses),
        cmocka_unit_test(jobs_of_a_dead_starter_are_dropped), cmocka_unit_test(jobs_may_send),
        cmocka_unit_test(simulated_jobs_take_their_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
