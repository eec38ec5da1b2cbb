/* team_choose against all teams that there are, on small random instances: the same cost where it says that it is proven,
 * never an invalid team, a refusal when and only when there is no team, and for the reason that is true. What breaks: a
 * run held by agents that cannot do its roles, or a team that waits for a busy agent beside an idle one. */
#include "../base/cmocka_base.h"

#include "coordinate/team.h"

enum { AGENTS_MAX = 7, ROLES_MAX = 5, BITS = 4 };

struct instance {
    struct team_agent agents[64];
    struct capability_set roles[TEAM_ROLES_MAX];
    uint8_t together[64 * 64];
    struct team_problem problem;
};
static struct account account = {.name = "team test"};

static void draw(struct instance *instance, struct random_stream *random, uint32_t agents, uint32_t roles) {
    memset(instance, 0, sizeof *instance);
    bool tight = random_below(random, 2) == 0;
    for (uint32_t at = 0; at < agents; at++) {
        struct team_agent *one = &instance->agents[at];
        for (unsigned bit = 0; bit < BITS; bit++)
            if (random_below(random, tight ? 3 : 2) == 0)
                capability_set_add(&one->capabilities, bit * 70);
        one->ready_ns = random_below(random, 3) ? random_below(random, 1000) : 0;
        one->node = (uint32_t)random_below(random, 3);
        one->held = random_below(random, 5) == 0;
        for (uint32_t other = 0; other < at; other++)
            instance->together[at * agents + other] = instance->together[other * agents + at] =
                (uint8_t)random_below(random, 4);
    }
    for (uint32_t role = 0; role < roles; role++)
        for (unsigned bit = 0; bit < BITS; bit++)
            if (random_below(random, 5) == 0)
                capability_set_add(&instance->roles[role], bit * 70);
    instance->problem = (struct team_problem){.agents = instance->agents,
                                              .roles = instance->roles,
                                              .agent_count = agents,
                                              .role_count = roles,
                                              .together = random_below(random, 2) ? instance->together : NULL,
                                              .away_ns = random_below(random, 500),
                                              .stranger_ns = random_below(random, 300),
                                              .surplus_ns = random_below(random, 50),
                                              .steps = 10000000};
}

/* As team.h says it, from nothing but the problem. */
static uint64_t cost_of(const struct team_problem *problem, const uint32_t *member) {
    uint64_t cost = 0;
    for (uint32_t role = 0; role < problem->role_count; role++) {
        const struct team_agent *one = &problem->agents[member[role]];
        cost += one->ready_ns;
        for (unsigned bit = 0; bit < CAPABILITIES_MAX; bit++)
            if (capability_set_has(&one->capabilities, bit) &&
                !capability_set_has(&problem->roles[role], bit))
                cost += problem->surplus_ns;
        for (uint32_t other = 0; other < role; other++) {
            cost += one->node != problem->agents[member[other]].node ? problem->away_ns : 0;
            unsigned together = problem->together
                                    ? problem->together[member[role] * problem->agent_count + member[other]]
                                    : 0;
            cost += problem->stranger_ns / (1 + together);
        }
    }
    return cost;
}

static uint64_t best_of_all(const struct team_problem *problem, bool with_held, uint32_t *member,
                            uint32_t role) {
    if (role == problem->role_count)
        return cost_of(problem, member);
    uint64_t best = UINT64_MAX;
    for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
        bool taken = problem->agents[agent].held && !with_held;
        for (uint32_t other = 0; other < role; other++)
            taken |= member[other] == agent;
        if (taken || !capability_set_contains(&problem->agents[agent].capabilities, &problem->roles[role]))
            continue;
        member[role] = agent;
        uint64_t cost = best_of_all(problem, with_held, member, role + 1);
        best = cost < best ? cost : best;
    }
    return best;
}

static void check_team(const struct team_problem *problem, const struct team_choice *choice) {
    uint64_t begin_ns = 0;
    for (uint32_t role = 0; role < problem->role_count; role++) {
        assert_true(choice->member[role] < problem->agent_count);
        const struct team_agent *one = &problem->agents[choice->member[role]];
        assert_false(one->held);
        assert_true(capability_set_contains(&one->capabilities, &problem->roles[role]));
        begin_ns = one->ready_ns > begin_ns ? one->ready_ns : begin_ns;
        for (uint32_t other = 0; other < role; other++)
            assert_int_not_equal(choice->member[role], choice->member[other]);
    }
    assert_int_equal(choice->begin_ns, begin_ns);
    assert_int_equal(choice->cost_ns, cost_of(problem, choice->member));
}

static unsigned missing_of(const struct team_problem *problem, uint32_t role, uint32_t agent) {
    unsigned count = 0;
    for (unsigned bit = 0; bit < CAPABILITIES_MAX; bit++)
        count += capability_set_has(&problem->roles[role], bit) &&
                 !capability_set_has(&problem->agents[agent].capabilities, bit);
    return count;
}

