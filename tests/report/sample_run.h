/* sample_run: a made-up run of any size for the tests of the page: four agents, three stages, seven variables
 * of every kind (a conditional one among them), a few failures, made from a seed. `hostile` puts markup, control
 * characters and broken UTF-8 into every text a user could have chosen. */
#ifndef TESTS_REPORT_SAMPLE_RUN_H
#define TESTS_REPORT_SAMPLE_RUN_H

#include "report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_VARIABLES 7
#define SAMPLE_STAGES 3
#define SAMPLE_AGENTS 4
#define SAMPLE_HOSTILE "</script><img src=x onerror=alert(1)>\"'&\x01\xff\xe2\x80\xae\xc2\x9b<!--"

struct sample {
    struct report_run run;
    struct report_variable variables[SAMPLE_VARIABLES];
    const char *choices[2][30], *stages[SAMPLE_STAGES];
    char names[2][30][24];
    struct report_trial *trials;
    double *values;
    struct report_execution *executions;
    struct report_agent agents[SAMPLE_AGENTS];
    struct report_share shares[7];
    struct report_event events[3];
    struct report_finding findings[2];
    struct report_lever levers[2];
    struct report_fact facts[4];
};

static inline void sample_variables(struct sample *sample, unsigned choices, const char *text) {
    const struct report_variable all[SAMPLE_VARIABLES] = {
        {.name = "learning_rate", .log = true, .low = 1e-4, .high = 1e-1},
        {.name = "depth", .kind = REPORT_INT, .low = 2, .high = 8},
        {.name = "dropout", .low = 0, .high = 0.5},
        {.name = "optimizer", .kind = REPORT_CHOICE, .choice_count = 3},
        {.name = "momentum", .low = 0.5, .high = 0.99},
        {.name = "batch", .kind = REPORT_INT, .log = true, .low = 16, .high = 1024},
        {.name = text != NULL ? text : "augmentation_policy",
         .kind = REPORT_CHOICE,
         .choice_count = choices}};
    static const char *const optimizers[] = {"sgd", "adam", "adamw"};
    memcpy(sample->variables, all, sizeof all);
    for (unsigned i = 0; i < 30; i++) {
        sample->choices[0][i] = optimizers[i % 3];
        (void)snprintf(sample->names[1][i], sizeof sample->names[1][i], "policy-number-%u", i);
        sample->choices[1][i] = text != NULL ? text : sample->names[1][i];
    }
    sample->variables[3].choices = sample->choices[0];
    sample->variables[6].choices = sample->choices[1];
}

static inline void sample_trial(struct sample *sample, unsigned number, struct random_stream *random,
                                const char *text) {
    struct report_trial *trial = &sample->trials[number];
    double *values = &sample->values[number * SAMPLE_VARIABLES];
    double focus = random_unit(random) < 0.6 ? 0.25 : 1; /* a search looks where it was good */
    values[0] = pow(10, -2.2 + (random_unit(random) - 0.5) * 3 * focus);
    values[0] = fmin(fmax(values[0], 1e-4), 1e-1);
    values[1] = floor(2 + random_unit(random) * 7);
    values[2] = random_unit(random) * 0.5;
    values[3] = floor(random_unit(random) * 3);
    values[4] = values[3] == 0 ? 0.5 + random_unit(random) * 0.49 : NAN;
    values[5] = floor(pow(2, 4 + random_unit(random) * 6));
    values[6] = floor(random_unit(random) * sample->variables[6].choice_count);
    double rate = log10(values[0]) + 2.2;
    *trial = (struct report_trial){.number = number, .values = values, .state = REPORT_TRIAL_OK};
    trial->objective = 0.975 - 0.05 * rate * rate - 0.004 * fabs(values[1] - 6) -
                       0.03 * values[2] * values[2] - (values[3] == 0 ? 0.012 : 0) -
                       random_unit(random) * 0.008;
    if (number % 23 == 7) {
        trial->state = REPORT_TRIAL_FAILED;
        trial->message = text != NULL ? text
                                      : "stage 'train': the worker died: CUDA out of memory while allocating "
                                        "2.4 GiB (attempt 3 of 3)";
    } else if (number % 41 == 11) {
        trial->objective = 0.1 + random_unit(random) * 0.1; /* diverged */
    }
}

