/* change: in which members two definitions differ, and whether a model fitted from a run of the first can tell how the
 * second would go.
 *
 * One table of the members of a pipeline (change.c) serves the comparison, the refusals, the notes and the identity.
 * Threads: any. Memory: none. Failure: INVALID names the member and says why nothing is known of it. */
#ifndef SIMULATE_CHANGE_H
#define SIMULATE_CHANGE_H

enum change_verdict {
    CHANGE_EXPRESSED, /* the simulated run does it */
    CHANGE_DRAWN,     /* that too, with times that the record does not hold exactly: `why` says which */
    CHANGE_REFUSED,   /* the record does not tell */
    CHANGE_IDLE       /* it changes no time */
};
struct change {
    char path[160];             /* "agents.train.instances" */
    char before[40], after[40]; /* of a number, a duration or a switch; else empty */
    enum change_verdict verdict;
    const char *why; /* static; "" when EXPRESSED */
};
#define CHANGES_MAX 48
struct change_list {
    unsigned count, left_out; /* more than CHANGES_MAX */
    bool refused;             /* one of all of them is; it is among those listed */
    struct change changes[CHANGES_MAX];
};
void change_list_make(const struct pipeline *before, const struct pipeline *after, struct change_list *ret);
MUST_CHECK enum troupe_error change_list_check(const struct change_list *list, struct fault *fault);

/* USAGE, with the nearest name: the set is about a member of an agent or a stage that is not there. The loader would take
 * it for the beginning of a new one. */
MUST_CHECK enum troupe_error change_check_set(const struct pipeline *pipeline, const char *set,
                                              struct fault *fault);

/* The same for two definitions that mean the same run, whatever their names, layout and defaults that are spelled out.
 * What is in the files that they name is not part of it. */
uint64_t pipeline_identity(const struct pipeline *pipeline);

#endif
