/* A small world for tests of the coordinator: one owner, up to 8 agents that act by script, in env_sim.
 *
 * The owner runs `actions` at their times (virtual ns from 0), counts what comes back per task, and stops the
 * runtime when every task it submitted has ended and every batch was answered. Agents serve one task after
 * the other per slot; how they answer an offer is their mode. All of it runs in turns; the tests read it
 * afterwards. */
#ifndef TESTS_SCRIPTED_H
#define TESTS_SCRIPTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "coordinate/coordinate.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define WORLD_AGENTS 8
#define WORLD_TASKS 4096
#define WORLD_BATCHES 256
#define WORLD_ACTIONS 64
#define WORLD_DECISIONS 16

enum script_mode {
    SCRIPT_ACCEPT,
    SCRIPT_PARTIAL,    /* accepts `limit` of each offer */
    SCRIPT_OVERLOADED, /* refuses all; `limit` first offers only when above 0 */
    SCRIPT_INCAPABLE,
    SCRIPT_DRAINING,
    SCRIPT_HANG,        /* keeps the offer, answers nothing */
    SCRIPT_HANG_REFUSE, /* refuses it after `service_ns` */
    SCRIPT_DROP_SECOND, /* has no memory to answer its second offer */
    SCRIPT_HANG_DROP,   /* nor its first, which it keeps for `service_ns` */
    SCRIPT_DIE_ON_OFFER,
    SCRIPT_DIE_HOLDING, /* accepts, ends after `service_ns` */
    SCRIPT_WRONG_EPOCH, /* accepts under another epoch */
    SCRIPT_END_TWICE,
    SCRIPT_WRONG_ID,      /* ends a task nobody has, then the right one */
    SCRIPT_NO_RESULT,     /* TASK_ENDED without a result */
    SCRIPT_FORGET,        /* accepts, never ends */
    SCRIPT_LOSE_ENDS,     /* accepts and does; nobody hears of the end */
    SCRIPT_DEAF,          /* the same, and it answers no REVOKE */
    SCRIPT_DENY,          /* has never heard of what it is asked to give back */
    SCRIPT_BETWEEN_TURNS, /* ends as a callback of a child does: without a sender */
};

struct world;
struct scripted_task {
    struct task *task;
    uint64_t finish_ns;
};
struct scripted {
    struct world *world;
    unsigned index;
    char name[32];
    enum script_mode mode;
    unsigned limit, slots, queue_len_max, batch_max;
    uint64_t backlog_ns /* work of others */, backlog_until_ns, service_ns, capacity_in_ns,
        pessimism_ns /* told, not needed */;
    struct capability_set capabilities;
    actor_ref actor, coordinator;
    uint64_t slot_free_ns[16];
    struct scripted_task tasks[64];
    unsigned count, held_max;
    struct message *kept;
    /* counted */
    unsigned offers, offered, accepted, cancels, running_max, revokes, given_back;
    bool dead, registered, joins_later;
};

struct action {
    uint64_t at_ns;
    void (*fn)(struct world *world, struct turn *turn, unsigned arg);
    unsigned arg;
};

struct world {
    struct account account;
    struct env *env;
    struct runtime *runtime;
    struct registry *registry;
    struct capability_names capabilities;
    struct resource_names resources;
    struct coordinator_options options;
    struct coordinator_statistics statistics;
    actor_ref coordinator, owner;
    struct scripted agents[WORLD_AGENTS];
    unsigned agent_count;
    struct action actions[WORLD_ACTIONS];
    unsigned action_count, actions_done;
    /* what the owner saw */
    unsigned submitted, ended, batches, answered, ask_failed, events;
    uint8_t ends[WORLD_TASKS];
    enum task_state state[WORLD_TASKS];
    enum troupe_error error[WORLD_TASKS];
    bool retryable[WORLD_TASKS];
    uint64_t ended_ns[WORLD_TASKS], capacity_in_ns[WORLD_TASKS];
    char agent_of[WORLD_TASKS];
    struct task_decision decisions[WORLD_DECISIONS]; /* of the first ones, where they are explained */
    char text[512];                                  /* of the last one that was not ok */
    struct message_coordinated replies[WORLD_BATCHES];
    struct feedback feedback[WORLD_BATCHES]; /* of the replies that had one */
    unsigned outlooks, outlooks_answered;
    struct feedback outlook[WORLD_BATCHES];
    /* counted resources in use at the scripted agents, as they see it */
    struct resources in_use, in_use_max;
    enum troupe_error run_error;
    uint64_t begun_ns; /* when the owner's first turn was: the actions' 0 */
};

