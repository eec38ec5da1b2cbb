/* An owner: submits batches at random times, retries what may be retried, cancels trials and whole runs, and
 * checks that each task it submitted ends exactly once with its own value. A task is (run of this owner,
 * trial, attempt). */
#include <stdio.h>
#include <string.h>

#include "sim_world.h"

enum { TOKEN_BATCH = 1, TOKEN_CANCEL = 2, TOKEN_STOP = 3 };
#define SETTLE_NS (5 * SIM_LEASE_NS) /* longer than any agent here keeps what its coordinator gave up */

struct sim_attempt *sim_find(struct sim_world *world, uint64_t run, uint32_t trial, unsigned attempt) {
    if (run == 0 || run > world->owner_count || trial >= SIM_TRIALS || attempt == 0 || attempt > SIM_ATTEMPTS)
        return NULL;
    struct sim_attempt *found = &world->owners[run - 1].attempts[trial][attempt - 1];
    return found->submitted ? found : NULL;
}

void sim_gave_back(struct sim_world *world, const struct task *task) {
    struct sim_attempt *known = sim_find(world, task->id.run, task->id.trial, task->id.attempt);
    if (known)
        known->dead_epochs[known->dead_count++ % SIM_DEAD_EPOCHS] = task->epoch;
}

bool sim_epoch_is_dead(const struct sim_attempt *known, uint32_t epoch) {
    for (unsigned i = 0; i < SIM_DEAD_EPOCHS && i < known->dead_count; i++)
        if (known->dead_epochs[i] == epoch)
            return true;
    return false;
}

/* All owners know all ends: what agents still hold for nobody comes back, then the world stops. */
static void finish_when_done(struct sim_owner *owner, struct turn *turn) {
    struct sim_world *world = owner->world;
    owner->finished = owner->batches_left == 0 && owner->ended == owner->submitted &&
                      owner->answered + owner->ask_failed == owner->asked;
    for (unsigned i = 0; i < world->owner_count; i++)
        if (!world->owners[i].finished)
            return;
    uint64_t timer;
    if (!world->settling)
        IGNORE(timer_start(turn, turn->now_ns + SETTLE_NS, TOKEN_STOP, &timer), "sim");
    world->settling = true;
}

static struct task *make_task(struct sim_owner *owner, struct turn *turn, uint32_t trial, uint16_t attempt) {
    struct sim_world *world = owner->world;
    struct random_stream *random = &owner->random;
    char body[96];
    snprintf(body, sizeof body, "\"variables\":{\"owner\":\"%u/%u\"},\"inputs\":{},\"data\":{},\"seed\":1",
             (unsigned)owner->run, trial);
    struct task *task = task_new(&world->account, body, strlen(body));
    if (!task)
        return NULL;
    task->id = (struct task_id){owner->run, trial, 1, attempt};
    task->owner = owner->actor;
    task->capability =
        (unsigned)random_below(random, 8) ? (unsigned)random_below(random, 3) : 3; /* 3: nobody's */
    if (task->capability == 3 && random_below(random, 4))
        task->capability = 0;
    if (world->one_kind && task->capability < 3)
        task->capability = 0;
    task->capability_name = world->capabilities.names[task->capability];
    task->run_name = owner->run_name;
    task->stage_name = "stage";
    task->priority = (uint8_t)random_below(random, 3);
    task->submitted_ns = turn->now_ns;
    if (random_below(random, 4) == 0)
        task->deadline_ns = turn->now_ns + 5 * MS + random_below(random, 2 * SECOND);
    task->firm = random_below(random, 2);
    task->timeout_ns = 100 * MS + random_below(random, 400 * MS);
    task->expected_ns = random_below(random, 2) ? 20 * MS : 0;
    task->resources.amount[0] = random_below(random, 5) == 0;
    task->idempotent = random_below(random, 2);
    if (random_below(random, 5) == 0)
        task->resources.amount[1] = 1 + (int64_t)random_below(random, 6); /* of 4: some never fit */
    struct sim_attempt *known = &owner->attempts[trial][attempt - 1];
    if (known->submitted)
        sim_violation(world, "test: submitted twice");
    *known = (struct sim_attempt){.submitted = true,
                                  .submitted_ns = turn->now_ns,
                                  .idempotent = task->idempotent,
                                  .resources = task->resources,
                                  .deadline_ns = task->deadline_ns};
    owner->submitted++;
    return task;
}

