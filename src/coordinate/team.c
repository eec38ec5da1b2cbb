/* Choosing a team: a bipartite matching (Kuhn's augmenting paths) says whether there is one; moves and swaps make it
 * better; branch and bound over the roles, those with the fewest candidates first, proves the best of small ones.
 *
 * The bound of a partial team is its cost and, for each role that is left, the least that an agent which is free and
 * able adds to it: two roles may want the same agent and pairs among those left count nothing, so it never says more
 * than the truth. */
#include "coordinate/team.h"

#include <string.h>

#define COST_NEVER UINT64_MAX

struct search {
    const struct team_problem *problem;
    uint32_t order[TEAM_ROLES_MAX];  /* roles, fewest candidates first */
    uint32_t member[TEAM_ROLES_MAX]; /* of the team at hand, by role */
    uint32_t best[TEAM_ROLES_MAX];
    uint64_t best_cost, steps;
    bool cut;          /* steps were used up */
    uint64_t *alone;   /* [role * agents + agent]; COST_NEVER: not able, or held */
    uint64_t *joined;  /* [depth * agents + agent]: pairs of the agent with those chosen so far */
    uint32_t *role_of; /* by agent: whose it is in the matching or team at hand; TEAM_NONE */
    bool *seen;        /* by agent: on the augmenting path that is looked for */
};

static uint64_t at_most(uint64_t time_ns) {
    return time_ns < TEAM_COST_MAX ? time_ns : TEAM_COST_MAX;
}

static unsigned count_beyond(const struct capability_set *set, const struct capability_set *needed) {
    int count = 0;
    for (unsigned word = 0; word < ARRAY_COUNT(set->bits); word++)
        count += __builtin_popcountll(set->bits[word] & ~needed->bits[word]);
    return (unsigned)count;
}

static uint64_t cost_alone(const struct team_problem *problem, uint32_t role, uint32_t agent) {
    const struct team_agent *one = &problem->agents[agent];
    unsigned surplus = count_beyond(&one->capabilities, &problem->roles[role]);
    uint64_t each = at_most(problem->surplus_ns);
    return at_most(one->ready_ns) + at_most(each * surplus);
}

static uint64_t cost_pair(const struct team_problem *problem, uint32_t a, uint32_t b) {
    uint64_t cost = problem->agents[a].node != problem->agents[b].node ? at_most(problem->away_ns) : 0;
    uint64_t together = problem->together ? problem->together[(size_t)a * problem->agent_count + b] : 0;
    return cost + at_most(problem->stranger_ns) / (1 + together);
}

static uint64_t alone(const struct search *search, uint32_t role, uint32_t agent) {
    return search->alone[(size_t)role * search->problem->agent_count + agent];
}

/* What `agent` in `role` costs beside the other members, but for that of the role `without`. */
static uint64_t cost_in(const struct search *search, uint32_t role, uint32_t agent, uint32_t without) {
    uint64_t cost = alone(search, role, agent);
    if (cost == COST_NEVER)
        return COST_NEVER;
    for (uint32_t other = 0; other < search->problem->role_count; other++)
        if (other != role && other != without)
            cost += cost_pair(search->problem, agent, search->member[other]);
    return cost;
}

static uint64_t cost_whole(const struct search *search) {
    uint64_t cost = 0;
    for (uint32_t role = 0; role < search->problem->role_count; role++) {
        cost += alone(search, role, search->member[role]);
        for (uint32_t other = 0; other < role; other++)
            cost += cost_pair(search->problem, search->member[role], search->member[other]);
    }
    return cost;
}

/* ---- is there a team ---- */

static uint32_t capable_of(const struct search *search, uint32_t role) {
    uint32_t count = 0;
    for (uint32_t agent = 0; agent < search->problem->agent_count; agent++)
        count += alone(search, role, agent) != COST_NEVER;
    return count;
}

/* The cheapest agent first that is not looked at yet: who has one is asked for another. As deep as there are roles. */
static bool augment(struct search *search, uint32_t role) {
    for (;;) {
        uint32_t cheapest = TEAM_NONE;
        for (uint32_t agent = 0; agent < search->problem->agent_count; agent++)
            if (!search->seen[agent] && alone(search, role, agent) != COST_NEVER &&
                (cheapest == TEAM_NONE || alone(search, role, agent) < alone(search, role, cheapest)))
                cheapest = agent;
        if (cheapest == TEAM_NONE)
            return false;
        search->seen[cheapest] = true;
        uint32_t holder = search->role_of[cheapest];
        if (holder == TEAM_NONE || augment(search, holder)) {
            search->role_of[cheapest] = role;
            search->member[role] = cheapest;
            return true;
        }
    }
}

