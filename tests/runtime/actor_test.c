/* Actors end to end on real threads: sending, bounds, asks, death, links, exits, jobs.
 * What a failure means: a message lost, doubled or leaked, or somebody waiting for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/runtime.h"

#define MILLISECOND UINT64_C(1000000)

static struct account account;
static struct env *env;
static struct runtime *runtime;
static _Atomic int owned; /* payloads alive: what a destructor must give back */

static void owned_destroy(struct message *message) {
    if (message->bytes == sizeof(void *) && *MESSAGE_PAYLOAD(message, void *) != NULL) {
        atomic_fetch_sub(&owned, 1);
    }
}

static void begin(unsigned workers) {
    account = ACCOUNT("actor_test");
    assert_int_equal(env_os_create(&account, &env), TROUPE_OK);
    struct runtime_options options = {.workers = workers, .actors_max = 4096};
    assert_int_equal(runtime_create(env, &account, &options, &runtime, NULL), TROUPE_OK);
    atomic_store(&owned, 0);
    message_set_destructor(MESSAGE_USER, owned_destroy);
}

static void end(void) {
    message_set_destructor(MESSAGE_USER, NULL);
    runtime_free(runtime);
    env_destroy(env);
    assert_int_equal(account.bytes, 0);
    assert_int_equal(account.blocks, 0);
    assert_int_equal(atomic_load(&owned), 0);
}

static actor_ref spawn(actor_handler handle, void *state) {
    struct actor_spec spec = {.name = "test", .handle = handle, .state = state};
    actor_ref ref;
    assert_int_equal(actor_spawn(runtime, &spec, &ref), TROUPE_OK);
    return ref;
}

static enum troupe_error post(struct turn *turn, actor_ref to, enum message_kind kind, uint64_t token) {
    struct message *message = message_new(runtime, kind, 0);
    assert_non_null(message);
    message->token = token;
    enum troupe_error error = actor_send(runtime, turn, to, &message);
    assert_true((error == TROUPE_OK) == (message == NULL)); /* a refused message stays with its sender */
    message_free(&message);
    return error;
}

static struct message *owning(void) {
    struct message *message = message_new(runtime, MESSAGE_USER, sizeof(void *));
    assert_non_null(message);
    *MESSAGE_PAYLOAD(message, void *) = message;
    atomic_fetch_add(&owned, 1);
    return message;
}

/* ---- ping-pong and per-sender order ---- */

struct pong {
    uint64_t expected;
};
static void pong_handle(struct turn *turn, void *state, const struct message *message) {
    struct pong *pong = state;
    assert_int_equal(message->kind, MESSAGE_PING);
    assert_int_equal(message->token, pong->expected++);
    assert_int_equal(post(turn, message->sender, MESSAGE_PONG, message->token), TROUPE_OK);
}
struct ping {
    actor_ref pong;
    uint64_t left, answered, last_ns;
};
static void ping_handle(struct turn *turn, void *state, const struct message *message) {
    struct ping *ping = state;
    assert_true(turn->now_ns >= ping->last_ns);
    ping->last_ns = turn->now_ns;
    if (message->kind == MESSAGE_PONG) {
        assert_int_equal(message->token, ping->answered++);
    }
    if (ping->answered == ping->left) {
        runtime_stop(runtime);
        return;
    }
    assert_int_equal(post(turn, ping->pong, MESSAGE_PING, ping->answered), TROUPE_OK);
}

static void ping_pong(void **unused) {
    (void)unused;
    for (unsigned workers = 1; workers <= 3; workers++) {
        begin(workers);
        struct pong pong = {0};
        struct ping ping = {.left = 20000};
        ping.pong = spawn(pong_handle, &pong);
        assert_int_equal(post(NULL, spawn(ping_handle, &ping), MESSAGE_USER, 0), TROUPE_OK);
        assert_int_equal(runtime_run(runtime), TROUPE_OK);
        assert_int_equal(ping.answered, 20000);
        struct runtime_statistics statistics;
        runtime_statistics(runtime, &statistics);
        assert_int_equal(statistics.turns, 40001);
        assert_int_equal(statistics.actors_live, 0);
        end();
    }
}

