/* SPDX-License-Identifier: MIT */
/* Does the sentence name what a window waits for, in each state that it can be in? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/window.h"
#include "reducer/core/explain.h"

#define SECOND INT64_C(1000000)

/* A window from 100 s to 105 s with 60 s of lateness: it closes at 165 s. */
static struct explain_window window_of(const struct explain_partition *partitions, int count)
{
    return (struct explain_window){
        .type = "orders",
        .windowed = true,
        .start_us = 100 * SECOND,
        .end_us = 105 * SECOND,
        .lateness_us = 60 * SECOND,
        .events = 3,
        .revision = 1,
        .pruned_until_us = WINDOW_NO_TIME,
        .retention_days = 30,
        .idle_ms = 10000,
        .partitions = partitions,
        .count = count,
    };
}

static struct explain_partition partition_at(int32_t number, int64_t watermark_us, int64_t unread)
{
    return (struct explain_partition){.number = number,
                                      .watermark_us = watermark_us,
                                      .unread = unread,
                                      .owner = "r1",
                                      .silent_ms = 1500};
}

static void expect(const struct explain_window *window, const char *state, const char *sentence)
{
    struct buffer text = {0};
    explain_sentence(window, &text);
    ck_assert_str_eq(explain_state_name(explain_state(window)), state);
    ck_assert_str_eq(buffer_text(&text), sentence);
    buffer_fini(&text);
}

#define CLOSES                                                                                     \
    "it closes when every watermark has passed 1970-01-01T00:02:45.000Z (its end and 60 s of "     \
    "lateness)"

START_TEST(test_open)
{
    struct explain_partition partitions[] = {partition_at(0, 170 * SECOND, 0),
                                             partition_at(1, 90 * SECOND, 7),
                                             partition_at(2, 80 * SECOND, 0)};
    struct explain_window window = window_of(partitions, 3);
    expect(&window, "open",
           "Open with 3 events; " CLOSES
           "; it waits for partition 1 (read by r1), whose watermark is 75 s short "
           "of that: 7 records wait to be read, the last commit was 1.5 s ago, and for 1 other "
           "partition.");
    ck_assert_int_eq(explain_hold(&window, &partitions[0]), HOLD_NONE);
    ck_assert_int_eq(explain_hold(&window, &partitions[2]), HOLD_QUIET);
    partitions[1].unread = -1;
    ck_assert_int_eq(explain_hold(&window, &partitions[1]), HOLD_WATERMARK);
    partitions[1].idle = true;
    window.revision = 2;
    expect(&window, "open",
           "Open with 3 events, revision 2 by late ones; " CLOSES
           "; it waits for partition 2 (read by r1), whose "
           "watermark is 85 s short of that: it is read to its end, and let go once it was quiet "
           "for 10 s.");
}
END_TEST

START_TEST(test_closing)
{
    struct explain_partition partitions[] = {partition_at(0, 110 * SECOND, 1),
                                             partition_at(1, 120 * SECOND, 0)};
    struct explain_window window = window_of(partitions, 1);
    window.events = 1;
    expect(&window, "closing",
           "Over, open for late ones: 1 event; " CLOSES
           "; it waits for partition 0 (read by r1), whose watermark "
           "is 55 s short of that: 1 record waits to be read, the last commit was 1.5 s ago.");
    partitions[1].watermark_us = WINDOW_NO_TIME;
    partitions[1].unread = -1;
    window.count = 2;
    window.lost_records = 12;
    expect(&window, "open",
           "Open with 1 event; " CLOSES
           "; it waits for partition 1 (read by r1), of which no event was read yet: "
           "how many records wait is not known, the last commit was 1.5 s ago, and for 1 other "
           "partition; 12 "
           "records that may belong to it were dropped by the broker before they were read.");
    partitions[0].owner = "";
    ck_assert_ptr_eq(explain_holder(&window), &partitions[0]);
    window.count = 1;
    window.lost_records = 0;
    expect(&window, "closing",
           "Over, open for late ones: 1 event; " CLOSES
           "; it waits for partition 0, which no reducer has taken on "
           "yet.");
}
END_TEST

START_TEST(test_over)
{
    struct explain_partition partitions[] = {partition_at(0, 165 * SECOND, 1),
                                             partition_at(1, 90 * SECOND, 0)};
    partitions[1].idle = true;
    struct explain_window window = window_of(partitions, 2);
    expect(&window, "due",
           "Every watermark has passed it, it becomes final in a moment: 3 events.");
    partitions[1].past_pending = true;
    expect(&window, "counting_past",
           "Not final, because the topic's past is still counted for orders.");
    partitions[1].past_pending = false;
    partitions[0].idle = true;
    ck_assert_int_eq(explain_low_watermark(partitions, 2), EXPLAIN_ALL_IDLE);
    expect(&window, "due",
           "Every watermark has passed it, it becomes final in a moment: 3 events.");
    ck_assert_ptr_null(explain_holder(&window));
    window.has_final = true;
    window.final_us = 200 * SECOND;
    expect(&window, "final", "Final since 1970-01-01T00:03:20.000Z: 3 events.");
}
END_TEST

START_TEST(test_idle_partitions_may_still_get_its_first_event)
{
    struct explain_partition partitions[] = {partition_at(0, 170 * SECOND, 0),
                                             partition_at(1, 164 * SECOND, 0)};
    partitions[0].idle = partitions[1].idle = true;
    struct explain_window window = window_of(partitions, 2);
    window.events = 0;
    expect(&window, "not_seen_yet", "No event was counted in it yet; " CLOSES ".");
    partitions[1].watermark_us = WINDOW_NO_TIME;
    expect(&window, "not_seen_yet", "No event was counted in it yet; " CLOSES ".");
    partitions[1].watermark_us = 165 * SECOND;
    expect(&window, "never_seen", "No event was counted in it, and every watermark has passed it.");
}
END_TEST

START_TEST(test_without_rows)
{
    struct explain_partition partitions[] = {partition_at(0, 170 * SECOND, 0)};
    struct explain_window window = window_of(partitions, 1);
    window.events = 0;
    expect(&window, "never_seen", "No event was counted in it, and every watermark has passed it.");
    window.lost_records = 1;
    expect(&window, "never_seen",
           "No event was counted in it, and every watermark has passed it; 1 record that may "
           "belong to it was "
           "dropped by the broker before it was read.");
    window.lost_records = 0;
    partitions[0].watermark_us = 164 * SECOND;
    expect(&window, "not_seen_yet",
           "No event was counted in it yet; " CLOSES
           "; it waits for partition 0 (read by r1), whose watermark is "
           "1 s short of that: it is read to its end, and let go once it was quiet for 10 s.");
    window.pruned_until_us = 105 * SECOND;
    expect(&window, "pruned",
           "Its rows are gone: orders keeps windows for 30 days, and those that ended by "
           "1970-01-01T00:01:45.000Z "
           "were pruned.");
    window.count = 0;
    window.pruned_until_us = WINDOW_NO_TIME;
    ck_assert_int_eq(explain_low_watermark(NULL, 0), WINDOW_NO_TIME);
    expect(&window, "not_seen_yet", "No event was counted in it yet; " CLOSES ".");
    window.windowed = false;
    expect(&window, "all_time",
           "orders has no windows, so nothing of it becomes final: 0 events so far.");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("explain");
    TCase *states = tcase_create("states");
    tcase_add_test(states, test_open);
    tcase_add_test(states, test_closing);
    tcase_add_test(states, test_over);
    tcase_add_test(states, test_idle_partitions_may_still_get_its_first_event);
    tcase_add_test(states, test_without_rows);
    suite_add_tcase(suite, states);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
