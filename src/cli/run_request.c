/* The options of `troupe run`, checked against each other, and the pipeline they name, loaded and resolved.
 * Threads: the main thread. Memory: see the header. */
#include "cli/run_request.h"
#include "cli/run_listing.h"

#include <stdio.h>
#include <string.h>

#define CONFIGURATION_BYTES_MAX (1 << 20)

static const struct option_row rows[] = {
    {OPTION_LIST(struct run_values, vars, "var", 0, "NAME=KIND",
                 "a variable, repeatable: 'lr=log(1e-4,1e-1)', float(a,b), int(a,b), choice(a,b,c)"),
     .heading = "what a command after -- is tuned by"},
    {OPTION_LIST(struct run_values, constraints, "constraint", 0, "EXPR",
                 "what must hold, repeatable: 'depth * width <= 64'")},
    {OPTION_TEXT(struct run_values, metric, "metric", 'm', "NAME",
                 "the number the command prints: a line NAME=0.93, or JSON")},
    {OPTION_FLAG(struct run_values, minimise, "minimise", 0, "less is better (default: more)")},
    {OPTION_TEXT(struct run_values, timeout, "timeout", 0, "DURATION",
                 "end the command of a trial that takes longer")},
    {OPTION_NUMBER(1, PIPELINE_TRIALS_MAX, struct run_values, trials, "trials", 'n', "N",
                   "stop after N trials"),
     .heading = "how much"},
    {OPTION_TEXT(struct run_values, deadline, "deadline", 'd', "DURATION",
                 "stop after this much running time: 90s, 10m, 1h30m")},
    {OPTION_NUMBER(1, PIPELINE_PARALLEL_MAX, struct run_values, jobs, "jobs", 'j', "N",
                   "trials at a time (default: one for each core, or as many as the agents take)")},
    {OPTION_TEXT(struct run_values, seed, "seed", 0, "N", "of the search (default: the file's, or 1)")},
    {OPTION_LIST(struct run_values, sets, "set", 0, "PATH=VALUE",
                 "override one value of the file, repeatable: budget.trials=20"),
     .heading = "which run"},
    {OPTION_TEXT(struct run_values, name, "name", 0, "NAME", "of the pipeline; ids of runs begin with it")},
    {OPTION_TEXT(struct run_values, run_id, "run-id", 0, "ID",
                 "of the run (default: its name and the time)")},
    {OPTION_TEXT(struct run_values, runs, "runs", 0, "DIR", "where runs are kept (default: runs)")},
    {OPTION_OPTIONAL(
        struct run_values, resume, "resume", 'r', "[ID]",
        "go on with a run (default: the newest that was interrupted or, with a later --deadline, "
        "that its deadline ended); it may be given other --trials")},
    {OPTION_TEXT(struct run_values, again, "again", 0, "ID", "a new run of the definition that run ID had")},
    {OPTION_TEXT(struct run_values, configuration, "configuration", 'c', "FILE",
                 "evaluate this one configuration (JSON) and search nothing")},
    {OPTION_FLAG(struct run_values, no_store, "no-store", 0, "keep nothing: no resume, no report")},
    {OPTION_FLAG(struct run_values, trace, "trace", 0, "also write trace.bin, for `troupe analyze`")},
    {OPTION_FLAG(struct run_values, record, "record", 0,
                 "also write turns.bin, for `troupe show --replay`; the run has one worker thread then")},
    {OPTION_FLAG(struct run_values, json, "json", 0,
                 "one JSON object on standard output, all else on standard error"),
     .heading = "what is printed"},
    {OPTION_FLAG(struct run_values, quiet, "quiet", 'q', "the summary only")},
};
const struct option_table run_options_table = {.rows = rows,
                                               .count = ARRAY_COUNT(rows),
                                               .words_max = 1,
                                               .words_name = "one pipeline FILE",
                                               .command_after = true,
                                               .process_options = true};

/* ---- which of the three ways ---- */

static enum troupe_error refuse(struct fault *fault, const char *option, const char *why) {
    return fault_set(fault, TROUPE_USAGE, option, "%s", why);
}

static enum troupe_error check_command_form(const struct run_values *values, struct fault *fault) {
    static const char why[] = "describes a command: give the command after `--`, or write it in the FILE";
    if (values->command != NULL)
        return TROUPE_OK;
    if (values->vars.count > 0)
        return refuse(fault, "--var", why);
    if (values->constraints.count > 0)
        return refuse(fault, "--constraint", why);
    if (values->metric != NULL)
        return refuse(fault, "--metric", why);
    if (values->minimise)
        return refuse(fault, "--minimise", why);
    if (values->timeout != NULL)
        return refuse(fault, "--timeout",
                      "belongs to a command after `--`; for a pipeline file: --set "
                      "stages.NAME.timeout=30s");
    return TROUPE_OK;
}

