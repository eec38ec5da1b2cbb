/* Teams in a table of slots, their members in one sorted array, so that "is it held" is a binary search. A sequence number is
 * given before the message is sent and taken back when it is refused: nobody else sends on that channel meanwhile, since
 * its sender is in a turn.
 *
 * References of a team: the table's, and one for each message on its way, whose destructor gives its share of the
 * channel back wherever it ends. */
#include "coordinate/teams.h"

#include <string.h>

struct channel {
    uint64_t sequence, taken; /* last sent; last taken */
    uint64_t bytes;
    uint32_t count, epoch;
};

struct held_team {
    struct teams *teams;
    team_ref ref;
    uint64_t token, channel_bytes;
    uint32_t channel_len, members, epoch;
    uint32_t references;
    actor_ref party[TEAM_ROLES_MAX + 1]; /* members, then the holder */
    struct channel channels[];           /* [from * (members + 1) + to] */
};

struct teams {
    struct runtime *runtime;
    struct account *account;
    struct spin lock; /* of all below */
    struct held_team *slots[TEAMS_MAX];
    uint32_t generations[TEAMS_MAX];
    uint32_t held_count;
    actor_ref held[TEAMS_HELD_MAX]; /* sorted */
    struct team_pair pairs[TEAMS_PAIRS];
};

/* ---- who is held; under the lock ---- */

