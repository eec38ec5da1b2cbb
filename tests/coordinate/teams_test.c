/* Teams that are held: order of every channel over threads and moves, bounds with refusals that leave no gap, the death of
 * members and holders, the limits, each failed allocation. What breaks: a message out of order or lost between two
 * agents, a sender that floods another one, an agent that stays held by a team that is over. */
#include "../runtime/runtime_rig.h"

#include <string.h>

#include "coordinate/teams.h"

enum { MEMBERS = 4, EACH = 1500, TOKEN = 77 };

struct party {
    struct scene *scene;
    uint32_t number;
    uint64_t sent[MEMBERS + 1], got[MEMBERS + 1]; /* in its turns only */
    uint32_t epoch[MEMBERS + 1];
    unsigned mortal; /* ends at its so manieth message; 0: never */
};
struct scene {
    struct teams *teams;
    team_ref team;
    actor_ref actors[MEMBERS + 2]; /* members, holder, a spare one */
    struct party parties[MEMBERS + 2];
    _Atomic uint64_t received, refused;
    unsigned downs, step;
    uint64_t sent_to_dead, taken_by_dead, unread, spare_got;
};

static void begin(struct scene *scene, actor_handler handle, unsigned mailbox_len) {
    OK(teams_create(rig_runtime, &rig_account, &scene->teams));
    for (uint32_t at = 0; at < MEMBERS + 2; at++) {
        scene->parties[at] = (struct party){.scene = scene, .number = at};
        struct actor_spec spec = {
            .name = "party", .handle = handle, .state = &scene->parties[at], .mailbox_len_max = mailbox_len};
        OK(actor_spawn(rig_runtime, &spec, &scene->actors[at]));
    }
}

static void finish(struct scene *scene) {
    runtime_free(rig_runtime);
    rig_runtime = NULL;
    teams_free(scene->teams);
    rig_end();
}

static struct team_terms terms_of(const struct scene *scene, uint32_t channel_len, uint64_t channel_bytes) {
    return (struct team_terms){.holder = scene->actors[MEMBERS],
                               .members = scene->actors,
                               .member_count = MEMBERS,
                               .token = TOKEN,
                               .channel_len = channel_len,
                               .channel_bytes = channel_bytes};
}

/* ---- order ---- */

/* The number in the message is the sender's own count: the channel's must be the same. */
static void take(struct party *party, const struct message *message) {
    const struct message_team *got = MESSAGE_PAYLOAD(message, const struct message_team);
    uint64_t count;
    team_message_taken(message);
    assert_int_equal(got->to, party->number);
    assert_int_equal(got->length, sizeof count);
    memcpy(&count, got->bytes, sizeof count);
    if (got->epoch != party->epoch[got->from]) {
        party->epoch[got->from] = got->epoch;
        party->got[got->from] = 0;
    }
    assert_int_equal(got->sequence, party->got[got->from] + 1);
    assert_int_equal(count, got->sequence);
    party->got[got->from] = got->sequence;
}

static enum troupe_error say(struct turn *turn, struct party *party, uint32_t to) {
    uint64_t count = party->sent[to] + 1;
    enum troupe_error error =
        teams_send(party->scene->teams, turn, party->scene->team, to, &count, sizeof count);
    party->sent[to] += error == TROUPE_OK;
    return error;
}

static void everybody(struct turn *turn, void *state, const struct message *message) {
    struct party *party = state;
    struct scene *scene = party->scene;
    if (message->kind == MESSAGE_TEAM_MESSAGE) {
        take(party, message);
        if (atomic_fetch_add(&scene->received, 1) + 1 == (uint64_t)EACH * MEMBERS * (MEMBERS + 1))
            runtime_stop(rig_runtime);
        return;
    }
    if (message->kind != MESSAGE_PING)
        return;
    bool more = false;
    for (uint32_t to = 0; to <= MEMBERS; to++) {
        for (unsigned burst = 0; burst < 12 && to != party->number && party->sent[to] < EACH; burst++) {
            enum troupe_error error = say(turn, party, to);
            assert_true(error == TROUPE_OK || error == TROUPE_FULL);
            if (error)
                atomic_fetch_add(&scene->refused, 1);
        }
        more |= to != party->number && party->sent[to] < EACH;
    }
    if (more)
        OK(rig_post(turn, turn->self, MESSAGE_PING, 0));
}

