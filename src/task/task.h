/* task: the nouns that registry, agent, coordinate and pipeline share: capability set, resources, task,
 * result, and the payloads of the messages between them (kinds in runtime/message.def).
 *
 * Threads: plain data; owned by one actor at a time and handed over by messages.
 * Memory:  a task is one block from its owner's account, handed along OFFER and back along TASK_ENDED. */
#ifndef TASK_TASK_H
#define TASK_TASK_H

#include "runtime/runtime.h"

/* ---- capabilities: names interned to bits, at most 256 in a process ---- */
#define CAPABILITIES_MAX 256
struct capability_set {
    uint64_t bits[CAPABILITIES_MAX / 64];
};
struct capability_names { /* filled at start, read-only afterwards */
    unsigned count;
    const char *names[CAPABILITIES_MAX]; /* caller-owned text */
};
MUST_CHECK enum troupe_error capability_intern(struct capability_names *names, const char *name,
                                               unsigned *ret_bit);           /* LIMIT */
int capability_find(const struct capability_names *names, const char *name); /* -1 */
void capability_set_add(struct capability_set *set, unsigned bit);
bool capability_set_has(const struct capability_set *set, unsigned bit);
bool capability_set_contains(const struct capability_set *set, const struct capability_set *needed);

/* ---- counted resources: gpu: 1, memory: 8GiB, any name; at most 8 in a process ---- */
#define RESOURCES_MAX 8
struct resources {
    int64_t amount[RESOURCES_MAX];
};
struct resource_names {
    unsigned count;
    const char *names[RESOURCES_MAX];
};
MUST_CHECK enum troupe_error resource_intern(struct resource_names *names, const char *name,
                                             unsigned *ret_index); /* LIMIT */
bool resources_fit(const struct resources *free, const struct resources *needed);
void resources_take(struct resources *free, const struct resources *needed); /* CHECKs that it fits */
void resources_give(struct resources *free, const struct resources *back);

/* ---- task ---- */
struct task_id {
    uint64_t run; /* number of the run in this process */
    uint32_t trial;
    uint16_t stage;
    uint16_t attempt; /* from 1 */
};
bool task_id_equal(struct task_id a, struct task_id b);
static inline uint64_t task_id_hash(struct task_id id, uint64_t seed) {
    uint64_t hash = (id.run ^ seed) * UINT64_C(0x9E3779B97F4A7C15);
    hash ^= hash >> 29 ^ ((uint64_t)id.trial << 32 | (uint64_t)id.stage << 16 | id.attempt);
    hash *= UINT64_C(0xBF58476D1CE4E5B9);
    return hash ^ hash >> 32;
}
uint64_t task_id_span(struct task_id id); /* for the trace */
#define AGENT_TOKEN_UP UINT32_MAX         /* of an input in a record of turns: a worker said hello */
/* The token of its TASK_ENDED, so that a record of turns tells whose end it was: {trial:22, stage:5, attempt:5}. */
static inline uint64_t task_id_token(struct task_id id) {
    return (uint32_t)(id.trial << 10 | (id.stage & 31U) << 5 | (id.attempt & 31U));
}

enum task_state {
    TASK_WAITING,
    TASK_OFFERED,
    TASK_QUEUED,
    TASK_RUNNING,
    TASK_OK,
    TASK_FAILED,
    TASK_CANCELLED,
    TASK_REJECTED
};
bool task_state_terminal(enum task_state state);
const char *task_state_name(enum task_state state);

