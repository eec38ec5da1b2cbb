/* assign_instance: an instance of the assignment problem, read from JSON (doc/assign.md) into the batch of troupe.h.
 *
 * Threads: plain data. Memory: the arena's. Failure: SYNTAX, INVALID or LIMIT with file:line:column and path. */
#ifndef CLI_ASSIGN_INSTANCE_H
#define CLI_ASSIGN_INSTANCE_H

#include "document/document.h"
#include "troupe.h"

#define ASSIGN_CAPABILITIES_MAX 64

struct assign_instance {
    const char *name;
    struct troupe_batch batch; /* steps and refuse_late are the caller's */
    const int64_t *task_ids, *agent_ids;
    const char *const *capabilities;
    unsigned capability_count;
    const char *const *resources; /* names; batch.resource_count of them */
    double unit_ns;               /* of its times */
};
MUST_CHECK enum troupe_error assign_instance_read(const struct node *root, struct arena *arena,
                                                  struct assign_instance *ret_instance, struct fault *fault);

#endif
