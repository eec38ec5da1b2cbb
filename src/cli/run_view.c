/* Chooses for each event between a line, a frame, or nothing. See run_view.h. */
#include "cli/run_view.h"

#include <string.h>

#include "cli/run_lines.h"

#define LINE_BYTES 2048

/* On a terminal an ordinary trial shows in the counts; a line is for what one may want to scroll back to. */
static bool worth_a_line(const struct run_view *view, const struct run_event *event) {
    if (view->quiet)
        return event->kind == RUN_EVENT_STOPPING;
    return !view->live || event->kind != RUN_EVENT_TRIAL || event->state != TRIAL_OK;
}

static void on_event(void *context, const struct run_event *event) {
    struct run_view *view = context;
    char text[LINE_BYTES];
    const char *line = worth_a_line(view, event) ? run_line_text(event, text, sizeof text) : NULL;
    if (!view->live || view->quiet) {
        if (line != NULL) {
            outlet_add(view->outlet, line, strlen(line));
            outlet_add(view->outlet, "\n", 1);
        }
        outlet_flush(view->outlet); /* also what an earlier flush had to leave */
        return;
    }
    if (event->kind == RUN_EVENT_BEST)
        live_display_best(&view->display, event);
    view->display.stopping = view->display.stopping || event->kind == RUN_EVENT_STOPPING;
    if (event->kind == RUN_EVENT_ENDED)
        live_display_erase(&view->display);
    else
        live_display_draw(&view->display, line, event->progress);
}

enum troupe_error run_view_open(struct run_view *view, struct env *env, struct account *account, FILE *file,
                                int descriptor, bool quiet) {
    *view = (struct run_view){.quiet = quiet, .live = live_display_possible(env, descriptor)};
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
