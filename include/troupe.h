/* troupe.h: actors and a registry to build into a C (or C++) program. Link with `pkg-config --cflags --libs troupe`.
 *
 * An actor is a function and its state; it is called with one event at a time (a turn), on one of the runtime's
 * threads, and never on two at once. A turn must not block. Messages are copied in, arrive once, in order for each
 * sender, and are refused when the receiver's mailbox is full.
 *
 * Threads: troupe_send, troupe_actor_spawn, troupe_actor_stop, troupe_actor_alive, troupe_stop: any. What takes a
 *          turn: inside that turn; NULL where it says so: anywhere. Open, run and close: one thread, which runs actors
 *          itself while it is in troupe_run.
 * Memory:  what an event points to is valid during the turn. Strings and bytes that are handed in are copied.
 * Failure: 0 or a status below; on failure nothing has changed and no output is written. */
#ifndef TROUPE_H
#define TROUPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TROUPE_API __attribute__((visibility("default")))

enum troupe_status {
    TROUPE_STATUS_OK,
    TROUPE_STATUS_NO_MEMORY,
    TROUPE_STATUS_FULL,    /* the mailbox, or a bound of the registry for the moment: try again later */
    TROUPE_STATUS_DEAD,    /* the actor has ended, or the runtime has */
    TROUPE_STATUS_LIMIT,   /* too many actors, rows, or whatever has a bound */
    TROUPE_STATUS_TIMEOUT, /* no answer in time */
    TROUPE_STATUS_EXISTS,  /* a live actor has the name */
    TROUPE_STATUS_NOT_FOUND,
    TROUPE_STATUS_INVALID,   /* an argument */
    TROUPE_STATUS_CANCELLED, /* ended from outside */
    TROUPE_STATUS_FAILED,    /* anything else */
    TROUPE_STATUS_DAMAGED,   /* what was stored cannot be read, or was written by a newer version */
    TROUPE_STATUS_DISK,      /* reading or writing failed, or there is no space left */
    TROUPE_STATUS_LOCKED     /* in use by another process */
};
TROUPE_API const char *troupe_status_text(enum troupe_status status);

struct troupe;                 /* a runtime with its threads and its registry */
struct troupe_turn;            /* a call of a handler */
typedef uint64_t troupe_actor; /* 0: nobody; never given to another actor again */

struct troupe_options {
    unsigned threads;     /* that run actors; 0: one a core */
    unsigned actors_max;  /* 0: 1,048,576 */
    unsigned mailbox_len; /* messages and questions that wait; 0: 1024 */
};
TROUPE_API enum troupe_status troupe_open(const struct troupe_options *options /* NULL: defaults */,
                                          struct troupe **ret_troupe);
TROUPE_API enum troupe_status troupe_run(struct troupe *troupe); /* until troupe_stop; once */
TROUPE_API void troupe_stop(struct troupe *troupe);
TROUPE_API void troupe_close(struct troupe *troupe); /* destroys what is left; NULL is fine */

enum troupe_event_kind {
    TROUPE_EVENT_MESSAGE,   /* from troupe_send: actor (0: no actor), bytes */
    TROUPE_EVENT_QUESTION,  /* from troupe_ask: the same; answer it in this turn, or the asker hears DEAD */
    TROUPE_EVENT_ANSWER,    /* to troupe_ask: actor, token, bytes */
    TROUPE_EVENT_NO_ANSWER, /* to troupe_ask: token, status (DEAD, TIMEOUT) */
    TROUPE_EVENT_TIMER,     /* token */
    TROUPE_EVENT_DOWN,      /* a watched or linked actor has ended: actor, token, status (OK: normally) */
    TROUPE_EVENT_EXIT,      /* the actor ends after this turn: status */
    TROUPE_EVENT_REGISTRY, /* to troupe_registry_watch: token (the watch), bytes: a struct troupe_registry_event */
    TROUPE_EVENT_TEAM      /* from troupe_team_send: actor, bytes: a struct troupe_team_message */
};
struct troupe_event {
    enum troupe_event_kind kind;
    enum troupe_status status;
    troupe_actor actor;
    uint64_t token;
    const void *bytes; /* aligned for anything */
    size_t length;
};
typedef void (*troupe_handler)(struct troupe_turn *turn, void *state, const struct troupe_event *event);

