/* worker_link: one child process and the lines between it and us: spawned through our own binary, its output
 * cut into lines in place, its standard error kept in the log, its end remembered.
 *
 * Threads: worker 0. Events come from env's callbacks between turns; none comes after worker_link_mute, but
 *          `ended`.
 * Memory:  the account given to init. A line that came whole is handed on where it lies; only the tail of a
 *          chunk is copied.
 * Failure: a line over line_max, or no memory for one, is the event `broken`: the caller kills the child. */
#ifndef AGENT_WORKER_LINK_H
#define AGENT_WORKER_LINK_H

#include "env/env.h"

#define WORKER_ERROR_LINE_MAX 240

struct worker_link_events {
    void (*line)(void *context, const char *bytes, size_t length); /* without its newline; never empty */
    void (*read)(void *context); /* after the lines of one piece of output */
    /* LIMIT: a line has more than line_max bytes, `seen` of them so far. NOMEM. `bytes` is its start. */
    void (*broken)(void *context, enum troupe_error error, const char *bytes, size_t length, size_t seen);
    void (*errors)(void *context, const char *bytes, size_t length); /* standard error */
    void (*closed)(void *context); /* its output, while it lives: mostly it is about to end */
    void (*ended)(void *context);  /* last */
};

struct worker_link {
    struct env *env;
    const struct worker_link_events *events;
    void *context;
    size_t line_max;
    struct env_child *child; /* NULL: none */
    struct buffer partial;   /* a line whose end has not come */
    bool muted;              /* lines are no longer wanted */
    bool ended;
    int status, signal; /* once ended */
    struct env_usage usage;
    char error_line[WORKER_ERROR_LINE_MAX]; /* last line of standard error that is not blank */
    size_t error_length;
    bool error_open; /* more of it may come */
};

void worker_link_init(struct worker_link *link, struct env *env, struct account *account, size_t line_max,
                      const struct worker_link_events *events, void *context);
MUST_CHECK enum troupe_error worker_link_spawn(struct worker_link *link, const struct env_child_spec *spec,
                                               struct fault *fault);
MUST_CHECK enum troupe_error worker_link_write(struct worker_link *link, const char *bytes, size_t length);
void worker_link_mute(struct worker_link *link);
void worker_link_kill(struct worker_link *link, int signal);
void worker_link_close_input(struct worker_link *link);
uint64_t worker_link_cpu(const struct worker_link *link);       /* so far, or all of it once ended */
uint64_t worker_link_core_wait(const struct worker_link *link); /* the same; ENV_UNKNOWN */
/* "exited with status 3; its last words: ..." */
void worker_link_describe_end(const struct worker_link *link, char *out, size_t size);
/* Forgets the child (killed when it still runs). Not from an event. */
void worker_link_close(struct worker_link *link);
void worker_link_free(struct worker_link *link);

#endif