/* ---- scripted agents ---- */
static void script_finish(struct scripted *agent, struct turn *turn, struct task *task, enum task_state state,
                          bool result) {
    struct message *message =
        message_new(agent->world->runtime, MESSAGE_TASK_ENDED, sizeof(struct message_task_ended));
    if (result) {
        task->result = task_result_new(task->account, "1", 1);
        assert_non_null(task->result);
        task->result->error = state == TASK_OK ? TROUPE_OK : TROUPE_CANCELLED;
    }
    task->state = state;
    task->ended_ns = turn->now_ns;
    assert_non_null(message);
    struct message_task_ended *ended = MESSAGE_PAYLOAD(message, struct message_task_ended);
    ended->task = task;
    if (actor_send(agent->world->runtime, agent->mode == SCRIPT_BETWEEN_TURNS ? NULL : turn,
                   agent->coordinator, &message))
        message_free(&message);
}

static struct task *script_copy(const struct task *task) {
    struct task *copy = task_copy(task);
    assert_non_null(copy);
    return copy;
}

static void script_release(struct scripted *agent, struct task *task) {
    resources_take(&agent->world->in_use, &task->resources);
}

static void script_tick(struct scripted *agent, struct turn *turn) {
    for (unsigned i = 0; i < agent->count;) {
        if (agent->tasks[i].finish_ns > turn->now_ns) {
            i++;
            continue;
        }
        struct task *task = agent->tasks[i].task;
        agent->tasks[i] = agent->tasks[--agent->count];
        script_release(agent, task);
        if (agent->mode == SCRIPT_DIE_HOLDING) {
            task_free(task);
            actor_exit(turn, TROUPE_INTERNAL);
            return;
        }
        if (agent->mode == SCRIPT_LOSE_ENDS || agent->mode == SCRIPT_DEAF) {
            task_free(task);
            continue;
        }
        if (agent->mode == SCRIPT_END_TWICE)
            script_finish(agent, turn, script_copy(task), TASK_OK, true);
        if (agent->mode == SCRIPT_WRONG_ID) {
            struct task *wrong = script_copy(task);
            wrong->id.run += 1000;
            script_finish(agent, turn, wrong, TASK_OK, true);
        }
        script_finish(agent, turn, task, TASK_OK, agent->mode != SCRIPT_NO_RESULT);
    }
}

static void script_accept(struct scripted *agent, struct turn *turn, struct task *task,
                          uint64_t *ret_finish_ns) {
    unsigned slot = 0;
    for (unsigned i = 1; i < agent->slots; i++)
        if (agent->slot_free_ns[i] < agent->slot_free_ns[slot])
            slot = i;
    uint64_t start_ns = agent->slot_free_ns[slot] > turn->now_ns ? agent->slot_free_ns[slot] : turn->now_ns;
    task->started_ns = start_ns;
    uint64_t finish_ns = start_ns + agent->service_ns;
    agent->slot_free_ns[slot] = finish_ns;
    if (finish_ns > *ret_finish_ns)
        *ret_finish_ns = finish_ns;
    for (unsigned i = 0; i < RESOURCES_MAX; i++) {
        agent->world->in_use.amount[i] += task->resources.amount[i];
        if (agent->world->in_use.amount[i] > agent->world->in_use_max.amount[i])
            agent->world->in_use_max.amount[i] = agent->world->in_use.amount[i];
    }
    assert_true(agent->count < ARRAY_COUNT(agent->tasks));
    agent->tasks[agent->count++] = (struct scripted_task){task, finish_ns};
    if (agent->count > agent->held_max)
        agent->held_max = agent->count;
    agent->accepted++;
    uint64_t timer;
    if (agent->mode != SCRIPT_FORGET)
        assert_int_equal(timer_start(turn, finish_ns, 1, &timer), TROUPE_OK);
}