/* ---- many senders to one: nothing lost, order per sender, bound refuses and the message stays ---- */

#define SENDERS 8
#define EACH 3000
struct funnel {
    uint64_t next[SENDERS];
    unsigned total;
};
static void funnel_handle(struct turn *turn, void *state, const struct message *message) {
    (void)turn;
    struct funnel *funnel = state;
    unsigned sender = (unsigned)(message->token >> 32);
    assert_int_equal((uint32_t)message->token, funnel->next[sender]++);
    if (++funnel->total == SENDERS * EACH) {
        runtime_stop(runtime);
    }
}
struct sender {
    actor_ref to;
    unsigned number;
    uint32_t sent;
    uint64_t refused;
};
static void sender_handle(struct turn *turn, void *state, const struct message *message) {
    (void)message;
    struct sender *sender = state;
    for (unsigned burst = 0; burst < 50 && sender->sent < EACH; burst++) {
        enum troupe_error error =
            post(turn, sender->to, MESSAGE_USER, (uint64_t)sender->number << 32 | sender->sent);
        if (error == TROUPE_FULL) {
            sender->refused++;
            break;
        }
        assert_int_equal(error, TROUPE_OK);
        sender->sent++;
    }
    if (sender->sent < EACH) {
        assert_int_equal(post(turn, turn->self, MESSAGE_RUN_STEP, 0), TROUPE_OK);
    }
}

static void fan_in(void **unused) {
    (void)unused;
    for (unsigned workers = 1; workers <= 4; workers++) {
        begin(workers);
        struct funnel funnel = {0};
        struct sender senders[SENDERS];
        struct actor_spec spec = {
            .name = "funnel", .handle = funnel_handle, .state = &funnel, .mailbox_len_max = 64};
        actor_ref to;
        assert_int_equal(actor_spawn(runtime, &spec, &to), TROUPE_OK);
        for (unsigned at = 0; at < SENDERS; at++) {
            senders[at] = (struct sender){.to = to, .number = at};
            post(NULL, spawn(sender_handle, &senders[at]), MESSAGE_RUN_STEP, 0);
        }
        assert_int_equal(runtime_run(runtime), TROUPE_OK);
        assert_int_equal(funnel.total, SENDERS * EACH);
        end();
    }
}

/* ---- bounds ---- */

static void idle_handle(struct turn *turn, void *state, const struct message *message) {
    (void)turn, (void)state, (void)message;
}

static void bounds(void **unused) {
    (void)unused;
    begin(1);
    struct actor_spec spec = {.handle = idle_handle, .mailbox_len_max = 3, .mailbox_bytes_max = 5000};
    actor_ref to;
    assert_int_equal(actor_spawn(runtime, &spec, &to), TROUPE_OK);
    for (unsigned at = 0; at < 3; at++) {
        assert_int_equal(post(NULL, to, MESSAGE_USER, 0), TROUPE_OK);
        assert_int_equal(actor_mailbox_length(runtime, to), at + 1);
    }
    assert_int_equal(post(NULL, to, MESSAGE_USER, 0), TROUPE_FULL);
    /* Replies and system messages are outside the bound. */
    assert_int_equal(post(NULL, to, MESSAGE_PONG, 0), TROUPE_OK);
    assert_int_equal(post(NULL, to, MESSAGE_RUN_STEP, 0), TROUPE_OK);
    assert_int_equal(actor_mailbox_length(runtime, to), 3);

    spec.mailbox_len_max = 100;
    assert_int_equal(actor_spawn(runtime, &spec, &to), TROUPE_OK);
    struct message *first = message_new(runtime, MESSAGE_USER, 3000);
    struct message *second = message_new(runtime, MESSAGE_USER, 3000);
    assert_int_equal(actor_send(runtime, NULL, to, &first), TROUPE_OK);
    assert_int_equal(actor_send(runtime, NULL, to, &second), TROUPE_FULL);
    assert_non_null(second);
    message_free(&second);
    assert_int_equal(post(NULL, 0, MESSAGE_USER, 0), TROUPE_DEAD);
    assert_int_equal(post(NULL, UINT64_C(77) << 32 | 5, MESSAGE_USER, 0), TROUPE_DEAD);
    assert_int_equal(post(NULL, UINT64_C(1) << 32 | 4000000000, MESSAGE_USER, 0), TROUPE_DEAD);
    end();
}

