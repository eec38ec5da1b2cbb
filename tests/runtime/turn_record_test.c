/* The record of turns: what the sink gets is what the handlers saw, turn for turn, and the same under the same seed.
 * Fails if a turn is missing, doubled or out of order, or if a record tells of another message. */
#include "runtime_rig.h"

#include <pthread.h>

#define ACTORS 5U
#define TURNS 3000U

struct seen { /* by one actor, or told of one */
    uint32_t sender[2 * TURNS], token[2 * TURNS];
    uint16_t kind[2 * TURNS];
    uint64_t version[2 * TURNS];
    unsigned count, reads;
};

struct scene {
    actor_ref refs[ACTORS];
    struct seen seen[ACTORS], told[ACTORS]; /* seen: owner: the actor */
    pthread_mutex_t lock;                   /* of told: workers write at the same time */
    _Atomic unsigned left;
    unsigned blocks;
    uint64_t digest;
};
static struct scene scene;

static void sink(void *context, const struct turn_record *records, size_t count) {
    struct scene *to = context;
    assert_int_equal(pthread_mutex_lock(&to->lock), 0);
    to->blocks++;
    for (size_t at = 0; at < count; at++) {
        const struct turn_record *record = &records[at];
        struct seen *told = &to->told[record->actor];
        assert_true(record->actor < ACTORS && told->count < 2 * TURNS);
        to->digest = hash_bytes(record, sizeof *record, to->digest);
        if (record->kind == TURN_RECORD_READ) {
            told->version[told->reads++] = record->of.version;
            continue;
        }
        told->kind[told->count] = record->kind;
        told->sender[told->count] = record->of.message.sender;
        told->token[told->count++] = record->of.message.token;
    }
    assert_int_equal(pthread_mutex_unlock(&to->lock), 0);
}

static void handle(struct turn *turn, void *state, const struct message *message) {
    struct seen *seen = state;
    if (seen->count == 2 * TURNS)
        return;
    seen->kind[seen->count] = message->kind;
    seen->sender[seen->count] = (uint32_t)message->sender;
    seen->token[seen->count] = (uint32_t)message->token;
    seen->count++;
    if (seen->count % 7 == 0) {
        seen->version[seen->reads] = seen->count * UINT64_C(0x100000001);
        turn_record_read(turn, seen->version[seen->reads++]);
    }
    unsigned left = atomic_fetch_sub(&scene.left, 1);
    uint64_t timer;
    if (left == 1)
        runtime_stop(turn->runtime);
    if (left > TURNS * ACTORS)
        return; /* long over */
    if (seen->count % 50 == 0)
        OK(timer_start(turn, turn->now_ns + 1000, left, &timer));
    else
        OK(rig_post(turn, scene.refs[left % ACTORS], MESSAGE_RUN_STEP, left));
}

static void play(const struct runtime_options *options, uint64_t seed) {
    scene = (struct scene){.lock = PTHREAD_MUTEX_INITIALIZER, .left = TURNS};
    struct runtime_options all = *options;
    if (seed != 0) {
        rig_account = ACCOUNT("runtime_rig");
        OK(env_sim_create(&rig_account, &(struct env_sim_options){.seed = seed}, &rig_env));
        OK(runtime_create(rig_env, &rig_account, &all, &rig_runtime, NULL));
    } else {
        rig_begin_with(&all);
    }
    for (unsigned at = 0; at < ACTORS; at++)
        scene.refs[at] = rig_spawn(handle, &scene.seen[at]);
    for (unsigned at = 0; at < ACTORS; at++)
        OK(rig_post(NULL, scene.refs[at], MESSAGE_RUN_STEP, at));
    OK(runtime_run(rig_runtime));
    rig_end();
}

static void the_record_is_what_happened(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 3; workers++) {
        play(&(struct runtime_options){.workers = workers, .record = {sink, &scene}}, 0);
        assert_true(scene.blocks >= TURNS / 256);
        for (unsigned at = 0; at < ACTORS; at++) {
            const struct seen *seen = &scene.seen[at], *told = &scene.told[at];
            assert_int_equal(told->count, seen->count);
            assert_int_equal(told->reads, seen->reads);
            if (workers >
                1) /* blocks of two workers come in any order, so an actor that moved is not in order */
                continue;
            assert_memory_equal(told->kind, seen->kind, seen->count * sizeof *seen->kind);
            assert_memory_equal(told->sender, seen->sender, seen->count * sizeof *seen->sender);
            assert_memory_equal(told->token, seen->token, seen->count * sizeof *seen->token);
            assert_memory_equal(told->version, seen->version, seen->reads * sizeof *seen->version);
        }
    }
}

static void the_same_seed_gives_the_same_record(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint64_t digests[2];
        for (unsigned again = 0; again < 2; again++) {
            play(&(struct runtime_options){.record = {sink, &scene}}, seed);
            digests[again] = scene.digest;
        }
        assert_true(digests[0] == digests[1]);
    }
}

static void off_it_tells_nothing(void **state) {
    (void)state;
    play(&(struct runtime_options){.workers = 1}, 0);
    assert_int_equal(scene.blocks, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_record_is_what_happened),
        cmocka_unit_test(the_same_seed_gives_the_same_record),
        cmocka_unit_test(off_it_tells_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
