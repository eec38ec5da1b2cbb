/* scenario_station: the actors that requests wait for: a partition of a station (FIFO servers) and a team (a counted
 * resource, FIFO).
 *
 * A server that is busy begins the next request at the intended end of the one before, so lateness of real timers does
 * not add up; in a simulation the two are the same. What waits is a list of the messages that asked.
 * A team's queue is bounded by the requests at once, a station's by its queue_max too.
 * Threads: one actor each. Memory: the state, on the world's account, freed after its last turn. */
#include "simulate/scenario_world.h"

#define PAUSES_MAX 1000000 /* in one service */

/* ---- pauses ---- */

/* Every k-th pause begins at k x every, and its length depends on the seed, the station and k alone. */
static uint64_t pause_length(const struct world *world, unsigned station, uint64_t k) {
    struct random_stream random;
    const struct scenario_station *of = &world->scenario->stations[station];
    world_stream(world, k, DRAW_PAUSE, station, 0, &random);
    double ns = distribution_draw(&of->pause, &random, random_normal(&random));
    return ns < (double)of->pause_every_ns ? (uint64_t)ns : of->pause_every_ns;
}

uint64_t station_end(const struct world *world, unsigned station, uint64_t at_ns, uint64_t work_ns) {
    uint64_t every = world->scenario->stations[station].pause_every_ns, k;
    if (every == 0)
        return at_ns + work_ns;
    k = at_ns / every;
    if (k > 0 && at_ns < k * every + pause_length(world, station, k))
        at_ns = k * every + pause_length(world, station, k);
    uint64_t end = at_ns + work_ns;
    for (uint64_t met = 0; (k + 1) * every < end && end <= SCENARIO_TIME_MAX_NS; met++) {
        if (met == PAUSES_MAX)
            return UINT64_MAX;
        end += pause_length(world, station, ++k);
    }
    return end;
}

/* ---- queues of messages ---- */

struct waiting {
    struct message *message;
    actor_ref from;
    double factor; /* by what waited when it came */
    struct waiting *next;
};
struct queue {
    struct waiting *first, **last;
    size_t length;
};

static bool queue_push(struct world *world, struct queue *queue, struct turn *turn, double factor) {
    struct waiting *waiting = memory_alloc(world->account, sizeof *waiting);
    if (waiting == NULL) {
        world_fail(world, TROUPE_NOMEM, "out of memory");
        return false;
    }
    waiting->from = turn->message->sender;
    waiting->message = turn_take(turn);
    waiting->factor = factor;
    if (queue->first == NULL)
        queue->last = &queue->first;
    *queue->last = waiting;
    queue->last = &waiting->next;
    queue->length++;
    return true;
}

static struct waiting *queue_pop(struct queue *queue) {
    struct waiting *waiting = queue->first;
    queue->first = waiting->next;
    queue->length--;
    return waiting;
}

static void waiting_free(struct world *world, struct waiting *waiting) {
    message_free(&waiting->message);
    memory_free(world->account, waiting);
}

static void queue_free(struct world *world, struct queue *queue) {
    while (queue->first != NULL)
        waiting_free(world, queue_pop(queue));
}

/* ---- a partition ---- */

struct server {
    struct waiting *busy; /* NULL: idle */
    uint64_t free_ns;     /* the intended end of its last service */
};
struct partition {
    struct world *world;
    unsigned station;
    struct station_counts *counts;
    struct queue queue;
    unsigned busy;
    struct server servers[];
};

static void answer(struct world *world, struct turn *turn, actor_ref to, const struct scenario_answer *said) {
    struct message *message = world_message(world, MESSAGE_SCENARIO_ANSWER, sizeof *said);
    if (message == NULL)
        return;
    *MESSAGE_PAYLOAD(message, struct scenario_answer) = *said;
    world_send(world, turn, to, &message);
}

static void server_begin(struct partition *partition, struct turn *turn, unsigned index,
                         struct waiting *waiting, uint64_t at_ns) {
    struct scenario_ask *ask = MESSAGE_PAYLOAD(waiting->message, struct scenario_ask);
    struct server *server = &partition->servers[index];
    ask->work_ns = world_ns((double)ask->work_ns * waiting->factor);
    server->busy = waiting;
    at_ns = at_ns > server->free_ns ? at_ns : server->free_ns; /* asks may come late, measured */
    partition->busy++;
    wait_until(partition->world, turn, station_end(partition->world, partition->station, at_ns, ask->work_ns),
               index);
}

static void partition_ask(struct partition *partition, struct turn *turn, const struct scenario_ask *ask) {
    const struct scenario_station *station = &partition->world->scenario->stations[partition->station];
    size_t present = partition->queue.length + partition->busy;
    unsigned index = 0;
    if (partition->busy == station->servers && partition->queue.length >= station->queue_max) {
        struct scenario_answer refusal = {
            .refused = true, .stage = ask->stage, .part = ask->part, .at_ns = ask->at_ns};
        answer(partition->world, turn, turn->message->sender, &refusal);
        return;
    }
    if (!queue_push(partition->world, &partition->queue, turn, 1 + station->waiting * (double)present))
        return;
    if (partition->busy < station->servers) {
        while (partition->servers[index].busy != NULL)
            index++;
        server_begin(partition, turn, index, queue_pop(&partition->queue), ask->at_ns);
    }
}

