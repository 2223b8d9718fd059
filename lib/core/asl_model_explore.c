/* SPDX-License-Identifier: MIT */
/* asl_model_explore.c - goes to every place that a run of the model can get to, breadth first, so
 * that the way to a fault is a shortest one. */
#include <stdlib.h>
#include <string.h>

#include "core/asl_internal.h"
#include "core/asl_model_internal.h"

/* A place is written as a row of numbers: the serial of a state, followed for a Parallel or Map by
 * the places of its branches; then the pairs that are owed, as bits. */
#define ENDED UINT16_MAX
#define RUN_SUCCEEDED (UINT16_MAX - 1)
#define RUN_FAILED (UINT16_MAX - 2)
#define NUMBERS_MAX 2000 /* of one place */

_Static_assert(ASL_STATES_MAX < RUN_FAILED, "serials are told from ends");

/* -- places and the ways between them -- */

struct numbers {
    uint16_t items[NUMBERS_MAX];
    size_t count;
    bool full;
};

enum move_type { MOVE_ON, MOVE_ENDED, MOVE_FAILED };

/* One step of one branch: its new place, or how it ended. */
struct move {
    enum move_type type;
    struct numbers place;
    const char *error;
    bool from_branch;
    bool uncaught; /* a Task failed and nothing has taken it: no way that a run ends by design */
    uint32_t owed;
    int too_much; /* pair whose undo was entered too often; -1 */
};

struct explorer {
    const struct asl_model *model;
    struct asl_model_result *result;
    struct asl_model_errors names;
    bool *has_pair; /* by serial: a Parallel or Map with a state of a pair in it */
    const struct outline_state **by_serial;
    struct place *places;
    size_t places_capacity;
    size_t *buckets;
    struct way *ways; /* by which an end can be reached by design */
    size_t ways_count, ways_capacity;
    size_t at;          /* the place whose ways are being looked at */
    struct buffer step; /* what happened */
    size_t comparisons; /* of errors with names */
    bool told[ASL_MODEL_FAULT_TYPES][ASL_MODEL_PAIRS_MAX];
};

struct place {
    uint16_t *numbers;
    size_t count;
    uint32_t owed;
    size_t before; /* where a run got here from; itself for the first */
    char *step;
    bool ends_by_design; /* an end can be reached */
};

struct way {
    size_t from, to;
};

typedef void move_sink(struct explorer *explorer, struct move *move, void *context);

static void number_add(struct numbers *numbers, uint16_t number)
{
    if (numbers->count == NUMBERS_MAX)
        numbers->full = true;
    else
        numbers->items[numbers->count++] = number;
}

/* Enters a state: for a Parallel or Map the start of every branch too. */
static void enter(const struct explorer *explorer, struct move *move,
                  const struct outline_state *state)
{
    number_add(&move->place, (uint16_t)state->serial);
    for (size_t p = 0; p < explorer->model->pairs_count; p++) {
        if (explorer->model->pairs[p].undo != state)
            continue;
        if (!(move->owed & (1u << p)))
            move->too_much = (int)p;
        move->owed &= ~(1u << p);
    }
    for (size_t i = 0; i < state->scopes_count * asl_model_copies(state); i++) {
        const struct outline_scope *scope = &state->scopes[i / asl_model_copies(state)];
        if (scope->start)
            enter(explorer, move, scope->start);
        else
            number_add(&move->place, ENDED);
    }
}

static void succeed(const struct explorer *explorer, struct move *move,
                    const struct outline_state *state)
{
    for (size_t p = 0; p < explorer->model->pairs_count; p++) {
        if (explorer->model->pairs[p].done == state)
            move->owed |= 1u << p;
    }
    const struct outline_state *next = asl_model_next(state);
    if (next)
        enter(explorer, move, next);
    else
        move->type = MOVE_ENDED;
}

static struct move move_make(uint32_t owed)
{
    return (struct move){.type = MOVE_ON, .owed = owed, .too_much = -1};
}

static void step_tell(struct explorer *explorer, const struct outline_state *state,
                      const char *what, const char *more)
{
    buffer_clear(&explorer->step);
    buffer_append_format(&explorer->step, "%s %s%s", state->name, what, more);
}

/* The state fails: a catcher takes it, or its scope fails. */
static void fail(struct explorer *explorer, const struct outline_state *state, const char *error,
                 bool from_branch, bool by_design, uint32_t owed, move_sink *sink, void *context)
{
    struct move move = move_make(owed);
    const struct outline_edge *edge = asl_model_catcher(state, error, from_branch);
    if (edge) {
        enter(explorer, &move, edge->to);
    } else {
        move.type = MOVE_FAILED;
        move.error = error;
        move.uncaught = !by_design;
    }
    sink(explorer, &move, context);
}

