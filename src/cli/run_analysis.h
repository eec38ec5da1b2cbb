/* run_analysis: from a run's record to its analysis. Threads: any one. Memory: what the analysis borrows is in
 * the arena and the record, which outlive it; free it with analysis_free. */
#ifndef CLI_RUN_ANALYSIS_H
#define CLI_RUN_ANALYSIS_H

#include "analyze/analyze.h"
#include "pipeline/pipeline.h"

MUST_CHECK enum troupe_error run_analysis_make(const struct run_record *record, struct env *env,
                                               struct arena *arena, struct account *account,
                                               struct analysis **ret_analysis, struct fault *fault);
bool run_analysis_knows(const struct run_record *record, uint32_t trial);

#endif
