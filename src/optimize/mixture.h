/* A joint kernel mixture over the unit cube and the choices of a space: the two densities of TPE.
 *
 * One kernel a trial, a product over the variables that were active in it: a normal cut off at the ends of
 * the unit interval, integrated over the cell of a discrete value; or, for a choice, mass on its own and a
 * little on all. A variable that was inactive in the trial is uniform in its kernel, and so is every variable
 * of the last kernel, the prior. So one mixture covers every set of active variables, and a kernel that lacks
 * a variable says nothing about it instead of being left out.
 *
 * Layout: by variable, then kernel, so that the loops over kernels run over consecutive doubles.
 * Owner: the sampler; memory is the study's account. One thread. */
#ifndef OPTIMIZE_MIXTURE_H
#define OPTIMIZE_MIXTURE_H

#include "space/space.h"

struct mixture {
    unsigned dimension, count, capacity; /* kernels, the prior included */
    double *centres;                     /* [variable][kernel]: unit or choice */
    double *masks;                       /* [variable][kernel]: 1 active, 0 not */
    double *log_norms;                   /* [variable][kernel]: of the cut-off normal */
    double *log_weights;                 /* [kernel] */
    double *exponents;                   /* [kernel], scratch */
    double
        widths[SPACE_VARIABLES_MAX]; /* normal: standard deviation; choice: probability of a uniform draw */
};

/* A candidate: where it is, and the cell that a discrete value covers (low == high: continuous). NaN:
 * inactive. */
struct candidate {
    struct configuration configuration;
    double centres[SPACE_VARIABLES_MAX], lows[SPACE_VARIABLES_MAX], highs[SPACE_VARIABLES_MAX];
};

MUST_CHECK enum troupe_error mixture_init(struct mixture *mixture, struct account *account,
                                          unsigned dimension, unsigned capacity);
void mixture_free(struct mixture *mixture, struct account *account);
void mixture_clear(struct mixture *mixture);
void mixture_add(struct mixture *mixture, const double *positions, double weight); /* NULL: the prior */
/* After the last kernel: normalises the weights and computes what depends on the widths. */
void mixture_finish(struct mixture *mixture, const struct space *space);
double mixture_log_density(struct mixture *mixture, const struct space *space,
                           const struct candidate *candidate);
unsigned mixture_pick(const struct mixture *mixture, struct random_stream *random);
/* Draws variable `index` from kernel `kernel`: a position in the unit interval, or a choice. */
double mixture_draw(const struct mixture *mixture, const struct variable *variable, unsigned index,
                    unsigned kernel, struct random_stream *random);

#endif
