/* Quotes in words, what of them is news, and how they are judged. Fails if a reader were told another number than was
 * quoted, or that a quote held which did not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "cli/quote_text.h"

#define SECOND 1000000000u

static struct told_quote twenty_seconds(void) {
    return (struct told_quote){.quote = {.at_trials = 6,
                                         .at_ns = 2 * (uint64_t)SECOND,
                                         .trials = 60,
                                         .wall_ms = {20100, 17200, 23900},
                                         .ends_ms = {20100, 17200, 23900},
                                         .fits = {NAN, NAN, NAN}}};
}

static struct told_quote with_deadline(unsigned seconds, double fits) {
    struct told_quote told = twenty_seconds();
    told.quote.deadline_ns = seconds * (uint64_t)SECOND;
    told.quote.fits = (struct estimate){fits, fits - 4, fits + 5};
    return told;
}

static void assert_text(const struct told_quote *told, const char *wanted) {
    char text[QUOTE_TEXT_BYTES];
    assert_string_equal(quote_text(told, text), wanted);
}

static void words(void **state) {
    (void)state;
    struct told_quote told = twenty_seconds();
    assert_text(&told, "60 trials take 20 s (17-24 s, 90 %)");
    told = with_deadline(60, 180);
    assert_text(&told, "60 trials take 20 s (17-24 s, 90 %) of your 60 s; 180 would fit");
    told.quote.fits_more = true;
    assert_text(&told, "60 trials take 20 s (17-24 s, 90 %) of your 60 s; 180 or more would fit");
    told.quote.wall_ms = (struct estimate){4321, 3999, 5000};
    assert_text(&told, "60 trials take 4.3 s (4.0-5.0 s, 90 %) of your 60 s; 180 or more would fit");
    told.quote.wall_ms = (struct estimate){20 * 60e3, 15 * 60e3, 130 * 60e3};
    told.quote.deadline_ns = 7200 * (uint64_t)SECOND;
    assert_text(&told, "60 trials take 20 min (15-130 min, 90 %) of your 2 h; 180 or more would fit");
}

static void a_deadline_that_cannot_be_met(void **state) {
    (void)state;
    struct told_quote told = with_deadline(10, 28);
    assert_text(&told, "60 trials would take 20 s (17-24 s, 90 %), more than your 10 s: 28 (24-33) fit");
    told.has_offer = true;
    told.offer = (struct quote_offer){.tried = 12};
    assert_text(&told, "60 trials would take 20 s (17-24 s, 90 %), more than your 10 s: 28 (24-33) fit; "
                       "none of 12 changes makes room for all");
    told.offer.set_count = 1;
    strcpy(told.offer.sets[0], "agents.train.instances=4");
    told.offer.wall_ms = 12000;
    assert_text(&told,
                "60 trials would take 20 s (17-24 s, 90 %), more than your 10 s: 28 (24-33) fit; "
                "none of 12 changes makes room for all, the best: --set agents.train.instances=4 (12 s)");
    told.offer.fits = true;
    told.offer.wall_ms = 9100;
    assert_text(&told, "60 trials would take 20 s (17-24 s, 90 %), more than your 10 s: 28 (24-33) fit; "
                       "all would with --set agents.train.instances=4 (9.1 s)");
    told.quote.deadline_ns = 18 * (uint64_t)SECOND;
    assert_text(&told, "60 trials take 20 s (17-24 s, 90 %) of your 18 s, so not all may fit: 28 (24-33) do; "
                       "all would with --set agents.train.instances=4 (9.1 s)");
    told.quote.deadline_ns = 10 * (uint64_t)SECOND;
    told.quote.trials = 0;
    told.quote.wall_ms = (struct estimate){NAN, NAN, NAN};
    assert_text(&told, "28 trials (24-33, 90 %) fit in your 10 s");
}

static void no_text_is_longer_than_its_room(void **state) {
    (void)state;
    struct told_quote told = with_deadline(10, 28);
    char text[QUOTE_TEXT_BYTES];
    told.has_offer = true;
    told.offer.set_count = ARRAY_COUNT(told.offer.sets);
    for (size_t i = 0; i < ARRAY_COUNT(told.offer.sets); i++)
        memset(told.offer.sets[i], 'x', sizeof told.offer.sets[i] - 1);
    assert_true(strlen(quote_text(&told, text)) < QUOTE_TEXT_BYTES);
}

static void news(void **state) {
    (void)state;
    struct told_quote first = with_deadline(60, 180), later = with_deadline(60, 150);
    assert_true(quote_is_news(&first, NULL));
    assert_false(quote_is_news(&later, &first));
    later.quote.wall_ms.value = 24000; /* outside of what was said */
    assert_true(quote_is_news(&later, &first));
    later.quote.wall_ms.value = 23000;
    later.quote.deadline_ns = 22 * (uint64_t)SECOND; /* inside, but it cannot be met any more */
    assert_true(quote_verdict(&later.quote) == QUOTE_MAY_MISS && quote_is_news(&later, &first));
    first = later = with_deadline(60, 180);
    double half = (first.quote.wall_ms.high - first.quote.wall_ms.low) / 2;
    later.quote.wall_ms.high = later.quote.wall_ms.low + half;
    assert_false(quote_is_news(&later, &first));
    later.quote.wall_ms.high -= 1; /* less than half as uncertain */
    assert_true(quote_is_news(&later, &first));
    first = later = with_deadline(60, 28);
    first.quote.trials = later.quote.trials = 0;
    assert_false(quote_is_news(&later, &first));
    later.quote.fits.value = 40;
    assert_true(quote_is_news(&later, &first));
}

