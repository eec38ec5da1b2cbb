/* coordinator: the actor's state and what its files call of each other. See coordinate.h for the contract.
 *
 * A turn is: one handler from the table in coordinate.c, then coordinator_settle: what is owed is told, a
 * step of offers is asked for when something changed, the one timer is armed for the earliest alarm, the
 * counts are checked. */
#ifndef COORDINATE_COORDINATOR_H
#define COORDINATE_COORDINATOR_H

#include "coordinate/assign.h"
#include "coordinate/handover.h"
#include "coordinate/ledger.h"
#include "coordinate/snapshot.h"
#include "coordinate/wait_queue.h"

#define PROMISES_KEPT 512
struct admission {   /* admission.c */
    uint64_t *slots; /* scratch: heaps of the slots of all agents */
    size_t slot_capacity;
    float margin;                /* how much after its forecast a task may end, in deviations */
    float needed[PROMISES_KEPT]; /* by the last promises; a ring */
    unsigned next;
};

#define PLAN_DEMANDS_MAX 64
#define PLAN_TASKS_MAX 512
#define SPAWN_MAX 32 /* agents a recommendation goes up to */
#define IMAGINED_KINDS 2
#define IMAGINED_SLOTS_MAX 16
#define WEIGHT_NOTES 4
#define FEEDBACK_GROUPS_MAX 32 /* names of agents that are looked at */

struct round { /* of one batch, from COORDINATE to COORDINATED */
    bool open;
    uint64_t id;                 /* 0: never */
    struct message *asked;       /* the COORDINATE, tasks taken out */
    struct claim *claims;        /* still live ones, newest first */
    unsigned parked;             /* tasks that wait without a claim */
    uint64_t parked_deadline_ns; /* the first of theirs */
    unsigned offers_open, rebalances, refused /* in this wave */;
    bool forecast_stale;  /* answers told more than the plan knew */
    uint64_t plan_serial; /* the plan its claims' forecasts are from */
    enum coordinate_phase phase;
    uint64_t started_ns, stamp_ns;
    unsigned ended_on_time, ended_late, ended_accepted;
    bool firm;        /* some of its tasks */
    uint64_t room_ns; /* when there is room for the first of those refused for their deadlines; 0: none was */
    struct message_coordinated reply;
};

struct plan { /* scratch of one plan at a time */
    uint64_t serial;
    struct assign_scratch *scratch;
    struct assign_agent *agents; /* by view index; then SPAWN_MAX imagined ones */
    float *factors;              /* PLAN_DEMANDS_MAX rows of views_max + SPAWN_MAX */
    struct assign_demand demands[PLAN_DEMANDS_MAX];
    struct demand *rows[PLAN_DEMANDS_MAX];
    unsigned demand_count;
    uint32_t quota[PLAN_DEMANDS_MAX]; /* tasks of it that this plan still takes */
    struct assign_task tasks[PLAN_TASKS_MAX];
    struct claim *claims[PLAN_TASKS_MAX];
    unsigned task_count;
    struct assign_release releases[PLAN_TASKS_MAX];
    unsigned release_count;
    uint64_t *slot_times;
    size_t slot_capacity;
    uint32_t room; /* of all agents */
    struct assign_outcome outcome;
    struct claim_list *offers; /* by view index */
};

