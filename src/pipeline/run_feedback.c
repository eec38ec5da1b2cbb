/* run_feedback: what would help, asked of the coordinator and done: more agents when trials would be late, fewer when idle
 * ones are not needed, no trials that would end after the deadline. What was foreseen is told beside what came of it, and
 * what hurt is taken back.
 *
 * Asked when a trial was told, and once at the start where every stage says what is `expected`; at most every LOOK_EVERY_NS
 * and not while a step waits for its effect. The effect is the rate at which trials are told, before and after; a run that
 * ends before that is known says how it ended.
 * Threads: the engine's turns. Memory: struct run. Failure: no memory, or a coordinator that does not answer: no step. */
#include "pipeline/run_internal.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define LOOK_EVERY_NS UINT64_C(1000000000)
#define ANSWER_NS UINT64_C(5000000000)
#define ADVISED_MAX 16 /* agents; whoever may only advise is not held to instances_max */
#define TOLD_MIN 4     /* trials, and two for each in flight, that a rate is taken of */
#define HURT 0.95      /* with more agents the rate is to be at least so much of what it was */

/* ---- asking ---- */

/* Trials that there will be at most, for no configuration is asked for twice; UINT_MAX: nobody knows. */
static unsigned trials_most(const struct run *run) {
    double configurations = space_cardinality(run->pipeline->space);
    return configurations < run->trial_limit ? (unsigned)configurations : run->trial_limit;
}

/* Of them, those that will still be asked for. */
static unsigned trials_left(const struct run *run) {
    unsigned most = trials_most(run), asked = study_asked(run->study);
    if (most == UINT_MAX)
        return UINT_MAX;
    return run->exhausted || asked >= most ? 0 : most - asked;
}

bool run_feedback_sheds(const struct run *run) {
    return run->feedback.shed > 0 && study_asked(run->study) + run->feedback.shed >= trials_most(run);
}

static bool known(const struct run *run, unsigned stage) {
    return run->stage_seen[stage] + run->stage_reused[stage] > 0 ||
           run->pipeline->stages[stage].expected_ns > 0;
}

/* Of `trials`, as many as were executed so far and not taken from what is there. */
static unsigned executed_of(const struct run *run, unsigned stage, unsigned trials) {
    uint64_t seen = run->stage_seen[stage], all = seen + run->stage_reused[stage];
    return all == 0 ? trials : (unsigned)((trials * seen + all - 1) / all);
}

static unsigned not_begun(const struct run *run, unsigned stage) {
    unsigned count = 0;
    for (unsigned t = 0; t < ARRAY_COUNT(run->trials); t++)
        count += run->trials[t] != NULL && !run->trials[t]->ended && !run->trials[t]->testing &&
                 run->trials[t]->stages[stage].state == STAGE_BLOCKED;
    return count;
}

static void outlook_tasks(const struct run *run, struct message_outlook *outlook) {
    const struct pipeline *pipeline = run->pipeline;
    unsigned left = trials_left(run);
    for (unsigned s = 0; s < pipeline->stage_count; s++) {
        const struct pipeline_stage *stage = &pipeline->stages[s];
        if (!stage->in_trial)
            continue;
        outlook->tasks[outlook->task_count++] =
            (struct outlook_tasks){.capability = stage->capability,
                                   .count = executed_of(run, s, left + not_begun(run, s)),
                                   .expected_ns = run->stage_seen[s] > 0 ? 0 : stage->expected_ns,
                                   .deadline_ns = run->deadline_at_ns != 0 ? run->deadline_at_ns : UINT64_MAX,
                                   .resources = stage->resources};
    }
}

static void outlook_agents(const struct run *run, struct message_outlook *outlook) {
    bool advises = run->pipeline->feedback == FEEDBACK_ADVISE;
    for (unsigned a = 0; a < run->pipeline->agent_count; a++) {
        const struct pipeline_agent *agent = &run->pipeline->agents[a];
        unsigned here = run_agents_here(run, a), free = 0, least = advises ? 1 : agent->instances_min;
        for (unsigned i = 0; i < agent->instances_max; i++)
            free += run->agent_states[run->agent_first[a] + i] == INSTANCE_ABSENT;
        struct outlook_agent *told = &outlook->agents[outlook->agent_count++];
        *told = (struct outlook_agent){.more = advises ? ADVISED_MAX : free,
                                       .fewer = run_agents_proven(run, a) < least ? 0 : here - least};
        if (run->feedback.held[a])
            told->more = told->fewer = 0;
        snprintf(told->name, sizeof told->name, "%s", agent->name);
    }
}

