/* One simulated life of registry, coordinators and real agent actors over modelled children, under one seed:
 * owners submit batches, retry, cancel; children crash, hang, lie, lose lines; agents drain and give up; links between
 * coordinators and agents lose and reorder what is said. At some time the faults stop, and two leases later all that was
 * submitted before must be done. It ends when every task has ended, or is stuck. What was seen is judged in sim_world.c.
 *
 * One thread; one world at a time. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "coordinate/coordinate.h"
#include "agent/agent.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define SIM_OWNERS 3
#define SIM_TRIALS 400 /* of one owner */
#define SIM_ATTEMPTS 3
#define SIM_AGENTS 5
#define SIM_COORDINATORS 2
#define SIM_OFFER_TIMEOUT_NS (500 * MS)
#define SIM_LEASE_NS (5 * SECOND) /* a task at an agent that is not heard of for so long is asked after */
#define SIM_SLACK_NS (100 * MS)   /* for messages and turns on the way */

#define SIM_DEAD_EPOCHS 6

struct sim_world;
struct sim_pending;

struct sim_attempt { /* of one task: what the owner knows */
    bool submitted, at_child, at_rogue;
    uint8_t ends;
    enum task_state state;
    enum troupe_error error;
    struct resources resources;
    uint64_t submitted_ns;
    uint32_t dead_epochs[SIM_DEAD_EPOCHS]; /* the last under which agents gave it back; a ring */
    unsigned dead_count;
    bool idempotent;                    /* may be at two children */
    uint64_t deadline_ns, cancelled_ns; /* cancelled: when its owner said so; 0: not */
};
struct sim_owner {
    struct sim_world *world;
    actor_ref actor, coordinator;
    uint64_t run;
    char run_name[16];
    struct random_stream random;
    unsigned batches_left, trials, submitted, ended;
    unsigned asked, answered, ask_failed;
    struct sim_attempt attempts[SIM_TRIALS][SIM_ATTEMPTS];
    bool finished;
};
struct sim_world {
    uint64_t seed;
    struct random_stream random;
    struct account account;
    struct env *env;
    struct runtime *runtime;
    struct registry *registry;
    struct capability_names capabilities;
    struct resource_names resource_names;
    struct resources totals;
    unsigned coordinator_count, owner_count, agent_count;
    bool rogue, settling /* every task has ended */;
    bool one_kind;            /* of task, so that it becomes known how long they take */
    bool peace;               /* the faults have stopped */
    bool linked;              /* agents are reached over links that lose and reorder */
    double lost, delayed;     /* of them, by seed */
    uint64_t faults_until_ns; /* none afterwards */
    actor_ref coordinators[SIM_COORDINATORS];
    struct coordinator_options options[SIM_COORDINATORS];
    struct coordinator_statistics statistics[SIM_COORDINATORS];
    struct sim_owner *owners; /* SIM_OWNERS */
    struct agents *agents[SIM_AGENTS];
    struct agent_spec specs[SIM_AGENTS];
    actor_ref drainer;
    /* what children do, by seed */
    double crash, hang, garbage, twice, other_attempt, fails, silent_stop;
    /* counted resources in use at children and the rogue; judged when one coordinator counts them all */
    struct resources in_use;
    uint64_t child_tasks;
    struct sim_pending *pending; /* sim_children.c's */
    /* the outcome */
    enum troupe_error run_error;
    uint64_t signature, events, virtual_ns;
    char violation[512]; /* the first; empty: none */
};

void sim_world_live(struct sim_world *world, uint64_t seed); /* from start to the last account */
void sim_violation(struct sim_world *world, const char *format, ...) PRINTF_LIKE(2, 3);
/* Somebody begins or ends to use counted resources: more than there are is a violation. */
void sim_use(struct sim_world *world, const struct resources *amount);
void sim_unuse(struct sim_world *world, const struct resources *amount);

/* sim_owner.c: an agent gave a task back; was it given back under its epoch? */
void sim_gave_back(struct sim_world *world, const struct task *task);
bool sim_epoch_is_dead(const struct sim_attempt *known, uint32_t epoch);

/* sim_children.c */
void sim_children_install(struct sim_world *world);
void sim_children_forget(struct sim_world *world); /* what they would still have said */
/* sim_link.c */
void sim_links_start(struct sim_world *world);
const char *sim_name_space(const struct sim_world *world, unsigned coordinator); /* where it finds agents */
/* sim_rogue.c */
void sim_rogue_start(struct sim_world *world);
/* sim_owner.c */
void sim_owner_start(struct sim_world *world, unsigned index);
struct sim_attempt *sim_find(struct sim_world *world, uint64_t run, uint32_t trial, unsigned attempt);

#endif
