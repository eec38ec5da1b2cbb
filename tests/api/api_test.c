/* libtroupe from the outside: what a C program that embeds it is promised in troupe.h. Fails if an event comes twice or
 * never, a status is another one than told, or something is left behind. */
#include "../base/cmocka_base.h"

#include <string.h>

#include "troupe.h"

#define OK(call) assert_int_equal((call), TROUPE_STATUS_OK)
#define MILLISECOND UINT64_C(1000000)

struct scene {
    struct troupe *troupe;
    troupe_actor echo, silent, mortal, child;
    unsigned answers, dead, timeouts, timers, downs, destroyed, messages;
    uint64_t cancelled;
};

static void begin(struct scene *scene) {
    *scene = (struct scene){0};
    OK(troupe_open(&(struct troupe_options){.threads = 2, .actors_max = 100}, &scene->troupe));
}

static troupe_actor spawn(struct scene *scene, troupe_handler handle) {
    troupe_actor actor = 0;
    struct troupe_actor_spec spec = {.name = "test", .handle = handle, .state = scene};
    OK(troupe_actor_spawn(scene->troupe, &spec, &actor));
    return actor;
}

static void echo_handle(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    (void)state;
    if (event->kind == TROUPE_EVENT_QUESTION) {
        OK(troupe_answer(turn, event->bytes, event->length));
        assert_int_equal(troupe_answer(turn, "", 0), TROUPE_STATUS_INVALID); /* answered */
    } else {
        assert_int_equal(troupe_answer(turn, "", 0), TROUPE_STATUS_INVALID); /* nobody asked */
    }
}

static void silent_handle(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    (void)turn, (void)state, (void)event;
}

static void mortal_handle(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    (void)state;
    if (event->kind == TROUPE_EVENT_MESSAGE)
        troupe_actor_exit(turn, TROUPE_STATUS_FAILED);
}

static void count_destroyed(void *state) {
    ((struct scene *)state)->destroyed++;
}

static void main_start(struct troupe_turn *turn, struct scene *scene) {
    uint64_t timer;
    assert_ptr_equal(troupe_of(turn), scene->troupe);
    assert_true(troupe_self(turn) != 0 && troupe_now(turn) > 0);
    for (uint64_t token = 0; token < 10; token++)
        OK(troupe_ask(turn, scene->echo, &token, sizeof token, token, 1000 * MILLISECOND));
    OK(troupe_ask(turn, scene->silent, NULL, 0, 10, 0)); /* it says nothing: DEAD */
    OK(troupe_actor_watch(turn, scene->mortal, 11));
    struct troupe_actor_spec spec = {
        .handle = mortal_handle, .state = scene, .destroy = count_destroyed, .link = troupe_self(turn)};
    OK(troupe_actor_spawn(scene->troupe, &spec, &scene->child));
    OK(troupe_send(scene->troupe, turn, scene->mortal, "", 0));
    OK(troupe_send(scene->troupe, turn, scene->child, "", 0));
    OK(troupe_timer_start(turn, troupe_now(turn) + MILLISECOND, 12, &timer));
    OK(troupe_timer_start(turn, troupe_now(turn) + MILLISECOND, 13, &scene->cancelled));
    troupe_timer_cancel(turn, scene->cancelled);
    assert_int_equal(troupe_send(scene->troupe, turn, 0, "", 0), TROUPE_STATUS_DEAD);
}

static void main_handle(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    struct scene *scene = state;
    switch (event->kind) {
    case TROUPE_EVENT_MESSAGE:
        main_start(turn, scene);
        return;
    case TROUPE_EVENT_ANSWER:
        assert_int_equal(event->actor, scene->echo);
        assert_int_equal(event->length, sizeof(uint64_t));
        assert_int_equal(*(const uint64_t *)event->bytes, event->token);
        scene->answers++;
        break;
    case TROUPE_EVENT_NO_ANSWER:
        assert_int_equal(event->token, 10);
        assert_int_equal(event->status, TROUPE_STATUS_DEAD);
        scene->dead++;
        break;
    case TROUPE_EVENT_TIMER:
        assert_int_equal(event->token, 12);
        scene->timers++;
        break;
    case TROUPE_EVENT_DOWN:
        assert_int_equal(event->status, TROUPE_STATUS_FAILED);
        assert_true(event->actor == scene->child || (event->actor == scene->mortal && event->token == 11));
        assert_false(troupe_actor_alive(scene->troupe, event->actor));
        scene->downs++;
        break;
    default:
        fail();
    }
    if (scene->answers == 10 && scene->dead == 1 && scene->timers == 1 && scene->downs == 2)
        troupe_stop(scene->troupe);
}

