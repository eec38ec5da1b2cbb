/* Student's t: how far a mean of few observations may be off. */
#ifndef SIMULATE_STUDENT_H
#define SIMULATE_STUDENT_H

/* The 95th percentile, so that 90 % lie within plus and minus; `freedom`: observations - 1; 0 of 0. */
double student_95(unsigned freedom);

#endif
