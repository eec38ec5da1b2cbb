/* run_request: what `troupe run` was asked for: its options, and the pipeline they name.
 *
 * Three ways to say what to run: a FILE; variables and a command after `--`; an earlier run (--resume goes on
 * with it, --again starts its definition anew). Threads: the main thread. Memory: texts live in argv and the
 * session's arena; the pipeline is the caller's. Failure: USAGE for words that do not go together. */
#ifndef CLI_RUN_REQUEST_H
#define CLI_RUN_REQUEST_H

#include "cli/command.h"
#include "pipeline/pipeline.h"

struct run_values {
    const char *file;
    const char *const *command; /* after `--` */
    struct option_list vars, constraints, sets;
    const char *metric, *deadline, *timeout, *name, *seed, *run_id, *resume, *again, *runs, *configuration;
    int64_t trials, jobs;
    bool minimise, json, quiet, no_store, trace, record;
};

struct run_request {
    struct run_values values;
    const char *runs_directory, *run_id; /* run_id NULL: to be made */
    struct pipeline *pipeline;
    struct configuration configuration; /* valid when values.configuration is set */
    const char *const *rerun; /* the words that start the same run again, after `run`; NULL-terminated */
};

extern const struct option_table run_options_table;
/* On failure nothing is to be freed. */
MUST_CHECK enum troupe_error run_request_read(struct session *session, int argc, const char *const *argv,
                                              struct run_request *ret_request, struct fault *fault);
void run_request_free(struct run_request *request);

/* The `options:` of a pipeline file, below the command line and the environment. */
MUST_CHECK enum troupe_error pipeline_options(struct session *session, const struct pipeline *pipeline,
                                              struct fault *fault);

/* Directories where plugins are looked for, NULL-terminated, in the session's arena; NULL: out of memory. */
const char *const *plugin_directories(struct session *session);

#endif
