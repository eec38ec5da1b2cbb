/* The coordinator without memory: each message and each block that it (or the registry and runtime for it) asks for
 * is refused in turn, once and then for good for a while. Every task still ends exactly once, resources come back,
 * and the run comes to its end. Fails if a refusal loses a task, ends it twice, or leaves somebody waiting.
 *
 * The program is linked with --wrap for the calls below; the script's own calls are not refused. */
#include "coordinate/coordinate.h"

struct message *__real_message_new(struct runtime *runtime, enum message_kind kind, size_t payload_bytes);
struct message *__wrap_message_new(struct runtime *runtime, enum message_kind kind, size_t payload_bytes);
void *__real_memory_alloc(struct account *account, size_t bytes);
void *__wrap_memory_alloc(struct account *account, size_t bytes);
void *__real_memory_resize(struct account *account, void *block, size_t bytes);
void *__wrap_memory_resize(struct account *account, void *block, size_t bytes);

static struct {
    bool on;
    uint64_t calls, first, count; /* refused: calls first .. first + count - 1, from 1 */
} refusal;

static bool refused(void) {
    if (!refusal.on)
        return false;
    refusal.calls++;
    return refusal.calls >= refusal.first && refusal.calls - refusal.first < refusal.count;
}

struct message *__wrap_message_new(struct runtime *runtime, enum message_kind kind, size_t payload_bytes) {
    return refused() ? NULL : __real_message_new(runtime, kind, payload_bytes);
}

void *__wrap_memory_alloc(struct account *account, size_t bytes) {
    return refused() ? NULL : __real_memory_alloc(account, bytes);
}

void *__wrap_memory_resize(struct account *account, void *block, size_t bytes) {
    return refused() ? NULL : __real_memory_resize(account, block, bytes);
}

static struct message *script_message_new(struct runtime *runtime, enum message_kind kind, size_t bytes);
static struct task *script_task_new(struct account *account, const char *body, size_t body_length);
static struct task_result *script_result_new(struct account *account, const char *value, size_t value_length);
#define message_new script_message_new
#define task_new script_task_new
#define task_result_new script_result_new
#include "scripted.h"
#undef message_new
#undef task_new
#undef task_result_new

static struct message *script_message_new(struct runtime *runtime, enum message_kind kind, size_t bytes) {
    bool on = refusal.on;
    refusal.on = false;
    struct message *message = __real_message_new(runtime, kind, bytes);
    refusal.on = on;
    return message;
}

static struct task *script_task_new(struct account *account, const char *body, size_t body_length) {
    bool on = refusal.on;
    refusal.on = false;
    struct task *task = task_new(account, body, body_length);
    refusal.on = on;
    return task;
}

static struct task_result *script_result_new(struct account *account, const char *value,
                                             size_t value_length) {
    bool on = refusal.on;
    refusal.on = false;
    struct task_result *result = task_result_new(account, value, value_length);
    refusal.on = on;
    return result;
}

static void submit_mixed(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn, &(struct task_shape){.count = count, .resource = {1, 0}});
    world_submit(world, turn, &(struct task_shape){.count = count, .deadline_ns = 60 * SECOND});
    world_submit(
        world, turn,
        &(struct task_shape){.count = count, .deadline_ns = 60 * MS, .expected_ns = 10 * MS, .firm = true});
    world_submit(world, turn, &(struct task_shape){.count = 1, .capability = 2}); /* nobody has it */
    world_outlook(world, turn,
                  &(struct message_outlook){.task_count = 1,
                                            .tasks = {{.count = 9, .deadline_ns = turn->now_ns + 30 * MS}},
                                            .agent_count = 1,
                                            .agents = {{.name = "agent0", .more = 3}}});
}

static void submit_others(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn, &(struct task_shape){.count = count, .capability = 1});
}

static void cancel_some(struct world *world, struct turn *turn, unsigned run) {
    world_cancel(world, turn, run, UINT32_MAX);
}

static void refuse_from_here(struct world *world, struct turn *turn, unsigned arg) {
    (void)world, (void)turn, (void)arg;
    refusal.on = true;
    refusal.calls = 0;
}

static void submit_idempotent(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){.count = count, .expected_ns = 100 * MS, .idempotent = true});
}

static void submit_once(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn, &(struct task_shape){.count = count, .expected_ns = 100 * MS});
}

static void slow_down(struct world *world, struct turn *turn, unsigned ms) {
    (void)turn;
    world->agents[0].service_ns = ms * MS;
}

static void lose_ends(struct world *world, struct turn *turn, unsigned agent) {
    (void)turn;
    world->agents[agent].mode = SCRIPT_LOSE_ENDS;
}