/* Trials one after another on whichever agent is free first. */
static inline void sample_schedule(struct sample *sample, struct random_stream *random) {
    uint64_t free_at[SAMPLE_AGENTS] = {180000000, 190000000, 200000000, 210000000};
    size_t n = 0;
    for (size_t i = 0; i < sample->run.trial_count; i++) {
        unsigned agent = 0;
        for (unsigned a = 1; a < SAMPLE_AGENTS; a++)
            agent = free_at[a] < free_at[agent] ? a : agent;
        sample->trials[i].start_ns = free_at[agent];
        uint64_t at = free_at[agent] + 3000000;
        for (unsigned stage = 0; stage < SAMPLE_STAGES; stage++) {
            static const double usual[SAMPLE_STAGES] = {2e8, 2.2e9, 4e8};
            uint64_t took = (uint64_t)(usual[stage] * (0.5 + random_unit(random)));
            sample->executions[n++] = (struct report_execution){
                .trial = (uint32_t)i,
                .stage = stage,
                .agent = agent,
                .attempt = 1,
                .failed = stage == 1 && sample->trials[i].state == REPORT_TRIAL_FAILED,
                .started_ns = at,
                .ended_ns = at + took};
            sample->agents[agent].executing_ns += took;
            sample->agents[agent].tasks++;
            at += took + 4000000;
        }
        sample->trials[i].end_ns = free_at[agent] = at;
        if (at > sample->run.elapsed_ns)
            sample->run.elapsed_ns = at;
    }
    sample->run.execution_count = n;
    sample->run.elapsed_ns += 150000000;
    for (unsigned a = 0; a < SAMPLE_AGENTS; a++) {
        sample->agents[a].idle_ns = 330000000;
        sample->agents[a].waiting_ns =
            sample->run.elapsed_ns - sample->agents[a].idle_ns - sample->agents[a].executing_ns;
    }
}

static inline void sample_texts(struct sample *sample, const char *text) {
    static const char *const agents[] = {"trainer/0", "trainer/1", "trainer/2", "trainer/3"};
    static const struct report_share shares[] = {
        {"prepare", true, 11800, 6.9},     {"train", true, 128300, 75.3},
        {"evaluate", true, 23900, 14.0},   {"wait for agent", false, 3700, 2.2},
        {"coordination", false, 410, 0.2}, {"store", false, 1860, 1.1},
        {"transfer", false, 430, 0.3}};
    struct report_run *run = &sample->run;
    memcpy(sample->shares, shares, sizeof shares);
    for (unsigned i = 0; i < SAMPLE_AGENTS; i++)
        sample->agents[i].name = text != NULL ? text : agents[i];
    sample->stages[0] = "prepare";
    sample->stages[1] = text != NULL ? text : "train";
    sample->stages[2] = "evaluate";
    if (text != NULL)
        sample->shares[1].name = text;
    sample->events[0] = (struct report_event){2100000000, "agent trainer/2: worker restarted after it died"};
    sample->events[1] = (struct report_event){
        9400000000, text != NULL ? text : "trial 7, stage 'train': CUDA out of memory (attempt 2 of 3)"};
    sample->events[2] = (struct report_event){UINT64_MAX, "resumed after an interruption"};
    sample->findings[0] =
        (struct report_finding){text != NULL ? text : "train takes 75 % of the trials' time",
                                "If it took half as long, the run would be done in about 27 s instead of 44 "
                                "s. It uses 0.98 cores while it "
                                "runs, so the machine would carry more agents only with more cores."};
    sample->findings[1] = (struct report_finding){
        "Agents wait for work 4 % of the time", "Mostly at the end, when fewer trials are left than agents."};
    sample->levers[0] =
        (struct report_lever){.change = text != NULL ? text : "one more instance of 'train' (3)",
                              .effect = text != NULL ? text
                                                     : "31.2 s (29.6 s to 32.8 s) instead of "
                                                       "44.0 s: 29 % sooner",
                              .command = text != NULL ? text
                                                      : "troupe whatif digits --set "
                                                        "agents.train.instances=3"};
    sample->levers[1] =
        (struct report_lever){"'train' in half its time", "24.1 s instead of 44.0 s", NULL, true};
    sample->facts[0] = (struct report_fact){"sampler", "tpe"};
    sample->facts[1] = (struct report_fact){"seed", "42"};
    sample->facts[2] = (struct report_fact){"data", "9f86d081884c7d65"};
    sample->facts[3] = (struct report_fact){"pipeline", text != NULL ? text : "pipeline.yaml"};
    run->id = text != NULL ? text : "digits-68c1a2b4-9f3e";
    run->name = text != NULL ? text : "digits";
    run->directory = text != NULL ? text : "/home/ada/digits/runs/digits-68c1a2b4-9f3e";
    run->metric = text != NULL ? text : "val_acc";
    run->command = text != NULL ? text : "troupe run pipeline.yaml --trials 60";
    run->reproduce = text != NULL ? text : "sh runs/digits-68c1a2b4-9f3e/best/reproduce.sh";
    run->version = "0.1.0";
    run->error = text;
    run->state = "finished";
    run->started_utc_ns = 1757520564000000000;
}

