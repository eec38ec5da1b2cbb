/* env_whole: calls on whole files, paths and trees, composed of the single calls of either implementation.
 *
 * Invariants: a file written here is old or new, never half; a directory made here survives a power cut;
 *             every walk, list and path has a bound.
 * Threads: any, blocking.
 * Memory:  freed before returning, except the caller's own buffer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "env/env_internal.h"

enum { COPY_BYTES = 256 << 10 };

enum troupe_error env_parent(const char *path, char *ret, size_t size) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    while (end > 0 && path[end - 1] != '/')
        end--;
    while (end > 1 && path[end - 1] == '/')
        end--;
    const char *from = end ? path : ".";
    size_t length = end ? end : 1;
    if (length >= size)
        return TROUPE_LIMIT;
    memcpy(ret, from, length);
    ret[length] = 0;
    return TROUPE_OK;
}

static enum troupe_error normalise_part(const char *path, char *ret, size_t size, size_t *used) {
    while (*path) {
        size_t length = strcspn(path, "/");
        if (length == 2 && path[0] == '.' && path[1] == '.') {
            while (*used > 0 && ret[--*used] != '/') {
            }
        } else if (length > 0 && !(length == 1 && path[0] == '.')) {
            if (*used + 1 + length >= size)
                return TROUPE_LIMIT;
            ret[(*used)++] = '/';
            memcpy(ret + *used, path, length);
            *used += length;
        }
        path += length + (path[length] == '/');
    }
    return TROUPE_OK;
}

enum troupe_error env_normalise(const char *base, const char *path, char *ret, size_t size) {
    if (size < 2)
        return TROUPE_LIMIT;
    size_t used = 0;
    enum troupe_error error = TROUPE_OK;
    if (path[0] != '/')
        error = normalise_part(base, ret, size, &used);
    if (!error)
        error = normalise_part(path, ret, size, &used);
    if (error)
        return error;
    if (used == 0)
        ret[used++] = '/';
    ret[used] = 0;
    return TROUPE_OK;
}

enum troupe_error env_absolute(struct env *env, const char *path, char *ret_path, size_t size) {
    char base[ENV_PATH_MAX] = "/", normal[ENV_PATH_MAX];
    enum troupe_error error = TROUPE_OK;
    if (path[0] != '/')
        error = env->operations->directory(env, base, sizeof base);
    if (!error)
        error = env_normalise(base, path, normal, sizeof normal);
    size_t length = error ? 0 : strlen(normal);
    if (!error && length >= size)
        error = TROUPE_LIMIT;
    if (!error)
        memcpy(ret_path, normal, length + 1);
    return error;
}

/* One level; fine when it is there already as a directory. *ret_made: it was not. */
static enum troupe_error directory_ensure(struct env *env, const char *path, bool *ret_made,
                                          struct fault *fault) {
    struct fault own;
    enum troupe_error error = env->operations->make_directory(env, path, &own);
    *ret_made = error == TROUPE_OK;
    if (error == TROUPE_OK)
        return TROUPE_OK;
    struct env_info info;
    if (error == TROUPE_EXISTS) {
        error = env_info(env, path, &info);
        if (!error && info.exists && info.directory)
            return TROUPE_OK;
        return fault_set(fault, error ? error : TROUPE_EXISTS, path,
                         "expected a directory, but it is something else");
    }
    return fault_set(fault, error, own.where, "%s", own.text);
}

/* From the top down, each new directory made durable in its parent: what is committed inside must not go with
 * it. */
