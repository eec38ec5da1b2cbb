/* The guide: in virtual time somebody else says which of an actor's messages its next turn takes, so that a recorded run
 * is lived through in its recorded order (turn_record.c).
 *
 * Invariants: messages that are passed over keep their order; an actor whose messages all may not be taken yet waits for
 *             another message, as if its mailbox were empty.
 * Threads:    one: simulated only. Memory: none. */
#include "runtime/oneshot.h"

/* Messages of one sender keep their order: none that comes behind one that was passed over. */
static bool overtakes(const struct message *first, const struct message *message) {
    for (const struct message *before = first; message->sender != 0 && before != message;
         before = message_next(before)) {
        if (before->sender == message->sender) {
            return true;
        }
    }
    return false;
}

static struct message *take_out(struct message **first, struct message **last, struct message *before,
                                struct message *message) {
    if (before == NULL) {
        *first = message_next(message);
    } else {
        message_link(before, message_next(message));
    }
    if (*last == message) {
        *last = before;
    }
    return message;
}

/* Takes the first message that may be taken out of the list, if any. */
static struct message *choose(const struct turn_guide *guide, actor_ref self, struct message **first,
                              struct message **last) {
    struct message *before = NULL;
    for (struct message *message = *first; message != NULL; message = message_next(message)) {
        if (message->kind == MESSAGE_TIMER && timer_stale(message)) { /* no turn: it is only cleared away */
            return take_out(first, last, before, message);
        }
        if (!overtakes(*first, message) && guide->may(guide->context, self, message)) {
            return take_out(first, last, before, message);
        }
        before = message;
    }
    return NULL;
}

bool turn_guide_choose(struct worker *worker, struct actor *actor) {
    struct message *last, *first = mailbox_take_all(&actor->mailbox, &last);
    struct message *chosen = choose(&worker->runtime->guide, actor_self(actor), &first, &last);
    if (first != NULL) {
        mailbox_put_back(&actor->mailbox, first, last);
    }
    if (chosen != NULL) {
        message_link(chosen, NULL);
        mailbox_put_back(&actor->mailbox, chosen, chosen);
    }
    return chosen != NULL;
}

void turn_guide_nudge(struct runtime *runtime, actor_ref ref) {
    struct actor *actor = actor_at(runtime, ref);
    uintptr_t nothing = 0;
    /* With something there already a notice is under way, and does the same. */
    if (atomic_compare_exchange_strong_explicit(&actor->mailbox.arrived, &nothing, MAILBOX_NOTICED,
                                                memory_order_acq_rel, memory_order_relaxed)) {
        scheduler_notice(runtime, worker_on_thread(runtime), actor);
    }
}
