/* chart_axis: nice ticks. Linear steps are 1, 2 or 5 times a power of ten; logarithmic ones are decades, or 1,
 * 2, 5 within a decade when few decades show; clock times step by what people count in. All labels of an axis
 * have the same form, so that they can be compared. Pure functions. */
#include "report/chart_axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 1e250 /* so that differences of ends, and ends moved apart, stay finite */

double axis_position(const struct axis *axis, double value) {
    if (isnan(value))
        return NAN;
    if (axis->scale == AXIS_LINEAR)
        return (value - axis->low) / (axis->high - axis->low);
    if (value <= 0)
        return NAN;
    return (log(value) - log(axis->low)) / (log(axis->high) - log(axis->low));
}

/* The smallest of 1, 2, 5, 10, ... that makes about `ticks` steps, or the next smaller one when fewer than two
 * ticks would fall into low..high. */
static double nice_step(double low, double high, unsigned ticks, bool whole_numbers) {
    double raw = (high - low) / ticks, power = pow(10, floor(log10(raw)));
    const double steps[] = {0.1 * power, 0.2 * power, 0.5 * power, power, 2 * power, 5 * power, 10 * power};
    unsigned i = 3;
    while (i + 1 < ARRAY_COUNT(steps) && steps[i] < raw * 0.85)
        i++;
    while (i > 0 && floor(high / steps[i] + 1e-9) - ceil(low / steps[i] - 1e-9) < 1)
        i--;
    return whole_numbers && steps[i] < 1 ? 1 : steps[i];
}

static void add_tick(struct axis *axis, double value, const char *label) {
    double at = axis_position(axis, value);
    if (axis->tick_count >= AXIS_TICKS_MAX || !(at > -1e-9 && at < 1 + 1e-9))
        return;
    struct axis_tick *tick = &axis->ticks[axis->tick_count++];
    tick->at = at < 0 ? 0 : at > 1 ? 1 : at;
    snprintf(tick->label, sizeof tick->label, "%.*s", (int)sizeof tick->label - 1, label);
}

/* Labels of a linear axis: all with the same decimals, or all in the same power of ten. */
static void label_linear(char out[32], double value, double step, double largest) {
    double digits = -floor(log10(step) + 1e-9);
    if (fabs(value) < step * 1e-6)
        value = 0;
    if (largest < 1e6 && digits <= 5) {
        snprintf(out, 32, "%.*f", digits > 0 ? (int)digits : 0, value);
        return;
    }
    int power = (int)floor(log10(largest) + 1e-9);
    int places = power + (int)digits;
    char number[24];
    snprintf(number, sizeof number, "%.*f", places > 0 ? (places < 15 ? places : 15) : 0,
             value / pow(10, power));
    if (value == 0)
        snprintf(out, 32, "0");
    else
        snprintf(out, 32, "%se%d", number, power);
}

static void ticks_linear(struct axis *axis, unsigned ticks, bool whole_numbers) {
    double step = nice_step(axis->low, axis->high, ticks, whole_numbers);
    double first = ceil(axis->low / step - 1e-9), largest = fmax(fabs(axis->low), fabs(axis->high));
    for (unsigned i = 0; i < AXIS_TICKS_MAX; i++) {
        char label[32];
        double value = (first + i) * step;
        if (value > axis->high + step * 1e-6)
            break;
        label_linear(label, value, step, largest);
        add_tick(axis, value, label);
    }
}

static void label_log(char out[32], double value) {
    if (value >= 0.001 && value < 10000)
        report_number(out, value, 3);
    else
        snprintf(out, 32, "%.0e", value);
    char *e = strchr(out, 'e');
    if (e == NULL)
        return;
    int power = 0;
    (void)sscanf(e + 1, "%d", &power);
    snprintf(e, 32 - (size_t)(e - out), "e%d", power);
}

static void ticks_log(struct axis *axis, unsigned ticks) {
    double low = log10(axis->low), high = log10(axis->high), decades = high - low;
    if (decades < 0.7) { /* hardly curved: ticks at nice linear values */
        ticks_linear(axis, ticks, false);
        return;
    }
    unsigned every = 1;
    while (decades / every > ticks)
        every++;
    static const double all[] = {1, 2, 5}, some[] = {1, 3}, one[] = {1};
    const double *within = one;
    unsigned count = 1;
    if (decades * 3 <= ticks + 1) {
        within = all;
        count = 3;
    } else if (decades * 2 <= ticks + 1) {
        within = some;
        count = 2;
    }
    for (double decade = ceil((floor(low) - 1) / every) * every; decade <= high; decade += every)
        for (unsigned i = 0; i < count; i++) {
            char label[32];
            double value = within[i] * pow(10, decade);
            label_log(label, value);
            add_tick(axis, value, label);
        }
}

void axis_make(struct axis *axis, double low, double high, enum axis_scale scale, double pad, unsigned ticks,
               bool whole_numbers) {
    memset(axis, 0, sizeof *axis);
    ticks = ticks < 2 ? 2 : ticks > 10 ? 10 : ticks;
    if (!isfinite(low) || !isfinite(high) || low > high) {
        low = 0;
        high = 1;
    }
    low = fmax(fmin(low, VALUE_MAX), -VALUE_MAX);
    high = fmax(fmin(high, VALUE_MAX), -VALUE_MAX);
    axis->scale = scale == AXIS_LOG && low > 0 && high > 0 ? AXIS_LOG : AXIS_LINEAR;
    if (axis->scale == AXIS_LOG) {
        low = fmax(low, 1 / VALUE_MAX);
        high = fmax(high, low);
        double span = log(high) - log(low), room = span < 1e-9 ? 0.7 : span * pad;
        axis->low = exp(log(low) - room);
        axis->high = exp(log(high) + room);
        ticks_log(axis, ticks);
        return;
    }
    double span = high - low, room = span * pad, size = fmax(fabs(low), fabs(high));
    if (span <= size * 1e-12) /* all the same */
        room = whole_numbers && size < 1e15 ? 0.5 : size > 1e-250 ? size * 0.1 : 1;
    axis->low = low - room;
    axis->high = high + room;
    ticks_linear(axis, ticks, whole_numbers);
}

void axis_make_time(struct axis *axis, uint64_t elapsed_ns, unsigned ticks) {
    static const struct {
        double seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}, {1e-3, "ms"}, {1e-6, "us"}};
    static const double clock[] = {1, 2, 5, 10, 15, 20, 30};
    double end = elapsed_ns > 0 ? (double)elapsed_ns / 1e9 : 1;
    unsigned unit = 0;
    while (unit + 1 < ARRAY_COUNT(units) && end < units[unit].seconds * 2)
        unit++;
    memset(axis, 0, sizeof *axis);
    axis->high = end;
    ticks = ticks < 2 ? 2 : ticks > 10 ? 10 : ticks;
    double range = end / units[unit].seconds, step = nice_step(0, range, ticks, false);
    if (units[unit].seconds == 60 || (units[unit].seconds == 1 && range <= 120))
        for (unsigned i = ARRAY_COUNT(clock); i-- > 0;)
            if (range / clock[i] <= ticks)
                step = clock[i];
    for (unsigned i = 0; i < AXIS_TICKS_MAX && i * step <= range * (1 + 1e-9); i++) {
        char number[32], label[40];
        snprintf(label, sizeof label, "%s %s", report_number(number, i * step, 4), units[unit].name);
        add_tick(axis, i * step * units[unit].seconds, i == 0 ? "0" : label);
    }
}