/* ---- why a task went where it went ---- */
enum candidate_verdict {
    CANDIDATE_CHOSEN,
    CANDIDATE_SPARED, /* would end it sooner, and was left to other tasks */
    CANDIDATE_FULL,   /* would end it sooner, and has as many tasks as it may */
    CANDIDATE_LATER,
    CANDIDATE_PAUSED,  /* refused lately: asked again later */
    CANDIDATE_REFUSED, /* in this round */
    CANDIDATE_SILENT,  /* does not answer */
    CANDIDATE_DRAINING,
    CANDIDATE_DOWN,
    CANDIDATE_INCAPABLE,
    CANDIDATE_VERDICTS
};
const char *candidate_verdict_name(enum candidate_verdict verdict);
enum decision_kind {
    DECISION_PLANNED,
    DECISION_REBALANCED,
    DECISION_PULLED,
    DECISION_DOUBLED,
    DECISION_KINDS
};
const char *decision_kind_name(enum decision_kind kind);
struct task_decision;
void task_decision_free(struct task_decision *decision); /* NULL is fine */
#define DECISION_CANDIDATES_MAX 8
struct decision_candidate {
    char agent[80]; /* "NAME/INSTANCE" */
    enum candidate_verdict verdict;
    uint32_t held;                /* tasks that it had */
    uint64_t start_ns, finish_ns; /* absolute, estimated; 0: it was out of the question */
};
struct task_decision { /* the last offer of a task */
    struct account *account;
    enum decision_kind kind;
    uint64_t at_ns;
    unsigned offers; /* this one included */
    unsigned count, left_out;
    struct decision_candidate candidates[DECISION_CANDIDATES_MAX]; /* the chosen one first */
};

struct task {
    struct task *next; /* owner: whoever holds the task */
    struct task_id id;
    actor_ref owner;     /* gets TASK_ENDED, exactly once */
    actor_ref agent;     /* who runs it; 0 until offered */
    unsigned capability; /* bit */
    enum task_state state;
    uint8_t priority; /* higher first */
    bool moved;       /* refused or taken back before: one class more urgent than its priority says */
    bool idempotent;  /* may be done twice at once, by two agents; the first result counts */
    bool firm;        /* its deadline is kept or it is refused at once: it never waits only to be late */
    struct resources resources;
    uint64_t submitted_ns; /* owner stamps */
    uint64_t assigned_ns;  /* coordinator stamps: offer sent */
    uint64_t accepted_ns;  /* agent stamps: into its queue */
    uint64_t started_ns;   /* agent stamps: written to the worker */
    uint64_t ended_ns;     /* agent stamps: answer read */
    uint64_t deadline_ns;  /* absolute; UINT64_MAX: none */
    uint64_t timeout_ns;   /* of execution; 0: none */
    uint64_t expected_ns;  /* p50 estimate of service; 0: unknown */
    double size;           /* of its input, in any unit: what its time depends on; 0: not told */
    uint32_t epoch;        /* of the offer */
    uint32_t rebalanced;   /* rounds */
    const char *run_name, *stage_name, *capability_name; /* live as long as the run */
    const char *artifact_directory;                      /* absolute, or NULL */
    struct account *account;
    uint32_t body_length;
    /* The JSON members that the worker gets besides ids and deadline:
     * "variables":{..},"inputs":{..},"data":{..},"seed":1 */
    char *body;                     /* inside the task's block */
    struct task_result *result;     /* once ended; owned by the task */
    struct task_decision *decision; /* owned by the task; NULL: nobody wants to know */
};
/* One block; body is copied. */
struct task *task_new(struct account *account, const char *body, size_t body_length);
struct task *task_copy(const struct task *task); /* without a result; NULL: no memory */
void task_free(struct task *task);               /* with its result; NULL is fine */

#define METRICS_MAX 16
#define METRIC_NAME_MAX 63
struct metric {
    char name[METRIC_NAME_MAX + 1];
    double value;
};
#define CORE_WAIT_UNKNOWN UINT64_MAX
struct task_result {
    enum troupe_error error; /* OK, WORKER, PROTOCOL, TIMEOUT, CANCELLED, LIMIT, OVERLOADED, NO_AGENT ... */
    bool retryable;
    unsigned metric_count;
    struct metric metrics[METRICS_MAX];
    uint64_t cpu_ns;       /* CPU of the worker for this task, descendants included */
    uint64_t core_wait_ns; /* it could run and waited for a core; CORE_WAIT_UNKNOWN: not measured */
    uint64_t blocked_ns;   /* execution minus CPU and, when known, core wait; not below 0 */
    /* OVERLOADED: until there is room for such a task; 0: not known */
    uint64_t capacity_in_ns;
    char artifact[128]; /* file name inside artifact_directory, or empty */
    char message[512];  /* error, for a person: who, what, expected */
    struct account *account;
    uint32_t value_length;
    char *value; /* JSON text inside the block, or NULL */
};
struct task_result *task_result_new(struct account *account, const char *value, size_t value_length);
void task_result_free(struct task_result *result);

