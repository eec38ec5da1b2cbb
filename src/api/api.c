/* libtroupe: include/troupe.h over the runtime and the registry, one thin function each.
 *
 * Invariants: nothing of the floors below shows: statuses, events and turns are this file's own.
 * Threads: as in troupe.h.
 * Memory:  everything of one `struct troupe` is charged to its account; an actor costs a small block here beside its
 *          cell, freed by its destructor. */
#include "api/api_private.h"

#include <string.h>

static struct account handles = {.name = "troupe handles"}; /* an account cannot pay for itself */

struct hosted { /* an actor's state, as the runtime sees it */
    struct troupe *troupe;
    troupe_handler handle;
    void *state;
    void (*destroy)(void *state);
};

const char *troupe_status_text(enum troupe_status status) {
    static const char *const texts[] = {
        [TROUPE_STATUS_OK] = "ok",
        [TROUPE_STATUS_NO_MEMORY] = "out of memory",
        [TROUPE_STATUS_FULL] = "full",
        [TROUPE_STATUS_DEAD] = "the actor has ended",
        [TROUPE_STATUS_LIMIT] = "a limit is reached",
        [TROUPE_STATUS_TIMEOUT] = "timed out",
        [TROUPE_STATUS_EXISTS] = "the name is taken",
        [TROUPE_STATUS_NOT_FOUND] = "not found",
        [TROUPE_STATUS_INVALID] = "invalid argument",
        [TROUPE_STATUS_CANCELLED] = "cancelled",
        [TROUPE_STATUS_FAILED] = "failed",
        [TROUPE_STATUS_DAMAGED] = "what was stored is damaged",
        [TROUPE_STATUS_LOCKED] = "in use by another process",
        [TROUPE_STATUS_DISK] = "reading or writing the disk failed",
    };
    return (size_t)status < ARRAY_COUNT(texts) ? texts[status] : "unknown";
}

static const struct {
    enum troupe_status status;
    enum troupe_error error;
} statuses[] = {
    {TROUPE_STATUS_OK, TROUPE_OK},           {TROUPE_STATUS_NO_MEMORY, TROUPE_NOMEM},
    {TROUPE_STATUS_FULL, TROUPE_FULL},       {TROUPE_STATUS_DEAD, TROUPE_DEAD},
    {TROUPE_STATUS_LIMIT, TROUPE_LIMIT},     {TROUPE_STATUS_TIMEOUT, TROUPE_TIMEOUT},
    {TROUPE_STATUS_EXISTS, TROUPE_EXISTS},   {TROUPE_STATUS_NOT_FOUND, TROUPE_NOT_FOUND},
    {TROUPE_STATUS_INVALID, TROUPE_INVALID}, {TROUPE_STATUS_CANCELLED, TROUPE_CANCELLED},
    {TROUPE_STATUS_FAILED, TROUPE_WORKER},   {TROUPE_STATUS_DAMAGED, TROUPE_CORRUPT},
    {TROUPE_STATUS_DAMAGED, TROUPE_NEWER},   {TROUPE_STATUS_DISK, TROUPE_IO},
    {TROUPE_STATUS_DISK, TROUPE_DISK_FULL},  {TROUPE_STATUS_LOCKED, TROUPE_LOCKED},
};

enum troupe_status api_status(enum troupe_error error) {
    for (size_t at = 0; at < ARRAY_COUNT(statuses); at++) {
        if (statuses[at].error == error) {
            return statuses[at].status;
        }
    }
    return TROUPE_STATUS_FAILED;
}

static enum troupe_error error_of(enum troupe_status status) {
    for (size_t at = 0; at < ARRAY_COUNT(statuses); at++) {
        if (statuses[at].status == status) {
            return statuses[at].error;
        }
    }
    return TROUPE_WORKER;
}

/* ---- a runtime ---- */

