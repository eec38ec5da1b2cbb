/* What a round taught: bounded steps of the weight and window of agents that refuse or accept, what would help
 * (remedy.c), and the reply that says all of it.
 *
 * A refusal multiplies the weight by 1.25 (up to WEIGHT_MAX) and lowers the window to what the agent holds;
 * an acceptance takes 5 % of the excess off and gives one task of window back: slow to forgive, never for
 * ever. */
#include "coordinate/coordinator.h"

#define WEIGHT_STEP 1.25f
#define FORGIVE 0.05f
#define BACKOFF_MIN_NS 1000000
#define BACKOFF_MAX_NS 1000000000
#define BACKOFF_TOLD_MAX_NS UINT64_C(3600000000000)
#define LOOK_EVERY_NS 50000000  /* a look solves some dozens of plans: not for every batch of a flood */
#define OUTLOOK_WAITING_MAX 128 /* of the tasks that wait, beside those that are announced */

void feedback_refused(struct coordinator *coordinator, struct agent_view *view, uint64_t now_ns,
                      uint64_t capacity_in_ns) {
    float before = view->weight;
    view->refused++;
    view->weight *= WEIGHT_STEP;
    if (view->weight > WEIGHT_MAX)
        view->weight = WEIGHT_MAX;
    remedy_note_weight(coordinator, view, before);
    view->window = view->claims.count > view->slots ? view->claims.count : view->slots;
    if (view->window > view->window_max)
        view->window = view->window_max;
    if (view->refusals_in_row < 16)
        view->refusals_in_row++;
    uint64_t wait_ns = (uint64_t)BACKOFF_MIN_NS << (view->refusals_in_row - 1);
    if (wait_ns > BACKOFF_MAX_NS)
        wait_ns = BACKOFF_MAX_NS;
    if (capacity_in_ns > BACKOFF_TOLD_MAX_NS)
        capacity_in_ns = BACKOFF_TOLD_MAX_NS;
    if (capacity_in_ns > wait_ns)
        wait_ns = capacity_in_ns;
    view->resume_ns = now_ns + wait_ns;
    coordinator->counts.weight_steps++;
}

void feedback_accepted(struct agent_view *view, unsigned tasks) {
    view->accepted += tasks;
    view->refusals_in_row = 0;
    view->weight -= (view->weight - 1) * FORGIVE;
    if (view->window < view->window_max)
        view->window++;
}

static void forecast(struct coordinator *coordinator, struct round *round, uint64_t now_ns) {
    if (!round->forecast_stale && round->plan_serial == coordinator->plan.serial)
        return;
    coordinator->plan.task_count = 0; /* of another batch */
    coordinator->plan.outcome = (struct assign_outcome){0};
    if (coordinator->queue.count == 0)
        return;
    if (plan_score(coordinator, now_ns, 0)) {
        coordinator_retry_later(coordinator, now_ns);
        return;
    }
    unsigned ahead = round->reply.submitted * 8;
    plan_matrix(coordinator, ahead < 64 ? 64 : ahead > PLAN_TASKS_MAX ? PLAN_TASKS_MAX : ahead);
    plan_assign(coordinator, now_ns, round->reply.submitted <= ASSIGN_IMPROVE_TASKS_MAX, false);
}

/* The claims of the batch that live: where they are, and whether they will be on time. Those beyond the
 * forecast are taken to follow the last one it reached. */
static void count_live(const struct coordinator *coordinator, const struct round *round, uint64_t now_ns,
                       struct message_coordinated *reply) {
    uint64_t beyond_ns = coordinator->plan.outcome.finish_ns;
    for (const struct claim *claim = round->claims; claim; claim = claim->round_next) {
        uint64_t finish_ns = claim->finish_ns ? claim->finish_ns : beyond_ns;
        if (claim->state == CLAIM_WAITING)
            reply->waiting++;
        else
            reply->accepted++;
        if (finish_ns > claim->deadline_ns || finish_ns == ASSIGN_NEVER)
            reply->late++;
        else
            reply->on_time++;
        if (claim->rebalanced)
            reply->rebalanced++;
        if (finish_ns != ASSIGN_NEVER && finish_ns > reply->estimated_completion_ns)
            reply->estimated_completion_ns = finish_ns;
    }
    reply->waiting += round->parked; /* beyond every forecast */
    unsigned late = beyond_ns == ASSIGN_NEVER ? round->parked : park_late(coordinator, round, beyond_ns);
    reply->late += late;
    reply->on_time += round->parked - late;
    if (round->parked > 0 && beyond_ns != ASSIGN_NEVER && beyond_ns > reply->estimated_completion_ns)
        reply->estimated_completion_ns = beyond_ns;
    if (reply->estimated_completion_ns < now_ns)
        reply->estimated_completion_ns = now_ns;
}

static unsigned recommended(const struct feedback *feedback, enum feedback_kind kind) {
    unsigned count = 0;
    for (unsigned i = 0; i < feedback->count; i++)
        count += feedback->steps[i].kind == kind ? feedback->steps[i].count : 0;
    return count;
}

/* Those that no number of agents makes on time. */
static unsigned past_help(const struct feedback *feedback) {
    unsigned late = feedback->as_it_is.late;
    for (unsigned i = 0; i < feedback->count; i++)
        if (feedback->steps[i].kind == FEEDBACK_SPAWN)
            late = feedback->steps[i].after.late;
    return late;
}

