/* stage_decision: how a task was given to its agent, as the store keeps it with the attempt's end. A row's member is
 *   "decision":{"kind":"planned","at_us":1,"offers":1,"left_out":0,"candidates":[[agent,verdict,held,start_us,finish_us]]} */
#include "pipeline/run_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void stage_decision_write(const struct run *run, const struct task_decision *decision, struct json *json) {
    if (decision == NULL)
        return;
    json_key(json, "decision");
    json_object_begin(json);
    json_field_string(json, "kind", decision_kind_name(decision->kind));
    json_field_int(json, "at_us", running_us(run, decision->at_ns));
    json_field_int(json, "offers", decision->offers);
    json_field_int(json, "left_out", decision->left_out);
    json_key(json, "candidates");
    json_array_begin(json);
    for (unsigned i = 0; i < decision->count; i++) {
        const struct decision_candidate *candidate = &decision->candidates[i];
        json_array_begin(json);
        json_string(json, candidate->agent);
        json_string(json, candidate_verdict_name(candidate->verdict));
        json_int(json, candidate->held);
        json_int(json, candidate->finish_ns ? running_us(run, candidate->start_ns) : 0);
        json_int(json, candidate->finish_ns ? running_us(run, candidate->finish_ns) : 0);
        json_array_end(json);
    }
    json_array_end(json);
    json_object_end(json);
}

/* ---- reading ---- */

struct looking {
    struct account *account;
    const struct run_record *record;
    const struct record_execution *wanted;
    struct task_decision *decision;
    struct fault *fault;
    enum troupe_error error;
    bool found;
};

static uint64_t us_as_ns(const struct node *node) {
    return node_kind(node) == DOCUMENT_INT && node_int(node) > 0 ? (uint64_t)node_int(node) * 1000 : 0;
}

static unsigned number(const struct node *node) {
    return node_kind(node) == DOCUMENT_INT && node_int(node) > 0 && node_int(node) < UINT32_MAX
               ? (unsigned)node_int(node)
               : 0;
}

/* A name that another version wrote stands for the first. */
static unsigned named(const struct node *node, unsigned count, const char *(*name_of)(unsigned)) {
    const char *text = node_kind(node) == DOCUMENT_STRING ? node_text(node) : "";
    for (unsigned i = 0; i < count; i++)
        if (strcmp(text, name_of(i)) == 0)
            return i;
    return 0;
}

static const char *verdict_at(unsigned at) {
    return candidate_verdict_name((enum candidate_verdict)at);
}

static const char *kind_at(unsigned at) {
    return decision_kind_name((enum decision_kind)at);
}

static void read_candidate(const struct node *node, struct task_decision *decision) {
    if (node_kind(node) != DOCUMENT_LIST || node_count(node) != 5 ||
        decision->count == DECISION_CANDIDATES_MAX || node_kind(node_at(node, 0)) != DOCUMENT_STRING)
        return;
    struct decision_candidate *candidate = &decision->candidates[decision->count++];
    *candidate =
        (struct decision_candidate){.verdict = named(node_at(node, 1), CANDIDATE_VERDICTS, verdict_at),
                                    .held = number(node_at(node, 2)),
                                    .start_ns = us_as_ns(node_at(node, 3)),
                                    .finish_ns = us_as_ns(node_at(node, 4))};
    snprintf(candidate->agent, sizeof candidate->agent, "%.79s", node_text(node_at(node, 0)));
}

static bool on_row(void *context, const struct store_row *row, const char *name, const char *text) {
    struct looking *looking = context;
    (void)name;
    if (row->trial != looking->wanted->trial || row->stage != looking->wanted->stage ||
        row->attempt != looking->wanted->attempt)
        return true;
    struct document *document = NULL;
    looking->error =
        document_parse_json(text, strlen(text), looking->record->directory, NULL, &document, looking->fault);
    if (looking->error != TROUPE_OK)
        return false;
    const struct node *node = node_get(document_root(document), "decision"),
                      *candidates = node_get(node, "candidates");
    if (node_kind(node) == DOCUMENT_MAP && node_kind(candidates) == DOCUMENT_LIST) {
        looking->found = true;
        *looking->decision =
            (struct task_decision){.kind = named(node_get(node, "kind"), DECISION_KINDS, kind_at),
                                   .at_ns = us_as_ns(node_get(node, "at_us")),
                                   .offers = number(node_get(node, "offers")),
                                   .left_out = number(node_get(node, "left_out"))};
        for (size_t i = 0; i < node_count(candidates); i++)
            read_candidate(node_at(candidates, i), looking->decision);
    }
    document_free(document);
    return false;
}

static const struct record_execution *find(const struct run_record *record, uint32_t trial, unsigned stage,
                                           unsigned attempt) {
    const struct record_execution *found = NULL;
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct record_execution *one = &record->executions[i];
        if (one->trial == trial && one->stage == stage && (attempt == 0 || one->attempt == attempt))
            found = one;
    }
    return found;
}

static enum troupe_error no_such_stage(const struct run_record *record, const char *stage,
                                       struct fault *fault) {
    const char *names[PIPELINE_STAGES_MAX];
    for (unsigned i = 0; i < record->pipeline->stage_count; i++)
        names[i] = record->pipeline->stages[i].name;
    const char *nearest = text_nearest(stage, names, record->pipeline->stage_count);
    return fault_set(fault, TROUPE_NOT_FOUND, record->id, "there is no stage '%.60s'%s%s%s", stage,
                     nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

enum troupe_error run_record_decision(struct env *env, struct account *account,
                                      const struct run_record *record, uint32_t trial, const char *stage,
                                      unsigned attempt, struct task_decision *ret_decision,
                                      const struct record_execution **ret_execution, struct fault *fault) {
    int at = pipeline_stage_find(record->pipeline, stage);
    if (at < 0)
        return no_such_stage(record, stage, fault);
    if (run_record_trial(record, trial) == NULL)
        return fault_set(fault, TROUPE_NOT_FOUND, record->id, "there is no trial %u", trial);
    const struct record_execution *execution = find(record, trial, (unsigned)at, attempt);
    if (execution == NULL)
        return fault_set(fault, TROUPE_NOT_FOUND, record->id,
                         attempt == 0
                             ? "trial %u: no attempt of stage '%s' has ended: what is decided is stored "
                               "with its end"
                             : "trial %u: no such attempt of stage '%s' has ended",
                         trial, stage);
    if (execution->reused)
        return fault_set(
            fault, TROUPE_NOT_FOUND, record->id,
            "trial %u took the result of stage '%s' from another trial: there was no task to give "
            "to an agent",
            trial, stage);
    struct looking looking = {
        .account = account, .record = record, .wanted = execution, .decision = ret_decision, .fault = fault};
    struct store_reader *reader = NULL;
    enum troupe_error error = store_reader_open(env, account, record->directory, &reader, fault);
    if (error == TROUPE_OK)
        error = store_read(reader, STORE_STAGE_ENDED, on_row, &looking, fault);
    store_reader_close(reader);
    if (error == TROUPE_OK)
        error = looking.error;
    if (error == TROUPE_OK && !looking.found)
        error =
            fault_set(fault, TROUPE_NOT_FOUND, record->id,
                      "trial %u, stage '%s': no agent was given it, or the run is of an older version: %s",
                      trial, stage, execution->message != NULL ? execution->message : "nothing was kept");
    *ret_execution = execution;
    return error;
}
