/* The registry of libtroupe: names, what they say, finding, watching, and keeping it all over the end of a process.
 *
 * Threads and memory: as in troupe.h. What is handed out is copied, but for opaque bytes, which stay in the row until the
 * turn ends. */
#include "api/api_private.h"

#include <stdio.h>
#include <string.h>

#include "store/store.h"

#define BATCH 64U

_Static_assert(sizeof(struct troupe_capabilities) == sizeof(struct capability_set), "one is the other");
_Static_assert(TROUPE_NAME_MAX == REGISTRY_NAME_MAX && TROUPE_OPAQUE_MAX == REGISTRY_OPAQUE_MAX &&
                   TROUPE_LOADS == REGISTRY_LOADS && TROUPE_LEAST_LOADED_MAX == REGISTRY_LEAST_MAX,
               "the bounds that are told are those that are kept");
_Static_assert((int)TROUPE_HEALTH_UP == (int)HEALTH_UP && (int)TROUPE_HEALTH_DOWN == (int)HEALTH_DOWN,
               "the same order");
_Static_assert((int)TROUPE_REGISTRY_ADDED == (int)REGISTRY_ADDED &&
                   (int)TROUPE_REGISTRY_FELL_BEHIND == (int)REGISTRY_FELL_BEHIND,
               "the same order");

static uint64_t now_of(const struct troupe *troupe, const struct troupe_turn *turn) {
    return turn != NULL ? turn->turn->now_ns : env_now(troupe->env);
}

static struct capability_set set_of(const struct troupe_capabilities *capabilities) {
    struct capability_set set;
    memcpy(&set, capabilities, sizeof set);
    return set;
}

static bool entry_valid(const struct troupe_registry_entry *entry) {
    return (unsigned)entry->health <= TROUPE_HEALTH_DOWN && entry->load < TROUPE_LOADS &&
           entry->opaque_length <= TROUPE_OPAQUE_MAX && (entry->opaque != NULL || entry->opaque_length == 0);
}

static void row_copy(const struct registry *registry, const struct registry_row *row,
                     struct troupe_registry_row *ret) {
    struct registry_view view;
    registry_row_view(registry, row, &view);
    *ret = (struct troupe_registry_row){.actor = row->actor, .version = view.version};
    ret->entry = (struct troupe_registry_entry){.health = (enum troupe_health)view.health,
                                                .load = view.load,
                                                .node = view.node,
                                                .lease_ns = view.lease_ns,
                                                .opaque = view.opaque_length > 0 ? view.opaque : NULL,
                                                .opaque_length = view.opaque_length};
    memcpy(&ret->entry.capabilities, view.capabilities, sizeof ret->entry.capabilities);
    memcpy(ret->name, row->name, view.name_length);
}

/* ---- names ---- */

enum troupe_status troupe_registry_register(struct troupe *troupe, const char *name_space, const char *name,
                                            troupe_actor actor) {
    static const struct troupe_registry_entry nothing;
    return troupe_registry_register_entry(troupe, name_space, name, actor, &nothing, NULL);
}

enum troupe_status troupe_registry_register_entry(struct troupe *troupe, const char *name_space,
                                                  const char *name, troupe_actor actor,
                                                  const struct troupe_registry_entry *entry,
                                                  uint64_t *ret_version) {
    uint64_t version;
    if (!entry_valid(entry)) {
        return TROUPE_STATUS_INVALID;
    }
    struct registration registration = {.name_space = name_space,
                                        .name = name,
                                        .actor = actor,
                                        .capabilities = set_of(&entry->capabilities),
                                        .health = (enum health)entry->health,
                                        .node = entry->node,
                                        .load = (uint8_t)entry->load,
                                        .lease_ns = entry->lease_ns,
                                        .opaque = entry->opaque,
                                        .opaque_length = entry->opaque_length};
    enum troupe_error error =
        registry_register(troupe->registry, &registration, env_now(troupe->env), &version, NULL);
    if (error == TROUPE_OK && ret_version != NULL) {
        *ret_version = version;
    }
    return api_status(error);
}

