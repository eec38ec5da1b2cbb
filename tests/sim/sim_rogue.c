/* An agent that keeps to the messages but to nothing else: refuses at will, answers late or under another
 * epoch, ends tasks twice or ones it gave back, forgets, dies. What it does accept and end, it ends with the
 * right value, so that every wrong it does must be kept from the owners by the coordinator.
 *
 * It copies what it needs of a task; the tasks themselves it frees or sends like any agent. */
#include <stdio.h>
#include <string.h>

#include "sim_world.h"

#define ROGUE_TASKS 32

struct rogue_task {
    struct task *task;
    actor_ref offerer; /* whom its end goes to */
    struct resources in_use;
};

struct rogue {
    struct sim_world *world;
    struct random_stream random;
    struct rogue_task tasks[ROGUE_TASKS];
    unsigned count;
    struct rogue_task ghost; /* a copy of one it gave back or ended */
    struct message *late;    /* an offer it will answer later */
};

enum { TOKEN_END = 1, TOKEN_LATE = 2, TOKEN_GHOST = 3 };

static bool chance(struct rogue *rogue, double probability) {
    return random_unit(&rogue->random) < probability;
}

/* Once the faults have stopped it is an agent like any other. */
static bool lies(struct rogue *rogue, double probability) {
    return chance(rogue, probability) && !rogue->world->peace;
}

static void later(struct rogue *rogue, struct turn *turn, uint64_t most_ns, uint64_t token) {
    uint64_t timer;
    IGNORE(timer_start(turn, turn->now_ns + 1 + random_below(&rogue->random, most_ns), token, &timer), "sim");
}

static void keep_ghost(struct rogue *rogue, const struct task *task, actor_ref offerer) {
    if (rogue->ghost.task)
        return;
    struct task *copy = task_new(task->account, NULL, 0);
    if (!copy)
        return;
    char *body = copy->body;
    *copy = *task;
    copy->body = body;
    copy->body_length = 0;
    copy->next = NULL;
    copy->result = NULL;
    rogue->ghost = (struct rogue_task){.task = copy, .offerer = offerer};
}

static void end_task(struct rogue *rogue, struct turn *turn, struct rogue_task ending, bool ghost) {
    struct task *task = ending.task;
    sim_unuse(rogue->world, &ending.in_use);
    char value[64];
    int length = snprintf(value, sizeof value, "\"%u/%u/%u%s\"", (unsigned)task->id.run, task->id.trial,
                          task->id.attempt, ghost ? " by a ghost" : "");
    struct message *message =
        message_new(rogue->world->runtime, MESSAGE_TASK_ENDED, sizeof(struct message_task_ended));
    if (!message) {
        task_free(task);
        return;
    }
    task->result = lies(rogue, 0.05) ? NULL : task_result_new(task->account, value, (size_t)length);
    task->state = TASK_OK;
    task->ended_ns = turn->now_ns;
    struct sim_attempt *known = sim_find(rogue->world, task->id.run, task->id.trial, task->id.attempt);
    if (known && !ghost)
        known->at_rogue = true;
    struct message_task_ended *ended = MESSAGE_PAYLOAD(message, struct message_task_ended);
    ended->task = task;
    if (actor_send(rogue->world->runtime, turn, ending.offerer, &message))
        message_free(&message);
}

static void answer(struct rogue *rogue, struct turn *turn, struct message *asked) {
    struct message_offer *offer = MESSAGE_PAYLOAD(asked, struct message_offer);
    struct message *reply =
        message_new(rogue->world->runtime, MESSAGE_OFFER_ANSWER, sizeof(struct message_offer_answer));
    if (!reply)
        return;
    struct message_offer_answer *said = MESSAGE_PAYLOAD(reply, struct message_offer_answer);
    static const enum offer_answer answers[] = {OFFER_ACCEPT, OFFER_PARTIAL, OFFER_OVERLOADED};
    said->answer =
        rogue->world->peace ? OFFER_ACCEPT : answers[random_below(&rogue->random, ARRAY_COUNT(answers))];
    if (lies(rogue, 0.02))
        said->answer = OFFER_INCAPABLE;
    said->epoch = offer->epoch + (lies(rogue, 0.03) ? 1 : 0);
    said->capacity_in_ns = random_below(&rogue->random, 50 * MS);
    if (lies(rogue, 0.3)) {
        said->others_queued = 1 + (unsigned)random_below(&rogue->random, 100);
        said->others_ns = random_below(&rogue->random, SECOND);
    }
    said->estimated_completion_ns = turn->now_ns + random_below(&rogue->random, SECOND);
    double accepts = said->answer == OFFER_ACCEPT ? 1 : said->answer == OFFER_PARTIAL ? 0.5 : 0;
    while (offer->tasks) {
        struct task *task = offer->tasks;
        offer->tasks = task->next;
        task->next = NULL;
        if (rogue->count < ROGUE_TASKS && chance(rogue, accepts)) {
            rogue->tasks[rogue->count++] = (struct rogue_task){task, asked->sender, task->resources};
            sim_use(rogue->world, &task->resources);
            said->accepted++;
            later(rogue, turn, 50 * MS, TOKEN_END);
            continue;
        }
        if (lies(rogue, 0.1)) {
            keep_ghost(rogue, task, asked->sender);
            later(rogue, turn, 100 * MS, TOKEN_GHOST);
        }
        sim_gave_back(rogue->world, task);
        task->next = said->refused;
        said->refused = task;
        said->refused_count++;
    }
    actor_reply(turn, asked, &reply);
}

