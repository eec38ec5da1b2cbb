/* Quotes from records of runs whose end is known: each is cut at a moment of its middle, as a reader of the live run
 * would have seen it. If this fails, the quote that `troupe run` prints is not what the record says. */
#include "recorded.h"

#include <math.h>

#include "simulate/under_way.h"

static const char definition[] =
    "{\"name\":\"t\",\"space\":{\"x\":{\"float\":[0,1],\"default\":0.5},\"k\":{\"int\":[1,3],\"default\":2}},"
    "\"agents\":{\"prepare\":{\"command\":[\"w\"],\"capabilities\":[\"prepare\"]},"
    "\"train\":{\"command\":[\"w\"],\"instances\":2,\"capabilities\":[\"train\"]}},"
    "\"stages\":{\"prepare\":{\"uses\":[\"k\"]},\"train\":{\"needs\":[\"prepare\"],\"retries\":2}},"
    "\"objective\":{\"stage\":\"train\",\"metric\":\"score\",\"goal\":\"maximise\"},"
    "\"budget\":{\"trials\":30},\"optimizer\":{\"sampler\":\"tpe\",\"seed\":3,\"deterministic\":12}}";

/* ---- what stages take ---- */

static struct cost always_the_same(const char *stage, unsigned trial, unsigned attempt, double x, double k) {
    (void)trial;
    (void)attempt;
    (void)x;
    (void)k;
    return (struct cost){.blocked_ns = strcmp(stage, "prepare") == 0 ? 10 * MS : 80 * MS};
}

static struct cost by_variables(const char *stage, unsigned trial, unsigned attempt, double x, double k) {
    struct cost cost = always_the_same(stage, trial, attempt, x, k);
    double noise = 0.1 * sin(trial * 12.9898 + attempt);
    cost.blocked_ns = (uint64_t)((double)cost.blocked_ns * exp(x - 0.5 + 0.2 * (k - 2) + noise));
    return cost;
}

static struct cost fails_now_and_then(const char *stage, unsigned trial, unsigned attempt, double x,
                                      double k) {
    struct cost cost = by_variables(stage, trial, attempt, x, k);
    cost.fails = strcmp(stage, "train") == 0 && trial % 5 == 2 && attempt == 1;
    return cost;
}

/* Of the first trials one is under way for long, and only short ones have ended. */
static struct cost one_of_three_is_long(const char *stage, unsigned trial, unsigned attempt, double x,
                                        double k) {
    struct cost cost = always_the_same(stage, trial, attempt, x, k);
    if (strcmp(stage, "train") == 0 && trial % 3 == 1)
        cost.blocked_ns *= 10;
    return cost;
}

/* ---- a record at an earlier moment ---- */

struct moment {
    struct recorded *recorded;
    struct run_record record;
};

static bool told(const struct record_trial *trial) {
    return trial->state == TRIAL_OK || trial->state == TRIAL_FAILED;
}