enum troupe_status troupe_registry_unregister(struct troupe *troupe, const char *name_space, const char *name,
                                              troupe_actor actor) {
    return api_status(registry_unregister(troupe->registry, name_space, name, actor));
}

enum troupe_status troupe_registry_update(struct troupe *troupe, const char *name_space, const char *name,
                                          uint64_t version_expected, unsigned what,
                                          const struct troupe_registry_entry *entry) {
    struct registry_update update = REGISTRY_UPDATE_NONE;
    struct capability_set capabilities = set_of(&entry->capabilities);
    if (!entry_valid(entry) || (what & ~(unsigned)TROUPE_CHANGE_ALL) != 0) {
        return TROUPE_STATUS_INVALID;
    }
    if ((what & TROUPE_CHANGE_CAPABILITIES) != 0) {
        update.capabilities = &capabilities;
    }
    if ((what & TROUPE_CHANGE_HEALTH) != 0) {
        update.health = (int)entry->health;
    }
    if ((what & TROUPE_CHANGE_LOAD) != 0) {
        update.load = (int)entry->load;
    }
    if ((what & TROUPE_CHANGE_NODE) != 0) {
        update.node = entry->node;
    }
    if ((what & TROUPE_CHANGE_OPAQUE) != 0) {
        update.opaque = entry->opaque != NULL ? entry->opaque : "";
        update.opaque_length = entry->opaque_length;
    }
    return api_status(registry_update(troupe->registry, name_space, name, version_expected, &update));
}

/* ---- reading ---- */

troupe_actor troupe_registry_lookup(struct troupe *troupe, struct troupe_turn *turn, const char *name_space,
                                    const char *name) {
    const struct registry_row *row =
        registry_lookup(troupe->registry, name_space, name, now_of(troupe, turn));
    return row != NULL ? row->actor : 0;
}

enum troupe_status troupe_registry_read(struct troupe *troupe, struct troupe_turn *turn,
                                        const char *name_space, const char *name,
                                        struct troupe_registry_row *ret_row) {
    const struct registry_row *row =
        registry_lookup(troupe->registry, name_space, name, now_of(troupe, turn));
    if (row == NULL) {
        return TROUPE_STATUS_NOT_FOUND;
    }
    row_copy(troupe->registry, row, ret_row);
    return TROUPE_STATUS_OK;
}

size_t troupe_registry_lookup_batch(struct troupe *troupe, struct troupe_turn *turn, const char *name_space,
                                    const char *const *names, size_t count, troupe_actor *ret_actors) {
    const struct registry_row *rows[BATCH];
    uint64_t now_ns = now_of(troupe, turn);
    size_t hits = 0;
    for (size_t first = 0; first < count; first += BATCH) {
        size_t some = count - first < BATCH ? count - first : BATCH;
        hits += registry_lookup_batch(troupe->registry, name_space, names + first, some, now_ns, rows);
        for (size_t at = 0; at < some; at++) {
            ret_actors[first + at] = rows[at] != NULL ? rows[at]->actor : 0;
        }
    }
    return hits;
}

size_t troupe_registry_find(struct troupe *troupe, struct troupe_turn *turn, const char *name_space,
                            const struct troupe_capabilities *needed, enum troupe_find how,
                            struct troupe_registry_row *ret_rows, size_t rows_max) {
    const struct registry_row *rows[TROUPE_FIND_MAX];
    struct capability_set set = needed != NULL ? set_of(needed) : (struct capability_set){{0}};
    bool least = ((unsigned)how & TROUPE_FIND_LEAST_LOADED) != 0, up = ((unsigned)how & TROUPE_FIND_UP) != 0;
    /* Who is degraded is left out afterwards, so as many as there is room for are looked at. */
    size_t most = up || rows_max > TROUPE_FIND_MAX ? TROUPE_FIND_MAX : rows_max, found = 0;
    (void)turn; /* who calls is in one, or nobody else is */
    size_t count = least ? registry_find_least_loaded(troupe->registry, name_space, &set, rows, most)
                         : registry_find(troupe->registry, name_space, &set, rows, most);
    for (size_t at = 0; at < count && found < rows_max; at++) {
        row_copy(troupe->registry, rows[at], &ret_rows[found]);
        found += !up || ret_rows[found].entry.health == TROUPE_HEALTH_UP;
    }
    return found;
}

