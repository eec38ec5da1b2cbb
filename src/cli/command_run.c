/* `troupe run`: the main job. Reads the request, carries it out, shows it, sums it up.
 *
 * On a terminal a live display, otherwise plain lines; `--json`: one object on stdout whatever happens, all
 * else on stderr. Threads: the main thread becomes worker 0; observer calls come one at a time. Memory: the
 * outcome is freed here. Failure: a run that was stopped ends with CANCELLED, told by its summary. */
#include <stdio.h>
#include <string.h>

#include "cli/run_request.h"
#include "cli/run_summary.h"
#include "cli/run_view.h"

const struct command_page page_run = {
    &run_options_table,
    "Searches the variables of a pipeline for the configuration with the best objective. The pipeline is a "
    "YAML\n"
    "FILE; or, without one, any command that prints a number, with its {placeholders} filled in for each "
    "trial.\n"
    "Stops when the trials are done or the deadline has come. Ctrl-C once: no new trials, what is done is "
    "kept, and\n"
    "--resume goes on; twice: stops at once. All of a run is kept in runs/ID: the best configuration and "
    "model in\n"
    "runs/ID/best.\n",
    "  troupe run examples/digits/pipeline.yaml\n"
    "  troupe run examples/digits/pipeline.yaml --trials 20 --set optimizer.sampler=random\n"
    "  troupe run --var 'lr=log(1e-4,1e-1)' --var 'depth=int(2,8)' --metric val_acc --trials 40 -- \\\n"
    "      python3 train.py --lr {lr} --depth {depth}\n"
    "  troupe run --resume\n"};

static uint64_t option_ns(const struct session *session, enum config_option option) {
    return (uint64_t)config_value(&session->config, option);
}

static void print_end(struct session *session, const struct run_request *request,
                      const struct run_outcome *outcome, FILE *out) {
    struct document *document = NULL;
    struct buffer text;
    buffer_init(&text, session->account, 1 << 20);
    if (outcome->response.length > 0 &&
        document_parse_json(buffer_string(&outcome->response), outcome->response.length, "response", NULL,
                            &document, NULL) == TROUPE_OK)
        run_summary_write(document_root(document), &text);
    document_free(document);
    if (!request->values.no_store) {
        buffer_format(&text, "files      %s\n", outcome->directory);
        if (outcome->state == RUN_STOPPED)
            buffer_format(&text, "resume     troupe run --resume %s%s%s\n", outcome->run_id,
                          request->values.runs != NULL ? " --runs " : "",
                          request->values.runs != NULL ? request->values.runs : "");
    }
    fputs(buffer_string(&text), out);
    buffer_free(&text);
}

static enum troupe_error execute(struct session *session, const struct run_request *request,
                                 struct fault *fault) {
    const struct run_values *values = &request->values;
    FILE *file = values->json ? stderr : stdout;
    struct run_view view;
    if (run_view_open(&view, session->env, session->account, file, values->json ? 2 : 1, values->quiet) !=
        TROUPE_OK)
        return fault_set(fault, TROUPE_NOMEM, "run", "out of memory");
    struct run_options options = {
        .runs_directory = request->runs_directory,
        .run_id = request->run_id,
        .resume = values->resume != NULL,
        .no_store = values->no_store,
        .observer = run_view_observer(&view),
        .workers = (unsigned)config_value(&session->config, OPTION_workers),
        .stop_grace_ns = option_ns(session, OPTION_stop_grace),
        .artifacts_bytes_max = option_ns(session, OPTION_artifacts_bytes_max),
        .worker_line_max = (size_t)config_value(&session->config, OPTION_worker_line_max),
        .configuration = values->configuration != NULL ? &request->configuration : NULL,
        .rerun = request->rerun,
    };
    struct run_outcome outcome = {0};
    enum troupe_error error =
        run_execute(session->env, session->account, request->pipeline, &options, &outcome, fault);
    run_view_close(&view);
    if (outcome.run_id[0] != '\0' && outcome.response.length > 0)
        print_end(session, request, &outcome, file);
    if (values->json && outcome.response.length > 0)
        printf("%s\n", buffer_string(&outcome.response));
    if (error == TROUPE_OK && outcome.state == RUN_STOPPED)
        error = TROUPE_CANCELLED;
    run_outcome_free(&outcome);
    return error;
}

enum troupe_error command_run(struct session *session, int argc, const char *const *argv,
                              struct fault *fault) {
    struct run_request request;
    enum troupe_error error = run_request_read(session, argc, argv, &request, fault);
    if (error != TROUPE_OK)
        return error;
    error = execute(session, &request, fault);
    run_request_free(&request);
    return error;
}
