/* The runtime: made, run, stopped, counted, freed.
 *
 * Invariants: after the run has returned no handler runs any more; actors that are left are destroyed in
 *             slot order, their messages with them, so that accounts read zero after runtime_free.
 * Threads: create, run, free: one thread; stop, statistics: any.
 * Memory:  the account given. */
#include <string.h>

#include "runtime/oneshot.h"

#define ACTORS_DEFAULT 1048576U
#define MAILBOX_DEFAULT 1024U
#define BUDGET_DEFAULT_NS 1000000U
#define GRACE_READERS_OUTSIDE 64U
#define GRACE_RETIRED_MAX 262144U
#define BURST 512U
#define STEP_NS_MAX 100000U
#define CLOCK_NS_MAX 2000U

static void runtime_release(struct runtime *runtime) {
    struct account *account = runtime->account;
    grace_free(runtime->grace);
    cell_table_free(&runtime->actors);
    cell_table_free(&runtime->oneshots);
    pool_free(&runtime->pool);
    actor_names_free(runtime);
    turn_records_free(runtime);
    memory_free(account, runtime->workers);
    memory_free(account, runtime);
}

static enum troupe_error runtime_fill(struct runtime *runtime, uint32_t actors_max) {
    struct account *account = runtime->account;
    pool_init(&runtime->pool, account);
    runtime->workers = memory_alloc_aligned(account, 64, runtime->workers_count * sizeof *runtime->workers);
    runtime->names = actor_names_new(account);
    if (runtime->workers == NULL || runtime->names == NULL) {
        return TROUPE_NOMEM;
    }
    enum troupe_error error = cell_table_init(&runtime->actors, account, sizeof(struct actor), actors_max);
    if (error == TROUPE_OK) {
        /* Asks and timers: a few per actor. */
        error = cell_table_init(&runtime->oneshots, account, ONESHOT_CELL_BYTES, UINT32_C(4) << 20);
    }
    if (error == TROUPE_OK) {
        error = grace_create(account, runtime->workers_count + GRACE_READERS_OUTSIDE, GRACE_RETIRED_MAX,
                             &runtime->grace);
    }
    if (error != TROUPE_OK) {
        return error;
    }
    error = turn_records_begin(runtime);
    if (error != TROUPE_OK) {
        return error;
    }
    uint64_t now_ns = env_now(runtime->env);
    for (unsigned index = 0; index < runtime->workers_count; index++) {
        struct worker *worker = &runtime->workers[index];
        unsigned reader;
        worker->runtime = runtime;
        worker->index = index;
        wheel_init(&worker->wheel, now_ns);
        error = grace_register(runtime->grace, &reader);
        CHECK(error == TROUPE_OK && reader == index);
        grace_offline(runtime->grace, reader);
    }
    return TROUPE_OK;
}

enum troupe_error runtime_create(struct env *env, struct account *account,
                                 const struct runtime_options *options, struct runtime **ret_runtime,
                                 struct fault *fault) {
    static const struct runtime_options defaults;
    if (options == NULL) {
        options = &defaults;
    }
    bool sim = env_is_sim(env);
    unsigned workers = options->workers;
    if (workers == 0) {
        workers = sim ? env_sim_workers(env) : env_cores(env);
    }
    workers = workers < 1 ? 1 : workers;
    if (workers > WORKERS_MAX) {
        if (options->workers != 0) {
            return fault_set(fault, TROUPE_LIMIT, "runtime",
                             "%u workers are asked for; at most %u are possible", workers, WORKERS_MAX);
        }
        workers = WORKERS_MAX;
    }
    if (options->record.write != NULL && options->actors_max > TURN_RECORD_ACTORS_MAX) {
        return fault_set(fault, TROUPE_LIMIT, "runtime",
                         "turns of up to %u actors can be recorded; %u are asked for", TURN_RECORD_ACTORS_MAX,
                         options->actors_max);
    }
    struct runtime *runtime = memory_alloc_aligned(account, 64, sizeof *runtime);
    if (runtime == NULL) {
        return fault_set(fault, TROUPE_NOMEM, "runtime", "no memory for the runtime");
    }
    runtime->env = env;
    runtime->account = account;
    runtime->tracer = options->tracer;
    runtime->sink = options->record;
    CHECK(options->guide.may == NULL || sim);
    runtime->guide = options->guide;
    runtime->whole = sim || options->record.write != NULL;
    runtime->workers_count = workers;
    runtime->sim = sim;
    if (sim) {
        random_seed(&runtime->draws, env_random(env), 0);
    }
    runtime->burst = sim ? 1 : BURST;
    runtime->turn_budget_ns = options->turn_budget_ns != 0 ? options->turn_budget_ns : BUDGET_DEFAULT_NS;
    runtime->mailbox_len_max = options->mailbox_len_max != 0 ? options->mailbox_len_max : MAILBOX_DEFAULT;
    uint64_t clock_ns =
        runtime->turn_budget_ns / 4 < CLOCK_NS_MAX ? runtime->turn_budget_ns / 4 : CLOCK_NS_MAX;
    runtime->clock_ticks_max = (uint64_t)((double)clock_ns * env_ticks_per_ns(env));
    runtime->calm_ticks_max = runtime->clock_ticks_max / 16;
    runtime->step_ns_max = STEP_NS_MAX;
    enum troupe_error error =
        runtime_fill(runtime, options->actors_max != 0 ? options->actors_max : ACTORS_DEFAULT);
    if (error != TROUPE_OK) {
        runtime_release(runtime);
        return fault_set(fault, error, "runtime", "no memory for %u workers", workers);
    }
    *ret_runtime = runtime;
    return TROUPE_OK;
}

