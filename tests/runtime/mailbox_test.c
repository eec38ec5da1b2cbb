/* The mailbox under every interleaving of its atomic operations: two senders and a receiver in the middle of each
 * other. Fails if a message is lost, doubled, taken before it is whole, or overtakes one of the same sender. */
#include "../base/cmocka_base.h"

#include "runtime/runtime.h"

#include "interleave.h"

#include "runtime/mailbox.h"

#define SENDERS 2U
#define EACH_MAX 2U
#define MESSAGES_MAX (SENDERS * EACH_MAX)

struct scene {
    _Atomic(struct message *) head;
    struct message *tail;
    _Alignas(max_align_t) char room[1 + MESSAGES_MAX][sizeof(struct message)]; /* the stub, then the others */
    unsigned each, pops;
    struct message *taken[MESSAGES_MAX + 1];
    unsigned taken_count;
    uint64_t empty_handed; /* over all runs: pops that found the queue empty or cut */
};

/* They end in a flexible array, so that they cannot be members. 0: the stub. */
static struct message *message_at(struct scene *scene, unsigned at) {
    return (struct message *)(void *)scene->room[at];
}

static void scene_begin(void *context) {
    struct scene *scene = context;
    for (unsigned at = 0; at < SENDERS * scene->each; at++)
        message_at(scene, 1 + at)->token = 0; /* "not written yet" */
    scene->taken_count = 0;
    mailbox_reset(&scene->head, &scene->tail, message_at(scene, 0));
}

static void send_all(struct scene *scene, unsigned sender) {
    for (unsigned at = 0; at < scene->each; at++) {
        struct message *message = message_at(scene, 1 + sender * scene->each + at);
        message->token = 1 + at;
        mailbox_push(&scene->head, message);
    }
}

static void first_sender(void *context) {
    send_all(context, 0);
}

static void second_sender(void *context) {
    send_all(context, 1);
}

static void take_one(struct scene *scene) {
    struct message *message = mailbox_pop(&scene->head, &scene->tail, message_at(scene, 0));
    if (message == NULL) {
        scene->empty_handed++;
        return;
    }
    assert_true(message->token != 0);
    assert_true(scene->taken_count < MESSAGES_MAX);
    scene->taken[scene->taken_count++] = message;
}

static void receiver(void *context) {
    struct scene *scene = context;
    for (unsigned at = 0; at < scene->pops; at++)
        take_one(scene);
}

/* Nobody is in between any more: the rest comes out, each once, in the order of its sender. */
static void scene_check(void *context) {
    struct scene *scene = context;
    unsigned total = SENDERS * scene->each, next[SENDERS] = {0};
    for (unsigned at = scene->taken_count; at < total; at++) {
        unsigned before = scene->taken_count;
        take_one(scene);
        assert_int_equal(scene->taken_count, before + 1);
    }
    take_one(scene);
    assert_int_equal(scene->taken_count, total);
    for (unsigned at = 0; at < total; at++) {
        size_t index = (size_t)((char *)scene->taken[at] - scene->room[1]) / sizeof scene->room[0];
        size_t sender = index / scene->each;
        assert_int_equal(scene->taken[at]->token, ++next[sender]);
    }
}

static void explore(unsigned each, unsigned pops, unsigned preemptions_max) {
    static struct scene scene;
    scene = (struct scene){.each = each, .pops = pops};
    struct interleave scenario = {.setup = scene_begin,
                                  .bodies = {receiver, first_sender, second_sender},
                                  .count = 3,
                                  .check = scene_check,
                                  .context = &scene,
                                  .preemptions_max = INTERLEAVE_PREEMPTIONS(preemptions_max)};
    uint64_t runs = interleave_explore(&scenario);
    print_message("%u a sender, %u pops: %llu orders\n", each, pops, (unsigned long long)runs);
    assert_true(runs > 100);
    assert_true(scene.empty_handed > runs); /* the last pop of each run, and those in between */
}

static void every_order_of_one_message_each(void **state) {
    (void)state;
    explore(1, 2, UINT32_MAX);
}

static void several_messages_with_few_preemptions(void **state) {
    (void)state;
    explore(2, 4, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_of_one_message_each),
        cmocka_unit_test(several_messages_with_few_preemptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
