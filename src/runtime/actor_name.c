/* Names of actors, each kept once for as long as the runtime lives: an actor holds a pointer, a long turn can be named
 * after its actor is gone, and a million nameless actors pay nothing.
 *
 * Invariants: at most NAMES_MAX are kept; actors with further names are called "(another)".
 * Threads: any, under names_lock. */
#include <string.h>

#include "runtime/worker.h"

#define NAME_BYTES 24U
#define NAMES_MAX 4096U
#define NAME_BUCKETS 256U

struct actor_name {
    struct actor_name *next;
    char text[NAME_BYTES];
};
struct actor_names {
    struct actor_name *buckets[NAME_BUCKETS];
    unsigned count;
};

struct actor_names *actor_names_new(struct account *account) {
    return memory_alloc(account, sizeof(struct actor_names));
}

static struct actor_name *name_find(const struct actor_names *names, unsigned bucket, const char *text) {
    struct actor_name *name = names->buckets[bucket];
    while (name != NULL && memcmp(name->text, text, NAME_BYTES) != 0) {
        name = name->next;
    }
    return name;
}

/* Adds `fresh` (or uses the one that is there by now and frees it). */
static const char *name_add(struct runtime *runtime, unsigned bucket, struct actor_name *fresh) {
    const char *text = "(another)";
    spin_lock(&runtime->names_lock);
    struct actor_name *name = name_find(runtime->names, bucket, fresh->text);
    if (name == NULL && runtime->names->count < NAMES_MAX) {
        runtime->names->count++;
        fresh->next = runtime->names->buckets[bucket];
        runtime->names->buckets[bucket] = fresh;
        name = fresh;
    }
    spin_unlock(&runtime->names_lock);
    if (name != NULL) {
        text = name->text;
    }
    if (name != fresh) {
        memory_free(runtime->account, fresh);
    }
    return text;
}

const char *actor_name_keep(struct runtime *runtime, const char *name) {
    if (name == NULL || name[0] == '\0') {
        return "";
    }
    char text[NAME_BYTES] = {0};
    unsigned bucket = 0;
    for (size_t at = 0; at < NAME_BYTES - 1 && name[at] != '\0'; at++) {
        text[at] = name[at];
        bucket = bucket * 31 + (unsigned char)name[at];
    }
    bucket %= NAME_BUCKETS;
    spin_lock(&runtime->names_lock);
    struct actor_name *known = name_find(runtime->names, bucket, text);
    spin_unlock(&runtime->names_lock);
    if (known != NULL) {
        return known->text;
    }
    struct actor_name *fresh = memory_alloc(runtime->account, sizeof *fresh);
    if (fresh == NULL) {
        return NULL;
    }
    memcpy(fresh->text, text, sizeof fresh->text);
    return name_add(runtime, bucket, fresh);
}

void actor_names_free(struct runtime *runtime) {
    struct actor_names *names = runtime->names;
    for (unsigned bucket = 0; names != NULL && bucket < NAME_BUCKETS; bucket++) {
        while (names->buckets[bucket] != NULL) {
            struct actor_name *name = names->buckets[bucket];
            names->buckets[bucket] = name->next;
            memory_free(runtime->account, name);
        }
    }
    memory_free(runtime->account, names);
    runtime->names = NULL;
}
