/* SPDX-License-Identifier: MIT */
#include "metadata-stamping/core/protocol.h"

#include <string.h>
#include <strings.h>

#include "metadata-stamping/core/stamp.h"

#define BLOCK_START "=== OmniNode:Tool_Metadata ==="
#define BLOCK_BYTES_MAX 4096 /* the block's fields stand within this distance of its start */

static const struct {
    const char *name; /* with its colon */
    const char *issue;
} block_fields[] = {
    {"metadata_version:", "the tool block lacks metadata_version"},
    {"name:", "the tool block lacks name"},
    {"namespace:", "the tool block lacks namespace"},
    {"version:", "the tool block lacks version"},
    {"entrypoint:", "the tool block lacks entrypoint"},
    {"protocols_supported:", "the tool block lacks protocols_supported"},
};

static void add(struct protocol_report *report, const char *issue, const char *recommendation)
{
    if (report->issues_count < PROTOCOL_ISSUES_MAX)
        report->issues[report->issues_count++] = issue;
    if (recommendation != NULL && report->recommendations_count < PROTOCOL_ISSUES_MAX)
        report->recommendations[report->recommendations_count++] = recommendation;
}

/* A line that holds the name as its first word (after a comment mark) and some value. */
static bool has_field(const char *block, const char *end, const char *name)
{
    size_t name_bytes = strlen(name);
    for (const char *line = block; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop != NULL ? stop : end;
        while (line < stop && strchr("#/*- \t\"", *line) != NULL)
            line++;
        if ((size_t)(stop - line) > name_bytes && memcmp(line, name, name_bytes) == 0)
            return true;
        line = stop + 1;
    }
    return false;
}

/* True when there is a block; its faults are added. */
static bool check_block(const char *content, size_t bytes, struct protocol_report *report)
{
    const char *block = memmem(content, bytes, BLOCK_START, sizeof BLOCK_START - 1);
    if (block == NULL)
        return false;
    size_t left = (size_t)(content + bytes - block);
    const char *end = block + (left < BLOCK_BYTES_MAX ? left : BLOCK_BYTES_MAX);
    int before = report->issues_count;
    for (size_t i = 0; i < sizeof block_fields / sizeof *block_fields; i++) {
        if (!has_field(block, end, block_fields[i].name))
            add(report, block_fields[i].issue, NULL);
    }
    if (report->issues_count > before)
        add(report, "the tool block is incomplete",
            "complete the tool block: metadata_version, name, namespace, version, entrypoint, "
            "protocols_supported");
    return true;
}

/* Counts the stamps and how many fit the content. */
static size_t count_stamps(const char *content, size_t bytes, size_t *fitting)
{
    struct buffer scratch = {0};
    struct stamp_found found;
    char current[CONTENT_HASH_TEXT_BYTES];
    size_t count = 0;
    *fitting = 0;
    stamp_hash(content, bytes, &scratch, current);
    for (size_t from = 0; stamp_find(content, bytes, from, &found); from = found.end, count++)
        *fitting += found.hash_bytes == CONTENT_HASH_DIGITS &&
                    strncasecmp(found.hash, current, CONTENT_HASH_DIGITS) == 0;
    buffer_fini(&scratch);
    return count;
}

void protocol_check(const char *content, size_t bytes, const char *target, const char *checking,
                    struct protocol_report *report)
{
    *report = (struct protocol_report){0};
    size_t fitting;
    size_t stamps = count_stamps(content, bytes, &fitting);
    bool basic = strcmp(checking, "basic") == 0;
    bool strict = strcmp(checking, "strict") == 0;
    if (strcmp(target, PROTOCOL_NAME) != 0)
        add(report, "the target protocol is not known", "use target_protocol " PROTOCOL_NAME);
    if (stamps == 0)
        add(report, "the content has no stamp", "stamp the content with POST /stamp");
    else if (fitting < stamps && !basic)
        add(report, "a stamp's hash is not that of the content", "stamp the content again");
    bool block = false;
    if (!basic) {
        block = check_block(content, bytes, report);
        if (!block && strict)
            add(report, "the content has no tool block", "add a block " BLOCK_START);
    }
    report->valid = report->issues_count == 0;
    report->level = report->valid ? "full" : stamps > 0 || block ? "partial" : "none";
}
