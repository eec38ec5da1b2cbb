/* scenario_text: what a scenario came out with, in text for people. Threads: plain data. Memory: the caller's buffer. */
#include "cli/whatif_scenario.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PARAMETER_LINES_MAX 60
#define LATE_NS 500000.0 /* past this a reader is told why the figures are off */

static const char *value_text(enum scenario_figure figure, double value, char out[32]) {
    switch (scenario_figure_table[figure].unit) {
    case SCENARIO_TIME_NS:
        if (value < 600e9 && value >= 1e9) /* "91.3 s" rather than "1 min 31 s": figures are compared */
            (void)snprintf(out, 32, "%.*f s", value < 10e9 ? 3 : 2, value / 1e9);
        else if (value >= 1e6 && value < 1e9)
            (void)snprintf(out, 32, "%.*f ms", value < 100e6 ? 2 : 1, value / 1e6);
        else
            return text_format_duration(out, (int64_t)value);
        return out;
    case SCENARIO_PERCENT:
        (void)snprintf(out, 32, "%.2f %%", value);
        return out;
    case SCENARIO_RATE:
    default:
        if (!isfinite(value))
            return "unbounded";
        (void)snprintf(out, 32, value < 1 ? "%.2f/min" : "%.2f/s", value < 1 ? 60 * value : value);
        return out;
    }
}

static bool is_time(enum scenario_figure figure) {
    return scenario_figure_table[figure].unit == SCENARIO_TIME_NS;
}

/* ---- places ---- */

static const char *place_title(const struct scenario_place *place, char out[96]) {
    static const char *const kinds[] = {"stage", "station", "team", ""};
    (void)snprintf(out, 96, "%s%s%s", kinds[place->kind], place->kind == SCENARIO_CORES ? "" : " ",
                   place->name);
    return out;
}

static void write_places(const struct scenario_result *result, struct buffer *out) {
    char title[96], service[32], wait[32], capacity[32];
    buffer_format(out, "\n  %-26s %6s %12s %12s %14s\n", "", "busy", "service", "waiting", "capacity");
    for (unsigned i = 0; i < result->place_count; i++) {
        const struct scenario_place *place = &result->places[i];
        buffer_format(out, "  %-26s ", place_title(place, title));
        if (isnan(place->utilisation))
            buffer_format(out, "%6s", "");
        else
            buffer_format(out, "%4.0f %%", 100 * place->utilisation);
        buffer_format(out, " %12s %12s", value_text(SCENARIO_MEAN, place->service_ns, service),
                      value_text(SCENARIO_MEAN, place->wait_ns, wait));
        if (place->kind != SCENARIO_STAGE)
            buffer_format(out, " %14s", value_text(SCENARIO_CAPACITY, place->capacity, capacity));
        buffer_text(out, "\n");
    }
    if (result->limit >= 0) {
        const struct scenario_place *place = &result->places[result->limit];
        buffer_format(out, "limit: %s, %s at the service times seen under this load\n",
                      place_title(place, title), value_text(SCENARIO_CAPACITY, place->capacity, capacity));
    }
}

/* ---- one variant ---- */

static void write_head(const struct scenario_case *one, struct buffer *out) {
    const struct scenario_result *result = &one->result;
    char span[32];
    buffer_format(
        out, "%s: %llu requests in %u replications of %s each, in virtual time (signature %016llx)\n",
        scenario_name(one->scenario), (unsigned long long)result->requests, result->replications,
        text_format_duration(span, (int64_t)result->span_ns), (unsigned long long)result->signature);
    if (*scenario_about(one->scenario) != '\0')
        buffer_format(out, "%s\n", scenario_about(one->scenario));
    if (result->rejected > 0)
        buffer_format(out, "%llu requests were turned away by a full queue\n",
                      (unsigned long long)result->rejected);
}