enum troupe_error env_make_directories(struct env *env, const char *path, struct fault *fault) {
    char whole[ENV_PATH_MAX], parent[ENV_PATH_MAX];
    enum troupe_error error = env_absolute(env, path, whole, sizeof whole);
    if (error)
        return fault_set(fault, error, path, "not a usable path");
    struct env_info info;
    if (env_info(env, whole, &info) == TROUPE_OK && info.exists && info.directory)
        return TROUPE_OK;
    for (char *at = whole + 1; !error && at[-1]; at++) {
        at += strcspn(at, "/");
        char kept = *at;
        *at = 0;
        bool made = false;
        error = directory_ensure(env, whole, &made, fault);
        if (!error && made) {
            error = env_parent(whole, parent, sizeof parent);
            if (!error)
                error = env_sync_directory(env, parent);
            if (error) {
                fault_set(fault, error, parent, "cannot make the new directory durable");
                IGNORE(env_remove(env, whole),
                       "so that who tries again makes it, and its name durable, again");
            }
        }
        *at = kept;
        if (!kept)
            break;
    }
    return error;
}

struct names {
    struct arena arena;
    char **names;
    size_t count, capacity;
    struct account *account;
    enum troupe_error error;
};

static bool names_add(void *context, const char *name) {
    struct names *names = context;
    if (names->count == ENV_LIST_MAX) {
        names->error = TROUPE_LIMIT;
        return false;
    }
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 64;
        char **grown = memory_resize(names->account, names->names, capacity * sizeof *grown);
        if (!grown) {
            names->error = TROUPE_NOMEM;
            return false;
        }
        names->names = grown;
        names->capacity = capacity;
    }
    char *copy = arena_copy(&names->arena, name, strlen(name));
    if (!copy) {
        names->error = TROUPE_NOMEM;
        return false;
    }
    names->names[names->count++] = copy;
    return true;
}

