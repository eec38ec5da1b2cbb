/* run_report: a run's record as the plain values of the report floor, and its page. Threads: any one. Memory:
 * the texts belong to the record, arrays to the arena given. */
#ifndef CLI_RUN_REPORT_H
#define CLI_RUN_REPORT_H

#include "cli/command.h"
#include "pipeline/pipeline.h"
#include "report/report.h"

struct analysis;
/* `again`: the command line that starts the run again; NULL: not known. */
MUST_CHECK enum troupe_error run_report_fill(const struct run_record *record, const struct analysis *analysis,
                                             const char *again, struct arena *arena,
                                             struct report_run *ret_report, struct fault *fault);
/* Reads the run back from its store and writes the page to `path`. */
MUST_CHECK enum troupe_error run_report_write(struct session *session, const char *runs_directory,
                                              const char *run_id, const char *again, const char *path,
                                              struct fault *fault);

#endif
