/* The stages of the digits pipeline as a native plugin:
 *   prepare   reads the rows, sets the held-out ones apart, scales the tuning rows     -> artifact: rows,
 * folds, scaling train     5-fold cross-validation on the tuning rows, then a model of all of them  ->
 * artifact: the model evaluate  compares what each row's fold predicted with its label                   ->
 * metric accuracy test      the model of a trial on the held-out rows; for the baseline and the best ->
 * metric accuracy The held-out rows are read by `test` alone: nothing that the search sees depends on them.
 */
#include "digits.h"

#include "troupe_plugin.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool split_read(const struct troupe_plugin_task *task, struct rows *ret_tuning,
                       struct rows *ret_held_out, char *error) {
    const char *path = task->host->data_text(task, "rows");
    double seed = 1;
    task->host->data_real(task, "split_seed", &seed);
    if (!path || seed < 0 || seed > 1e15) {
        snprintf(error, ERROR_SIZE, "data: expected `rows` (a CSV file) and `split_seed` (from 0)");
        return false;
    }
    struct rows all;
    if (!rows_read_csv(path, &all, error))
        return false;
    bool split = rows_split(&all, (uint64_t)seed, ret_tuning, ret_held_out, error);
    rows_free(&all);
    return split;
}

static int prepare(const struct troupe_plugin_task *task, struct troupe_plugin_result *result) {
    char error[ERROR_SIZE] = "";
    struct rows tuning, held_out;
    if (!split_read(task, &tuning, &held_out, error))
        return troupe_fail(result, 0, error);
    struct scaling scaling;
    const char *path = task->host->artifact_path(task, "rows.bin");
    bool done = false;
    if (!path)
        snprintf(error, sizeof error, "prepare needs an artifact directory");
    else if (scaling_find(troupe_variable_text(task, "scale", "none"), &tuning, &scaling, error)) {
        scaling_apply(&scaling, &tuning);
        done = prepared_write(path, &tuning, &scaling, error);
    }
    char value[96];
    int length = snprintf(value, sizeof value, "{\"tuning\":%d,\"held_out\":%d,\"folds\":%d}", tuning.count,
                          held_out.count, FOLDS);
    rows_free(&tuning);
    rows_free(&held_out);
    if (!done)
        return troupe_fail(result, 0, error);
    task->host->set_artifact(result, "rows.bin");
    task->host->set_value_json(result, value, (size_t)length);
    return 0;
}

static const struct family *settings_read(const struct troupe_plugin_task *task, struct settings *settings) {
    bool linear = strcmp(troupe_variable_text(task, "kind", "svm"), "linear") == 0;
    *settings = (struct settings){.c = troupe_variable(task, linear ? "linear_C" : "C", 1),
                                  .gamma = troupe_variable(task, "gamma", 1.0 / FEATURES),
                                  .kernel = troupe_variable_text(task, "kernel", "rbf"),
                                  .degree = (int)troupe_variable(task, "degree", 3),
                                  .solver = troupe_variable_text(task, "solver", "l2_svc"),
                                  .seed = task->host->seed(task)};
    return linear ? &family_linear : &family_svm;
}

/* Learns without each fold in turn and writes each row's prediction, a digit, where the row is. */
static bool cross_validate(const struct troupe_plugin_task *task, const struct family *family,
                           const struct settings *settings, const struct rows *rows, char *predicted,
                           char *error) {
    int right = 0, seen = 0;
    for (int fold = 0; fold < FOLDS; fold++) {
        if (task->host->cancelled(task)) {
            snprintf(error, ERROR_SIZE, "cancelled after %d of %d folds", fold, FOLDS);
            return false;
        }
        void *model = family->learn(settings, rows, fold, error);
        if (!model)
            return false;
        for (int i = 0; i < rows->count; i++) {
            const struct row *row = &rows->items[i];
            if (row->fold != fold)
                continue;
            int label = family->predict(model, row);
            predicted[i] = (char)('0' + label);
            right += label == row->label;
            seen++;
        }
        family->forget(model);
        task->host->progress(task, fold + 1, "accuracy", (double)right / seen);
    }
    return true;
}

static int train(const struct troupe_plugin_task *task, struct troupe_plugin_result *result) {
    char error[ERROR_SIZE] = "";
    const char *rows_path = task->host->input_path(task, "prepare");
    const char *model_path = task->host->artifact_path(task, "model.txt");
    if (!rows_path || !model_path)
        return troupe_fail(result, 0, "train needs the artifact of `prepare` and an artifact directory");
    struct rows rows;
    struct scaling scaling;
    if (!prepared_read(rows_path, &rows, &scaling, error))
        return troupe_fail(result, 0, error);
    struct settings settings;
    const struct family *family = settings_read(task, &settings);
    size_t space = (size_t)rows.count + 64;
    char *value = malloc(space);
    int length = value ? snprintf(value, space, "{\"out_of_fold\":\"") : 0;
    void *model = NULL;
    bool done = false;
    if (!value)
        snprintf(error, sizeof error, "out of memory");
    else if (cross_validate(task, family, &settings, &rows, value + length, error)) {
        snprintf(value + length + rows.count, space - (size_t)(length + rows.count), "\"}");
        model = family->learn(&settings, &rows, -1, error);
        done = model && family->save(model, model_path);
        if (model && !done)
            snprintf(error, sizeof error, "%s: cannot be written", model_path);
    }
    if (done && !task->host->set_value_json(result, value, strlen(value))) {
        snprintf(error, sizeof error, "%d predictions are too many for one value", rows.count);
        done = false;
    }
    if (model)
        family->forget(model);
    free(value);
    rows_free(&rows);
    if (!done)
        return troupe_fail(result, 0, error);
    task->host->set_artifact(result, "model.txt");
    return 0;
}

