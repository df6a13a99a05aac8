// Serves a disk in a process of its own, which a test kills: the built packages alone, so that it starts fast.
// node served-disk.mjs SOCKET IMAGE CAPACITY LAYOUT FEATURES LAST_CALL
import block from '@virtio-platform/device-block';
import { FeatureSet } from '@virtio-platform/core/features';
import { PeerEvent } from '@virtio-platform/host';
import { serveDevice } from '@virtio-platform/serve';

const [socket, image, capacity, layout, offers, lastCall] = process.argv.slice(2);
const checked = await block.options['~standard'].validate({ capacity: Number(capacity), image, queues: 2 });
if (checked.issues !== undefined) throw new TypeError(JSON.stringify(checked.issues));
const signal = Reflect.get(PeerEvent.prototype, 'signal');
let calls = 0;
PeerEvent.prototype.signal = function call() {
  if (++calls >= Number(lastCall)) process.kill(process.pid, 'SIGKILL');
  return Reflect.apply(signal, this, []);
};
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
await serveDevice({
  type: block,
  settings: checked.value,
  offers: new FeatureSet(BigInt(offers)),
  layout,
  socket,
  onEvent: (event) => process.stdout.write(`${event.kind} ${event.text ?? event.buffers ?? ''}\n`),
  signal: stop.signal,
});
