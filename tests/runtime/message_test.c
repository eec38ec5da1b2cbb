/* Messages and their pool: classes, payloads, destructors, ownership across a send and across threads. Fails if a
 * payload is not zeroed or not aligned, if what it owns is released twice or never, or if the pool keeps memory. */
#include "runtime_rig.h"

#include <pthread.h>
#include <sched.h>

static void every_kind_has_a_name_and_a_class(void **state) {
    (void)state;
    unsigned counts[3] = {0};
    for (unsigned kind = 0; kind < MESSAGE_KIND_COUNT; kind++) {
        const char *name = message_kind_name((enum message_kind)kind);
        assert_true(name != NULL && name[0] >= 'A' && name[0] <= 'Z');
        enum message_class class = message_kind_class((enum message_kind)kind);
        assert_in_range(class, MESSAGE_CLASS_REQUEST, MESSAGE_CLASS_SYSTEM);
        counts[class]++;
    }
    assert_true(counts[0] > 0 && counts[1] > 0 && counts[2] > 0);
    assert_string_equal(message_kind_name(MESSAGE_PING), "PING");
    assert_int_equal(message_kind_class(MESSAGE_PING), MESSAGE_CLASS_REQUEST);
    assert_int_equal(message_kind_class(MESSAGE_PONG), MESSAGE_CLASS_REPLY);
    assert_int_equal(message_kind_class(MESSAGE_EXIT), MESSAGE_CLASS_SYSTEM);
}

/* Blocks come back dirty: a payload is zeroed all the same, at every size around the pool's classes. */
static void payloads_are_zeroed_and_aligned(void **state) {
    (void)state;
    rig_begin(1);
    for (unsigned round = 0; round < 2; round++)
        for (size_t bytes = 0; bytes < 9000; bytes += bytes < 200 ? 1 : 517) {
            struct message *message = message_new(rig_runtime, MESSAGE_USER, bytes);
            assert_non_null(message);
            unsigned char *payload = MESSAGE_PAYLOAD(message, unsigned char);
            assert_int_equal((uintptr_t)payload % _Alignof(max_align_t), 0);
            assert_int_equal(message->bytes, bytes);
            assert_int_equal(message->kind, MESSAGE_USER);
            assert_true(message->sender == 0 && message->reply == 0 && message->token == 0);
            for (size_t at = 0; at < bytes; at++)
                assert_int_equal(payload[at], 0);
            memset(payload, 0xa5, bytes);
            message_free(&message);
            assert_null(message);
            message_free(&message); /* NULL inside is fine */
        }
    assert_null(message_new(rig_runtime, MESSAGE_USER, (size_t)UINT32_MAX)); /* no such payload */
    rig_end();
}

/* Live blocks never share memory, whatever sizes come and go. */
static void live_messages_do_not_overlap(void **state) {
    (void)state;
    enum { LIVE = 400 };
    static struct message *live[LIVE];
    struct random_stream random;
    random_seed(&random, 1, 0);
    rig_begin(1);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned at = (unsigned)random_below(&random, LIVE);
        if (live[at] != NULL) {
            const unsigned char *payload = MESSAGE_PAYLOAD(live[at], unsigned char);
            for (uint32_t byte = 0; byte < live[at]->bytes; byte++)
                assert_int_equal(payload[byte], at & 0xff);
            message_free(&live[at]);
            continue;
        }
        live[at] = message_new(rig_runtime, MESSAGE_USER, (size_t)random_below(&random, 300));
        assert_non_null(live[at]);
        memset(MESSAGE_PAYLOAD(live[at], unsigned char), (int)(at & 0xff), live[at]->bytes);
    }
    for (unsigned at = 0; at < LIVE; at++)
        message_free(&live[at]);
    rig_end();
}

/* ---- destructors ---- */

static _Atomic int released;

static void release(struct message *message) {
    assert_int_equal(message->kind, MESSAGE_USER);
    atomic_fetch_add(&released, 1);
}

static void take_every_other(struct turn *turn, void *state, const struct message *message) {
    struct message **kept = state;
    if (message->kind == MESSAGE_USER && message->token % 2 == 0) {
        struct message *mine = turn_take(turn);
        assert_ptr_equal(mine, message);
        mine->token = (uintptr_t)*kept; /* a list, to be released by the actor's end */
        *kept = mine;
    }
    if (message->kind == MESSAGE_RUN_STOP)
        runtime_stop(turn->runtime);
}

static void release_kept(void *state) {
    struct message **kept = state;
    while (*kept != NULL) {
        struct message *message = *kept;
        *kept = (struct message *)(uintptr_t)message->token;
        message_free(&message);
    }
}

