/* Every order in which offers, REVOKEs, their answers, ends, time-outs, losses and crashes can happen, for two
 * coordinators, two agents and two tasks, each coordinator and each agent crashing once at most.
 *
 * What follows from each event is the coordinator's table (handover_next, handover_his, handover_is_gone) and the agent's
 * (revoke_answer_for), the ones that run. Around them are channels: questions keep their order, answers and ends overtake
 * each other, some of them
 * are lost, and an agent ends what it gave back. Each state is visited once; in each these must hold:
 *   - a task is told at most once, and never an end under an epoch that was given back;
 *   - while somebody has it, its resources are taken, and only one agent is doing it;
 *   - a pair of state and event that is not in the table never comes up;
 *   - where nothing more can happen, each task of a living coordinator has been told, and nothing is taken.
 * States that differ in the names of agents or tasks alone are one.
 * Bounds: offers of a task, REVOKEs of it, losses and lies in all (`PROGRAM OFFERS REVOKES LOSSES LIES`
 * for others); a waiting task past them ends as by its deadline. */
#include "handover_walk.h"

/* ---- what must always hold ---- */
static void must(const struct walk *walk, const struct state *state, bool holds, const char *what) {
    if (holds)
        return;
    print_way(walk, walk->present);
    print_state(state);
    fail_msg("does not hold: %s", what);
}

static void check(const struct walk *walk, const struct state *state) {
    for (unsigned task = 0; task < TASKS; task++) {
        const struct view *view = &state->views[task];
        unsigned doing = 0, having = 0;
        for (unsigned agent = 0; agent < AGENTS; agent++) {
            having += state->places[agent][task].place != HELD_NOWHERE;
            doing += state->places[agent][task].place == HELD_BEGUN;
        }
        must(walk, state, view->told <= 1, "a task is told once");
        if (state->crashed[walk->owner[task]])
            continue;
        must(walk, state, doing <= 1, "one agent does it");
        must(walk, state, !having || view->taken, "its resources are taken while somebody has it");
    }
}

static void check_final(const struct walk *walk, const struct state *state) {
    for (unsigned task = 0; task < TASKS; task++) {
        const struct view *view = &state->views[task];
        if (state->crashed[walk->owner[task]])
            continue;
        must(walk, state, view->told == 1, "its owner is told in the end");
        /* Past its recalls it would be asked after again, a lease later. */
        must(walk, state, view->state != CLAIM_ORPHAN || !view->gone, "nobody has it, and that was said");
        must(walk, state, view->recalls == walk->bounds.recalls || !view->taken,
             "its resources are free in the end");
    }
}

/* ---- channels ---- */
static bool post(struct channel *channel, struct letter letter) {
    if (channel->count == CHANNEL)
        return false;
    channel->letters[channel->count++] = letter;
    return true;
}

static struct letter unpost(struct channel *channel, unsigned at) {
    struct letter letter = channel->letters[at];
    for (channel->count--; at < channel->count; at++)
        channel->letters[at] = channel->letters[at + 1];
    channel->letters[channel->count] = (struct letter){0};
    return letter;
}

/* Answers overtake each other: their order in the channel means nothing, so there is one order only. */
static void post_answer(struct state *state, unsigned coordinator, unsigned agent, struct letter letter) {
    struct channel *channel = &state->answers[coordinator][agent];
    assert_true(post(channel, letter));
    for (unsigned at = channel->count - 1;
         at > 0 && memcmp(&channel->letters[at], &channel->letters[at - 1], sizeof letter) < 0; at--) {
        channel->letters[at] = channel->letters[at - 1];
        channel->letters[at - 1] = letter;
    }
}

static struct letter letter_of(unsigned kind, unsigned task, uint8_t epoch, uint8_t token, uint8_t life) {
    return (struct letter){1, kind & 7, task & 1, epoch & 7, token & 7, life & 1};
}

/* ---- the coordinator ---- */
static actor_ref actor_of(unsigned agent_plus_one, unsigned life) {
    return agent_plus_one ? agent_plus_one * 2 + life : 0;
}

