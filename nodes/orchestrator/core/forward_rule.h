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

struct forward_case {
    bool repeats; /* the request does its work once, however often it is said */
    bool moved;   /* the shard has another owner by now than the one that was asked */
    bool
        early; /* the client waits longer than the owner did, which had not asked it to come back */
};

enum forward_next forward_judge(const struct forward_answer *answer, const struct forward_case *of);

/* A header line of the owner's answer that the client gets; the others are the business of one
 * connection, or this instance writes its own. */
bool forward_passes_header(const char *line, size_t bytes);

#endif
