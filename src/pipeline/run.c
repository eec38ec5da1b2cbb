/* run: one run from set-up to its answer.
 *
 * Order of life: directory and store (lock) -> study (and its history on resume) -> runtime -> registry ->
 *                engine -> coordinator -> agents -> runtime_run (this thread is worker 0) -> best/ ->
 *                everything freed in reverse order. What was set up is freed from any point of failure by
 *                the one end below.
 * Threads: the calling thread, besides the runtime's.
 * Memory:  struct run, from the caller's account. */
#include "pipeline/run_internal.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static enum troupe_error make_id(struct run *run, struct fault *fault) {
    if (run->options.run_id != NULL) {
        if (strlen(run->options.run_id) >= sizeof run->id || strchr(run->options.run_id, '/') != NULL ||
            run->options.run_id[0] == '\0' || run->options.run_id[0] == '.')
            return fault_set(fault, TROUPE_USAGE, "--run-id",
                             "'%.80s' is no name for a run: expected 1 to 127 characters without '/', not "
                             "starting with '.'",
                             run->options.run_id);
        snprintf(run->id, sizeof run->id, "%s", run->options.run_id);
        return TROUPE_OK;
    }
    /* name-DAYS.SECONDS in a form that sorts by time, and four random digits against a tie */
    int64_t seconds = env_utc(run->env) / 1000000000;
    snprintf(run->id, sizeof run->id, "%.60s-%llx-%04x", run->pipeline->name, (unsigned long long)seconds,
             (unsigned)(env_random(run->env) & 0xffff));
    for (char *c = run->id; *c != '\0'; c++)
        if (*c == '/' || *c == ' ')
            *c = '-';
    return TROUPE_OK;
}

static enum troupe_error make_directories(struct run *run, struct fault *fault) {
    const char *runs = run->options.runs_directory != NULL ? run->options.runs_directory : "runs";
    char relative[1000];
    snprintf(relative, sizeof relative, "%s/%s", runs, run->id);
    if (strlen(runs) + strlen(run->id) + 2 > 900)
        return fault_set(fault, TROUPE_LIMIT, runs, "the path of the run is longer than 900 bytes");
    enum troupe_error error = env_absolute(run->env, relative, run->directory, sizeof run->directory);
    if (error != TROUPE_OK)
        return fault_set(fault, error, relative, "cannot make this path absolute");
    snprintf(run->artifacts, sizeof run->artifacts, "%s/artifacts", run->directory);
    snprintf(run->work, sizeof run->work, "%s/work", run->directory);
    if (run->options.resume) {
        struct env_info info = {0};
        IGNORE(env_info(run->env, run->directory, &info), "an unreadable one is reported as absent");
        if (!info.exists)
            return fault_set(fault, TROUPE_NOT_FOUND, run->directory, "there is no run '%s' to resume",
                             run->id);
    }
    if (run->options.disk_model != NULL)
        return TROUPE_OK;
    error = env_make_directories(run->env, run->directory, fault);
    return error == TROUPE_OK ? env_make_directories(run->env, run->artifacts, fault) : error;
}

static enum troupe_error open_store(struct run *run, struct fault *fault) {
    struct store_options options = {.create = !run->options.resume,
                                    .memory = run->options.no_store,
                                    .group_rows = run->options.store_group_rows};
    struct env_info info = {0};
    char path[1200];
    if (run->options.disk_model != NULL) {
        CHECK(env_is_sim(run->env));
        options.discard = true;
        options.commit_ns = run->options.disk_model->commit_ns;
    }
    snprintf(path, sizeof path, "%s/store.db", run->directory);
    if (!run->options.resume && env_info(run->env, path, &info) == TROUPE_OK && info.exists) {
        struct document *document = NULL;
        int64_t created;
        enum troupe_error found =
            run_read_definition(run->env, run->account, run->directory, &document, &created, fault);
        document_free(document);
        if (found == TROUPE_OK)
            return fault_set(
                fault, TROUPE_EXISTS, run->directory,
                "the run '%s' exists already: go on with --resume %s, or choose another --run-id", run->id,
                run->id);
        if (found != TROUPE_NOT_FOUND) /* what was cut short before its first commit is no run */
            return found;
    }
    enum troupe_error error =
        store_open(run->env, run->account, run->directory, &options, &run->store, fault);
    return error == TROUPE_OK ? store_start(run->store, run->runtime, fault) : error;
}

