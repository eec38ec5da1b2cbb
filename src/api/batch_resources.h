/* batch_resources: the counted resources of a troupe_batch: whether they are well-formed, and which task asks for more than
 * an agent, or all together, have.
 *
 * Threads: pure functions. Memory: none. Failure: INVALID or LIMIT with what is wrong in `said`. */
#ifndef API_BATCH_RESOURCES_H
#define API_BATCH_RESOURCES_H

#include "base/base.h"
#include "troupe.h"

/* `said`: TROUPE_PROBLEM_MAX bytes, written when it is not OK. */
enum troupe_status batch_resources_check(const struct troupe_batch *batch, char *said);
/* Bits of the resources of which `task` asks for more than `agent` has. */
uint64_t batch_resources_short(const struct troupe_batch *batch, uint32_t task, uint32_t agent);
/* Bits of the resources of which it asks for more than there is in all. */
uint64_t batch_resources_over(const struct troupe_batch *batch, uint32_t task);
/* Whether the same agents have enough for both. */
bool batch_resources_alike(const struct troupe_batch *batch, uint32_t task, uint32_t other);
bool batch_resources_pooled(const struct troupe_batch *batch); /* a task asks for something of a pool */
/* Of pools only, in their order; returns how many there are. `ret_needs` by task and pool (0 for one that is OVERSIZED),
 * `ret_holds` by agent and pool; both NULL: only counts. */
unsigned batch_resources_pools(const struct troupe_batch *batch, int64_t *ret_total, int64_t *ret_needs,
                               int64_t *ret_holds);

#endif
