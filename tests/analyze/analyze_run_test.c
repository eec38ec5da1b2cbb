/* The analysis against a run worked out by hand, against an oracle on random runs, and on damaged records. What
 * fails here would send a user after the wrong bottleneck. */
#include "schedule.h"
#include "document/document.h"
#include "../base/cmocka_base.h"

#include <math.h>

#define MS 1000000u

/* Two trials, three stages in a row, two agents; milliseconds.
 *   trial 0: asked 0, durable 2 | prepare: accepted 3, started 5, ended 15, done 16 | train: accepted 17, started 17,
 *            ended 47, done 47 | evaluate: accepted 48, started 50, ended 60, done 60 | told 60, durable 63
 *   trial 1: asked 10, durable 11 | prepare reused at 16 | train: attempt 1 accepted 17, started 18, failed 28, done 28;
 *            attempt 2 accepted 30, started 31, ended 71, done 71 | evaluate: 71, 71, 81, 82 | told 82, durable 84 */
static const struct analyze_stage three_stages[] = {{"prepare", 0}, {"train", 1}, {"evaluate", 2}};
static const char *const two_agents[] = {"one", "two"};

#define AT(trial_, stage_, attempt_, outcome_, agent_, ready_, accepted_, started_, ended_, done_)           \
    {                                                                                                        \
        .trial = trial_, .stage = stage_, .attempt = attempt_, .outcome = outcome_, .agent = agent_,         \
        .ready = (ready_)*MS, .assigned = (accepted_)*MS, .accepted = (accepted_)*MS,                        \
        .started = (started_)*MS, .ended = (ended_)*MS, .done = (done_)*MS                                   \
    }
static const struct analyze_execution hand_executions[] = {
    AT(1, 2, 1, ANALYZE_OK, 1, 71, 71, 71, 81, 82),
    AT(0, 1, 1, ANALYZE_OK, 0, 16, 17, 17, 47, 47),
    AT(0, 0, 1, ANALYZE_OK, 0, 2, 3, 5, 15, 16),
    AT(0, 2, 1, ANALYZE_OK, 0, 47, 48, 50, 60, 60),
    {.trial = 1, .stage = 0, .reused = true, .agent = ANALYZE_UNKNOWN, .ready = 11 * MS, .done = 16 * MS},
    AT(1, 1, 2, ANALYZE_OK, 1, 16, 30, 31, 71, 71),
    AT(1, 1, 1, ANALYZE_FAILED, 1, 16, 17, 18, 28, 28),
};
static const struct analyze_trial hand_trials[] = {{1, ANALYZE_OK, 10 * MS, 82 * MS, 84 * MS, true},
                                                   {0, ANALYZE_OK, 0, 60 * MS, 63 * MS, true}};

static struct analyze_record hand(void) {
    return (struct analyze_record){.stages = three_stages,
                                   .stage_count = 3,
                                   .objective_stage = 2,
                                   .agents = two_agents,
                                   .agent_count = 2,
                                   .trials = hand_trials,
                                   .trial_count = 2,
                                   .executions = hand_executions,
                                   .execution_count = ARRAY_COUNT(hand_executions),
                                   .wall_ns = 100 * MS};
}

static struct account account = ACCOUNT("analysis");

static struct analysis *analyse(const struct analyze_record *record) {
    struct analysis *analysis = NULL;
    struct fault fault = {0};
    enum troupe_error error = analyze_run(record, &account, &analysis, &fault);
    if (error != TROUPE_OK)
        fail_msg("%s", fault.text);
    return analysis;
}

static void drop(struct analysis *analysis) {
    analysis_free(analysis, &account);
    assert_int_equal(account.bytes, 0);
}

static const struct analyze_rank *rank(const struct analysis *analysis, enum analyze_cause cause,
                                       unsigned stage) {
    for (unsigned i = 0; i < analysis->rank_count; i++)
        if (analysis->ranks[i].cause == cause && analysis->ranks[i].stage == stage)
            return &analysis->ranks[i];
    return NULL;
}

static uint64_t total(const struct analysis *analysis, enum analyze_cause cause, unsigned stage) {
    const struct analyze_rank *found = rank(analysis, cause, stage);
    return found != NULL ? found->total_ns : 0;
}

