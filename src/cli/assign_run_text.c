/* assign_run_text: how an instance was carried out: JSON, and lines for a person. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/assign_run.h"

static double in_unit(const struct assign_instance *instance, uint64_t ns) {
    return (double)ns / instance->unit_ns;
}

/* Those that came later are named after the one they are like. */
static void write_run_agent(const struct assign_run *run, const struct assign_instance *instance,
                            uint32_t agent, char out[48]) {
    uint32_t count = instance->batch.agent_count;
    if (agent < count)
        snprintf(out, 48, "%" PRId64, instance->agent_ids[agent]);
    else
        snprintf(out, 48, "%" PRId64 "+%u", instance->agent_ids[run->like], (unsigned)(agent - count + 1));
}

void assign_run_write_json(const struct assign_run *run, const struct assign_instance *instance,
                           struct json *json) {
    char name[48];
    json_key(json, "run");
    json_object_begin(json);
    json_field_int(json, "said_on_time", run->said_on_time);
    json_field_int(json, "said_late", run->said_late);
    json_field_int(json, "said_refused", run->said_refused);
    json_field_real(json, "said_makespan", in_unit(instance, run->said_finish_ns));
    json_field_real(json, "decided_us", (double)run->decided_ns / 1000);
    if (run->more > 0) {
        json_field_int(json, "more_agents", run->more);
        json_field_int(json, "like", instance->agent_ids[run->like]);
        json_field_int(json, "late_with_more", run->late_with_more);
        json_field_real(json, "makespan_with_more", in_unit(instance, run->with_more_finish_ns));
        json_field_bool(json, "more_started", run->more_started);
    }
    json_field_int(json, "agents", run->agents);
    json_field_int(json, "on_time", run->on_time);
    json_field_int(json, "late", run->late);
    json_field_int(json, "refused", run->refused);
    json_field_real(json, "makespan", in_unit(instance, run->finish_ns));
    json_key(json, "tasks");
    json_array_begin(json);
    for (uint32_t task = 0; task < instance->batch.task_count; task++) {
        const struct assign_run_task *one = &run->tasks[task];
        json_object_begin(json);
        json_field_int(json, "task", instance->task_ids[task]);
        if (one->agent != UINT32_MAX) {
            write_run_agent(run, instance, one->agent, name);
            json_field_string(json, "agent", name);
        }
        if (one->ok)
            json_field_real(json, "finish", in_unit(instance, one->finish_ns));
        else
            json_field_string(json, "why", one->why);
        json_field_bool(json, "late", one->late);
        if (one->refused)
            json_field_bool(json, "refused", true);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
}

void assign_run_write_text(const struct assign_run *run, const struct assign_instance *instance,
                           struct buffer *out) {
    char name[48];
    buffer_format(out, "carried out: said after %.1f ms: %u on time, %u late, %u refused, the last at %g\n",
                  (double)run->decided_ns / 1e6, run->said_on_time, run->said_late, run->said_refused,
                  in_unit(instance, run->said_finish_ns));
    if (run->more > 0)
        buffer_format(out, "%s: %u more like agent %" PRId64 ": %u late, the last at %g\n",
                      run->more_started ? "started" : "recommended", run->more,
                      instance->agent_ids[run->like], run->late_with_more,
                      in_unit(instance, run->with_more_finish_ns));
    buffer_format(out, "by %u workers: %u on time, %u late, ", run->agents, run->on_time, run->late);
    if (run->refused > 0)
        buffer_format(out, "%u refused, ", run->refused);
    buffer_format(out, "the last at %g\n", in_unit(instance, run->finish_ns));
    for (uint32_t task = 0; task < instance->batch.task_count; task++) {
        const struct assign_run_task *one = &run->tasks[task];
        snprintf(name, sizeof name, "nobody");
        if (one->agent != UINT32_MAX)
            write_run_agent(run, instance, one->agent, name);
        buffer_format(out, "task %" PRId64 ": %s", instance->task_ids[task], name);
        if (one->ok)
            buffer_format(out, " until %g%s\n", in_unit(instance, one->finish_ns), one->late ? ", late" : "");
        else
            buffer_format(out, ", not done: %s\n", one->why);
    }
}
