/* replay_guide: makes the actors that decide take their turns in the recorded order, none before its recorded instant.
 *
 * Guided are the engine's commits, ends of tasks and of jobs, and interruptions; what agents are offered and asked back,
 * and their timers; and all that the coordinator takes. Two are soft: notes of agents, for a worker's log makes notes too
 * and no log is replayed, and the timers of agents. One that does not come is passed over, one that nobody waits for is
 * taken as it comes.
 * Threads: env_sim's one. Memory: none. */
#include "simulate/replaying.h"

#include <stdio.h>
#include <string.h>

#define TOKEN_NOBODYS UINT32_MAX /* jobs that clear away, or write a trace */

bool replay_guided(enum replay_role role, unsigned kind, uint32_t token) {
    switch (kind) {
    case MESSAGE_OFFER:
    case MESSAGE_REVOKE:
    case MESSAGE_AGENT_DRAIN:
        return role == REPLAY_AGENT;
    case MESSAGE_STORE_COMMITTED:
    case MESSAGE_FEEDBACK:
    case MESSAGE_RUN_STOP:
        return role == REPLAY_ENGINE;
    case MESSAGE_JOB_DONE:
        return role == REPLAY_ENGINE && token != TOKEN_NOBODYS;
    case MESSAGE_TIMER:
        return role != REPLAY_ENGINE; /* its own are for the display and the deadline */
    case MESSAGE_DOWN:                /* of an agent that left */
    case MESSAGE_TASK_ENDED:
        return role == REPLAY_ENGINE || role == REPLAY_COORDINATOR;
    case MESSAGE_COORDINATE:
    case MESSAGE_COORDINATE_STEP:
    case MESSAGE_OUTLOOK:
    case MESSAGE_AGENT_EVENT:
    case MESSAGE_OFFER_ANSWER:
    case MESSAGE_REVOKE_ANSWER:
    case MESSAGE_REGISTRY_CHANGE:
        return role == REPLAY_COORDINATOR;
    default:
        return false;
    }
}

/* An answer gets its asker's token only when it is taken, so it is told by who answers, as a note by whose it is. Numbers of watches and of asks
 * are of one process. */
struct replay_step replay_step_of(unsigned kind, uint32_t sender, uint64_t token) {
    bool answer = kind == MESSAGE_AGENT_EVENT || kind == MESSAGE_OFFER_ANSWER ||
                  kind == MESSAGE_REVOKE_ANSWER || kind == MESSAGE_FEEDBACK || kind == MESSAGE_DOWN;
    bool own = kind == MESSAGE_TIMER || kind == MESSAGE_REGISTRY_CHANGE || kind == MESSAGE_OFFER ||
               kind == MESSAGE_REVOKE || kind == MESSAGE_OUTLOOK || kind == MESSAGE_AGENT_DRAIN;
    return (struct replay_step){.kind = (uint16_t)kind, .token = answer ? sender : own ? 0 : (uint32_t)token};
}

static void interrupt(void *env) {
    env_sim_signal(env, ENV_SIGNAL_STOP);
}

/* Ctrl-C came from outside: it is given when its turn has come. */
static void interrupt_when_due(struct replaying *replaying, const struct replay_order *order) {
    if (order->role == REPLAY_ENGINE && order->at < order->count &&
        order->steps[order->at].kind == MESSAGE_RUN_STOP)
        env_sim_at(replaying->env, replaying->start_ns + order->steps[order->at].at_ns, interrupt,
                   replaying->env);
}

static void nudge(void *arg) {
    const struct replay_order *order = arg;
    if (!order->replaying->ending)
        turn_guide_nudge(order->replaying->runtime, order->actor);
}

/* Its message is there before its time: looked at again then. */
static void wait_for(struct replay_order *order, uint64_t due_ns) {
    if (order->nudged_ns != due_ns)
        env_sim_at(order->replaying->env, due_ns, nudge, order);
    order->nudged_ns = due_ns;
}

static bool record_goes_on(struct replaying *replaying) {
    if (replaying->request->turns->ended)
        return true; /* what follows the last turn that decided */
    replaying->report->broke_off = true;
    replay_end(replaying);
    return false;
}

#define SOFT_AHEAD 16U
#define SOFT_PATIENCE_NS 1000U

/* What may be there in one life and not in the other. */
static bool soft(const struct replay_order *order, unsigned kind) {
    return order->role == REPLAY_COORDINATOR ? kind == MESSAGE_AGENT_EVENT
                                             : order->role == REPLAY_AGENT && kind == MESSAGE_TIMER;
}

static bool waited_for(const struct replay_order *order, unsigned kind) {
    for (size_t i = order->at; i < order->count && i < order->at + SOFT_AHEAD; i++)
        if (order->steps[i].kind == kind)
            return true;
    return false;
}

