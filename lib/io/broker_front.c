/* SPDX-License-Identifier: MIT */
#include "io/broker_front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "core/broker_messages.h"
#include "core/group_coordinator.h"
#include "io/clock.h"

#define BROKERS_MAX 16
#define EVENTS_MAX 64
#define CHUNK_BYTES (256 * 1024)             /* read at once */
#define UNSENT_BYTES_MAX (1024 * 1024)       /* past it nothing more is read from the other side */
#define MESSAGE_BYTES_MAX (16 * 1024 * 1024) /* of a message that is looked into */
#define ANSWER_HEAD_BYTES 8                  /* length and correlation id */
#define LOOKED_INTO_MAX 64 /* requests of a connection whose answers hold addresses, at one time */

enum end { CLIENT, BROKER, ENDS };

struct connection;

/* What epoll gives back. */
struct watched {
    struct connection *connection; /* NULL: a listener, or the wake-up */
    enum end end;
    int listener; /* -1: the wake-up */
};

/* One end of a connection: what came from it and what goes to it. */
struct stream {
    int fd;
    struct watched watched;
    uint32_t interest;
    struct buffer
        held;       /* the beginning of a message from here, until it is known what to do with it */
    size_t passing; /* octets left of a message from here that is handed on unseen */
    struct buffer unsent; /* to here */
    size_t sent;          /* of unsent */
};

struct connection {
    struct connection *next;
    struct stream ends[ENDS];
    struct buffer answers; /* of our own, to be sent between two messages of the broker */
    struct broker_request looked_into[LOOKED_INTO_MAX];
    int looked_into_count;
    bool over;
};

struct open_request {
    uint64_t ticket;
    struct connection *connection;
    struct broker_request head;
};

struct broker_front {
    int epoll_fd, wake_fd;
    int listeners[BROKERS_MAX];
    struct broker_port ports[BROKERS_MAX];
    struct watched watched[BROKERS_MAX + 1];
    int count;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    struct connection *connections;
    struct open_request *requests;
    size_t requests_count, requests_capacity;
    uint64_t tickets;
    struct group_coordinator coordinator;
    char chunk[CHUNK_BYTES];
};

/* -- sockets -- */

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int listen_anywhere(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) != 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

/* The mock cluster keeps an answer back until the one before is acknowledged, which takes 40 ms otherwise.
 * The kernel forgets this setting. Where it cannot be had nothing is lost but that time. */
static void acknowledge_at_once(const struct stream *stream)
{
    static const int yes = 1;
    (void)setsockopt(stream->fd, IPPROTO_TCP, TCP_QUICKACK, &yes, sizeof(yes));
}

static size_t unsent_bytes(const struct stream *stream)
{
    return stream->unsent.bytes - stream->sent;
}

static void flush(struct connection *connection, enum end end)
{
    struct stream *stream = &connection->ends[end];
    while (!connection->over && unsent_bytes(stream) > 0) {
        ssize_t sent = send(stream->fd, stream->unsent.data + stream->sent, unsent_bytes(stream),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            connection->over = true;
        if (sent < 0)
            return;
        stream->sent += (size_t)sent;
    }
    buffer_clear(&stream->unsent);
    stream->sent = 0;
}

/* Reads from an end while the other one keeps up; from a client that takes its own answers, too. */
static void watch(struct broker_front *front, struct connection *connection)
{
    for (int end = 0; end < ENDS && !connection->over; end++) {
        struct stream *stream = &connection->ends[end];
        uint32_t interest = 0;
        size_t answers = end == CLIENT ? connection->answers.bytes + unsent_bytes(stream) : 0;
        if (unsent_bytes(&connection->ends[1 - end]) + answers < UNSENT_BYTES_MAX)
            interest |= EPOLLIN;
        if (unsent_bytes(stream) > 0)
            interest |= EPOLLOUT;
        if (interest == stream->interest)
            continue;
        struct epoll_event event = {.events = interest, .data.ptr = &stream->watched};
        if (epoll_ctl(front->epoll_fd, EPOLL_CTL_MOD, stream->fd, &event) != 0)
            connection->over = true;
        stream->interest = interest;
    }
}

/* -- connections -- */

static void accept_one(struct broker_front *front, int listener)
{
    static const int yes = 1;
    int client = accept4(front->listeners[listener], NULL, NULL, SOCK_CLOEXEC);
    if (client < 0)
        return;
    int broker = connect_to(front->ports[listener].own);
    if (broker < 0) {
        close(client);
        return;
    }
    struct connection *connection = must_calloc(1, sizeof(*connection));
    connection->ends[CLIENT].fd = client;
    connection->ends[BROKER].fd = broker;
    for (int end = 0; end < ENDS; end++) {
        struct stream *stream = &connection->ends[end];
        stream->watched = (struct watched){.connection = connection, .end = (enum end)end};
        stream->interest = EPOLLIN;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &stream->watched};
        if (setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0 ||
            epoll_ctl(front->epoll_fd, EPOLL_CTL_ADD, stream->fd, &event) != 0)
            connection->over = true;
    }
    connection->next = front->connections;
    front->connections = connection;
}

