/* What a run's events say, one line each. Pure text: nothing is written here. */
#include "cli/run_lines.h"

#include <limits.h>
#include <string.h>

static void append(char *out, size_t size, const char *text) {
    size_t used = strlen(out);
    snprintf(out + used, size - used, "%s", text);
}

const char *run_value_text(const struct variable *variable, double value, char *out, size_t size) {
    if (variable->kind != VARIABLE_FLOAT)
        return space_value_text(variable, value, out, size);
    snprintf(out, size, "%.4g", value);
    return out;
}

static void append_configuration(const struct run_event *event, char *out, size_t size) {
    const struct space *space = event->progress->pipeline->space;
    char value[64], pair[200];
    for (unsigned i = 0; i < space_count(space); i++) {
        const struct variable *variable = space_variable(space, i);
        if (!space_active(space, event->configuration, i))
            continue;
        snprintf(pair, sizeof pair, " %s=%s", variable->name,
                 run_value_text(variable, event->configuration->values[i], value, sizeof value));
        append(out, size, pair);
    }
}

static const char *trial_text(const struct run_event *event, char *out, size_t size) {
    char wall[32];
    text_format_duration(wall, (int64_t)event->wall_ns);
    if (event->state != TRIAL_OK) {
        snprintf(out, size, "trial %-4u %s after %s: %s", event->trial, trial_state_name(event->state), wall,
                 event->text);
        return out;
    }
    snprintf(out, size, "trial %-4u %s %-12.6g %10s ", event->trial,
             event->progress->pipeline->objective_metric, event->objective, wall);
    append_configuration(event, out, size);
    if (event->kind == RUN_EVENT_BEST)
        append(out, size, event->progress->told > 1 ? "  <- best" : "");
    return out;
}

const char *run_line_text(const struct run_event *event, char *out, size_t size) {
    const struct run_progress *progress = event->progress;
    char limit[64] = "", duration[32];
    switch (event->kind) {
    case RUN_EVENT_STARTED:
        if (progress->pipeline->trials != 0)
            snprintf(limit, sizeof limit, ", %u trials", progress->pipeline->trials);
        snprintf(out, size, "run %s: %s %s, %u agents%s", progress->run_name,
                 progress->pipeline->maximise ? "maximise" : "minimise", progress->pipeline->objective_metric,
                 progress->slots, limit);
        if (progress->deadline_in_ns != UINT64_MAX) {
            append(out, size, ", deadline in ");
            append(out, size, text_format_duration(duration, (int64_t)progress->deadline_in_ns));
        }
        return out;
    case RUN_EVENT_TRIAL:
    case RUN_EVENT_BEST:
        return trial_text(event, out, size);
    case RUN_EVENT_LINE:
        if (event->trial != UINT32_MAX)
            snprintf(out, size, "%s (trial %u)", event->text, event->trial);
        else
            snprintf(out, size, "%s", event->text);
        return out;
    case RUN_EVENT_STOPPING:
        snprintf(out, size, "%s", event->text);
        return out;
    case RUN_EVENT_TICK:
    case RUN_EVENT_ENDED:
        break;
    }
    return NULL;
}
