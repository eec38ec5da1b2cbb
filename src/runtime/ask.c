/* Asks: a request whose answer is promised. The promise is a oneshot, found by the number in message->reply.
 *
 * Invariants: exactly one of reply, DEAD and TIMEOUT reaches the asker; a message that carries the number of
 *             a promise which is kept already is an ordinary message.
 * Threads: actor_ask: a turn; actor_reply: any. */
#include "runtime/oneshot.h"

enum troupe_error actor_ask(struct turn *turn, actor_ref to, struct message **message, uint64_t token,
                            uint64_t timeout_ns) {
    struct message *asked = *message;
    CHECK(asked != NULL && asked->reply == 0);
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
    error = actor_send(turn->runtime, turn, to, message);
    if (error != TROUPE_OK) {
        oneshot_close(turn->runtime, asked->reply, ONESHOT_CLOSED);
        oneshot_release(turn->runtime, worker, promise);
        asked->reply = 0;
    }
    return error;
}

void actor_reply(struct turn *turn, const struct message *asked, struct message **reply) {
    struct message *answer = *reply;
    *reply = NULL;
    CHECK(message_kind_class(answer->kind) == MESSAGE_CLASS_REPLY && answer->reply == 0);
    struct runtime *runtime = answer->runtime;
    struct worker *worker = turn != NULL ? worker_of_turn(turn) : worker_current(runtime);
    struct oneshot *promise = asked->reply != 0 ? oneshot_close(runtime, asked->reply, ONESHOT_CLOSED) : NULL;
    if (promise == NULL) {
        COUNT(runtime, worker, late_replies);
        message_destroy(runtime, worker, answer);
        return;
    }
    answer->sender = turn != NULL ? turn->self : 0;
    answer->token = promise->message.token;
    actor_ref asker = promise->owner;
    oneshot_release(runtime, worker, promise);
    if (actor_deliver(runtime, worker, asker, answer) != TROUPE_OK) {
        COUNT(runtime, worker, late_replies);
        message_destroy(runtime, worker, answer);
    }
}
