// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * bench_event - a blocking round trip between two processes
 *
 * Ping and pong of 8 bytes by SEND, each side asleep in ibv_get_cq_event() until
 * the other's message arrives; and the same by two eventfds, which is what two
 * wakeups cost on this machine. Without -d only the eventfds are measured.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "bench.h"

#define BATCH		200
#define WARM_UP		20
#define RECVS		16		/* kept posted */
#define SIGNAL_EVERY	16		/* sends */

/* Slots of the buffer: the message that is sent, then the receives. */
struct side {
	struct bench_end end;
	struct ibv_mr *mr;
	uint64_t *buf;
	unsigned int sent;
	unsigned int received;		/* recv slot = received % RECVS */
	unsigned int events;		/* got, not acknowledged yet */
};

static void check_read(int fd, void *p, size_t size)
{
	if (read(fd, p, size) != (ssize_t)size)
		die("the other process is gone");
}

static void check_write(int fd, const void *p, size_t size)
{
	if (write(fd, p, size) != (ssize_t)size)
		die("write to the other process: %s", strerror(errno));
}

static void post_recv(struct side *s)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)&s->buf[1 + s->received % RECVS],
		.length = sizeof(*s->buf),
		.lkey = s->mr->lkey,
	};
	struct ibv_recv_wr wr = { .sg_list = &sge, .num_sge = 1 }, *bad;

	if (ibv_post_recv(s->end.qp, &wr, &bad))
		die("post_recv failed");
}

static void post_send(struct side *s, uint64_t value)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)s->buf,
		.length = sizeof(*s->buf),
		.lkey = s->mr->lkey,
	};
	struct ibv_send_wr wr = { .sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_SEND }, *bad;

	/* the previous message was answered, so its bytes may be overwritten */
	s->buf[0] = value;
	if (++s->sent % SIGNAL_EVERY == 0)
		wr.send_flags = IBV_SEND_SIGNALED;
	if (ibv_post_send(s->end.qp, &wr, &bad))
		die("post_send failed");
}

static bool try_poll(struct side *s, uint64_t *value)
{
	struct ibv_wc wc;
	int n = ibv_poll_cq(s->end.recv_cq, 1, &wc);

	if (n < 0 || (n && wc.status != IBV_WC_SUCCESS))
		die("receive: %s", n < 0 ? "poll failed" : ibv_wc_status_str(wc.status));
	if (!n)
		return false;
	*value = s->buf[1 + s->received % RECVS];
	post_recv(s);
	s->received++;
	return true;
}

/*
 * The next message's value. The CQ is armed again before the answer goes out, so
 * that each message has its event.
 */
static uint64_t receive(struct side *s)
{
	struct ibv_cq *cq;
	void *context;
	uint64_t value;

	do {
		if (ibv_get_cq_event(s->end.channel, &cq, &context))
			die("get_cq_event: %s", strerror(errno));
		s->events++;
		if (ibv_req_notify_cq(cq, 0))
			die("req_notify_cq failed");
	} while (!try_poll(s, &value));
	if (s->sent && s->sent % SIGNAL_EVERY == 0)
		bench_poll(s->end.send_cq, 1);
	return value;
}

static void side_open(struct bench *b, struct side *s, int peer)
{
	uint32_t qpn;
	char ready = 1;

	memset(s, 0, sizeof(*s));
	bench_open(b);
	if (!bench_mode_supported(b))
		exit(2);
	bench_end_open(b, &s->end, true);
	qpn = s->end.qp->qp_num;
	check_write(peer, &qpn, sizeof(qpn));
	check_read(peer, &qpn, sizeof(qpn));
	bench_connect(b, &s->end, qpn, &b->gid);
	s->buf = bench_map(PAGE);
	s->mr = bench_reg(b, s->buf, PAGE);
	for (; s->received < RECVS; s->received++)
		post_recv(s);
	s->received = 0;
	if (ibv_req_notify_cq(s->end.recv_cq, 0))
		die("req_notify_cq failed");
	check_write(peer, &ready, 1);
	check_read(peer, &ready, 1);
}

static void side_close(struct bench *b, struct side *s)
{
	ibv_ack_cq_events(s->end.recv_cq, s->events);
	bench_end_close(&s->end);
	bench_dereg(b, s->mr);
	bench_close(b);
}

static void answer_sends(struct bench *b, int peer, unsigned int rounds)
{
	struct side s;
	char done;

	side_open(b, &s, peer);
	for (unsigned int i = 0; i < rounds; i++)
		post_send(&s, receive(&s) + 1);
	check_read(peer, &done, 1);
	side_close(b, &s);
}

static void measure_sends(struct bench *b, int peer)
{
	double ns[b->samples];
	uint64_t start, value = 1;
	char done = 1;
	bool ok = true;
	struct side s;

	side_open(b, &s, peer);
	for (unsigned int i = 0; i < WARM_UP; i++, value += 2) {
		post_send(&s, value);
		ok &= receive(&s) == value + 1;
	}
	for (unsigned int r = 0; r < b->samples; r++) {
		start = now_ns();
		for (unsigned int i = 0; i < BATCH; i++, value += 2) {
			post_send(&s, value);
			ok &= receive(&s) == value + 1;
		}
		ns[r] = (double)(now_ns() - start) / BATCH;
	}
	check_write(peer, &done, 1);
	side_close(b, &s);
	bench_result(b, "rtt_send", sizeof(value), median(ns, b->samples), "ns", ok);
}

static void answer_eventfds(const int *fds, unsigned int rounds)
{
	uint64_t value;

	for (unsigned int i = 0; i < rounds; i++) {
		check_read(fds[0], &value, sizeof(value));
		check_write(fds[1], &value, sizeof(value));
	}
}

static void measure_eventfds(struct bench *b, const int *fds)
{
	double ns[b->samples];
	uint64_t start, value = 1;

	for (unsigned int r = 0; r < b->samples; r++) {
		start = now_ns();
		for (unsigned int i = 0; i < BATCH; i++) {
			check_write(fds[0], &value, sizeof(value));
			check_read(fds[1], &value, sizeof(value));
		}
		ns[r] = (double)(now_ns() - start) / BATCH;
	}
	bench_limit(b, "rtt_eventfd", sizeof(value), median(ns, b->samples), value == 1);
}

int main(int argc, char **argv)
{
	int fds[2], peers[2], status;
	struct bench b;
	pid_t pid;

	bench_options(&b, argc, argv);
	for (int i = 0; i < 2; i++) {
		fds[i] = eventfd(0, 0);
		if (fds[i] < 0)
			die("eventfd: %s", strerror(errno));
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, peers))
		die("socketpair: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		close(peers[0]);
		answer_eventfds(fds, b.samples * BATCH);
		if (b.device)
			answer_sends(&b, peers[1], b.samples * BATCH + WARM_UP);
		exit(0);
	}
	close(peers[1]);
	measure_eventfds(&b, fds);
	if (b.device)
		measure_sends(&b, peers[0]);
	if (waitpid(pid, &status, 0) != pid || status)
		die("the answering process failed");
	return bench_status(&b);
}