static void live_in_order(void) {
    static struct scene scene;
    memset(&scene, 0, sizeof scene);
    begin(&scene, everybody, 0);
    struct team_terms terms = terms_of(&scene, 8, 1 << 20);
    OK(teams_form(scene.teams, &terms, &scene.team));
    for (uint32_t at = 0; at <= MEMBERS; at++)
        OK(rig_post(NULL, scene.actors[at], MESSAGE_PING, 0));
    OK(runtime_run(rig_runtime));
    for (uint32_t at = 0; at <= MEMBERS; at++)
        for (uint32_t from = 0; from <= MEMBERS; from++)
            assert_int_equal(scene.parties[at].got[from], from == at ? 0 : EACH);
    assert_true(scene.refused > 0); /* bursts are longer than channels */
    finish(&scene);
}

static void order_on_threads(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++) {
        rig_begin(workers);
        live_in_order();
    }
}

static void order_in_virtual_time(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        rig_begin_sim(seed);
        live_in_order();
    }
}

/* ---- bounds ---- */

static void bounds_holder(struct turn *turn, void *state, const struct message *message) {
    struct party *party = state;
    struct scene *scene = party->scene;
    char bytes[101] = {0};
    if (message->kind == MESSAGE_TEAM_MESSAGE) {
        const struct message_team *got = MESSAGE_PAYLOAD(message, const struct message_team);
        team_message_taken(message);
        assert_int_equal(got->sequence, ++party->got[got->from]);
        if (++scene->received == 3 + 4 + 2)
            runtime_stop(rig_runtime);
    }
    if (message->kind != MESSAGE_PING || party->number != MEMBERS)
        return;
    struct team_terms terms = terms_of(scene, 3, 100);
    OK(teams_form(scene->teams, &terms, &scene->team));
    for (unsigned at = 0; at < 3; at++)
        OK(teams_send(scene->teams, turn, scene->team, 0, bytes, 1));
    assert_int_equal(teams_send(scene->teams, turn, scene->team, 0, bytes, 1), TROUPE_FULL); /* messages */
    assert_int_equal(teams_unread(scene->teams, scene->team, MEMBERS, 0), 3);
    OK(teams_send(scene->teams, turn, scene->team, 1, bytes, 60));
    assert_int_equal(teams_send(scene->teams, turn, scene->team, 1, bytes, 41), TROUPE_FULL); /* bytes */
    OK(teams_send(scene->teams, turn, scene->team, 1, bytes, 40));
    assert_int_equal(teams_send(scene->teams, turn, scene->team, 1, bytes, 101), TROUPE_LIMIT);
    assert_int_equal(teams_send(scene->teams, turn, scene->team, MEMBERS, bytes, 1), TROUPE_INVALID);
    assert_int_equal(teams_send(scene->teams, turn, scene->team, MEMBERS + 1, bytes, 1), TROUPE_INVALID);
    assert_int_equal(teams_send(scene->teams, turn, scene->team + 1, 0, bytes, 1), TROUPE_NOT_FOUND);
    assert_int_equal(teams_send(scene->teams, turn, scene->team, 0, bytes, SIZE_MAX / 2), TROUPE_LIMIT);
    /* A mailbox that is shorter than the channel refuses too; the number is not used up. */
    OK(teams_release(scene->teams, scene->team));
    terms.channel_len = 100;
    OK(teams_form(scene->teams, &terms, &scene->team));
    unsigned sent = 0;
    while (teams_send(scene->teams, turn, scene->team, 3, bytes, 1) == TROUPE_OK)
        sent++;
    assert_int_equal(sent, 4); /* of its mailbox */
    assert_int_equal(teams_unread(scene->teams, scene->team, MEMBERS, 3), 4);
    assert_int_equal(teams_send(scene->teams, turn, scene->team, 3, bytes, 1), TROUPE_FULL);
}

static void bounds(void **state) {
    (void)state;
    static struct scene scene;
    memset(&scene, 0, sizeof scene);
    rig_begin(1);
    begin(&scene, bounds_holder, 4);
    OK(rig_post(NULL, scene.actors[MEMBERS], MESSAGE_PING, 0));
    OK(runtime_run(rig_runtime));
    finish(&scene);
}

/* ---- death ---- */

