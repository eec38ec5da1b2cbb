/* Chooses for each event between a line, a frame, or nothing. See run_view.h. */
#include "cli/run_view.h"

#include <string.h>

#include "cli/quote_text.h"
#include "cli/run_lines.h"

#define LINE_BYTES 2048

/* On a terminal an ordinary trial shows in the counts; a line is for what one may want to scroll back to. */
static bool worth_a_line(const struct run_view *view, const struct run_event *event) {
    if (view->quiet)
        return event->kind == RUN_EVENT_STOPPING;
    return !view->live || event->kind != RUN_EVENT_TRIAL || event->state != TRIAL_OK;
}

/* On a terminal the display has the quote; only a deadline that cannot be met is worth scrolling back to. */
static const char *quote_line(struct run_view *view, const struct told_quote *quote, char *out, size_t size) {
    char text[QUOTE_TEXT_BYTES];
    bool says = !view->live || quote_verdict(&quote->quote) == QUOTE_MISSES;
    if (view->quiet || !says || !quote_is_news(quote, view->spoken))
        return NULL;
    view->spoken = quote;
    snprintf(out, size, "quote after %u trials: %s", quote->quote.at_trials, quote_text(quote, text));
    return out;
}

static void write_lines(struct run_view *view, const char *const *lines) {
    for (unsigned i = 0; i < 2; i++) {
        if (lines[i] == NULL)
            continue;
        outlet_add(view->outlet, lines[i], strlen(lines[i]));
        outlet_add(view->outlet, "\n", 1);
    }
    outlet_flush(view->outlet); /* also what an earlier flush had to leave */
}

static void draw(struct run_view *view, const struct run_event *event, const char *const *lines) {
    if (event->kind == RUN_EVENT_BEST)
        live_display_best(&view->display, event);
    view->display.stopping = view->display.stopping || event->kind == RUN_EVENT_STOPPING;
    if (event->kind == RUN_EVENT_ENDED) {
        live_display_erase(&view->display);
        return;
    }
    if (lines[0] != NULL && lines[1] != NULL)
        live_display_draw(&view->display, lines[0], event->progress);
    live_display_draw(&view->display, lines[1] != NULL ? lines[1] : lines[0], event->progress);
}

static void on_event(void *context, const struct run_event *event) {
    struct run_view *view = context;
    char text[LINE_BYTES], quote[LINE_BYTES];
    const char *lines[2] = {NULL, NULL};
    if (worth_a_line(view, event))
        lines[0] = run_line_text(event, text, sizeof text);
    if (view->quotes != NULL && run_quote_event(view->quotes, event)) {
        const struct told_quote *told = &view->quotes->quotes[view->quotes->count - 1];
        lines[1] = quote_line(view, told, quote, sizeof quote);
        quote_text(told, view->display.quote);
    }
    if (!view->live || view->quiet)
        write_lines(view, lines);
    else
        draw(view, event, lines);
}

enum troupe_error run_view_open(struct run_view *view, struct env *env, struct account *account, FILE *file,
                                bool quiet, struct run_quote *quotes) {
    int descriptor = fileno(file);
    *view =
        (struct run_view){.quotes = quotes, .quiet = quiet, .live = live_display_possible(env, descriptor)};
    enum troupe_error error = outlet_create(env, account, file, &view->outlet);
    if (error == TROUPE_OK)
        live_display_init(&view->display, env, view->outlet, descriptor);
    return error;
}

struct run_observer run_view_observer(struct run_view *view) {
    return (struct run_observer){.fn = on_event, .context = view, .ticks = true};
}

void run_view_close(struct run_view *view) {
    live_display_erase(&view->display);
    outlet_close(view->outlet);
    view->outlet = NULL;
}
