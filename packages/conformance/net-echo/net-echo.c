// A vhost-user network back-end on DPDK's librte_vhost that translates every address (VIRTIO_F_ACCESS_PLATFORM) and sends back each
// packet it gets. Serves one connection on the socket in its first argument, and ends with it.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>

// Queues by the driver's names: it receives on the first.
enum { RECEIVE = 0, TRANSMIT = 1, BURST = 32 };

static atomic_int device = -1;
static atomic_bool served = false;
static atomic_bool busy = false;

static int start(int vid)
{
	rte_vhost_enable_guest_notification(vid, TRANSMIT, 0);
	atomic_store(&device, vid);
	return 0;
}

// The library takes the rings away when this returns.
static void stop(int vid)
{
	(void)vid;
	atomic_store(&device, -1);
	while (atomic_load(&busy))
		usleep(10);
}

static void closed(int vid)
{
	(void)vid;
	atomic_store(&served, true);
}

static const struct rte_vhost_device_ops operations = {
	.new_device = start,
	.destroy_device = stop,
	.destroy_connection = closed,
};

static void interrupted(int signal)
{
	(void)signal;
	atomic_store(&served, true);
}

static void fail(const char *what)
{
	fprintf(stderr, "net-echo: cannot %s\n", what);
	exit(1);
}

// Packets that find no room yet are kept, so that none is lost. Returns how many moved.
static unsigned int echo(int vid, struct rte_mempool *pool)
{
	static struct rte_mbuf *packets[BURST];
	static uint16_t first, count;
	unsigned int moved = 0;
	if (first == count) {
		first = 0;
		moved = count = rte_vhost_dequeue_burst(vid, TRANSMIT, pool, packets, BURST);
	}
	uint16_t sent = rte_vhost_enqueue_burst(vid, RECEIVE, packets + first, count - first);
	for (uint16_t i = 0; i < sent; i++)
		rte_pktmbuf_free(packets[first + i]);
	first += sent;
	return moved + sent;
}

int main(int count, char **arguments)
{
	// Ordinary memory of this process alone, nothing left behind, and one processor: the library's own thread runs on the others.
	char cpu[8];
	snprintf(cpu, sizeof(cpu), "%d", sched_getcpu());
	char *options[] = {arguments[0], "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m", "64",
			   "-l", cpu, "--log-level", "lib.vhost.config:error", NULL};
	if (count != 2)
		fail("serve without the path of a socket");
	const char *path = arguments[1];
	if (rte_eal_init(sizeof(options) / sizeof(*options) - 1, options) < 0)
		fail("start DPDK");
	struct rte_mempool *pool = rte_pktmbuf_pool_create("packets", 1024, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL)
		fail("allocate packets");
	uint64_t flags = RTE_VHOST_USER_IOMMU_SUPPORT | RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS;
	if (rte_vhost_driver_register(path, flags) != 0 || rte_vhost_driver_callback_register(path, &operations) != 0 ||
	    rte_vhost_driver_start(path) != 0)
		fail("listen");
	signal(SIGTERM, interrupted);
	signal(SIGINT, interrupted);
	for (unsigned int idle = 0; !atomic_load(&served);) {
		atomic_store(&busy, true);
		int vid = atomic_load(&device);
		unsigned int moved = vid < 0 ? 0 : echo(vid, pool);
		atomic_store(&busy, false);
		idle = moved > 0 ? 0 : idle + 1;
		// Polls, but only as long as something may be on its way.
		if (idle > 1000)
			usleep(50);
		else if (idle > 10)
			sched_yield();
	}
	rte_vhost_driver_unregister(path);
	return 0;
}
