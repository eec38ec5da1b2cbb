/* coordinate: who does which task: discover, score, matrix, assign, offer, rebalance, feedback (T0..T5), and
 * after that every task's way to its one end.
 *
 * Job:     one coordinator actor. It gets batches (COORDINATE, best asked), offers tasks to agents (OFFER,
 *          asked), keeps what no agent can take now in its own bounded queue, and passes each TASK_ENDED to
 *          the task's owner. Payloads: task/task.h. Agents are known from a registry watch and from what
 *          they answer; never by scanning.
 * Threads: coordinator_start from any thread, before or during runtime_run; the rest happens in the actor's
 *          turns.
 * Memory:  the caller's account; a task's block is the coordinator's while it waits, the agent's once
 *          offered. The coordinator keeps one pooled claim per live task and allocates nothing else per
 *          task. Options, names and the statistics block must live as long as the actor.
 * Failure: every task of a COORDINATE that was delivered ends in exactly one TASK_ENDED to task->owner:
 *          REJECTED with NO_AGENT (no agent has, or any longer has, the capability: named), UNSATISFIABLE
 *          (more than the totals: named, with the nearest), DEADLINE (passed while it waited), OVERLOADED
 *          (queue full, or refused too often; message says when capacity returns), INVALID (an id that is
 *          live already), NOMEM; FAILED with WORKER, retryable, when its agent's actor ended, or TIMEOUT,
 *          retryable, when the agent did not answer its offer in time, or not when it was asked after the
 *          task; CANCELLED; or what the agent
 *          reported. A COORDINATE that is refused (FULL, DEAD) stays with its sender, tasks included.
 * Bounds:  waiting tasks queue_len_max; at an agent slots x 2 x batch_max (one running, one prefetched per
 *          slot); rounds of rebalancing; offers of one task; agents. Each has a default below.
 * Invariants, checked: counted resources are taken before the offer and given back once, never below zero nor
 *          above the totals; submitted = ok + failed + cancelled + rejected + live; a round's phases add to
 *          its total. */
#ifndef COORDINATE_COORDINATE_H
#define COORDINATE_COORDINATE_H

#include "coordinate/batch.h"
#include "coordinate/teams.h"
#include "registry/registry.h"

/* What was ever counted; ever growing but for the gauges at the end. */
struct coordinator_statistics {
    uint64_t submitted, ended_ok, ended_failed, ended_cancelled, rejected; /* tasks; + live: they add up */
    uint64_t on_time, late; /* of ended_ok: by their deadline (none: on time) */
    uint64_t batches, rounds, rebalance_rounds;
    uint64_t offers, offered_tasks, accepted_tasks, refused_tasks;
    uint64_t answers[OFFER_DRAINING + 1]; /* by enum offer_answer */
    uint64_t offer_timeouts, agents_lost; /* actors that ended with tasks */
    uint64_t promised, promises_broken;   /* firm tasks taken; of them, not done by their deadline */
    uint64_t refused_early;               /* firm tasks that would have been late */
    uint64_t stale_answers, stale_ends;   /* another epoch, or not live: dropped */
    uint64_t revokes, revoke_answers[REVOKE_ANSWERS], revoke_timeouts;
    uint64_t pulled;                   /* tasks taken back for an agent that would end them sooner */
    uint64_t doubled, doubles_won;     /* stragglers given to a second agent; it was first */
    uint64_t leases_passed, ends_lost; /* asked after for that; found to be nowhere */
    uint64_t parked, woken;            /* waiting tasks without a claim, ever; those that got one after all */
    uint64_t undeliverable;            /* the owner was gone */
    uint64_t phase_ns[PHASE_COUNT], round_ns; /* over all batches; phases add to round_ns */
    uint64_t looks, steps[FEEDBACK_KINDS];    /* for what would help; what they advised */
    uint64_t spawn_recommended_max, weight_steps, cancels_lost /* no memory to forward one */;
    /* gauges */
    uint64_t live, waiting, waiting_max, at_agents;
    uint32_t agents, slots, slots_busy;
    struct resources resources_free;
    struct feedback feedback; /* the last that was computed for a batch */
};

struct coordinator_options {
    const struct capability_names *capabilities;
    const struct resource_names *resource_names;
    struct resources resources; /* totals of this process; 0: none of it */
    const char *name_space;     /* of the agents in the registry; NULL: "agents" */
    actor_ref listener;         /* gets every AGENT_EVENT; 0: nobody */
    unsigned queue_len_max;     /* waiting tasks; 0: 4096 */
    unsigned claims_max;        /* those of them that plans look at; the others take 64 bytes each; 0: 512 */
    unsigned agents_max;        /* 0: 256 */
    unsigned rebalance_rounds_max; /* of one batch; 0: 3 */
    unsigned offers_max;           /* of one task, then it is rejected; 0: 64 */
    uint64_t offer_timeout_ns;     /* 0: 10 s */
    uint64_t lease_ns; /* a task at an agent that is not heard of for so long is asked after; 0: 30 s */
    /* What agents say of others' work is taken so much later, and once in so long, to measure what stale reports cost; 0:
     * at once. */
    uint64_t reports_late_ns;
    bool explain; /* tasks carry why they went where they went: struct task_decision, 1 KiB each */
    struct coordinator_statistics *statistics; /* written when the actor ends; may be NULL */
};
/* Copies `options` (not what it points to). Start it before the agents. Pass the returned actor to agents as
 * their coordinator and to owners; actor_stop ends it: tasks that still wait are freed with it, agents keep
 * theirs. */
MUST_CHECK enum troupe_error coordinator_start(struct runtime *runtime, struct registry *registry,
                                               struct account *account,
                                               const struct coordinator_options *options,
                                               actor_ref *ret_coordinator, struct fault *fault);

/* OUTLOOK (an owner, asked) -> FEEDBACK: what is foreseen with the tasks that it will submit later, and what would help.
 * Nothing is remembered of it, and nothing is done. Not answered when memory is short. */

/* COORDINATOR_STATUS (anyone, asked) -> COORDINATOR_STATUS_ANSWER with a struct coordinator_statistics. */

#endif
