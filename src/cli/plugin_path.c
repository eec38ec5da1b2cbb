/* plugin_path: where a pipeline's `native: NAME` is looked for after its own directory: TROUPE_PLUGIN_PATH
 * (separated by colons), the plugin directory of this installation, and, for a binary that was not installed,
 * the examples of its build tree. Threads: the main thread. Memory: the session's arena. */
#include <stdio.h>
#include <string.h>

#include "cli/run_request.h"

#define DIRECTORIES_MAX 32

struct plugin_path {
    struct session *session;
    const char *base; /* of the examples */
    const char **directories;
    size_t count;
};

static void add(struct plugin_path *path, const char *directory, size_t length) {
    char *copy = length == 0 || path->count == DIRECTORIES_MAX
                     ? NULL
                     : arena_copy(&path->session->arena, directory, length);
    if (copy != NULL)
        path->directories[path->count++] = copy;
}

static bool add_example(void *context, const char *name) {
    struct plugin_path *path = context;
    char directory[4096];
    struct env_info info = {0};
    int length = snprintf(directory, sizeof directory, "%s/%s", path->base, name);
    if (name[0] != '.' && length > 0 && (size_t)length < sizeof directory &&
        env_info(path->session->env, directory, &info) == TROUPE_OK && info.directory)
        add(path, directory, (size_t)length);
    return true;
}

const char *const *plugin_directories(struct session *session) {
    struct plugin_path path = {.session = session};
    char text[4096];
    path.directories = ARENA_ARRAY(&session->arena, const char *, DIRECTORIES_MAX + 1);
    if (path.directories == NULL)
        return NULL;
    const char *listed = env_variable(session->env, "TROUPE_PLUGIN_PATH");
    while (listed != NULL && *listed != '\0') {
        size_t length = strcspn(listed, ":");
        add(&path, listed, length);
        listed += length + (listed[length] == ':');
    }
    add(&path, TROUPE_PLUGIN_DIRECTORY, strlen(TROUPE_PLUGIN_DIRECTORY));
    const char *program = env_program(session->env), *slash = strrchr(program, '/');
    int length =
        slash == NULL ? -1 : snprintf(text, sizeof text, "%.*s/examples", (int)(slash - program), program);
    path.base = text;
    if (length > 0 && (size_t)length < sizeof text)
        IGNORE(env_list(session->env, text, add_example, &path), "an installed binary has none beside it");
    return path.directories;
}
