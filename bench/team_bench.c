/* What a team costs to choose, by agents and roles, and how often the answer is proven to be the best one, with the steps
 * that troupe_team_form allows: it is made in a turn, which should be shorter than 1 ms.
 *
 * Fresh agents each time: eight capabilities, each had by two of three; three nodes; every other agent is idle; one pair of
 * three was together before. A role needs one capability, or two. CPU time of the thread. */
#include "bench_figure.h"

#include "coordinate/coordinate.h"

#include <stdio.h>
#include <string.h>

enum { AGENTS_MAX = 1000, STEPS = 100000 };

struct instance {
    struct team_agent agents[AGENTS_MAX];
    struct capability_set roles[TEAM_ROLES_MAX];
    uint8_t together[AGENTS_MAX * AGENTS_MAX];
    struct team_problem problem;
};
static struct instance instance;

static void draw(struct random_stream *random, uint32_t agents, uint32_t roles) {
    memset(instance.roles, 0, sizeof instance.roles);
    for (uint32_t at = 0; at < agents; at++) {
        struct team_agent *one = &instance.agents[at];
        *one = (struct team_agent){.node = (uint32_t)random_below(random, 3)};
        for (unsigned bit = 0; bit < 8; bit++)
            if (random_below(random, 3) != 0)
                capability_set_add(&one->capabilities, bit);
        one->ready_ns = random_below(random, 2) ? random_below(random, 70000000) : 0;
        for (uint32_t other = 0; other < at; other++)
            instance.together[at * agents + other] = instance.together[other * agents + at] =
                random_below(random, 3) == 0;
    }
    for (uint32_t role = 0; role < roles; role++)
        for (unsigned each = 0; each < 2; each++)
            capability_set_add(&instance.roles[role], (unsigned)random_below(random, 8));
    instance.problem = (struct team_problem){.agents = instance.agents,
                                             .roles = instance.roles,
                                             .agent_count = agents,
                                             .role_count = roles,
                                             .together = instance.together,
                                             .away_ns = 5000000,
                                             .stranger_ns = 2000000,
                                             .surplus_ns = 1000000,
                                             .steps = STEPS};
}

int main(int argc, char **argv) {
    unsigned rounds = 51;
    const struct bench_option options[] = {
        {"--rounds", &rounds, 1, 1, BENCH_ROUNDS_MAX, "instances of each size"}};
    static const struct {
        uint32_t agents, roles;
    } sizes[] = {{16, 4}, {64, 4}, {64, 8}, {1000, 4}, {1000, 8}, {64, 32}};
    bench_options("team_bench", argc, argv, options, ARRAY_COUNT(options));
    struct account account = ACCOUNT("bench");
    struct env *env;
    enum troupe_error error = env_os_create(&account, &env);
    if (error != TROUPE_OK)
        bench_fail("team_bench", error, NULL);
    for (size_t size = 0; size < ARRAY_COUNT(sizes); size++) {
        double took_us[BENCH_ROUNDS_MAX], proven = 0;
        for (unsigned round = 0; round < rounds; round++) {
            struct random_stream random;
            struct team_choice choice;
            random_seed(&random, round, size);
            draw(&random, sizes[size].agents, sizes[size].roles);
            uint64_t began_ns = env_thread_cpu(env);
            error = team_choose(&instance.problem, &account, &choice);
            took_us[round] = (double)(env_thread_cpu(env) - began_ns) / 1000;
            if (error != TROUPE_OK)
                bench_fail("team_bench", error, NULL);
            proven += choice.proven;
        }
        char took[64], best[64];
        snprintf(took, sizeof took, "%u roles of %u agents", sizes[size].roles, sizes[size].agents);
        snprintf(best, sizeof best, "%.40s: proven", took);
        double share = 100 * proven / rounds;
        bench_print(&(struct bench_figure){"team", took, "us of CPU", took_us, rounds, BENCH_AT_MOST, 1000});
        bench_print(&(struct bench_figure){"team", best, "%", &share, 1, BENCH_NO_TARGET, 0});
    }
    env_destroy(env);
    return 0;
}
