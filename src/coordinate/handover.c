/* The table of handover.h. A pair that is not in it cannot happen: a CHECK where it is asked for. */
#include "coordinate/handover.h"

#define STEP(next_state, what)                                                                               \
    { .possible = true, .next = CLAIM_##next_state, .follows = (what) }
static const struct handover table[CLAIM_STATES][CLAIM_EVENTS] = {
    [CLAIM_WAITING] = {[CLAIM_SENT] = STEP(OFFERED, 0)},
    [CLAIM_OFFERED] =
        {
            [CLAIM_UNSENT] = STEP(WAITING, HANDOVER_QUEUE | HANDOVER_GIVE),
            [CLAIM_ACCEPTED] = STEP(HELD, 0),
            [CLAIM_REFUSED] = STEP(WAITING, HANDOVER_QUEUE | HANDOVER_GIVE),
            [CLAIM_UNANSWERED] = STEP(ORPHAN, HANDOVER_TELL),
            [CLAIM_DROPPED] = STEP(FREE, HANDOVER_TELL | HANDOVER_GIVE),
            [CLAIM_ENDED] = STEP(FREE, HANDOVER_PASS | HANDOVER_GIVE), /* it came before the offer's answer */
            [CLAIM_OVERDUE] = STEP(ORPHAN, HANDOVER_TELL),
            [CLAIM_AGENT_LOST] = STEP(FREE, HANDOVER_TELL | HANDOVER_GIVE),
        },
    [CLAIM_HELD] =
        {
            [CLAIM_REVOKED] = STEP(WAITING, HANDOVER_QUEUE | HANDOVER_GIVE),
            [CLAIM_GONE] = STEP(FREE, HANDOVER_TELL | HANDOVER_GIVE),
            [CLAIM_ENDED] = STEP(FREE, HANDOVER_PASS | HANDOVER_GIVE),
            [CLAIM_OVERDUE] = STEP(ORPHAN, HANDOVER_TELL),
            [CLAIM_AGENT_LOST] = STEP(FREE, HANDOVER_TELL | HANDOVER_GIVE),
        },
    [CLAIM_ORPHAN] =
        {
            [CLAIM_ACCEPTED] = STEP(ORPHAN, 0),
            [CLAIM_REFUSED] = STEP(FREE, HANDOVER_GIVE),
            [CLAIM_DROPPED] = STEP(FREE, HANDOVER_GIVE),
            [CLAIM_REVOKED] = STEP(FREE, HANDOVER_GIVE),
            [CLAIM_GONE] = STEP(FREE, HANDOVER_GIVE),
            [CLAIM_ENDED] = STEP(FREE, HANDOVER_GIVE | HANDOVER_STALE),
            [CLAIM_AGENT_LOST] = STEP(FREE, HANDOVER_GIVE),
        },
};

struct handover handover_next(enum claim_state state, enum claim_event event) {
    CHECK((unsigned)state < CLAIM_STATES && (unsigned)event < CLAIM_EVENTS);
    return table[state][event];
}
