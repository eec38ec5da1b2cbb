/* sleeper: a native agent for quote_coverage.py whose stages sleep for a time that is a function of the configuration,
 * so that many runs can go on at once on few cores.
 *
 *   time = base_ms x exp(spread x g + noise x z),   g = what the variables say, mean 0 and variance 1 over the space
 *   objective = favour x g - the distance from an optimum + a little noise
 *
 * `options:` of the agent has a map for each stage: base_ms, spread, noise, fail (probability), favour, salt. Variables
 * are x0.. (real, 0 to 1) and k0.. (choices). Threads: one a worker process. Memory: none. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "troupe_plugin.h"

#define VARIABLES_MAX 8

struct stage_options {
    double base_ms, spread, noise, fail, favour, salt;
};

static uint64_t mixed(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static double unit_of(uint64_t x) {
    return ((double)(mixed(x) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal_of(uint64_t x) {
    return sqrt(-2 * log(unit_of(x))) * cos(2 * 3.141592653589793 * unit_of(x ^ 0x5555));
}

static uint64_t text_hash(const char *text) {
    uint64_t hash = 1469598103934665603u;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

/* Mean 0, variance 1; how much each variable counts is drawn from the salt. */
static double speak(const struct troupe_plugin_task *task, uint64_t salt) {
    double sum = 0, squares = 0;
    for (unsigned v = 0; v < VARIABLES_MAX; v++) {
        char name[8];
        double x, weight = -log(unit_of(salt * 131 + v));
        snprintf(name, sizeof name, "x%u", v);
        if (task->host->variable_real(task, name, &x)) {
            sum += (unit_of(salt * 17 + v) < 0.5 ? -weight : weight) * (x - 0.5) * sqrt(12);
            squares += weight * weight;
        }
        snprintf(name, sizeof name, "k%u", v);
        const char *choice = task->host->variable_text(task, name);
        if (choice != NULL) {
            weight = -log(unit_of(salt * 137 + v));
            sum += weight * normal_of(text_hash(choice) ^ (salt * 19 + v));
            squares += weight * weight;
        }
    }
    return squares > 0 ? sum / sqrt(squares) : 0;
}

static double distance(const struct troupe_plugin_task *task, uint64_t salt) {
    double sum = 0;
    for (unsigned v = 0; v < VARIABLES_MAX; v++) {
        char name[8];
        double x;
        snprintf(name, sizeof name, "x%u", v);
        if (task->host->variable_real(task, name, &x))
            sum += (x - unit_of(salt * 23 + v)) * (x - unit_of(salt * 23 + v));
    }
    return sqrt(sum);
}

static void read_options(const struct troupe_plugin_task *task, struct stage_options *ret) {
    const struct {
        const char *name;
        double *to;
    } fields[] = {{"base_ms", &ret->base_ms}, {"spread", &ret->spread}, {"noise", &ret->noise},
                  {"fail", &ret->fail},       {"favour", &ret->favour}, {"salt", &ret->salt}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char path[160];
        snprintf(path, sizeof path, "%.100s.%s", task->capability, fields[i].name);
        task->host->option_real(task, path, fields[i].to);
    }
}

static void sleep_ms(double ms) {
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(fmod(ms, 1000) * 1e6)};
    while (nanosleep(&left, &left) != 0)
        continue;
}

static int execute(void *state, const struct troupe_plugin_task *task, struct troupe_plugin_result *result) {
    struct stage_options options = {.base_ms = 10, .salt = 1};
    (void)state;
    read_options(task, &options);
    uint64_t salt = (uint64_t)options.salt, seed = task->host->seed(task) ^ task->attempt;
    double said = speak(task, salt), noise = normal_of(seed ^ 0x1234);
    double ms = options.base_ms * exp(options.spread * said + options.noise * noise);
    sleep_ms(ms < 5000 ? ms : 5000);
    if (unit_of(seed ^ 0x777) < options.fail)
        return troupe_fail(result, 1, "it fails now and then");
    return troupe_metric(result, "score",
                         options.favour * said - distance(task, salt) + 0.05 * normal_of(seed ^ 0x99))
               ? 0
               : 1;
}

static const char *const capabilities[] = {"prepare", "train", "evaluate", "finish", "test", NULL};
TROUPE_PLUGIN_EXPORT const struct troupe_plugin troupe_plugin = {.abi = TROUPE_PLUGIN_ABI,
                                                                 .size = sizeof(struct troupe_plugin),
                                                                 .name = "sleeper",
                                                                 .capabilities = capabilities,
                                                                 .execute = execute};
