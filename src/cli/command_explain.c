/* `troupe explain`: why a task went to the agent that did it: what each agent was thought to need for it when it was given
 * away, why each other one lost, and what came of it. From the store of the run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/run_listing.h"
#include "pipeline/pipeline.h"

#define WAIT_WORTH_NS 1000000u /* a word */

struct explain_values {
    const char *runs;
    bool json;
};
static const struct option_row rows[] = {
    {OPTION_FLAG(struct explain_values, json, "json", 0, "one JSON object")},
    {OPTION_TEXT(struct explain_values, runs, "runs", 0, "DIR", "where runs are kept (default: runs)")},
};
static const struct option_table options = {.rows = rows,
                                            .count = ARRAY_COUNT(rows),
                                            .words_min = 1,
                                            .words_max = 2,
                                            .words_name = "[RUN] TRIAL/STAGE[/ATTEMPT]"};
const struct command_page page_explain = {
    &options,
    "Why a task went to the agent that did it: who could have done it, when each was\n"
    "thought to end it as things were, and why each other one lost. TRIAL/STAGE is the\n"
    "last attempt of a stage, TRIAL/STAGE/ATTEMPT the one that is named, as workers see\n"
    "it. Without RUN: the newest. Times are of the run's running time.\n",
    "  troupe explain 12/train\n"
    "  troupe explain digits-6b0760e9-c2c4 12/train/2 --json\n"};

struct wanted {
    uint32_t trial;
    char stage[256];
    unsigned attempt; /* 0: the last */
};

static enum troupe_error read_wanted(const char *word, struct wanted *ret, struct fault *fault) {
    char *end;
    unsigned long trial = strtoul(word, &end, 10);
    const char *stage = end + 1, *attempt = *end == '/' ? strrchr(stage, '/') : NULL;
    size_t length = attempt ? (size_t)(attempt - stage) : *end == '/' ? strlen(stage) : 0;
    unsigned long number = attempt ? strtoul(attempt + 1, &end, 10) : 0;
    bool right = word[0] >= '0' && word[0] <= '9' && trial < PIPELINE_TRIALS_MAX && length > 0 &&
                 length < sizeof ret->stage;
    if (attempt)
        right = right && attempt[1] >= '1' && attempt[1] <= '9' && *end == '\0' && number <= UINT16_MAX;
    if (!right)
        return fault_set(fault, TROUPE_USAGE, "explain",
                         "expected TRIAL/STAGE or TRIAL/STAGE/ATTEMPT, such as 12/train, found '%.80s'",
                         word);
    ret->trial = (uint32_t)trial;
    memcpy(ret->stage, stage, length);
    ret->stage[length] = '\0';
    ret->attempt = (unsigned)number;
    return TROUPE_OK;
}

struct explained {
    const struct run_record *record;
    const struct record_execution *execution;
    struct task_decision decision;
};

static const char *agent_of(const struct explained *explained) {
    const struct record_execution *execution = explained->execution;
    return execution->agent == RECORD_UNKNOWN ? NULL : explained->record->agents[execution->agent];
}

/* ---- JSON ---- */

static void write_time(struct json *json, const char *name, uint64_t ns) {
    if (ns != 0)
        json_field_real(json, name, (double)ns / 1e6);
}

static void write_json(const struct explained *explained, struct buffer *out) {
    const struct record_execution *execution = explained->execution;
    const struct task_decision *decision = &explained->decision;
    struct json json;
    json_init(&json, out);
    json_object_begin(&json);
    json_field_string(&json, "run", explained->record->id);
    json_field_int(&json, "trial", execution->trial);
    json_field_string(&json, "stage", explained->record->pipeline->stages[execution->stage].name);
    json_field_int(&json, "attempt", execution->attempt);
    json_field_string(&json, "state", task_state_name(execution->state));
    if (agent_of(explained) != NULL)
        json_field_string(&json, "agent", agent_of(explained));
    write_time(&json, "ready_ms", execution->ready);
    write_time(&json, "started_ms", execution->started);
    write_time(&json, "ended_ms", execution->ended);
    json_key(&json, "decision");
    json_object_begin(&json);
    json_field_string(&json, "kind", decision_kind_name(decision->kind));
    write_time(&json, "at_ms", decision->at_ns);
    json_field_int(&json, "offers", decision->offers);
    json_field_int(&json, "left_out", decision->left_out);
    json_key(&json, "candidates");
    json_array_begin(&json);
    for (unsigned i = 0; i < decision->count; i++) {
        const struct decision_candidate *candidate = &decision->candidates[i];
        json_object_begin(&json);
        json_field_string(&json, "agent", candidate->agent);
        json_field_string(&json, "verdict", candidate_verdict_name(candidate->verdict));
        json_field_int(&json, "held", candidate->held);
        if (candidate->finish_ns != 0) {
            write_time(&json, "start_ms", candidate->start_ns);
            write_time(&json, "finish_ms", candidate->finish_ns);
        }
        json_object_end(&json);
    }
    json_array_end(&json);
    json_object_end(&json);
    json_object_end(&json);
    buffer_text(out, "\n");
}

/* ---- text ---- */

/* "12.345 s": columns of one unit can be compared. */
static const char *seconds(uint64_t ns, char text[32]) {
    if (ns == 0)
        return "-";
    snprintf(text, 32, "%.4f s", (double)ns / 1e9);
    return text;
}

