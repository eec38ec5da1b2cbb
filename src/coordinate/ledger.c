/* Claims in chunks, found by task id through chained buckets of fixed number; no allocation but for chunks.
 * live = waiting + offered + held + owed + parked + unclaimed - shadows; an orphan's owner was told already. */
#include "coordinate/ledger.h"

#include <string.h>

#define CHUNK_CLAIMS 256

struct ledger_chunk {
    struct ledger_chunk *next;
    struct claim claims[CHUNK_CLAIMS];
};

void claim_list_append(struct claim_list *list, struct claim *claim) {
    claim->list_next = NULL;
    claim->list_previous = list->last;
    if (list->last)
        list->last->list_next = claim;
    else
        list->first = claim;
    list->last = claim;
    list->count++;
}

void claim_list_remove(struct claim_list *list, struct claim *claim) {
    CHECK(list->count > 0);
    if (claim->list_previous)
        claim->list_previous->list_next = claim->list_next;
    else
        list->first = claim->list_next;
    if (claim->list_next)
        claim->list_next->list_previous = claim->list_previous;
    else
        list->last = claim->list_previous;
    claim->list_next = claim->list_previous = NULL;
    list->count--;
}

enum troupe_error ledger_init(struct ledger *ledger, struct account *account, unsigned tasks_hint,
                              uint64_t hash_seed) {
    *ledger = (struct ledger){.account = account, .hash_seed = hash_seed, .bucket_count = 64};
    while (ledger->bucket_count < tasks_hint && ledger->bucket_count < (1u << 20))
        ledger->bucket_count *= 2;
    ledger->buckets = memory_alloc(account, ledger->bucket_count * sizeof *ledger->buckets);
    return ledger->buckets ? TROUPE_OK : TROUPE_NOMEM;
}

void ledger_free(struct ledger *ledger) {
    while (ledger->chunks) {
        struct ledger_chunk *next = ledger->chunks->next;
        memory_free(ledger->account, ledger->chunks);
        ledger->chunks = next;
    }
    memory_free(ledger->account, ledger->buckets);
    ledger->buckets = NULL;
    ledger->free = NULL;
}

struct claim *ledger_new(struct ledger *ledger) {
    if (!ledger->free) {
        struct ledger_chunk *chunk = memory_alloc(ledger->account, sizeof *chunk);
        if (!chunk)
            return NULL;
        chunk->next = ledger->chunks;
        ledger->chunks = chunk;
        for (unsigned i = CHUNK_CLAIMS; i-- > 0;) {
            chunk->claims[i].list_next = ledger->free;
            ledger->free = &chunk->claims[i];
        }
        ledger->by_state[CLAIM_FREE] += CHUNK_CLAIMS;
    }
    struct claim *claim = ledger->free;
    ledger->free = claim->list_next;
    memset(claim, 0, sizeof *claim);
    return claim;
}

void ledger_release(struct ledger *ledger, struct claim *claim) {
    CHECK(!claim->taken && !claim->task && !claim->round && !claim->agent);
    CHECK(claim->wait.position == 0 && claim->expiry.position == 0);
    ledger_unindex(ledger, claim);
    ledger_set_state(ledger, claim, CLAIM_FREE);
    claim->list_next = ledger->free;
    ledger->free = claim;
}

static struct claim **bucket_of(const struct ledger *ledger, struct task_id id) {
    return &ledger->buckets[task_id_hash(id, ledger->hash_seed) & (ledger->bucket_count - 1)];
}

struct claim *ledger_find(const struct ledger *ledger, struct task_id id) {
    for (struct claim *claim = *bucket_of(ledger, id); claim; claim = claim->hash_next)
        if (task_id_equal(claim->id, id))
            return claim;
    return NULL;
}

struct claim *ledger_find_epoch(const struct ledger *ledger, struct task_id id, uint32_t epoch) {
    for (struct claim *claim = *bucket_of(ledger, id); claim; claim = claim->hash_next)
        if (claim->epoch == epoch && task_id_equal(claim->id, id))
            return claim;
    return NULL;
}

void ledger_shade(struct ledger *ledger, struct claim *claim, bool shadow) {
    if (claim->shadow == shadow)
        return;
    CHECK(shadow || ledger->shadows > 0);
    claim->shadow = shadow;
    ledger->shadows += shadow ? 1 : UINT64_MAX;
}

void ledger_index(struct ledger *ledger, struct claim *claim) {
    struct claim **bucket = bucket_of(ledger, claim->id);
    claim->hash_next = *bucket;
    *bucket = claim;
    claim->hashed = true;
}

void ledger_unindex(struct ledger *ledger, struct claim *claim) {
    if (!claim->hashed)
        return;
    struct claim **link = bucket_of(ledger, claim->id);
    while (*link != claim) {
        CHECK(*link);
        link = &(*link)->hash_next;
    }
    *link = claim->hash_next;
    claim->hashed = false;
}

void ledger_set_state(struct ledger *ledger, struct claim *claim, enum claim_state state) {
    CHECK(ledger->by_state[claim->state] > 0);
    ledger->by_state[claim->state]--;
    claim->state = (uint8_t)state;
    ledger->by_state[state]++;
}

void ledger_count_end(struct ledger *ledger, enum task_state state) {
    switch (state) {
    case TASK_OK:
        ledger->ended_ok++;
        break;
    case TASK_CANCELLED:
        ledger->ended_cancelled++;
        break;
    case TASK_REJECTED:
        ledger->rejected++;
        break;
    default:
        CHECK(state == TASK_FAILED);
        ledger->ended_failed++;
    }
}

uint64_t ledger_live(const struct ledger *ledger) {
    return ledger->by_state[CLAIM_WAITING] + ledger->by_state[CLAIM_OFFERED] + ledger->by_state[CLAIM_HELD] +
           ledger->by_state[CLAIM_OWED] + ledger->parked + ledger->unclaimed - ledger->shadows;
}

void ledger_check(const struct ledger *ledger) {
    CHECK(ledger->submitted == ledger->ended_ok + ledger->ended_failed + ledger->ended_cancelled +
                                   ledger->rejected + ledger_live(ledger));
}

struct claim *ledger_next(const struct ledger *ledger, size_t *at) {
    size_t index = 0;
    for (struct ledger_chunk *chunk = ledger->chunks; chunk; chunk = chunk->next, index += CHUNK_CLAIMS) {
        if (*at >= index + CHUNK_CLAIMS)
            continue;
        for (size_t i = *at - index; i < CHUNK_CLAIMS; i++)
            if (chunk->claims[i].state != CLAIM_FREE) {
                *at = index + i + 1;
                return &chunk->claims[i];
            }
        *at = index + CHUNK_CLAIMS;
    }
    return NULL;
}