/* False past the bound: what the failures of a Task lead to is looked for in the lists of its catchers. */
static bool failures_are_affordable(struct explorer *explorer, const struct outline_state *state)
{
    size_t names = 1;
    for (size_t e = 0; e < state->edges_count; e++)
        names += 1 + json_size(json_get(state->edges[e].document, "ErrorEquals"));
    explorer->comparisons += names * explorer->names.count;
    if (explorer->comparisons > ASL_MODEL_COMPARISONS_MAX)
        explorer->result->complete = false;
    return explorer->comparisons <= ASL_MODEL_COMPARISONS_MAX;
}

static void task_moves(struct explorer *explorer, const struct outline_state *state, uint32_t owed,
                       move_sink *sink, void *context)
{
    struct move move = move_make(owed);
    step_tell(explorer, state, "succeeds", "");
    succeed(explorer, &move, state);
    sink(explorer, &move, context);
    size_t failures = failures_are_affordable(explorer, state) ? explorer->names.count : 0;
    for (size_t i = failures; i-- > 0;) {
        step_tell(explorer, state, "fails with ", explorer->names.items[i]);
        fail(explorer, state, explorer->names.items[i], false, false, owed, sink, context);
    }
}

static void choice_moves(struct explorer *explorer, const struct outline_state *state,
                         uint32_t owed, move_sink *sink, void *context)
{
    for (size_t e = 0; e < state->edges_count; e++) {
        struct move move = move_make(owed);
        step_tell(explorer, state, "chooses ", state->edges[e].to->name);
        enter(explorer, &move, state->edges[e].to);
        sink(explorer, &move, context);
    }
    if (!json_get(state->document, "Default")) {
        step_tell(explorer, state, "finds no rule that fits", "");
        fail(explorer, state, ASL_ERROR_NO_CHOICE, false, false, owed, sink, context);
    }
}

/* A Fail whose error comes from the data may have any. */
static void fail_moves(struct explorer *explorer, const struct outline_state *state, uint32_t owed,
                       move_sink *sink, void *context)
{
    const char *own = json_string_or(json_get(state->document, "Error"), NULL);
    bool any = json_get(state->document, "ErrorPath") != NULL;
    for (size_t i = 0; i < explorer->names.count; i++) {
        const char *name = explorer->names.items[i];
        bool fits = any || strcmp(name, own ? own : ERROR_OTHER) == 0;
        step_tell(explorer, state, "ends the run or branch with ", name);
        if (fits)
            fail(explorer, state, name, false, true, owed, sink, context);
    }
}

static void moves_of(struct explorer *explorer, const uint16_t *at, uint32_t owed, move_sink *sink,
                     void *context);

/* The length of what stands at a place, in numbers. */
static size_t length_of(const struct explorer *explorer, const uint16_t *at)
{
    if (*at == ENDED)
        return 1;
    const struct outline_state *state = explorer->by_serial[*at];
    size_t length = 1, inner = state->scopes_count * asl_model_copies(state);
    for (size_t i = 0; i < inner; i++)
        length += length_of(explorer, at + length);
    return length;
}

/* A branch of a Parallel or Map has moved: what does that make of the whole? */
struct branch_context {
    const struct outline_state *state;
    const uint16_t *start; /* of the Parallel or Map */
    size_t length;
    const uint16_t *branch; /* of the branch that moves */
    size_t branch_length;
    move_sink *sink;
    void *context;
};

static bool all_ended(const struct explorer *explorer, const uint16_t *start)
{
    const struct outline_state *state = explorer->by_serial[*start];
    const uint16_t *at = start + 1;
    for (size_t i = 0; i < state->scopes_count * asl_model_copies(state); i++) {
        if (*at != ENDED)
            return false;
        at++;
    }
    return true;
}

