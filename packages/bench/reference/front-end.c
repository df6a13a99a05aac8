/*
 * A vhost-user front-end of one block device, to compare with: it reads 4 KiB at a time, keeps so many requests in
 * flight, and where none came back it looks for used buffers once more with notifications enabled, and waits. Every
 * check of the ring is on.
 *
 * usage: <socket> <depth> <requests of a sample> <samples>; prints nanoseconds per request, one sample a line.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#define ALLOCATE_SHARED allocate_shared
static void *allocate_shared(size_t bytes);
/* The device's end of the ring is the back-end's. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "split-ring.h"

enum { MEMORY_BYTES = 8 << 20, PAGE = 4096, BLOCK = 4096, BLOCKS = 64, MOST_DEPTH = 256, SECTORS = BLOCK / 512 };
/* VERSION_1, EVENT_IDX, INDIRECT_DESC, and that of the protocol. */
#define FEATURES (1ull << 32 | 1ull << 29 | 1ull << 28 | 1ull << 30)
enum {
	GET_FEATURES = 1, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 5, SET_VRING_NUM = 8, SET_VRING_ADDR, SET_VRING_BASE,
	SET_VRING_KICK = 12, SET_VRING_CALL, GET_PROTOCOL_FEATURES = 15, SET_PROTOCOL_FEATURES, SET_VRING_ENABLE = 18,
};

static char *memory;
static size_t memory_used;
static int memory_file, back_end, kick_event, call_event;

/* Memory that the back-end maps: an address means the same to both. */
static void *allocate_shared(size_t bytes)
{
	char *start = memory + memory_used;

	memory_used += (bytes + PAGE - 1) / PAGE * PAGE;
	if (memory_used > MEMORY_BYTES)
		fail("no shared memory");
	return start;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Sends a message, with a descriptor where it is not -1. */
static void command(uint32_t request, const void *payload, uint32_t bytes, int descriptor)
{
	struct { uint32_t request, flags, bytes; char payload[64]; } message = { request, 1, bytes, { 0 } };
	union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control = { .header = { 0 } };
	struct iovec part = { &message, 12 + bytes };
	struct msghdr sent = { .msg_iov = &part, .msg_iovlen = 1 };

	if (bytes > 0)
		memcpy(message.payload, payload, bytes);
	if (descriptor >= 0) {
		control.header.cmsg_len = CMSG_LEN(sizeof descriptor);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
		sent.msg_control = &control;
		sent.msg_controllen = sizeof control;
	}
	if (sendmsg(back_end, &sent, MSG_NOSIGNAL) != (ssize_t)part.iov_len)
		fail("a message cannot be sent");
}

static void command_u64(uint32_t request, uint64_t value, int descriptor)
{
	command(request, &value, sizeof value, descriptor);
}

static void command_state(uint32_t request, uint32_t value)
{
	uint32_t state[2] = { 0, value };

	command(request, state, sizeof state, -1);
}

static uint64_t query(uint32_t request)
{
	struct { uint32_t request, flags, bytes, value[2]; } reply;
	uint64_t value;

	command(request, NULL, 0, -1);
	if (recv(back_end, &reply, sizeof reply, MSG_WAITALL) != sizeof reply || reply.request != request)
		fail("a message has no answer");
	memcpy(&value, reply.value, sizeof value);
	return value;
}

static void connect_back_end(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof address.sun_path)
		fail("a long path");
	strcpy(address.sun_path, path);
	back_end = socket(AF_UNIX, SOCK_STREAM, 0);
	if (back_end < 0 || connect(back_end, (struct sockaddr *)&address, sizeof address) != 0)
		fail("no back-end");
	command(SET_OWNER, NULL, 0, -1);
	if ((query(GET_FEATURES) & FEATURES) != FEATURES)
		fail("a feature is missing");
	query(GET_PROTOCOL_FEATURES);
	command_u64(SET_PROTOCOL_FEATURES, 0, -1);
	command_u64(SET_FEATURES, FEATURES, -1);
}

static void share_memory(void)
{
	struct { uint32_t count, padding; uint64_t guest, bytes, user, offset; } table = { 1, 0, 0, MEMORY_BYTES, 0, 0 };

	memory_file = memfd_create("front-end", MFD_CLOEXEC);
	if (memory_file < 0 || ftruncate(memory_file, MEMORY_BYTES) != 0)
		fail("no memory to share");
	memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory_file, 0);
	if (memory == MAP_FAILED)
		fail("the shared memory cannot be mapped");
	table.guest = table.user = (uint64_t)(uintptr_t)memory;
	command(SET_MEM_TABLE, &table, sizeof table, memory_file);
}