/* As ending_happened does it. */
static void happened(struct state *state, unsigned task, enum claim_event event, uint8_t ended_epoch) {
    struct view *view = &state->views[task];
    struct handover follows = handover_next((enum claim_state)view->state, event);
    assert_true(follows.possible);
    if (follows.follows & HANDOVER_PASS)
        assert_true(ended_epoch > view->dead_epoch);
    if (follows.follows & (HANDOVER_PASS | HANDOVER_TELL))
        view->told++;
    if (follows.follows & HANDOVER_GIVE) {
        assert_true(view->taken);
        view->taken = false;
    }
    if (event == CLAIM_REFUSED || event == CLAIM_REVOKED)
        view->dead_epoch = view->epoch;
    if (event == CLAIM_OVERDUE)
        view->gone = false;
    view->state = follows.next;
    if (follows.next == CLAIM_WAITING || follows.next == CLAIM_FREE) {
        view->agent = view->life = view->epoch = 0;
        view->recalling = view->gone = false;
    }
}

static bool his(const struct view *view, unsigned agent, uint8_t life, uint8_t epoch) {
    return view->state != CLAIM_FREE &&
           handover_his(actor_of(view->agent, view->life), view->epoch, actor_of(agent + 1, life), epoch);
}

static void take_answer(struct state *state, unsigned agent, struct letter letter) {
    unsigned kind = letter.kind, task = letter.task;
    struct view *view = &state->views[task];
    if (!his(view, agent, letter.life, letter.epoch))
        return; /* counted, and discarded */
    if (kind == ENDED)
        happened(state, task, CLAIM_ENDED, letter.epoch);
    else if (kind == ACCEPTED && (view->state == CLAIM_OFFERED || view->state == CLAIM_ORPHAN))
        happened(state, task, CLAIM_ACCEPTED, 0);
    else if (kind == REFUSED && (view->state == CLAIM_OFFERED || view->state == CLAIM_ORPHAN))
        happened(state, task, CLAIM_REFUSED, 0);
    else if (kind >= ANSWER_REVOKED && view->recalling && letter.token == view->recalls) {
        view->recalling = false;
        if (kind == ANSWER_REVOKED)
            happened(state, task, CLAIM_REVOKED, 0);
        else if (kind == ANSWER_DONE && handover_is_gone((enum claim_state)view->state, view->gone))
            happened(state, task, CLAIM_GONE, 0);
        else if (kind == ANSWER_DONE)
            view->gone = true;
    }
}

/* ---- one of each kind ---- */
/* What does not count now never will, for epochs only grow: such letters are read at once, and change nothing. What is over
 * is forgotten. */
static void forget(const struct walk *walk, struct state *state) {
    for (unsigned coordinator = 0; coordinator < COORDINATORS; coordinator++)
        for (unsigned agent = 0; agent < AGENTS; agent++) {
            struct channel *channel = &state->answers[coordinator][agent];
            for (unsigned at = channel->count; at-- > 0;) {
                struct letter letter = channel->letters[at];
                const struct view *view = &state->views[letter.task];
                bool lie = walk->bounds.lies && letter.kind == ENDED && view->state != CLAIM_FREE;
                if (lie || his(view, agent, letter.life, letter.epoch))
                    continue; /* of a lie it is to be seen that it changes nothing, whenever it comes */
                struct state before = *state;
                take_answer(state, agent, letter);
                assert_memory_equal(&before, state, sizeof before);
                unpost(channel, at);
            }
        }
    for (unsigned task = 0; task < TASKS; task++) {
        struct view *view = &state->views[task];
        if (view->state == CLAIM_FREE)
            *view = (struct view){.told = state->crashed[walk->owner[task]] ? 0 : view->told};
    }
}

