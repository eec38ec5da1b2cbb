/* Parked tasks against a naive list: both orders, look-ups, walks; what each costs; every allocation refused in turn. If
 * these fail, tasks that wait are lost, found twice, out of their order, or cost more than is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "coordinate/parking.h"

#define TASKS 3000U
#define DEMANDS 5U
#define COST_MAX 64

static struct account account = {.name = "parking test"}, tasks_account = {.name = "tasks"};

static struct task *task_of(uint32_t number, uint64_t deadline_ns) {
    struct task *task = task_new(&tasks_account, "", 0);
    assert_non_null(task);
    task->id = (struct task_id){.run = number % 7, .trial = number, .attempt = 1};
    task->deadline_ns = deadline_ns;
    return task;
}

struct model {
    struct parking parking;
    struct parked_heap heaps[DEMANDS];
    struct task *tasks[TASKS]; /* NULL: not parked */
    uint64_t orders[TASKS];
    uint64_t arrivals[TASKS];
    uint16_t demands[TASKS];
    uint64_t arrival;
    unsigned count;
};

/* The first of a demand (or, DEMANDS, by deadline) as a list would have it; TASKS: none. */
static unsigned first_of(const struct model *model, unsigned demand) {
    unsigned best = TASKS;
    for (unsigned i = 0; i < TASKS; i++) {
        if (model->tasks[i] == NULL || (demand < DEMANDS && model->demands[i] != demand) ||
            (demand == DEMANDS && model->tasks[i]->deadline_ns == UINT64_MAX))
            continue;
        uint64_t key = demand < DEMANDS ? model->orders[i] : model->tasks[i]->deadline_ns;
        uint64_t best_key = best == TASKS      ? 0
                            : demand < DEMANDS ? model->orders[best]
                                               : model->tasks[best]->deadline_ns;
        if (best == TASKS || key < best_key ||
            (key == best_key && model->arrivals[i] < model->arrivals[best]))
            best = i;
    }
    return best;
}

static void compare(const struct model *model) {
    assert_int_equal(model->parking.count, model->count);
    for (unsigned demand = 0; demand <= DEMANDS; demand++) {
        uint32_t index = parked_first(demand < DEMANDS ? &model->heaps[demand] : &model->parking.deadlines);
        unsigned wanted = first_of(model, demand);
        assert_int_equal(index == PARKED_NONE, wanted == TASKS);
        if (index != PARKED_NONE)
            assert_ptr_equal(parking_at(&model->parking, index)->task, model->tasks[wanted]);
    }
    uint32_t at = 0, walked = 0;
    for (uint32_t index; (index = parking_next(&model->parking, &at)) != PARKED_NONE; walked++)
        assert_ptr_equal(parking_at(&model->parking, index)->task,
                         model->tasks[parking_at(&model->parking, index)->task->id.trial]);
    assert_int_equal(walked, model->count);
}

static void put(struct model *model, struct random_stream *random, unsigned i) {
    model->tasks[i] = task_of(i, random_below(random, 2) ? UINT64_MAX : random_below(random, 500));
    model->orders[i] = random_below(random, 300);
    model->demands[i] = (uint16_t)random_below(random, DEMANDS);
    model->arrivals[i] = model->arrival++;
    assert_int_equal(parking_put(&model->parking, &model->heaps[model->demands[i]],
                                 &(struct parked){.task = model->tasks[i],
                                                  .order = model->orders[i],
                                                  .arrival = (uint32_t)model->arrivals[i],
                                                  .demand = model->demands[i]}),
                     TROUPE_OK);
    model->count++;
}

static void take(struct model *model, unsigned i) {
    uint32_t index = parking_find(&model->parking, model->tasks[i]->id);
    assert_int_not_equal(index, PARKED_NONE);
    assert_int_equal(parking_at(&model->parking, index)->demand, model->demands[i]);
    struct task_id id = model->tasks[i]->id;
    struct task *task = parking_take(&model->parking, &model->heaps[model->demands[i]], index);
    assert_ptr_equal(task, model->tasks[i]);
    assert_int_equal(parking_find(&model->parking, id), PARKED_NONE);
    task_free(task);
    model->tasks[i] = NULL;
    model->count--;
}

