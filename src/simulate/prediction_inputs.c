/* prediction_inputs: what a prediction was made from, as one number, and its entry for the log.
 * Threads: any. Memory: none. */
#include "simulate/simulate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t number_hash(uint64_t hash, uint64_t number) {
    return hash_bytes(&number, sizeof number, hash);
}

static uint64_t real_hash(uint64_t hash, double number) {
    return hash_bytes(&number, sizeof number, hash);
}

static uint64_t text_hash(uint64_t hash, const char *text) {
    return hash_bytes(text, strlen(text) + 1, hash);
}

static uint64_t stage_hash(uint64_t hash, const struct model_stage *stage) {
    hash = number_hash(text_hash(hash, stage->name), stage->count);
    for (unsigned i = 0; i < stage->count; i++) {
        const struct model_sample *sample = &stage->samples[i];
        const uint64_t parts[] = {sample->trial,      sample->attempt,    sample->instance, sample->cpu_ns,
                                  sample->blocked_ns, sample->storing_ns, sample->end,      sample->retried};
        hash = hash_bytes(parts, sizeof parts, hash);
    }
    return hash;
}

static uint64_t model_hash(const struct model *model) {
    uint64_t hash = real_hash(number_hash(0, model->cores), model->crowding);
    for (unsigned i = 0; i < model->stage_count; i++)
        hash = stage_hash(hash, &model->stages[i]);
    for (unsigned i = 0; i < model->agent_count; i++) {
        const struct model_agent *agent = &model->agents[i];
        hash = number_hash(text_hash(hash, agent->name), agent->instances);
        for (unsigned k = 0; k < agent->start_count; k++)
            hash = number_hash(number_hash(hash, agent->starts[k].cpu_ns), agent->starts[k].blocked_ns);
        for (unsigned k = 0; k < agent->instances && agent->slowness != NULL; k++)
            hash = real_hash(hash, agent->slowness[k]);
    }
    for (unsigned i = 0; i < model->trial_count; i++) {
        const struct model_trial *trial = &model->trials[i];
        hash = real_hash(hash, trial->objective);
        for (unsigned v = 0; v < model->variables && trial->values != NULL; v++)
            hash = real_hash(hash, trial->values[v]);
    }
    return number_hash(number_hash(hash, model->commit_ns), model->begin_ns);
}

uint64_t prediction_inputs(const struct prediction_request *request) {
    uint64_t hash = number_hash(model_hash(request->model), pipeline_identity(request->pipeline));
    for (unsigned i = 0; i < request->assumption_count; i++) {
        const struct assumption *one = &request->assumptions[i];
        hash = real_hash(number_hash(text_hash(hash, one->agent), one->kind), one->factor);
        hash = number_hash(hash, (uint64_t)(int64_t)one->instance);
    }
    return number_hash(hash, request->seed);
}

void prediction_entry_make(const struct prediction_request *request, const struct prediction *prediction,
                           uint64_t data_hash, struct prediction_entry *ret) {
    *ret = (struct prediction_entry){
        .kind = "whatif", .inputs = prediction_inputs(request), .data = data_hash, .version = TROUPE_VERSION};
    if (request->assumption_count == 0)
        ret->definition = pipeline_identity(request->pipeline);
    for (unsigned i = 0; i < request->model->parameter_count; i++)
        ret->assumed += request->model->parameters[i].assumed;
    memcpy(ret->figures, prediction->figures, sizeof ret->figures);
    for (unsigned f = 0; f < FIGURE_COUNT; f++)
        ret->measured[f] = NAN;
}
