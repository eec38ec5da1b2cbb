/* Look-ups by message: what is here is told, what is not goes to the port, and each question has one end.
 * What a failure means: an asker that waits for ever, or hears twice. */
#include "registry_rig.h"

#define QUESTIONS 12U

struct asker {
    struct rig *rig;
    actor_ref holder;
    unsigned answers[QUESTIONS], found, absent, failed, resolved;
    struct message *kept[QUESTIONS]; /* the port's: answered later, or never */
    unsigned kept_count;
};

static void resolve(void *context, struct turn *turn, struct message **asked, const char *name_space,
                    const char *name) {
    struct asker *asker = context;
    asker->resolved++;
    assert_string_equal(name_space, "agents");
    if (strcmp(name, "elsewhere") == 0) {
        registry_answer(turn, *asked,
                        &(struct message_registry_answer){.found = true, .actor = 77, .node = 3});
    } else if (strcmp(name, "later") == 0) {
        asker->kept[asker->kept_count++] = *asked;
        *asked = NULL;
    } /* else not taken: it is destroyed unanswered */
}

static const char *const names[] = {"here", "elsewhere", "later", "nobody"};

static void ask_all(struct asker *asker, struct turn *turn) {
    for (unsigned at = 0; at < QUESTIONS; at++) {
        OK(registry_lookup_async(asker->rig->registry, turn, "agents", names[at % 4], at, SECOND));
    }
}

static void on_answer(struct asker *asker, const struct message *message) {
    const struct message_registry_answer *answer = MESSAGE_PAYLOAD(message, struct message_registry_answer);
    unsigned question = (unsigned)message->token % 4;
    asker->answers[message->token]++;
    asker->found += answer->found;
    asker->absent += !answer->found;
    if (question == 0) {
        assert_true(answer->found && answer->actor == asker->holder && answer->version > 0);
        assert_int_equal(answer->capabilities.bits[0], 5);
    } else if (question == 1 && answer->found) {
        assert_int_equal(answer->node, 3);
    }
}

static void handle(struct turn *turn, void *state, const struct message *message) {
    struct asker *asker = state;
    switch (message->kind) {
    case MESSAGE_USER:
        ask_all(asker, turn);
        break;
    case MESSAGE_REGISTRY_ANSWER:
        on_answer(asker, message);
        break;
    case MESSAGE_ASK_FAILED:
        asker->answers[message->token]++;
        asker->failed++;
        break;
    default:
        break;
    }
}

static void run(struct asker *asker, struct rig *rig, bool port) {
    *asker = (struct asker){.rig = rig};
    rig_begin_sim(rig, 3, NULL);
    asker->holder = rig_spawn(rig, NULL, NULL);
    OK(rig_register(rig, "agents", "here", asker->holder, 5));
    if (port) {
        registry_set_port(rig->registry, &(struct registry_port){.resolve = resolve, .context = asker});
    }
    rig_kick(rig, rig_spawn(rig, handle, asker));
    assert_int_equal(runtime_run(rig->runtime), TROUPE_DEAD); /* nothing can happen any more */
    for (unsigned at = 0; at < QUESTIONS; at++) {
        assert_int_equal(asker->answers[at], 1);
    }
    for (unsigned at = 0; at < asker->kept_count; at++) {
        message_free(&asker->kept[at]);
    }
    rig_end(rig);
}

static void alone(void **unused) {
    (void)unused;
    struct asker asker;
    struct rig rig;
    run(&asker, &rig, false);
    assert_int_equal(asker.found, QUESTIONS / 4);
    assert_int_equal(asker.absent, QUESTIONS / 4 * 3);
}

static void with_port(void **unused) {
    (void)unused;
    struct asker asker;
    struct rig rig;
    run(&asker, &rig, true);
    assert_int_equal(asker.resolved, QUESTIONS / 4 * 3);
    assert_int_equal(asker.found, QUESTIONS / 4 * 2);
    assert_int_equal(asker.failed, QUESTIONS / 4 * 2); /* timed out, or destroyed unanswered */
}

static void wrong(void **unused) {
    (void)unused;
    struct rig rig;
    char name[REGISTRY_NAME_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    rig_begin(&rig, 1, NULL);
    struct turn turn = {.runtime = rig.runtime};
    assert_int_equal(registry_lookup_async(rig.registry, &turn, "agents", name, 1, 0), TROUPE_INVALID);
    assert_int_equal(registry_lookup_async(rig.registry, &turn, name, "a", 1, 0), TROUPE_INVALID);
    struct registry_warm *warm = NULL;
    assert_int_equal(registry_warm_create(rig.registry, 12, &warm), TROUPE_INVALID);
    assert_int_equal(registry_warm_create(rig.registry, 0, &warm), TROUPE_INVALID);
    memory_fail_after(1);
    assert_int_equal(registry_warm_create(rig.registry, 16, &warm), TROUPE_NOMEM);
    memory_fail_after(1);
    assert_int_equal(registry_lookup_async(rig.registry, &turn, "agents", "a", 1, 0), TROUPE_NOMEM);
    memory_fail_after(0);
    assert_null(warm);
    registry_warm_free(warm);
    rig_end(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(alone), cmocka_unit_test(with_port),
                                       cmocka_unit_test(wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