/* Freed by its owner, destroyed after its turn, taken and freed later, still queued at the end: once each. */
static void destructors_run_once(void **state) {
    (void)state;
    message_set_destructor(MESSAGE_USER, release);
    for (unsigned workers = 1; workers <= 3; workers++) {
        atomic_store(&released, 0);
        rig_begin(workers);
        struct message *kept = NULL, *own = message_new(rig_runtime, MESSAGE_USER, 8);
        message_free(&own);
        assert_int_equal(atomic_load(&released), 1);
        struct actor_spec spec = {
            .handle = take_every_other, .state = &kept, .destroy = release_kept, .mailbox_len_max = 100};
        actor_ref taker, never;
        OK(actor_spawn(rig_runtime, &spec, &taker));
        never = rig_spawn(rig_ignore, NULL);
        for (unsigned at = 0; at < 100; at++)
            OK(rig_post(NULL, taker, MESSAGE_USER, at));
        assert_int_equal(rig_post(NULL, taker, MESSAGE_USER, 0), TROUPE_FULL); /* freed by us: the 2nd */
        OK(rig_post(NULL, taker, MESSAGE_RUN_STOP, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(rig_post(NULL, never, MESSAGE_USER, 0), TROUPE_DEAD); /* the 3rd */
        assert_int_equal(atomic_load(&released), 103);
        rig_end();
    }
    message_set_destructor(MESSAGE_USER, NULL);
}

/* A runtime that never ran gives back what was sent to its actors. */
static void queued_messages_die_with_a_runtime_that_never_ran(void **state) {
    (void)state;
    message_set_destructor(MESSAGE_USER, release);
    atomic_store(&released, 0);
    rig_begin(2);
    actor_ref ref = rig_spawn(rig_ignore, NULL);
    for (unsigned at = 0; at < 10; at++)
        OK(rig_post(NULL, ref, MESSAGE_USER, at));
    rig_end();
    assert_int_equal(atomic_load(&released), 10);
    message_set_destructor(MESSAGE_USER, NULL);
}

/* ---- threads that are no workers send too ---- */

#define OUTSIDERS 3
#define EACH 2000

struct outside {
    actor_ref to;
    uint64_t next[OUTSIDERS];
    unsigned total;
};
struct outsider {
    struct outside *outside;
    unsigned number;
};

static void *send_from_outside(void *arg) {
    const struct outsider *outsider = arg;
    for (uint64_t at = 0; at < EACH;) {
        struct message *message = message_new(rig_runtime, MESSAGE_USER, 40);
        CHECK(message != NULL);
        message->token = (uint64_t)outsider->number << 32 | at;
        if (actor_send(rig_runtime, NULL, outsider->outside->to, &message) == TROUPE_OK)
            at++;
        message_free(&message);
    }
    return NULL;
}

static void receive_from_outside(struct turn *turn, void *state, const struct message *message) {
    struct outside *outside = state;
    CHECK(message->sender == 0);
    CHECK((uint32_t)message->token == outside->next[message->token >> 32]++);
    if (++outside->total == OUTSIDERS * EACH)
        runtime_stop(turn->runtime);
}

static void other_threads_may_send(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        rig_begin(workers);
        struct outside outside = {0};
        struct actor_spec spec = {
            .handle = receive_from_outside, .state = &outside, .pinned = workers == 2, .mailbox_len_max = 32};
        OK(actor_spawn(rig_runtime, &spec, &outside.to));
        pthread_t threads[OUTSIDERS];
        struct outsider outsiders[OUTSIDERS];
        for (unsigned at = 0; at < OUTSIDERS; at++) {
            outsiders[at] = (struct outsider){&outside, at};
            assert_int_equal(pthread_create(&threads[at], NULL, send_from_outside, &outsiders[at]), 0);
        }
        OK(runtime_run(rig_runtime));
        for (unsigned at = 0; at < OUTSIDERS; at++)
            assert_int_equal(pthread_join(threads[at], NULL), 0);
        assert_int_equal(outside.total, OUTSIDERS * EACH);
        rig_end();
    }
}

/* ---- a message that arrives just as the worker lies down ---- */

/* The window is some 50 ns wide: of so many knocks some hit it. Another worker would take them all: one. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define KNOCKS 5000U
#else
#define KNOCKS 60000U
#endif

struct door {
    actor_ref to;
    _Atomic unsigned answered;
};

static void answer_door(struct turn *turn, void *state, const struct message *message) {
    struct door *door = state;
    (void)turn, (void)message;
    atomic_fetch_add(&door->answered, 1);
}

/* Knocks again the moment it is answered: the worker is then on its way to sleep. */
static void *knock(void *arg) {
    struct door *door = arg;
    for (unsigned at = 0; at < KNOCKS; at++) {
        CHECK(rig_post(NULL, door->to, MESSAGE_USER, 0) == TROUPE_OK);
        for (unsigned looks = 0; atomic_load(&door->answered) == at; looks++)
            if (looks % 4096 == 4095) /* not at once: the answer must be seen while the worker still runs */
                sched_yield();
        for (volatile unsigned wait = 0; wait < at % 512; wait++) {
        }
    }
    runtime_stop(rig_runtime);
    return NULL;
}

/* With a lost wake nobody would ever answer, and the run would not end. */
static void no_wake_is_lost(void **state) {
    (void)state;
    for (unsigned pinned = 0; pinned < 2; pinned++) {
        rig_begin(1);
        struct door door = {0};
        struct actor_spec spec = {.handle = answer_door, .state = &door, .pinned = pinned};
        OK(actor_spawn(rig_runtime, &spec, &door.to));
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, knock, &door), 0);
        OK(runtime_run(rig_runtime));
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(atomic_load(&door.answered), KNOCKS);
        rig_end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_a_name_and_a_class),
        cmocka_unit_test(payloads_are_zeroed_and_aligned),
        cmocka_unit_test(live_messages_do_not_overlap),
        cmocka_unit_test(destructors_run_once),
        cmocka_unit_test(queued_messages_die_with_a_runtime_that_never_ran),
        cmocka_unit_test(other_threads_may_send),
        cmocka_unit_test(no_wake_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
