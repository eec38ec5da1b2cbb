/* bench_figure: see the header. */
#include "bench_figure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void usage(FILE *out, const char *program, const struct bench_option *options, size_t count) {
    fprintf(out, "usage: %s [--smoke]", program);
    for (size_t at = 0; at < count; at++)
        fprintf(out, " [%s N]", options[at].name);
    fputc('\n', out);
    for (size_t at = 0; at < count; at++)
        fprintf(out, "  %-12s %s (%u)\n", options[at].name, options[at].meaning, *options[at].value);
}

static void option_read(const char *program, const char *text, const struct bench_option *option) {
    int64_t value = 0;
    if (text == NULL || text_int(text, &value) != TROUPE_OK || value < option->low || value > option->high) {
        fprintf(stderr, "%s: %s: '%s': expected a number from %u to %u\n", program, option->name,
                text != NULL ? text : "", option->low, option->high);
        exit(2);
    }
    *option->value = (unsigned)value;
}

void bench_options(const char *program, int argc, char **argv, const struct bench_option *options,
                   size_t count) {
    for (int word = 1; word < argc; word++) {
        size_t at = 0;
        if (strcmp(argv[word], "--help") == 0) {
            usage(stdout, program, options, count);
            exit(0);
        }
        if (strcmp(argv[word], "--smoke") == 0) {
            for (; at < count; at++)
                *options[at].value = options[at].smoke;
            continue;
        }
        while (at < count && strcmp(argv[word], options[at].name) != 0)
            at++;
        if (at == count) {
            fprintf(stderr, "%s: unknown option '%s'\n", program, argv[word]);
            usage(stderr, program, options, count);
            exit(2);
        }
        word++;
        option_read(program, word < argc ? argv[word] : NULL, &options[at]);
    }
}

static int ascending(const void *left, const void *right) {
    double x = *(const double *)left, y = *(const double *)right;
    return (x > y) - (x < y);
}

double bench_median(double *values, unsigned count) {
    CHECK(count > 0);
    qsort(values, count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void machine_write(struct json *json) {
    char line[256], model[128] = "unknown";
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "model name : %127[^\n]", model) == 1)
            break;
    if (file != NULL)
        fclose(file);
    json_key(json, "machine");
    json_object_begin(json);
    json_field_int(json, "cores", sysconf(_SC_NPROCESSORS_ONLN));
    json_field_string(json, "cpu", model);
#ifdef __OPTIMIZE__
    json_field_bool(json, "optimised", true);
#else
    json_field_bool(json, "optimised", false);
#endif
    json_object_end(json);
}

/* Four digits say all that a measurement does. */
static double rounded(double value) {
    char text[32];
    snprintf(text, sizeof text, value >= 1000 || value <= -1000 ? "%.0f" : "%.4g", value);
    return strtod(text, NULL);
}

void bench_print(const struct bench_figure *figure) {
    struct account account = ACCOUNT("figure");
    struct buffer line;
    struct json json;
    double median = bench_median(figure->values, figure->count);
    buffer_init(&line, &account, 0);
    json_init(&json, &line);
    json_object_begin(&json);
    json_field_string(&json, "bench", figure->bench);
    json_field_string(&json, "figure", figure->figure);
    json_field_real(&json, "value", rounded(median));
    json_field_string(&json, "unit", figure->unit);
    json_field_int(&json, "median_of", figure->count);
    json_field_real(&json, "least", rounded(figure->values[0]));
    json_field_real(&json, "most", rounded(figure->values[figure->count - 1]));
    if (figure->kind != BENCH_NO_TARGET) {
        bool at_least = figure->kind == BENCH_AT_LEAST;
        json_field_real(&json, at_least ? "target_at_least" : "target_at_most", figure->target);
        json_field_bool(&json, "met", at_least ? median >= figure->target : median <= figure->target);
    }
    machine_write(&json);
    json_object_end(&json);
    if (buffer_ok(&line) != TROUPE_OK)
        bench_fail("a figure", TROUPE_NOMEM, NULL);
    puts(buffer_string(&line));
    fflush(stdout);
    buffer_free(&line);
}

void bench_fail(const char *what, enum troupe_error error, const struct fault *fault) {
    fprintf(stderr, "%s: %s", what, error_text(error));
    if (fault != NULL && fault->text[0] != '\0')
        fprintf(stderr, ": %s: %s", fault->where, fault->text);
    fputc('\n', stderr);
    exit(1);
}
