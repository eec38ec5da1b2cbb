/* run_levers: see the header. Of levers that are much alike (one instance more, twice as many) the better one is told. */
#include "cli/run_levers.h"

#include <stdio.h>
#include <string.h>

#include "cli/whatif.h"
#include "simulate/simulate.h"

#define EVENTS_MAX 300000u /* some 0.2 s of CPU */
#define TOLD_MIN 4

struct making {
    struct session *session;
    const struct run_record *record;
    struct model *model;
    struct ranking *ranking;
    struct arena *arena;
    const struct lever *chosen[RUN_LEVERS_MAX];
    struct run_levers *ret;
};

static bool ended(const struct run_record *record) {
    return !record->live && (record->state == RUN_FINISHED || record->state == RUN_DEADLINE) &&
           record->told >= TOLD_MIN;
}

static bool searched(struct session *session, const struct run_record *record) {
    struct document *definition = NULL;
    int64_t created;
    bool searched = run_read_definition(session->env, session->account, record->directory, &definition,
                                        &created, NULL) == TROUPE_OK &&
                    node_get(document_root(definition), "configuration") == NULL;
    document_free(definition);
    return searched;
}

/* "agents.train." of "agents.train.instances=3": what they are about. */
static bool alike(const struct lever *left, const struct lever *right) {
    if (left->kind != right->kind)
        return false;
    size_t length = strcspn(left->sets[0], "=");
    return left->kind == LEVER_FASTER || strncmp(left->sets[0], right->sets[0], length + 1) == 0;
}

static void choose(struct making *making) {
    const struct lever_list *list = &making->ranking->list;
    for (unsigned i = 0; i < list->count && making->ret->count < RUN_LEVERS_MAX; i++) {
        const struct lever *lever = &list->levers[i];
        bool useful = lever->kind == LEVER_FEWER ? lever->nothing : !lever->nothing && lever->gain > 0;
        bool told = lever->kind == LEVER_BUDGET;
        for (unsigned k = 0; k < making->ret->count; k++)
            told = told || alike(making->chosen[k], lever);
        if (useful && !told)
            making->chosen[making->ret->count++] = lever;
    }
}

static const char *effect_of(const struct making *making, const struct lever *lever) {
    enum figure goal = making->ranking->goal;
    const struct estimate *now = &making->ranking->base.figures[goal],
                          *then = &lever->prediction.figures[goal];
    char one[32], two[32], low[32], high[32];
    if (lever->nothing)
        return arena_format(making->arena, "nothing would be lost: %s",
                            whatif_figure_text(one, goal, then->value));
    return arena_format(making->arena, "%s%s (%s to %s) instead of %s: %.0f %% %s",
                        whatif_figure_text(one, goal, then->value), goal == FIGURE_TRIALS ? " trials" : "",
                        whatif_figure_text(low, goal, then->low), whatif_figure_text(high, goal, then->high),
                        whatif_figure_text(two, goal, now->value), lever->gain,
                        goal == FIGURE_TRIALS ? "more by the deadline" : "sooner");
}

static const char *command_of(const struct making *making, const char *runs_directory,
                              const struct lever *lever) {
    struct buffer text;
    buffer_init(&text, making->session->account, 4096);
    buffer_text(&text, "troupe whatif ");
    buffer_shell_word(&text, making->record->id);
    if (strcmp(runs_directory, "runs") != 0) {
        buffer_text(&text, " --runs ");
        buffer_shell_word(&text, runs_directory);
    }
    for (unsigned i = 0; i < lever->set_count; i++) {
        buffer_text(&text, lever->assumed ? " --assume " : " --set ");
        buffer_shell_word(&text, lever->sets[i]);
    }
    const char *copy =
        buffer_ok(&text) == TROUPE_OK ? arena_copy(making->arena, buffer_string(&text), text.length) : NULL;
    buffer_free(&text);
    return copy;
}

static bool describe(struct making *making, const char *runs_directory) {
    for (unsigned i = 0; i < making->ret->count; i++) {
        const struct lever *lever = making->chosen[i];
        struct report_lever *told = &making->ret->levers[i];
        *told = (struct report_lever){.change = arena_copy(making->arena, lever->text, strlen(lever->text)),
                                      .effect = effect_of(making, lever),
                                      .command = command_of(making, runs_directory, lever),
                                      .assumed = lever->assumed};
        if (told->change == NULL || told->effect == NULL || told->command == NULL)
            return false;
    }
    return true;
}

static void keep_chosen(struct making *making, const char *runs_directory) {
    const struct whatif_values values = {.runs = runs_directory, .seed = 1};
    struct whatif whatif = {.session = making->session,
                            .values = &values,
                            .id = making->record->id,
                            .model = making->model,
                            .pipeline = making->record->pipeline,
                            .data_hash = record_data_hash(making->record)};
    whatif_keep_levers(&whatif, making->chosen, making->ret->count);
}

void run_levers_make(struct session *session, const struct run_record *record, const char *runs_directory,
                     bool keep, struct arena *arena, struct run_levers *ret) {
    struct making making = {.session = session, .record = record, .arena = arena, .ret = ret};
    struct account *account = session->account;
    *ret = (struct run_levers){0};
    if (!ended(record) || !searched(session, record))
        return;
    enum troupe_error error = model_fit(record, env_cores(session->env), account, &making.model, NULL);
    if (error == TROUPE_OK) {
        struct rank_request request = {.env = session->env,
                                       .model = making.model,
                                       .pipeline = record->pipeline,
                                       .seed = 1,
                                       .events_max = EVENTS_MAX};
        error = rank_levers(&request, account, &making.ranking, NULL);
    }
    if (error == TROUPE_OK)
        choose(&making);
    if (error == TROUPE_OK && !describe(&making, runs_directory))
        ret->count = 0;
    if (error == TROUPE_OK && keep && ret->count > 0)
        keep_chosen(&making, runs_directory);
    ranking_free(making.ranking, account);
    model_free(making.model);
}

void run_levers_write(const struct run_levers *levers, struct buffer *out) {
    if (levers->count == 0)
        return;
    buffer_text(out, "\nWhat a change would gain, predicted (troupe whatif --rank tries more)\n");
    for (unsigned i = 0; i < levers->count; i++)
        buffer_format(out, "  %u. %s: %s\n     %s\n", i + 1, levers->levers[i].change,
                      levers->levers[i].effect, levers->levers[i].command);
}
