/* How tasks become lines of a worker with batch_max 4 and batch_wait_ms 50, in virtual time: a whole batch goes at once, a
 * part of one after the wait, and earlier when a deadline is near. If it failed, an idle worker would be left idle, or
 * batches would decay into single tasks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/agent.h"

#define MS UINT64_C(1000000)
#define LINES_MAX 8

struct bench {
    struct account account;
    struct env *env;
    struct runtime *runtime;
    struct agents *agents;
    struct buffer input;
    struct line {
        unsigned tasks;
        uint64_t at_ns;
    } lines[LINES_MAX];
    unsigned line_count, offered, ended, wanted;
    uint32_t epoch;
};

static const struct {
    uint64_t at_ms, deadline_ms;
    unsigned tasks;
} offers[] = {
    {1000, 0, 4}, {2000, 0, 2}, {2020, 0, 1}, {3000, 40, 1}, {4000, 0, 6},
};

/* ---- the worker ---- */
static void *child_spawn(void *context, struct env_child *child, const struct env_child_spec *spec) {
    (void)child, (void)spec;
    return context;
}

static void child_line(struct bench *bench, struct env_child *child, const char *line) {
    static const char hello[] = "{\"type\":\"hello\",\"protocol\":1,\"capabilities\":[\"a\"]}\n";
    if (strstr(line, "\"type\":\"start\""))
        env_sim_child_emit(child, 0, 0, hello, sizeof hello - 1);
    if (!strstr(line, "\"type\":\"tasks\""))
        return;
    assert_true(bench->line_count < LINES_MAX);
    struct line *seen = &bench->lines[bench->line_count++];
    seen->at_ns = env_now(bench->env);
    for (const char *at = strstr(line, "{\"id\":\""); at; at = strstr(at + 1, "{\"id\":\"")) {
        char out[200];
        const char *id = at + strlen("{\"id\":\"");
        int length =
            snprintf(out, sizeof out, "{\"type\":\"result\",\"id\":\"%.*s\",\"attempt\":1,\"value\":1}\n",
                     (int)(strchr(id, '"') - id), id);
        env_sim_child_emit(child, MS, 0, out, (size_t)length);
        seen->tasks++;
    }
}

static void child_input(void *context, struct env_child *child, const char *bytes, size_t length) {
    struct bench *bench = context;
    buffer_append(&bench->input, bytes, length);
    for (const char *end; (end = memchr(buffer_string(&bench->input), '\n', bench->input.length));) {
        size_t line_length = (size_t)(end - bench->input.bytes);
        bench->input.bytes[line_length] = '\0';
        child_line(bench, child, bench->input.bytes);
        buffer_consume(&bench->input, line_length + 1);
    }
}

static void child_release(void *context) {
    (void)context;
}

/* ---- who offers ---- */
static void offer(struct bench *bench, struct turn *turn, unsigned at) {
    struct message *message = message_new(bench->runtime, MESSAGE_OFFER, sizeof(struct message_offer));
    assert_non_null(message);
    struct message_offer *offered = MESSAGE_PAYLOAD(message, struct message_offer);
    offered->epoch = ++bench->epoch;
    for (unsigned i = 0; i < offers[at].tasks; i++) {
        struct task *task = task_new(&bench->account, "\"n\":1", 5);
        assert_non_null(task);
        task->id = (struct task_id){1, bench->offered++, 1, 1};
        task->run_name = "run";
        task->stage_name = task->capability_name = "a";
        task->epoch = offered->epoch;
        if (offers[at].deadline_ms)
            task->deadline_ns = turn->now_ns + offers[at].deadline_ms * MS;
        task->next = offered->tasks;
        offered->tasks = task;
        offered->count++;
    }
    assert_int_equal(actor_ask(turn, agents_actor(bench->agents, 0), &message, 0, 0), TROUPE_OK);
}