/* With the agents, or the tasks and their coordinators, in the other order. */
static struct state turned(const struct walk *walk, const struct state *from, bool agents, bool tasks) {
    struct state to = *from;
    bool coordinators = tasks && walk->owner[0] != walk->owner[1];
    for (unsigned task = 0; task < TASKS; task++) {
        struct view *view = &to.views[task];
        *view = from->views[task ^ tasks];
        if (agents && view->agent)
            view->agent = (uint8_t)(3 - view->agent);
    }
    for (unsigned agent = 0; agent < AGENTS; agent++) {
        to.life[agent] = from->life[agent ^ agents];
        for (unsigned task = 0; task < TASKS; task++)
            to.places[agent][task] = from->places[agent ^ agents][task ^ tasks];
    }
    for (unsigned coordinator = 0; coordinator < COORDINATORS; coordinator++) {
        to.crashed[coordinator] = from->crashed[coordinator ^ coordinators];
        for (unsigned agent = 0; agent < AGENTS; agent++) {
            to.down[coordinator][agent] = from->down[coordinator ^ coordinators][agent ^ agents];
            struct channel *answers = &to.answers[coordinator][agent];
            struct channel *questions = &to.questions[coordinator][agent];
            *questions = from->questions[coordinator ^ coordinators][agent ^ agents];
            for (unsigned at = 0; tasks && at < questions->count; at++)
                questions->letters[at].task ^= 1;
            struct channel theirs = from->answers[coordinator ^ coordinators][agent ^ agents];
            *answers = (struct channel){0};
            for (unsigned at = 0; at < theirs.count; at++) {
                theirs.letters[at].task ^= tasks;
                post_answer(&to, coordinator, agent, theirs.letters[at]);
            }
        }
    }
    return to;
}

static void step(struct walk *walk, const struct state *state) {
    walk->enabled++;
    walk->steps++;
    check(walk, state);
    struct state least = *state;
    forget(walk, &least);
    struct state first = least;
    for (unsigned way = 1; way < 4; way++) {
        struct state other = turned(walk, &first, way & 1, way >> 1);
        if (memcmp(&other, &least, sizeof other) < 0)
            least = other;
    }
    visit(walk, &least);
}

static void coordinator_steps(struct walk *walk, unsigned task) {
    const struct state *from = walk->from;
    const struct view *view = &from->views[task];
    unsigned owner = walk->owner[task];
    if (from->crashed[owner] || view->state == CLAIM_FREE)
        return;
    struct state next;
    for (unsigned agent = 0;
         view->state == CLAIM_WAITING && view->offers < walk->bounds.offers && agent < AGENTS; agent++) {
        if (from->down[owner][agent])
            continue; /* the dead one cannot be reached, the new one is not known */
        next = *from;
        struct view *mine = &next.views[task];
        mine->offers++;
        mine->agent = (uint8_t)(agent + 1);
        mine->life = from->life[agent];
        mine->epoch = mine->offers;
        mine->taken = true;
        happened(&next, task, CLAIM_SENT, 0);
        if (post(&next.questions[owner][agent], letter_of(OFFER, task, mine->epoch, 0, mine->life)))
            step(walk, &next);
    }
    if (view->state == CLAIM_WAITING) { /* its deadline passes, or it is cancelled */
        next = *from;
        next.views[task].state = CLAIM_FREE;
        next.views[task].told++;
        step(walk, &next);
    }
    if (view->state == CLAIM_OFFERED) {
        next = *from;
        happened(&next, task, CLAIM_UNANSWERED, 0);
        step(walk, &next);
    }
    if ((view->state == CLAIM_HELD || view->state == CLAIM_ORPHAN) && !view->recalling &&
        view->recalls < walk->bounds.recalls && !from->down[owner][view->agent - 1]) {
        next = *from;
        struct view *mine = &next.views[task];
        mine->recalls++;
        mine->recalling = true;
        if (post(&next.questions[owner][mine->agent - 1],
                 letter_of(REVOKE, task, mine->epoch, mine->recalls, mine->life)))
            step(walk, &next);
    }
    /* No answer to the REVOKE in time: it is not waited for any longer. Or, past its deadline, no end. */
    if (view->state == CLAIM_HELD || (view->state == CLAIM_ORPHAN && view->recalling)) {
        next = *from;
        if (view->state == CLAIM_HELD)
            happened(&next, task, CLAIM_OVERDUE, 0);
        next.views[task].recalling = false;
        step(walk, &next);
    }
}

