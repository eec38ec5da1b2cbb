/* analysis_text: an analysis for a terminal: where the time went, what limits it, one trial's critical path,
 * agents, queues, slow trials, and the checks that all of this rests on. Appends to the caller's buffer. */
#include "analyze/analysis_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAR_WIDTH 26
#define AGENTS_SHOWN 40
#define TEXT_WIDTH 92

static const char *duration(char out[32], uint64_t ns) {
    return text_format_duration(out, ns > INT64_MAX ? INT64_MAX : (int64_t)ns);
}

static double percent(uint64_t part, uint64_t whole) {
    return whole > 0 ? (double)part / (double)whole * 100 : 0;
}

/* Words after `indent` spaces, broken before TEXT_WIDTH; control characters become spaces. */
static void wrapped(struct buffer *out, unsigned indent, const char *text) {
    unsigned column = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, " ");
        if (length > 0) {
            bool fits = column > 0 && column + 1 + length <= TEXT_WIDTH;
            if (column > 0 && !fits)
                buffer_text(out, "\n");
            if (fits)
                buffer_text(out, " ");
            else
                buffer_format(out, "%*s", (int)indent, "");
            column = fits ? column + 1 + (unsigned)length : indent + (unsigned)length;
            for (size_t i = 0; i < length; i++)
                buffer_append(out, (unsigned char)text[i] < ' ' || text[i] == 127 ? " " : &text[i], 1);
        }
        text += length + (text[length] == ' ');
    }
    buffer_text(out, "\n");
}

static void summary(const struct analysis *analysis, struct buffer *out) {
    char wall[32], trials[32];
    buffer_format(out, "%zu trials (%zu ok", analysis->trials, analysis->ok);
    if (analysis->failed > 0)
        buffer_format(out, ", %zu failed", analysis->failed);
    if (analysis->cancelled > 0)
        buffer_format(out, ", %zu cancelled", analysis->cancelled);
    buffer_format(out, ") in %s", duration(wall, analysis->wall_ns));
    if (analysis->unsettled > 0)
        buffer_format(out, "; %zu more under way are left out", analysis->unsettled);
    buffer_format(out,
                  "\n\nThe trials' time, along their critical paths (%s in all; %.2f under way on average)\n",
                  duration(trials, analysis->trial_wall_ns), analysis->parallel_mean);
}

static enum troupe_error ranks(const struct analysis *analysis, struct account *account, struct buffer *out) {
    struct report_table table;
    char text[32];
    if (analysis->rank_count == 0) {
        buffer_text(out, "  none: no trial has ended\n");
        return buffer_ok(out);
    }
    enum troupe_error error = TROUPE_OK;
    report_table_init(&table, account, "spent on|>share||>time|>median|>p95|>longest");
    for (unsigned i = 0; i < analysis->rank_count; i++) {
        const struct analyze_rank *rank = &analysis->ranks[i];
        struct buffer bar;
        buffer_init(&bar, account, 256);
        report_bar(&bar, (double)rank->total_ns, (double)analysis->trial_wall_ns, BAR_WIDTH);
        report_table_cell(&table, rank->name);
        report_table_format(&table, "%.1f %%", rank->percent);
        report_table_cell(&table, buffer_string(&bar));
        report_table_cell(&table, duration(text, rank->total_ns));
        report_table_cell(&table, duration(text, rank->p50_ns));
        report_table_cell(&table, duration(text, rank->p95_ns));
        report_table_cell(&table, duration(text, rank->max_ns));
        error = error == TROUPE_OK ? buffer_ok(&bar) : error;
        buffer_free(&bar);
    }
    enum troupe_error ended = report_table_end(&table, 2, out);
    return error == TROUPE_OK ? ended : error;
}

static void bottlenecks(const struct analysis *analysis, struct buffer *out) {
    if (analysis->bottleneck_count == 0)
        return;
    buffer_text(out, "\nWhat limits it\n");
    for (unsigned i = 0; i < analysis->bottleneck_count; i++) {
        char title[120];
        snprintf(title, sizeof title, "%u. %s", i + 1, analysis->bottlenecks[i].title);
        wrapped(out, 2, title);
        wrapped(out, 5, analysis->bottlenecks[i].text);
    }
}

/* ---- one trial ---- */

static const struct analyze_path *find_path(const struct analysis *analysis, uint32_t trial) {
    for (size_t i = 0; i < analysis->path_count; i++)
        if (analysis->paths[i].trial == trial)
            return &analysis->paths[i];
    return NULL;
}

