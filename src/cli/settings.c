/* settings: the values of the process's options from their lasting sources, lowest first: /etc/troupe/config.yaml,
 * $XDG_CONFIG_HOME/troupe/config.yaml (or ~/.config), TROUPE_* variables. The command line is added by the
 * command. An absent file is no error; a wrong one is, with its position. Threads: the main thread. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "document/document.h"

#define FILE_BYTES_MAX (1 << 20)

static enum troupe_error read_file(struct session *session, const char *path, enum config_source source,
                                   struct fault *fault) {
    struct env_info info = {0};
    if (env_info(session->env, path, &info) != TROUPE_OK || !info.exists || info.directory)
        return TROUPE_OK;
    struct buffer text;
    struct document *document = NULL;
    buffer_init(&text, session->account, FILE_BYTES_MAX);
    enum troupe_error error = env_read_file(session->env, path, &text, fault);
    if (error == TROUPE_OK)
        error = document_parse_yaml(buffer_string(&text), text.length, path, NULL, &document, fault);
    if (error == TROUPE_OK && node_kind(document_root(document)) != DOCUMENT_NULL)
        error = node_read_config(document_root(document), source, &session->config, fault);
    document_free(document);
    buffer_free(&text);
    return error;
}

static bool user_path(struct session *session, char *out, size_t size) {
    const char *base = env_variable(session->env, "XDG_CONFIG_HOME"),
               *home = env_variable(session->env, "HOME");
    int length = -1;
    if (base != NULL && base[0] == '/') /* a relative one is to be ignored, says the XDG specification */
        length = snprintf(out, size, "%s/troupe/config.yaml", base);
    else if (home != NULL && home[0] == '/')
        length = snprintf(out, size, "%s/.config/troupe/config.yaml", home);
    return length > 0 && (size_t)length < size;
}

enum troupe_error settings_read(struct session *session, const char *const *environment,
                                struct fault *fault) {
    char path[4096];
    const char *suspect = NULL;
    enum troupe_error error = read_file(session, "/etc/troupe/config.yaml", CONFIG_SYSTEM_FILE, fault);
    if (error == TROUPE_OK && user_path(session, path, sizeof path))
        error = read_file(session, path, CONFIG_USER_FILE, fault);
    if (error == TROUPE_OK)
        error = config_environment(&session->config, environment, &suspect, fault);
    if (error == TROUPE_OK && suspect != NULL)
        fprintf(stderr, "troupe: %.*s: no such option, it is not used; `troupe config` lists them\n",
                (int)strcspn(suspect, "="), suspect);
    return error;
}
