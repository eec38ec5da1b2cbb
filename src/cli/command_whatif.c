/* `troupe whatif`: what a change to a run would gain, from its record, in virtual time. Reads the question; whatif_*.c
 * answer it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/run_listing.h"
#include "cli/whatif.h"
#include "simulate/simulate.h"

static const struct option_row rows[] = {
    {OPTION_LIST(struct whatif_values, sets, "set", 's', "PATH=VALUE",
                 "change one value of the run's pipeline, repeatable: agents.train.instances=4"),
     .heading = "what is changed"},
    {OPTION_LIST(
        struct whatif_values, assumes, "assume", 'a', "WHAT=N",
        "what no pipeline says, repeatable: a slower machine under one instance (train/0.speed=0.5), a "
        "stage in half its time (train.time=0.5), other cores (cores=8)")},
    {OPTION_FLAG(struct whatif_values, rank, "rank", 'r',
                 "try every lever that the pipeline has, the best first"),
     .heading = "what is answered"},
    {OPTION_FLAG(struct whatif_values, verify, "verify", 'V',
                 "then run it for real, and compare; with --rank: the best lever")},
    {OPTION_FLAG(struct whatif_values, score, "score", 0,
                 "no prediction: how good those were that have been measured since")},
    {OPTION_FLAG(struct whatif_values, json, "json", 0, "one JSON object")},
    {OPTION_NUMBER(1, 1000, struct whatif_values, replications, "replications", 0, "N",
                   "simulated runs to a prediction (default: 16)"),
     .heading = "how"},
    {OPTION_NUMBER(0, INT64_MAX, struct whatif_values, seed, "seed", 0, "N",
                   "of the simulation (default: 1); the same gives the same answer")},
    {OPTION_TEXT(struct whatif_values, runs, "runs", 0, "DIR", "where runs are kept (default: runs)")},
    WHATIF_SCENARIO_ROWS(struct whatif_values),
};
static const struct option_table options = {
    .rows = rows, .count = ARRAY_COUNT(rows), .words_max = 1, .words_name = "one run, or a scenario file"};
const struct command_page page_whatif = {
    &options,
    "Carries the run out again in virtual time, by the same engine and with the times\n"
    "that it measured, changed as you say: how long it would take, how many trials\n"
    "would fit, how busy agents and cores would be, what would limit it next. Each\n"
    "figure comes with the interval that holds 90 % of the time; what is known from\n"
    "few measurements, or assumed, is marked. A change of which the record tells\n"
    "nothing (another program, other data, another space) is refused, not guessed.\n\n"
    "Without a change: how well the simulation knows the run. Without RUN: the newest.\n"
    "Predictions are kept in DIR/.predictions, and each is compared with the first run\n"
    "of the same definition that is made after it; --score tells how good they were.\n\n"
    "A scenario file (doc/scenario.md) needs no run: it describes arrivals and stages.\n",
    "  troupe whatif --set agents.train.instances=4\n"
    "  troupe whatif digits-6b0760e9-c2c4 --rank\n"
    "  troupe whatif digits-6b0760e9-c2c4 --set agents.train.batch_max=4 --verify\n"
    "  troupe whatif --assume train.time=0.5 --json\n"
    "  troupe whatif --score\n"
    "  troupe whatif scenarios/seed-pipeline.yaml --overlay external-caching\n"};

/* ---- the question ---- */

struct prediction_request whatif_request(const struct whatif *whatif) {
    return (struct prediction_request){.model = whatif->model,
                                       .pipeline = whatif->pipeline,
                                       .assumptions = whatif->assumptions,
                                       .assumption_count = whatif->assumption_count,
                                       .seed = (uint64_t)whatif->values->seed,
                                       .replications = (unsigned)whatif->values->replications};
}

