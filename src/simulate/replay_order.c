/* replay_order: the order, and the instants, in which the actors that decide took what they decide by, out of a record
 * of turns; and when the ends of attempts came in.
 *
 * Who is who is told by what each takes first: the engine RUN_START, the coordinator COORDINATE_STEP, an agent's
 * instance OFFER. The record's clock comes round every 73 minutes; a recorded run takes turns twice a second at least, so
 * each instant is the one nearest to the one before.
 * Threads: any one. Memory: arrays on the caller's account. */
#include "simulate/replaying.h"

#include <string.h>

struct reading {
    struct replaying *replaying;
    uint64_t last; /* of the record's clock, unwound */
    uint64_t start;
    bool begun;
};

/* The role that a turn gives away. */
static int role_shown(unsigned kind) {
    switch (kind) {
    case MESSAGE_RUN_START:
        return REPLAY_ENGINE;
    case MESSAGE_COORDINATE_STEP:
        return REPLAY_COORDINATOR;
    case MESSAGE_OFFER:
    case MESSAGE_AGENT_DRAIN:
        return REPLAY_AGENT;
    default:
        return -1;
    }
}

static struct replay_order *order_of(struct replaying *replaying, uint32_t slot) {
    for (unsigned i = 0; i < replaying->order_count; i++)
        if (replaying->orders[i].slot == slot)
            return &replaying->orders[i];
    return NULL;
}

/* First all are found, then counted, then filled: each has an array of its size. */
static bool find_orders(struct replaying *replaying) {
    const struct turn_file *turns = replaying->request->turns;
    bool seen[2] = {false, false};
    for (size_t i = 0; i < turns->count; i++) {
        int role = role_shown(turns->records[i].kind);
        uint32_t slot = turns->records[i].actor;
        if (role < 0 || order_of(replaying, slot) != NULL)
            continue;
        if (replaying->order_count == REPLAY_ACTORS_MAX || (role < REPLAY_AGENT && seen[role]))
            return false;
        if (role < REPLAY_AGENT)
            seen[role] = true;
        replaying->orders[replaying->order_count++] =
            (struct replay_order){.replaying = replaying, .role = (enum replay_role)role, .slot = slot};
    }
    return seen[REPLAY_ENGINE] && seen[REPLAY_COORDINATOR];
}

static bool record_counts(const struct replay_order *order, const struct turn_record *record) {
    return replay_guided(order->role, record->kind, (uint32_t)record->of.message.token);
}

static bool make_room(struct replaying *replaying) {
    const struct turn_file *turns = replaying->request->turns;
    size_t inputs = 0;
    for (size_t i = 0; i < turns->count; i++) {
        const struct turn_record *record = &turns->records[i];
        struct replay_order *order = order_of(replaying, record->actor);
        inputs += record->kind == TURN_RECORD_INPUT || record->kind == MESSAGE_CHILD_EXITED ||
                  record->kind == MESSAGE_DOWN;
        if (order != NULL && record->kind == TURN_RECORD_READ)
            order->read_count++;
        else if (order != NULL && record_counts(order, record))
            order->count++;
    }
    replaying->inputs = memory_alloc(replaying->account, (inputs + 1) * sizeof *replaying->inputs);
    bool made = replaying->inputs != NULL;
    for (unsigned i = 0; i < replaying->order_count && made; i++) {
        struct replay_order *order = &replaying->orders[i];
        order->steps = memory_alloc(replaying->account, (order->count + 1) * sizeof *order->steps);
        order->reads = memory_alloc(replaying->account, (order->read_count + 1) * sizeof *order->reads);
        made = order->steps != NULL && order->reads != NULL;
        order->count = order->read_count = 0;
    }
    return made;
}

/* Of the run's running time; before its start: 0. */
static uint64_t instant(struct reading *reading, const struct turn_record *record) {
    uint64_t time = turn_record_time(record), half = (TURN_RECORD_TIME_MASK >> 1) + 1;
    uint64_t ahead = (time - reading->last) & TURN_RECORD_TIME_MASK;
    reading->last += ahead < half ? ahead : ahead - (TURN_RECORD_TIME_MASK + 1);
    return reading->begun && (int64_t)(reading->last - reading->start) > 0 ? reading->last - reading->start
                                                                           : 0;
}

static void input_add(struct replaying *replaying, enum replay_told kind, uint32_t slot, uint32_t token,
                      uint64_t at_ns) {
    replaying->inputs[replaying->input_count++] = (struct replay_input){kind, slot, token, at_ns};
}

/* The engine hears which instance it was, and from which actor. */
static void gone_add(struct replaying *replaying, uint32_t slot, uint32_t instance) {
    for (size_t i = replaying->input_count; i-- > 0;)
        if (replaying->inputs[i].kind == REPLAY_EXITED && replaying->inputs[i].slot == slot) {
            input_add(replaying, REPLAY_GONE, instance, 0, replaying->inputs[i].at_ns);
            return;
        }
}