enum troupe_status troupe_open(const struct troupe_options *options, struct troupe **ret_troupe) {
    static const struct troupe_options defaults;
    options = options != NULL ? options : &defaults;
    struct troupe *troupe = memory_alloc(&handles, sizeof *troupe);
    if (troupe == NULL) {
        return TROUPE_STATUS_NO_MEMORY;
    }
    troupe->account = ACCOUNT("troupe");
    struct runtime_options runtime_options = {.workers = options->threads,
                                              .actors_max = options->actors_max,
                                              .mailbox_len_max = options->mailbox_len};
    enum troupe_error error = env_os_create(&troupe->account, &troupe->env);
    if (error == TROUPE_OK) {
        error = runtime_create(troupe->env, &troupe->account, &runtime_options, &troupe->runtime, NULL);
    }
    if (error == TROUPE_OK) {
        error = registry_create(troupe->runtime, &troupe->account, NULL, &troupe->registry, NULL);
    }
    if (error == TROUPE_OK) {
        error = teams_create(troupe->runtime, &troupe->account, &troupe->teams);
    }
    if (error != TROUPE_OK) {
        troupe_close(troupe);
        return api_status(error);
    }
    *ret_troupe = troupe;
    return TROUPE_STATUS_OK;
}

enum troupe_status troupe_run(struct troupe *troupe) {
    return api_status(runtime_run(troupe->runtime));
}

void troupe_stop(struct troupe *troupe) {
    runtime_stop(troupe->runtime);
}

void troupe_close(struct troupe *troupe) {
    if (troupe == NULL) {
        return;
    }
    runtime_free(troupe->runtime);
    teams_free(troupe->teams);
    registry_free(troupe->registry);
    if (troupe->env != NULL) {
        env_destroy(troupe->env);
    }
    CHECK(troupe->account.bytes == 0);
    memory_free(&handles, troupe);
}

/* ---- actors ---- */

static void hosted_destroy(void *state) {
    struct hosted *hosted = state;
    if (hosted->destroy != NULL) {
        hosted->destroy(hosted->state);
    }
    memory_free(&hosted->troupe->account, hosted);
}

union told { /* what an event points to that is not in the message as it is */
    struct troupe_registry_event change;
    struct troupe_team_message team;
};

/* False: not an event of this interface. */
static bool event_of(const struct message *message, union told *ret_told, struct troupe_event *ret_event) {
    struct troupe_event event = {.actor = message->sender, .token = message->token};
    switch (message->kind) {
    case MESSAGE_USER:
    case MESSAGE_USER_REPLY:
        event.kind = message->kind == MESSAGE_USER_REPLY ? TROUPE_EVENT_ANSWER
                     : message->reply != 0               ? TROUPE_EVENT_QUESTION
                                                         : TROUPE_EVENT_MESSAGE;
        event.bytes = message_payload(message);
        event.length = message->bytes;
        break;
    case MESSAGE_ASK_FAILED:
        event.kind = TROUPE_EVENT_NO_ANSWER;
        event.status = api_status(MESSAGE_PAYLOAD(message, const struct message_ask_failed)->error);
        break;
    case MESSAGE_TIMER:
        event.kind = TROUPE_EVENT_TIMER;
        break;
    case MESSAGE_DOWN:
        event.kind = TROUPE_EVENT_DOWN;
        event.actor = MESSAGE_PAYLOAD(message, const struct message_down)->actor;
        event.status = api_status(MESSAGE_PAYLOAD(message, const struct message_down)->reason);
        break;
    case MESSAGE_EXIT:
        event.kind = TROUPE_EVENT_EXIT;
        event.status = api_status(MESSAGE_PAYLOAD(message, const struct message_exit)->reason);
        break;
    case MESSAGE_REGISTRY_CHANGE:
        event.kind = TROUPE_EVENT_REGISTRY;
        event.bytes = api_registry_event(message, &ret_told->change);
        event.length = sizeof ret_told->change;
        event.actor = ret_told->change.actor;
        break;
    case MESSAGE_TEAM_MESSAGE:
        event.kind = TROUPE_EVENT_TEAM;
        event.bytes = api_team_message(message, &ret_told->team);
        event.length = sizeof ret_told->team;
        break;
    default:
        return false;
    }
    *ret_event = event;
    return true;
}

static void hosted_handle(struct turn *turn, void *state, const struct message *message) {
    const struct hosted *hosted = state;
    struct troupe_event event;
    union told told;
    if (!event_of(message, &told, &event)) {
        return;
    }
    struct troupe_turn outer = {.troupe = hosted->troupe, .turn = turn};
    outer.asked = event.kind == TROUPE_EVENT_QUESTION ? message : NULL;
    hosted->handle(&outer, hosted->state, &event);
}