struct troupe_actor_spec {
    const char *name; /* for counts and complaints; may be NULL */
    troupe_handler handle;
    void *state;
    void (*destroy)(void *state); /* once, after the last turn; may be NULL */
    unsigned mailbox_len;         /* 0: the option's */
    size_t mailbox_bytes;         /* of messages larger than 1 KiB; 0: 64 MiB */
    troupe_actor link;            /* DOWN goes there, and it ends when that one ends abnormally; 0: nobody */
};
TROUPE_API enum troupe_status troupe_actor_spawn(struct troupe *troupe, const struct troupe_actor_spec *spec,
                                                 troupe_actor *ret_actor);
TROUPE_API void troupe_actor_stop(struct troupe *troupe, troupe_actor actor, enum troupe_status reason);
TROUPE_API bool troupe_actor_alive(struct troupe *troupe, troupe_actor actor);
TROUPE_API void troupe_actor_exit(struct troupe_turn *turn, enum troupe_status reason); /* itself, after it */
TROUPE_API enum troupe_status troupe_actor_watch(struct troupe_turn *turn, troupe_actor actor,
                                                 uint64_t token);

TROUPE_API troupe_actor troupe_self(const struct troupe_turn *turn);
TROUPE_API struct troupe *troupe_of(const struct troupe_turn *turn);
TROUPE_API uint64_t troupe_now(const struct troupe_turn *turn); /* monotonic ns, when the turn began */

/* The turn may be NULL: then the sender is nobody. */
TROUPE_API enum troupe_status troupe_send(struct troupe *troupe, struct troupe_turn *turn, troupe_actor to,
                                          const void *bytes, size_t length);
/* Exactly one of ANSWER and NO_ANSWER comes back with the token, after timeout_ns at the latest (0: no limit). */
TROUPE_API enum troupe_status troupe_ask(struct troupe_turn *turn, troupe_actor to, const void *bytes,
                                         size_t length, uint64_t token, uint64_t timeout_ns);
/* Answers the question of this turn. INVALID: there is none, or it has been answered. */
TROUPE_API enum troupe_status troupe_answer(struct troupe_turn *turn, const void *bytes, size_t length);
/* TIMER with the token at or after deadline_ns (troupe_now's clock). */
TROUPE_API enum troupe_status troupe_timer_start(struct troupe_turn *turn, uint64_t deadline_ns,
                                                 uint64_t token, uint64_t *ret_timer);
TROUPE_API void troupe_timer_cancel(struct troupe_turn *turn, uint64_t timer);

/* The registry: a name in a namespace belongs to one live actor at a time, and to nobody when that one has ended.
 * Reading waits for nothing. The turn may be NULL where no turn can be under way: before and after troupe_run. */
TROUPE_API enum troupe_status troupe_registry_register(struct troupe *troupe, const char *name_space,
                                                       const char *name, troupe_actor actor);
TROUPE_API enum troupe_status troupe_registry_unregister(struct troupe *troupe, const char *name_space,
                                                         const char *name, troupe_actor actor);
TROUPE_API troupe_actor troupe_registry_lookup(struct troupe *troupe, struct troupe_turn *turn,
                                               const char *name_space, const char *name); /* 0: nobody */

/* What a name says besides whose it is. Each register, and each change, makes a new version of the name. */
#define TROUPE_NAME_MAX 255
#define TROUPE_OPAQUE_MAX 4096
#define TROUPE_LOADS 8
#define TROUPE_CAPABILITIES_MAX 256
struct troupe_capabilities {
    uint64_t bits[TROUPE_CAPABILITIES_MAX / 64];
};
#define TROUPE_CAPABILITY_ADD(set, number)                                                                   \
    ((void)((set)->bits[(number) / 64] |= UINT64_C(1) << (number) % 64))
