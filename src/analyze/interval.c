/* interval: sets of times as sorted intervals that do not touch; and order statistics. Pure functions over the
 * caller's arrays. Length of an intersection and of a union are found by different sweeps on purpose: that they
 * agree with the lengths of the parts is one of the identities an analysis checks. */
#include "analyze/analysis_private.h"

#include <math.h>
#include <stdlib.h>

static int by_from(const void *a, const void *b) {
    const struct interval *left = a, *right = b;
    return left->from < right->from ? -1 : left->from > right->from;
}

size_t intervals_join(struct interval *intervals, size_t count) {
    size_t kept = 0;
    if (count == 0)
        return 0;
    qsort(intervals, count, sizeof *intervals, by_from);
    for (size_t i = 0; i < count; i++) {
        if (intervals[i].to <= intervals[i].from)
            continue;
        if (kept > 0 && intervals[i].from <= intervals[kept - 1].to) {
            if (intervals[i].to > intervals[kept - 1].to)
                intervals[kept - 1].to = intervals[i].to;
        } else {
            intervals[kept++] = intervals[i];
        }
    }
    return kept;
}

uint64_t intervals_length(const struct interval *intervals, size_t count) {
    uint64_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += intervals[i].to - intervals[i].from;
    return length;
}

/* `ret` NULL: only how long. */
static size_t common(const struct interval *a, size_t a_count, const struct interval *b, size_t b_count,
                     struct interval *ret, uint64_t *ret_length) {
    size_t count = 0;
    for (size_t i = 0, k = 0; i < a_count && k < b_count;) {
        uint64_t from = a[i].from > b[k].from ? a[i].from : b[k].from;
        uint64_t to = a[i].to < b[k].to ? a[i].to : b[k].to;
        if (to > from) {
            *ret_length += to - from;
            if (ret != NULL)
                ret[count] = (struct interval){from, to};
            count++;
        }
        if (a[i].to < b[k].to)
            i++;
        else
            k++;
    }
    return count;
}

uint64_t intervals_both(const struct interval *a, size_t a_count, const struct interval *b, size_t b_count) {
    uint64_t length = 0;
    common(a, a_count, b, b_count, NULL, &length);
    return length;
}

size_t intervals_common(const struct interval *a, size_t a_count, const struct interval *b, size_t b_count,
                        struct interval *ret) {
    uint64_t length = 0;
    return common(a, a_count, b, b_count, ret, &length);
}

uint64_t intervals_either(const struct interval *a, size_t a_count, const struct interval *b,
                          size_t b_count) {
    uint64_t length = 0, covered = 0; /* everything before `covered` is counted */
    for (size_t i = 0, k = 0; i < a_count || k < b_count;) {
        const struct interval *next =
            k >= b_count || (i < a_count && a[i].from <= b[k].from) ? &a[i++] : &b[k++];
        uint64_t from = next->from > covered ? next->from : covered;
        if (next->to > from) {
            length += next->to - from;
            covered = next->to;
        }
    }
    return length;
}

uint64_t sorted_quantile(const uint64_t *values, size_t count, double part) {
    if (count == 0)
        return 0;
    double rank = ceil(part * (double)count);
    size_t at = rank < 1 ? 0 : (size_t)rank - 1;
    return values[at < count ? at : count - 1];
}

static int by_value(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

void sort_times(uint64_t *values, size_t count) {
    if (count > 0)
        qsort(values, count, sizeof *values, by_value);
}