static void model_free(struct model *model) {
    parking_free(&model->parking);
    for (unsigned demand = 0; demand < DEMANDS; demand++)
        parked_heap_free(&model->heaps[demand], &account);
    assert_int_equal(account.bytes, 0);
    assert_int_equal(tasks_account.bytes, 0);
}

/* It grows, stays, and is emptied, twice. */
static void like_a_list(void **state) {
    (void)state;
    static struct model model;
    struct random_stream random;
    random_seed(&random, 3, 1);
    parking_init(&model.parking, &account, 17);
    for (unsigned step = 0; step < 40000; step++) {
        unsigned i = (unsigned)random_below(&random, TASKS), fills = step % 20000 < 12000 ? 3 : 1;
        if (model.tasks[i] == NULL && random_below(&random, 4) < fills)
            put(&model, &random, i);
        else if (model.tasks[i] != NULL && random_below(&random, 4) >= fills)
            take(&model, i);
        if (step % 1000 == 0)
            compare(&model);
    }
    for (unsigned i = 0; i < TASKS; i++)
        if (model.tasks[i] != NULL)
            take(&model, i);
    compare(&model);
    for (unsigned i = 0; i < 500; i++)
        put(&model, &random, i);
    compare(&model);
    model_free(&model); /* tasks with it */
}

/* At every length, where an array has just grown too; what is left is given back. */
static void each_costs_64_bytes_at_most(void **state) {
    (void)state;
    struct parking parking;
    struct parked_heap heap = {0};
    parking_init(&parking, &account, 5);
    double worst = 0;
    for (uint32_t i = 1; i <= 100000; i++) {
        struct parked parked = {.task = task_of(i, i % 1000), .order = i};
        assert_int_equal(parking_put(&parking, &heap, &parked), TROUPE_OK);
        double each = (double)account.bytes / i;
        if (i >= 4096 && each > worst)
            worst = each;
    }
    printf("a parked task costs %.1f bytes at most, %.1f of 100000\n", worst, (double)account.bytes / 100000);
    assert_true(worst <= COST_MAX);
    for (uint32_t i = 1; i <= 100000; i++)
        task_free(parking_take(&parking, &heap, parked_first(&heap)));
    parked_heap_free(&heap, &account);
    assert_true(account.bytes <= 16384); /* one chunk, and where it is */
    parking_free(&parking);
    assert_int_equal(account.bytes, 0);
}

static void no_memory_changes_nothing(void **state) {
    (void)state;
    unsigned refused = 0;
    for (unsigned at = 1; at < 40; at++) {
        static struct model model;
        model = (struct model){0};
        parking_init(&model.parking, &account, 9);
        for (unsigned i = 0; i < 600; i++) {
            struct task *task = task_of(i, i % 3 ? UINT64_MAX : i);
            struct parked parked = {
                .task = task, .order = 600 - i, .arrival = i, .demand = (uint16_t)(i % DEMANDS)};
            if (i == at * 15)
                memory_fail_after(1);
            enum troupe_error error = parking_put(&model.parking, &model.heaps[i % DEMANDS], &parked);
            memory_fail_after(0);
            refused += error != TROUPE_OK;
            if (error == TROUPE_OK) {
                model.tasks[i] = task;
                model.orders[i] = parked.order;
                model.demands[i] = parked.demand;
                model.arrivals[i] = model.arrival++;
                model.count++;
            } else {
                assert_int_equal(error, TROUPE_NOMEM);
                assert_int_equal(parking_find(&model.parking, task->id), PARKED_NONE);
                task_free(task);
            }
        }
        compare(&model);
        model_free(&model);
    }
    assert_true(refused > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_a_list),
        cmocka_unit_test(each_costs_64_bytes_at_most),
        cmocka_unit_test(no_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
