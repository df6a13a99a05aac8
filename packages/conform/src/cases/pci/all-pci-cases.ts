import type { ConformCase } from '@virtio-platform/core';
import { overPci } from '../../pci/pci-case.ts';
import { PCI_ACCESS_CASES } from './access-cases.ts';
import { PCI_CAPABILITY_CASES } from './capability-cases.ts';
import { PCI_COMMAND_CASES } from './command-cases.ts';
import { PCI_COMMON_CASES } from './common-cases.ts';
import { PCI_CONFIG_CASES } from './config-cases.ts';
import { PCI_FEATURE_CASES } from './feature-cases.ts';
import { PCI_IDENTITY_CASES } from './identity-cases.ts';
import { PCI_ISR_CASES } from './isr-cases.ts';
import { PCI_LEGACY_CASES } from './legacy-cases.ts';
import { PCI_MODE_CASES } from './mode-cases.ts';
import { PCI_MSIX_CASES } from './msix-cases.ts';
import { PCI_NOTIFY_CASES } from './notify-cases.ts';
import { PCI_STATUS_CASES } from './status-cases.ts';
import { PCI_WINDOW_CASES } from './window-cases.ts';

/** The cases of the PCI transport, of every device type (specification 1.4 section 4.1). */
export const PCI_CASES: readonly ConformCase[] = [
  ...PCI_IDENTITY_CASES,
  ...PCI_CAPABILITY_CASES,
  ...PCI_WINDOW_CASES,
  ...PCI_COMMON_CASES,
  ...PCI_FEATURE_CASES,
  ...PCI_STATUS_CASES,
  ...PCI_CONFIG_CASES,
  ...PCI_NOTIFY_CASES,
  ...PCI_ISR_CASES,
  ...PCI_MSIX_CASES,
  ...PCI_MODE_CASES,
  ...PCI_COMMAND_CASES,
  ...PCI_ACCESS_CASES,
  ...PCI_LEGACY_CASES,
].map(overPci);