/* What an agent says of itself: the opaque bytes of its registry row, so that the coordinator knows how much
 * it takes. */
struct agent_profile {
    uint32_t slots;         /* tasks that run at once (instances); at least 1 */
    uint32_t batch_max;     /* tasks of one message to a worker; 0: 1 */
    uint32_t queue_len_max; /* tasks it holds, running ones included; 0: unknown */
    uint32_t window;        /* tasks with a worker at a time; 0: batch_max */
    uint64_t batch_wait_ns; /* how long it waits, idle, for a whole batch */
};

/* ---- feedback: what would help, from a forecast ---- */
enum feedback_kind { FEEDBACK_SPAWN, FEEDBACK_RETIRE, FEEDBACK_SHED, FEEDBACK_WEIGHT, FEEDBACK_KINDS };
const char *feedback_kind_name(enum feedback_kind kind);
struct feedback_forecast {
    uint32_t tasks, late; /* that are foreseen; that end after their deadlines */
    uint64_t late_weight; /* each late one counts its priority + 1 */
    uint64_t finish_ns;   /* absolute, of the last one */
};
#define FEEDBACK_NAME_MAX 79 /* "NAME/INSTANCE" */
struct feedback_step {
    enum feedback_kind kind;
    char agent[FEEDBACK_NAME_MAX + 1]; /* SPAWN, RETIRE: without its instance; SHED: where they are, or "" */
    unsigned count;                    /* agents; tasks to shed */
    float weight_before, weight;       /* WEIGHT: already taken */
    struct feedback_forecast before, after; /* of SHED: with all of its steps */
};
#define FEEDBACK_STEPS_MAX 8
struct feedback {
    struct account *account; /* of a block of its own */
    uint64_t at_ns;
    bool looked; /* false: there was no memory to */
    struct feedback_forecast as_it_is;
    unsigned shed; /* tasks, of all agents; the steps are the agents with most of them */
    unsigned count;
    struct feedback_step steps[FEEDBACK_STEPS_MAX];
};

/* ---- payloads ---- */
/* COORDINATE (owner -> coordinator): a batch. Ownership of the tasks goes with it. */
struct message_coordinate {
    struct task *tasks; /* list by next */
    unsigned count;
};
/* COORDINATED (coordinator -> owner), once per batch, after T0..T5; token of the request. Refused tasks
 * follow as TASK_ENDED with state REJECTED; every task of the batch ends in exactly one TASK_ENDED. */
enum coordinate_phase {
    PHASE_DISCOVER,
    PHASE_SCORE,
    PHASE_MATRIX,
    PHASE_ASSIGN,
    PHASE_OFFER,
    PHASE_REBALANCE,
    PHASE_FEEDBACK,
    PHASE_COUNT
};
struct message_coordinated {
    unsigned submitted, accepted /* by an agent */, waiting /* in the coordinator */, rejected;
    unsigned on_time, late, rebalanced;
    uint64_t phase_ns[PHASE_COUNT]; /* add to total_ns */
    uint64_t total_ns;
    uint64_t estimated_completion_ns; /* absolute, of the last accepted or waiting task */
    uint64_t capacity_in_ns;          /* when something was rejected: until capacity returns */
    unsigned spawn_recommended;       /* least k agents so that nothing is late that more agents can save */
    unsigned shed_recommended;        /* tasks that no number of agents makes on time */
    struct feedback *feedback;        /* the message's; NULL: nothing is late, or nothing helps */
};
/* OUTLOOK (owner -> coordinator, asked): what will be submitted later, and how many agents may come and go. Answered with
 * FEEDBACK, a struct feedback. */
