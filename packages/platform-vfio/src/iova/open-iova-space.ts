import { ChosenIovaSpace } from './chosen-iova-space.ts';
import type { IommufdIoas } from '../container/iommufd-ioas.ts';
import type { SpaprContainer } from '../container/spapr-container.ts';
import type { Type1Container } from '../container/type1-container.ts';
import type { DmaWindow } from './dma-window.ts';
import { IoasIovaSpace } from './ioas-iova-space.ts';
import type { IovaSpace } from './iova-space.ts';
import { SpaprWindow, type WindowRequest } from './spapr-window.ts';
import { Type1Window } from './type1-window.ts';

/** Everything that translates. */
export type TranslatingContainer = Type1Container | SpaprContainer | IommufdIoas;

export interface IovaSpaceRequest {
  readonly iovaStart: number | undefined;
  /** Of sPAPR version 2: the window to create. `undefined` for the default one. */
  readonly window: WindowRequest | undefined;
  /** Bytes of the process's memory. */
  readonly memorySize: number;
}

/** Does what a process has to do with this kind of container before it can map. Throws {@link DmaError}. */
export function openIovaSpace(container: TranslatingContainer, request: IovaSpaceRequest): IovaSpace {
  const { iovaStart, window, memorySize } = request;
  switch (container.type) {
    case 'iommufd':
      return new IoasIovaSpace(container, iovaStart);
    case 'spapr-v1':
      return openChosen(SpaprWindow.enable(container), iovaStart);
    case 'spapr-v2':
      return openChosen(SpaprWindow.register(container, memorySize, window), iovaStart);
    default:
      return openChosen(new Type1Window(container), iovaStart);
  }
}

function openChosen(window: DmaWindow, start: number | undefined): IovaSpace {
  try {
    return new ChosenIovaSpace(window, start);
  } catch (error) {
    window.close();
    throw error;
  }
}
