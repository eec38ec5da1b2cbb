/* Who runs an actor: given to an idle worker, taken over from a parked one, pinned. Fails if a move loses, doubles or
 * reorders messages, if two workers run one actor, if a parked worker is woken for each message, or if work that waits
 * is not given away. */
#include "runtime_rig.h"

#include <pthread.h>

/* ---- order survives every move: senders and receivers that are given away all the time ---- */

#define NODES 12U
#define EACH 2992U /* of each node, as many to each other one */

struct node {
    struct net *net;
    unsigned number, sent, done;
    uint32_t next[NODES]; /* expected of each sender */
    _Atomic bool inside;  /* a turn is under way */
    _Atomic bool over;
};
struct net {
    struct node nodes[NODES];
    actor_ref refs[NODES];
    _Atomic unsigned left;
    uint64_t turn_ns; /* how long a turn takes, now and then */
};

static void node_handle(struct turn *turn, void *state, const struct message *message) {
    struct node *node = state;
    struct net *net = node->net;
    CHECK(!atomic_exchange(&node->inside, true));
    if (message->kind == MESSAGE_USER) {
        unsigned from = (unsigned)(message->token >> 32);
        CHECK((uint32_t)message->token == node->next[from]++);
        node->done++;
    }
    for (unsigned burst = 0; burst < 8 && node->sent < EACH; burst++) {
        unsigned to = (node->number + 1 + node->sent % (NODES - 1)) % NODES;
        if (rig_post(turn, net->refs[to], MESSAGE_USER,
                     (uint64_t)node->number << 32 | node->sent / (NODES - 1)) != TROUPE_OK)
            break;
        node->sent++;
    }
    while (node->done % 64 == 63 && env_now(rig_env) - turn->now_ns < net->turn_ns) {
    }
    if (node->sent < EACH && message->kind == MESSAGE_RUN_STEP)
        OK(rig_post(turn, turn->self, MESSAGE_RUN_STEP, 0));
    atomic_store(&node->inside, false);
    if (node->done == EACH && node->sent == EACH && !atomic_exchange(&node->over, true) &&
        atomic_fetch_sub(&net->left, 1) == 1)
        runtime_stop(turn->runtime);
}

static void order_survives_moves(void **state) {
    (void)state;
    static struct net net;
    for (unsigned workers = 1; workers <= 4; workers++) {
        rig_begin(workers);
        net = (struct net){.left = NODES, .turn_ns = 100000};
        for (unsigned at = 0; at < NODES; at++) {
            net.nodes[at].net = &net;
            net.nodes[at].number = at;
            net.refs[at] = rig_spawn(node_handle, &net.nodes[at]);
        }
        for (unsigned at = 0; at < NODES; at++)
            OK(rig_post(NULL, net.refs[at], MESSAGE_RUN_STEP, 0));
        OK(runtime_run(rig_runtime));
        for (unsigned at = 0; at < NODES; at++)
            assert_int_equal(net.nodes[at].sent, EACH);
        if (workers == 1)
            assert_int_equal(rig_statistics().steals, 0);
        rig_end();
    }
}

/* ---- work that waits is given to a worker that is idle ---- */

struct crew {
    _Atomic unsigned here, most, left; /* turns at this moment, and the most ever */
};

static void digger_handle(struct turn *turn, void *state, const struct message *message) {
    struct crew *crew = state;
    (void)message;
    unsigned here = atomic_fetch_add(&crew->here, 1) + 1, most = atomic_load(&crew->most);
    while (here > most && !atomic_compare_exchange_weak(&crew->most, &most, here)) {
    }
    while (env_now(rig_env) - turn->now_ns < MILLISECOND) {
    }
    atomic_fetch_sub(&crew->here, 1);
    if (atomic_fetch_sub(&crew->left, 1) == 1)
        runtime_stop(turn->runtime);
    else
        OK(rig_post(turn, turn->self, MESSAGE_RUN_STEP, 0));
}