static bool possible(const struct run *run) {
    if (run->pipeline->feedback == FEEDBACK_OFF || run->feedback.asked || run->stopping || run->testing ||
        run->finishing || trials_left(run) == UINT_MAX || trials_left(run) == 0)
        return false;
    for (unsigned s = 0; s < run->pipeline->stage_count; s++)
        if (run->pipeline->stages[s].in_trial && !known(run, s))
            return false;
    return true;
}

static void ask(struct run *run, struct turn *turn) {
    struct message *message = message_new(run->runtime, MESSAGE_OUTLOOK, sizeof(struct message_outlook));
    if (message == NULL)
        return;
    struct message_outlook *outlook = MESSAGE_PAYLOAD(message, struct message_outlook);
    outlook_tasks(run, outlook);
    outlook_agents(run, outlook);
    run->feedback.asked =
        actor_ask(turn, run->coordinator, &message, run_token(TOKEN_FEEDBACK, 0), ANSWER_NS) == TROUPE_OK;
    run->feedback.next_ns = turn->now_ns + LOOK_EVERY_NS;
    run->feedback.told_asked = run->told;
    message_free(&message);
}

void run_feedback_look(struct run *run, struct turn *turn) {
    if (turn->now_ns >= run->feedback.next_ns && !run->feedback.measuring && possible(run))
        ask(run, turn);
}

/* What was shed by what was foreseen then may fit by what is known now. */
bool run_feedback_reconsiders(struct run *run, struct turn *turn) {
    if (run->feedback.shed > 0 && run->feedback.told_asked != run->told && possible(run))
        ask(run, turn);
    return run->feedback.shed > 0 && run->feedback.asked && !run->stopping;
}

void run_feedback_unanswered(struct run *run) {
    run->feedback.asked = false;
}

/* ---- doing ---- */

static double running_s(const struct run *run, uint64_t at_ns) {
    return (double)running_us(run, at_ns) / 1e6;
}

static const char *foreseen(const struct run *run, const struct feedback_step *step, char text[160]) {
    snprintf(text, 160, "%u of %u tasks late -> %u, the last one at %.1f s -> %.1f s", step->before.late,
             step->before.tasks, step->after.late, running_s(run, step->before.finish_ns),
             running_s(run, step->after.finish_ns));
    return text;
}

static int agent_named(const struct run *run, const char *name) {
    for (unsigned a = 0; a < run->pipeline->agent_count; a++)
        if (strcmp(run->pipeline->agents[a].name, name) == 0)
            return (int)a;
    return -1;
}

/* Trials told a second since `from_ns`; 0: too few. */
static double rate_since(const struct run *run, unsigned told_from, uint64_t from_ns, uint64_t now_ns) {
    unsigned told = run->told - told_from;
    if (from_ns == 0)
        return 0; /* nothing was told since the start, or since a resume */
    return told < TOLD_MIN + 2 * run->parallel || now_ns <= from_ns ? 0
                                                                    : told * 1e9 / (double)(now_ns - from_ns);
}

static unsigned change(struct run *run, struct turn *turn, unsigned agent, bool more, unsigned count) {
    unsigned done = 0;
    struct fault fault = {0};
    while (done < count) {
        enum troupe_error error = more ? run_agents_add(run, turn, agent, &fault) : TROUPE_OK;
        if (error == TROUPE_FULL)
            break; /* one that leaves has its number still */
        if (error != TROUPE_OK) {
            run_line(run, turn, UINT32_MAX, "feedback: no further instance of '%s': %s",
                     run->pipeline->agents[agent].name, fault.text);
            run->feedback.held[agent] = true; /* not tried again and again */
            break;
        }
        if (!more && (run_agents_here(run, agent) <= run->pipeline->agents[agent].instances_min ||
                      !run_agents_retire(run, turn, agent)))
            break;
        done++;
    }
    if (done > 0)
        run->feedback.settling = run->in_flight;
    return done;
}

/* What the rate would be without the step, by times that were seen; 0: by none. */
static double rate_foreseen(const struct run *run, const struct feedback_step *step, uint64_t now_ns) {
    for (unsigned s = 0; s < run->pipeline->stage_count; s++)
        if (run->pipeline->stages[s].in_trial && run->stage_seen[s] + run->stage_reused[s] == 0)
            return 0;
    return step->before.finish_ns <= now_ns
               ? 0
               : (trials_left(run) + run->in_flight) * 1e9 / (double)(step->before.finish_ns - now_ns);
}

