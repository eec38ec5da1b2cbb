/* `troupe assign`: reads an instance, solves it with the public call, prints the assignment. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/assign_run.h"
#include "cli/command.h"

#define STEPS_LEAST 100000
#define STEPS_EACH 1000  /* for each task */
#define MORE_MAX 8       /* agents more that are tried */
#define MORE_LIKE_MAX 16 /* agents of which copies are tried */

struct assign_values {
    bool refuse_late, advise, text, run;
    int64_t steps_wanted, scale;
};
static const struct option_row rows[] = {
    {OPTION_NUMBER(0, INT64_MAX, struct assign_values, steps_wanted, "steps", 0, "N",
                   "of the search, 2 to 20 ns each; 0: a list only (default: 100000 and 1000 a task)")},
    {OPTION_FLAG(struct assign_values, refuse_late, "refuse-late", 0,
                 "refuse what no agent could end in time, instead of doing it late")},
    {OPTION_FLAG(struct assign_values, advise, "advise", 0,
                 "when something is late or refused: how many more agents would help, and like which one")},
    {OPTION_FLAG(
        struct assign_values, run, "run", 0,
        "carry it out: a worker process for each agent, which sleeps for as long as a task takes; with "
        "--advise the agents that are recommended then are started")},
    {OPTION_NUMBER(1, 100, struct assign_values, scale, "scale", 0, "PERCENT",
                   "of the instance's times, for --run (default: 100)")},
    {OPTION_FLAG(struct assign_values, text, "text", 0, "for a person instead of JSON")},
};
static const struct option_table options = {.rows = rows,
                                            .count = ARRAY_COUNT(rows),
                                            .words_min = 1,
                                            .words_max = 1,
                                            .words_name = "one INSTANCE.json"};
const struct command_page page_assign = {
    &options,
    "Which agent takes which task, and in which order: few missed deadlines first,\n"
    "then an early end. Prints the queues, what is late or refused and why, and\n"
    "time_us, what the decision took. The format of an instance: doc/assign.md.\n",
    "  troupe assign examples/assign/seed.json\n"
    "  troupe assign examples/assign/seed.json --text --advise\n"
    "  troupe assign examples/assign/seed.json --text --advise --run --scale 10\n"};

struct solved {
    const struct assign_instance *instance;
    const struct troupe_batch_place *places;
    const uint32_t *order; /* tasks by agent, then start */
    struct troupe_batch_summary summary;
    double time_us;
    uint32_t more,
        like; /* so many more agents like that one, idle, and nothing is late or refused; more 0: none help */
    uint64_t more_finish_ns;
    const struct assign_run *run; /* NULL: it was not carried out */
};

static double in_unit(const struct solved *solved, uint64_t ns) {
    return (double)ns / solved->instance->unit_ns;
}

/* ---- JSON ---- */

static void write_missing(const struct solved *solved, uint64_t missing, struct json *json) {
    json_key(json, "missing");
    json_array_begin(json);
    for (unsigned bit = 0; bit < solved->instance->capability_count; bit++)
        if (missing >> bit & 1)
            json_string(json, solved->instance->capabilities[bit]);
    json_array_end(json);
}

static void write_lacking(const struct solved *solved, uint64_t lacking, struct json *json) {
    json_key(json, "lacking");
    json_array_begin(json);
    for (unsigned bit = 0; bit < solved->instance->batch.resource_count; bit++)
        if (lacking >> bit & 1)
            json_string(json, solved->instance->resources[bit]);
    json_array_end(json);
}

/* With resources an agent may wait between two tasks: when each begins and ends. */
static void write_schedule(const struct solved *solved, struct json *json) {
    json_key(json, "schedule");
    json_array_begin(json);
    for (uint32_t at = 0; at < solved->instance->batch.task_count; at++) {
        uint32_t task = solved->order[at];
        const struct troupe_batch_place *place = &solved->places[task];
        if (place->verdict > TROUPE_BATCH_LATE)
            continue;
        json_object_begin(json);
        json_field_int(json, "task", solved->instance->task_ids[task]);
        json_field_int(json, "agent", solved->instance->agent_ids[place->agent]);
        json_field_real(json, "start", in_unit(solved, place->start_ns));
        json_field_real(json, "finish", in_unit(solved, place->finish_ns));
        json_object_end(json);
    }
    json_array_end(json);
}

static const char *verdict_text(enum troupe_batch_verdict verdict) {
    static const char *const texts[] = {"on time", "late", "hopeless", "full", "incapable", "oversized"};
    return texts[verdict];
}

