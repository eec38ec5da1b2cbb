/* Reads each run's definition for its objective and its store for its state; the trials themselves only of
 * runs that have no summary yet. Threads, memory: see the header. */
#include "cli/run_listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX 100000

#define PATH_BYTES 1200

static bool path_make(char out[PATH_BYTES], const char *directory, const char *name) {
    int length = snprintf(out, PATH_BYTES, "%s/%s", directory, name);
    return length > 0 && length < PATH_BYTES;
}

struct brief_reading {
    struct run_brief *brief;
    int64_t state_utc_ns;
    bool ended;
};

static bool on_told(void *context, const struct store_row *row, const char *name, const char *text) {
    struct brief_reading *reading = context;
    struct run_brief *brief = reading->brief;
    (void)name;
    (void)text;
    brief->told++;
    brief->updated_utc_ns = row->utc_ns > brief->updated_utc_ns ? row->utc_ns : brief->updated_utc_ns;
    if (row->a != TRIAL_OK) {
        brief->failed++;
        return true;
    }
    if (!brief->has_best || (brief->maximise ? row->real > brief->best : row->real < brief->best))
        brief->best = row->real;
    brief->has_best = true;
    return true;
}

static bool on_state(void *context, const struct store_row *row, const char *name, const char *text) {
    struct brief_reading *reading = context;
    (void)name;
    (void)text;
    reading->ended = true;
    reading->state_utc_ns = row->utc_ns;
    reading->brief->state =
        row->a >= RUN_RUNNING && row->a <= RUN_FAILED ? (enum run_state)row->a : RUN_FAILED;
    return true;
}

static enum troupe_error read_definition(struct env *env, struct account *account, const char *directory,
                                         struct run_brief *brief, struct fault *fault) {
    struct document *document = NULL;
    enum troupe_error error =
        run_read_definition(env, account, directory, &document, &brief->updated_utc_ns, fault);
    if (error != TROUPE_OK)
        return error;
    const struct node *objective = node_get(node_get(document_root(document), "pipeline"), "objective"),
                      *metric = node_get(objective, "metric"), *goal = node_get(objective, "goal");
    if (node_kind(metric) == DOCUMENT_STRING)
        snprintf(brief->metric, sizeof brief->metric, "%s", node_string(metric));
    brief->maximise = node_kind(goal) == DOCUMENT_STRING && strncmp(node_string(goal), "max", 3) == 0;
    document_free(document);
    return TROUPE_OK;
}

static void read_brief(struct env *env, struct account *account, const char *directory,
                       struct run_brief *brief) {
    struct brief_reading reading = {.brief = brief};
    struct store_reader *reader = NULL;
    struct fault fault = {0};
    enum troupe_error error = read_definition(env, account, directory, brief, &fault);
    brief->live = store_in_use(env, directory);
    if (error == TROUPE_OK)
        error = store_reader_open(env, account, directory, &reader, &fault);
    if (error == TROUPE_OK)
        error = store_read(reader, STORE_RUN_STATE, on_state, &reading, &fault);
    if (error == TROUPE_OK)
        error = store_read(reader, STORE_TRIAL_TOLD, on_told, &reading, &fault);
    store_reader_close(reader);
    if (brief->live || !reading.ended || brief->updated_utc_ns > reading.state_utc_ns)
        brief->state = RUN_RUNNING;
    if (reading.state_utc_ns > brief->updated_utc_ns)
        brief->updated_utc_ns = reading.state_utc_ns;
    if (error != TROUPE_OK)
        snprintf(brief->problem, sizeof brief->problem, "%.190s",
                 fault.text[0] != '\0' ? fault.text : error_text(error));
}

/* ---- the directory ---- */

struct names {
    struct account *account;
    struct env *env;
    const char *directory;
    struct run_brief *runs;
    size_t count, capacity;
    bool failed;
};

static bool is_run(struct env *env, const char *directory, const char *name, int64_t *ret_utc_ns) {
    char run[PATH_BYTES], path[PATH_BYTES];
    struct env_info info = {0};
    if (!path_make(run, directory, name) || !path_make(path, run, "store.db") ||
        env_info(env, path, &info) != TROUPE_OK || !info.exists)
        return false;
    *ret_utc_ns = info.modified_utc_ns;
    return true;
}

static bool on_name(void *context, const char *name) {
    struct names *names = context;
    int64_t created = 0;
    if (name[0] == '.' || strlen(name) >= sizeof names->runs->id ||
        !is_run(names->env, names->directory, name, &created))
        return true;
    if (names->count == names->capacity) {
        size_t capacity = names->capacity * 2 + 16;
        void *grown = memory_resize(names->account, names->runs, capacity * sizeof *names->runs);
        names->failed = grown == NULL;
        if (grown == NULL)
            return false;
        names->runs = grown;
        names->capacity = capacity;
    }
    struct run_brief *brief = &names->runs[names->count++];
    memset(brief, 0, sizeof *brief);
    snprintf(brief->id, sizeof brief->id, "%s", name);
    brief->updated_utc_ns = created;
    return names->count < RUNS_MAX;
}