static void by_hand(void **state) {
    (void)state;
    struct analyze_record record = hand();
    struct analysis *analysis = analyse(&record);
    assert_int_equal(analysis->problem_count, 0);
    assert_int_equal(analysis->trials, 2);
    assert_int_equal(analysis->path_error_ns_max, 0);
    assert_int_equal(analysis->trial_wall_ns, (63 + 74) * MS);
    assert_int_equal(total(analysis, ANALYZE_STAGE, 0), 10 * MS);
    assert_int_equal(total(analysis, ANALYZE_STAGE, 1), (30 + 40) * MS);
    assert_int_equal(total(analysis, ANALYZE_STAGE, 2), (10 + 10) * MS);
    assert_int_equal(total(analysis, ANALYZE_RETRY, 1), 10 * MS);
    assert_int_equal(total(analysis, ANALYZE_STORE, 3), (2 + 3 + 1 + 2) * MS);
    assert_int_equal(total(analysis, ANALYZE_COORDINATION, 3), (1 + 1 + 1 + 1 + 2) * MS);
    assert_int_equal(total(analysis, ANALYZE_AGENT_WAIT, 3), (2 + 2 + 1 + 1) * MS);
    assert_int_equal(total(analysis, ANALYZE_TRANSFER, 3), (1 + 1) * MS);
    assert_int_equal(total(analysis, ANALYZE_REUSE_WAIT, 3), 5 * MS);
    assert_int_equal(total(analysis, ANALYZE_UNACCOUNTED, 3), 0);
    assert_string_equal(analysis->ranks[0].name, "train");
    assert_int_equal(analysis->ranks[0].p50_ns, 30 * MS);
    assert_int_equal(analysis->ranks[0].max_ns, 40 * MS);
    assert_true(fabs(analysis->ranks[0].percent - 51.1) < 1e-9);
    /* agent one executes 5-15, 17-47, 50-60; two 18-28, 31-71, 71-81; under way 0-84 of 100 */
    assert_int_equal(analysis->agents[0].executing_ns, 50 * MS);
    assert_int_equal(analysis->agents[0].waiting_ns, 34 * MS);
    assert_int_equal(analysis->agents[0].idle_ns, 16 * MS);
    assert_int_equal(analysis->agents[1].executing_ns, 60 * MS);
    assert_int_equal(analysis->agents[1].tasks, 3);
    assert_int_equal(analysis->agents[1].failed, 1);
    assert_true(analysis->agents_error < 1e-12);
    /* the coordinator's queue: waits 1 + 1 + 1 and 1 + 2 + 0, over 84 ms */
    assert_string_equal(analysis->queues[0].name, "coordinator");
    assert_int_equal(analysis->queues[0].count, 6);
    assert_true(fabs(analysis->queues[0].length_mean - 6.0 / 84) < 1e-9);
    assert_true(fabs(analysis->queues[0].wait_mean_s - 0.001) < 1e-12);
    assert_int_equal(analysis->queues[0].length_max, 2);
    assert_true(fabs(analysis->parallel_mean - 137.0 / 84) < 1e-9);
    /* train and evaluate are executed by both; trial 1 waited for train 28-31, when one executed; 16-18, when it was
     * idle for 1 ms; trial 0 16-17, when two was idle, and for evaluate 47-50, when it trained */
    assert_int_equal(analysis->idle_twin_ns, 2 * MS);
    assert_int_equal(analysis->slowest[0].path->trial, 1);
    assert_non_null(strstr(analysis->slowest[0].why, "train"));
    assert_non_null(strstr(analysis->bottlenecks[0].title, "train takes 51.1 %"));
    drop(analysis);
}