/* ---- watching ---- */

enum troupe_status troupe_registry_watch(struct troupe_turn *turn, const char *name_space,
                                         uint64_t *ret_watch) {
    return api_status(
        registry_watch(turn->troupe->registry, turn->turn, name_space, turn->turn->self, ret_watch));
}

void troupe_registry_unwatch(struct troupe *troupe, uint64_t watch) {
    registry_unwatch(troupe->registry, watch);
}

const struct troupe_registry_event *api_registry_event(const struct message *message,
                                                       struct troupe_registry_event *to) {
    const struct message_registry_change *change =
        MESSAGE_PAYLOAD(message, const struct message_registry_change);
    *to = (struct troupe_registry_event){.kind = (enum troupe_registry_event_kind)change->change,
                                         .actor = change->actor,
                                         .version = change->version,
                                         .health = (enum troupe_health)change->health};
    memcpy(&to->capabilities, &change->capabilities, sizeof to->capabilities);
    memcpy(to->name, change->name, sizeof to->name);
    return to;
}

/* ---- warm rows ---- */

struct troupe_warm {
    struct troupe *troupe;
    struct registry_warm *warm;
    registry_space space;
};

enum troupe_status troupe_warm_open(struct troupe *troupe, const char *name_space, unsigned entries,
                                    struct troupe_warm **ret_warm) {
    if (runtime_workers(troupe->runtime) != 1) {
        return TROUPE_STATUS_INVALID; /* an actor may move, and warm rows belong to one thread */
    }
    struct troupe_warm *warm = memory_alloc(&troupe->account, sizeof *warm);
    if (warm == NULL) {
        return TROUPE_STATUS_NO_MEMORY;
    }
    warm->troupe = troupe;
    enum troupe_error error = registry_space_open(troupe->registry, name_space, &warm->space);
    if (error == TROUPE_OK) {
        error = registry_warm_create(troupe->registry, entries, &warm->warm);
    }
    if (error != TROUPE_OK) {
        memory_free(&troupe->account, warm);
        return api_status(error);
    }
    *ret_warm = warm;
    return TROUPE_STATUS_OK;
}

troupe_actor troupe_warm_lookup(struct troupe_warm *warm, struct troupe_turn *turn, const char *name) {
    const struct registry_row *row =
        registry_warm_get(warm->warm, warm->space, name, strlen(name), now_of(warm->troupe, turn));
    return row != NULL && actor_alive(warm->troupe->runtime, row->actor) ? row->actor : 0;
}

void troupe_warm_close(struct troupe_warm *warm) {
    if (warm != NULL) {
        registry_warm_free(warm->warm);
        memory_free(&warm->troupe->account, warm);
    }
}

/* ---- over the end of a process ---- */

static void tell(char *ret_problem, const struct fault *fault) {
    if (ret_problem != NULL && fault->error != TROUPE_OK) {
        snprintf(ret_problem, TROUPE_PROBLEM_MAX, "%.90s: %.150s", fault->where, fault->text);
    }
}

enum troupe_status troupe_registry_save(struct troupe *troupe, struct troupe_turn *turn,
                                        const char *directory, const char *name_space, size_t *ret_rows,
                                        char *ret_problem) {
    struct buffer text;
    struct store *store = NULL;
    struct fault fault = {0};
    size_t rows = 0;
    (void)turn; /* as in find */
    buffer_init(&text, &troupe->account, TROUPE_SAVED_BYTES_MAX);
    enum troupe_error error = registry_save(troupe->registry, name_space, &text, &rows);
    if (error != TROUPE_OK) {
        fault_set(&fault, error, directory, "namespace '%.60s': %s", name_space, error_text(error));
    } else {
        error = env_make_directories(troupe->env, directory, &fault);
    }
    if (error == TROUPE_OK) {
        error = store_open(troupe->env, &troupe->account, directory, &(struct store_options){.create = true},
                           &store, &fault);
    }
    if (error == TROUPE_OK) {
        struct store_entry entry = {
            .row = {.kind = STORE_REGISTRY}, .name = name_space, .text = buffer_string(&text)};
        error = store_append(store, &entry, 1, &fault);
    }
    store_close(store);
    buffer_free(&text);
    tell(ret_problem, &fault);
    if (error == TROUPE_OK && ret_rows != NULL) {
        *ret_rows = rows;
    }
    return api_status(error);
}

