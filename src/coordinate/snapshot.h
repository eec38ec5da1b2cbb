/* snapshot: what is known of each agent: its registration, what it holds, what it has left, how fast it is.
 * Kept by registry changes, offer answers and task ends; never by scanning. One registry row per agent's
 * actor.
 * Threads: the coordinator's turns.
 * Memory:  one block per agent, agents_max of them. */
#ifndef COORDINATE_SNAPSHOT_H
#define COORDINATE_SNAPSHOT_H

#include "coordinate/ledger.h"

#define AGENT_SLOTS_MAX 1024
#define AGENT_WINDOW_MAX 65536
#define WEIGHT_MAX 4.0f

struct agent_view {
    actor_ref actor;
    unsigned index;
    char name[REGISTRY_NAME_MAX + 1];
    uint64_t version;
    enum health health;
    struct capability_set capabilities;
    uint32_t slots, batch_max;
    uint64_t batch_wait_ns;      /* it waits, idle, for a whole batch */
    uint32_t planned, batch_at;  /* in the plan being made: tasks for it, and the batch looked at */
    uint64_t batch_end_ns;       /* of that one */
    uint32_t window, window_max; /* tasks it is given at most; lowered by refusals, raised by acceptances */
    bool gone;                   /* unregistered or ended: no more offers; freed when it holds nothing */
    bool gave_up, draining;      /* as it said; until its row changes */
    bool cancel_wanted;
    struct claim_list claims; /* offered, held, orphans; oldest first */
    /* the one open offer */
    bool offer_open, offer_expired, offer_extended;
    uint32_t offer_epoch, offer_tasks;
    struct round *offer_round;
    struct recall { /* the one open REVOKE */
        bool copy;  /* a copy is wanted */
        bool open, extended, overdue /* no answer in time */;
        uint32_t token_epoch;
        uint32_t epoch; /* of the task's offer */
        struct task_id id;
        actor_ref to; /* the idle agent it is for; 0: its lease passed */
        uint64_t expires_ns;
    } recall;
    uint64_t probe_ns;      /* when to look at its tasks' leases; 0: it has none */
    struct heap_node alarm; /* always in the coordinator's heap: end of the offer's time, or resume_ns */
    uint64_t offer_expires_ns;
    uint64_t resume_ns;        /* no offers before */
    uint64_t foreign_until_ns; /* work of others that it has to do first, as its answers showed */
    struct {
        uint64_t at_ns, until_ns; /* heard, and not taken yet; 0: none is */
    } report;                     /* when the coordinator's options have them late */
    uint64_t refused_round;       /* id of the last round it refused in */
    uint32_t refusals_in_row;
    uint64_t start_ns; /* its child's last start, until its hello; 0: not known, or it has none */
    float weight;      /* >= 1: service times are multiplied by it when agents are compared */
    uint64_t ended, refused, accepted;
    float service_ns[CAPABILITIES_MAX]; /* moving mean; 0: not seen */
    uint16_t seen[CAPABILITIES_MAX];    /* observations, up to SEEN_MAX */
};

struct snapshot {
    struct account *account;
    struct runtime *runtime;
    struct registry *registry;
    const char *name_space;
    struct heap *alarms;
    struct agent_view **views; /* agents_max; NULL: free */
    unsigned views_max, views_used /* highest index + 1 */, views_live;
    uint64_t ignored;                    /* changes of agents beyond views_max */
    bool incomplete;                     /* a change was lost: read the registry again */
    uint32_t holders[CAPABILITIES_MAX];  /* agents that may still do it, by capability */
    double service_ns[CAPABILITIES_MAX]; /* moving mean over agents; 0: not seen */
};
MUST_CHECK enum troupe_error snapshot_init(struct snapshot *snapshot, struct runtime *runtime,
                                           struct registry *registry, struct account *account,
                                           const char *name_space, unsigned agents_max, struct heap *alarms);
void snapshot_free(struct snapshot *snapshot);
struct agent_view *snapshot_find(const struct snapshot *snapshot, actor_ref actor); /* NULL */

/* A registry change. Returns the view when the agent is new (to be monitored). `ret_lost`: capabilities that
 * fewer agents have now; ask snapshot_holders. */
struct agent_view *snapshot_change(struct snapshot *snapshot, const struct message_registry_change *change,
                                   uint64_t now_ns);
void snapshot_remove(struct snapshot *snapshot,
                     struct agent_view *view); /* gone; kept while it holds something */
void snapshot_release(struct snapshot *snapshot,
                      struct agent_view *view); /* frees a view that is gone and empty */
void snapshot_give_up(struct snapshot *snapshot, struct agent_view *view);
void snapshot_drain(struct snapshot *snapshot, struct agent_view *view);
void snapshot_drop_capability(struct snapshot *snapshot, struct agent_view *view, unsigned capability);

bool agent_view_usable(const struct agent_view *view); /* may ever be offered something, as things are */
bool agent_view_has(const struct agent_view *view, unsigned capability);
/* How many tasks it may be offered now; `round` (0: none): excluded when it refused in it. */
uint32_t agent_view_room(const struct agent_view *view, uint64_t now_ns, uint64_t round);

/* A task of this capability took so long here. */
void snapshot_observe(struct snapshot *snapshot, struct agent_view *view, unsigned capability,
                      uint64_t service_ns);
uint64_t snapshot_expected(const struct snapshot *snapshot, unsigned capability); /* never 0 */
/* Service time here over the mean; with the weight. */
float snapshot_factor(const struct snapshot *snapshot, const struct agent_view *view, unsigned capability);

#endif