static void submit(struct sim_owner *owner, struct turn *turn, struct task *tasks, unsigned count) {
    struct sim_world *world = owner->world;
    struct message *message =
        message_new(world->runtime, MESSAGE_COORDINATE, sizeof(struct message_coordinate));
    if (!message)
        return sim_violation(world, "test: no message");
    struct message_coordinate *batch = MESSAGE_PAYLOAD(message, struct message_coordinate);
    batch->tasks = tasks;
    batch->count = count;
    owner->asked++;
    if (actor_ask(turn, owner->coordinator, &message, owner->asked, 0))
        sim_violation(world, "test: the coordinator took no batch");
}

static void submit_batch(struct sim_owner *owner, struct turn *turn) {
    unsigned count = 1 + (unsigned)random_below(&owner->random, random_below(&owner->random, 4) ? 8 : 40);
    struct task *tasks = NULL;
    unsigned made = 0;
    for (; made < count && owner->trials < SIM_TRIALS; made++) {
        struct task *task = make_task(owner, turn, owner->trials++, 1);
        task->next = tasks;
        tasks = task;
    }
    owner->batches_left--;
    if (made)
        submit(owner, turn, tasks, made);
}

static void cancel(struct sim_owner *owner, struct turn *turn) {
    struct sim_world *world = owner->world;
    struct message *message =
        message_new(world->runtime, MESSAGE_TASK_CANCEL, sizeof(struct message_task_cancel));
    if (!message)
        return;
    struct message_task_cancel *what = MESSAGE_PAYLOAD(message, struct message_task_cancel);
    bool whole = random_below(&owner->random, 8) == 0 || owner->trials == 0;
    *what = (struct message_task_cancel){
        owner->run, whole ? UINT32_MAX : (uint32_t)random_below(&owner->random, owner->trials)};
    for (unsigned trial = 0; trial < owner->trials; trial++)
        for (unsigned attempt = 0; attempt < SIM_ATTEMPTS && (whole || trial == what->trial); attempt++)
            if (owner->attempts[trial][attempt].submitted && !owner->attempts[trial][attempt].cancelled_ns)
                owner->attempts[trial][attempt].cancelled_ns = turn->now_ns;
    if (actor_send(world->runtime, turn, owner->coordinator, &message))
        message_free(&message);
}

static void task_ended(struct sim_owner *owner, struct turn *turn, const struct task *task) {
    struct sim_world *world = owner->world;
    struct sim_attempt *known = sim_find(world, task->id.run, task->id.trial, task->id.attempt);
    if (!known || task->id.run != owner->run)
        return sim_violation(world, "an owner was told of a task that is not his");
    if (!task_state_terminal(task->state) || !task->result)
        return sim_violation(world, "trial %u ended in state %u without a result", task->id.trial,
                             task->state);
    if (known->ends++)
        return sim_violation(world, "trial %u attempt %u ended twice: %s, then %s", task->id.trial,
                             task->id.attempt, task_state_name(known->state), task_state_name(task->state));
    uint64_t latest_ns = known->deadline_ns + SIM_OFFER_TIMEOUT_NS + SIM_SLACK_NS;
    if (known->deadline_ns != UINT64_MAX && turn->now_ns > latest_ns)
        sim_violation(world, "trial %u attempt %u ended %.0f ms after its deadline", task->id.trial,
                      task->id.attempt, (double)(turn->now_ns - known->deadline_ns) / 1e6);
    if (task->state == TASK_OK && sim_epoch_is_dead(known, task->epoch))
        sim_violation(world, "trial %u attempt %u is committed under epoch %u, under which it was given back",
                      task->id.trial, task->id.attempt, task->epoch);
    known->state = task->state;
    known->error = task->result->error;
    owner->ended++;
    if (task->state == TASK_OK) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "\"%u/%u/%u\"", (unsigned)owner->run, task->id.trial,
                 task->id.attempt);
        const char *value = task->result->value ? task->result->value : "nothing";
        if (strcmp(value, wanted) != 0)
            sim_violation(world, "trial %u attempt %u ended with the value %s", task->id.trial,
                          task->id.attempt, value);
        if (!known->at_child && !known->at_rogue)
            sim_violation(world, "trial %u ended ok, yet no child ever had it", task->id.trial);
    } else if (task->result->error == TROUPE_OK)
        sim_violation(world, "trial %u did not end ok, yet has no error", task->id.trial);
    if (task->state == TASK_OK && task->result->error != TROUPE_OK)
        sim_violation(world, "trial %u ended ok with error %s", task->id.trial,
                      error_name(task->result->error));
    if (task->state == TASK_FAILED && task->result->retryable && task->id.attempt < SIM_ATTEMPTS &&
        random_below(&owner->random, 2)) {
        struct task *again = make_task(owner, turn, task->id.trial, (uint16_t)(task->id.attempt + 1));
        submit(owner, turn, again, 1);
    }
}

