/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/murmur2.h"

/* The vectors of Kafka's own UtilsTest.testMurmur2. */
static const struct {
    const char *key;
    int32_t hash;
} vectors[] = {
    {"21", -973932308},
    {"foobar", -790332482},
    {"a-little-bit-long-string", -985981536},
    {"a-little-bit-longer-string", -1486304829},
    {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
    {"abc", 479470107},
};

START_TEST(hashes_are_those_of_the_java_client)
{
    ck_assert_int_eq((int32_t)murmur2(vectors[_i].key, strlen(vectors[_i].key)), vectors[_i].hash);
}
END_TEST

START_TEST(a_partition_is_the_positive_hash_modulo_their_number)
{
    for (int32_t partitions = 1; partitions < 40; partitions++) {
        int32_t expected = (vectors[_i].hash & 0x7fffffff) % partitions;
        ck_assert_int_eq(kafka_partition_of_key(vectors[_i].key, strlen(vectors[_i].key), partitions), expected);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("murmur2");
    TCase *tests = tcase_create("all");
    int count = (int)(sizeof(vectors) / sizeof(vectors[0]));
    tcase_add_loop_test(tests, hashes_are_those_of_the_java_client, 0, count);
    tcase_add_loop_test(tests, a_partition_is_the_positive_hash_modulo_their_number, 0, count);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
