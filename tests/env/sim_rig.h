/* What the tests of the simulation share, over env_rig.h: a simulated env, children that do what a script
 * says, and workers that only park. Threads: one. */
#ifndef TESTS_ENV_SIM_RIG_H
#define TESTS_ENV_SIM_RIG_H

#include <signal.h>

#include "env_rig.h"

#define MS UINT64_C(1000000)

static inline struct env *rig_sim(struct env_sim_options options) {
    struct env *env = NULL;
    rig_account = (struct account){.name = "test"};
    OK(env_sim_create(&rig_account, &options, &env));
    return env;
}

/* Every virtual worker parks at once and is never woken. */
static inline enum troupe_error rig_wait(struct env *env) {
    struct env_workers workers = {.count = env_sim_workers(env), .step = rig_idle};
    return env_workers_run(env, &workers);
}

/* A child that calls `talk` for every input and counts. */
struct rig_model {
    void (*talk)(struct rig_model *model, struct env_child *child, const char *bytes, size_t length);
    unsigned spawned, released, inputs, closed;
    bool refuse, stay; /* the next spawn fails; it does not end when its input is closed */
    uint64_t blocked_ns, cpu_ns;
};

static inline void *rig_model_spawn(void *context, struct env_child *child,
                                    const struct env_child_spec *spec) {
    struct rig_model *model = context;
    (void)child;
    (void)spec;
    if (model->refuse)
        return NULL;
    model->spawned++;
    return model;
}

static inline void rig_model_input(void *state, struct env_child *child, const char *bytes, size_t length) {
    struct rig_model *model = state;
    model->inputs++;
    if (model->talk)
        model->talk(model, child, bytes, length);
}

static inline void rig_model_closed(void *state, struct env_child *child) {
    struct rig_model *model = state;
    model->closed++;
    if (!model->stay)
        env_sim_child_exit(child, 0, 3);
}

static inline void rig_model_release(void *state) {
    ((struct rig_model *)state)->released++;
}

static inline void rig_install(struct env *env, struct rig_model *model) {
    struct env_child_model table = {model, rig_model_spawn, rig_model_input, rig_model_closed,
                                    rig_model_release};
    env_sim_set_child_model(env, &table);
}

/* Says back what it reads. */
static inline void rig_echo(struct rig_model *model, struct env_child *child, const char *bytes,
                            size_t length) {
    env_sim_child_emit(child, model->blocked_ns, model->cpu_ns, bytes, length);
}

static const char *const rig_program[] = {"worker", NULL};

static inline void rig_spawn(struct rig_child *rig, struct env *env) {
    struct env_child_spec spec = rig_spec(rig, env, rig_program);
    OK(env_child_spawn(env, &spec, &rig->child, NULL));
}

#endif
