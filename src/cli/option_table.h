/* option_table: the options of one command in one table, which feeds the parser, the help and the completions.
 *
 * A row binds a name to a field of the command's own struct of values, so that a command reads typed fields
 * and never texts of argv. Besides its own rows a table may admit the options of the process (config.def),
 * which go to a struct config. `--name value`, `--name=value`, `-n value`; `--` ends the options. Threads:
 * plain data. Memory: lists and words from the arena; texts stay in argv. Failure: USAGE names the option, what
 * was expected and the nearest known one. */
#ifndef CLI_OPTION_TABLE_H
#define CLI_OPTION_TABLE_H

#include "base/base.h"

enum option_kind {
    OPTION_IS_FLAG,    /* bool */
    OPTION_IS_TEXT,    /* const char *: the last one given counts */
    OPTION_IS_LIST,    /* struct option_list: every one given, in order */
    OPTION_IS_NUMBER,  /* int64_t, in low..high */
    OPTION_IS_OPTIONAL /* const char *: a value may follow; "" when none did */
};
struct option_list {
    const char **texts;
    size_t count;
};
struct option_row {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    enum option_kind kind;
    size_t offset;       /* of the field in the values */
    const char *value;   /* what the help calls it: "FILE"; NULL for a flag */
    const char *help;    /* a phrase; wrapped where it is shown */
    int64_t low, high;   /* NUMBER */
    const char *heading; /* printed above it; NULL: none */
};
#define OPTION_FLAG(values, field, option_name, short_letter, help_text)                                     \
    .name = (option_name), .letter = (short_letter), .kind = OPTION_IS_FLAG,                                 \
    .offset = offsetof(values, field), .help = (help_text)
#define OPTION_VALUE(of_kind, values, field, option_name, short_letter, value_name, help_text)               \
    .name = (option_name), .letter = (short_letter), .kind = (of_kind), .offset = offsetof(values, field),   \
    .value = (value_name), .help = (help_text)
#define OPTION_TEXT(...) OPTION_VALUE(OPTION_IS_TEXT, __VA_ARGS__)
#define OPTION_LIST(...) OPTION_VALUE(OPTION_IS_LIST, __VA_ARGS__)
#define OPTION_NUMBER(lowest, highest, ...)                                                                  \
    OPTION_VALUE(OPTION_IS_NUMBER, __VA_ARGS__), .low = (lowest), .high = (highest)
#define OPTION_OPTIONAL(...) OPTION_VALUE(OPTION_IS_OPTIONAL, __VA_ARGS__)
struct option_table {
    const struct option_row *rows;
    size_t count;
    unsigned words_max;     /* words that are no options */
    const char *words_name; /* what they are, for messages: "a run" */
    unsigned words_min;
    bool command_after;   /* `-- COMMAND ARGS...` */
    bool process_options; /* config.def */
};
struct option_words {
    int argc; /* in: argv[0] is the command's name */
    const char *const *argv;
    const char **words; /* out: those that are no options, NULL-terminated */
    size_t count;
    const char *const *after; /* out: the words after `--`, NULL-terminated; NULL: there was no `--` */
};

/* `values` is zeroed or holds defaults; `config` may be NULL when the table admits no options of the process.
 */
MUST_CHECK enum troupe_error option_table_parse(const struct option_table *table, struct arena *arena,
                                                struct option_words *words, void *values,
                                                struct config *config, struct fault *fault);
/* The row that `word` names in any of its forms (--name, --name=value, -n, -nvalue); NULL: none. *ret_next: its
 * value is the next word; never for an OPTIONAL one. */
const struct option_row *option_table_row(const struct option_table *table, const char *word, bool *ret_next);
/* The rows as help shows them, aligned. */
void option_table_write_help(const struct option_table *table, struct buffer *out);
/* "--var --metric ... --help": every long name. */
void option_table_write_names(const struct option_table *table, struct buffer *out, const char *between);

#endif