/* What the account of a run says must be what the record says, moment by moment. */
static void against_oracle(const struct schedule *schedule) {
    const struct analyze_record *record = &schedule->record;
    struct analysis *analysis = analyse(record);
    uint64_t totals[ANALYZE_CAUSE_COUNT][SCHEDULE_STAGES + 1] = {{0}}, sum = 0;
    for (size_t i = 0; i < record->trial_count; i++)
        for (uint64_t at = schedule->trials[i].created; at < schedule->trials[i].ended; at++) {
            unsigned stage;
            enum analyze_cause cause = oracle_cause(schedule, &schedule->trials[i], at, &stage);
            totals[cause][stage]++;
            sum++;
        }
    assert_int_equal(analysis->trial_wall_ns, sum);
    double percent = 0;
    for (unsigned cause = 0; cause < ANALYZE_CAUSE_COUNT; cause++)
        for (unsigned stage = 0; stage <= record->stage_count; stage++)
            assert_int_equal(total(analysis, cause, stage), totals[cause][stage]);
    for (unsigned i = 0; i < analysis->rank_count; i++)
        percent += analysis->ranks[i].percent;
    assert_true(sum == 0 || fabs(percent - 100) < 1e-6);
    assert_int_equal(analysis->path_error_ns_max, 0);
    assert_int_equal(analysis->problem_count, 0);
    for (size_t i = 0; i < analysis->path_count; i++) { /* pieces touch, from end to end */
        const struct analyze_path *path = &analysis->paths[i];
        uint64_t at = path->from;
        for (unsigned k = 0; k < path->piece_count; k++) {
            assert_int_equal(path->pieces[k].from, at);
            assert_true(path->pieces[k].to > at);
            at = path->pieces[k].to;
        }
        assert_int_equal(at, path->to);
    }
    drop(analysis);
}

static bool executes(const struct analyze_record *record, uint32_t agent, uint64_t at) {
    for (size_t i = 0; i < record->execution_count; i++) {
        const struct analyze_execution *one = &record->executions[i];
        if (!one->reused && one->agent == agent && one->started <= at && at < one->ended)
            return true;
    }
    return false;
}

static bool can_execute(const struct analyze_record *record, uint32_t agent, unsigned stage) {
    for (size_t i = 0; i < record->execution_count; i++)
        if (!record->executions[i].reused && record->executions[i].agent == agent &&
            record->executions[i].stage == stage)
            return true;
    return false;
}

/* Of each wait on a path, the longest idle time of any other agent that could have served it. */
static uint64_t oracle_idle_twins(const struct analyze_record *record, const struct analysis *analysis) {
    uint64_t sum = 0;
    for (size_t i = 0; i < analysis->path_count; i++)
        for (unsigned k = 0; k < analysis->paths[i].piece_count; k++) {
            const struct analyze_piece *piece = &analysis->paths[i].pieces[k];
            uint64_t most = 0;
            if (piece->cause != ANALYZE_COORDINATION && piece->cause != ANALYZE_AGENT_WAIT)
                continue;
            for (uint32_t a = 0; a < record->agent_count; a++) {
                uint64_t idle = 0;
                for (uint64_t at = piece->from; at < piece->to; at++)
                    idle +=
                        a != piece->agent && can_execute(record, a, piece->stage) && !executes(record, a, at);
                most = idle > most ? idle : most;
            }
            sum += most;
        }
    return sum;
}

static void agents_against_oracle(const struct schedule *schedule) {
    const struct analyze_record *record = &schedule->record;
    struct analysis *analysis = analyse(record);
    for (unsigned a = 0; a < record->agent_count; a++) {
        uint64_t executing = 0, waiting = 0, idle = 0;
        for (uint64_t at = 0; at < record->wall_ns; at++) {
            bool busy = executes(record, a, at), under_way = false;
            for (size_t i = 0; i < record->trial_count && !under_way; i++)
                under_way = record->trials[i].created <= at && at < record->trials[i].ended;
            executing += busy;
            waiting += !busy && under_way;
            idle += !busy && !under_way;
        }
        assert_int_equal(analysis->agents[a].executing_ns, executing);
        assert_int_equal(analysis->agents[a].waiting_ns, waiting);
        assert_int_equal(analysis->agents[a].idle_ns, idle);
    }
    for (unsigned q = 0; q < analysis->queue_count; q++)
        assert_true(analysis->queues[q].little_error < 1e-6);
    assert_int_equal(analysis->idle_twin_ns, oracle_idle_twins(record, analysis));
    drop(analysis);
}