static void actors_bound(void **unused) {
    (void)unused;
    begin(2);
    struct actor_spec spec = {.handle = idle_handle};
    actor_ref ref;
    for (unsigned at = 0; at < 4096; at++) {
        assert_int_equal(actor_spawn(runtime, &spec, &ref), TROUPE_OK);
    }
    assert_int_equal(actor_spawn(runtime, &spec, &ref), TROUPE_LIMIT);
    end();
}

/* ---- asks ---- */

enum { ANSWER_NOW, ANSWER_NEVER, ANSWER_TWICE, ANSWER_DIES, ANSWER_KEEPS, ANSWER_MODES };
struct answerer {
    int mode;
    struct message *kept;
};
static void answer(struct turn *turn, const struct message *asked) {
    struct message *reply = message_new(runtime, MESSAGE_USER_REPLY, 0);
    actor_reply(turn, asked, &reply);
    assert_null(reply);
}
static void answerer_handle(struct turn *turn, void *state, const struct message *message) {
    struct answerer *answerer = state;
    if (message->kind == MESSAGE_TIMER) {
        answer(turn, answerer->kept);
        message_free(&answerer->kept);
        return;
    }
    uint64_t timer;
    switch (answerer->mode) {
    case ANSWER_TWICE:
        answer(turn, message);
        answer(turn, message);
        break;
    case ANSWER_NOW:
        answer(turn, message);
        break;
    case ANSWER_DIES:
        actor_exit(turn, TROUPE_WORKER);
        break;
    case ANSWER_KEEPS:
        answerer->kept = turn_take(turn);
        assert_int_equal(timer_start(turn, turn->now_ns + MILLISECOND, 0, &timer), TROUPE_OK);
        break;
    default:
        break;
    }
}
struct asker {
    actor_ref to;
    uint64_t timeout_ns;
    unsigned replies, dead, timeouts;
    bool done;
    bool linger; /* wait a little for a second answer, which must not come */
};
static void asker_handle(struct turn *turn, void *state, const struct message *message) {
    struct asker *asker = state;
    if (message->kind == MESSAGE_RUN_START) {
        struct message *question = owning();
        assert_int_equal(actor_ask(turn, asker->to, &question, 42, asker->timeout_ns), TROUPE_OK);
        assert_null(question);
        return;
    }
    if (message->kind == MESSAGE_TIMER) {
        runtime_stop(runtime);
        return;
    }
    assert_int_equal(message->token, 42);
    if (message->kind == MESSAGE_USER_REPLY) {
        asker->replies++;
    } else {
        assert_int_equal(message->kind, MESSAGE_ASK_FAILED);
        const struct message_ask_failed *failed = MESSAGE_PAYLOAD(message, const struct message_ask_failed);
        assert_int_equal(failed->token, 42);
        asker->dead += failed->error == TROUPE_DEAD;
        asker->timeouts += failed->error == TROUPE_TIMEOUT;
    }
    uint64_t timer;
    assert_int_equal(timer_start(turn, turn->now_ns + 3 * MILLISECOND, 7, &timer), TROUPE_OK);
}