/* The role that cannot be filled, or TEAM_NONE. */
static uint32_t match(struct search *search) {
    const struct team_problem *problem = search->problem;
    for (uint32_t agent = 0; agent < problem->agent_count; agent++)
        search->role_of[agent] = TEAM_NONE;
    for (uint32_t at = 0; at < problem->role_count; at++) {
        memset(search->seen, 0, problem->agent_count * sizeof *search->seen);
        if (!augment(search, search->order[at]))
            return search->order[at];
    }
    return TEAM_NONE;
}

/* Who could be in which role, with those that other teams hold or without; roles by how many that are. */
static void fill(struct search *search, bool with_held) {
    const struct team_problem *problem = search->problem;
    uint32_t capable[TEAM_ROLES_MAX];
    for (uint32_t role = 0; role < problem->role_count; role++) {
        for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
            const struct team_agent *one = &problem->agents[agent];
            bool able = (with_held || !one->held) &&
                        capability_set_contains(&one->capabilities, &problem->roles[role]);
            search->alone[(size_t)role * problem->agent_count + agent] =
                able ? cost_alone(problem, role, agent) : COST_NEVER;
        }
        capable[role] = capable_of(search, role);
        uint32_t at = role;
        for (; at > 0 && capable[search->order[at - 1]] > capable[role]; at--)
            search->order[at] = search->order[at - 1];
        search->order[at] = role;
    }
}

static void refuse(struct search *search, struct team_choice *choice) {
    const struct team_problem *problem = search->problem;
    fill(search, true);
    uint32_t role = match(search);
    if (role == TEAM_NONE) {
        choice->verdict = TEAM_HELD;
        choice->capable = capable_of(search, choice->role);
        return;
    }
    choice->role = role;
    choice->capable = capable_of(search, role);
    choice->verdict = choice->capable > 0 ? TEAM_TOO_FEW : TEAM_INCAPABLE;
    unsigned least = UINT32_MAX;
    for (uint32_t agent = 0; agent < problem->agent_count && choice->verdict == TEAM_INCAPABLE; agent++) {
        unsigned lacks = count_beyond(&problem->roles[role], &problem->agents[agent].capabilities);
        if (lacks < least) {
            least = lacks;
            choice->nearest = agent;
        }
    }
    if (choice->verdict != TEAM_INCAPABLE)
        return;
    choice->missing = problem->roles[role];
    for (unsigned word = 0; word < ARRAY_COUNT(choice->missing.bits) && choice->nearest != TEAM_NONE; word++)
        choice->missing.bits[word] &= ~problem->agents[choice->nearest].capabilities.bits[word];
}

/* ---- a better one ---- */

/* The first member for whom another agent, not in the team, costs less. */
static bool move_one(struct search *search) {
    const struct team_problem *problem = search->problem;
    for (uint32_t role = 0; role < problem->role_count; role++) {
        uint32_t now = search->member[role], cheapest = now;
        uint64_t least = cost_in(search, role, now, role);
        for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
            if (search->role_of[agent] != TEAM_NONE)
                continue;
            uint64_t cost = cost_in(search, role, agent, role);
            if (cost < least) {
                least = cost;
                cheapest = agent;
            }
        }
        if (cheapest == now)
            continue;
        search->role_of[now] = TEAM_NONE;
        search->role_of[cheapest] = role;
        search->member[role] = cheapest;
        return true;
    }
    return false;
}

/* The first two that cost less in each other's role. Pairs stay as they are, so only what each costs alone counts. */
static bool swap_two(struct search *search) {
    for (uint32_t a = 1; a < search->problem->role_count; a++)
        for (uint32_t b = 0; b < a; b++) {
            uint32_t in_a = search->member[a], in_b = search->member[b];
            if (alone(search, a, in_b) == COST_NEVER || alone(search, b, in_a) == COST_NEVER ||
                alone(search, a, in_b) + alone(search, b, in_a) >=
                    alone(search, a, in_a) + alone(search, b, in_b))
                continue;
            search->member[a] = in_b;
            search->member[b] = in_a;
            search->role_of[in_b] = a;
            search->role_of[in_a] = b;
            return true;
        }
    return false;
}

/* Each change makes the cost less, so it ends; the bound is for costs that fall by a ns at a time. */
static void improve(struct search *search) {
    for (unsigned changes = 0; changes < 64 * TEAM_ROLES_MAX; changes++)
        if (!swap_two(search) && !move_one(search))
            break;
    memcpy(search->best, search->member, sizeof search->best);
    search->best_cost = cost_whole(search);
}

/* ---- the best one ---- */

