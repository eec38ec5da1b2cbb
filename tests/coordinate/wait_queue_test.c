/* The queue against a naive list, its bound on kinds, and every allocation refused in turn; the ledger's
 * look-ups and counts. If these fail, tasks are lost, found twice, or taken out of their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "coordinate/assign.h"
#include "coordinate/wait_queue.h"

#define CLAIMS 3000

static struct account account = {.name = "queue test"};

static struct resources need(unsigned kind) {
    struct resources resources = {0};
    resources.amount[kind % 3] = kind;
    return resources;
}

/* Random puts and removals; the first of each demand is always the smallest order among those the model
 * holds. */
static void like_a_list(void **state) {
    (void)state;
    static struct wait_queue queue;
    static struct claim claims[CLAIMS];
    static bool waits[CLAIMS];
    assert_int_equal(wait_queue_init(&queue, &account, 1), TROUPE_OK);
    struct random_stream random;
    random_seed(&random, 1, 1);
    unsigned count = 0;
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)random_below(&random, CLAIMS);
        struct claim *claim = &claims[i];
        if (waits[i]) {
            wait_queue_remove(&queue, claim);
            claim->demand->users--;
            waits[i] = false;
            count--;
        } else {
            unsigned kind = (unsigned)random_below(&random, 40);
            struct resources resources = need(kind);
            assert_int_equal(wait_queue_demand(&queue, kind % 5, &resources, &claim->demand), TROUPE_OK);
            assert_int_equal(claim->demand->counted, kind > 0);
            claim->demand->users++;
            claim->order = assign_order_key(
                (uint8_t)random_below(&random, 3),
                random_below(&random, 2) ? UINT64_MAX : random_below(&random, 1 << 30), queue.arrivals++);
            assert_int_equal(wait_queue_put(&queue, claim), TROUPE_OK);
            waits[i] = true;
            count++;
        }
        assert_int_equal(queue.count, count);
        if (step % 500)
            continue;
        unsigned listed = 0;
        for (unsigned d = 0; d < queue.filled_count; d++) {
            const struct demand *demand = queue.filled[d];
            uint64_t least = UINT64_MAX;
            for (unsigned other = 0; other < CLAIMS; other++)
                if (waits[other] && claims[other].demand == demand) {
                    listed++;
                    if (claims[other].order < least)
                        least = claims[other].order;
                }
            assert_int_equal(wait_queue_first(demand)->order, least);
        }
        assert_int_equal(listed, count);
    }
    for (unsigned i = 0; i < CLAIMS; i++)
        if (waits[i])
            wait_queue_remove(&queue, &claims[i]);
    assert_int_equal(queue.filled_count, 0);
    wait_queue_free(&queue);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

static void kinds_are_bounded_and_reused(void **state) {
    (void)state;
    static struct wait_queue queue;
    struct demand *demand = NULL, *first = NULL;
    assert_int_equal(wait_queue_init(&queue, &account, 1), TROUPE_OK);
    for (unsigned kind = 0; kind < DEMANDS_MAX; kind++) {
        struct resources resources = need(kind);
        assert_int_equal(wait_queue_demand(&queue, 1, &resources, &demand), TROUPE_OK);
        demand->users++;
        if (kind == 0)
            first = demand;
    }
    struct resources one_more = need(DEMANDS_MAX), again = need(5);
    assert_int_equal(wait_queue_demand(&queue, 1, &one_more, &demand), TROUPE_LIMIT);
    assert_int_equal(wait_queue_demand(&queue, 1, &again, &demand), TROUPE_OK);
    first->users--;
    assert_int_equal(wait_queue_demand(&queue, 1, &one_more, &demand), TROUPE_OK);
    assert_ptr_equal(demand, first);
    assert_int_equal(demand->resources.amount[DEMANDS_MAX % 3], DEMANDS_MAX);
    demand->users++;
    struct resources gone = need(0);
    assert_int_equal(wait_queue_demand(&queue, 1, &gone, &demand), TROUPE_LIMIT);
    wait_queue_free(&queue);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

static void every_allocation_refused(void **state) {
    (void)state;
    static struct wait_queue queue;
    static struct claim claims[40];
    for (int64_t n = 1;; n++) {
        memory_fail_after(n);
        enum troupe_error error = wait_queue_init(&queue, &account, 1);
        unsigned put = 0;
        for (unsigned i = 0; !error && i < ARRAY_COUNT(claims); i++) {
            struct resources resources = need(i % 4);
            claims[i] = (struct claim){.order = i};
            error = wait_queue_demand(&queue, 0, &resources, &claims[i].demand);
            if (!error)
                error = wait_queue_put(&queue, &claims[i]);
            if (error) /* once is not for ever */
                error = wait_queue_demand(&queue, 0, &resources, &claims[i].demand);
            if (!error && claims[i].wait.position == 0)
                error = wait_queue_put(&queue, &claims[i]);
            put += !error;
        }
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        for (unsigned i = 0; i < put; i++)
            wait_queue_remove(&queue, &claims[i]);
        assert_int_equal(put, queue.by_need ? ARRAY_COUNT(claims) : 0);
        if (queue.by_need)
            wait_queue_free(&queue);
        assert_int_equal(atomic_load(&account.bytes), 0);
        if (!fired)
            return;
        assert_true(n < 1000);
    }
}

static void the_ledger_finds_and_counts(void **state) {
    (void)state;
    static struct claim *claims[CLAIMS];
    struct ledger ledger;
    assert_int_equal(ledger_init(&ledger, &account, 100, 7), TROUPE_OK);
    for (unsigned i = 0; i < CLAIMS; i++) {
        claims[i] = ledger_new(&ledger);
        assert_non_null(claims[i]);
        claims[i]->id = (struct task_id){1 + i / 10, i % 10, (uint16_t)(i % 3), 1};
        ledger_set_state(&ledger, claims[i], CLAIM_WAITING);
        ledger_index(&ledger, claims[i]);
        ledger.submitted++;
    }
    ledger_check(&ledger);
    for (unsigned i = 0; i < CLAIMS; i += 2) {
        ledger_count_end(&ledger, i % 4 ? TASK_OK : TASK_REJECTED);
        ledger_release(&ledger, claims[i]);
    }
    ledger_check(&ledger);
    assert_int_equal(ledger_live(&ledger), CLAIMS / 2);
    for (unsigned i = 0; i < CLAIMS; i++) {
        struct task_id id = {1 + i / 10, i % 10, (uint16_t)(i % 3), 1};
        assert_ptr_equal(ledger_find(&ledger, id), i % 2 ? claims[i] : NULL);
        id.attempt = 2;
        assert_null(ledger_find(&ledger, id));
    }
    size_t at = 0;
    unsigned seen = 0;
    while (ledger_next(&ledger, &at))
        seen++;
    assert_int_equal(seen, CLAIMS / 2);
    ledger_free(&ledger);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_a_list),
        cmocka_unit_test(kinds_are_bounded_and_reused),
        cmocka_unit_test(every_allocation_refused),
        cmocka_unit_test(the_ledger_finds_and_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
