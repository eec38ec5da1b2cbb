/* `troupe whatif`: what a change to a run would gain, from its record, in virtual time. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/run_listing.h"
#include "cli/whatif_scenario.h"
#include "simulate/simulate.h"

struct whatif_values {
    const char *runs;
    struct option_list sets, assumes;
    int64_t seed, replications;
    bool json;
    struct scenario_values scenario;
};
static const struct option_row rows[] = {
    {OPTION_LIST(struct whatif_values, sets, "set", 's', "PATH=VALUE",
                 "change one value of the run's pipeline")},
    {OPTION_LIST(struct whatif_values, assumes, "assume", 'a', "WHAT=N",
                 "what no pipeline says: train/0.speed=0.5, train.time=0.5, cores=8")},
    {OPTION_NUMBER(1, 1000, struct whatif_values, replications, "replications", 0, "N",
                   "simulated runs to a prediction (default: 16)")},
    {OPTION_NUMBER(0, INT64_MAX, struct whatif_values, seed, "seed", 0, "N",
                   "of the simulation (default: 1)")},
    {OPTION_FLAG(struct whatif_values, json, "json", 0, "one JSON object")},
    {OPTION_TEXT(struct whatif_values, runs, "runs", 0, "DIR", "where runs are kept (default: runs)")},
    WHATIF_SCENARIO_ROWS(struct whatif_values),
};
static const struct option_table options = {
    .rows = rows, .count = ARRAY_COUNT(rows), .words_max = 1, .words_name = "one run, or a scenario file"};
const struct command_page page_whatif = {
    &options,
    "Simulates the run again with what it measured, changed as you say, and tells how\n"
    "long it would take. Without a change: how well the simulation knows the run.\n"
    "A scenario file (doc/scenario.md) needs no run: it describes arrivals and stages.\n",
    "  troupe whatif digits-6b0760e9-c2c4 --set agents.train.instances=4\n"
    "  troupe whatif scenarios/seed-pipeline.yaml --overlay external-caching\n"};

static void write_prediction(const struct prediction *prediction, const double *measured, bool compare,
                             struct buffer *out) {
    for (unsigned f = 0; f < FIGURE_COUNT; f++) {
        const struct estimate *one = &prediction->figures[f];
        buffer_format(out, "  %-20s %12.4g  (%.4g to %.4g)", figure_table[f].name, one->value, one->low,
                      one->high);
        if (isfinite(measured[f]))
            buffer_format(out, "  recorded %.4g  %+.1f %%", measured[f],
                          100 * (one->value / measured[f] - 1));
        buffer_text(out, "\n");
    }
    (void)compare;
    buffer_format(out, "limit: %s\n", prediction->limit);
}

static enum troupe_error whatif_run(struct session *session, const char *id,
                                    const struct whatif_values *values, struct buffer *out,
                                    struct fault *fault) {
    struct run_record *record = NULL;
    struct model *model = NULL;
    struct pipeline *pipeline = NULL;
    struct assumption assumptions[ASSUMPTIONS_MAX];
    unsigned assumption_count = 0;
    enum troupe_error error =
        run_record_read(session->env, session->account, values->runs, id, &record, fault);
    if (error == TROUPE_OK)
        error = model_fit(record, env_cores(session->env), session->account, &model, fault);
    if (error == TROUPE_OK)
        error = run_load_pipeline(session->env, session->account, values->runs, id, values->sets.texts,
                                  values->sets.count, &pipeline, fault);
    for (size_t i = 0; i < values->assumes.count && error == TROUPE_OK; i++)
        error = assumption_parse(values->assumes.texts[i], pipeline, &assumptions[assumption_count++], fault);
    struct prediction prediction;
    double measured[FIGURE_COUNT];
    if (error == TROUPE_OK) {
        struct prediction_request request = {.model = model,
                                             .pipeline = pipeline,
                                             .assumptions = assumptions,
                                             .assumption_count = assumption_count,
                                             .seed = (uint64_t)values->seed,
                                             .replications = (unsigned)values->replications};
        error = predict(&request, session->account, &prediction, fault);
    }
    if (error == TROUPE_OK) {
        measured_figures(record, measured);
        write_prediction(&prediction, measured, true, out);
        for (unsigned i = 0; i < model->parameter_count; i++)
            buffer_format(out, "  %s: %s (n=%u%s)\n", model->parameters[i].name, model->parameters[i].text,
                          model->parameters[i].n, model->parameters[i].assumed ? ", assumed" : "");
    }
    pipeline_free(pipeline);
    model_free(model);
    run_record_free(record);
    return error;
}

enum troupe_error command_whatif(struct session *session, int argc, const char *const *argv,
                                 struct fault *fault) {
    struct whatif_values values = {.runs = "runs", .seed = 1};
    struct option_words words = {.argc = argc, .argv = argv};
    const char *id = NULL;
    struct buffer text;
    enum troupe_error error = option_table_parse(&options, &session->arena, &words, &values, NULL, fault);
    if (error != TROUPE_OK)
        return error;
    if (whatif_is_scenario(session, words.words[0])) {
        if (values.assumes.count > 0)
            return fault_set(fault, TROUPE_USAGE, "--assume",
                             "is for a run; a scenario says all in its file: --set");
        struct scenario_call call = {words.words[0],
                                     &values.scenario,
                                     &values.sets,
                                     (uint64_t)values.seed,
                                     (unsigned)values.replications,
                                     values.json};
        return whatif_scenario(session, &call, fault);
    }
    error = whatif_without_scenario(&values.scenario, fault);
    if (error != TROUPE_OK)
        return error;
    buffer_init(&text, session->account, 0);
    error = run_listing_choose(session, values.runs, words.words[0], &id, fault);
    if (error == TROUPE_OK)
        error = whatif_run(session, id, &values, &text, fault);
    if (error == TROUPE_OK)
        error = session_print(&text, fault);
    buffer_free(&text);
    return error;
}
