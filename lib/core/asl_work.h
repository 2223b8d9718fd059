/* SPDX-License-Identifier: MIT */
/* asl_work.h - what each kind of state does with its input, and how a frame goes on afterwards.
 * For asl_*.c only.
 *
 * Owns      Functions that take *data over leave it empty.
 */
#ifndef CORE_ASL_WORK_H
#define CORE_ASL_WORK_H

#include "core/asl_flow.h"

/* asl_work.c: does the state's work, given its effective input, which is taken over unless there is
 * a failure. */
void asl_work(struct asl_execution *execution, struct asl_frame *frame, struct asl_data *input,
              struct asl_failure *failure);
/* asl_work.c: a child of the frame has this output, which is taken over. */
void asl_work_child_ended(struct asl_execution *execution, struct asl_frame *frame, uint32_t branch,
                          struct asl_data *output);

/* asl_step.c: the frame goes on with the given state; *data is taken over. */
void asl_frame_go(struct asl_execution *execution, struct asl_frame *frame,
                  const struct asl_state *state, struct asl_data *data);
/* asl_step.c: applies OutputPath and leaves for the given state, NULL: the end; *data is taken
 * over. */
void asl_state_output(struct asl_execution *execution, struct asl_frame *frame,
                      const struct asl_state *next, struct asl_data *data);
/* asl_step.c: the state's work has this result, which is taken over. */
void asl_state_succeeded(struct asl_execution *execution, struct asl_frame *frame,
                         struct asl_data *result);
/* asl_step.c: Retry, then Catch, then whatever is around it. */
void asl_state_failed(struct asl_execution *execution, struct asl_frame *frame,
                      struct asl_failure *failure);

#endif