/* What it says of a task that is wanted back is as it likes, but for one that it may still begin. */
static void answer_revoke(struct rogue *rogue, struct turn *turn, struct message *asked) {
    const struct message_revoke *revoke = MESSAGE_PAYLOAD(asked, const struct message_revoke);
    struct message *reply =
        message_new(rogue->world->runtime, MESSAGE_REVOKE_ANSWER, sizeof(struct message_revoke_answer));
    if (!reply)
        return;
    struct message_revoke_answer *said = MESSAGE_PAYLOAD(reply, struct message_revoke_answer);
    *said = (struct message_revoke_answer){.answer = REVOKE_DONE, .id = revoke->id, .epoch = revoke->epoch};
    if (rogue->late)
        said->answer = REVOKE_STARTED;
    for (unsigned at = 0; at < rogue->count; at++) {
        struct task *task = rogue->tasks[at].task;
        if (!task_id_equal(task->id, revoke->id) || task->epoch != revoke->epoch)
            continue;
        said->answer = REVOKE_STARTED;
        if (revoke->copy && !lies(rogue, 0.5))
            said->task = task_copy(task);
        if (revoke->copy || lies(rogue, 0.5))
            break;
        if (lies(rogue, 0.3)) { /* and does it all the same */
            keep_ghost(rogue, task, asked->sender);
            later(rogue, turn, 100 * MS, TOKEN_GHOST);
        }
        sim_gave_back(rogue->world, task);
        sim_unuse(rogue->world, &rogue->tasks[at].in_use);
        said->answer = REVOKE_REVOKED;
        said->task = task;
        rogue->tasks[at] = rogue->tasks[--rogue->count];
        break;
    }
    actor_reply(turn, asked, &reply);
}

static void end_one(struct rogue *rogue, struct turn *turn) {
    if (rogue->count == 0)
        return;
    unsigned at = (unsigned)random_below(&rogue->random, rogue->count);
    struct rogue_task ending = rogue->tasks[at];
    rogue->tasks[at] = rogue->tasks[--rogue->count];
    if (lies(rogue, rogue->world->lost)) { /* nobody hears of it */
        sim_unuse(rogue->world, &ending.in_use);
        task_free(ending.task);
        return;
    }
    if (lies(rogue, 0.1)) {
        keep_ghost(rogue, ending.task, ending.offerer);
        later(rogue, turn, 100 * MS, TOKEN_GHOST);
    }
    end_task(rogue, turn, ending, false);
}

static void handle(struct turn *turn, void *state, const struct message *message) {
    struct rogue *rogue = state;
    if (message->kind == MESSAGE_OFFER) {
        if (lies(rogue, 0.02))
            actor_exit(turn, TROUPE_INTERNAL);
        else if (lies(rogue, 0.02))
            return; /* as one without memory to answer: the tasks go with the offer */
        else if (!rogue->late && lies(rogue, 0.15)) {
            rogue->late = turn_take(turn);
            later(rogue, turn, 2 * SECOND, TOKEN_LATE);
        } else
            answer(rogue, turn, turn->message);
    } else if (message->kind == MESSAGE_REVOKE) {
        if (!lies(rogue, 0.05)) /* else as one without memory to answer */
            answer_revoke(rogue, turn, turn->message);
    } else if (message->kind == MESSAGE_TIMER) {
        struct message_timer *timer = MESSAGE_PAYLOAD(turn->message, struct message_timer);
        if (timer->token == TOKEN_END && lies(rogue, 0.02))
            actor_exit(turn, TROUPE_INTERNAL); /* with what it holds, and no offer open */
        else if (timer->token == TOKEN_END)
            end_one(rogue, turn);
        else if (timer->token == TOKEN_LATE && rogue->late) {
            if (!lies(rogue, 0.1))
                answer(rogue, turn, rogue->late);
            message_free(&rogue->late);
        } else if (timer->token == TOKEN_GHOST && rogue->ghost.task) {
            struct rogue_task ghost = rogue->ghost;
            rogue->ghost = (struct rogue_task){0};
            end_task(rogue, turn, ghost, true);
        }
    } else if (message->kind == MESSAGE_EXIT)
        actor_exit(turn, TROUPE_OK);
}

static void destroy(void *state) {
    struct rogue *rogue = state;
    for (unsigned i = 0; i < rogue->count; i++) {
        sim_unuse(rogue->world, &rogue->tasks[i].in_use);
        task_free(rogue->tasks[i].task);
    }
    task_free(rogue->ghost.task);
    message_free(&rogue->late);
    memory_free(&rogue->world->account, rogue);
}

void sim_rogue_start(struct sim_world *world) {
    struct rogue *rogue = memory_alloc(&world->account, sizeof *rogue);
    if (!rogue)
        return sim_violation(world, "test: no rogue");
    rogue->world = world;
    random_seed(&rogue->random, world->seed, 500);
    struct actor_spec spec = {.name = "rogue", .handle = handle, .state = rogue, .destroy = destroy};
    actor_ref actor;
    if (actor_spawn(world->runtime, &spec, &actor)) {
        memory_free(&world->account, rogue);
        return sim_violation(world, "test: no rogue");
    }
    struct agent_profile profile = {.slots = 1 + (uint32_t)random_below(&world->random, 3), .batch_max = 1};
    uint64_t bits = 1 + random_below(&world->random, 7);
    for (unsigned i = 0; i < (world->linked ? world->coordinator_count : 1); i++) {
        struct fault fault = {0};
        uint64_t version;
        struct registration registration = {.name_space = sim_name_space(world, i),
                                            .name = "rogue",
                                            .actor = actor,
                                            .capabilities = {{bits}},
                                            .health = HEALTH_UP,
                                            .opaque = &profile,
                                            .opaque_length = sizeof profile};
        if (registry_register(world->registry, &registration, env_now(world->env), &version, &fault))
            sim_violation(world, "test: the rogue is not registered: %s", fault.text);
    }
}
