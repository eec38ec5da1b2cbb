/* whatif_rank: every lever of a pipeline, the best first, each with the words that pull it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/whatif.h"
#include "report/report.h"

#define SHOWN_MAX 12
#define LINE_WIDTH 92

/* False: no memory, or what could be tried a moment ago cannot be made again. */
static bool entry_of(const struct whatif *whatif, const struct lever *lever, struct prediction_entry *ret) {
    struct session *session = whatif->session;
    struct prediction_request request = whatif_request(whatif);
    struct assumption assumption = {0};
    struct pipeline *pipeline = NULL;
    enum troupe_error error =
        lever_pipeline(session->env, session->account, whatif->pipeline, lever, &pipeline, NULL);
    if (error == TROUPE_OK && lever->assumed) {
        error = assumption_parse(lever->sets[0], pipeline, &assumption, NULL);
        request.assumptions = &assumption;
        request.assumption_count = 1;
    }
    request.pipeline = pipeline;
    if (error == TROUPE_OK) {
        prediction_entry_make(&request, &lever->prediction, whatif->data_hash, ret);
        if (whatif->assumption_count > 0)
            ret->definition = 0;
        snprintf(ret->run, sizeof ret->run, "%s", whatif->id);
        ret->changes = whatif_changes_json(whatif, lever);
    }
    pipeline_free(pipeline);
    return error == TROUPE_OK;
}

void whatif_keep_levers(const struct whatif *whatif, const struct lever *const *levers, unsigned count) {
    struct prediction_entry *entries =
        ARENA_ARRAY(&whatif->session->arena, struct prediction_entry, count + 1);
    unsigned made = 0;
    for (unsigned i = 0; i < count && entries != NULL; i++)
        made += entry_of(whatif, levers[i], &entries[made]);
    if (made > 0)
        whatif_keep(whatif, entries, made);
}

enum troupe_error whatif_rank(struct whatif *whatif, struct ranking **ret_ranking, struct fault *fault) {
    struct rank_request request = {.env = whatif->session->env,
                                   .model = whatif->model,
                                   .pipeline = whatif->pipeline,
                                   .assumptions = whatif->assumptions,
                                   .assumption_count = whatif->assumption_count,
                                   .seed = (uint64_t)whatif->values->seed};
    enum troupe_error error = rank_levers(&request, whatif->session->account, ret_ranking, fault);
    const struct lever *levers[LEVERS_MAX];
    for (unsigned i = 0; error == TROUPE_OK && i < (*ret_ranking)->list.count; i++)
        levers[i] = &(*ret_ranking)->list.levers[i];
    if (error == TROUPE_OK)
        whatif_keep_levers(whatif, levers, (*ret_ranking)->list.count);
    return error;
}

const struct lever *whatif_best_lever(const struct ranking *ranking) {
    for (unsigned i = 0; i < ranking->list.count; i++) {
        const struct lever *lever = &ranking->list.levers[i];
        if (!lever->assumed && !lever->nothing && lever->gain > 0 && lever->kind != LEVER_BUDGET)
            return lever;
    }
    return NULL;
}

/* ---- text ---- */

enum group { GROUP_GAIN, GROUP_BACK, GROUP_NOTHING, GROUP_LOSS, GROUP_BUDGET, GROUP_COUNT };

static enum group group_of(const struct lever *lever) {
    if (lever->kind == LEVER_BUDGET)
        return GROUP_BUDGET;
    if (!lever->nothing)
        return lever->gain > 0 ? GROUP_GAIN : GROUP_LOSS;
    return lever->kind == LEVER_FEWER ? GROUP_BACK : GROUP_NOTHING;
}

static const char *words_of(const struct lever *lever, char out[LEVER_SETS_MAX * 104]) {
    size_t used = 0;
    for (unsigned i = 0; i < lever->set_count; i++)
        used += (size_t)snprintf(out + used, LEVER_SETS_MAX * 104 - used, "%s%s %s", i > 0 ? " " : "",
                                 lever->assumed ? "--assume" : "--set", lever->sets[i]);
    return out;
}

static enum troupe_error write_gains(const struct ranking *ranking, struct buffer *out) {
    char wall[32], words[LEVER_SETS_MAX * 104];
    enum figure goal = ranking->goal;
    struct report_table table;
    unsigned shown = 0;
    for (unsigned i = 0; i < ranking->list.count; i++)
        shown += group_of(&ranking->list.levers[i]) == GROUP_GAIN;
    if (shown == 0) {
        buffer_text(out, "  no lever gains anything that could be told from nothing\n");
        return TROUPE_OK;
    }
    report_table_init(&table, out->account,
                      goal == FIGURE_WALL ? "|>wall time|>gain|90 %|by" : "|>trials|>in|>gain|90 %|by");
    table.width_max = 200;
    shown = 0;
    for (unsigned i = 0; i < ranking->list.count && shown < SHOWN_MAX; i++) {
        const struct lever *lever = &ranking->list.levers[i];
        if (group_of(lever) != GROUP_GAIN)
            continue;
        shown++;
        report_table_cell(&table, lever->text);
        report_table_cell(&table, whatif_figure_text(wall, goal, lever->prediction.figures[goal].value));
        if (goal != FIGURE_WALL)
            report_table_cell(
                &table, whatif_figure_text(wall, FIGURE_WALL, lever->prediction.figures[FIGURE_WALL].value));
        report_table_format(&table, "%.1f %%", lever->gain);
        report_table_format(&table, "%.1f to %.1f", lever->gain_low, lever->gain_high);
        report_table_cell(&table, words_of(lever, words));
    }
    return report_table_end(&table, 2, out);
}

