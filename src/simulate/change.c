/* change: see the header. A member is either a number, which is also shown, or a hash of what it says.
 * Agents and stages are found by their names, so their order says nothing. */
#include "simulate/simulate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t mixed(uint64_t hash, uint64_t value) {
    return hash_bytes(&value, sizeof value, hash);
}

static uint64_t text_hash(uint64_t hash, const char *text) {
    return text != NULL ? hash_bytes(text, strlen(text), mixed(hash, strlen(text))) : mixed(hash, UINT64_MAX);
}

/* Of what it means: maps have no order, 1 and 1.0 are one number. As deep as a document can be. */
static uint64_t node_hash(const struct node *node) {
    enum document_kind kind = node_kind(node);
    uint64_t hash = kind;
    if (kind == DOCUMENT_MAP)
        for (size_t i = 0; i < node_count(node); i++)
            hash += mixed(text_hash(kind, node_key_at(node, i)), node_hash(node_at(node, i)));
    else if (kind == DOCUMENT_LIST)
        for (size_t i = 0; i < node_count(node); i++)
            hash = mixed(hash, node_hash(node_at(node, i)));
    else if (kind == DOCUMENT_STRING)
        hash = hash_bytes(node_string(node), node_string_length(node), hash);
    else if (kind == DOCUMENT_BOOL)
        hash = mixed(hash, node_bool(node));
    else if (kind == DOCUMENT_INT || kind == DOCUMENT_REAL) {
        double number = node_real(node);
        hash = hash_bytes(&number, sizeof number, DOCUMENT_REAL);
    }
    return hash;
}

/* ---- members: number ---- */

/* What has another member as its default changes when it is written, not with that. */
static int64_t as_written(const struct node *of, const char *name) {
    const struct node *node = of != NULL ? node_get(of, name) : NULL;
    return node != NULL && node_kind(node) == DOCUMENT_INT ? node_int(node) : 0;
}

#define NUMBER(name, expression)                                                                             \
    static uint64_t name(const struct pipeline *pipeline, unsigned at) {                                     \
        (void)at;                                                                                            \
        return (uint64_t)(expression);                                                                       \
    }
NUMBER(trials, pipeline->trials)
NUMBER(deadline, pipeline->deadline_ns)
NUMBER(parallel, pipeline->parallel)
NUMBER(failures_max, pipeline->failures_max)
NUMBER(seed, pipeline->study.seed)
NUMBER(deterministic, pipeline->study.deterministic)
NUMBER(startup, pipeline->study.startup)
NUMBER(instances, pipeline->agents[at].instances)
NUMBER(instances_min, as_written(pipeline->agents[at].node, "instances_min"))
NUMBER(instances_max, as_written(pipeline->agents[at].node, "instances_max"))
NUMBER(expected, pipeline->stages[at].expected_ns)
NUMBER(feedback_hash, (uint64_t)pipeline->feedback * 2 + pipeline->shed_late)
NUMBER(batch_max, pipeline->agents[at].batch_max)
NUMBER(window, pipeline->agents[at].window)
NUMBER(batch_wait, pipeline->agents[at].batch_wait_ns)
NUMBER(agent_timeout, pipeline->agents[at].timeout_ns)
NUMBER(stage_timeout, pipeline->stages[at].timeout_ns)
NUMBER(retries, pipeline->stages[at].retries)
NUMBER(size_variable, pipeline->stages[at].size)
NUMBER(cache, pipeline->stages[at].cache)
NUMBER(idempotent, pipeline->stages[at].idempotent)

/* ---- members: hash ---- */

static const struct node *section(const struct pipeline *pipeline, const char *name) {
    return node_get(document_root(pipeline->document), name);
}

static uint64_t name_hash(const struct pipeline *pipeline, unsigned at) {
    (void)at;
    return text_hash(0, pipeline->name);
}

static uint64_t variables_hash(const struct pipeline *pipeline, unsigned at) {
    (void)at;
    uint64_t hash = space_hash(pipeline->space);
    for (unsigned i = 0; i < space_count(pipeline->space); i++) {
        const struct variable *variable = space_variable(pipeline->space, i);
        double value = variable->has_default ? variable->default_value : -1;
        hash = hash_bytes(&value, sizeof value, mixed(hash, variable->has_default));
    }
    return hash;
}