/* ---- against what was measured ---- */

static struct document *parsed(const char *text) {
    struct document *document = NULL;
    assert_int_equal(document_parse_json(text, strlen(text), "response", NULL, &document, NULL), TROUPE_OK);
    return document;
}

static struct quote_score judged(const struct quote *quote, const char *response) {
    struct document *document = parsed(response);
    struct quote_score score = quote_score_of(quote, document_root(document));
    document_free(document);
    return score;
}

static void judgement(void **state) {
    (void)state;
    struct told_quote told = with_deadline(60, 28);
    struct quote_score score =
        judged(&told.quote, "{\"state\":\"finished\",\"trials\":60,\"time\":{\"elapsed_ms\":21000}}");
    assert_true(score.judged && score.by_time && score.held && score.measured == 21000);
    assert_true(fabs(score.error_percent - 100 * (20100.0 / 21000 - 1)) < 1e-9);
    score = judged(&told.quote, "{\"state\":\"finished\",\"trials\":60,\"time\":{\"elapsed_ms\":24000}}");
    assert_true(score.judged && !score.held);
    score = judged(&told.quote, "{\"state\":\"deadline\",\"trials\":30,\"time\":{\"elapsed_ms\":61000}}");
    assert_true(score.judged && !score.by_time && score.held && score.measured == 30);
    score = judged(&told.quote, "{\"state\":\"deadline\",\"trials\":34,\"time\":{\"elapsed_ms\":61000}}");
    assert_true(score.judged && !score.held);
    static const char *const none[] = {"{\"state\":\"stopped\",\"trials\":30,\"time\":{\"elapsed_ms\":6}}",
                                       "{\"state\":\"failed\",\"trials\":0}", "{\"state\":\"finished\"}",
                                       "{\"state\":7,\"time\":[]}", "[]"};
    for (size_t i = 0; i < ARRAY_COUNT(none); i++)
        assert_false(judged(&told.quote, none[i]).judged);
}

static void assert_written(const struct run_quote *quotes, const char *response, const char *line,
                           const char *const *members) {
    struct account account = ACCOUNT("test");
    struct document *document = parsed(response);
    struct buffer text;
    struct json json;
    buffer_init(&text, &account, 0);
    quote_write_score(quotes, document_root(document), &text);
    assert_string_equal(buffer_string(&text), line);
    buffer_clear(&text);
    json_init(&json, &text);
    json_object_begin(&json);
    quote_write_json(quotes, document_root(document), &json);
    json_object_end(&json);
    for (size_t i = 0; members[i] != NULL; i++)
        if (strstr(buffer_string(&text), members[i]) == NULL)
            fail_msg("expected %s in %s", members[i], buffer_string(&text));
    document_free(parsed(buffer_string(&text)));
    buffer_free(&text);
    document_free(document);
    assert_int_equal(account.bytes, 0);
}

static void the_last_line_and_json(void **state) {
    (void)state;
    static const char finished[] = "{\"state\":\"finished\",\"trials\":60,\"time\":{\"elapsed_ms\":21000}}";
    struct run_quote quotes = {0};
    assert_written(&quotes, finished, "",
                   (const char *const[]){"\"quote\":[]", "\"quoted\":null", "\"held\":null", NULL});
    quotes.quotes[quotes.count++] = with_deadline(60, 180);
    assert_written(&quotes, finished,
                   "quoted     20 s (17-24 s, 90 %) after 6; took 21 s: 4.3 % off, within the interval\n",
                   (const char *const[]){"\"at_trials\":6,\"at_ms\":2000.0",
                                         "\"wall_ms\":20100.0,\"low_ms\":17200.0", "\"deadline_ms\":60000.0",
                                         "\"fits_trials\":180", "\"quoted\":{\"wall_ms\":20100.0}",
                                         "\"measured\":{\"wall_ms\":21000.0}",
                                         "\"error_percent\":{\"wall_ms\":-4.286}", "\"held\":true", NULL});
    quotes.quotes[quotes.count] = with_deadline(60, 35);
    quotes.quotes[quotes.count].has_offer = true;
    quotes.quotes[quotes.count++].quote.at_trials = 20;
    assert_written(
        &quotes, "{\"state\":\"deadline\",\"trials\":30,\"time\":{\"elapsed_ms\":61000}}",
        "quoted     180 trials (176-185, 90 %) after 6 trials, 35 trials (31-40, 90 %) after 20; "
        "there was room for 30: 16.7 % off, outside of the interval\n",
        (const char *const[]){"\"offer\":{\"fits\":false,\"tried\":0,\"sets\":[],\"wall_ms\":null}",
                              "\"measured\":{\"trials\":30}", "\"held\":false", NULL});
    assert_written(&quotes, "{\"state\":\"stopped\",\"trials\":30,\"time\":{\"elapsed_ms\":61000}}", "",
                   (const char *const[]){"\"error_percent\":null", "\"held\":null", NULL});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(a_deadline_that_cannot_be_met),
        cmocka_unit_test(no_text_is_longer_than_its_room),
        cmocka_unit_test(news),
        cmocka_unit_test(judgement),
        cmocka_unit_test(the_last_line_and_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
