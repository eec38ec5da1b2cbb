/* The nouns between the floors: capability sets and counted resources against plain arrays, interning and its
 * bounds, tasks and results with what they own, and the destructors of the messages that carry them. Fails if a
 * resource can be oversubscribed, a bit means two names, or a task that is dropped anywhere leaks. */
#include "../base/cmocka_base.h"

#include <stdio.h>

#include "task/task.h"

#define OK(call) assert_int_equal((call), TROUPE_OK)

static void capabilities_are_interned(void **state) {
    (void)state;
    static struct capability_names names;
    static char texts[CAPABILITIES_MAX + 1][16];
    unsigned bit = 7;
    names.count = 0;
    assert_int_equal(capability_find(&names, "train"), -1);
    for (unsigned at = 0; at < CAPABILITIES_MAX; at++) {
        snprintf(texts[at], sizeof(texts[at]), "c%u", at);
        OK(capability_intern(&names, texts[at], &bit));
        assert_int_equal(bit, at);
    }
    snprintf(texts[CAPABILITIES_MAX], sizeof(texts[0]), "one too many");
    bit = 7;
    assert_int_equal(capability_intern(&names, texts[CAPABILITIES_MAX], &bit), TROUPE_LIMIT);
    assert_int_equal(bit, 7);
    assert_int_equal(names.count, CAPABILITIES_MAX);
    for (unsigned at = 0; at < CAPABILITIES_MAX; at++) {
        char same[16]; /* by text, not by address */
        snprintf(same, sizeof(same), "c%u", at);
        OK(capability_intern(&names, same, &bit));
        assert_int_equal(bit, at);
        assert_int_equal(capability_find(&names, same), at);
    }
    assert_int_equal(capability_find(&names, "c"), -1);
}

static void sets_agree_with_arrays(void **state) {
    (void)state;
    struct random_stream random;
    random_seed(&random, 1, 41);
    for (unsigned round = 0; round < 500; round++) {
        struct capability_set has = {0}, needed = {0};
        bool in_has[CAPABILITIES_MAX] = {false}, in_needed[CAPABILITIES_MAX] = {false}, contains = true;
        for (uint64_t left = random_below(&random, 400); left > 0; left--) {
            unsigned bit = (unsigned)random_below(&random, CAPABILITIES_MAX);
            capability_set_add(&has, bit);
            in_has[bit] = true;
        }
        for (uint64_t left = random_below(&random, 4); left > 0; left--) {
            unsigned bit = (unsigned)random_below(&random, CAPABILITIES_MAX);
            capability_set_add(&needed, bit);
            in_needed[bit] = true;
        }
        for (unsigned bit = 0; bit < CAPABILITIES_MAX; bit++) {
            assert_int_equal(capability_set_has(&has, bit), in_has[bit]);
            contains = contains && (in_has[bit] || !in_needed[bit]);
        }
        assert_int_equal(capability_set_contains(&has, &needed), contains);
        assert_true(capability_set_contains(&has, &has));
        assert_true(capability_set_contains(&has, &(struct capability_set){0}));
    }
}

