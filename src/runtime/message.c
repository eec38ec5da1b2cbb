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

static void (*destructors[MESSAGE_KIND_COUNT])(struct message *message);

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
    destructors[kind] = destroy;
}

void message_init(struct message *message, struct runtime *runtime, enum message_kind kind, uint32_t bytes,
                  unsigned flags) {
    atomic_store_explicit(&message->next, NULL, memory_order_relaxed); /* not shared yet */
    message->sender = 0;
    message->reply = 0;
    message->token = 0;
    message->kind = (uint16_t)kind;
    message->flags = (uint16_t)flags;
    message->bytes = bytes;
    message->runtime = runtime;
}

struct message *message_new(struct runtime *runtime, enum message_kind kind, size_t payload_bytes) {
    CHECK(kind < MESSAGE_KIND_COUNT);
    if (payload_bytes > UINT32_MAX / 2) {
        return NULL;
    }
    struct worker *worker = worker_current(runtime);
    unsigned class;
    struct message *message = pool_take(&runtime->pool, worker != NULL ? &worker->pool : NULL,
                                        sizeof *message + payload_bytes, &class);
    if (message == NULL) {
        return NULL;
    }
    message_init(message, runtime, kind, (uint32_t)payload_bytes, class | MESSAGE_HOME_POOL);
    memset(message->payload, 0, payload_bytes);
    return message;
}

void message_destroy(struct runtime *runtime, struct worker *worker, struct message *message) {
    if (message->reply != 0) {
        /* Asked and, perhaps, never answered: the asker must hear of it. */
        oneshot_ask_failed(runtime, worker, message->reply, TROUPE_DEAD);
    }
    if (destructors[message->kind] != NULL) {
        destructors[message->kind](message);
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