static void waiting_work_is_given(void **state) {
    (void)state;
    rig_begin(2);
    struct crew crew = {.left = 400};
    for (unsigned at = 0; at < 4; at++) {
        actor_ref digger = rig_spawn(digger_handle, &crew);
        OK(rig_post(NULL, digger, MESSAGE_RUN_STEP, 0));
    }
    OK(runtime_run(rig_runtime));
    assert_true(rig_statistics().steals > 0);
    assert_int_equal(atomic_load(&crew.most), 2); /* both workers at once */
    rig_end();
}

/* ---- nobody is woken for a message to an actor of a parked worker ---- */

struct rally {
    actor_ref other;
    unsigned left;
};

static void pinned_ping(struct turn *turn, void *state, const struct message *message) {
    struct rally *rally = state;
    (void)message;
    if (rally->left-- == 0)
        runtime_stop(turn->runtime);
    else
        OK(rig_post(turn, rally->other, MESSAGE_PING, 0));
}

static void free_pong(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    OK(rig_post(turn, message->sender, MESSAGE_PONG, 0));
}

static void a_parked_worker_is_left_alone(void **state) {
    (void)state;
    for (unsigned workers = 2; workers <= 4; workers++) {
        rig_begin(workers);
        struct rally rally = {.left = 20000};
        rally.other = rig_spawn(free_pong, NULL);
        struct actor_spec spec = {.handle = pinned_ping, .state = &rally, .pinned = true};
        actor_ref ping;
        OK(actor_spawn(rig_runtime, &spec, &ping));
        OK(rig_post(NULL, ping, MESSAGE_USER, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(rig_statistics().turns, 40001);
        assert_true(rig_statistics().wakes < 400); /* 40,000 messages */
        rig_end();
    }
}

/* ---- an actor ends while others, on other threads, send to it and call it ---- */

struct siege {
    _Atomic actor_ref target;
    _Atomic bool over;
    _Atomic unsigned accepted, refused, handled, downs;
};

static void besieged_handle(struct turn *turn, void *state, const struct message *message) {
    struct siege *siege = state;
    if (message->kind == MESSAGE_USER && atomic_fetch_add(&siege->handled, 1) % 50 == 49)
        actor_exit(turn, TROUPE_OK);
}

static void keeper_handle(struct turn *turn, void *state, const struct message *message) {
    struct siege *siege = state;
    if (message->kind == MESSAGE_DOWN && atomic_fetch_add(&siege->downs, 1) == 300) {
        atomic_store(&siege->over, true);
        runtime_stop(turn->runtime);
        return;
    }
    actor_ref next;
    struct actor_spec spec = {.handle = besieged_handle, .state = siege, .link = turn->self};
    OK(actor_spawn(turn->runtime, &spec, &next));
    atomic_store(&siege->target, next);
}

static void *besiege(void *arg) {
    struct siege *siege = arg;
    for (unsigned at = 0; !atomic_load(&siege->over); at++) {
        struct message *message = message_new(rig_runtime, MESSAGE_USER, 8);
        CHECK(message != NULL);
        bool accepted = actor_send(rig_runtime, NULL, atomic_load(&siege->target), &message) == TROUPE_OK;
        atomic_fetch_add(accepted ? &siege->accepted : &siege->refused, 1);
        message_free(&message);
        if (at % 100 == 99)
            actor_stop(rig_runtime, atomic_load(&siege->target), TROUPE_OK);
    }
    return NULL;
}

static void ends_under_siege(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 3; workers++) {
        rig_begin(workers);
        struct siege siege = {0};
        OK(rig_post(NULL, rig_spawn(keeper_handle, &siege), MESSAGE_RUN_START, 0));
        pthread_t threads[2];
        for (unsigned at = 0; at < 2; at++)
            assert_int_equal(pthread_create(&threads[at], NULL, besiege, &siege), 0);
        OK(runtime_run(rig_runtime));
        for (unsigned at = 0; at < 2; at++)
            assert_int_equal(pthread_join(threads[at], NULL), 0);
        /* What was accepted was handled or is told as a dead letter: nothing is lost silently. */
        assert_int_equal(rig_statistics().dead_letters + atomic_load(&siege.handled),
                         atomic_load(&siege.accepted));
        rig_end();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_survives_moves),
        cmocka_unit_test(waiting_work_is_given),
        cmocka_unit_test(a_parked_worker_is_left_alone),
        cmocka_unit_test(ends_under_siege),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