struct restoring {
    struct troupe *troupe;
    const char *name_space, *directory;
    troupe_registry_restorer *restorer;
    void *context;
    struct troupe_registry_restored counts;
    uint64_t now_ns;
    bool found;
    enum troupe_error error;
    struct fault fault;
};

static void restore_begin(void *context, size_t rows) {
    struct restoring *restoring = context;
    IGNORE(registry_reserve(restoring->troupe->registry, rows), "then tables grow as rows come");
}

static enum troupe_error restore_row(void *context, const struct registration *registration, bool expired) {
    struct restoring *restoring = context;
    struct troupe_registry_row row = {
        .entry = {.health = (enum troupe_health)registration->health,
                  .load = registration->load,
                  .node = registration->node,
                  .lease_ns = registration->lease_ns,
                  .opaque = registration->opaque_length > 0 ? registration->opaque : NULL,
                  .opaque_length = registration->opaque_length}};
    if (expired) {
        restoring->counts.expired++;
        return TROUPE_OK;
    }
    memcpy(&row.entry.capabilities, &registration->capabilities, sizeof row.entry.capabilities);
    memcpy(row.name, registration->name, strlen(registration->name));
    row.actor = restoring->restorer(restoring->context, &row);
    if (row.actor == 0) {
        restoring->counts.refused++;
        return TROUPE_OK;
    }
    struct registration whole = *registration;
    uint64_t version;
    whole.name_space = restoring->name_space;
    whole.actor = row.actor;
    enum troupe_error error = registry_register(restoring->troupe->registry, &whole, restoring->now_ns,
                                                &version, &restoring->fault);
    restoring->counts.rows += error == TROUPE_OK;
    return error;
}

static bool restore_text(void *context, const struct store_row *row, const char *name, const char *text) {
    struct restoring *restoring = context;
    if (strcmp(name, restoring->name_space) != 0) {
        return true;
    }
    restoring->found = true;
    restoring->now_ns = env_now(restoring->troupe->env);
    restoring->error = registry_saved_read(
        text, row->text_length, restoring->directory, env_utc(restoring->troupe->env),
        &(struct registry_saved){restore_begin, restore_row, restoring}, &restoring->fault);
    return false;
}

enum troupe_status troupe_registry_restore(struct troupe *troupe, const char *directory,
                                           const char *name_space, troupe_registry_restorer *restorer,
                                           void *context, struct troupe_registry_restored *ret_restored,
                                           char *ret_problem) {
    struct restoring restoring = {.troupe = troupe,
                                  .name_space = name_space,
                                  .directory = directory,
                                  .restorer = restorer,
                                  .context = context};
    struct store_reader *reader = NULL;
    enum troupe_error error =
        store_reader_open(troupe->env, &troupe->account, directory, &reader, &restoring.fault);
    if (error == TROUPE_OK) {
        error = store_read(reader, STORE_REGISTRY, restore_text, &restoring, &restoring.fault);
    }
    store_reader_close(reader);
    if (error == TROUPE_OK) {
        error = restoring.error;
    }
    if (error == TROUPE_OK && !restoring.found) {
        error = fault_set(&restoring.fault, TROUPE_NOT_FOUND, directory,
                          "namespace '%.60s' was never saved there", name_space);
    }
    tell(ret_problem, &restoring.fault);
    if (ret_restored != NULL) {
        *ret_restored = restoring.counts;
    }
    return api_status(error);
}