/* ---- the agent ---- */
/* It gave the task back, and ends it all the same. */
static void lie(struct walk *walk, const struct state *from, unsigned coordinator, unsigned agent,
                struct letter letter) {
    struct state next = *from;
    if (from->lies == walk->bounds.lies)
        return;
    next.lies++;
    post_answer(&next, coordinator, agent,
                letter_of(ENDED, letter.task, letter.epoch & 7, 0, letter.life & 1));
    step(walk, &next);
}

static void take_question(struct walk *walk, unsigned coordinator, unsigned agent) {
    const struct state *from = walk->from;
    struct state next = *from;
    struct letter letter = unpost(&next.questions[coordinator][agent], 0);
    unsigned kind = letter.kind, task = letter.task;
    struct place *place = &next.places[agent][task];
    if (kind == REVOKE) {
        enum held_place where = place->place != HELD_NOWHERE && place->epoch == letter.epoch
                                    ? (enum held_place)place->place
                                    : HELD_NOWHERE;
        enum revoke_answer answer = revoke_answer_for(where);
        if (answer == REVOKE_REVOKED)
            *place = (struct place){0};
        letter.kind = (ANSWER_REVOKED + answer) & 7;
        post_answer(&next, coordinator, agent, letter);
        step(walk, &next);
        if (answer == REVOKE_REVOKED)
            lie(walk, &next, coordinator, agent, letter);
        return;
    }
    struct state refused = next;
    assert_int_equal(place->place, HELD_NOWHERE);
    place->place = HELD_IN_QUEUE;
    place->epoch = letter.epoch;
    post_answer(&next, coordinator, agent, letter_of(ACCEPTED, task, letter.epoch, 0, letter.life));
    step(walk, &next);
    post_answer(&refused, coordinator, agent, letter_of(REFUSED, task, letter.epoch, 0, letter.life));
    step(walk, &refused);
    lie(walk, &refused, coordinator, agent, letter);
}

static void agent_steps(struct walk *walk, unsigned agent) {
    const struct state *from = walk->from;
    struct state next;
    bool busy = false;
    for (unsigned task = 0; task < TASKS; task++)
        busy |= from->places[agent][task].place == HELD_BEGUN;
    for (unsigned task = 0; task < TASKS; task++) {
        const struct place *place = &from->places[agent][task];
        if (place->place == HELD_IN_QUEUE && !busy) {
            next = *from;
            next.places[agent][task].place = HELD_BEGUN;
            step(walk, &next);
        }
        if (place->place == HELD_BEGUN) {
            next = *from;
            next.places[agent][task].place = next.places[agent][task].epoch = 0;
            if (!from->crashed[walk->owner[task]])
                post_answer(&next, walk->owner[task], agent,
                            letter_of(ENDED, task, place->epoch, 0, from->life[agent]));
            step(walk, &next);
        }
    }
    for (unsigned coordinator = 0; coordinator < COORDINATORS; coordinator++)
        if (from->questions[coordinator][agent].count)
            take_question(walk, coordinator, agent);
}

/* ---- crashes and losses ---- */
static void agent_crashes(struct walk *walk, unsigned agent) {
    struct state next = *walk->from;
    if (next.life[agent])
        return;
    next.life[agent] = 1;
    for (unsigned task = 0; task < TASKS; task++)
        next.places[agent][task] = (struct place){0};
    for (unsigned coordinator = 0; coordinator < COORDINATORS; coordinator++) {
        next.questions[coordinator][agent] = (struct channel){0};
        next.down[coordinator][agent] = !next.crashed[coordinator];
    }
    step(walk, &next);
}

static void coordinator_hears(struct walk *walk, unsigned coordinator, unsigned agent) {
    struct state next = *walk->from;
    next.down[coordinator][agent] = 0;
    for (unsigned task = 0; task < TASKS; task++)
        if (walk->owner[task] == coordinator && next.views[task].agent == agent + 1 &&
            next.views[task].life == 0)
            happened(&next, task, CLAIM_AGENT_LOST, 0);
    step(walk, &next);
}

