/* Parsing by a table of options, and printing the same table.
 * Invariants: an option of the command goes before one of the process of the same name; a value is never
 * guessed from a word that begins with a dash unless it was joined by `=`. Threads: plain data. Memory: the
 * caller's arena, at most one pointer for each word of argv and list. */
#include "cli/option_table.h"

#include <stdio.h>
#include <string.h>

#define NAMES_MAX 128

struct parser {
    const struct option_table *table;
    int argc, at;
    const char *const *argv;
    struct arena *arena;
    char *values;
    struct config *config;
    struct fault *fault;
};

static const struct option_row *row_by_name(const struct option_table *table, const char *name,
                                            size_t length) {
    for (size_t i = 0; i < table->count; i++)
        if (strlen(table->rows[i].name) == length && memcmp(table->rows[i].name, name, length) == 0)
            return &table->rows[i];
    return NULL;
}

static const struct option_row *row_by_letter(const struct option_table *table, char letter) {
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].letter == letter)
            return &table->rows[i];
    return NULL;
}

static enum troupe_error unknown(struct parser *parser, const char *word, size_t length) {
    const char *names[NAMES_MAX];
    char name[64];
    size_t count = 0;
    for (size_t i = 0; i < parser->table->count && count < NAMES_MAX; i++)
        names[count++] = parser->table->rows[i].name;
    names[count++] = "help";
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    const char *nearest = text_nearest(name, names, count);
    char dashed[64] = "";
    if (nearest == NULL && parser->table->process_options) {
        nearest = config_nearest(name);
        snprintf(dashed, sizeof dashed, "%s", nearest != NULL ? nearest : "");
        for (char *c = dashed; *c != '\0'; c++)
            *c = *c == '_' ? '-' : *c;
        nearest = nearest != NULL ? dashed : NULL;
    }
    return fault_set(parser->fault, TROUPE_USAGE, parser->argv[0], "unknown option '%.80s'; %s%s%s",
                     parser->argv[parser->at],
                     nearest != NULL ? "did you mean '--" : "--help lists its options",
                     nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
}

static enum troupe_error list_add(struct parser *parser, struct option_list *list, const char *text) {
    if (list->texts == NULL)
        list->texts = ARENA_ARRAY(parser->arena, const char *, (size_t)parser->argc + 1);
    if (list->texts == NULL)
        return fault_set(parser->fault, TROUPE_NOMEM, parser->argv[0], "out of memory reading the options");
    list->texts[list->count++] = text;
    return TROUPE_OK;
}

static enum troupe_error store_value(struct parser *parser, const struct option_row *row, const char *text) {
    void *field = parser->values + row->offset;
    int64_t number;
    switch (row->kind) {
    case OPTION_IS_FLAG:
        *(bool *)field = true;
        return TROUPE_OK;
    case OPTION_IS_LIST:
        return list_add(parser, field, text);
    case OPTION_IS_NUMBER:
        if (text_int(text, &number) != TROUPE_OK || number < row->low || number > row->high)
            return fault_set(parser->fault, TROUPE_USAGE, parser->argv[0],
                             "--%s: expected a whole number in %lld..%lld, found '%.80s'", row->name,
                             (long long)row->low, (long long)row->high, text);
        *(int64_t *)field = number;
        return TROUPE_OK;
    case OPTION_IS_TEXT:
    case OPTION_IS_OPTIONAL:
        break;
    }
    *(const char **)field = text;
    return TROUPE_OK;
}

/* The value of the option at `at`: what follows `=`, or the next word, which is then consumed. */
static const char *next_value(struct parser *parser, const char *joined) {
    if (joined != NULL)
        return joined;
    if (parser->at + 1 >= parser->argc || strcmp(parser->argv[parser->at + 1], "--") == 0)
        return NULL;
    return parser->argv[++parser->at];
}

static enum troupe_error read_row(struct parser *parser, const struct option_row *row, const char *joined) {
    if (row->kind == OPTION_IS_FLAG) {
        if (joined != NULL)
            return fault_set(parser->fault, TROUPE_USAGE, parser->argv[0],
                             "--%s takes no value, found '%.80s'", row->name, joined);
        return store_value(parser, row, NULL);
    }
    if (row->kind == OPTION_IS_OPTIONAL) {
        bool follows =
            joined == NULL && parser->at + 1 < parser->argc && parser->argv[parser->at + 1][0] != '-';
        return store_value(parser, row, joined != NULL ? joined : follows ? parser->argv[++parser->at] : "");
    }
    const char *value = next_value(parser, joined);
    if (value == NULL)
        return fault_set(parser->fault, TROUPE_USAGE, parser->argv[0], "--%s needs a value: --%s %s",
                         row->name, row->name, row->value);
    return store_value(parser, row, value);
}

static enum troupe_error read_process_option(struct parser *parser, const char *name, const char *joined) {
    char where[80];
    const char *value = next_value(parser, joined);
    snprintf(where, sizeof where, "--%.64s", name);
    if (value == NULL)
        return fault_set(parser->fault, TROUPE_USAGE, parser->argv[0], "%s needs a value", where);
    enum troupe_error error =
        config_set(parser->config, CONFIG_COMMAND_LINE, where, name, value, parser->fault);
    return error == TROUPE_INVALID
               ? (parser->fault != NULL ? (parser->fault->error = TROUPE_USAGE) : TROUPE_USAGE)
               : error;
}

static enum troupe_error read_long(struct parser *parser, const char *word) {
    char name[64];
    const char *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);
    const struct option_row *row = row_by_name(parser->table, word, length);
    const char *joined = equals != NULL ? equals + 1 : NULL;
    if (row != NULL)
        return read_row(parser, row, joined);
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    if (parser->table->process_options && parser->config != NULL && config_find(name) >= 0)
        return read_process_option(parser, name, joined);
    return unknown(parser, word, length);
}