/* One that is late or refused: which, why, and what would help. */
static void write_trouble(const struct solved *solved, uint32_t task, struct json *json) {
    const struct troupe_batch_place *place = &solved->places[task];
    const struct troupe_batch_task *one = &solved->instance->batch.tasks[task];
    json_object_begin(json);
    json_field_int(json, "task", solved->instance->task_ids[task]);
    json_field_string(json, "why", verdict_text(place->verdict));
    if (place->verdict != TROUPE_BATCH_OVERSIZED)
        json_field_int(json, place->verdict == TROUPE_BATCH_INCAPABLE ? "nearest" : "agent",
                       solved->instance->agent_ids[place->agent]);
    if (place->lacking)
        write_lacking(solved, place->lacking, json);
    if (place->verdict == TROUPE_BATCH_INCAPABLE)
        write_missing(solved, place->missing, json);
    if (place->verdict == TROUPE_BATCH_FULL)
        json_field_real(json, "capacity_in", in_unit(solved, place->capacity_in_ns));
    if (place->verdict == TROUPE_BATCH_LATE || place->verdict == TROUPE_BATCH_HOPELESS) {
        json_field_real(json, "finish", in_unit(solved, place->finish_ns));
        json_field_real(json, "late_by", in_unit(solved, place->finish_ns - one->deadline_ns));
    }
    json_object_end(json);
}

static void write_json(const struct solved *solved, struct buffer *out) {
    const struct assign_instance *instance = solved->instance;
    struct json json;
    char id[32];
    json_init(&json, out);
    json_object_begin(&json);
    json_field_string(&json, "name", instance->name);
    json_key(&json, "queues");
    json_object_begin(&json);
    for (uint32_t agent = 0, at = 0; agent < instance->batch.agent_count; agent++) {
        snprintf(id, sizeof id, "%" PRId64, instance->agent_ids[agent]);
        json_key(&json, id);
        json_array_begin(&json);
        for (; at < instance->batch.task_count && solved->places[solved->order[at]].agent == agent &&
               solved->places[solved->order[at]].verdict <= TROUPE_BATCH_LATE;
             at++)
            json_int(&json, instance->task_ids[solved->order[at]]);
        json_array_end(&json);
    }
    json_object_end(&json);
    if (instance->batch.resource_count > 0)
        write_schedule(solved, &json);
    json_key(&json, "rejected");
    json_array_begin(&json);
    for (uint32_t task = 0; task < instance->batch.task_count; task++)
        if (solved->places[task].verdict > TROUPE_BATCH_LATE)
            json_int(&json, instance->task_ids[task]);
    json_array_end(&json);
    json_key(&json, "trouble");
    json_array_begin(&json);
    for (uint32_t task = 0; task < instance->batch.task_count; task++)
        if (solved->places[task].verdict != TROUPE_BATCH_ON_TIME)
            write_trouble(solved, task, &json);
    json_array_end(&json);
    if (solved->more > 0) {
        json_key(&json, "advice");
        json_object_begin(&json);
        json_field_int(&json, "more_agents", solved->more);
        json_field_int(&json, "like", instance->agent_ids[solved->like]);
        json_field_real(&json, "makespan", in_unit(solved, solved->more_finish_ns));
        json_object_end(&json);
    }
    if (solved->run != NULL)
        assign_run_write_json(solved->run, solved->instance, &json);
    json_field_real(&json, "makespan", in_unit(solved, solved->summary.finish_ns));
    json_field_real(&json, "missed_weight", solved->summary.missed);
    json_field_real(&json, "weighted_tardiness", solved->summary.tardiness_ns / instance->unit_ns);
    json_field_int(&json, "steps", (int64_t)solved->summary.steps);
    json_field_real(&json, "time_us", solved->time_us);
    json_object_end(&json);
    buffer_text(out, "\n");
}

/* ---- text ---- */

/* Of those that it lacks: what it asks for, of how many; and the end of the line. */
static void write_amounts_text(const struct solved *solved, uint32_t task, const uint64_t *has,
                               struct buffer *out) {
    const struct assign_instance *instance = solved->instance;
    for (unsigned bit = 0; bit < instance->batch.resource_count; bit++)
        if (solved->places[task].lacking >> bit & 1)
            buffer_format(out, " %s (%" PRIu64 " of %" PRIu64 ")", instance->resources[bit],
                          instance->batch.tasks[task].amounts[bit], has[bit]);
    buffer_text(out, "\n");
}