static void record_add(struct reading *reading, const struct turn_record *record) {
    struct replaying *replaying = reading->replaying;
    struct replay_order *order = order_of(replaying, record->actor);
    if (record->kind == TURN_RECORD_READ) {
        if (order != NULL)
            order->reads[order->read_count++] = record->of.version;
        return;
    }
    uint64_t at_ns = instant(reading, record);
    uint32_t token = (uint32_t)record->of.message.token;
    if (record->kind == MESSAGE_RUN_START) {
        reading->start = reading->last;
        reading->begun = true;
    }
    if (record->kind == TURN_RECORD_INPUT) {
        input_add(replaying, REPLAY_TOLD, record->actor, token, at_ns);
        return;
    }
    if (record->kind == MESSAGE_CHILD_EXITED)
        input_add(replaying, REPLAY_EXITED, record->actor, 0, at_ns);
    if (record->kind == MESSAGE_DOWN && order != NULL && order->role == REPLAY_ENGINE)
        gone_add(replaying, record->of.message.sender, token);
    if (order != NULL && record_counts(order, record)) {
        order->steps[order->count] = replay_step_of(record->kind, (uint32_t)record->of.message.sender, token);
        order->steps[order->count++].at_ns = at_ns;
    }
}

/* When the engine has heard the last it decides nothing more, and agents leave in any order. */
static void fill(struct replaying *replaying) {
    const struct turn_file *turns = replaying->request->turns;
    struct reading reading = {.replaying = replaying};
    size_t last = 0, counts[REPLAY_ACTORS_MAX], reads[REPLAY_ACTORS_MAX];
    for (size_t i = 0; i < turns->count; i++) {
        const struct replay_order *order = order_of(replaying, turns->records[i].actor);
        if (order != NULL && order->role == REPLAY_ENGINE && turns->records[i].kind != TURN_RECORD_READ &&
            turns->records[i].kind != MESSAGE_DOWN && record_counts(order, &turns->records[i]))
            last = i;
    }
    for (size_t i = 0; i < turns->count; i++) {
        record_add(&reading, &turns->records[i]);
        for (unsigned k = 0; k < replaying->order_count && i == last; k++) {
            counts[k] = replaying->orders[k].count;
            reads[k] = replaying->orders[k].read_count;
        }
    }
    for (unsigned k = 0; k < replaying->order_count; k++) {
        replaying->orders[k].count = counts[k];
        replaying->orders[k].read_count = reads[k];
        replaying->report->turns_recorded += counts[k];
    }
}

enum troupe_error replay_orders_read(struct replaying *replaying, struct fault *fault) {
    if (!find_orders(replaying))
        return fault_set(fault, TROUPE_UNSUPPORTED, "replay",
                         "the record holds no turn of the run's own: it was killed before it began");
    if (!make_room(replaying))
        return fault_set(fault, TROUPE_NOMEM, "replay", "out of memory reading the order of turns");
    fill(replaying);
    return TROUPE_OK;
}

void replay_orders_free(struct replaying *replaying) {
    for (unsigned i = 0; i < replaying->order_count; i++) {
        memory_free(replaying->account, replaying->orders[i].steps);
        memory_free(replaying->account, replaying->orders[i].reads);
    }
    memory_free(replaying->account, replaying->inputs);
}

uint64_t replay_end_at(const struct replaying *replaying, uint64_t token, uint64_t otherwise_ns) {
    for (size_t i = 0; i < replaying->input_count; i++)
        if (replaying->inputs[i].kind == REPLAY_TOLD && replaying->inputs[i].token == (uint32_t)token)
            return replaying->inputs[i].at_ns;
    return otherwise_ns;
}

uint64_t replay_gone_at(const struct replaying *replaying, uint32_t instance, uint64_t from_ns) {
    for (size_t i = 0; i < replaying->input_count; i++)
        if (replaying->inputs[i].kind == REPLAY_GONE && replaying->inputs[i].slot == instance &&
            replaying->inputs[i].at_ns >= from_ns)
            return replaying->inputs[i].at_ns;
    return from_ns;
}

/* Those that start with the run are made in the record's order, right behind the coordinator. UINT32_MAX: it came later. */
static uint32_t slot_of(const struct replaying *replaying, uint32_t instance) {
    const struct pipeline *pipeline = &replaying->pipeline;
    uint32_t slot = 0, first = 0;
    for (unsigned i = 0; i < replaying->order_count; i++)
        if (replaying->orders[i].role == REPLAY_COORDINATOR)
            slot = replaying->orders[i].slot + 1;
    for (unsigned a = 0; a < pipeline->agent_count; a++) {
        uint32_t number = instance - first;
        if (number < pipeline->agents[a].instances_max)
            return number < pipeline->agents[a].instances ? slot + number : UINT32_MAX;
        first += pipeline->agents[a].instances_max;
        slot += pipeline->agents[a].instances;
    }
    return UINT32_MAX;
}

uint64_t replay_hello_at(const struct replaying *replaying, uint32_t instance, unsigned nth,
                         uint64_t otherwise_ns) {
    uint32_t slot = slot_of(replaying, instance);
    for (size_t i = 0; i < replaying->input_count; i++)
        if (replaying->inputs[i].kind == REPLAY_TOLD && replaying->inputs[i].slot == slot &&
            replaying->inputs[i].token == AGENT_TOKEN_UP && nth-- == 0)
            return replaying->inputs[i].at_ns;
    return otherwise_ns;
}