static void read_budget(struct run *run) {
    run->trial_limit = run->pipeline->trials != 0 ? run->pipeline->trials : UINT_MAX;
    if (run->fixed != NULL)
        run->trial_limit = 1;
    for (unsigned k = run->pipeline->stage_count; k-- > 0;) {
        unsigned i = run->pipeline->order[k];
        if (run->pipeline->stages[i].in_trial)
            run->trial_mask |= 1u << i;
        if (i == run->pipeline->test_stage || (run->test_mask & (1u << i)))
            run->test_mask |= 1u << i | run->pipeline->stages[i].needs;
    }
}

static enum troupe_error start_parts(struct run *run, struct fault *fault) {
    struct runtime_options options = {.workers = run->options.workers,
                                      .mailbox_len_max = run->options.mailbox_len_max};
    if (run->options.record) {
        options.workers = 1; /* one order of all turns */
        run->options.registry_seed = env_random(run->env) | 1;
    }
    if (options.workers == 0)
        options.workers = env_is_sim(run->env) ? env_sim_workers(run->env) : env_cores(run->env);
    run->workers = options.workers;
    enum troupe_error error = run_trace_open(run, options.workers, fault);
    options.tracer = run->trace.tracer;
    options.record = run->options.turns.write != NULL ? run->options.turns : run_turns_sink(run);
    options.guide = run->options.guide;
    if (error == TROUPE_OK)
        error = runtime_create(run->env, run->account, &options, &run->runtime, fault);
    if (error == TROUPE_OK)
        error = open_store(run, fault);
    if (error == TROUPE_OK)
        error = run_turns_open(run, fault); /* the run is ours now */
    if (error == TROUPE_OK && run->options.disk_model == NULL)
        error = run_work_clear(run, fault);
    if (error == TROUPE_OK && run->options.resume)
        error = run_resume(run, fault);
    if (error == TROUPE_OK)
        error = registry_create(run->runtime, run->account,
                                &(struct registry_options){.seed = run->options.registry_seed},
                                &run->registry, fault);
    if (error == TROUPE_OK)
        error = run_spawn_engine(run, fault);
    if (error != TROUPE_OK)
        return error;
    task_message_destructors();
    struct coordinator_options coordinator = {.capabilities = &run->pipeline->capabilities,
                                              .resource_names = &run->pipeline->resource_names,
                                              .resources = run->pipeline->resources_free,
                                              .listener = run->self,
                                              .queue_len_max = run->options.task_queue_len_max,
                                              .explain =
                                                  run->options.disk_model == NULL && !run->options.no_store,
                                              .statistics = &run->coordinator_statistics};
    error =
        coordinator_start(run->runtime, run->registry, run->account, &coordinator, &run->coordinator, fault);
    return error == TROUPE_OK ? run_agents_start(run, fault) : error;
}

static void on_signal(void *context, enum env_signal signal) {
    struct run *run = context;
    if (signal != ENV_SIGNAL_STOP)
        return;
    /* Twice, or with the summary on its way already: at once; what is committed stays, children are killed. */
    if (run->stop_signals++ > 0 || run->finishing) {
        if (!run->summary_written)
            run->state = RUN_STOPPED;
        runtime_stop(run->runtime);
        return;
    }
    struct message *message = message_new(run->runtime, MESSAGE_RUN_STOP, 0);
    if (message != NULL)
        IGNORE(actor_send(run->runtime, NULL, run->self, &message), "an engine that is gone has stopped");
    message_free(&message);
}

static enum troupe_error send_start(struct run *run, struct fault *fault) {
    struct message *message = message_new(run->runtime, MESSAGE_RUN_START, 0);
    enum troupe_error error =
        message == NULL ? TROUPE_NOMEM : actor_send(run->runtime, NULL, run->self, &message);
    message_free(&message);
    return error == TROUPE_OK ? error : fault_set(fault, error, run->id, "the run could not be started");
}

