/* Frames of the live display. Pure text until outlet_add; see the header for the promises.
 * Widths count characters, two columns for those from U+1100 on, so that a name in any script never wraps. */
#include "cli/live_display.h"

#include <stdio.h>
#include <string.h>

#include "cli/run_lines.h"

#define BAR_COLUMNS 20
#define COLUMNS_MAX 400
#define ERASE_LINE "\x1b[K"
#define ERASE_BELOW "\x1b[J"
#define BOLD "\x1b[1m"
#define DIM "\x1b[2m"
#define PLAIN "\x1b[0m"

bool live_display_possible(struct env *env, int descriptor) {
    unsigned columns = 0;
    const char *kind = env_variable(env, "TERM");
    return kind != NULL && kind[0] != '\0' && strcmp(kind, "dumb") != 0 &&
           env_terminal(env, descriptor, &columns) && columns >= 20;
}

void live_display_init(struct live_display *display, struct env *env, struct outlet *outlet, int descriptor) {
    const char *refused = env_variable(env, "NO_COLOR");
    *display = (struct live_display){.env = env, .outlet = outlet, .descriptor = descriptor};
    display->colour = refused == NULL || refused[0] == '\0';
}

/* ---- one line, no wider than the terminal ---- */

struct line {
    char text[LIVE_LINE_BYTES];
    size_t length;
    unsigned width, width_max;
    bool colour;
};

static void line_style(struct line *line, const char *style) {
    size_t length = strlen(style);
    /* Room for the reset is kept by line_text. */
    if (line->colour && line->length + length + sizeof PLAIN < sizeof line->text) {
        memcpy(line->text + line->length, style, length);
        line->length += length;
    }
}

static unsigned character_width(const char *bytes, size_t length) {
    return length >= 3 && (unsigned char)bytes[0] >= 0xe1 &&
                   !((unsigned char)bytes[0] == 0xe1 && (unsigned char)bytes[1] < 0x84)
               ? 2
               : 1;
}

/* Printable text; what does not fit is cut. */
static void line_text(struct line *line, const char *text) {
    size_t left = strlen(text);
    while (left > 0) {
        size_t length = text_utf8_length(text, left);
        if (length == 0)
            return;
        unsigned width = character_width(text, length);
        if (line->width + width > line->width_max ||
            line->length + length + 2 * sizeof PLAIN >= sizeof line->text)
            return;
        memcpy(line->text + line->length, text, length);
        line->length += length;
        line->width += width;
        text += length;
        left -= length;
    }
}

