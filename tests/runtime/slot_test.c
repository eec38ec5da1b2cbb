/* Slots: an actor's cell is used again under a new generation, and never under an old one. Fails if a stale
 * reference reaches the next tenant, if a slot leaks, or if a generation comes round. */
#include "runtime_rig.h"

#include "runtime/actor.h"
#include "runtime/worker.h"

static void leave_handle(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    if (message->kind == MESSAGE_USER)
        actor_exit(turn, TROUPE_OK);
}

/* ---- one after the other in few slots ---- */

struct tenants {
    actor_ref past[64];
    unsigned count, target;
    unsigned refused; /* sends to stale references */
};

static void landlord_handle(struct turn *turn, void *state, const struct message *message) {
    struct tenants *tenants = state;
    if (message->kind != MESSAGE_DOWN && message->kind != MESSAGE_RUN_START)
        return;
    for (unsigned at = 0; at < ARRAY_COUNT(tenants->past) && tenants->past[at] != 0; at++) {
        assert_false(actor_alive(turn->runtime, tenants->past[at]));
        assert_int_equal(rig_post(turn, tenants->past[at], MESSAGE_USER, 0), TROUPE_DEAD);
        assert_int_equal(rig_post(turn, tenants->past[at], MESSAGE_RUN_STEP, 0), TROUPE_DEAD);
        assert_int_equal(actor_mailbox_length(turn->runtime, tenants->past[at]), 0);
        actor_stop(turn->runtime, tenants->past[at], TROUPE_WORKER); /* must not hit the next one */
        tenants->refused++;
    }
    if (tenants->count == tenants->target) {
        runtime_stop(turn->runtime);
        return;
    }
    actor_ref next;
    struct actor_spec spec = {.handle = leave_handle, .link = turn->self};
    enum troupe_error error = actor_spawn(turn->runtime, &spec, &next);
    if (error == TROUPE_LIMIT) { /* the last tenant is out but its cell not yet back */
        OK(rig_post(turn, turn->self, MESSAGE_RUN_START, 0));
        return;
    }
    assert_int_equal(error, TROUPE_OK);
    for (unsigned at = 0; at < ARRAY_COUNT(tenants->past); at++)
        assert_true(tenants->past[at] != next);
    assert_true(next != 0 && actor_alive(turn->runtime, next));
    assert_int_equal(rig_post(turn, next, MESSAGE_USER, 0), TROUPE_OK);
    tenants->past[tenants->count++ % ARRAY_COUNT(tenants->past)] = next;
}