static void free_parts(struct run *run) {
    runtime_free(run->runtime); /* its actors may use the registry to their end */
    registry_free(run->registry);
    run_trace_close(run);
    run_turns_close(run);
    run_agents_free(run);
    store_close(run->store);
    study_free(run->study);
    for (unsigned i = 0; i < PIPELINE_STAGES_MAX; i++)
        stage_result_drop(run->best_results[i]);
    for (unsigned i = 0; i < ARRAY_COUNT(run->trials); i++)
        if (run->trials[i] != NULL)
            trial_free(run, run->trials[i]);
    reuse_free(&run->reuse);
    artifact_waiting_free(&run->files);
    artifact_files_free(&run->files);
    size_t at = 0, length;
    const char *key;
    void *value;
    while (run->clocks != NULL && map_next(run->clocks, &at, &key, &length, &value))
        memory_free(run->account, value);
    map_free(run->clocks);
    map_free(run->attempts);
    memory_free(run->account, run->records);
    memory_free(run->account, run->fixed_own);
}

static enum troupe_error prepare(struct run *run, struct fault *fault) {
    enum troupe_error error = make_id(run, fault);
    if (error == TROUPE_OK)
        error = make_directories(run, fault);
    if (error == TROUPE_OK)
        error = study_create(run->pipeline->space, &run->pipeline->study, &run->study, fault);
    if (error == TROUPE_OK &&
        (reuse_init(&run->reuse, run->account) != TROUPE_OK ||
         artifact_files_init(&run->files, run->account,
                             run->options.artifacts_bytes_max != 0 ? run->options.artifacts_bytes_max
                                                                   : 4ull << 30) != TROUPE_OK ||
         map_create(run->account, &run->attempts) != TROUPE_OK ||
         map_create(run->account, &run->clocks) != TROUPE_OK))
        error = fault_set(fault, TROUPE_NOMEM, run->id, "out of memory starting the run");
    if (error == TROUPE_OK && run->options.resume)
        error = run_definition_fixed(run, fault);
    if (error == TROUPE_OK)
        error = run_agents_create(run, fault);
    if (error == TROUPE_OK) {
        run_agents_count(run, 0);
        read_budget(run);
    }
    return error;
}

enum troupe_error run_execute(struct env *env, struct account *account, struct pipeline *pipeline,
                              const struct run_options *options, struct run_outcome *ret_outcome,
                              struct fault *fault) {
    struct run *run = memory_alloc(account, sizeof *run);
    struct fault own = {0};
    if (run == NULL)
        return fault_set(fault, TROUPE_NOMEM, pipeline->name, "out of memory starting the run");
    run->env = env;
    run->account = account;
    run->pipeline = pipeline;
    run->options = *options;
    run->fault = fault != NULL ? fault : &own;
    run->fixed = options->configuration;
    buffer_init(&run->response, account, 16 << 20);
    enum troupe_error error = prepare(run, run->fault);
    if (error == TROUPE_OK)
        error = start_parts(run, run->fault);
    if (error == TROUPE_OK)
        error = env_signals(env, on_signal, run);
    if (error == TROUPE_OK)
        error = send_start(run, run->fault);
    if (error == TROUPE_OK) {
        error = runtime_run(run->runtime);
        if (error != TROUPE_OK)
            fault_set(run->fault, error, run->id, "the run ended early: %s", error_text(error));
        else
            error = run->error;
    }
    IGNORE(env_signals(env, NULL, NULL), "the process ends soon");
    if (run->summary_written && run->has_best && error == TROUPE_OK)
        error = best_write(run, run->fault);
    if (run->store != NULL && options->disk_model == NULL) /* otherwise it is another process's, or nowhere */
        IGNORE(env_remove_tree(env, options->no_store ? run->directory : run->work),
               "leftovers are cleared by the next start");
    ret_outcome->state = run->state == RUN_RUNNING ? RUN_STOPPED : run->state;
    snprintf(ret_outcome->run_id, sizeof ret_outcome->run_id, "%s", run->started ? run->id : "");
    snprintf(ret_outcome->directory, sizeof ret_outcome->directory, "%s", run->directory);
    ret_outcome->response = run->response;
    free_parts(run);
    memory_free(account, run);
    return error;
}

void run_outcome_free(struct run_outcome *outcome) {
    buffer_free(&outcome->response);
}
