/* task: capability sets, counted resources, tasks and results, and the destructors of the messages that
 * carry them.
 *
 * Invariants: a task and its body are one block, a result and its value another; a result dies with its
 *             task. Interned names are never removed, so a bit or an index means the same for the process's
 *             whole life.
 * Threads: plain data; whoever holds it.
 * Memory:  the account given at creation is kept inside the block, so that any thread can free it. */
#include "task/task.h"

#include <string.h>

/* Finds `name`, or -1. */
static int name_find(const char *const *names, unsigned count, const char *name) {
    for (unsigned at = 0; at < count; at++) {
        if (strcmp(names[at], name) == 0) {
            return (int)at;
        }
    }
    return -1;
}

/* Finds `name` or adds it to the `count` names; LIMIT when `max` are there. */
static enum troupe_error name_intern(const char **names, unsigned *count, unsigned max, const char *name,
                                     unsigned *ret_index) {
    int found = name_find(names, *count, name);
    if (found >= 0) {
        *ret_index = (unsigned)found;
        return TROUPE_OK;
    }
    if (*count == max) {
        return TROUPE_LIMIT;
    }
    names[*count] = name;
    *ret_index = (*count)++;
    return TROUPE_OK;
}

enum troupe_error capability_intern(struct capability_names *names, const char *name, unsigned *ret_bit) {
    return name_intern(names->names, &names->count, CAPABILITIES_MAX, name, ret_bit);
}

int capability_find(const struct capability_names *names, const char *name) {
    return name_find(names->names, names->count, name);
}

void capability_set_add(struct capability_set *set, unsigned bit) {
    CHECK(bit < CAPABILITIES_MAX);
    set->bits[bit / 64] |= UINT64_C(1) << (bit % 64);
}

bool capability_set_has(const struct capability_set *set, unsigned bit) {
    CHECK(bit < CAPABILITIES_MAX);
    return (set->bits[bit / 64] >> (bit % 64)) & 1;
}

bool capability_set_contains(const struct capability_set *set, const struct capability_set *needed) {
    uint64_t missing = 0;
    for (unsigned word = 0; word < ARRAY_COUNT(set->bits); word++) {
        missing |= needed->bits[word] & ~set->bits[word];
    }
    return missing == 0;
}

enum troupe_error resource_intern(struct resource_names *names, const char *name, unsigned *ret_index) {
    return name_intern(names->names, &names->count, RESOURCES_MAX, name, ret_index);
}

bool resources_fit(const struct resources *free, const struct resources *needed) {
    for (unsigned at = 0; at < RESOURCES_MAX; at++) {
        if (needed->amount[at] > free->amount[at]) {
            return false;
        }
    }
    return true;
}

void resources_take(struct resources *free, const struct resources *needed) {
    CHECK(resources_fit(free, needed));
    for (unsigned at = 0; at < RESOURCES_MAX; at++) {
        CHECK(needed->amount[at] >= 0);
        free->amount[at] -= needed->amount[at];
    }
}

void resources_give(struct resources *free, const struct resources *back) {
    for (unsigned at = 0; at < RESOURCES_MAX; at++) {
        CHECK(back->amount[at] >= 0);
        free->amount[at] += back->amount[at];
    }
}

bool task_id_equal(struct task_id a, struct task_id b) {
    return a.run == b.run && a.trial == b.trial && a.stage == b.stage && a.attempt == b.attempt;
}

/* The fields packed where they fit without meeting (8 bits of run and attempt, 16 of stage, 32 of trial), so
 * that a trace reader can tell trials apart by eye; never 0, which means "no span": attempts count from 1. */
uint64_t task_id_span(struct task_id id) {
    return (id.run & 0xff) << 56 | (uint64_t)(id.attempt & 0xff) << 48 | (uint64_t)id.stage << 32 | id.trial;
}

static const char *const state_names[] = {
    [TASK_WAITING] = "waiting",
    [TASK_OFFERED] = "offered",
    [TASK_QUEUED] = "queued",
    [TASK_RUNNING] = "running",
    [TASK_OK] = "ok",
    [TASK_FAILED] = "failed",
    [TASK_CANCELLED] = "cancelled",
    [TASK_REJECTED] = "rejected",
};

static const char *const verdict_names[] = {
    [CANDIDATE_CHOSEN] = "chosen",       [CANDIDATE_SPARED] = "spared",     [CANDIDATE_FULL] = "full",
    [CANDIDATE_LATER] = "later",         [CANDIDATE_PAUSED] = "paused",     [CANDIDATE_REFUSED] = "refused",
    [CANDIDATE_SILENT] = "silent",       [CANDIDATE_DRAINING] = "draining", [CANDIDATE_DOWN] = "down",
    [CANDIDATE_INCAPABLE] = "incapable",
};
const char *candidate_verdict_name(enum candidate_verdict verdict) {
    return verdict_names[verdict];
}
static const char *const decision_names[] = {
    [DECISION_PLANNED] = "planned",
    [DECISION_REBALANCED] = "rebalanced",
    [DECISION_PULLED] = "pulled",
    [DECISION_DOUBLED] = "doubled",
};
const char *decision_kind_name(enum decision_kind kind) {
    return decision_names[kind];
}
void task_decision_free(struct task_decision *decision) {
    if (decision != NULL)
        memory_free(decision->account, decision);
}

