/* `troupe run`: the main job. Reads the request, carries it out, shows it, sums it up.
 *
 * On a terminal a live display, otherwise plain lines; `--json`: one object on stdout whatever happens, all
 * else on stderr. Threads: the main thread becomes worker 0; observer calls come one at a time. Memory: the
 * outcome is freed here. Failure: a run that was stopped ends with CANCELLED, told by its summary. */
#include <stdio.h>
#include <string.h>

#include "cli/command_run.h"
#include "cli/run_ending.h"
#include "cli/run_report.h"
#include "cli/run_request.h"
#include "cli/run_view.h"

const struct command_page page_run = {
    &run_options_table,
    "Searches the variables of a pipeline for the configuration with the best\n"
    "objective. The pipeline is a YAML FILE; or, without one, any command that\n"
    "prints a number, its {placeholders} filled in for each trial.\n\n"
    "A run ends when its trials are done or its deadline has come. Ctrl-C once: no\n"
    "new trials, what runs is cancelled, what is done is kept, --resume goes on;\n"
    "twice: ends at once.\n"
    "Everything of a run is in runs/ID: best/ holds the best configuration, its\n"
    "model and reproduce.sh; report.html shows trials, slices and time.\n",
    "  troupe run examples/digits/pipeline.yaml\n"
    "  troupe run examples/digits/pipeline.yaml --trials 20 --set optimizer.sampler=random\n"
    "  troupe run --var 'lr=log(1e-4,1e-1)' --var 'depth=int(2,8)' --metric val_acc \\\n"
    "      --trials 40 -- python3 train.py --lr {lr} --depth {depth}\n"
    "  troupe run --resume\n"};

static unsigned option_count(const struct session *session, enum config_option option) {
    return (unsigned)config_value(&session->config, option);
}

static uint64_t option_ns(const struct session *session, enum config_option option) {
    return (uint64_t)config_value(&session->config, option);
}

static struct run_options options_of(const struct session *session, const struct run_request *request) {
    const struct run_values *values = &request->values;
    return (struct run_options){
        .runs_directory = request->runs_directory,
        .run_id = request->run_id,
        .resume = values->resume != NULL,
        .no_store = values->no_store,
        .workers = option_count(session, OPTION_workers),
        .mailbox_len_max = option_count(session, OPTION_mailbox_len_max),
        .store_group_rows = option_count(session, OPTION_store_group_rows),
        .task_queue_len_max = option_count(session, OPTION_task_queue_len_max),
        .agent_queue_len_max = option_count(session, OPTION_agent_queue_len_max),
        .agent_restarts_max = option_count(session, OPTION_agent_restarts_max),
        .agent_restart_window_ns = option_ns(session, OPTION_agent_restart_window),
        .worker_start_timeout_ns = option_ns(session, OPTION_worker_start_timeout),
        .trace = values->trace,
        .record = values->record,
        .trace_ring_records = option_count(session, OPTION_trace_ring_records),
        .stop_grace_ns = option_ns(session, OPTION_stop_grace),
        .cancel_grace_ns = option_ns(session, OPTION_cancel_grace),
        .artifacts_bytes_max = (uint64_t)config_value(&session->config, OPTION_artifacts_bytes_max),
        .worker_line_max = (size_t)config_value(&session->config, OPTION_worker_line_max),
        .configuration = values->configuration != NULL ? &request->configuration : NULL,
        .rerun = request->rerun,
    };
}

enum troupe_error run_carry_out(struct session *session, const struct run_request *request,
                                struct run_quote *quotes, struct run_outcome *outcome, struct fault *fault) {
    const struct run_values *values = &request->values;
    struct run_options options = options_of(session, request);
    struct run_view view;
    bool quoted =
        !values->no_store && values->configuration == NULL; /* a record to read, and trials to come */
    enum troupe_error error = run_view_open(&view, session->env, session->account,
                                            values->json ? stderr : stdout, values->quiet, quotes);
    if (error != TROUPE_OK)
        return fault_set(fault, error, "run", "%s", error_text(error));
    if (quotes != NULL)
        run_quote_open(quotes, session->env, session->account, quoted ? request->runs_directory : NULL);
    options.observer = run_view_observer(&view);
    error = run_execute(session->env, session->account, request->pipeline, &options, outcome, fault);
    run_view_close(&view);
    if (quotes != NULL)
        run_quote_close(quotes);
    return error == TROUPE_OK && outcome->state == RUN_STOPPED ? TROUPE_CANCELLED : error;
}

void run_carry_report(struct session *session, const struct run_request *request,
                      const struct run_outcome *outcome) {
    char path[1200];
    struct buffer again;
    struct fault fault = {0};
    snprintf(path, sizeof path, "%.1100s/report.html", outcome->directory);
    buffer_init(&again, session->account, 1 << 16);
    run_ending_write_again(request, &again);
    if (run_report_write(session, request->runs_directory, outcome->run_id, buffer_string(&again), path,
                         &fault) != TROUPE_OK)
        fprintf(stderr, "troupe: %s: no report: %s\n", fault.where, fault.text);
    buffer_free(&again);
}

/* Also for words that could not be read: a program that asked for JSON gets JSON. */
static bool wants_json(int argc, const char *const *argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

enum troupe_error command_run(struct session *session, int argc, const char *const *argv,
                              struct fault *fault) {
    struct run_request request = {0};
    struct run_outcome outcome = {0};
    struct run_quote quotes = {0};
    bool json = wants_json(argc, argv);
    enum troupe_error error = run_request_read(session, argc, argv, &request, fault);
    if (error == TROUPE_OK)
        error = run_carry_out(session, &request, &quotes, &outcome, fault);
    bool room = error != TROUPE_DISK_FULL && error != TROUPE_IO; /* one message about a full disk is enough */
    if (outcome.run_id[0] != '\0' && !request.values.no_store && room)
        run_carry_report(session, &request, &outcome);
    if (outcome.run_id[0] != '\0')
        run_ending_print(session, &request, &outcome, &quotes, json ? stderr : stdout);
    if (json)
        run_ending_print_json(session, &outcome, &quotes, error, fault);
    run_outcome_free(&outcome);
    run_request_free(&request);
    return error;
}