static int names_order(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Free with names_free whatever it returns. */
static enum troupe_error names_read(struct env *env, const char *path, struct names *names) {
    *names = (struct names){.account = env->account};
    arena_init(&names->arena, env->account);
    enum troupe_error error = env->operations->list(env, path, names_add, names);
    if (names->error)
        error = names->error;
    if (!error && names->count)
        qsort(names->names, names->count, sizeof *names->names, names_order);
    return error;
}

static void names_free(struct names *names) {
    memory_free(names->account, names->names);
    arena_free(&names->arena);
}

enum troupe_error env_list(struct env *env, const char *path, bool (*fn)(void *context, const char *name),
                           void *context) {
    struct names names;
    enum troupe_error error = names_read(env, path, &names);
    for (size_t i = 0; !error && i < names.count; i++) {
        if (!fn(context, names.names[i]))
            break;
    }
    names_free(&names);
    return error;
}

/* Depth first. A symbolic link is removed, not followed: env_remove unlinks it before anybody asks what it
 * is. */
static enum troupe_error tree_remove(struct env *env, const char *path, unsigned depth) {
    enum troupe_error error = env_remove(env, path);
    if (error == TROUPE_OK || error == TROUPE_NOT_FOUND)
        return TROUPE_OK;
    if (error != TROUPE_EXISTS) /* EXISTS: a directory that is not empty */
        return error;
    if (depth == ENV_TREE_DEPTH_MAX)
        return TROUPE_LIMIT;
    struct names names;
    error = names_read(env, path, &names);
    for (size_t i = 0; !error && i < names.count; i++) {
        char *below = arena_format(&names.arena, "%s/%s", path, names.names[i]);
        error = below ? tree_remove(env, below, depth + 1) : TROUPE_NOMEM;
    }
    names_free(&names);
    return error ? error : env_remove(env, path);
}

enum troupe_error env_remove_tree(struct env *env, const char *path) {
    return tree_remove(env, path, 0);
}

static enum troupe_error copy_bytes(struct env *env, struct env_file *in, struct env_file *out) {
    char *block = memory_alloc(env->account, COPY_BYTES);
    if (!block)
        return TROUPE_NOMEM;
    enum troupe_error error = TROUPE_OK;
    uint64_t offset = 0;
    for (size_t got = COPY_BYTES; !error && got == COPY_BYTES; offset += got) {
        error = env_file_read(in, offset, block, COPY_BYTES, &got);
        if (!error && got)
            error = env_file_write(out, offset, block, got);
    }
    memory_free(env->account, block);
    return error;
}

enum troupe_error env_read_file(struct env *env, const char *path, struct buffer *ret, struct fault *fault) {
    struct env_file *file;
    enum troupe_error error = env_file_open(env, path, ENV_FILE_READ, &file, fault);
    if (error)
        return error;
    char *block = memory_alloc(env->account, COPY_BYTES);
    error = block ? TROUPE_OK : TROUPE_NOMEM;
    uint64_t offset = 0;
    for (size_t got = COPY_BYTES; !error && got == COPY_BYTES; offset += got) {
        error = env_file_read(file, offset, block, COPY_BYTES, &got);
        if (!error) {
            buffer_append(ret, block, got);
            error = buffer_ok(ret);
        }
    }
    memory_free(env->account, block);
    env_file_close(file);
    if (error == TROUPE_LIMIT)
        return fault_set(fault, error, path, "the file is larger than the limit of %zu bytes",
                         ret->limit_bytes);
    return error ? fault_set(fault, error, path, "cannot read the file: %s", error_text(error)) : TROUPE_OK;
}

/* What a new file is filled with: another file, or bytes. */
struct source {
    struct env_file *file; /* NULL: bytes */
    const void *bytes;
    size_t length;
};

static enum troupe_error file_fill(struct env *env, const char *path, const struct source *source,
                                   struct fault *fault) {
    struct env_file *file;
    enum troupe_error error =
        env_file_open(env, path, ENV_FILE_WRITE | ENV_FILE_CREATE | ENV_FILE_EXCLUSIVE, &file, fault);
    if (error)
        return error;
    error = source->file ? copy_bytes(env, source->file, file)
                         : env_file_write(file, 0, source->bytes, source->length);
    if (!error && !PLANT(FILE_UNSYNCED))
        error = env_file_sync(file);
    env_file_close(file);
    return error ? fault_set(fault, error, path, "cannot write the file: %s", error_text(error)) : TROUPE_OK;
}

/* `path` is what it was, or whole and durable. */
static enum troupe_error file_replace(struct env *env, const char *path, const struct source *source,
                                      struct fault *fault) {
    char temporary[ENV_PATH_MAX], parent[ENV_PATH_MAX];
    struct fault own = {0}; /* names the temporary file, which nobody has heard of */
    /* Random: neither what a crashed process left nor another one that writes here may stand in the way, and pids
     * are the same ones again after a restart, or in another container. */
    int made =
        snprintf(temporary, sizeof temporary, "%s.%016llx.tmp", path, (unsigned long long)env_random(env));
    if (made < 0 || (size_t)made >= sizeof temporary)
        return fault_set(fault, TROUPE_LIMIT, "", "a path is longer than %d bytes", ENV_PATH_MAX - 1);
    enum troupe_error error = env_parent(path, parent, sizeof parent);
    if (!error)
        error = file_fill(env, temporary, source, &own);
    if (!error)
        error = env_rename(env, temporary, path, &own);
    if (error) {
        IGNORE(env_remove(env, temporary), "the first error is the one to report");
        return fault_set(fault, error, path, "%s", own.text[0] ? own.text : error_text(error));
    }
    error = env_sync_directory(env, parent);
    return error ? fault_set(fault, error, parent, "cannot make the file durable: %s", error_text(error))
                 : TROUPE_OK;
}

enum troupe_error env_write_file(struct env *env, const char *path, const void *bytes, size_t length,
                                 struct fault *fault) {
    return file_replace(env, path, &(struct source){.bytes = bytes, .length = length}, fault);
}

enum troupe_error env_copy(struct env *env, const char *from, const char *to, struct fault *fault) {
    struct source source = {0};
    enum troupe_error error = env_file_open(env, from, ENV_FILE_READ, &source.file, fault);
    if (!error)
        error = file_replace(env, to, &source, fault);
    env_file_close(source.file);
    return error;
}
