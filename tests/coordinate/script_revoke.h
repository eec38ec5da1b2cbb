/* How a scripted agent answers REVOKE: what it has not begun comes back, and what is behind it begins earlier. Part of
 * scripted.h; for agents of one slot. */
#ifndef TESTS_SCRIPT_REVOKE_H
#define TESTS_SCRIPT_REVOKE_H

/* Everything behind `finish_ns` ends `earlier_ns` sooner. */
static void script_close_up(struct scripted *agent, struct turn *turn, uint64_t finish_ns,
                            uint64_t earlier_ns) {
    for (unsigned i = 0; i < agent->count; i++) {
        if (agent->tasks[i].finish_ns <= finish_ns)
            continue;
        uint64_t timer;
        agent->tasks[i].finish_ns -= earlier_ns;
        agent->tasks[i].task->started_ns -= earlier_ns;
        assert_int_equal(timer_start(turn, agent->tasks[i].finish_ns, 1, &timer), TROUPE_OK);
    }
    agent->slot_free_ns[0] -= earlier_ns;
}

static void script_cancel_begun(struct scripted *agent, struct turn *turn, unsigned at) {
    struct scripted_task held = agent->tasks[at];
    agent->tasks[at] = agent->tasks[--agent->count];
    agent->cancels++;
    script_release(agent, held.task);
    script_close_up(agent, turn, held.finish_ns, held.finish_ns - turn->now_ns);
    script_finish(agent, turn, held.task, TASK_CANCELLED, true);
}

static void script_revoke(struct scripted *agent, struct turn *turn) {
    struct message *asked = turn->message;
    const struct message_revoke *revoke = MESSAGE_PAYLOAD(asked, const struct message_revoke);
    agent->revokes++;
    if (agent->mode == SCRIPT_DEAF) {
        agent->kept = turn_take(turn);
        return;
    }
    struct message *reply =
        message_new(agent->world->runtime, MESSAGE_REVOKE_ANSWER, sizeof(struct message_revoke_answer));
    assert_non_null(reply);
    struct message_revoke_answer *answer = MESSAGE_PAYLOAD(reply, struct message_revoke_answer);
    *answer = (struct message_revoke_answer){.answer = REVOKE_DONE, .id = revoke->id, .epoch = revoke->epoch};
    for (unsigned i = 0; i < agent->count && agent->mode != SCRIPT_DENY; i++) {
        struct scripted_task held = agent->tasks[i];
        if (!task_id_equal(held.task->id, revoke->id) || held.task->epoch != revoke->epoch)
            continue;
        answer->answer = REVOKE_STARTED;
        if (held.task->started_ns <= turn->now_ns) {
            answer->task = revoke->copy ? task_copy(held.task) : NULL;
            if (revoke->cancel)
                script_cancel_begun(agent, turn, i);
            break;
        }
        assert_int_equal(agent->slots, 1);
        answer->answer = REVOKE_REVOKED;
        answer->task = held.task;
        agent->tasks[i] = agent->tasks[--agent->count];
        script_release(agent, held.task);
        script_close_up(agent, turn, held.finish_ns, agent->service_ns);
        agent->given_back++;
        break;
    }
    actor_reply(turn, asked, &reply);
}

#endif
