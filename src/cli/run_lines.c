/* What a run's events say, one line each. Pure text: nothing is written here. What quotes a worker or a user is
 * made printable, so that no text of theirs moves the cursor. */
#include "cli/run_lines.h"

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

const char *run_configuration_text(const struct space *space, const struct configuration *configuration,
                                   char *out, size_t size) {
    char value[64];
    out[0] = '\0';
    for (unsigned i = 0; i < space_count(space); i++) {
        const struct variable *variable = space_variable(space, i);
        if (!space_active(space, configuration, i))
            continue;
        append(out, size, out[0] != '\0' ? " " : "");
        append(out, size, variable->name);
        append(out, size, "=");
        append(out, size, run_value_text(variable, configuration->values[i], value, sizeof value));
    }
    return out;
}

static void trial_text(const struct run_event *event, char *out, size_t size) {
    char wall[32], configuration[800];
    text_format_duration(wall, (int64_t)event->wall_ns);
    if (event->state != TRIAL_OK) {
        snprintf(out, size, "trial %-4u %s after %s: %s", event->trial, trial_state_name(event->state), wall,
                 event->text);
        return;
    }
    snprintf(out, size, "trial %-4u %s %-10.6g %10s  %s%s", event->trial,
             event->progress->pipeline->objective_metric, event->objective, wall,
             run_configuration_text(event->progress->pipeline->space, event->configuration, configuration,
                                    sizeof configuration),
             event->kind == RUN_EVENT_BEST && event->progress->told > 1 ? "  <- best" : "");
}

static void started_text(const struct run_progress *progress, char *out, size_t size) {
    char part[64];
    snprintf(out, size, "run %s: %s %s, %u agents", progress->run_name,
             progress->pipeline->maximise ? "maximise" : "minimise", progress->pipeline->objective_metric,
             progress->slots);
    if (progress->pipeline->trials != 0) {
        snprintf(part, sizeof part, ", %u trial%s", progress->pipeline->trials,
                 progress->pipeline->trials == 1 ? "" : "s");
        append(out, size, part);
    }
    if (progress->deadline_in_ns != UINT64_MAX) {
        append(out, size, ", deadline in ");
        append(out, size, text_format_duration(part, (int64_t)progress->deadline_in_ns));
    }
    if (progress->told > 0) {
        snprintf(part, sizeof part, "; goes on after %u trials", progress->told);
        append(out, size, part);
    }
}

const char *run_line_text(const struct run_event *event, char *out, size_t size) {
    char tail[32] = "";
    switch (event->kind) {
    case RUN_EVENT_STARTED:
        started_text(event->progress, out, size);
        break;
    case RUN_EVENT_TRIAL:
    case RUN_EVENT_BEST:
        trial_text(event, out, size);
        break;
    case RUN_EVENT_LINE:
        if (event->trial != UINT32_MAX && strncmp(event->text, "trial ", 6) != 0)
            snprintf(tail, sizeof tail, " (trial %u)", event->trial);
        snprintf(out, size, "%s%s", event->text, tail);
        break;
    case RUN_EVENT_STOPPING:
        snprintf(out, size, "%s", event->text);
        break;
    case RUN_EVENT_ASKED:
    case RUN_EVENT_TICK:
    case RUN_EVENT_ENDED:
        return NULL;
    }
    return text_make_printable(out);
}