static inline void sample_totals(struct sample *sample) {
    struct report_run *run = &sample->run;
    for (size_t i = 0; i < run->trial_count; i++)
        if (sample->trials[i].state == REPORT_TRIAL_OK &&
            (!run->has_best || sample->trials[i].objective > run->best_objective)) {
            run->has_best = true;
            run->best_trial = (unsigned)i;
            run->best_objective = sample->trials[i].objective;
        }
    if (run->trial_count > 0 && sample->trials[0].state == REPORT_TRIAL_OK) {
        run->has_baseline = run->has_baseline_test = run->has_best_test = true;
        run->baseline_objective = sample->trials[0].objective;
        run->baseline_test = run->baseline_objective - 0.006;
        run->best_test = run->best_objective - 0.004;
    }
}

static inline struct sample *sample_make(size_t trials, unsigned choices, bool hostile) {
    const char *text = hostile ? SAMPLE_HOSTILE : NULL;
    struct random_stream random;
    struct sample *sample = calloc(1, sizeof *sample);
    random_seed(&random, 42, 0);
    sample->trials = calloc(trials + 1, sizeof *sample->trials);
    sample->values = calloc(trials * SAMPLE_VARIABLES + 1, sizeof *sample->values);
    sample->executions = calloc(trials * SAMPLE_STAGES + 1, sizeof *sample->executions);
    sample_variables(sample, choices, text);
    sample->run = (struct report_run){.variables = sample->variables,
                                      .variable_count = SAMPLE_VARIABLES,
                                      .trials = sample->trials,
                                      .trial_count = trials,
                                      .maximise = true,
                                      .stages = sample->stages,
                                      .stage_count = SAMPLE_STAGES,
                                      .shares = sample->shares,
                                      .share_count = trials > 0 ? 7 : 0,
                                      .agents = sample->agents,
                                      .agent_count = SAMPLE_AGENTS,
                                      .executions = sample->executions,
                                      .events = sample->events,
                                      .event_count = trials > 0 ? 3 : 0,
                                      .findings = sample->findings,
                                      .finding_count = trials > 0 ? 2 : 0,
                                      .levers = sample->levers,
                                      .lever_count = trials > 0 ? 2 : 0,
                                      .facts = sample->facts,
                                      .fact_count = 4};
    for (size_t i = 0; i < trials; i++)
        sample_trial(sample, (unsigned)i, &random, text);
    sample_schedule(sample, &random);
    sample_texts(sample, text);
    sample_totals(sample);
    return sample;
}

static inline void sample_free(struct sample *sample) {
    free(sample->trials);
    free(sample->values);
    free(sample->executions);
    free(sample);
}

#endif
