/* Teams from the outside: who is chosen, what a refusal says, that a message carries its channel's number, roles and
 * bytes, and each failed allocation. What breaks: a program that waits for a team it cannot have, without being told why. */
#include "../base/cmocka_base.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "troupe.h"

#define OK(call) assert_int_equal((call), TROUPE_STATUS_OK)

enum { AGENTS = 5 };
struct scene {
    struct troupe *troupe;
    troupe_actor agents[AGENTS], holder, rival;
    struct troupe_capabilities roles[3];
    struct troupe_team_spec spec;
    troupe_team team;
    unsigned heard, downs;
};

static void agent(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    struct scene *scene = state;
    if (event->kind != TROUPE_EVENT_TEAM)
        return;
    const struct troupe_team_message *message = event->bytes;
    assert_int_equal(event->length, sizeof *message);
    assert_true(event->actor == scene->holder);
    assert_true(message->team == scene->team);
    assert_int_equal(message->from, TROUPE_TEAM_HOLDER);
    assert_true(troupe_self(turn) == troupe_team_member(scene->troupe, scene->team, message->to));
    assert_int_equal(message->sequence, ++scene->heard);
    assert_string_equal(message->bytes, "question");
    OK(troupe_team_send(turn, message->team, TROUPE_TEAM_HOLDER, "answer", 7));
    assert_int_equal(troupe_team_release(turn, message->team), TROUPE_STATUS_INVALID); /* not the holder */
    if (scene->heard == 2)
        troupe_actor_exit(turn, TROUPE_STATUS_FAILED);
}

static void refusals(struct troupe_turn *turn, struct scene *scene) {
    char said[TROUPE_PROBLEM_MAX];
    troupe_team team;
    struct troupe_team_spec spec = scene->spec;
    spec.role_count = 0;
    assert_int_equal(troupe_team_form(turn, &spec, &team, said), TROUPE_STATUS_INVALID);
    assert_non_null(strstr(said, "expected 1 to 32, found 0"));
    spec.role_count = TROUPE_TEAM_ROLES_MAX + 1;
    assert_int_equal(troupe_team_form(turn, &spec, &team, NULL), TROUPE_STATUS_INVALID);
    struct troupe_capabilities roles[3] = {{{0}}};
    spec.roles = roles;
    spec.role_count = 3;
    TROUPE_CAPABILITY_ADD(&roles[1], 1);
    TROUPE_CAPABILITY_ADD(&roles[1], 200); /* nobody has it */
    assert_int_equal(troupe_team_form(turn, &spec, &team, said), TROUPE_STATUS_NOT_FOUND);
    assert_string_equal(said, "role 1: nobody can do it; the nearest, 'agent-1', lacks capabilities 200");
    spec.name_space = "nowhere";
    assert_int_equal(troupe_team_form(turn, &spec, &team, said), TROUPE_STATUS_NOT_FOUND);
    assert_non_null(strstr(said, "nobody is in namespace 'nowhere'"));
    spec.name_space = scene->spec.name_space;
    for (unsigned role = 0; role < 3; role++) {
        roles[role] = (struct troupe_capabilities){{0}};
        TROUPE_CAPABILITY_ADD(&roles[role], 0); /* two have it */
    }
    assert_int_equal(troupe_team_form(turn, &spec, &team, said), TROUPE_STATUS_FULL);
    assert_non_null(strstr(said, ": 2 can do it, too few for all roles at once"));
}

/* Each allocation refused once; nothing is held then. */
static void form(struct troupe_turn *turn, struct scene *scene) {
    enum troupe_status status = TROUPE_STATUS_NO_MEMORY;
    unsigned refused = 0;
    for (unsigned failing = 1; status != TROUPE_STATUS_OK; failing++) {
        memory_fail_after(failing);
        status = troupe_team_form(turn, &scene->spec, &scene->team, NULL);
        refused += memory_fail_fired() != 0;
        assert_int_equal(status, memory_fail_fired() ? TROUPE_STATUS_NO_MEMORY : TROUPE_STATUS_OK);
        memory_fail_after(0);
    }
    assert_true(refused >= 4); /* the candidates, the choice, the team, the watches */
    /* Of the two that can do role 0 the idle one, of those for role 1 the one on its node. */
    assert_true(troupe_team_member(scene->troupe, scene->team, 0) == scene->agents[0]);
    assert_true(troupe_team_member(scene->troupe, scene->team, 1) == scene->agents[2]);
    assert_true(troupe_team_member(scene->troupe, scene->team, 2) == 0);
    OK(troupe_team_send(turn, scene->team, 0, "question", 9));
    OK(troupe_team_send(turn, scene->team, 0, "question", 9));
    assert_int_equal(troupe_team_send(turn, scene->team, 0, "question", 9), TROUPE_STATUS_FULL);
    assert_int_equal(troupe_team_unread(scene->troupe, scene->team, TROUPE_TEAM_HOLDER, 0), 2);
    assert_int_equal(troupe_team_send(turn, scene->team, 1, "longer than it may be", 22),
                     TROUPE_STATUS_LIMIT);
    assert_int_equal(troupe_team_send(turn, scene->team, 2, "", 0), TROUPE_STATUS_INVALID);
    OK(troupe_send(scene->troupe, turn, scene->rival, "", 0));
}

