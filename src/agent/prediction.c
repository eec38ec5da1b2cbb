/* prediction: see the header. The fit is made when it is asked for, because offers are rarer than answers. */
#include "agent/prediction.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define DEVIATION_UNKNOWN                                                                                    \
    0.35F /* p90 at 1.6 times p50: the spread that training stages of the examples show */
#define DEVIATION_LEAST 0.005F
#define REACH_FIRST 1.8F /* of a normal distribution it is 1.28; the deviation of a few is not known well */
#define REACH_STEP 0.08F
#define REACH_SHARE 0.905F /* a little above 0.9: speeds that change cost some */
#define REACH_LEAST -3.0F
#define REACH_MOST 12.0F
#define DURATION_NS_MAX 9e18
#define DRIFT_DOUBT 1.02F /* by which a faster level must be better */
#define EXPECTED_WEIGHT 0.5F
#define FAR 2.5F          /* deviations from the middle beyond which an observation counts less */
#define SHIFT_DOUBT 3.0F  /* deviations by which the last few must differ to be a change */
#define SHIFT_LEAST 0.06F /* and by so much */
#define SIZE_DOUBT 0.3F   /* sum of squares of log sizes at which the exponent is believed half way */

enum { WINDOW = PREDICTION_WINDOW };

static float log_of(double value) {
    return value > 1 ? (float)log(value) : 0;
}

static float size_of(double size) {
    if (!(size > 0 && size < 1e30))
        return 0; /* not told */
    float log_size = (float)log(size);
    return log_size != 0 ? log_size : FLT_MIN;
}

static uint64_t duration_of(float log_ns) {
    double ns = exp((double)log_ns);
    return ns < DURATION_NS_MAX ? (uint64_t)(ns + 0.5) : (uint64_t)DURATION_NS_MAX;
}

/* ---- middles ---- */