static void asks(void **unused) {
    (void)unused;
    for (unsigned workers = 1; workers <= 2; workers++) {
        for (int mode = 0; mode < ANSWER_MODES; mode++) {
            for (unsigned timed = 0; timed < 2; timed++) {
                begin(workers);
                struct answerer answerer = {.mode = mode};
                struct asker asker = {.timeout_ns = timed ? 500 * MILLISECOND : 0};
                asker.to = spawn(answerer_handle, &answerer);
                post(NULL, spawn(asker_handle, &asker), MESSAGE_RUN_START, 0);
                assert_int_equal(runtime_run(runtime), TROUPE_OK);
                bool fails = mode == ANSWER_NEVER || mode == ANSWER_DIES;
                assert_int_equal(asker.replies, fails ? 0 : 1);
                assert_int_equal(asker.dead, fails ? 1 : 0);
                assert_int_equal(asker.timeouts, 0);
                struct runtime_statistics statistics;
                runtime_statistics(runtime, &statistics);
                assert_int_equal(statistics.late_replies, mode == ANSWER_TWICE);
                end();
            }
        }
    }
}

static void keeper_handle(struct turn *turn, void *state, const struct message *message) {
    (void)message;
    *(struct message **)state = turn_take(turn); /* until long after the timeout */
}
static void keeper_destroy(void *state) {
    message_free(state);
}
static void ask_timeout(void **unused) {
    (void)unused;
    begin(2);
    struct message *kept = NULL;
    struct actor_spec spec = {.handle = keeper_handle, .state = &kept, .destroy = keeper_destroy};
    struct asker asker = {.timeout_ns = MILLISECOND};
    assert_int_equal(actor_spawn(runtime, &spec, &asker.to), TROUPE_OK);
    post(NULL, spawn(asker_handle, &asker), MESSAGE_RUN_START, 0);
    assert_int_equal(runtime_run(runtime), TROUPE_OK);
    assert_int_equal(asker.timeouts, 1);
    assert_int_equal(asker.dead + asker.replies, 0);
    end();
}

/* Questions queued at an actor that ends are answered DEAD once each, and what they own is released. */
struct crowd {
    actor_ref to;
    unsigned asked, dead, refused;
};
static void crowd_handle(struct turn *turn, void *state, const struct message *message) {
    struct crowd *crowd = state;
    if (message->kind == MESSAGE_ASK_FAILED) {
        crowd->dead++;
    } else {
        for (unsigned at = 0; at < 100; at++) {
            struct message *question = owning();
            enum troupe_error error =
                actor_ask(turn, crowd->to, &question, at, at % 2 ? 0 : 1000 * MILLISECOND);
            if (error == TROUPE_OK) {
                crowd->asked++;
            } else {
                crowd->refused++;
                message_free(&question);
            }
        }
    }
    if (crowd->dead == crowd->asked) {
        runtime_stop(runtime);
    }
}
static void dies_handle(struct turn *turn, void *state, const struct message *message) {
    (void)state, (void)message;
    actor_exit(turn, TROUPE_OK);
}
static void death_answers_once(void **unused) {
    (void)unused;
    for (unsigned round = 0; round < 20; round++) {
        begin(1 + round % 3);
        struct crowd crowd = {.to = spawn(dies_handle, NULL)};
        post(NULL, spawn(crowd_handle, &crowd), MESSAGE_RUN_START, 0);
        assert_int_equal(runtime_run(runtime), TROUPE_OK);
        assert_int_equal(crowd.asked + crowd.refused, 100);
        assert_true(crowd.asked > 0);
        assert_int_equal(crowd.dead, crowd.asked);
        end();
    }
}

/* ---- exit, monitors, links ---- */