static void start_queue(void)
{
	struct { uint32_t index, flags; uint64_t descriptors, used, available, log; } address = {
		0, 0, (uintptr_t)descriptors, (uintptr_t)used, (uintptr_t)avail, 0,
	};

	kick_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	call_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	command_state(SET_VRING_NUM, size);
	command_state(SET_VRING_BASE, 0);
	command(SET_VRING_ADDR, &address, sizeof address, -1);
	command_u64(SET_VRING_KICK, 0, kick_event);
	command_u64(SET_VRING_CALL, 0, call_event);
	command_state(SET_VRING_ENABLE, 1);
}

/* A request of one slot: struct virtio_blk_req, its data, its status. */
struct request { uint32_t type, reserved; uint64_t sector; };

static struct region headers, data, states;
static unsigned depth, in_flight, next_block, free_count;
static unsigned free_slots[MOST_DEPTH];
static uint16_t slot_of[MOST_SIZE];
static struct list list;
static struct batch batch;

static int read_block(void)
{
	unsigned slot = free_slots[free_count - 1];
	struct request *request = (struct request *)(uintptr_t)headers.address + slot;
	int head;

	*request = (struct request){ 0, 0, (uint64_t)(next_block++ % BLOCKS) * SECTORS };
	*((uint8_t *)(uintptr_t)states.address + slot) = 0xff;
	list_clear(&list);
	if (list_readable(&list, &headers, slot * sizeof *request, sizeof *request) < 0 ||
	    list_writable(&list, &data, slot * BLOCK, BLOCK) < 0 || list_writable(&list, &states, slot, 1) < 0)
		return -1;
	head = ring_add(&list);
	if (head < 0)
		return -1;
	free_count--;
	slot_of[head] = (uint16_t)slot;
	in_flight++;
	return 0;
}

static unsigned take_back(void)
{
	int came = ring_take_used(size, &batch);

	if (came < 0)
		fail(broken);
	for (int i = 0; i < came; i++) {
		unsigned slot = slot_of[batch.ids[i]];
		if (*((volatile uint8_t *)(uintptr_t)states.address + slot) != 0 || batch.written[i] != BLOCK + 1)
			fail("a request failed");
		free_slots[free_count++] = slot;
	}
	in_flight -= (unsigned)came;
	return (unsigned)came;
}

/* Returns whether the device is to notify, and no buffer is used yet. */
static int enable_notifications(void)
{
	publish_field(*used_event(), last_used_idx);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load_ordered(used->idx) == last_used_idx;
}

static void wait_for_call(void)
{
	struct pollfd events[2] = { { .fd = back_end, .events = POLLRDHUP }, { .fd = call_event, .events = POLLIN } };
	uint64_t calls;

	if (poll(events, 2, 5000) <= 0 || events[0].revents != 0)
		fail("the back-end does nothing more");
	if (read(call_event, &calls, sizeof calls) != sizeof calls)
		fail("a notification cannot be read");
}

/* Keeps as many in flight from one sample to the next. */
static double time_of(unsigned long requests)
{
	static const uint64_t one = 1;
	double start = now();

	for (unsigned long done = 0; done < requests;) {
		unsigned came;
		while (free_count > 0)
			if (read_block() < 0)
				fail(broken ? broken : "the queue is full");
		if (ring_publish() && write(kick_event, &one, sizeof one) != sizeof one)
			fail("a kick cannot be sent");
		came = take_back();
		done += came;
		if (came > 0)
			*used_event() = (uint16_t)(last_used_idx - 1);
		else if (enable_notifications())
			wait_for_call();
	}
	return (now() - start) / (double)requests;
}

static struct region shared_region(size_t bytes)
{
	return (struct region){ (uint64_t)(uintptr_t)allocate_shared(bytes), (uint32_t)bytes };
}

int main(int argc, char **argv)
{
	unsigned long requests, samples;

	if (argc != 5) {
		fprintf(stderr, "usage: %s SOCKET DEPTH REQUESTS SAMPLES\n", argv[0]);
		return 2;
	}
	size = 256;
	indirect = 1;
	depth = (unsigned)atoi(argv[2]);
	requests = strtoul(argv[3], NULL, 10);
	samples = strtoul(argv[4], NULL, 10);
	if (depth < 1 || depth > MOST_DEPTH)
		fail("a depth that is impossible");
	connect_back_end(argv[1]);
	share_memory();
	open_ring();
	headers = shared_region(depth * sizeof(struct request));
	data = shared_region(depth * BLOCK);
	states = shared_region(depth);
	for (free_count = 0; free_count < depth; free_count++)
		free_slots[free_count] = free_count;
	start_queue();
	time_of(requests);
	for (unsigned long i = 0; i < samples; i++)
		printf("%.3f 0\n", time_of(requests));
	return 0;
}
