/* team: which agents make up a team: one for each role, no agent twice. A pure function of the problem.
 *
 * The cost of a team is a time, in ns, the lower the better; of equal ones the first found counts, so that the same
 * problem has the same answer:
 *   each member   what it has to end first (ready_ns), and surplus_ns for each capability that its role does not
 *                 need: who can do much is kept for those who need it
 *   each pair     away_ns when they are on different nodes; stranger_ns / (1 + runs that they did together)
 *
 * A matching decides whether there is a team at all. The search begins with it, moved and swapped until no one
 * move or swap makes it better. Then, for up to TEAM_EXACT_ROLES roles, all other teams are looked at, those left out
 * whose cost so far and least rest cannot be less (branch and bound), within `steps`.
 *
 * Threads: any. Memory: the account's, given back in the call. */
#ifndef COORDINATE_TEAM_H
#define COORDINATE_TEAM_H

#include "task/task.h"

#define TEAM_ROLES_MAX 32
#define TEAM_EXACT_ROLES 8
#define TEAM_NONE UINT32_MAX
#define TEAM_COST_MAX (UINT64_C(1) << 52) /* what a larger time counts as, so that no sum overflows */

struct team_agent {
    struct capability_set capabilities;
    uint64_t ready_ns; /* from now, until what it has is done */
    uint32_t node;
    bool held; /* by another team */
};
struct team_problem {
    const struct team_agent *agents;
    const struct capability_set *roles; /* what each needs */
    uint32_t agent_count, role_count;
    const uint8_t
        *together; /* runs that two agents did together, [a * agent_count + b], as [b, a]; NULL: none */
    uint64_t away_ns, stranger_ns, surplus_ns;
    uint64_t
        steps; /* of the search, some ns each; 0: the first team that cannot be made better by one change */
};
enum team_verdict {
    TEAM_CHOSEN,
    TEAM_INCAPABLE, /* no agent, held or not, has what a role needs */
    TEAM_TOO_FEW,   /* each role has somebody, but they are not enough for all of them at once */
    TEAM_HELD       /* there would be a team if none of the agents was held by another one */
};
struct team_choice {
    enum team_verdict verdict;
    uint32_t member[TEAM_ROLES_MAX]; /* CHOSEN: by role */
    uint64_t cost_ns;
    uint64_t begin_ns; /* when the last of them has ended what it has */
    bool proven;       /* no other team costs less; else the search was left when its steps were used up */
    uint64_t steps;    /* that were used */
    /* refused */
    uint32_t role;    /* that could not be filled */
    uint32_t capable; /* agents that could fill it, held ones and those of other roles included */
    uint32_t nearest; /* INCAPABLE: the agent that lacks least; else TEAM_NONE */
    struct capability_set missing; /* INCAPABLE: what the nearest one lacks */
};
/* INVALID: no role. LIMIT: more than TEAM_ROLES_MAX. NOMEM. A refusal is a verdict, not an error. */
MUST_CHECK enum troupe_error team_choose(const struct team_problem *problem, struct account *account,
                                         struct team_choice *ret_choice);

#endif
