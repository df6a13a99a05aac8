import { describeMachinePlugin } from '@virtio-platform/conformance';
import simulated from '@virtio-platform/machine-simulated';

describeMachinePlugin(simulated);
describeMachinePlugin(simulated, { options: { device: 'worker' } });
