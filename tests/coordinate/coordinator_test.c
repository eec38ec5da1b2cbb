/* The coordinator with agents that act by script: who gets what, what comes back, and that every task ends
 * once. */
#include "scripted.h"

static void submit_plain(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn, &(struct task_shape){.count = count});
}

static void everything_is_done(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world world;
        world_open(&world, seed);
        world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
        world_agent(&world, SCRIPT_ACCEPT, 20 * MS, 0);
        world_action(&world, 0, submit_plain, 30);
        world_action(&world, 5 * MS, submit_plain, 5);
        world_run(&world);
        assert_int_equal(world.run_error, TROUPE_OK);
        world_close(&world);
        assert_int_equal(world_count(&world, TASK_OK), 35);
        assert_int_equal(world.statistics.live, 0);
        assert_int_equal(world.statistics.on_time, 35);
        /* late binding: never more at an agent than one running and one prefetched */
        assert_true(world.agents[0].held_max <= 2 && world.agents[1].held_max <= 2);
        assert_true(world.agents[0].accepted > world.agents[1].accepted); /* the faster one did more */
    }
}

/* Ten tasks of 6 s within 30 s, agents with backlogs of 162 s, 0 and 7 s: two are late, one more agent would
 * do. */
static void submit_document(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn,
                 &(struct task_shape){.count = count, .deadline_ns = 30 * SECOND, .expected_ns = 6 * SECOND});
}

static void the_documents_instance(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 7);
    struct scripted *busy = world_agent(&world, SCRIPT_OVERLOADED, 6 * SECOND, 0);
    busy->capacity_in_ns = busy->backlog_ns = 162 * SECOND;
    world_agent(&world, SCRIPT_ACCEPT, 6 * SECOND, 0);
    world_agent(&world, SCRIPT_ACCEPT, 6 * SECOND, 0)->backlog_ns = 7 * SECOND;
    world_action(&world, 0, submit_document, 10);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    const struct message_coordinated *reply = &world.replies[0];
    assert_int_equal(reply->submitted, 10);
    assert_int_equal(reply->late, 2);
    assert_int_equal(reply->on_time, 8);
    assert_int_equal(reply->rejected, 0);
    assert_int_equal(reply->spawn_recommended, 1);
    assert_int_equal(reply->shed_recommended, 0);
    assert_true(reply->rebalanced > 0);
    assert_int_equal((reply->estimated_completion_ns - world.begun_ns + SECOND / 2) / SECOND, 36);
    assert_int_equal(world.statistics.answers[OFFER_OVERLOADED], 1); /* and then it is left alone for 162 s */
    assert_int_equal(world_count(&world, TASK_OK) + world_count(&world, TASK_REJECTED), 10);
    assert_int_equal(world_count(&world, TASK_OK), 8 + world.statistics.late);
}

/* An agent that thinks its tasks longer than they are is not taken to work for others: it is asked again as soon as
 * they are done. */
static void a_pessimist_is_asked_again(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 8);
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0)->pessimism_ns = 100 * SECOND;
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    for (unsigned i = 0; i < 20; i++)
        world_action(&world, i * 20 * MS, submit_plain, 2);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_OK), 40);
    assert_in_range(world.agents[0].accepted, 15, 25);
}

/* ---- refused by name ---- */
static void submit_unknown(struct world *world, struct turn *turn, unsigned capability) {
    world_submit(world, turn, &(struct task_shape){.count = 3, .capability = capability});
}

static void submit_gpus(struct world *world, struct turn *turn, unsigned gpus) {
    world_submit(world, turn, &(struct task_shape){.count = 1, .resource = {gpus, 0}});
}

static void impossible_tasks_are_refused_by_name(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 3);
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_action(&world, MS, submit_unknown, 1);
    world_run(&world);
    world_close(&world);
    assert_int_equal(world.error[0], TROUPE_NO_AGENT);
    assert_int_equal(world_count(&world, TASK_REJECTED), 3);
    assert_non_null(strstr(world.text, "'evaluate'"));
    assert_non_null(strstr(world.text, "'train'"));
    assert_int_equal(world.replies[0].rejected, 3);

    world_open(&world, 4);
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_action(&world, MS, submit_gpus, 2);
    world_run(&world);
    world_close(&world);
    assert_int_equal(world.error[0], TROUPE_UNSATISFIABLE);
    assert_non_null(strstr(world.text, "gpu: 2"));
    assert_non_null(strstr(world.text, "1 in all"));
}

