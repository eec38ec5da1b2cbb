/* Accounts count what lives and hold their limit; the failing twin refuses exactly the allocation asked for.
 * Fails if a path forgets to count, if a limit can be passed by threads together, or if memory is not zero or
 * aligned. */
#include "cmocka_base.h"

#include <pthread.h>

static bool all_zero(const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static void counts_what_lives(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    char *a = memory_alloc(&account, 100), *b = memory_alloc(&account, 0),
         *c = memory_text(&account, "hello");
    assert_true(a != NULL && b != NULL && c != NULL && a != b);
    assert_true(all_zero(a, 100));
    assert_int_equal((uintptr_t)a % 16, 0);
    assert_string_equal(c, "hello");
    assert_int_equal(account.bytes, 106);
    assert_int_equal(account.blocks, 3);
    memset(a, 1, 100);
    a = memory_resize(&account, a, 1000);
    assert_non_null(a);
    assert_true(a[0] == 1 && a[99] == 1 && all_zero(a + 100, 900));
    assert_int_equal(account.bytes, 1006);
    a = memory_resize(&account, a, 10);
    assert_int_equal(account.bytes, 16);
    assert_int_equal(account.blocks, 3);
    memory_free(&account, a);
    memory_free(&account, b);
    memory_free(&account, c);
    memory_free(&account, NULL);
    assert_int_equal(account.bytes, 0);
    assert_int_equal(account.blocks, 0);
}

static void aligned_blocks(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    for (size_t alignment = 1; alignment <= 8192; alignment *= 2)
        for (size_t bytes = 0; bytes < 300; bytes += 37) {
            char *block = memory_alloc_aligned(&account, alignment, bytes);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % (alignment < 16 ? 16 : alignment), 0);
            assert_true(all_zero(block, bytes));
            memset(block, 0xff, bytes);
            assert_int_equal(account.bytes, bytes);
            memory_free(&account, block);
            assert_int_equal(account.bytes, 0);
            assert_int_equal(account.blocks, 0);
        }
}

static void the_limit_holds(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    account.limit_bytes = 100;
    char *a = memory_alloc(&account, 60);
    assert_non_null(a);
    assert_null(memory_alloc(&account, 41));
    assert_null(memory_alloc_aligned(&account, 64, 41));
    assert_null(memory_resize(&account, a, 101));
    a = memory_resize(&account, a, 100);
    assert_non_null(a);
    assert_null(memory_alloc(&account, 1));
    assert_int_equal(account.bytes, 100);
    memory_free(&account, a);
    a = memory_alloc(&account, 100);
    assert_non_null(a);
    memory_free(&account, a);
    assert_int_equal(account.bytes, 0);
}

static void absurd_sizes_are_refused(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    assert_null(memory_alloc(&account, SIZE_MAX));
    assert_null(memory_alloc(&account, SIZE_MAX / 2));
    assert_null(memory_alloc_aligned(&account, 4096, SIZE_MAX - 100));
    char *a = memory_alloc(&account, 8);
    assert_null(memory_resize(&account, a, SIZE_MAX - 8));
    assert_int_equal(account.bytes, 8);
    memory_free(&account, a);
}

static void the_twin_fails_one(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    memory_fail_after(3);
    void *a = memory_alloc(&account, 1), *b = memory_library_alloc(1);
    assert_false(memory_fail_fired());
    void *c = memory_alloc_aligned(&account, 64, 1);
    assert_true(memory_fail_fired());
    void *d = memory_alloc(&account, 1);
    assert_true(a != NULL && b != NULL && c == NULL && d != NULL);
    memory_fail_after(1);
    assert_null(memory_resize(&account, a, 50));
    memory_fail_after(1);
    assert_null(memory_library_resize(b, 50));
    memory_fail_after(1);
    assert_null(memory_text(&account, "x"));
    memory_fail_after(0);
    assert_false(memory_fail_fired());
    assert_int_equal(account.bytes, 2);
    memory_free(&account, a);
    memory_free(&account, d);
    memory_library_free(b);
    assert_int_equal(account.bytes, 0);
}

#define THREADS 4
#define ROUNDS 2000

static struct account shared = {.name = "shared", .limit_bytes = 1000};
static _Atomic int over_limit, refusals;

static void *hammer(void *argument) {
    struct random_stream random;
    random_seed(&random, 7, (uint64_t)(uintptr_t)argument);
    for (int i = 0; i < ROUNDS; i++) {
        size_t bytes = (size_t)random_below(&random, 600);
        void *block = memory_alloc(&shared, bytes);
        if (block == NULL)
            refusals++;
        else if (shared.bytes < (int64_t)bytes)
            over_limit++;
        memory_free(&shared, block);
    }
    return NULL;
}

static void threads_share_an_account(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(over_limit, 0);
    assert_int_equal(shared.bytes, 0);
    assert_int_equal(shared.blocks, 0);
}

static void *count_down(void *argument) {
    _Atomic int *refused = argument;
    struct account account = ACCOUNT("thread");
    for (int i = 0; i < ROUNDS; i++) {
        void *block = memory_alloc(&account, 1);
        if (block == NULL)
            (*refused)++;
        memory_free(&account, block);
    }
    return NULL;
}

static void the_twin_fails_one_over_threads(void **state) {
    (void)state;
    _Atomic int refused = 0;
    pthread_t threads[THREADS];
    memory_fail_after(ROUNDS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_down, &refused), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(refused, 1);
    assert_true(memory_fail_fired());
    memory_fail_after(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_lives),
        cmocka_unit_test(aligned_blocks),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(the_twin_fails_one),
        cmocka_unit_test(threads_share_an_account),
        cmocka_unit_test(the_twin_fails_one_over_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