static void free_connection(struct connection *connection)
{
    for (int end = 0; end < ENDS; end++) {
        close(connection->ends[end].fd);
        buffer_fini(&connection->ends[end].held);
        buffer_fini(&connection->ends[end].unsent);
    }
    buffer_fini(&connection->answers);
    free(connection);
}

/* Its open requests are forgotten; whoever sent them may come back on another connection. */
static void forget_requests(struct broker_front *front, const struct connection *connection)
{
    for (size_t i = front->requests_count; i-- > 0;) {
        if (front->requests[i].connection != connection)
            continue;
        group_coordinator_forget(&front->coordinator, clock_monotonic_us(),
                                 front->requests[i].ticket);
        front->requests[i] = front->requests[--front->requests_count];
    }
}

static void drop_connections(struct broker_front *front)
{
    for (struct connection **at = &front->connections; *at;) {
        struct connection *connection = *at;
        if (!connection->over) {
            at = &connection->next;
            continue;
        }
        *at = connection->next;
        forget_requests(front, connection);
        free_connection(connection);
    }
}

/* -- messages -- */

static void on_answer(void *context, const struct group_answer *answer)
{
    struct broker_front *front = context;
    for (size_t i = 0; i < front->requests_count; i++) {
        struct open_request *request = &front->requests[i];
        if (request->ticket != answer->ticket)
            continue;
        broker_group_answer(&request->connection->answers, &request->head, answer);
        *request = front->requests[--front->requests_count];
        return;
    }
}

static void take_group_request(struct broker_front *front, struct connection *connection,
                               const struct broker_request *head, const struct buffer *message)
{
    struct group_request request;
    struct group_assignment *assignments;
    if (!broker_group_request(message->data, message->bytes, &request, &assignments)) {
        connection->over = true;
        free(assignments);
        return;
    }
    if (front->requests_count == front->requests_capacity) {
        front->requests_capacity = front->requests_capacity * 2 + 16;
        front->requests =
            must_realloc(front->requests, sizeof(*front->requests) * front->requests_capacity);
    }
    request.ticket = ++front->tickets;
    front->requests[front->requests_count++] =
        (struct open_request){.ticket = request.ticket, .connection = connection, .head = *head};
    group_coordinator_request(&front->coordinator, clock_monotonic_us(), &request);
    free(assignments);
}

/* Hands what is held on, and lets the rest of the message follow unseen. */
static void pass_on(struct connection *connection, enum end from, size_t message_bytes)
{
    struct stream *stream = &connection->ends[from];
    buffer_append(&connection->ends[1 - from].unsent, stream->held.data, stream->held.bytes);
    stream->passing = message_bytes - stream->held.bytes;
    buffer_clear(&stream->held);
}

/* How many octets of the message must be held before it can be decided on; 0: it was dealt with. */
static size_t look_at_request(struct broker_front *front, struct connection *connection)
{
    struct buffer *held = &connection->ends[CLIENT].held;
    if (held->bytes < BROKER_HEAD_BYTES)
        return BROKER_HEAD_BYTES;
    struct broker_request head = broker_request_head(held->data);
    size_t bytes = (size_t)head.bytes + BROKER_LENGTH_BYTES;
    if (head.bytes < BROKER_HEAD_BYTES - BROKER_LENGTH_BYTES) {
        connection->over = true;
        return 0;
    }
    if (broker_request_is_of_group(&head)) {
        if (bytes > MESSAGE_BYTES_MAX)
            connection->over = true;
        else if (held->bytes < bytes)
            return bytes;
        else
            take_group_request(front, connection, &head, held);
        buffer_clear(held);
        return 0;
    }
    if (head.key == BROKER_METADATA || head.key == BROKER_FIND_COORDINATOR) {
        if (connection->looked_into_count == LOOKED_INTO_MAX)
            connection->over = true;
        else
            connection->looked_into[connection->looked_into_count++] = head;
    }
    pass_on(connection, CLIENT, bytes);
    return 0;
}

static size_t look_at_answer(struct broker_front *front, struct connection *connection)
{
    struct buffer *held = &connection->ends[BROKER].held;
    if (held->bytes < ANSWER_HEAD_BYTES)
        return ANSWER_HEAD_BYTES;
    int32_t length = broker_number(held->data);
    int32_t correlation = broker_number(held->data + BROKER_LENGTH_BYTES);
    size_t bytes = (size_t)length + BROKER_LENGTH_BYTES;
    if (length < ANSWER_HEAD_BYTES - BROKER_LENGTH_BYTES) {
        connection->over = true;
        return 0;
    }
    for (int i = 0; i < connection->looked_into_count; i++) {
        struct broker_request head = connection->looked_into[i];
        if (head.correlation != correlation)
            continue;
        if (bytes > MESSAGE_BYTES_MAX) {
            connection->over = true;
            return 0;
        }
        if (held->bytes < bytes)
            return bytes;
        connection->looked_into[i] = connection->looked_into[--connection->looked_into_count];
        if (!broker_show_ports(held->data, bytes, &head, front->ports, front->count))
            connection->over = true;
        break;
    }
    pass_on(connection, BROKER, bytes);
    return 0;
}