static void submit_same_id(struct world *world, struct turn *turn, unsigned arg) {
    (void)arg;
    world_submit(world, turn, &(struct task_shape){.count = 1});
    world->submitted--; /* the next one gets the same id */
    world->ended = 0;
    world_submit(world, turn, &(struct task_shape){.count = 1});
    world->ends[0] = 0;
}

static void an_id_lives_once(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 5);
    world_agent(&world, SCRIPT_ACCEPT, SECOND, 0);
    world_action(&world, 0, submit_same_id, 0);
    world_run(&world); /* stops at the first of the two ends: the refusal of the second */
    assert_int_equal(world.run_error, TROUPE_OK);
    assert_int_equal(world.error[0], TROUPE_INVALID);
    world_close(&world);
    assert_int_equal(world.statistics.rejected, 1);
    assert_int_equal(world.statistics.live, 1);
}

/* ---- counted resources ---- */
static void submit_gpu_tasks(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn, &(struct task_shape){.count = count, .resource = {1, 0}});
    world_submit(world, turn, &(struct task_shape){.count = count, .resource = {0, 3}});
    world_submit(world, turn, &(struct task_shape){.count = count});
}

static void resources_are_never_oversubscribed(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world world;
        world_open(&world, seed);
        for (unsigned i = 0; i < 4; i++)
            world_agent(&world, i == 3 ? SCRIPT_PARTIAL : SCRIPT_ACCEPT, (10 + i) * MS, 0)->limit = 1;
        world_action(&world, 0, submit_gpu_tasks, 10);
        world_action(&world, 50 * MS, submit_gpu_tasks, 5);
        world_run(&world);
        assert_int_equal(world.run_error, TROUPE_OK);
        world_close(&world); /* checks what the agents had in use */
        assert_int_equal(world_count(&world, TASK_OK), 45);
        assert_int_equal(world.in_use_max.amount[0], 1);
        assert_int_equal(world.in_use_max.amount[1], 6);
        assert_int_equal(world.statistics.resources_free.amount[0], 1);
        assert_int_equal(world.statistics.resources_free.amount[1], 8);
    }
}

/* ---- refusals ---- */
static void refused_tasks_go_elsewhere(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 11);
    world_agent(&world, SCRIPT_OVERLOADED, 10 * MS, 0)->limit = 3;
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_agent(&world, SCRIPT_PARTIAL, 10 * MS, 0)->limit = 1;
    world_action(&world, 0, submit_plain, 40);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_OK), 40);
    assert_int_equal(world.statistics.answers[OFFER_OVERLOADED], 3);
    assert_true(world.agents[0].accepted > 0); /* it was tried again, and took some */
    assert_true(world.statistics.weight_steps >= 3);
    assert_int_equal(world.statistics.offered_tasks,
                     world.statistics.accepted_tasks + world.statistics.refused_tasks);
}

static void an_agent_that_always_refuses(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 12);
    world.options.offers_max = 5;
    world_agent(&world, SCRIPT_OVERLOADED, 10 * MS, 0);
    world_action(&world, 0, submit_plain, 4);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_REJECTED), 4);
    assert_int_equal(world.error[0], TROUPE_OVERLOADED);
    assert_non_null(strstr(world.text, "5 times"));
}

static void incapable_and_draining_agents(void **state) {
    (void)state;
    for (unsigned draining = 0; draining < 2; draining++) {
        struct world world;
        world_open(&world, 13);
        world_agent(&world, draining ? SCRIPT_DRAINING : SCRIPT_INCAPABLE, 10 * MS, 0);
        world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
        world_action(&world, 0, submit_plain, 8);
        world_run(&world);
        assert_int_equal(world.run_error, TROUPE_OK);
        world_close(&world);
        assert_int_equal(world_count(&world, TASK_OK), 8);
        assert_int_equal(world.agents[0].offers, 1);

        world_open(&world, 14); /* nobody else */
        world_agent(&world, draining ? SCRIPT_DRAINING : SCRIPT_INCAPABLE, 10 * MS, 0);
        world_action(&world, 0, submit_plain, 8);
        world_run(&world);
        assert_int_equal(world.run_error, TROUPE_OK);
        world_close(&world);
        assert_int_equal(world_count(&world, TASK_REJECTED), 8);
        assert_int_equal(world.error[0], TROUPE_NO_AGENT);
    }
}

