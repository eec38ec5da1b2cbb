/* live_display: a run on a terminal: a few lines that stay below the lines worth keeping.
 *
 *   digits  23 of 60 [=======>            ]  2 failed  4.1 trials/s
 *   best  accuracy 0.97426  (trial 17)  baseline 0.96103  scale=unit kind=svm C=12.3
 *   agents  2 of 3 busy  12.3 s  deadline in 47.7 s
 *   quote  60 trials take 31 s (27-36 s, 90 %) of your 60 s; 112 would fit
 *
 * A frame is one write: cursor up, each line written over and cleared to its end, so nothing flickers. No mode
 * of the terminal is changed, so there is none to restore, however the process ends. Widths are asked for at
 * every frame: a resize needs no signal. Threads: one call at a time. Memory: plain data of the caller. */
#ifndef CLI_LIVE_DISPLAY_H
#define CLI_LIVE_DISPLAY_H

#include "cli/outlet.h"
#include "pipeline/pipeline.h"

#define LIVE_LINES 4 /* the last one once there is a quote */
#define LIVE_LINE_BYTES 1024

struct live_display {
    struct env *env;
    struct outlet *outlet;
    int descriptor;
    bool colour;
    bool stopping;
    unsigned drawn;              /* lines on the screen now */
    unsigned widths[LIVE_LINES]; /* of them, in columns */
    char best[LIVE_LINE_BYTES];  /* configuration of the best trial so far */
    char quote[LIVE_LINE_BYTES]; /* empty: there is none */
};

/* False: not a terminal that can move its cursor; then say plain lines. */
bool live_display_possible(struct env *env, int descriptor);
void live_display_init(struct live_display *display, struct env *env, struct outlet *outlet, int descriptor);
/* A line above the display (NULL: none), and the display below it as of `progress`. */
void live_display_draw(struct live_display *display, const char *line, const struct run_progress *progress);
void live_display_best(struct live_display *display, const struct run_event *event);
void live_display_erase(struct live_display *display);

#endif
