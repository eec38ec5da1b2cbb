/* runtime: actors, mailboxes, turns, jobs, timers, supervision, grace periods.
 *
 * Job:     N workers run actors' turns; a turn never blocks and has a budget of 1 ms (longer ones are
 *          counted and named). Per-sender FIFO. A message is one pool block; sending transfers it. Nothing
 *          here knows tasks.
 * Threads: actor handlers run on one worker at a time (pinned actors always on worker 0, the I/O worker).
 *          Send, spawn and stop may be called from any thread; the others say where.
 * Memory:  messages from per-worker pools; an actor's slot is recycled under a new generation. Accounts read
 *          zero after runtime_free.
 * Failure: FULL leaves the message with its sender; DEAD: the actor ended (each queued request is answered
 *          DEAD once: ASK_FAILED for asks). NOMEM. */
#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include "runtime/spin.h"
#include "trace/trace.h"

struct runtime;

/* {generation:32, slot:32}; 0 is nobody. */
typedef uint64_t actor_ref;

enum message_class { MESSAGE_CLASS_REQUEST, MESSAGE_CLASS_REPLY, MESSAGE_CLASS_SYSTEM };
enum message_kind {
#define MESSAGE(name, class) MESSAGE_##name,
#include "runtime/message.def"
#undef MESSAGE
    MESSAGE_KIND_COUNT
};
const char *message_kind_name(enum message_kind kind);
enum message_class message_kind_class(enum message_kind kind);

struct message {
    _Atomic(struct message *) next; /* owner: the queue it is in */
    actor_ref sender;               /* 0: not an actor; a question that is sent on keeps its asker */
    uint64_t reply;                 /* the asker's promise; 0: not asked, or answered */
    uint64_t token;                 /* the asker's or sender's own number; a reply carries it back */
    uint16_t kind;
    uint16_t flags;          /* runtime's */
    uint32_t bytes;          /* of payload */
    struct runtime *runtime; /* whose pool it came from */
    max_align_t payload[];
};

/* What a payload owns is released by its kind's destructor; register before runtime_run. */
void message_set_destructor(enum message_kind kind, void (*destroy)(struct message *message));
/* Zeroed payload. Any thread (the pool is the worker's when called in a turn). NULL: out of memory. */
struct message *message_new(struct runtime *runtime, enum message_kind kind, size_t payload_bytes);
void message_free(struct message **message); /* destructor, then back to the pool; NULL inside is fine */
/* A call, so that the compiler does not take the payload for the max_align_t it is declared as. */
static inline void *message_payload(const struct message *message) {
    return (void *)(uintptr_t)message->payload;
}
#define MESSAGE_PAYLOAD(message, type) ((type *)message_payload(message))

struct message_exit {
    enum troupe_error reason;
};
struct message_down {
    actor_ref actor;
    enum troupe_error reason; /* OK: normal end */
    uint64_t token;           /* of the monitor */
};
struct message_timer {
    uint64_t timer;
    uint64_t token;
};
struct message_job {
    uint64_t token;
    void *arg;
};
struct message_ask_failed {
    enum troupe_error error; /* DEAD or TIMEOUT */
    uint64_t token;
};

/* One turn: valid only inside the handler. */
struct turn {
    struct runtime *runtime;
    actor_ref self;
    uint64_t now_ns; /* read once */
    unsigned worker;
    struct message *message; /* destroyed after the turn unless taken */
};
struct message *turn_take(struct turn *turn); /* the message is the handler's now */

typedef void (*actor_handler)(struct turn *turn, void *state, const struct message *message);

struct actor_spec {
    const char *name; /* for traces and counts; copied, truncated to 23 bytes */
    actor_handler handle;
    void *state;
    void (*destroy)(void *state); /* after the last turn, on a worker, once; may be NULL */
    unsigned mailbox_len_max;     /* requests; 0: the option's default (1024) */
    size_t mailbox_bytes_max;     /* 0: 64 MiB */
    bool pinned;                  /* to worker 0, the I/O worker */
    struct account
        *account;   /* messages to it are charged here from send to destruction, and a request that would
                                pass its limit is FULL; outlives the runtime, which knows 127 at most (LIMIT); NULL:
                                the runtime's pool alone knows of them */
    actor_ref link; /* when not 0: its DOWN goes there, and it ends when that one ends abnormally */
};

/* The record of turns, for executing a real run again under a debugger: 16 bytes a turn, and 16 for each version of
 * a registry row that a turn says it read and for each input from outside that somebody tells of. Which message a turn
 * took is told by its sender, for the messages of one sender to one actor keep their order: the oldest one of that
 * sender. A worker's records come in the order of its turns; those of several workers are put together by whose message
 * a turn took. */