/* ---- agents that hang, die or break their contract ---- */
static void an_offer_without_an_answer(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 21);
    world_agent(&world, SCRIPT_HANG, 10 * MS, 0);
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_action(&world, 0, submit_plain, 10);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_FAILED), 2);
    assert_int_equal(world_count(&world, TASK_OK), 8);
    assert_int_equal(world.statistics.offer_timeouts, 1);
    assert_non_null(strstr(world.text, "agent0"));
    assert_non_null(strstr(world.text, "answer the offer"));
    for (unsigned i = 0; i < 10; i++)
        if (world.state[i] == TASK_FAILED) {
            assert_int_equal(world.error[i], TROUPE_TIMEOUT);
            assert_true(world.retryable[i]);
        }
}

static void a_late_answer_gives_back_what_it_held(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 22);
    struct scripted *slow = world_agent(&world, SCRIPT_HANG_REFUSE, 30 * SECOND, 0);
    slow->capacity_in_ns = MS;
    world_action(&world, 0, submit_gpus, 1);
    world_action(&world, 20 * SECOND, submit_gpus, 1); /* waits: the gpu may still be in use */
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world.error[0], TROUPE_TIMEOUT);
    assert_int_equal(world.state[1], TASK_OK);
    assert_true(world.ended_ns[1] > 30 * SECOND);
    assert_true(world.statistics.stale_answers >= 1);
    assert_int_equal(world.statistics.resources_free.amount[0], 1);
}

static void submit_memory(struct world *world, struct turn *turn, unsigned amount) {
    world_submit(world, turn, &(struct task_shape){.count = 1, .resource = {0, amount}});
}

/* The offer's tasks are lost and told of; what the agent took before runs on, and keeps what it uses. */
static void a_live_agent_without_memory_to_answer(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 23);
    struct scripted *agent = world_agent(&world, SCRIPT_DROP_SECOND, 10 * SECOND, 0);
    agent->slots = 3;
    world_action(&world, 0, submit_memory, 6);
    world_action(&world, SECOND, submit_memory, 2);     /* its offer is dropped */
    world_action(&world, 2 * SECOND, submit_memory, 6); /* waits: the first task has 6 of the 8 */
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world.state[0], TASK_OK);
    assert_int_equal(world.error[1], TROUPE_NOMEM);
    assert_true(world.retryable[1]);
    assert_true(world.ended_ns[1] - world.begun_ns < 2 * SECOND);
    assert_non_null(strstr(world.text, "agent0 had no memory"));
    assert_int_equal(world.state[2], TASK_OK);
    assert_true(world.ended_ns[2] - world.begun_ns >= 20 * SECOND);
    assert_int_equal(world.statistics.agents_lost, 0);
    assert_int_equal(world.statistics.resources_free.amount[1], 8);
}

static void an_expired_offer_is_dropped(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 24);
    world_agent(&world, SCRIPT_HANG_DROP, 30 * SECOND, 0);
    world_action(&world, 0, submit_gpus, 1);
    world_action(&world, 20 * SECOND, submit_gpus, 1); /* waits: the gpu may still be in use */
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world.error[0], TROUPE_TIMEOUT);
    assert_int_equal(world.state[1], TASK_OK);
    assert_true(world.ended_ns[1] - world.begun_ns > 30 * SECOND);
    assert_int_equal(world.statistics.agents_lost, 0);
    assert_int_equal(world.statistics.resources_free.amount[0], 1);
}

static void agents_that_die(void **state) {
    (void)state;
    for (unsigned holding = 0; holding < 2; holding++)
        for (uint64_t seed = 1; seed <= 10; seed++) {
            struct world world;
            world_open(&world, seed);
            world_agent(&world, holding ? SCRIPT_DIE_HOLDING : SCRIPT_DIE_ON_OFFER, 10 * MS, 0);
            world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
            world_action(&world, 0, submit_gpu_tasks, 4);
            world_run(&world);
            assert_int_equal(world.run_error, TROUPE_OK);
            world_close(&world);
            unsigned failed = world_count(&world, TASK_FAILED);
            assert_true(failed >= 1 && failed <= 2);
            assert_int_equal(world_count(&world, TASK_OK), 12 - failed);
            assert_non_null(strstr(world.text, "agent0"));
            assert_int_equal(world.statistics.resources_free.amount[0], 1);
            assert_int_equal(world.statistics.resources_free.amount[1], 8);
            assert_int_equal(world.statistics.agents_lost, 1);
        }
}

