/* What the tests of this floor share: a runtime on the real env or in the simulation whose account must read zero at the end, actors
 * spawned and messages posted in one line. Handlers may assert: a failure on another thread than the first aborts
 * the program, which fails the test too. */
#ifndef TESTS_RUNTIME_RUNTIME_RIG_H
#define TESTS_RUNTIME_RUNTIME_RIG_H

#include "../base/cmocka_base.h"

#include <stdatomic.h>
#include <stdio.h>

#include "runtime/runtime.h"

#define MILLISECOND UINT64_C(1000000)
#define OK(call) assert_int_equal((call), TROUPE_OK)

static struct account rig_account;
static struct env *rig_env;
static struct runtime *rig_runtime;

static inline void rig_begin_with(const struct runtime_options *options) {
    rig_account = ACCOUNT("runtime_rig");
    OK(env_os_create(&rig_account, &rig_env));
    OK(runtime_create(rig_env, &rig_account, options, &rig_runtime, NULL));
}

static inline void rig_begin(unsigned workers) {
    rig_begin_with(&(struct runtime_options){.workers = workers, .actors_max = 4096});
}

/* In virtual time, under a seed, on 1 to 4 virtual workers drawn from it. */
static inline void rig_begin_sim(uint64_t seed) {
    rig_account = ACCOUNT("runtime_rig");
    OK(env_sim_create(&rig_account, &(struct env_sim_options){.seed = seed}, &rig_env));
    OK(runtime_create(rig_env, &rig_account, &(struct runtime_options){.actors_max = 4096}, &rig_runtime,
                      NULL));
}

/* Everything must have been given back. */
static inline void rig_end(void) {
    runtime_free(rig_runtime);
    rig_runtime = NULL;
    env_destroy(rig_env);
    assert_int_equal(rig_account.bytes, 0);
    assert_int_equal(rig_account.blocks, 0);
}

static inline struct runtime_statistics rig_statistics(void) {
    struct runtime_statistics statistics;
    runtime_statistics(rig_runtime, &statistics);
    return statistics;
}

static inline actor_ref rig_spawn(actor_handler handle, void *state) {
    actor_ref ref = 0;
    OK(actor_spawn(rig_runtime, &(struct actor_spec){.name = "test", .handle = handle, .state = state},
                   &ref));
    return ref;
}

/* Sends; a refused message must have stayed with its sender, and is freed. */
static inline enum troupe_error rig_post(struct turn *turn, actor_ref to, enum message_kind kind,
                                         uint64_t token) {
    struct message *message = message_new(rig_runtime, kind, 0);
    assert_non_null(message);
    message->token = token;
    enum troupe_error error = actor_send(rig_runtime, turn, to, &message);
    assert_true((error == TROUPE_OK) == (message == NULL));
    message_free(&message);
    return error;
}

static inline void rig_ignore(struct turn *turn, void *state, const struct message *message) {
    (void)turn, (void)state, (void)message;
}

#endif
