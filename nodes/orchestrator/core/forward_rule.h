/* SPDX-License-Identifier: MIT */
/* forward_rule.h - what follows when another instance was asked: its answer is the client's, or it is
 * asked again, or nobody knows. Pure.
 *
 * Owns      Nothing.
 * Threads   No globals.
 * Errors    None.
 */
#ifndef ORCHESTRATOR_CORE_FORWARD_RULE_H
#define ORCHESTRATOR_CORE_FORWARD_RULE_H

#include <stdbool.h>
#include <stddef.h>

struct forward_answer {
    bool came;    /* a whole response */
    bool reached; /* the request, or a part of it, left for the owner */
    int status;
    const char *body;
    size_t body_bytes;
};

enum forward_next {
    FORWARD_PASS_ON, /* the client gets this answer */
    FORWARD_AGAIN,   /* it was certainly not taken: whoever owns the shard is asked again */
    FORWARD_REPEAT,  /* it may have been taken, and may be said twice */
    FORWARD_UNKNOWN, /* it may have been taken, and must not be said twice */
};

/* repeats: the request does its work once, however often it is said. moved: the shard has another
 * owner by now than the one that was asked. */
enum forward_next forward_judge(const struct forward_answer *answer, bool repeats, bool moved);

/* A header line of the owner's answer that the client gets; the others are the business of one
 * connection, or this instance writes its own. */
bool forward_passes_header(const char *line, size_t bytes);

#endif
