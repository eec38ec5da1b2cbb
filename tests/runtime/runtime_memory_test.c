/* Every allocation refused in turn, from runtime_create to runtime_free, with an actor for every public call in
 * between: each refusal is told to its caller as NOMEM, nothing leaks, nobody waits for ever. In the simulation, so
 * that "the n-th allocation" is the same one in every run. */
#include "runtime_rig.h"

struct scene {
    actor_ref echo, mortal;
    unsigned refused;        /* calls that said NOMEM */
    unsigned asked, results; /* questions on their way, and what came of them */
    unsigned jobs, jobs_done, jobs_dropped;
    unsigned watched, downs;
    unsigned timers, timers_fired;
    unsigned supervisors, supervisor_downs;
    struct random_stream random;
};

static bool took(struct scene *scene, enum troupe_error error) {
    assert_true(error == TROUPE_OK || error == TROUPE_NOMEM);
    scene->refused += error == TROUPE_NOMEM;
    return error == TROUPE_OK;
}

static void echo_handle(struct turn *turn, void *state, const struct message *message) {
    struct scene *scene = state;
    if (message->kind != MESSAGE_PING)
        return;
    struct message *reply = message_new(turn->runtime, MESSAGE_PONG, 100);
    if (reply == NULL)
        scene->refused++; /* unanswered: the asker hears DEAD */
    else
        actor_reply(turn, message, &reply);
}

static void job_run(void *arg) {
    (void)arg;
}

static void job_drop(void *arg) {
    ((struct scene *)arg)->jobs_dropped++;
}

static enum troupe_error child_make(void *context, unsigned attempt, struct actor_spec *ret_spec) {
    (void)attempt;
    *ret_spec = (struct actor_spec){.name = "child", .handle = rig_ignore, .state = context};
    return TROUPE_OK;
}

static void child_started(void *context, struct turn *turn, unsigned attempt, actor_ref actor) {
    (void)context, (void)attempt;
    actor_stop(turn->runtime, actor, TROUPE_WORKER); /* without memory for it too */
}

static void scene_start(struct turn *turn, struct scene *scene) {
    struct message *question = message_new(turn->runtime, MESSAGE_PING, 8);
    uint64_t timer;
    if (question == NULL)
        scene->refused++;
    else if (took(scene, actor_ask(turn, scene->echo, &question, 1, 1000 * MILLISECOND)))
        scene->asked++;
    message_free(&question);
    struct job_spec job = {.lane = ENV_LANE_POOL, .fn = job_run, .drop = job_drop, .arg = scene};
    scene->jobs += took(scene, job_start(turn, &job));
    scene->watched += took(scene, actor_monitor(turn, scene->mortal, 2));
    scene->timers += took(scene, timer_start(turn, turn->now_ns + MILLISECOND, 3, &timer));
    struct actor_spec spec = {.handle = rig_ignore, .link = turn->self};
    actor_ref linked;
    if (took(scene, actor_spawn(turn->runtime, &spec, &linked))) {
        scene->watched++; /* by its link */
        actor_stop(turn->runtime, linked, TROUPE_OK);
    }
    struct supervision supervision = {.make = child_make,
                                      .started = child_started,
                                      .context = scene,
                                      .restarts_max = 2,
                                      .backoff_ns = MILLISECOND};
    actor_ref supervisor;
    scene->supervisors += took(scene, supervisor_spawn(turn->runtime, &supervision, turn->self, &supervisor));
    actor_stop(turn->runtime, scene->mortal, TROUPE_OK);
}

static void scene_handle(struct turn *turn, void *state, const struct message *message) {
    struct scene *scene = state;
    switch (message->kind) {
    case MESSAGE_RUN_START:
        scene_start(turn, scene);
        break;
    case MESSAGE_PONG:
    case MESSAGE_ASK_FAILED:
        scene->results++;
        break;
    case MESSAGE_JOB_DONE:
        scene->jobs_done++;
        break;
    case MESSAGE_TIMER:
        scene->timers_fired++;
        break;
    case MESSAGE_DOWN: {
        enum troupe_error reason = MESSAGE_PAYLOAD(message, const struct message_down)->reason;
        bool supervisor = reason == TROUPE_WORKER || reason == TROUPE_NOMEM;
        scene->supervisor_downs += supervisor;
        scene->downs += !supervisor;
        break;
    }
    default:
        break;
    }
    if (scene->results == scene->asked && scene->jobs_done == scene->jobs && scene->downs == scene->watched &&
        scene->timers_fired == scene->timers && scene->supervisor_downs == scene->supervisors)
        runtime_stop(turn->runtime);
}

/* What may fail before the run; false: it did. */
static bool scene_prepare(struct scene *scene, actor_ref *ret_owner) {
    struct actor_spec specs[] = {{.handle = scene_handle, .state = scene},
                                 {.handle = echo_handle, .state = scene},
                                 {.handle = rig_ignore}};
    actor_ref *refs[] = {ret_owner, &scene->echo, &scene->mortal};
    for (unsigned at = 0; at < ARRAY_COUNT(specs); at++)
        if (!took(scene, actor_spawn(rig_runtime, &specs[at], refs[at])))
            return false;
    struct message *start = message_new(rig_runtime, MESSAGE_RUN_START, 0);
    if (start == NULL) {
        scene->refused++;
        return false;
    }
    OK(actor_send(rig_runtime, NULL, *ret_owner, &start));
    return true;
}

static void play(struct scene *scene) {
    struct fault fault = {0};
    enum troupe_error error = runtime_create(rig_env, &rig_account, NULL, &rig_runtime, &fault);
    if (!took(scene, error)) {
        rig_runtime = NULL;
        assert_true(fault.error == TROUPE_NOMEM && fault.text[0] != '\0');
        return;
    }
    actor_ref owner;
    if (scene_prepare(scene, &owner))
        OK(runtime_run(rig_runtime));
}

static void every_allocation_is_refused_once(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        unsigned count = 0;
        FOR_EACH_FAILING_ALLOCATION(n) {
            struct scene scene = {0};
            memory_fail_after(0);
            rig_account = ACCOUNT("runtime_rig");
            OK(env_sim_create(&rig_account, &(struct env_sim_options){.seed = seed}, &rig_env));
            memory_fail_after(n);
            play(&scene);
            if (memory_fail_fired() && scene.refused == 0) /* absorbed: only where nothing was promised */
                assert_int_equal(scene.supervisor_downs, scene.supervisors);
            if (!memory_fail_fired()) {
                assert_int_equal(scene.asked + scene.jobs + scene.timers + scene.supervisors, 4);
                assert_int_equal(scene.watched, 2);
            }
            count++;
            rig_end();
            assert_int_equal(scene.jobs_done + scene.jobs_dropped, scene.jobs);
        }
        assert_true(count > 15);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_is_refused_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