static void write_figure(enum scenario_figure f, const struct scenario_estimate *figure, double before,
                         struct buffer *out) {
    char value[32], low[32], high[32], interval[80] = "", then[32];
    if (isfinite(figure->value))
        (void)snprintf(interval, sizeof interval, "%s to %s", value_text(f, figure->low, low),
                       value_text(f, figure->high, high));
    buffer_format(out, "  %-12s %12s   ", scenario_figure_table[f].name, value_text(f, figure->value, value));
    if (isnan(before)) {
        buffer_format(out, "%s\n", interval);
        return;
    }
    buffer_format(out, "%-26s %12s", interval, value_text(f, before, then));
    if (isfinite(before) && isfinite(figure->value) && before > 0)
        buffer_format(out, "  %+.1f %%", 100 * (figure->value / before - 1));
    buffer_text(out, "\n");
}

void scenario_text_result(const struct scenario_case *one, const struct scenario_case *base,
                          struct buffer *out) {
    write_head(one, out);
    if (base != NULL)
        buffer_format(out, "\n  %-12s %12s   %-26s %12s\n", "", "", "90 % interval", "unchanged");
    else
        buffer_format(out, "\n  %-12s %12s   90 %% interval\n", "", "");
    for (unsigned f = 0; f < SCENARIO_FIGURE_COUNT; f++)
        write_figure(f, &one->result.figures[f], base != NULL ? base->result.figures[f].value : NAN, out);
    write_places(&one->result, out);
}

/* ---- given, assumed, changed ---- */

static void write_origin(const struct scenario *scenario, enum scenario_origin origin, const char *title,
                         struct buffer *out) {
    size_t count = 0, shown = 0, total = 0;
    const struct scenario_parameter *parameters = scenario_parameters(scenario, &count);
    for (size_t i = 0; i < count; i++)
        total += parameters[i].origin == origin;
    if (total == 0)
        return;
    buffer_format(out, "%s (%zu):\n", title, total);
    for (size_t i = 0; i < count && shown < PARAMETER_LINES_MAX; i++)
        if (parameters[i].origin == origin) {
            buffer_format(out, "  %s = %s\n", parameters[i].path, parameters[i].text);
            shown++;
        }
    if (shown < total)
        buffer_format(out, "  and %zu more (--json lists all)\n", total - shown);
}

void scenario_text_parameters(const struct scenario *scenario, struct buffer *out) {
    buffer_text(out, "\n");
    write_origin(scenario, SCENARIO_CHANGED, "changed by overlays and --set", out);
    write_origin(scenario, SCENARIO_ASSUMED, "assumed, without evidence", out);
    write_origin(scenario, SCENARIO_GIVEN, "given", out);
}

/* ---- variants beside each other ---- */

static void write_gain(const struct scenario_case *one, const struct scenario_case *base, const char *name,
                       struct buffer *out) {
    static const enum scenario_figure shown[] = {SCENARIO_P50, SCENARIO_P95, SCENARIO_P99, SCENARIO_ERRORS,
                                                 SCENARIO_CAPACITY};
    char text[32];
    buffer_format(out, "  %-28.28s", name);
    for (size_t i = 0; i < ARRAY_COUNT(shown); i++) {
        enum scenario_figure f = shown[i];
        double value = one->result.figures[f].value, before = base->result.figures[f].value;
        buffer_format(out, " %12s", value_text(f, value, text));
        if (is_time(f) || f == SCENARIO_CAPACITY) {
            char change[32] = "";
            if (isfinite(value) && before > 0 && one != base)
                (void)snprintf(change, sizeof change, "%+.1f%%", 100 * (value / before - 1));
            buffer_format(out, " %7s", change);
        }
    }
    buffer_text(out, "\n");
    if (*one->note != '\0')
        buffer_format(out, "      %s\n", one->note);
}

void scenario_text_gains(const struct scenario_case *cases, size_t count, const struct scenario_case *base,
                         bool steps, struct buffer *out) {
    write_head(base, out);
    buffer_format(out, "\n  %-28s %12s %7s %12s %7s %12s %7s %12s %12s\n", "", "p50", "", "p95", "", "p99",
                  "", "errors", "capacity");
    write_gain(base, base, steps ? "as it is; then, on top" : "as it is", out);
    for (size_t i = 0; i < count; i++)
        write_gain(&cases[i], steps && i > 0 ? &cases[i - 1] : base, cases[i].name, out);
}

/* ---- against what is expected ---- */

