/* An actor that writes a list of rows through a store, a window of them unanswered at a time, and notes the
 * answers. For the tests of this floor, on the real env and in the simulation.
 * Threads: the actor's; read after runtime_run. */
#ifndef TESTS_STORE_DRIVER_H
#define TESTS_STORE_DRIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"

struct driver_row {
    struct store_row row;
    const char *name, *text;
};

struct driver {
    struct store *store;
    uint32_t count;  /* rows to write */
    uint32_t window; /* unanswered at a time; 0: as many as the store takes */
    struct driver_row (*make)(void *context, uint32_t index);
    void (*answered)(void *context, uint32_t index,
                     const struct message_store_committed *answer); /* may be NULL */
    void *context;

    uint32_t written, answers, failed, refused /* FULL */;
    enum troupe_error write_error; /* of store_write, when it was neither OK nor FULL */
    enum troupe_error last_error;
    char last_text[256];
    bool in_order;
};

static void driver_fill(struct driver *driver, struct turn *turn) {
    while (driver->written < driver->count && driver->write_error == TROUPE_OK &&
           (driver->window == 0 || driver->written - driver->answers < driver->window)) {
        struct driver_row row = driver->make(driver->context, driver->written);
        enum troupe_error error =
            store_write(driver->store, turn, &row.row, row.name, row.text, true, driver->written);
        if (error == TROUPE_FULL) {
            driver->refused++;
            if (driver->written == driver->answers)
                driver->write_error = error; /* nothing is on its way: nobody would call us again */
            break;
        }
        if (error != TROUPE_OK) {
            driver->write_error = error;
            break;
        }
        driver->written++;
    }
    if (driver->answers == driver->written &&
        (driver->written == driver->count || driver->write_error != TROUPE_OK))
        runtime_stop(turn->runtime);
}

static void driver_handle(struct turn *turn, void *state, const struct message *message) {
    struct driver *driver = state;
    if (message->kind == MESSAGE_STORE_COMMITTED) {
        const struct message_store_committed *answer =
            MESSAGE_PAYLOAD(message, struct message_store_committed);
        if (answer->token != driver->answers)
            driver->in_order = false;
        driver->answers++;
        if (answer->error != TROUPE_OK) {
            driver->failed++;
            driver->last_error = answer->error;
            snprintf(driver->last_text, sizeof driver->last_text, "%s", answer->text);
        }
        if (driver->answered != NULL)
            driver->answered(driver->context, (uint32_t)answer->token, answer);
    } else if (message->kind != MESSAGE_USER) {
        return;
    }
    driver_fill(driver, turn);
}

/* Runs the rows to their end (or until the simulation ends) on a runtime of its own. */
static enum troupe_error driver_run(struct driver *driver, struct env *env, struct account *account) {
    struct runtime *runtime = NULL;
    struct runtime_options options = {.workers = env_is_sim(env) ? 0 : 2};
    driver->in_order = true;
    enum troupe_error error = runtime_create(env, account, &options, &runtime, NULL);
    if (error != TROUPE_OK)
        return error;
    error = store_start(driver->store, runtime, NULL);
    actor_ref actor = 0;
    struct actor_spec spec = {.name = "driver", .handle = driver_handle, .state = driver};
    if (error == TROUPE_OK)
        error = actor_spawn(runtime, &spec, &actor);
    struct message *start = NULL;
    if (error == TROUPE_OK) {
        start = message_new(runtime, MESSAGE_USER, 0);
        error = start == NULL ? TROUPE_NOMEM : actor_send(runtime, NULL, actor, &start);
    }
    message_free(&start);
    if (error == TROUPE_OK)
        error = runtime_run(runtime);
    runtime_free(runtime);
    return error;
}

#endif