#define TURN_RECORD_READ 0xffU  /* a read of the turn before it */
#define TURN_RECORD_INPUT 0xfeU /* the actor was told something from outside: its token, when */
#define TURN_RECORD_ACTORS_MAX (1U << 20)
#define TURN_RECORD_TIME_MASK ((UINT64_C(1) << 42) - 1) /* ns; it comes round every 73 minutes */
struct turn_record {
    uint64_t actor : 20; /* slot of whose turn it is */
    uint64_t kind : 8;   /* of the message taken, or one of the two above */
    uint64_t worker : 6;
    uint64_t time_low : 30;
    union {
        struct {
            uint64_t sender : 20; /* slot, 0: no actor */
            uint64_t time_high : 12;
            uint64_t token : 32; /* the lower half, to compare */
        } message;
        uint64_t version;
    } of;
};
/* The lower 42 bits of env_now when the turn began; of a message or an input. */
static inline uint64_t turn_record_time(const struct turn_record *record) {
    return (uint64_t)record->of.message.time_high << 30 | record->time_low;
}
struct turn_sink {
    /* On the worker's thread, a block at a time; the last ones before runtime_run returns. Must not block. */
    void (*write)(void *context, const struct turn_record *records, size_t count);
    void *context;
};

/* The other way round, in virtual time only: asked for an actor's messages, the oldest first, until one may be what its
 * next turn takes; that turn follows at once. While none may, the actor waits for another message, or to be nudged. */
struct turn_guide {
    bool (*may)(void *context, actor_ref actor, const struct message *message);
    void *context;
};

/* Its messages are offered to the guide again. On worker 0, between turns. */
void turn_guide_nudge(struct runtime *runtime, actor_ref actor);

struct runtime_options {
    unsigned workers;         /* 0: env_cores (sim: env_sim_workers), at least 1 */
    unsigned actors_max;      /* 0: 1,048,576; slots are allocated in segments as needed */
    unsigned mailbox_len_max; /* 0: 1024 */
    uint64_t turn_budget_ns;  /* 0: 1 ms */
    struct tracer *tracer;    /* may be NULL */
    struct turn_sink record;  /* of turns; write NULL: off, and then it costs nothing */
    struct turn_guide guide;  /* may NULL: the order is the seed's; env_sim only */
};
MUST_CHECK enum troupe_error runtime_create(struct env *env, struct account *account,
                                            const struct runtime_options *options,
                                            struct runtime **ret_runtime, struct fault *fault);
/* Runs until runtime_stop; then every live actor gets no more turns, and its state is destroyed. */
MUST_CHECK enum troupe_error runtime_run(struct runtime *runtime);
void runtime_stop(struct runtime *runtime); /* any thread */
void runtime_free(struct runtime *runtime); /* after run has returned (or never ran) */
struct env *runtime_env(const struct runtime *runtime);
struct tracer *runtime_tracer(const struct runtime *runtime);
unsigned runtime_workers(const struct runtime *runtime);
uint64_t runtime_self_cpu(const struct runtime *runtime); /* ns of the workers so far, without job threads */

/* It runs when it gets a message. LIMIT: actors_max live, or a 128th account; DEAD: the link is gone, or the runtime stops; the
 * state stays the caller's then. */
MUST_CHECK enum troupe_error actor_spawn(struct runtime *runtime, const struct actor_spec *spec,
                                         actor_ref *ret_actor);
/* Delivers and clears *message, or leaves it: FULL, DEAD. The turn may be NULL outside one (sender 0). */
MUST_CHECK enum troupe_error actor_send(struct runtime *runtime, struct turn *turn, actor_ref to,
                                        struct message **message);
/* As send, and exactly one of: a message that carries `reply` back (actor_reply), or ASK_FAILED, reaches the
 * asker with `token`, at the latest after timeout_ns (0: never times out). Turn only. */
MUST_CHECK enum troupe_error actor_ask(struct turn *turn, actor_ref to, struct message **message,
                                       uint64_t token, uint64_t timeout_ns);
/* Answers an asked message with a REPLY-class one; late or second answers are dropped and counted. An asked
 * message that is destroyed unanswered answers DEAD: to answer in a later turn, keep it (turn_take). The turn
 * may be NULL. */
void actor_reply(struct turn *turn, const struct message *asked, struct message **reply);
void turn_record_read(struct turn *turn, uint64_t version); /* nothing happens when the record is off */
/* The same of the turn that is under way on this thread; outside of turns nothing happens. For readers that are not
 * handed a turn; they ask once whether there is a record at all. */
void turn_record_seen(struct runtime *runtime, uint64_t version);
/* Something came from outside to one of worker 0's actors, between turns; on its thread. */
void turn_record_input(struct runtime *runtime, actor_ref actor, uint64_t token, uint64_t time_ns);
bool runtime_records_turns(const struct runtime *runtime);
bool actor_alive(struct runtime *runtime, actor_ref actor);
void actor_exit(struct turn *turn, enum troupe_error reason); /* self, after this turn */
/* Sends EXIT; any thread. After the turn that handles it the actor ends with `reason`, unless the handler
 * took the message: then it ends when it calls actor_exit. */
