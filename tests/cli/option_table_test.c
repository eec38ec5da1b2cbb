/* Option tables: every kind of option in every spelling, every refusal with its words, the tables of the real
 * commands against the rules they share, and each allocation refused. Fails if a value is taken from the wrong
 * word, if a mistake is accepted or told without a way out, or if help does not fit a terminal of 80 columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

struct values {
    bool fast;
    const char *metric, *resume;
    struct option_list vars;
    int64_t trials;
};
static const struct option_row rows[] = {
    {OPTION_FLAG(struct values, fast, "fast", 'f', "a flag"), .heading = "first"},
    {OPTION_TEXT(struct values, metric, "metric", 'm', "NAME", "a text")},
    {OPTION_LIST(struct values, vars, "var", 0, "NAME=KIND", "a list")},
    {OPTION_NUMBER(1, 100, struct values, trials, "trials", 'n', "N", "a number"), .heading = "second"},
    {OPTION_OPTIONAL(struct values, resume, "resume", 'r', "[ID]", "a text that may be missing")},
};
static const struct option_table table = {.rows = rows,
                                          .count = ARRAY_COUNT(rows),
                                          .words_max = 1,
                                          .words_name = "one FILE",
                                          .command_after = true,
                                          .process_options = true};

struct parsed {
    struct account account;
    struct arena arena;
    struct config config;
    struct values values;
    struct option_words words;
    struct fault fault;
    enum troupe_error error;
};

static const char *const *words_of(char *line, int *ret_count) {
    static const char *words[32];
    int count = 0;
    for (char *word = strtok(line, " "); word != NULL; word = strtok(NULL, " "))
        words[count++] = word;
    words[count] = NULL;
    *ret_count = count;
    return words;
}

/* `line` is split at blanks; its texts live until the next call. */
static void parse(struct parsed *parsed, const struct option_table *with, const char *line) {
    static char copy[512];
    int count;
    memset(parsed, 0, sizeof *parsed);
    parsed->account = ACCOUNT("test");
    arena_init(&parsed->arena, &parsed->account);
    config_init(&parsed->config);
    snprintf(copy, sizeof copy, "%s", line);
    const char *const *words = words_of(copy, &count);
    parsed->words = (struct option_words){.argc = count, .argv = words};
    parsed->error = option_table_parse(with, &parsed->arena, &parsed->words, &parsed->values, &parsed->config,
                                       &parsed->fault);
}

static void parsed_free(struct parsed *parsed) {
    arena_free(&parsed->arena);
    assert_int_equal(parsed->account.bytes, 0);
}

static void every_spelling(void **state) {
    (void)state;
    static const char *const lines[] = {
        "run --fast --metric acc --var a=1 --trials 7 --resume x f.yaml",
        "run -f -m acc --var=a=1 -n 7 -r x f.yaml",
        "run f.yaml -n7 -macc -rx --fast --var a=1",
        "run --resume=x --trials=7 f.yaml --metric=acc --metric acc --fast --fast --var a=1",
    };
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        struct parsed parsed;
        parse(&parsed, &table, lines[i]);
        assert_int_equal(parsed.error, TROUPE_OK);
        assert_true(parsed.values.fast);
        assert_string_equal(parsed.values.metric, "acc");
        assert_string_equal(parsed.values.resume, "x");
        assert_int_equal(parsed.values.trials, 7);
        assert_int_equal(parsed.values.vars.count, 1);
        assert_string_equal(parsed.values.vars.texts[0], "a=1");
        assert_int_equal(parsed.words.count, 1);
        assert_string_equal(parsed.words.words[0], "f.yaml");
        assert_null(parsed.words.after);
        parsed_free(&parsed);
    }
}

/* If it failed, a command that is written down to be run again would keep or lose the wrong word. */
static void rows_by_any_spelling(void **state) {
    (void)state;
    static const struct {
        const char *word, *name;
        bool next;
    } cases[] = {{"--metric", "metric", true}, {"--metric=a", "metric", false},
                 {"-m", "metric", true},       {"-macc", "metric", false},
                 {"-n", "trials", true},       {"-n7", "trials", false},
                 {"--var", "var", true},       {"-f", "fast", false},
                 {"--fast", "fast", false},    {"-r", "resume", false},
                 {"-rx", "resume", false},     {"--metrics", NULL, false},
                 {"--workers", NULL, false},   {"-x", NULL, false},
                 {"-", NULL, false},           {"--", NULL, false},
                 {"metric", NULL, false},      {"", NULL, false}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        bool next = !cases[i].next;
        const struct option_row *row = option_table_row(&table, cases[i].word, &next);
        assert_int_equal(row != NULL, cases[i].name != NULL);
        assert_true(row == NULL || strcmp(row->name, cases[i].name) == 0);
        assert_int_equal(next, cases[i].next);
    }
}

static void what_follows_the_dashes(void **state) {
    (void)state;
    struct parsed parsed;
    parse(&parsed, &table, "run --resume -- cmd --fast -n 3");
    assert_int_equal(parsed.error, TROUPE_OK);
    assert_string_equal(parsed.values.resume, ""); /* `--` is not its value */
    assert_false(parsed.values.fast);
    assert_string_equal(parsed.words.after[0], "cmd");
    assert_string_equal(parsed.words.after[3], "3");
    assert_null(parsed.words.after[4]);
    parsed_free(&parsed);
    parse(&parsed, &table, "run --resume --fast");
    assert_string_equal(parsed.values.resume, ""); /* nor is an option */
    assert_true(parsed.values.fast);
    parsed_free(&parsed);
    parse(&parsed, &table, "run --var x=1 --var y=2 --var x=3");
    assert_int_equal(parsed.values.vars.count, 3); /* in order */
    assert_string_equal(parsed.values.vars.texts[2], "x=3");
    parsed_free(&parsed);
}