static void mourner(struct turn *turn, void *state, const struct message *message) {
    struct party *party = state;
    struct scene *scene = party->scene;
    if (message->kind == MESSAGE_TEAM_MESSAGE) {
        const struct message_team *got = MESSAGE_PAYLOAD(message, const struct message_team);
        team_message_taken(message);
        assert_int_equal(got->sequence, ++party->got[got->from]);
        if (party->mortal && got->sequence == party->mortal)
            actor_exit(turn, TROUPE_WORKER);
        if (party->number == MEMBERS + 1) { /* the spare one: a new order, after the old one's */
            assert_true(got->epoch > 0);
            assert_int_equal(teams_send(scene->teams, turn, scene->team, 1, "", 0), TROUPE_OK);
        }
        if (party->number == 1)
            runtime_stop(rig_runtime);
        return;
    }
    if (party->number != MEMBERS)
        return;
    if (message->kind == MESSAGE_PING) {
        struct team_terms terms = terms_of(scene, 64, 1 << 20);
        OK(teams_form(scene->teams, &terms, &scene->team));
        assert_true(teams_held(scene->teams, scene->actors[0]));
        for (unsigned at = 0; at < 10; at++)
            OK(teams_send(scene->teams, turn, scene->team, 0, "", 0));
    } else if (message->kind == MESSAGE_DOWN) {
        const struct message_down *down = MESSAGE_PAYLOAD(message, const struct message_down);
        assert_int_equal(down->token, TOKEN);
        assert_true(down->actor == scene->actors[0]);
        scene->downs++;
        assert_int_equal(teams_send(scene->teams, turn, scene->team, 0, "", 0), TROUPE_DEAD);
        assert_int_equal(teams_unread(scene->teams, scene->team, MEMBERS, 0),
                         10 - scene->parties[0].mortal); /* what it never took */
        assert_int_equal(teams_replace(scene->teams, scene->team, 0, scene->actors[1]), TROUPE_EXISTS);
        assert_int_equal(teams_replace(scene->teams, scene->team, 0, turn->self), TROUPE_EXISTS);
        assert_int_equal(teams_replace(scene->teams, scene->team, MEMBERS, scene->actors[MEMBERS + 1]),
                         TROUPE_INVALID);
        OK(teams_replace(scene->teams, scene->team, 0, scene->actors[MEMBERS + 1]));
        assert_false(teams_held(scene->teams, scene->actors[0]));
        assert_true(teams_member(scene->teams, scene->team, 0) == scene->actors[MEMBERS + 1]);
        OK(teams_send(scene->teams, turn, scene->team, 0, "", 0));
    }
}

static void death_of_a_member(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        static struct scene scene;
        memset(&scene, 0, sizeof scene);
        rig_begin_sim(seed);
        begin(&scene, mourner, 0);
        scene.parties[0].mortal = 1 + (unsigned)(seed % 10);
        OK(rig_post(NULL, scene.actors[MEMBERS], MESSAGE_PING, 0));
        OK(runtime_run(rig_runtime));
        assert_int_equal(scene.downs, 1);
        finish(&scene);
    }
}

