/* libtroupe's teams: candidates are the rows of a namespace, the choice is coordinate/team.c's, what is held and the
 * channels are coordinate/teams.c's.
 *
 * Threads: the turn's. Memory: of the candidates, given back in the call. */
#include "api/api_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL_LEN 64
#define CHANNEL_BYTES ((size_t)1 << 20)
#define LOAD_NS 10000000
#define AWAY_NS 5000000
#define SURPLUS_NS 1000000
#define STRANGER_NS 2000000
#define STEPS 100000 /* a turn should take 1 ms at most: bench/team_bench.c */

struct casting { /* a choice among the rows of a namespace */
    struct troupe *troupe;
    const struct troupe_team_spec *spec;
    char *problem;
    const struct registry_row *rows[TROUPE_FIND_MAX];
    struct team_agent agents[TROUPE_FIND_MAX];
    uint32_t count;
    struct capability_set roles[TEAM_ROLES_MAX];
    struct team_choice choice;
    struct team_pair pairs[TEAMS_PAIRS];
    uint8_t *together; /* [a * count + b] */
};

static __attribute__((format(printf, 3, 4))) enum troupe_status say(const struct casting *casting,
                                                                    enum troupe_status status,
                                                                    const char *format, ...) {
    if (casting->problem != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(casting->problem, TROUPE_PROBLEM_MAX, format, arguments);
        va_end(arguments);
    }
    return status;
}

static bool all_zero(const struct troupe_team_spec *spec) {
    return (spec->load_ns | spec->away_ns | spec->surplus_ns | spec->stranger_ns) == 0;
}

static int by_actor(const void *a, const void *b) {
    const struct registry_row *const *one = a, *const *other = b;
    return ((*one)->actor > (*other)->actor) - ((*one)->actor < (*other)->actor);
}

/* One more; an actor with several names is one agent that can do what any of them says. */
static void add_candidate(struct casting *casting, const struct registry_row *row, uint64_t load_ns) {
    struct registry_view view;
    registry_row_view(casting->troupe->registry, row, &view);
    struct team_agent agent = {.capabilities = *view.capabilities,
                               .ready_ns = load_ns < TEAM_COST_MAX ? load_ns * view.load : TEAM_COST_MAX,
                               .node = view.node,
                               .held = teams_held(casting->troupe->teams, row->actor)};
    uint32_t at = casting->count;
    if (at > 0 && casting->rows[at - 1]->actor == row->actor) {
        struct team_agent *same = &casting->agents[at - 1];
        for (unsigned word = 0; word < ARRAY_COUNT(agent.capabilities.bits); word++) {
            same->capabilities.bits[word] |= agent.capabilities.bits[word];
        }
        same->ready_ns = agent.ready_ns > same->ready_ns ? agent.ready_ns : same->ready_ns;
        return;
    }
    casting->rows[at] = row;
    casting->agents[at] = agent;
    casting->count++;
}

/* Those that could be members, whoever holds them, in the order in which they were spawned: the index has another one in
 * each process. The holder itself is not one. */
static void find_candidates(struct casting *casting, troupe_actor holder) {
    struct runtime *runtime = casting->troupe->runtime;
    const struct troupe_team_spec *spec = casting->spec;
    struct capability_set any = {{0}};
    uint64_t load_ns = all_zero(spec) ? LOAD_NS : spec->load_ns;
    size_t found = registry_find(casting->troupe->registry, spec->name_space, &any, casting->rows,
                                 ARRAY_COUNT(casting->rows));
    teams_sweep(casting->troupe->teams);
    qsort(casting->rows, found, sizeof *casting->rows, by_actor);
    for (size_t at = 0; at < found; at++) {
        if (casting->rows[at]->actor != holder && actor_alive(runtime, casting->rows[at]->actor)) {
            add_candidate(casting, casting->rows[at], load_ns);
        }
    }
}

/* Candidates are sorted. TEAM_NONE: it is not one. */
static uint32_t number_of_actor(const struct casting *casting, troupe_actor actor) {
    uint32_t low = 0, high = casting->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (casting->rows[middle]->actor < actor) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < casting->count && casting->rows[low]->actor == actor ? low : TEAM_NONE;
}

