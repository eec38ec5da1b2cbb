/* stage_reuse: what a stage's result depends on, as a key, and the results that may be used again.
 *
 * key = hash(stage name, version, program, the values it uses, its inputs' keys, data). Two trials that
 * agree on it share one execution: the first computes, the others wait for it (single flight). Results are
 * kept newest first, a bounded number of them, and no more than their artifacts have room: past it the least
 * recently used that no live trial has goes.
 * Threads: the engine's turns.
 * Memory:  the run's account. */
#include "pipeline/run_internal.h"

#include <math.h>
#include <string.h>

struct stage_result *stage_result_new(struct account *account, const char *value, size_t length) {
    struct stage_result *result = memory_alloc(account, sizeof *result);
    if (result == NULL)
        return NULL;
    result->references = 1;
    result->account = account;
    if (value != NULL) {
        result->value = memory_alloc(account, length + 1);
        if (result->value == NULL) {
            memory_free(account, result);
            return NULL;
        }
        memcpy(result->value, value, length);
        result->value_length = length;
    }
    return result;
}

struct stage_result *stage_result_keep(struct stage_result *result) {
    if (result != NULL)
        result->references++;
    return result;
}

void stage_result_drop(struct stage_result *result) {
    if (result == NULL || --result->references > 0)
        return;
    artifact_file_drop(result->file);
    memory_free(result->account, result->value);
    memory_free(result->account, result);
}

enum troupe_error reuse_init(struct reuse *reuse, struct account *account) {
    *reuse = (struct reuse){.account = account};
    return map_create(account, &reuse->entries);
}

void reuse_free(struct reuse *reuse) {
    size_t at = 0, length;
    const char *key;
    void *value;
    if (reuse->entries == NULL)
        return;
    while (map_next(reuse->entries, &at, &key, &length, &value)) {
        struct reuse_entry *entry = value;
        stage_result_drop(entry->result);
        memory_free(reuse->account, entry);
    }
    map_free(reuse->entries);
    reuse->entries = NULL;
}

struct reuse_entry *reuse_find(struct reuse *reuse, uint64_t key) {
    return map_get_u64(reuse->entries, key);
}

struct reuse_entry *reuse_start(struct reuse *reuse, uint64_t key) {
    struct reuse_entry *entry = memory_alloc(reuse->account, sizeof *entry);
    if (entry == NULL)
        return NULL;
    entry->key = key;
    entry->state = REUSE_RUNNING;
    if (map_put_u64(reuse->entries, key, entry) != TROUPE_OK) {
        memory_free(reuse->account, entry);
        return NULL;
    }
    return entry;
}

static void list_unlink(struct reuse *reuse, struct reuse_entry *entry) {
    *(entry->newer != NULL ? &entry->newer->older : &reuse->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &reuse->oldest) = entry->newer;
    entry->newer = entry->older = NULL;
}

static void list_push(struct reuse *reuse, struct reuse_entry *entry) {
    entry->newer = NULL;
    entry->older = reuse->newest;
    *(reuse->newest != NULL ? &reuse->newest->newer : &reuse->oldest) = entry;
    reuse->newest = entry;
}

void reuse_done(struct reuse *reuse, struct reuse_entry *entry, struct stage_result *result) {
    CHECK(entry->state == REUSE_RUNNING);
    entry->state = REUSE_DONE;
    entry->result = stage_result_keep(result);
    list_push(reuse, entry);
    if (map_count(reuse->entries) > REUSE_ENTRIES_MAX)
        reuse_evict(reuse);
}

void reuse_abandon(struct reuse *reuse, struct reuse_entry *entry) {
    CHECK(entry->state == REUSE_RUNNING && entry->waiting == NULL);
    map_remove_u64(reuse->entries, entry->key);
    memory_free(reuse->account, entry);
}

void reuse_touch(struct reuse *reuse, struct reuse_entry *entry) {
    list_unlink(reuse, entry);
    list_push(reuse, entry);
}

bool reuse_evict(struct reuse *reuse) {
    /* Those that somebody else has are the best trial's and live ones': few. */
    struct reuse_entry *entry = reuse->oldest;
    while (entry != NULL && entry->result->references > 1)
        entry = entry->newer;
    if (entry == NULL)
        return false;
    list_unlink(reuse, entry);
    map_remove_u64(reuse->entries, entry->key);
    stage_result_drop(entry->result);
    memory_free(reuse->account, entry);
    reuse->evicted++;
    return true;
}

static bool stage_sees(const struct run *run, const struct trial *trial, unsigned stage, unsigned variable) {
    const struct pipeline_stage *definition = &run->pipeline->stages[stage];
    return (definition->uses_all || definition->uses[variable]) &&
           !isnan(trial->configuration.values[variable]);
}

static uint64_t program_hash(const struct run *run, unsigned capability) {
    uint64_t hash = capability;
    for (unsigned i = 0; i < run->pipeline->agent_count; i++)
        if (capability_set_has(&run->pipeline->agents[i].capabilities, capability))
            hash = hash_bytes(&run->pipeline->agents[i].program_hash, sizeof hash, hash);
    return hash;
}

uint64_t stage_key(const struct run *run, const struct trial *trial, unsigned stage) {
    const struct pipeline_stage *definition = &run->pipeline->stages[stage];
    uint64_t key = hash_bytes(definition->name, strlen(definition->name), run->pipeline->data_hash);
    uint64_t program = program_hash(run, definition->capability);
    key = hash_bytes(definition->version, strlen(definition->version), key);
    key = hash_bytes(&program, sizeof program, key);
    for (unsigned i = 0; i < trial->configuration.count; i++)
        if (stage_sees(run, trial, stage, i)) {
            const char *name = space_variable(run->pipeline->space, i)->name;
            key = hash_bytes(name, strlen(name) + 1, key);
            key = hash_bytes(&trial->configuration.values[i], sizeof(double), key);
        }
    for (unsigned i = 0; i < run->pipeline->stage_count; i++)
        if (definition->needs & (1u << i))
            key = hash_bytes(&trial->stages[i].key, sizeof key, key);
    return key;
}

void stage_variables(const struct run *run, const struct trial *trial, unsigned stage, struct json *json) {
    char text[128];
    json_object_begin(json);
    for (unsigned i = 0; i < trial->configuration.count; i++) {
        if (!stage_sees(run, trial, stage, i))
            continue;
        const struct variable *variable = space_variable(run->pipeline->space, i);
        double value = trial->configuration.values[i];
        json_key(json, variable->name);
        if (variable->kind == VARIABLE_CHOICE && variable->choice_kinds[(unsigned)value] == DOCUMENT_STRING)
            json_string(json, variable->choices[(unsigned)value]);
        else if (variable->kind == VARIABLE_FLOAT)
            json_real(json, value);
        else {
            const char *word = space_value_text(variable, value, text, sizeof text);
            json_raw(json, word, strlen(word));
        }
    }
    json_object_end(json);
}