static void script_answer(struct scripted *agent, struct turn *turn, struct message *asked,
                          enum offer_answer kind, unsigned accept) {
    struct message_offer *offer = MESSAGE_PAYLOAD(asked, struct message_offer);
    struct message *reply =
        message_new(agent->world->runtime, MESSAGE_OFFER_ANSWER, sizeof(struct message_offer_answer));
    assert_non_null(reply);
    struct message_offer_answer *answer = MESSAGE_PAYLOAD(reply, struct message_offer_answer);
    answer->answer = kind;
    answer->epoch = offer->epoch + (agent->mode == SCRIPT_WRONG_EPOCH ? 1 : 0);
    answer->capacity_in_ns = agent->capacity_in_ns;
    answer->estimated_completion_ns = turn->now_ns;
    while (offer->tasks) {
        struct task *task = offer->tasks;
        offer->tasks = task->next;
        task->next = NULL;
        if (answer->accepted < accept) {
            answer->accepted++;
            script_accept(agent, turn, task, &answer->estimated_completion_ns);
        } else {
            task->next = answer->refused;
            answer->refused = task;
            answer->refused_count++;
        }
    }
    answer->estimated_completion_ns += answer->accepted ? agent->pessimism_ns : 0;
    if (agent->backlog_until_ns > turn->now_ns) {
        answer->others_queued = 1;
        answer->others_ns = agent->backlog_until_ns - turn->now_ns;
    }
    answer->queue_length = agent->count + answer->others_queued;
    actor_reply(turn, asked, &reply);
}

static void script_offer(struct scripted *agent, struct turn *turn) {
    struct message *asked = turn->message;
    struct message_offer *offer = MESSAGE_PAYLOAD(asked, struct message_offer);
    unsigned count = offer->count;
    agent->coordinator = asked->sender;
    agent->offers++;
    agent->offered += count;
    uint64_t timer;
    switch (agent->mode) {
    case SCRIPT_PARTIAL:
        script_answer(agent, turn, asked, count > agent->limit ? OFFER_PARTIAL : OFFER_ACCEPT,
                      count < agent->limit ? count : agent->limit);
        return;
    case SCRIPT_OVERLOADED:
        if (agent->limit && agent->offers > agent->limit)
            script_answer(agent, turn, asked, OFFER_ACCEPT, count);
        else
            script_answer(agent, turn, asked, OFFER_OVERLOADED, 0);
        return;
    case SCRIPT_INCAPABLE:
        script_answer(agent, turn, asked, OFFER_INCAPABLE, 0);
        return;
    case SCRIPT_DRAINING:
        script_answer(agent, turn, asked, OFFER_DRAINING, 0);
        return;
    case SCRIPT_HANG:
        agent->kept = turn_take(turn);
        return;
    case SCRIPT_DROP_SECOND:
        if (agent->offers != 2)
            script_answer(agent, turn, asked, OFFER_ACCEPT, count);
        return;
    case SCRIPT_HANG_REFUSE:
    case SCRIPT_HANG_DROP:
        agent->kept = turn_take(turn);
        assert_int_equal(timer_start(turn, turn->now_ns + agent->service_ns, 2, &timer), TROUPE_OK);
        return;
    case SCRIPT_DIE_ON_OFFER:
        actor_exit(turn, TROUPE_INTERNAL);
        return;
    default:
        script_answer(agent, turn, asked, OFFER_ACCEPT, count);
    }
}

static void script_cancel(struct scripted *agent, struct turn *turn,
                          const struct message_task_cancel *cancel) {
    agent->cancels++;
    for (unsigned i = 0; i < agent->count;) {
        struct task *task = agent->tasks[i].task;
        if (task->id.run != cancel->run || (cancel->trial != UINT32_MAX && cancel->trial != task->id.trial)) {
            i++;
            continue;
        }
        agent->tasks[i] = agent->tasks[--agent->count];
        script_release(agent, task);
        script_finish(agent, turn, task, TASK_CANCELLED, true);
    }
}

#include "script_revoke.h"