static enum troupe_error read_letters(struct parser *parser, const char *word) {
    const struct option_row *row = row_by_letter(parser->table, word[1]);
    if (row == NULL)
        return unknown(parser, word + 1, strlen(word + 1));
    if (word[2] == '\0')
        return read_row(parser, row, NULL);
    if (row->kind == OPTION_IS_FLAG)
        return unknown(parser, word + 1, strlen(word + 1));
    return read_row(parser, row, word + 2); /* -j4 */
}

static enum troupe_error check_words(struct parser *parser, const struct option_words *words) {
    const struct option_table *table = parser->table;
    if (words->count > table->words_max)
        return table->words_max == 0 ? fault_set(parser->fault, TROUPE_USAGE, parser->argv[0],
                                                 "unexpected argument '%.80s'", words->words[0])
                                     : fault_set(parser->fault, TROUPE_USAGE, parser->argv[0],
                                                 "unexpected argument '%.80s': expected %s",
                                                 words->words[table->words_max], table->words_name);
    if (words->count < table->words_min)
        return fault_set(parser->fault, TROUPE_USAGE, parser->argv[0], "expected %s", table->words_name);
    return TROUPE_OK;
}

enum troupe_error option_table_parse(const struct option_table *table, struct arena *arena,
                                     struct option_words *words, void *values, struct config *config,
                                     struct fault *fault) {
    struct parser parser = {table, words->argc, 1, words->argv, arena, values, config, fault};
    struct option_words read = {.argc = words->argc, .argv = words->argv};
    read.words = ARENA_ARRAY(arena, const char *, (size_t)words->argc + 1);
    if (read.words == NULL)
        return fault_set(fault, TROUPE_NOMEM, words->argv[0], "out of memory reading the options");
    for (; parser.at < parser.argc; parser.at++) {
        const char *word = parser.argv[parser.at];
        enum troupe_error error = TROUPE_OK;
        if (strcmp(word, "--") == 0 && table->command_after) {
            read.after = parser.argv + parser.at + 1;
            break;
        }
        if (word[0] == '-' && word[1] == '-' && word[2] != '\0')
            error = read_long(&parser, word + 2);
        else if (word[0] == '-' && word[1] != '\0' && word[1] != '-')
            error = read_letters(&parser, word);
        else if (strcmp(word, "--") != 0)
            read.words[read.count++] = word;
        if (error != TROUPE_OK)
            return error;
    }
    enum troupe_error error = check_words(&parser, &read);
    if (error == TROUPE_OK)
        *words = read;
    return error;
}

const struct option_row *option_table_row(const struct option_table *table, const char *word,
                                          bool *ret_next) {
    const struct option_row *row = NULL;
    bool joined = false;
    if (word[0] == '-' && word[1] == '-' && word[2] != '\0') {
        size_t length = strcspn(word + 2, "=");
        row = row_by_name(table, word + 2, length);
        joined = word[2 + length] == '=';
    } else if (word[0] == '-' && word[1] != '\0' && word[1] != '-') {
        row = row_by_letter(table, word[1]);
        joined = word[2] != '\0';
    }
    *ret_next = row != NULL && !joined && row->kind != OPTION_IS_FLAG && row->kind != OPTION_IS_OPTIONAL;
    return row;
}

/* The phrase in its column, broken at blanks. */
static void write_phrase(struct buffer *out, const char *text) {
    enum { COLUMN = 29, WIDTH = 80 };
    size_t at = COLUMN;
    while (*text != '\0') {
        size_t length = strcspn(text, " ");
        if (at > COLUMN && at + 1 + length > WIDTH) {
            buffer_format(out, "\n%*s", COLUMN, "");
            at = COLUMN;
        }
        buffer_format(out, "%s%.*s", at > COLUMN ? " " : "", (int)length, text);
        at += (at > COLUMN) + length;
        text += length + (text[length] == ' ');
    }
    buffer_text(out, "\n");
}

static void write_option(struct buffer *out, const struct option_row *row) {
    char left[64], letter[8] = "    ";
    if (row->letter != 0)
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    snprintf(left, sizeof left, "  %s--%s%s%s", letter, row->name, row->value != NULL ? " " : "",
             row->value != NULL ? row->value : "");
    if (strlen(left) > 27)
        buffer_format(out, "%s\n%29s", left, "");
    else
        buffer_format(out, "%-29s", left);
    write_phrase(out, row->help);
}

void option_table_write_help(const struct option_table *table, struct buffer *out) {
    static const struct option_row help = {.name = "help", .letter = 'h', .help = "this text"};
    buffer_format(out, "\n%s:\n",
                  table->count > 0 && table->rows[0].heading != NULL ? table->rows[0].heading : "options");
    for (size_t i = 0; i < table->count; i++) {
        if (i > 0 && table->rows[i].heading != NULL)
            buffer_format(out, "\n%s:\n", table->rows[i].heading);
        write_option(out, &table->rows[i]);
    }
    write_option(out, &help);
    if (table->process_options)
        buffer_text(out,
                    "\nOptions of the process can be given too, such as --workers 4: see `troupe config`.\n");
}

void option_table_write_names(const struct option_table *table, struct buffer *out, const char *between) {
    for (size_t i = 0; i < table->count; i++)
        buffer_format(out, "--%s%s", table->rows[i].name, between);
    for (int i = 0; table->process_options && i < OPTION_COUNT; i++) {
        buffer_text(out, "--");
        for (const char *c = config_row((enum config_option)i)->name; *c != '\0'; c++)
            buffer_append(out, *c == '_' ? "-" : c, 1);
        buffer_text(out, between);
    }
    buffer_text(out, "--help");
}
