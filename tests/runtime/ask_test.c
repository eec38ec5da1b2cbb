/* Asks: whatever the answerer does (answer, twice, late, through somebody else, never, die), exactly one result
 * reaches the asker for each question; on threads and under seeds. Fails if a question is answered twice, never, or
 * with somebody else's token, or if a reply can be refused. */
#include "runtime_rig.h"

#define ASKERS 6
#define ANSWERERS 4
#define QUESTIONS 400

enum behaviour { AT_ONCE, TWICE, LATER, BY_ANOTHER, NEVER, KEPT, DIES, BEHAVIOURS };

struct scene {
    actor_ref answerers[ANSWERERS], clerk;
    _Atomic unsigned askers_left, replies_tried;
    bool timeouts; /* short ones too */
};

static void try_reply(struct turn *turn, struct scene *scene, const struct message *asked, uint64_t check) {
    struct message *reply = message_new(rig_runtime, MESSAGE_USER_REPLY, sizeof(uint64_t));
    CHECK(reply != NULL);
    *MESSAGE_PAYLOAD(reply, uint64_t) = check;
    atomic_fetch_add(&scene->replies_tried, 1);
    actor_reply(turn, asked, &reply);
    CHECK(reply == NULL);
}

/* Answers questions that were handed on as the payload of a message. */
static void clerk_handle(struct turn *turn, void *state, const struct message *message) {
    if (message->kind != MESSAGE_PING)
        return;
    struct message **asked = MESSAGE_PAYLOAD(message, struct message *);
    try_reply(turn, state, *asked, (*asked)->token);
    message_free(asked);
}

struct answerer {
    struct scene *scene;
    struct message *later[64];
    unsigned later_count;
};

static void answerer_destroy(void *state) {
    struct answerer *answerer = state;
    while (answerer->later_count > 0) /* unanswered: DEAD to each asker */
        message_free(&answerer->later[--answerer->later_count]);
}

static void answer_later(struct turn *turn, struct answerer *answerer, bool at_some_time) {
    uint64_t timer;
    if (answerer->later_count == ARRAY_COUNT(answerer->later)) {
        try_reply(turn, answerer->scene, turn->message, turn->message->token);
        return;
    }
    answerer->later[answerer->later_count++] = turn_take(turn);
    if (at_some_time)
        OK(timer_start(turn, turn->now_ns + 20000, 0, &timer));
}

static void answerer_handle(struct turn *turn, void *state, const struct message *message) {
    struct answerer *answerer = state;
    struct scene *scene = answerer->scene;
    if (message->kind == MESSAGE_TIMER) {
        if (answerer->later_count > 0) {
            struct message *asked = answerer->later[--answerer->later_count];
            try_reply(turn, scene, asked, asked->token);
            message_free(&asked);
        }
        return;
    }
    if (message->kind == MESSAGE_EXIT)
        return;
    CHECK(message->reply != 0);
    switch ((enum behaviour)(message->token * 2654435761U >> 8) % BEHAVIOURS) {
    case TWICE:
        try_reply(turn, scene, message, message->token);
        try_reply(turn, scene, message, 0);
        break;
    case LATER:
        answer_later(turn, answerer, true);
        break;
    case KEPT:
        answer_later(turn, answerer, false);
        break;
    case BY_ANOTHER: {
        struct message *hand_on = message_new(rig_runtime, MESSAGE_PING, sizeof(struct message *));
        CHECK(hand_on != NULL);
        *MESSAGE_PAYLOAD(hand_on, struct message *) = turn_take(turn);
        if (actor_send(rig_runtime, turn, scene->clerk, &hand_on) != TROUPE_OK) {
            message_free(MESSAGE_PAYLOAD(hand_on, struct message *)); /* DEAD to the asker */
            message_free(&hand_on);
        }
        break;
    }
    case NEVER:
        break;
    case DIES:
        if (message->token % 16 == 0)
            actor_exit(turn, TROUPE_WORKER);
        break;
    default:
        try_reply(turn, scene, message, message->token);
    }
}

struct asker {
    struct scene *scene;
    struct random_stream random;
    unsigned asked, refused, replies, dead, timeouts;
    uint8_t results[QUESTIONS];
    bool over;
};

