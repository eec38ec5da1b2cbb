/* troupe: the program. Finds the command, prepares its session, prints its fault, ends with its status.
 *
 * The programs that children run (worker-exec, ...) are called before anything is set up: they own their
 * process. Threads: the main thread, which becomes worker 0 of a run. Memory: one account, one arena. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

static void fault_print(const char *command, const struct fault *fault, enum troupe_error error) {
    const char *text = fault->text[0] != '\0' ? fault->text : error_text(error);
    const char *where = fault->where[0] != '\0' ? fault->where : command_find(command) != NULL ? command : "";
    fprintf(stderr, "troupe: %s%s%s\n", where, where[0] != '\0' ? ": " : "", text);
}

/* --help and -h stand anywhere before `--`. */
static bool asks_for_help(int argc, const char *const *argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static enum troupe_error print_help(struct session *session, const struct command *command, bool all,
                                    struct fault *fault) {
    struct buffer text;
    buffer_init(&text, session->account, 1 << 20);
    if (command != NULL)
        help_write_command(command, &text);
    else
        help_write_first(&text, all);
    enum troupe_error error = session_print(&text, fault);
    buffer_free(&text);
    return error;
}

static enum troupe_error dispatch(struct session *session, int argc, const char *const *argv,
                                  const char *const *environment, struct fault *fault) {
    const char *name = argv[0];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return print_help(session, NULL, argc > 1 && strcmp(argv[1], "--all") == 0, fault);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        return printf("troupe %s\n", TROUPE_VERSION) < 0 ? TROUPE_IO : TROUPE_OK; /* main flushes */
    const struct command *command = command_find(name);
    if (command == NULL) {
        const char *nearest = command_nearest(name);
        return fault_set(fault, TROUPE_USAGE, "", "unknown command '%.80s'; %s%s%s", name,
                         nearest != NULL ? "did you mean '" : "`troupe help` lists them",
                         nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
    }
    if (asks_for_help(argc, argv))
        return print_help(session, command, false, fault);
    enum troupe_error error = settings_read(session, environment, fault);
    return error == TROUPE_OK ? command->run(session, argc, argv, fault) : error;
}

int main(int argc, char **argv, char **environment) {
    if (argc > 1) {
        const struct hidden_command *hidden = command_hidden(argv[1]);
        if (hidden != NULL)
            return hidden->main(argc - 2, argv + 2);
    }
    struct account account = ACCOUNT("troupe");
    struct session session = {.account = &account};
    struct fault fault = {0};
    arena_init(&session.arena, &account);
    config_init(&session.config);
    enum troupe_error error = env_os_create(&account, &session.env);
    if (error != TROUPE_OK) {
        fprintf(stderr, "troupe: cannot start: %s\n", error_text(error));
        return error_exit_status(error);
    }
    if (argc < 2) {
        IGNORE(print_help(&session, NULL, false, &fault), "the status says wrong use either way");
        error = TROUPE_USAGE;
    } else {
        error = dispatch(&session, argc - 1, (const char *const *)argv + 1, (const char *const *)environment,
                         &fault);
        if (error != TROUPE_OK && fault.text[0] != '\0')
            fault_print(argv[1], &fault, error);
    }
    if ((fflush(stdout) != 0 || ferror(stdout)) && error == TROUPE_OK && errno != EPIPE) {
        fprintf(stderr, "troupe: standard output: %s\n", strerror(errno));
        error = TROUPE_IO;
    }
    arena_free(&session.arena);
    env_destroy(session.env);
    return error_exit_status(error);
}