static int by_number(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static struct moment moment_after(struct recorded *recorded, unsigned count) {
    const struct run_record *whole = recorded->record;
    struct moment moment = {.recorded = recorded, .record = *whole};
    struct run_record *record = &moment.record;
    uint64_t ends[500];
    unsigned ended = 0;
    for (size_t i = 0; i < whole->trial_count; i++)
        if (told(&whole->trials[i]))
            ends[ended++] = whole->trials[i].ended_ns;
    qsort(ends, ended, sizeof *ends, by_number);
    assert_true(count <= ended);
    uint64_t now = count > 0 ? ends[count - 1] : 1;
    record->trials = memory_alloc(&recorded->account, (whole->trial_count + 1) * sizeof *record->trials);
    record->executions =
        memory_alloc(&recorded->account, (whole->execution_count + 1) * sizeof *record->executions);
    record->trial_count = record->execution_count = record->told = record->failed = 0;
    record->live = true;
    record->state = RUN_RUNNING;
    for (size_t i = 0; i < whole->trial_count; i++) {
        struct record_trial trial = whole->trials[i];
        if (trial.created_ns > now)
            continue;
        if (trial.ended_ns > now) {
            trial.state = TRIAL_RUNNING;
            trial.objective = NAN;
            trial.created_ns = trial.told_ns = trial.ended_ns = 0;
        }
        record->told += told(&trial);
        record->failed += trial.state == TRIAL_FAILED;
        record->trials[record->trial_count++] = trial;
    }
    for (size_t i = 0; i < whole->execution_count; i++)
        if (whole->executions[i].done <= now)
            record->executions[record->execution_count++] = whole->executions[i];
    return moment;
}

static void moment_free(struct moment *moment) {
    memory_free(&moment->recorded->account, moment->record.trials);
    memory_free(&moment->recorded->account, moment->record.executions);
}

static enum troupe_error quoted(struct recorded *recorded, unsigned after,
                                const struct quote_options *options, struct quote *ret) {
    struct moment moment = moment_after(recorded, after);
    struct fault fault = {0};
    enum troupe_error error = quote_of(&moment.record, options, &recorded->account, ret, &fault);
    assert_true((error == TROUPE_OK) == (fault.text[0] == '\0'));
    moment_free(&moment);
    return error;
}

static struct quote quote_after(struct recorded *recorded, unsigned after, unsigned trials,
                                uint64_t deadline_ns) {
    struct quote_options options = {.cores = 2, .trials = trials, .deadline_ns = deadline_ns, .seed = 1};
    struct quote quote = {0};
    assert_int_equal(quoted(recorded, after, &options, &quote), TROUPE_OK);
    return quote;
}

static void assert_within(double is, double wanted, double percent) {
    double off = 100 * (is / wanted - 1);
    if (!(fabs(off) <= percent))
        fail_msg("%.3f, expected %.3f within %.1f %%: off by %.2f %%", is, wanted, percent, off);
}

/* ---- the end ---- */

static void what_always_takes_the_same_is_quoted_at_once(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, always_the_same);
    static const unsigned afters[] = {3, 10, 20, 29};
    for (size_t i = 0; i < ARRAY_COUNT(afters); i++) {
        struct quote quote = quote_after(&recorded, afters[i], 30, 0);
        assert_int_equal(quote.at_trials, afters[i]);
        assert_int_equal(quote.trials, 30);
        assert_within(quote.wall_ms.value, (double)recorded.wall_ns / 1e6, i == 0 ? 6 : 3);
        assert_true(quote.wall_ms.low <= quote.wall_ms.value && quote.wall_ms.value <= quote.wall_ms.high);
        assert_true(isnan(quote.fits.value));
        assert_true(quote.ends_ms.value == quote.wall_ms.value);
    }
    recorded_free(&recorded);
}

static void intervals_hold_and_narrow(void **state) {
    (void)state;
    cost_fn const costs[] = {by_variables, fails_now_and_then};
    for (size_t i = 0; i < ARRAY_COUNT(costs); i++) {
        struct recorded recorded;
        recorded_make(&recorded, definition, 2, costs[i]);
        double wall_ms = (double)recorded.wall_ns / 1e6, width = INFINITY;
        for (unsigned after = 4; after <= 27; after += 23) {
            struct quote quote = quote_after(&recorded, after, 30, 0);
            assert_true(quote.wall_ms.low <= wall_ms && wall_ms <= quote.wall_ms.high);
            assert_within(quote.wall_ms.value, wall_ms, after == 4 ? 30 : 8);
            assert_true(quote.wall_ms.high - quote.wall_ms.low < width);
            width = quote.wall_ms.high - quote.wall_ms.low;
        }
        recorded_free(&recorded);
    }
}

/* Answers in the order of their coming: virtual time would ask for other trials than the run did. */
static void without_an_order_of_results_too(void **state) {
    (void)state;
    char text[sizeof definition];
    struct recorded recorded;
    snprintf(text, sizeof text, "%s", definition);
    memcpy(strstr(text, "\"deterministic\":12"), "\"deterministic\": 0", strlen("\"deterministic\":12"));
    recorded_make(&recorded, text, 2, by_variables);
    struct quote quote = quote_after(&recorded, 20, 30, 0);
    assert_within(quote.wall_ms.value, (double)recorded.wall_ns / 1e6, 8);
    recorded_free(&recorded);
}

static void what_is_under_way_for_long_counts(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, one_of_three_is_long);
    double wall_ms = (double)recorded.wall_ns / 1e6;
    struct quote quote = quote_after(&recorded, 4, 30, 0);
    assert_true(quote.wall_ms.value > wall_ms / 2); /* by what ended it would be a quarter */
    assert_true(quote.wall_ms.high > wall_ms);
    recorded_free(&recorded);
}

