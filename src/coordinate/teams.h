/* teams: those that are held now, and the ordered channels between their members.
 *
 * Job:     a team has a holder and members, all actors, and a channel from each of them to each other one. An agent is in
 *          one team at most. A message carries its channel's sequence number, 1, 2, 3 without a gap: what was refused
 *          has none. What a channel holds (sent, and not yet destroyed by who got it) has a bound in messages and in
 *          bytes; the receiver's mailbox has its own. Past either the message is refused to who sent it.
 * Death:   the holder hears DOWN of a member, with the team's token, and replaces it or releases the team. The channels of
 *          a replaced member begin again at 1 under a new epoch. A team whose holder has ended is over: its members are
 *          free for the next one.
 * Threads: any; one lock, held for the fields of a channel only. Order is that of a sender's turns.
 * Memory:  a block for each team, which its last message on the way frees; the rest is sized at start. */
#ifndef COORDINATE_TEAMS_H
#define COORDINATE_TEAMS_H

#include "coordinate/team.h"

#define TEAMS_MAX 256
#define TEAMS_HELD_MAX 1024 /* members of all of them */
#define TEAMS_PAIRS 1024    /* pairs that are remembered, a power of two */

struct teams;
typedef uint64_t team_ref; /* {generation:32, slot:32}; 0: none; never used for another one */

MUST_CHECK enum troupe_error teams_create(struct runtime *runtime, struct account *account,
                                          struct teams **ret_teams);
void teams_free(struct teams *teams); /* after runtime_free; NULL is fine */

struct team_terms {
    actor_ref holder; /* its number in channels is member_count */
    const actor_ref *members;
    uint32_t member_count;
    uint64_t token;         /* of the DOWNs that the holder hears */
    uint32_t channel_len;   /* messages */
    uint64_t channel_bytes; /* of payload */
};
/* EXISTS: a member is held already, or named twice, or is the holder. LIMIT: TEAMS_MAX, TEAMS_HELD_MAX, TEAM_ROLES_MAX.
 * DEAD: the holder has ended. INVALID: no member. NOMEM. A member that has ended is told by its DOWN. */
MUST_CHECK enum troupe_error teams_form(struct teams *teams, const struct team_terms *terms,
                                        team_ref *ret_team);
/* NOT_FOUND: no such team (any more). INVALID: no such member. As teams_form for the new one. */
MUST_CHECK enum troupe_error teams_replace(struct teams *teams, team_ref team, uint32_t role,
                                           actor_ref member);
MUST_CHECK enum troupe_error teams_release(struct teams *teams, team_ref team); /* NOT_FOUND */
/* Ends the teams whose holders have ended; nobody else would say so. */
void teams_sweep(struct teams *teams);
/* Who was together in a team that its holder released, and in how many. Each pair has one place, and the last to need a
 * place has it: what is forgotten makes strangers, nothing else. Returns how many. */
struct team_pair {
    actor_ref a, b; /* a < b */
    uint32_t together;
};
uint32_t teams_pairs(struct teams *teams, struct team_pair ret_pairs[TEAMS_PAIRS]);
bool teams_held(struct teams *teams, actor_ref actor);
actor_ref teams_member(struct teams *teams, team_ref team, uint32_t role); /* 0: no such */
actor_ref teams_holder(struct teams *teams, team_ref team, uint32_t *ret_members);
/* Sent from one to the other, and not taken. 0: no such team or members. */
uint64_t teams_unread(struct teams *teams, team_ref team, uint32_t from, uint32_t to);

/* TEAM_MESSAGE (member or holder -> member or holder). */
struct message_team {
    struct held_team *owner; /* teams.c's; NULL: of none yet */
    team_ref team;
    uint64_t sequence;
    uint32_t epoch, from, to, length, members /* the number of the holder */;
    max_align_t bytes[];
};
/* From the turn's actor. FULL: the channel or the mailbox; DEAD: the receiver has ended; NOT_FOUND: no such team (any
 * more); INVALID: the sender is not in it, or `to` is not, or is the sender; LIMIT: longer than a channel holds; NOMEM. */
MUST_CHECK enum troupe_error teams_send(struct teams *teams, struct turn *turn, team_ref team, uint32_t to,
                                        const void *bytes, size_t length);
/* By who got it, in its turn: that it comes next is checked. */
void team_message_taken(const struct message *message);

#endif
