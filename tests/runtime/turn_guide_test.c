/* The guide: an actor takes the message that it is told to, those of one sender keep their order, and one whose messages
 * all may not be taken yet waits, until another one comes or it is nudged. If a passed over message were lost or overtaken,
 * a replay would live through another run. */
#include "runtime_rig.h"

#define SENDERS 3U
#define EACH 20U

struct scene {
    actor_ref taker, senders[SENDERS];
    unsigned wanted[SENDERS * EACH], at; /* whose message is next */
    unsigned next[SENDERS];              /* number of the next message of each */
    unsigned refusals, taken;
    bool held; /* nothing may be taken */
};
static struct scene scene;

static bool may(void *context, actor_ref actor, const struct message *message) {
    struct scene *of = context;
    if (actor != of->taker || message->kind != MESSAGE_RUN_STEP)
        return true;
    if (of->held || message->sender != of->senders[of->wanted[of->at]]) {
        of->refusals++;
        return false;
    }
    of->at++;
    return true;
}

static void take(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    for (unsigned sender = 0; sender < SENDERS; sender++)
        if (message->sender == scene.senders[sender])
            assert_int_equal(message->token, scene.next[sender]++);
    if (++scene.taken == SENDERS * EACH)
        runtime_stop(turn->runtime);
}

static void send(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    (void)message;
    for (unsigned number = 0; number < EACH; number++)
        OK(rig_post(turn, scene.taker, MESSAGE_RUN_STEP, number));
}

static void let_go(void *arg) {
    (void)arg;
    assert_int_equal(scene.taken, 0);
    scene.held = false;
    turn_guide_nudge(rig_runtime, scene.taker);
}

static void play(uint64_t seed, bool held) {
    struct random_stream random;
    struct runtime_options options = {.guide = {may, &scene}};
    random_seed(&random, seed, 3);
    scene = (struct scene){.held = held};
    for (unsigned at = 0; at < SENDERS * EACH; at++)
        scene.wanted[at] = at % SENDERS;
    for (unsigned at = SENDERS * EACH; at-- > 1;) {
        unsigned other = (unsigned)random_below(&random, at + 1), one = scene.wanted[at];
        scene.wanted[at] = scene.wanted[other];
        scene.wanted[other] = one;
    }
    rig_account = ACCOUNT("runtime_rig");
    OK(env_sim_create(&rig_account, &(struct env_sim_options){.seed = seed}, &rig_env));
    OK(runtime_create(rig_env, &rig_account, &options, &rig_runtime, NULL));
    scene.taker = rig_spawn(take, NULL);
    for (unsigned sender = 0; sender < SENDERS; sender++)
        scene.senders[sender] = rig_spawn(send, NULL);
    for (unsigned sender = 0; sender < SENDERS; sender++)
        OK(rig_post(NULL, scene.senders[sender], MESSAGE_RUN_STEP, 0));
    if (held)
        env_sim_at(rig_env, env_now(rig_env) + 1000000, let_go, NULL);
    OK(runtime_run(rig_runtime));
    assert_int_equal(scene.taken, SENDERS * EACH);
    rig_end();
}

static void messages_are_taken_as_told(void **state) {
    (void)state;
    unsigned refusals = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        play(seed, false);
        refusals += scene.refusals;
    }
    assert_true(refusals > 0); /* there was something to guide */
}

static void who_waits_goes_on_when_nudged(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++)
        play(seed, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_taken_as_told),
        cmocka_unit_test(who_waits_goes_on_when_nudged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