static void owner_handle(struct turn *turn, void *state, const struct message *message) {
    struct bench *bench = state;
    uint64_t timer;
    if (message->kind == MESSAGE_USER)
        for (unsigned i = 0; i < ARRAY_COUNT(offers); i++) {
            bench->wanted += offers[i].tasks;
            assert_int_equal(timer_start(turn, offers[i].at_ms * MS, i, &timer), TROUPE_OK);
        }
    if (message->kind == MESSAGE_TIMER)
        offer(bench, turn, (unsigned)MESSAGE_PAYLOAD(message, const struct message_timer)->token);
    if (message->kind == MESSAGE_TASK_ENDED) {
        const struct task *task = MESSAGE_PAYLOAD(message, const struct message_task_ended)->task;
        if (task->state != TASK_OK)
            fail_msg("task %u: %s", task->id.trial, task->result->message);
        if (++bench->ended == bench->wanted)
            runtime_stop(bench->runtime);
    }
}

static void lines_are_batches(void **state) {
    (void)state;
    static const char *const program[] = {"worker", NULL};
    struct bench bench = {.account = ACCOUNT("batch_wait")};
    struct env_sim_options sim = {.seed = 1, .workers = 1, .time_max_ns = 60000 * MS, .events_max = 100000};
    struct fault fault = {0};
    struct capability_names names = {0};
    unsigned bit;
    assert_int_equal(env_sim_create(&bench.account, &sim, &bench.env), TROUPE_OK);
    task_message_destructors();
    buffer_init(&bench.input, &bench.account, 1 << 20);
    struct env_child_model model = {
        .context = &bench, .spawn = child_spawn, .input = child_input, .release = child_release};
    env_sim_set_child_model(bench.env, &model);
    assert_int_equal(
        runtime_create(bench.env, &bench.account, &(struct runtime_options){0}, &bench.runtime, &fault),
        TROUPE_OK);
    assert_int_equal(capability_intern(&names, "a", &bit), TROUPE_OK);
    struct agent_spec spec = {.name = "batcher",
                              .kind = AGENT_COMMAND,
                              .argv = program,
                              .capabilities = {{1}},
                              .capability_names = &names,
                              .batch_max = 4,
                              .batch_wait_ns = 50 * MS,
                              .account = &bench.account};
    assert_int_equal(agent_start(bench.runtime, NULL, &spec, &bench.agents, &fault), TROUPE_OK);
    struct actor_spec owner = {.name = "owner", .handle = owner_handle, .state = &bench};
    struct message *start = message_new(bench.runtime, MESSAGE_USER, 0);
    actor_ref actor;
    assert_int_equal(actor_spawn(bench.runtime, &owner, &actor), TROUPE_OK);
    assert_int_equal(actor_send(bench.runtime, NULL, actor, &start), TROUPE_OK);
    assert_int_equal(runtime_run(bench.runtime), TROUPE_OK);
    runtime_free(bench.runtime);
    agents_free(bench.agents);
    buffer_free(&bench.input);
    env_destroy(bench.env);
    static const struct {
        unsigned tasks;
        uint64_t at_ms;
    } expected[] = {
        {4, 1000},            /* whole: at once */
        {3, 2050},            /* a part: 50 ms after its first task */
        {1, 3010},            /* a quarter of its deadline */
        {4, 4000}, {2, 4050}, /* the rest as a part of the next one */
    };
    for (unsigned i = 0; i < bench.line_count; i++)
        printf("line %u: %u tasks at %.3f ms\n", i, bench.lines[i].tasks, (double)bench.lines[i].at_ns / 1e6);
    assert_int_equal(bench.line_count, ARRAY_COUNT(expected));
    for (unsigned i = 0; i < bench.line_count; i++) {
        assert_int_equal(bench.lines[i].tasks, expected[i].tasks);
        assert_in_range(bench.lines[i].at_ns, expected[i].at_ms * MS, (expected[i].at_ms + 5) * MS);
    }
    assert_int_equal(atomic_load(&bench.account.bytes), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_are_batches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