/* A run that evaluated one configuration has a definition that it did not carry out. */
static enum troupe_error check_searched(struct whatif *whatif, struct fault *fault) {
    struct document *definition = NULL;
    int64_t created;
    enum troupe_error error = run_read_definition(whatif->session->env, whatif->session->account,
                                                  whatif->record->directory, &definition, &created, fault);
    if (error == TROUPE_OK && node_get(document_root(definition), "configuration") != NULL)
        error = fault_set(
            fault, TROUPE_INVALID, whatif->id,
            "this run evaluated one configuration and searched nothing: there is nothing to predict");
    document_free(definition);
    return error;
}

static enum troupe_error read_assumptions(struct whatif *whatif, struct fault *fault) {
    const struct option_list *given = &whatif->values->assumes;
    if (given->count > ASSUMPTIONS_MAX)
        return fault_set(fault, TROUPE_USAGE, "--assume", "%zu assumptions, at most %d", given->count,
                         ASSUMPTIONS_MAX);
    for (size_t i = 0; i < given->count; i++) {
        enum troupe_error error =
            assumption_parse(given->texts[i], whatif->pipeline, &whatif->assumptions[i], fault);
        if (error != TROUPE_OK)
            return error;
        whatif->assumption_count++;
    }
    return TROUPE_OK;
}

static enum troupe_error load(struct whatif *whatif, struct fault *fault) {
    struct session *session = whatif->session;
    const char *runs = whatif->values->runs;
    enum troupe_error error =
        run_record_read(session->env, session->account, runs, whatif->id, &whatif->record, fault);
    if (error == TROUPE_OK)
        error = check_searched(whatif, fault);
    for (size_t i = 0; i < whatif->sets.count && error == TROUPE_OK; i++)
        error = change_check_set(whatif->record->pipeline, whatif->sets.texts[i], fault);
    if (error == TROUPE_OK) /* before the fit: a wrong --set is the user's first mistake to hear of */
        error = run_load_pipeline(session->env, session->account, runs, whatif->id, whatif->sets.texts,
                                  whatif->sets.count, &whatif->pipeline, fault);
    if (error == TROUPE_OK)
        error = read_assumptions(whatif, fault);
    if (error == TROUPE_OK) {
        change_list_make(whatif->record->pipeline, whatif->pipeline, &whatif->changes);
        error = change_list_check(&whatif->changes, fault);
    }
    if (error == TROUPE_OK)
        error = model_fit(whatif->record, env_cores(session->env), session->account, &whatif->model, fault);
    if (error == TROUPE_OK) {
        measured_figures(whatif->record, whatif->recorded);
        whatif->data_hash = record_data_hash(whatif->record);
    }
    return error;
}

static void whatif_free(struct whatif *whatif) {
    pipeline_free(whatif->pipeline);
    model_free(whatif->model);
    run_record_free(whatif->record);
}

/* ---- the record of predictions ---- */

const char *whatif_changes_json(const struct whatif *whatif, const struct lever *lever) {
    struct arena *arena = &whatif->session->arena;
    struct buffer text;
    struct json json;
    buffer_init(&text, whatif->session->account, 0);
    json_init(&json, &text);
    json_array_begin(&json);
    for (size_t i = 0; i < whatif->sets.count; i++)
        json_string(&json, whatif->sets.texts[i]);
    for (unsigned i = 0; lever != NULL && !lever->assumed && i < lever->set_count; i++)
        json_string(&json, lever->sets[i]);
    for (size_t i = 0; i < whatif->values->assumes.count; i++)
        json_string(&json, arena_format(arena, "--assume %s", whatif->values->assumes.texts[i]));
    if (lever != NULL && lever->assumed)
        json_string(&json, arena_format(arena, "--assume %s", lever->sets[0]));
    json_array_end(&json);
    const char *copy =
        buffer_ok(&text) == TROUPE_OK ? arena_copy(arena, buffer_string(&text), text.length) : NULL;
    buffer_free(&text);
    return copy;
}

