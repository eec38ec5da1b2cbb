/* The buffer against a flat array: random appends, formats and consumes hold the same bytes. Fails if growth,
 * consuming or the limit lose or invent a byte, or if a failure does not stick until the clear. */
#include "cmocka_base.h"

#include <stdio.h>

#define MODEL_MAX 5000

static void agrees_with_a_flat_array(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    for (uint64_t seed = 1; seed <= 50; seed++) {
        static char model[MODEL_MAX + 1000];
        size_t length = 0;
        struct random_stream random;
        struct buffer buffer;
        random_seed(&random, seed, 0);
        buffer_init(&buffer, &account, MODEL_MAX);
        bool failed = false;
        for (int step = 0; step < 500; step++) {
            char bytes[600];
            size_t count = (size_t)random_below(&random, random_below(&random, 10) == 0 ? 600 : 40);
            switch (random_below(&random, 4)) {
            case 0:
                for (size_t i = 0; i < count; i++)
                    bytes[i] = (char)random_u64(&random);
                buffer_append(&buffer, bytes, count);
                failed = failed || length + count > MODEL_MAX;
                if (!failed)
                    memcpy(model + length, bytes, count);
                length += failed ? 0 : count;
                break;
            case 1:
                buffer_format(&buffer, "%*d|", (int)count + 1, 7);
                failed = failed || length + count + 2 > MODEL_MAX;
                if (!failed)
                    length +=
                        (size_t)snprintf(model + length, sizeof(model) - length, "%*d|", (int)count + 1, 7);
                break;
            case 2:
                count = count > length ? length : count;
                buffer_consume(&buffer, count);
                memmove(model, model + count, length - count);
                length -= count;
                break;
            default:
                if (random_below(&random, 50) == 0 || failed) {
                    buffer_clear(&buffer);
                    length = 0;
                    failed = false;
                }
            }
            assert_int_equal(buffer.length, length);
            assert_int_equal(buffer_ok(&buffer), failed ? TROUPE_LIMIT : TROUPE_OK);
            assert_memory_equal(buffer_string(&buffer), model, length);
            assert_int_equal(buffer_string(&buffer)[length], '\0');
        }
        buffer_free(&buffer);
        assert_int_equal(account.bytes, 0);
    }
}

static void the_limit_is_reached_exactly(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    struct buffer buffer;
    buffer_init(&buffer, &account, 10);
    buffer_text(&buffer, "0123456789");
    assert_int_equal(buffer_ok(&buffer), TROUPE_OK);
    buffer_text(&buffer, "");
    assert_int_equal(buffer_ok(&buffer), TROUPE_OK);
    buffer_format(&buffer, "%d", 1);
    assert_int_equal(buffer_ok(&buffer), TROUPE_LIMIT);
    assert_string_equal(buffer_string(&buffer), "0123456789");
    buffer_consume(&buffer, 9);
    buffer_text(&buffer, "x"); /* there would be room again, but text is missing in between */
    assert_string_equal(buffer_string(&buffer), "9");
    buffer_append(&buffer, "x", SIZE_MAX);
    assert_int_equal(buffer_ok(&buffer), TROUPE_LIMIT);
    buffer_free(&buffer);
    assert_string_equal(buffer_string(&buffer), "");
    assert_int_equal(account.bytes, 0);
}

static void no_memory_sticks(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    FOR_EACH_FAILING_ALLOCATION(n) {
        struct buffer buffer;
        buffer_init(&buffer, &account, 0);
        for (int i = 0; i < 100; i++)
            buffer_format(&buffer, "%d,", i);
        assert_int_equal(buffer_ok(&buffer), memory_fail_fired() ? TROUPE_NOMEM : TROUPE_OK);
        size_t length = buffer.length;
        assert_true(length == 0 || buffer.bytes[length - 1] == ','); /* whole appends only */
        buffer_free(&buffer);
        assert_int_equal(account.bytes, 0);
    }
}

/* Words come back from a shell as they were. */
static void shell_words(void **state) {
    (void)state;
    static const struct {
        const char *word, *quoted;
    } cases[] = {
        {"", "''"},
        {"runs/r-1", "runs/r-1"},
        {"--lr", "--lr"},
        {"{lr}", "{lr}"},
        {"{}", "'{}'"},
        {"{a,b}", "'{a,b}'"},
        {"x{1..3}", "'x{1..3}'"},
        {"log(1e-4,1e-1)", "'log(1e-4,1e-1)'"},
        {"two words", "'two words'"},
        {"it's", "'it'\\''s'"},
        {"'", "''\\'''"},
        {"~", "'~'"},
        {"$HOME", "'$HOME'"},
        {"a\nb", "'a\nb'"},
        {"\xc3\xa9", "'\xc3\xa9'"},
    };
    struct account account = ACCOUNT("test");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct buffer buffer;
        char read[64] = "";
        buffer_init(&buffer, &account, 0);
        buffer_text(&buffer, "printf %s ");
        buffer_shell_word(&buffer, cases[i].word);
        assert_string_equal(buffer_string(&buffer) + strlen("printf %s "), cases[i].quoted);
        FILE *shell = popen(buffer_string(&buffer), "r");
        assert_non_null(shell);
        size_t length = fread(read, 1, sizeof read - 1, shell);
        assert_int_equal(pclose(shell), 0);
        assert_int_equal(length, strlen(cases[i].word));
        assert_string_equal(read, cases[i].word);
        buffer_free(&buffer);
    }
    assert_int_equal(account.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_flat_array),
        cmocka_unit_test(the_limit_is_reached_exactly),
        cmocka_unit_test(no_memory_sticks),
        cmocka_unit_test(shell_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