static enum troupe_error check_resume(const struct run_values *values, struct fault *fault) {
    if (values->resume == NULL)
        return TROUPE_OK;
    if (values->run_id != NULL && values->resume[0] != '\0')
        return refuse(fault, "--run-id", "a resumed run keeps its name");
    if (values->no_store)
        return refuse(fault, "--no-store", "a run without a store cannot be resumed");
    if (values->record)
        return refuse(fault, "--record", "is of a run from its start: a resumed one cannot begin it");
    if (values->configuration != NULL)
        return refuse(fault, "--configuration",
                      "evaluates in a run of its own: use --again instead of --resume");
    if (values->seed != NULL || values->name != NULL || values->jobs != 0)
        return refuse(fault, "--resume", "keeps the seed, the name and the agents; only the budget may grow");
    for (size_t i = 0; i < values->sets.count; i++)
        if (strncmp(values->sets.texts[i], "budget.", 7) != 0)
            return fault_set(
                fault, TROUPE_USAGE, "--set",
                "a resumed run can only be given another budget (budget.trials=...), found '%.80s'",
                values->sets.texts[i]);
    return TROUPE_OK;
}

static enum troupe_error check_values(const struct run_values *values, struct fault *fault) {
    unsigned ways = (values->file != NULL) + (values->command != NULL) + (values->resume != NULL) +
                    (values->again != NULL);
    if (ways == 0)
        return fault_set(
            fault, TROUPE_USAGE, "run",
            "expected a pipeline FILE, or --var, --metric and a command after `--`, or --resume");
    if (ways > 1)
        return fault_set(
            fault, TROUPE_USAGE, "run",
            "expected one of a pipeline FILE, a command after `--`, --resume and --again, found %u", ways);
    if (values->command != NULL && values->command[0] == NULL)
        return fault_set(fault, TROUPE_USAGE, "--", "expected a command after it");
    if (values->record && values->no_store)
        return refuse(fault, "--record", "has no place in a run that keeps nothing: leave out --no-store");
    enum troupe_error error = check_command_form(values, fault);
    return error == TROUPE_OK ? check_resume(values, fault) : error;
}

/* ---- the pipeline ---- */

/* --trials, --deadline and the like on a file are the same as --set of the place where it says so. */
static enum troupe_error add_sets(struct session *session, struct run_values *values, struct fault *fault) {
    const struct {
        const char *path, *text;
    } parts[] = {
        {"budget.deadline", values->deadline}, {"optimizer.seed", values->seed}, {"name", values->name}};
    const char **texts =
        ARENA_ARRAY(&session->arena, const char *, values->sets.count + ARRAY_COUNT(parts) + 2);
    size_t count = 0;
    if (texts == NULL)
        return fault_set(fault, TROUPE_NOMEM, "run", "out of memory reading the options");
    for (size_t i = 0; i < values->sets.count; i++)
        texts[count++] = values->sets.texts[i];
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        if (parts[i].text != NULL)
            texts[count++] = arena_format(&session->arena, "%s=%s", parts[i].path, parts[i].text);
    if (values->trials != 0)
        texts[count++] = arena_format(&session->arena, "budget.trials=%lld", (long long)values->trials);
    if (values->jobs != 0)
        texts[count++] = arena_format(&session->arena, "budget.parallel=%lld", (long long)values->jobs);
    for (size_t i = 0; i < count; i++)
        if (texts[i] == NULL)
            return fault_set(fault, TROUPE_NOMEM, "run", "out of memory reading the options");
    values->sets = (struct option_list){texts, count};
    return TROUPE_OK;
}

static bool gives_deadline(const struct run_values *values) {
    for (size_t i = 0; i < values->sets.count; i++)
        if (strncmp(values->sets.texts[i], "budget.deadline=", 16) == 0)
            return true;
    return false;
}

static enum troupe_error load_command(struct session *session, struct run_request *request,
                                      struct fault *fault) {
    const struct run_values *values = &request->values;
    int64_t seed = 1;
    if (values->seed != NULL && (text_int(values->seed, &seed) != TROUPE_OK || seed < 0))
        return fault_set(fault, TROUPE_USAGE, "--seed", "expected a whole number from 0, found '%.80s'",
                         values->seed);
    /* --configuration evaluates once: then nothing needs to be said about a budget. */
    unsigned trials = values->trials == 0 && values->configuration != NULL ? 1 : (unsigned)values->trials;
    struct pipeline_command command = {.vars = values->vars.texts,
                                       .var_count = values->vars.count,
                                       .constraints = values->constraints.texts,
                                       .constraint_count = values->constraints.count,
                                       .metric = values->metric,
                                       .minimise = values->minimise,
                                       .trials = trials,
                                       .jobs = (unsigned)values->jobs,
                                       .deadline = values->deadline,
                                       .timeout = values->timeout,
                                       .name = values->name,
                                       .seed = (uint64_t)seed,
                                       .argv = values->command};
    return pipeline_from_command(session->env, session->account, &command, values->sets.texts,
                                 values->sets.count, &request->pipeline, fault);
}