void whatif_keep(const struct whatif *whatif, const struct prediction_entry *entries, size_t count) {
    struct fault fault = {0};
    if (prediction_log_keep(whatif->session->env, whatif->session->account, whatif->values->runs, entries,
                            count, &fault) != TROUPE_OK)
        fprintf(stderr, "troupe: %s: the prediction was not kept: %s\n", fault.where, fault.text);
}

/* ---- the answer ---- */

static enum troupe_error predict_and_keep(struct whatif *whatif, struct fault *fault) {
    struct prediction_request request = whatif_request(whatif);
    struct prediction_entry entry;
    enum troupe_error error = predict(&request, whatif->session->account, &whatif->prediction, fault);
    if (error != TROUPE_OK)
        return error;
    prediction_entry_make(&request, &whatif->prediction, whatif->data_hash, &entry);
    snprintf(entry.run, sizeof entry.run, "%s", whatif->id);
    entry.changes = whatif_changes_json(whatif, NULL);
    whatif_keep(whatif, &entry, 1);
    if (whatif->sets.count == 0 && whatif->assumption_count == 0) {
        whatif->measured_run = whatif->id;
        memcpy(whatif->measured, whatif->recorded, sizeof whatif->measured);
    }
    return TROUPE_OK;
}

static enum troupe_error answer(struct whatif *whatif, struct buffer *out, struct fault *fault) {
    enum troupe_error error = predict_and_keep(whatif, fault);
    if (error == TROUPE_OK && whatif->values->verify)
        error = whatif_verify(whatif, fault);
    if (error != TROUPE_OK || !whatif->values->json)
        return error == TROUPE_OK ? whatif_write_text(whatif, out) : error;
    struct json json;
    json_init(&json, out);
    whatif_write_json(whatif, &json);
    buffer_text(out, "\n");
    return TROUPE_OK;
}

/* The best lever becomes the question, behind what was changed before. */
static enum troupe_error pull(struct whatif *whatif, const struct lever *lever, struct fault *fault) {
    struct session *session = whatif->session;
    struct pipeline *pipeline = NULL;
    size_t count = whatif->sets.count;
    const char **texts = ARENA_ARRAY(&session->arena, const char *, count + LEVER_SETS_MAX);
    if (texts == NULL)
        return fault_set(fault, TROUPE_NOMEM, whatif->id, "out of memory");
    enum troupe_error error =
        lever_pipeline(session->env, session->account, whatif->pipeline, lever, &pipeline, fault);
    if (error != TROUPE_OK)
        return error;
    for (size_t i = 0; i < count; i++)
        texts[i] = whatif->sets.texts[i];
    for (unsigned i = 0; i < lever->set_count; i++)
        texts[count++] = lever->sets[i];
    whatif->sets = (struct option_list){texts, count};
    pipeline_free(whatif->pipeline);
    whatif->pipeline = pipeline;
    change_list_make(whatif->record->pipeline, pipeline, &whatif->changes);
    return TROUPE_OK;
}

static enum troupe_error answer_rank(struct whatif *whatif, struct buffer *out, struct fault *fault) {
    struct ranking *ranking = NULL;
    struct json json;
    enum troupe_error error = whatif_rank(whatif, &ranking, fault);
    if (error != TROUPE_OK)
        return error;
    const struct lever *best = whatif->values->verify ? whatif_best_lever(ranking) : NULL;
    if (whatif->values->json) {
        json_init(&json, out);
        json_object_begin(&json);
        whatif_rank_json(whatif, ranking, &json);
    } else {
        error = whatif_rank_text(whatif, ranking, out);
    }
    if (error == TROUPE_OK && best != NULL)
        error = pull(whatif, best, fault);
    if (error == TROUPE_OK && best != NULL)
        error = predict_and_keep(whatif, fault);
    if (error == TROUPE_OK && best != NULL)
        error = whatif_verify(whatif, fault);
    if (error == TROUPE_OK && whatif->values->json) {
        json_key(&json, "verified");
        if (best != NULL)
            whatif_write_json(whatif, &json);
        else
            json_null(&json);
        json_object_end(&json);
        buffer_text(out, "\n");
    } else if (error == TROUPE_OK && best != NULL) {
        buffer_text(out, "\n");
        error = whatif_write_text(whatif, out);
    } else if (error == TROUPE_OK && whatif->values->verify) {
        buffer_text(out, "verify     no lever that can be pulled gains anything: nothing was run\n");
    }
    ranking_free(ranking, whatif->session->account);
    return error;
}

