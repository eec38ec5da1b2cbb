/* An arena gives zeroed, aligned pieces that never overlap, and gives all of it back at once. Fails if pieces
 * overlap, if a large piece wastes or loses the open block, or if a refused allocation breaks the arena. */
#include "cmocka_base.h"

struct piece {
    unsigned char *at;
    size_t bytes;
    unsigned char mark;
};

static void pieces_never_overlap(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    struct arena arena;
    arena_init(&arena, &account);
    static struct piece pieces[3000];
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct random_stream random;
        random_seed(&random, seed, 0);
        size_t asked = 0;
        for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
            /* Mostly small, some of a block's size, a few far beyond it. */
            uint64_t range = random_below(&random, 100) < 95  ? 200
                             : random_below(&random, 10) == 0 ? 1000000
                                                              : 5000;
            size_t bytes = (size_t)random_below(&random, range);
            unsigned char *at = arena_alloc(&arena, bytes);
            assert_non_null(at);
            assert_int_equal((uintptr_t)at % 16, 0);
            for (size_t b = 0; b < bytes; b++)
                assert_int_equal(at[b], 0);
            pieces[i] = (struct piece){at, bytes, (unsigned char)random_u64(&random)};
            memset(at, pieces[i].mark, bytes);
            asked += bytes;
        }
        for (size_t i = 0; i < ARRAY_COUNT(pieces); i++)
            for (size_t b = 0; b < pieces[i].bytes; b++)
                if (pieces[i].at[b] != pieces[i].mark)
                    fail_msg("piece %zu was overwritten", i);
        assert_true(arena.total >= asked);
        assert_true((size_t)account.bytes < asked * 2 + 1000000); /* bounded waste */
        arena_free(&arena);
        assert_int_equal(account.bytes, 0);
    }
}

static void texts(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    struct arena arena;
    arena_init(&arena, &account);
    assert_string_equal(arena_copy(&arena, "hello world", 5), "hello");
    assert_string_equal(arena_copy(&arena, "", 0), "");
    assert_string_equal(arena_format(&arena, "%s-%d", "stage", 7), "stage-7");
    char *long_text = arena_format(&arena, "%10000d", 1);
    assert_int_equal(strlen(long_text), 10000);
    int *numbers = ARENA_ARRAY(&arena, int, 100);
    assert_int_equal(numbers[99], 0);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_copy(&arena, "x", SIZE_MAX));
    arena_free(&arena);
    arena_free(&arena);
    assert_int_equal(account.bytes, 0);
}

static void a_refusal_leaves_it_whole(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    FOR_EACH_FAILING_ALLOCATION(n) {
        struct arena arena;
        arena_init(&arena, &account);
        for (size_t i = 0; i < 200; i++) {
            unsigned char *at = arena_alloc(&arena, i * 13);
            if (at != NULL)
                memset(at, 0xee, i * 13);
            else
                assert_true(memory_fail_fired());
        }
        arena_free(&arena);
        assert_int_equal(account.bytes, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_never_overlap),
        cmocka_unit_test(texts),
        cmocka_unit_test(a_refusal_leaves_it_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