void actor_stop(struct runtime *runtime, actor_ref actor, enum troupe_error reason);
/* DOWN {actor, reason, token} once when it ends, at once when it is gone already (reason DEAD). Turn only. */
MUST_CHECK enum troupe_error actor_monitor(struct turn *turn, actor_ref actor, uint64_t token);
/* The same on behalf of `watcher`; any thread. DEAD: the watcher is gone. */
MUST_CHECK enum troupe_error actor_watch(struct runtime *runtime, actor_ref watcher, actor_ref actor,
                                         uint64_t token);
/* Takes one watch with that token back. Nothing happens when there is none (any more); its DOWN may be on its way. */
void actor_unwatch(struct runtime *runtime, actor_ref watcher, actor_ref actor, uint64_t token);
unsigned actor_mailbox_length(struct runtime *runtime, actor_ref actor); /* requests queued; a hint */

/* Timers: on the worker's wheel; TIMER {timer, token} at or after deadline_ns (env_now's clock). Turn only.
 */
MUST_CHECK enum troupe_error timer_start(struct turn *turn, uint64_t deadline_ns, uint64_t token,
                                         uint64_t *ret_timer);
void timer_cancel(struct turn *turn,
                  uint64_t timer); /* its TIMER will not be delivered; fired ones are ignored */

/* Jobs: fn(arg) on a lane's thread; then JOB_DONE {token, arg} to the starter (dropped when it is gone, after
 * drop(arg) if given). Any thread inside a turn. sim_cpu_ns, sim_blocked_ns: the modelled cost. */
struct job_spec {
    enum env_lane lane;
    void (*fn)(void *arg);
    void (*drop)(void *arg);
    void *arg;
    uint64_t token;
    uint64_t sim_cpu_ns, sim_blocked_ns;
};
MUST_CHECK enum troupe_error job_start(struct turn *turn, const struct job_spec *spec);

/* Supervision: restarts an actor that ended abnormally, at most restarts_max times within window_ns, after
 * backoff; then reports DOWN upwards. The factory builds a fresh spec (its state is new). */
struct supervision {
    MUST_CHECK enum troupe_error (*make)(void *context, unsigned attempt, struct actor_spec *ret_spec);
    void (*started)(void *context, struct turn *turn, unsigned attempt, actor_ref actor);
    void *context;
    unsigned restarts_max;
    uint64_t window_ns, backoff_ns, backoff_ns_max;
};
/* The supervisor is an actor; its own DOWN (reason WORKER: budget exhausted) goes to `parent`. */
MUST_CHECK enum troupe_error supervisor_spawn(struct runtime *runtime, const struct supervision *supervision,
                                              actor_ref parent, actor_ref *ret_supervisor);

struct runtime_statistics {
    uint64_t turns, messages, long_turns, dead_letters, refused, late_replies, parks, wakes, steals;
    uint64_t actors_live, actors_spawned;
    uint64_t retired, retired_max; /* grace: blocks waiting now, and the most ever */
    char longest_turn_actor[24];
    uint64_t longest_turn_ns;
};
void runtime_statistics(const struct runtime *runtime, struct runtime_statistics *ret);

/* ---- grace periods (runtime/grace.c): QSBR. A worker is quiescent after each turn and offline while parked.
 * ---- Readers are turns; other threads register. grace_retire never waits: the block is freed (fn) after
 * every reader has been quiescent; the list is bounded and counted (FULL: try again after a turn). */
struct grace;
struct grace *runtime_grace(const struct runtime *runtime);
MUST_CHECK enum troupe_error grace_create(struct account *account, unsigned readers_max, size_t retired_max,
                                          struct grace **ret_grace);
void grace_free(struct grace *grace); /* runs what is left */
MUST_CHECK enum troupe_error grace_register(struct grace *grace, unsigned *ret_reader); /* online */
void grace_unregister(struct grace *grace, unsigned reader);
void grace_quiescent(struct grace *grace, unsigned reader); /* reader thread: holds no references now */
void grace_offline(struct grace *grace, unsigned reader);
void grace_online(struct grace *grace, unsigned reader);
MUST_CHECK enum troupe_error grace_retire(struct grace *grace, void (*fn)(void *context, void *block),
                                          void *context, void *block); /* any thread */
void grace_collect(struct grace *grace); /* frees what may be freed; any thread */
/* For blocks that carry their own node, so that retiring cannot fail: reserve (FULL) before unlinking, then
 * defer each or give the reservation back. */
struct grace_node {
    struct grace_node *next;
    void (*fn)(void *context, struct grace_node *node); /* frees it */
    void *context;
};
MUST_CHECK enum troupe_error grace_reserve(struct grace *grace, size_t count);
void grace_unreserve(struct grace *grace, size_t count);
void grace_defer(struct grace *grace, struct grace_node *node);
size_t grace_retired(const struct grace *grace, size_t *ret_most); /* blocks waiting or reserved */

#endif
