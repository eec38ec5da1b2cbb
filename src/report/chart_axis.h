/* chart_axis: private to report/: from a range of values to positions in 0..1 and labelled ticks. */
#ifndef REPORT_CHART_AXIS_H
#define REPORT_CHART_AXIS_H

#include "report/report.h"

#define AXIS_TICKS_MAX 12

enum axis_scale { AXIS_LINEAR, AXIS_LOG };
struct axis_tick {
    double at; /* 0..1 */
    char label[32];
};
struct axis {
    enum axis_scale scale;
    double low, high; /* low < high, finite; > 0 when LOG */
    unsigned tick_count;
    struct axis_tick ticks[AXIS_TICKS_MAX];
};

/* `low` > `high`, NaN and infinities give 0..1; equal ends are widened. `pad`: part of the range added at each
 * end (0.04). LOG needs positive ends, else it is linear. `ticks`: about how many, 2..10. */
void axis_make(struct axis *axis, double low, double high, enum axis_scale scale, double pad, unsigned ticks,
               bool whole_numbers);
/* 0..`elapsed_ns`, labelled in the unit that suits. The axis' values are seconds. */
void axis_make_time(struct axis *axis, uint64_t elapsed_ns, unsigned ticks);
/* Unclamped; NaN for a value the scale has no place for. */
double axis_position(const struct axis *axis, double value);

#endif
