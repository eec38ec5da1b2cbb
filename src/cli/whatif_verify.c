/* whatif_verify: runs the definition that was predicted, as `troupe run --again RUN --set ...` does, and compares. The
 * run is one like any other, named RUN-verify-N; what it shows goes to stderr. */
#include <stdio.h>
#include <string.h>

#include "cli/command_run.h"
#include "cli/whatif.h"
#include "simulate/simulate.h"

#define VERIFIES_MAX 10000

static const char *new_run_id(const struct whatif *whatif, struct fault *fault) {
    struct session *session = whatif->session;
    char path[1200];
    for (unsigned n = 1; n <= VERIFIES_MAX; n++) {
        struct env_info info = {0};
        const char *id = arena_format(&session->arena, "%.100s-verify-%u", whatif->id, n);
        if (id == NULL)
            break;
        snprintf(path, sizeof path, "%.1000s/%s", whatif->values->runs, id);
        if (env_info(session->env, path, &info) == TROUPE_OK && !info.exists)
            return id;
    }
    fault_set(fault, TROUPE_EXISTS, whatif->id, "no name is left for a run that verifies it: remove some");
    return NULL;
}

static enum troupe_error make_request(const struct whatif *whatif, const char *run_id,
                                      struct run_request *ret_request, struct fault *fault) {
    struct session *session = whatif->session;
    const char **words = ARENA_ARRAY(&session->arena, const char *, 2 * whatif->sets.count + 8);
    int count = 0;
    if (words == NULL)
        return fault_set(fault, TROUPE_NOMEM, whatif->id, "out of memory");
    words[count++] = "run";
    words[count++] = "--again";
    words[count++] = whatif->id;
    words[count++] = "--runs";
    words[count++] = whatif->values->runs;
    words[count++] = "--run-id";
    words[count++] = run_id;
    for (size_t i = 0; i < whatif->sets.count; i++) {
        words[count++] = "--set";
        words[count++] = whatif->sets.texts[i];
    }
    enum troupe_error error = run_request_read(session, count, words, ret_request, fault);
    if (error == TROUPE_OK)
        ret_request->values.json = true; /* stdout is the answer's */
    return error;
}

/* That the log could not be written harms nobody here: the figures are told. */
static void score(struct whatif *whatif, const struct run_record *record) {
    struct session *session = whatif->session;
    struct prediction_log *log = NULL;
    struct prediction_entry entry = {.progress = 0};
    struct fault fault = {0};
    unsigned matched;
    struct prediction_request request = whatif_request(whatif);
    prediction_entry_make(&request, &whatif->prediction, whatif->data_hash, &entry);
    prediction_cause(whatif->record, record, &entry, whatif->cause);
    enum troupe_error error =
        prediction_log_read(session->env, session->account, whatif->values->runs, &log, &fault);
    if (error == TROUPE_OK)
        error = prediction_match(session->env, session->account, whatif->values->runs, record->id, log,
                                 &matched, &fault);
    if (error != TROUPE_OK)
        fprintf(stderr, "troupe: %s: the measurement was not kept: %s\n", fault.where, fault.text);
    prediction_log_free(log);
}

enum troupe_error whatif_verify(struct whatif *whatif, struct fault *fault) {
    struct session *session = whatif->session;
    struct run_request request = {0};
    struct run_outcome outcome = {0};
    struct run_record *record = NULL;
    const char *run_id = new_run_id(whatif, fault);
    if (run_id == NULL)
        return fault != NULL ? fault->error : TROUPE_EXISTS;
    enum troupe_error error = make_request(whatif, run_id, &request, fault);
    if (error == TROUPE_OK)
        error = run_carry_out(session, &request, NULL, &outcome, fault);
    if (outcome.run_id[0] != '\0')
        run_carry_report(session, &request, &outcome);
    if (error == TROUPE_OK)
        error = run_record_read(session->env, session->account, whatif->values->runs, run_id, &record, fault);
    if (error == TROUPE_OK) {
        whatif->measured_run = run_id;
        measured_figures(record, whatif->measured);
        score(whatif, record);
    }
    run_record_free(record);
    run_outcome_free(&outcome);
    run_request_free(&request);
    return error;
}