static bool know_pairs(struct casting *casting) {
    uint32_t pairs = teams_pairs(casting->troupe->teams, casting->pairs);
    casting->together = memory_alloc(&casting->troupe->account, (size_t)casting->count * casting->count + 1);
    if (casting->together == NULL) {
        return false;
    }
    for (uint32_t at = 0; at < pairs; at++) {
        const struct team_pair *pair = &casting->pairs[at];
        uint32_t a = number_of_actor(casting, pair->a), b = number_of_actor(casting, pair->b);
        if (a != TEAM_NONE && b != TEAM_NONE) {
            casting->together[(size_t)a * casting->count + b] =
                casting->together[(size_t)b * casting->count + a] = (uint8_t)pair->together;
        }
    }
    return true;
}

static enum troupe_status say_refused(const struct casting *casting, unsigned role) {
    const struct team_choice *choice = &casting->choice;
    if (choice->verdict == TEAM_HELD) {
        return say(casting, TROUPE_STATUS_FULL,
                   "role %u: %u can do it, and other teams hold too many of them", role, choice->capable);
    }
    if (choice->verdict == TEAM_TOO_FEW) {
        return say(casting, TROUPE_STATUS_FULL, "role %u: %u can do it, too few for all roles at once", role,
                   choice->capable);
    }
    if (choice->nearest == TEAM_NONE) {
        return say(casting, TROUPE_STATUS_NOT_FOUND, "role %u: nobody is in namespace '%.60s'", role,
                   casting->spec->name_space);
    }
    const struct registry_row *nearest = casting->rows[choice->nearest];
    char missing[64] = "";
    size_t used = 0;
    for (unsigned bit = 0; bit < CAPABILITIES_MAX && used + 5 < sizeof missing; bit++) {
        if (capability_set_has(&choice->missing, bit)) {
            used += (size_t)snprintf(missing + used, sizeof missing - used, " %u", bit);
        }
    }
    return say(casting, TROUPE_STATUS_NOT_FOUND,
               "role %u: nobody can do it; the nearest, '%.*s', lacks capabilities%s", role,
               registry_row_name_length(nearest), nearest->name, missing);
}

/* One agent for each of the roles from `first` on, `count` of them. */
static enum troupe_status cast(struct casting *casting, troupe_actor holder, unsigned first, unsigned count) {
    const struct troupe_team_spec *spec = casting->spec;
    bool defaults = all_zero(spec);
    memcpy(casting->roles, spec->roles + first, count * sizeof *casting->roles);
    find_candidates(casting, holder);
    if (!know_pairs(casting)) {
        return say(casting, TROUPE_STATUS_NO_MEMORY, "out of memory");
    }
    struct team_problem problem = {.agents = casting->agents,
                                   .roles = casting->roles,
                                   .agent_count = casting->count,
                                   .role_count = count,
                                   .away_ns = defaults ? AWAY_NS : spec->away_ns,
                                   .together = casting->together,
                                   .stranger_ns = defaults ? STRANGER_NS : spec->stranger_ns,
                                   .surplus_ns = defaults ? SURPLUS_NS : spec->surplus_ns,
                                   .steps = STEPS};
    enum troupe_error error = team_choose(&problem, &casting->troupe->account, &casting->choice);
    memory_free(&casting->troupe->account, casting->together);
    if (error != TROUPE_OK) {
        return say(casting, api_status(error), "%s", error_text(error));
    }
    return casting->choice.verdict == TEAM_CHOSEN ? TROUPE_STATUS_OK
                                                  : say_refused(casting, first + casting->choice.role);
}

static troupe_actor chosen(const struct casting *casting, unsigned role) {
    return casting->rows[casting->choice.member[role]]->actor;
}

static enum troupe_status form(struct casting *casting, struct troupe_turn *turn, troupe_team *ret_team) {
    const struct troupe_team_spec *spec = casting->spec;
    enum troupe_status status = cast(casting, turn->turn->self, 0, spec->role_count);
    if (status != TROUPE_STATUS_OK) {
        return status;
    }
    actor_ref members[TEAM_ROLES_MAX];
    for (unsigned role = 0; role < spec->role_count; role++) {
        members[role] = chosen(casting, role);
    }
    struct team_terms terms = {.holder = turn->turn->self,
                               .members = members,
                               .member_count = spec->role_count,
                               .token = spec->token,
                               .channel_len = spec->channel_len != 0 ? spec->channel_len : CHANNEL_LEN,
                               .channel_bytes =
                                   spec->channel_bytes != 0 ? spec->channel_bytes : CHANNEL_BYTES};
    enum troupe_error error = teams_form(turn->troupe->teams, &terms, ret_team);
    if (error == TROUPE_EXISTS) { /* another holder was faster */
        return say(casting, TROUPE_STATUS_FULL, "another team took one of the agents meanwhile");
    }
    return error == TROUPE_OK ? TROUPE_STATUS_OK : say(casting, api_status(error), "%s", error_text(error));
}

