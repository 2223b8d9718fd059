/* SPDX-License-Identifier: MIT */
/* Who is gone, and who takes or gives which shard. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/spread.h"

#define SHARDS 16
#define SETTLE_US 5000000

/* A database with instances 1, 2, ... and its shards; each instance makes its own plan. */
struct world {
    struct spread_instance instances[8];
    int instances_count;
    struct spread_shard shards[SHARDS];
};

static struct uuid id_of(int number) { return (struct uuid){.octets = {[15] = (uint8_t)number}}; }

static struct spread_instance *join(struct world *world, int number)
{
    struct spread_instance *instance = &world->instances[world->instances_count++];
    *instance = (struct spread_instance){.id = id_of(number), .link = SPREAD_LINKED};
    return instance;
}

static void plan_of(const struct world *world, int number, bool leaving, int64_t watched_us,
                    struct spread_plan *plan)
{
    struct spread_shard shards[SHARDS];
    memcpy(shards, world->shards, sizeof shards);
    struct uuid self = id_of(number);
    for (int i = 0; i < SHARDS; i++)
        shards[i].here = shards[i].owned && uuid_equal(&shards[i].owner, &self);
    spread_plan(&(struct spread){.self = self,
                                 .leaving = leaving,
                                 .watched_us = watched_us,
                                 .settle_us = SETTLE_US,
                                 .instances = world->instances,
                                 .instances_count = world->instances_count,
                                 .shards = shards,
                                 .shards_count = SHARDS},
                plan);
}

/* The instance does what its plan says. How many shards moved. */
static int act(struct world *world, int number)
{
    struct spread_plan plan;
    plan_of(world, number, false, INT64_MAX, &plan);
    ck_assert_int_eq(plan.lost_count, 0);
    for (int i = 0; i < plan.give_count; i++)
        world->shards[plan.give[i]].owned = false;
    for (int i = 0; i < plan.take_count; i++)
        world->shards[plan.take[i]] = (struct spread_shard){.owned = true, .owner = id_of(number)};
    return plan.give_count + plan.take_count;
}

static int held(const struct world *world, int number)
{
    struct uuid id = id_of(number);
    int count = 0;
    for (int i = 0; i < SHARDS; i++)
        count += world->shards[i].owned && uuid_equal(&world->shards[i].owner, &id);
    return count;
}

START_TEST(one_alone_takes_all)
{
    struct world world = {0};
    join(&world, 1);
    ck_assert_int_eq(act(&world, 1), SHARDS);
    ck_assert_int_eq(held(&world, 1), SHARDS);
    ck_assert_int_eq(act(&world, 1), 0);
}
END_TEST

START_TEST(each_that_joins_gets_its_part_and_few_shards_move)
{
    static const int parts[][4] = {{16}, {8, 8}, {6, 5, 5}, {4, 4, 4, 4}};
    struct world world = {0};
    for (int count = 1; count <= 4; count++) {
        join(&world, count);
        int moved = 0;
        for (int round = 0; round < 2; round++)
            for (int i = 1; i <= count; i++)
                moved += act(&world, i);
        for (int i = 1; i <= count; i++)
            ck_assert_int_eq(held(&world, i), parts[count - 1][i - 1]);
        if (count > 1) /* each is given once and taken once */
            ck_assert_int_eq(moved, 2 * parts[count - 1][count - 1]);
    }
}
END_TEST

START_TEST(all_take_different_shards_of_one_that_died)
{
    struct world world = {0};
    for (int i = 1; i <= 3; i++)
        join(&world, i);
    for (int round = 0; round < 2; round++)
        for (int i = 1; i <= 3; i++)
            act(&world, i);
    world.instances[1].lock_free = true;
    world.instances[1].link = SPREAD_ENDED;
    struct spread_plan first, third;
    plan_of(&world, 1, false, INT64_MAX, &first);
    plan_of(&world, 3, false, INT64_MAX, &third);
    ck_assert(first.gone[1] && third.gone[1] && !first.gone[0] && !first.gone[2]);
    ck_assert_int_eq(first.take_count + third.take_count, 5);
    for (int i = 0; i < first.take_count; i++)
        for (int k = 0; k < third.take_count; k++)
            ck_assert_int_ne(first.take[i], third.take[k]);
}
END_TEST

