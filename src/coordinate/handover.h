/* handover: what can happen to a task between its coordinator and the agents that it is offered to, and what follows: one
 * table, pure, so that tests/coordinate/handover_test.c can walk through every order of events.
 *
 * Each offer of a task has an epoch of its own. What an agent says counts only for the agent that has the task now and
 * under the epoch that it got it with (handover_his); all else is counted and discarded, so that a task that was moved
 * has one end whatever the agent that had it before still says. */
#ifndef COORDINATE_HANDOVER_H
#define COORDINATE_HANDOVER_H

#include "coordinate/ledger.h"

enum claim_event {
    CLAIM_SENT,       /* its offer left */
    CLAIM_UNSENT,     /* no, it did not */
    CLAIM_ACCEPTED,   /* the offer's answer keeps it */
    CLAIM_REFUSED,    /* the offer's answer has it */
    CLAIM_UNANSWERED, /* no answer to the offer in time */
    CLAIM_DROPPED,    /* the agent lives, and the offer died with it */
    CLAIM_REVOKED,    /* the agent gave it back: it had not started it */
    CLAIM_GONE,       /* the agent does not have it, and its end has not come */
    CLAIM_ENDED,      /* its end, from the agent */
    CLAIM_OVERDUE,    /* it should have ended long since, and the agent says nothing */
    CLAIM_AGENT_LOST, /* the agent's actor ended */
    CLAIM_EVENTS
};

/* What follows. */
enum {
    HANDOVER_TELL = 1,  /* its owner is told an end that is made here */
    HANDOVER_PASS = 2,  /* its owner is told the end that came */
    HANDOVER_QUEUE = 4, /* it is ours again: it waits, or ends for a reason of its own */
    HANDOVER_GIVE = 8,  /* its resources are free */
    HANDOVER_STALE = 16 /* counted: too late for its owner */
};
struct handover {
    bool possible; /* false: a wrong program */
    uint8_t next;  /* enum claim_state */
    uint8_t follows;
};
struct handover handover_next(enum claim_state state, enum claim_event event);

/* Does what `sender` says under `epoch` count for a task that `agent` has (0: none) under `current`? */
static inline bool handover_his(actor_ref agent, uint32_t current, actor_ref sender, uint32_t epoch) {
    return agent != 0 && agent == sender && current == epoch;
}

/* An agent says that it does not have the task. Its end may be on its way by another road, so it is believed the second
 * time, an offer's time later; of one whose owner was told already, at once. */
static inline bool handover_is_gone(enum claim_state state, bool said_before) {
    return state == CLAIM_ORPHAN || said_before;
}

#endif