static void resources_are_never_oversubscribed(void **state) {
    (void)state;
    struct random_stream random;
    struct resources total = {0}, free_now, held[30];
    unsigned count = 0, refused = 0;
    random_seed(&random, 2, 42);
    for (unsigned at = 0; at < RESOURCES_MAX; at++)
        total.amount[at] = at == 3 ? INT64_MAX : (int64_t)random_below(&random, 20);
    free_now = total;
    for (unsigned step = 0; step < 20000; step++) {
        if (count > 0 && random_below(&random, 2) == 0) {
            unsigned at = (unsigned)random_below(&random, count);
            resources_give(&free_now, &held[at]);
            held[at] = held[--count];
            continue;
        }
        struct resources needed = {0};
        needed.amount[random_below(&random, RESOURCES_MAX)] = (int64_t)random_below(&random, 12);
        needed.amount[3] = (int64_t)(random_u64(&random) >> 4);
        bool fits = true;
        for (unsigned at = 0; at < RESOURCES_MAX; at++)
            fits = fits && needed.amount[at] <= free_now.amount[at];
        assert_int_equal(resources_fit(&free_now, &needed), fits);
        refused += !fits;
        if (fits && count < ARRAY_COUNT(held)) {
            resources_take(&free_now, &needed);
            held[count++] = needed;
        }
        for (unsigned at = 0; at < RESOURCES_MAX; at++) {
            int64_t used = 0;
            for (unsigned holder = 0; holder < count; holder++)
                used += held[holder].amount[at];
            assert_true(free_now.amount[at] >= 0 && free_now.amount[at] == total.amount[at] - used);
        }
    }
    assert_true(refused > 100);
    static struct resource_names names;
    static const char *const texts[] = {"gpu", "memory", "a", "b", "c", "d", "e", "f", "g"};
    unsigned index;
    for (unsigned at = 0; at < RESOURCES_MAX; at++) {
        OK(resource_intern(&names, texts[at], &index));
        assert_int_equal(index, at);
    }
    assert_int_equal(resource_intern(&names, texts[RESOURCES_MAX], &index), TROUPE_LIMIT);
    OK(resource_intern(&names, "memory", &index));
    assert_int_equal(index, 1);
}

static void ids_tell_attempts_apart(void **state) {
    (void)state;
    static const struct task_id ids[] = {{1, 2, 3, 4},          {2, 2, 3, 4},         {1, 3, 3, 4},
                                         {1, 2, 4, 4},          {1, 2, 3, 5},         {0, 0, 0, 1},
                                         {1, UINT32_MAX, 3, 4}, {1, 2, UINT16_MAX, 4}};
    for (size_t a = 0; a < ARRAY_COUNT(ids); a++) {
        assert_true(task_id_span(ids[a]) != 0);
        for (size_t b = 0; b < ARRAY_COUNT(ids); b++) {
            assert_int_equal(task_id_equal(ids[a], ids[b]), a == b);
            assert_int_equal(task_id_span(ids[a]) == task_id_span(ids[b]), a == b);
        }
    }
    for (unsigned at = TASK_WAITING; at <= TASK_REJECTED; at++) {
        assert_int_equal(task_state_terminal((enum task_state)at), at >= TASK_OK);
        assert_true(task_state_name((enum task_state)at)[0] != '\0');
    }
    assert_string_equal(task_state_name(TASK_OK), "ok");
}

static void a_task_owns_its_body_and_result(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    struct task *task = task_new(&account, "\"x\":\0", 5);
    assert_non_null(task);
    assert_int_equal(task->body_length, 5);
    assert_memory_equal(task->body, "\"x\":\0", 6); /* and a NUL behind it */
    assert_true(task->deadline_ns == UINT64_MAX && task->state == TASK_WAITING && task->result == NULL);
    task->result = task_result_new(&account, "1.5", 3);
    assert_string_equal(task->result->value, "1.5");
    assert_int_equal(task->result->value_length, 3);
    task_free(task);
    task_free(NULL);
    task_result_free(NULL);
    assert_int_equal(account.bytes, 0);
    task = task_new(&account, NULL, 0);
    assert_string_equal(task->body, "");
    struct task_result *result = task_result_new(&account, NULL, 0),
                       *empty = task_result_new(&account, "", 0);
    assert_null(result->value); /* none, which is not an empty one */
    assert_string_equal(empty->value, "");
    task_result_free(result);
    task_result_free(empty);
    task_free(task);
    assert_null(task_new(&account, "x", UINT32_MAX));
    assert_null(task_result_new(&account, "x", UINT32_MAX));
    FOR_EACH_FAILING_ALLOCATION(n) {
        task = task_new(&account, "body", 4);
        result = task == NULL ? NULL : task_result_new(&account, "value", 5);
        assert_true((task == NULL || result == NULL) == (memory_fail_fired() != 0));
        task_result_free(result);
        task_free(task);
        assert_int_equal(account.blocks, 0);
    }
}

