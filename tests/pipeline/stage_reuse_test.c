/* Stage reuse: what a key depends on, single flight's list, the order of collection, and accounts that read
 * zero. A wrong key would hand one configuration the result of another; that is what most of these would miss. */
#include "../base/cmocka_base.h"

#include <math.h>
#include <stdio.h>

#include "pipeline/run_internal.h"

static struct account account;

static const char definition[] = "name: t\n"
                                 "space:\n"
                                 "  scale: {choice: [none, unit]}\n"
                                 "  C: {float: [0.1, 10]}\n"
                                 "  depth: {int: [1, 5], when: {scale: unit}}\n"
                                 "agents: {a: {command: [x], capabilities: [prepare, train, evaluate]}}\n"
                                 "stages:\n"
                                 "  prepare: {uses: [scale]}\n"
                                 "  train: {needs: [prepare]}\n"
                                 "  evaluate: {needs: [prepare, train], uses: []}\n"
                                 "objective: {stage: evaluate, metric: m, goal: maximise}\n"
                                 "budget: {trials: 3}\n";

static struct run *run_of(const char *const *sets, size_t count) {
    struct run *run = memory_alloc(&account, sizeof *run);
    struct fault fault = {0};
    assert_non_null(run);
    enum troupe_error error = pipeline_parse(NULL, &account, definition, strlen(definition), "t.yaml", "/tmp",
                                             sets, count, &run->pipeline, &fault);
    if (error != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
    run->account = &account;
    return run;
}

static void run_gone(struct run *run) {
    pipeline_free(run->pipeline);
    memory_free(&account, run);
    assert_int_equal(account.bytes, 0);
}

/* Keys of all stages for (scale, C, depth), in the order of the definition. */
static void keys(struct run *run, double scale, double c, double depth, uint64_t ret[3]) {
    static struct trial trial; /* too large for a stack of a test with sanitizers */
    memset(&trial, 0, sizeof trial);
    trial.configuration.count = 3;
    trial.configuration.values[0] = scale;
    trial.configuration.values[1] = c;
    trial.configuration.values[2] = depth;
    for (unsigned k = 0; k < 3; k++) {
        unsigned i = run->pipeline->order[k];
        trial.stages[i].key = ret[i] = stage_key(run, &trial, i);
    }
}

static void a_key_depends_on_what_the_stage_uses(void **state) {
    (void)state;
    struct run *run = run_of(NULL, 0);
    uint64_t a[3], b[3];
    keys(run, 0, 1, NAN, a);
    keys(run, 0, 2, NAN, b); /* C: not used by prepare */
    assert_true(a[0] == b[0]);
    assert_true(a[1] != b[1]);
    assert_true(a[2] != b[2]); /* uses nothing, but its input differs */
    keys(run, 1, 1, 3, b);
    assert_true(a[0] != b[0] && a[1] != b[1] && a[2] != b[2]);
    keys(run, 1, 1, 4, a); /* depth: only train sees it */
    assert_true(a[0] == b[0] && a[1] != b[1]);
    keys(run, 1, 1, 4, b);
    assert_memory_equal(a, b, sizeof a);
    run_gone(run);
}

static void a_key_depends_on_version_program_and_data(void **state) {
    (void)state;
    const char *const sets[] = {"stages.prepare.version=2"};
    struct run *run = run_of(NULL, 0), *versioned = run_of(sets, 1);
    uint64_t a[3], b[3];
    keys(run, 0, 1, NAN, a);
    keys(versioned, 0, 1, NAN, b);
    assert_true(a[0] != b[0] && a[1] != b[1]);
    run->pipeline->agents[0].program_hash ^= 1;
    keys(run, 0, 1, NAN, b);
    assert_true(a[0] != b[0] && a[1] != b[1] && a[2] != b[2]);
    run->pipeline->agents[0].program_hash ^= 1;
    run->pipeline->data_hash ^= 1;
    keys(run, 0, 1, NAN, b);
    assert_true(a[0] != b[0] && a[1] != b[1] && a[2] != b[2]);
    pipeline_free(versioned->pipeline);
    memory_free(&account, versioned);
    run_gone(run);
}

static void variables_are_those_used_and_active(void **state) {
    (void)state;
    struct run *run = run_of(NULL, 0);
    static struct trial trial;
    memset(&trial, 0, sizeof trial);
    trial.configuration = (struct configuration){.count = 3, .values = {1, 0.5, 4}};
    static const char *const expected[] = {"{\"scale\":\"unit\"}",
                                           "{\"scale\":\"unit\",\"C\":0.5,\"depth\":4}", "{}"};
    for (unsigned i = 0; i < 3; i++) {
        struct buffer text;
        struct json json;
        buffer_init(&text, &account, 0);
        json_init(&json, &text);
        stage_variables(run, &trial, i, &json);
        assert_string_equal(buffer_string(&text), expected[i]);
        buffer_free(&text);
    }
    run_gone(run);
}

static struct reuse_entry *done(struct reuse *reuse, uint64_t key, struct stage_result *result) {
    struct reuse_entry *entry = reuse_start(reuse, key);
    assert_non_null(result);
    assert_non_null(entry);
    reuse_done(reuse, entry, result);
    stage_result_drop(result);
    return entry;
}

static void the_least_recently_used_that_nobody_has_is_evicted(void **state) {
    (void)state;
    struct reuse reuse;
    assert_int_equal(reuse_init(&reuse, &account), TROUPE_OK);
    struct stage_result *held =
        stage_result_keep(done(&reuse, 1, stage_result_new(&account, "1", 1))->result);
    struct reuse_entry *touched = done(&reuse, 2, stage_result_new(&account, "2", 1));
    done(&reuse, 3, stage_result_new(&account, "3", 1));
    reuse_touch(&reuse, touched);
    assert_true(reuse_evict(&reuse)); /* 3: 1 is held, 2 was used since */
    assert_null(reuse_find(&reuse, 3));
    assert_non_null(reuse_find(&reuse, 1));
    assert_true(reuse_evict(&reuse));
    assert_null(reuse_find(&reuse, 2));
    assert_false(reuse_evict(&reuse));
    stage_result_drop(held);
    assert_true(reuse_evict(&reuse));
    assert_int_equal(reuse.evicted, 3);
    reuse_free(&reuse);
    assert_int_equal(account.bytes, 0);
}

static void results_are_bounded_in_number(void **state) {
    (void)state;
    struct reuse reuse;
    assert_int_equal(reuse_init(&reuse, &account), TROUPE_OK);
    for (uint64_t key = 0; key < REUSE_ENTRIES_MAX + 100; key++)
        done(&reuse, key, stage_result_new(&account, NULL, 0));
    assert_int_equal(map_count(reuse.entries), REUSE_ENTRIES_MAX);
    assert_null(reuse_find(&reuse, 99));
    assert_non_null(reuse_find(&reuse, 100));
    reuse_free(&reuse);
    assert_int_equal(account.bytes, 0);
}

static struct stage_result *with_file(struct artifact_files *files, const char *hash, uint64_t bytes) {
    struct stage_result *result = stage_result_new(&account, NULL, 0);
    assert_non_null(result);
    snprintf(result->artifact, sizeof result->artifact, "%s", hash);
    result->artifact_bytes = bytes;
    assert_int_equal(artifact_files_hold(files, result), TROUPE_OK);
    return result;
}

/* Equal bytes are one file: it may go only when the last result that has them has gone, and comes back whole when they
 * are made again before it is removed. */
static void a_file_goes_with_its_last_result(void **state) {
    (void)state;
    struct artifact_files files;
    assert_int_equal(artifact_files_init(&files, &account, 100), TROUPE_OK);
    struct stage_result *a = with_file(&files, "aa", 40), *b = with_file(&files, "aa", 40),
                        *c = with_file(&files, "cc", 7), *none = with_file(&files, "", 0);
    assert_int_equal(files.bytes, 47);
    stage_result_drop(a);
    assert_null(artifact_files_garbage(&files));
    assert_int_equal(files.bytes, 47);
    stage_result_drop(b);
    stage_result_drop(none);
    assert_int_equal(files.bytes, 7);
    assert_string_equal(artifact_files_garbage(&files)->hash, "aa");
    a = with_file(&files, "aa", 40); /* again, before it was removed */
    assert_null(artifact_files_garbage(&files));
    assert_int_equal(files.bytes, 47);
    stage_result_drop(a);
    artifact_file_forget(&files, artifact_files_garbage(&files));
    a = with_file(&files, "aa", 40);
    assert_int_equal(files.bytes, 47);
    stage_result_drop(a);
    stage_result_drop(c);
    artifact_files_free(&files);
    assert_int_equal(account.bytes, 0);
}

static void an_abandoned_entry_is_gone(void **state) {
    (void)state;
    struct reuse reuse;
    assert_int_equal(reuse_init(&reuse, &account), TROUPE_OK);
    struct reuse_entry *entry = reuse_start(&reuse, 7);
    assert_ptr_equal(reuse_find(&reuse, 7), entry);
    reuse_abandon(&reuse, entry);
    assert_null(reuse_find(&reuse, 7));
    reuse_free(&reuse);
    assert_int_equal(account.bytes, 0);
}

static void each_allocation_refused(void **state) {
    (void)state;
    FOR_EACH_FAILING_ALLOCATION(n) {
        struct reuse reuse;
        if (reuse_init(&reuse, &account) == TROUPE_OK) {
            struct reuse_entry *entry = reuse_start(&reuse, 7);
            struct stage_result *result = stage_result_new(&account, "12345", 5);
            if (entry != NULL && result != NULL)
                reuse_done(&reuse, entry, result);
            else if (entry != NULL)
                reuse_abandon(&reuse, entry);
            stage_result_drop(result);
            reuse_free(&reuse);
        }
        assert_int_equal(account.bytes, 0);
    }
}

int main(void) {
    account = ACCOUNT("test");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_depends_on_what_the_stage_uses),
        cmocka_unit_test(a_key_depends_on_version_program_and_data),
        cmocka_unit_test(variables_are_those_used_and_active),
        cmocka_unit_test(the_least_recently_used_that_nobody_has_is_evicted),
        cmocka_unit_test(results_are_bounded_in_number),
        cmocka_unit_test(a_file_goes_with_its_last_result),
        cmocka_unit_test(an_abandoned_entry_is_gone),
        cmocka_unit_test(each_allocation_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
