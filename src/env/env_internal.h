/* env_internal: the table of functions behind env.h, filled once by os_env.c and once by sim_env.c.
 *
 * Every struct env, env_child and env_file starts with the part shown here, so that env.c can dispatch. Calls
 * that can be composed of others (whole files, trees, copies) are written once, in env_whole.c, over both.
 * Threads, memory and failure: as the door says for each call. */
#ifndef ENV_ENV_INTERNAL_H
#define ENV_ENV_INTERNAL_H

#include "env/env.h"

enum {
    ENV_WORKERS_MAX = 256,
    ENV_JOBS_MAX = 65536,        /* queued on one lane; FULL past it */
    ENV_PATH_MAX = 4096,         /* bytes of a path with its NUL; LIMIT past it */
    ENV_LIST_MAX = 1 << 20,      /* names in one directory; LIMIT past it */
    ENV_TREE_DEPTH_MAX = 64,     /* of a tree to be removed */
    ENV_INPUT_DEFAULT = 4 << 20, /* unread input of a child */
    ENV_ARGUMENTS_MAX = 4096,    /* argv, and environment, of a child */
    ENV_FILE_FLAGS = 63,
};

struct env_operations {
    void (*destroy)(struct env *env);
    uint64_t (*now)(struct env *env);
    int64_t (*utc)(struct env *env);
    uint64_t (*ticks)(struct env *env);
    double (*ticks_per_ns)(struct env *env);
    uint64_t (*random)(struct env *env);
    unsigned (*cores)(struct env *env);
    uint64_t (*process_cpu)(struct env *env);
    uint64_t (*thread_cpu)(struct env *env);
    const char *(*variable)(struct env *env, const char *name);
    const char *(*program)(struct env *env);
    int64_t (*pid)(struct env *env);
    void (*pause)(struct env *env, uint64_t ns);
    void (*note)(struct env *env, uint64_t tag, uint64_t value);

    enum troupe_error (*workers_run)(struct env *env, const struct env_workers *workers);
    void (*workers_stop)(struct env *env);
    void (*worker_wake)(struct env *env, unsigned worker);
    enum troupe_error (*job_start)(struct env *env, enum env_lane lane, struct env_job *job);
    void (*jobs_wait)(struct env *env);

    enum troupe_error (*child_spawn)(struct env *env, const struct env_child_spec *spec,
                                     struct env_child **ret_child, struct fault *fault);
    enum troupe_error (*child_write)(struct env_child *child, const char *bytes, size_t length);
    void (*child_close_input)(struct env_child *child);
    void (*child_pause)(struct env_child *child, bool paused);
    void (*child_kill)(struct env_child *child, int signal);
    uint64_t (*child_cpu)(struct env_child *child);
    uint64_t (*child_core_wait)(struct env_child *child);
    int64_t (*child_pid)(const struct env_child *child);
    void (*child_release)(struct env_child *child);
    enum troupe_error (*signals)(struct env *env, void (*fn)(void *context, enum env_signal signal),
                                 void *context);

    enum troupe_error (*file_open)(struct env *env, const char *path, unsigned flags,
                                   struct env_file **ret_file, struct fault *fault);
    enum troupe_error (*file_read)(struct env_file *file, uint64_t offset, void *bytes, size_t length,
                                   size_t *ret_length);
    enum troupe_error (*file_write)(struct env_file *file, uint64_t offset, const void *bytes, size_t length);
    enum troupe_error (*file_append)(struct env_file *file, const void *bytes, size_t length);
    enum troupe_error (*file_size)(struct env_file *file, uint64_t *ret_bytes);
    enum troupe_error (*file_truncate)(struct env_file *file, uint64_t bytes);
    enum troupe_error (*file_sync)(struct env_file *file);
    enum troupe_error (*file_lock)(struct env_file *file, struct fault *fault);
    bool (*file_locked)(struct env_file *file);
    void (*file_close)(struct env_file *file);
    enum troupe_error (*info)(struct env *env, const char *path, struct env_info *ret_info);
    enum troupe_error (*make_directory)(struct env *env, const char *path, struct fault *fault); /* EXISTS */
    enum troupe_error (*rename)(struct env *env, const char *from, const char *to, struct fault *fault);
    enum troupe_error (*sync_directory)(struct env *env, const char *path);
    enum troupe_error (*remove)(struct env *env, const char *path);
    /* Names in any order, without "." and ".."; env_whole.c sorts them. */
    enum troupe_error (*list)(struct env *env, const char *path, bool (*fn)(void *context, const char *name),
                              void *context);
    enum troupe_error (*directory)(struct env *env, char *ret_path, size_t size); /* the current one */
    bool (*terminal)(struct env *env, int descriptor, unsigned *ret_columns);
};

struct env {
    const struct env_operations *operations;
    struct account *account;
};
struct env_child {
    struct env *env;
};
struct env_file {
    struct env *env;
    unsigned flags; /* ENV_FILE_* as opened */
};

extern const struct env_operations env_os_operations;
extern const struct env_operations env_sim_operations;

/* The directory part of `path` into `ret` ("." when it has none, "/" for the root's entries). */
MUST_CHECK enum troupe_error env_parent(const char *path, char *ret, size_t size);
/* "base/path" made absolute and free of ".", ".." and doubled slashes, without looking at any file. */
MUST_CHECK enum troupe_error env_normalise(const char *base, const char *path, char *ret, size_t size);

#endif
