/* registry WORKLOAD THREADS N SECONDS: the registry under one load; see peers/load_frame.h.
 * PARTITIONS in the environment: how many, 4 by default. WARM: so many rows that a thread has looked up last are
 * kept by it (off by default). No actor runs: threads are registered as readers. */
#include "registry/registry.h"

#define BACKEND_NAME "troupe_registry"
#define BACKEND_BATCH 1
#define BACKEND_WRITERS_MAX 16
#define BACKEND_FIND
#define ACTORS 256U

struct backend_thread {
    unsigned reader, number;
    struct registry_warm *warm;
};
static void backend_open(uint64_t keys);
static double backend_bytes(void);
static void backend_begin(struct backend_thread *thread, unsigned number);
static void backend_end(struct backend_thread *thread);
static void backend_put(struct backend_thread *thread, const char *name, uint64_t value);
static void backend_drop(struct backend_thread *thread, const char *name);
static void backend_quiescent(struct backend_thread *thread);
static inline uint64_t backend_get(struct backend_thread *thread, const char *name);
static inline void backend_get_batch(struct backend_thread *thread, const char *const *names,
                                     uint64_t *ret_values);

static unsigned backend_find(struct backend_thread *thread, unsigned number);

#include "peers/load_frame.h"

static struct {
    struct account account;
    struct env *env;
    struct runtime *runtime;
    struct registry *registry;
    registry_space space;
    actor_ref actors[ACTORS];
} rig;

static void backend_open(uint64_t keys) {
    struct fault fault = {0};
    const char *partitions = getenv("PARTITIONS");
    struct registry_options options = {.rows_max = 2 * keys + 1000000,
                                       .partitions = partitions != NULL ? (unsigned)atoi(partitions) : 0};
    rig.account = ACCOUNT("registry");
    enum troupe_error error = env_os_create(&rig.account, &rig.env);
    if (error == TROUPE_OK) {
        error = runtime_create(rig.env, &rig.account, &(struct runtime_options){.workers = 1}, &rig.runtime,
                               &fault);
    }
    if (error == TROUPE_OK) {
        error = registry_create(rig.runtime, &rig.account, &options, &rig.registry, &fault);
    }
    if (error == TROUPE_OK) {
        error = registry_space_open(rig.registry, "agents", &rig.space);
    }
    for (unsigned at = 0; error == TROUPE_OK && at < ACTORS; at++) {
        struct actor_spec spec = {.name = "idle", .handle = (actor_handler)(void (*)(void))abort};
        error = actor_spawn(rig.runtime, &spec, &rig.actors[at]);
    }
    if (error != TROUPE_OK) {
        load_fail(fault.text[0] != '\0' ? fault.text : error_text(error));
    }
}

static double backend_bytes(void) {
    struct registry_statistics statistics;
    registry_statistics(rig.registry, &statistics);
    return (double)statistics.bytes;
}

static void backend_begin(struct backend_thread *thread, unsigned number) {
    *thread = (struct backend_thread){.number = number};
    if (grace_register(runtime_grace(rig.runtime), &thread->reader) != TROUPE_OK) {
        load_fail("no reader is left");
    }
    const char *warm = getenv("WARM");
    if (warm != NULL &&
        registry_warm_create(rig.registry, (unsigned)atoi(warm), &thread->warm) != TROUPE_OK) {
        load_fail("WARM is a power of two");
    }
}

static void backend_end(struct backend_thread *thread) {
    registry_warm_free(thread->warm);
    grace_unregister(runtime_grace(rig.runtime), thread->reader);
}

static void backend_quiescent(struct backend_thread *thread) {
    grace_quiescent(runtime_grace(rig.runtime), thread->reader);
    grace_collect(runtime_grace(rig.runtime));
}

/* The actor of a name: each thread has its own. */
static actor_ref backend_actor(const struct backend_thread *thread, const char *name) {
    return rig.actors[(thread->number * 64 + (unsigned char)name[NAME_BYTES - 1] % 16 * 4 +
                       (unsigned char)name[NAME_BYTES - 2] % 4) %
                      ACTORS];
}

/* With one capability of 64, so that there is something to find. */
static void put_capable(const struct backend_thread *thread, const char *name, uint64_t value) {
    char text[NAME_BYTES + 1] = {0};
    uint64_t version;
    memcpy(text, name, NAME_BYTES);
    struct registration registration = {.name_space = "agents",
                                        .name = text,
                                        .actor = backend_actor(thread, name),
                                        .capabilities = {{UINT64_C(1) << value * 7 % 64}},
                                        .health = HEALTH_UP};
    enum troupe_error error = registry_register(rig.registry, &registration, 0, &version, NULL);
    if (error != TROUPE_OK) {
        load_fail(error_text(error));
    }
}

static unsigned backend_find(struct backend_thread *thread, unsigned number) {
    const struct registry_row *rows[BATCH];
    struct capability_set wanted = {{UINT64_C(1) << number % 64}};
    (void)thread;
    return (unsigned)registry_find(rig.registry, "agents", &wanted, rows, BATCH);
}

static void backend_put(struct backend_thread *thread, const char *name, uint64_t value) {
    uint64_t version;
    enum troupe_error error;
    if (frame.workload == FIND) {
        put_capable(thread, name, value);
        return;
    }
    while ((error = registry_put(rig.registry, rig.space, name, NAME_BYTES, backend_actor(thread, name), 0,
                                 &version)) == TROUPE_FULL) {
        backend_quiescent(thread);
        sched_yield();
    }
    if (error != TROUPE_OK) {
        load_fail(error_text(error));
    }
}

static void backend_drop(struct backend_thread *thread, const char *name) {
    enum troupe_error error =
        registry_drop(rig.registry, rig.space, name, NAME_BYTES, backend_actor(thread, name));
    if (error != TROUPE_OK) {
        load_fail(error_text(error));
    }
}

static inline uint64_t backend_get(struct backend_thread *thread, const char *name) {
    const struct registry_row *row = thread->warm != NULL
                                         ? registry_warm_get(thread->warm, rig.space, name, NAME_BYTES, 0)
                                         : registry_get(rig.registry, rig.space, name, NAME_BYTES, 0);
    return row != NULL ? row->actor : 0;
}

static inline void backend_get_batch(struct backend_thread *thread, const char *const *names,
                                     uint64_t *ret_values) {
    struct registry_name keys[BATCH];
    const struct registry_row *rows[BATCH];
    (void)thread;
    for (unsigned at = 0; at < BATCH; at++) {
        keys[at] = (struct registry_name){names[at], NAME_BYTES};
    }
    registry_get_batch(rig.registry, rig.space, keys, BATCH, 0, rows);
    for (unsigned at = 0; at < BATCH; at++) {
        ret_values[at] = rows[at] != NULL ? rows[at]->actor : 0;
    }
}
