/* Words of quotes. See the header. A time and its interval share one unit and as many digits as are worth reading. */
#include "cli/quote_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- figures ---- */

struct unit {
    const char *name;
    double ms, below_ms;
};
static struct unit unit_of(double ms) {
    static const struct unit units[] = {{"ms", 1, 1e3},
                                        {"s", 1e3, 120e3},
                                        {"min", 60e3, 7200e3},
                                        {"h", 3600e3, 172800e3},
                                        {"d", 86400e3, INFINITY}};
    unsigned i = 0;
    while (i + 1 < ARRAY_COUNT(units) && ms >= units[i].below_ms)
        i++;
    return units[i];
}

static const char *number(double value, char out[32]) {
    snprintf(out, 32, value < 9.95 ? "%.1f" : "%.0f", value);
    return out;
}

static const char *duration(double ms, char out[48]) {
    char text[32];
    struct unit unit = unit_of(ms);
    double value = ms / unit.ms;
    if (value == floor(value) && value < 1e6)
        snprintf(out, 48, "%.0f %s", value, unit.name);
    else
        snprintf(out, 48, "%s %s", number(value, text), unit.name);
    return out;
}

/* At the end of a text of QUOTE_TEXT_BYTES. */
static void add(char *text, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(char *text, const char *format, ...) {
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, QUOTE_TEXT_BYTES - used, format, args);
    va_end(args);
}

/* "20 s (17-24 s, 90 %)" */
static void add_time(char *text, const struct estimate *ms) {
    char value[32], low[32], high[32];
    struct unit unit = unit_of(ms->value);
    add(text, "%s %s (%s-%s %s, 90 %%)", number(ms->value / unit.ms, value), unit.name,
        number(ms->low / unit.ms, low), number(ms->high / unit.ms, high), unit.name);
}

/* ---- a quote ---- */

enum quote_verdict quote_verdict(const struct quote *quote) {
    double deadline_ms = (double)quote->deadline_ns / 1e6;
    if (quote->trials == 0 || quote->deadline_ns == 0 || quote->wall_ms.value <= deadline_ms)
        return QUOTE_FITS;
    return quote->wall_ms.low <= deadline_ms ? QUOTE_MAY_MISS : QUOTE_MISSES;
}

static void add_offer(char *text, const struct quote_offer *offer) {
    char time[48];
    add(text, offer->fits ? "; all would with" : "; none of %u changes makes room for all", offer->tried);
    if (!offer->fits)
        add(text, offer->set_count > 0 ? ", the best:" : "");
    for (unsigned i = 0; i < offer->set_count; i++)
        add(text, " --set %s", offer->sets[i]);
    if (offer->set_count > 0)
        add(text, " (%s)", duration(offer->wall_ms, time));
}

const char *quote_text(const struct told_quote *told, char out[QUOTE_TEXT_BYTES]) {
    const struct quote *quote = &told->quote;
    const struct estimate *fits = &quote->fits;
    enum quote_verdict verdict = quote_verdict(quote);
    char deadline[48];
    duration((double)quote->deadline_ns / 1e6, deadline);
    out[0] = '\0';
    if (quote->trials == 0) {
        add(out, "%.0f trials (%.0f-%.0f, 90 %%) fit in your %s", fits->value, fits->low, fits->high,
            deadline);
        return out;
    }
    add(out, verdict == QUOTE_MISSES ? "%u trials would take " : "%u trials take ", quote->trials);
    add_time(out, &quote->wall_ms);
    if (quote->deadline_ns == 0)
        return out;
    add(out, verdict == QUOTE_MISSES ? ", more than your %s" : " of your %s", deadline);
    if (verdict == QUOTE_FITS) {
        add(out, "; %.0f%s would fit", fits->value, quote->fits_more ? " or more" : "");
        return out;
    }
    add(out, verdict == QUOTE_MISSES ? ": %.0f (%.0f-%.0f) fit" : ", so not all may fit: %.0f (%.0f-%.0f) do",
        fits->value, fits->low, fits->high);
    if (told->has_offer)
        add_offer(out, &told->offer);
    return out;
}

static bool within(double value, const struct estimate *estimate) {
    return value >= estimate->low && value <= estimate->high;
}

/* Outside of what was said before, or less than half as uncertain as that. */
static bool differs(const struct estimate *now, const struct estimate *before) {
    return !within(now->value, before) || 2 * (now->high - now->low) < before->high - before->low;
}

bool quote_is_news(const struct told_quote *told, const struct told_quote *before) {
    if (before == NULL || quote_verdict(&told->quote) != quote_verdict(&before->quote))
        return true;
    return told->quote.trials == 0 ? differs(&told->quote.fits, &before->quote.fits)
                                   : differs(&told->quote.wall_ms, &before->quote.wall_ms);
}

/* ---- against what was measured ---- */

static double real_of(const struct node *node) {
    return node_kind(node) == DOCUMENT_INT || node_kind(node) == DOCUMENT_REAL ? node_real(node) : NAN;
}

