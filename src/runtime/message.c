/* Messages: their kinds and classes, how they are made, and how they end wherever their memory is.
 *
 * Threads: any; destructors are registered before the threads start.
 * Memory:  the pool's, or embedded in a oneshot, a monitor or a job, which end with their message. */
#include <string.h>

#include "runtime/oneshot.h"

_Static_assert(sizeof(struct message) == 48, "a message with 16 bytes of payload fills one cache line");

const uint8_t message_classes[MESSAGE_KIND_COUNT] = {
#define MESSAGE(name, class) [MESSAGE_##name] = MESSAGE_CLASS_##class,
#include "runtime/message.def"
#undef MESSAGE
};

static const char *const kind_names[MESSAGE_KIND_COUNT] = {
#define MESSAGE(name, class) [MESSAGE_##name] = #name,
#include "runtime/message.def"
#undef MESSAGE
};

void (*message_destructors[MESSAGE_KIND_COUNT])(struct message *message);

const char *message_kind_name(enum message_kind kind) {
    CHECK(kind < MESSAGE_KIND_COUNT);
    return kind_names[kind];
}

enum message_class message_kind_class(enum message_kind kind) {
    CHECK(kind < MESSAGE_KIND_COUNT);
    return message_classes[kind];
}

void message_set_destructor(enum message_kind kind, void (*destroy)(struct message *message)) {
    CHECK(kind < MESSAGE_KIND_COUNT);
    if (message_destructors[kind] != destroy) /* a runtime that starts beside another one only reads */
        message_destructors[kind] = destroy;
}

static __attribute__((noinline)) struct message *message_new_whole(struct runtime *runtime,
                                                                   enum message_kind kind,
                                                                   size_t payload_bytes) {
    CHECK(kind < MESSAGE_KIND_COUNT);
    if (payload_bytes > UINT32_MAX / 2) {
        return NULL;
    }
    struct worker *worker = worker_on_thread(runtime);
    unsigned class;
    struct message *message = pool_take(&runtime->pool, worker != NULL ? &worker->pool : NULL,
                                        sizeof *message + payload_bytes, &class);
    if (message != NULL) {
        message_init(message, runtime, kind, (uint32_t)payload_bytes, class);
        memset(message->payload, 0, payload_bytes);
    }
    return message;
}

/* Most messages are one cache line from the worker's own list. A leaf, for its speed. */
struct message *message_new(struct runtime *runtime, enum message_kind kind, size_t payload_bytes) {
    struct worker *worker = worker_of_thread;
    if (!POOL_DIRECT && __builtin_expect(worker != NULL && worker->runtime == runtime &&
                                             payload_bytes <= MESSAGE_PAYLOAD_MIN &&
                                             worker->pool.free[0] != NULL && kind < MESSAGE_KIND_COUNT,
                                         1)) {
        struct message *message = pool_pop(&worker->pool, 0);
        message_init(message, runtime, kind, (uint32_t)payload_bytes, 0);
        memset(message->payload, 0, MESSAGE_PAYLOAD_MIN); /* there is room for so much in every block */
        return message;
    }
    return message_new_whole(runtime, kind, payload_bytes);
}

/* Asked and not answered: the question's own block tells the asker, so this cannot fail. */
static void asked_dead(struct runtime *runtime, struct worker *worker, struct message *asked) {
    CHECK((asked->flags & MESSAGE_HOME_MASK) == MESSAGE_HOME_POOL);
    actor_ref asker = asked->sender;
    asked->flags = (uint16_t)((asked->flags & MESSAGE_CLASS_MASK) | MESSAGE_ANSWERS);
    asked->kind = MESSAGE_ASK_FAILED;
    asked->bytes = sizeof(struct message_ask_failed);
    *MESSAGE_PAYLOAD(asked, struct message_ask_failed) =
        (struct message_ask_failed){.error = TROUPE_DEAD, .token = asked->token};
    actor_deliver_system(runtime, worker, asker, asked);
}

void message_destroy_whole(struct runtime *runtime, struct worker *worker, struct message *message) {
    if (message_destructors[message->kind] != NULL) {
        message_destructors[message->kind](message);
    }
    if (message->flags >> MESSAGE_CHARGE_SHIFT != 0) {
        charge_back(runtime, message);
    }
    if (message->flags & MESSAGE_ANSWERS) {
        if (message_classes[message->kind] == MESSAGE_CLASS_REPLY) {
            COUNT(runtime, worker, late_replies);
        }
        ask_abandoned(runtime, worker, message->reply); /* nobody takes the answer any more */
    } else if (message->reply != 0) {
        asked_dead(runtime, worker, message);
        return;
    }
    switch (message->flags & MESSAGE_HOME_MASK) {
    case MESSAGE_HOME_POOL:
        pool_give(&runtime->pool, worker != NULL ? &worker->pool : NULL, message->flags & MESSAGE_CLASS_MASK,
                  message);
        break;
    case MESSAGE_HOME_ONESHOT:
        oneshot_message_free(runtime, worker, message);
        break;
    case MESSAGE_HOME_MONITOR:
        monitor_message_free(message);
        break;
    default:
        job_message_free(runtime, message);
    }
}

void message_free(struct message **message) {
    struct message *freed = *message;
    *message = NULL;
    if (freed != NULL) {
        message_destroy(freed->runtime, worker_current(freed->runtime), freed);
    }
}
