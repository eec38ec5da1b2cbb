/* What the env tests share: cmocka, an env on an account that must read zero at the end, a scratch directory,
 * and a child whose output is collected while the loop runs. */
#ifndef TESTS_ENV_ENV_RIG_H
#define TESTS_ENV_ENV_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "env/env.h"

#define OK(call) assert_int_equal((call), TROUPE_OK)

static struct account rig_account = {.name = "test"};

static inline struct env *rig_os(void) {
    struct env *env = NULL;
    rig_account = (struct account){.name = "test"}; /* a test that failed before must not fail this one */
    OK(env_os_create(&rig_account, &env));
    return env;
}

static inline void rig_end(struct env *env) {
    env_destroy(env);
    assert_int_equal(rig_account.bytes, 0);
    assert_int_equal(rig_account.blocks, 0);
}

static inline char *rig_directory(char path[64]) {
    snprintf(path, 64, "/tmp/troupe-env-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

/* A child under observation: stops the workers when it has ended. */
struct rig_child {
    struct env *env;
    struct env_child *child;
    struct buffer out, err;
    int status, signal, exits;
    struct env_usage usage;
    size_t stop_at; /* bytes of output after which to stop the workers; 0: at the end */
};

static inline void rig_output(void *context, enum env_stream stream, const char *bytes, size_t length) {
    struct rig_child *rig = context;
    assert_int_equal(rig->exits, 0); /* nothing comes after the end */
    buffer_append(stream == ENV_STREAM_OUT ? &rig->out : &rig->err, bytes, length);
    if (rig->stop_at && rig->out.length >= rig->stop_at)
        env_workers_stop(rig->env);
}

static inline void rig_exited(void *context, int status, int signal, const struct env_usage *usage) {
    struct rig_child *rig = context;
    rig->exits++;
    rig->status = status;
    rig->signal = signal;
    rig->usage = *usage;
    env_workers_stop(rig->env);
}

static inline struct env_child_spec rig_spec(struct rig_child *rig, struct env *env,
                                             const char *const *argv) {
    *rig = (struct rig_child){.env = env};
    buffer_init(&rig->out, &rig_account, 0);
    buffer_init(&rig->err, &rig_account, 0);
    return (struct env_child_spec){.argv = argv, .events = {rig_output, rig_exited, rig}};
}

static inline struct env_step rig_idle(void *context, unsigned worker) {
    (void)context;
    (void)worker;
    return (struct env_step){false, UINT64_MAX};
}

/* Runs the loop until something stops it. */
static inline void rig_run(struct env *env) {
    struct env_workers workers = {.count = 1, .step = rig_idle};
    OK(env_workers_run(env, &workers));
}

static inline void rig_release(struct rig_child *rig) {
    env_child_release(rig->child);
    buffer_free(&rig->out);
    buffer_free(&rig->err);
}

#endif