/* Offers, refusals, deaths, promises, cancels. */
static void scene_of_offers(struct world *world) {
    world_agent(world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_agent(world, SCRIPT_PARTIAL, 20 * MS, 0)->limit = 1;
    world_agent(world, SCRIPT_DIE_HOLDING, 30 * MS, 0);
    world_agent(world, SCRIPT_OVERLOADED, 10 * MS, 0)->limit = 2;
    world_action(world, MS, refuse_from_here, 0);
    world_action(world, 2 * MS, submit_mixed, 6);
    world_action(world, 5 * MS, cancel_some, 3);
    world_action(world, 30 * MS, submit_mixed, 4);
}

/* Tasks that are taken back, doubled, and lost. */
static void scene_of_revokes(struct world *world) {
    world->options.lease_ns = SECOND;
    world_agent(world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_agent(world, SCRIPT_ACCEPT, 100 * MS, 0);
    world_action(world, 0, submit_idempotent, 40);
    world_action(world, 3 * SECOND - 1, refuse_from_here, 0);
    world_action(world, 3 * SECOND - 1, slow_down, 5000);
    world_action(world, 3 * SECOND, submit_idempotent, 4);
    world_action(world, 12 * SECOND, lose_ends, 1);
    world_action(world, 12 * SECOND, submit_once, 2);
}

static void cancel_a_few(struct world *world, struct turn *turn, unsigned first) {
    for (unsigned run = first; run < first + 6; run++)
        world_cancel(world, turn, run, UINT32_MAX);
}

/* Most of what waits has no claim: it gets one for a plan, a cancel, a deadline, or the last agent's end. */
static void scene_of_parked(struct world *world) {
    world->options.claims_max = 2;
    world_agent(world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_agent(world, SCRIPT_DIE_HOLDING, 60 * MS, 1);
    world_action(world, MS, refuse_from_here, 0);
    world_action(world, 2 * MS, submit_mixed, 20);
    world_action(world, 3 * MS, submit_others, 24);
    world_action(world, 5 * MS, cancel_a_few, 18);
}

/* Plays one world with `count` refusals from the first-th on. Returns how many calls there were. */
static uint64_t play(void (*scene)(struct world *world), uint64_t seed, uint64_t first, uint64_t count) {
    static struct world world;
    refusal.on = false;
    refusal.first = first;
    refusal.count = count;
    world_open(&world, seed);
    scene(&world);
    world_run(&world);
    refusal.on = false;
    uint64_t calls = refusal.calls;
    if (world.run_error != TROUPE_OK)
        fail_msg("seed %d, call %d: the run ended as %s with %u of %u tasks ended", (int)seed, (int)first,
                 error_name(world.run_error), world.ended, world.submitted);
    world_close(&world);
    assert_int_equal(world.ended, world.submitted);
    for (unsigned task = 0; task < world.submitted; task++)
        assert_int_equal(world.ends[task], 1);
    assert_int_equal(world.statistics.live, 0);
    assert_int_equal(world.statistics.resources_free.amount[0], 1);
    if (scene == scene_of_offers) /* those of which nobody is capable, whatever else */
        assert_true(world_count(&world, TASK_REJECTED) >= 2);
    else if (scene == scene_of_parked)
        assert_true(world.statistics.parked > 20 || count > 1);
    else if (first == 0)
        assert_true(world.statistics.pulled && world.statistics.doubled && world.statistics.ends_lost);
    return calls;
}

static void each_refusal_alone(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        uint64_t calls = play(scene_of_offers, seed, 0, 0);
        assert_true(calls > 20); /* messages, where the pool has no block at hand for them, and blocks */
        for (uint64_t at = 1; at <= calls; at++)
            play(scene_of_offers, seed, at, 1);
    }
}

/* Long enough that retries fail too. */
static void memory_gone_for_a_while(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        uint64_t calls = play(scene_of_offers, seed, 0, 0);
        for (uint64_t at = 1; at <= calls; at += 3) {
            play(scene_of_offers, seed, at, 4);
            play(scene_of_offers, seed, at, 25);
        }
    }
}

static void while_tasks_are_parked(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        uint64_t calls = play(scene_of_parked, seed, 0, 0);
        for (uint64_t at = 1; at <= calls; at++) {
            play(scene_of_parked, seed, at, 1);
            play(scene_of_parked, seed, at, 25);
        }
    }
}

static void while_tasks_are_taken_back(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        uint64_t calls = play(scene_of_revokes, seed, 0, 0);
        for (uint64_t at = 1; at <= calls; at++) {
            play(scene_of_revokes, seed, at, 1);
            play(scene_of_revokes, seed, at, 25);
        }
    }
}

static void a_coordinator_that_cannot_start(void **state) {
    (void)state;
    unsigned count = 0;
    for (uint64_t at = 1;; at++) {
        struct world world;
        struct fault fault = {0};
        world_open(&world, 1);
        refusal.first = at;
        refusal.count = 1;
        refusal.calls = 0;
        refusal.on = true;
        enum troupe_error error = coordinator_start(world.runtime, world.registry, &world.account,
                                                    &world.options, &world.coordinator, &fault);
        refusal.on = false;
        bool fired = refusal.calls >= at;
        assert_true(error == TROUPE_OK || (fired && error == TROUPE_NOMEM && fault.text[0] != '\0'));
        count += error != TROUPE_OK;
        runtime_free(world.runtime);
        registry_free(world.registry);
        env_destroy(world.env);
        assert_int_equal(atomic_load(&world.account.bytes), 0);
        if (!fired)
            break;
    }
    assert_true(count >= 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_refusal_alone),
        cmocka_unit_test(memory_gone_for_a_while),
        cmocka_unit_test(while_tasks_are_taken_back),
        cmocka_unit_test(while_tasks_are_parked),
        cmocka_unit_test(a_coordinator_that_cannot_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
