/* association: how much of the objective a variable explains by itself: the epsilon squared of Kruskal and
 * Wallis, that is, the share of the variance of the objective's ranks that lies between groups of the
 * variable's values, less what chance would give (Kelley 1935; Tomczak & Tomczak 2014). Ranks, so that one
 * diverged trial does not decide; groups are the choices, or up to eight equally full bins of a number. A search
 * concentrates its trials where the objective is good, so this is a hint, not an effect size; the page says so.
 * Memory: the page's arena. */
#include "report/page.h"

#include <math.h>
#include <stdlib.h>

#define TRIALS_MIN 16
#define BINS_MAX 8

struct observation {
    double value, objective, rank;
    unsigned group;
};

static int by_objective(const void *a, const void *b) {
    const struct observation *left = a, *right = b;
    return left->objective < right->objective ? -1 : left->objective > right->objective;
}

static int by_value(const void *a, const void *b) {
    const struct observation *left = a, *right = b;
    return left->value < right->value ? -1 : left->value > right->value;
}

static size_t gather(struct page *page, unsigned variable, struct observation *all) {
    size_t n = 0;
    for (size_t i = 0; i < page->trial_count; i++) {
        const struct report_trial *trial = page->trials[i];
        if (trial->state == REPORT_TRIAL_OK && isfinite(trial->objective) &&
            page_active(page, trial, variable))
            all[n++] = (struct observation){.value = trial->values[variable], .objective = trial->objective};
    }
    qsort(all, n, sizeof *all, by_objective);
    for (size_t i = 0; i < n;) { /* ties share the mean of their ranks */
        size_t end = i + 1;
        while (end < n && !(all[i].objective < all[end].objective))
            end++;
        for (size_t k = i; k < end; k++)
            all[k].rank = (double)(i + end - 1) / 2;
        i = end;
    }
    return n;
}

/* Equal values are never split over two groups. */
static unsigned group(struct observation *all, size_t n, bool choice) {
    qsort(all, n, sizeof *all, by_value);
    size_t bins = n / 5 < BINS_MAX ? n / 5 : BINS_MAX, in_group = 0;
    unsigned groups = 0;
    for (size_t i = 0; i < n; i++) {
        bool differs = i > 0 && all[i].value > all[i - 1].value;
        if (differs && (choice || in_group * bins >= n)) {
            groups++;
            in_group = 0;
        }
        all[i].group = groups;
        in_group++;
    }
    return groups + 1;
}

double page_association(struct page *page, unsigned variable) {
    if (page->ok < TRIALS_MIN)
        return NAN;
    struct observation *all = ARENA_ARRAY(&page->arena, struct observation, page->ok);
    if (all == NULL) {
        page->error = TROUPE_NOMEM;
        return NAN;
    }
    size_t n = gather(page, variable, all);
    if (n < TRIALS_MIN)
        return NAN;
    unsigned groups = group(all, n, page->run->variables[variable].kind == REPORT_CHOICE);
    double mean = (double)(n - 1) / 2, between = 0, whole = 0;
    for (size_t i = 0; i < n;) {
        size_t end = i;
        double sum = 0;
        for (; end < n && all[end].group == all[i].group; end++) {
            sum += all[end].rank - mean;
            whole += (all[end].rank - mean) * (all[end].rank - mean);
        }
        between += sum * sum / (double)(end - i);
        i = end;
    }
    if (groups < 2 || n <= groups || whole <= 0)
        return 0;
    double share = between / whole; /* eta squared of the ranks */
    double adjusted = 1 - (1 - share) * (double)(n - 1) / (double)(n - groups);
    return adjusted > 0 ? adjusted : 0;
}