static void script_handle(struct turn *turn, void *state, const struct message *message) {
    struct scripted *agent = state;
    switch (message->kind) {
    case MESSAGE_OFFER:
        script_offer(agent, turn);
        break;
    case MESSAGE_TIMER: {
        struct message_timer *timer = MESSAGE_PAYLOAD(turn->message, struct message_timer);
        if (timer->token == 1)
            script_tick(agent, turn);
        else {
            if (agent->mode == SCRIPT_HANG_REFUSE) {
                agent->mode = SCRIPT_OVERLOADED;
                script_answer(agent, turn, agent->kept, OFFER_OVERLOADED, 0);
            }
            message_free(&agent->kept);
            agent->mode = SCRIPT_ACCEPT;
        }
        break;
    }
    case MESSAGE_REVOKE:
        script_revoke(agent, turn);
        break;
    case MESSAGE_TASK_CANCEL: {
        struct message_task_cancel *cancel = MESSAGE_PAYLOAD(turn->message, struct message_task_cancel);
        script_cancel(agent, turn, cancel);
        break;
    }
    case MESSAGE_EXIT:
        actor_exit(turn, TROUPE_OK);
        break;
    default:
        break;
    }
}

static void script_destroy(void *state) {
    struct scripted *agent = state;
    agent->dead = true;
    for (unsigned i = 0; i < agent->count; i++) {
        script_release(agent, agent->tasks[i].task);
        task_free(agent->tasks[i].task);
    }
    agent->count = 0;
    message_free(&agent->kept);
}

static struct scripted *world_agent(struct world *world, enum script_mode mode, uint64_t service_ns,
                                    unsigned capability) {
    struct scripted *agent = &world->agents[world->agent_count];
    *agent = (struct scripted){.world = world,
                               .index = world->agent_count++,
                               .mode = mode,
                               .slots = 1,
                               .batch_max = 1,
                               .service_ns = service_ns};
    snprintf(agent->name, sizeof agent->name, "agent%u", agent->index);
    capability_set_add(&agent->capabilities, capability);
    return agent;
}

static void world_join(struct world *world, struct turn *turn, unsigned index) {
    struct scripted *agent = &world->agents[index];
    struct actor_spec spec = {
        .name = agent->name, .handle = script_handle, .state = agent, .destroy = script_destroy};
    uint64_t now_ns = env_now(world->env), version;
    struct fault fault;
    (void)turn;
    agent->backlog_until_ns = now_ns + agent->backlog_ns;
    for (unsigned i = 0; i < agent->slots; i++)
        agent->slot_free_ns[i] = now_ns + agent->backlog_ns;
    assert_int_equal(actor_spawn(world->runtime, &spec, &agent->actor), TROUPE_OK);
    struct agent_profile profile = {
        .slots = agent->slots, .batch_max = agent->batch_max, .queue_len_max = agent->queue_len_max};
    struct registration registration = {.name_space = "agents",
                                        .name = agent->name,
                                        .actor = agent->actor,
                                        .capabilities = agent->capabilities,
                                        .health = HEALTH_UP,
                                        .opaque = &profile,
                                        .opaque_length = sizeof profile};
    assert_int_equal(registry_register(world->registry, &registration, now_ns, &version, &fault), TROUPE_OK);
    agent->registered = true;
}

/* ---- owner ---- */
struct task_shape {
    unsigned count, capability;
    uint64_t deadline_ns, expected_ns;
    int64_t resource[2];
    uint8_t priority;
    uint32_t trial;
    bool firm, idempotent;
};

/* Asks for a batch; trial of each task is its number, or shape.trial when that is set. */
static void world_submit(struct world *world, struct turn *turn, const struct task_shape *shape) {
    struct message *message =
        message_new(world->runtime, MESSAGE_COORDINATE, sizeof(struct message_coordinate));
    assert_non_null(message);
    struct message_coordinate *batch = MESSAGE_PAYLOAD(message, struct message_coordinate);
    for (unsigned i = 0; i < shape->count; i++) {
        struct task *task = task_new(&world->account, "\"n\":1", 5);
        assert_non_null(task);
        assert_true(world->submitted < WORLD_TASKS);
        task->id = (struct task_id){1 + world->submitted, shape->trial, 1, 1};
        task->owner = world->owner;
        task->capability = shape->capability;
        task->capability_name = shape->capability < world->capabilities.count
                                    ? world->capabilities.names[shape->capability]
                                    : NULL;
        task->deadline_ns = shape->deadline_ns ? turn->now_ns + shape->deadline_ns : UINT64_MAX;
        task->expected_ns = shape->expected_ns;
        task->priority = shape->priority;
        task->firm = shape->firm;
        task->idempotent = shape->idempotent;
        task->resources.amount[0] = shape->resource[0];
        task->resources.amount[1] = shape->resource[1];
        task->submitted_ns = turn->now_ns;
        task->next = batch->tasks;
        batch->tasks = task;
        batch->count++;
        world->submitted++;
    }
    assert_int_equal(actor_ask(turn, world->coordinator, &message, world->batches, 0), TROUPE_OK);
    world->batches++;
}