/* A soft one was due before something else that is here: it does not come. Who sends it may take its turn at the same
 * instant, so it is given SOFT_PATIENCE_NS. */
static void pass_over(struct replay_order *order, unsigned kind) {
    while (order->at < order->count && kind != order->steps[order->at].kind &&
           soft(order, order->steps[order->at].kind)) {
        uint64_t until_ns = order->replaying->start_ns + order->steps[order->at].at_ns + SOFT_PATIENCE_NS;
        if (env_now(order->replaying->env) < until_ns) {
            wait_for(order, until_ns);
            return;
        }
        order->at++;
        order->replaying->report->turns++;
    }
}

static bool may_take(struct replay_order *order, const struct message *message) {
    struct replaying *replaying = order->replaying;
    struct replay_step step = replay_step_of(message->kind, (uint32_t)message->sender, message->token);
    pass_over(order, message->kind);
    if (order->at == order->count)
        return order->role != REPLAY_ENGINE || record_goes_on(replaying);
    const struct replay_step *wanted = &order->steps[order->at];
    if (soft(order, step.kind) && !waited_for(order, step.kind))
        return true;
    if (step.kind != wanted->kind || step.token != wanted->token) {
        order->waiting = step;
        return false;
    }
    uint64_t due_ns = replaying->start_ns + wanted->at_ns;
    if (env_now(replaying->env) < due_ns) {
        wait_for(order, due_ns);
        return false;
    }
    order->at++;
    replay_took_turn(++replaying->report->turns);
    interrupt_when_due(replaying, order);
    return true;
}

static bool may(void *context, actor_ref actor, const struct message *message) {
    struct replaying *replaying = context;
    replaying->runtime = message->runtime;
    if (message->kind == MESSAGE_RUN_START)
        replaying->start_ns = env_now(replaying->env);
    for (unsigned i = 0; i < replaying->order_count && !replaying->ending; i++) {
        struct replay_order *order = &replaying->orders[i];
        if (order->slot != (uint32_t)actor)
            continue;
        order->actor = actor;
        return !replay_guided(order->role, message->kind, (uint32_t)message->token) ||
               may_take(order, message);
    }
    return true;
}

struct turn_guide replay_guide(struct replaying *replaying) {
    return (struct turn_guide){may, replaying};
}

/* Who waits for the turn that was first: the others wait for what it would have sent. */
static const struct replay_order *stuck_first(const struct replaying *replaying) {
    const struct replay_order *first = NULL;
    for (unsigned i = 0; i < replaying->order_count; i++) {
        const struct replay_order *order = &replaying->orders[i];
        if (order->at < order->count &&
            (first == NULL || order->steps[order->at].at_ns < first->steps[first->at].at_ns))
            first = order;
    }
    return first;
}

void replay_stuck(struct replaying *replaying) {
    static const char *const names[] = {"the engine", "the coordinator", "an agent"};
    const struct replay_order *order = stuck_first(replaying);
    if (order == NULL) {
        replay_differ(replaying, "all recorded turns were taken, and the run did not come to its end");
        return;
    }
    const struct replay_step *wanted = &order->steps[order->at], *waiting = &order->waiting;
    if (wanted->kind == MESSAGE_TASK_ENDED && replaying->unanswered) {
        replaying->report->broke_off = true; /* its row was lost with the process, its turn was not */
        return;
    }
    replay_differ(
        replaying, "%s took %s (%u) next, as its turn %zu of %zu, and no such message came; it has %s (%u)",
        names[order->role], message_kind_name((enum message_kind)wanted->kind), wanted->token, order->at + 1,
        order->count, waiting->kind != 0 ? message_kind_name((enum message_kind)waiting->kind) : "nothing",
        waiting->token);
}

/* ---- what was read of the registry ---- */

static void compare_read(struct replay_order *order, uint64_t version) {
    struct replaying *replaying = order->replaying;
    if (order->read_at == order->read_count)
        return;
    uint64_t recorded = order->reads[order->read_at++];
    if (version == recorded)
        replaying->report->reads++;
    else
        replay_differ(replaying, "read %zu of the registry met version %llu, recorded is %llu",
                      order->read_at, (unsigned long long)version, (unsigned long long)recorded);
}

static void told(void *context, const struct turn_record *records, size_t count) {
    struct replaying *replaying = context;
    for (size_t i = 0; i < count; i++)
        for (unsigned k = 0; k < replaying->order_count && records[i].kind == TURN_RECORD_READ; k++)
            if (replaying->orders[k].slot == records[i].actor)
                compare_read(&replaying->orders[k], records[i].of.version);
}

struct turn_sink replay_sink(struct replaying *replaying) {
    return (struct turn_sink){told, replaying};
}
