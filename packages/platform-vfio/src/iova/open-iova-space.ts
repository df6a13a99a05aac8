import { ChosenIovaSpace } from './chosen-iova-space.ts';
import type { IommufdIoas, SpaprContainer, Type1Container } from '../container/vfio-container.ts';
import { Type1Window, type IovaWindow } from './iova-window.ts';
import { IoasIovaSpace } from './ioas-iova-space.ts';
import type { IovaSpace } from './iova-space.ts';
import { SpaprWindow, type WindowRequest } from './spapr-window.ts';
/** A container with an IOMMU. */
export type TranslatingContainer = Type1Container | SpaprContainer | IommufdIoas;

/** What the profile and the machine say about the I/O virtual addresses to use. */
export interface IovaSpaceRequest {
  /** First address to use; `undefined` for the container's first. */
  readonly iovaStart: number | undefined;
  /** First address that the device cannot use. */
  readonly behind: number;
  /** sPAPR version 2: the window to create; `undefined` for the default one. */
  readonly window: WindowRequest | undefined;
  /** Bytes of the process's memory. */
  readonly memorySize: number;
}

/** Takes the steps that this kind of container requires before a process can map. Throws {@link DmaError}. */
export function openIovaSpace(container: TranslatingContainer, request: IovaSpaceRequest): IovaSpace {
  const { iovaStart, behind, window, memorySize } = request;
  switch (container.type) {
    case 'iommufd':
      return new IoasIovaSpace(container, iovaStart, behind);
    case 'spapr-v1':
      return openChosen(SpaprWindow.enable(container), iovaStart, behind);
    case 'spapr-v2':
      return openChosen(SpaprWindow.register(container, memorySize, window), iovaStart, behind);
    default:
      return openChosen(new Type1Window(container), iovaStart, behind);
  }
}

function openChosen(window: IovaWindow, start: number | undefined, behind: number): IovaSpace {
  try {
    return new ChosenIovaSpace(window, start, behind);
  } catch (error) {
    window.close();
    throw error;
  }
}