/* Asks what would help; the answer is outlook[n], n from 0. */
static inline void world_outlook(struct world *world, struct turn *turn, const struct message_outlook *what) {
    struct message *message = message_new(world->runtime, MESSAGE_OUTLOOK, sizeof *what);
    assert_non_null(message);
    *MESSAGE_PAYLOAD(message, struct message_outlook) = *what;
    assert_int_equal(actor_ask(turn, world->coordinator, &message, world->outlooks, 0), TROUPE_OK);
    world->outlooks++;
}

static inline void world_cancel(struct world *world, struct turn *turn, uint64_t run, uint32_t trial) {
    struct message *message =
        message_new(world->runtime, MESSAGE_TASK_CANCEL, sizeof(struct message_task_cancel));
    assert_non_null(message);
    struct message_task_cancel *cancel = MESSAGE_PAYLOAD(message, struct message_task_cancel);
    *cancel = (struct message_task_cancel){run, trial};
    assert_int_equal(actor_send(world->runtime, turn, world->coordinator, &message), TROUPE_OK);
}

static void owner_ended(struct world *world, struct turn *turn, const struct task *task) {
    uint64_t number = task->id.run - 1;
    assert_true(number < world->submitted);
    assert_true(task_state_terminal(task->state));
    assert_non_null(task->result);
    assert_int_equal(world->ends[number], 0); /* exactly one end */
    world->ends[number]++;
    world->ended++;
    world->state[number] = task->state;
    world->error[number] = task->result->error;
    world->retryable[number] = task->result->retryable;
    world->ended_ns[number] = turn->now_ns;
    world->capacity_in_ns[number] = task->result->capacity_in_ns;
    for (unsigned i = 0; i < world->agent_count; i++)
        if (world->agents[i].actor == task->agent)
            world->agent_of[number] = (char)('0' + i);
    if (task->decision && number < WORLD_DECISIONS)
        world->decisions[number] = *task->decision;
    if (task->state != TASK_OK)
        snprintf(world->text, sizeof world->text, "%s", task->result->message);
}

static void owner_handle(struct turn *turn, void *state, const struct message *message) {
    struct world *world = state;
    switch (message->kind) {
    case MESSAGE_USER:
        world->begun_ns = turn->now_ns;
        for (unsigned i = 0; i < world->action_count; i++) {
            uint64_t timer;
            assert_int_equal(timer_start(turn, turn->now_ns + world->actions[i].at_ns, i, &timer), TROUPE_OK);
        }
        break;
    case MESSAGE_TIMER: {
        struct message_timer *timer = MESSAGE_PAYLOAD(turn->message, struct message_timer);
        const struct action *action = &world->actions[timer->token];
        action->fn(world, turn, action->arg);
        world->actions_done++;
        break;
    }
    case MESSAGE_COORDINATED: {
        struct message_coordinated *reply = MESSAGE_PAYLOAD(turn->message, struct message_coordinated);
        world->replies[message->token % WORLD_BATCHES] = *reply;
        if (reply->feedback)
            world->feedback[message->token % WORLD_BATCHES] = *reply->feedback;
        world->answered++;
        break;
    }
    case MESSAGE_TASK_ENDED: {
        struct message_task_ended *ended = MESSAGE_PAYLOAD(turn->message, struct message_task_ended);
        owner_ended(world, turn, ended->task);
        break;
    }
    case MESSAGE_FEEDBACK:
        world->outlook[message->token % WORLD_BATCHES] = *MESSAGE_PAYLOAD(turn->message, struct feedback);
        world->outlooks_answered++;
        break;
    case MESSAGE_ASK_FAILED:
        world->ask_failed++;
        break;
    case MESSAGE_AGENT_EVENT:
        world->events++;
        break;
    default:
        break;
    }
    if (world->actions_done == world->action_count && world->ended == world->submitted &&
        world->answered + world->outlooks_answered + world->ask_failed == world->batches + world->outlooks)
        runtime_stop(world->runtime);
}

