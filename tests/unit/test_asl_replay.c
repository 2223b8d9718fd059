/* SPDX-License-Identifier: MIT */
/* The same check as the fuzzer's, for a few thousand seeds; and every prefix of every case of
 * tests/cases run again. */
#include <check.h>
#include <glob.h>

#include "base/limits.h"
#include "tests/fuzz/replay.h"

#define SEEDS 3000
#define BYTES 700

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

START_TEST(test_seeds)
{
    unsigned valid = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t state = seed * UINT64_C(0x9E3779B97F4A7C15);
        uint8_t bytes[BYTES];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(next_random(&state) >> 32);
        valid += replay_bytes(bytes, sizeof bytes);
    }
    ck_assert_uint_ge(valid, SEEDS * 9 / 10);
}
END_TEST

/* -- the cases of tests/cases -- */

#define CASE_EVENTS_MAX 30 /* prefixes that are run again: of longer runs the first ones */
#define LINE_BYTES_MAX (4u << 20)

static void record_step(void *context, const struct asl_event *event,
                        const struct asl_effects *effects)
{
    struct replay *replay = context;
    if (effects == NULL || replay->events_count == CASE_EVENTS_MAX)
        return;
    struct asl_event *kept = &replay->events[replay->events_count];
    *kept = *event;
    kept->result = json_hold(event->result);
    kept->error = event->error ? must_strdup(event->error) : NULL;
    kept->cause = event->cause ? must_strdup(event->cause) : NULL;
    replay->tales[replay->events_count++] = replay_tale(effects);
}

static bool case_again(const struct json *line)
{
    struct findings findings = {0};
    struct replay *replay = must_calloc(1, sizeof *replay);
    replay->machine = asl_compile(json_get(line, "definition"), NULL, NULL, NULL, &findings);
    bool valid = replay->machine != NULL;
    if (valid) {
        struct asl_mock_options options = {.input = json_get(line, "input"),
                                           .mocks = json_get(line, "mocks"),
                                           .start_us = ASL_MOCK_START_US,
                                           .on_step = record_step,
                                           .context = replay};
        struct asl_mock_result result = {0};
        asl_mock_run(replay->machine, &options, &result);
        asl_mock_result_fini(&result);
        replay->mocked = &options;
        for (size_t prefix = 0; prefix < replay->events_count; prefix++)
            replay_again(replay, prefix);
    }
    for (size_t i = 0; i < replay->events_count; i++) {
        free((char *)replay->events[i].error);
        free((char *)replay->events[i].cause);
    }
    findings_fini(&findings);
    replay_fini(replay);
    return valid;
}

START_TEST(test_cases)
{
    glob_t files;
    size_t valid = 0;
    char *text = must_calloc(1, LINE_BYTES_MAX);
    ck_assert_int_eq(glob("tests/cases/*.jsonl", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        FILE *file = fopen(files.gl_pathv[i], "r");
        ck_assert_ptr_nonnull(file);
        while (fgets(text, LINE_BYTES_MAX, file)) {
            struct json *line = json_parse(text, strlen(text), NULL, NULL);
            ck_assert_ptr_nonnull(line);
            valid += case_again(line);
            json_release(line);
        }
        fclose(file);
    }
    ck_assert_uint_ge(valid, 200);
    globfree(&files);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl_replay");
    TCase *seeds = tcase_create("seeds");
    tcase_set_timeout(seeds, 300);
    tcase_add_test(seeds, test_seeds);
    tcase_add_test(seeds, test_cases);
    suite_add_tcase(suite, seeds);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
