/* SPDX-License-Identifier: MIT */
/* process.h - what this process uses, as metrics: resident memory, CPU time, descriptors, start time.
 *
 * Threads   process_metrics_update from any thread; it reads /proc, so it is called when metrics are
 *           read, not by a timer.
 */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

void process_metrics_start(void); /* once, after metrics_init: start time and build_info */
void process_metrics_update(void);

#endif