static int by_wall(const void *a, const void *b) {
    const struct analyze_path *left = *(const struct analyze_path *const *)a;
    const struct analyze_path *right = *(const struct analyze_path *const *)b;
    uint64_t left_wall = left->to - left->from, right_wall = right->to - right->from;
    if (left_wall != right_wall)
        return left_wall < right_wall ? -1 : 1;
    return left->trial < right->trial ? -1 : left->trial > right->trial;
}

/* The one of median wall time, among those that succeeded when there are any. */
static enum troupe_error typical(const struct analysis *analysis, struct account *account,
                                 const struct analyze_path **ret_path) {
    const struct analyze_path **order = memory_alloc(account, (analysis->path_count + 1) * sizeof *order);
    size_t count = 0;
    if (order == NULL)
        return TROUPE_NOMEM;
    for (size_t i = 0; i < analysis->path_count; i++)
        if (analysis->ok == 0 || analysis->paths[i].outcome == ANALYZE_OK)
            order[count++] = &analysis->paths[i];
    if (count > 0)
        qsort(order, count, sizeof *order, by_wall);
    *ret_path = count > 0 ? order[(count - 1) / 2] : NULL;
    memory_free(account, order);
    return TROUPE_OK;
}

static enum troupe_error path(const struct analysis *analysis, const struct analyze_path *path, bool chosen,
                              struct account *account, struct buffer *out) {
    const struct analyze_record *record = analysis->record;
    struct report_table table;
    char text[32];
    uint64_t wall = path->to - path->from;
    buffer_format(out, "\nCritical path of trial %" PRIu32 "%s: %s\n", path->trial,
                  chosen ? "" : ", the one of median time", duration(text, wall));
    report_table_init(&table, account, ">at|>took|>share|what|");
    for (unsigned i = 0; i < path->piece_count; i++) {
        const struct analyze_piece *piece = &path->pieces[i];
        bool of_stage = piece->stage < record->stage_count;
        report_table_cell(&table, duration(text, piece->from - path->from));
        report_table_cell(&table, duration(text, piece->to - piece->from));
        report_table_format(&table, "%.1f %%", percent(piece->to - piece->from, wall));
        report_table_format(&table, "%s%s%s", of_stage ? analyzer_stage_name(record, piece->stage) : "",
                            of_stage && piece->cause != ANALYZE_STAGE ? ": " : "",
                            of_stage && piece->cause == ANALYZE_STAGE ? ""
                                                                      : analyze_cause_name(piece->cause));
        bool on_agent = piece->agent != ANALYZE_UNKNOWN &&
                        (piece->cause == ANALYZE_STAGE || piece->cause == ANALYZE_RETRY);
        report_table_format(&table, "%s%s", on_agent ? "on " : "",
                            on_agent ? record->agents[piece->agent] : "");
    }
    return report_table_end(&table, 2, out);
}

/* ---- agents, queues, slow trials ---- */

static enum troupe_error agents(const struct analysis *analysis, struct account *account,
                                struct buffer *out) {
    struct report_table table;
    char text[32];
    uint64_t whole = analysis->executing_ns + analysis->waiting_ns + analysis->idle_ns;
    if (analysis->agent_count == 0)
        return TROUPE_OK;
    buffer_text(out, "\nAgents\n");
    report_table_init(&table, account, "agent|>executing|>waiting|>idle|>tasks|>failed|>longest");
    for (unsigned i = 0; i < analysis->agent_count && i < AGENTS_SHOWN; i++) {
        const struct analyze_agent_time *agent = &analysis->agents[i];
        report_table_cell(&table, agent->name);
        report_table_format(&table, "%.1f %%", percent(agent->executing_ns, analysis->wall_ns));
        report_table_format(&table, "%.1f %%", percent(agent->waiting_ns, analysis->wall_ns));
        report_table_format(&table, "%.1f %%", percent(agent->idle_ns, analysis->wall_ns));
        report_table_format(&table, "%" PRIu64, agent->tasks);
        report_table_format(&table, "%" PRIu64, agent->failed);
        report_table_cell(&table, duration(text, agent->longest_ns));
    }
    report_table_format(&table, "all %u", analysis->agent_count);
    report_table_format(&table, "%.1f %%", percent(analysis->executing_ns, whole));
    report_table_format(&table, "%.1f %%", percent(analysis->waiting_ns, whole));
    report_table_format(&table, "%.1f %%", percent(analysis->idle_ns, whole));
    return report_table_end(&table, 2, out);
}

