/* run_levers: the most useful changes that a run's own record predicts, for its report and its analysis. Cheap: a large
 * run, of which one simulated run of each lever costs too much, has none here (`troupe whatif --rank` takes the time).
 * Threads: the main thread. Memory: texts in the arena given. */
#ifndef CLI_RUN_LEVERS_H
#define CLI_RUN_LEVERS_H

#include "cli/command.h"
#include "pipeline/pipeline.h"
#include "report/report.h"

#define RUN_LEVERS_MAX 3
struct run_levers {
    unsigned count;
    struct report_lever levers[RUN_LEVERS_MAX];
};
/* None when the run is live, has searched nothing, or its record is too short: no reason to fail anything. `keep`: among
 * the predictions in `runs_directory`. */
void run_levers_make(struct session *session, const struct run_record *record, const char *runs_directory,
                     bool keep, struct arena *arena, struct run_levers *ret);
void run_levers_write(const struct run_levers *levers, struct buffer *out);

#endif
