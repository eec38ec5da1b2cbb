/* rank: see the header. Each lever's replications are paired with those of the pipeline as it is: replication r of both
 * has the same seed, so what they share cancels out. */
#include "simulate/student.h"
#include "simulate/simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SURE 3.5 /* standard errors: at 1.645 one in twenty levers would seem to do something by chance */
#define DEFINITION_BYTES_MAX (32u << 20)
#define EVENTS_PER_STAGE 10u /* of a trial, at least; 17 are usual */

struct rank_work {
    const struct rank_request *request;
    struct account *account;
    struct ranking *ranking;
    struct buffer definition; /* the pipeline as JSON */
    unsigned replications;
    double base[RANK_REPLICATIONS * FIGURE_COUNT], tried[RANK_REPLICATIONS * FIGURE_COUNT];
    struct fault *fault;
};

static enum troupe_error write_definition(const struct pipeline *pipeline, struct buffer *out,
                                          struct fault *fault) {
    struct json json;
    json_init(&json, out);
    node_write_json(document_root(pipeline->document), &json);
    return buffer_ok(out) == TROUPE_OK
               ? TROUPE_OK
               : fault_set(fault, TROUPE_NOMEM, pipeline->source, "out of memory changing the definition");
}

static enum troupe_error parse_changed(struct env *env, struct account *account, const struct pipeline *base,
                                       const struct buffer *definition, const struct lever *lever,
                                       struct pipeline **ret_pipeline, struct fault *fault) {
    const char *sets[LEVER_SETS_MAX];
    for (unsigned i = 0; i < lever->set_count; i++)
        sets[i] = lever->sets[i];
    return pipeline_parse(env, account, buffer_string(definition), definition->length, base->source,
                          base->directory, sets, lever->assumed ? 0 : lever->set_count, ret_pipeline, fault);
}

enum troupe_error lever_pipeline(struct env *env, struct account *account, const struct pipeline *pipeline,
                                 const struct lever *lever, struct pipeline **ret_pipeline,
                                 struct fault *fault) {
    struct buffer definition;
    buffer_init(&definition, account, DEFINITION_BYTES_MAX);
    enum troupe_error error = write_definition(pipeline, &definition, fault);
    if (error == TROUPE_OK)
        error = parse_changed(env, account, pipeline, &definition, lever, ret_pipeline, fault);
    buffer_free(&definition);
    return error;
}

static struct prediction_request request_of(const struct rank_work *work, const struct pipeline *pipeline) {
    const struct rank_request *request = work->request;
    return (struct prediction_request){.model = request->model,
                                       .pipeline = pipeline,
                                       .assumptions = request->assumptions,
                                       .assumption_count = request->assumption_count,
                                       .seed = request->seed,
                                       .replications = work->replications};
}

/* ---- the base ---- */

static enum troupe_error too_much(const struct rank_work *work, uint64_t events) {
    return fault_set(work->fault, TROUPE_LIMIT, "rank",
                     "%u levers of a run of %llu events each are more than the %llu events that are allowed",
                     work->ranking->list.count, (unsigned long long)events,
                     (unsigned long long)work->request->events_max);
}

/* Known before anything is simulated, so that a run that is far too large costs nothing. */
static uint64_t events_at_least(const struct rank_request *request) {
    unsigned stages = 0, trials = request->model->told;
    for (unsigned s = 0; s < request->pipeline->stage_count; s++)
        stages += request->pipeline->stages[s].in_trial;
    unsigned budget = request->pipeline->trials;
    if (budget > 0 && (budget < trials || request->pipeline->deadline_ns == 0))
        trials = budget;
    return (uint64_t)trials * stages * EVENTS_PER_STAGE;
}

/* One replication tells what one costs, and so how many each lever may have. */
static enum troupe_error measure_effort(struct rank_work *work) {
    const struct rank_request *request = work->request;
    uint64_t events_max = request->events_max != 0 ? request->events_max : RANK_EVENTS;
    work->replications = 1;
    uint64_t runs = work->ranking->list.count + 1;
    if (request->events_max != 0 && events_at_least(request) * runs > events_max)
        return too_much(work, events_at_least(request));
    struct prediction first;
    struct prediction_request one = request_of(work, request->pipeline);
    enum troupe_error error = predict(&one, work->account, &first, work->fault);
    if (error != TROUPE_OK)
        return error;
    uint64_t events = first.events * runs;
    if (events > events_max && request->events_max == 0)
        return TROUPE_OK;
    if (events > events_max)
        return too_much(work, first.events);
    uint64_t replications = events > 0 ? events_max / events : RANK_REPLICATIONS;
    work->replications = replications < RANK_REPLICATIONS ? (unsigned)replications : RANK_REPLICATIONS;
    return TROUPE_OK;
}

static enum troupe_error predict_base(struct rank_work *work) {
    const struct pipeline *pipeline = work->request->pipeline;
    struct prediction *base = &work->ranking->base;
    struct prediction_request request = request_of(work, pipeline);
    request.replicated = work->base;
    enum troupe_error error = predict(&request, work->account, base, work->fault);
    if (error != TROUPE_OK)
        return error;
    double deadline_ms = (double)pipeline->deadline_ns / 1e6;
    bool cut = pipeline->deadline_ns > 0 && base->figures[FIGURE_WALL].value > 0.99 * deadline_ms;
    bool all = pipeline->trials > 0 && base->figures[FIGURE_TRIALS].value > pipeline->trials - 0.5;
    work->ranking->goal = cut && !all ? FIGURE_TRIALS : FIGURE_WALL;
    return TROUPE_OK;
}

