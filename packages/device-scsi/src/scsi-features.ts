import { FeatureRows } from '@virtio-platform/core/features';

/** The features of a SCSI host (specification 1.4 section 5.6.3). */
export const SCSI_FEATURES: FeatureRows = new FeatureRows('virtio 1.4 §5.6.3');

/** A request may have data in both directions. Section 5.6.3. */
export const VIRTIO_SCSI_F_INOUT: number = SCSI_FEATURES.bit(0, 'SCSI_INOUT');
/** Events tell of logical units that appear and disappear. Section 5.6.3. */
export const VIRTIO_SCSI_F_HOTPLUG: number = SCSI_FEATURES.bit(1, 'SCSI_HOTPLUG');
/** Events tell of changed parameters of logical units. Section 5.6.3. */
export const VIRTIO_SCSI_F_CHANGE: number = SCSI_FEATURES.bit(2, 'SCSI_CHANGE');
/** Requests have fields for protection information. Section 5.6.3. */
export const VIRTIO_SCSI_F_T10_PI: number = SCSI_FEATURES.bit(3, 'SCSI_T10_PI', {
  undriven: 'its commands have no protection information (T10 PI)',
});
