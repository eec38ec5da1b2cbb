/* resolve: from the words of a definition to files: plugins found, programs and data hashed, so that a
 * stage's reuse key changes when its program or its data does. Before the runtime, on the calling thread. */
#include "pipeline/definition.h"
#include "agent/agent.h"

#include <stdio.h>
#include <string.h>

#define HASHED_FILE_MAX (1u << 30)

/* Hashes a file in pieces, so that its size is no bound on memory. */
static enum troupe_error hash_file(struct env *env, struct account *account, const char *path, uint64_t *hash,
                                   struct fault *fault) {
    struct env_file *file = NULL;
    enum troupe_error error = env_file_open(env, path, ENV_FILE_READ, &file, fault);
    if (error != TROUPE_OK)
        return error;
    const size_t size = 256 << 10;
    char *chunk = memory_alloc(account, size);
    if (chunk == NULL)
        error = fault_set(fault, TROUPE_NOMEM, path, "out of memory hashing it");
    for (uint64_t offset = 0; error == TROUPE_OK && offset < HASHED_FILE_MAX;) {
        size_t got = 0;
        error = env_file_read(file, offset, chunk, size, &got);
        if (error != TROUPE_OK)
            fault_set(fault, error, path, "cannot read it");
        if (got == 0)
            break;
        *hash = hash_bytes(chunk, got, *hash);
        offset += got;
    }
    memory_free(account, chunk);
    env_file_close(file);
    return error;
}

static bool is_file(struct env *env, const char *path) {
    struct env_info info = {0};
    return env_info(env, path, &info) == TROUPE_OK && info.exists && !info.directory && !info.waits;
}

/* `name` against a directory; absolute names stand for themselves. */
static char *joined(struct pipeline *pipeline, const char *directory, const char *name) {
    return name[0] == '/' ? arena_copy(&pipeline->arena, name, strlen(name))
                          : arena_format(&pipeline->arena, "%s/%s", directory, name);
}

static const char *find_plugin(struct env *env, struct pipeline *pipeline, const char *directory,
                               const char *name) {
    const char *slash = strrchr(name, '/');
    const char *last = slash != NULL ? slash + 1 : name;
    const char *candidates[2] = {joined(pipeline, directory, name), NULL};
    if (slash == NULL)
        candidates[1] = arena_format(&pipeline->arena, "%s/lib%s.so", directory, last);
    for (unsigned i = 0; i < 2; i++)
        if (candidates[i] != NULL && is_file(env, candidates[i]))
            return candidates[i];
    return NULL;
}

static enum troupe_error resolve_native(struct env *env, struct pipeline *pipeline,
                                        struct pipeline_agent *agent, const char *const *directories,
                                        struct fault *fault) {
    const char *found = find_plugin(env, pipeline, pipeline->directory, agent->native);
    for (const char *const *directory = directories; found == NULL && directory != NULL && *directory != NULL;
         directory++)
        found = find_plugin(env, pipeline, *directory, agent->native);
    if (found == NULL)
        return node_fault(agent->node, fault, TROUPE_NOT_FOUND,
                          "agent '%s': no plugin '%s' beside the pipeline (%s) nor in %s%s", agent->name,
                          agent->native, pipeline->directory,
                          directories != NULL && *directories != NULL ? *directories : "a plugin directory",
                          "; expected a file of that name or libNAME.so");
    agent->native = found;
    return hash_file(env, pipeline->account, found, &agent->program_hash, fault);
}

static bool sets_path(const struct pipeline_agent *agent) {
    for (const char *const *pair = agent->environment; pair != NULL && *pair != NULL; pair++)
        if (strncmp(*pair, "PATH=", 5) == 0)
            return true;
    return false;
}

/* A program that is not there is told before the run, not by every worker. What its worker alone can know (a
 * PATH of its own, a placeholder) is left to it. */
static enum troupe_error find_program(struct env *env, struct pipeline *pipeline,
                                      const struct pipeline_agent *agent, struct fault *fault) {
    const char *program = agent->argv[0], *path = env_variable(env, "PATH");
    const struct node *words = node_get(agent->node, agent->kind == PIPELINE_AGENT_ONCE ? "once" : "command");
    if (env_is_sim(env) || strchr(program, '{') != NULL || sets_path(agent))
        return TROUPE_OK;
    if (strchr(program, '/') != NULL) {
        const char *file = joined(pipeline, pipeline->directory, program);
        return file == NULL || is_file(env, file)
                   ? TROUPE_OK
                   : node_fault(node_at(words, 0), fault, TROUPE_NOT_FOUND, "agent '%s': no such program: %s",
                                agent->name, file);
    }
    for (const char *at = path != NULL ? path : "/usr/bin:/bin"; *at != '\0';) {
        size_t length = strcspn(at, ":");
        const char *file = arena_format(&pipeline->arena, "%.*s/%s", length > 0 ? (int)length : 1,
                                        length > 0 ? at : ".", program);
        if (file != NULL && is_file(env, file))
            return TROUPE_OK;
        at += length + (at[length] == ':');
    }
    return node_fault(node_at(words, 0), fault, TROUPE_NOT_FOUND,
                      "agent '%s': no program '%s' in any directory of PATH", agent->name, program);
}

