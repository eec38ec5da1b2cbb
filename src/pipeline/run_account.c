/* run_account: where the time went.
 *
 * Per trial: the critical path runs back from the objective's stage through whichever needed stage was done
 * last; a stage is ready in the very turn in which that one is done, so the pieces touch and add up to the
 * trial's wall time exactly: store (asked -> durable) | per stage: coordination, wait for an agent, transfer,
 * execution | store (told -> durable). What went before a stage's last attempt, and all of a failed trial,
 * counts as failed attempts; a stage taken from another trial's execution as reuse wait.
 * Per run: instances x wall = executing + waiting for input (trials in flight, nothing to do here) + idle.
 * Threads: the engine's turns. No clock is read here: every point was stamped by whoever passed it. */
#include "pipeline/run_internal.h"

#include <limits.h>
#include <math.h>

const char *trial_share_name(enum trial_share share) {
    static const char *const names[] = {"store",    "coordination", "wait for agent",
                                        "transfer", "reuse wait",   "failed attempts"};
    return names[share];
}

struct cursor {
    uint64_t at, sum;
};

/* Moves to the next point; a point before the cursor (clock read earlier on another thread) takes no time. */
static uint64_t step(struct cursor *cursor, uint64_t to) {
    uint64_t took = to > cursor->at ? to - cursor->at : 0;
    cursor->at += took;
    cursor->sum += took;
    return took;
}

static int last_needed(const struct run *run, const struct trial *trial, unsigned stage) {
    int last = -1;
    for (unsigned i = 0; i < run->pipeline->stage_count; i++)
        if ((run->pipeline->stages[stage].needs & (1u << i)) && trial->stages[i].state == STAGE_DONE &&
            (last < 0 || trial->stages[i].times.done > trial->stages[last].times.done))
            last = (int)i;
    return last;
}

static void account_stage(struct run *run, const struct trial_stage *stage, unsigned index,
                          struct cursor *cursor) {
    const struct stage_times *times = &stage->times;
    if (stage->reused) {
        run->share_ns[SHARE_REUSE_WAIT] += step(cursor, times->done);
        return;
    }
    run->share_ns[SHARE_FAILED] += step(cursor, times->failed);
    run->share_ns[SHARE_COORDINATION] +=
        step(cursor, times->assigned < times->done ? times->assigned : times->done);
    run->share_ns[SHARE_COORDINATION] +=
        step(cursor, times->accepted < times->done ? times->accepted : times->done);
    run->share_ns[SHARE_AGENT_WAIT] +=
        step(cursor, times->started < times->done ? times->started : times->done);
    run->stage_share_ns[index] += step(cursor, times->ended < times->done ? times->ended : times->done);
    run->share_ns[SHARE_TRANSFER] += step(cursor, times->done);
}

void account_trial(struct run *run, struct trial *trial) {
    unsigned path[PIPELINE_STAGES_MAX], length = 0;
    if (trial->state == TRIAL_OK)
        for (int at = (int)run->pipeline->objective_stage; at >= 0;
             at = last_needed(run, trial, (unsigned)at))
            path[length++] = (unsigned)at;
    struct cursor cursor = {.at = trial->created_ns};
    if (length > 0) {
        const struct trial_stage *first = &trial->stages[path[length - 1]];
        run->share_ns[SHARE_STORE] += step(&cursor, first->times.ready);
    }
    while (length > 0) {
        unsigned stage = path[--length];
        account_stage(run, &trial->stages[stage], stage, &cursor);
    }
    if (trial->state !=
        TRIAL_OK) /* up to its end it was with agents that did not help it, more is not known */
        run->share_ns[SHARE_FAILED] += step(&cursor, trial->told_ns);
    run->share_ns[SHARE_STORE] += step(&cursor, trial->ended_ns);
    uint64_t wall = trial->ended_ns - trial->created_ns;
    uint64_t difference = wall > cursor.sum ? wall - cursor.sum : cursor.sum - wall;
    if (difference > run->share_error_ns_max)
        run->share_error_ns_max = difference;
    run->trial_wall_ns += wall;
    if (run->durable_count < ARRAY_COUNT(run->durable)) /* as many as are in flight; so always */
        run->durable[run->durable_count++] = (struct durable){trial->number, trial->ended_ns};
}

int64_t running_us(const struct run *run, uint64_t at_ns) {
    return at_ns > run->start_ns ? (int64_t)((run->elapsed_before_ns + at_ns - run->start_ns) / 1000)
                                 : (int64_t)(run->elapsed_before_ns / 1000);
}

void account_write_durable(struct run *run, struct json *json) {
    json_key(json, "durable_us");
    json_array_begin(json);
    for (unsigned i = 0; i < run->durable_count; i++) {
        json_array_begin(json);
        json_int(json, run->durable[i].trial);
        json_int(json, running_us(run, run->durable[i].at_ns));
        json_array_end(json);
    }
    json_array_end(json);
    run->durable_count = 0;
}

void account_task(struct run *run, const struct task *task) {
    if (task->started_ns == 0 || task->ended_ns < task->started_ns || task->agent == 0)
        return; /* it never ran */
    struct agent_clock *clock = map_get_u64(run->clocks, task->agent);
    if (clock == NULL) {
        clock = memory_alloc(run->account, sizeof *clock);
        if (clock == NULL)
            return;
        if (map_put_u64(run->clocks, task->agent, clock) != TROUPE_OK) {
            memory_free(run->account, clock);
            return;
        }
    }
    uint64_t from = task->started_ns > clock->last_end_ns ? task->started_ns : clock->last_end_ns;
    if (task->ended_ns > from) {
        clock->executing_ns += task->ended_ns - from;
        run->executing_ns += task->ended_ns - from;
        clock->last_end_ns = task->ended_ns;
    }
    clock->tasks++;
    run->tasks++;
    if (task->result != NULL) {
        run->cpu_ns += task->result->cpu_ns;
        if (run_agents_in_process(run, task->agent))
            run->in_process_cpu_ns += task->result->cpu_ns;
        if (task->result->core_wait_ns != CORE_WAIT_UNKNOWN)
            run->core_wait_ns += task->result->core_wait_ns;
        run->blocked_ns += task->result->blocked_ns;
    }
}

