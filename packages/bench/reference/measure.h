/*
 * What is measured of a ring, and how: included behind a ring and the loops that play its other end.
 *
 * usage: <driver, device, both or threads> <size> <batch> <1 or 3 descriptors> <indirect: 0 or 1> <requests> <samples>
 *
 * Prints a line for each sample: nanoseconds per request, and those of the loop at the other end alone, which are 0
 * where both ends are rings. `threads` keeps a batch in flight between two threads that poll.
 */
#include <pthread.h>
#include <sched.h>
#include <time.h>

enum { LOOKS = 1 << 12 };

static unsigned descriptors_of_request, batch_size;
static unsigned long requests, samples;
static struct region region;
static struct list list;
static struct batch batch;
static struct chain chain;
static int stop;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* One segment that the device writes, or three as a block write has them. Filled anew for each request. */
static int fill_list(void)
{
	list_clear(&list);
	if (descriptors_of_request == 1)
		return list_writable(&list, &region, 0, 512);
	if (list_readable(&list, &region, 0, 16) < 0 || list_readable(&list, &region, 16, 512) < 0)
		return -1;
	return list_writable(&list, &region, 528, 1);
}

static void add_requests(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (fill_list() < 0 || ring_add(&list) < 0)
			fail(broken ? broken : "the queue is full");
	ring_publish();
}

static unsigned serve_requests(void)
{
	unsigned done = 0;
	int popped;

	while ((popped = ring_pop(&chain)) > 0) {
		ring_push(chain.head, (uint32_t)(chain.bytes - chain.readable_bytes));
		done++;
	}
	if (popped < 0)
		fail(broken);
	if (done > 0)
		ring_flush();
	return done;
}

static void take_requests(void)
{
	if (ring_take_used(batch_size, &batch) != (int)batch_size)
		fail(broken ? broken : "requests went missing");
}

static void drive(void)
{
	add_requests(batch_size);
	play_device(batch_size);
	take_requests();
}

static void serve(void)
{
	play_driver(batch_size);
	if (serve_requests() != batch_size)
		fail("requests went missing");
}

static void do_both(void)
{
	add_requests(batch_size);
	if (serve_requests() != batch_size)
		fail("requests went missing");
	take_requests();
}

static void peer_of_driver(void)
{
	play_device(batch_size);
}

static void peer_of_device(void)
{
	play_driver(batch_size);
}

static void *device_thread(void *unused)
{
	unsigned looks = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (serve_requests() > 0)
			looks = 0;
		else if (++looks % LOOKS == 0)
			sched_yield();
	}
	return unused;
}

/* Goes on until another batch came back, and keeps as many in flight. */
static void drive_thread(void)
{
	static unsigned in_flight, ahead;
	unsigned looks = 0;

	while (ahead < batch_size) {
		int got;
		if (in_flight < batch_size)
			add_requests(batch_size - in_flight);
		in_flight = batch_size;
		got = ring_take_used(batch_size, &batch);
		if (got < 0)
			fail(broken);
		in_flight -= (unsigned)got;
		ahead += (unsigned)got;
		if (got > 0)
			looks = 0;
		else if (++looks % LOOKS == 0)
			sched_yield();
	}
	ahead -= batch_size;
}

static double time_of(void (*round)(void))
{
	double start = now();
	unsigned long rounds = (requests + batch_size - 1) / batch_size;

	for (unsigned long i = 0; i < rounds; i++)
		round();
	return (now() - start) / (double)(rounds * batch_size);
}

/* The loop alone comes after all of the end: it leaves a ring that no end could go on with. */
static void measure(void (*round)(void), void (*peer)(void))
{
	double *whole = allocate(samples * sizeof *whole);

	time_of(round);
	for (unsigned long i = 0; i < samples; i++)
		whole[i] = time_of(round);
	if (peer)
		time_of(peer);
	for (unsigned long i = 0; i < samples; i++)
		printf("%.3f %.3f\n", whole[i], peer ? time_of(peer) : 0.0);
}

static void measure_threads(void)
{
	pthread_t device;

	if (pthread_create(&device, NULL, device_thread, NULL) != 0)
		fail("no second thread");
	measure(drive_thread, NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(device, NULL);
}

int main(int argc, char **argv)
{
	static char buffer[4096];

	if (argc != 8) {
		fprintf(stderr, "usage: %s MODE SIZE BATCH DESCRIPTORS INDIRECT REQUESTS SAMPLES\n", argv[0]);
		return 2;
	}
	size = (unsigned)atoi(argv[2]);
	batch_size = (unsigned)atoi(argv[3]);
	descriptors_of_request = argv[4][0] == '1' ? 1 : SEGMENTS;
	indirect = argv[5][0] == '1';
	requests = strtoul(argv[6], NULL, 10);
	samples = strtoul(argv[7], NULL, 10);
	if (size < 1 || size > MOST_SIZE || batch_size * (indirect ? 1 : descriptors_of_request) > size)
		fail("a size or a batch that is impossible");
	region = (struct region){ (uint64_t)(uintptr_t)buffer, sizeof buffer };
	open_ring();
	if (strcmp(argv[1], "device") == 0) {
		prepare_driver(batch_size);
		measure(serve, peer_of_device);
	} else if (strcmp(argv[1], "driver") == 0) {
		measure(drive, peer_of_driver);
	} else if (strcmp(argv[1], "both") == 0) {
		measure(do_both, NULL);
	} else if (strcmp(argv[1], "threads") == 0) {
		measure_threads();
	} else {
		fail("MODE is driver, device, both or threads");
	}
	return 0;
}