/* ---- a lever ---- */

static void weigh(const struct rank_work *work, struct lever *lever) {
    enum figure goal = work->ranking->goal;
    unsigned count = work->replications;
    double sum = 0, squares = 0, gains[RANK_REPLICATIONS];
    for (unsigned r = 0; r < count; r++) {
        double base = work->base[goal * count + r], tried = work->tried[goal * count + r];
        double change = base > 0 ? 100 * (tried / base - 1) : 0;
        gains[r] = goal == FIGURE_TRIALS ? change : -change;
        sum += gains[r];
    }
    lever->gain = sum / count;
    for (unsigned r = 0; r < count; r++)
        squares += (gains[r] - lever->gain) * (gains[r] - lever->gain);
    double error = count > 1 ? sqrt(squares / (count - 1) / count) : 0;
    /* Of a run that is made: its own spread, and the machine's in it and in the one that it is compared with. */
    double noise = 100 * PREDICT_NOISE, variance = error * error * (count + 1) + 2 * noise * noise;
    double half = student_95(count > 1 ? count - 1 : 1000) * sqrt(variance);
    lever->gain_low = lever->gain - half;
    lever->gain_high = lever->gain + half;
    lever->nothing = fabs(lever->gain) < GAIN_MIN || fabs(lever->gain) < SURE * error;
}

static enum troupe_error try_lever(struct rank_work *work, struct lever *lever) {
    const struct rank_request *request = work->request;
    struct assumption assumptions[ASSUMPTIONS_MAX + 1];
    struct pipeline *pipeline = NULL;
    struct fault why = {0};
    enum troupe_error error = parse_changed(request->env, work->account, request->pipeline, &work->definition,
                                            lever, &pipeline, &why);
    if (error == TROUPE_NOMEM)
        return fault_set(work->fault, error, why.where, "%s", why.text);
    if (error != TROUPE_OK) {
        lever->impossible = true;
        return TROUPE_OK;
    }
    struct prediction_request one = request_of(work, pipeline);
    one.replicated = work->tried;
    if (lever->assumed) {
        if (request->assumption_count > 0)
            memcpy(assumptions, request->assumptions, request->assumption_count * sizeof *assumptions);
        error = assumption_parse(lever->sets[0], pipeline, &assumptions[one.assumption_count++], work->fault);
        one.assumptions = assumptions;
    }
    if (error == TROUPE_OK)
        error = predict(&one, work->account, &lever->prediction, work->fault);
    if (error == TROUPE_OK)
        weigh(work, lever);
    pipeline_free(pipeline);
    return error;
}

/* ---- the order ---- */

static double key_of(const struct lever *lever) {
    return lever->nothing ? 0 : lever->gain;
}

static int by_gain(const void *a, const void *b) {
    const struct lever *left = a, *right = b;
    bool left_budget = left->kind == LEVER_BUDGET, right_budget = right->kind == LEVER_BUDGET;
    if (left_budget != right_budget)
        return left_budget ? 1 : -1;
    if (key_of(left) != key_of(right))
        return key_of(left) > key_of(right) ? -1 : 1;
    double left_wall = left->prediction.figures[FIGURE_WALL].value,
           right_wall = right->prediction.figures[FIGURE_WALL].value;
    if (!left->nothing && left_wall != right_wall)
        return left_wall < right_wall ? -1 : 1;
    return left->kind != right->kind ? (left->kind < right->kind ? -1 : 1)
                                     : strcmp(left->sets[0], right->sets[0]);
}

static void drop_impossible(struct lever_list *list) {
    unsigned kept = 0;
    for (unsigned i = 0; i < list->count; i++)
        if (!list->levers[i].impossible)
            list->levers[kept++] = list->levers[i];
    list->left_out += list->count - kept;
    list->count = kept;
}

enum troupe_error rank_levers(const struct rank_request *request, struct account *account,
                              struct ranking **ret_ranking, struct fault *fault) {
    struct rank_work *work = memory_alloc(account, sizeof *work);
    struct ranking *ranking = memory_alloc(account, sizeof *ranking);
    if (work == NULL || ranking == NULL) {
        memory_free(account, work);
        memory_free(account, ranking);
        return fault_set(fault, TROUPE_NOMEM, "rank", "out of memory");
    }
    unsigned cores = request->model->cores;
    for (unsigned i = 0; i < request->assumption_count; i++)
        if (request->assumptions[i].kind == ASSUME_CORES)
            cores = (unsigned)(request->assumptions[i].factor + 0.5);
    *work = (struct rank_work){.request = request, .account = account, .ranking = ranking, .fault = fault};
    buffer_init(&work->definition, account, DEFINITION_BYTES_MAX);
    lever_list_make(request->pipeline, cores, &ranking->list);
    enum troupe_error error = write_definition(request->pipeline, &work->definition, fault);
    if (error == TROUPE_OK)
        error = measure_effort(work);
    if (error == TROUPE_OK)
        error = predict_base(work);
    for (unsigned i = 0; i < ranking->list.count && error == TROUPE_OK; i++)
        error = try_lever(work, &ranking->list.levers[i]);
    buffer_free(&work->definition);
    memory_free(account, work);
    if (error != TROUPE_OK) {
        ranking_free(ranking, account);
        return error;
    }
    drop_impossible(&ranking->list);
    qsort(ranking->list.levers, ranking->list.count, sizeof *ranking->list.levers, by_gain);
    *ret_ranking = ranking;
    return TROUPE_OK;
}

void ranking_free(struct ranking *ranking, struct account *account) {
    memory_free(account, ranking);
}