struct coordinator {
    struct runtime *runtime;
    struct env *env;
    struct account *account;
    struct coordinator_options options;
    actor_ref self;
    uint64_t watch;
    struct ledger ledger;
    struct wait_queue queue;
    struct snapshot snapshot;
    struct heap alarms;   /* of views */
    struct heap expiries; /* of claims with a deadline */
    struct claim_list owed;
    struct task *unclaimed; /* not even a claim could be had: rejected NOMEM as soon as that can be said */
    struct resources free;
    struct plan plan;
    struct round
        *rounds; /* agents_max + 1: an open one waits for an answer, and each agent has one offer open */
    unsigned round_count;
    uint64_t round_serial;
    uint32_t epoch;
    struct message *step; /* the spare COORDINATE_STEP; NULL: it is on its way */
    bool want_step;
    bool started, orphans_owed /* no memory to tell their owners */;
    uint64_t timer, timer_ns; /* armed; timer_ns UINT64_MAX: not */
    uint64_t look_ns;  /* when to look again at what could be pulled; UINT64_MAX: when something happens */
    uint64_t retry_ns; /* something lacked memory: try again then; UINT64_MAX: nothing */
    uint64_t *explained_slots; /* decision.c's scratch */
    size_t explained_capacity;
    unsigned spare_next; /* of the queue's demands: where park_spare looks first */
    struct admission admission;
    struct straggling *straggling; /* speculation.c's; NULL: no task may be doubled */
    struct remedy *remedy;
    struct feedback feedback; /* computed last, for a batch */
    struct weight_note {      /* steps since then: of an agent the weight before the first */
        actor_ref actor;
        unsigned index;
        float before; /* 0: no note */
    } weight_notes[WEIGHT_NOTES];
    struct coordinator_statistics counts; /* those that the ledger does not keep */
};

/* ---- intake.c: COORDINATE and TASK_CANCEL ---- */
void intake_batch(struct coordinator *coordinator, struct turn *turn, struct message *asked);
void intake_cancel(struct coordinator *coordinator, struct turn *turn,
                   const struct message_task_cancel *cancel);

/* A claim of its own, that waits, in no queue yet; NULL: no memory. */
struct claim *intake_claim(struct coordinator *coordinator, struct task *task);
/* There was no memory for its claim: it ends for that as soon as that can be said. */
void intake_unclaimed(struct coordinator *coordinator, struct task *task, uint64_t now_ns);
uint64_t intake_expected(const struct coordinator *coordinator, const struct task *task);
enum troupe_error intake_refuses(struct coordinator *coordinator, const struct task *task, uint64_t now_ns);

/* ---- park.c: tasks that wait beyond what plans look at ---- */
/* False: it is to have a claim, or to be refused with one. */
bool park_task(struct coordinator *coordinator, struct round *round, struct task *task, uint64_t now_ns);
/* The demand's most urgent task that waits, with a claim from now on; NULL: none, or no memory. */
struct claim *park_first(struct coordinator *coordinator, struct demand *demand);
void park_cancel(struct coordinator *coordinator, struct turn *turn,
                 const struct message_task_cancel *cancel);
void park_expire(struct coordinator *coordinator, struct turn *turn);
/* Of the batch's parked ones, those that are due before that. */
unsigned park_late(const struct coordinator *coordinator, const struct round *round, uint64_t finish_ns);
uint64_t park_expires_ns(const struct coordinator *coordinator); /* UINT64_MAX: none does */
void park_without_agent(struct coordinator *coordinator, struct turn *turn, const struct demand *demand);
/* Claims of tasks that only wait are given up for records when there are many more than plans look at. */
void park_spare(struct coordinator *coordinator);

/* ---- plan.c: score, matrix, assign ---- */
MUST_CHECK enum troupe_error plan_init(struct plan *plan, struct account *account, unsigned agents_max);
void plan_free(struct plan *plan, struct account *account);
/* Reads the agents' load: slots, rooms, what comes back. `round` 0: nobody is excluded. NOMEM. */
MUST_CHECK enum troupe_error plan_score(struct coordinator *coordinator, uint64_t now_ns, uint64_t round);
/* Takes the most urgent tasks out of the queue: those that could be offered now, or (forecast above 0) that
 * many. */
void plan_matrix(struct coordinator *coordinator, unsigned forecast);
/* Solves, notes every task's forecast; those to be offered are in plan.offers, the others back in the queue.
 * offer false: all go back. Returns how many are to be offered. */
