/* The map against a list searched from the front: after any sequence of puts, removals and lookups both hold
 * the same pairs in the same order. Fails if a removal breaks a probe run, a squeeze drops or reorders an
 * entry, a key of one kind answers for the other, or a refused allocation changes the map. */
#include "cmocka_base.h"

#include <stdio.h>

#define MODEL_MAX 4000

struct pair {
    bool number;
    char text[24];
    size_t length;
    uint64_t value_key;
    uintptr_t value;
};

struct model {
    struct pair pairs[MODEL_MAX];
    size_t count;
};

static struct pair *model_find(struct model *model, const struct pair *wanted) {
    for (size_t i = 0; i < model->count; i++) {
        struct pair *pair = &model->pairs[i];
        if (pair->number == wanted->number && pair->length == wanted->length &&
            (pair->number ? pair->value_key == wanted->value_key
                          : memcmp(pair->text, wanted->text, pair->length) == 0))
            return pair;
    }
    return NULL;
}

/* Keys of both kinds; some texts are the eight bytes of a number, some hold a NUL, one is empty. */
static struct pair random_pair(struct random_stream *random, uint64_t range) {
    struct pair pair = {.value_key = random_below(random, range)};
    pair.value = (uintptr_t)random_u64(random) | 1;
    pair.number = random_below(random, 2) == 0;
    if (pair.number) {
        pair.length = 8;
    } else if (random_below(random, 4) == 0) {
        memcpy(pair.text, &pair.value_key, 8);
        pair.length = 8;
    } else {
        pair.length =
            (size_t)snprintf(pair.text, sizeof(pair.text), "k%llu", (unsigned long long)pair.value_key);
        if (pair.value_key == 0)
            pair.length = 0;
        if (pair.value_key % 7 == 1)
            pair.text[1] = '\0';
    }
    return pair;
}

static void *get(const struct map *map, const struct pair *pair) {
    return pair->number ? map_get_u64(map, pair->value_key) : map_get(map, pair->text, pair->length);
}

static enum troupe_error put(struct map *map, const struct pair *pair) {
    void *value = (void *)pair->value;
    return pair->number ? map_put_u64(map, pair->value_key, value)
                        : map_put(map, pair->text, pair->length, value);
}

static void *take(struct map *map, const struct pair *pair) {
    return pair->number ? map_remove_u64(map, pair->value_key) : map_remove(map, pair->text, pair->length);
}

static void assert_same(const struct map *map, struct model *model) {
    assert_int_equal(map_count(map), model->count);
    const char *key;
    size_t at = 0, length, seen = 0;
    void *value;
    while (map_next(map, &at, &key, &length, &value)) {
        assert_true(seen < model->count);
        const struct pair *pair = &model->pairs[seen++];
        assert_int_equal(length, pair->length);
        assert_memory_equal(key, pair->number ? (const char *)&pair->value_key : pair->text, length);
        assert_true((uintptr_t)value == pair->value);
        if (!pair->number)
            assert_int_equal(key[length], '\0');
    }
    assert_int_equal(seen, model->count);
    for (size_t i = 0; i < model->count; i++)
        assert_true((uintptr_t)get(map, &model->pairs[i]) == model->pairs[i].value);
}

static void step(struct map *map, struct model *model, struct random_stream *random, uint64_t range,
                 unsigned put_bias) {
    struct pair pair = random_pair(random, range);
    struct pair *known = model_find(model, &pair);
    assert_true((uintptr_t)get(map, &pair) == (known == NULL ? 0 : known->value));
    if (random_below(random, 100) < put_bias && (known != NULL || model->count < MODEL_MAX)) {
        assert_int_equal(put(map, &pair), TROUPE_OK);
        if (known != NULL)
            known->value = pair.value;
        else
            model->pairs[model->count++] = pair;
    } else {
        assert_true((uintptr_t)take(map, &pair) == (known == NULL ? 0 : known->value));
        if (known != NULL) {
            memmove(known, known + 1, (size_t)(model->pairs + model->count - known - 1) * sizeof(*known));
            model->count--;
        }
    }
}

static void agrees_with_a_list(void **state) {
    (void)state;
    static struct model model;
    static const uint64_t ranges[] = {4, 30, 300, 3000};
    static const unsigned biases[] = {55, 90, 20, 50};
    struct account account = ACCOUNT("test");
    for (uint64_t seed = 0; seed < 24; seed++) {
        struct random_stream random;
        struct map *map;
        random_seed(&random, seed, 1);
        model.count = 0;
        assert_int_equal(map_create(&account, &map), TROUPE_OK);
        uint64_t range = ranges[seed % ARRAY_COUNT(ranges)];
        for (int i = 0; i < 4000; i++) {
            step(map, &model, &random, range, biases[(size_t)i / 1000]);
            if (i % 100 == 0)
                assert_same(map, &model);
        }
        assert_same(map, &model);
        map_free(map);
        assert_int_equal(account.bytes, 0);
    }
}

/* A queue of keys, ever new at one end and gone at the other, must not grow the map. */
static void churn_is_bounded(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    struct map *map;
    assert_int_equal(map_create(&account, &map), TROUPE_OK);
    int64_t most = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        assert_int_equal(map_put_u64(map, i, (void *)(uintptr_t)(i + 1)), TROUPE_OK);
        if (i >= 50)
            assert_true((uintptr_t)map_remove_u64(map, i - 50) == i - 49);
        most = account.bytes > most ? account.bytes : most;
    }
    assert_int_equal(map_count(map), 50);
    assert_true(most < 16384);
    map_free(map);
}

static void removal_while_iterating(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    struct map *map;
    assert_int_equal(map_create(&account, &map), TROUPE_OK);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(map_put_u64(map, i, (void *)(uintptr_t)(i + 1)), TROUPE_OK);
    size_t at = 0, seen = 0;
    void *value;
    while (map_next(map, &at, NULL, NULL, &value)) {
        uint64_t key = (uint64_t)(uintptr_t)value - 1;
        assert_int_equal(key, seen);
        seen++;
        if (key % 3 != 0)
            assert_ptr_equal(map_remove_u64(map, key), value);
    }
    assert_int_equal(seen, 1000);
    assert_int_equal(map_count(map), 334);
    map_free(map);
    map_free(NULL);
    assert_int_equal(account.bytes, 0);
}

static void a_refusal_changes_nothing(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    FOR_EACH_FAILING_ALLOCATION(n) {
        struct map *map = NULL;
        enum troupe_error error = map_create(&account, &map);
        uintptr_t stored = 0;
        for (uintptr_t i = 1; error == TROUPE_OK && i <= 100; i++) {
            char key[16];
            size_t length = (size_t)snprintf(key, sizeof(key), "key %d", (int)i);
            error = map_put(map, key, length, (void *)i);
            stored += error == TROUPE_OK;
        }
        assert_int_equal(error, memory_fail_fired() ? TROUPE_NOMEM : TROUPE_OK);
        for (uintptr_t i = 1; map != NULL && i <= 100; i++) {
            char key[16];
            size_t length = (size_t)snprintf(key, sizeof(key), "key %d", (int)i);
            assert_true((uintptr_t)map_get(map, key, length) == (i <= stored ? i : 0));
        }
        assert_int_equal(map == NULL ? 0 : map_count(map), stored);
        map_free(map);
        assert_int_equal(account.bytes, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_list),
        cmocka_unit_test(churn_is_bounded),
        cmocka_unit_test(removal_while_iterating),
        cmocka_unit_test(a_refusal_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