static void asker_ask(struct turn *turn, struct asker *asker) {
    struct scene *scene = asker->scene;
    struct message *question = message_new(rig_runtime, MESSAGE_USER, 0);
    uint64_t timeout_ns = random_below(&asker->random, 3) == 0 ? 0 : 1000 * MILLISECOND;
    CHECK(question != NULL);
    if (scene->timeouts && random_below(&asker->random, 4) != 0)
        timeout_ns = 1 + random_below(&asker->random, 200000);
    enum troupe_error error = actor_ask(turn, scene->answerers[random_below(&asker->random, ANSWERERS)],
                                        &question, asker->asked, timeout_ns);
    if (error != TROUPE_OK) {
        CHECK((error == TROUPE_FULL || error == TROUPE_DEAD) && question != NULL && question->reply == 0);
        asker->refused++;
        asker->results[asker->asked]++;
        message_free(&question);
    }
    asker->asked++;
}

static void asker_result(struct asker *asker, const struct message *message) {
    CHECK(message->token < asker->asked && asker->results[message->token] == 0);
    asker->results[message->token]++;
    if (message->kind == MESSAGE_USER_REPLY) {
        CHECK(*MESSAGE_PAYLOAD(message, const uint64_t) == message->token);
        asker->replies++;
        return;
    }
    CHECK(message->kind == MESSAGE_ASK_FAILED);
    const struct message_ask_failed *failed = MESSAGE_PAYLOAD(message, const struct message_ask_failed);
    CHECK(failed->token == message->token);
    asker->dead += failed->error == TROUPE_DEAD;
    asker->timeouts += failed->error == TROUPE_TIMEOUT;
}

static void asker_handle(struct turn *turn, void *state, const struct message *message) {
    struct asker *asker = state;
    if (message->kind == MESSAGE_TIMER) { /* nothing came after the last result */
        if (atomic_fetch_sub(&asker->scene->askers_left, 1) == 1)
            runtime_stop(turn->runtime);
        return;
    }
    if (message->kind != MESSAGE_RUN_START)
        asker_result(asker, message);
    unsigned results = asker->replies + asker->dead + asker->timeouts + asker->refused;
    while (asker->asked < QUESTIONS && asker->asked - results < 8) {
        asker_ask(turn, asker);
        results = asker->replies + asker->dead + asker->timeouts + asker->refused;
    }
    /* Questions that are kept for ever are answered only when their keeper ends. */
    if (asker->asked == QUESTIONS && !asker->over && results == QUESTIONS) {
        uint64_t timer;
        asker->over = true;
        OK(timer_start(turn, turn->now_ns + 2 * MILLISECOND, 0, &timer));
    }
}

/* Ends the answerers when nobody else can bring the results that are missing. */
static void reaper_handle(struct turn *turn, void *state, const struct message *message) {
    struct scene *scene = state;
    uint64_t timer;
    if (message->kind == MESSAGE_TIMER)
        for (unsigned at = 0; at < ANSWERERS; at++)
            actor_stop(turn->runtime, scene->answerers[at], TROUPE_CANCELLED);
    else
        OK(timer_start(turn, turn->now_ns + 30 * MILLISECOND, 0, &timer));
}

static void play(bool timeouts) {
    static struct answerer answerers[ANSWERERS];
    static struct asker askers[ASKERS];
    struct scene scene = {.askers_left = ASKERS, .timeouts = timeouts};
    scene.clerk = rig_spawn(clerk_handle, &scene);
    for (unsigned at = 0; at < ANSWERERS; at++) {
        answerers[at] = (struct answerer){.scene = &scene};
        struct actor_spec spec = {.handle = answerer_handle,
                                  .state = &answerers[at],
                                  .destroy = answerer_destroy,
                                  .mailbox_len_max = 16};
        OK(actor_spawn(rig_runtime, &spec, &scene.answerers[at]));
    }
    for (unsigned at = 0; at < ASKERS; at++) {
        askers[at] = (struct asker){.scene = &scene};
        random_seed(&askers[at].random, at, 21);
        OK(rig_post(NULL, rig_spawn(asker_handle, &askers[at]), MESSAGE_RUN_START, 0));
    }
    OK(rig_post(NULL, rig_spawn(reaper_handle, &scene), MESSAGE_RUN_START, 0));
    OK(runtime_run(rig_runtime));
    unsigned replies = 0;
    for (unsigned at = 0; at < ASKERS; at++) {
        for (unsigned token = 0; token < QUESTIONS; token++)
            assert_int_equal(askers[at].results[token], 1);
        replies += askers[at].replies;
    }
    assert_int_equal(rig_statistics().late_replies, atomic_load(&scene.replies_tried) - replies);
}