static void options_of_the_process(void **state) {
    (void)state;
    struct parsed parsed;
    parse(&parsed, &table, "run --stop-grace 7s --workers=3 -f");
    assert_int_equal(parsed.error, TROUPE_OK);
    assert_int_equal(config_value(&parsed.config, OPTION_stop_grace), CONFIG_SECONDS(7));
    assert_int_equal(config_value(&parsed.config, OPTION_workers), 3);
    assert_int_equal(parsed.config.sources[OPTION_workers], CONFIG_COMMAND_LINE);
    parsed_free(&parsed);
    struct option_table closed = table;
    closed.process_options = false;
    parse(&parsed, &closed, "run --workers 3");
    assert_int_equal(parsed.error, TROUPE_USAGE);
    parsed_free(&parsed);
}

static void refusals(void **state) {
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"run --trails 3", "unknown option '--trails'; did you mean '--trials'?"},
        {"run --zzzzzzz", "unknown option '--zzzzzzz'; --help lists its options"},
        {"run --worker 3", "did you mean '--workers'?"},
        {"run -x", "unknown option '-x'"},
        {"run -fx", "unknown option '-fx'"},
        {"run --fast=1", "--fast takes no value"},
        {"run --metric", "--metric needs a value: --metric NAME"},
        {"run --metric -- cmd", "--metric needs a value"},
        {"run --workers", "--workers needs a value"},
        {"run --trials 0", "expected a whole number in 1..100, found '0'"},
        {"run --trials 101", "expected a whole number in 1..100"},
        {"run --trials 3x", "found '3x'"},
        {"run --workers many", "workers: expected an integer"},
        {"run a b", "unexpected argument 'b': expected one FILE"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct parsed parsed;
        parse(&parsed, &table, cases[i].line);
        assert_int_equal(parsed.error, TROUPE_USAGE);
        if (strstr(parsed.fault.text, cases[i].says) == NULL)
            fail_msg("%s: says '%s', expected '%s'", cases[i].line, parsed.fault.text, cases[i].says);
        parsed_free(&parsed);
    }
    struct parsed parsed;
    struct option_table needs = {.words_min = 1, .words_max = 1, .words_name = "one FILE"};
    parse(&parsed, &needs, "validate");
    assert_int_equal(parsed.error, TROUPE_USAGE);
    assert_string_equal(parsed.fault.text, "expected one FILE");
    parsed_free(&parsed);
    struct option_table none = {0};
    parse(&parsed, &none, "config x");
    assert_string_equal(parsed.fault.text, "unexpected argument 'x'");
    parsed_free(&parsed);
}

static void without_memory(void **state) {
    (void)state;
    bool refused = true;
    for (int n = 1; refused; n++) {
        struct parsed parsed;
        memory_fail_after(n);
        parse(&parsed, &table, "run --var a=1 --var b=2 -n 3 f.yaml");
        refused = memory_fail_fired();
        memory_fail_after(0);
        assert_int_equal(parsed.error, refused ? TROUPE_NOMEM : TROUPE_OK);
        assert_true(n < 100);
        parsed_free(&parsed);
    }
}

/* ---- the real tables ---- */

static void commands_keep_the_rules(void **state) {
    (void)state;
    unsigned first = 0;
    for (size_t c = 0; c < command_count; c++) {
        const struct option_table *options = commands[c].page->options;
        assert_ptr_equal(command_find(commands[c].name), &commands[c]);
        first += commands[c].group == COMMAND_GROUP_FIRST;
        for (size_t i = 0; i < options->count; i++) {
            const struct option_row *row = &options->rows[i];
            assert_non_null(row->help);
            assert_true((row->kind == OPTION_IS_FLAG) == (row->value == NULL));
            if (options->process_options && config_find(row->name) >= 0)
                fail_msg("%s --%s hides an option of the process", commands[c].name, row->name);
            for (size_t k = 0; k < i; k++) {
                assert_string_not_equal(row->name, options->rows[k].name);
                assert_false(row->letter != 0 && row->letter == options->rows[k].letter);
            }
            assert_string_not_equal(row->name, "help");
            assert_int_not_equal(row->letter, 'h');
        }
    }
    assert_int_equal(first, 7); /* what a newcomer is shown at once */
    assert_null(command_find("worker-exec"));
    assert_non_null(command_hidden("worker-exec"));
    assert_non_null(command_hidden("worker-native"));
    assert_non_null(command_hidden("worker-once"));
    assert_null(command_hidden("run"));
    assert_string_equal(command_nearest("rnu"), "run");
    assert_null(command_nearest("qqqqqqqq"));
}

/* Examples are copied, not read across: they may be longer. */
static void help_fits_a_terminal(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    for (size_t c = 0; c < command_count; c++) {
        struct buffer text;
        buffer_init(&text, &account, 0);
        help_write_command(&commands[c], &text);
        assert_int_equal(buffer_ok(&text), TROUPE_OK);
        char *examples = strstr(text.bytes, "\nexamples:\n");
        assert_non_null(examples);
        *examples = '\0';
        for (char *line = strtok(text.bytes, "\n"); line != NULL; line = strtok(NULL, "\n"))
            if (strlen(line) > 82)
                fail_msg("help of %s: %zu columns: %s", commands[c].name, strlen(line), line);
        buffer_free(&text);
    }
    assert_int_equal(account.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling),         cmocka_unit_test(what_follows_the_dashes),
        cmocka_unit_test(options_of_the_process), cmocka_unit_test(refusals),
        cmocka_unit_test(without_memory),         cmocka_unit_test(commands_keep_the_rules),
        cmocka_unit_test(help_fits_a_terminal),   cmocka_unit_test(rows_by_any_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
