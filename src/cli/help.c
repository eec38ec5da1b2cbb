/* help: the texts of `troupe help`, `COMMAND --help` and `completions`, all from command.def and the option
 * tables. Threads: the main thread. Memory: the caller's buffer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

enum troupe_error session_print(const struct buffer *text, struct fault *fault) {
    enum troupe_error error = buffer_ok(text);
    if (error != TROUPE_OK)
        return fault_set(fault, error, "", "the answer is too large for memory");
    if (fwrite(buffer_string(text), 1, text->length, stdout) == text->length && fflush(stdout) == 0)
        return TROUPE_OK;
    if (errno == EPIPE)
        return TROUPE_IO;
    return fault_set(fault, TROUPE_IO, "standard output", "%s", strerror(errno));
}

void help_write_first(struct buffer *out, bool all) {
    buffer_text(out, "Troupe runs a team of agents that tunes your pipeline: the best configuration\n"
                     "found by the deadline, every core used, and an account of where the time went.\n\n"
                     "usage: troupe COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < command_count; i++)
        if (all || commands[i].group == COMMAND_GROUP_FIRST)
            buffer_format(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
    buffer_text(out, "\nstart here:\n"
                     "  troupe run examples/digits/pipeline.yaml\n"
                     "  troupe run --var 'lr=log(1e-4,1e-1)' --metric val_acc --trials 40 -- \\\n"
                     "      python3 train.py --lr {lr}\n\n"
                     "`troupe help COMMAND` says more");
    buffer_text(out, all ? ".\n" : "; `troupe help --all` lists the other commands.\n");
}

void help_write_command(const struct command *command, struct buffer *out) {
    buffer_format(out, "troupe %s: %s\n\nusage: troupe %s%s%s\n", command->name, command->summary,
                  command->name, command->arguments[0] != '\0' ? " " : "", command->arguments);
    if (command->page->text != NULL)
        buffer_format(out, "\n%s", command->page->text);
    option_table_write_help(command->page->options, out);
    if (command->page->examples != NULL)
        buffer_format(out, "\nexamples:\n%s", command->page->examples);
}

struct help_values {
    bool all;
};
static const struct option_row help_rows[] = {
    {OPTION_FLAG(struct help_values, all, "all", 'a', "every command")},
};
static const struct option_table help_options = {
    .rows = help_rows, .count = ARRAY_COUNT(help_rows), .words_max = 1, .words_name = "one command"};
const struct command_page page_help = {&help_options, NULL, "  troupe help run\n  troupe help --all\n"};

enum troupe_error command_help(struct session *session, int argc, const char *const *argv,
                               struct fault *fault) {
    struct help_values values = {0};
    struct option_words words = {.argc = argc, .argv = argv};
    enum troupe_error error =
        option_table_parse(&help_options, &session->arena, &words, &values, NULL, fault);
    if (error != TROUPE_OK)
        return error;
    struct buffer text;
    buffer_init(&text, session->account, 1 << 20);
    const struct command *command = words.count > 0 ? command_find(words.words[0]) : NULL;
    if (words.count > 0 && command == NULL) {
        const char *nearest = command_nearest(words.words[0]);
        error = fault_set(fault, TROUPE_USAGE, "help", "unknown command '%.80s'; %s%s%s", words.words[0],
                          nearest != NULL ? "did you mean '" : "`troupe help --all` lists them",
                          nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
    } else if (command != NULL) {
        help_write_command(command, &text);
    } else {
        help_write_first(&text, values.all);
    }
    if (error == TROUPE_OK)
        error = session_print(&text, fault);
    buffer_free(&text);
    return error;
}
