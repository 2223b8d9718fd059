/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/http_internal.h"

#define TCP_STATE_LISTEN 10u /* in /proc/net/tcp */
#define HOLDER_INODES_MAX 16
#define LINGER_MS 2000
#define LINGER_BYTES_MAX ((size_t)16 << 20)

/* Inodes of the sockets that listen on the port, from /proc/net/tcp or tcp6. */
static int listening_inodes(const char *file, int port, unsigned long *inodes, int max)
{
    FILE *table = fopen(file, "r");
    if (table == NULL)
        return 0;
    char line[512];
    int count = 0;
    while (count < max && fgets(line, sizeof line, table) != NULL) {
        unsigned local_port, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu",
                   &local_port, &state, &inode) == 3 &&
            local_port == (unsigned)port && state == TCP_STATE_LISTEN)
            inodes[count++] = inode;
    }
    fclose(table);
    return count;
}

static bool process_has_socket(const char *pid, const unsigned long *inodes, int count)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    DIR *descriptors = opendir(path);
    if (descriptors == NULL)
        return false;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(descriptors)) != NULL;) {
        char target[64];
        unsigned long inode;
        ssize_t length = readlinkat(dirfd(descriptors), entry->d_name, target, sizeof target - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        if (sscanf(target, "socket:[%lu]", &inode) != 1)
            continue;
        for (int i = 0; i < count; i++)
            found |= inodes[i] == inode;
    }
    closedir(descriptors);
    return found;
}

static void process_name(const char *pid, char *name, size_t bytes)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(name, (int)bytes, file) == NULL)
        snprintf(name, bytes, "unknown");
    name[strcspn(name, "\n")] = '\0';
    if (file != NULL)
        fclose(file);
}

void http_port_holder(int port, char *text, size_t bytes)
{
    unsigned long inodes[HOLDER_INODES_MAX];
    int count = listening_inodes("/proc/net/tcp", port, inodes, HOLDER_INODES_MAX);
    count += listening_inodes("/proc/net/tcp6", port, inodes + count, HOLDER_INODES_MAX - count);
    snprintf(text, bytes, "another process");
    DIR *processes = count > 0 ? opendir("/proc") : NULL;
    if (processes == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
            !process_has_socket(entry->d_name, inodes, count))
            continue;
        char name[64];
        process_name(entry->d_name, name, sizeof name);
        snprintf(text, bytes, "process %.20s (%s)", entry->d_name, name);
        break;
    }
    closedir(processes);
}

enum error_code http_port_check(const char *address, int port, struct error *error)
{
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    if (getaddrinfo(address, service, &hints, &list) != 0)
        return error_set(error, ERR_CONFIG, "BIND_ADDRESS %s is not an address of this machine",
                         address);
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    int failure = 0;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, 1) != 0)
        failure = errno;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(list);
    if (failure == 0)
        return ERR_OK;
    if (failure != EADDRINUSE)
        return error_set(error, ERR_CONFIG, "cannot listen on %s port %d: %s", address, port,
                         strerror(failure));
    char holder[128];
    http_port_holder(port, holder, sizeof holder);
    return error_set(error, ERR_CONFIG, "port %d on %s is busy: %s listens on it", port, address,
                     holder);
}

static int port_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    return address->ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)address)->sin6_port)
                                          : -1;
}

/* Does the socket belong to the port, and to the connection from there if that is asked for? */
static bool is_meant(int fd, int port, int remote_port)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &bytes) != 0 || port_of(&address) != port)
        return false;
    bytes = sizeof address;
    return remote_port == 0 || (getpeername(fd, (struct sockaddr *)&address, &bytes) == 0 &&
                                port_of(&address) == remote_port);
}

static bool is_listener(int fd)
{
    int listens = 0;
    socklen_t bytes = sizeof listens;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) == 0 && listens != 0;
}

/* Shuts the sockets down that are meant: listeners, or connections for reading. */
static void shut(int port, int remote_port, bool listeners)
{
    DIR *descriptors = opendir("/proc/self/fd");
    if (descriptors == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(descriptors)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && is_meant(fd, port, remote_port) &&
            is_listener(fd) == listeners)
            shutdown(fd, listeners ? SHUT_RDWR : SHUT_RD);
    }
    closedir(descriptors);
}

void http_port_hang_up(int port, int remote_port) { shut(port, remote_port, false); }
void http_port_stop_listening(int port) { shut(port, 0, true); }

static bool is_from(int fd, const char *remote_address)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    char text[NI_MAXHOST];
    return getpeername(fd, (struct sockaddr *)&address, &bytes) == 0 &&
           getnameinfo((struct sockaddr *)&address, bytes, text, sizeof text, NULL, 0,
                       NI_NUMERICHOST) == 0 &&
           strcmp(text, remote_address) == 0;
}

/* -1 when there is none. */
static int find_connection(int port, const char *remote_address, int remote_port)
{
    DIR *descriptors = opendir("/proc/self/fd");
    if (descriptors == NULL)
        return -1;
    int found = -1;
    for (struct dirent *entry; found < 0 && (entry = readdir(descriptors)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && is_meant(fd, port, remote_port) &&
            is_from(fd, remote_address))
            found = fd;
    }
    closedir(descriptors);
    return found;
}

void http_port_linger(int port, const char *remote_address, int remote_port)
{
    int fd = find_connection(port, remote_address, remote_port);
    if (fd < 0 || shutdown(fd, SHUT_WR) != 0)
        return;
    char dropped[8192];
    size_t bytes = 0;
    int64_t end_us = clock_monotonic_us() + (int64_t)LINGER_MS * 1000;
    while (bytes < LINGER_BYTES_MAX) {
        int64_t left_ms = (end_us - clock_monotonic_us()) / 1000;
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (left_ms <= 0 || poll(&wait, 1, (int)left_ms) <= 0)
            return;
        ssize_t got = recv(fd, dropped, sizeof dropped, MSG_DONTWAIT);
        if (got <= 0)
            return;
        bytes += (size_t)got;
    }
}
