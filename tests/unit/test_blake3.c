/* SPDX-License-Identifier: MIT */
/* Is it BLAKE3? The published test vectors: inputs of the octets 0, 1, ... 250, 0, 1, ... */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/content_hash.h"

static const struct {
    size_t bytes;
    const char *hash;
} vectors[] = {
    {0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
    {1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"},
    {2, "7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63"},
    {3, "e1be4d7a8ab5560aa4199eea339849ba8e293d55ca0a81006726d184519e647f"},
    {1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"},
    {1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"},
    {1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"},
    {2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"},
    {31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47"},
    {102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"},
};

START_TEST(test_published_vectors)
{
    static unsigned char input[102400];
    char text[CONTENT_HASH_TEXT_BYTES];
    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (unsigned char)(i % 251);
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        ck_assert_str_eq(content_hash(input, vectors[i].bytes, text), vectors[i].hash);
}
END_TEST

START_TEST(test_form_of_a_hash)
{
    char text[CONTENT_HASH_TEXT_BYTES];
    content_hash("abc", 3, text);
    ck_assert(content_hash_is_text(text, CONTENT_HASH_DIGITS));
    ck_assert(!content_hash_is_text(text, CONTENT_HASH_DIGITS - 1));
    text[63] = 'g';
    ck_assert(!content_hash_is_text(text, CONTENT_HASH_DIGITS));
    text[63] = 'F';
    ck_assert(content_hash_is_text(text, CONTENT_HASH_DIGITS));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blake3");
    TCase *cases = tcase_create("all");
    tcase_add_test(cases, test_published_vectors);
    tcase_add_test(cases, test_form_of_a_hash);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
