/* Load client for the wire benchmarks: not the bottleneck at 2 million messages a second.
 *
 *   wire_load load ADDRESS CONNECTIONS FILE UNIT WINDOW WARM SECONDS (ws|http) PID
 *   wire_load idle ADDRESS CONNECTIONS SECONDS PID
 *
 * ADDRESS is a loopback port or a Unix path. FILE holds requests of UNIT bytes each, sent in turn; each connection
 * keeps WINDOW of them in flight. Replies must all have the length of the first. `idle` opens WebSockets, answers
 * pings and does nothing else. What counts is the server's CPU time, read from /proc/PID/task at both ends of the
 * window: messages per server-CPU-second hardly depend on what else the machine does.
 * Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_SAMPLES 2000000

struct connection {
    int fd, blocked;
    long offset;   /* bytes sent, counted through the file again and again */
    long allowed;  /* bytes that may still be sent */
    long received;
    double sent_at;
};

static char *requests, buffer[1 << 20];
static long unit, total, reply;
static double *samples;
static long sample_count;
static int poller;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* CPU seconds that all threads of the process have used. */
static double cpu_seconds(const char *pid) {
    char path[512];
    double sum = 0;
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%s/task", pid);
    DIR *folder = opendir(path);
    if (!folder) fail(path);
    while ((entry = readdir(folder))) {
        unsigned long long nanoseconds = 0;
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%s/task/%s/schedstat", pid, entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        if (fscanf(file, "%llu", &nanoseconds) == 1) sum += nanoseconds * 1e-9;
        fclose(file);
    }
    closedir(folder);
    return sum;
}

static int dial(const char *address) {
    int fd, one = 1;
    if (address[0] == '/') {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        strncpy(name.sun_path, address, sizeof name.sun_path - 1);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(fd, (void *)&name, sizeof name)) fail("connect");
        return fd;
    }
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(atoi(address))};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&name, sizeof name)) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void open_websocket(int fd) {
    static const char opening[] =
        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    char answer[4096] = {0};
    size_t size = 0;
    if (write(fd, opening, sizeof opening - 1) < 0) fail("handshake");
    while (size < 4 || memcmp(answer + size - 4, "\r\n\r\n", 4)) {
        if (size == sizeof answer - 1 || read(fd, answer + size, 1) <= 0) fail("handshake");
        size++;
    }
    if (!strstr(answer, " 101 ")) {
        fprintf(stderr, "no WebSocket: %s\n", answer);
        exit(1);
    }
}

static void watch(struct connection *c, int operation, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &event)) fail("epoll_ctl");
}

/* Sends what is allowed. */
static void pump(struct connection *c) {
    while (c->allowed > 0) {
        long position = c->offset % total, size = total - position;
        if (size > c->allowed) size = c->allowed;
        if (position % unit == 0 && !c->blocked) c->sent_at = now();
        ssize_t sent = send(c->fd, requests + position, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) fail("send");
            if (!c->blocked) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            c->blocked = 1;
            return;
        }
        c->offset += sent;
        c->allowed -= sent;
    }
    if (c->blocked) watch(c, EPOLL_CTL_MOD, EPOLLIN);
    c->blocked = 0;
}