static void partition_due(struct partition *partition, struct turn *turn, const struct wait_end *end) {
    struct server *server = &partition->servers[end->token];
    struct waiting *served = server->busy;
    const struct scenario_ask *ask = MESSAGE_PAYLOAD(served->message, struct scenario_ask);
    uint64_t spent_ns = end->at_ns > ask->at_ns ? end->at_ns - ask->at_ns : 0;
    struct scenario_answer said = {.stage = ask->stage,
                                   .part = ask->part,
                                   .at_ns = end->at_ns,
                                   .wait_ns = spent_ns > ask->work_ns ? spent_ns - ask->work_ns : 0,
                                   .work_ns = ask->work_ns};
    partition->counts->visits++;
    partition->counts->work_ns += (double)ask->work_ns;
    partition->counts->wait_ns += (double)said.wait_ns;
    answer(partition->world, turn, served->from, &said);
    waiting_free(partition->world, served);
    server->busy = NULL;
    server->free_ns = end->due_ns;
    partition->busy--;
    if (partition->queue.length > 0)
        server_begin(partition, turn, (unsigned)end->token, queue_pop(&partition->queue), end->due_ns);
}

static void partition_handle(struct turn *turn, void *state, const struct message *message) {
    struct partition *partition = state;
    struct wait_end end;
    if (message->kind == MESSAGE_SCENARIO_ASK)
        partition_ask(partition, turn, MESSAGE_PAYLOAD(message, struct scenario_ask));
    else if (wait_ended(partition->world, turn, message, &end))
        partition_due(partition, turn, &end);
}

static void partition_destroy(void *state) {
    struct partition *partition = state;
    struct world *world = partition->world;
    for (unsigned i = 0; i < world->scenario->stations[partition->station].servers; i++)
        if (partition->servers[i].busy != NULL)
            waiting_free(world, partition->servers[i].busy);
    queue_free(world, &partition->queue);
    memory_free(world->account, partition);
}

enum troupe_error station_spawn(struct world *world, unsigned station, unsigned index) {
    const struct scenario_station *of = &world->scenario->stations[station];
    struct partition *partition =
        memory_alloc(world->account, sizeof *partition + of->servers * sizeof partition->servers[0]);
    if (partition == NULL)
        return TROUPE_NOMEM;
    partition->world = world;
    partition->station = station;
    partition->counts = &world->station_counts[station * SCENARIO_PARTITIONS_MAX + index];
    struct actor_spec spec = {
        .name = of->name, .handle = partition_handle, .state = partition, .destroy = partition_destroy};
    enum troupe_error error = actor_spawn(world->runtime, &spec, &world->stations[station][index]);
    if (error != TROUPE_OK)
        memory_free(world->account, partition);
    return error;
}

/* ---- a team ---- */

struct team {
    struct world *world;
    unsigned index, free;
    struct queue queue;
};

static void team_grant(struct team *team, struct turn *turn, uint64_t at_ns) {
    const struct scenario_team *of = &team->world->scenario->teams[team->index];
    while (team->queue.length > 0 && team->free >= of->size) {
        struct waiting *waiting = queue_pop(&team->queue);
        const struct scenario_ask *ask = MESSAGE_PAYLOAD(waiting->message, struct scenario_ask);
        uint64_t from_ns = at_ns > ask->at_ns ? at_ns : ask->at_ns;
        struct scenario_answer said = {
            .team = true, .stage = team->index, .at_ns = from_ns, .wait_ns = from_ns - ask->at_ns};
        team->free -= of->size;
        team->world->team_counts[team->index].wait_ns += (double)said.wait_ns;
        answer(team->world, turn, waiting->from, &said);
        waiting_free(team->world, waiting);
    }
}

static void team_handle(struct turn *turn, void *state, const struct message *message) {
    struct team *team = state;
    if (message->kind == MESSAGE_SCENARIO_ASK) {
        uint64_t at_ns = MESSAGE_PAYLOAD(message, struct scenario_ask)->at_ns;
        if (queue_push(team->world, &team->queue, turn, 1))
            team_grant(team, turn, at_ns);
    } else if (message->kind == MESSAGE_SCENARIO_RELEASE) {
        const struct scenario_release *release = MESSAGE_PAYLOAD(message, struct scenario_release);
        struct team_counts *counts = &team->world->team_counts[team->index];
        counts->visits++;
        counts->held_ns += (double)(release->at_ns - release->granted_ns);
        team->free += team->world->scenario->teams[team->index].size;
        team_grant(team, turn, release->at_ns);
    }
}

static void team_destroy(void *state) {
    struct team *team = state;
    queue_free(team->world, &team->queue);
    memory_free(team->world->account, team);
}

enum troupe_error team_spawn(struct world *world, unsigned index) {
    const struct scenario_team *of = &world->scenario->teams[index];
    struct team *team = memory_alloc(world->account, sizeof *team);
    if (team == NULL)
        return TROUPE_NOMEM;
    *team = (struct team){.world = world, .index = index, .free = of->of};
    struct actor_spec spec = {
        .name = of->name, .handle = team_handle, .state = team, .destroy = team_destroy};
    enum troupe_error error = actor_spawn(world->runtime, &spec, &world->teams[index]);
    if (error != TROUPE_OK)
        memory_free(world->account, team);
    return error;
}
