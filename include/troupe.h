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
    TROUPE_STATUS_FAILED     /* anything else */
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
    TROUPE_EVENT_EXIT       /* the actor ends after this turn: status */
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

#ifdef __cplusplus
}
#endif

#endif