static void same_record_same_quote(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, by_variables);
    struct quote one = quote_after(&recorded, 7, 30, 9000 * MS),
                 two = quote_after(&recorded, 7, 30, 9000 * MS);
    assert_memory_equal(&one, &two, sizeof one);
    recorded_free(&recorded);
}

/* A past of hundreds of trials is cut, and hundreds of trials to come are not all simulated. */
static void long_runs(void **state) {
    (void)state;
    char text[sizeof definition + 8];
    struct recorded recorded;
    snprintf(text, sizeof text, "%s", definition);
    const char *rest = strstr(definition, "\"trials\":30") + strlen("\"trials\":30");
    snprintf(strstr(text, "\"trials\":30"), 200, "\"trials\":460%s", rest);
    recorded_make(&recorded, text, 2, by_variables);
    double wall_ms = (double)recorded.wall_ns / 1e6;
    assert_within(quote_after(&recorded, 30, 460, 0).wall_ms.value, wall_ms, 25);
    struct quote late = quote_after(&recorded, 400, 460, 0);
    assert_int_equal(late.at_trials, 400);
    assert_within(late.wall_ms.value, wall_ms, 2);
    recorded_free(&recorded);
}

static void an_exhausted_space_ends_it(void **state) {
    (void)state;
    static const char few[] =
        "{\"name\":\"t\",\"space\":{\"k\":{\"int\":[1,12],\"default\":2}},"
        "\"agents\":{\"train\":{\"command\":[\"w\"],\"instances\":2,\"capabilities\":[\"train\"]}},"
        "\"stages\":{\"train\":{}},\"objective\":{\"stage\":\"train\",\"metric\":\"score\",\"goal\":"
        "\"maximise\"},"
        "\"budget\":{\"trials\":100},\"optimizer\":{\"sampler\":\"grid\",\"seed\":3}}";
    struct recorded recorded;
    recorded_make(&recorded, few, 2, always_the_same);
    assert_int_equal(recorded.record->told, 12);
    struct quote quote = quote_after(&recorded, 4, 100, 0);
    assert_within(quote.wall_ms.value, (double)recorded.wall_ns / 1e6, 5);
    recorded_free(&recorded);
}

/* ---- deadlines ---- */

static void a_deadline_far_away_leaves_room(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, always_the_same);
    struct quote quote = quote_after(&recorded, 6, 30, 2 * recorded.wall_ns);
    assert_within(quote.ends_ms.value, (double)recorded.wall_ns / 1e6, 5);
    assert_within(quote.fits.value, 60, 5);
    assert_false(quote.fits_more);
    quote = quote_after(&recorded, 6, 30, 20 * recorded.wall_ns);
    assert_true(quote.fits_more && quote.fits.value == 120);
    recorded_free(&recorded);
}

static void a_deadline_that_cannot_be_met(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, always_the_same);
    uint64_t deadline_ns = recorded.wall_ns / 2;
    struct quote quote = quote_after(&recorded, 6, 30, deadline_ns);
    assert_within(quote.wall_ms.value, (double)recorded.wall_ns / 1e6, 5);
    unsigned by_then = 0;
    for (size_t i = 0; i < recorded.record->trial_count; i++)
        by_then += recorded.record->trials[i].ended_ns <= deadline_ns;
    assert_true(fabs(quote.fits.value - by_then) <= 1);
    assert_true(quote.fits.low <= by_then && by_then <= quote.fits.high + 1);
    assert_true(quote.ends_ms.low >= (double)deadline_ns / 1e6);
    assert_within(quote.ends_ms.value, (double)deadline_ns / 1e6, 15);
    recorded_free(&recorded);
}