START_TEST(one_that_stops_gives_all_and_the_others_wait_for_it)
{
    struct world world = {0};
    struct spread_plan plan;
    join(&world, 1);
    join(&world, 2);
    for (int round = 0; round < 2; round++)
        for (int i = 1; i <= 2; i++)
            act(&world, i);
    plan_of(&world, 2, true, INT64_MAX, &plan);
    ck_assert_int_eq(plan.give_count, 8);
    ck_assert_int_eq(plan.take_count, 0);
    plan_of(&world, 1, false, INT64_MAX, &plan);
    ck_assert_int_eq(plan.take_count, 0);
}
END_TEST

START_TEST(what_another_owns_is_lost)
{
    struct world world = {0};
    struct spread_plan plan;
    join(&world, 1);
    join(&world, 2);
    for (int i = 0; i < SHARDS; i++)
        world.shards[i] = (struct spread_shard){.owned = true, .owner = id_of(2), .here = i < 3};
    spread_plan(&(struct spread){.self = id_of(1),
                                 .watched_us = INT64_MAX,
                                 .instances = world.instances,
                                 .instances_count = 2,
                                 .shards = world.shards,
                                 .shards_count = SHARDS},
                &plan);
    ck_assert_int_eq(plan.lost_count, 3);
    ck_assert_int_eq(plan.take_count, 0);
    ck_assert_int_eq(plan.give_count, 0);
}
END_TEST

START_TEST(ours_that_no_worker_runs_is_taken_again)
{
    struct world world = {0};
    struct spread_plan plan;
    join(&world, 1);
    act(&world, 1);
    spread_plan(&(struct spread){.self = id_of(1),
                                 .watched_us = INT64_MAX,
                                 .instances = world.instances,
                                 .instances_count = 1,
                                 .shards = world.shards, /* none is here */
                                 .shards_count = SHARDS},
                &plan);
    ck_assert_int_eq(plan.take_count, SHARDS);
}
END_TEST

START_TEST(more_instances_than_shards)
{
    struct world world = {0};
    int total = 0;
    for (int i = 1; i <= 8; i++)
        join(&world, i);
    for (int i = 1; i <= 8; i++)
        act(&world, i);
    for (int i = 1; i <= 8; i++) {
        ck_assert_int_eq(held(&world, i), 2);
        total += held(&world, i);
    }
    ck_assert_int_eq(total, SHARDS);
}
END_TEST

START_TEST(who_is_gone)
{
    static const struct {
        bool lapsed, lock_free;
        enum spread_link link;
        bool settled, gone;
    } cases[] = {
        {false, false, SPREAD_LINKED, true, false},
        {true, false, SPREAD_LINKED, true, true}, /* it hangs: its process holds lock and link */
        {true, false, SPREAD_LINKED, false,
         false},                                   /* the database was away: it may just renew it */
        {false, true, SPREAD_LINKED, true, false}, /* it connects to the database again */
        {false, true, SPREAD_TRYING, true, false}, /* will be known in a moment */
        {false, true, SPREAD_ENDED, true, true},   /* killed */
        {false, true, SPREAD_ENDED, false, true},
        {false, false, SPREAD_ENDED, true, false}, /* only the network between us */
        {false, true, SPREAD_UNKNOWN, true, true},
        {false, true, SPREAD_UNKNOWN, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct spread_instance instance = {
            .lapsed = cases[i].lapsed, .lock_free = cases[i].lock_free, .link = cases[i].link};
        bool gone = spread_is_gone(&instance, cases[i].settled ? SETTLE_US : 1, SETTLE_US);
        ck_assert_msg(gone == cases[i].gone, "case %zu", i);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spread");
    TCase *tests = tcase_create("spread");
    tcase_add_test(tests, one_alone_takes_all);
    tcase_add_test(tests, each_that_joins_gets_its_part_and_few_shards_move);
    tcase_add_test(tests, all_take_different_shards_of_one_that_died);
    tcase_add_test(tests, one_that_stops_gives_all_and_the_others_wait_for_it);
    tcase_add_test(tests, what_another_owns_is_lost);
    tcase_add_test(tests, ours_that_no_worker_runs_is_taken_again);
    tcase_add_test(tests, more_instances_than_shards);
    tcase_add_test(tests, who_is_gone);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