struct quote_score quote_score_of(const struct quote *quote, const struct node *response) {
    const struct node *state = node_get(response, "state");
    const char *name = node_kind(state) == DOCUMENT_STRING ? node_string(state) : "";
    struct quote_score score = {.by_time = strcmp(name, run_state_name(RUN_FINISHED)) == 0};
    score.quoted = score.by_time ? quote->wall_ms : quote->fits;
    score.measured = score.by_time ? real_of(node_get(node_get(response, "time"), "elapsed_ms"))
                                   : real_of(node_get(response, "trials"));
    score.judged = (score.by_time || strcmp(name, run_state_name(RUN_DEADLINE)) == 0) &&
                   isfinite(score.quoted.value) && score.measured > 0;
    score.error_percent = 100 * (score.quoted.value / score.measured - 1);
    score.held = within(score.measured, &score.quoted);
    return score;
}

static void add_score(char *text, const struct quote_score *score) {
    if (score->by_time)
        add_time(text, &score->quoted);
    else
        add(text, "%.0f trials (%.0f-%.0f, 90 %%)", score->quoted.value, score->quoted.low,
            score->quoted.high);
}

void quote_write_score(const struct run_quote *quotes, const struct node *response, struct buffer *out) {
    char text[QUOTE_TEXT_BYTES] = "", time[48];
    if (quotes->count == 0)
        return;
    const struct quote *first = &quotes->quotes[0].quote, *last = &quotes->quotes[quotes->count - 1].quote;
    struct quote_score score = quote_score_of(last, response), at_first = quote_score_of(first, response);
    if (!score.judged)
        return;
    if (last != first && at_first.judged) {
        add_score(text, &at_first);
        add(text, " after %u trials, ", first->at_trials);
    }
    add_score(text, &score);
    add(text, " after %u", last->at_trials);
    if (score.by_time)
        add(text, "; took %s", duration(score.measured, time));
    else
        add(text, "; there was room for %.0f", score.measured);
    buffer_format(out, "quoted     %s: %.1f %% off, %s the interval\n", text, fabs(score.error_percent),
                  score.held ? "within" : "outside of");
}

/* ---- JSON ---- */

static double rounded(double ms) {
    return round(ms * 1e3) / 1e3;
}

static void field_count(struct json *json, const char *key, double count) {
    json_key(json, key);
    if (isfinite(count))
        json_int(json, (int64_t)count);
    else
        json_null(json);
}

static void write_offer(const struct quote_offer *offer, struct json *json) {
    json_key(json, "offer");
    json_object_begin(json);
    json_field_bool(json, "fits", offer->fits);
    json_field_int(json, "tried", offer->tried);
    json_key(json, "sets");
    json_array_begin(json);
    for (unsigned i = 0; i < offer->set_count; i++)
        json_string(json, offer->sets[i]);
    json_array_end(json);
    json_field_real(json, "wall_ms", offer->set_count > 0 ? rounded(offer->wall_ms) : NAN);
    json_object_end(json);
}

static void write_quote(const struct told_quote *told, struct json *json) {
    const struct quote *quote = &told->quote;
    json_object_begin(json);
    json_field_int(json, "at_trials", quote->at_trials);
    json_field_real(json, "at_ms", rounded((double)quote->at_ns / 1e6));
    json_field_real(json, "wall_ms", rounded(quote->wall_ms.value));
    json_field_real(json, "low_ms", rounded(quote->wall_ms.low));
    json_field_real(json, "high_ms", rounded(quote->wall_ms.high));
    json_field_real(json, "deadline_ms", quote->deadline_ns != 0 ? (double)quote->deadline_ns / 1e6 : NAN);
    field_count(json, "fits_trials", quote->fits.value);
    field_count(json, "fits_low", quote->fits.low);
    field_count(json, "fits_high", quote->fits.high);
    json_field_real(json, "ends_ms", rounded(quote->ends_ms.value));
    json_field_real(json, "cpu_ms", rounded((double)told->cpu_ns / 1e6));
    if (told->has_offer)
        write_offer(&told->offer, json);
    json_object_end(json);
}

void quote_write_json(const struct run_quote *quotes, const struct node *response, struct json *json) {
    struct quote_score score = {0};
    json_key(json, "quote");
    json_array_begin(json);
    for (unsigned i = 0; i < quotes->count; i++)
        write_quote(&quotes->quotes[i], json);
    json_array_end(json);
    if (quotes->count > 0)
        score = quote_score_of(&quotes->quotes[quotes->count - 1].quote, response);
    const char *unit = score.by_time ? "wall_ms" : "trials";
    const struct {
        const char *name;
        double value;
    } parts[] = {
        {"quoted", score.quoted.value}, {"measured", score.measured}, {"error_percent", score.error_percent}};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        json_key(json, parts[i].name);
        if (!score.judged) {
            json_null(json);
            continue;
        }
        json_object_begin(json);
        if (score.by_time || i == ARRAY_COUNT(parts) - 1)
            json_field_real(json, unit, rounded(parts[i].value));
        else
            field_count(json, unit, parts[i].value);
        json_object_end(json);
    }
    json_key(json, "held");
    if (score.judged)
        json_bool(json, score.held);
    else
        json_null(json);
}
