/* SPDX-License-Identifier: MIT */
/* protocol.h - does a text follow O.N.E. v0.1? Pure.
 *
 * The protocol knows stamps (stamp.h) and the tool block
 *
 *     # === OmniNode:Tool_Metadata ===
 *     # metadata_version: 0.1
 *     # name: ... namespace: ... version: ... entrypoint: ... protocols_supported: ..., one per line
 *
 * Levels of checking: basic asks for a stamp, standard for a stamp whose hash is that of the content
 * and for a complete tool block if there is one, strict for both.
 * Compliance: full when nothing is missing, none when there is neither stamp nor block, else partial.
 */
#ifndef METADATA_STAMPING_CORE_PROTOCOL_H
#define METADATA_STAMPING_CORE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#define PROTOCOL_NAME "O.N.E.v0.1"
#define PROTOCOL_ISSUES_MAX 12

struct protocol_report {
    bool valid;
    const char *level;                       /* "full", "partial", "none" */
    const char *issues[PROTOCOL_ISSUES_MAX]; /* literals */
    int issues_count;
    const char *recommendations[PROTOCOL_ISSUES_MAX];
    int recommendations_count;
};

void protocol_check(const char *content, size_t bytes, const char *target, const char *checking,
                    struct protocol_report *report);

#endif