enum troupe_status troupe_actor_spawn(struct troupe *troupe, const struct troupe_actor_spec *spec,
                                      troupe_actor *ret_actor) {
    if (spec->handle == NULL) {
        return TROUPE_STATUS_INVALID;
    }
    struct hosted *hosted = memory_alloc(&troupe->account, sizeof *hosted);
    if (hosted == NULL) {
        return TROUPE_STATUS_NO_MEMORY;
    }
    *hosted = (struct hosted){troupe, spec->handle, spec->state, spec->destroy};
    struct actor_spec inner = {.name = spec->name,
                               .handle = hosted_handle,
                               .state = hosted,
                               .destroy = hosted_destroy,
                               .mailbox_len_max = spec->mailbox_len,
                               .mailbox_bytes_max = spec->mailbox_bytes,
                               .link = spec->link};
    enum troupe_error error = actor_spawn(troupe->runtime, &inner, ret_actor);
    if (error != TROUPE_OK) {
        memory_free(&troupe->account, hosted);
    }
    return api_status(error);
}

void troupe_actor_stop(struct troupe *troupe, troupe_actor actor, enum troupe_status reason) {
    actor_stop(troupe->runtime, actor, error_of(reason));
}

bool troupe_actor_alive(struct troupe *troupe, troupe_actor actor) {
    return actor_alive(troupe->runtime, actor);
}

void troupe_actor_exit(struct troupe_turn *turn, enum troupe_status reason) {
    actor_exit(turn->turn, error_of(reason));
}

enum troupe_status troupe_actor_watch(struct troupe_turn *turn, troupe_actor actor, uint64_t token) {
    return api_status(actor_monitor(turn->turn, actor, token));
}

troupe_actor troupe_self(const struct troupe_turn *turn) {
    return turn->turn->self;
}

struct troupe *troupe_of(const struct troupe_turn *turn) {
    return turn->troupe;
}

uint64_t troupe_now(const struct troupe_turn *turn) {
    return turn->turn->now_ns;
}

/* ---- messages ---- */

static struct message *message_with(struct troupe *troupe, enum message_kind kind, const void *bytes,
                                    size_t length) {
    struct message *message = message_new(troupe->runtime, kind, length);
    if (message != NULL && length > 0) {
        memcpy(message_payload(message), bytes, length);
    }
    return message;
}

enum troupe_status troupe_send(struct troupe *troupe, struct troupe_turn *turn, troupe_actor to,
                               const void *bytes, size_t length) {
    struct message *message = message_with(troupe, MESSAGE_USER, bytes, length);
    if (message == NULL) {
        return TROUPE_STATUS_NO_MEMORY;
    }
    enum troupe_error error = actor_send(troupe->runtime, turn != NULL ? turn->turn : NULL, to, &message);
    message_free(&message);
    return api_status(error);
}

enum troupe_status troupe_ask(struct troupe_turn *turn, troupe_actor to, const void *bytes, size_t length,
                              uint64_t token, uint64_t timeout_ns) {
    struct message *message = message_with(turn->troupe, MESSAGE_USER, bytes, length);
    if (message == NULL) {
        return TROUPE_STATUS_NO_MEMORY;
    }
    enum troupe_error error = actor_ask(turn->turn, to, &message, token, timeout_ns);
    message_free(&message);
    return api_status(error);
}

enum troupe_status troupe_answer(struct troupe_turn *turn, const void *bytes, size_t length) {
    if (turn->asked == NULL) {
        return TROUPE_STATUS_INVALID;
    }
    struct message *answer = message_with(turn->troupe, MESSAGE_USER_REPLY, bytes, length);
    if (answer == NULL) {
        return TROUPE_STATUS_NO_MEMORY;
    }
    actor_reply(turn->turn, turn->asked, &answer);
    turn->asked = NULL;
    return TROUPE_STATUS_OK;
}

enum troupe_status troupe_timer_start(struct troupe_turn *turn, uint64_t deadline_ns, uint64_t token,
                                      uint64_t *ret_timer) {
    return api_status(timer_start(turn->turn, deadline_ns, token, ret_timer));
}

void troupe_timer_cancel(struct troupe_turn *turn, uint64_t timer) {
    timer_cancel(turn->turn, timer);
}