/* "nothing    ...; ...; ..." broken at the width. */
static void write_group(const struct ranking *ranking, enum group group, const char *title,
                        struct buffer *out) {
    unsigned column = 0;
    char figure[32], text[200];
    for (unsigned i = 0; i < ranking->list.count; i++) {
        const struct lever *lever = &ranking->list.levers[i];
        if (group_of(lever) != group)
            continue;
        if (group == GROUP_LOSS)
            snprintf(text, sizeof text, "%s (%.0f %%)", lever->text, lever->gain);
        else if (group == GROUP_BUDGET)
            snprintf(
                text, sizeof text, "%s: %s in %s", lever->text,
                whatif_figure_text(figure, FIGURE_TRIALS, lever->prediction.figures[FIGURE_TRIALS].value),
                whatif_figure_text((char[32]){0}, FIGURE_WALL, lever->prediction.figures[FIGURE_WALL].value));
        else
            snprintf(text, sizeof text, "%s", lever->text);
        unsigned length = (unsigned)strlen(text) + 2;
        bool breaks = column + length > LINE_WIDTH;
        if (column == 0)
            buffer_format(out, "%-10s %s", title, text);
        else
            buffer_format(out, "%s%s", breaks ? ";\n           " : "; ", text);
        column = (column == 0 || breaks ? 11 : column) + length;
    }
    if (column > 0)
        buffer_text(out, "\n");
}

enum troupe_error whatif_rank_text(const struct whatif *whatif, const struct ranking *ranking,
                                   struct buffer *out) {
    static const struct {
        enum group group;
        const char *title;
    } groups[] = {{GROUP_BACK, "give back"},
                  {GROUP_NOTHING, "nothing by"},
                  {GROUP_LOSS, "worse by"},
                  {GROUP_BUDGET, "budget"}};
    const struct estimate *figures = ranking->base.figures;
    char wall[32], low[32], high[32], trials[32];
    buffer_format(out, "%s%s: %s trials in %s (%s to %s)\n\n", whatif->id,
                  whatif->sets.count + whatif->assumption_count > 0 ? ", changed" : "",
                  whatif_figure_text(trials, FIGURE_TRIALS, figures[FIGURE_TRIALS].value),
                  whatif_figure_text(wall, FIGURE_WALL, figures[FIGURE_WALL].value),
                  whatif_figure_text(low, FIGURE_WALL, figures[FIGURE_WALL].low),
                  whatif_figure_text(high, FIGURE_WALL, figures[FIGURE_WALL].high));
    enum troupe_error error = write_gains(ranking, out);
    buffer_text(out, "\n");
    for (size_t i = 0; i < ARRAY_COUNT(groups); i++)
        write_group(ranking, groups[i].group, groups[i].title, out);
    buffer_format(out, "limit      %s\n", ranking->base.limit);
    return error;
}

/* ---- JSON ---- */

void whatif_rank_json(const struct whatif *whatif, const struct ranking *ranking, struct json *json) {
    static const char *const kinds[] = {
        [LEVER_MORE] = "more",     [LEVER_HAND] = "hand",         [LEVER_REUSE] = "reuse",
        [LEVER_SEARCH] = "search", [LEVER_RESOURCE] = "resource", [LEVER_FASTER] = "faster",
        [LEVER_CORES] = "cores",   [LEVER_FEWER] = "fewer",       [LEVER_BUDGET] = "budget"};
    json_field_string(json, "run", whatif->id);
    json_field_string(json, "goal", figure_table[ranking->goal].name);
    whatif_write_estimates(ranking->base.figures, json);
    json_field_string(json, "limit", ranking->base.limit);
    json_field_int(json, "replications", ranking->base.replications);
    json_field_int(json, "left_out", ranking->list.left_out);
    json_key(json, "levers");
    json_array_begin(json);
    for (unsigned i = 0; i < ranking->list.count; i++) {
        const struct lever *lever = &ranking->list.levers[i];
        json_object_begin(json);
        json_field_string(json, "kind", kinds[lever->kind]);
        json_field_string(json, "text", lever->text);
        json_key(json, lever->assumed ? "assume" : "set");
        json_array_begin(json);
        for (unsigned k = 0; k < lever->set_count; k++)
            json_string(json, lever->sets[k]);
        json_array_end(json);
        json_field_real(json, "gain_percent", lever->gain);
        json_key(json, "gain_interval");
        json_array_begin(json);
        json_real(json, lever->gain_low);
        json_real(json, lever->gain_high);
        json_array_end(json);
        json_field_bool(json, "nothing", lever->nothing);
        whatif_write_estimates(lever->prediction.figures, json);
        json_field_string(json, "limit", lever->prediction.limit);
        json_object_end(json);
    }
    json_array_end(json);
}
