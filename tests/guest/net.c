/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pings the gateway ($KR_GATEWAY) through eth0 with random contents, which must
 * come back unchanged. Lost packets are not an error: there may be a reset.
 */
#include "worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    PAYLOAD = 1000
};

typedef struct Echo {
    struct icmphdr head;
    uint8_t payload[PAYLOAD];
} Echo;

typedef struct Net {
    int fd;
    struct sockaddr_in gateway;
    uint16_t id;
    uint16_t sequence;
} Net;

static int net_workers(void)
{
    return getenv("KR_GATEWAY") && if_nametoindex("eth0") != 0;
}

static uint16_t checksum(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t sum = 0;
    size_t i;

    for (i = 0; i < len; i += 2) {
        sum += p[i] << 8 | p[i + 1];
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return htons(~sum);
}

static void net_start(Worker *worker)
{
    const struct timeval patience = {.tv_sec = 1};
    Net *net = calloc(1, sizeof(*net));

    net->fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    if (net->fd < 0) {
        work_fail("net: cannot open a raw socket: %s", strerror(errno));
    }
    setsockopt(net->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    net->gateway.sin_family = AF_INET;
    if (!inet_aton(getenv("KR_GATEWAY"), &net->gateway.sin_addr)) {
        work_fail("net: '%s' is no address", getenv("KR_GATEWAY"));
    }
    net->id = getpid();
    worker->state = net;
}

/* The answer to SENT, however many other packets come before it. */
static bool receive(Net *net, const Echo *sent)
{
    uint8_t packet[2048];
    ssize_t n;

    while ((n = recv(net->fd, packet, sizeof(packet), 0)) > 0) {
        size_t head = (packet[0] & 15) * 4;
        Echo got;

        if ((size_t)n != head + sizeof(got)) {
            continue;
        }
        memcpy(&got, packet + head, sizeof(got));
        if (got.head.type != ICMP_ECHOREPLY ||
            got.head.un.echo.id != sent->head.un.echo.id ||
            got.head.un.echo.sequence != sent->head.un.echo.sequence) {
            continue;
        }
        if (memcmp(got.payload, sent->payload, PAYLOAD)) {
            work_fail("net: ping %u came back changed", net->sequence);
        }
        return true;
    }
    return false;
}

static void net_turn(Worker *worker)
{
    Net *net = worker->state;
    Echo echo = {.head.type = ICMP_ECHO};

    net->sequence++;
    echo.head.un.echo.id = htons(net->id);
    echo.head.un.echo.sequence = htons(net->sequence);
    pseudo_random(net->sequence, echo.payload, PAYLOAD);
    echo.head.checksum = checksum(&echo, sizeof(echo));
    if (sendto(net->fd, &echo, sizeof(echo), 0,
               (struct sockaddr *)&net->gateway, sizeof(net->gateway)) < 0) {
        /* The link may be down for now; the work's patience is not endless. */
        usleep(200000);
        return;
    }
    if (receive(net, &echo)) {
        worker->count++;
    }
    usleep(20000);
}

const WorkKind net_work = {
    .name = "net",
    .workers = net_workers,
    .start = net_start,
    .turn = net_turn,
};
