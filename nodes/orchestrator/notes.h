/* SPDX-License-Identifier: MIT */
/* notes.h - what one instance tells another about workflows that start workflows. A note is a hint and may be
 * lost: what it says is found in the database a few seconds later.
 *
 * Owns      Nothing; a note is copied.
 * Threads   Any thread sends; the handler runs on HTTP threads.
 */
#ifndef ORCHESTRATOR_NOTES_H
#define ORCHESTRATOR_NOTES_H

#include "io/http_server.h"
#include "orchestrator/orchestrator.h"

enum note_kind {
    NOTE_ENDED,  /* a child has: its parent's worker is to look */
    NOTE_LIVES,  /* a child does: does its parent's step still wait for its end? */
    NOTE_ORPHAN, /* nobody waits for the child's end any more */
};

struct note {
    enum note_kind kind;
    int16_t shard; /* of the parent */
    struct uuid parent, child;
    uint32_t wait; /* of the parent's step */
};

/* To the owner of the parent's shard; that of an orphan, whose shard is not known, to all others. */
void notes_send(struct orchestrator *orchestrator, const struct note *note);
/* Only instances of this database may. */
void api_note(struct http_request *request, struct http_response *response, void *context);

#endif