static enum troupe_status casting_new(struct troupe *troupe, const struct troupe_team_spec *spec,
                                      char *problem, struct casting **ret_casting) {
    struct casting none = {.problem = problem};
    if (spec->role_count == 0 || spec->role_count > TEAM_ROLES_MAX) {
        return say(&none, TROUPE_STATUS_INVALID, "role_count: expected 1 to %d, found %u", TEAM_ROLES_MAX,
                   spec->role_count);
    }
    struct casting *casting = memory_alloc(&troupe->account, sizeof *casting);
    if (casting == NULL) {
        return say(&none, TROUPE_STATUS_NO_MEMORY, "out of memory");
    }
    casting->troupe = troupe;
    casting->spec = spec;
    casting->problem = problem;
    *ret_casting = casting;
    return TROUPE_STATUS_OK;
}

enum troupe_status troupe_team_form(struct troupe_turn *turn, const struct troupe_team_spec *spec,
                                    troupe_team *ret_team, char *ret_problem) {
    struct casting *casting;
    enum troupe_status status = casting_new(turn->troupe, spec, ret_problem, &casting);
    if (status == TROUPE_STATUS_OK) {
        status = form(casting, turn, ret_team);
        memory_free(&turn->troupe->account, casting);
    }
    return status;
}

enum troupe_status troupe_team_replace(struct troupe_turn *turn, troupe_team team, unsigned role,
                                       const struct troupe_team_spec *spec, char *ret_problem) {
    struct casting *casting;
    uint32_t members;
    actor_ref holder = teams_holder(turn->troupe->teams, team, &members);
    enum troupe_status status = casting_new(turn->troupe, spec, ret_problem, &casting);
    if (status != TROUPE_STATUS_OK) {
        return status;
    }
    if (holder == 0) {
        status = say(casting, TROUPE_STATUS_NOT_FOUND, "the team is over");
    } else if (holder != turn->turn->self || role >= members || role >= spec->role_count) {
        status = say(casting, TROUPE_STATUS_INVALID, "role %u: not of a team that this actor holds", role);
    } else {
        status = cast(casting, holder, role, 1);
    }
    if (status == TROUPE_STATUS_OK) {
        enum troupe_error error = teams_replace(turn->troupe->teams, team, role, chosen(casting, 0));
        status = error == TROUPE_EXISTS ? TROUPE_STATUS_FULL : api_status(error);
    }
    memory_free(&turn->troupe->account, casting);
    return status;
}

enum troupe_status troupe_team_release(struct troupe_turn *turn, troupe_team team) {
    uint32_t members;
    actor_ref holder = teams_holder(turn->troupe->teams, team, &members);
    if (holder != 0 && holder != turn->turn->self) {
        return TROUPE_STATUS_INVALID;
    }
    return api_status(teams_release(turn->troupe->teams, team));
}

troupe_actor troupe_team_member(struct troupe *troupe, troupe_team team, unsigned role) {
    return teams_member(troupe->teams, team, role);
}

/* The holder's number in its team's channels is that of the members. */
static uint32_t number_of(struct troupe *troupe, troupe_team team, unsigned role) {
    uint32_t members;
    teams_holder(troupe->teams, team, &members);
    return role == TROUPE_TEAM_HOLDER ? members : role >= members ? UINT32_MAX : role;
}

uint64_t troupe_team_unread(struct troupe *troupe, troupe_team team, unsigned from, unsigned to) {
    return teams_unread(troupe->teams, team, number_of(troupe, team, from), number_of(troupe, team, to));
}

enum troupe_status troupe_team_send(struct troupe_turn *turn, troupe_team team, unsigned to,
                                    const void *bytes, size_t length) {
    return api_status(
        teams_send(turn->troupe->teams, turn->turn, team, number_of(turn->troupe, team, to), bytes, length));
}

const struct troupe_team_message *api_team_message(const struct message *message,
                                                   struct troupe_team_message *to) {
    const struct message_team *sent = MESSAGE_PAYLOAD(message, const struct message_team);
    team_message_taken(message);
    *to = (struct troupe_team_message){.team = sent->team,
                                       .from = sent->from == sent->members ? TROUPE_TEAM_HOLDER : sent->from,
                                       .to = sent->to == sent->members ? TROUPE_TEAM_HOLDER : sent->to,
                                       .sequence = sent->sequence,
                                       .epoch = sent->epoch,
                                       .bytes = sent->bytes,
                                       .length = sent->length};
    return to;
}