static int evaluate(const struct troupe_plugin_task *task, struct troupe_plugin_result *result) {
    char error[ERROR_SIZE] = "";
    const char *rows_path = task->host->input_path(task, "prepare");
    const char *predicted = task->host->input_text(task, "train", "out_of_fold");
    if (!rows_path || !predicted)
        return troupe_fail(result, 0,
                           "evaluate needs the artifact of `prepare` and the predictions of `train`");
    struct rows rows;
    struct scaling scaling;
    if (!prepared_read(rows_path, &rows, &scaling, error))
        return troupe_fail(result, 0, error);
    int label_rows[CLASSES] = {0}, label_right[CLASSES] = {0}, fold_rows[FOLDS] = {0},
        fold_right[FOLDS] = {0};
    bool complete = strlen(predicted) == (size_t)rows.count;
    for (int i = 0; complete && i < rows.count; i++) {
        const struct row *row = &rows.items[i];
        bool right = predicted[i] - '0' == row->label;
        label_rows[row->label]++;
        label_right[row->label] += right;
        fold_rows[row->fold]++;
        fold_right[row->fold] += right;
    }
    int count = rows.count, right = 0;
    rows_free(&rows);
    if (!complete)
        return troupe_fail(result, 0, "evaluate: one prediction a row is expected");
    double worst = 1, squares = 0;
    for (int label = 0; label < CLASSES; label++) {
        right += label_right[label];
        worst = fmin(worst, (double)label_right[label] / label_rows[label]);
    }
    double accuracy = (double)right / count;
    for (int fold = 0; fold < FOLDS; fold++) {
        double difference = (double)fold_right[fold] / fold_rows[fold] - accuracy;
        squares += difference * difference;
    }
    troupe_metric(result, "accuracy", accuracy);
    troupe_metric(result, "errors", count - right);
    troupe_metric(result, "worst_recall", worst);
    troupe_metric(result, "fold_deviation", sqrt(squares / (FOLDS - 1)));
    return 0;
}

static int test(const struct troupe_plugin_task *task, struct troupe_plugin_result *result) {
    char error[ERROR_SIZE] = "";
    const char *rows_path = task->host->input_path(task, "prepare");
    const char *model_path = task->host->input_path(task, "train");
    if (!rows_path || !model_path)
        return troupe_fail(result, 0, "test needs the artifacts of `prepare` and `train`");
    struct rows tuning, held_out;
    struct scaling scaling;
    if (!prepared_read(rows_path, &tuning, &scaling, error))
        return troupe_fail(result, 0, error);
    rows_free(&tuning);
    if (!split_read(task, &tuning, &held_out, error))
        return troupe_fail(result, 0, error);
    rows_free(&tuning);
    scaling_apply(&scaling, &held_out);
    struct settings settings;
    const struct family *family = settings_read(task, &settings);
    void *model = family->load(model_path);
    int errors = 0, count = held_out.count;
    for (int i = 0; model && i < count; i++)
        errors += family->predict(model, &held_out.items[i]) != held_out.items[i].label;
    rows_free(&held_out);
    if (!model) {
        snprintf(error, sizeof error, "%s: not a model of this kind", model_path);
        return troupe_fail(result, 0, error);
    }
    family->forget(model);
    troupe_metric(result, "accuracy", 1 - (double)errors / count);
    troupe_metric(result, "errors", errors);
    return 0;
}

static int execute(void *state, const struct troupe_plugin_task *task, struct troupe_plugin_result *result) {
    static const struct {
        const char *capability;
        int (*run)(const struct troupe_plugin_task *task, struct troupe_plugin_result *result);
    } stages[] = {{"prepare", prepare}, {"train", train}, {"evaluate", evaluate}, {"test", test}};
    (void)state;
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++)
        if (strcmp(task->capability, stages[i].capability) == 0)
            return stages[i].run(task, result);
    return troupe_fail(result, 0, "not a capability of this plugin");
}

static const char *const capabilities[] = {"prepare", "train", "evaluate", "test", NULL};

TROUPE_PLUGIN_EXPORT const struct troupe_plugin troupe_plugin = {.abi = TROUPE_PLUGIN_ABI,
                                                                 .size = sizeof(struct troupe_plugin),
                                                                 .name = "digits",
                                                                 .capabilities = capabilities,
                                                                 .execute = execute};
