/* api_private: what the files of libtroupe share. Private to api/. */
#ifndef API_API_PRIVATE_H
#define API_API_PRIVATE_H

#include "coordinate/coordinate.h"
#include "registry/registry.h"
#include "troupe.h"

struct troupe {
    struct account account;
    struct env *env;
    struct runtime *runtime;
    struct registry *registry;
    struct teams *teams;
};

struct troupe_turn {
    struct troupe *troupe;
    struct turn *turn;
    const struct message *asked; /* the question that may be answered; NULL: none */
};

enum troupe_status api_status(enum troupe_error error);
/* What the message tells, in `to`, which it returns. */
const struct troupe_registry_event *api_registry_event(const struct message *message,
                                                       struct troupe_registry_event *to);
/* The same of a message between members. */
const struct troupe_team_message *api_team_message(const struct message *message,
                                                   struct troupe_team_message *to);

#endif