static void note_effect(struct run *run, struct turn *turn, const struct feedback_step *step, int agent,
                        unsigned here, unsigned count) {
    struct run_feedback *feedback = &run->feedback;
    if (feedback->effect_count == FEEDBACK_EFFECTS_MAX) {
        feedback->effects_dropped++;
        return;
    }
    feedback->effects[feedback->effect_count++] = (struct feedback_effect){
        .kind = step->kind,
        .agent = agent,
        .here = here,
        .count = count,
        .at_us = running_us(run, turn->now_ns),
        .before = step->before,
        .after = step->after,
        .rate_before = rate_since(run, feedback->told_from, feedback->from_ns, turn->now_ns)};
    struct feedback_effect *effect = &feedback->effects[feedback->effect_count - 1];
    if (effect->rate_before == 0)
        effect->rate_before = rate_foreseen(run, step, turn->now_ns);
    if (step->kind == FEEDBACK_SPAWN && !feedback->measuring)
        feedback->measured = feedback->effect_count - 1;
    /* Fewer do less, which was foreseen: that hurts when more are wanted again. */
    feedback->measuring |= step->kind == FEEDBACK_SPAWN;
    if (step->kind == FEEDBACK_SHED)
        return; /* what is not begun slows nothing down */
    feedback->told_from = run->told;
    feedback->from_ns = turn->now_ns;
}

static void come_or_go(struct run *run, struct turn *turn, const struct feedback_step *step) {
    char text[160];
    int agent = agent_named(run, step->agent);
    bool more = step->kind == FEEDBACK_SPAWN;
    if (agent < 0)
        return;
    unsigned here = run_agents_here(run, (unsigned)agent);
    unsigned done = change(run, turn, (unsigned)agent, more, step->count);
    if (done == 0)
        return;
    for (unsigned i = 0; more && i < run->feedback.effect_count; i++)
        if (run->feedback.effects[i].kind == FEEDBACK_RETIRE && run->feedback.effects[i].agent == agent)
            run->feedback.effects[i].outcome = EFFECT_TAKEN_BACK;
    run_line(run, turn, UINT32_MAX, "feedback: %u %s of '%s' (%u -> %u): foreseen: %s", done,
             more ? "more" : "fewer", step->agent, here, run_agents_here(run, (unsigned)agent),
             foreseen(run, step, text));
    note_effect(run, turn, step, agent, here, done);
}

/* Tasks of a chain are one trial. */
static void shed(struct run *run, struct turn *turn, const struct feedback *answer) {
    unsigned left = trials_left(run), before = run->feedback.shed;
    uint64_t announced = 0;
    const struct feedback_step *last = NULL;
    for (unsigned i = 0; i < answer->count; i++)
        if (answer->steps[i].kind == FEEDBACK_SHED)
            last = &answer->steps[i];
    for (unsigned s = 0; s < run->pipeline->stage_count; s++)
        if (run->pipeline->stages[s].in_trial)
            announced += executed_of(run, s, left);
    unsigned trials = announced > 0 ? (unsigned)((uint64_t)answer->shed * left / announced) : 0;
    run->feedback.shed = trials < left ? trials : left;
    if (run->feedback.shed == before)
        return;
    run_line(run, turn, UINT32_MAX, "feedback: %u of the %u trials to come would be late: not begun",
             run->feedback.shed, left);
    if (last != NULL && before == 0)
        note_effect(run, turn, last, -1, 0, run->feedback.shed);
}

/* The same advice is given once. */
static void advise(struct run *run, struct turn *turn, const struct feedback *answer) {
    static const char *const words[FEEDBACK_KINDS] = {
        [FEEDBACK_SPAWN] = "more of", [FEEDBACK_RETIRE] = "fewer of", [FEEDBACK_SHED] = "tasks fewer for"};
    char text[160];
    uint64_t said = 0;
    bool more = false;
    for (unsigned i = 0; i < answer->count; i++) {
        const struct feedback_step *step = &answer->steps[i];
        more |= step->kind == FEEDBACK_SPAWN && step->after.late == 0;
        if (words[step->kind] != NULL)
            said = hash_bytes(step->agent, strlen(step->agent), said ^ (step->kind << 16 | step->count));
    }
    if (said == run->feedback.advised)
        return;
    run->feedback.advised = said;
    for (unsigned i = 0; i < answer->count; i++) {
        const struct feedback_step *step = &answer->steps[i];
        if (words[step->kind] != NULL && !(more && step->kind == FEEDBACK_SHED))
            run_line(run, turn, UINT32_MAX, "advice: %u %s '%s': foreseen: %s", step->count,
                     words[step->kind], step->agent, foreseen(run, step, text));
    }
}