static uint64_t data_hash_of(const struct pipeline *pipeline, unsigned at) {
    (void)at;
    return node_hash(section(pipeline, "data"));
}

static uint64_t options_hash(const struct pipeline *pipeline, unsigned at) {
    (void)at;
    return node_hash(section(pipeline, "options"));
}

static uint64_t objective_hash(const struct pipeline *pipeline, unsigned at) {
    (void)at;
    uint64_t hash = text_hash(pipeline->maximise, pipeline->stages[pipeline->objective_stage].name);
    return text_hash(hash, pipeline->objective_metric);
}

static uint64_t test_hash(const struct pipeline *pipeline, unsigned at) {
    (void)at;
    bool none = pipeline->test_stage >= pipeline->stage_count;
    return none ? 0
                : text_hash(text_hash(0, pipeline->stages[pipeline->test_stage].name), pipeline->test_metric);
}

static uint64_t sampler_hash(const struct pipeline *pipeline, unsigned at) {
    (void)at;
    return text_hash(0, sampler_name(pipeline->study.sampler));
}

static uint64_t amounts_hash(const struct pipeline *pipeline, const struct resources *resources) {
    uint64_t hash = 0;
    for (unsigned i = 0; i < pipeline->resource_names.count; i++)
        if (resources->amount[i] != 0)
            hash += mixed(text_hash(0, pipeline->resource_names.names[i]), (uint64_t)resources->amount[i]);
    return hash;
}

static uint64_t resources_hash(const struct pipeline *pipeline, unsigned at) {
    (void)at;
    return amounts_hash(pipeline, &pipeline->resources);
}

static uint64_t agent_resources_hash(const struct pipeline *pipeline, unsigned at) {
    return amounts_hash(pipeline, &pipeline->agents[at].resources);
}

static uint64_t stage_resources_hash(const struct pipeline *pipeline, unsigned at) {
    return amounts_hash(pipeline, &pipeline->stages[at].resources);
}

/* As written: loading may have put a path in the place of a name. */
static uint64_t program_hash(const struct pipeline *pipeline, unsigned at) {
    static const char *const keys[] = {"command", "once", "native", "metrics"};
    uint64_t hash = pipeline->agents[at].isolate;
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        hash = mixed(hash, node_hash(node_get(pipeline->agents[at].node, keys[i])));
    return hash;
}

static uint64_t agent_options_hash(const struct pipeline *pipeline, unsigned at) {
    return node_hash(node_get(pipeline->agents[at].node, "options"));
}

static uint64_t environment_hash(const struct pipeline *pipeline, unsigned at) {
    return node_hash(node_get(pipeline->agents[at].node, "env"));
}

static uint64_t capabilities_hash(const struct pipeline *pipeline, unsigned at) {
    const struct pipeline_agent *agent = &pipeline->agents[at];
    uint64_t hash = 0;
    for (unsigned i = 0; i < agent->capability_count; i++)
        hash += text_hash(0, agent->capability_names[i]);
    return hash;
}

static uint64_t capability_hash(const struct pipeline *pipeline, unsigned at) {
    return text_hash(0, pipeline->capabilities.names[pipeline->stages[at].capability]);
}

static uint64_t needs_hash(const struct pipeline *pipeline, unsigned at) {
    uint64_t hash = 0;
    for (unsigned i = 0; i < pipeline->stage_count; i++)
        if (pipeline->stages[at].needs & (1u << i))
            hash += text_hash(0, pipeline->stages[i].name);
    return hash;
}

static uint64_t uses_hash(const struct pipeline *pipeline, unsigned at) {
    const struct pipeline_stage *stage = &pipeline->stages[at];
    uint64_t hash = stage->uses_all;
    for (unsigned i = 0; i < space_count(pipeline->space) && !stage->uses_all; i++)
        if (stage->uses[i])
            hash += text_hash(0, space_variable(pipeline->space, i)->name);
    return hash;
}

static uint64_t version_hash(const struct pipeline *pipeline, unsigned at) {
    return text_hash(0, pipeline->stages[at].version);
}

/* ---- the table ---- */

#define OTHER_CONFIGURATIONS                                                                                 \
    "the search asks for other configurations; theirs are times of like ones in the record"