static void replace(struct troupe_turn *turn, struct scene *scene, const struct troupe_event *event) {
    char said[TROUPE_PROBLEM_MAX];
    scene->downs++;
    assert_int_equal(event->token, scene->spec.token);
    assert_true(event->actor == scene->agents[0]);
    assert_int_equal(troupe_team_send(turn, scene->team, 0, "", 0), TROUPE_STATUS_DEAD);
    assert_int_equal(troupe_team_replace(turn, scene->team, 2, &scene->spec, said), TROUPE_STATUS_INVALID);
    assert_int_equal(troupe_team_replace(turn, 12345, 0, &scene->spec, said), TROUPE_STATUS_NOT_FOUND);
    enum troupe_status status = TROUPE_STATUS_NO_MEMORY;
    for (unsigned failing = 1; status != TROUPE_STATUS_OK; failing++) {
        memory_fail_after(failing);
        status = troupe_team_replace(turn, scene->team, 0, &scene->spec, NULL);
        assert_int_equal(status, memory_fail_fired() ? TROUPE_STATUS_NO_MEMORY : TROUPE_STATUS_OK);
        memory_fail_after(0);
    }
    assert_true(troupe_team_member(scene->troupe, scene->team, 0) == scene->agents[3]);
    memory_fail_after(0);
    OK(troupe_team_release(turn, scene->team));
    assert_int_equal(troupe_team_send(turn, scene->team, 1, "", 0), TROUPE_STATUS_NOT_FOUND);
    assert_int_equal(troupe_team_release(turn, scene->team), TROUPE_STATUS_NOT_FOUND);
    assert_int_equal(troupe_team_replace(turn, scene->team, 0, &scene->spec, said), TROUPE_STATUS_NOT_FOUND);
    assert_string_equal(said, "the team is over");
    OK(troupe_team_form(turn, &scene->spec, &scene->team, NULL)); /* they are free */
    OK(troupe_team_release(turn, scene->team));
    /* Those for role 1 are alike, but that agent 2 was with agent 3 before. */
    struct troupe_team_spec spec = scene->spec;
    spec.load_ns = spec.away_ns = spec.surplus_ns = 0;
    spec.stranger_ns = 1000;
    OK(troupe_team_form(turn, &spec, &scene->team, NULL));
    assert_true(troupe_team_member(scene->troupe, scene->team, 1) == scene->agents[2]);
    troupe_stop(scene->troupe);
}

static void holder(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    struct scene *scene = state;
    if (event->kind == TROUPE_EVENT_MESSAGE) {
        refusals(turn, scene);
        form(turn, scene);
    } else if (event->kind == TROUPE_EVENT_DOWN) {
        replace(turn, scene, event);
    } else if (event->kind == TROUPE_EVENT_TEAM) {
        const struct troupe_team_message *message = event->bytes;
        assert_int_equal(message->from, 0);
        assert_int_equal(message->to, TROUPE_TEAM_HOLDER);
        assert_string_equal(message->bytes, "answer");
    }
}

/* What one team holds another one cannot have, and who is in none may not speak. */
static void rival(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    struct scene *scene = state;
    char said[TROUPE_PROBLEM_MAX];
    troupe_team team;
    if (event->kind != TROUPE_EVENT_MESSAGE)
        return;
    struct troupe_capabilities both[2] = {scene->roles[0], scene->roles[0]};
    struct troupe_team_spec spec = scene->spec;
    spec.roles = both;
    assert_int_equal(troupe_team_form(turn, &spec, &team, said), TROUPE_STATUS_FULL);
    assert_non_null(strstr(said, ": 2 can do it, and other teams hold too many of them"));
    assert_int_equal(troupe_team_send(turn, scene->team, 0, "", 0), TROUPE_STATUS_INVALID);
}

static void whole(void **state) {
    (void)state;
    struct scene scene = {0};
    OK(troupe_open(&(struct troupe_options){.threads = 1}, &scene.troupe));
    static const struct {
        unsigned can, load;
        uint16_t node;
    } kinds[AGENTS] = {{0, 0, 7}, {1, 0, 3}, {1, 0, 7}, {0, 5, 7}, {2, 0, 7}};
    for (unsigned at = 0; at < AGENTS; at++) {
        char name[16];
        struct troupe_registry_entry entry = {.load = kinds[at].load, .node = kinds[at].node};
        TROUPE_CAPABILITY_ADD(&entry.capabilities, kinds[at].can);
        snprintf(name, sizeof name, "agent-%u", at);
        OK(troupe_actor_spawn(scene.troupe, &(struct troupe_actor_spec){.handle = agent, .state = &scene},
                              &scene.agents[at]));
        OK(troupe_registry_register_entry(scene.troupe, "team", name, scene.agents[at], &entry, NULL));
    }
    TROUPE_CAPABILITY_ADD(&scene.roles[0], 0);
    TROUPE_CAPABILITY_ADD(&scene.roles[1], 1);
    scene.spec = (struct troupe_team_spec){.name_space = "team",
                                           .roles = scene.roles,
                                           .role_count = 2,
                                           .token = 99,
                                           .channel_len = 2,
                                           .channel_bytes = 18};
    OK(troupe_actor_spawn(scene.troupe, &(struct troupe_actor_spec){.handle = rival, .state = &scene},
                          &scene.rival));
    OK(troupe_actor_spawn(scene.troupe, &(struct troupe_actor_spec){.handle = holder, .state = &scene},
                          &scene.holder));
    OK(troupe_send(scene.troupe, NULL, scene.holder, "", 0));
    OK(troupe_run(scene.troupe));
    assert_int_equal(scene.heard, 2);
    assert_int_equal(scene.downs, 1);
    troupe_close(scene.troupe);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