static uint32_t held_place(const struct teams *teams, actor_ref actor) {
    uint32_t low = 0, high = teams->held_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (teams->held[middle] < actor)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_held(const struct teams *teams, actor_ref actor) {
    uint32_t at = held_place(teams, actor);
    return at < teams->held_count && teams->held[at] == actor;
}

static enum troupe_error hold(struct teams *teams, actor_ref actor) {
    uint32_t at = held_place(teams, actor);
    if (at < teams->held_count && teams->held[at] == actor)
        return TROUPE_EXISTS;
    if (teams->held_count == TEAMS_HELD_MAX)
        return TROUPE_LIMIT;
    memmove(&teams->held[at + 1], &teams->held[at], (teams->held_count - at) * sizeof *teams->held);
    teams->held[at] = actor;
    teams->held_count++;
    return TROUPE_OK;
}

static void let_go(struct teams *teams, actor_ref actor) {
    uint32_t at = held_place(teams, actor);
    CHECK(at < teams->held_count && teams->held[at] == actor);
    teams->held_count--;
    memmove(&teams->held[at], &teams->held[at + 1], (teams->held_count - at) * sizeof *teams->held);
}

static struct held_team *find(const struct teams *teams, team_ref ref) {
    uint32_t slot = (uint32_t)ref;
    struct held_team *team = slot < TEAMS_MAX ? teams->slots[slot] : NULL;
    return team && team->ref == ref ? team : NULL;
}

static struct channel *channel_of(struct held_team *team, uint32_t from, uint32_t to) {
    return &team->channels[(size_t)from * (team->members + 1) + to];
}

/* ---- a team's memory ---- */

static void drop(struct held_team *team) {
    struct teams *teams = team->teams;
    spin_lock(&teams->lock);
    CHECK(team->references > 0);
    bool last = --team->references == 0;
    spin_unlock(&teams->lock);
    if (last)
        memory_free(teams->account, team);
}

static void message_destroy_team(struct message *message) {
    const struct message_team *sent = MESSAGE_PAYLOAD(message, const struct message_team);
    struct held_team *team = sent->owner;
    if (!team)
        return;
    spin_lock(&team->teams->lock);
    struct channel *channel = channel_of(team, sent->from, sent->to);
    CHECK(channel->count > 0 && channel->bytes >= sent->length);
    channel->count--;
    channel->bytes -= sent->length;
    spin_unlock(&team->teams->lock);
    drop(team);
}

enum troupe_error teams_create(struct runtime *runtime, struct account *account, struct teams **ret_teams) {
    struct teams *teams = memory_alloc(account, sizeof *teams);
    if (!teams)
        return TROUPE_NOMEM;
    teams->runtime = runtime;
    teams->account = account;
    message_set_destructor(MESSAGE_TEAM_MESSAGE, message_destroy_team);
    *ret_teams = teams;
    return TROUPE_OK;
}

void teams_free(struct teams *teams) {
    if (!teams)
        return;
    for (uint32_t slot = 0; slot < TEAMS_MAX; slot++)
        if (teams->slots[slot])
            drop(teams->slots[slot]);
    memory_free(teams->account, teams);
}

/* ---- formed and released ---- */

/* Under the lock. Its slot is free, its members too; the table's reference is the caller's to drop. */
static void end(struct teams *teams, struct held_team *team) {
    uint32_t slot = (uint32_t)team->ref;
    for (uint32_t role = 0; role < team->members; role++)
        let_go(teams, team->party[role]);
    teams->slots[slot] = NULL;
}

static void unwatch(struct teams *teams, const struct held_team *team) {
    for (uint32_t role = 0; role < team->members; role++)
        actor_unwatch(teams->runtime, team->party[team->members], team->party[role], team->token);
}

void teams_sweep(struct teams *teams) {
    for (uint32_t slot = 0; slot < TEAMS_MAX; slot++) {
        spin_lock(&teams->lock);
        struct held_team *team = teams->slots[slot];
        bool over = team && !actor_alive(teams->runtime, team->party[team->members]);
        if (over)
            end(teams, team);
        spin_unlock(&teams->lock);
        if (over)
            drop(team);
    }
}

/* Under the lock. */
static enum troupe_error take_place(struct teams *teams, struct held_team *team) {
    uint32_t slot = 0;
    while (slot < TEAMS_MAX && teams->slots[slot])
        slot++;
    if (slot == TEAMS_MAX)
        return TROUPE_LIMIT;
    for (uint32_t role = 0; role < team->members; role++) {
        enum troupe_error error =
            team->party[role] == team->party[team->members] ? TROUPE_EXISTS : hold(teams, team->party[role]);
        if (!error)
            continue;
        while (role > 0)
            let_go(teams, team->party[--role]);
        return error;
    }
    team->ref = (uint64_t)++teams->generations[slot] << 32 | slot;
    team->references = 1;
    teams->slots[slot] = team;
    return TROUPE_OK;
}

/* Under the lock. */
static void remember(struct teams *teams, const struct held_team *team) {
    for (uint32_t role = 1; role < team->members; role++)
        for (uint32_t other = 0; other < role; other++) {
            actor_ref a = team->party[role], b = team->party[other];
            struct team_pair pair = {.a = a < b ? a : b, .b = a < b ? b : a};
            uint64_t hash = (pair.a * UINT64_C(0x9E3779B97F4A7C15) ^ pair.b) * UINT64_C(0xC2B2AE3D27D4EB4F);
            struct team_pair *place = &teams->pairs[(hash >> 32) % TEAMS_PAIRS];
            if (place->a != pair.a || place->b != pair.b)
                *place = pair;
            place->together += place->together < UINT8_MAX;
        }
}

static enum troupe_error release(struct teams *teams, team_ref ref, bool worked) {
    spin_lock(&teams->lock);
    struct held_team *team = find(teams, ref);
    if (team && worked)
        remember(teams, team);
    if (team)
        end(teams, team);
    spin_unlock(&teams->lock);
    if (!team)
        return TROUPE_NOT_FOUND;
    unwatch(teams, team);
    drop(team);
    return TROUPE_OK;
}

enum troupe_error teams_form(struct teams *teams, const struct team_terms *terms, team_ref *ret_team) {
    if (terms->member_count == 0)
        return TROUPE_INVALID;
    if (terms->member_count > TEAM_ROLES_MAX)
        return TROUPE_LIMIT;
    if (!actor_alive(teams->runtime, terms->holder))
        return TROUPE_DEAD;
    teams_sweep(teams);
    size_t parties = terms->member_count + 1;
    struct held_team *team =
        memory_alloc(teams->account, sizeof *team + parties * parties * sizeof(struct channel));
    if (!team)
        return TROUPE_NOMEM;
    team->teams = teams;
    team->token = terms->token;
    team->channel_len = terms->channel_len;
    team->channel_bytes = terms->channel_bytes;
    team->members = terms->member_count;
    memcpy(team->party, terms->members, terms->member_count * sizeof *team->party);
    team->party[team->members] = terms->holder;
    spin_lock(&teams->lock);
    enum troupe_error error = take_place(teams, team);
    spin_unlock(&teams->lock);
    if (error) {
        memory_free(teams->account, team);
        return error;
    }
    team_ref ref = team->ref;
    for (uint32_t role = 0; role < terms->member_count && !error; role++)
        error = actor_watch(teams->runtime, terms->holder, terms->members[role], terms->token);
    if (error) {
        IGNORE(release(teams, ref, false), "nobody else knows it");
        return error;
    }
    *ret_team = ref;
    return TROUPE_OK;
}

enum troupe_error teams_release(struct teams *teams, team_ref ref) {
    return release(teams, ref, true);
}

/* Under the lock; `role` is one of its members. */
static void renew_channels(struct held_team *team, uint32_t role) {
    team->epoch++;
    for (uint32_t other = 0; other <= team->members; other++)
        for (unsigned way = 0; way < 2; way++) {
            struct channel *channel = way ? channel_of(team, role, other) : channel_of(team, other, role);
            channel->epoch = team->epoch;
            channel->sequence = channel->taken = 0; /* what is on its way still counts against the bound */
        }
}

enum troupe_error teams_replace(struct teams *teams, team_ref ref, uint32_t role, actor_ref member) {
    spin_lock(&teams->lock);
    struct held_team *team = find(teams, ref);
    actor_ref holder = team ? team->party[team->members] : 0, before = 0;
    uint64_t token = team ? team->token : 0;
    enum troupe_error error = !team                                 ? TROUPE_NOT_FOUND
                              : role >= team->members               ? TROUPE_INVALID
                              : teams->held_count == TEAMS_HELD_MAX ? TROUPE_LIMIT
                              : member == holder                    ? TROUPE_EXISTS
                                                                    : hold(teams, member);
    spin_unlock(&teams->lock);
    if (error)
        return error;
    error = actor_watch(teams->runtime, holder, member, token);
    spin_lock(&teams->lock);
    team = find(teams, ref);
    if (!error && !team)
        error = TROUPE_NOT_FOUND; /* released meanwhile */
    if (error) {
        let_go(teams, member);
    } else {
        before = team->party[role];
        let_go(teams, before);
        team->party[role] = member;
        renew_channels(team, role);
    }
    spin_unlock(&teams->lock);
    actor_unwatch(teams->runtime, holder, error ? member : before, token);
    return error;
}

/* ---- read ---- */

uint32_t teams_pairs(struct teams *teams, struct team_pair ret_pairs[TEAMS_PAIRS]) {
    uint32_t count = 0;
    spin_lock(&teams->lock);
    for (uint32_t at = 0; at < TEAMS_PAIRS; at++)
        if (teams->pairs[at].together > 0)
            ret_pairs[count++] = teams->pairs[at];
    spin_unlock(&teams->lock);
    return count;
}

bool teams_held(struct teams *teams, actor_ref actor) {
    spin_lock(&teams->lock);
    bool held = is_held(teams, actor);
    spin_unlock(&teams->lock);
    return held;
}

actor_ref teams_member(struct teams *teams, team_ref ref, uint32_t role) {
    spin_lock(&teams->lock);
    const struct held_team *team = find(teams, ref);
    actor_ref member = team && role < team->members ? team->party[role] : 0;
    spin_unlock(&teams->lock);
    return member;
}

actor_ref teams_holder(struct teams *teams, team_ref ref, uint32_t *ret_members) {
    spin_lock(&teams->lock);
    const struct held_team *team = find(teams, ref);
    actor_ref holder = team ? team->party[team->members] : 0;
    uint32_t members = team ? team->members : 0;
    spin_unlock(&teams->lock);
    *ret_members = members;
    return holder;
}

uint64_t teams_unread(struct teams *teams, team_ref ref, uint32_t from, uint32_t to) {
    spin_lock(&teams->lock);
    struct held_team *team = find(teams, ref);
    uint64_t unread = 0;
    if (team && from <= team->members && to <= team->members) {
        const struct channel *channel = channel_of(team, from, to);
        unread = channel->sequence - channel->taken;
    }
    spin_unlock(&teams->lock);
    return unread;
}

/* ---- messages ---- */

/* Under the lock: a place in the channel for `sent`, whose `to` and `length` are set. */
static enum troupe_error enter(struct teams *teams, team_ref ref, actor_ref sender, struct message_team *sent,
                               actor_ref *ret_receiver) {
    struct held_team *team = find(teams, ref);
    if (!team)
        return TROUPE_NOT_FOUND;
    uint32_t from = 0;
    while (from <= team->members && team->party[from] != sender)
        from++;
    if (from > team->members || sent->to > team->members || sent->to == from)
        return TROUPE_INVALID;
    if (sent->length > team->channel_bytes)
        return TROUPE_LIMIT;
    struct channel *channel = channel_of(team, from, sent->to);
    if (channel->count >= team->channel_len || channel->bytes + sent->length > team->channel_bytes)
        return TROUPE_FULL;
    channel->count++;
    channel->bytes += sent->length;
    team->references++;
    sent->owner = team;
    sent->team = ref;
    sent->from = from;
    sent->members = team->members;
    sent->epoch = channel->epoch;
    sent->sequence = ++channel->sequence;
    *ret_receiver = team->party[sent->to];
    return TROUPE_OK;
}

enum troupe_error teams_send(struct teams *teams, struct turn *turn, team_ref ref, uint32_t to,
                             const void *bytes, size_t length) {
    if (length > UINT32_MAX / 4)
        return TROUPE_LIMIT;
    struct message *message =
        message_new(teams->runtime, MESSAGE_TEAM_MESSAGE, sizeof(struct message_team) + length);
    if (!message)
        return TROUPE_NOMEM;
    struct message_team *sent = MESSAGE_PAYLOAD(message, struct message_team);
    sent->to = to;
    sent->length = (uint32_t)length;
    if (length > 0)
        memcpy(sent->bytes, bytes, length);
    actor_ref receiver = 0;
    spin_lock(&teams->lock);
    enum troupe_error error = enter(teams, ref, turn->self, sent, &receiver);
    spin_unlock(&teams->lock);
    if (!error)
        error = actor_send(teams->runtime, turn, receiver, &message);
    if (error && sent->owner) {
        spin_lock(&teams->lock);
        struct channel *channel = channel_of(sent->owner, sent->from, sent->to);
        if (channel->epoch == sent->epoch)
            channel->sequence--; /* nobody will get it */
        spin_unlock(&teams->lock);
    }
    message_free(&message);
    return error;
}

void team_message_taken(const struct message *message) {
    const struct message_team *sent = MESSAGE_PAYLOAD(message, const struct message_team);
    struct teams *teams = sent->owner->teams;
    spin_lock(&teams->lock);
    struct channel *channel = channel_of(sent->owner, sent->from, sent->to);
    bool current = channel->epoch == sent->epoch;
    CHECK(!current || sent->sequence == channel->taken + 1);
    if (current)
        channel->taken = sent->sequence;
    spin_unlock(&teams->lock);
}
