/* Monitors and links among many actors that come and go: each monitor tells once, with the right reason; each link
 * takes the child along when, and only when, its parent ends abnormally. On threads and under seeds. */
#include "runtime_rig.h"

#define WATCHERS 5
#define WATCHES 300

/* ---- watchers and short-lived targets ---- */

struct scene {
    _Atomic unsigned watchers_left, born, buried;
};

static void target_handle(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    if (message->kind == MESSAGE_USER)
        actor_exit(turn, (enum troupe_error)message->token);
}

static void target_destroy(void *state) {
    atomic_fetch_add(&((struct scene *)state)->buried, 1);
}

struct watcher {
    struct scene *scene;
    struct random_stream random;
    struct {
        actor_ref actor;
        enum troupe_error reason;
        unsigned downs;
    } watches[WATCHES];
    unsigned watched, downs;
};

static void watcher_down(struct watcher *watcher, const struct message *message) {
    const struct message_down *down = MESSAGE_PAYLOAD(message, const struct message_down);
    CHECK(down->token < watcher->watched && message->token == down->token);
    CHECK(down->actor == watcher->watches[down->token].actor);
    CHECK(watcher->watches[down->token].downs++ == 0);
    CHECK(!actor_alive(rig_runtime, down->actor));
    CHECK(down->reason == watcher->watches[down->token].reason || down->reason == TROUPE_DEAD);
    watcher->downs++;
}

static void watcher_watch(struct turn *turn, struct watcher *watcher) {
    static const enum troupe_error reasons[] = {TROUPE_OK, TROUPE_WORKER, TROUPE_CANCELLED};
    enum troupe_error reason = reasons[random_below(&watcher->random, 3)];
    bool early = random_below(&watcher->random, 2) == 0; /* watched before it is told to end */
    actor_ref actor;
    struct actor_spec spec = {.handle = target_handle, .state = watcher->scene, .destroy = target_destroy};
    OK(actor_spawn(turn->runtime, &spec, &actor));
    atomic_fetch_add(&watcher->scene->born, 1);
    for (unsigned twice = 0; twice < 2 && watcher->watched < WATCHES; twice++) {
        if (twice == (early ? 1 : 0)) {
            if (reason == TROUPE_CANCELLED)
                actor_stop(turn->runtime, actor, reason);
            else
                OK(rig_post(turn, actor, MESSAGE_USER, reason));
        }
        watcher->watches[watcher->watched].actor = actor;
        watcher->watches[watcher->watched].reason = reason;
        OK(actor_monitor(turn, actor, watcher->watched++));
    }
    if (watcher->watched == WATCHES) /* the last may have been watched once only */
        actor_stop(turn->runtime, actor, reason);
}

static void watcher_handle(struct turn *turn, void *state, const struct message *message) {
    struct watcher *watcher = state;
    if (message->kind == MESSAGE_DOWN)
        watcher_down(watcher, message);
    while (watcher->watched < WATCHES && watcher->watched - watcher->downs < 10)
        watcher_watch(turn, watcher);
    if (watcher->downs == WATCHES && atomic_fetch_sub(&watcher->scene->watchers_left, 1) == 1)
        runtime_stop(turn->runtime);
}

static void watch(void) {
    static struct watcher watchers[WATCHERS];
    struct scene scene = {.watchers_left = WATCHERS};
    for (unsigned at = 0; at < WATCHERS; at++) {
        watchers[at] = (struct watcher){.scene = &scene};
        random_seed(&watchers[at].random, at, 31);
        OK(rig_post(NULL, rig_spawn(watcher_handle, &watchers[at]), MESSAGE_RUN_START, 0));
    }
    OK(runtime_run(rig_runtime));
    for (unsigned at = 0; at < WATCHERS; at++)
        for (unsigned token = 0; token < WATCHES; token++)
            assert_int_equal(watchers[at].watches[token].downs, 1);
    assert_int_equal(atomic_load(&scene.buried), atomic_load(&scene.born));
}

static void each_monitor_tells_once(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++) {
        rig_begin(workers);
        watch();
        rig_end();
    }
    for (uint64_t seed = 1; seed <= 40; seed++) {
        rig_begin_sim(seed);
        watch();
        rig_end();
    }
}

/* ---- watchers that end first, and watching on behalf of others ---- */

struct pair {
    actor_ref target, watcher;
};

static void pair_handle(struct turn *turn, void *state, const struct message *message) {
    struct pair *pair = state;
    if (message->kind == MESSAGE_USER) {
        actor_exit(turn, TROUPE_OK);
        return;
    }
    if (message->kind == MESSAGE_EXIT)
        return;
    assert_int_equal(message->kind, MESSAGE_RUN_START);
    actor_ref self = turn->self;
    OK(actor_watch(turn->runtime, pair->watcher, pair->target, 1));
    OK(actor_watch(turn->runtime, pair->watcher, self, 2));
    OK(rig_post(turn, pair->watcher, MESSAGE_USER, 0)); /* the watcher ends with both monitors */
    OK(rig_post(turn, self, MESSAGE_RUN_STOP, 0));
}

static void pair_end(struct turn *turn, void *state, const struct message *message) {
    struct pair *pair = state;
    if (message->kind == MESSAGE_RUN_START) {
        pair_handle(turn, state, message);
    } else if (message->kind == MESSAGE_RUN_STOP && actor_alive(turn->runtime, pair->watcher)) {
        OK(rig_post(turn, turn->self, MESSAGE_RUN_STOP, 0)); /* not yet */
    } else if (message->kind == MESSAGE_RUN_STOP) {
        assert_int_equal(actor_watch(turn->runtime, pair->watcher, pair->target, 3), TROUPE_DEAD);
        actor_stop(turn->runtime, pair->target, TROUPE_OK);
        runtime_stop(turn->runtime);
    }
}