/* The least that the roles from `depth` on add; COST_NEVER: one of them has nobody. */
static uint64_t least_rest(struct search *search, uint32_t depth) {
    const struct team_problem *problem = search->problem;
    const uint64_t *joined = search->joined + (size_t)depth * problem->agent_count;
    uint64_t rest = 0;
    for (uint32_t at = depth; at < problem->role_count; at++) {
        uint64_t least = COST_NEVER;
        for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
            uint64_t cost = alone(search, search->order[at], agent);
            if (search->role_of[agent] == TEAM_NONE && cost != COST_NEVER && cost + joined[agent] < least)
                least = cost + joined[agent];
        }
        search->steps += problem->agent_count;
        if (least == COST_NEVER)
            return COST_NEVER;
        rest += least;
    }
    return rest;
}

/* As deep as TEAM_EXACT_ROLES. */
static void branch(struct search *search, uint32_t depth, uint64_t cost) {
    const struct team_problem *problem = search->problem;
    if (depth == problem->role_count) {
        if (cost < search->best_cost) {
            search->best_cost = cost;
            memcpy(search->best, search->member, sizeof search->best);
        }
        return;
    }
    uint64_t rest = least_rest(search, depth);
    if (rest == COST_NEVER || cost + rest >= search->best_cost)
        return;
    uint32_t role = search->order[depth];
    const uint64_t *joined = search->joined + (size_t)depth * problem->agent_count;
    uint64_t *joined_next = search->joined + (size_t)(depth + 1) * problem->agent_count;
    for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
        uint64_t here = alone(search, role, agent);
        if (search->role_of[agent] != TEAM_NONE || here == COST_NEVER ||
            cost + here + joined[agent] >= search->best_cost)
            continue;
        if (search->steps >= problem->steps) {
            search->cut = true;
            return;
        }
        search->role_of[agent] = role;
        search->member[role] = agent;
        for (uint32_t other = 0; other < problem->agent_count; other++)
            joined_next[other] = joined[other] + cost_pair(problem, agent, other);
        search->steps += problem->agent_count;
        branch(search, depth + 1, cost + here + joined[agent]);
        search->role_of[agent] = TEAM_NONE;
    }
}

static void prove(struct search *search) {
    if (search->problem->role_count > TEAM_EXACT_ROLES) {
        search->cut = true;
        return;
    }
    for (uint32_t agent = 0; agent < search->problem->agent_count; agent++)
        search->role_of[agent] = TEAM_NONE;
    branch(search, 0, 0);
}

static void choose(struct search *search, struct team_choice *choice) {
    const struct team_problem *problem = search->problem;
    fill(search, false);
    choice->role = match(search);
    if (choice->role != TEAM_NONE) {
        refuse(search, choice);
        return;
    }
    improve(search);
    prove(search);
    choice->verdict = TEAM_CHOSEN;
    choice->cost_ns = search->best_cost;
    choice->proven = !search->cut;
    choice->steps = search->steps;
    memcpy(choice->member, search->best, problem->role_count * sizeof *choice->member);
    for (uint32_t role = 0; role < problem->role_count; role++) {
        uint64_t ready_ns = problem->agents[search->best[role]].ready_ns;
        choice->begin_ns = ready_ns > choice->begin_ns ? ready_ns : choice->begin_ns;
    }
}

enum troupe_error team_choose(const struct team_problem *problem, struct account *account,
                              struct team_choice *ret_choice) {
    if (problem->role_count == 0)
        return TROUPE_INVALID;
    if (problem->role_count > TEAM_ROLES_MAX)
        return TROUPE_LIMIT;
    size_t agents = problem->agent_count;
    size_t rows = problem->role_count + TEAM_EXACT_ROLES + 1;
    size_t each = rows * sizeof(uint64_t) + sizeof(uint32_t) + sizeof(bool);
    char *block = memory_alloc(account, agents * each + 1); /* no agent needs a block too */
    if (!block)
        return TROUPE_NOMEM;
    struct search search = {.problem = problem, .best_cost = COST_NEVER};
    search.alone = (uint64_t *)(void *)block;
    search.joined = search.alone + problem->role_count * agents;
    search.role_of = (uint32_t *)(void *)(search.joined + (TEAM_EXACT_ROLES + 1) * agents);
    search.seen = (bool *)(void *)(search.role_of + agents);
    struct team_choice choice = {.role = TEAM_NONE, .nearest = TEAM_NONE};
    for (uint32_t role = 0; role < TEAM_ROLES_MAX; role++)
        choice.member[role] = TEAM_NONE;
    choose(&search, &choice);
    memory_free(account, block);
    *ret_choice = choice;
    return TROUPE_OK;
}