static void one_result_for_each_on_threads(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++)
        for (unsigned timeouts = 0; timeouts < 2; timeouts++) {
            rig_begin(workers);
            play(timeouts);
            rig_end();
        }
}

/* Under a seed the whole of it is the same run twice. */
static void one_result_for_each_under_seeds(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        uint64_t signatures[2];
        for (unsigned again = 0; again < 2; again++) {
            rig_begin_sim(seed);
            play(seed % 2);
            signatures[again] = env_sim_signature(rig_env);
            rig_end();
        }
        assert_true(signatures[0] == signatures[1]);
    }
}

/* ---- a reply finds its place in the fullest mailbox ---- */

struct full {
    actor_ref answerer, filler;
    unsigned users, replies, failures;
};

static void echo_handle(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    struct message *reply = message_new(turn->runtime, MESSAGE_USER_REPLY, 0);
    actor_reply(turn, message, &reply);
}

static void filler_handle(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    while (rig_post(turn, message->sender, MESSAGE_USER, 0) == TROUPE_OK) {
    }
    if (message->token == 0)
        OK(rig_post(turn, message->sender, MESSAGE_RUN_STEP, 0));
}

static void full_handle(struct turn *turn, void *state, const struct message *message) {
    struct full *full = state;
    struct message *question;
    switch (message->kind) {
    case MESSAGE_RUN_START: /* to be filled before anybody answers */
        OK(rig_post(turn, full->filler, MESSAGE_USER, 0));
        break;
    case MESSAGE_RUN_STEP:
        for (uint64_t token = 0; token < 20; token++) {
            question = message_new(turn->runtime, MESSAGE_PING, 0);
            OK(actor_ask(turn, full->answerer, &question, token, 0));
        }
        OK(rig_post(turn, full->filler, MESSAGE_USER, 1));
        break;
    case MESSAGE_USER:
        full->users++;
        break;
    case MESSAGE_USER_REPLY:
        full->replies++;
        break;
    default:
        full->failures++;
    }
    if (full->replies == 20)
        runtime_stop(turn->runtime);
}

static void a_reply_is_never_refused(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        rig_begin_sim(seed);
        struct full full = {0};
        full.answerer = rig_spawn(echo_handle, NULL);
        full.filler = rig_spawn(filler_handle, &full);
        struct actor_spec spec = {.handle = full_handle, .state = &full, .mailbox_len_max = 1};
        actor_ref asker;
        OK(actor_spawn(rig_runtime, &spec, &asker));
        OK(rig_post(NULL, asker, MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(full.replies, 20);
        assert_int_equal(full.failures, 0);
        assert_true(full.users > 0);
        rig_end();
    }
}

/* ---- the asker is gone when the answer comes ---- */

struct orphan {
    actor_ref answerer;
    struct message *kept;
};

static void orphan_asker(struct turn *turn, void *state, const struct message *message) {
    const struct orphan *orphan = state;
    (void)message;
    struct message *question = message_new(turn->runtime, MESSAGE_PING, 0);
    OK(actor_ask(turn, orphan->answerer, &question, 1, 0));
    actor_exit(turn, TROUPE_OK);
}

static void orphan_answerer(struct turn *turn, void *state, const struct message *message) {
    struct orphan *orphan = state;
    if (message->kind == MESSAGE_PING) {
        actor_ref asker = message->sender;
        orphan->kept = turn_take(turn);
        OK(actor_monitor(turn, asker, 0));
        return;
    }
    assert_int_equal(message->kind, MESSAGE_DOWN);
    struct message *reply = message_new(turn->runtime, MESSAGE_USER_REPLY, 0);
    actor_reply(turn, orphan->kept, &reply);
    assert_null(reply);
    message_free(&orphan->kept); /* answered: its end says nothing more */
    runtime_stop(turn->runtime);
}

static void an_answer_to_nobody_is_counted(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        rig_begin(workers);
        struct orphan orphan = {0};
        orphan.answerer = rig_spawn(orphan_answerer, &orphan);
        OK(rig_post(NULL, rig_spawn(orphan_asker, &orphan), MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(rig_statistics().late_replies, 1);
        rig_end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_result_for_each_on_threads),
        cmocka_unit_test(one_result_for_each_under_seeds),
        cmocka_unit_test(a_reply_is_never_refused),
        cmocka_unit_test(an_answer_to_nobody_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