enum troupe_health { TROUPE_HEALTH_UP, TROUPE_HEALTH_DEGRADED, TROUPE_HEALTH_DRAINING, TROUPE_HEALTH_DOWN };
struct troupe_registry_entry {
    struct troupe_capabilities capabilities;
    enum troupe_health health;
    unsigned load; /* below TROUPE_LOADS */
    uint16_t node;
    uint64_t
        lease_ns; /* when registered: how long, 0: for the actor's life; in a row that was read: until when, on
                             troupe_now's clock */
    const void *opaque;   /* what is read is valid during the turn; NULL: none */
    size_t opaque_length; /* up to TROUPE_OPAQUE_MAX */
};
struct troupe_registry_row {
    troupe_actor actor;
    uint64_t version;
    struct troupe_registry_entry entry;
    char name[TROUPE_NAME_MAX + 1];
};
/* The holder itself replaces what it said, and renews its lease. EXISTS: a live holder has the name. INVALID: a name or
 * namespace of 0 or more than 255 bytes, a load, a health or a length that is not there. LIMIT, FULL, DEAD, NO_MEMORY. */
TROUPE_API enum troupe_status troupe_registry_register_entry(struct troupe *troupe, const char *name_space,
                                                             const char *name, troupe_actor actor,
                                                             const struct troupe_registry_entry *entry,
                                                             uint64_t *ret_version /* may be NULL */);
/* Compare-and-set of what `what` names. EXISTS: the name has another version than the expected one (0: any) by now, so
 * read it and try again. NOT_FOUND, INVALID. A change that changes nothing makes no version. */
enum troupe_change {
    TROUPE_CHANGE_CAPABILITIES = 1,
    TROUPE_CHANGE_HEALTH = 2,
    TROUPE_CHANGE_LOAD = 4,
    TROUPE_CHANGE_NODE = 8,
    TROUPE_CHANGE_OPAQUE = 16,
    TROUPE_CHANGE_ALL = 31
};
TROUPE_API enum troupe_status troupe_registry_update(struct troupe *troupe, const char *name_space,
                                                     const char *name, uint64_t version_expected,
                                                     unsigned what,
                                                     const struct troupe_registry_entry *entry);
TROUPE_API enum troupe_status troupe_registry_read(struct troupe *troupe, struct troupe_turn *turn,
                                                   const char *name_space, const char *name,
                                                   struct troupe_registry_row *ret_row); /* NOT_FOUND */
/* ret_actors[i] for names[i], 0: nobody; returns how many were found. Faster than one by one for tables that are larger
 * than the caches. */
TROUPE_API size_t troupe_registry_lookup_batch(struct troupe *troupe, struct troupe_turn *turn,
                                               const char *name_space, const char *const *names, size_t count,
                                               troupe_actor *ret_actors);
/* Names that have all of `needed` (NULL: any) and are UP or DEGRADED, from an index; returns how many. At most
 * TROUPE_FIND_MAX; with LEAST_LOADED, the least loaded first, TROUPE_LEAST_LOADED_MAX. UP leaves the degraded ones out,
 * after so many were found. */
#define TROUPE_FIND_MAX 1024
#define TROUPE_LEAST_LOADED_MAX 64
enum troupe_find { TROUPE_FIND_ANY = 0, TROUPE_FIND_UP = 1, TROUPE_FIND_LEAST_LOADED = 2 };
TROUPE_API size_t troupe_registry_find(struct troupe *troupe, struct troupe_turn *turn,
                                       const char *name_space, const struct troupe_capabilities *needed,
                                       enum troupe_find how /* the sum of its values */,
                                       struct troupe_registry_row *ret_rows, size_t rows_max);
/* Every change of a namespace, in version order for each name, as TROUPE_EVENT_REGISTRY to the turn's actor; first an
 * ADDED for each name that is there. At most 1,024 may wait: past that FELL_BEHIND is the last event of the watch; then
 * watch again. It ends with its actor. LIMIT: 64 watches. */
