/* The table of commands, from command.def: found by name, or the nearest one. Constant data. */
#include "cli/command.h"

#include <string.h>

#include "agent/agent.h"

const struct command commands[] = {
#define COMMAND(symbol, group, arguments, summary)                                                           \
    {#symbol, COMMAND_GROUP_##group, arguments, summary, command_##symbol, &page_##symbol},
#define HIDDEN(symbol, name, function)
#include "cli/command.def"
#undef COMMAND
#undef HIDDEN
};
const size_t command_count = ARRAY_COUNT(commands);

static const struct hidden_command hidden[] = {
#define COMMAND(symbol, group, arguments, summary)
#define HIDDEN(symbol, name, function) {name, function},
#include "cli/command.def"
#undef COMMAND
#undef HIDDEN
};

const struct command *command_find(const char *name) {
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

const char *command_nearest(const char *name) {
    const char *names[ARRAY_COUNT(commands)];
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        names[i] = commands[i].name;
    return text_nearest(name, names, ARRAY_COUNT(commands));
}

const struct hidden_command *command_hidden(const char *name) {
    for (size_t i = 0; i < ARRAY_COUNT(hidden); i++)
        if (strcmp(hidden[i].name, name) == 0)
            return &hidden[i];
    return NULL;
}