/* Agent 0 leaves at 62 ms, agent 1 comes at 10, is away for a moment, and leaves at 90. Trials are under way until 84. */
static void agents_that_come_and_go(void **state) {
    (void)state;
    static const struct analyze_stay stays[] = {
        {0, 0, 62 * MS}, {1, 10 * MS, 29 * MS}, {1, 30 * MS, 90 * MS}};
    struct analyze_record record = hand();
    record.stays = stays;
    record.stay_count = ARRAY_COUNT(stays);
    struct analysis *analysis = analyse(&record);
    assert_int_equal(analysis->agents[0].executing_ns, 50 * MS);
    assert_int_equal(analysis->agents[0].waiting_ns, 12 * MS);
    assert_int_equal(analysis->agents[0].idle_ns, 0);
    assert_int_equal(analysis->agents[1].executing_ns, 60 * MS);
    assert_int_equal(analysis->agents[1].waiting_ns, 13 * MS);
    assert_int_equal(analysis->agents[1].idle_ns, 6 * MS);
    assert_true(fabs(analysis->agents_mean - 1.41) < 1e-9);
    assert_int_equal(analysis->problem_count, 0);
    drop(analysis);
    /* Another process of the run knew of agent 1's first executions: it was here for those too. */
    static const struct analyze_stay late[] = {{1, 65 * MS, 90 * MS}};
    record.stays = late;
    record.stay_count = 1;
    analysis = analyse(&record);
    assert_int_equal(analysis->agents[1].executing_ns, 60 * MS);
    assert_int_equal(analysis->agents[1].waiting_ns, 3 * MS); /* 81 to 84 */
    assert_int_equal(analysis->agents[1].idle_ns, 6 * MS);
    assert_int_equal(analysis->problem_count, 0);
    drop(analysis);
    struct fault fault = {0};
    record.stays = stays;
    record.stay_count = ARRAY_COUNT(stays);
    record.agent_count = 1;
    record.execution_count = 0;
    assert_int_equal(analyze_run(&record, &account, &analysis, &fault), TROUPE_INVALID);
    assert_non_null(strstr(fault.text, "a stay is of agent 1 of 1"));
    assert_int_equal(account.bytes, 0);
}

static void random_runs(void **state) {
    (void)state;
    struct schedule *schedule = malloc(sizeof *schedule);
    for (uint64_t seed = 1; seed <= 150; seed++) {
        schedule_make(schedule, seed);
        against_oracle(schedule);
        if (seed % 3 == 0)
            agents_against_oracle(schedule);
    }
    free(schedule);
}

/* ---- records that do not hold ---- */

static bool told(const struct analysis *analysis, const char *what) {
    for (unsigned i = 0; i < analysis->problem_count; i++)
        if (strstr(analysis->problems[i], what) != NULL)
            return true;
    return false;
}

static void refused(const struct analyze_record *record, const char *expected) {
    struct analysis *analysis = NULL;
    struct fault fault = {0};
    assert_int_equal(analyze_run(record, &account, &analysis, &fault), TROUPE_INVALID);
    assert_null(analysis);
    if (strstr(fault.text, expected) == NULL)
        fail_msg("'%s' instead of '%s'", fault.text, expected);
    assert_int_equal(account.bytes, 0);
}

static void contradictions_are_refused(void **state) {
    (void)state;
    struct analyze_stage stages[3];
    struct analyze_execution executions[ARRAY_COUNT(hand_executions)];
    struct analyze_record record = hand();
    memcpy(stages, three_stages, sizeof stages);
    record.stages = stages;
    stages[0].needs = 4;
    refused(&record, "in a cycle");
    stages[0].needs = 1;
    refused(&record, "in a cycle");
    stages[0].needs = 8;
    refused(&record, "'prepare' needs a stage that is not there");
    record = hand();
    record.objective_stage = 3;
    refused(&record, "objective in stage 3 of 3");
    record.stage_count = 33;
    refused(&record, "33 stages: expected at most 32");
    memcpy(executions, hand_executions, sizeof executions);
    record = hand();
    record.executions = executions;
    executions[0].stage = 3;
    refused(&record, "of stage 3 of 3");
    executions[0].stage = 2;
    executions[0].agent = 2;
    refused(&record, "by agent 2 of 2");
}