enum troupe_registry_event_kind {
    TROUPE_REGISTRY_ADDED,
    TROUPE_REGISTRY_CHANGED,
    TROUPE_REGISTRY_REMOVED,
    TROUPE_REGISTRY_FELL_BEHIND
};
struct troupe_registry_event {
    enum troupe_registry_event_kind kind;
    enum troupe_health health;
    troupe_actor actor;
    uint64_t version;
    struct troupe_capabilities capabilities;
    char name[TROUPE_NAME_MAX + 1];
};
TROUPE_API enum troupe_status troupe_registry_watch(struct troupe_turn *turn, const char *name_space,
                                                    uint64_t *ret_watch);
TROUPE_API void troupe_registry_unwatch(struct troupe *troupe, uint64_t watch); /* what is under way comes */

/* Warm rows: names that were looked up last, found without their table. For a runtime of one thread (INVALID otherwise), and
 * worth it only where a few names are looked up all the time. `entries`: a power of two, up to 2^20. */
struct troupe_warm;
TROUPE_API enum troupe_status troupe_warm_open(struct troupe *troupe, const char *name_space,
                                               unsigned entries, struct troupe_warm **ret_warm);
TROUPE_API troupe_actor troupe_warm_lookup(struct troupe_warm *warm, struct troupe_turn *turn,
                                           const char *name); /* 0: nobody */
TROUPE_API void troupe_warm_close(struct troupe_warm *warm);  /* before troupe_close; NULL is fine */

/* Over the end of a process: the names of a namespace that are UP or DEGRADED, with what is left of their leases, in a
 * store in `directory`, which is made; what was saved of the namespace before is replaced, all or nothing, also by a
 * crash. It returns when the disk has it, some ms later: before troupe_run, or in a turn of an actor of its own (when
 * troupe_run has returned every actor has ended, and no name is left). LOCKED: another process saves there. DISK, LIMIT
 * (TROUPE_SAVED_BYTES_MAX), NO_MEMORY.
 * And back, before troupe_run or in a turn: `restorer` is asked for the actor of each name, mostly a new one; 0: leave it
 * out. Names whose leases have ended by the wall clock are left out and counted. NOT_FOUND: nothing was saved; DAMAGED;
 * EXISTS: a name is taken, then those before it are there. `ret_problem` (TROUPE_PROBLEM_MAX bytes: what, where) may be
 * NULL, as may what is counted. */
#define TROUPE_PROBLEM_MAX 256
#define TROUPE_SAVED_BYTES_MAX (32U << 20) /* some 60 a name, its own bytes and twice the opaque ones */
TROUPE_API enum troupe_status troupe_registry_save(struct troupe *troupe, struct troupe_turn *turn,
                                                   const char *directory, const char *name_space,
                                                   size_t *ret_rows, char *ret_problem);
typedef troupe_actor troupe_registry_restorer(void *context, const struct troupe_registry_row *row);
struct troupe_registry_restored {
    size_t rows, expired, refused;
};
TROUPE_API enum troupe_status troupe_registry_restore(struct troupe *troupe, const char *directory,
                                                      const char *name_space,
                                                      troupe_registry_restorer *restorer, void *context,
                                                      struct troupe_registry_restored *ret_restored,
                                                      char *ret_problem);

/* ---- which agent takes which task ----
 * A batch of tasks over agents that each do one task after the other. What is wanted, the first before the next: little
 * weight of missed deadlines, an early end of the last task, little weighted tardiness (for which the last task may end
 * up to 2 % later). A pure function: no runtime is needed, the same batch has the same answer, and nothing is done with
 * it. Times are ns from now. Any thread; memory is taken and given back in the call. */
