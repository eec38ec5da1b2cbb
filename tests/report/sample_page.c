/* sample_page TRIALS [CHOICES [hostile|minimise|failed]]: prints the page of a made-up run, for the tests of its
 * markup and for looking at it. */
#include "sample_run.h"

#include <stdio.h>

int main(int argc, char **argv) {
    size_t trials = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 60;
    unsigned choices = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 4;
    const char *kind = argc > 3 ? argv[3] : "";
    struct account account = ACCOUNT("page");
    struct sample *sample = sample_make(trials, choices, strcmp(kind, "hostile") == 0);
    struct buffer out;
    if (strcmp(kind, "minimise") == 0) {
        sample->run.maximise = false;
        for (size_t i = 0; i < trials; i++)
            sample->trials[i].objective = pow(10, 4 * (1 - sample->trials[i].objective));
        sample->run.best_objective = sample->trials[sample->run.best_trial].objective;
        if (trials > 0)
            sample->run.baseline_objective = sample->trials[0].objective;
        sample->run.metric = "loss";
        sample->run.has_best_test = false;
    }
    if (strcmp(kind, "failed") == 0) {
        for (size_t i = 0; i < trials; i++) {
            sample->trials[i].state = REPORT_TRIAL_FAILED;
            sample->trials[i].message =
                "stage 'train' did not report 'val_acc': expected it among its metrics";
        }
        sample->run.has_best = sample->run.has_baseline = sample->run.has_best_test = false;
        sample->run.state = "failed";
        sample->run.error =
            "all of the first 5 trials failed; the last: stage 'train' did not report 'val_acc': "
            "expected it among its metrics or in its value";
    }
    buffer_init(&out, &account, 64 << 20);
    enum troupe_error error = report_html(&sample->run, &out);
    if (error != TROUPE_OK)
        (void)fprintf(stderr, "%s\n", error_text(error));
    (void)fwrite(buffer_string(&out), 1, out.length, stdout);
    buffer_free(&out);
    sample_free(sample);
    return error == TROUPE_OK && account.bytes == 0 ? 0 : 1;
}