/* ---- messages that are never read give their tasks back ---- */

static struct task *task_list(struct account *account, unsigned count) {
    struct task *list = NULL;
    for (unsigned at = 0; at < count; at++) {
        struct task *task = task_new(account, "body", 4);
        assert_non_null(task);
        task->result = task_result_new(account, "1", 1);
        task->next = list;
        list = task;
    }
    return list;
}

static void ignore(struct turn *turn, void *state, const struct message *message) {
    (void)state;
    if (message->kind == MESSAGE_RUN_STOP)
        runtime_stop(turn->runtime);
}

static struct message *carrier(struct runtime *runtime, struct account *account, enum message_kind kind) {
    struct message *message = message_new(runtime, kind, 256);
    assert_non_null(message);
    switch (kind) {
    case MESSAGE_COORDINATE:
        MESSAGE_PAYLOAD(message, struct message_coordinate)->tasks = task_list(account, 5);
        break;
    case MESSAGE_OFFER:
        MESSAGE_PAYLOAD(message, struct message_offer)->tasks = task_list(account, 3);
        break;
    case MESSAGE_OFFER_ANSWER:
        MESSAGE_PAYLOAD(message, struct message_offer_answer)->refused = task_list(account, 2);
        break;
    default:
        MESSAGE_PAYLOAD(message, struct message_task_ended)->task = task_list(account, 1);
    }
    return message;
}

static void messages_free_the_tasks_they_carry(void **state) {
    (void)state;
    static const enum message_kind kinds[] = {MESSAGE_COORDINATE, MESSAGE_OFFER, MESSAGE_OFFER_ANSWER,
                                              MESSAGE_TASK_ENDED};
    struct account account = ACCOUNT("runtime"), tasks = ACCOUNT("tasks");
    struct env *env = NULL;
    struct runtime *runtime = NULL;
    task_message_destructors();
    OK(env_sim_create(&account, &(struct env_sim_options){.seed = 1}, &env));
    OK(runtime_create(env, &account, NULL, &runtime, NULL));
    struct actor_spec spec = {.handle = ignore};
    actor_ref reader, idle;
    OK(actor_spawn(runtime, &spec, &reader));
    OK(actor_spawn(runtime, &spec, &idle));
    for (size_t at = 0; at < ARRAY_COUNT(kinds); at++) {
        struct message *empty = message_new(runtime, kinds[at], 256),
                       *freed = carrier(runtime, &tasks, kinds[at]);
        message_free(&empty); /* one that was given away carries nothing */
        message_free(&freed);
        assert_int_equal(tasks.blocks, 0);
    }
    for (size_t at = 0; at < ARRAY_COUNT(kinds); at++) { /* handled without being taken; queued at the end */
        struct message *read = carrier(runtime, &tasks, kinds[at]),
                       *queued = carrier(runtime, &tasks, kinds[at]);
        OK(actor_send(runtime, NULL, reader, &read));
        OK(actor_send(runtime, NULL, idle, &queued));
    }
    struct message *stop = message_new(runtime, MESSAGE_RUN_STOP, 0);
    OK(actor_send(runtime, NULL, reader, &stop));
    OK(runtime_run(runtime));
    runtime_free(runtime);
    env_destroy(env);
    assert_int_equal(tasks.blocks, 0);
    assert_int_equal(tasks.bytes, 0);
    assert_int_equal(account.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_are_interned),
        cmocka_unit_test(sets_agree_with_arrays),
        cmocka_unit_test(resources_are_never_oversubscribed),
        cmocka_unit_test(ids_tell_attempts_apart),
        cmocka_unit_test(a_task_owns_its_body_and_result),
        cmocka_unit_test(messages_free_the_tasks_they_carry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
