/* The timing wheel against a plain list: whatever is inserted, removed and popped at whatever times, both give the
 * same entries in the same order. Fails if an entry is late, early, lost, doubled or out of order, or if the wheel
 * lets its owner sleep past a deadline. */
#include "../base/cmocka_base.h"

#include "runtime/timer_wheel.h"

#define ENTRIES 200

struct model {
    struct wheel_entry entries[ENTRIES];
    bool in[ENTRIES];
    uint64_t order[ENTRIES]; /* of insertion */
    uint64_t inserted;
};

/* The entry that must come next: earliest deadline, then first inserted; -1: none. */
static int model_first(const struct model *model) {
    int first = -1;
    for (int at = 0; at < ENTRIES; at++)
        if (model->in[at] &&
            (first < 0 || model->entries[at].deadline_ns < model->entries[first].deadline_ns ||
             (model->entries[at].deadline_ns == model->entries[first].deadline_ns &&
              model->order[at] < model->order[first])))
            first = at;
    return first;
}

static void insert(struct timer_wheel *wheel, struct model *model, int at, uint64_t deadline_ns) {
    wheel_insert(wheel, &model->entries[at], deadline_ns);
    model->in[at] = true;
    model->order[at] = model->inserted++;
}

/* Pops everything due at now_ns from both. */
static void pop_all(struct timer_wheel *wheel, struct model *model, uint64_t now_ns) {
    for (;;) {
        int first = model_first(model);
        bool due = first >= 0 && model->entries[first].deadline_ns <= now_ns;
        struct wheel_entry *entry = wheel_pop(wheel, now_ns);
        assert_ptr_equal(entry, due ? &model->entries[first] : NULL);
        if (!due)
            return;
        assert_null(entry->link);
        model->in[first] = false;
    }
}

/* Never later than the earliest; UINT64_MAX exactly when there is none. */
static void check_next(struct timer_wheel *wheel, const struct model *model) {
    int first = model_first(model);
    uint64_t next_ns = wheel_next(wheel);
    if (first < 0)
        assert_true(next_ns == UINT64_MAX);
    else
        assert_true(next_ns <= model->entries[first].deadline_ns);
}

static uint64_t any_deadline(struct random_stream *random, uint64_t now_ns) {
    uint64_t far = random_u64(random) >> random_below(random, 64); /* every magnitude alike */
    switch (random_below(random, 8)) {
    case 0:
        return now_ns;
    case 1:
        return now_ns - (far < now_ns ? far : now_ns); /* late already */
    case 2:
        return UINT64_MAX - 1 - random_below(random, 3);
    default:
        return far < UINT64_MAX - now_ns ? now_ns + far : UINT64_MAX - 1;
    }
}

static void agrees_with_a_list(void **state) {
    (void)state;
    static struct model model;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct random_stream random;
        struct timer_wheel wheel;
        random_seed(&random, seed, 11);
        uint64_t now_ns = random_u64(&random) >> (1 + random_below(&random, 63));
        memset(&model, 0, sizeof(model));
        wheel_init(&wheel, now_ns);
        for (int step = 0; step < 600; step++) {
            int at = (int)random_below(&random, ENTRIES);
            uint64_t choice = random_below(&random, 10);
            if (choice < 6 && !model.in[at]) {
                insert(&wheel, &model, at, any_deadline(&random, now_ns));
            } else if (choice < 8 && model.in[at]) {
                wheel_remove(&wheel, &model.entries[at]);
                model.in[at] = false;
            } else {
                uint64_t by = random_u64(&random) >> (8 + random_below(&random, 56));
                now_ns = by < UINT64_MAX - 1 - now_ns ? now_ns + by : UINT64_MAX - 1;
                pop_all(&wheel, &model, now_ns);
            }
            if (random_below(&random, 3) == 0)
                check_next(&wheel, &model);
        }
        pop_all(&wheel, &model, UINT64_MAX);
        assert_int_equal(wheel.count, 0);
        check_next(&wheel, &model);
    }
}

/* Sleeping exactly until wheel_next says so, again and again, meets every deadline at its time: that is how a
 * worker uses it. */
static void sleeping_until_next_meets_every_deadline(void **state) {
    (void)state;
    static struct model model;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct random_stream random;
        struct timer_wheel wheel;
        random_seed(&random, seed, 12);
        uint64_t now_ns = random_below(&random, UINT64_C(1) << 50);
        memset(&model, 0, sizeof(model));
        wheel_init(&wheel, now_ns);
        for (int at = 0; at < ENTRIES; at++)
            insert(&wheel, &model, at, now_ns + (random_u64(&random) >> (10 + random_below(&random, 54))));
        unsigned sleeps = 0, met = 0;
        while (met < ENTRIES) {
            uint64_t next_ns = wheel_next(&wheel);
            int first = model_first(&model);
            assert_true(next_ns <= model.entries[first].deadline_ns);
            now_ns = next_ns > now_ns ? next_ns : now_ns;
            struct wheel_entry *entry;
            while ((entry = wheel_pop(&wheel, now_ns)) != NULL) {
                first = model_first(&model);
                assert_ptr_equal(entry, &model.entries[first]);
                assert_true(entry->deadline_ns == now_ns || entry->deadline_ns < now_ns);
                model.in[first] = false;
                met++;
            }
            assert_true(++sleeps <= ENTRIES * WHEEL_LEVELS); /* an entry moves down seven times at most */
        }
    }
}

/* Many entries of one moment, some removed while they wait in the list of what is due. */
static void entries_that_are_due_may_be_removed(void **state) {
    (void)state;
    struct timer_wheel wheel;
    struct wheel_entry entries[20] = {0};
    wheel_init(&wheel, 1000);
    for (unsigned at = 0; at < ARRAY_COUNT(entries); at++)
        wheel_insert(&wheel, &entries[at], 5000);
    assert_null(wheel_pop(&wheel, 4999));
    assert_ptr_equal(wheel_pop(&wheel, 5000), &entries[0]);
    assert_int_equal(wheel_next(&wheel), 0); /* more are due */
    for (unsigned at = 1; at < ARRAY_COUNT(entries); at += 2)
        wheel_remove(&wheel, &entries[at]);
    for (unsigned at = 2; at < ARRAY_COUNT(entries); at += 2)
        assert_ptr_equal(wheel_pop(&wheel, 5000), &entries[at]);
    assert_null(wheel_pop(&wheel, 5999));
    assert_true(wheel_next(&wheel) == UINT64_MAX);
    wheel_insert(&wheel, &entries[3], 6000); /* a removed one may come back */
    assert_ptr_equal(wheel_pop(&wheel, 6000), &entries[3]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_list),
        cmocka_unit_test(sleeping_until_next_meets_every_deadline),
        cmocka_unit_test(entries_that_are_due_may_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