void account_percent(const uint64_t *parts, unsigned count, double *ret_percent) {
    uint64_t total = 0;
    int64_t left = 1000;
    for (unsigned i = 0; i < count; i++)
        total += parts[i];
    for (unsigned i = 0; i < count; i++) {
        ret_percent[i] = total == 0 ? 0 : floor((double)parts[i] * 1000.0 / (double)total);
        left -= (int64_t)ret_percent[i];
    }
    while (total > 0 && left-- > 0) { /* one tenth more to the largest remainder */
        unsigned best = 0;
        double best_rest = -INFINITY;
        for (unsigned i = 0; i < count; i++) {
            double rest = (double)parts[i] * 1000.0 / (double)total - ret_percent[i];
            if (rest > best_rest) {
                best_rest = rest;
                best = i;
            }
        }
        ret_percent[best] += 1;
    }
    for (unsigned i = 0; i < count; i++)
        ret_percent[i] /= 10.0;
}

static double milliseconds(uint64_t ns) {
    return round((double)ns / 1e3) / 1e3;
}

static void write_shares(const struct run *run, struct json *json) {
    uint64_t parts[PIPELINE_STAGES_MAX + SHARE_COUNT];
    const char *names[PIPELINE_STAGES_MAX + SHARE_COUNT];
    double percent[PIPELINE_STAGES_MAX + SHARE_COUNT];
    bool stage[PIPELINE_STAGES_MAX + SHARE_COUNT];
    unsigned count = 0;
    for (unsigned k = 0; k < run->pipeline->stage_count; k++) {
        unsigned i = run->pipeline->order[k];
        if (!run->pipeline->stages[i].in_trial)
            continue;
        stage[count] = true;
        names[count] = run->pipeline->stages[i].name;
        parts[count++] = run->stage_share_ns[i];
    }
    for (unsigned i = 0; i < SHARE_COUNT; i++) {
        stage[count] = false;
        names[count] = trial_share_name((enum trial_share)i);
        parts[count++] = run->share_ns[i];
    }
    account_percent(parts, count, percent);
    json_key(json, "shares");
    json_array_begin(json);
    for (unsigned i = 0; i < count; i++) {
        json_object_begin(json);
        json_field_string(json, "name", names[i]);
        json_field_string(json, "kind", stage[i] ? "stage" : "overhead");
        json_field_real(json, "ms", milliseconds(parts[i]));
        json_field_real(json, "percent", percent[i]);
        json_object_end(json);
    }
    json_array_end(json);
}

void account_write_time(const struct run *run, struct json *json) {
    /* Of those that came and went, the time that they were here. */
    uint64_t wall = run->end_ns - run->start_ns;
    uint64_t agents = run->slots_time_ns + (run->end_ns - run->slots_since_ns) * run->slots;
    uint64_t window = run->first_trial_ns != 0 && run->last_trial_ns > run->first_trial_ns
                          ? run->last_trial_ns - run->first_trial_ns
                          : 0;
    uint64_t active = wall == 0 ? 0 : (uint64_t)((double)window * ((double)agents / (double)wall));
    uint64_t executing = run->executing_ns;
    uint64_t waiting = active > executing ? active - executing : 0;
    uint64_t idle = agents > executing + waiting ? agents - executing - waiting : 0;
    /* All of this process but what stages computed in it: turns, commits, hashes, quotes, the display. */
    uint64_t self = env_process_cpu(run->env) - run->process_cpu_ns;
    self = self > run->in_process_cpu_ns ? self - run->in_process_cpu_ns : 0;
    json_key(json, "time");
    json_object_begin(json);
    json_field_real(json, "wall_ms", milliseconds(wall));
    json_field_real(json, "elapsed_ms", milliseconds(run->elapsed_before_ns + wall)); /* over resumes */
    json_field_real(json, "trial_wall_ms", milliseconds(run->trial_wall_ns)); /* what the shares add to */
    json_field_int(json, "trial_error_ns_max", (int64_t)run->share_error_ns_max);
    write_shares(run, json);
    json_key(json, "agents");
    json_object_begin(json);
    unsigned here = 0;
    for (unsigned a = 0; a < run->pipeline->agent_count; a++)
        here += run_agents_here(run, a);
    json_field_int(json, "instances", here); /* at the end */
    json_field_real(json, "total_ms", milliseconds(agents));
    json_field_real(json, "executing_ms", milliseconds(executing));
    json_field_real(json, "waiting_ms", milliseconds(waiting));
    json_field_real(json, "idle_ms", milliseconds(idle));
    json_field_real(json, "cpu_ms", milliseconds(run->cpu_ns));
    json_field_real(json, "core_wait_ms", milliseconds(run->core_wait_ns));
    json_field_real(json, "blocked_ms", milliseconds(run->blocked_ns));
    run_agents_write_stays(run, json);
    json_object_end(json);
    json_key(json, "troupe");
    json_object_begin(json);
    json_field_real(json, "cpu_ms", milliseconds(self));
    double cores = env_cores(run->env) > 0 ? env_cores(run->env) : 1;
    json_field_real(json, "percent_of_machine",
                    wall == 0 ? 0 : round((double)self * 1e5 / ((double)wall * cores)) / 1e3);
    json_object_end(json);
    json_object_end(json);
}