static void stale_references_reach_nobody(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        rig_begin_with(&(struct runtime_options){.workers = workers, .actors_max = 2});
        struct tenants tenants = {.target = 2000};
        OK(rig_post(NULL, rig_spawn(landlord_handle, &tenants), MESSAGE_RUN_START, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(tenants.count, 2000);
        assert_int_equal(rig_statistics().actors_spawned, 2001);
        assert_int_equal(rig_statistics().actors_live, 0);
        rig_end();
    }
}

/* ---- a cell whose generations are used up is not used again ---- */

struct last {
    actor_ref refs[3];
    unsigned count;
    enum troupe_error error;
};

static void last_handle(struct turn *turn, void *state, const struct message *message) {
    struct last *last = state;
    (void)message;
    struct actor_spec spec = {.handle = leave_handle, .link = turn->self};
    last->error = actor_spawn(turn->runtime, &spec, &last->refs[last->count]);
    if (last->error != TROUPE_OK) {
        runtime_stop(turn->runtime);
        return;
    }
    OK(rig_post(turn, last->refs[last->count++], MESSAGE_USER, 0));
}

static void generations_do_not_come_round(void **state) {
    (void)state;
    rig_begin_with(&(struct runtime_options){.workers = 1, .actors_max = 2});
    struct last last = {0};
    actor_ref owner = rig_spawn(last_handle, &last);
    assert_int_equal(actor_ref_slot(owner), 0);
    actor_ref second = rig_spawn(rig_ignore, NULL); /* makes the other cell */
    struct actor *cell = actor_at(rig_runtime, second);
    actor_stop(rig_runtime, second, TROUPE_OK);
    OK(rig_post(NULL, owner, MESSAGE_RUN_STEP, 0)); /* after the second has ended: it was made ready first */
    uint64_t gate = atomic_load(&cell->gate);
    /* As if it had been used all but two of its times; the stop in its mailbox stays counted. */
    atomic_store(&cell->gate, gate - (uint64_t)GATE_GENERATION_OF(gate) * GATE_GENERATION +
                                  (uint64_t)(GENERATION_MAX - 2) * GATE_GENERATION);
    OK(runtime_run(rig_runtime));
    assert_int_equal(last.error, TROUPE_LIMIT);
    assert_int_equal(last.count, 1); /* generation MAX - 1; MAX is the mark of a used-up cell */
    assert_int_equal(actor_ref_generation(last.refs[0]), GENERATION_MAX - 1);
    rig_end();
}

/* ---- many at once, from everywhere ---- */

#define SPAWNERS 6
#define EACH 2000

struct spawner {
    _Atomic unsigned *left, *destroyed;
    unsigned spawned, limited;
};

static void destroy_counts(void *state) {
    atomic_fetch_add((_Atomic unsigned *)state, 1);
}

static void spawner_handle(struct turn *turn, void *state, const struct message *message) {
    struct spawner *spawner = state;
    (void)message;
    for (unsigned burst = 0; burst < 20 && spawner->spawned < EACH; burst++) {
        struct actor_spec spec = {
            .handle = leave_handle, .state = (void *)spawner->destroyed, .destroy = destroy_counts};
        actor_ref ref;
        enum troupe_error error = actor_spawn(turn->runtime, &spec, &ref);
        if (error == TROUPE_LIMIT) {
            spawner->limited++;
            break;
        }
        CHECK(error == TROUPE_OK);
        OK(rig_post(turn, ref, MESSAGE_USER, 0));
        spawner->spawned++;
    }
    if (spawner->spawned < EACH)
        OK(rig_post(turn, turn->self, MESSAGE_RUN_STEP, 0));
    else if (atomic_fetch_sub(spawner->left, 1) == 1)
        runtime_stop(turn->runtime);
}

static void slots_come_back_under_load(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++) {
        rig_begin_with(&(struct runtime_options){.workers = workers, .actors_max = 100});
        _Atomic unsigned left = SPAWNERS, destroyed = 0;
        struct spawner spawners[SPAWNERS];
        for (unsigned at = 0; at < SPAWNERS; at++) {
            spawners[at] = (struct spawner){.left = &left, .destroyed = &destroyed};
            OK(rig_post(NULL, rig_spawn(spawner_handle, &spawners[at]), MESSAGE_RUN_STEP, 0));
        }
        OK(runtime_run(rig_runtime));
        assert_int_equal(atomic_load(&destroyed), SPAWNERS * EACH);
        assert_int_equal(rig_statistics().actors_spawned, SPAWNERS * (EACH + 1));
        rig_end();
    }
}

/* Spawned before the run and never sent anything: their states are destroyed all the same, in slot order. */
static void idle_actors_are_destroyed_at_the_end(void **state) {
    (void)state;
    rig_begin(1);
    _Atomic unsigned destroyed = 0;
    struct actor_spec spec = {.handle = rig_ignore, .state = (void *)&destroyed, .destroy = destroy_counts};
    actor_ref ref;
    for (unsigned at = 0; at < 1000; at++)
        OK(actor_spawn(rig_runtime, &spec, &ref));
    assert_int_equal(rig_statistics().actors_live, 1000);
    rig_end();
    assert_int_equal(atomic_load(&destroyed), 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stale_references_reach_nobody),
        cmocka_unit_test(generations_do_not_come_round),
        cmocka_unit_test(slots_come_back_under_load),
        cmocka_unit_test(idle_actors_are_destroyed_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
