/* command: what the commands of the program have in common: their table (command.def), their pages of help,
 * and the session each is called with.
 *
 * A command reads its words with its option table, does its work and returns an error, which main prints as
 * `troupe: where: text` on stderr and turns into the exit status of err.def. An error with an empty fault was
 * told already. Threads: the main thread. Memory: the session's arena lives until the process ends. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "cli/option_table.h"
#include "env/env.h"

struct session {
    struct env *env;
    struct account *account;
    struct arena arena;
    struct config config; /* files and environment read; a command adds its options */
};

struct command_page {
    const struct option_table *options;
    const char *text;     /* what it does: paragraphs */
    const char *examples; /* lines ready to be copied */
};

typedef enum troupe_error (*command_fn)(struct session *session, int argc, const char *const *argv,
                                        struct fault *fault);

enum command_group { COMMAND_GROUP_FIRST, COMMAND_GROUP_MORE };
struct command {
    const char *name;
    enum command_group group;
    const char *arguments, *summary;
    command_fn run;
    const struct command_page *page;
};
struct hidden_command {
    const char *name;
    int (*main)(int argc, char **argv);
};
extern const struct command commands[];
extern const size_t command_count;
const struct command *command_find(const char *name); /* NULL: none */
const char *command_nearest(const char *name);        /* NULL: none near enough */
const struct hidden_command *command_hidden(const char *name);

#define COMMAND(symbol, group, arguments, summary)                                                           \
    MUST_CHECK enum troupe_error command_##symbol(struct session *session, int argc,                         \
                                                  const char *const *argv, struct fault *fault);             \
    extern const struct command_page page_##symbol;
#define HIDDEN(symbol, name, function)
#include "cli/command.def"
#undef COMMAND
#undef HIDDEN

/* help.c */
void help_write_first(struct buffer *out, bool all);
void help_write_command(const struct command *command, struct buffer *out);
/* Writes to stdout; IO when it is full or gone (EPIPE: with an empty fault, for nobody listens). */
MUST_CHECK enum troupe_error session_print(const struct buffer *text, struct fault *fault);

/* settings.c: /etc/troupe/config.yaml, the user's, and TROUPE_* into session->config. */
MUST_CHECK enum troupe_error settings_read(struct session *session, const char *const *environment,
                                           struct fault *fault);

#endif