static void odd_ones_are_told(void **state) {
    (void)state;
    struct analyze_execution executions[ARRAY_COUNT(hand_executions)];
    struct analyze_trial trials[3];
    struct analyze_record record = hand();
    memcpy(executions, hand_executions, sizeof executions);
    memcpy(trials, hand_trials, sizeof hand_trials);
    record.executions = executions;
    record.trials = trials;

    executions[2].started = 1 * MS; /* before it was accepted */
    struct analysis *analysis = analyse(&record);
    assert_true(told(analysis, "trial 0, stage prepare: 'started' is 2.000 ms before 'accepted'"));
    assert_int_equal(analysis->path_error_ns_max, 0);
    drop(analysis);
    executions[2].started = 900 * MS; /* outside of the run */
    analysis = analyse(&record);
    assert_true(told(
        analysis, "queue 'agents, prepare': mean length 0.9643, but arrivals a second x mean wait = 10.68"));
    drop(analysis);
    executions[2] = hand_executions[2];

    executions[1].ready = 20 * MS; /* nobody says what happened after prepare was done */
    executions[1].accepted = executions[1].started = 21 * MS;
    analysis = analyse(&record);
    assert_true(told(analysis, "trial 0: nothing accounts for the 4.000 ms between 'done' and 'ready'"));
    assert_int_equal(total(analysis, ANALYZE_UNACCOUNTED, 3), 4 * MS);
    drop(analysis);
    executions[1] = hand_executions[1];

    executions[3].done = 70 * MS; /* after the trial's end */
    analysis = analyse(&record);
    assert_true(
        told(analysis, "trial 0: the pieces of its critical path add to 70.000000 ms, its wall time is 63"));
    assert_int_equal(analysis->path_error_ns_max, 7 * MS);
    drop(analysis);
    executions[3] = hand_executions[3];

    executions[3].trial = 17;
    executions[4].agent = executions[5].agent = ANALYZE_UNKNOWN;
    trials[2] = trials[0];
    record.trial_count = 3;
    record.wall_ns = 80 * MS;
    analysis = analyse(&record);
    assert_true(told(analysis, "1 executions belong to no recorded trial"));
    assert_true(told(analysis, "1 executions do not say which agent"));
    assert_true(told(analysis, "trial 1 is recorded twice"));
    assert_true(told(analysis, "after the end of the run"));
    assert_true(told(analysis, "trial 0: nothing accounts for the 60.000 ms between 'created' and 'told'"));
    assert_int_equal(analysis->trials, 2);
    drop(analysis);
}

/* Whatever the stamps: an answer, pieces that touch, a bounded list of problems. */
static void any_stamps(void **state) {
    (void)state;
    struct schedule *schedule = malloc(sizeof *schedule);
    struct random_stream random;
    random_seed(&random, 77, 0);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        schedule_make(schedule, seed);
        struct analyze_record *record = &schedule->record;
        for (size_t i = 0; i < record->execution_count; i++) {
            uint64_t *stamps[] = {&schedule->executions[i].ready,    &schedule->executions[i].assigned,
                                  &schedule->executions[i].accepted, &schedule->executions[i].started,
                                  &schedule->executions[i].ended,    &schedule->executions[i].done};
            if (random_below(&random, 3) == 0)
                *stamps[random_below(&random, 6)] = random_u64(&random) >> (1 + random_below(&random, 62));
            schedule->executions[i].cpu_ns = random_u64(&random) >> random_below(&random, 64);
            if (random_below(&random, 9) == 0)
                schedule->executions[i].trial = (uint32_t)random_u64(&random);
        }
        for (size_t i = 0; i < record->trial_count; i++) {
            schedule->trials[i].settled = random_below(&random, 5) != 0;
            if (random_below(&random, 4) == 0)
                schedule->trials[i].told = random_u64(&random) >> (1 + random_below(&random, 62));
        }
        record->wall_ns = random_below(&random, 2) == 0 ? 0 : random_u64(&random) >> 1;
        record->cores = random_below(&random, 2) == 0 ? NAN : INFINITY;
        struct analysis *analysis = analyse(record);
        assert_true(analysis->problem_count <= 40);
        for (size_t i = 0; i < analysis->path_count; i++) {
            const struct analyze_path *path = &analysis->paths[i];
            for (unsigned k = 1; k < path->piece_count; k++)
                assert_int_equal(path->pieces[k].from, path->pieces[k - 1].to);
        }
        struct buffer out;
        struct json json;
        buffer_init(&out, &account, 0);
        assert_int_equal(analysis_text(analysis, (uint32_t)(seed % 4), &out), TROUPE_OK);
        json_init(&json, &out);
        analysis_json(analysis, &json);
        assert_int_equal(buffer_ok(&out), TROUPE_OK);
        buffer_free(&out);
        drop(analysis);
    }
    free(schedule);
}