static void write_why(const struct explained *explained, const struct decision_candidate *candidate,
                      struct buffer *out) {
    const struct pipeline *pipeline = explained->record->pipeline;
    const struct decision_candidate *chosen = &explained->decision.candidates[0];
    char text[32];
    uint64_t a = candidate->finish_ns, b = chosen->finish_ns;
    const char *apart = text_format_duration(text, (int64_t)(a > b ? a - b : b - a));
    switch (candidate->verdict) {
    case CANDIDATE_CHOSEN:
        buffer_text(out, "chosen");
        break;
    case CANDIDATE_LATER:
        buffer_format(out, "would end it %s later", apart);
        break;
    case CANDIDATE_SPARED:
        buffer_format(out, "would end it %s sooner; left to other tasks, which gain more by it", apart);
        break;
    case CANDIDATE_FULL:
        buffer_format(out, "would end it %s sooner, but has all the tasks that it may have", apart);
        break;
    case CANDIDATE_PAUSED:
        buffer_text(out, "refused a task lately: asked again when it said that there is room");
        break;
    case CANDIDATE_REFUSED:
        buffer_text(out, "had refused it, or another one of its round");
        break;
    case CANDIDATE_SILENT:
        buffer_text(out, "did not answer an offer in time");
        break;
    case CANDIDATE_DRAINING:
        buffer_text(out, "was asked to finish and go");
        break;
    case CANDIDATE_DOWN:
        buffer_text(out, "was down");
        break;
    default:
        buffer_format(out, "lacks the capability '%s'",
                      pipeline->capabilities.names[pipeline->stages[explained->execution->stage].capability]);
    }
}

static const char *const kinds[DECISION_KINDS] = {
    [DECISION_PLANNED] = "by the plan",
    [DECISION_REBALANCED] = "by another plan, after a refusal",
    [DECISION_PULLED] = "taken back from another agent, because this one was idle",
    [DECISION_DOUBLED] = "a second time, because the first one took long and this agent was idle",
};

static void write_text(const struct explained *explained, struct buffer *out) {
    const struct record_execution *execution = explained->execution;
    const struct task_decision *decision = &explained->decision;
    char at[32], end[32];
    buffer_format(out, "%u/%s/%u of %s: %s", execution->trial,
                  explained->record->pipeline->stages[execution->stage].name, execution->attempt,
                  explained->record->id, task_state_name(execution->state));
    if (agent_of(explained) != NULL)
        buffer_format(out, ", at %s", agent_of(explained));
    buffer_format(out, "\nready       %s\ngiven away  %s, %s", seconds(execution->ready, at),
                  seconds(decision->at_ns, end), kinds[decision->kind]);
    if (decision->at_ns > execution->ready + WAIT_WORTH_NS)
        buffer_format(out, ", after %s in the queue of the coordinator",
                      text_format_duration(at, (int64_t)(decision->at_ns - execution->ready)));
    if (decision->offers > 1)
        buffer_format(out, ", at the %u%s offer", decision->offers,
                      decision->offers == 2   ? "nd"
                      : decision->offers == 3 ? "rd"
                                              : "th");
    buffer_format(out, "\n\n%-18s %5s %12s %12s  %s\n", "agent", "held", "would begin", "would end", "why");
    for (unsigned i = 0; i < decision->count; i++) {
        const struct decision_candidate *candidate = &decision->candidates[i];
        buffer_format(out, "%-18s %5u %12s %12s  ", candidate->agent, candidate->held,
                      candidate->finish_ns ? seconds(candidate->start_ns, at) : "-",
                      seconds(candidate->finish_ns, end));
        write_why(explained, candidate, out);
        buffer_text(out, "\n");
    }
    if (decision->left_out > 0)
        buffer_format(out, "and %u more, which would end it later or could not do it\n", decision->left_out);
    if (agent_of(explained) != NULL && execution->ended > execution->started)
        buffer_format(out, "%-18s %5s %12s %12s  in fact\n", agent_of(explained), "",
                      seconds(execution->started, at), seconds(execution->ended, end));
    if (execution->message != NULL)
        buffer_format(out, "\n%s\n", execution->message);
}

enum troupe_error command_explain(struct session *session, int argc, const char *const *argv,
                                  struct fault *fault) {
    struct explain_values values = {.runs = "runs"};
    struct option_words words = {.argc = argc, .argv = argv};
    struct wanted wanted;
    struct run_record *record = NULL;
    const char *id = NULL;
    enum troupe_error error = option_table_parse(&options, &session->arena, &words, &values, NULL, fault);
    if (error == TROUPE_OK)
        error = read_wanted(words.words[words.count - 1], &wanted, fault);
    if (error == TROUPE_OK)
        error = run_listing_choose(session, values.runs, words.count > 1 ? words.words[0] : NULL, &id, fault);
    if (error == TROUPE_OK)
        error = run_record_read(session->env, session->account, values.runs, id, &record, fault);
    if (error != TROUPE_OK)
        return error;
    struct explained explained = {.record = record};
    struct buffer text;
    buffer_init(&text, session->account, 0);
    error = run_record_decision(session->env, session->account, record, wanted.trial, wanted.stage,
                                wanted.attempt, &explained.decision, &explained.execution, fault);
    if (error == TROUPE_OK && values.json)
        write_json(&explained, &text);
    else if (error == TROUPE_OK)
        write_text(&explained, &text);
    if (error == TROUPE_OK)
        error = session_print(&text, fault);
    buffer_free(&text);
    run_record_free(record);
    return error;
}