unsigned plan_assign(struct coordinator *coordinator, uint64_t now_ns, bool improve, bool offer);
/* For those who solve the plan again, changed: its problem with so many imagined agents behind the known ones; the
 * factors of a row, by agent; the slots of imagined agents of one kind, IMAGINED_SLOTS_MAX of them, the same for each. */
struct assign_problem plan_problem(struct coordinator *coordinator, uint64_t now_ns, unsigned extra_agents);
float *plan_factors(const struct coordinator *coordinator, unsigned row);
uint64_t *plan_imagined_slots(const struct coordinator *coordinator, unsigned kind);
/* One more row, of a demand that the plan does not have; there is place for it. */
void plan_row(struct coordinator *coordinator, struct demand *demand);
/* How long the task takes there. */
uint64_t plan_service(const struct coordinator *coordinator, const struct agent_view *view,
                      const struct claim *claim);
uint64_t plan_capacity_in(const struct coordinator *coordinator, uint64_t now_ns);

/* ---- admission.c: is a firm deadline kept ---- */
void admission_init(struct admission *admission);
void admission_free(struct admission *admission, struct account *account);
/* Between plan_matrix and plan_assign: refuses those firm tasks of the round that would be late, or would make those
 * late that were taken before, and notes of the others what is promised. */
void admission_judge(struct coordinator *coordinator, struct turn *turn, struct round *round);
/* A task that was promised something ended. */
void admission_learn(struct admission *admission, const struct claim *claim, uint64_t ended_ns, bool cut);

/* ---- offer_round.c: offers, answers, rounds ---- */
struct round *round_open(struct coordinator *coordinator, struct message *asked, uint64_t now_ns);
void round_stamp(struct coordinator *coordinator, struct round *round, enum coordinate_phase ended);
/* Sends what the plan offers; `round` may be NULL. Returns offers sent. */
unsigned round_offer(struct coordinator *coordinator, struct turn *turn, struct round *round);
void round_advance(struct coordinator *coordinator, struct turn *turn, struct round *round);
void round_step(struct coordinator *coordinator, struct turn *turn); /* offers outside any batch */
void round_answer(struct coordinator *coordinator, struct turn *turn, struct message *message);
void round_ask_failed(struct coordinator *coordinator, struct turn *turn,
                      const struct message_ask_failed *failed);
void round_offer_expired(struct coordinator *coordinator, struct turn *turn, struct agent_view *view);
/* When the agent has no task any more of an offer that it did not answer in time, it may get others. */
void round_offer_settled(struct coordinator *coordinator, struct agent_view *view);
void round_set_alarm(struct coordinator *coordinator, struct agent_view *view);
void round_orphan_again(struct coordinator *coordinator, struct turn *turn);
void round_agent_lost(struct coordinator *coordinator, struct turn *turn, struct agent_view *view);
/* A task that an agent does not have any more, its block ours: back into the queue, or to its end. `moved`: the agent
 * would not, or should not, do it. */
void round_requeue(struct coordinator *coordinator, struct turn *turn, struct claim *claim, bool moved);
void round_join(struct round *round, struct claim *claim); /* it is of that batch */
void round_leave(struct claim *claim); /* nothing of it is counted; of no round: nothing */
void round_forget(struct claim *claim, bool accepted, bool on_time); /* it ended while its round is open */

/* The one task to the one agent, outside of any plan; it has room. */
void round_offer_one(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                     struct agent_view *view);

/* ---- decision.c: why a task went where it went; nothing where nobody wants to know ---- */
/* Of those that plan_assign offers, before they are sent; `round` may be NULL. */
void decision_plan(struct coordinator *coordinator, const struct round *round, uint64_t now_ns);
void decision_one(struct coordinator *coordinator, struct claim *claim, const struct agent_view *view,
                  enum decision_kind kind, uint64_t now_ns);

