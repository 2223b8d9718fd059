/* SPDX-License-Identifier: MIT */
/* asl_flow.h - how data flow through a state: InputPath, Parameters, ResultSelector, ResultPath,
 * OutputPath, variables, and the context object. For asl_*.c only.
 *
 * Owns      struct asl_data holds one reference; functions that replace *data release the old one.
 * Errors    False with *failure, the error that the state fails with.
 */
#ifndef CORE_ASL_FLOW_H
#define CORE_ASL_FLOW_H

#include "core/asl_frame.h"

void asl_data_fini(struct asl_data *data);
/* False when the data are larger than a state may have. */
bool asl_data_fits(struct asl_execution *execution, struct asl_data *data,
                   const struct asl_state *state, struct asl_failure *failure) MUST_USE;

/* A view of data for the frame's state; the context is made only when a path looks at it. The item
 * is that of ItemSelector, else NULL. */
struct asl_item {
    size_t index;
    const struct json *value;
};
struct asl_view asl_view_open(struct asl_execution *execution, const struct asl_frame *frame,
                              const struct asl_item *item, const struct json *data);
void asl_view_close(struct asl_view *view);

/* The state's effective input: InputPath, then Parameters when `shape`. */
bool asl_flow_input(struct asl_execution *execution, const struct asl_frame *frame, bool shape,
                    struct asl_data *input, struct asl_failure *failure) MUST_USE;
/* What OutputPath selects of data. */
bool asl_flow_output(struct asl_execution *execution, const struct asl_frame *frame,
                     const struct asl_data *data, struct asl_data *output,
                     struct asl_failure *failure) MUST_USE;
/* A template (Parameters, ResultSelector, ItemSelector; NULL: nothing to do); *data is replaced. */
bool asl_flow_shape(struct asl_execution *execution, const struct asl_frame *frame,
                    const struct asl_template *template, const struct asl_item *item,
                    struct asl_data *data, struct asl_failure *failure) MUST_USE;
/* Puts a result into the raw input at ResultPath; *data, the result, is replaced. */
bool asl_flow_combine(struct asl_execution *execution, const struct asl_frame *frame,
                      const struct jsonpath *path, bool discarded, struct asl_data *data,
                      struct asl_failure *failure) MUST_USE;
/* Evaluates an Assign (NULL: nothing to do) against data. The new values hold once the state is
 * left: until then all of it sees the variables as they were when it was entered. */
bool asl_flow_assign(struct asl_execution *execution, struct asl_frame *frame,
                     const struct asl_template *assign, const struct asl_data *data,
                     struct asl_failure *failure) MUST_USE;

#endif
