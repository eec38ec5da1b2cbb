/* The heap against a search for the smallest (key, order of arrival). Fails if a moved, removed or
 * equal-keyed node leaves out of turn, or if a position is stale. */
#include "cmocka_base.h"

#define NODES 300

static struct heap_node nodes[NODES];

static struct heap_node *smallest(void) {
    struct heap_node *best = NULL;
    for (size_t i = 0; i < NODES; i++)
        if (nodes[i].position != 0 && (best == NULL || nodes[i].key < best->key ||
                                       (nodes[i].key == best->key && nodes[i].sequence < best->sequence)))
            best = &nodes[i];
    return best;
}

static void assert_sound(const struct heap *heap) {
    size_t inside = 0;
    for (size_t i = 0; i < NODES; i++)
        if (nodes[i].position != 0) {
            inside++;
            assert_true(nodes[i].position <= heap->count);
            assert_ptr_equal(heap->nodes[nodes[i].position - 1], &nodes[i]);
        }
    assert_int_equal(inside, heap->count);
}

static void agrees_with_a_search(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    static const uint64_t ranges[] = {3, 50, UINT64_MAX};
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct random_stream random;
        struct heap heap;
        random_seed(&random, seed, 2);
        heap_init(&heap, &account);
        memset(nodes, 0, sizeof(nodes));
        uint64_t range = ranges[seed % ARRAY_COUNT(ranges)];
        for (int i = 0; i < 5000; i++) {
            struct heap_node *node = &nodes[random_below(&random, NODES)];
            uint64_t key = random_below(&random, range), choice = random_below(&random, 10);
            if (node->position == 0)
                assert_int_equal(heap_insert(&heap, node, key), TROUPE_OK);
            else if (choice < 5)
                heap_update(&heap, node, key);
            else
                heap_remove(&heap, choice < 8 ? node : heap_first(&heap));
            assert_ptr_equal(heap_first(&heap), smallest());
            if (i % 200 == 0)
                assert_sound(&heap);
        }
        while (heap_first(&heap) != NULL) {
            struct heap_node *first = heap_first(&heap);
            assert_ptr_equal(first, smallest());
            heap_remove(&heap, first);
            assert_int_equal(first->position, 0);
        }
        heap_free(&heap);
        assert_int_equal(account.bytes, 0);
    }
}

static void equal_keys_leave_in_order(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    struct heap heap;
    heap_init(&heap, &account);
    memset(nodes, 0, sizeof(nodes));
    for (size_t i = 0; i < NODES; i++)
        assert_int_equal(heap_insert(&heap, &nodes[i], 7), TROUPE_OK);
    heap_update(&heap, &nodes[0], 7); /* now behind the others */
    for (size_t i = 1; i < NODES; i++) {
        assert_ptr_equal(heap_first(&heap), &nodes[i]);
        heap_remove(&heap, &nodes[i]);
    }
    assert_ptr_equal(heap_first(&heap), &nodes[0]);
    heap_free(&heap); /* lets go of what is left */
    assert_int_equal(nodes[0].position, 0);
    assert_null(heap_first(&heap));
    assert_int_equal(account.bytes, 0);
}

/* They come and go, and keep their turn among equals. */
static void in_turn_whenever_they_came(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    struct random_stream random;
    struct heap heap;
    random_seed(&random, 4, 2);
    heap_init(&heap, &account);
    memset(nodes, 0, sizeof(nodes));
    for (int i = 0; i < 5000; i++) {
        struct heap_node *node = &nodes[random_below(&random, NODES)];
        if (node->position != 0)
            heap_remove(&heap, node);
        else
            assert_int_equal(heap_insert_in_turn(&heap, node, 7, (uint64_t)(node - nodes)), TROUPE_OK);
        assert_ptr_equal(heap_first(&heap), smallest());
    }
    for (struct heap_node *last = NULL, *first; (first = heap_first(&heap)) != NULL; last = first) {
        assert_true(last == NULL || first > last);
        heap_remove(&heap, first);
    }
    heap_free(&heap);
}

static void what_is_reserved_is_not_refused(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    static const size_t counts[] = {0, 1, 16, 17, NODES};
    for (size_t k = 0; k < ARRAY_COUNT(counts); k++) {
        struct heap heap;
        heap_init(&heap, &account);
        memset(nodes, 0, sizeof(nodes));
        assert_int_equal(heap_reserve(&heap, counts[k]), TROUPE_OK);
        uint64_t bytes = account.bytes;
        assert_int_equal(heap_reserve(&heap, counts[k]), TROUPE_OK);
        for (size_t i = 0; i < counts[k]; i++)
            assert_int_equal(heap_insert(&heap, &nodes[i], i), TROUPE_OK);
        assert_int_equal(account.bytes, bytes);
        memory_fail_after(1);
        assert_int_equal(heap_reserve(&heap, 4 * NODES), TROUPE_NOMEM);
        memory_fail_after(0);
        assert_int_equal(heap.count, counts[k]);
        assert_sound(&heap);
        heap_free(&heap);
        assert_int_equal(account.bytes, 0);
    }
}

static void a_refusal_changes_nothing(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    FOR_EACH_FAILING_ALLOCATION(n) {
        struct heap heap;
        heap_init(&heap, &account);
        memset(nodes, 0, sizeof(nodes));
        size_t inserted = 0;
        for (size_t i = 0; i < NODES; i++)
            if (heap_insert(&heap, &nodes[i], NODES - i) == TROUPE_OK)
                inserted++;
            else
                assert_int_equal(nodes[i].position, 0);
        assert_int_equal(inserted, memory_fail_fired() ? NODES - 1 : NODES);
        assert_sound(&heap);
        heap_free(&heap);
        assert_int_equal(account.bytes, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_search),       cmocka_unit_test(equal_keys_leave_in_order),
        cmocka_unit_test(in_turn_whenever_they_came), cmocka_unit_test(what_is_reserved_is_not_refused),
        cmocka_unit_test(a_refusal_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
