/* Two buffers: the speaker fills `pending`; the job writes `writing`. They change places when no job is under way.
 *
 * `busy` is true from before a job starts until it has ended: the speaker's acquire load pairs with the job's
 * release store, so what the job did to `writing` and `gone` is seen before either is touched again. */
#include "cli/outlet.h"

#include <stdatomic.h>

struct outlet {
    struct env *env;
    struct account *account;
    FILE *file;
    struct buffer pending; /* owner: speaker */
    uint64_t dropped;      /* owner: speaker; calls */
    struct buffer writing; /* owner: job while busy, else speaker */
    bool gone;             /* the same; the reader left, or the disk is full */
    struct env_job job;
    _Atomic bool busy;
};

static void write_all(struct outlet *outlet, struct buffer *text) {
    if (!outlet->gone && text->length > 0 &&
        (fwrite(buffer_string(text), 1, text->length, outlet->file) != text->length ||
         fflush(outlet->file) != 0))
        outlet->gone = true;
    buffer_clear(text);
}

static void job_write(void *arg) {
    struct outlet *outlet = arg;
    write_all(outlet, &outlet->writing);
}

static void job_done(void *arg) {
    struct outlet *outlet = arg;
    atomic_store_explicit(&outlet->busy, false, memory_order_release); /* pairs with outlet_busy */
}

enum troupe_error outlet_create(struct env *env, struct account *account, FILE *file,
                                struct outlet **ret_outlet) {
    struct outlet *outlet = memory_alloc(account, sizeof *outlet);
    if (outlet == NULL)
        return TROUPE_NOMEM;
    outlet->env = env;
    outlet->account = account;
    outlet->file = file;
    buffer_init(&outlet->pending, account, OUTLET_BYTES_MAX);
    buffer_init(&outlet->writing, account, OUTLET_BYTES_MAX);
    outlet->job = (struct env_job){.fn = job_write, .done = job_done, .arg = outlet};
    *ret_outlet = outlet;
    return TROUPE_OK;
}

void outlet_add(struct outlet *outlet, const char *bytes, size_t length) {
    if (outlet->pending.length + length < OUTLET_BYTES_MAX)
        buffer_append(&outlet->pending, bytes, length);
    else
        outlet->dropped++;
}

bool outlet_busy(const struct outlet *outlet) {
    return atomic_load_explicit(&outlet->busy, memory_order_acquire); /* pairs with job_done */
}

void outlet_flush(struct outlet *outlet) {
    if (outlet->pending.length == 0 || outlet_busy(outlet))
        return;
    struct buffer filled = outlet->pending;
    outlet->pending = outlet->writing;
    outlet->writing = filled;
    atomic_store_explicit(&outlet->busy, true, memory_order_relaxed); /* the job's start orders it */
    if (env_job_start(outlet->env, ENV_LANE_POOL, &outlet->job) == TROUPE_OK)
        return;
    filled = outlet->pending; /* the pool is full: later */
    outlet->pending = outlet->writing;
    outlet->writing = filled;
    atomic_store_explicit(&outlet->busy, false, memory_order_relaxed); /* no job saw it */
}

void outlet_close(struct outlet *outlet) {
    if (outlet == NULL)
        return;
    env_jobs_wait(outlet->env);
    write_all(outlet, &outlet->pending);
    if (outlet->dropped > 0 && !outlet->gone)
        fprintf(outlet->file, "(%llu lines were dropped: nobody read them in time)\n",
                (unsigned long long)outlet->dropped);
    buffer_free(&outlet->pending);
    buffer_free(&outlet->writing);
    memory_free(outlet->account, outlet);
}