#define OUTLOOK_TASKS_MAX 32
#define OUTLOOK_AGENTS_MAX 32
struct message_outlook {
    unsigned task_count, agent_count;
    struct outlook_tasks {
        unsigned capability, count;
        uint64_t expected_ns; /* of one; 0: as seen so far */
        uint64_t deadline_ns; /* absolute; UINT64_MAX: none */
        struct resources resources;
        uint8_t priority;
    } tasks[OUTLOOK_TASKS_MAX];
    struct outlook_agent { /* of those not named neither more nor fewer are thought of */
        char name[64];     /* without its instance */
        unsigned more, fewer;
    } agents[OUTLOOK_AGENTS_MAX];
};
/* OFFER (coordinator -> agent, asked): tasks for its queue. */
struct message_offer {
    struct task *tasks;
    unsigned count;
    uint32_t epoch;
};
enum offer_answer { OFFER_ACCEPT, OFFER_PARTIAL, OFFER_OVERLOADED, OFFER_INCAPABLE, OFFER_DRAINING };
/* OFFER_ANSWER (agent -> coordinator): refused tasks come back in `refused`. */
struct message_offer_answer {
    enum offer_answer answer;
    uint32_t epoch;
    unsigned accepted;
    struct task *refused;
    unsigned refused_count;
    unsigned queue_length, others_queued; /* tasks it has; of them, offered by others than who asks */
    uint64_t others_ns; /* before ours: their work, and a pause until its worker is there again */
    uint64_t estimated_completion_ns; /* absolute, of everything accepted */
    uint64_t capacity_in_ns;          /* OVERLOADED */
};
/* REVOKE (coordinator -> agent, asked): the task that was offered under `epoch` is wanted back. One that is begun, or
 * written to the worker, stays; nothing happens then. Of one that the agent does not have the end was sent before, or it
 * never had it. */
struct message_revoke {
    struct task_id id;
    uint32_t epoch;
    bool copy;   /* of one that is begun, a copy is wanted, to be done elsewhere too */
    bool cancel; /* one that is begun is to end as cancelled */
};
enum revoke_answer { REVOKE_REVOKED, REVOKE_STARTED, REVOKE_DONE, REVOKE_ANSWERS };
struct message_revoke_answer {
    enum revoke_answer answer;
    struct task_id id;
    uint32_t epoch;
    struct task *task; /* REVOKED: it comes back; STARTED: the copy that was wanted, or NULL */
};
/* TASK_ENDED: agent -> coordinator; the coordinator gives resources back and passes the same message to the
 * owner. */
struct message_task_ended {
    struct task *task; /* with result; state is terminal */
};
/* TASK_CANCEL (owner -> coordinator -> agent): run, or one trial when trial != UINT32_MAX. */
struct message_task_cancel {
    uint64_t run;
    uint32_t trial;
    bool at_once; /* nothing is waited for: cancel_grace, not stop_grace */
};
struct message_task_progress {
    struct task_id id;
    int64_t step;
    unsigned metric_count;
    struct metric metrics[4];
};
/* AGENT_EVENT (agent -> coordinator; the coordinator passes it to the listener it was given): worth a line.
 */
enum agent_event {
    AGENT_UP, /* a child said hello, at the start and after each restart */
    AGENT_WORKER_DIED,
    AGENT_WORKER_KILLED,
    AGENT_RESTARTED,
    AGENT_GAVE_UP,
    AGENT_LOG
};
struct message_agent_event {
    enum agent_event event;
    actor_ref agent;
    unsigned instance;
    uint64_t busy_ns, idle_ns;             /* so far */
    uint64_t spawned_ns, ready_ns, cpu_ns; /* AGENT_UP: of the child; the CPU until then */
    struct task_id task;                   /* concerned, when any */
    char agent_name[64];
    char text[256];
};
void task_message_destructors(void); /* registers those of the payloads above; call once before runtime_run */

#endif
