/* whatif_scenario: `troupe whatif SCENARIO.yaml`: a described system in virtual time, no run needed.
 *
 * Threads: the main thread; --real starts the runtime's. Memory: the session's. */
#ifndef CLI_WHATIF_SCENARIO_H
#define CLI_WHATIF_SCENARIO_H

#include "cli/command.h"
#include "simulate/simulate.h"

struct scenario_values {
    struct option_list overlays;
    int64_t scale, seconds;
    bool check, each, steps, real;
};
/* Rows of the command's option table; `values` has a `struct scenario_values scenario`. */
#define WHATIF_SCENARIO_ROWS(values)                                                                         \
    {OPTION_LIST(values, scenario.overlays, "overlay", 'o', "NAME",                                          \
                 "lay one of the scenario's overlays on it"),                                                \
     .heading = "With a scenario file"},                                                                     \
        {OPTION_FLAG(values, scenario.each, "each", 0, "every overlay alone, by what it gains")},            \
        {OPTION_FLAG(values, scenario.steps, "steps", 0, "the overlays given, one after the other")},        \
        {OPTION_FLAG(values, scenario.check, "check", 0,                                                     \
                     "against what the file expects; status 1 when past a tolerance")},                      \
        {OPTION_FLAG(values, scenario.real, "real", 0, "also measure it, on real threads and timers")},      \
        {OPTION_NUMBER(1, 1000, values, scenario.scale, "scale", 0, "N",                                     \
                       "with --real: N times faster than the file says (default: 10)")},                     \
    {                                                                                                        \
        OPTION_NUMBER(1, 86400, values, scenario.seconds, "seconds", 0, "N",                                 \
                      "with --real: arrivals for at most N seconds a measurement (default: 60)")             \
    }

struct scenario_call {
    const char *path, *runs; /* the file; where predictions are kept, when there is such a directory */
    const struct scenario_values *values;
    const struct option_list *sets;
    uint64_t seed;
    unsigned replications; /* 0: 8, or 3 with --real */
    bool json;
};
bool whatif_is_scenario(struct session *session, const char *word);
/* USAGE when `values` has what only a scenario file takes, and `word` is none. */
MUST_CHECK enum troupe_error whatif_without_scenario(const struct scenario_values *values,
                                                     struct fault *fault);
/* Prints. MISMATCH with an empty fault: --check was not met, and the table says where. */
MUST_CHECK enum troupe_error whatif_scenario(struct session *session, const struct scenario_call *call,
                                             struct fault *fault);

/* ---- scenario_text.c, scenario_json.c ---- */
struct scenario_case { /* one simulated variant */
    const char *name, *note;
    struct scenario *scenario;
    struct scenario_result result;
};
void scenario_text_result(const struct scenario_case *one, const struct scenario_case *base,
                          struct buffer *out);
void scenario_text_parameters(const struct scenario *scenario, struct buffer *out);
/* `steps`: each case is compared with the one before it, otherwise with the base. */
void scenario_text_gains(const struct scenario_case *cases, size_t count, const struct scenario_case *base,
                         bool steps, struct buffer *out);
void scenario_text_real(const struct scenario_case *simulated, const struct scenario_result *measured,
                        int64_t scale, struct buffer *out);
bool scenario_text_row(const struct scenario_row *row, const struct scenario_case *one,
                       const struct scenario_case *base, struct buffer *out); /* false: past a tolerance */
void scenario_json_case(const struct scenario_case *one, struct json *json);
void scenario_json_result(const struct scenario_result *result, struct json *json);
void scenario_json_parameters(const struct scenario *scenario, struct json *json);
/* scenario_log.c: in the log of predictions; `measured` may be NULL. */
void scenario_keep(struct session *session, const struct scenario_call *call, const struct scenario_case *one,
                   const struct scenario_result *measured, int64_t scale);
bool scenario_json_row(const struct scenario_row *row, const struct scenario_case *one,
                       const struct scenario_case *base, struct json *json);

#endif