static void every_event_comes(void **state) {
    (void)state;
    struct scene scene;
    begin(&scene);
    scene.echo = spawn(&scene, echo_handle);
    scene.silent = spawn(&scene, silent_handle);
    scene.mortal = spawn(&scene, mortal_handle);
    OK(troupe_send(scene.troupe, NULL, spawn(&scene, main_handle), "", 0));
    OK(troupe_run(scene.troupe));
    troupe_close(scene.troupe);
    assert_int_equal(scene.destroyed, 1);
}

/* ---- bounds ---- */

static void bounds_are_told(void **state) {
    (void)state;
    struct scene scene;
    begin(&scene);
    struct troupe_actor_spec spec = {.handle = silent_handle, .mailbox_len = 3};
    troupe_actor actor;
    OK(troupe_actor_spawn(scene.troupe, &spec, &actor));
    for (unsigned at = 0; at < 3; at++)
        OK(troupe_send(scene.troupe, NULL, actor, "abc", 3));
    assert_int_equal(troupe_send(scene.troupe, NULL, actor, "abc", 3), TROUPE_STATUS_FULL);
    assert_int_equal(troupe_send(scene.troupe, NULL, 12345, "abc", 3), TROUPE_STATUS_DEAD);
    assert_int_equal(troupe_actor_spawn(scene.troupe, &(struct troupe_actor_spec){0}, &actor),
                     TROUPE_STATUS_INVALID);
    enum troupe_status status = TROUPE_STATUS_OK;
    while (status == TROUPE_STATUS_OK)
        status = troupe_actor_spawn(scene.troupe, &spec, &actor);
    assert_int_equal(status, TROUPE_STATUS_LIMIT);
    troupe_close(scene.troupe);
    troupe_close(NULL);
    assert_string_equal(troupe_status_text(TROUPE_STATUS_FULL), "full");
    assert_string_equal(troupe_status_text((enum troupe_status)99), "unknown");
}

/* ---- the registry ---- */

static void names_belong_to_one(void **state) {
    (void)state;
    struct scene scene;
    begin(&scene);
    troupe_actor first = spawn(&scene, silent_handle), second = spawn(&scene, silent_handle);
    OK(troupe_registry_register(scene.troupe, "test", "one", first));
    assert_int_equal(troupe_registry_register(scene.troupe, "test", "one", second), TROUPE_STATUS_EXISTS);
    OK(troupe_registry_register(scene.troupe, "other", "one", second));
    assert_int_equal(troupe_registry_lookup(scene.troupe, NULL, "test", "one"), first);
    assert_int_equal(troupe_registry_lookup(scene.troupe, NULL, "other", "one"), second);
    assert_int_equal(troupe_registry_lookup(scene.troupe, NULL, "test", "two"), 0);
    assert_int_equal(troupe_registry_unregister(scene.troupe, "test", "one", second),
                     TROUPE_STATUS_NOT_FOUND);
    OK(troupe_registry_unregister(scene.troupe, "test", "one", first));
    assert_int_equal(troupe_registry_lookup(scene.troupe, NULL, "test", "one"), 0);
    troupe_close(scene.troupe);
}

/* Every allocation on the way to an open runtime refused in turn: told, and nothing left. */
static void open_survives_refusals(void **state) {
    (void)state;
    for (int64_t nth = 1;; nth++) {
        struct troupe *troupe = NULL;
        memory_fail_after(nth);
        enum troupe_status status = troupe_open(&(struct troupe_options){.threads = 1}, &troupe);
        int fired = memory_fail_fired();
        memory_fail_after(0);
        if (status == TROUPE_STATUS_OK)
            troupe_close(troupe);
        else
            assert_null(troupe);
        if (!fired)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_comes),
        cmocka_unit_test(bounds_are_told),
        cmocka_unit_test(names_belong_to_one),
        cmocka_unit_test(open_survives_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