static void write_trouble_text(const struct solved *solved, uint32_t task, struct buffer *out) {
    const struct assign_instance *instance = solved->instance;
    const struct troupe_batch_place *place = &solved->places[task];
    const struct troupe_batch *batch = &instance->batch;
    uint64_t deadline_ns = batch->tasks[task].deadline_ns;
    buffer_format(out, "task %" PRId64 ": ", instance->task_ids[task]);
    switch (place->verdict) {
    case TROUPE_BATCH_LATE:
        buffer_format(out, "late by %g\n", in_unit(solved, place->finish_ns - deadline_ns));
        break;
    case TROUPE_BATCH_HOPELESS:
        buffer_format(out, "refused: the best agent, %" PRId64 ", would end it %g too late\n",
                      instance->agent_ids[place->agent], in_unit(solved, place->finish_ns - deadline_ns));
        break;
    case TROUPE_BATCH_FULL:
        buffer_format(out, "refused: no agent that can do it has room; one has in %g\n",
                      in_unit(solved, place->capacity_in_ns));
        break;
    case TROUPE_BATCH_OVERSIZED:
        buffer_text(out, "refused: it asks for more than there is:");
        write_amounts_text(solved, task, batch->pools, out);
        break;
    default:
        buffer_format(out, "refused: no agent has all that it needs; the nearest, %" PRId64 ", lacks",
                      instance->agent_ids[place->agent]);
        for (unsigned bit = 0; bit < instance->capability_count; bit++)
            if (place->missing >> bit & 1)
                buffer_format(out, " %s", instance->capabilities[bit]);
        write_amounts_text(solved, task, batch->agents[place->agent].amounts, out);
    }
}

static void write_text(const struct solved *solved, struct buffer *out) {
    const struct assign_instance *instance = solved->instance;
    buffer_format(out,
                  "%s: %u tasks, %u agents; %u on time, %u late, %u refused; the last ends at %g (%.1f us)\n",
                  instance->name, instance->batch.task_count, instance->batch.agent_count,
                  solved->summary.on_time, solved->summary.late, solved->summary.refused,
                  in_unit(solved, solved->summary.finish_ns), solved->time_us);
    uint32_t at = 0;
    for (uint32_t agent = 0; agent < instance->batch.agent_count; agent++) {
        const struct troupe_batch_place *last = NULL;
        buffer_format(out, "agent %" PRId64 ":", instance->agent_ids[agent]);
        for (; at < instance->batch.task_count; at++) {
            const struct troupe_batch_place *place = &solved->places[solved->order[at]];
            if (place->agent != agent || place->verdict > TROUPE_BATCH_LATE)
                break;
            buffer_format(out, " %" PRId64, instance->task_ids[solved->order[at]]);
            last = place;
        }
        if (last)
            buffer_format(out, "  until %g\n", in_unit(solved, last->finish_ns));
        else
            buffer_text(out, " nothing\n");
    }
    for (uint32_t task = 0; task < instance->batch.task_count; task++)
        if (solved->places[task].verdict != TROUPE_BATCH_ON_TIME)
            write_trouble_text(solved, task, out);
    if (solved->more > 0)
        buffer_format(out, "with %u more like agent %" PRId64 " all are on time, the last at %g\n",
                      solved->more, instance->agent_ids[solved->like],
                      in_unit(solved, solved->more_finish_ns));
    if (solved->run != NULL)
        assign_run_write_text(solved->run, solved->instance, out);
}

/* ---- what would help ---- */

/* The least number of idle copies of one agent with which all are on time; of equal numbers the earliest end. */
static enum troupe_error advise(struct session *session, const struct assign_instance *instance,
                                struct solved *solved, struct fault *fault) {
    struct troupe_batch batch = instance->batch;
    struct troupe_batch_agent *agents =
        arena_alloc(&session->arena, (batch.agent_count + MORE_MAX) * sizeof *agents);
    struct troupe_batch_place *places = arena_alloc(&session->arena, (batch.task_count + 1) * sizeof *places);
    if (!agents || !places)
        return fault_set(fault, TROUPE_NOMEM, "assign", "out of memory");
    memcpy(agents, batch.agents, batch.agent_count * sizeof *agents);
    batch.agents = agents;
    uint32_t likes = batch.agent_count < MORE_LIKE_MAX ? batch.agent_count : MORE_LIKE_MAX;
    for (uint32_t more = 1; more <= MORE_MAX && solved->more == 0; more++)
        for (uint32_t like = 0; like < likes; like++) {
            struct troupe_batch_summary summary;
            for (uint32_t at = 0; at < more; at++) {
                agents[instance->batch.agent_count + at] = instance->batch.agents[like];
                agents[instance->batch.agent_count + at].backlog_ns = 0;
                agents[instance->batch.agent_count + at].room += instance->batch.agents[like].queued;
                agents[instance->batch.agent_count + at].queued = 0;
            }
            batch.agent_count = instance->batch.agent_count + more;
            if (troupe_coordinate_batch(&batch, places, &summary, NULL) != TROUPE_STATUS_OK ||
                summary.late + summary.refused > 0)
                continue;
            if (solved->more == 0 || summary.finish_ns < solved->more_finish_ns) {
                solved->more = more;
                solved->like = like;
                solved->more_finish_ns = summary.finish_ns;
            }
        }
    return TROUPE_OK;
}