#define TROUPE_BATCH_NOBODY UINT32_MAX
#define TROUPE_BATCH_NEVER UINT64_MAX
struct troupe_batch_agent {
    uint64_t capabilities; /* bits of what it can do */
    const double *speeds;  /* of each kind of task, above 0: work / speed is the time that it takes */
    uint64_t backlog_ns;   /* until what it has is done */
    uint32_t queued, room; /* tasks that it has, and how many more it may get */
    const uint64_t
        *amounts; /* of each resource, what it has for a task: one that asks for more cannot run on it; NULL:
                              * it sets no bound */
    const uint64_t *holds; /* of each resource, what it holds of the pool until backlog_ns; NULL: nothing */
};
struct troupe_batch_task {
    uint32_t kind;           /* below kind_count */
    uint32_t home;           /* the agent that has its data, or TROUPE_BATCH_NOBODY */
    uint64_t needs;          /* an agent must have all of these capabilities */
    uint64_t work_ns;        /* at speed 1, above 0 */
    uint64_t deadline_ns;    /* TROUPE_BATCH_NEVER: none */
    double weight;           /* above 0; what it counts when it is late */
    const uint64_t *amounts; /* of each resource, what it holds while it runs; NULL: nothing */
};
struct troupe_batch {
    const struct troupe_batch_agent *agents;
    const struct troupe_batch_task *tasks;
    uint32_t agent_count, task_count, kind_count;
    uint64_t away_ns; /* what a task with a home takes longer elsewhere */
    uint64_t steps; /* of the search, 2 to 20 ns each; 0: one list, the earliest end for each task in turn */
    bool refuse_late; /* a task that no agent could end in time, were it alone, is refused */
    const uint64_t
        *pools; /* of each resource, what there is for all agents together, above 0, never used above it;
                              * TROUPE_BATCH_NO_POOL: each agent has its own */
    uint32_t resource_count; /* 0: none, and all amounts are not looked at */
};
#define TROUPE_BATCH_NO_POOL UINT64_MAX
#define TROUPE_BATCH_RESOURCES_MAX 8
enum troupe_batch_verdict {
    TROUPE_BATCH_ON_TIME,   /* or it has no deadline */
    TROUPE_BATCH_LATE,      /* it has an agent, and ends after its deadline */
    TROUPE_BATCH_HOPELESS,  /* refused: no agent could end it in time */
    TROUPE_BATCH_FULL,      /* refused: those that can do it have no room */
    TROUPE_BATCH_INCAPABLE, /* refused: no agent has what it needs */
    TROUPE_BATCH_OVERSIZED  /* refused: it asks for more than there is in a pool */
};
struct troupe_batch_place { /* of one task */
    enum troupe_batch_verdict verdict;
    uint32_t agent;   /* INCAPABLE: the nearest one; HOPELESS, FULL: the best one, as things are */
    uint64_t missing; /* INCAPABLE: the capabilities that the nearest one lacks */
    uint64_t start_ns, finish_ns; /* HOPELESS: what would be; FULL, INCAPABLE: TROUPE_BATCH_NEVER */
    uint64_t capacity_in_ns;      /* FULL: until one of them has ended a task, by its backlog; else 0 */
    uint64_t
        lacking; /* bits of resources. INCAPABLE: those of which the nearest one has too little; OVERSIZED: those of
                       * which there is too little in all */
};
struct troupe_batch_summary {
    uint32_t on_time, late, refused;
    double missed, tardiness_ns; /* weights of the late and refused; of the late, each ns by its weight */
    uint64_t finish_ns;          /* of the last task; 0: none */
    uint64_t steps;              /* that were used */
};
/* `ret_places`: one for each task. `ret_summary` and `ret_problem` (TROUPE_PROBLEM_MAX bytes: what is wrong, where, and
 * what was expected) may be NULL. INVALID: no agent, a kind or a home that is not there, a speed, weight or work that is
 * not above 0, a deadline of 0, a pool of 0 or from 2^63 on, agents that hold more than there is. LIMIT: more than 65,536
 * agents, 1,048,576 tasks (65,536 where one asks for a pool), 8 resources or 4,096 different pairs of kind and needs (with
 * resources: and of agents that have as much). NO_MEMORY. */