static void the_last_agent_dies(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 31);
    world_agent(&world, SCRIPT_DIE_HOLDING, 10 * MS, 0);
    world_action(&world, 0, submit_plain, 10);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_FAILED), 2);
    assert_int_equal(world_count(&world, TASK_REJECTED), 8);
    unsigned named = 0;
    for (unsigned i = 0; i < 10; i++)
        named += world.error[i] == TROUPE_NO_AGENT;
    assert_int_equal(named, 8);
}

static void give_up(struct world *world, struct turn *turn, unsigned arg) {
    struct message *message =
        message_new(world->runtime, MESSAGE_AGENT_EVENT, sizeof(struct message_agent_event));
    assert_non_null(message);
    struct message_agent_event *event = MESSAGE_PAYLOAD(message, struct message_agent_event);
    event->event = AGENT_GAVE_UP;
    event->agent = world->agents[arg].actor;
    assert_int_equal(actor_send(world->runtime, turn, world->coordinator, &message), TROUPE_OK);
}

static void all_agents_give_up(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 32);
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 1);
    world_action(&world, 0, submit_plain, 10);
    world_action(&world, 15 * MS, give_up, 0);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_OK), 3); /* the one done and the two it held */
    assert_int_equal(world_count(&world, TASK_REJECTED), 7);
    assert_non_null(strstr(world.text, "'train'"));
    assert_int_equal(world.events, 1); /* the listener heard */
}

static void agents_that_lie(void **state) {
    (void)state;
    static const enum script_mode modes[] = {SCRIPT_END_TWICE, SCRIPT_WRONG_ID, SCRIPT_NO_RESULT};
    for (unsigned i = 0; i < ARRAY_COUNT(modes); i++) {
        struct world world;
        world_open(&world, 40 + i);
        world_agent(&world, modes[i], 10 * MS, 0);
        world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
        world_action(&world, 0, submit_gpu_tasks, 6);
        world_run(&world);
        assert_int_equal(world.run_error, TROUPE_OK);
        world_close(&world);
        assert_int_equal(world_count(&world, TASK_OK) + world_count(&world, TASK_FAILED), 18);
        assert_int_equal(world_count(&world, TASK_FAILED) > 0, modes[i] == SCRIPT_NO_RESULT);
        if (modes[i] != SCRIPT_NO_RESULT)
            assert_true(world.statistics.stale_ends > 0);
        assert_int_equal(world.statistics.resources_free.amount[0], 1);
    }
}

/* A child's lines are read between turns, so the end that follows has no sender. It was dropped once. */
static void ends_without_a_sender(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 44);
    world_agent(&world, SCRIPT_BETWEEN_TURNS, 10 * MS, 0);
    world_action(&world, 0, submit_gpu_tasks, 6);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_OK), 18);
    assert_int_equal(world.statistics.stale_ends, 0);
    assert_int_equal(world.statistics.resources_free.amount[0], 1);
}

static void an_answer_of_another_epoch(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 45);
    world_agent(&world, SCRIPT_WRONG_EPOCH, 10 * MS, 0);
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_action(&world, 0, submit_plain, 6);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_true(world.statistics.stale_answers >= 1);
    assert_int_equal(world_count(&world, TASK_OK), 6); /* its ends are right, only its answer was not */
}

/* ---- deadlines, bounds, cancelling ---- */
static void submit_urgent(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn, &(struct task_shape){.count = count, .deadline_ns = 100 * MS});
}

static void deadlines_pass_while_waiting(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 51);
    world_agent(&world, SCRIPT_ACCEPT, 40 * MS, 0);
    world_action(&world, 0, submit_urgent, 10);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    unsigned ok = world_count(&world, TASK_OK), rejected = world_count(&world, TASK_REJECTED);
    assert_int_equal(ok + rejected, 10);
    assert_true(ok >= 3 && ok <= 4); /* 40, 80, 120 and the one prefetched at 80 */
    assert_int_equal(world.statistics.on_time, 2);
    assert_non_null(strstr(world.text, "deadline"));
}

static void a_task_that_is_never_ended(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 52);
    world_agent(&world, SCRIPT_FORGET, 10 * MS, 0);
    world_action(&world, 0, submit_urgent, 2);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_FAILED), 2);
    assert_int_equal(world.error[0], TROUPE_TIMEOUT);
    assert_non_null(strstr(world.text, "end the task"));
}

