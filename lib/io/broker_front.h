/* SPDX-License-Identifier: MIT */
/* broker_front.h - what clients of the development broker connect to: hands their messages to the brokers
 * behind it, and coordinates consumer groups itself (core/group_coordinator.h), because librdkafka's mock
 * cluster knows no static membership and lets each rebalance wait for nearly a session timeout.
 *
 * Owns      A thread, a listener on a free port of 127.0.0.1 for each broker, all connections.
 * Threads   start and stop from one thread.
 * Errors    ERR_IO when no socket can be had. A connection that says what is not understood is closed.
 */
#ifndef IO_BROKER_FRONT_H
#define IO_BROKER_FRONT_H

#include "base/error.h"

struct broker_front;

/* Ports of the brokers on 127.0.0.1. */
enum error_code broker_front_start(struct broker_front **front, const int *ports, int count,
                                   struct error *error) MUST_USE;
int broker_front_port(const struct broker_front *front,
                      int broker);                  /* to be used in place of its own */
void broker_front_stop(struct broker_front *front); /* NULL is fine */

#endif