static void coordinator_crashes(struct walk *walk, unsigned coordinator) {
    struct state next = *walk->from;
    if (next.crashed[coordinator])
        return;
    next.crashed[coordinator] = true;
    for (unsigned agent = 0; agent < AGENTS; agent++) {
        next.down[coordinator][agent] = 0;
        next.answers[coordinator][agent] = (struct channel){0};
    }
    for (unsigned task = 0; task < TASKS; task++)
        if (walk->owner[task] == coordinator)
            next.views[task] = (struct view){.told = next.views[task].told};
    step(walk, &next);
}

static void channel_steps(struct walk *walk, unsigned coordinator, unsigned agent) {
    const struct state *from = walk->from;
    const struct channel *channel = &from->answers[coordinator][agent];
    for (unsigned at = 0; at < channel->count; at++) {
        struct state next = *from;
        struct letter letter = unpost(&next.answers[coordinator][agent], at);
        if (from->losses < walk->bounds.losses) {
            struct state lost = next;
            lost.losses++;
            step(walk, &lost);
        }
        if (from->crashed[coordinator])
            next = *from, unpost(&next.answers[coordinator][agent], at);
        else
            take_answer(&next, agent, letter);
        step(walk, &next);
    }
    if (from->down[coordinator][agent])
        coordinator_hears(walk, coordinator, agent);
}

static void explore(struct bounds bounds, const unsigned owner[TASKS]) {
    struct walk walk = {.bounds = bounds, .owner = {owner[0], owner[1]}};
    struct state start;
    memset(&start, 0, sizeof start);
    for (unsigned task = 0; task < TASKS; task++)
        start.views[task].state = CLAIM_WAITING;
    visit(&walk, &start);
    for (uint32_t i = 0; i < walk.count; i++) {
        struct state from = walk.states[i]; /* the array moves when it grows */
        walk.from = &from;
        walk.present = i;
        walk.enabled = 0;
        for (unsigned task = 0; task < TASKS; task++)
            coordinator_steps(&walk, task);
        for (unsigned agent = 0; agent < AGENTS; agent++) {
            agent_steps(&walk, agent);
            for (unsigned coordinator = 0; coordinator < COORDINATORS; coordinator++)
                channel_steps(&walk, coordinator, agent);
        }
        if (walk.enabled == 0) {
            check_final(&walk, &from);
            walk.finals++;
        }
        for (unsigned agent = 0; agent < AGENTS; agent++) /* a crash is no way out of being stuck */
            agent_crashes(&walk, agent);
        for (unsigned coordinator = 0; coordinator < COORDINATORS; coordinator++)
            coordinator_crashes(&walk, coordinator);
    }
    printf("handover: %s; %u offers and %u REVOKEs of each, %u losses, %u lies: %u states, %llu steps, %llu "
           "final "
           "states\n",
           owner[1] == owner[0] ? "both tasks at one coordinator" : "a task at each coordinator",
           bounds.offers, bounds.recalls, bounds.losses, bounds.lies, walk.count,
           (unsigned long long)walk.steps, (unsigned long long)walk.finals);
    assert_true(walk.finals > 0);
    free(walk.table);
    free(walk.states);
    free(walk.parents);
}

static const unsigned apart[TASKS] = {0, 1}, together[TASKS] = {0, 0};

static void every_order(void **state) {
    (void)state;
    explore((struct bounds){.offers = 2, .recalls = 1}, apart);
    explore((struct bounds){.offers = 2, .recalls = 1}, together);
}

static void every_order_with_a_loss(void **state) {
    (void)state;
    explore((struct bounds){.offers = 1, .recalls = 1, .losses = 1}, apart);
}

static void every_order_with_a_lie(void **state) {
    (void)state;
    explore((struct bounds){.offers = 2, .lies = 1}, apart);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order),
        cmocka_unit_test(every_order_with_a_loss),
        cmocka_unit_test(every_order_with_a_lie),
    };
    if (argc == 5) {
        unsigned given[4];
        for (unsigned i = 0; i < 4; i++)
            given[i] = (unsigned)strtoul(argv[i + 1], NULL, 10);
        struct bounds bounds = {given[0], given[1], given[2], given[3]};
        explore(bounds, apart);
        explore(bounds, together);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