struct watcher {
    actor_ref target;
    unsigned downs;
    enum troupe_error reason;
    bool monitors_late;
};
static void watcher_handle(struct turn *turn, void *state, const struct message *message) {
    struct watcher *watcher = state;
    if (message->kind == MESSAGE_RUN_START) {
        assert_int_equal(actor_monitor(turn, watcher->target, 5), TROUPE_OK);
        actor_stop(runtime, watcher->target, TROUPE_CANCELLED);
        return;
    }
    assert_int_equal(message->kind, MESSAGE_DOWN);
    const struct message_down *down = MESSAGE_PAYLOAD(message, const struct message_down);
    assert_true(down->actor == watcher->target);
    assert_int_equal(down->token, 5);
    assert_false(actor_alive(runtime, watcher->target));
    watcher->reason = down->reason;
    if (++watcher->downs == 1) {
        assert_int_equal(actor_monitor(turn, watcher->target, 5), TROUPE_OK); /* gone: told at once */
    } else {
        assert_int_equal(down->reason, TROUPE_DEAD);
        runtime_stop(runtime);
    }
}
static void destroy_counts(void *state) {
    ++*(unsigned *)state;
}
static void stop_and_monitor(void **unused) {
    (void)unused;
    begin(2);
    unsigned destroyed = 0;
    struct actor_spec spec = {.handle = idle_handle, .state = &destroyed, .destroy = destroy_counts};
    struct watcher watcher = {0};
    assert_int_equal(actor_spawn(runtime, &spec, &watcher.target), TROUPE_OK);
    post(NULL, spawn(watcher_handle, &watcher), MESSAGE_RUN_START, 0);
    assert_int_equal(runtime_run(runtime), TROUPE_OK);
    assert_int_equal(watcher.downs, 2);
    assert_int_equal(destroyed, 1);
    end();
}

struct patient {
    bool exiting;
};
static void patient_handle(struct turn *turn, void *state, const struct message *message) {
    struct patient *patient = state;
    if (message->kind == MESSAGE_EXIT) {
        struct message *exit = turn_take(turn);
        message_free(&exit);
        patient->exiting = true;
        assert_int_equal(post(turn, turn->self, MESSAGE_RUN_STEP, 0), TROUPE_OK);
    } else if (patient->exiting) {
        runtime_stop(runtime);
        actor_exit(turn, TROUPE_OK);
    }
}
static void exit_postponed(void **unused) {
    (void)unused;
    begin(1);
    struct patient patient = {0};
    actor_stop(runtime, spawn(patient_handle, &patient), TROUPE_OK);
    assert_int_equal(runtime_run(runtime), TROUPE_OK);
    assert_true(patient.exiting);
    end();
}

struct parent {
    actor_ref child[3];
    unsigned downs;
    _Atomic unsigned exits; /* children may end on different workers */
};
static void child_handle(struct turn *turn, void *state, const struct message *message) {
    struct parent *parent = state;
    if (message->kind == MESSAGE_EXIT) {
        assert_int_equal(MESSAGE_PAYLOAD(message, const struct message_exit)->reason, TROUPE_WORKER);
        if (atomic_fetch_add(&parent->exits, 1) == 1) {
            runtime_stop(runtime);
        }
    } else {
        actor_exit(turn, (enum troupe_error)message->token);
    }
}
static void parent_handle(struct turn *turn, void *state, const struct message *message) {
    struct parent *parent = state;
    if (message->kind == MESSAGE_RUN_START) {
        for (unsigned at = 0; at < 3; at++) {
            struct actor_spec spec = {.handle = child_handle, .state = parent, .link = turn->self};
            assert_int_equal(actor_spawn(runtime, &spec, &parent->child[at]), TROUPE_OK);
        }
        post(turn, parent->child[1], MESSAGE_USER, TROUPE_PROTOCOL);
    } else if (message->kind == MESSAGE_DOWN) {
        const struct message_down *down = MESSAGE_PAYLOAD(message, const struct message_down);
        assert_true(down->actor == parent->child[1]);
        assert_int_equal(down->reason, TROUPE_PROTOCOL);
        parent->downs++;
        actor_exit(turn, TROUPE_WORKER); /* abnormal: the other two end with it */
    }
}
static void links(void **unused) {
    (void)unused;
    begin(2);
    struct parent parent = {0};
    actor_ref ref = spawn(parent_handle, &parent);
    post(NULL, ref, MESSAGE_RUN_START, 0);
    assert_int_equal(runtime_run(runtime), TROUPE_OK);
    assert_int_equal(parent.downs, 1);
    assert_int_equal(atomic_load(&parent.exits), 2);
    struct actor_spec spec = {.handle = idle_handle, .link = ref};
    assert_int_equal(actor_spawn(runtime, &spec, &ref), TROUPE_DEAD); /* the run is over */
    end();
}

