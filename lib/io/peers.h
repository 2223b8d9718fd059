/* SPDX-License-Identifier: MIT */
/* peers.h - a plain TCP connection to each other process of a group, on which nothing is sent but a name: its
 * end tells at once that the process is gone.
 *
 * Whoever is connected to says who it is, so that an address that another process has taken over meanwhile does
 * not pass for the old one. A stopped process keeps its connections.
 *
 * Owns      The listening socket, the connections, one epoll descriptor.
 * Lifetime  Ids and addresses are copied in.
 * Threads   One thread owns a struct peers.
 * Units     *_us by clock_monotonic_us.
 * Errors    ERR_CONFIG when it cannot listen.
 */
#ifndef IO_PEERS_H
#define IO_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/uuid.h"

#define PEER_ADDRESS_BYTES 128 /* "10.0.0.7:41234", "[::1]:41234" */

struct peers;

enum peer_state {
    PEER_UNKNOWN, /* never asked for, or nothing answers at its address */
    PEER_TRYING,
    PEER_LINKED,
    PEER_ENDED, /* the connection ended, was refused, or somebody else answers there */
};

/* port 0 takes a free one. */
enum error_code peers_open(struct peers **peers, const char *bind_address, int port,
                           const struct uuid *self, struct error *error) MUST_USE;
void peers_free(struct peers *peers);
int peers_port(const struct peers *peers);
int peers_fd(const struct peers *peers); /* readable when peers_poll has something to do */
/* True when the state of a peer has changed. Never waits. */
bool peers_poll(struct peers *peers, int64_t now_us);
/* When peers_poll is due though nothing came; INT64_MAX: never. */
int64_t peers_due_us(const struct peers *peers);

/* Keeps a connection to the peer; one that ended is tried again after a while. The address is numeric. */
void peers_watch(struct peers *peers, const struct uuid *id, const char *address, int64_t now_us);
enum peer_state peers_state(const struct peers *peers, const struct uuid *id, int64_t *since_us);
/* Between two calls of these, peers that were not watched again are forgotten. */
void peers_sweep(struct peers *peers);
int peers_linked(const struct peers *peers);

#endif
