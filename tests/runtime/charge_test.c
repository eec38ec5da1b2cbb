/* Charges and names: whose account a message counts in, and what an actor is called. Fails if a charge is lost, doubled
 * or kept, if a limit does not push back, or if a reply is refused for it. */
#include "runtime_rig.h"

struct scene {
    struct account account;
    actor_ref charged, other;
    unsigned accepted, handled, replies;
    struct message *kept;
    int64_t bytes_in_turn, bytes_kept, bytes_sent_on;
};

static void charged_handle(struct turn *turn, void *state, const struct message *message) {
    struct scene *scene = state;
    scene->handled++;
    if (message->kind == MESSAGE_USER && scene->kept == NULL) {
        scene->bytes_in_turn = scene->account.bytes;
        scene->kept = turn_take(turn);
    }
    if (message->kind == MESSAGE_RUN_STEP) {
        scene->bytes_kept = scene->account.bytes; /* it and this one */
        OK(actor_send(turn->runtime, turn, scene->other, &scene->kept));
        scene->bytes_sent_on = scene->account.bytes;
        runtime_stop(turn->runtime);
    }
}

static void a_message_is_charged_until_it_is_destroyed(void **state) {
    (void)state;
    rig_begin(1);
    struct scene scene = {.account = ACCOUNT("receiver")};
    struct actor_spec spec = {.handle = charged_handle, .state = &scene, .account = &scene.account};
    OK(actor_spawn(rig_runtime, &spec, &scene.charged));
    scene.other = rig_spawn(rig_ignore, NULL);
    OK(rig_post(NULL, scene.other, MESSAGE_USER, 0));
    assert_int_equal(scene.account.bytes, 0);
    OK(rig_post(NULL, scene.charged, MESSAGE_USER, 0));
    int64_t one = scene.account.bytes;
    assert_true(one >= (int64_t)sizeof(struct message));
    struct message *large = message_new(rig_runtime, MESSAGE_USER, 100000);
    OK(actor_send(rig_runtime, NULL, scene.charged, &large));
    assert_true(scene.account.bytes >= one + 100000);
    OK(rig_post(NULL, scene.charged, MESSAGE_RUN_STEP, 0));
    OK(runtime_run(rig_runtime));
    assert_true(scene.bytes_in_turn >= 2 * one + 100000);
    assert_true(scene.bytes_kept > 0 && scene.bytes_kept <= 2 * one);
    assert_true(scene.bytes_sent_on < scene.bytes_kept); /* whoever has it now pays: nobody */
    assert_int_equal(scene.account.bytes, 0);
    rig_end();
}

static void asker_handle(struct turn *turn, void *state, const struct message *message) {
    struct scene *scene = state;
    if (message->kind == MESSAGE_RUN_START) {
        for (unsigned at = 0; at < 4; at++) {
            struct message *question = message_new(turn->runtime, MESSAGE_PING, 0);
            OK(actor_ask(turn, scene->other, &question, at, 0));
        }
        while (rig_post(turn, turn->self, MESSAGE_USER, 0) == TROUPE_OK)
            scene->accepted++;
        assert_true(scene->account.bytes <= scene->account.limit_bytes);
    }
    if (message->kind == MESSAGE_USER)
        scene->handled++;
    if (message->kind == MESSAGE_PONG && ++scene->replies == 4)
        runtime_stop(turn->runtime);
}

static void answer_handle(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    struct message *reply = message_new(turn->runtime, MESSAGE_PONG, 2000); /* far beyond what is left */
    actor_reply(turn, message, &reply);
}

static void a_limit_pushes_back_but_not_on_replies(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        rig_begin(workers);
        struct scene scene = {.account = ACCOUNT("asker")};
        scene.account.limit_bytes = 1000;
        struct actor_spec spec = {.handle = asker_handle, .state = &scene, .account = &scene.account};
        actor_ref asker;
        OK(actor_spawn(rig_runtime, &spec, &asker));
        scene.other = rig_spawn(answer_handle, NULL);
        OK(rig_post(NULL, asker, MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        assert_in_range(scene.accepted, 1, 20); /* by bytes, far below the mailbox's 1024 */
        assert_int_equal(scene.replies, 4);
        assert_int_equal(scene.account.bytes, 0);
        rig_end();
    }
}

/* Refused whatever the reason, nothing stays charged; and an actor's end gives back what was queued. */
static void refusals_and_ends_give_back(void **state) {
    (void)state;
    rig_begin(1);
    struct scene scene = {.account = ACCOUNT("receiver")};
    struct actor_spec spec = {
        .handle = rig_ignore, .mailbox_len_max = 2, .mailbox_bytes_max = 5000, .account = &scene.account};
    actor_ref ref;
    OK(actor_spawn(rig_runtime, &spec, &ref));
    struct message *large = message_new(rig_runtime, MESSAGE_USER, 6000);
    assert_int_equal(actor_send(rig_runtime, NULL, ref, &large), TROUPE_FULL);
    assert_int_equal(scene.account.bytes, 0);
    message_free(&large);
    OK(rig_post(NULL, ref, MESSAGE_USER, 0));
    OK(rig_post(NULL, ref, MESSAGE_USER, 0));
    int64_t two = scene.account.bytes;
    assert_int_equal(rig_post(NULL, ref, MESSAGE_USER, 0), TROUPE_FULL);
    assert_int_equal(scene.account.bytes, two);
    rig_end();
    assert_int_equal(scene.account.bytes, 0);
}

static void accounts_are_bounded(void **state) {
    (void)state;
    rig_begin(1);
    static struct account accounts[128];
    actor_ref ref;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned at = 0; at < 127; at++) {
            struct actor_spec spec = {.handle = rig_ignore, .account = &accounts[at]};
            OK(actor_spawn(rig_runtime, &spec, &ref));
        }
    struct actor_spec spec = {.handle = rig_ignore, .account = &accounts[127]};
    assert_int_equal(actor_spawn(rig_runtime, &spec, &ref), TROUPE_LIMIT);
    rig_end();
}

/* ---- names ---- */

static void names_are_kept_once_and_bounded(void **state) {
    (void)state;
    rig_begin_with(&(struct runtime_options){.workers = 1, .actors_max = 20000});
    actor_ref ref;
    int64_t before = 0;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned at = 0; at < 6000; at++) {
            char name[32];
            snprintf(name, sizeof name, "%u of a great many, all told", at);
            struct actor_spec spec = {.name = name, .handle = rig_ignore};
            OK(actor_spawn(rig_runtime, &spec, &ref));
        }
        int64_t grown = rig_account.bytes - before;
        before = rig_account.bytes;
        if (round == 1)
            assert_true(grown < 6000 * 150); /* the actors alone */
    }
    rig_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_charged_until_it_is_destroyed),
        cmocka_unit_test(a_limit_pushes_back_but_not_on_replies),
        cmocka_unit_test(refusals_and_ends_give_back),
        cmocka_unit_test(accounts_are_bounded),
        cmocka_unit_test(names_are_kept_once_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