static enum troupe_error load(struct session *session, struct run_request *request, struct fault *fault) {
    struct run_values *values = &request->values;
    if (values->command != NULL)
        return load_command(session, request, fault);
    enum troupe_error error = add_sets(session, values, fault);
    if (error != TROUPE_OK)
        return error;
    if (values->file != NULL)
        return pipeline_load(session->env, session->account, values->file, values->sets.texts,
                             values->sets.count, &request->pipeline, fault);
    const char *id = values->again;
    if (values->resume != NULL)
        id = values->resume[0] != '\0' ? values->resume : values->run_id;
    if (values->resume != NULL && id == NULL)
        error =
            run_listing_newest(session, request->runs_directory,
                               gives_deadline(values) ? RUN_WANTED_CUT : RUN_WANTED_INTERRUPTED, &id, fault);
    else
        error = run_listing_choose(session, request->runs_directory, id, &id, fault);
    if (error != TROUPE_OK)
        return error;
    if (values->resume != NULL)
        request->run_id = id;
    return run_load_pipeline(session->env, session->account, request->runs_directory, id, values->sets.texts,
                             values->sets.count, &request->pipeline, fault);
}

enum troupe_error pipeline_options(struct session *session, const struct pipeline *pipeline,
                                   struct fault *fault) {
    const struct node *options = node_get(document_root(pipeline->document), "options");
    return options == NULL ? TROUPE_OK
                           : node_read_config(options, CONFIG_PIPELINE_FILE, &session->config, fault);
}

static enum troupe_error read_configuration(struct session *session, struct run_request *request,
                                            struct fault *fault) {
    struct buffer text;
    struct document *document = NULL;
    const char *path = request->values.configuration;
    if (path == NULL)
        return TROUPE_OK;
    buffer_init(&text, session->account, CONFIGURATION_BYTES_MAX);
    enum troupe_error error = env_read_file(session->env, path, &text, fault);
    if (error == TROUPE_OK)
        error = document_parse_json(buffer_string(&text), text.length, path, NULL, &document, fault);
    if (error == TROUPE_OK)
        error = space_read_json(request->pipeline->space, document_root(document), &request->configuration,
                                fault);
    if (error == TROUPE_OK)
        request->pipeline->trials = 1; /* what is shown and waited for, whatever the definition says */
    document_free(document);
    buffer_free(&text);
    return error;
}

/* Options that would only repeat what belongs to one run, or to how it is shown, are left out. */
static bool is_of_one_run(const struct option_row *row) {
    static const char *const names[] = {"run-id", "json", "quiet", "configuration"};
    for (size_t i = 0; row != NULL && i < ARRAY_COUNT(names); i++)
        if (strcmp(row->name, names[i]) == 0)
            return true;
    return false;
}

static enum troupe_error make_rerun(struct session *session, int argc, const char *const *argv,
                                    struct run_request *request, struct fault *fault) {
    const char **words = ARENA_ARRAY(&session->arena, const char *, (size_t)argc + 4);
    size_t count = 0;
    if (words == NULL)
        return fault_set(fault, TROUPE_NOMEM, "run", "out of memory reading the options");
    if (request->values.resume != NULL) {
        words[count++] = "--again";
        words[count++] = request->run_id;
        if (request->values.runs != NULL) {
            words[count++] = "--runs";
            words[count++] = request->values.runs;
        }
        argc = 0;
    }
    bool command = false;
    for (int i = 1; i < argc; i++) {
        bool next = false;
        command = command || strcmp(argv[i], "--") == 0;
        const struct option_row *row = command ? NULL : option_table_row(&run_options_table, argv[i], &next);
        bool kept = !is_of_one_run(row);
        for (int last = i + next; i <= last && i < argc; i++)
            if (kept)
                words[count++] = argv[i];
        i--;
    }
    request->rerun = words;
    return TROUPE_OK;
}

enum troupe_error run_request_read(struct session *session, int argc, const char *const *argv,
                                   struct run_request *ret_request, struct fault *fault) {
    struct run_request request = {0};
    struct option_words words = {.argc = argc, .argv = argv};
    enum troupe_error error = option_table_parse(&run_options_table, &session->arena, &words, &request.values,
                                                 &session->config, fault);
    if (error != TROUPE_OK)
        return error;
    request.values.file = words.words[0];
    request.values.command = words.after;
    request.runs_directory = request.values.runs != NULL ? request.values.runs : "runs";
    request.run_id = request.values.run_id;
    error = check_values(&request.values, fault);
    if (error == TROUPE_OK)
        error = load(session, &request, fault);
    if (error != TROUPE_OK)
        return error;
    const char *const *directories = plugin_directories(session);
    error = directories == NULL ? fault_set(fault, TROUPE_NOMEM, "run", "out of memory")
                                : pipeline_resolve(session->env, request.pipeline, directories, fault);
    if (error == TROUPE_OK)
        error = pipeline_options(session, request.pipeline, fault);
    if (error == TROUPE_OK)
        error = read_configuration(session, &request, fault);
    if (error == TROUPE_OK)
        error = make_rerun(session, argc, argv, &request, fault);
    if (error != TROUPE_OK) {
        run_request_free(&request);
        return error;
    }
    *ret_request = request;
    return TROUPE_OK;
}

void run_request_free(struct run_request *request) {
    pipeline_free(request->pipeline);
    request->pipeline = NULL;
}
