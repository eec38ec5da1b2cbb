/* Tests of the digits example through the plugin host: its stages in order on the real rows, that the
 * held-out rows stay out of the search, and that wrong data is refused with a sentence. Skipped when the
 * plugin was not built. */
#include "agent/plugin_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

static struct account account = ACCOUNT("digits-plugin-test");
static struct plugin *plugin;
static struct plugin_instance *instance;
static char directory[] = "/tmp/troupe-digits-XXXXXX";
static char rows_path[1024];

static int setup(void **state) {
    (void)state;
    const char *build = getenv("TROUPE_BUILD_ROOT"), *source = getenv("TROUPE_SOURCE_ROOT");
    char path[1024];
    snprintf(path, sizeof path, "%s/examples/digits/libdigits.so", build ? build : ".");
    snprintf(rows_path, sizeof rows_path, "%s/examples/digits/digits.csv", source ? source : ".");
    struct fault fault;
    enum troupe_error error = plugin_open(&account, path, &plugin, &fault);
    if (error == TROUPE_NOT_FOUND)
        return 0;
    if (error != TROUPE_OK || plugin_instance_create(plugin, NULL, 0, &instance, &fault) != TROUPE_OK) {
        print_error("%s: %s\n", fault.where, fault.text);
        return -1;
    }
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    plugin_instance_destroy(instance);
    plugin_close(plugin);
    static const char *const files[] = {"rows.bin", "model.txt", "wrong.csv"};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        remove(path);
    }
    remove(directory);
    return account.blocks == 0 ? 0 : -1;
}

/* Runs one stage; `value` is what train said. */
static struct task_result *ran(const char *stage, const char *variables, const char *rows,
                               const char *value) {
    if (!plugin)
        skip();
    char body[8192];
    snprintf(body, sizeof body,
             "\"variables\":{%s},\"data\":{\"rows\":\"%s\",\"split_seed\":1},\"seed\":7,\"inputs\":{"
             "\"prepare\":{\"path\":\"%s/rows.bin\",\"bytes\":1},"
             "\"train\":{\"path\":\"%s/model.txt\",\"bytes\":1,\"value\":%s}}",
             variables, rows, directory, directory, value ? value : "null");
    struct plugin_request request = {.run = "r",
                                     .stage = stage,
                                     .capability = stage,
                                     .attempt = 1,
                                     .artifact_directory = directory,
                                     .deadline_ns = UINT64_MAX,
                                     .body = body,
                                     .body_length = strlen(body),
                                     .account = &account};
    struct task_result *result = NULL;
    assert_int_equal(plugin_execute(instance, &request, &result), TROUPE_OK);
    return result;
}

static double metric(const struct task_result *result, const char *name) {
    for (unsigned i = 0; i < result->metric_count; i++)
        if (strcmp(result->metrics[i].name, name) == 0)
            return result->metrics[i].value;
    fail_msg("no metric %s: %s", name, result->message);
    return 0;
}

/* All four stages; gives the objective and the accuracy on the held-out rows. */
static void tried(const char *variables, double *ret_objective, double *ret_test) {
    struct task_result *prepared = ran("prepare", variables, rows_path, NULL);
    assert_string_equal(prepared->message, "");
    assert_string_equal(prepared->value, "{\"tuning\":1437,\"held_out\":360,\"folds\":5}");
    assert_string_equal(prepared->artifact, "rows.bin");
    struct task_result *trained = ran("train", variables, rows_path, NULL);
    assert_string_equal(trained->message, "");
    assert_string_equal(trained->artifact, "model.txt");
    struct task_result *evaluated = ran("evaluate", "", "/nonexistent", trained->value);
    struct task_result *tested = ran("test", variables, rows_path, trained->value);
    *ret_objective = metric(evaluated, "accuracy");
    *ret_test = metric(tested, "accuracy");
    assert_true(metric(evaluated, "worst_recall") <= *ret_objective);
    assert_true(metric(tested, "errors") >= 0);
    task_result_free(prepared);
    task_result_free(trained);
    task_result_free(evaluated);
    task_result_free(tested);
}

static void test_untuned_default_and_better(void **state) {
    (void)state;
    double default_objective, default_test, objective, test, again;
    tried("\"scale\":\"none\",\"kind\":\"svm\",\"kernel\":\"rbf\",\"C\":1,\"gamma\":0.015625",
          &default_objective, &default_test);
    /* LIBSVM's own default on unscaled pixels is poor; the search has something to find. */
    assert_true(default_objective > 0.4 && default_objective < 0.7);
    tried("\"scale\":\"unit\",\"kind\":\"svm\",\"kernel\":\"rbf\",\"C\":10,\"gamma\":0.2", &objective, &test);
    assert_true(objective > 0.98);
    assert_true(1 - test < 0.4 * (1 - default_test));
    tried("\"scale\":\"unit\",\"kind\":\"svm\",\"kernel\":\"rbf\",\"C\":10,\"gamma\":0.2", &again, &test);
    assert_true(again == objective);
}

static void test_every_family(void **state) {
    (void)state;
    static const char *const settings[] = {
        "\"scale\":\"standard\",\"kind\":\"svm\",\"kernel\":\"poly\",\"degree\":2,\"C\":100,\"gamma\":0.01",
        "\"scale\":\"unit\",\"kind\":\"linear\",\"solver\":\"l2_svc\",\"linear_C\":1",
        "\"scale\":\"none\",\"kind\":\"linear\",\"solver\":\"logistic\",\"linear_C\":0.01",
        "\"scale\":\"standard\",\"kind\":\"linear\",\"solver\":\"crammer_singer\",\"linear_C\":0.1"};
    for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
        double objective, test;
        tried(settings[i], &objective, &test);
        assert_true(objective > 0.9);
        assert_true(test > 0.9);
    }
}

static void test_wrong_data_is_refused(void **state) {
    (void)state;
    char wrong[64];
    snprintf(wrong, sizeof wrong, "%s/wrong.csv", directory);
    static const struct {
        const char *content, *says;
    } cases[] = {{"1,2,3\n", "wrong.csv: line 1: expected 64 pixels from 0 to 16 and a label from 0 to 9"},
                 {"", "0 rows, 0 of label 0: too few to hold out 360 and make 5 folds"}};
    for (size_t i = 0; plugin && i < ARRAY_COUNT(cases); i++) {
        FILE *file = fopen(wrong, "we");
        assert_non_null(file);
        fputs(cases[i].content, file);
        fclose(file);
        struct task_result *result = ran("prepare", "", wrong, NULL);
        assert_int_equal(result->error, TROUPE_WORKER);
        assert_non_null(strstr(result->message, cases[i].says));
        task_result_free(result);
    }
    struct task_result *result = ran("prepare", "", "/nonexistent.csv", NULL);
    assert_string_equal(result->message, "/nonexistent.csv: No such file or directory");
    task_result_free(result);
    result = ran("prepare", "\"scale\":\"cube\"", rows_path, NULL);
    assert_string_equal(result->message, "scale is 'cube'; expected none, unit or standard");
    task_result_free(result);
    result = ran("train", "\"C\":-1", rows_path, NULL);
    assert_string_equal(result->message, "LIBSVM: C <= 0");
    task_result_free(result);
    result = ran("evaluate", "", rows_path, "{\"out_of_fold\":\"012\"}");
    assert_string_equal(result->message, "evaluate: one prediction a row is expected");
    task_result_free(result);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_untuned_default_and_better),
                                       cmocka_unit_test(test_every_family),
                                       cmocka_unit_test(test_wrong_data_is_refused)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