static void nothing_at_all(void **state) {
    (void)state;
    static const struct analyze_record empty;
    struct analysis *analysis = analyse(&empty);
    struct buffer out;
    buffer_init(&out, &account, 0);
    assert_int_equal(analysis_text(analysis, ANALYZE_UNKNOWN, &out), TROUPE_OK);
    assert_non_null(strstr(buffer_string(&out), "none: no trial has ended"));
    buffer_free(&out);
    drop(analysis);
}

/* A trial of a resumed run: what a killed process had executed is there, but not in this trial's time. */
static void earlier_life(void **state) {
    (void)state;
    struct analyze_trial trials[2];
    struct analyze_execution executions[ARRAY_COUNT(hand_executions)];
    struct analyze_record record = hand();
    memcpy(trials, hand_trials, sizeof trials);
    memcpy(executions, hand_executions, sizeof executions);
    trials[1].created = executions[3].ready = 48 * MS; /* resumed: prepare and train had ended before */
    record.trials = trials;
    record.executions = executions;
    struct analysis *analysis = analyse(&record);
    assert_int_equal(analysis->problem_count, 0);
    assert_int_equal(analysis->paths[0].to - analysis->paths[0].from, 15 * MS);
    assert_int_equal(analysis->path_error_ns_max, 0);
    drop(analysis);
}

static void no_memory(void **state) {
    (void)state;
    struct schedule *schedule = calloc(1, sizeof *schedule);
    for (uint64_t seed = 5; schedule->record.trial_count < 3; seed++)
        schedule_make(schedule, seed);
    bool passed = false;
    for (int64_t n = 1; !passed; n++) {
        struct analysis *analysis = NULL;
        struct fault fault = {0};
        struct buffer out;
        buffer_init(&out, &account, 0);
        memory_fail_after(n);
        enum troupe_error error = analyze_run(&schedule->record, &account, &analysis, &fault);
        if (error == TROUPE_OK)
            error = analysis_text(analysis, ANALYZE_UNKNOWN, &out);
        passed = !memory_fail_fired();
        memory_fail_after(0);
        assert_int_equal(error, passed ? TROUPE_OK : TROUPE_NOMEM);
        buffer_free(&out);
        drop(analysis);
    }
    free(schedule);
}

static void text_and_json(void **state) {
    (void)state;
    struct analyze_record record = hand();
    struct analysis *analysis = analyse(&record);
    static const char *const lines[] = {"2 trials (2 ok) in 100 ms",
                                        "train                    51.1 %",
                                        "train (failed attempts)",
                                        "What limits it",
                                        "Critical path of trial 1: 74 ms",
                                        "train: failed attempt",
                                        "on two",
                                        "coordinator",
                                        "agents, train",
                                        "off by at most 0.000 us",
                                        "off by 0.0000 %"};
    struct buffer out;
    struct json json;
    buffer_init(&out, &account, 0);
    assert_int_equal(analysis_text(analysis, 1, &out), TROUPE_OK);
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
        if (strstr(buffer_string(&out), lines[i]) == NULL)
            fail_msg("no '%s' in\n%s", lines[i], buffer_string(&out));
    buffer_clear(&out);
    assert_int_equal(analysis_text(analysis, 99, &out), TROUPE_OK);
    assert_non_null(strstr(buffer_string(&out), "Trial 99 has not ended or is not recorded"));
    buffer_clear(&out);
    json_init(&json, &out);
    analysis_json(analysis, &json);
    struct document *document = NULL;
    assert_int_equal(document_parse_json(buffer_string(&out), out.length, "json", NULL, &document, NULL),
                     TROUPE_OK);
    const struct node *root = document_root(document);
    assert_int_equal(node_count(node_get(root, "paths")), 2);
    double sum = 0;
    const struct node *pieces = node_get(node_at(node_get(root, "paths"), 1), "pieces");
    for (size_t i = 0; i < node_count(pieces); i++)
        sum += node_real(node_get(node_at(pieces, i), "ms"));
    assert_true(fabs(sum - 74) < 1e-9);
    document_free(document);
    buffer_free(&out);
    drop(analysis);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),           cmocka_unit_test(agents_that_come_and_go),
        cmocka_unit_test(random_runs),       cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(odd_ones_are_told), cmocka_unit_test(any_stamps),
        cmocka_unit_test(nothing_at_all),    cmocka_unit_test(earlier_life),
        cmocka_unit_test(no_memory),         cmocka_unit_test(text_and_json),
    };
    return cmocka_run_group_tests_name("analyze/analyze_run", tests, NULL, NULL);
}