TROUPE_API enum troupe_status troupe_coordinate_batch(const struct troupe_batch *batch,
                                                      struct troupe_batch_place *ret_places,
                                                      struct troupe_batch_summary *ret_summary,
                                                      char *ret_problem);

/* ---- teams ----
 * One agent for each role, out of those of a namespace that are UP or DEGRADED and in no other team; and an ordered channel
 * from each of them, and from the holder, to each other one. The holder is the turn's actor: it hears DOWN, with the
 * spec's token, of each member that ends, and then replaces it or releases the team. When the holder ends, the team is
 * over. What is chosen is the least sum of: load_ns for each step of a member's load, surplus_ns for each capability that
 * its role does not need, away_ns for each pair of members on different nodes, stranger_ns / (1 + released teams
 * that both were in) for each pair. It is the least there is for some 4 roles of 64 names; of more it is the best that a
 * search of less than 1 ms, or so, finds (doc/coordination.md). */
#define TROUPE_TEAM_ROLES_MAX 32
typedef uint64_t troupe_team; /* 0: none; never given to another team again */
struct troupe_team_spec {
    const char *name_space;
    const struct troupe_capabilities *roles; /* what each needs */
    unsigned role_count;                     /* 1 to TROUPE_TEAM_ROLES_MAX */
    uint64_t token;                          /* of the DOWNs */
    unsigned channel_len;                    /* messages in a channel that are not handled yet; 0: 64 */
    size_t channel_bytes;                    /* the same, of payload; 0: 1 MiB */
    uint64_t load_ns, away_ns, surplus_ns, stranger_ns; /* all 0: 10 ms, 5 ms, 1 ms, 2 ms */
};
/* NOT_FOUND: nobody can do a role. FULL: there are too few who can, or other teams hold them: try again later.
 * `ret_problem` (TROUPE_PROBLEM_MAX bytes: which role, what is missing, who is nearest) may be NULL. INVALID, LIMIT (256
 * teams, 1,024 members of all), NO_MEMORY. */
TROUPE_API enum troupe_status troupe_team_form(struct troupe_turn *turn, const struct troupe_team_spec *spec,
                                               troupe_team *ret_team, char *ret_problem);
/* By the holder (INVALID: by another): another agent in that role, with the same terms. The one before it, which may live,
 * is not a member any more; the channels from and to the role begin again at 1, under a new epoch. */
TROUPE_API enum troupe_status troupe_team_replace(struct troupe_turn *turn, troupe_team team, unsigned role,
                                                  const struct troupe_team_spec *spec, char *ret_problem);
/* By the holder. What was sent and accepted still arrives. NOT_FOUND: it is over. */
TROUPE_API enum troupe_status troupe_team_release(struct troupe_turn *turn, troupe_team team);
TROUPE_API troupe_actor troupe_team_member(struct troupe *troupe, troupe_team team,
                                           unsigned role); /* 0: none */
/* Sent from the one to the other, and not handled: what a member that ended has not read. */
TROUPE_API uint64_t troupe_team_unread(struct troupe *troupe, troupe_team team, unsigned from, unsigned to);
/* To a role's member, or (TROUPE_TEAM_HOLDER) the holder; from a member or the holder (INVALID: from another). The next number
 * of the channel is the message's when it is accepted, and only then. FULL: the channel or the mailbox is; DEAD: the
 * member has ended; NOT_FOUND: the team is over; LIMIT: longer than channel_bytes; NO_MEMORY. */
#define TROUPE_TEAM_HOLDER UINT32_MAX
TROUPE_API enum troupe_status troupe_team_send(struct troupe_turn *turn, troupe_team team, unsigned to,
                                               const void *bytes, size_t length);
struct troupe_team_message { /* of TROUPE_EVENT_TEAM */
    troupe_team team;
    unsigned from, to; /* roles, or TROUPE_TEAM_HOLDER */
    uint64_t sequence; /* 1, 2, 3 in each channel and epoch */
    uint32_t epoch;    /* grows when a member is replaced */
    const void *bytes; /* aligned for anything */
    size_t length;
};

#ifdef __cplusplus
}
#endif

#endif