static void count_steps(struct coordinator *coordinator, struct turn *turn, const struct feedback *feedback,
                        uint64_t span) {
    coordinator->counts.looks++;
    for (unsigned i = 0; i < feedback->count; i++) {
        const struct feedback_step *step = &feedback->steps[i];
        coordinator->counts.steps[step->kind]++;
        trace_emit(runtime_tracer(coordinator->runtime), turn->worker, TRACE_FEEDBACK, span, step->kind,
                   step->count);
    }
}

static void recommend(struct coordinator *coordinator, struct turn *turn, struct round *round) {
    struct feedback *feedback = &coordinator->feedback;
    struct message_coordinated *reply = &round->reply;
    if (reply->late == 0)
        return;
    if (feedback->at_ns == 0 || turn->now_ns - feedback->at_ns >= LOOK_EVERY_NS) {
        remedy_look(coordinator, turn->now_ns, NULL, feedback);
        count_steps(coordinator, turn, feedback, round->id);
    }
    reply->spawn_recommended = recommended(feedback, FEEDBACK_SPAWN);
    reply->shed_recommended = past_help(feedback);
    if (reply->spawn_recommended > coordinator->counts.spawn_recommended_max)
        coordinator->counts.spawn_recommended_max = reply->spawn_recommended;
}

/* What is announced is looked at with what waits, and forgotten again. */
void feedback_outlook(struct coordinator *coordinator, struct turn *turn, struct message *asked) {
    struct message *reply = message_new(coordinator->runtime, MESSAGE_FEEDBACK, sizeof(struct feedback));
    if (!reply)
        return; /* nothing is advised then */
    struct feedback *feedback = MESSAGE_PAYLOAD(reply, struct feedback);
    if (plan_score(coordinator, turn->now_ns, 0) == TROUPE_OK) {
        plan_matrix(coordinator, OUTLOOK_WAITING_MAX);
        plan_assign(coordinator, turn->now_ns, false, false);
        remedy_look(coordinator, turn->now_ns, MESSAGE_PAYLOAD(asked, const struct message_outlook),
                    feedback);
        count_steps(coordinator, turn, feedback, 0);
    }
    actor_reply(turn, asked, &reply);
}

static void detach_claims(struct round *round) {
    while (round->claims) {
        struct claim *claim = round->claims;
        round_leave(claim);
        claim->rebalanced = false;
    }
}

static void send_reply(struct coordinator *coordinator, struct turn *turn, struct round *round) {
    struct message *message = NULL;
    for (unsigned attempt = 0; attempt < 2 && !message; attempt++)
        message = message_new(coordinator->runtime, MESSAGE_COORDINATED, sizeof(struct message_coordinated));
    if (!message) { /* an asker hears nothing rather than a lie; its tasks end all the same */
        coordinator->counts.undeliverable++;
        message_free(&round->asked);
        return;
    }
    struct message_coordinated *reply = MESSAGE_PAYLOAD(message, struct message_coordinated);
    *reply = round->reply;
    if (reply->late && coordinator->feedback.count) {
        reply->feedback = memory_alloc(coordinator->account, sizeof *reply->feedback);
        if (reply->feedback) { /* else the counts alone */
            *reply->feedback = coordinator->feedback;
            reply->feedback->account = coordinator->account;
        }
    }
    if (round->asked->reply)
        actor_reply(turn, round->asked, &message);
    else {
        message->token = round->asked->token;
        if (round->asked->sender == 0 ||
            actor_send(coordinator->runtime, turn, round->asked->sender, &message))
            message_free(&message);
    }
    message_free(&round->asked);
}

void feedback_reply(struct coordinator *coordinator, struct turn *turn, struct round *round) {
    struct message_coordinated *reply = &round->reply;
    uint64_t now_ns = turn->now_ns;
    forecast(coordinator, round, now_ns);
    reply->accepted = round->ended_accepted;
    reply->on_time = round->ended_on_time;
    reply->late = round->ended_late;
    count_live(coordinator, round, now_ns, reply);
    CHECK(reply->submitted == reply->accepted + reply->waiting + reply->rejected);
    CHECK(reply->submitted == reply->on_time + reply->late + reply->rejected);
    recommend(coordinator, turn, round);
    if (reply->rejected)
        reply->capacity_in_ns =
            round->room_ns > now_ns ? round->room_ns - now_ns : plan_capacity_in(coordinator, now_ns);
    detach_claims(round);
    round_stamp(coordinator, round, PHASE_FEEDBACK);
    reply->total_ns = round->stamp_ns - round->started_ns;
    uint64_t sum_ns = 0;
    for (unsigned phase = 0; phase < PHASE_COUNT; phase++) {
        sum_ns += reply->phase_ns[phase];
        coordinator->counts.phase_ns[phase] += reply->phase_ns[phase];
        trace_emit(runtime_tracer(coordinator->runtime), turn->worker, TRACE_ROUND_PHASE, round->id,
                   reply->phase_ns[phase], phase);
    }
    CHECK(sum_ns == reply->total_ns);
    coordinator->counts.round_ns += reply->total_ns;
    trace_emit(runtime_tracer(coordinator->runtime), turn->worker, TRACE_ROUND_ENDED, round->id,
               reply->accepted, reply->waiting);
    round->open = false;
    send_reply(coordinator, turn, round);
}
