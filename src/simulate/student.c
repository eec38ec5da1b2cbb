/* See student.h. */
#include "simulate/student.h"

#include "base/base.h"

double student_95(unsigned freedom) {
    static const double table[] = {0,     6.314, 2.920, 2.353, 2.132, 2.015, 1.943,
                                   1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771,
                                   1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725};
    return freedom < ARRAY_COUNT(table) ? table[freedom] : 1.645 + 1.6 / freedom;
}