#define OTHER_PROGRAM "nothing was measured of another program; run it once, then ask again"

enum member_of { OF_PIPELINE, OF_AGENT, OF_STAGE, OF_COUNT };
struct member {
    enum member_of of;
    const char *name;
    uint64_t (*value)(const struct pipeline *pipeline, unsigned at);
    enum { SHOWN_NOT, SHOWN_NUMBER, SHOWN_DURATION, SHOWN_SWITCH } shown;
    enum change_verdict verdict;
    const char *why;
};
static const struct member members[] = {
    {OF_PIPELINE, "name", name_hash, SHOWN_NOT, CHANGE_IDLE, ""},
    {OF_PIPELINE, "data", data_hash_of, SHOWN_NOT, CHANGE_REFUSED,
     "nothing was measured with other data; run it once, then ask again"},
    {OF_PIPELINE, "space", variables_hash, SHOWN_NOT, CHANGE_REFUSED,
     "the record's times are those of the old space's configurations; run it once, then ask again"},
    {OF_PIPELINE, "objective", objective_hash, SHOWN_NOT, CHANGE_REFUSED,
     "where the search would go then cannot be told from the record"},
    {OF_PIPELINE, "test", test_hash, SHOWN_NOT, CHANGE_REFUSED,
     "which stages belong to a trial would be another matter than in the record"},
    {OF_PIPELINE, "options", options_hash, SHOWN_NOT, CHANGE_REFUSED,
     "the options of the process are not modelled"},
    {OF_PIPELINE, "resources", resources_hash, SHOWN_NOT, CHANGE_EXPRESSED, ""},
    {OF_PIPELINE, "feedback", feedback_hash, SHOWN_NOT, CHANGE_EXPRESSED, ""},
    {OF_PIPELINE, "budget.trials", trials, SHOWN_NUMBER, CHANGE_DRAWN,
     "trials beyond the record's take times of like ones in it"},
    {OF_PIPELINE, "budget.deadline", deadline, SHOWN_DURATION, CHANGE_DRAWN,
     "trials beyond the record's take times of like ones in it"},
    {OF_PIPELINE, "budget.parallel", parallel, SHOWN_NUMBER, CHANGE_EXPRESSED, ""},
    {OF_PIPELINE, "budget.failures_max", failures_max, SHOWN_NUMBER, CHANGE_EXPRESSED, ""},
    {OF_PIPELINE, "optimizer.sampler", sampler_hash, SHOWN_NOT, CHANGE_DRAWN, OTHER_CONFIGURATIONS},
    {OF_PIPELINE, "optimizer.seed", seed, SHOWN_NUMBER, CHANGE_DRAWN, OTHER_CONFIGURATIONS},
    {OF_PIPELINE, "optimizer.deterministic", deterministic, SHOWN_NUMBER, CHANGE_DRAWN, OTHER_CONFIGURATIONS},
    {OF_PIPELINE, "optimizer.startup", startup, SHOWN_NUMBER, CHANGE_DRAWN, OTHER_CONFIGURATIONS},

    {OF_AGENT, "program", program_hash, SHOWN_NOT, CHANGE_REFUSED, OTHER_PROGRAM},
    {OF_AGENT, "options", agent_options_hash, SHOWN_NOT, CHANGE_REFUSED,
     "what a worker does with other options was not measured; run it once, then ask again"},
    {OF_AGENT, "env", environment_hash, SHOWN_NOT, CHANGE_REFUSED,
     "what a worker does in another environment was not measured; run it once, then ask again"},
    {OF_AGENT, "capabilities", capabilities_hash, SHOWN_NOT, CHANGE_REFUSED,
     "how long a stage takes at another agent was not measured; run it once, then ask again"},
    {OF_AGENT, "instances", instances, SHOWN_NUMBER, CHANGE_EXPRESSED, ""},
    {OF_AGENT, "instances_min", instances_min, SHOWN_NUMBER, CHANGE_EXPRESSED, ""},
    {OF_AGENT, "instances_max", instances_max, SHOWN_NUMBER, CHANGE_EXPRESSED, ""},
    {OF_AGENT, "batch_max", batch_max, SHOWN_NUMBER, CHANGE_EXPRESSED, ""},
    {OF_AGENT, "batch_wait_ms", batch_wait, SHOWN_DURATION, CHANGE_EXPRESSED, ""},
    {OF_AGENT, "window", window, SHOWN_NUMBER, CHANGE_EXPRESSED, ""},
    {OF_AGENT, "timeout", agent_timeout, SHOWN_DURATION, CHANGE_DRAWN,
     "attempts that were cut short in the record stay as short as they were"},
    {OF_AGENT, "resources", agent_resources_hash, SHOWN_NOT, CHANGE_EXPRESSED, ""},

    {OF_STAGE, "capability", capability_hash, SHOWN_NOT, CHANGE_REFUSED,
     "how long the stage takes at another agent was not measured; run it once, then ask again"},
    {OF_STAGE, "needs", needs_hash, SHOWN_NOT, CHANGE_REFUSED,
     "what the stage would be given was never measured; run it once, then ask again"},
    {OF_STAGE, "uses", uses_hash, SHOWN_NOT, CHANGE_REFUSED,
     "the stage would be another computation; run it once, then ask again"},
    {OF_STAGE, "version", version_hash, SHOWN_NOT, CHANGE_REFUSED, OTHER_PROGRAM},
    {OF_STAGE, "timeout", stage_timeout, SHOWN_DURATION, CHANGE_DRAWN,
     "attempts that were cut short in the record stay as short as they were"},
    {OF_STAGE, "retries", retries, SHOWN_NUMBER, CHANGE_EXPRESSED, ""},
    {OF_STAGE, "expected", expected, SHOWN_DURATION, CHANGE_EXPRESSED, ""},
    {OF_STAGE, "size", size_variable, SHOWN_NOT, CHANGE_EXPRESSED, ""},
    {OF_STAGE, "cache", cache, SHOWN_SWITCH, CHANGE_EXPRESSED, ""},
    {OF_STAGE, "idempotent", idempotent, SHOWN_SWITCH, CHANGE_DRAWN,
     "how long a task takes that is done a second time is drawn from those of its like"},
    {OF_STAGE, "resources", stage_resources_hash, SHOWN_NOT, CHANGE_EXPRESSED, ""},
};

