import { FeatureRows } from '@virtio-platform/core/features';

/** The features of a console (specification 1.4 section 5.3.3). */
export const CONSOLE_FEATURES: FeatureRows = new FeatureRows('virtio 1.4 §5.3.3');

/** The size of the console is in `cols` and `rows`. Section 5.3.3. */
export const VIRTIO_CONSOLE_F_SIZE: number = CONSOLE_FEATURES.bit(0, 'CONSOLE_SIZE');
/** Several ports, and control virtqueues for them. Section 5.3.3. */
export const VIRTIO_CONSOLE_F_MULTIPORT: number = CONSOLE_FEATURES.bit(1, 'CONSOLE_MULTIPORT');
/** Characters can be written to `emerg_wr` before anything else works. Section 5.3.3. */
export const VIRTIO_CONSOLE_F_EMERG_WRITE: number = CONSOLE_FEATURES.bit(2, 'CONSOLE_EMERG_WRITE');