/* ---- jobs ---- */

struct worker_state {
    unsigned started, done;
    _Atomic unsigned ran, dropped;
};
static void job_fn(void *arg) {
    atomic_fetch_add(&((struct worker_state *)arg)->ran, 1);
}
static void job_drop(void *arg) {
    atomic_fetch_add(&((struct worker_state *)arg)->dropped, 1);
}
static void jobs_handle(struct turn *turn, void *state, const struct message *message) {
    struct worker_state *worker = state;
    if (message->kind == MESSAGE_RUN_START) {
        for (unsigned at = 0; at < 50; at++) {
            struct job_spec spec = {
                .lane = ENV_LANE_POOL, .fn = job_fn, .drop = job_drop, .arg = worker, .token = at};
            worker->started += job_start(turn, &spec) == TROUPE_OK;
        }
        return;
    }
    assert_int_equal(message->kind, MESSAGE_JOB_DONE);
    assert_ptr_equal(MESSAGE_PAYLOAD(message, const struct message_job)->arg, worker);
    if (++worker->done == worker->started / 2) {
        if (message->token % 2 == 0) {
            actor_exit(turn, TROUPE_OK); /* the rest has nobody to go to */
        }
        runtime_stop(runtime);
    }
}
static void jobs(void **unused) {
    (void)unused;
    for (unsigned round = 0; round < 10; round++) {
        begin(2);
        struct worker_state worker = {0};
        post(NULL, spawn(jobs_handle, &worker), MESSAGE_RUN_START, 0);
        assert_int_equal(runtime_run(runtime), TROUPE_OK);
        assert_int_equal(atomic_load(&worker.ran), worker.started);
        assert_int_equal(worker.done + atomic_load(&worker.dropped), worker.started);
        end();
    }
}

/* ---- pinned actors stay on worker 0; stop from outside; every spawned actor's state destroyed ---- */

static void pinned_handle(struct turn *turn, void *state, const struct message *message) {
    assert_int_equal(turn->worker, 0);
    unsigned *left = state;
    if (*left > 0 && --*left == 0) {
        runtime_stop(runtime); /* turns under way still end */
    } else {
        post(turn, message->sender, MESSAGE_PONG, 0);
    }
}
static void bouncer_handle(struct turn *turn, void *state, const struct message *message) {
    (void)message;
    post(turn, *(actor_ref *)state, MESSAGE_PING, 0);
}
static void pinned(void **unused) {
    (void)unused;
    begin(3);
    unsigned left = 3000;
    struct actor_spec spec = {.handle = pinned_handle, .state = &left, .pinned = true};
    actor_ref to;
    assert_int_equal(actor_spawn(runtime, &spec, &to), TROUPE_OK);
    for (unsigned at = 0; at < 5; at++) {
        post(NULL, spawn(bouncer_handle, &to), MESSAGE_RUN_START, 0);
    }
    assert_int_equal(runtime_run(runtime), TROUPE_OK);
    assert_int_equal(left, 0);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ping_pong),
        cmocka_unit_test(fan_in),
        cmocka_unit_test(bounds),
        cmocka_unit_test(actors_bound),
        cmocka_unit_test(asks),
        cmocka_unit_test(ask_timeout),
        cmocka_unit_test(death_answers_once),
        cmocka_unit_test(stop_and_monitor),
        cmocka_unit_test(exit_postponed),
        cmocka_unit_test(links),
        cmocka_unit_test(jobs),
        cmocka_unit_test(pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