static void submit_known(struct world *world, struct turn *turn, unsigned count) {
    world_submit(world, turn, &(struct task_shape){.count = count, .expected_ns = 10 * MS});
}

static void the_queue_is_bounded(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 53);
    world.options.queue_len_max = 16;
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_action(&world, MS, submit_known, 100);
    world_action(&world, 5 * MS, submit_known, 100);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_true(world.statistics.waiting_max <= 16);
    assert_int_equal(world_count(&world, TASK_OK), 18); /* 16, of which 2 were offered at once, and 2 more */
    assert_int_equal(world_count(&world, TASK_REJECTED), 182);
    assert_non_null(strstr(world.text, "capacity returns in"));
    assert_int_equal(world.replies[0].capacity_in_ns, 10 * MS);
    assert_int_equal(world.replies[1].capacity_in_ns, 6 * MS); /* when the first one ends */
}

static void cancel_trial(struct world *world, struct turn *turn, unsigned run) {
    world_cancel(world, turn, run, UINT32_MAX);
}

static void cancelled_tasks_end_as_cancelled(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world world;
        world_open(&world, seed);
        world_agent(&world, seed % 2 ? SCRIPT_ACCEPT : SCRIPT_PARTIAL, 10 * MS, 0)->limit = 1;
        world_action(&world, 0, submit_gpu_tasks, 2);
        for (unsigned run = 1; run <= 6; run++)
            world_action(&world, seed % 3 == 0 ? 0 : 5 * MS, cancel_trial, run);
        world_run(&world);
        assert_int_equal(world.run_error, TROUPE_OK);
        world_close(&world);
        assert_int_equal(world_count(&world, TASK_CANCELLED), 6);
        assert_int_equal(world.statistics.ended_cancelled, 6);
        assert_int_equal(world.statistics.resources_free.amount[0], 1);
        assert_int_equal(world.statistics.resources_free.amount[1], 8);
    }
}

/* ---- agents that come later ---- */
static void join(struct world *world, struct turn *turn, unsigned index) {
    world_join(world, turn, index);
}

static void an_agent_that_joins_gets_work(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 61);
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0);
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0)->joins_later = true;
    world_action(&world, 0, submit_plain, 20);
    world_action(&world, 30 * MS, join, 1);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_OK), 20);
    assert_true(world.agents[1].accepted >= 6);
}

static void batches_are_offered_whole(void **state) {
    (void)state;
    struct world world;
    world_open(&world, 62);
    world_agent(&world, SCRIPT_ACCEPT, 10 * MS, 0)->batch_max = 8;
    world_action(&world, MS, submit_known, 64);
    world_run(&world);
    assert_int_equal(world.run_error, TROUPE_OK);
    world_close(&world);
    assert_int_equal(world_count(&world, TASK_OK), 64);
    assert_int_equal(world.agents[0].held_max, 16); /* one that is done, and the next */
    assert_int_equal(world.agents[0].offers, 7);    /* two at first, and one whenever eight have ended */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_offered_whole),
        cmocka_unit_test(everything_is_done),
        cmocka_unit_test(the_documents_instance),
        cmocka_unit_test(a_pessimist_is_asked_again),
        cmocka_unit_test(impossible_tasks_are_refused_by_name),
        cmocka_unit_test(an_id_lives_once),
        cmocka_unit_test(resources_are_never_oversubscribed),
        cmocka_unit_test(refused_tasks_go_elsewhere),
        cmocka_unit_test(an_agent_that_always_refuses),
        cmocka_unit_test(incapable_and_draining_agents),
        cmocka_unit_test(an_offer_without_an_answer),
        cmocka_unit_test(a_late_answer_gives_back_what_it_held),
        cmocka_unit_test(a_live_agent_without_memory_to_answer),
        cmocka_unit_test(an_expired_offer_is_dropped),
        cmocka_unit_test(agents_that_die),
        cmocka_unit_test(the_last_agent_dies),
        cmocka_unit_test(all_agents_give_up),
        cmocka_unit_test(agents_that_lie),
        cmocka_unit_test(ends_without_a_sender),
        cmocka_unit_test(an_answer_of_another_epoch),
        cmocka_unit_test(deadlines_pass_while_waiting),
        cmocka_unit_test(a_task_that_is_never_ended),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(cancelled_tasks_end_as_cancelled),
        cmocka_unit_test(an_agent_that_joins_gets_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