static float median(const float *values, unsigned count) {
    float sorted[WINDOW];
    for (unsigned at = 0; at < count; at++) {
        unsigned to = at;
        for (; to > 0 && sorted[to - 1] > values[at]; to--)
            sorted[to] = sorted[to - 1];
        sorted[to] = values[at];
    }
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* From the differences of neighbours, so that a change of level hardly moves it. */
static float deviation_of(const float *values, unsigned count) {
    float apart[WINDOW];
    if (count < 3)
        return DEVIATION_UNKNOWN;
    for (unsigned at = 0; at + 1 < count; at++)
        apart[at] = fabsf(values[at + 1] - values[at]);
    float deviation = median(apart, count - 1) * 1.0484F;   /* 1.4826 / sqrt 2 */
    float few = DEVIATION_UNKNOWN / (float)(count * count); /* a lucky pair proves nothing */
    return deviation > few + DEVIATION_LEAST ? deviation : few + DEVIATION_LEAST;
}

static float spread_about(const float *values, unsigned count, float middle) {
    float sum = 0;
    for (unsigned at = 0; at < count; at++)
        sum += fabsf(values[at] - middle);
    return sum;
}

/* How many of the last ones are of today: all, or those after a change. It is where the two parts vary least about their
 * middles, if these are further apart than chance explains. Looked for when the last three say so. Newest last. */
static unsigned since_change(const float *values, unsigned count, float level, float deviation) {
    unsigned best = count, above = 0, below = 0;
    float least = INFINITY;
    for (unsigned at = count < 3 ? 0 : count - 3; at < count; at++) {
        above += values[at] > level + deviation;
        below += values[at] < level - deviation;
    }
    if (above < 3 && below < 3)
        return count;
    for (unsigned tail = 3; tail + 3 <= count && tail <= WINDOW / 2; tail++) {
        unsigned rest = count - tail;
        float now = median(values + rest, tail), before = median(values, rest);
        float chance =
            SHIFT_DOUBT * 1.25F * deviation * sqrtf(1.0F / (float)tail + 1.0F / (float)rest) + SHIFT_LEAST;
        if (fabsf(now - before) <= chance)
            continue;
        float spread = spread_about(values + rest, tail, now) + spread_about(values, rest, before);
        if (spread < least) {
            least = spread;
            best = tail;
        }
    }
    return best;
}

/* ---- the fit ---- */

static float exponent_of(const float *log_ns, const float *log_size, unsigned count) {
    float x[WINDOW], y[WINDOW], sum_xx = 0, sum_xy = 0;
    unsigned told = 0;
    for (unsigned at = 0; at < count; at++)
        if (log_size[at] != 0) {
            x[told] = log_size[at];
            y[told++] = log_ns[at];
        }
    if (told < 2)
        return 1;
    float middle_x = median(x, told), middle_y = median(y, told), slope = 1;
    for (unsigned round = 0; round < 2; round++) { /* the second with those far off held back */
        float off[WINDOW];
        for (unsigned at = 0; at < told; at++)
            off[at] = fabsf(y[at] - middle_y - slope * (x[at] - middle_x));
        float far = median(off, told) * 3 + DEVIATION_LEAST;
        sum_xx = sum_xy = 0;
        for (unsigned at = 0; at < told; at++) {
            float weight = off[at] > far ? far / off[at] : 1, dx = x[at] - middle_x;
            sum_xx += weight * dx * dx;
            sum_xy += weight * dx * (y[at] - middle_y);
        }
        slope = (sum_xy + SIZE_DOUBT) / (sum_xx + SIZE_DOUBT);
    }
    return slope < -3 ? -3 : slope > 5 ? 5 : slope;
}

/* Each observation moves the level by a part of what it is off, held back when it is far off. Which part is best, for
 * speeds that stand or drift, shows in how far off the observations of the window were. */
static float level_of(const float *values, unsigned count, float deviation) {
    static const float parts[] = {0.04F, 0.1F, 0.2F};
    float best = INFINITY, ret = values[0];
    for (unsigned which = 0; which < sizeof parts / sizeof *parts; which++) {
        float level = median(values, count < 5 ? count : 5), sum = 0;
        for (unsigned at = 0; at < count; at++) {
            float off = values[at] - level, far = FAR * deviation;
            off = off > far ? far : off < -far ? -far : off;
            sum += fabsf(off);
            float part = 1.0F / (float)(at + 2);
            level += off * (part > parts[which] ? part : parts[which]);
        }
        sum *= which == 0 ? 1 : DRIFT_DOUBT;
        if (sum < best) {
            best = sum;
            ret = level;
        }
    }
    return ret;
}

static void fit(struct prediction *prediction) {
    unsigned count = prediction->since; /* those before the last change are of another speed */
    if (!prediction->unfitted)
        return;
    float log_ns[WINDOW], log_size[WINDOW];
    for (unsigned at = 0; at < count; at++) { /* oldest first */
        unsigned from = (prediction->next + WINDOW - count + at) % WINDOW;
        log_ns[at] = prediction->log_ns[from];
        log_size[at] = prediction->log_size[from];
    }
    prediction->mean_size = 0;
    if (prediction->sizes) {
        float sum = 0;
        unsigned told = 0;
        prediction->exponent = exponent_of(log_ns, log_size, count);
        for (unsigned at = 0; at < count; at++)
            if (log_size[at] != 0) {
                sum += log_size[at];
                told++;
            }
        prediction->mean_size = told ? sum / (float)told : 0;
        for (unsigned at = 0; at < count; at++)
            if (log_size[at] != 0)
                log_ns[at] -= prediction->exponent * (log_size[at] - prediction->mean_size);
    }
    float deviation = deviation_of(log_ns, count);
    unsigned recent =
        since_change(log_ns, count, prediction->deviation > 0 ? prediction->level : log_ns[0], deviation);
    prediction->since = (uint8_t)recent;
    prediction->level = level_of(log_ns + count - recent, recent, deviation);
    prediction->deviation = deviation;
    prediction->unfitted = false;
}

/* ---- the door ---- */

/* Of a task of this size, above the level. */
static float of_size(const struct prediction *prediction, double size) {
    float log_size = prediction->sizes ? size_of(size) : 0;
    return log_size != 0 ? prediction->exponent * (log_size - prediction->mean_size) : 0;
}

void prediction_add(struct prediction *prediction, uint64_t duration_ns, double size) {
    float log_ns = log_of((double)duration_ns), log_size = size_of(size);
    if (prediction->count == 0) {
        prediction->reach = REACH_FIRST;
        prediction->exponent = 1;
    } else if (prediction->deviation > 0) { /* against what was last told */
        float off = (log_ns - prediction->level - of_size(prediction, size)) / prediction->deviation;
        /* Wide ones in wide steps, and the first ones wider. */
        float step =
            REACH_STEP * (1 + fminf(fmaxf(prediction->reach, 0), 3)) * (1 + 8 / (float)prediction->count);
        prediction->reach += off > prediction->reach ? REACH_SHARE * step : (REACH_SHARE - 1) * step;
        prediction->reach = fmaxf(REACH_LEAST, fminf(REACH_MOST, prediction->reach));
    }
    prediction->sizes |= log_size != 0;
    prediction->log_ns[prediction->next] = log_ns;
    prediction->log_size[prediction->next] = log_size;
    prediction->next = (uint8_t)((prediction->next + 1) % WINDOW);
    prediction->count += prediction->count < WINDOW;
    prediction->since += prediction->since < WINDOW;
    prediction->unfitted = true;
}

double prediction_share(struct prediction *prediction, double size) {
    if (prediction->count == 0)
        return 1;
    fit(prediction);
    float log_share = of_size(prediction, size);
    return log_share != 0 ? exp((double)fminf(fmaxf(log_share, -20), 20)) : 1;
}

static float log_p50(struct prediction *prediction, uint64_t expected_ns, double size) {
    fit(prediction);
    float told = prediction->level + of_size(prediction, size), count = prediction->count;
    if (expected_ns == 0 || prediction->count > 8) /* what is expected has no say any more */
        return told;
    float apart = log_of((double)expected_ns) - told; /* one far off is wrong, not half right */
    apart = fminf(fmaxf(apart, -1), 1);
    return told + apart * EXPECTED_WEIGHT / (count * count + EXPECTED_WEIGHT);
}

uint64_t prediction_p50(struct prediction *prediction, uint64_t expected_ns, double size) {
    return prediction->count == 0 ? expected_ns : duration_of(log_p50(prediction, expected_ns, size));
}

uint64_t prediction_p90(struct prediction *prediction, uint64_t expected_ns, double size) {
    if (prediction->count == 0)
        return expected_ns ? duration_of(log_of((double)expected_ns) + REACH_FIRST * DEVIATION_UNKNOWN) : 0;
    float middle = log_p50(prediction, expected_ns, size);
    float above = prediction->reach * prediction->deviation;
    return duration_of(middle + (above > 0 ? above : 0));
}