static void the_counter_offer(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, always_the_same);
    struct moment moment = moment_after(&recorded, 6);
    struct quote_options options = {.cores = 2, .trials = 30, .deadline_ns = 6 * recorded.wall_ns / 10};
    struct quote quote;
    struct quote_offer offer;
    struct fault fault = {0};
    assert_int_equal(quote_of(&moment.record, &options, &recorded.account, &quote, &fault), TROUPE_OK);
    assert_int_equal(
        quote_offer(recorded.env, &moment.record, &quote, &options, &recorded.account, &offer, &fault),
        TROUPE_OK);
    assert_true(offer.fits && offer.tried > 0 && offer.set_count >= 1);
    assert_string_equal(offer.sets[0], "agents.train.instances=4");
    assert_true(offer.wall_ms <= (double)options.deadline_ns / 1e6);
    options.deadline_ns = quote.at_ns + 1 * MS; /* no change helps */
    assert_int_equal(
        quote_offer(recorded.env, &moment.record, &quote, &options, &recorded.account, &offer, &fault),
        TROUPE_OK);
    assert_false(offer.fits);
    moment_free(&moment);
    recorded_free(&recorded);
}

static void without_a_number_of_trials(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, always_the_same);
    struct quote quote = quote_after(&recorded, 6, 0, recorded.wall_ns * 9 / 10);
    assert_true(isnan(quote.wall_ms.value));
    assert_within(quote.fits.value, 27, 8);
    assert_false(quote.fits_more);
    assert_within(quote.ends_ms.value, (double)recorded.wall_ns * 0.9 / 1e6, 10);
    recorded_free(&recorded);
}

/* ---- wrong use, no memory, no time ---- */

static void what_cannot_be_quoted_is_refused(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, always_the_same);
    struct quote_options options = {.cores = 2, .trials = 30, .seed = 1};
    struct quote quote = {.at_trials = 77};
    assert_int_equal(quoted(&recorded, 0, &options, &quote), TROUPE_INVALID);
    assert_int_equal(quoted(&recorded, 30, &options, &quote), TROUPE_INVALID);
    options.trials = 0;
    assert_int_equal(quoted(&recorded, 6, &options, &quote), TROUPE_INVALID);
    atomic_bool cancel = true;
    options.trials = 30;
    options.cancel = &cancel;
    assert_int_equal(quoted(&recorded, 6, &options, &quote), TROUPE_CANCELLED);
    assert_int_equal(quote.at_trials, 77);
    recorded_free(&recorded);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, by_variables);
    struct moment moment = moment_after(&recorded, 20);
    struct quote_options options = {.cores = 2, .trials = 22, .deadline_ns = recorded.wall_ns, .seed = 1};
    int64_t blocks = recorded.account.blocks;
    unsigned failed = 0;
    for (int64_t n = 1; n < 40000; n += n < 400 ? 1 : 97) {
        struct quote quote = {.at_trials = 77};
        struct fault fault = {0};
        memory_fail_after(n);
        enum troupe_error error = quote_of(&moment.record, &options, &recorded.account, &quote, &fault);
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        assert_int_equal(recorded.account.blocks, blocks);
        if (!fired)
            break;
        assert_true(error == TROUPE_OK ||
                    quote.at_trials == 77); /* also where a simulated worker lacked it */
        failed += error == TROUPE_NOMEM;
    }
    assert_true(failed > 100);
    moment_free(&moment);
    recorded_free(&recorded);
}

/* ---- parts ---- */

static void the_last_trials_as_a_run_of_their_own(void **state) {
    (void)state;
    struct recorded recorded;
    recorded_make(&recorded, definition, 2, always_the_same);
    struct moment moment = moment_after(&recorded, 20);
    struct run_record cut;
    uint64_t start_ns;
    assert_int_equal(quote_past_cut(&moment.record, 8, &recorded.account, &cut, &start_ns), TROUPE_OK);
    assert_int_equal(cut.told, 8);
    assert_int_equal(cut.trial_count - cut.told, moment.record.trial_count - moment.record.told);
    for (size_t i = 0; i < cut.trial_count; i++)
        assert_int_equal(cut.trials[i].number, i);
    assert_true(start_ns > 0 && cut.execution_count > 0);
    for (size_t i = 0; i < cut.execution_count; i++) {
        assert_true(cut.executions[i].trial < cut.trial_count);
        assert_true(cut.executions[i].done < recorded.wall_ns - start_ns);
    }
    quote_past_free(&cut, &recorded.account);
    moment_free(&moment);
    recorded_free(&recorded);
}

static struct trend *trend_of(struct recorded *recorded, const struct run_record *record,
                              struct model **ret_model) {
    struct fault fault = {0};
    struct trend *trend = NULL;
    assert_int_equal(model_fit(record, 2, &recorded->account, ret_model, &fault), TROUPE_OK);
    assert_int_equal(trend_fit(*ret_model, record->pipeline->space, &recorded->account, &trend), TROUPE_OK);
    return trend;
}