static enum troupe_error queues(const struct analysis *analysis, struct account *account,
                                struct buffer *out) {
    struct report_table table;
    char text[32];
    if (analysis->queue_count == 0)
        return TROUPE_OK;
    buffer_text(out, "\nQueues\n");
    report_table_init(&table, account, "queue|>tasks|>a second|>mean wait|>mean length|>longest");
    for (unsigned i = 0; i < analysis->queue_count; i++) {
        const struct analyze_queue *queue = &analysis->queues[i];
        report_table_cell(&table, queue->name);
        report_table_format(&table, "%" PRIu64, queue->count);
        report_table_format(&table, "%.3g", queue->arrivals_per_second);
        double wait = queue->wait_mean_s > 0 ? queue->wait_mean_s * 1e9 : 0;
        report_table_cell(&table, duration(text, wait < 9e18 ? (uint64_t)wait : INT64_MAX));
        report_table_format(&table, "%.3g", queue->length_mean);
        report_table_format(&table, "%" PRIu64, queue->length_max);
    }
    return report_table_end(&table, 2, out);
}

static enum troupe_error slowest(const struct analysis *analysis, struct account *account,
                                 struct buffer *out) {
    struct report_table table;
    char text[32];
    if (analysis->slow_count < 2)
        return TROUPE_OK;
    buffer_text(out, "\nSlowest trials\n");
    report_table_init(&table, account, ">trial|>took|because");
    table.width_max = 150;
    for (unsigned i = 0; i < analysis->slow_count; i++) {
        const struct analyze_path *path = analysis->slowest[i].path;
        report_table_format(&table, "%" PRIu32, path->trial);
        report_table_cell(&table, duration(text, path->to - path->from));
        report_table_cell(&table, analysis->slowest[i].why);
    }
    return report_table_end(&table, 2, out);
}

static void checks(const struct analysis *analysis, struct buffer *out) {
    double little = 0;
    for (unsigned i = 0; i < analysis->queue_count; i++)
        little = analysis->queues[i].little_error > little ? analysis->queues[i].little_error : little;
    buffer_text(out, "\nChecks\n");
    buffer_format(out, "  pieces of a path add to the trial's wall time: off by at most %.3f us\n",
                  (double)analysis->path_error_ns_max / 1e3);
    buffer_format(out, "  agents x wall = executing + waiting + idle: off by %.4f %%\n",
                  analysis->agents_error * 100);
    buffer_format(out, "  length of queues = arrivals x wait: off by at most %.4f %%\n", little * 100);
    if (analysis->problem_count == 0)
        return;
    buffer_format(out, "  %zu of the record's statements do not hold:\n",
                  analysis->problem_count + analysis->problems_dropped);
    for (unsigned i = 0; i < analysis->problem_count; i++) {
        char text[420];
        snprintf(text, sizeof text, "- %s", analysis->problems[i]);
        wrapped(out, 4, text);
    }
    if (analysis->problems_dropped > 0)
        buffer_format(out, "    and %zu more\n", analysis->problems_dropped);
}

enum troupe_error analysis_text(const struct analysis *analysis, uint32_t trial, struct buffer *out) {
    struct account *account = out->account;
    const struct analyze_path *shown = NULL;
    summary(analysis, out);
    enum troupe_error error = ranks(analysis, account, out);
    bottlenecks(analysis, out);
    if (error == TROUPE_OK && trial == ANALYZE_UNKNOWN)
        error = typical(analysis, account, &shown);
    else
        shown = find_path(analysis, trial);
    if (error == TROUPE_OK && shown != NULL)
        error = path(analysis, shown, trial != ANALYZE_UNKNOWN, account, out);
    else if (trial != ANALYZE_UNKNOWN)
        buffer_format(out, "\nTrial %" PRIu32 " has not ended or is not recorded.\n", trial);
    if (error == TROUPE_OK)
        error = agents(analysis, account, out);
    if (error == TROUPE_OK)
        error = queues(analysis, account, out);
    if (error == TROUPE_OK)
        error = slowest(analysis, account, out);
    checks(analysis, out);
    return error == TROUPE_OK ? buffer_ok(out) : error;
}