static int newest_first(const void *a, const void *b) {
    const struct run_brief *left = a, *right = b;
    if (left->updated_utc_ns != right->updated_utc_ns)
        return left->updated_utc_ns < right->updated_utc_ns ? 1 : -1;
    return strcmp(left->id, right->id);
}

enum troupe_error run_listing_read(struct env *env, struct account *account, const char *directory,
                                   struct run_listing *ret_listing, struct fault *fault) {
    struct names names = {.account = account, .env = env, .directory = directory};
    struct env_info info = {0};
    char path[PATH_BYTES];
    *ret_listing = (struct run_listing){.account = account};
    if (env_info(env, directory, &info) == TROUPE_OK && !info.exists)
        return TROUPE_OK;
    enum troupe_error error = env_list(env, directory, on_name, &names);
    if (error == TROUPE_OK && names.failed)
        error = TROUPE_NOMEM;
    if (error != TROUPE_OK) {
        memory_free(account, names.runs);
        return fault_set(fault, error, directory, "the runs cannot be listed: %s", error_text(error));
    }
    for (size_t i = 0; i < names.count; i++) {
        if (path_make(path, directory, names.runs[i].id))
            read_brief(env, account, path, &names.runs[i]);
    }
    if (names.count > 1)
        qsort(names.runs, names.count, sizeof *names.runs, newest_first);
    ret_listing->runs = names.runs;
    ret_listing->count = names.count;
    return TROUPE_OK;
}

void run_listing_free(struct run_listing *listing) {
    memory_free(listing->account, listing->runs);
    listing->runs = NULL;
    listing->count = 0;
}

const char *run_brief_state(const struct run_brief *brief) {
    if (brief->problem[0] != '\0')
        return "unreadable";
    return brief->state == RUN_RUNNING && !brief->live ? "interrupted" : run_state_name(brief->state);
}

static bool is_wanted(const struct run_brief *brief, enum run_wanted wanted) {
    if (wanted == RUN_WANTED_ANY)
        return true;
    return !brief->live && brief->problem[0] == '\0' && brief->state != RUN_FINISHED &&
           (brief->state != RUN_DEADLINE || wanted == RUN_WANTED_CUT);
}

static bool any_cut(const struct run_listing *listing) {
    for (size_t i = 0; i < listing->count; i++)
        if (is_wanted(&listing->runs[i], RUN_WANTED_CUT))
            return true;
    return false;
}

enum troupe_error run_listing_newest(struct session *session, const char *directory, enum run_wanted wanted,
                                     const char **ret_id, struct fault *fault) {
    struct run_listing listing;
    enum troupe_error error = run_listing_read(session->env, session->account, directory, &listing, fault);
    if (error != TROUPE_OK)
        return error;
    size_t at = 0;
    while (at < listing.count && !is_wanted(&listing.runs[at], wanted))
        at++;
    if (at < listing.count) {
        *ret_id = arena_copy(&session->arena, listing.runs[at].id, strlen(listing.runs[at].id));
        error = *ret_id == NULL ? fault_set(fault, TROUPE_NOMEM, directory, "out of memory") : TROUPE_OK;
    } else if (listing.count == 0) {
        error = fault_set(fault, TROUPE_NOT_FOUND, directory,
                          "there are no runs here; --runs DIR looks elsewhere");
    } else {
        error =
            fault_set(fault, TROUPE_NOT_FOUND, directory,
                      "none of its %zu runs was interrupted; `troupe runs` lists them, --resume ID goes on "
                      "with any of them%s",
                      listing.count,
                      any_cut(&listing) ? ", and --resume with a later --deadline with the newest that its "
                                          "deadline ended"
                                        : "");
    }
    run_listing_free(&listing);
    return error;
}

enum troupe_error run_listing_choose(struct session *session, const char *directory, const char *id,
                                     const char **ret_id, struct fault *fault) {
    struct names names = {.account = session->account, .env = session->env, .directory = directory};
    int64_t created;
    if (id == NULL)
        return run_listing_newest(session, directory, RUN_WANTED_ANY, ret_id, fault);
    if (strchr(id, '/') != NULL)
        return fault_set(fault, TROUPE_USAGE, id,
                         "expected the name of a run alone; --runs DIR says where it is");
    if (is_run(session->env, directory, id, &created)) {
        *ret_id = id;
        return TROUPE_OK;
    }
    struct env_info info = {0};
    if (env_info(session->env, directory, &info) == TROUPE_OK && info.exists)
        IGNORE(env_list(session->env, directory, on_name, &names), "only for a suggestion");
    const char **ids = memory_alloc(session->account, (names.count + 1) * sizeof *ids);
    for (size_t i = 0; ids != NULL && i < names.count; i++)
        ids[i] = names.runs[i].id;
    const char *nearest = ids != NULL ? text_nearest(id, ids, names.count) : NULL;
    enum troupe_error error =
        fault_set(fault, TROUPE_NOT_FOUND, directory, "there is no run '%.120s'; %s%s%s", id,
                  nearest != NULL ? "did you mean '" : "`troupe runs` lists what there is",
                  nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
    memory_free(session->account, ids);
    memory_free(session->account, names.runs);
    return error;
}
