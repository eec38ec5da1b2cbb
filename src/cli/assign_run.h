/* assign_run: an instance carried out: a worker process for each agent, which sleeps for as long as a task takes there; a
 * coordinator that plans by what the agents answer; and, when that is wanted, the agents more that it recommends.
 *
 * Threads: the calling one and the runtime's. Memory: the arena's; the runtime's parts are gone when it returns.
 * Failure: INVALID for what a coordinator has no words for, NO_AGENT when a worker cannot be started. */
#ifndef CLI_ASSIGN_RUN_H
#define CLI_ASSIGN_RUN_H

#include "cli/assign_instance.h"
#include "env/env.h"

#define ASSIGN_RUN_AGENTS_MAX 256
#define ASSIGN_RUN_TASKS_MAX 4096
struct assign_run_task {
    uint32_t agent; /* that did it; agents that came later follow those of the instance; UINT32_MAX: none */
    uint64_t finish_ns;     /* of the instance's time; 0: it was not done */
    bool ok, late, refused; /* late: taken, and not done by its deadline */
    char why[160];          /* not done: why */
};
struct assign_run {
    uint32_t said_on_time, said_late, said_refused; /* by the coordinator, when it had planned */
    uint32_t late_with_more;                        /* and foreseen with the agents that it recommended */
    uint32_t more, like;                            /* so many more like that one; 0: none was recommended */
    bool more_started;
    uint64_t decided_ns;                                     /* real time until it said so */
    uint64_t said_finish_ns, with_more_finish_ns, finish_ns; /* of the instance's time */
    uint32_t on_time, late, refused, agents;
    struct assign_run_task *tasks;
};
/* `scale`: a second of the instance takes so many. */
MUST_CHECK enum troupe_error assign_run(struct env *env, struct account *account, struct arena *arena,
                                        const struct assign_instance *instance, double scale, bool add_agents,
                                        struct assign_run *ret, struct fault *fault);

/* assign_run_text.c: members of the object that is open; lines. */
struct json;
void assign_run_write_json(const struct assign_run *run, const struct assign_instance *instance,
                           struct json *json);
void assign_run_write_text(const struct assign_run *run, const struct assign_instance *instance,
                           struct buffer *out);

#endif