/* ---- the world ---- */
static void world_action(struct world *world, uint64_t at_ns,
                         void (*fn)(struct world *world, struct turn *turn, unsigned arg), unsigned arg) {
    assert_true(world->action_count < WORLD_ACTIONS);
    world->actions[world->action_count++] = (struct action){at_ns, fn, arg};
}

static void world_open(struct world *world, uint64_t seed) {
    struct env_sim_options sim = {.seed = seed, .time_max_ns = 100000 * SECOND, .events_max = 5000000};
    struct fault fault = {0};
    unsigned bit;
    memset(world, 0, sizeof *world);
    world->account = ACCOUNT("world");
    assert_int_equal(env_sim_create(&world->account, &sim, &world->env), TROUPE_OK);
    task_message_destructors();
    assert_int_equal(
        runtime_create(world->env, &world->account, &(struct runtime_options){0}, &world->runtime, &fault),
        TROUPE_OK);
    assert_int_equal(registry_create(world->runtime, &world->account,
                                     &(struct registry_options){.rows_max = 1024}, &world->registry, &fault),
                     TROUPE_OK);
    assert_int_equal(capability_intern(&world->capabilities, "train", &bit), TROUPE_OK);
    assert_int_equal(capability_intern(&world->capabilities, "evaluate", &bit), TROUPE_OK);
    assert_int_equal(capability_intern(&world->capabilities, "prepare", &bit), TROUPE_OK);
    assert_int_equal(resource_intern(&world->resources, "gpu", &bit), TROUPE_OK);
    assert_int_equal(resource_intern(&world->resources, "memory", &bit), TROUPE_OK);
    world->options = (struct coordinator_options){.capabilities = &world->capabilities,
                                                  .resource_names = &world->resources,
                                                  .resources = {{1, 8}},
                                                  .statistics = &world->statistics};
    struct actor_spec spec = {
        .name = "owner", .handle = owner_handle, .state = world, .mailbox_len_max = WORLD_TASKS};
    assert_int_equal(actor_spawn(world->runtime, &spec, &world->owner), TROUPE_OK);
    world->options.listener = world->owner;
}

/* Starts the coordinator and the agents made so far, runs to the end, and checks what must always hold. */
static void world_run(struct world *world) {
    struct fault fault = {0};
    assert_int_equal(coordinator_start(world->runtime, world->registry, &world->account, &world->options,
                                       &world->coordinator, &fault),
                     TROUPE_OK);
    for (unsigned i = 0; i < world->agent_count; i++)
        if (!world->agents[i].joins_later)
            world_join(world, NULL, i);
    struct message *start = message_new(world->runtime, MESSAGE_USER, 0);
    assert_non_null(start);
    assert_int_equal(actor_send(world->runtime, NULL, world->owner, &start), TROUPE_OK);
    world->run_error = runtime_run(world->runtime);
}

static void world_close(struct world *world) {
    runtime_free(world->runtime);
    registry_free(world->registry);
    env_destroy(world->env);
    const struct coordinator_statistics *counts = &world->statistics;
    assert_int_equal(counts->submitted, counts->ended_ok + counts->ended_failed + counts->ended_cancelled +
                                            counts->rejected + counts->live);
    assert_true(counts->resources_free.amount[0] >= 0 && counts->resources_free.amount[1] >= 0);
    assert_true(world->in_use_max.amount[0] <= world->options.resources.amount[0]);
    assert_true(world->in_use_max.amount[1] <= world->options.resources.amount[1]);
    for (unsigned i = 0; i < world->batches && i < world->answered; i++) {
        const struct message_coordinated *reply = &world->replies[i];
        uint64_t sum_ns = 0;
        for (unsigned phase = 0; phase < PHASE_COUNT; phase++)
            sum_ns += reply->phase_ns[phase];
        assert_int_equal(sum_ns, reply->total_ns);
        assert_int_equal(reply->submitted, reply->accepted + reply->waiting + reply->rejected);
        assert_int_equal(reply->submitted, reply->on_time + reply->late + reply->rejected);
    }
    assert_int_equal(atomic_load(&world->account.bytes), 0);
    assert_int_equal(atomic_load(&world->account.blocks), 0);
}

static inline unsigned world_count(const struct world *world, enum task_state state) {
    unsigned count = 0;
    for (unsigned i = 0; i < world->submitted; i++)
        count += world->ends[i] == 1 && world->state[i] == state;
    return count;
}

#endif