void run_feedback_answer(struct run *run, struct turn *turn, const struct feedback *answer) {
    run->feedback.asked = false;
    if (!answer->looked || run->stopping || run->testing || run->finishing)
        return;
    if (run->pipeline->feedback == FEEDBACK_ADVISE) {
        advise(run, turn, answer);
        return;
    }
    bool asked_more = false;
    for (unsigned i = 0; i < answer->count; i++) {
        const struct feedback_step *step = &answer->steps[i];
        asked_more |= step->kind == FEEDBACK_SPAWN;
        if (step->kind == FEEDBACK_SPAWN || step->kind == FEEDBACK_RETIRE)
            come_or_go(run, turn, step);
    }
    if (asked_more)
        run->feedback.shed = 0;                  /* foreseen without those that come now */
    if (run->pipeline->shed_late && !asked_more) /* what more agents save is not shed */
        shed(run, turn, answer);
}

/* ---- what came of it ---- */

/* Of one answer's, one that was taken back; NULL: none was. */
static const struct feedback_effect *taken_back(const struct run_feedback *feedback) {
    for (unsigned i = feedback->measured; i < feedback->effect_count; i++)
        if (feedback->effects[i].kind == FEEDBACK_SPAWN && feedback->effects[i].outcome == EFFECT_TAKEN_BACK)
            return &feedback->effects[i];
    return NULL;
}

/* Those of one answer came together: they are judged, taken back and done again together. `one` NULL: the rate is noted. */
static void judge_each(struct run *run, struct turn *turn, double rate,
                       void (*one)(struct run *run, struct turn *turn, struct feedback_effect *effect)) {
    struct run_feedback *feedback = &run->feedback;
    bool back = taken_back(feedback) != NULL;
    for (unsigned i = feedback->measured; i < feedback->effect_count; i++) {
        struct feedback_effect *effect = &feedback->effects[i];
        if (effect->kind != FEEDBACK_SPAWN || (effect->outcome == EFFECT_TAKEN_BACK) != back)
            continue; /* of these there was none to take back */
        if (back)
            effect->rate_back = rate;
        else
            effect->rate_after = rate;
        if (one != NULL)
            one(run, turn, effect);
    }
}

/* Rates fall for other reasons too: a search moves on to trials that take longer. So what came of taking it back is looked
 * at as well. */
static void take_back(struct run *run, struct turn *turn, struct feedback_effect *effect) {
    unsigned agent = (unsigned)effect->agent;
    /* What came may be gone already: those that were here before it stay. */
    unsigned here = run_agents_here(run, agent), left = here > effect->here ? here - effect->here : 0;
    run->feedback.held[agent] = true;
    effect->taken = change(run, turn, agent, false, left < effect->count ? left : effect->count);
    if (effect->taken == 0)
        return;
    effect->outcome = EFFECT_TAKEN_BACK;
    run->feedback.measuring = true;
    run_line(run, turn, UINT32_MAX,
             "feedback: with %u more of '%s' %.3g trials a second became %.3g: taken back", effect->taken,
             run->pipeline->agents[agent].name, effect->rate_before, effect->rate_after);
}

static void do_again(struct run *run, struct turn *turn, struct feedback_effect *effect) {
    unsigned agent = (unsigned)effect->agent;
    run->feedback.held[agent] = false;
    unsigned done = change(run, turn, agent, true, effect->taken);
    if (done == 0)
        return; /* it stays taken back */
    effect->outcome = EFFECT_KEPT;
    run_line(run, turn, UINT32_MAX,
             "feedback: with %u more of '%s' taken back %.3g trials a second became %.3g: it was not for "
             "them, so they are here again",
             done, run->pipeline->agents[agent].name, effect->rate_after, effect->rate_back);
}

static void keep(struct run *run, struct turn *turn, struct feedback_effect *effect) {
    effect->outcome = EFFECT_KEPT;
    if (effect->rate_before > 0)
        run_line(run, turn, UINT32_MAX,
                 "feedback: with %u more of '%s' %.3g trials a second became %.3g: kept", effect->count,
                 run->pipeline->agents[effect->agent].name, effect->rate_before, effect->rate_after);
}