static void take_octets(struct broker_front *front, struct connection *connection, enum end from,
                        const char *octets, size_t bytes)
{
    size_t (*look)(struct broker_front *, struct connection *) =
        from == CLIENT ? look_at_request : look_at_answer;
    struct stream *stream = &connection->ends[from];
    while (bytes > 0 && !connection->over) {
        size_t taken = stream->passing < bytes ? stream->passing : bytes;
        if (taken > 0) {
            buffer_append(&connection->ends[1 - from].unsent, octets, taken);
            stream->passing -= taken;
        } else {
            size_t missing = look(front, connection) - stream->held.bytes;
            taken = missing < bytes ? missing : bytes;
            buffer_append(&stream->held, octets, taken);
            if (taken == missing)
                (void)look(front, connection);
        }
        octets += taken;
        bytes -= taken;
    }
}

static void read_from(struct broker_front *front, struct connection *connection, enum end end)
{
    ssize_t bytes =
        recv(connection->ends[end].fd, front->chunk, sizeof(front->chunk), MSG_DONTWAIT);
    if (bytes > 0) {
        take_octets(front, connection, end, front->chunk, (size_t)bytes);
        if (end == BROKER)
            acknowledge_at_once(&connection->ends[end]);
    } else if (bytes == 0 || (errno != EAGAIN && errno != EINTR)) {
        connection->over = true;
    }
}

/* Our own answers go out where no message of the broker is cut in two by them. */
static void finish_round(struct broker_front *front)
{
    for (struct connection *connection = front->connections; connection;
         connection = connection->next) {
        if (connection->answers.bytes > 0 && connection->ends[BROKER].passing == 0) {
            buffer_append(&connection->ends[CLIENT].unsent, connection->answers.data,
                          connection->answers.bytes);
            buffer_clear(&connection->answers);
        }
        flush(connection, CLIENT);
        flush(connection, BROKER);
        watch(front, connection);
    }
    drop_connections(front);
}

/* -- the thread -- */

static int wait_ms(struct broker_front *front)
{
    int64_t now_us = clock_monotonic_us();
    int64_t next_us = group_coordinator_tick(&front->coordinator, now_us);
    finish_round(front);
    if (next_us == INT64_MAX)
        return -1;
    int64_t ms = (next_us - now_us + 999) / 1000;
    return ms < 0 ? 0 : ms > 1000 ? 1000 : (int)ms;
}

static void *serve(void *argument)
{
    struct broker_front *front = argument;
    while (!atomic_load(&front->stopping)) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(front->epoll_fd, events, EVENTS_MAX, wait_ms(front));
        for (int i = 0; i < count; i++) {
            const struct watched *watched = events[i].data.ptr;
            struct connection *connection = watched->connection;
            if (!connection && watched->listener >= 0)
                accept_one(front, watched->listener);
            else if (connection && !connection->over &&
                     (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                read_from(front, connection, watched->end);
        }
    }
    return NULL;
}

static bool watch_fixed(struct broker_front *front, int fd, int place, int listener)
{
    struct watched *watched = &front->watched[place];
    *watched = (struct watched){.listener = listener};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watched};
    return fd >= 0 && epoll_ctl(front->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

enum error_code broker_front_start(struct broker_front **front, const int *ports, int count,
                                   struct error *error)
{
    BUG_IF(count > BROKERS_MAX);
    struct broker_front *made = must_calloc(1, sizeof(*made));
    uint64_t incarnation;
    clock_random(&incarnation, sizeof(incarnation));
    group_coordinator_init(&made->coordinator, incarnation, on_answer, made);
    made->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    made->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    bool fine = watch_fixed(made, made->wake_fd, BROKERS_MAX, -1);
    for (; fine && made->count < count; made->count++) {
        int n = made->count;
        made->ports[n].own = ports[n];
        made->listeners[n] = listen_anywhere(&made->ports[n].shown);
        fine = watch_fixed(made, made->listeners[n], n, n);
    }
    made->started = fine && pthread_create(&made->thread, NULL, serve, made) == 0;
    if (!made->started) {
        broker_front_stop(made);
        return error_set(error, ERR_IO, "the broker cannot listen: %s", strerror(errno));
    }
    *front = made;
    return ERR_OK;
}

int broker_front_port(const struct broker_front *front, int broker)
{
    return front->ports[broker].shown;
}

void broker_front_stop(struct broker_front *front)
{
    static const uint64_t one = 1;
    if (!front)
        return;
    atomic_store(&front->stopping, true);
    if (front->started) {
        while (write(front->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            continue;
        pthread_join(front->thread, NULL);
    }
    for (struct connection *connection = front->connections; connection;
         connection = connection->next)
        connection->over = true;
    drop_connections(front);
    for (int i = 0; i < front->count; i++) {
        if (front->listeners[i] >= 0)
            close(front->listeners[i]);
    }
    if (front->wake_fd >= 0)
        close(front->wake_fd);
    if (front->epoll_fd >= 0)
        close(front->epoll_fd);
    group_coordinator_fini(&front->coordinator);
    free(front->requests);
    free(front);
}
