/* SPDX-License-Identifier: MIT */
/* aggregation_files.h - the shipped aggregations, and texts as files, for tests. */
#ifndef TESTS_AGGREGATION_FILES_H
#define TESTS_AGGREGATION_FILES_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/aggregation.h"

static const struct aggregation_defaults defaults = {.size_ms = 5000, .lateness_ms = 60000};

/* Adds a text as a file; it must be fine. */
static inline const struct aggregation *add_text(struct aggregation_set *set, const char *file,
                                                 const char *text)
{
    struct findings findings = {0};
    struct buffer faults = {0};
    const struct aggregation *made =
        aggregation_set_parse(set, file, text, strlen(text), &findings);
    findings_write(&findings, &faults);
    ck_assert_msg(made != NULL, "%s", buffer_text(&faults));
    buffer_fini(&faults);
    findings_fini(&findings);
    return made;
}

/* Adds one of contracts/aggregations. */
static inline const struct aggregation *add_shipped(struct aggregation_set *set, const char *name)
{
    static char text[65536];
    char file[256];
    snprintf(file, sizeof(file), "contracts/aggregations/%s.yaml", name);
    FILE *stream = fopen(file, "r");
    ck_assert_msg(stream != NULL, "%s", file);
    text[fread(text, 1, sizeof(text) - 1, stream)] = 0;
    fclose(stream);
    return add_text(set, file, text);
}

#endif