static enum troupe_error check_values(const struct whatif_values *values, bool run_given,
                                      struct fault *fault) {
    bool asks = values->sets.count > 0 || values->assumes.count > 0 || values->rank || values->verify;
    if (values->score && (asks || run_given))
        return fault_set(fault, TROUPE_USAGE, "--score", "looks back at all predictions and asks for none");
    if (values->verify && values->assumes.count > 0)
        return fault_set(fault, TROUPE_USAGE, "--verify",
                         "what is only assumed cannot be run: leave --assume out, or --verify");
    if (values->rank && values->replications != 0)
        return fault_set(fault, TROUPE_USAGE, "--replications",
                         "--rank shares out a fixed effort: leave one of them out");
    return TROUPE_OK;
}

static enum troupe_error answer_scenario(struct session *session, const struct whatif_values *values,
                                         const char *path, struct fault *fault) {
    struct scenario_call call = {path,          values->runs,           &values->scenario,
                                 &values->sets, (uint64_t)values->seed, (unsigned)values->replications,
                                 values->json};
    const char *option = values->assumes.count > 0 ? "--assume"
                         : values->rank            ? "--rank"
                         : values->verify          ? "--verify"
                                                   : NULL;
    return option != NULL
               ? fault_set(fault, TROUPE_USAGE, option,
                           "is for a run; a scenario says all in its file: --set, --each, --check, "
                           "--real")
               : whatif_scenario(session, &call, fault);
}

static enum troupe_error answer_run(struct whatif *whatif, const char *id, struct buffer *out,
                                    struct fault *fault) {
    const struct whatif_values *values = whatif->values;
    whatif->sets = values->sets;
    enum troupe_error error = whatif_without_scenario(&values->scenario, fault);
    if (error == TROUPE_OK)
        error = run_listing_choose(whatif->session, values->runs, id, &whatif->id, fault);
    if (error == TROUPE_OK)
        error = load(whatif, fault);
    if (error == TROUPE_OK)
        error = values->rank ? answer_rank(whatif, out, fault) : answer(whatif, out, fault);
    whatif_free(whatif);
    return error;
}

enum troupe_error command_whatif(struct session *session, int argc, const char *const *argv,
                                 struct fault *fault) {
    struct whatif_values values = {.runs = "runs", .seed = 1};
    struct option_words words = {.argc = argc, .argv = argv};
    struct whatif whatif = {.session = session, .values = &values};
    struct buffer text;
    enum troupe_error error = option_table_parse(&options, &session->arena, &words, &values, NULL, fault);
    if (error == TROUPE_OK)
        error = check_values(&values, words.count > 0, fault);
    if (error != TROUPE_OK)
        return error;
    if (whatif_is_scenario(session, words.words[0]))
        return answer_scenario(session, &values, words.words[0], fault);
    buffer_init(&text, session->account, 0);
    error = values.score ? whatif_score(session, &values, &text, fault)
                         : answer_run(&whatif, words.words[0], &text, fault);
    if (error == TROUPE_OK && buffer_ok(&text) != TROUPE_OK)
        error = fault_set(fault, TROUPE_NOMEM, "whatif", "out of memory writing the answer");
    if (error == TROUPE_OK)
        error = session_print(&text, fault);
    buffer_free(&text);
    return error;
}
