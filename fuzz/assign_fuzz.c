/* assign: an instance of the assignment problem. What is read keeps the bounds of the public call and is solved by it:
 * each task gets an agent that can do it, or a verdict that says why not. */
#include "fuzz.h"

#include "cli/assign_instance.h"

#define TASKS_MAX 256
#define AGENTS_MAX 64

static struct account account = ACCOUNT("fuzz");

static bool enough(const struct troupe_batch *batch, uint32_t task, uint32_t agent) {
    for (uint32_t resource = 0; resource < batch->resource_count; resource++)
        if (batch->tasks[task].amounts[resource] > batch->agents[agent].amounts[resource])
            return false;
    return true;
}

/* What is held of each pool when a task begins. */
static void instant(const struct troupe_batch *batch, const struct troupe_batch_place *places,
                    uint64_t now_ns) {
    for (uint32_t resource = 0; resource < batch->resource_count; resource++) {
        uint64_t left = batch->pools[resource];
        for (uint32_t agent = 0; agent < batch->agent_count; agent++)
            if (now_ns < batch->agents[agent].backlog_ns)
                left -= batch->agents[agent].holds[resource];
        for (uint32_t task = 0; task < batch->task_count && left != TROUPE_BATCH_NO_POOL; task++) {
            if (places[task].verdict > TROUPE_BATCH_LATE || places[task].start_ns > now_ns ||
                now_ns >= places[task].finish_ns)
                continue;
            CHECK(batch->tasks[task].amounts[resource] <= left);
            left -= batch->tasks[task].amounts[resource];
        }
    }
}

static void solve(struct assign_instance *instance) {
    static struct troupe_batch_place places[TASKS_MAX];
    struct troupe_batch_summary summary;
    char said[TROUPE_PROBLEM_MAX];
    struct troupe_batch *batch = &instance->batch;
    batch->steps = 2000;
    CHECK(troupe_coordinate_batch(batch, places, &summary, said) == TROUPE_STATUS_OK);
    CHECK(summary.on_time + summary.late + summary.refused == batch->task_count);
    for (uint32_t task = 0; task < batch->task_count; task++) {
        const struct troupe_batch_place *place = &places[task];
        CHECK(place->agent < batch->agent_count);
        bool able = (batch->tasks[task].needs & ~batch->agents[place->agent].capabilities) == 0;
        CHECK(place->verdict == TROUPE_BATCH_OVERSIZED ||
              (able && enough(batch, task, place->agent)) == (place->verdict != TROUPE_BATCH_INCAPABLE));
        CHECK(place->verdict != TROUPE_BATCH_LATE || place->finish_ns > batch->tasks[task].deadline_ns);
        if (place->verdict <= TROUPE_BATCH_LATE)
            instant(batch, places, place->start_ns);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct document *document = NULL;
    struct assign_instance instance;
    struct arena arena;
    struct fault fault = {0};
    arena_init(&arena, &account);
    if (document_parse_json((const char *)data, size, "instance.json", NULL, &document, &fault) ==
        TROUPE_OK) {
        enum troupe_error error = assign_instance_read(document_root(document), &arena, &instance, &fault);
        if (error != TROUPE_OK)
            fuzz_refused(error, &fault, NULL);
        else if (instance.batch.task_count <= TASKS_MAX && instance.batch.agent_count <= AGENTS_MAX)
            solve(&instance);
    }
    document_free(document);
    arena_free(&arena);
    CHECK(account.bytes == 0 && document_account()->bytes == 0);
    return 0;
}