static void branch_moved(struct explorer *explorer, struct move *inner, void *context)
{
    const struct branch_context *branch = context;
    if (inner->type == MOVE_FAILED) {
        const struct outline_edge *edge = asl_model_catcher(branch->state, inner->error, true);
        struct move move = move_make(inner->owed);
        move.too_much = inner->too_much;
        if (edge) {
            enter(explorer, &move, edge->to);
        } else {
            move.type = MOVE_FAILED;
            move.error = inner->error;
            move.uncaught = inner->uncaught;
        }
        branch->sink(explorer, &move, branch->context);
        return;
    }
    struct move move = move_make(inner->owed);
    move.too_much = inner->too_much;
    for (const uint16_t *at = branch->start; at < branch->branch; at++)
        number_add(&move.place, *at);
    if (inner->type == MOVE_ENDED)
        number_add(&move.place, ENDED);
    for (size_t i = 0; inner->type == MOVE_ON && i < inner->place.count; i++)
        number_add(&move.place, inner->place.items[i]);
    move.place.full = move.place.full || inner->place.full;
    for (const uint16_t *at = branch->branch + branch->branch_length;
         at < branch->start + branch->length; at++)
        number_add(&move.place, *at);
    if (!move.place.full && all_ended(explorer, move.place.items)) {
        move.place.count = 0;
        succeed(explorer, &move, branch->state);
    }
    branch->sink(explorer, &move, branch->context);
}

/* Branches do not see each other, so one after the other stands for any order; except where a
 * state of a pair is among them, since a failure elsewhere may come before or after it. */
static void branches_move(struct explorer *explorer, const uint16_t *start, uint32_t owed,
                          move_sink *sink, void *context)
{
    const struct outline_state *state = explorer->by_serial[*start];
    struct branch_context branch = {.state = state,
                                    .start = start,
                                    .length = length_of(explorer, start),
                                    .sink = sink,
                                    .context = context};
    const uint16_t *at = start + 1;
    bool moved = false;
    for (size_t i = 0; i < state->scopes_count * asl_model_copies(state); i++) {
        branch.branch = at;
        branch.branch_length = length_of(explorer, at);
        if (*at != ENDED && (!moved || explorer->has_pair[state->serial])) {
            moves_of(explorer, at, owed, branch_moved, &branch);
            moved = true;
        }
        at += branch.branch_length;
    }
}

static void moves_of(struct explorer *explorer, const uint16_t *at, uint32_t owed, move_sink *sink,
                     void *context)
{
    const struct outline_state *state = explorer->by_serial[*at];
    struct move move = move_make(owed);
    switch (state->type) {
    case OUTLINE_TASK:
        task_moves(explorer, state, owed, sink, context);
        break;
    case OUTLINE_CHOICE:
        choice_moves(explorer, state, owed, sink, context);
        break;
    case OUTLINE_FAIL:
        fail_moves(explorer, state, owed, sink, context);
        break;
    case OUTLINE_PARALLEL:
    case OUTLINE_MAP:
        branches_move(explorer, at, owed, sink, context);
        break;
    case OUTLINE_PASS:
    case OUTLINE_WAIT:
    case OUTLINE_SUCCEED:
        if (!asl_model_next(state) && !state->ends)
            break; /* no way on */
        step_tell(explorer, state, state->type == OUTLINE_SUCCEED ? "ends" : "goes on", "");
        succeed(explorer, &move, state);
        sink(explorer, &move, context);
        break;
    case OUTLINE_UNKNOWN:
        break;
    }
}

/* -- all places -- */

static size_t place_hash(const uint16_t *numbers, size_t count, uint32_t owed)
{
    uint64_t hash = 1469598103934665603u ^ owed; /* FNV-1a */
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ numbers[i]) * 1099511628211u;
    return (size_t)(hash ^ (hash >> 29)) % (2 * ASL_MODEL_PLACES_MAX);
}

static struct place *place_new(struct explorer *explorer)
{
    size_t count = explorer->result->places;
    if (count == explorer->places_capacity) {
        explorer->places_capacity = count ? 2 * count : 256;
        explorer->places =
            must_realloc(explorer->places, explorer->places_capacity * sizeof *explorer->places);
    }
    explorer->result->places++;
    return &explorer->places[count];
}

/* The number of the place, which is new when no run got there before; SIZE_MAX past the bound. */
static size_t place_find(struct explorer *explorer, const uint16_t *numbers, size_t count,
                         uint32_t owed)
{
    size_t slot = place_hash(numbers, count, owed);
    while (explorer->buckets[slot]) {
        const struct place *place = &explorer->places[explorer->buckets[slot] - 1];
        if (place->count == count && place->owed == owed &&
            memcmp(place->numbers, numbers, count * sizeof *numbers) == 0)
            return explorer->buckets[slot] - 1;
        slot = (slot + 1) % (2 * ASL_MODEL_PLACES_MAX);
    }
    if (explorer->result->places == ASL_MODEL_PLACES_MAX) {
        explorer->result->complete = false;
        return SIZE_MAX;
    }
    struct place *place = place_new(explorer);
    size_t number = explorer->result->places - 1;
    *place = (struct place){.numbers = must_calloc(count + 1, sizeof *numbers),
                            .count = count,
                            .owed = owed,
                            .before = number == 0 ? 0 : explorer->at,
                            .step = must_strdup(buffer_text(&explorer->step))};
    memcpy(place->numbers, numbers, count * sizeof *numbers);
    explorer->buckets[slot] = number + 1;
    return number;
}

