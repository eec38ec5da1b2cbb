/* Asks: a request whose answer is promised. The promise is a oneshot, found by the number in message->reply: of the
 * question until it is answered (`sender` is the asker), of an answer on its way back (MESSAGE_ANSWERS).
 *
 * Invariants: the first answer that the asker's worker takes out of the asker's mailbox is handled, no other one; a
 *             question that is destroyed unanswered becomes its own answer, DEAD, and a promise that is due sends
 *             TIMEOUT; so exactly one result is handled, and none needs memory. An asker that ends before settles
 *             by ask_abandoned.
 * Threads: actor_ask: a turn; actor_reply, abandoned: any; settle: the asker's worker. */
#include "runtime/oneshot.h"

enum troupe_error actor_ask(struct turn *turn, actor_ref to, struct message **message, uint64_t token,
                            uint64_t timeout_ns) {
    struct message *asked = *message;
    CHECK(asked != NULL && asked->reply == 0 && (asked->flags & MESSAGE_HOME_MASK) == MESSAGE_HOME_POOL);
    struct worker *worker = worker_of_turn(turn);
    uint64_t deadline_ns = UINT64_MAX;
    if (timeout_ns != 0 && timeout_ns < UINT64_MAX - 1 - turn->now_ns) {
        deadline_ns = turn->now_ns + timeout_ns;
    }
    struct oneshot *promise;
    enum troupe_error error =
        oneshot_start(worker, turn->self, MESSAGE_ASK_FAILED, token, deadline_ns, &promise);
    if (error != TROUPE_OK) {
        return error;
    }
    asked->reply = oneshot_id(promise);
    asked->token = token;
    asked->sender = turn->self;
    error = actor_deliver(turn->runtime, worker, to, asked);
    if (error == TROUPE_OK) {
        *message = NULL;
    } else {
        COUNT(turn->runtime, worker, refused);
        oneshot_settle(worker, promise);
        asked->reply = 0;
    }
    return error;
}

void actor_reply(struct turn *turn, const struct message *asked, struct message **reply) {
    struct message *answer = *reply;
    *reply = NULL;
    CHECK(message_classes[answer->kind] == MESSAGE_CLASS_REPLY && answer->reply == 0);
    struct runtime *runtime = answer->runtime;
    struct worker *worker = turn != NULL ? worker_of_turn(turn) : worker_current(runtime);
    if (asked->reply == 0) {
        COUNT(runtime, worker, late_replies);
        message_destroy(runtime, worker, answer);
        return;
    }
    answer->sender = turn != NULL ? turn->self : 0;
    answer->reply = asked->reply;
    /* The caller holds the question, so this is its to note, though the content is none of its business. */
    ((struct message *)(uintptr_t)asked)->reply = 0;
    answer->flags |= MESSAGE_ANSWERS;
    if (actor_deliver(runtime, worker, asked->sender, answer) != TROUPE_OK) {
        message_destroy(runtime, worker, answer);
    }
}

bool ask_settle(struct worker *worker, struct actor *actor, struct message *message) {
    struct oneshot *promise = oneshot_find(worker->runtime, message->reply);
    if (promise == NULL || promise->owner != actor_self(actor)) {
        return false; /* its destruction counts it */
    }
    uint64_t token = promise->token;
    message->reply = 0;
    message->flags &= ~MESSAGE_ANSWERS;
    message->token = token;
    if (message->kind == MESSAGE_ASK_FAILED) {
        MESSAGE_PAYLOAD(message, struct message_ask_failed)->token = token;
    }
    oneshot_settle(worker, promise);
    return true;
}

/* An answer is destroyed where it cannot be handled any more: at an asker that ends or has ended. */
void ask_abandoned(struct runtime *runtime, struct worker *worker, uint64_t id) {
    struct oneshot *promise = id != 0 ? oneshot_close(runtime, id, ONESHOT_CLOSED) : NULL;
    if (promise != NULL) {
        oneshot_release(runtime, worker, promise);
    }
}