/* The length of a reply: one request, and whatever comes until 300 ms of silence. */
static long probe(int fd) {
    long sent = 0, received = 0;
    ssize_t size;
    struct timeval patience = {.tv_usec = 300000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (sent < unit) {
        size = send(fd, requests + sent, unit - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size > 0) sent += size;
        else if ((size = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0) received += size;
    }
    while ((size = recv(fd, buffer, sizeof buffer, 0)) > 0) received += size;
    if (received <= 0) fail("probe");
    return received;
}

static int ascending(const void *a, const void *b) {
    double x = *(double *)a, y = *(double *)b;
    return (x > y) - (x < y);
}

static void drain(struct connection *c, int window) {
    ssize_t size = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size == 0) { fprintf(stderr, "the server hung up\n"); exit(1); }
    if (size < 0) { if (errno != EAGAIN) fail("recv"); return; }
    long before = c->received / reply;
    c->received += size;
    long replies = c->received / reply - before;
    if (!replies) return;
    if (window == 1 && sample_count < MAX_SAMPLES) samples[sample_count++] = now() - c->sent_at;
    c->allowed += replies * unit;
    pump(c);
}

static int load(char **argument) {
    int count = atoi(argument[3]), window = atoi(argument[6]), websocket = !strcmp(argument[9], "ws");
    double warm = atof(argument[7]), seconds = atof(argument[8]), cpu = 0, began = 0, t;
    const char *pid = argument[10];
    FILE *file = fopen(argument[4], "rb");
    unit = atol(argument[5]);
    if (!file) fail(argument[4]);
    fseek(file, 0, SEEK_END);
    total = ftell(file) / unit * unit;
    rewind(file);
    requests = malloc(total);
    if (fread(requests, 1, total, file) != (size_t)total) fail("read");
    samples = malloc(MAX_SAMPLES * sizeof *samples);
    struct connection *all = calloc(count, sizeof *all);
    for (int i = 0; i < count; i++) {
        all[i].fd = dial(argument[2]);
        if (websocket) open_websocket(all[i].fd);
    }
    reply = probe(all[0].fd);
    for (int i = 0; i < count; i++) {
        fcntl(all[i].fd, F_SETFL, O_NONBLOCK);
        watch(&all[i], EPOLL_CTL_ADD, EPOLLIN);
        all[i].offset = (long)i * 7919 % (total / unit) * unit;
        all[i].allowed = (long)window * unit;
        pump(&all[i]);
    }
    long long bytes = 0;
    double start = now() + warm, end = start + seconds;
    while ((t = now()) < end) {
        struct epoll_event events[1024];
        if (!began && t >= start) {
            began = t;
            cpu = cpu_seconds(pid);
            sample_count = 0;
            for (int i = 0; i < count; i++) bytes -= all[i].received;
        }
        int ready = epoll_wait(poller, events, 1024, 50);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) drain(c, window);
            if (events[i].events & EPOLLOUT) pump(c);
        }
    }
    cpu = cpu_seconds(pid) - cpu;
    double elapsed = now() - began;
    for (int i = 0; i < count; i++) bytes += all[i].received;
    qsort(samples, sample_count, sizeof *samples, ascending);
    double messages = (double)bytes / reply;
    printf("{\"per_cpu_second\": %.1f, \"per_second\": %.1f, \"cpu\": %.3f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           messages / cpu, messages / elapsed, cpu / elapsed,
           sample_count ? samples[sample_count / 2] * 1e6 : 0, sample_count ? samples[sample_count * 99 / 100] * 1e6 : 0);
    return 0;
}

/* Answers the pings that are there; unmasked heads and short payloads, as servers send them. */
static long answer_pings(int patience, long *lost) {
    struct epoll_event events[512];
    long answered = 0;
    int ready = epoll_wait(poller, events, 512, patience);
    for (int i = 0; i < ready; i++) {
        unsigned char in[4096];
        ssize_t size = recv(events[i].data.fd, in, sizeof in, MSG_DONTWAIT);
        if (size <= 0) {
            if (size == 0 || errno != EAGAIN) { ++*lost; close(events[i].data.fd); }
            continue;
        }
        for (ssize_t at = 0; at + 2 <= size; at += 2 + (in[at + 1] & 127)) {
            if (in[at] != 0x89) continue;
            unsigned char out[131] = {0x8a, 0x80 | (in[at + 1] & 127)}; /* a zero mask: this is a load client */
            memcpy(out + 6, in + at + 2, in[at + 1] & 127);
            if (send(events[i].data.fd, out, 6 + (in[at + 1] & 127), MSG_NOSIGNAL) > 0) answered++;
        }
    }
    return answered;
}

static int idle(char **argument) {
    int count = atoi(argument[3]);
    double seconds = atof(argument[4]), began = now();
    long answered = 0, lost = 0;
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = dial(argument[2])};
        open_websocket(event.data.fd);
        epoll_ctl(poller, EPOLL_CTL_ADD, event.data.fd, &event);
        if (i % 50 == 0) answer_pings(0, &lost);
    }
    double connected = now() - began, cpu = cpu_seconds(argument[5]), end = now() + seconds;
    while (now() < end) answered += answer_pings(100, &lost);
    printf("{\"connect_seconds\": %.2f, \"cpu\": %.4f, \"pings\": %ld, \"lost\": %ld}\n", connected,
           (cpu_seconds(argument[5]) - cpu) / seconds, answered, lost);
    fflush(stdout);
    getchar(); /* the caller measures memory, then closes our input */
    return 0;
}

int main(int count, char **argument) {
    poller = epoll_create1(0);
    if (count == 11 && !strcmp(argument[1], "load")) return load(argument);
    if (count == 6 && !strcmp(argument[1], "idle")) return idle(argument);
    fprintf(stderr, "usage: see the head of wire_load.c\n");
    return 100;
}