bool task_state_terminal(enum task_state state) {
    return state >= TASK_OK;
}

const char *task_state_name(enum task_state state) {
    CHECK((size_t)state < ARRAY_COUNT(state_names));
    return state_names[state];
}

struct task *task_new(struct account *account, const char *body, size_t body_length) {
    CHECK(body != NULL || body_length == 0);
    if (body_length >= UINT32_MAX) {
        return NULL;
    }
    struct task *task = memory_alloc(account, sizeof *task + body_length + 1);
    if (task == NULL) {
        return NULL;
    }
    task->account = account;
    task->deadline_ns = UINT64_MAX;
    task->body_length = (uint32_t)body_length;
    task->body = (char *)(task + 1);
    if (body_length > 0) {
        memcpy(task->body, body, body_length);
    }
    return task;
}

struct task *task_copy(const struct task *task) {
    size_t body = (size_t)task->body_length + 1;
    size_t directory = task->artifact_directory != NULL ? strlen(task->artifact_directory) + 1 : 0;
    struct task *copy = memory_alloc(task->account, sizeof *copy + body + directory);
    if (copy == NULL) {
        return NULL;
    }
    *copy = *task;
    copy->next = NULL;
    copy->result = NULL;
    copy->decision = NULL;
    copy->body = (char *)(copy + 1);
    if (task->body_length > 0) {
        memcpy(copy->body, task->body, task->body_length);
    }
    copy->body[task->body_length] = '\0';
    if (directory > 0) {
        copy->artifact_directory = memcpy(copy->body + body, task->artifact_directory, directory);
    }
    return copy;
}

void task_free(struct task *task) {
    if (task == NULL) {
        return;
    }
    task_result_free(task->result);
    task_decision_free(task->decision);
    memory_free(task->account, task);
}

struct task_result *task_result_new(struct account *account, const char *value, size_t value_length) {
    if (value_length >= UINT32_MAX) {
        return NULL;
    }
    struct task_result *result =
        memory_alloc(account, sizeof *result + (value != NULL ? value_length + 1 : 0));
    if (result == NULL) {
        return NULL;
    }
    result->account = account;
    result->core_wait_ns = CORE_WAIT_UNKNOWN;
    if (value != NULL) {
        result->value_length = (uint32_t)value_length;
        result->value = (char *)(result + 1);
        memcpy(result->value, value, value_length);
    }
    return result;
}

void task_result_free(struct task_result *result) {
    if (result != NULL) {
        memory_free(result->account, result);
    }
}

static void task_list_free(struct task *task) {
    while (task != NULL) {
        struct task *next = task->next;
        task_free(task);
        task = next;
    }
}

static void coordinate_destroy(struct message *message) {
    task_list_free(MESSAGE_PAYLOAD(message, struct message_coordinate)->tasks);
}

static void coordinated_destroy(struct message *message) {
    struct feedback *feedback = MESSAGE_PAYLOAD(message, struct message_coordinated)->feedback;
    if (feedback != NULL) {
        memory_free(feedback->account, feedback);
    }
}

const char *feedback_kind_name(enum feedback_kind kind) {
    static const char *const names[] = {"spawn", "retire", "shed", "weight"};
    return names[kind];
}

static void offer_destroy(struct message *message) {
    task_list_free(MESSAGE_PAYLOAD(message, struct message_offer)->tasks);
}

static void offer_answer_destroy(struct message *message) {
    task_list_free(MESSAGE_PAYLOAD(message, struct message_offer_answer)->refused);
}

static void revoke_answer_destroy(struct message *message) {
    task_free(MESSAGE_PAYLOAD(message, struct message_revoke_answer)->task);
}

static void task_ended_destroy(struct message *message) {
    task_free(MESSAGE_PAYLOAD(message, struct message_task_ended)->task);
}

void task_message_destructors(void) {
    message_set_destructor(MESSAGE_COORDINATE, coordinate_destroy);
    message_set_destructor(MESSAGE_COORDINATED, coordinated_destroy);
    message_set_destructor(MESSAGE_OFFER, offer_destroy);
    message_set_destructor(MESSAGE_OFFER_ANSWER, offer_answer_destroy);
    message_set_destructor(MESSAGE_REVOKE_ANSWER, revoke_answer_destroy);
    message_set_destructor(MESSAGE_TASK_ENDED, task_ended_destroy);
}