/* The time of `train` grows by e from x = 0 to x = 1, and by e^0.2 from one k to the next. */
static void a_trend_is_found(void **state) {
    (void)state;
    struct recorded recorded;
    struct model *model;
    recorded_make(&recorded, definition, 2, by_variables);
    struct trend *trend = trend_of(&recorded, recorded.record, &model);
    unsigned train = (unsigned)pipeline_stage_find(recorded.record->pipeline, "train");
    double low[] = {0.2, 2}, high[] = {0.7, 2}, more[] = {0.2, 3}, sum = 0;
    struct trend_drawn drawn, opposite;
    trend_draw(trend, train, 1, 0, &drawn);
    assert_true(fabs(trend_difference(trend, train, &drawn, high, low) - 0.5) < 0.1);
    assert_true(fabs(trend_difference(trend, train, &drawn, more, low) - 0.2) < 0.1);
    assert_true(fabs(drawn.level) < 1e-9);
    for (uint64_t seed = 0; seed < 40; seed++) {
        trend_draw(trend, train, seed, 1, &drawn);
        trend_draw(trend, train, seed, -1, &opposite);
        double one = trend_difference(trend, train, &drawn, high, low),
               other = trend_difference(trend, train, &opposite, high, low);
        assert_true(fabs(drawn.level + opposite.level) < 1e-9);
        assert_true(fabs((one + other) / 2 - 0.5) < 0.15);
        sum += one;
    }
    assert_true(fabs(sum / 40 - 0.5) < 0.1);
    trend_free(trend);
    model_free(model);
    recorded_free(&recorded);
}

static void what_had_begun_ends_later(void **state) {
    (void)state;
    struct recorded recorded;
    struct model *model;
    recorded_make(&recorded, definition, 2, by_variables);
    struct moment moment = moment_after(&recorded, 10);
    struct under_way under_way = {.trend = trend_of(&recorded, &moment.record, &model),
                                  .known_until_ns = 900 * MS,
                                  .seed = 1,
                                  .sign = 1};
    struct simulation simulation = {
        .model = model, .pipeline = moment.record.pipeline, .seed = 1, .under_way = &under_way};
    struct resampling *resampling = NULL;
    unsigned train = (unsigned)pipeline_stage_find(moment.record.pipeline, "train");
    assert_int_equal(resampling_create(&simulation, &recorded.account, &resampling), TROUPE_OK);
    const struct model_sample *was = &model->stages[train].samples[0];
    struct model_sample again = resample(resampling, train, was->trial, was->attempt, was->values, 0);
    assert_int_equal(again.wall_ns, was->wall_ns); /* it is in the record */
    double values[40][2];
    for (uint32_t i = 0; i < 40; i++) {
        values[i][0] = 0.021 * (i + 1), values[i][1] = 1 + i % 3;
        struct model_sample made = resample(resampling, train, 100 + i, 1, values[i], 900 * MS - i * 20 * MS);
        assert_true(made.wall_ns >= i * 20 * MS);
        assert_ptr_equal(made.values, values[i]);
    }
    assert_true(resample(resampling, train, 200, 1, values[0], 900 * MS).wall_ns > 0);
    resampling_free(resampling);
    trend_free(under_way.trend);
    model_free(model);
    moment_free(&moment);
    recorded_free(&recorded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_always_takes_the_same_is_quoted_at_once),
        cmocka_unit_test(intervals_hold_and_narrow),
        cmocka_unit_test(without_an_order_of_results_too),
        cmocka_unit_test(what_is_under_way_for_long_counts),
        cmocka_unit_test(same_record_same_quote),
        cmocka_unit_test(long_runs),
        cmocka_unit_test(an_exhausted_space_ends_it),
        cmocka_unit_test(a_deadline_far_away_leaves_room),
        cmocka_unit_test(a_deadline_that_cannot_be_met),
        cmocka_unit_test(the_counter_offer),
        cmocka_unit_test(without_a_number_of_trials),
        cmocka_unit_test(what_cannot_be_quoted_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_last_trials_as_a_run_of_their_own),
        cmocka_unit_test(a_trend_is_found),
        cmocka_unit_test(what_had_begun_ends_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
