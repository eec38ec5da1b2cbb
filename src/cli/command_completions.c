/* `troupe completions bash`: a completion script made from command.def and the option tables, so that it knows
 * what this binary knows. Runs, files and directories are completed where an option or a command takes them. */
#include <string.h>

#include "cli/command.h"

static const struct option_table options = {
    .words_min = 1, .words_max = 1, .words_name = "the name of a shell: bash"};
const struct command_page page_completions = {
    &options, "Prints a script for the shell. Bash alone is known so far.\n",
    "  source <(troupe completions bash)\n"
    "  troupe completions bash > ~/.local/share/bash-completion/completions/troupe\n"};

/* Options that take a file, a directory or a run are told from what the help calls their value. */
static void write_values(struct buffer *out, const char *value, const char *action) {
    bool first = true;
    for (size_t i = 0; i < command_count; i++)
        for (size_t k = 0; k < commands[i].page->options->count; k++) {
            const struct option_row *row = &commands[i].page->options->rows[k];
            if (row->value == NULL || strcmp(row->value, value) != 0)
                continue;
            buffer_format(out, "%s%s:--%s", first ? "    " : "|", commands[i].name, row->name);
            first = false;
        }
    if (!first)
        buffer_format(out, ")\n      %s\n      return ;;\n", action);
}

static void write_bash(struct buffer *out) {
    buffer_text(out,
                "# bash completion for troupe; made by `troupe completions bash`\n"
                "_troupe_runs() {\n"
                "  local directory=runs i\n"
                "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
                "    [[ ${COMP_WORDS[i]} == --runs ]] && directory=${COMP_WORDS[i + 1]}\n"
                "  done\n"
                "  COMPREPLY=($(compgen -W \"$(command ls -t -- \"$directory\" 2>/dev/null)\" -- \"$1\"))\n"
                "}\n"
                "_troupe() {\n"
                "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} options i\n"
                "  COMPREPLY=()\n"
                "  if ((COMP_CWORD == 1)); then\n"
                "    COMPREPLY=($(compgen -W '");
    for (size_t i = 0; i < command_count; i++)
        buffer_format(out, "%s ", commands[i].name);
    buffer_text(out,
                "--help --version' -- \"$word\"))\n"
                "    return\n"
                "  fi\n"
                "  for ((i = 2; i < COMP_CWORD; i++)); do\n"
                "    [[ ${COMP_WORDS[i]} == -- ]] && { COMPREPLY=($(compgen -f -- \"$word\")); return; }\n"
                "  done\n"
                "  case ${COMP_WORDS[1]}:$previous in\n");
    write_values(out, "FILE", "COMPREPLY=($(compgen -f -- \"$word\"))");
    write_values(out, "DIR", "COMPREPLY=($(compgen -d -- \"$word\"))");
    write_values(out, "ID", "_troupe_runs \"$word\"");
    write_values(out, "[ID]", "_troupe_runs \"$word\"");
    buffer_text(out, "  esac\n"
                     "  case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < command_count; i++) {
        buffer_format(out, "    %s) options='", commands[i].name);
        option_table_write_names(commands[i].page->options, out, " ");
        buffer_text(out, "' ;;\n");
    }
    buffer_text(out, "  esac\n"
                     "  if [[ $word == -* ]]; then\n"
                     "    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
                     "    return\n"
                     "  fi\n"
                     "  case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < command_count; i++)
        if (strstr(commands[i].arguments, "RUN") != NULL)
            buffer_format(out, "    %s) _troupe_runs \"$word\" ;;\n", commands[i].name);
    buffer_text(out, "    help) COMPREPLY=($(compgen -W '");
    for (size_t i = 0; i < command_count; i++)
        buffer_format(out, "%s ", commands[i].name);
    buffer_text(out, "--all' -- \"$word\")) ;;\n"
                     "    completions) COMPREPLY=($(compgen -W bash -- \"$word\")) ;;\n"
                     "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
                     "  esac\n"
                     "}\n"
                     "complete -o filenames -F _troupe troupe\n");
}

enum troupe_error command_completions(struct session *session, int argc, const char *const *argv,
                                      struct fault *fault) {
    struct option_words words = {.argc = argc, .argv = argv};
    struct buffer text;
    enum troupe_error error = option_table_parse(&options, &session->arena, &words, NULL, NULL, fault);
    if (error != TROUPE_OK)
        return error;
    if (strcmp(words.words[0], "bash") != 0)
        return fault_set(fault, TROUPE_UNSUPPORTED, "completions", "'%.40s' is not known; expected bash",
                         words.words[0]);
    buffer_init(&text, session->account, 1 << 20);
    write_bash(&text);
    error = session_print(&text, fault);
    buffer_free(&text);
    return error;
}
