/* Every allocation of a parse and of a change refused in turn: NOMEM with a sentence, no output written,
 * nothing left on the account; and without a refusal the tree is whole. Also a limit on the account itself.
 */
#include "document_rig.h"

static const char yaml[] = "a: 1\nb: [x, 2.5, 'y', {c: ~}]\nlong: |\n  text\n";
static const char json[] = "{\"a\":1,\"b\":[\"x\",2.5,\"\\u00e9\",{\"c\":null}]}";

/* More children than the builder keeps without allocating, and a map with an index. */
static const char *wide_json(struct buffer *out) {
    static struct account account = {.name = "wide"};
    buffer_init(out, &account, 0);
    buffer_text(out, "{\"list\":[0");
    for (unsigned i = 1; i < 700; i++)
        buffer_format(out, ",%u", i);
    buffer_text(out, "]");
    for (unsigned i = 0; i < 50; i++)
        buffer_format(out, ",\"k%u\":\"%0100u\"", i, i);
    buffer_text(out, "}");
    return buffer_string(out);
}

static unsigned fail_each_of(parse_call parse, const char *text) {
    unsigned refused = 0;
    FOR_EACH_FAILING_ALLOCATION(n) {
        struct document *document = NULL;
        struct fault fault = {0};
        enum troupe_error error = parse(text, strlen(text), "f", NULL, &document, &fault);
        assert_int_equal(error, memory_fail_fired() ? TROUPE_NOMEM : TROUPE_OK);
        if (error == TROUPE_NOMEM) {
            refused++;
            assert_null(document);
            assert_string_equal(fault_line(&fault), "NOMEM f: no memory for the document");
        }
        document_free(document);
        assert_int_equal(document_account()->bytes, 0);
        assert_int_equal(document_account()->blocks, 0);
    }
    return refused;
}

static void parsing(void **state) {
    (void)state;
    struct buffer wide;
    assert_true(fail_each_of(document_parse_yaml, yaml) >= 1);
    assert_true(fail_each_of(document_parse_json, json) >= 1);
    assert_true(fail_each_of(document_parse_json, wide_json(&wide)) >= 6);
    assert_true(fail_each_of(document_parse_yaml, buffer_string(&wide)) >= 6);
    buffer_free(&wide);
}

static void changing(void **state) {
    (void)state;
    struct buffer wide, out;
    struct document *document = parsed(document_parse_json, wide_json(&wide));
    int64_t held = document_account()->bytes;
    unsigned refused = 0;
    FOR_EACH_FAILING_ALLOCATION(n) {
        struct document *changed = NULL;
        struct fault fault = {0};
        enum troupe_error error = document_with(document, "list[700]", "{a: [1, 2]}", &changed, &fault);
        assert_int_equal(error, memory_fail_fired() ? TROUPE_NOMEM : TROUPE_OK);
        if (error == TROUPE_OK) {
            assert_int_equal(node_count(node_get(document_root(changed), "list")), 701);
        } else {
            refused++;
            assert_null(changed);
            assert_true(fault.text[0] != '\0' && fault.error == TROUPE_NOMEM);
        }
        document_free(changed);
        assert_int_equal(document_account()->bytes, held);
    }
    assert_true(refused >= 6);
    assert_string_equal(written(document, &out), buffer_string(&wide)); /* the old one is as it was */
    buffer_free(&out);
    buffer_free(&wide);
    document_free(document);
    assert_int_equal(document_account()->bytes, 0);
}

static void the_account_bounds_all_documents(void **state) {
    (void)state;
    struct buffer wide;
    const char *text = wide_json(&wide);
    document_account()->limit_bytes = 20000;
    struct document *document = NULL;
    struct fault fault = {0};
    assert_int_equal(document_parse_json(text, wide.length, "f", NULL, &document, &fault), TROUPE_NOMEM);
    assert_int_equal(document_account()->bytes, 0);
    document_account()->limit_bytes = 0;
    document = parsed(document_parse_json, text);
    document_free(document);
    buffer_free(&wide);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsing),
        cmocka_unit_test(changing),
        cmocka_unit_test(the_account_bounds_all_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
