/* Links: what is said between a coordinator and an agent's instance goes through an actor that loses and delays. One for
 * each coordinator and instance, registered where that coordinator looks; the agent takes it for the coordinator.
 *
 * Lost: offers, REVOKEs, the answers to both, ends of tasks. A lost question is kept, so that not even its loss is heard
 * of. Delayed: answers and ends, each by its own time, so that they overtake each other. Questions and cancels keep their
 * order, as on any connection; cancels arrive.
 *
 * It keeps the book of epochs: once an agent's refusal or return of a task has been delivered, that epoch is dead. */
#include <stdio.h>
#include <string.h>

#include "sim_world.h"

#define LINK_OPEN 16    /* questions under way: an offer and a REVOKE at a time, and those given up */
#define LINK_DELAYED 64 /* ends */
#define DELAY_NS (20 * MS)
enum { TOKEN_ANSWER = 1000, TOKEN_END = 2000 };

struct link {
    struct sim_world *world;
    struct random_stream random;
    actor_ref agent, coordinator;
    struct {
        struct message *asked, *reply; /* reply: on its way */
    } open[LINK_OPEN];
    struct message *ends[LINK_DELAYED];
    struct message *lost; /* questions nobody will hear of, by next */
};

const char *sim_name_space(const struct sim_world *world, unsigned coordinator) {
    static const char *const names[SIM_COORDINATORS] = {"links-0", "links-1"};
    return world->linked ? names[coordinator] : "agents";
}

static bool chance(struct link *link, double probability) {
    return random_unit(&link->random) < probability;
}

static void keep_lost(struct link *link, struct message **asked) {
    (*asked)->next = link->lost;
    link->lost = *asked;
    *asked = NULL;
}

/* ---- to the agent ---- */
static struct message *same_question(struct link *link, struct message *asked) {
    struct runtime *runtime = link->world->runtime;
    if (asked->kind == MESSAGE_REVOKE) {
        struct message *revoke = message_new(runtime, MESSAGE_REVOKE, sizeof(struct message_revoke));
        if (revoke)
            *MESSAGE_PAYLOAD(revoke, struct message_revoke) = *MESSAGE_PAYLOAD(asked, struct message_revoke);
        return revoke;
    }
    struct message *offer = message_new(runtime, MESSAGE_OFFER, sizeof(struct message_offer));
    if (!offer)
        return NULL;
    struct message_offer *from = MESSAGE_PAYLOAD(asked, struct message_offer);
    *MESSAGE_PAYLOAD(offer, struct message_offer) = *from;
    from->tasks = NULL;
    return offer;
}

static void pass_question(struct link *link, struct turn *turn) {
    struct message *asked = turn_take(turn);
    link->coordinator = asked->sender;
    unsigned at = 0;
    while (at < LINK_OPEN && link->open[at].asked)
        at++;
    if (at == LINK_OPEN || chance(link, link->world->lost)) {
        keep_lost(link, &asked);
        return;
    }
    struct message *question = same_question(link, asked);
    if (!question || actor_ask(turn, link->agent, &question, at, 0)) {
        message_free(&question); /* with an offer its tasks, and the asker hears that there is no answer */
        message_free(&asked);
        return;
    }
    link->open[at].asked = asked;
}

/* ---- from the agent ---- */
static void deliver_answer(struct link *link, struct turn *turn, unsigned at) {
    struct message *reply = link->open[at].reply;
    link->open[at].reply = NULL;
    if (reply->kind == MESSAGE_OFFER_ANSWER) {
        const struct message_offer_answer *answer = MESSAGE_PAYLOAD(reply, struct message_offer_answer);
        for (const struct task *task = answer->refused; task; task = task->next)
            sim_gave_back(link->world, task);
    } else {
        const struct message_revoke_answer *answer = MESSAGE_PAYLOAD(reply, struct message_revoke_answer);
        if (answer->answer == REVOKE_REVOKED && answer->task)
            sim_gave_back(link->world, answer->task);
    }
    actor_reply(turn, link->open[at].asked, &reply);
    message_free(&link->open[at].asked);
}

static struct message *same_answer(struct link *link, struct message *message) {
    size_t size = message->kind == MESSAGE_OFFER_ANSWER ? sizeof(struct message_offer_answer)
                                                        : sizeof(struct message_revoke_answer);
    struct message *reply = message_new(link->world->runtime, message->kind, size);
    if (!reply)
        return NULL;
    memcpy(MESSAGE_PAYLOAD(reply, void), MESSAGE_PAYLOAD(message, void), size);
    if (message->kind == MESSAGE_OFFER_ANSWER)
        MESSAGE_PAYLOAD(message, struct message_offer_answer)->refused = NULL;
    else
        MESSAGE_PAYLOAD(message, struct message_revoke_answer)->task = NULL;
    return reply;
}

static void later(struct link *link, struct turn *turn, uint64_t token) {
    uint64_t timer;
    if (timer_start(turn, turn->now_ns + 1 + random_below(&link->random, DELAY_NS), token, &timer))
        sim_violation(link->world, "test: no timer");
}

