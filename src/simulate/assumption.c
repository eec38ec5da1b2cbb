/* assumption: a change that no pipeline file can say: a slower machine under one instance, a stage made faster, other
 * cores. "AGENT[/INSTANCE].speed=FACTOR", "STAGE.time=FACTOR", "cores=N".
 * Threads: any. Memory: none. */
#include "simulate/simulate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static enum troupe_error bad(struct fault *fault, const char *text, const char *why) {
    return fault_set(
        fault, TROUPE_USAGE, "--assume",
        "'%.100s' %s: expected AGENT.speed=FACTOR, AGENT/INSTANCE.speed=FACTOR, STAGE.time=FACTOR or "
        "cores=N",
        text, why);
}

static enum troupe_error unknown(struct fault *fault, const char *what, const char *name,
                                 const char *const *names, size_t count) {
    const char *near = text_nearest(name, names, count);
    return fault_set(fault, TROUPE_USAGE, "--assume", "there is no %s '%.60s'%s%s%s", what, name,
                     near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                     near != NULL ? "'?" : "");
}

static enum troupe_error parse_speed(const char *text, const struct pipeline *pipeline,
                                     struct assumption *ret, struct fault *fault) {
    const char *names[PIPELINE_AGENTS_MAX];
    char *slash = strchr(ret->agent, '/');
    int64_t instance = -1;
    if (slash != NULL) {
        *slash = '\0';
        if (text_int(slash + 1, &instance) != TROUPE_OK || instance < 0)
            return bad(fault, text, "has no number behind its '/'");
    }
    for (unsigned a = 0; a < pipeline->agent_count; a++) {
        names[a] = pipeline->agents[a].name;
        if (strcmp(names[a], ret->agent) != 0)
            continue;
        if (instance >= (int64_t)pipeline->agents[a].instances_max)
            return fault_set(fault, TROUPE_USAGE, "--assume", "agent '%s' has instances 0 to %u, not %lld",
                             names[a], pipeline->agents[a].instances_max - 1, (long long)instance);
        ret->kind = ASSUME_SPEED;
        ret->instance = (int)instance;
        return TROUPE_OK;
    }
    return unknown(fault, "agent", ret->agent, names, pipeline->agent_count);
}

static enum troupe_error parse_time(const struct pipeline *pipeline, struct assumption *ret,
                                    struct fault *fault) {
    const char *names[PIPELINE_STAGES_MAX];
    for (unsigned s = 0; s < pipeline->stage_count; s++)
        names[s] = pipeline->stages[s].name;
    if (pipeline_stage_find(pipeline, ret->agent) < 0)
        return unknown(fault, "stage", ret->agent, names, pipeline->stage_count);
    ret->kind = ASSUME_TIME;
    ret->instance = -1;
    return TROUPE_OK;
}

enum troupe_error assumption_parse(const char *text, const struct pipeline *pipeline, struct assumption *ret,
                                   struct fault *fault) {
    static const struct {
        const char *end;
        int kind;
    } kinds[] = {{".speed", ASSUME_SPEED}, {".time", ASSUME_TIME}, {"cores", ASSUME_CORES}};
    struct assumption made = {.instance = -1};
    const char *equals = strchr(text, '=');
    if (equals == NULL)
        return bad(fault, text, "has no '='");
    if (text_real(equals + 1, &made.factor) != TROUPE_OK || !isfinite(made.factor) || made.factor < 0.001 ||
        made.factor > 1000)
        return bad(fault, text, "has no number from 0.001 to 1000 behind its '='");
    for (size_t k = 0; k < ARRAY_COUNT(kinds); k++) {
        size_t length = (size_t)(equals - text), end = strlen(kinds[k].end);
        if (length < end || strncmp(equals - end, kinds[k].end, end) != 0)
            continue;
        if (length - end >= sizeof made.agent)
            return bad(fault, text, "names nothing that could be");
        memcpy(made.agent, text, length - end);
        enum troupe_error error = TROUPE_OK;
        made.kind = kinds[k].kind;
        if (kinds[k].kind == ASSUME_SPEED)
            error = parse_speed(text, pipeline, &made, fault);
        else if (kinds[k].kind == ASSUME_TIME)
            error = parse_time(pipeline, &made, fault);
        else if (length != end || made.factor != floor(made.factor) || made.factor < 1)
            error = bad(fault, text, "gives no whole number of cores");
        if (error == TROUPE_OK)
            *ret = made;
        return error;
    }
    return bad(fault, text, "says nothing that can be assumed");
}