/* Its members are free for the next one, and its watches go with it: nothing grows. */
static void again_and_again(struct turn *turn, void *state, const struct message *message) {
    struct party *party = state;
    struct scene *scene = party->scene;
    struct team_terms terms = terms_of(scene, 8, 100);
    if (message->kind == MESSAGE_DOWN) { /* of the holder, watched by the spare one */
        team_ref next;
        assert_int_equal(teams_form(scene->teams, &terms, &next), TROUPE_DEAD);
        assert_true(teams_held(scene->teams, scene->actors[0])); /* nobody looked yet */
        terms.holder = turn->self;
        OK(teams_form(scene->teams, &terms, &next));
        assert_int_equal(teams_send(scene->teams, turn, scene->team, 0, "", 0), TROUPE_NOT_FOUND);
        OK(teams_release(scene->teams, next));
        assert_int_equal(teams_release(scene->teams, next), TROUPE_NOT_FOUND);
        runtime_stop(rig_runtime);
    }
    if (message->kind != MESSAGE_PING)
        return;
    if (party->number == MEMBERS + 1) {
        OK(actor_monitor(turn, scene->actors[MEMBERS], 0));
        OK(rig_post(turn, scene->actors[MEMBERS], MESSAGE_PING, 0));
        return;
    }
    int64_t blocks = 0;
    for (unsigned round = 0; round < 1000; round++) {
        OK(teams_form(scene->teams, &terms, &scene->team));
        OK(teams_release(scene->teams, scene->team));
        blocks = round == 0 ? rig_account.blocks : blocks;
        assert_int_equal(rig_account.blocks, blocks);
    }
    static struct team_pair pairs[TEAMS_PAIRS];
    assert_int_equal(teams_pairs(scene->teams, pairs), MEMBERS * (MEMBERS - 1) / 2);
    for (unsigned at = 0; at < MEMBERS * (MEMBERS - 1) / 2; at++) {
        assert_true(pairs[at].a < pairs[at].b);
        assert_int_equal(pairs[at].together, UINT8_MAX); /* 1,000 times; it is counted no further */
    }
    assert_int_equal(teams_form(scene->teams, &(struct team_terms){.holder = turn->self}, &scene->team),
                     TROUPE_INVALID);
    terms.member_count = TEAM_ROLES_MAX + 1;
    assert_int_equal(teams_form(scene->teams, &terms, &scene->team), TROUPE_LIMIT);
    actor_ref twice[] = {scene->actors[0], scene->actors[1], scene->actors[0]};
    terms.members = twice;
    terms.member_count = 3;
    assert_int_equal(teams_form(scene->teams, &terms, &scene->team), TROUPE_EXISTS);
    assert_false(teams_held(scene->teams, scene->actors[1]));
    terms = terms_of(scene, 8, 100);
    bool formed = false;
    for (unsigned failing = 1; !formed; failing++) { /* each allocation once; then nothing is held */
        memory_fail_after(failing);
        enum troupe_error error = teams_form(scene->teams, &terms, &scene->team);
        formed = !memory_fail_fired();
        memory_fail_after(0);
        assert_int_equal(error, formed ? TROUPE_OK : TROUPE_NOMEM);
        assert_int_equal(teams_held(scene->teams, scene->actors[0]), formed);
    }
    memory_fail_after(1);
    assert_int_equal(teams_replace(scene->teams, scene->team, 0, scene->actors[MEMBERS + 1]), TROUPE_NOMEM);
    memory_fail_after(0);
    assert_false(teams_held(scene->teams, scene->actors[MEMBERS + 1]));
    actor_exit(turn, TROUPE_OK); /* and holds them */
}

static void holders(void **state) {
    (void)state;
    static struct scene scene;
    memset(&scene, 0, sizeof scene);
    rig_begin(1);
    begin(&scene, again_and_again, 0);
    OK(rig_post(NULL, scene.actors[MEMBERS + 1], MESSAGE_PING, 0));
    OK(runtime_run(rig_runtime));
    finish(&scene);
}

/* TEAMS_MAX teams, and TEAMS_HELD_MAX members: one more is refused, and has room when one is released. */
static void limits(void **state) {
    (void)state;
    static actor_ref members[TEAMS_HELD_MAX + 1];
    struct teams *teams;
    team_ref team[TEAMS_MAX], one_more;
    rig_begin(1);
    OK(teams_create(rig_runtime, &rig_account, &teams));
    actor_ref holder = rig_spawn(rig_ignore, NULL);
    for (unsigned at = 0; at <= TEAMS_HELD_MAX; at++)
        members[at] = rig_spawn(rig_ignore, NULL);
    for (unsigned each = 1; each <= TEAMS_HELD_MAX / TEAMS_MAX * 8; each *= 32) {
        unsigned count = each == 1 ? TEAMS_MAX : TEAMS_HELD_MAX / each;
        struct team_terms terms = {.holder = holder, .member_count = each};
        for (unsigned at = 0; at < count; at++) {
            terms.members = &members[at * each];
            OK(teams_form(teams, &terms, &team[at]));
        }
        terms.members = &members[count * each];
        terms.member_count = 1;
        assert_int_equal(teams_form(teams, &terms, &one_more), TROUPE_LIMIT);
        OK(teams_release(teams, team[0]));
        OK(teams_form(teams, &terms, &one_more));
        OK(teams_release(teams, one_more));
        for (unsigned at = 1; at < count; at++)
            OK(teams_release(teams, team[at]));
    }
    runtime_free(rig_runtime);
    rig_runtime = NULL;
    teams_free(teams);
    rig_end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_on_threads), cmocka_unit_test(order_in_virtual_time),
        cmocka_unit_test(bounds),           cmocka_unit_test(death_of_a_member),
        cmocka_unit_test(holders),          cmocka_unit_test(limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