static void pass_answer(struct link *link, struct turn *turn, struct message *message) {
    unsigned at = (unsigned)message->token;
    if (at >= LINK_OPEN || !link->open[at].asked)
        return sim_violation(link->world, "an answer to no question");
    link->open[at].reply = chance(link, link->world->lost) ? NULL : same_answer(link, message);
    if (!link->open[at].reply)
        keep_lost(link, &link->open[at].asked); /* with the answer go the tasks in it */
    else if (chance(link, link->world->delayed))
        later(link, turn, TOKEN_ANSWER + at);
    else
        deliver_answer(link, turn, at);
}

static void deliver_end(struct link *link, struct turn *turn, struct message **end) {
    if (actor_send(link->world->runtime, turn, link->coordinator, end))
        message_free(end);
}

static void pass_end(struct link *link, struct turn *turn) {
    if (chance(link, link->world->lost))
        return;
    struct message *end = turn_take(turn);
    unsigned at = 0;
    while (at < LINK_DELAYED && link->ends[at])
        at++;
    if (at == LINK_DELAYED || !chance(link, link->world->delayed)) {
        deliver_end(link, turn, &end);
        return;
    }
    link->ends[at] = end;
    later(link, turn, TOKEN_END + at);
}

static void pass_cancel(struct link *link, struct turn *turn) {
    struct message *cancel = turn_take(turn);
    if (actor_send(link->world->runtime, turn, link->agent, &cancel))
        message_free(&cancel);
}

static void due(struct link *link, struct turn *turn, uint64_t token) {
    if (token >= TOKEN_END)
        deliver_end(link, turn, &link->ends[token - TOKEN_END]);
    else
        deliver_answer(link, turn, (unsigned)token - TOKEN_ANSWER);
}

static void handle(struct turn *turn, void *state, const struct message *message) {
    struct link *link = state;
    switch (message->kind) {
    case MESSAGE_USER:
        if (actor_monitor(turn, link->agent, 0))
            actor_exit(turn, TROUPE_DEAD);
        break;
    case MESSAGE_OFFER:
    case MESSAGE_REVOKE:
        pass_question(link, turn);
        break;
    case MESSAGE_OFFER_ANSWER:
    case MESSAGE_REVOKE_ANSWER:
        pass_answer(link, turn, turn->message);
        break;
    case MESSAGE_ASK_FAILED:
        message_free(&link->open[MESSAGE_PAYLOAD(message, const struct message_ask_failed)->token].asked);
        break;
    case MESSAGE_TASK_ENDED:
        pass_end(link, turn);
        break;
    case MESSAGE_TASK_CANCEL:
        pass_cancel(link, turn);
        break;
    case MESSAGE_TIMER:
        due(link, turn, MESSAGE_PAYLOAD(message, const struct message_timer)->token);
        break;
    case MESSAGE_DOWN:
    case MESSAGE_EXIT:
        actor_exit(turn, TROUPE_OK);
        break;
    default:
        break;
    }
}

static void destroy(void *state) {
    struct link *link = state;
    for (unsigned at = 0; at < LINK_OPEN; at++) {
        message_free(&link->open[at].reply);
        message_free(&link->open[at].asked);
    }
    for (unsigned at = 0; at < LINK_DELAYED; at++)
        message_free(&link->ends[at]);
    while (link->lost) {
        struct message *lost = link->lost;
        link->lost = lost->next;
        message_free(&lost);
    }
    memory_free(&link->world->account, link);
}

/* ---- start ---- */
static void start_link(struct sim_world *world, unsigned agent, unsigned instance, unsigned coordinator) {
    const struct agent_spec *spec = &world->specs[agent];
    struct link *link = memory_alloc(&world->account, sizeof *link);
    if (!link)
        return sim_violation(world, "test: no link");
    link->world = world;
    link->agent = agents_actor(world->agents[agent], instance);
    random_seed(&link->random, world->seed, 2000 + agent * 100 + instance * 10 + coordinator);
    struct actor_spec actor = {.name = "link", .handle = handle, .state = link, .destroy = destroy};
    actor_ref self;
    if (actor_spawn(world->runtime, &actor, &self)) {
        memory_free(&world->account, link);
        return sim_violation(world, "test: no link");
    }
    struct message *start = message_new(world->runtime, MESSAGE_USER, 0);
    if (!start || actor_send(world->runtime, NULL, self, &start))
        return sim_violation(world, "test: no start");
    char name[64];
    snprintf(name, sizeof name, "%s/%u", spec->name, instance);
    struct agent_profile profile = {.slots = 1,
                                    .batch_max = spec->batch_max,
                                    .queue_len_max = spec->queue_len_max,
                                    .window = spec->window,
                                    .batch_wait_ns = spec->batch_wait_ns};
    struct registration registration = {.name_space = sim_name_space(world, coordinator),
                                        .name = name,
                                        .actor = self,
                                        .capabilities = spec->capabilities,
                                        .health = HEALTH_UP,
                                        .opaque = &profile,
                                        .opaque_length = sizeof profile};
    struct fault fault = {0};
    uint64_t version;
    if (registry_register(world->registry, &registration, env_now(world->env), &version, &fault))
        sim_violation(world, "test: a link is not registered: %s", fault.text);
}

void sim_links_start(struct sim_world *world) {
    for (unsigned agent = 0; agent < world->agent_count; agent++)
        for (unsigned instance = 0; instance < agents_count(world->agents[agent]); instance++)
            for (unsigned coordinator = 0; coordinator < world->coordinator_count; coordinator++)
                start_link(world, agent, instance, coordinator);
}