/* Destroys what is left. No worker runs any more, and job threads are done (or, simulated, will never be). */
static void runtime_end(struct runtime *runtime) {
    if (runtime->ended) {
        return;
    }
    runtime->ended = true;
    struct worker *worker = &runtime->workers[0];
    worker_of_thread = worker;
    worker->here = true; /* nobody else is */
    uint32_t created = cell_table_created(&runtime->actors);
    for (uint32_t slot = 0; slot < created; slot++) { /* alone now: all is worker 0's */
        struct actor *actor = (struct actor *)(void *)cell_at(&runtime->actors, slot);
        atomic_store_explicit(&actor->owner, 0, memory_order_relaxed);
    }
    for (uint32_t slot = 0; slot < created; slot++) {
        struct actor *actor = (struct actor *)(void *)cell_at(&runtime->actors, slot);
        if (actor->phase == ACTOR_LIVE) {
            actor_end(runtime, worker, actor, TROUPE_CANCELLED);
        }
        if (actor->phase == ACTOR_ENDING) {
            bool drained = actor_drain(runtime, worker, actor, true); /* no notice will come */
            CHECK(drained); /* nobody is left who could be pushing */
        }
    }
    oneshot_poll(worker, 0, 0); /* unlinks what was cancelled */
    worker_of_thread = NULL;
}

enum troupe_error runtime_run(struct runtime *runtime) {
    CHECK(!runtime->ended);
    atomic_store(&runtime->running, runtime->workers_count);
    struct env_workers workers = {
        .count = runtime->workers_count, .step = worker_step, .park = worker_park, .context = runtime};
    enum troupe_error error = env_workers_run(runtime->env, &workers);
    if (error != TROUPE_OK) { /* a simulation that ended in the middle: its jobs point to actors' states */
        env_jobs_wait(runtime->env);
    }
    turn_records_end(runtime);
    runtime_end(runtime);
    return error;
}

void runtime_stop(struct runtime *runtime) {
    struct env *env = runtime->env;
    unsigned workers = runtime->workers_count;
    atomic_store(&runtime->stopping, true);
    for (unsigned index = workers; index-- > 0;) { /* worker 0 last: it ends the run */
        env_worker_wake(env, index);
    }
}

void runtime_free(struct runtime *runtime) {
    if (runtime == NULL) {
        return;
    }
    runtime_end(runtime);
    jobs_free(runtime);
    runtime_release(runtime);
}

struct env *runtime_env(const struct runtime *runtime) {
    return runtime->env;
}

struct tracer *runtime_tracer(const struct runtime *runtime) {
    return runtime->tracer;
}

unsigned runtime_workers(const struct runtime *runtime) {
    return runtime->workers_count;
}

struct grace *runtime_grace(const struct runtime *runtime) {
    return runtime->grace;
}

uint64_t runtime_self_cpu(const struct runtime *runtime) {
    if (runtime->sim) {
        return env_thread_cpu(runtime->env);
    }
    const struct worker *current = worker_current(runtime);
    uint64_t cpu_ns = 0;
    for (unsigned index = 0; index < runtime->workers_count; index++) {
        const struct worker *worker = &runtime->workers[index];
        cpu_ns += worker == current
                      ? env_thread_cpu(runtime->env) - worker->cpu_base_ns
                      : atomic_load_explicit(&worker->counts.cpu_ns, memory_order_relaxed); /* statistic */
    }
    return cpu_ns;
}

static void counts_add(struct runtime_statistics *sum, const struct worker_counts *counts, uint64_t *ended) {
    const struct {
        uint64_t *to;
        const counter *from;
    } sums[] = {
        {&sum->turns, &counts->turns},
        {&sum->long_turns, &counts->long_turns},
        {&sum->dead_letters, &counts->dead_letters},
        {&sum->refused, &counts->refused},
        {&sum->late_replies, &counts->late_replies},
        {&sum->parks, &counts->parks},
        {&sum->wakes, &counts->wakes},
        {&sum->steals, &counts->steals},
        {&sum->actors_spawned, &counts->spawned},
        {ended, &counts->ended},
    };
    for (size_t at = 0; at < ARRAY_COUNT(sums); at++) {
        *sums[at].to += atomic_load_explicit(sums[at].from, memory_order_relaxed); /* statistics */
    }
}

void runtime_statistics(const struct runtime *runtime, struct runtime_statistics *ret) {
    struct runtime_statistics sum = {0};
    uint64_t ended = 0;
    for (unsigned index = 0; index < runtime->workers_count; index++) {
        counts_add(&sum, &runtime->workers[index].counts, &ended);
    }
    counts_add(&sum, &runtime->outside, &ended);
    sum.messages = sum.turns; /* a turn is one message */
    sum.actors_live = sum.actors_spawned - ended;
    size_t retired_max;
    sum.retired = grace_retired(runtime->grace, &retired_max);
    sum.retired_max = retired_max;
    struct runtime *locked = (struct runtime *)(uintptr_t)runtime; /* only its lock changes */
    spin_lock(&locked->longest_lock);
    sum.longest_turn_ns = runtime->longest_turn_ns;
    memcpy(sum.longest_turn_actor, runtime->longest_turn_actor, sizeof sum.longest_turn_actor);
    spin_unlock(&locked->longest_lock);
    *ret = sum;
}