static void way_add(struct explorer *explorer, size_t to)
{
    if (explorer->ways_count == explorer->ways_capacity) {
        explorer->ways_capacity = explorer->ways_capacity ? 2 * explorer->ways_capacity : 1024;
        explorer->ways =
            must_realloc(explorer->ways, explorer->ways_capacity * sizeof *explorer->ways);
    }
    explorer->ways[explorer->ways_count++] = (struct way){explorer->at, to};
}

/* -- faults -- */

static void fault_add(struct explorer *explorer, enum asl_model_fault_type type, size_t pair,
                      size_t place, const char *last_step, const char *text)
{
    struct asl_model_result *result = explorer->result;
    if (explorer->told[type][pair])
        return;
    explorer->told[type][pair] = true;
    result->faults =
        must_realloc(result->faults, (result->faults_count + 1) * sizeof *result->faults);
    struct asl_model_fault *fault = &result->faults[result->faults_count++];
    size_t count = last_step ? 1 : 0;
    for (size_t at = place; at != 0; at = explorer->places[at].before)
        count++;
    *fault = (struct asl_model_fault){type, must_strdup(text),
                                      must_calloc(count + 1, sizeof *fault->path), count};
    if (last_step)
        fault->path[--count] = must_strdup(last_step);
    for (size_t at = place; at != 0; at = explorer->places[at].before)
        fault->path[--count] = must_strdup(explorer->places[at].step);
}

static void pair_fault(struct explorer *explorer, enum asl_model_fault_type type, size_t pair)
{
    const struct asl_model_pair *states = &explorer->model->pairs[pair];
    struct buffer text = {0};
    if (type == ASL_MODEL_UNDO_TOO_MUCH)
        buffer_append_format(&text, "\"%s\" runs when there is nothing of \"%s\" to undo",
                             states->undo->name, states->done->name);
    else
        buffer_append_format(&text,
                             "a run fails after \"%s\" has succeeded, and \"%s\" has not run",
                             states->done->name, states->undo->name);
    fault_add(explorer, type, pair, explorer->at, buffer_text(&explorer->step), buffer_text(&text));
    buffer_fini(&text);
}

/* -- exploring -- */

/* What a step makes of a whole run. */
static void run_moved(struct explorer *explorer, struct move *move, void *context)
{
    bool *stuck = context;
    *stuck = false;
    if (move->too_much >= 0)
        pair_fault(explorer, ASL_MODEL_UNDO_TOO_MUCH, (size_t)move->too_much);
    for (size_t p = 0; move->type == MOVE_FAILED && p < explorer->model->pairs_count; p++) {
        if (move->owed & (1u << p))
            pair_fault(explorer, ASL_MODEL_UNDO_MISSING, p);
    }
    uint16_t end = move->type == MOVE_ENDED ? RUN_SUCCEEDED : RUN_FAILED;
    if (move->place.full)
        explorer->result->complete = false;
    size_t to = move->place.full ? SIZE_MAX
                : move->type == MOVE_ON
                    ? place_find(explorer, move->place.items, move->place.count, move->owed)
                    : place_find(explorer, &end, 1, 0);
    if (to != SIZE_MAX && !move->uncaught)
        way_add(explorer, to);
}

static void places_explore(struct explorer *explorer)
{
    struct move start = move_make(0);
    enter(explorer, &start, explorer->model->outline->scope.start);
    buffer_append_text(&explorer->step, "the run starts");
    if (start.place.full)
        explorer->result->complete = false;
    else
        place_find(explorer, start.place.items, start.place.count, start.owed);
    for (size_t p = 0; start.too_much == (int)p && p < explorer->model->pairs_count; p++)
        pair_fault(explorer, ASL_MODEL_UNDO_TOO_MUCH, p);
    for (size_t at = 0; at < explorer->result->places; at++) {
        uint16_t first = explorer->places[at].numbers[0];
        bool stuck = true;
        explorer->at = at;
        if (first == RUN_SUCCEEDED || first == RUN_FAILED)
            continue;
        /* The numbers are copied: the list of places may move while its ways are added. */
        size_t count = explorer->places[at].count;
        uint16_t *numbers = must_calloc(count + 1, sizeof *numbers);
        memcpy(numbers, explorer->places[at].numbers, count * sizeof *numbers);
        moves_of(explorer, numbers, explorer->places[at].owed, run_moved, &stuck);
        free(numbers);
        if (stuck)
            fault_add(explorer, ASL_MODEL_STUCK, 0, at, NULL, "a run gets stuck");
    }
}