static const char *const folders[OF_COUNT] = {[OF_AGENT] = "agents", [OF_STAGE] = "stages"};

static unsigned count_of(const struct pipeline *pipeline, enum member_of of) {
    return of == OF_AGENT ? pipeline->agent_count : of == OF_STAGE ? pipeline->stage_count : 1;
}

static const char *name_of(const struct pipeline *pipeline, enum member_of of, unsigned at) {
    return of == OF_AGENT ? pipeline->agents[at].name : of == OF_STAGE ? pipeline->stages[at].name : "";
}

static int find(const struct pipeline *pipeline, enum member_of of, const char *name) {
    for (unsigned i = 0; i < count_of(pipeline, of); i++)
        if (strcmp(name_of(pipeline, of, i), name) == 0)
            return (int)i;
    return -1;
}

/* ---- comparing ---- */

static void shown(const struct member *member, uint64_t value, char out[40]) {
    char text[32];
    if (member->shown == SHOWN_NUMBER)
        snprintf(out, 40, "%llu", (unsigned long long)value);
    else if (member->shown == SHOWN_DURATION)
        snprintf(out, 40, "%s", value > 0 ? text_format_duration(text, (int64_t)value) : "none");
    else if (member->shown == SHOWN_SWITCH)
        snprintf(out, 40, "%s", value ? "true" : "false");
}

/* Where one is to be written; a refusal takes the place of another change when there is no room, so that it is told. */
static struct change *place_for(struct change_list *list, enum change_verdict verdict) {
    bool first_refused = verdict == CHANGE_REFUSED && !list->refused;
    list->refused = list->refused || verdict == CHANGE_REFUSED;
    if (list->count < CHANGES_MAX)
        return &list->changes[list->count++];
    list->left_out++;
    return first_refused ? &list->changes[CHANGES_MAX - 1] : NULL;
}

static void add(struct change_list *list, enum member_of of, const char *name, const char *member,
                enum change_verdict verdict, const char *why) {
    struct change *change = place_for(list, verdict);
    if (change == NULL)
        return;
    *change = (struct change){.verdict = verdict, .why = why};
    if (of == OF_PIPELINE)
        snprintf(change->path, sizeof change->path, "%s", member);
    else
        snprintf(change->path, sizeof change->path, "%s.%.63s%s%s", folders[of], name,
                 member[0] != '\0' ? "." : "", member);
}

