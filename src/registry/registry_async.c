/* Asynchronous look-ups: a question to the keeper, answered with what the row says, or handed to a port that asks
 * elsewhere. For who is far away, or may wait for a name that another host knows; nobody on this host needs it.
 *
 * Threads: asking: a turn. Answering: the keeper's turns, or whoever the port gave the question to.
 * Memory: messages. */
#include "registry/registry_private.h"

struct message_registry_lookup {
    uint32_t name_at; /* in bytes: the namespace, NUL, the name, NUL */
    char bytes[];
};

enum troupe_error registry_lookup_async(struct registry *registry, struct turn *turn, const char *name_space,
                                        const char *name, uint64_t token, uint64_t timeout_ns) {
    size_t space_bytes = strlen(name_space) + 1, name_bytes = strlen(name) + 1;
    if (space_bytes > REGISTRY_NAME_MAX + 1 || name_bytes > REGISTRY_NAME_MAX + 1) {
        return TROUPE_INVALID;
    }
    struct message *message = message_new(registry->runtime, MESSAGE_REGISTRY_LOOKUP,
                                          sizeof(struct message_registry_lookup) + space_bytes + name_bytes);
    if (message == NULL) {
        return TROUPE_NOMEM;
    }
    struct message_registry_lookup *lookup = MESSAGE_PAYLOAD(message, struct message_registry_lookup);
    lookup->name_at = (uint32_t)space_bytes;
    memcpy(lookup->bytes, name_space, space_bytes);
    memcpy(lookup->bytes + space_bytes, name, name_bytes);
    enum troupe_error error = keeper_ask(registry, turn, &message, token, timeout_ns);
    message_free(&message);
    return error;
}

void registry_answer(struct turn *turn, const struct message *asked,
                     const struct message_registry_answer *answer) {
    struct message *reply = message_new(asked->runtime, MESSAGE_REGISTRY_ANSWER, sizeof *answer);
    if (reply != NULL) { /* else the question is answered DEAD when it is destroyed */
        *MESSAGE_PAYLOAD(reply, struct message_registry_answer) = *answer;
        actor_reply(turn, asked, &reply);
        message_free(&reply);
    }
}

void registry_set_port(struct registry *registry, const struct registry_port *port) {
    registry->port = *port;
}

void async_handle(struct registry *registry, struct turn *turn, const struct message *message) {
    const struct message_registry_lookup *lookup = MESSAGE_PAYLOAD(message, struct message_registry_lookup);
    const char *name = lookup->bytes + lookup->name_at;
    const struct registry_row *row = registry_lookup(registry, lookup->bytes, name, turn->now_ns);
    struct message_registry_answer answer = {.found = row != NULL};
    if (row == NULL && registry->port.resolve != NULL) {
        struct message *asked = turn_take(turn);
        registry->port.resolve(registry->port.context, turn, &asked, lookup->bytes, name);
        message_free(&asked); /* not taken: unanswered */
        return;
    }
    if (row != NULL) {
        struct registry_view view;
        registry_row_view(registry, row, &view);
        answer.actor = row->actor;
        answer.version = view.version;
        answer.capabilities = *view.capabilities;
        answer.resources = *view.resources;
        answer.health = view.health;
        answer.load = view.load;
        answer.node = view.node;
    }
    registry_answer(turn, message, &answer);
}