static void write_verdict(enum scenario_figure figure, const struct scenario_verdict *verdict,
                          const struct scenario_estimate *estimate, struct buffer *out) {
    char expected[80], ours[32], low[32], high[32], name[32];
    enum scenario_figure as = verdict->change ? SCENARIO_ERRORS : figure; /* a change is shown in percent */
    bool points = scenario_figure_table[as].unit == SCENARIO_PERCENT;
    (void)snprintf(name, sizeof name, "%s%s", scenario_figure_table[figure].name,
                   verdict->change ? " change" : "");
    (void)snprintf(
        expected, sizeof expected, "%s%s%s", value_text(as, verdict->expected_low, low),
        verdict->expected_high > verdict->expected_low ? " to " : "",
        verdict->expected_high > verdict->expected_low ? value_text(as, verdict->expected_high, high) : "");
    buffer_format(out, "  %-18s %22s %12s", name, expected, value_text(as, verdict->ours, ours));
    if (!verdict->change)
        buffer_format(out, " +- %-10s", value_text(as, (estimate->high - estimate->low) / 2, low));
    else
        buffer_format(out, "    %-10s", "");
    buffer_format(out, " %+8.2f %-6s (%.4g)%s\n", verdict->difference, points ? "points" : "%",
                  verdict->tolerance, verdict->good ? "" : "  PAST");
}

bool scenario_text_row(const struct scenario_row *row, const struct scenario_case *one,
                       const struct scenario_case *base, struct buffer *out) {
    bool good = true;
    buffer_format(out, "%s  [", *row->name != '\0' ? row->name : "a row");
    for (size_t i = 0; i < row->overlay_count; i++)
        buffer_format(out, "%s%s", i > 0 ? " " : "", row->overlays[i]);
    buffer_format(out, "]  n=%llu\n", (unsigned long long)one->result.requests);
    if (*row->note != '\0')
        buffer_format(out, "  %s\n", row->note);
    for (unsigned f = 0; f < 2 * SCENARIO_FIGURE_COUNT; f++) {
        enum scenario_figure figure = (enum scenario_figure)(f / 2);
        struct scenario_verdict verdict;
        scenario_compare(row, figure, f % 2 == 1, &one->result, &base->result, &verdict);
        if (verdict.checked)
            write_verdict(figure, &verdict, &one->result.figures[figure], out);
        good = good && (!verdict.checked || verdict.good);
    }
    return good;
}

/* ---- measured ---- */

void scenario_text_real(const struct scenario_case *simulated, const struct scenario_result *measured,
                        int64_t scale, struct buffer *out) {
    char text[4][32];
    const struct scenario_result *result = &simulated->result;
    buffer_format(out,
                  "%s: simulated, and measured on threads and timers at 1:%lld; %llu requests each, "
                  "medians of %u replications\n",
                  scenario_name(simulated->scenario), (long long)scale, (unsigned long long)result->requests,
                  measured->replications);
    buffer_format(out, "waits ended %s late, %s at their 99th percentile%s\n\n",
                  text_format_duration(text[0], (int64_t)measured->late_p50_ns),
                  text_format_duration(text[1], (int64_t)measured->late_p99_ns),
                  measured->late_p99_ns > LATE_NS
                      ? ": the machine did other work meanwhile; measure on a quiet one, or under `chrt -f 1`"
                      : "");
    buffer_format(out, "  %-12s %12s %12s %10s   %s\n", "", "simulated", "measured", "difference",
                  "least to most measured");
    for (unsigned f = 0; f < SCENARIO_FIGURE_COUNT; f++) {
        const struct scenario_estimate *ours = &measured->figures[f];
        double expected = result->figures[f].value;
        char change[32] = "";
        if (scenario_figure_table[f].unit == SCENARIO_PERCENT)
            (void)snprintf(change, sizeof change, "%+.2f pt", ours->value - expected);
        else if (isfinite(expected) && expected > 0)
            (void)snprintf(change, sizeof change, "%+.1f %%", 100 * (ours->value / expected - 1));
        buffer_format(out, "  %-12s %12s %12s %10s   %s to %s\n", scenario_figure_table[f].name,
                      value_text(f, expected, text[0]), value_text(f, ours->value, text[1]), change,
                      value_text(f, ours->low, text[2]), value_text(f, ours->high, text[3]));
    }
}