static void line_format(struct line *line, const char *format, ...) PRINTF_LIKE(2, 3);
static void line_format(struct line *line, const char *format, ...) {
    char text[LIVE_LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    line_text(line, text_make_printable(text));
}

/* ---- what the lines say ---- */

static double part_done(const struct run_progress *progress) {
    const struct pipeline *pipeline = progress->pipeline;
    double part = 0;
    if (pipeline->trials != 0)
        part = (double)progress->told / pipeline->trials;
    if (pipeline->deadline_ns != 0) {
        double time = (double)progress->elapsed_ns / (double)pipeline->deadline_ns;
        part = time > part ? time : part; /* whichever ends the run first */
    }
    return part > 1 ? 1 : part;
}

static void write_progress(const struct live_display *display, const struct run_progress *progress,
                           struct line *line) {
    char bar[BAR_COLUMNS + 1];
    unsigned filled = (unsigned)(part_done(progress) * BAR_COLUMNS);
    for (unsigned i = 0; i < BAR_COLUMNS; i++)
        bar[i] = i < filled ? '=' : i == filled ? '>' : ' ';
    bar[BAR_COLUMNS] = '\0';
    line_style(line, BOLD);
    line_format(line, "%s", progress->pipeline->name);
    line_style(line, PLAIN);
    if (progress->pipeline->trials != 0)
        line_format(line, "  %u of %u trial%s ", progress->told, progress->pipeline->trials,
                    progress->pipeline->trials == 1 ? "" : "s");
    else
        line_format(line, "  %u trials ", progress->told);
    line_format(line, "[%s]", bar);
    if (progress->failed > 0)
        line_format(line, "  %u failed", progress->failed);
    if (progress->reused_stages > 0)
        line_format(line, "  %u stage%s reused", progress->reused_stages,
                    progress->reused_stages == 1 ? "" : "s");
    if (progress->told > 1 && progress->elapsed_ns > 1000000000)
        line_format(line, "  %.3g trials/s", (double)progress->told * 1e9 / (double)progress->elapsed_ns);
    if (display->stopping)
        line_text(line, "  stopping");
}

static void write_best(const struct live_display *display, const struct run_progress *progress,
                       struct line *line) {
    if (!progress->has_best) {
        line_text(line, "best  none yet");
        return;
    }
    line_text(line, "best  ");
    line_style(line, BOLD);
    line_format(line, "%s %.6g", progress->pipeline->objective_metric, progress->best_objective);
    line_style(line, PLAIN);
    line_format(line, "  (trial %u)", progress->best_trial);
    if (progress->has_baseline && progress->best_trial != 0)
        line_format(line, "  baseline %.6g", progress->baseline_objective);
    line_style(line, DIM);
    line_format(line, "  %s", display->best);
    line_style(line, PLAIN);
}

/* Tenths while they matter, then whole seconds, so that the line does not jump. */
static int64_t steady(uint64_t ns) {
    uint64_t unit = ns < 10000000000 ? 100000000 : 1000000000;
    return (int64_t)(ns / unit * unit);
}

static void write_agents(const struct run_progress *progress, struct line *line) {
    char text[32];
    line_format(line, "agents  %u of %u busy  %s", progress->busy, progress->slots,
                text_format_duration(text, steady(progress->elapsed_ns)));
    if (progress->deadline_in_ns != UINT64_MAX)
        line_format(line, "  deadline in %s", text_format_duration(text, steady(progress->deadline_in_ns)));
    if (progress->restarts > 0)
        line_format(line, "  %u restart%s of workers", progress->restarts,
                    progress->restarts == 1 ? "" : "s");
}

/* ---- frames ---- */

/* Rows that the lines drawn before take now: a terminal that became narrower has wrapped them. */
static unsigned rows_drawn(const struct live_display *display, unsigned columns) {
    unsigned rows = 0;
    for (unsigned i = 0; i < display->drawn; i++)
        rows += display->widths[i] == 0 ? 1 : (display->widths[i] + columns - 1) / columns;
    return rows;
}

static unsigned columns_now(const struct live_display *display) {
    unsigned columns = 80;
    if (!env_terminal(display->env, display->descriptor, &columns) || columns == 0)
        columns = 80;
    return columns < 2 ? 2 : columns > COLUMNS_MAX ? COLUMNS_MAX : columns;
}

static void go_to_top(struct live_display *display, unsigned columns) {
    char up[32];
    unsigned rows = rows_drawn(display, columns);
    outlet_add(display->outlet, "\r", 1);
    if (rows > 0)
        outlet_add(display->outlet, up, (size_t)snprintf(up, sizeof up, "\x1b[%uA", rows));
}

static void add(struct live_display *display, const char *text) {
    outlet_add(display->outlet, text, strlen(text));
}

void live_display_draw(struct live_display *display, const char *line, const struct run_progress *progress) {
    struct line lines[LIVE_LINES];
    unsigned columns = columns_now(display);
    if (line == NULL && outlet_busy(display->outlet))
        return; /* a slow terminal gets fewer frames, and every line */
    memset(lines, 0, sizeof lines);
    for (unsigned i = 0; i < LIVE_LINES; i++) {
        lines[i].width_max = columns - 1; /* the last column would make some terminals wrap */
        lines[i].colour = display->colour;
    }
    write_progress(display, progress, &lines[0]);
    write_best(display, progress, &lines[1]);
    write_agents(progress, &lines[2]);
    unsigned count = display->quote[0] != '\0' ? LIVE_LINES : LIVE_LINES - 1;
    if (count == LIVE_LINES)
        line_format(&lines[3], "quote  %s", display->quote);
    go_to_top(display, columns);
    if (line != NULL) {
        add(display, line);
        add(display, ERASE_LINE "\n");
    }
    for (unsigned i = 0; i < count; i++) {
        outlet_add(display->outlet, lines[i].text, lines[i].length);
        add(display, display->colour ? PLAIN ERASE_LINE "\n" : ERASE_LINE "\n");
        display->widths[i] = lines[i].width;
    }
    add(display, ERASE_BELOW); /* what a wider or longer frame left, and a ^C that the terminal echoed */
    display->drawn = count;
    outlet_flush(display->outlet);
}

void live_display_best(struct live_display *display, const struct run_event *event) {
    run_configuration_text(event->progress->pipeline->space, event->configuration, display->best,
                           sizeof display->best);
}

void live_display_erase(struct live_display *display) {
    if (display->drawn == 0)
        return;
    go_to_top(display, columns_now(display));
    add(display, ERASE_BELOW);
    display->drawn = 0;
    outlet_flush(display->outlet);
}
