/* Fails the n-th call that the store makes of env's files, or every call from the n-th on (a disk that is
 * gone). The test program is linked with --wrap for each call in the table, so the code under test is the
 * very one that ships.
 * Threads: one (the simulation). */
#ifndef TESTS_STORE_ENV_WRAP_H
#define TESTS_STORE_ENV_WRAP_H

#include "env/env.h"

/* (name, fault parameter or NULL, parameters, arguments): keep in step with tests/store/meson.build's
 * wrapped_calls. */
#define ENV_WRAPPED_CALLS(CALL)                                                                              \
    CALL(env_file_open, fault,                                                                               \
         (struct env * env, const char *path, unsigned flags, struct env_file **ret_file,                    \
          struct fault *fault),                                                                              \
         (env, path, flags, ret_file, fault))                                                                \
    CALL(env_file_read, NULL,                                                                                \
         (struct env_file * file, uint64_t offset, void *bytes, size_t length, size_t *ret_length),          \
         (file, offset, bytes, length, ret_length))                                                          \
    CALL(env_file_write, NULL, (struct env_file * file, uint64_t offset, const void *bytes, size_t length),  \
         (file, offset, bytes, length))                                                                      \
    CALL(env_file_size, NULL, (struct env_file * file, uint64_t * ret_bytes), (file, ret_bytes))             \
    CALL(env_file_truncate, NULL, (struct env_file * file, uint64_t bytes), (file, bytes))                   \
    CALL(env_file_sync, NULL, (struct env_file * file), (file))                                              \
    CALL(env_file_lock, fault, (struct env_file * file, struct fault * fault), (file, fault))                \
    CALL(env_info, NULL, (struct env * env, const char *path, struct env_info *ret_info),                    \
         (env, path, ret_info))                                                                              \
    CALL(env_make_directories, fault, (struct env * env, const char *path, struct fault *fault),             \
         (env, path, fault))                                                                                 \
    CALL(env_sync_directory, NULL, (struct env * env, const char *path), (env, path))                        \
    CALL(env_remove, NULL, (struct env * env, const char *path), (env, path))                                \
    CALL(env_absolute, NULL, (struct env * env, const char *path, char *ret_path, size_t size),              \
         (env, path, ret_path, size))

static struct {
    uint64_t calls;   /* so far */
    uint64_t fail_at; /* 1 is the first; 0: never */
    bool stay;        /* all later ones fail too */
    bool fired;
    enum troupe_error error;
} env_wrap;

static void env_wrap_arm(uint64_t fail_at, bool stay, enum troupe_error error) {
    env_wrap.calls = 0;
    env_wrap.fail_at = fail_at;
    env_wrap.stay = stay;
    env_wrap.fired = false;
    env_wrap.error = error;
}

static bool env_wrap_fails(void) {
    env_wrap.calls++;
    if (env_wrap.fail_at == 0 || env_wrap.calls < env_wrap.fail_at ||
        (env_wrap.calls > env_wrap.fail_at && !env_wrap.stay))
        return false;
    env_wrap.fired = true;
    return true;
}

/* As the real call, a failing one says why in its fault. */
#define DEFINE_WRAPPED(name, where, parameters, arguments)                                                   \
    enum troupe_error __real_##name parameters;                                                              \
    enum troupe_error __wrap_##name parameters;                                                              \
    enum troupe_error __wrap_##name parameters {                                                             \
        if (env_wrap_fails())                                                                                \
            return fault_set(where, env_wrap.error, #name, "made to fail");                                  \
        return __real_##name arguments;                                                                      \
    }
ENV_WRAPPED_CALLS(DEFINE_WRAPPED)

#endif