static enum troupe_error resolve_command(struct env *env, struct pipeline *pipeline,
                                         struct pipeline_agent *agent, struct fault *fault) {
    enum troupe_error found = find_program(env, pipeline, agent, fault);
    if (found != TROUPE_OK)
        return found;
    for (const char *const *word = agent->argv; *word != NULL; word++) {
        agent->program_hash = hash_bytes(*word, strlen(*word) + 1, agent->program_hash);
        const char *path = joined(pipeline, pipeline->directory, *word);
        if (path == NULL)
            return fault_set(fault, TROUPE_NOMEM, pipeline->source, "out of memory");
        if (!is_file(env, path))
            continue;
        enum troupe_error error = hash_file(env, pipeline->account, path, &agent->program_hash, fault);
        if (error != TROUPE_OK)
            return error;
    }
    if (agent->kind != PIPELINE_AGENT_ONCE)
        return TROUPE_OK;
    const char *names[SPACE_VARIABLES_MAX];
    for (unsigned i = 0; i < space_count(pipeline->space); i++)
        names[i] = space_variable(pipeline->space, i)->name;
    const struct node *words = node_get(agent->node, "once");
    for (size_t i = 0; i < node_count(words); i++) {
        const char *word[] = {agent->argv[i], NULL};
        struct fault why = {0};
        enum troupe_error error = once_check_command(word, names, space_count(pipeline->space), &why);
        if (error != TROUPE_OK)
            return node_fault(node_at(words, i), fault, error, "%s", why.text);
    }
    return TROUPE_OK;
}

/* The data section as JSON; texts that name a file beside the pipeline become absolute, and the file is
 * hashed. */
static enum troupe_error write_data(struct env *env, struct pipeline *pipeline, const struct node *node,
                                    struct json *json, struct fault *fault) {
    enum troupe_error error = TROUPE_OK;
    switch (node_kind(node)) {
    case DOCUMENT_MAP:
    case DOCUMENT_LIST: {
        bool map = node_kind(node) == DOCUMENT_MAP;
        map ? json_object_begin(json) : json_array_begin(json);
        for (size_t i = 0; i < node_count(node) && error == TROUPE_OK; i++) {
            if (map)
                json_key(json, node_key_at(node, i));
            error = write_data(env, pipeline, node_at(node, i), json, fault);
        }
        map ? json_object_end(json) : json_array_end(json);
        return error;
    }
    case DOCUMENT_STRING: {
        const char *text = node_string(node);
        const char *path = text[0] != '\0' ? joined(pipeline, pipeline->directory, text) : NULL;
        if (path != NULL && is_file(env, path)) {
            json_string(json, path);
            struct fault why = {0};
            error = hash_file(env, pipeline->account, path, &pipeline->data_hash, &why);
            return error == TROUPE_OK ? error : node_fault(node, fault, error, "%s: %s", path, why.text);
        }
        /* A text with a slash or an ending can only be meant as a file. */
        const char *dot = strrchr(text, '.');
        if (strchr(text, '/') != NULL ||
            (dot != NULL && dot != text && strlen(dot) >= 2 && strlen(dot) <= 8 &&
             strchr(text, ' ') == NULL && (dot[1] < '0' || dot[1] > '9')))
            return node_fault(node, fault, TROUPE_NOT_FOUND, "no such data file: %s",
                              path != NULL ? path : text);
        json_string(json, text);
        return TROUPE_OK;
    }
    default:
        node_write_json(node, json);
        return TROUPE_OK;
    }
}

static enum troupe_error resolve_data(struct env *env, struct pipeline *pipeline, struct fault *fault) {
    const struct node *data = node_get(document_root(pipeline->document), "data");
    pipeline->data_json = "{}";
    pipeline->data_hash = 0;
    if (data == NULL)
        return TROUPE_OK;
    struct buffer text;
    struct json json;
    buffer_init(&text, pipeline->account, 256 << 10);
    json_init(&json, &text);
    enum troupe_error error = write_data(env, pipeline, data, &json, fault);
    if (error == TROUPE_OK && (error = buffer_ok(&text)) != TROUPE_OK)
        node_fault(data, fault, error, "%s",
                   error == TROUPE_LIMIT ? "the data section is larger than 256 KiB; name files instead"
                                         : error_text(error));
    if (error == TROUPE_OK) {
        pipeline->data_json = arena_copy(&pipeline->arena, buffer_string(&text), text.length);
        pipeline->data_hash = hash_bytes(text.bytes, text.length, pipeline->data_hash);
        if (pipeline->data_json == NULL)
            error = fault_set(fault, TROUPE_NOMEM, pipeline->source, "out of memory");
    }
    buffer_free(&text);
    return error;
}

enum troupe_error pipeline_resolve(struct env *env, struct pipeline *pipeline,
                                   const char *const *plugin_directories, struct fault *fault) {
    enum troupe_error error = TROUPE_OK;
    for (unsigned i = 0; i < pipeline->agent_count && error == TROUPE_OK; i++) {
        struct pipeline_agent *agent = &pipeline->agents[i];
        agent->program_hash = hash_bytes(agent->options_json, strlen(agent->options_json), i);
        error = agent->kind == PIPELINE_AGENT_NATIVE
                    ? resolve_native(env, pipeline, agent, plugin_directories, fault)
                    : resolve_command(env, pipeline, agent, fault);
    }
    return error == TROUPE_OK ? resolve_data(env, pipeline, fault) : error;
}