static void check_refusal(const struct team_problem *problem, const struct team_choice *choice) {
    uint32_t member[TEAM_ROLES_MAX], capable = 0;
    bool possible = best_of_all(problem, true, member, 0) != UINT64_MAX;
    assert_true(choice->role < problem->role_count);
    unsigned least = UINT32_MAX;
    for (uint32_t agent = 0; agent < problem->agent_count; agent++) {
        unsigned missing = missing_of(problem, choice->role, agent);
        capable += missing == 0;
        least = missing < least ? missing : least;
    }
    assert_int_equal(choice->capable, capable);
    assert_int_equal(choice->verdict == TEAM_HELD, possible);
    if (possible)
        return;
    assert_int_equal(choice->verdict, capable ? TEAM_TOO_FEW : TEAM_INCAPABLE);
    if (capable)
        return;
    assert_int_equal(missing_of(problem, choice->role, choice->nearest), least);
    for (unsigned bit = 0; bit < CAPABILITIES_MAX; bit++)
        assert_int_equal(capability_set_has(&choice->missing, bit),
                         capability_set_has(&problem->roles[choice->role], bit) &&
                             !capability_set_has(&problem->agents[choice->nearest].capabilities, bit));
}

static void small_against_all(void **state) {
    (void)state;
    static struct instance instance;
    unsigned verdicts[TEAM_HELD + 1] = {0};
    for (uint64_t seed = 0; seed < 4000; seed++) {
        struct random_stream random;
        random_seed(&random, seed, 7);
        uint32_t agents = 1 + (uint32_t)random_below(&random, AGENTS_MAX);
        draw(&instance, &random, agents, 1 + (uint32_t)random_below(&random, ROLES_MAX));
        uint32_t member[TEAM_ROLES_MAX];
        uint64_t best = best_of_all(&instance.problem, false, member, 0);
        struct team_choice choice, again;
        assert_int_equal(team_choose(&instance.problem, &account, &choice), TROUPE_OK);
        assert_int_equal(team_choose(&instance.problem, &account, &again), TROUPE_OK);
        assert_memory_equal(choice.member, again.member, sizeof choice.member);
        assert_int_equal(choice.verdict == TEAM_CHOSEN, best != UINT64_MAX);
        verdicts[choice.verdict]++;
        if (choice.verdict != TEAM_CHOSEN) {
            check_refusal(&instance.problem, &choice);
            continue;
        }
        check_team(&instance.problem, &choice);
        assert_true(choice.proven);
        assert_int_equal(choice.cost_ns, best);
        instance.problem.steps = 0; /* without the search: a team too, perhaps a dearer one */
        assert_int_equal(team_choose(&instance.problem, &account, &again), TROUPE_OK);
        check_team(&instance.problem, &again);
        assert_true(again.cost_ns >= best);
        assert_true(!again.proven || again.cost_ns == best);
    }
    for (unsigned verdict = 0; verdict < ARRAY_COUNT(verdicts); verdict++)
        assert_true(verdicts[verdict] > 50); /* each was seen */
    assert_int_equal(account.bytes, 0);
}

/* More roles than the exact search takes, and more steps than it may: still teams, and it is said that nothing is
 * proven. The bound on roles. */
static void large(void **state) {
    (void)state;
    static struct instance instance;
    unsigned cut = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct random_stream random;
        random_seed(&random, seed, 8);
        uint32_t roles = seed % 2 ? TEAM_ROLES_MAX : TEAM_EXACT_ROLES;
        draw(&instance, &random, 64, roles);
        instance.problem.steps = 5000;
        struct team_choice choice;
        assert_int_equal(team_choose(&instance.problem, &account, &choice), TROUPE_OK);
        if (choice.verdict != TEAM_CHOSEN)
            continue;
        check_team(&instance.problem, &choice);
        assert_true(roles == TEAM_EXACT_ROLES || !choice.proven);
        assert_true(choice.steps < 5000 + (TEAM_EXACT_ROLES + 2) * 64);
        cut += roles == TEAM_EXACT_ROLES && !choice.proven;
    }
    assert_true(cut > 0);
    struct team_choice choice;
    instance.problem.role_count = TEAM_ROLES_MAX + 1;
    assert_int_equal(team_choose(&instance.problem, &account, &choice), TROUPE_LIMIT);
    instance.problem.role_count = 0;
    assert_int_equal(team_choose(&instance.problem, &account, &choice), TROUPE_INVALID);
}

/* Times beyond all bounds do not overflow; no agent at all is a refusal; no memory is said. */
static void edges(void **state) {
    (void)state;
    static struct instance instance;
    struct random_stream random;
    random_seed(&random, 1, 9);
    draw(&instance, &random, 64, TEAM_ROLES_MAX);
    memset(instance.roles, 0, sizeof instance.roles);
    for (uint32_t at = 0; at < 64; at++) {
        instance.agents[at].ready_ns = at % 2 ? UINT64_MAX : 0;
        instance.agents[at].held = false;
    }
    instance.problem.away_ns = instance.problem.stranger_ns = instance.problem.surplus_ns = UINT64_MAX;
    struct team_choice choice;
    assert_int_equal(team_choose(&instance.problem, &account, &choice), TROUPE_OK);
    assert_int_equal(choice.verdict, TEAM_CHOSEN);
    assert_true(choice.cost_ns > TEAM_COST_MAX && choice.cost_ns < UINT64_MAX / 2);
    instance.problem.agent_count = 0;
    assert_int_equal(team_choose(&instance.problem, &account, &choice), TROUPE_OK);
    assert_int_equal(choice.verdict, TEAM_INCAPABLE);
    assert_int_equal(choice.nearest, TEAM_NONE);
    memory_fail_after(1);
    assert_int_equal(team_choose(&instance.problem, &account, &choice), TROUPE_NOMEM);
    assert_true(memory_fail_fired());
    memory_fail_after(0);
    assert_int_equal(account.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_against_all), cmocka_unit_test(large),
                                       cmocka_unit_test(edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
