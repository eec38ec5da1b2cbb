/* The summary: best, baseline and held-out scores, the time that adds up to 100.0 %, files.
 * Invariants: every number printed is one of the response; nothing is computed a second time but gains. */
#include "cli/run_summary.h"

#include <math.h>
#include <string.h>

static bool is_number(const struct node *node) {
    return node_kind(node) == DOCUMENT_INT || node_kind(node) == DOCUMENT_REAL;
}

/* A response may come from a store that was written by somebody else: what is no number counts as 0. */
static double real_of(const struct node *node) {
    return is_number(node) ? node_real(node) : 0;
}

static long long int_of(const struct node *node) {
    return node_kind(node) == DOCUMENT_INT ? (long long)node_int(node) : 0;
}

static const char *text_of(const struct node *node) {
    return node_kind(node) == DOCUMENT_STRING ? node_string(node) : "";
}

static void write_configuration(const struct node *map, struct buffer *out) {
    for (size_t i = 0; i < node_count(map); i++)
        buffer_format(out, "%s%s=%s", i > 0 ? " " : "", node_key_at(map, i),
                      node_text(node_at(map, i)) != NULL ? node_text(node_at(map, i)) : "?");
}

static void write_scores(const struct node *response, struct buffer *out) {
    const struct node *best = node_get(response, "best"), *baseline = node_get(response, "baseline"),
                      *test = node_get(response, "test"), *counts = node_get(response, "counts");
    const char *metric = text_of(node_get(response, "metric"));
    if (node_kind(best) != DOCUMENT_MAP) {
        buffer_text(out, "no trial reported the objective\n");
    } else {
        buffer_format(out, "best       %s %.6g", metric, real_of(node_get(response, "objective")));
        if (is_number(test))
            buffer_format(out, ", held-out test %.6g", real_of(test));
        buffer_format(out, "  (trial %lld)\n           ", int_of(node_get(response, "best_trial")));
        write_configuration(best, out);
        buffer_text(out, "\n");
    }
    if (node_kind(baseline) == DOCUMENT_MAP) {
        buffer_format(out, "baseline   %s %.6g", metric, real_of(node_get(baseline, "objective")));
        if (is_number(node_get(baseline, "test")))
            buffer_format(out, ", held-out test %.6g", real_of(node_get(baseline, "test")));
        buffer_text(out, "  (trial 0: every variable at its default)\n");
    }
    buffer_format(out, "trials     %lld", int_of(node_get(response, "trials")));
    if (int_of(node_get(counts, "failed")) > 0)
        buffer_format(out, ", %lld failed", int_of(node_get(counts, "failed")));
    if (int_of(node_get(counts, "reused_stages")) > 0)
        buffer_format(out, ", %lld stages reused", int_of(node_get(counts, "reused_stages")));
    if (int_of(node_get(counts, "restarts")) > 0)
        buffer_format(out, ", %lld restarts of workers", int_of(node_get(counts, "restarts")));
    buffer_text(out, "\n");
}

static char *milliseconds(const struct node *node, char out[32]) {
    return text_format_duration(out, is_number(node) ? (int64_t)llround(real_of(node) * 1e6) : 0);
}

static void write_time(const struct node *time, struct buffer *out) {
    const struct node *shares = node_get(time, "shares"), *agents = node_get(time, "agents"),
                      *troupe = node_get(time, "troupe");
    char one[32], two[32], three[32];
    if (node_kind(time) != DOCUMENT_MAP)
        return;
    if (real_of(node_get(time, "trial_wall_ms")) <= 0) { /* no trial ended: there is nothing to share out */
        buffer_format(out, "time       %s\n", milliseconds(node_get(time, "wall_ms"), one));
        return;
    }
    buffer_format(out, "time       %s", milliseconds(node_get(time, "wall_ms"), one));
    if (real_of(node_get(time, "elapsed_ms")) > real_of(node_get(time, "wall_ms"))) /* it was resumed */
        buffer_format(out, " (with what came before: %s)", milliseconds(node_get(time, "elapsed_ms"), one));
    buffer_format(out, ", where the trials' %s went:\n", milliseconds(node_get(time, "trial_wall_ms"), two));
    for (size_t i = 0; i < node_count(shares); i++) {
        const struct node *share = node_at(shares, i);
        if (real_of(node_get(share, "ms")) <= 0)
            continue; /* the others still add to 100.0 */
        buffer_format(out, "           %5.1f %%  %-20s %10s\n", real_of(node_get(share, "percent")),
                      text_of(node_get(share, "name")), milliseconds(node_get(share, "ms"), one));
    }
    buffer_format(out, "agents     %s executing + %s waiting + %s idle",
                  milliseconds(node_get(agents, "executing_ms"), one),
                  milliseconds(node_get(agents, "waiting_ms"), two),
                  milliseconds(node_get(agents, "idle_ms"), three));
    buffer_format(out, " = %s of %lld agents%s\n", milliseconds(node_get(agents, "total_ms"), one),
                  int_of(node_get(agents, "instances")),
                  node_get(agents, "stays") != NULL ? " at the end" : "");
    buffer_format(
        out, "troupe     %s of CPU, %.2f %% of the machine\n", milliseconds(node_get(troupe, "cpu_ms"), one),
        is_number(node_get(troupe, "percent_of_machine")) ? real_of(node_get(troupe, "percent_of_machine"))
                                                          : 0.0);
}

void run_summary_write(const struct node *response, struct buffer *out) {
    if (node_kind(response) != DOCUMENT_MAP)
        return;
    write_scores(response, out);
    write_time(node_get(response, "time"), out);
}