static void judge(struct run *run, struct turn *turn, double rate) {
    const struct feedback_effect *first = &run->feedback.effects[run->feedback.measured];
    const struct feedback_effect *back = taken_back(&run->feedback);
    if (back != NULL)
        judge_each(run, turn, rate, rate < back->rate_after ? do_again : NULL);
    else if (first->rate_before == 0)
        judge_each(run, turn, rate, NULL); /* nothing to compare it with */
    else
        judge_each(run, turn, rate, rate < first->rate_before * HURT ? take_back : keep);
}

void run_feedback_told(struct run *run, struct turn *turn) {
    struct run_feedback *feedback = &run->feedback;
    if (feedback->from_ns == 0) { /* of this process: what an earlier one told took other time */
        feedback->from_ns = turn->now_ns;
        feedback->told_from = run->told;
        feedback->next_ns = 0; /* who works is known now */
    }
    if (feedback->settling > 0) { /* it was under way before the step */
        feedback->settling--;
        feedback->told_from = run->told;
        feedback->from_ns = turn->now_ns;
        return;
    }
    double rate = rate_since(run, feedback->told_from, feedback->from_ns, turn->now_ns);
    if (!feedback->measuring || run->stopping || rate == 0)
        return;
    feedback->measuring = false;
    judge(run, turn, rate);
    feedback->told_from = run->told;
    feedback->from_ns = turn->now_ns;
}

void run_feedback_ended(struct run *run, struct turn *turn) {
    if (run->feedback.effect_count == 0)
        return;
    const struct feedback_effect *last = &run->feedback.effects[run->feedback.effect_count - 1];
    if (last->outcome == EFFECT_TAKEN_BACK || (run->state != RUN_RUNNING && run->state != RUN_DEADLINE))
        return; /* nothing is foreseen any more */
    run_line(
        run, turn, UINT32_MAX,
        "feedback: the last step foresaw %u tasks late and the end at %.1f s; the search ended at %.1f s, %s",
        last->after.late, running_s(run, last->after.finish_ns), running_s(run, turn->now_ns),
        run->state == RUN_DEADLINE ? "by its deadline" : "with all of its trials");
}

void run_feedback_write(const struct run *run, struct json *json) {
    static const char *const outcomes[] = {"not judged", "kept", "taken back"};
    if (run->pipeline->feedback != FEEDBACK_AUTO)
        return;
    json_key(json, "feedback");
    json_array_begin(json);
    for (unsigned i = 0; i < run->feedback.effect_count; i++) {
        const struct feedback_effect *effect = &run->feedback.effects[i];
        const struct feedback_forecast *const forecasts[] = {&effect->before, &effect->after};
        json_object_begin(json);
        json_field_real(json, "at_s", (double)effect->at_us / 1e6);
        json_field_string(json, "step", feedback_kind_name(effect->kind));
        if (effect->agent >= 0)
            json_field_string(json, "agent", run->pipeline->agents[effect->agent].name);
        json_field_int(json, "count", effect->count);
        for (unsigned k = 0; k < ARRAY_COUNT(forecasts); k++) {
            json_key(json, k == 0 ? "foreseen_before" : "foreseen_after");
            json_object_begin(json);
            json_field_int(json, "tasks", forecasts[k]->tasks);
            json_field_int(json, "late", forecasts[k]->late);
            json_field_real(json, "finish_s", running_s(run, forecasts[k]->finish_ns));
            json_object_end(json);
        }
        if (effect->rate_before > 0)
            json_field_real(json, "trials_per_s_before", effect->rate_before);
        if (effect->rate_after > 0)
            json_field_real(json, "trials_per_s_after", effect->rate_after);
        if (effect->rate_back > 0)
            json_field_real(json, "trials_per_s_taken_back", effect->rate_back);
        /* fewer that were not wanted again were right */
        bool kept = effect->kind == FEEDBACK_RETIRE && effect->outcome == EFFECT_OPEN;
        json_field_string(json, "outcome", outcomes[kept ? EFFECT_KEPT : effect->outcome]);
        json_object_end(json);
    }
    json_array_end(json);
    if (run->feedback.effects_dropped > 0)
        json_field_int(json, "feedback_dropped", run->feedback.effects_dropped);
}
