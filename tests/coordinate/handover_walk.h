/* A state of the world of handover_test.c, the set of those visited, and the way to one. */
#ifndef TESTS_HANDOVER_WALK_H
#define TESTS_HANDOVER_WALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/agent_instance.h"
#include "coordinate/handover.h"

#define COORDINATORS 2
#define AGENTS 2
#define TASKS 2
#define CHANNEL 8
#define STATES_MAX (1u << 25)

enum { OFFER, REVOKE, ACCEPTED, REFUSED, ANSWER_REVOKED, ANSWER_STARTED, ANSWER_DONE, ENDED };
struct letter { /* 0: none */
    uint16_t there : 1, kind : 3, task : 1, epoch : 3 /* of the offer */, token : 3 /* of the REVOKE */,
        life : 1 /* of the agent */;
};
struct channel {
    struct letter letters[CHANNEL];
    uint8_t count;
};
struct view { /* a coordinator's, of a task */
    uint8_t state /* enum claim_state */, agent /* 1 + its number; 0: none */, life, epoch, told, offers,
        recalls;
    uint8_t dead_epoch; /* the last that an agent gave it back under */
    bool taken, recalling, gone;
};
struct place { /* an agent's, of a task */
    uint8_t place /* enum held_place */, epoch;
};
struct state {
    struct view views[TASKS];
    struct place places[AGENTS][TASKS];
    struct channel questions[COORDINATORS][AGENTS], answers[COORDINATORS][AGENTS];
    uint8_t life[AGENTS]; /* 0, 1 after its crash */
    uint8_t down[COORDINATORS][AGENTS] /* not heard of yet */;
    bool crashed[COORDINATORS];
    uint8_t losses, lies;
};

struct bounds {
    unsigned offers, recalls, losses, lies; /* of a task; of a task; in all; in all */
};
struct walk {
    struct bounds bounds;
    unsigned owner[TASKS]; /* coordinator */
    struct state *states;
    uint32_t *
        parents; /* from which each was first reached: the way there is printed when something does not hold */
    uint32_t present;
    uint32_t *table, table_size, count;
    uint64_t steps, finals;
    const struct state *from;
    unsigned enabled; /* of the present state */
};

/* ---- visited ---- */
static uint64_t hash_of(const struct state *state) {
    uint64_t hash = 0;
    for (size_t at = 0; at < sizeof *state; at += 8) {
        uint64_t word = 0;
        memcpy(&word, (const char *)state + at, sizeof *state - at < 8 ? sizeof *state - at : 8);
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    return hash;
}

static void table_grow(struct walk *walk) {
    uint32_t size = walk->table_size ? walk->table_size * 2 : 1u << 16;
    free(walk->table);
    walk->table = calloc(size, sizeof *walk->table);
    walk->states = realloc(walk->states, (size_t)size / 2 * sizeof *walk->states);
    walk->parents = realloc(walk->parents, (size_t)size / 2 * sizeof *walk->parents);
    assert_true(walk->table && walk->states && walk->parents);
    walk->table_size = size;
    for (uint32_t i = 0; i < walk->count; i++) {
        uint64_t at = hash_of(&walk->states[i]) & (size - 1);
        while (walk->table[at])
            at = (at + 1) & (size - 1);
        walk->table[at] = i + 1;
    }
}

static void visit(struct walk *walk, const struct state *state) {
    if (walk->count + 1 >= walk->table_size / 2) {
        assert_true(walk->count < STATES_MAX);
        table_grow(walk);
    }
    uint64_t at = hash_of(state) & (walk->table_size - 1);
    for (; walk->table[at]; at = (at + 1) & (walk->table_size - 1))
        if (memcmp(&walk->states[walk->table[at] - 1], state, sizeof *state) == 0)
            return;
    walk->parents[walk->count] = walk->present;
    walk->states[walk->count++] = *state;
    walk->table[at] = walk->count;
}

/* ---- the way to a state ---- */
static void print_channel(const char *what, unsigned coordinator, unsigned agent,
                          const struct channel *channel) {
    static const char *const kinds[] = {"OFFER",   "REVOKE",  "ACCEPTED", "REFUSED",
                                        "REVOKED", "STARTED", "DONE",     "ENDED"};
    for (unsigned at = 0; at < channel->count; at++)
        printf("  %s %u-%u: %s task %u epoch %u\n", what, coordinator, agent,
               kinds[channel->letters[at].kind], channel->letters[at].task, channel->letters[at].epoch);
}

static void print_state(const struct state *state) {
    for (unsigned task = 0; task < TASKS; task++) {
        const struct view *view = &state->views[task];
        printf("  task %u: state %u at %d.%u epoch %u told %u taken %d recalling %d gone %d", task,
               view->state, view->agent - 1, view->life, view->epoch, view->told, view->taken,
               view->recalling, view->gone);
        for (unsigned agent = 0; agent < AGENTS; agent++)
            printf("; agent %u.%u: place %u epoch %u", agent, state->life[agent],
                   state->places[agent][task].place, state->places[agent][task].epoch);
        printf("\n");
    }
    for (unsigned coordinator = 0; coordinator < COORDINATORS; coordinator++)
        for (unsigned agent = 0; agent < AGENTS; agent++) {
            print_channel("to", coordinator, agent, &state->questions[coordinator][agent]);
            print_channel("from", coordinator, agent, &state->answers[coordinator][agent]);
        }
    printf("\n");
}

static void print_way(const struct walk *walk, uint32_t index) {
    if (index != 0)
        print_way(walk, walk->parents[index]);
    print_state(&walk->states[index]);
}

#endif