/* ---- whole ---- */

static int place_compare(const void *left, const void *right, void *context) {
    const struct troupe_batch_place *places = context, *a = &places[*(const uint32_t *)left],
                                    *b = &places[*(const uint32_t *)right];
    bool refused_a = a->verdict > TROUPE_BATCH_LATE, refused_b = b->verdict > TROUPE_BATCH_LATE;
    if (refused_a != refused_b)
        return refused_a - refused_b;
    if (a->agent != b->agent)
        return a->agent < b->agent ? -1 : 1;
    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    return a < b ? -1 : a > b;
}

static enum troupe_error solve(struct session *session, struct assign_instance *instance,
                               struct solved *solved, const char *file, struct fault *fault) {
    char said[TROUPE_PROBLEM_MAX];
    size_t count = instance->batch.task_count;
    struct troupe_batch_place *places = arena_alloc(&session->arena, (count + 1) * sizeof *places);
    uint32_t *order = arena_alloc(&session->arena, (count + 1) * sizeof *order);
    if (!places || !order)
        return fault_set(fault, TROUPE_NOMEM, "assign", "out of memory");
    uint64_t began_ns = env_now(session->env);
    enum troupe_status status = troupe_coordinate_batch(&instance->batch, places, &solved->summary, said);
    solved->time_us = (double)(env_now(session->env) - began_ns) / 1000;
    if (status != TROUPE_STATUS_OK)
        return fault_set(fault,
                         status == TROUPE_STATUS_NO_MEMORY ? TROUPE_NOMEM
                         : status == TROUPE_STATUS_LIMIT   ? TROUPE_LIMIT
                                                           : TROUPE_INVALID,
                         file, "%s", said);
    for (uint32_t task = 0; task < count; task++)
        order[task] = task;
    qsort_r(order, count, sizeof *order, place_compare, places);
    solved->instance = instance;
    solved->places = places;
    solved->order = order;
    return TROUPE_OK;
}

enum troupe_error command_assign(struct session *session, int argc, const char *const *argv,
                                 struct fault *fault) {
    struct assign_values values = {.steps_wanted = -1};
    struct assign_run run;
    struct option_words words = {.argc = argc, .argv = argv};
    struct assign_instance instance;
    struct document *document = NULL;
    struct solved solved = {0};
    struct buffer text;
    enum troupe_error error = option_table_parse(&options, &session->arena, &words, &values, NULL, fault);
    if (error != TROUPE_OK)
        return error;
    buffer_init(&text, session->account, 256 << 20);
    error = env_read_file(session->env, words.words[0], &text, fault);
    struct document_limits limits = {.bytes_max = 256 << 20, .nodes_max = 20000000};
    if (error == TROUPE_OK)
        error = document_parse_json(text.bytes, text.length, words.words[0], &limits, &document, fault);
    if (error == TROUPE_OK)
        error = assign_instance_read(document_root(document), &session->arena, &instance, fault);
    if (error == TROUPE_OK) {
        instance.batch.steps = values.steps_wanted >= 0
                                   ? (uint64_t)values.steps_wanted
                                   : STEPS_LEAST + STEPS_EACH * (uint64_t)instance.batch.task_count;
        instance.batch.refuse_late = values.refuse_late;
        error = solve(session, &instance, &solved, words.words[0], fault);
    }
    if (error == TROUPE_OK && values.advise && solved.summary.late + solved.summary.refused > 0)
        error = advise(session, &instance, &solved, fault);
    if (error == TROUPE_OK && values.scale > 0 && !values.run)
        error = fault_set(fault, TROUPE_USAGE, "--scale", "only --run takes time");
    if (error == TROUPE_OK && values.run) {
        double scale = values.scale > 0 ? (double)values.scale / 100 : 1;
        error = assign_run(session->env, session->account, &session->arena, &instance, scale, values.advise,
                           &run, fault);
        solved.run = &run;
    }
    buffer_clear(&text);
    if (error == TROUPE_OK && values.text)
        write_text(&solved, &text);
    else if (error == TROUPE_OK)
        write_json(&solved, &text);
    if (error == TROUPE_OK)
        error = session_print(&text, fault);
    buffer_free(&text);
    document_free(document);
    return error;
}