/* Backwards from the ends: whoever is not met on the way cannot get to one. */
static void ends_spread(struct explorer *explorer)
{
    size_t places = explorer->result->places, tail = 0;
    size_t *first = must_calloc(places + 2, sizeof *first);
    size_t *sources = must_calloc(explorer->ways_count + 1, sizeof *sources);
    size_t *queue = must_calloc(places + 1, sizeof *queue);
    for (size_t i = 0; i < explorer->ways_count; i++)
        first[explorer->ways[i].to + 2]++;
    for (size_t i = 2; i < places + 2; i++)
        first[i] += first[i - 1];
    for (size_t i = 0; i < explorer->ways_count; i++)
        sources[first[explorer->ways[i].to + 1]++] = explorer->ways[i].from;
    for (size_t i = 0; i < places; i++) {
        uint16_t number = explorer->places[i].numbers[0];
        explorer->places[i].ends_by_design = number == RUN_SUCCEEDED || number == RUN_FAILED;
        if (explorer->places[i].ends_by_design)
            queue[tail++] = i;
    }
    for (size_t head = 0; head < tail; head++) {
        for (size_t k = first[queue[head]]; k < first[queue[head] + 1]; k++) {
            if (!explorer->places[sources[k]].ends_by_design) {
                explorer->places[sources[k]].ends_by_design = true;
                queue[tail++] = sources[k];
            }
        }
    }
    free(first);
    free(sources);
    free(queue);
}

static void endless_check(struct explorer *explorer)
{
    if (!explorer->result->complete || explorer->told[ASL_MODEL_STUCK][0])
        return;
    ends_spread(explorer);
    for (size_t i = 0; i < explorer->result->places; i++) {
        if (!explorer->places[i].ends_by_design) {
            fault_add(explorer, ASL_MODEL_ENDLESS, 0, i, NULL,
                      "a run gets to where no Choice and no Catch leads to an end any more");
            return;
        }
    }
}

/* Marks every Parallel and Map that the wanted state lies in. */
static bool mark_around(struct explorer *explorer, const struct outline_scope *scope,
                        const struct outline_state *wanted)
{
    bool found = false;
    for (size_t i = 0; i < scope->count; i++) {
        const struct outline_state *state = &scope->states[i];
        explorer->by_serial[state->serial] = state;
        bool inside = false;
        for (size_t k = 0; k < state->scopes_count; k++)
            inside = mark_around(explorer, &state->scopes[k], wanted) || inside;
        if (inside)
            explorer->has_pair[state->serial] = true;
        found = found || inside || state == wanted;
    }
    return found;
}

void asl_model_explore(const struct asl_model *model, struct asl_model_result *result)
{
    size_t states = model->outline->states_count;
    *result = (struct asl_model_result){.complete = true};
    if (!model->outline->scope.start)
        return;
    struct explorer explorer = {
        .model = model,
        .result = result,
        .has_pair = must_calloc(states + 1, sizeof *explorer.has_pair),
        .by_serial = must_calloc(states + 1, sizeof *explorer.by_serial),
        .buckets = must_calloc(2 * ASL_MODEL_PLACES_MAX, sizeof *explorer.buckets)};
    asl_model_errors_collect(&explorer.names, model->outline);
    result->complete = !explorer.names.too_many;
    mark_around(&explorer, &model->outline->scope, NULL);
    for (size_t p = 0; p < model->pairs_count; p++) {
        mark_around(&explorer, &model->outline->scope, model->pairs[p].undo);
        mark_around(&explorer, &model->outline->scope, model->pairs[p].done);
    }
    places_explore(&explorer);
    endless_check(&explorer);
    for (size_t i = 0; i < result->places; i++) {
        free(explorer.places[i].numbers);
        free(explorer.places[i].step);
    }
    free(explorer.places);
    free(explorer.buckets);
    free(explorer.ways);
    free(explorer.has_pair);
    free(explorer.by_serial);
    asl_model_errors_fini(&explorer.names);
    buffer_fini(&explorer.step);
}

void asl_model_fini(struct asl_model_result *result)
{
    for (size_t i = 0; i < result->faults_count; i++) {
        for (size_t k = 0; k < result->faults[i].path_count; k++)
            free(result->faults[i].path[k]);
        free(result->faults[i].path);
        free(result->faults[i].text);
    }
    free(result->faults);
    *result = (struct asl_model_result){0};
}