static void a_watcher_may_end_first(void **state) {
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        if (round < 3)
            rig_begin(round + 1);
        else
            rig_begin_sim(round);
        struct pair pair = {0};
        pair.target = rig_spawn(pair_handle, &pair);
        pair.watcher = rig_spawn(pair_handle, &pair);
        OK(rig_post(NULL, rig_spawn(pair_end, &pair), MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        rig_end();
    }
}

/* ---- a family: links from parents to children, three deep ---- */

#define FAMILY 40

struct family {
    actor_ref members[FAMILY];
    bool ended[FAMILY], told_exit[FAMILY];
    unsigned alive, downs;
    enum troupe_error reason;
    unsigned first;
};
struct member {
    struct family *family;
    unsigned index;
};
static struct member members[FAMILY];

static unsigned parent_of(unsigned index) {
    return (index - 1) / 3;
}

static void member_handle(struct turn *turn, void *state, const struct message *message) {
    struct member *member = state;
    struct family *family = member->family;
    if (message->kind == MESSAGE_USER) {
        actor_exit(turn, family->reason);
    } else if (message->kind == MESSAGE_EXIT) {
        assert_true(MESSAGE_PAYLOAD(message, const struct message_exit)->reason == family->reason);
        assert_false(family->told_exit[member->index]);
        family->told_exit[member->index] = true;
    } else if (message->kind == MESSAGE_DOWN) {
        family->downs++;
    }
}

static void member_destroy(void *state) {
    struct member *member = state;
    member->family->ended[member->index] = true;
}

static bool descends(unsigned index, unsigned from) {
    while (index > from)
        index = parent_of(index);
    return index == from;
}

static void head_handle(struct turn *turn, void *state, const struct message *message) {
    struct family *family = state;
    uint64_t timer;
    if (message->kind == MESSAGE_RUN_START) {
        OK(rig_post(turn, family->members[family->first], MESSAGE_USER, 0));
        OK(timer_start(turn, turn->now_ns + 1000 * MILLISECOND, 0, &timer)); /* virtual: all is settled */
        return;
    }
    for (unsigned at = 0; at < FAMILY; at++) {
        bool ends = family->reason == TROUPE_OK ? at == family->first : descends(at, family->first);
        assert_int_equal(family->ended[at], ends);
        assert_int_equal(family->told_exit[at], ends && at != family->first);
        assert_int_equal(actor_alive(turn->runtime, family->members[at]), !ends);
    }
    runtime_stop(turn->runtime);
}

static void an_abnormal_end_takes_all_descendants(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        rig_begin_sim(seed);
        struct family family = {.reason = seed % 4 == 0 ? TROUPE_OK : TROUPE_WORKER,
                                .first = (unsigned)seed % 12};
        for (unsigned at = 0; at < FAMILY; at++) {
            members[at] = (struct member){&family, at};
            struct actor_spec spec = {.handle = member_handle,
                                      .state = &members[at],
                                      .destroy = member_destroy,
                                      .link = at == 0 ? 0 : family.members[parent_of(at)]};
            OK(actor_spawn(rig_runtime, &spec, &family.members[at]));
        }
        OK(rig_post(NULL, rig_spawn(head_handle, &family), MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        rig_end();
    }
}

/* ---- a watch that is taken back ---- */

struct regret {
    actor_ref target;
    uint64_t heard; /* bits of the tokens */
};

/* Of four watches two with the same token: one of these, and no other, is taken back. */
static void regret_handle(struct turn *turn, void *state, const struct message *message) {
    struct regret *regret = state;
    if (message->kind == MESSAGE_RUN_START) {
        int64_t before = rig_account.blocks;
        OK(actor_monitor(turn, regret->target, 1));
        OK(actor_monitor(turn, regret->target, 2));
        OK(actor_monitor(turn, turn->self, 2));
        actor_unwatch(rig_runtime, turn->self, regret->target, 2);
        actor_unwatch(rig_runtime, turn->self, regret->target, 2);         /* there is none left */
        actor_unwatch(rig_runtime, turn->self, regret->target, 3);         /* nor ever was */
        actor_unwatch(rig_runtime, regret->target, turn->self, 1);         /* the other way round neither */
        actor_unwatch(rig_runtime, turn->self + (1 << 20), turn->self, 1); /* nobody watches */
        assert_int_equal(rig_account.blocks, before + 2);
        OK(rig_post(turn, regret->target, MESSAGE_USER, TROUPE_OK));
    } else if (message->kind == MESSAGE_DOWN) {
        regret->heard |= UINT64_C(1) << message->token;
        OK(rig_post(turn, turn->self, MESSAGE_PING, 0)); /* a second one would be before it */
    } else if (message->kind == MESSAGE_PING) {
        runtime_stop(rig_runtime);
    }
}

static void a_watch_is_taken_back(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        rig_begin_sim(seed);
        struct scene scene = {0};
        struct regret regret = {0};
        regret.target = rig_spawn(target_handle, &scene);
        OK(rig_post(NULL, rig_spawn(regret_handle, &regret), MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(regret.heard, 1U << 1);
        rig_end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_monitor_tells_once),
        cmocka_unit_test(a_watcher_may_end_first),
        cmocka_unit_test(a_watch_is_taken_back),
        cmocka_unit_test(an_abnormal_end_takes_all_descendants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