static void batch_answered(struct sim_owner *owner, const struct message_coordinated *reply) {
    struct sim_world *world = owner->world;
    uint64_t sum_ns = 0;
    for (unsigned phase = 0; phase < PHASE_COUNT; phase++)
        sum_ns += reply->phase_ns[phase];
    if (sum_ns != reply->total_ns)
        sim_violation(world, "phases do not add up");
    if (reply->submitted != reply->accepted + reply->waiting + reply->rejected ||
        reply->submitted != reply->on_time + reply->late + reply->rejected)
        sim_violation(world, "a reply's counts do not add up");
    owner->answered++;
}

static void handle(struct turn *turn, void *state, const struct message *message) {
    struct sim_owner *owner = state;
    uint64_t timer;
    switch (message->kind) {
    case MESSAGE_USER:
        for (unsigned i = 0; i < owner->batches_left; i++)
            IGNORE(
                timer_start(turn, turn->now_ns + random_below(&owner->random, SECOND), TOKEN_BATCH, &timer),
                "sim");
        for (uint64_t i = random_below(&owner->random, 6); i-- > 0;)
            IGNORE(
                timer_start(turn, turn->now_ns + random_below(&owner->random, SECOND), TOKEN_CANCEL, &timer),
                "sim");
        break;
    case MESSAGE_TIMER: {
        struct message_timer *fired = MESSAGE_PAYLOAD(turn->message, struct message_timer);
        if (fired->token == TOKEN_BATCH)
            submit_batch(owner, turn);
        else if (fired->token == TOKEN_CANCEL)
            cancel(owner, turn);
        else
            runtime_stop(owner->world->runtime);
        break;
    }
    case MESSAGE_COORDINATED: {
        struct message_coordinated *reply = MESSAGE_PAYLOAD(turn->message, struct message_coordinated);
        batch_answered(owner, reply);
        break;
    }
    case MESSAGE_ASK_FAILED:
        owner->ask_failed++;
        break;
    case MESSAGE_TASK_ENDED: {
        struct message_task_ended *ended = MESSAGE_PAYLOAD(turn->message, struct message_task_ended);
        task_ended(owner, turn, ended->task);
        break;
    }
    default:
        break;
    }
    if (owner->world->violation[0])
        runtime_stop(owner->world->runtime);
    finish_when_done(owner, turn);
}

void sim_owner_start(struct sim_world *world, unsigned index) {
    struct sim_owner *owner = &world->owners[index];
    owner->world = world;
    owner->run = index + 1;
    snprintf(owner->run_name, sizeof owner->run_name, "run-%u",
             index + 1); /* ids on the wire begin with it */
    owner->coordinator = world->coordinators[index % world->coordinator_count];
    random_seed(&owner->random, world->seed, 100 + index);
    owner->batches_left = 1 + (unsigned)random_below(&owner->random, 6);
    struct actor_spec spec = {.name = "owner", .handle = handle, .state = owner, .mailbox_len_max = 4096};
    if (actor_spawn(world->runtime, &spec, &owner->actor))
        return sim_violation(world, "test: no owner");
    struct message *start = message_new(world->runtime, MESSAGE_USER, 0);
    if (!start || actor_send(world->runtime, NULL, owner->actor, &start))
        sim_violation(world, "test: no start");
}
