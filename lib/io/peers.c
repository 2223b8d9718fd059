/* SPDX-License-Identifier: MIT */
#include "io/peers.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRY_US 1000000   /* longest time for a connection to come about */
#define AGAIN_US 1000000 /* from the end of one to the next try */
#define BACKLOG 64
#define EVENTS 32
#define PLACE_LISTENER UINT64_MAX
#define PLACE_GUEST (UINT64_C(1) << 32) /* added to a guest's place */

struct peer {
    struct uuid id; /* zero: the place is free */
    char address[PEER_ADDRESS_BYTES];
    int fd; /* -1: none */
    enum peer_state state;
    int64_t since_us;
    bool wanted;
    char hello[UUID_TEXT_BYTES];
    size_t hello_bytes;
};

struct peers {
    char self[UUID_TEXT_BYTES];
    int listener, epoll_fd, port;
    struct peer peers[INSTANCES_MAX];
    int guests[INSTANCES_MAX]; /* connections of others, -1: free */
    bool changed;
};

static void watch_fd(struct peers *peers, int fd, uint32_t events, uint64_t place)
{
    struct epoll_event event = {.events = events, .data.u64 = place};
    epoll_ctl(peers->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int listen_on(const char *address, int port, struct error *error)
{
    char service[16];
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found = NULL;
    snprintf(service, sizeof service, "%d", port);
    int failed = getaddrinfo(*address == '\0' ? NULL : address, service, &hints, &found);
    int fd = failed ? -1 : socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        (void)error_set(error, ERR_CONFIG, "cannot listen for other instances on %s port %d: %s",
                        address, port, failed ? gai_strerror(failed) : strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_storage own;
    socklen_t bytes = sizeof own;
    char service[NI_MAXSERV] = "0";
    if (getsockname(fd, (struct sockaddr *)&own, &bytes) == 0)
        getnameinfo((struct sockaddr *)&own, bytes, NULL, 0, service, sizeof service,
                    NI_NUMERICSERV);
    return (int)strtol(service, NULL, 10);
}

enum error_code peers_open(struct peers **out, const char *bind_address, int port,
                           const struct uuid *self, struct error *error)
{
    int listener = listen_on(bind_address, port, error);
    if (listener < 0)
        return ERR_CONFIG;
    struct peers *peers = must_calloc(1, sizeof *peers);
    uuid_format(self, peers->self);
    peers->listener = listener;
    peers->port = port_of(listener);
    peers->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    BUG_IF(peers->epoll_fd < 0);
    for (int i = 0; i < INSTANCES_MAX; i++)
        peers->peers[i].fd = peers->guests[i] = -1;
    watch_fd(peers, listener, EPOLLIN, PLACE_LISTENER);
    *out = peers;
    return ERR_OK;
}

void peers_free(struct peers *peers)
{
    if (peers == NULL)
        return;
    for (int i = 0; i < INSTANCES_MAX; i++) {
        if (peers->peers[i].fd >= 0)
            close(peers->peers[i].fd);
        if (peers->guests[i] >= 0)
            close(peers->guests[i]);
    }
    close(peers->listener);
    close(peers->epoll_fd);
    free(peers);
}

int peers_port(const struct peers *peers) { return peers->port; }
int peers_fd(const struct peers *peers) { return peers->epoll_fd; }

/* The only place that moves a peer from one state to another. */
static void enter(struct peers *peers, struct peer *peer, enum peer_state state, int64_t now_us)
{
    if (state != PEER_TRYING && state != PEER_LINKED && peer->fd >= 0) {
        close(peer->fd);
        peer->fd = -1;
    }
    peers->changed = peers->changed || peer->state != state;
    peer->state = state;
    peer->since_us = now_us;
}

static bool resolve(const char *address, struct sockaddr_storage *to, socklen_t *to_bytes)
{
    char host[PEER_ADDRESS_BYTES];
    const char *colon = strrchr(address, ':');
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV},
                    *found = NULL;
    if (colon == NULL)
        return false;
    bool brackets = address[0] == '[' && colon > address && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(colon - address) - (brackets ? 2 : 0),
             address + brackets);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return false;
    memcpy(to, found->ai_addr, found->ai_addrlen);
    *to_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static void try_again(struct peers *peers, struct peer *peer, int64_t now_us)
{
    struct sockaddr_storage to;
    socklen_t bytes;
    int one = 1;
    peer->hello_bytes = 0;
    if (!resolve(peer->address, &to, &bytes)) {
        enter(peers, peer, PEER_UNKNOWN, now_us);
        return;
    }
    peer->fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (peer->fd < 0) {
        enter(peers, peer, PEER_UNKNOWN, now_us);
        return;
    }
    setsockopt(peer->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    if (connect(peer->fd, (struct sockaddr *)&to, bytes) != 0 && errno != EINPROGRESS) {
        enter(peers, peer, errno == ECONNREFUSED ? PEER_ENDED : PEER_UNKNOWN, now_us);
        return;
    }
    enter(peers, peer, PEER_TRYING, now_us);
    watch_fd(peers, peer->fd, EPOLLIN | EPOLLRDHUP, (uint64_t)(peer - peers->peers));
}

static struct peer *find(const struct peers *peers, const struct uuid *id)
{
    for (int i = 0; i < INSTANCES_MAX; i++)
        if (uuid_equal(&peers->peers[i].id, id))
            return (struct peer *)&peers->peers[i];
    return NULL;
}

void peers_watch(struct peers *peers, const struct uuid *id, const char *address, int64_t now_us)
{
    static const struct uuid nobody;
    struct peer *peer = find(peers, id);
    bool fresh = peer == NULL;
    if (fresh)
        peer = find(peers, &nobody);
    if (peer == NULL)
        return; /* it stays unknown: its lease tells */
    if (fresh)
        *peer = (struct peer){.id = *id, .fd = -1};
    bool moved = strcmp(peer->address, address) != 0;
    snprintf(peer->address, sizeof peer->address, "%s", address);
    peer->wanted = true;
    if (moved && peer->fd >= 0) {
        close(peer->fd);
        peer->fd = -1;
    }
    if (moved || (peer->fd < 0 && now_us - peer->since_us >= AGAIN_US))
        try_again(peers, peer, now_us);
}

enum peer_state peers_state(const struct peers *peers, const struct uuid *id, int64_t *since_us)
{
    const struct peer *peer = find(peers, id);
    *since_us = peer == NULL ? 0 : peer->since_us;
    return peer == NULL ? PEER_UNKNOWN : peer->state;
}

void peers_sweep(struct peers *peers)
{
    for (int i = 0; i < INSTANCES_MAX; i++) {
        struct peer *peer = &peers->peers[i];
        if (!peer->wanted) {
            if (peer->fd >= 0)
                close(peer->fd);
            *peer = (struct peer){.fd = -1};
        }
        peer->wanted = false;
    }
}

int peers_linked(const struct peers *peers)
{
    int count = 0;
    for (int i = 0; i < INSTANCES_MAX; i++)
        count += peers->peers[i].state == PEER_LINKED;
    return count;
}

static void greet(struct peers *peers)
{
    int fd;
    while ((fd = accept4(peers->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        int place = 0;
        while (place < INSTANCES_MAX && peers->guests[place] >= 0)
            place++;
        if (place == INSTANCES_MAX ||
            send(fd, peers->self, UUID_TEXT_BYTES - 1, MSG_NOSIGNAL) != UUID_TEXT_BYTES - 1) {
            close(fd);
            continue;
        }
        int one = 1; /* one whose machine is gone says nothing more: its place is wanted */
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        peers->guests[place] = fd;
        watch_fd(peers, fd, EPOLLIN | EPOLLRDHUP, PLACE_GUEST + (uint64_t)place);
    }
}

/* Guests say nothing; what they send is thrown away. */
static void hear_guest(struct peers *peers, int place)
{
    char octets[256];
    ssize_t got = recv(peers->guests[place], octets, sizeof octets, 0);
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    close(peers->guests[place]);
    peers->guests[place] = -1;
}

static void hear_peer(struct peers *peers, struct peer *peer, int64_t now_us)
{
    char expected[UUID_TEXT_BYTES], rest[256];
    bool greeted = peer->hello_bytes == UUID_TEXT_BYTES - 1;
    if (peer->fd < 0)
        return;
    ssize_t got = greeted ? recv(peer->fd, rest, sizeof rest, 0)
                          : recv(peer->fd, peer->hello + peer->hello_bytes,
                                 UUID_TEXT_BYTES - 1 - peer->hello_bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        bool silent = errno == EHOSTUNREACH || errno == ENETUNREACH || errno == ETIMEDOUT;
        enter(peers, peer, got < 0 && silent ? PEER_UNKNOWN : PEER_ENDED, now_us);
        return;
    }
    if (greeted)
        return;
    peer->hello_bytes += (size_t)got;
    if (peer->hello_bytes < UUID_TEXT_BYTES - 1)
        return;
    uuid_format(&peer->id, expected);
    bool fits = memcmp(expected, peer->hello, UUID_TEXT_BYTES - 1) == 0;
    enter(peers, peer, fits ? PEER_LINKED : PEER_ENDED, now_us);
}

bool peers_poll(struct peers *peers, int64_t now_us)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(peers->epoll_fd, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
        uint64_t place = events[i].data.u64;
        if (place == PLACE_LISTENER)
            greet(peers);
        else if (place >= PLACE_GUEST)
            hear_guest(peers, (int)(place - PLACE_GUEST));
        else
            hear_peer(peers, &peers->peers[place], now_us);
    }
    for (int i = 0; i < INSTANCES_MAX; i++)
        if (peers->peers[i].state == PEER_TRYING && now_us - peers->peers[i].since_us >= TRY_US)
            enter(peers, &peers->peers[i], PEER_UNKNOWN, now_us);
    bool changed = peers->changed;
    peers->changed = false;
    return changed;
}

int64_t peers_due_us(const struct peers *peers)
{
    int64_t due_us = INT64_MAX;
    for (int i = 0; i < INSTANCES_MAX; i++)
        if (peers->peers[i].state == PEER_TRYING && peers->peers[i].since_us + TRY_US < due_us)
            due_us = peers->peers[i].since_us + TRY_US;
    return due_us;
}
