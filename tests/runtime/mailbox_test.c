/* The mailbox under every interleaving of its atomic operations: two senders from outside, and the owner, who puts
 * messages of neighbours, fetches early and at notices, and takes. Fails if a message or a call is lost, doubled,
 * seen before it is whole, or overtakes one of the same sender, or if two notices are under way at once. */
#include "../base/cmocka_base.h"

#include "runtime/runtime.h"

#include "interleave.h"

#include "runtime/mailbox.h"

#define SENDERS 2U
#define EACH_MAX 2U
#define NEAR_MAX 2U
#define MESSAGES_MAX (SENDERS * EACH_MAX + NEAR_MAX)

struct scene {
    struct mailbox mailbox;
    _Alignas(max_align_t) char room[MESSAGES_MAX][sizeof(struct message)];
    unsigned each, near, looks;
    bool caller;     /* the second sender calls instead */
    bool in_batches; /* the owner takes all, handles one and puts the rest back */
    _Atomic unsigned notices;
    struct message *taken[MESSAGES_MAX + 1];
    unsigned taken_count, calls, early, put;
    uint64_t fetched_early; /* over all runs */
};

/* They end in a flexible array, so that they cannot be members. */
static struct message *message_at(struct scene *scene, unsigned at) {
    return (struct message *)(void *)scene->room[at];
}

static void scene_begin(void *context) {
    struct scene *scene = context;
    for (unsigned at = 0; at < MESSAGES_MAX; at++)
        message_at(scene, at)->token = 0; /* "not written yet" */
    scene->taken_count = scene->calls = scene->put = 0;
    atomic_store(&scene->notices, 0);
    atomic_store(&scene->mailbox.arrived, 0);
    mailbox_reset(&scene->mailbox);
}

static void owe(struct scene *scene, bool owed) {
    if (owed)
        assert_int_equal(atomic_fetch_add(&scene->notices, 1), 0);
}

static void bring_all(struct scene *scene, unsigned sender) {
    for (unsigned at = 0; at < scene->each; at++) {
        struct message *message = message_at(scene, sender * scene->each + at);
        message->token = 1 + at;
        owe(scene, mailbox_bring(&scene->mailbox, message));
    }
}

static void first_sender(void *context) {
    bring_all(context, 0);
}

static void second_sender(void *context) {
    struct scene *scene = context;
    for (unsigned at = 0; scene->caller && at < scene->each; at++)
        owe(scene, mailbox_call(&scene->mailbox));
    if (!scene->caller)
        bring_all(scene, 1);
}

static void fetch(struct scene *scene, bool noticed) {
    unsigned calls, count = mailbox_fetch(&scene->mailbox, noticed, &calls);
    scene->calls += calls;
    scene->fetched_early += !noticed && count > 0;
}

static void took(struct scene *scene, struct message *message) {
    assert_true(message->token != 0);
    assert_true(scene->taken_count < MESSAGES_MAX);
    scene->taken[scene->taken_count++] = message;
}

static void take_one(struct scene *scene) {
    struct message *last, *message;
    if (!scene->in_batches) {
        message = mailbox_take(&scene->mailbox);
        if (message != NULL)
            took(scene, message);
        return;
    }
    message = mailbox_take_all(&scene->mailbox, &last);
    if (message == NULL)
        return;
    struct message *rest = message_next(message);
    took(scene, message);
    if (mailbox_arrived(&scene->mailbox))
        fetch(scene, false); /* in the middle of a batch: a turn sends to itself */
    if (rest != NULL)
        mailbox_put_back(&scene->mailbox, rest, last);
}

/* What the runtime does between two turns, and in one that sends to the actor. */
static void owner(void *context) {
    struct scene *scene = context;
    for (unsigned look = 0; look < scene->looks; look++) {
        if (atomic_load(&scene->notices) > 0) {
            atomic_fetch_sub(&scene->notices, 1);
            fetch(scene, true);
        } else if (mailbox_arrived(&scene->mailbox)) {
            fetch(scene, false);
        }
        if (scene->put < scene->near) {
            struct message *message = message_at(scene, SENDERS * scene->each + scene->put);
            message->token = 1 + scene->put++;
            mailbox_put(&scene->mailbox, message);
        }
        take_one(scene);
    }
}

/* Nobody is in between any more: the rest comes out, each once, in the order of its sender. */
static void scene_check(void *context) {
    struct scene *scene = context;
    unsigned brought = scene->caller ? scene->each : SENDERS * scene->each, next[SENDERS + 1] = {0};
    bool waiting = atomic_load(&scene->mailbox.arrived) != 0;
    assert_int_equal(atomic_load(&scene->notices), waiting);
    if (waiting)
        fetch(scene, true);
    assert_int_equal(atomic_load(&scene->mailbox.arrived), 0);
    for (unsigned left = brought + scene->put - scene->taken_count; left > 0; left--)
        take_one(scene);
    assert_null(mailbox_take(&scene->mailbox));
    assert_int_equal(scene->taken_count, brought + scene->put);
    assert_int_equal(scene->calls, scene->caller ? scene->each : 0);
    for (unsigned at = 0; at < scene->taken_count; at++) {
        size_t index = (size_t)((char *)scene->taken[at] - scene->room[0]) / sizeof scene->room[0];
        size_t sender = index / scene->each < SENDERS ? index / scene->each : SENDERS;
        assert_int_equal(scene->taken[at]->token, ++next[sender]);
    }
}

static void explore(struct scene start, unsigned preemptions_max) {
    static struct scene scene;
    scene = start;
    struct interleave scenario = {.setup = scene_begin,
                                  .bodies = {owner, first_sender, second_sender},
                                  .count = 3,
                                  .check = scene_check,
                                  .context = &scene,
                                  .preemptions_max = INTERLEAVE_PREEMPTIONS(preemptions_max)};
    uint64_t runs = interleave_explore(&scenario);
    print_message("%u a sender, %u near, %u looks: %llu orders\n", scene.each, scene.near, scene.looks,
                  (unsigned long long)runs);
    assert_true(runs > 100);
    assert_true(scene.fetched_early > 0);
}

static void one_message_each(void **state) {
    (void)state;
    explore((struct scene){.each = 1, .near = 1, .looks = 2}, 6);
}

static void a_message_and_a_call(void **state) {
    (void)state;
    explore((struct scene){.each = 1, .near = 1, .looks = 2, .caller = true}, 6);
}

static void several_messages_with_few_preemptions(void **state) {
    (void)state;
    explore((struct scene){.each = 2, .near = 2, .looks = 4}, 3);
}

static void batches_with_few_preemptions(void **state) {
    (void)state;
    explore((struct scene){.each = 2, .near = 2, .looks = 4, .in_batches = true}, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_message_each),
        cmocka_unit_test(a_message_and_a_call),
        cmocka_unit_test(several_messages_with_few_preemptions),
        cmocka_unit_test(batches_with_few_preemptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