static void compare(const struct pipeline *before, unsigned at_before, const struct pipeline *after,
                    unsigned at_after, enum member_of of, struct change_list *list) {
    for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
        const struct member *member = &members[i];
        if (member->of != of)
            continue;
        uint64_t old = member->value(before, at_before), new = member->value(after, at_after);
        if (old == new)
            continue;
        unsigned count = list->count;
        add(list, of, name_of(after, of, at_after), member->name, member->verdict, member->why);
        if (list->count > count) {
            shown(member, old, list->changes[count].before);
            shown(member, new, list->changes[count].after);
        }
    }
}

void change_list_make(const struct pipeline *before, const struct pipeline *after, struct change_list *ret) {
    *ret = (struct change_list){0};
    for (enum member_of of = OF_AGENT; of < OF_COUNT; of++) {
        for (unsigned i = 0; i < count_of(after, of); i++) {
            const char *name = name_of(after, of, i);
            int was = find(before, of, name);
            if (was >= 0)
                compare(before, (unsigned)was, after, i, of, ret);
            else
                add(ret, of, name, "", CHANGE_REFUSED,
                    of == OF_AGENT
                        ? "a new agent, of which nothing was measured; run it once, then ask again"
                        : "a new stage, of which nothing was measured; run it once, then ask again");
        }
        for (unsigned i = 0; i < count_of(before, of); i++)
            if (find(after, of, name_of(before, of, i)) < 0)
                add(ret, of, name_of(before, of, i), "", CHANGE_EXPRESSED, "");
    }
    /* last, for it may only follow from the others: a new stage that is the test makes another test */
    compare(before, 0, after, 0, OF_PIPELINE, ret);
}

enum troupe_error change_list_check(const struct change_list *list, struct fault *fault) {
    for (unsigned i = 0; i < list->count; i++)
        if (list->changes[i].verdict == CHANGE_REFUSED)
            return fault_set(fault, TROUPE_INVALID, list->changes[i].path,
                             "the model cannot express this change: %s", list->changes[i].why);
    return TROUPE_OK;
}

enum troupe_error change_check_set(const struct pipeline *pipeline, const char *set, struct fault *fault) {
    const char *names[PIPELINE_AGENTS_MAX + PIPELINE_STAGES_MAX];
    for (enum member_of of = OF_AGENT; of < OF_COUNT; of++) {
        size_t folder = strlen(folders[of]), length = 0;
        char name[64];
        if (strncmp(set, folders[of], folder) != 0 || set[folder] != '.')
            continue;
        length = strcspn(set + folder + 1, ".[=");
        if (length >= sizeof name || set[folder + 1 + length] != '.')
            continue;
        snprintf(name, sizeof name, "%.*s", (int)length, set + folder + 1);
        if (find(pipeline, of, name) >= 0)
            continue;
        for (unsigned i = 0; i < count_of(pipeline, of); i++)
            names[i] = name_of(pipeline, of, i);
        const char *near = text_nearest(name, names, count_of(pipeline, of));
        return fault_set(fault, TROUPE_USAGE, "--set", "there is no %s '%s'%s%s%s",
                         of == OF_AGENT ? "agent" : "stage", name, near != NULL ? "; did you mean '" : "",
                         near != NULL ? near : "", near != NULL ? "'?" : "");
    }
    return TROUPE_OK;
}

/* ---- identity ---- */

uint64_t pipeline_identity(const struct pipeline *pipeline) {
    uint64_t identity = 0;
    for (enum member_of of = OF_PIPELINE; of < OF_COUNT; of++) {
        uint64_t sum = count_of(pipeline, of);
        for (unsigned at = 0; at < count_of(pipeline, of); at++) {
            uint64_t hash = text_hash(of, name_of(pipeline, of, at));
            for (size_t i = 0; i < ARRAY_COUNT(members); i++)
                if (members[i].of == of && members[i].verdict != CHANGE_IDLE)
                    hash = mixed(hash, members[i].value(pipeline, at));
            sum += hash;
        }
        identity = mixed(identity, sum);
    }
    return identity != 0 ? identity : 1; /* 0 stands for none */
}