/* ---- speculation.c: a second agent for a straggler ---- */
struct straggling;
void speculation_free(struct coordinator *coordinator);
void speculation_admit(struct coordinator *coordinator); /* a task that may be doubled */
void speculation_observe(struct coordinator *coordinator, const struct claim *claim, uint64_t took_ns);
void speculation_look(struct coordinator *coordinator, struct turn *turn);
/* The copy came; `to` was idle when it was asked for. */
void speculation_double(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                        struct task *copy, actor_ref to);
void speculation_leave(struct coordinator *coordinator, struct claim *claim);
void speculation_won(struct coordinator *coordinator, struct claim *claim, uint64_t now_ns);

/* ---- recall.c: tasks wanted back from agents that accepted them ---- */
/* Asks for tasks that another agent would end sooner. */
void recall_look(struct coordinator *coordinator, struct turn *turn);
void recall_due(struct coordinator *coordinator, struct turn *turn, struct agent_view *view);
void recall_answer(struct coordinator *coordinator, struct turn *turn, struct message *message);
bool recall_failed(struct coordinator *coordinator, struct turn *turn, uint64_t token); /* false: no such */
void recall_accepted(struct coordinator *coordinator, struct agent_view *view, struct claim *claim,
                     uint64_t now_ns);
bool recall_copy(struct coordinator *coordinator, struct turn *turn, const struct claim *claim, actor_ref to);
void recall_unwanted(struct coordinator *coordinator, struct claim *claim,
                     uint64_t now_ns);                                      /* to be cancelled */
bool recall_awaits(const struct coordinator *coordinator, actor_ref actor); /* a task on its way to it */
void recall_next_lease(struct coordinator *coordinator, struct agent_view *view);

/* ---- ending.c: each task's one TASK_ENDED ---- */
/* What follows when `event` happened to a task with an agent (handover.h); `error`: of an end that is made here. The claim
 * may be gone afterwards. */
void ending_happened(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                     enum claim_event event, enum troupe_error error);
/* The claim is in no queue; its task, when ours, goes to the owner. Frees the claim, or keeps it (OWED,
 * ORPHAN). */
void ending_tell(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                 enum troupe_error error);
void ending_waiting(struct coordinator *coordinator, struct turn *turn, struct claim *claim,
                    enum troupe_error error);
void ending_from_agent(struct coordinator *coordinator, struct turn *turn, struct message *message);
void ending_retry(struct coordinator *coordinator, struct turn *turn); /* what is owed */
void ending_give_back(struct coordinator *coordinator, struct claim *claim);
void ending_leave_agent(struct coordinator *coordinator, struct claim *claim);
/* No agent has the capability any more: what waits for it ends. */
/* One of two claims of a task goes; the other one stays. */
void ending_twin(struct coordinator *coordinator, struct claim *claim);
void ending_without_agent(struct coordinator *coordinator, struct turn *turn);

/* ---- remedy.c: what would help ---- */
struct remedy;
MUST_CHECK enum troupe_error remedy_create(struct account *account, struct remedy **ret_remedy);
void remedy_free(struct remedy *remedy, struct account *account);
/* From the tasks of the last plan and, with an outlook, from what is announced in it. */
void remedy_look(struct coordinator *coordinator, uint64_t now_ns, const struct message_outlook *outlook,
                 struct feedback *ret);
void remedy_note_weight(struct coordinator *coordinator, const struct agent_view *view, float before);

/* ---- feedback.c: weights, recommendations, the reply ---- */
void feedback_refused(struct coordinator *coordinator, struct agent_view *view, uint64_t now_ns,
                      uint64_t capacity_in_ns);
void feedback_accepted(struct agent_view *view, unsigned tasks);
void feedback_outlook(struct coordinator *coordinator, struct turn *turn, struct message *asked);
void feedback_reply(struct coordinator *coordinator, struct turn *turn, struct round *round);

/* ---- coordinate.c ---- */
void coordinator_retry_later(struct coordinator *coordinator, uint64_t now_ns);

#endif
